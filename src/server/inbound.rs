//! The incoming half of a connection, and the mail of a worker.

use std::net::SocketAddr;

use super::{Acceptance, Response, http::RequestStream, remote::Command};
use crate::{
    Receiver, Rejection, ServerHandshake,
    reactor::{Key, Tick},
};

/// The mail that any thread may post to a worker.
pub(super) enum Mail<P> {
    Command(Command),
    Decision(Key, Decision<P>),
}

/// An app's decision on a request or a handshake.
pub(super) enum Decision<P> {
    Respond(Response),
    Accept(Acceptance, P),
    Reject(Rejection),
}

impl<P> From<Command> for Mail<P> {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

/// The incoming half of a connection.
pub(super) struct Inbound<P> {
    pub(super) phase: Phase<P>,
    /// The unprocessed part of the input; usually none.
    leftover: Option<Box<Leftover>>,
}

/// The unprocessed part of a connection's input, and the progress of its unfinished message. Allocated only while there
/// is either.
#[derive(Default)]
struct Leftover {
    /// Bytes that were read and not processed. Nothing more is read while there are any.
    stash: Vec<u8>,
    /// The bytes of an unfinished message as counted in the worker's total.
    buffered: u64,
    unfinished: Option<Unfinished>,
}

/// The progress of a message that the peer has begun.
#[derive(Clone, Copy)]
pub(super) struct Unfinished {
    /// The largest number of its bytes that were buffered at once.
    pub(super) peak: u64,
    /// When `peak` last grew. Neither Pings nor empty frames are progress.
    pub(super) last_progress: Tick,
}

/// How far the incoming half of a connection has come.
pub(super) enum Phase<P> {
    /// Reads a request.
    Http(Box<RequestStream>),
    /// Waits for the app's response to a plain request.
    AwaitingResponse { from: SocketAddr, keep_alive: bool, head_only: bool },
    /// Waits for the app's verdict on a handshake.
    AwaitingVerdict { from: SocketAddr, handshake: Box<ServerHandshake> },
    /// Reads frames.
    Open { receiver: Receiver, peer: P },
    /// Drops all input.
    Over,
}

impl<P> Inbound<P> {
    pub(super) fn new(phase: Phase<P>) -> Self {
        Self { phase, leftover: None }
    }

    /// Returns whether the connection is open, has no leftover, and no message is unfinished.
    pub(super) fn is_at_rest(&self) -> bool {
        self.leftover.is_none() && matches!(&self.phase, Phase::Open { receiver, .. } if !receiver.has_unfinished())
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

    pub(super) fn set_stash(&mut self, stash: Vec<u8>) {
        if !stash.is_empty() {
            self.leftover.get_or_insert_default().stash = stash;
        }
    }

    /// Returns the bytes of an unfinished message as counted in the worker's total.
    pub(super) fn buffered(&self) -> u64 {
        self.leftover.as_ref().map_or(0, |leftover| leftover.buffered)
    }

    /// Returns the progress of the message that the peer has begun, if any.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        self.leftover.as_ref().and_then(|leftover| leftover.unfinished)
    }

    pub(super) fn set_unfinished(&mut self, buffered: u64, unfinished: Option<Unfinished>) {
        if buffered > 0 || unfinished.is_some() || self.leftover.is_some() {
            let leftover = self.leftover.get_or_insert_default();
            (leftover.buffered, leftover.unfinished) = (buffered, unfinished);
            self.tidy();
        }
    }

    /// Frees the leftover if it is empty.
    fn tidy(&mut self) {
        self.leftover
            .take_if(|leftover| leftover.stash.is_empty() && leftover.buffered == 0 && leftover.unfinished.is_none());
    }

    /// Returns whether a message is only partly inflated, so that there is work without further bytes.
    pub(super) fn is_inflating(&self) -> bool {
        matches!(&self.phase, Phase::Open { receiver, .. } if receiver.is_paused())
    }
}

impl<P> Phase<P> {
    /// Returns whether the app must decide before more input is read.
    pub(super) fn is_awaiting_app(&self) -> bool {
        matches!(self, Self::AwaitingResponse { .. } | Self::AwaitingVerdict { .. })
    }
}
