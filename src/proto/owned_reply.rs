//! Replies that outlive the event that they answer.

use super::{CloseCode, Event, Masking, Output, ProtocolError, Reply, SendError, Sender, frame::MAX_CONTROL_BYTES};

/// A reply that the RFC requires, to be sent by another task than the one that receives: see
/// [`Sender::owned_reply`].
///
/// It takes 128 bytes or less, and owns no heap memory. If a peer sends Pings faster than they are answered, the latest
/// Pong suffices (§5.5.3), so a task that receives needs to keep one only.
///
/// ```
/// use switchboard::{Connection, Delivery, Limits, OwnedReply};
///
/// let Connection { mut receiver, mut sender } = Connection::server(Limits::default(), Delivery::Messages);
/// let mut ping = [0x89, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
/// let mut events = receiver.receive(&mut ping);
/// let reply = match events.next_event() {
///     Ok(event) => event.and_then(|event| OwnedReply::to(&event)),
///     Err(error) => Some(OwnedReply::from(error)),
/// };
/// // In the task that sends:
/// let mut out = Vec::new();
/// if let Some(reply) = reply {
///     sender.owned_reply(&reply, &mut out)?;
/// }
/// assert_eq!(out, b"\x8a\x02hi");
/// # Ok::<(), switchboard::SendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnedReply(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Pong(Payload),
    Close(Option<CloseCode>),
    Fail(ProtocolError),
}

/// The payload of a control frame: `bytes[..length]`, `length <= 125`. The other bytes are 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Payload {
    length: u8,
    bytes: [u8; MAX_CONTROL_BYTES],
}

impl OwnedReply {
    /// Returns the reply to an event, if the RFC requires one: see [`Event::reply`].
    #[must_use]
    pub fn to(event: &Event<'_>) -> Option<Self> {
        Some(Self(match event.reply()? {
            Reply::Pong(payload) => Kind::Pong(Payload::new(payload)?),
            Reply::Close(code) => Kind::Close(code),
        }))
    }

    /// Returns whether this is a Pong. A later one makes it superfluous.
    #[must_use]
    pub const fn is_pong(&self) -> bool {
        matches!(self.0, Kind::Pong(_))
    }
}

/// The Close for a violation: see [`Sender::fail`].
impl From<ProtocolError> for OwnedReply {
    fn from(error: ProtocolError) -> Self {
        Self(Kind::Fail(error))
    }
}

impl<M: Masking> Sender<M> {
    /// Sends a reply that another task has taken from its event. Does nothing if our Close frame is already sent.
    ///
    /// # Errors
    /// [`SendError::BufferTooSmall`].
    pub fn owned_reply(&mut self, reply: &OwnedReply, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        match &reply.0 {
            Kind::Pong(payload) => self.reply(Reply::Pong(payload.as_slice()), out),
            Kind::Close(code) => self.reply(Reply::Close(*code), out),
            Kind::Fail(error) => self.fail(error, out),
        }
    }
}

impl Payload {
    /// Returns `None` if the payload is too long for a control frame.
    fn new(payload: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_CONTROL_BYTES];
        bytes.get_mut(..payload.len())?.copy_from_slice(payload);
        Some(Self { length: u8::try_from(payload.len()).ok()?, bytes })
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl core::fmt::Debug for Payload {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_slice().fmt(f)
    }
}
