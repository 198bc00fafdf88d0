//! What makes a crowd talk: each in turn says something. The order of turns is shuffled once; in the order in which people
//! came, those who speak one after another would lie beside each other in the database too.

use std::{
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{checker::as_nanoseconds, clients::Clients};
use crate::{
    load::{Work, histogram},
    random::Random,
};

/// How much a crowd talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// So many messages, of all together, are said and not yet acknowledged.
    InFlight(usize),
    /// So many messages per second, of all together, whatever the server does: each has a time at which it is to be
    /// said, and its times count from there.
    PerSecond(u32),
}

/// A crowd that talks.
#[derive(Debug)]
pub(super) struct ChatLoad {
    pub(super) clients: Clients,
    pace: Pace,
    /// In which order people speak.
    turns: Vec<usize>,
    /// Whose turn it is.
    turn: usize,
    /// When the next message is to be said.
    next: Instant,
    /// How late we were ourselves with what was due, in nanoseconds.
    pub(super) lateness: Histogram<u64>,
}

impl ChatLoad {
    pub(super) fn new(clients: Clients, pace: Pace) -> io::Result<Self> {
        let turns = Random(ORDER_SEED).shuffled(clients.count());
        Ok(Self { clients, pace, turns, turn: 0, next: Instant::now(), lateness: histogram()? })
    }

    /// Forgets the times so far.
    pub(super) fn reset(&mut self) {
        self.clients.checker.latency.reset();
        self.lateness.reset();
    }

    /// Says all that is due.
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
        self.clients.send_due(self.turns[self.turn], at)?;
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
                // Never sleeps: to be woken would take longer than what is measured.
                Pace::PerSecond(_) => Instant::now(),
            };
            self.clients.poll(until)?;
        }
        Ok(())
    }

    /// Messages that were acknowledged.
    fn done(&self) -> u64 {
        self.clients.checker.acknowledged()
    }
}

const ORDER_SEED: u64 = 0x0DE5;
