//! Lets the users send messages in turn. The order of turns is shuffled once: in the order of sign-in, users who send
//! one after another would also be neighbours in the database.

use std::{
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{checker::as_nanoseconds, clients::Clients, flood::Flood};
use crate::{
    load::{Work, histogram},
    random::Random,
};

/// How fast all users together send messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Keeps this number of messages sent and not yet acknowledged.
    InFlight(usize),
    /// Sends this number of messages per second, however fast the server is. Each message has a scheduled time, from
    /// which its latencies count.
    PerSecond(u32),
}

/// Users who send messages at a given pace.
#[derive(Debug)]
pub(super) struct ChatLoad {
    pub(super) clients: Clients,
    pace: Pace,
    /// The users in the order of their turns.
    turns: Vec<usize>,
    /// The index in `turns` of the next sender.
    turn: usize,
    /// The scheduled time of the next message.
    next: Instant,
    /// How late messages were sent after their scheduled times, in nanoseconds.
    pub(super) lateness: Histogram<u64>,
    /// A flood by others at the same time.
    pub(super) flood: Option<Flood>,
}

impl ChatLoad {
    pub(super) fn new(clients: Clients, pace: Pace) -> io::Result<Self> {
        let turns = Random(ORDER_SEED).shuffled(clients.count());
        Ok(Self { clients, pace, turns, turn: 0, next: Instant::now(), lateness: histogram()?, flood: None })
    }

    /// Discards the latencies recorded so far.
    pub(super) fn reset(&mut self) {
        self.clients.checker.latency.reset();
        self.lateness.reset();
    }

    /// Sends all messages that are due.
    fn send_due(&mut self) -> io::Result<()> {
        match self.pace {
            Pace::InFlight(max) => {
                while self.clients.checker.in_flight() < max {
                    self.send_next(Instant::now())?;
                }
            }
            Pace::PerSecond(rate) => {
                while let Some(late) = Instant::now().checked_duration_since(self.next) {
                    self.lateness.saturating_record(as_nanoseconds(late));
                    self.send_next(self.next)?;
                    self.next += Duration::from_secs(1) / rate;
                }
            }
        }
        Ok(())
    }

    fn send_next(&mut self, at: Instant) -> io::Result<()> {
        self.clients.send(self.turns[self.turn], at)?;
        self.turn = (self.turn + 1) % self.turns.len();
        Ok(())
    }
}

impl Work for ChatLoad {
    fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        while Instant::now() < deadline {
            self.send_due()?;
            let until = match self.pace {
                Pace::InFlight(_) => deadline,
                // Never sleeps: waking up would take longer than the measured latencies.
                Pace::PerSecond(_) => Instant::now(),
            };
            self.clients.poll(until)?;
            if let Some(flood) = &mut self.flood {
                flood.step()?;
            }
        }
        Ok(())
    }

    /// Returns the number of acknowledged messages.
    fn done(&self) -> u64 {
        self.clients.checker.acknowledged()
    }
}

const ORDER_SEED: u64 = 0x0DE5;
