//! What goes wrong, by whose fault it is.

use std::{fmt, io};

use super::UrlError;
use crate::{ClientHandshakeError, InvalidHeader, ProtocolError, ResponseHead, SendError};

/// Why a [`Client`](super::Client) did not do what it was asked for.
///
/// `Display` says what went wrong, [`source`](std::error::Error::source) why, where there is more to say.
///
/// Our caller's fault: `Url`, `Request`, `Send`, `Closed`. The server's: `Refused`, `Redirect`, `Handshake`,
/// `Protocol`. Of what lies between: `Resolve`, `Connect`, `Io`, `Timeout`, `Disconnected`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is not taken. Nothing was connected.
    Url(UrlError),
    /// A header field, subprotocol or Origin cannot be sent. Nothing was connected.
    Request(InvalidHeader),
    /// What was to be sent is not allowed, or not now. Nothing was sent, and the connection is as it was.
    Send(SendError),
    /// The connection is over, or nothing can be sent on it any more: an earlier call has said why.
    Closed,
    /// The server answered, but not with 101.
    Refused {
        /// Its answer.
        response: Box<ResponseHead>,
        /// The answer's body, as much as came in time and at most 64 KiB.
        body: Vec<u8>,
    },
    /// The server named another place. It is not followed: credentials were not meant for there.
    Redirect {
        /// That place, as the server wrote it.
        location: String,
        /// Its answer.
        response: Box<ResponseHead>,
        /// The answer's body, as much as came in time and at most 64 KiB.
        body: Vec<u8>,
    },
    /// The server's answer to the handshake is wrong (§4.1).
    Handshake(ClientHandshakeError),
    /// The server broke a rule of the framing layer. It has been told so by a Close frame, and TCP is ended.
    Protocol(ProtocolError),
    /// The name has no address.
    Resolve(io::Error),
    /// None of the server's addresses could be connected to; what the last one said.
    Connect(io::Error),
    /// The time for this ran out.
    Timeout(Stage),
    /// TCP was ended or reset without the server's Close frame: what §7.1.5 calls 1006.
    Disconnected,
    /// Anything else that the operating system says.
    Io(io::Error),
}

/// What was under way when the time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The connecting of TCP: `connect_timeout`.
    Connect,
    /// The opening handshake: `connect_timeout`.
    Handshake,
    /// The wait for a message: `read_timeout`. Nothing is lost, and [`receive`](super::Client::receive) may be called
    /// again.
    Receive,
    /// The sending of a message: `write_timeout`. Part of a frame may be sent, so nothing more can be.
    Send,
    /// The closing handshake: `close_timeout`. TCP is ended.
    Close,
}

impl ClientError {
    /// What `error` of a socket means while `stage` is under way.
    pub(super) fn from_io(error: io::Error, stage: Stage) -> Self {
        match error.kind() {
            // SO_RCVTIMEO and SO_SNDTIMEO say `WouldBlock` on Unix, `TimedOut` on Windows. So does a kernel that gives
            // up on its peer; who tries again then sees the end of the stream.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout(stage),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Disconnected,
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_) => f.write_str("the URL is not taken"),
            Self::Request(_) => f.write_str("the request cannot be written"),
            Self::Send(_) => f.write_str("the message cannot be sent"),
            Self::Closed => f.write_str("the connection is over"),
            Self::Refused { response, .. } => write!(f, "the server answers with status {}", response.status()),
            Self::Redirect { location, response, .. } => {
                write!(f, "the server answers with status {} and the location {location:?}", response.status())
            }
            Self::Handshake(_) => f.write_str("the server's answer opens no connection"),
            Self::Protocol(_) => f.write_str("the server broke the protocol"),
            Self::Resolve(_) => f.write_str("the server's name has no address"),
            Self::Connect(_) => f.write_str("the server cannot be connected to"),
            Self::Timeout(stage) => f.write_str(match stage {
                Stage::Connect => "the server could not be connected to in time",
                Stage::Handshake => "the server did not answer the handshake in time",
                Stage::Receive => "no message came in time",
                Stage::Send => "the server did not take a message in time",
                Stage::Close => "the server did not close in time",
            }),
            Self::Disconnected => f.write_str("the server ended the connection without a Close frame"),
            Self::Io(_) => f.write_str("the operating system reports an error"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::Send(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Resolve(error) | Self::Connect(error) | Self::Io(error) => Some(error),
            Self::Closed | Self::Refused { .. } | Self::Redirect { .. } | Self::Timeout(_) | Self::Disconnected => None,
        }
    }
}

impl From<UrlError> for ClientError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

impl From<InvalidHeader> for ClientError {
    fn from(error: InvalidHeader) -> Self {
        Self::Request(error)
    }
}

impl From<SendError> for ClientError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}
