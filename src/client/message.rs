//! What a client sends and receives.

use crate::{CloseCode, Event};

/// A message or a control frame, owned: what [`Client::send`](super::Client::send) takes and
/// [`Client::receive`](super::Client::receive) gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A Ping with at most 125 bytes. One that is received has been answered already.
    Ping(Vec<u8>),
    /// A Pong with at most 125 bytes.
    Pong(Vec<u8>),
    /// A Close with its code and reason, or with neither. One that is received has been answered already, and it is the
    /// last message.
    Close(Option<(CloseCode, String)>),
}

impl Message {
    /// Whether this is text or binary: what the application at the other end sees, too.
    #[must_use]
    pub const fn is_data(&self) -> bool {
        match self {
            Self::Text(_) | Self::Binary(_) => true,
            Self::Ping(_) | Self::Pong(_) | Self::Close(_) => false,
        }
    }

    /// The event, owned; `None` for a piece of a message, which this client does not ask for.
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
