//! Bounds on the bytes that peers make a worker keep: a limit for what waits for one subscriber, and one for all bytes
//! of a worker. What follows when one is exceeded is in `eviction.rs`.
//!
//! All heap memory that grows with what peers send, or do not read, is counted, as allocated: outboxes, and input that
//! is not processed (parts of requests and messages, stashes). Input gets at most half of the limit, so that a flood of
//! it leaves room for answers.

use super::{Config, link::Link};
use crate::reactor::Tick;

/// The bytes that a worker keeps for its peers, and their bounds.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Bytes allocated by all outboxes.
    outgoing: usize,
    /// Bytes allocated for input that is not processed, of all connections.
    incoming: usize,
    /// The limit of `incoming`, and of both together.
    max_incoming: usize,
    max_total: usize,
    /// The limit for one subscriber.
    max_queued_each: usize,
}

impl Bounds {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            outgoing: 0,
            incoming: 0,
            max_incoming: config.max_input_bytes(),
            max_total: config.max_connection_bytes(),
            max_queued_each: config.max_queued_bytes,
        }
    }

    /// Returns the bytes allocated by all outboxes.
    #[cfg(test)]
    pub(super) fn outgoing(&self) -> usize {
        self.outgoing
    }

    /// Returns the bytes allocated for input that is not processed.
    #[cfg(test)]
    pub(super) fn incoming(&self) -> usize {
        self.incoming
    }

    /// Updates the count after an outbox has changed.
    pub(super) fn recount(&mut self, link: &mut Link) {
        let (before, now) = link.outbox.recount();
        self.outgoing = self.outgoing - before + now;
    }

    /// Updates the count after the unprocessed input of a connection has changed.
    pub(super) fn recount_incoming(&mut self, (before, now): (usize, usize)) {
        self.incoming = self.incoming - before + now;
    }

    /// Returns what takes more than its limit, if anything does.
    pub(super) fn excess(&self) -> Option<Excess> {
        if self.incoming > self.max_incoming {
            Some(Excess::Incoming)
        } else if self.incoming + self.outgoing > self.max_total {
            Some(Excess::Both)
        } else {
            None
        }
    }

    /// Returns whether an excess is gone, and a sixteenth of the limit is free. Finding the largest connections costs a
    /// look at all of them, and must not be needed for every few bytes.
    pub(super) fn is_relieved(&self, excess: Excess) -> bool {
        match excess {
            Excess::Incoming => self.incoming <= with_reserve(self.max_incoming),
            Excess::Both => self.incoming + self.outgoing <= with_reserve(self.max_total),
        }
    }

    /// Returns how many bytes the outboxes may allocate: what the input leaves.
    fn max_outgoing(&self) -> usize {
        self.max_total.saturating_sub(self.incoming)
    }

    /// Removes the outbox of a removed link from the count.
    pub(super) fn forget(&mut self, mut link: Link) {
        link.outbox.clear();
        self.recount(&mut link);
    }

    /// Returns whether a subscriber is too far behind for `more` bytes.
    pub(super) fn is_too_slow(&self, link: &Link, more: usize) -> bool {
        !link.outbox.is_empty() && link.outbox.held() + more > self.max_queued_each
    }

    /// Returns the bytes that may wait for one subscriber.
    pub(super) fn max_queued_each(&self) -> usize {
        self.max_queued_each
    }

    /// Returns whether the outboxes may allocate `more` bytes.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.outgoing + more <= self.max_outgoing()
    }

    /// Returns whether the outboxes may allocate `more` bytes, and a sixteenth of their limit would be free before.
    pub(super) fn has_room_and_reserve(&self, more: usize) -> bool {
        self.has_room(more) && self.outgoing <= with_reserve(self.max_outgoing())
    }

    /// Returns whether `more` bytes would find room if all outboxes were empty.
    pub(super) fn can_make_room(&self, more: usize) -> bool {
        more <= self.max_outgoing()
    }

    /// Returns whether `more` bytes may wait for a link without any policy or eviction.
    pub(super) fn has_space(&self, link: &Link, more: usize) -> bool {
        link.outbox.held() + more <= self.max_queued_each && self.has_room(more)
    }
}

/// What takes more of a worker's memory than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// Input that is not processed.
    Incoming,
    /// Input and outboxes together.
    Both,
}

/// The evictions since the last warning about them.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    pub(super) count: usize,
    /// The network that held most; empty if it is not known.
    pub(super) network: String,
    pub(super) last_warning: Option<Tick>,
}

/// Returns a limit less a sixteenth.
fn with_reserve(limit: usize) -> usize {
    limit - limit / 16
}
