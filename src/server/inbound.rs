//! The incoming half of a connection, and the mail that reaches it.

use std::net::SocketAddr;

use super::{Acceptance, Response, http::RequestStream, remote::Order};
use crate::{
    Receiver, Rejection, ServerHandshake,
    reactor::{Key, Tick},
};

/// What other threads may post to a worker.
pub(super) enum Mail<P> {
    Order(Order),
    Answer(Key, Answer<P>),
}

/// What an app answers to what a client asked.
pub(super) enum Answer<P> {
    Reply(Response),
    Accept(Acceptance, P),
    Reject(Rejection),
}

impl<P> From<Order> for Mail<P> {
    fn from(order: Order) -> Self {
        Self::Order(order)
    }
}

/// The incoming half of a connection.
pub(super) struct Inbound<P> {
    pub(super) phase: Phase<P>,
    /// What was left when it was last handled; most of the time, nothing.
    left: Option<Box<Left>>,
}

/// What is left of a connection's input when it has been handled.
#[derive(Default)]
struct Left {
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
    pub(super) most: u64,
    /// When that became more. Neither Pings nor empty frames are progress.
    pub(super) progressed: Tick,
}

pub(super) enum Phase<P> {
    /// Reads a request.
    Http(Box<RequestStream>),
    /// The app owes the answer to a plain request.
    Answering { from: SocketAddr, keep_alive: bool, head_only: bool },
    /// The app owes the verdict on a handshake.
    Judging { from: SocketAddr, handshake: Box<ServerHandshake> },
    /// Reads frames.
    Open { receiver: Receiver, peer: P },
    /// Whatever comes is dropped.
    Over,
}

impl<P> Inbound<P> {
    pub(super) fn new(phase: Phase<P>) -> Self {
        Self { phase, left: None }
    }

    /// Whether nothing is unfinished, nor was.
    pub(super) fn is_at_rest(&self) -> bool {
        self.left.is_none() && matches!(&self.phase, Phase::Open { receiver, .. } if !receiver.has_unfinished())
    }

    /// What was read and not yet used.
    pub(super) fn stash(&self) -> &[u8] {
        self.left.as_ref().map_or(&[], |left| &left.stash)
    }

    pub(super) fn take_stash(&mut self) -> Vec<u8> {
        let stash = self.left.as_mut().map(|left| std::mem::take(&mut left.stash));
        self.tidy();
        stash.unwrap_or_default()
    }

    pub(super) fn set_stash(&mut self, stash: Vec<u8>) {
        if !stash.is_empty() {
            self.left.get_or_insert_default().stash = stash;
        }
    }

    /// Bytes of an unfinished message, as the worker's total knows them.
    pub(super) fn buffered(&self) -> u64 {
        self.left.as_ref().map_or(0, |left| left.buffered)
    }

    /// What the peer has begun to send, and when it went on with it.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        self.left.as_ref().and_then(|left| left.unfinished)
    }

    pub(super) fn set_unfinished(&mut self, buffered: u64, unfinished: Option<Unfinished>) {
        if buffered > 0 || unfinished.is_some() || self.left.is_some() {
            let left = self.left.get_or_insert_default();
            (left.buffered, left.unfinished) = (buffered, unfinished);
            self.tidy();
        }
    }

    /// Where nothing is left, nothing is kept.
    fn tidy(&mut self) {
        self.left.take_if(|left| left.stash.is_empty() && left.buffered == 0 && left.unfinished.is_none());
    }

    /// Whether a message is being inflated of which no further bytes are needed now.
    pub(super) fn is_paused(&self) -> bool {
        matches!(&self.phase, Phase::Open { receiver, .. } if receiver.is_paused())
    }
}

impl<P> Phase<P> {
    pub(super) fn awaits_app(&self) -> bool {
        matches!(self, Self::Answering { .. } | Self::Judging { .. })
    }
}
