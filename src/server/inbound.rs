//! The incoming half of a connection, and the mail that reaches it.

use std::net::SocketAddr;

use super::{Acceptance, Response, http::RequestStream, remote::Command};
use crate::{
    Receiver, Rejection, ServerHandshake,
    reactor::{Key, Tick},
};

/// What other threads may post to a worker.
pub(super) enum Mail<P> {
    Command(Command),
    Decision(Key, Decision<P>),
}

/// What an app answers to what a client asked.
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
    /// What was left when it was last handled; most of the time, nothing.
    leftover: Option<Box<Leftover>>,
}

/// What is left of a connection's input when it has been handled.
#[derive(Default)]
struct Leftover {
    /// What was read and not yet used; nothing is read while there is any.
    stash: Vec<u8>,
    /// Bytes of an unfinished message, as the worker's total knows them.
    buffered: u64,
    unfinished: Option<Unfinished>,
}

/// Something that the peer has begun to send.
#[derive(Clone, Copy)]
pub(super) struct Unfinished {
    /// The most bytes of it that were here at once.
    pub(super) peak: u64,
    /// When that became more. Neither Pings nor empty frames are progress.
    pub(super) last_progress: Tick,
}

pub(super) enum Phase<P> {
    /// Reads a request.
    Http(Box<RequestStream>),
    /// The app owes the answer to a plain request.
    AwaitingResponse { from: SocketAddr, keep_alive: bool, head_only: bool },
    /// The app owes the verdict on a handshake.
    AwaitingVerdict { from: SocketAddr, handshake: Box<ServerHandshake> },
    /// Reads frames.
    Open { receiver: Receiver, peer: P },
    /// Whatever comes is dropped.
    Over,
}

impl<P> Inbound<P> {
    pub(super) fn new(phase: Phase<P>) -> Self {
        Self { phase, leftover: None }
    }

    /// Whether nothing is unfinished, nor was.
    pub(super) fn is_at_rest(&self) -> bool {
        self.leftover.is_none() && matches!(&self.phase, Phase::Open { receiver, .. } if !receiver.has_unfinished())
    }

    /// What was read and not yet used.
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

    /// Bytes of an unfinished message, as the worker's total knows them.
    pub(super) fn buffered(&self) -> u64 {
        self.leftover.as_ref().map_or(0, |leftover| leftover.buffered)
    }

    /// What the peer has begun to send, and when it went on with it.
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

    /// Where nothing is leftover, nothing is kept.
    fn tidy(&mut self) {
        self.leftover
            .take_if(|leftover| leftover.stash.is_empty() && leftover.buffered == 0 && leftover.unfinished.is_none());
    }

    /// Whether a message is being inflated of which no further bytes are needed now.
    pub(super) fn is_inflating(&self) -> bool {
        matches!(&self.phase, Phase::Open { receiver, .. } if receiver.is_paused())
    }
}

impl<P> Phase<P> {
    pub(super) fn is_awaiting_app(&self) -> bool {
        matches!(self, Self::AwaitingResponse { .. } | Self::AwaitingVerdict { .. })
    }
}
