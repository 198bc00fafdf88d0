//! The errors of heads and handshakes, and the status for each.

use alloc::{boxed::Box, string::String};
use core::fmt;

use super::ResponseHead;
use crate::proto::Escaped;

/// The head of an HTTP/1.1 message is not valid (RFC 9112), or exceeds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadError {
    /// The first line alone is longer than the limit of the head.
    FirstLineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The head is longer than the limit.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// There are more header fields than the limit.
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// A line ends in LF alone, or there is a CR without LF. RFC 9112 §2.2 would permit the first.
    BareLineEnd,
    /// A NUL or another control character (RFC 9110 §5.5).
    ControlCharacter,
    /// A header field continues on the next line (RFC 9112 §5.2).
    FoldedLine,
    /// The head breaks the grammar of RFC 9112 §2.1 in another way.
    Malformed,
    /// The request target is neither a path, nor an address with `http://` or `https://` and a valid host, nor the `*`
    /// of OPTIONS, nor the host of CONNECT (RFC 9112 §3.2).
    Target,
    /// The version is neither HTTP/1.1 nor HTTP/1.0.
    UnsupportedVersion,
}

impl HeadError {
    /// Returns the status of a server's response to this error.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::FirstLineTooLong { .. } => 414,
            Self::TooLong { .. } | Self::TooManyHeaders { .. } => 431,
            Self::BareLineEnd | Self::ControlCharacter | Self::FoldedLine | Self::Malformed | Self::Target => 400,
            Self::UnsupportedVersion => 505,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstLineTooLong { limit } => write!(f, "the first line is longer than {limit} bytes"),
            Self::TooLong { limit } => write!(f, "the head is longer than {limit} bytes"),
            Self::TooManyHeaders { limit } => write!(f, "more than {limit} header fields"),
            Self::BareLineEnd => f.write_str("a line must end in CR LF"),
            Self::ControlCharacter => f.write_str("a control character in the head"),
            Self::FoldedLine => f.write_str("a header field is folded"),
            Self::Malformed => f.write_str("the head is malformed"),
            Self::Target => f.write_str("the request target is neither a path nor an http address"),
            Self::UnsupportedVersion => f.write_str("only HTTP/1.1 is supported"),
        }
    }
}

impl core::error::Error for HeadError {}

/// A request is not a valid opening handshake (§4.2.1).
///
/// [`Rejection::from`](super::Rejection) makes the response, and a [`RequestError`](super::RequestError) holds it
/// beside a server's other errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The method is not GET.
    Method,
    /// The version is HTTP/1.0, where Upgrade has no meaning (RFC 9110 §7.8).
    HttpVersion,
    /// There is no Host, or several, or it is not a valid host and port (RFC 9112 §3.2).
    Host,
    /// The request announces a body.
    Body,
    /// Upgrade does not name `websocket`.
    NotAnUpgrade,
    /// Connection does not name `Upgrade`.
    Connection,
    /// There is no Sec-WebSocket-Key, or several, or it is not the base64 form of 16 bytes.
    Key,
    /// Sec-WebSocket-Version is not 13 (§4.4).
    WebSocketVersion,
    /// Sec-WebSocket-Version of an extended CONNECT is not 13. Since HTTP/2 has no Upgrade, it has no status 426
    /// either.
    ExtendedConnectVersion,
    /// A request of HTTP/2 or HTTP/3 asks for another protocol than `websocket`, or is no extended CONNECT (RFC 8441
    /// §4, RFC 9220 §3).
    Protocol,
    /// Sec-WebSocket-Protocol is not a list of unique tokens.
    Subprotocols,
    /// Sec-WebSocket-Extensions breaks the grammar of §9.1.
    Extensions,
    /// There are several Origin fields, or one is not ASCII (RFC 6454 §7.1).
    Origin,
    /// The page with this Origin must not connect, by an [`OriginPolicy`](super::OriginPolicy) (§10.2).
    ForeignOrigin,
}

impl HandshakeError {
    /// Returns the status of the server's response to this error.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Protocol => 501,
            Self::ForeignOrigin => 403,
            Self::NotAnUpgrade | Self::HttpVersion | Self::WebSocketVersion => 426,
            Self::Host
            | Self::Body
            | Self::Connection
            | Self::Key
            | Self::ExtendedConnectVersion
            | Self::Subprotocols
            | Self::Extensions
            | Self::Origin => 400,
        }
    }

    /// Returns the header fields that the response to this error must have.
    #[must_use]
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("Allow", "GET")],
            Self::NotAnUpgrade | Self::HttpVersion => &[("Upgrade", "websocket")],
            Self::WebSocketVersion => &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
            Self::ExtendedConnectVersion => &[("Sec-WebSocket-Version", "13")],
            _ => &[],
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "a WebSocket handshake must be a GET request",
            Self::HttpVersion => "a WebSocket handshake requires HTTP/1.1",
            Self::Host => "exactly one valid Host is required",
            Self::Body => "a WebSocket handshake must not have a body",
            Self::NotAnUpgrade => "this resource requires WebSocket: Upgrade must be websocket",
            Self::Connection => "Connection must contain Upgrade",
            Self::Key => "exactly one Sec-WebSocket-Key of 16 bytes in base64 is required",
            Self::Protocol => "a WebSocket in HTTP/2 requires CONNECT with :protocol websocket",
            Self::WebSocketVersion | Self::ExtendedConnectVersion => "only version 13 of WebSocket is supported",
            Self::Subprotocols => "Sec-WebSocket-Protocol must be a list of unique tokens",
            Self::Extensions => "Sec-WebSocket-Extensions is malformed",
            Self::Origin => "at most one Origin is allowed",
            Self::ForeignOrigin => "this Origin may not connect here",
        })
    }
}

impl core::error::Error for HandshakeError {}

/// The caller supplied a header field, status or target that must not be written. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// The name is not a token (RFC 9110 §5.1).
    Name(String),
    /// The value contains something other than visible ASCII, spaces and tabs, for example CR or LF.
    Value {
        /// The field's name.
        name: String,
    },
    /// The engine itself writes this header field.
    Reserved(String),
    /// The client did not offer this subprotocol (§4.2.2), or it is not a token, or it is offered twice (§4.1).
    Subprotocol(String),
    /// The status is not one of a final response: 200 to 599.
    Status(u16),
    /// The request target does not start with `/`, or contains `#` or something other than visible ASCII.
    Target(String),
    /// The handshake is an extended CONNECT, of which another HTTP library writes the response.
    ExtendedConnect,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{} is not a valid name of a header field", Escaped::new(name)),
            Self::Value { name } => {
                write!(f, "the value of {} contains characters that a header must not have", Escaped::new(name))
            }
            Self::Reserved(name) => write!(f, "the header field {} is reserved for the engine", Escaped::new(name)),
            Self::Subprotocol(name) => {
                let name = Escaped::new(name);
                write!(f, "the subprotocol {name} was not offered, is offered twice, or is not a token")
            }
            Self::Status(status) => write!(f, "{status} is not a valid status for a rejection"),
            Self::Target(target) => write!(f, "{} is not a valid request target", Escaped::new(target)),
            Self::ExtendedConnect => f.write_str("an extended CONNECT has no response of HTTP/1.1"),
        }
    }
}

impl core::error::Error for InvalidHeader {}

/// The server's response does not open the connection (§4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientHandshakeError {
    /// The head of the response is not valid, or exceeds a limit.
    Head(HeadError),
    /// The status is a redirect. The caller decides whether to follow it.
    Redirect {
        /// The value of Location.
        location: String,
        /// The head of the response.
        response: Box<ResponseHead>,
        /// How many of the bytes given last belong to the head. The body follows.
        used: usize,
    },
    /// The status is another one than 101.
    Status {
        /// The head of the response.
        response: Box<ResponseHead>,
        /// How many of the bytes given last belong to the head. The body follows.
        used: usize,
    },
    /// There are too many interim responses (1xx).
    TooManyInterim,
    /// The response 101 lacks `Upgrade: websocket`.
    Upgrade,
    /// The response 101 lacks `Connection: Upgrade`.
    Connection,
    /// Sec-WebSocket-Accept is missing, repeated, or does not match our key.
    Accept,
    /// The server chose a subprotocol that we did not offer, or several.
    Subprotocol,
    /// Sec-WebSocket-Extensions breaks the grammar of §9.1.
    Extensions,
    /// The server chose an extension that we did not offer, or one twice.
    Extension,
    /// The parameters of permessage-deflate do not fit our offer (RFC 7692 §7.1).
    Deflate(DeflateResponseError),
}

/// The server's response to an offer of permessage-deflate is not valid
/// ([RFC 7692 §7.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeflateResponseError {
    /// RFC 7692 does not define the parameter.
    Unknown,
    /// A parameter occurs twice.
    Repeated,
    /// A parameter has an invalid value, or lacks a required one. A window has 8 to 15 bits.
    InvalidValue,
    /// We asked the server to use no context takeover, and it did not confirm that.
    ContextTakeover,
}

impl fmt::Display for DeflateResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "a parameter is unknown",
            Self::Repeated => "a parameter occurs twice",
            Self::InvalidValue => "a parameter has an invalid value",
            Self::ContextTakeover => "server_no_context_takeover was requested and is missing",
        })
    }
}

impl core::error::Error for DeflateResponseError {}

impl fmt::Display for ClientHandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(_) => f.write_str("the server's response is not valid HTTP/1.1"),
            Self::Redirect { location, .. } => write!(f, "the server redirects to {}", Escaped::new(location)),
            Self::Status { response, .. } => write!(f, "the server responds with status {}", response.status()),
            Self::TooManyInterim => f.write_str("the server sends too many interim responses"),
            Self::Upgrade => f.write_str("the server's response lacks Upgrade: websocket"),
            Self::Connection => f.write_str("the server's response lacks Connection: Upgrade"),
            Self::Accept => f.write_str("Sec-WebSocket-Accept does not match our key"),
            Self::Subprotocol => f.write_str("the server chose a subprotocol that was not offered"),
            Self::Extensions => f.write_str("Sec-WebSocket-Extensions is malformed"),
            Self::Extension => f.write_str("the server chose an extension that was not offered"),
            Self::Deflate(_) => f.write_str("the server's response to permessage-deflate is not valid"),
        }
    }
}

impl core::error::Error for ClientHandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Head(error) => Some(error),
            Self::Deflate(error) => Some(error),
            _ => None,
        }
    }
}
