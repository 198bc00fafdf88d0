//! The messages that a client sends and receives.

use crate::{CloseCode, Event};

/// A message or a control frame, for [`Client::send`](super::Client::send) and
/// [`Client::receive`](super::Client::receive).
#[derive(Clone, Debug, PartialEq, Eq)]
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
    Close(Option<(CloseCode, String)>),
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

    /// Copies an event. Returns `None` for a piece of a message, which a connection of this client never yields.
    pub(super) fn from_event(event: &Event<'_>) -> Option<Self> {
        match *event {
            Event::Text(text) => Some(Self::Text(text.to_owned())),
            Event::Binary(bytes) => Some(Self::Binary(bytes.to_owned())),
            Event::Ping(payload) => Some(Self::Ping(payload.to_owned())),
            Event::Pong(payload) => Some(Self::Pong(payload.to_owned())),
            Event::Close(frame) => Some(Self::Close(frame.map(|frame| (frame.code, frame.reason.to_owned())))),
            Event::Piece(_) => None,
        }
    }
}
