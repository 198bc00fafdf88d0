//! The errors of the client, sorted by fault.

use std::{fmt, io};

#[cfg(feature = "client-tls")]
use super::TlsError;
use super::{ProxyError, RedirectError, UrlError, waker::Woken};
use crate::{ClientHandshakeError, Escaped, InvalidHeader, ProtocolError, ResponseHead, SendError};

/// Why a call of a [`Client`](super::Client) or [`ClientBuilder`](super::ClientBuilder) failed.
///
/// `Display` says what failed; [`source`](std::error::Error::source) returns the cause, if there is a more detailed
/// one.
///
/// - The caller's fault: `Url`, `Request`, `Send`, `Closed`, `QueueFull`. The caller's wish: `Woken`.
/// - The server's decision or fault: `Refused`, `Redirect`, `RedirectFailed`, `Handshake`, `Protocol`, `Tls`.
/// - The proxy's: `Proxy`.
/// - The network or the operating system: `Resolve`, `Connect`, `Io`, `Timeout`, `Disconnected`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is invalid or not supported. No connection was made.
    Url(UrlError),
    /// A header field, subprotocol or Origin must not be sent. No connection was made.
    Request(InvalidHeader),
    /// The message must not be sent, or not now. Nothing was sent, and the connection is unchanged.
    Send(SendError),
    /// The connection is closed, or an earlier send failed. The earlier call returned the reason.
    Closed,
    /// There is no connection now, and the queue of a [`ReconnectingClient`](super::ReconnectingClient) has no room.
    QueueFull,
    /// The server refused the handshake: the status of its response is neither 101 nor a redirect.
    Refused {
        /// The head of the server's response.
        response: Box<ResponseHead>,
        /// The body of the response: what arrived within `connect_timeout`, at most 64 KiB.
        body: Vec<u8>,
    },
    /// The server redirected to another location. It is not followed unless
    /// [`redirects`](super::ClientBuilder::redirects) allows it, because header fields such as `Authorization` are not
    /// meant for another server.
    Redirect {
        /// The location, as the server wrote it.
        location: String,
        /// The head of the server's response.
        response: Box<ResponseHead>,
        /// The body of the response: what arrived within `connect_timeout`, at most 64 KiB.
        body: Vec<u8>,
    },
    /// The server redirected to a location that must not be followed.
    RedirectFailed {
        /// The location, as the server wrote it.
        location: String,
        /// Why it is not followed.
        reason: RedirectError,
    },
    /// No proxy could be used, or the proxy did not connect to the server.
    Proxy(ProxyError),
    /// TLS failed: the server cannot be trusted, refuses, or broke a rule.
    #[cfg(feature = "client-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "client-tls")))]
    Tls(TlsError),
    /// The server's response to the handshake is invalid ([§4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).
    Handshake(ClientHandshakeError),
    /// The server broke a rule of the protocol. The client has sent a Close with the matching code and ended TCP.
    Protocol(ProtocolError),
    /// The host's name could not be resolved.
    Resolve(io::Error),
    /// No address of the server accepted a connection; the error of the last one tried.
    Connect(io::Error),
    /// The timeout of this stage ran out.
    Timeout(Stage),
    /// A [`Waker`](super::Waker) interrupted [`receive`](super::Client::receive). Nothing is lost; call it again.
    Woken,
    /// The connection was ended or reset without the server's Close frame: code 1006 in
    /// [§7.1.5](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5).
    Disconnected,
    /// Another error of the operating system.
    Io(io::Error),
}

/// The step that the client was in when a timeout ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Connecting TCP: `connect_timeout`.
    Connect,
    /// Connecting to the proxy, and waiting for its answer: `connect_timeout`.
    Proxy,
    /// The handshake of TLS: `connect_timeout`.
    Tls,
    /// The opening handshake: `connect_timeout`.
    Handshake,
    /// Waiting for a message: `read_timeout`. Nothing is lost, and [`receive`](super::Client::receive) can be called
    /// again.
    Receive,
    /// Sending a message: `write_timeout`. A part of a frame may be sent, so nothing more can be sent.
    Send,
    /// The closing handshake: `close_timeout`. The client has ended TCP.
    Close,
}

impl ClientError {
    /// Converts an error of a socket during `stage`.
    pub(super) fn from_io(error: io::Error, stage: Stage) -> Self {
        #[cfg(feature = "client-tls")]
        let error = match error.downcast() {
            Ok(error) => return Self::Tls(error),
            Err(error) => error,
        };
        if error.get_ref().is_some_and(|cause| cause.is::<Woken>()) {
            return Self::Woken;
        }
        match error.kind() {
            // SO_RCVTIMEO and SO_SNDTIMEO cause `WouldBlock` on Unix and `TimedOut` on Windows. A kernel that gives up
            // on an unreachable peer also reports `TimedOut`; the next read then returns the end of the stream.
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
            Self::Url(_) => f.write_str("the URL cannot be used"),
            Self::Request(_) => f.write_str("the request cannot be sent"),
            Self::Send(_) => f.write_str("the message cannot be sent"),
            Self::Closed => f.write_str("the connection is closed"),
            Self::QueueFull => f.write_str("there is no connection, and the queue is full"),
            Self::Refused { response, .. } => {
                write!(f, "the server refused the connection with status {}", response.status())
            }
            Self::Redirect { location, response, .. } => {
                let location = Escaped::new(location);
                write!(f, "the server redirected to {location} with status {}", response.status())
            }
            Self::RedirectFailed { location, .. } => {
                write!(f, "the redirect to {} is not followed", Escaped::new(location))
            }
            Self::Proxy(error) => error.fmt(f),
            #[cfg(feature = "client-tls")]
            Self::Tls(error) => error.fmt(f),
            Self::Handshake(_) => f.write_str("the server's response to the handshake is invalid"),
            Self::Protocol(_) => f.write_str("the server broke the WebSocket protocol"),
            Self::Resolve(_) => f.write_str("the server's name could not be resolved"),
            Self::Connect(_) => f.write_str("cannot connect to the server"),
            Self::Timeout(stage) => f.write_str(match stage {
                Stage::Connect => "connecting to the server took too long",
                Stage::Proxy => "the proxy did not connect to the server in time",
                Stage::Tls => "the server did not complete the TLS handshake in time; perhaps it speaks no TLS there",
                Stage::Handshake => "the server did not complete the handshake in time",
                Stage::Receive => "no message arrived in time",
                Stage::Send => "the server did not accept a message in time",
                Stage::Close => "the server did not close the connection in time",
            }),
            Self::Woken => f.write_str("waiting for a message was interrupted"),
            Self::Disconnected => f.write_str("the server ended the connection without a Close frame"),
            Self::Io(_) => f.write_str("the operating system reported an error"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::Send(error) => Some(error),
            Self::RedirectFailed { reason, .. } => Some(reason),
            // Their own text is shown already.
            Self::Proxy(error) => error.source(),
            #[cfg(feature = "client-tls")]
            Self::Tls(error) => error.source(),
            Self::Handshake(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Resolve(error) | Self::Connect(error) | Self::Io(error) => Some(error),
            Self::Closed
            | Self::QueueFull
            | Self::Refused { .. }
            | Self::Redirect { .. }
            | Self::Timeout(_)
            | Self::Woken
            | Self::Disconnected => None,
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

impl From<ProxyError> for ClientError {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(error)
    }
}
