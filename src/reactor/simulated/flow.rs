//! A connection: two flows of bytes, and what is known at both ends.

use std::{collections::VecDeque, io::ErrorKind, net::SocketAddr};

use mio::Token;

use super::{Facts, Time, Wire};

/// A connection.
#[derive(Debug)]
pub(super) struct Pair {
    /// The client's address.
    pub(super) address: SocketAddr,
    /// Both directions, by the writing side.
    pub(super) flows: [Flow; 2],
    /// Both ends, by side.
    pub(super) ends: [End; 2],
    /// The worker that watches the server's end, and its token.
    pub(super) watched: Option<(usize, Token)>,
    /// Readiness that has not been announced yet.
    pub(super) edges: Flags,
    /// The connection is in the worker's `ready` list.
    pub(super) queued: bool,
    pub(super) facts: Facts,
    /// When bytes arrived at the server, and how many.
    pub(super) arrivals: Vec<(Time, usize)>,
    /// When the server wrote bytes, and how many.
    pub(super) writes: Vec<(Time, usize)>,
}

#[derive(Debug)]
pub(super) struct Flow {
    pub(super) wire: Wire,
    pub(super) sent: VecDeque<u8>,
    pub(super) arrived: VecDeque<u8>,
    pub(super) fin: Fin,
    /// The reader has read the end.
    pub(super) end_read: bool,
    /// A write was cut short, so the writer must be notified of free space.
    pub(super) wants_writable: bool,
    /// An urgent byte waits behind this many bytes that the reader has not read.
    pub(super) urgent: Option<usize>,
    pub(super) scheduled: bool,
    pub(super) stalled_until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fin {
    None,
    Sent,
    Arrived,
}

#[derive(Debug, Default)]
pub(super) struct End {
    /// The error that the next call returns, once.
    pub(super) error: Option<ErrorKind>,
    pub(super) broken: bool,
    pub(super) closed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) read_closed: bool,
    pub(super) urgent: bool,
}

impl Flow {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            sent: VecDeque::new(),
            arrived: VecDeque::new(),
            fin: Fin::None,
            end_read: false,
            wants_writable: false,
            urgent: None,
            scheduled: false,
            stalled_until: 0,
        }
    }

    pub(super) fn free(&self) -> usize {
        self.wire.send_buffer - self.sent.len()
    }

    /// Returns whether an urgent byte has arrived and was not read.
    pub(super) fn has_urgent(&self) -> bool {
        self.urgent.is_some_and(|before| before <= self.arrived.len())
    }

    pub(super) fn has_pending(&self) -> bool {
        if self.sent.is_empty() { self.fin == Fin::Sent } else { self.arrived.len() < self.wire.receive_buffer }
    }
}

impl Flags {
    pub(super) fn add(&mut self, other: Self) {
        self.readable |= other.readable;
        self.writable |= other.writable;
        self.read_closed |= other.read_closed;
        self.urgent |= other.urgent;
    }
}

impl Pair {
    /// Returns the full readiness of the server's end.
    pub(super) fn full_readiness(&self) -> Flags {
        let (up, down, end) = (&self.flows[0], &self.flows[1], &self.ends[1]);
        let read_closed = up.fin == Fin::Arrived || end.broken;
        Flags {
            readable: !up.arrived.is_empty() || read_closed,
            urgent: up.has_urgent(),
            writable: 3 * down.free() >= down.wire.send_buffer || end.broken,
            read_closed,
        }
    }
}
