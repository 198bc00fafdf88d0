//! The latency of messages at a fixed rate, which does not depend on the server: each message has a scheduled time, and
//! its latency counts from that time. A server that stalls is so charged for all messages that are due meanwhile.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{Clients, Target, Traffic, Work, histogram};

/// A load of a fixed number of messages per second, from each connection in turn.
#[derive(Debug)]
pub struct Paced {
    clients: Clients,
    traffic: Traffic,
    interval: Duration,
    /// The scheduled time of the next message.
    next: Instant,
    sender: usize,
    /// For each connection, the scheduled times of its unanswered messages.
    unanswered: Vec<VecDeque<Instant>>,
    nanoseconds: Histogram<u64>,
    /// How late the load generator sent messages that were due.
    lateness: Histogram<u64>,
    answers: u64,
}

impl Paced {
    /// Connects.
    ///
    /// # Errors
    /// A connection cannot be opened.
    pub fn start(target: impl Into<Target>, connections: usize, payload_bytes: usize, rate: u32) -> io::Result<Self> {
        let target = target.into();
        Ok(Self {
            clients: Clients::connect(&target, connections)?,
            traffic: target.traffic(payload_bytes),
            interval: Duration::from_secs(1) / rate,
            next: Instant::now(),
            sender: 0,
            unanswered: vec![VecDeque::new(); connections],
            nanoseconds: histogram()?,
            lateness: histogram()?,
            answers: 0,
        })
    }

    /// Drops the times measured so far.
    pub fn forget(&mut self) {
        self.nanoseconds.reset();
        self.lateness.reset();
    }

    /// The times from a message's scheduled time to its answer, in nanoseconds.
    pub fn nanoseconds(&self) -> &Histogram<u64> {
        &self.nanoseconds
    }

    /// The times from a message's scheduled time to its sending, in nanoseconds: the load generator's part of the
    /// latency.
    pub fn lateness(&self) -> &Histogram<u64> {
        &self.lateness
    }

    /// Sends all messages that are due.
    fn send(&mut self) -> io::Result<()> {
        loop {
            let late = Instant::now().saturating_duration_since(self.next);
            if late.is_zero() {
                return Ok(());
            }
            self.lateness.saturating_record(late.as_nanos() as u64);
            self.clients.all[self.sender].send(&self.traffic, 1)?;
            self.unanswered[self.sender].push_back(self.next);
            self.sender = (self.sender + 1) % self.clients.all.len();
            self.next += self.interval;
        }
    }
}

impl Paced {
    /// Works until `deadline`, and calls `beside` again and again. Never sleeps, as a wake-up takes longer than the
    /// measured times.
    ///
    /// # Errors
    /// As [`Work::run_until`], or `beside` fails.
    pub fn run_beside(&mut self, deadline: Instant, mut beside: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        let mut ready = Vec::new();
        while Instant::now() < deadline {
            self.send()?;
            beside()?;
            self.clients.wait(Instant::now(), &mut ready)?;
            for &(at, readable, writable) in &ready {
                let client = &mut self.clients.all[at];
                if writable {
                    client.flush(&self.traffic)?;
                }
                if !readable {
                    continue;
                }
                let arrived = client.receive(&self.traffic, &mut self.clients.buffer)?;
                let now = Instant::now();
                for _ in arrived {
                    let scheduled = self.unanswered[at].pop_front();
                    let scheduled = scheduled
                        .ok_or_else(|| io::Error::other("the server sent more answers than there were messages"))?;
                    self.nanoseconds.saturating_record((now - scheduled).as_nanos() as u64);
                    self.answers += 1;
                }
            }
        }
        Ok(())
    }
}

impl Work for Paced {
    fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        self.run_beside(deadline, || Ok(()))
    }

    fn done(&self) -> u64 {
        self.answers
    }
}
