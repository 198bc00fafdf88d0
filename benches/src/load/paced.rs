//! How long one message takes at a fixed rate of messages, whatever the server does: each has a time at which it is to
//! be sent, and its latency counts from there. So a server that stands still for a moment is charged for all that
//! should have been sent meanwhile.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{Clients, Traffic, Work, histogram};

/// A load of so many messages per second, from each connection in turn.
#[derive(Debug)]
pub struct Paced {
    clients: Clients,
    traffic: Traffic,
    interval: Duration,
    /// When the next message is to be sent.
    next: Instant,
    sender: usize,
    /// For each connection the times at which its unanswered messages were to be sent.
    unanswered: Vec<VecDeque<Instant>>,
    nanoseconds: Histogram<u64>,
    /// How late we were ourselves with what was due.
    lateness: Histogram<u64>,
    answers: u64,
}

impl Paced {
    /// Connects.
    ///
    /// # Errors
    /// A connection cannot be opened.
    pub fn start(address: SocketAddr, connections: usize, payload_bytes: usize, rate: u32) -> io::Result<Self> {
        Ok(Self {
            clients: Clients::connect(address, connections)?,
            traffic: Traffic::of_binary(payload_bytes),
            interval: Duration::from_secs(1) / rate,
            next: Instant::now(),
            sender: 0,
            unanswered: vec![VecDeque::new(); connections],
            nanoseconds: histogram()?,
            lateness: histogram()?,
            answers: 0,
        })
    }

    /// Forgets the times so far.
    pub fn forget(&mut self) {
        self.nanoseconds.reset();
        self.lateness.reset();
    }

    /// From when a message was to be sent to its answer, in nanoseconds.
    pub fn nanoseconds(&self) -> &Histogram<u64> {
        &self.nanoseconds
    }

    /// From when a message was to be sent to when it was, in nanoseconds: that part of its time is ours.
    pub fn lateness(&self) -> &Histogram<u64> {
        &self.lateness
    }

    /// Sends all that is due.
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

impl Work for Paced {
    /// Never sleeps: to be woken would take longer than what is measured.
    fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        let mut ready = Vec::new();
        while Instant::now() < deadline {
            self.send()?;
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
                    let intended = self.unanswered[at].pop_front();
                    let intended = intended.ok_or_else(|| io::Error::other("the server answered what was not sent"))?;
                    self.nanoseconds.saturating_record((now - intended).as_nanos() as u64);
                    self.answers += 1;
                }
            }
        }
        Ok(())
    }

    fn done(&self) -> u64 {
        self.answers
    }
}
