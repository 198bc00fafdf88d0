//! The incoming half of a connection, and the mail of a worker.

use std::net::SocketAddr;

use super::{
    Acceptance, Response,
    http::RequestStream,
    remote::Command,
    response_body::{FlowEnd, Streaming},
};
use crate::{
    Receiver, Rejection, ServerHandshake,
    keepalive::Progress,
    reactor::{Key, Tick},
};

/// The mail that any thread may post to a worker.
pub(super) enum Mail<P, T> {
    Command(Command),
    Decision(Key, Decision<P>),
    /// A value for [`App::told`](super::App::told), about one connection.
    Tell(Key, T),
    /// Makes a value for [`App::told`](super::App::told), about each connection.
    TellAll(Box<dyn Fn() -> T + Send>),
}

/// An app's decision on a request or a handshake.
pub(super) enum Decision<P> {
    Respond(Response),
    /// Begins a response whose body follows.
    Begin(Response, FlowEnd),
    /// A piece of the body.
    Body(Vec<u8>),
    /// The end of the body; not `is_whole` if its writer has given up.
    EndBody {
        is_whole: bool,
    },
    Accept(Acceptance, P),
    Reject(Rejection),
}

impl<P> Decision<P> {
    /// Returns about the bytes that the decision takes until it is carried out.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Respond(response) | Self::Begin(response, _) => response.weight(),
            Self::Body(piece) => PIECE_BYTES + piece.len(),
            Self::EndBody { .. } => PIECE_BYTES,
            Self::Accept(acceptance, _) => {
                acceptance.headers.iter().map(|(name, value)| name.len() + value.len()).sum()
            }
            Self::Reject(rejection) => rejection.allocated_bytes(),
        }
    }
}

impl<P, T> From<Command> for Mail<P, T> {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

/// The incoming half of a connection.
pub(super) struct Inbound<P> {
    pub(super) input: Input<P>,
    /// The unprocessed part of the input; usually none.
    leftover: Option<Box<Leftover>>,
}

/// The unprocessed part of a connection's input, and the progress of its unfinished message. Allocated only while there
/// is either.
#[derive(Default)]
struct Leftover {
    /// Bytes that were read and not processed. Nothing more is read while there are any.
    stash: Vec<u8>,
    /// Bytes that the transport keeps, since they are not complete.
    incomplete: usize,
    /// The result of [`Inbound::allocated_bytes`] that the worker has counted.
    counted: usize,
    unfinished: Option<Unfinished>,
}

/// The progress of a message that the peer has begun.
#[derive(Clone, Copy)]
pub(super) struct Unfinished {
    /// Neither Pings nor empty frames are progress.
    progress: Progress,
    last_progress: Tick,
}

impl Unfinished {
    /// A message of which the first `buffered` bytes have arrived.
    pub(super) fn new(buffered: u64, now: Tick) -> Self {
        Self { progress: Progress::from(buffered), last_progress: now }
    }

    /// Returns the progress after `buffered` bytes have arrived.
    pub(super) fn after(mut self, buffered: u64, now: Tick) -> Self {
        if self.progress.is_made(buffered) {
            self.last_progress = now;
        }
        self
    }

    /// Returns when the peer last made progress.
    pub(super) fn last_progress(&self) -> Tick {
        self.last_progress
    }
}

/// What the incoming half works with. It follows from the connection's [`State`](super::state::State), which each
/// variant names.
pub(super) enum Input<P> {
    /// `Request`: reads a request.
    Request(Box<RequestStream>),
    /// `AwaitingResponse`: reads nothing.
    Response {
        from: SocketAddr,
        keep_alive: bool,
        head_only: bool,
        /// The client speaks HTTP/1.0, which has no chunks.
        is_http10: bool,
        /// The body that is being written, once it has begun.
        streaming: Option<Box<Streaming>>,
    },
    /// `AwaitingVerdict`: reads nothing.
    Verdict { from: SocketAddr, handshake: Box<ServerHandshake> },
    /// `Open`, `Closing`, and until the end of the turn `Evicted` and `Truncated`: reads frames.
    Frames { receiver: Receiver, peer: P },
    /// `Draining`, `Lingering`, and without a connection: drops everything.
    Dropped,
}

impl<P> Inbound<P> {
    pub(super) fn new(input: Input<P>) -> Self {
        Self { input, leftover: None }
    }

    /// Returns whether the connection is open, has no leftover, and no message is unfinished.
    pub(super) fn is_at_rest(&self) -> bool {
        self.leftover.is_none() && matches!(&self.input, Input::Frames { receiver, .. } if !receiver.has_unfinished())
    }

    /// Returns the address of a client whose request is awaited or read.
    pub(super) fn first_from(&self) -> Option<SocketAddr> {
        match &self.input {
            Input::Request(stream) => Some(stream.from()),
            Input::Response { .. } | Input::Verdict { .. } | Input::Frames { .. } | Input::Dropped => None,
        }
    }

    /// Returns the bytes that were read and not processed.
    pub(super) fn stash(&self) -> &[u8] {
        self.leftover.as_ref().map_or(&[], |leftover| &leftover.stash)
    }

    pub(super) fn take_stash(&mut self) -> Vec<u8> {
        let stash = self.leftover.as_mut().map(|leftover| std::mem::take(&mut leftover.stash));
        self.tidy();
        stash.unwrap_or_default()
    }

    pub(super) fn set_stash(&mut self, mut stash: Vec<u8>) {
        if !stash.is_empty() {
            stash.shrink_to(2 * stash.len());
            self.leftover.get_or_insert_default().stash = stash;
        }
    }

    /// Sets the number of bytes that the transport keeps, since they are not complete.
    #[inline]
    pub(super) fn set_incomplete(&mut self, bytes: usize) {
        if bytes > 0 || self.leftover.is_some() {
            self.leftover.get_or_insert_default().incomplete = bytes;
            self.tidy();
        }
    }

    /// Returns the number of bytes that the transport keeps.
    pub(super) fn incomplete(&self) -> usize {
        self.leftover.as_ref().map_or(0, |leftover| leftover.incomplete)
    }

    /// Returns the heap memory of what has arrived from the peer and is not processed, in bytes.
    pub(super) fn allocated_bytes(&self) -> usize {
        let unfinished = match &self.input {
            Input::Request(stream) => stream.allocated_bytes(),
            Input::Verdict { handshake, .. } => handshake.allocated_bytes(),
            Input::Frames { receiver, .. } => usize::try_from(receiver.allocated_bytes()).unwrap_or(usize::MAX),
            Input::Response { .. } | Input::Dropped => 0,
        };
        unfinished + self.leftover.as_ref().map_or(0, |leftover| leftover.stash.capacity() + leftover.incomplete)
    }

    /// Returns the bytes that the worker has counted for this connection.
    pub(super) fn counted(&self) -> usize {
        self.leftover.as_ref().map_or(0, |leftover| leftover.counted)
    }

    /// Counts the bytes again. Returns the previous and the new count.
    pub(super) fn recount(&mut self) -> (usize, usize) {
        let (before, now) = (self.counted(), self.allocated_bytes());
        if before != now {
            self.leftover.get_or_insert_default().counted = now;
            self.tidy();
        }
        (before, now)
    }

    /// Returns the progress of the message that the peer has begun, if any.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        self.leftover.as_ref().and_then(|leftover| leftover.unfinished)
    }

    pub(super) fn set_unfinished(&mut self, unfinished: Option<Unfinished>) {
        if unfinished.is_some() || self.leftover.is_some() {
            self.leftover.get_or_insert_default().unfinished = unfinished;
            self.tidy();
        }
    }

    /// Restarts the deadline for the request, or for the progress of an unfinished message.
    pub(super) fn restart_deadline(&mut self, now: Tick) {
        if let Input::Request(stream) = &mut self.input {
            stream.restart_deadline(now);
        }
        self.restart_unfinished(now);
    }

    /// Restarts the deadline for the progress of an unfinished message.
    pub(super) fn restart_unfinished(&mut self, now: Tick) {
        if let Some(unfinished) = self.leftover.as_mut().and_then(|leftover| leftover.unfinished.as_mut()) {
            unfinished.last_progress = now;
        }
    }

    /// Frees the leftover if it is empty.
    fn tidy(&mut self) {
        self.leftover.take_if(|leftover| {
            let Leftover { stash, incomplete, counted, unfinished } = &**leftover;
            stash.is_empty() && *incomplete == 0 && *counted == 0 && unfinished.is_none()
        });
    }

    /// Returns whether a message is only partly inflated, so that there is work without further bytes.
    pub(super) fn is_inflating(&self) -> bool {
        matches!(&self.input, Input::Frames { receiver, .. } if receiver.is_paused())
    }
}

/// The weight of a piece of a body in the mailbox in addition to its bytes.
const PIECE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::reactor::Clock;

    #[test]
    fn a_message_that_grows_by_less_than_its_share_makes_no_progress() {
        let clock = Clock::starting_now();
        let start = Instant::now();
        let at = |seconds| clock.tick(start + Duration::from_secs(seconds));
        for (buffered, next, progress) in [
            (0, 0, false),
            (0, 1, true),
            (63, 64, true),
            (64, 65, false),
            (64, 66, true),
            (1 << 20, (1 << 20) + (1 << 15) - 1, false),
            (1 << 20, (1 << 20) + (1 << 15), true),
            // Inflating or unmasking may free bytes.
            (1 << 20, 0, false),
        ] {
            let after = Unfinished::new(buffered, at(0)).after(next, at(1));
            let expected = if progress { at(1) } else { at(0) };
            assert_eq!(after.last_progress(), expected, "{buffered}, then {next}");
        }
    }
}
