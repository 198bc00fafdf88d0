//! An open connection ([§7]): its two halves, its role, its state.
//!
//! [§7]: https://www.rfc-editor.org/rfc/rfc6455#section-7

#[cfg(feature = "deflate")]
use super::{Deflate, DeflateParams};
use super::{
    Delivery, KeySource, Limits, Masked, Masking, Receiver, Sender, Unmasked, deflate::DeflateAgreement,
    receiver::Receiving, sender::Sending,
};

/// The state of a connection, in the RFC's words; Connecting is a type of its own
/// ([`ServerHandshake`](crate::ServerHandshake), [`ClientHandshake`](crate::ClientHandshake)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Data flows both ways.
    Open,
    /// One of the two Close frames is on its way ([§7.1.3](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.3)).
    Closing,
    /// Both Close frames are through, or the peer broke a rule: what is left is to write what is in the buffer and to
    /// end TCP, the server first ([§7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)).
    Closed,
}

/// An open connection: two halves that are used side by side.
///
/// The halves are separate values, so that an answer is written while the payload that it answers is still borrowed.
/// They share nothing but what the caller carries from one to the other: an event's
/// [`reply`](crate::Event::reply), and after an error [`Sender::fail`].
///
/// The order to call: give what was read to [`Receiver::receive`]; for each event send its reply; on an error call
/// [`Sender::fail`]; then write `out`. Once [`state`](Self::state) is [`State::Closed`] and `out` is written, end TCP.
#[derive(Debug)]
pub struct Connection<M = Unmasked> {
    /// Bytes to events.
    pub receiver: Receiver,
    /// Messages to bytes.
    pub sender: Sender<M>,
}

impl Connection {
    /// A server's end of a connection whose handshake is done, by this engine or by someone else.
    #[must_use]
    pub fn server(limits: Limits, delivery: Delivery) -> Self {
        Self::new(Unmasked, limits, delivery)
    }
}

impl<K: KeySource> Connection<Masked<K>> {
    /// A client's end of a connection whose handshake is done. `keys` makes a fresh, unpredictable key for each
    /// frame ([§5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3)).
    #[must_use]
    pub fn client(keys: K, limits: Limits, delivery: Delivery) -> Self {
        Self::new(Masked(keys), limits, delivery)
    }
}

impl<M: Masking> Connection<M> {
    fn new(masking: M, limits: Limits, delivery: Delivery) -> Self {
        Self { receiver: Receiver::new(M::ROLE, limits, delivery), sender: Sender::new(masking) }
    }

    /// With permessage-deflate as it was agreed on elsewhere ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692));
    /// connections that come from the engine's own handshakes have it already. To be called before anything is received
    /// or sent.
    ///
    /// `None` where the parameters let the peer take its context over and [`DeflateConfig::memory_bytes`] has no room for
    /// that: a server calls this before it answers, and answers something else then.
    ///
    /// [`DeflateConfig::memory_bytes`]: crate::DeflateConfig::memory_bytes
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(self, deflate: &Deflate, params: DeflateParams) -> Option<Self> {
        let agreement = DeflateAgreement::new(deflate, M::ROLE, params)?;
        Some(self.with(Some(agreement)))
    }

    pub(super) fn with(mut self, deflate: Option<DeflateAgreement>) -> Self {
        if let Some(agreement) = deflate {
            let (inflating, deflating) = agreement.halves(M::ROLE);
            self.receiver.set_inflating(inflating);
            self.sender.set_deflating(deflating);
        }
        self
    }

    /// Where the connection stands, from both halves.
    #[must_use]
    pub fn state(&self) -> State {
        match (self.receiver.state(), self.sender.state()) {
            (Receiving::Open, Sending::Open { .. }) => State::Open,
            (Receiving::Open, Sending::CloseSent { .. }) => State::Closing,
            (Receiving::CloseReceived, Sending::Open { .. }) => State::Closing,
            (Receiving::CloseReceived, Sending::CloseSent { .. }) => State::Closed,
            (Receiving::Failed, Sending::Open { .. }) => State::Closed,
            (Receiving::Failed, Sending::CloseSent { .. }) => State::Closed,
        }
    }
}
