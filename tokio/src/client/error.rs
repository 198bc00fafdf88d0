//! Why a client has no connection, by fault.

use std::{fmt, io};

use switchboard::{ClientHandshakeError, InvalidHeader, ResponseHead, UrlError};

use crate::error::is_disconnect;

/// Why a client could not open a connection.
///
/// - The caller's fault: `Url`, `NeedsTls`, `Request`.
/// - The server's decision or fault: `Refused`, `Handshake`, `Tls`.
/// - The network or the operating system: `Resolve`, `Connect`, `Timeout`, `Disconnected`, `Io`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is invalid.
    Url(UrlError),
    /// The scheme is `wss`, and the crate was built without the feature `rustls`.
    NeedsTls,
    /// A header field, subprotocol or Origin must not be sent. Nothing was sent.
    Request(InvalidHeader),
    /// The server answered with another status than 101. A redirect is one of them, with its `Location`; it is not
    /// followed, because header fields such as `Authorization` are not meant for another server.
    Refused {
        /// The head of the server's response.
        response: Box<ResponseHead>,
    },
    /// The server's response is invalid ([§4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).
    Handshake(ClientHandshakeError),
    /// TLS failed: the server cannot be trusted, refuses, or broke a rule. The error's source is rustls's.
    Tls(io::Error),
    /// The host's name could not be resolved.
    Resolve(io::Error),
    /// No address of the host accepted a connection; the error of the last one tried.
    Connect(io::Error),
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout) ran out.
    Timeout,
    /// The server ended or reset the connection.
    Disconnected,
    /// Another error of the stream, or the operating system has no random bytes.
    Io(io::Error),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        if is_disconnect(&error) { Self::Disconnected } else { Self::Io(error) }
    }
}

impl From<UrlError> for ConnectError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

impl From<ClientHandshakeError> for ConnectError {
    fn from(error: ClientHandshakeError) -> Self {
        match error {
            ClientHandshakeError::Status { response, .. } | ClientHandshakeError::Redirect { response, .. } => {
                Self::Refused { response }
            }
            error => Self::Handshake(error),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::NeedsTls => {
                f.write_str("wss:// needs TLS: build the crate switchboard-tokio with its feature rustls")
            }
            Self::Request(error) => write!(f, "the request must not be sent: {error}"),
            Self::Refused { response } => write!(f, "the server refused with status {}", response.status()),
            Self::Handshake(error) => write!(f, "the server's response is invalid: {error}"),
            Self::Tls(_) => f.write_str("TLS failed"),
            Self::Resolve(_) => f.write_str("the host's name cannot be resolved"),
            Self::Connect(_) => f.write_str("the server cannot be reached"),
            Self::Timeout => f.write_str("opening the connection took too long"),
            Self::Disconnected => f.write_str("the server ended the connection during the opening handshake"),
            Self::Io(_) => f.write_str("the connection failed during the opening handshake"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::Tls(error) | Self::Resolve(error) | Self::Connect(error) | Self::Io(error) => Some(error),
            Self::NeedsTls | Self::Refused { .. } | Self::Timeout | Self::Disconnected => None,
        }
    }
}
