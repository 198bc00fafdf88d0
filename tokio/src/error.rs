//! The errors of a connection and of its opening handshake, sorted by fault.

use std::{fmt, io};

use switchboard::{HandshakeError, HeadError, InvalidHeader, ProtocolError, Rejection, SendError};

/// Why a call of a [`WebSocket`](crate::WebSocket) failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule or exceeded a limit. The Close with the code that fits is sent, and the connection is
    /// over.
    Protocol(ProtocolError),
    /// The message must not be sent, or not now. Nothing was sent, and the connection is unchanged. After our Close it
    /// is [`SendError::Closed`].
    Send(SendError),
    /// A deadline ran out, and the connection is over.
    Timeout(Stage),
    /// The peer ended or reset the connection without its Close: code 1006 in
    /// [§7.1.5](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5).
    Disconnected,
    /// Another error of the stream. The connection is over.
    Io(io::Error),
}

/// What a connection was waiting for when a deadline ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// TCP, TLS and the opening handshake: [`Config::handshake_timeout`](crate::Config::handshake_timeout).
    Handshake,
    /// An answer to a Ping: [`Config::silence`](crate::Config::silence). A Close with 1008 was tried.
    Silence,
    /// Progress in a message: [`Config::message_timeout`](crate::Config::message_timeout). A Close with 1008 was tried.
    Message,
    /// The stream to take bytes: [`Config::write_timeout`](crate::Config::write_timeout).
    Write,
    /// The peer's Close or the end of the stream: [`Config::close_timeout`](crate::Config::close_timeout).
    Close,
}

/// Why a server did not open a connection.
///
/// The client has got a response, unless the error is `Timeout`, `Disconnected` or `Io`.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The request is not valid HTTP, or exceeds a limit.
    Head(HeadError),
    /// The request is not a valid opening handshake.
    Handshake(HandshakeError),
    /// The callback rejected the request.
    Rejected {
        /// The status of the response.
        status: u16,
    },
    /// The callback chose a subprotocol, a header field or a status that must not be sent. The client got status 500.
    Response(InvalidHeader),
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout) ran out.
    Timeout,
    /// The client ended or reset the connection.
    Disconnected,
    /// Another error of the stream.
    Io(io::Error),
}

impl Error {
    /// Copies the error, for the second call that it concerns. An error of the system is reduced to its kind.
    pub(crate) fn copy(&self) -> Self {
        match self {
            Self::Protocol(error) => Self::Protocol(*error),
            Self::Send(error) => Self::Send(*error),
            Self::Timeout(stage) => Self::Timeout(*stage),
            Self::Disconnected => Self::Disconnected,
            Self::Io(error) => Self::Io(error.kind().into()),
        }
    }
}

/// Returns whether the peer has ended or reset the connection.
pub(crate) fn is_disconnect(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::WriteZero
    )
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if is_disconnect(&error) { Self::Disconnected } else { Self::Io(error) }
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        if is_disconnect(&error) { Self::Disconnected } else { Self::Io(error) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => write!(f, "the peer broke the protocol: {error}"),
            Self::Send(error) => write!(f, "the message cannot be sent: {error}"),
            Self::Timeout(stage) => f.write_str(match stage {
                Stage::Handshake => "the opening handshake took too long",
                Stage::Silence => "the peer does not answer Pings",
                Stage::Message => "a message arrives too slowly",
                Stage::Write => "the peer takes no bytes",
                Stage::Close => "the peer does not complete the closing handshake",
            }),
            Self::Disconnected => f.write_str("the peer ended the connection without a Close"),
            Self::Io(_) => f.write_str("the connection failed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Send(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Timeout(_) | Self::Disconnected => None,
        }
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "the request is invalid: {error}"),
            Self::Handshake(error) => write!(f, "the request opens no WebSocket: {error}"),
            Self::Rejected { status } => write!(f, "the request was rejected with status {status}"),
            Self::Response(error) => write!(f, "the response must not be sent: {error}"),
            Self::Timeout => f.write_str("the opening handshake took too long"),
            Self::Disconnected => f.write_str("the client ended the connection during the opening handshake"),
            Self::Io(_) => f.write_str("the connection failed during the opening handshake"),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Head(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::Response(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Rejected { .. } | Self::Timeout | Self::Disconnected => None,
        }
    }
}

impl AcceptError {
    /// Returns the response to the request, for the errors that have one.
    pub(crate) fn response(&self) -> Option<Rejection> {
        match self {
            Self::Head(error) => Some(error.into()),
            Self::Handshake(error) => Some(error.into()),
            Self::Response(_) => Some(Rejection::new(500)),
            Self::Rejected { .. } | Self::Timeout | Self::Disconnected | Self::Io(_) => None,
        }
    }
}
