//! The outgoing half of a connection: its socket, its sender, what waits for it, and when it was last heard.

use super::{
    outbox::Outbox,
    topics::{Sequence, Subscription},
};
use crate::{
    Sender,
    reactor::{Socket, Tick},
};

#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: Socket,
    pub(super) stage: Stage,
    /// There from [`Stage::Open`] on.
    pub(super) sender: Option<Sender>,
    pub(super) outbox: Outbox,
    /// Given room by the one: nearly all connections have few or none.
    pub(super) subscriptions: Box<[Subscription]>,
    /// All publications up to this one have been given to it, or came before it was there.
    pub(super) seen: Sequence,
    /// Since when something is awaited of the peer: from when the stage began; where it is open, from when bytes last
    /// came, or a Ping went out. Begins anew after a time in which nothing was read.
    pub(super) since: Tick,
    /// No bytes came since a Ping went out.
    pub(super) pinged: bool,
    /// The app asked not to read.
    pub(super) paused: bool,
    /// The socket may hold bytes that no further event will announce.
    pub(super) readable: bool,
    /// The peer has ended its side, or is about to be found to have.
    pub(super) read_closed: bool,
    /// Only told that there is no room.
    pub(super) over_capacity: bool,
    /// Stands on the worker's list of who goes on in the next turn.
    pub(super) scheduled: bool,
    /// Stands on the hub's list of who is to be written to at the end of this turn.
    pub(super) dirty: bool,
}

/// How far a connection has come, seen from its outgoing half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Speaks HTTP.
    Http,
    /// Messages may be sent.
    Open,
    /// Our Close frame is sent or waits in the outbox; the peer's is awaited (§7.1.2).
    Closing,
    /// Nothing more is said: the outbox is written, then our side is ended.
    Draining,
    /// Our side is ended; what still comes is dropped, until the peer ends its side (§7.1.1).
    Lingering,
}

impl Link {
    pub(super) fn new(socket: Socket, now: Tick) -> Self {
        Self {
            socket,
            stage: Stage::Http,
            sender: None,
            outbox: Outbox::default(),
            subscriptions: Box::default(),
            seen: 0,
            since: now,
            pinged: false,
            paused: false,
            readable: false,
            read_closed: false,
            over_capacity: false,
            scheduled: false,
            dirty: false,
        }
    }

    pub(super) fn enter(&mut self, stage: Stage, now: Tick) {
        self.stage = stage;
        self.since = now;
    }

    /// Bytes came.
    pub(super) fn note_received(&mut self, now: Tick) {
        if self.stage == Stage::Open {
            self.since = now;
        }
        self.pinged = false;
    }

    /// The peer was asked whether it is there.
    pub(super) fn note_pinged(&mut self, now: Tick) {
        self.since = now;
        self.pinged = true;
    }

    /// How long a publication may be that goes out here compressed for all; `None` where none may.
    pub(super) fn max_shared_bytes(&self) -> Option<usize> {
        self.sender.as_ref().and_then(Sender::max_shared_bytes)
    }

    /// Whether nothing should be read for now: the app said so, or too much waits for this peer already.
    pub(super) fn is_read_paused(&self, max_queued_bytes: usize) -> bool {
        let held = self.paused || self.outbox.len() > max_queued_bytes;
        held && !matches!(self.stage, Stage::Draining | Stage::Lingering)
    }
}
