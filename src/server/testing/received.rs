//! The messages and ends that a client gets.

use std::fmt;

use crate::{Escaped, OwnedCloseFrame, ResponseHead};

/// What a [`TestClient`](super::TestClient) got from the server.
///
/// Pings are not listed, since each client answers them. `Close`, `End`, `Reset` and `Refused` are the last of a
/// connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// The server accepted the connection.
    Open(Box<ResponseHead>),
    /// The server refused the connection, with a body of at most 64 KiB.
    Refused(Box<ResponseHead>, Vec<u8>),
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A Pong, with its payload.
    Pong(Vec<u8>),
    /// A Close frame; without a code `None`. The client has answered it, unless it was an answer itself.
    Close(Option<OwnedCloseFrame>),
    /// The server ended TCP without a Close frame.
    End,
    /// The connection was reset.
    Reset,
}

/// As the errors of [`TestClient`](super::TestClient) say it, such as `the text "hi"`. At most 256 bytes of a message
/// are shown.
impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(_) => f.write_str("the connection was opened"),
            Self::Refused(head, body) => {
                write!(f, "the connection was refused with {}: {}", head.status(), Escaped::new(body))
            }
            Self::Text(text) => write!(f, "the text {}", Escaped::new(text)),
            Self::Binary(bytes) => write!(f, "the binary message {}", Escaped::new(bytes)),
            Self::Pong(payload) => write!(f, "the Pong {}", Escaped::new(payload)),
            Self::Close(None) => f.write_str("a Close without a code"),
            Self::Close(Some(frame)) => {
                write!(f, "a Close with {} and the reason {}", frame.code, Escaped::new(&frame.reason))
            }
            Self::End => f.write_str("the end of TCP without a Close"),
            Self::Reset => f.write_str("a reset of TCP"),
        }
    }
}
