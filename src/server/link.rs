//! The outgoing half of a connection: its socket, its sender, its outbox, and the start of its current deadline.

use thin_vec::ThinVec;

use super::{
    addresses::Permit,
    outbox::Outbox,
    state::{State, Step},
    topics::{Sequence, Subscription},
};
use crate::{
    CloseFrame, Sender,
    reactor::{Read, Socket, Tick},
};

#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: Socket,
    /// Changed by [`advance`](Self::advance) alone.
    state: State,
    /// Set from [`State::Open`] on.
    pub(super) sender: Option<Sender>,
    pub(super) outbox: Outbox,
    /// One pointer: its length is on the heap, where connections without subscriptions have nothing.
    pub(super) subscriptions: ThinVec<Subscription>,
    /// Counts the connection for its address; `None` if that is not counted.
    pub(super) permit: Option<Permit>,
    /// The last publication that the connection has been given or that came before it subscribed.
    pub(super) seen: Sequence,
    /// The start of the deadline for the peer's next step: the start of the state, or, in an open connection, the last
    /// arrival of bytes or the last Ping. Restarts after a time in which the worker did not read.
    pub(super) since: Tick,
    /// No bytes have arrived since the last Ping was sent.
    pub(super) pinged: bool,
    /// The app has paused reading.
    pub(super) paused: bool,
    pub(super) readable: Readable,
    /// The peer has ended its side; the read that returns the end may be still to come.
    pub(super) read_closed: bool,
    /// The connection is only being refused because the worker is full.
    pub(super) over_capacity: bool,
    /// The connection is in one of the worker's run queues.
    pub(super) scheduled: bool,
    /// The connection is in the hub's `dirty` list.
    pub(super) dirty: bool,
}

/// Whether a socket may hold bytes that no further event will announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    No,
    Yes,
    /// An urgent byte has arrived, at which a read may end: only a read that would block has drained the socket.
    UntilBlocked,
}

impl Link {
    pub(super) fn new(socket: Socket, now: Tick) -> Self {
        Self {
            state: if socket.is_handshaking() { State::Securing } else { State::Request },
            socket,
            sender: None,
            outbox: Outbox::default(),
            subscriptions: ThinVec::new(),
            permit: None,
            seen: 0,
            since: now,
            pinged: false,
            paused: false,
            readable: Readable::No,
            read_closed: false,
            over_capacity: false,
            scheduled: false,
            dirty: false,
        }
    }

    /// Notes that the socket may hold bytes, perhaps with an urgent one.
    pub(super) fn set_readable(&mut self, urgent: bool) {
        self.readable = match self.readable {
            Readable::UntilBlocked => Readable::UntilBlocked,
            Readable::No | Readable::Yes if urgent => Readable::UntilBlocked,
            Readable::No | Readable::Yes => Readable::Yes,
        };
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Takes a step to another state, which begins now.
    pub(super) fn advance(&mut self, step: Step, now: Tick) {
        let next = self.state.after(step);
        debug_assert!(next.is_some(), "{step:?} does not occur in {:?}", self.state);
        #[cfg(test)]
        super::simulation::note_step(self.state, step);
        if let Some(next) = next {
            self.state = next;
            self.since = now;
        }
    }

    /// Returns whether the transport has taken everything that was sent to the peer.
    pub(super) fn is_drained(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Lets a Close frame take the place of the frames that wait and are not partly written. Only drops them if a Close
    /// frame is sent already.
    pub(super) fn replace_unstarted(&mut self, frame: CloseFrame<'_>, now: Tick) {
        self.outbox.drop_unstarted();
        if let Some(sender) = self.sender.as_mut().filter(|sender| sender.is_open()) {
            let written = sender.close(Some(frame), self.outbox.frames(now));
            debug_assert_eq!(written, Ok(()), "our own close reasons fit");
        }
    }

    /// Notes the result of a read.
    pub(super) fn note_read(&mut self, read: &Read, now: Tick) {
        match read {
            Read::Bytes { drained, .. } => {
                if *drained {
                    self.readable = Readable::No;
                }
                self.note_received(now);
            }
            Read::Blocked => self.readable = Readable::No,
            Read::Ended { drained: true } => (self.readable, self.read_closed) = (Readable::No, true),
            Read::Ended { drained: false } | Read::Failed(_) => {}
            #[cfg(feature = "tls")]
            Read::Alerted(_) | Read::Plain { .. } => {}
        }
    }

    /// Notes that bytes arrived.
    pub(super) fn note_received(&mut self, now: Tick) {
        if self.state == State::Open {
            self.since = now;
        }
        self.pinged = false;
    }

    /// Notes that a Ping was sent.
    pub(super) fn note_pinged(&mut self, now: Tick) {
        self.since = now;
        self.pinged = true;
    }

    /// Returns the longest message, before compression, that this connection accepts from the shared compressor; `None`
    /// if it accepts none.
    pub(super) fn max_shared_bytes(&self) -> Option<usize> {
        self.sender.as_ref().and_then(Sender::max_shared_bytes)
    }

    /// Returns whether reading is paused: by the app, until it decides, or because too much waits for this peer.
    pub(super) fn is_read_paused(&self, max_queued_bytes: usize) -> bool {
        match self.state {
            State::Securing | State::Request | State::Open | State::Closing => {
                self.paused || self.outbox.len() > max_queued_bytes
            }
            State::AwaitingResponse | State::AwaitingVerdict => true,
            State::Evicted | State::Truncated | State::Draining | State::Lingering => false,
        }
    }
}
