//! The messages that a connection receives and sends.

use switchboard::{CloseCode, CloseFrame, Event, Masking, SendError, Sender};

/// A message or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A Ping with at most 125 bytes. A received Ping is answered already.
    Ping(Vec<u8>),
    /// A Pong with at most 125 bytes.
    Pong(Vec<u8>),
    /// A Close with code and reason, or with neither. A received Close is answered already, and is the last message.
    Close(Option<(CloseCode, String)>),
}

impl Message {
    /// Makes a text message.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Makes a binary message.
    #[must_use]
    pub fn binary(payload: impl Into<Vec<u8>>) -> Self {
        Self::Binary(payload.into())
    }

    /// Returns whether this is a text or binary message, not a control frame.
    #[must_use]
    pub const fn is_data(&self) -> bool {
        match self {
            Self::Text(_) | Self::Binary(_) => true,
            Self::Ping(_) | Self::Pong(_) | Self::Close(_) => false,
        }
    }

    /// Copies an event. Returns `None` for a piece of a message, which a connection with whole messages never has.
    pub(crate) fn from_event(event: &Event<'_>) -> Option<Self> {
        match *event {
            Event::Text(text) => Some(Self::Text(text.to_owned())),
            Event::Binary(payload) => Some(Self::Binary(payload.to_owned())),
            Event::Ping(payload) => Some(Self::Ping(payload.to_owned())),
            Event::Pong(payload) => Some(Self::Pong(payload.to_owned())),
            Event::Close(frame) => Some(Self::Close(frame.map(|frame| (frame.code, frame.reason.to_owned())))),
            _ => None,
        }
    }

    /// Returns the payload of a message or of a Ping or Pong.
    pub(crate) fn payload(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(payload) | Self::Ping(payload) | Self::Pong(payload) => payload,
            Self::Close(_) => &[],
        }
    }

    /// Returns the payload of a message or of a Ping or Pong.
    pub(crate) fn into_payload(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(payload) | Self::Ping(payload) | Self::Pong(payload) => payload,
            Self::Close(_) => Vec::new(),
        }
    }

    /// Appends the frame to the output.
    pub(crate) fn encode<M: Masking>(
        &self,
        sender: &mut Sender<M>,
        out: &mut impl switchboard::Output,
    ) -> Result<(), SendError> {
        match self {
            Self::Text(text) => sender.text(text, out),
            Self::Binary(payload) => sender.binary(payload, out),
            Self::Ping(payload) => sender.ping(payload, out),
            Self::Pong(payload) => sender.pong(payload, out),
            Self::Close(frame) => {
                sender.close(frame.as_ref().map(|(code, reason)| CloseFrame { code: *code, reason }), out)
            }
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Message {
    fn from(payload: Vec<u8>) -> Self {
        Self::Binary(payload)
    }
}
