//! The round-trip time of a message: each connection sends the next message when it has the answer to the last.

use std::{
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{Clients, Target, Traffic, histogram};

/// Measures latency with one message in flight on each connection.
#[derive(Debug)]
pub struct RoundTrips {
    clients: Clients,
    traffic: Traffic,
    sent_at: Vec<Instant>,
    nanoseconds: Histogram<u64>,
}

impl RoundTrips {
    /// Connects and sends.
    ///
    /// # Errors
    /// A connection cannot be opened.
    pub fn start(target: impl Into<Target>, connections: usize, payload_bytes: usize) -> io::Result<Self> {
        let target = target.into();
        let traffic = target.traffic(payload_bytes);
        let mut clients = Clients::connect(&target, connections)?;
        let mut sent_at = Vec::with_capacity(connections);
        for client in &mut clients.all {
            sent_at.push(Instant::now());
            client.send(&traffic, 1)?;
        }
        Ok(Self { clients, traffic, sent_at, nanoseconds: histogram()? })
    }

    /// Returns the times of all answers of the window, in nanoseconds.
    ///
    /// # Errors
    /// The server sends a wrong answer or none, or closes a connection, or a system call fails.
    pub fn measure(mut self, warm_up: Duration, window: Duration) -> io::Result<Histogram<u64>> {
        self.run_until(Instant::now() + warm_up)?;
        self.nanoseconds.reset();
        self.run_until(Instant::now() + window)?;
        if self.nanoseconds.is_empty() {
            return Err(io::Error::other("the server did not answer"));
        }
        Ok(self.nanoseconds)
    }

    fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        let Self { clients, traffic, sent_at, nanoseconds } = self;
        let mut ready = Vec::new();
        while Instant::now() < deadline {
            clients.wait(deadline, &mut ready)?;
            for &(at, readable, writable) in &ready {
                let client = &mut clients.all[at];
                if !readable || client.receive(traffic, &mut clients.buffer)?.is_empty() {
                    if writable {
                        client.flush(traffic)?;
                    }
                    continue;
                }
                let now = Instant::now();
                nanoseconds.saturating_record((now - sent_at[at]).as_nanos() as u64);
                sent_at[at] = now;
                client.send(traffic, 1)?;
            }
        }
        Ok(())
    }
}
