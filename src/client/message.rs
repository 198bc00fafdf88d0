//! The messages that a client sends and receives.

use crate::{Event, Message as Borrowed, OwnedCloseFrame};

/// A message or a control frame, for [`Client::send`](super::Client::send) and
/// [`Client::receive`](super::Client::receive).
///
/// ```rust
/// use switchboard::client::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message, Message::Text("hello".to_owned()));
/// // The engine's `Message` borrows.
/// assert_eq!(message.as_borrowed(), Some(switchboard::Message::Text("hello")));
/// assert_eq!(Message::from(switchboard::Message::Binary(&[1, 2])), Message::from(vec![1, 2]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Message {
    /// A complete text message.
    Text(String),
    /// A complete binary message.
    Binary(Vec<u8>),
    /// A Ping with at most 125 bytes. A received Ping has been answered already.
    Ping(Vec<u8>),
    /// A Pong with at most 125 bytes.
    Pong(Vec<u8>),
    /// A Close with code and reason, or with neither. A received Close has been answered already, and is the last
    /// message.
    Close(Option<OwnedCloseFrame>),
}

impl Message {
    /// Returns `true` for text and binary messages, `false` for control frames.
    #[must_use]
    pub const fn is_data(&self) -> bool {
        match self {
            Self::Text(_) | Self::Binary(_) => true,
            Self::Ping(_) | Self::Pong(_) | Self::Close(_) => false,
        }
    }

    /// Returns a text or binary message, borrowed; `None` for a control frame.
    #[must_use]
    pub fn as_borrowed(&self) -> Option<Borrowed<'_>> {
        match self {
            Self::Text(text) => Some(Borrowed::Text(text)),
            Self::Binary(bytes) => Some(Borrowed::Binary(bytes)),
            Self::Ping(_) | Self::Pong(_) | Self::Close(_) => None,
        }
    }

    /// Copies an event. Returns `None` for a piece of a message, which a connection of this client never yields.
    pub(super) fn from_event(event: &Event<'_>) -> Option<Self> {
        match *event {
            Event::Text(text) => Some(Self::Text(text.to_owned())),
            Event::Binary(bytes) => Some(Self::Binary(bytes.to_owned())),
            Event::Ping(payload) => Some(Self::Ping(payload.to_owned())),
            Event::Pong(payload) => Some(Self::Pong(payload.to_owned())),
            Event::Close(frame) => Some(Self::Close(frame.map(OwnedCloseFrame::from))),
            Event::Piece(_) => None,
        }
    }
}

impl From<Borrowed<'_>> for Message {
    fn from(message: Borrowed<'_>) -> Self {
        match message {
            Borrowed::Text(text) => Self::Text(text.to_owned()),
            Borrowed::Binary(bytes) => Self::Binary(bytes.to_owned()),
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}
