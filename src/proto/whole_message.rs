//! [`Message`]: a whole message that borrows its payload.

use super::{Event, Masking, MessageKind, Output, Prepared, SendError, Sender};

/// A whole message, received or to be sent.
///
/// ```rust
/// use switchboard::{Event, Message, MessageKind};
///
/// let message = Message::from("hello");
/// assert_eq!((message.kind(), message.payload()), (MessageKind::Text, &b"hello"[..]));
/// assert_eq!(Event::Text("hello").message(), Some(message));
/// assert_eq!(Event::Ping(b"hello").message(), None);
/// assert_eq!(message.to_prepared().frame(), b"\x81\x05hello");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Returns the kind: text or binary.
    #[must_use]
    pub const fn kind(self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns the bytes; of a text, its UTF-8.
    #[must_use]
    pub const fn payload(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Encodes the message once, to be sent to many connections.
    #[must_use]
    pub fn to_prepared(self) -> Prepared {
        match self {
            Self::Text(text) => Prepared::text(text),
            Self::Binary(bytes) => Prepared::binary(bytes),
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Message<'_>> for Prepared {
    fn from(message: Message<'_>) -> Self {
        message.to_prepared()
    }
}

impl<M: Masking> Sender<M> {
    /// Sends a whole message, as [`text`](Self::text) and [`binary`](Self::binary) do.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::MessageUnfinished`], [`SendError::BufferTooSmall`].
    pub fn message(&mut self, message: Message<'_>, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        match message {
            Message::Text(text) => self.text(text, out),
            Message::Binary(bytes) => self.binary(bytes, out),
        }
    }
}

impl<'a> Event<'a> {
    /// Returns the whole message; `None` for a piece of one and for a control frame.
    #[must_use]
    pub const fn message(self) -> Option<Message<'a>> {
        match self {
            Self::Text(text) => Some(Message::Text(text)),
            Self::Binary(bytes) => Some(Message::Binary(bytes)),
            Self::Piece(_) | Self::Ping(_) | Self::Pong(_) | Self::Close(_) => None,
        }
    }
}
