//! One connection publishes and keeps a fixed number of messages in flight. All connections receive them, the publisher
//! too. A message is complete when all have received it.

use std::{io, time::Instant};

use super::{Clients, Target, Traffic, Work, poller::Ready};

/// A broadcast server's load.
#[derive(Debug)]
pub struct FanOut {
    clients: Clients,
    traffic: Traffic,
    /// The number of receivers that do not have a message yet, by the message's number modulo the messages in flight.
    missing: Vec<usize>,
    deliveries: u64,
    ready: Vec<Ready>,
}

impl FanOut {
    /// Connects and publishes the first messages.
    ///
    /// # Errors
    /// A connection cannot be opened.
    pub fn start(
        target: impl Into<Target>,
        receivers: usize,
        payload_bytes: usize,
        in_flight: usize,
    ) -> io::Result<Self> {
        let target = target.into();
        let traffic = target.traffic(payload_bytes);
        let mut clients = Clients::connect(&target, receivers)?;
        clients.all[PUBLISHER].send(&traffic, in_flight as u64)?;
        Ok(Self { clients, traffic, missing: vec![receivers; in_flight], deliveries: 0, ready: Vec::new() })
    }
}

impl Work for FanOut {
    fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        let Self { clients, traffic, missing, deliveries, ready } = self;
        while Instant::now() < deadline {
            clients.wait(deadline, ready)?;
            let published = clients.all[PUBLISHER].queued_messages(traffic);
            let mut complete = 0;
            for &(at, ..) in ready.iter().filter(|(_, readable, _)| *readable) {
                let arrived = clients.all[at].receive(traffic, &mut clients.buffer)?;
                if arrived.end > published {
                    return Err(io::Error::other("the server delivered more messages than were published"));
                }
                *deliveries += arrived.end - arrived.start;
                for message in arrived {
                    let place = (message % missing.len() as u64) as usize;
                    missing[place] -= 1;
                    if missing[place] == 0 {
                        missing[place] = clients.all.len();
                        complete += 1;
                    }
                }
            }
            // This also sends the bytes that the kernel did not take before.
            clients.all[PUBLISHER].send(traffic, complete)?;
        }
        Ok(())
    }

    /// The number of messages times the number of receivers.
    fn done(&self) -> u64 {
        self.deliveries
    }
}

const PUBLISHER: usize = 0;
