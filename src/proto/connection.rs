//! An open connection ([§7]): its two halves and its state.
//!
//! [§7]: https://www.rfc-editor.org/rfc/rfc6455#section-7

#[cfg(feature = "deflate")]
use super::{Deflate, DeflateParams};
use super::{
    Delivery, KeySource, Limits, Masked, Masking, Receiver, Sender, Unmasked, deflate::DeflateAgreement,
    receiver::Receiving, sender::Sending,
};

/// The state of a connection, in the words of the RFC.
///
/// The state Connecting is a type of its own: [`ServerHandshake`](crate::ServerHandshake) or
/// [`ClientHandshake`](crate::ClientHandshake).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Messages flow both ways.
    Open,
    /// One of the two Close frames was sent or received
    /// ([§7.1.3](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.3)).
    Closing,
    /// Both Close frames were exchanged, or the connection has failed. The caller writes the remaining output and ends
    /// TCP, the server first ([§7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)).
    Closed,
}

/// An open connection: a receiving half and a sending half.
///
/// The halves are separate values, so a message can be sent while the payload of a received one is still borrowed. They
/// share no state. The caller carries two things from the receiver to the sender: the
/// [`reply`](crate::Event::reply) of an event, and an error, to [`Sender::fail`].
///
/// The order of calls:
///
/// 1. Give the bytes that were read to [`Receiver::receive`].
/// 2. Take events until there are none, and send the reply of each. After an error call [`Sender::fail`].
/// 3. Write the output.
/// 4. Once [`state`](Self::state) is [`State::Closed`] and the output is written, end TCP.
///
/// The caller also sets the deadlines: for a message that makes no progress
/// ([`Receiver::has_unfinished`]), and for the peer's Close frame after ours.
///
/// The halves are apart, so that a message is answered from the very buffer that it was read into:
///
/// ```rust
/// use switchboard::{Connection, Delivery, Event, Limits};
///
/// let Connection { mut receiver, mut sender } = Connection::server(Limits::default(), Delivery::Messages);
/// let mut input = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]; // from the client's socket
/// let mut out = Vec::new(); // for the client's socket
/// let mut events = receiver.receive(&mut input);
/// while let Some(event) = events.next_event()? {
///     if let Event::Text(text) = event {
///         sender.text(text, &mut out)?;
///     }
/// }
/// assert_eq!(out, b"\x81\x02hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection<M = Unmasked> {
    /// Bytes to events.
    pub receiver: Receiver,
    /// Messages to bytes.
    pub sender: Sender<M>,
}

impl Connection {
    /// Makes the server's end of a connection after an opening handshake outside of this crate.
    #[must_use]
    pub fn server(limits: Limits, delivery: Delivery) -> Self {
        Self::new(Unmasked, limits, delivery)
    }
}

impl<K: KeySource> Connection<Masked<K>> {
    /// Makes the client's end of a connection after an opening handshake outside of this crate.
    ///
    /// `keys` must return a fresh, unpredictable key for each frame
    /// ([§5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3)).
    #[must_use]
    pub fn client(keys: K, limits: Limits, delivery: Delivery) -> Self {
        Self::new(Masked(keys), limits, delivery)
    }
}

impl<M: Masking> Connection<M> {
    fn new(masking: M, limits: Limits, delivery: Delivery) -> Self {
        Self { receiver: Receiver::new(M::ROLE, limits, delivery), sender: Sender::new(masking) }
    }

    /// Adds permessage-deflate that was negotiated outside of this crate
    /// ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692)).
    ///
    /// Call it before anything is received or sent. Connections from the engine's own handshakes do not need it.
    ///
    /// Returns `None` if the parameters allow the peer context takeover and [`DeflateConfig::memory_bytes`] has no
    /// space left for it. A server therefore calls this before it sends its response, so that it can still decline.
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

    /// Returns the state of the connection, computed from both halves.
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
