//! The incoming half of a connection, and the mail that reaches it.

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
    /// What was read and not yet used; nothing is read while there is any.
    pub(super) stash: Vec<u8>,
    /// Bytes of an unfinished message, as the worker's total knows them.
    pub(super) buffered: u64,
    pub(super) unfinished: Option<Unfinished>,
}

/// Something that the peer has begun to send.
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
    Answering { keep_alive: bool, head_only: bool },
    /// The app owes the verdict on a handshake.
    Judging(Box<ServerHandshake>),
    /// Reads frames.
    Open { receiver: Receiver, peer: P },
    /// Whatever comes is dropped.
    Over,
}

impl<P> Inbound<P> {
    /// Whether a message is being inflated of which no further bytes are needed now.
    pub(super) fn is_paused(&self) -> bool {
        matches!(&self.phase, Phase::Open { receiver, .. } if receiver.is_paused())
    }
}

impl<P> Phase<P> {
    pub(super) fn awaits_app(&self) -> bool {
        matches!(self, Self::Answering { .. } | Self::Judging(_))
    }
}
