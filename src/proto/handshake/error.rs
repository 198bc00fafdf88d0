//! What a head or a handshake does wrong, and the status that says so.

use alloc::{boxed::Box, string::String};
use core::fmt;

use super::ResponseHead;

/// A head of HTTP/1.1 that is not taken (RFC 9112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The first line alone is longer than the limit for the head.
    FirstLineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The head is longer than the limit.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// More header fields than the limit.
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// A line that ends in LF alone, or a CR without LF (RFC 9112 §2.2; that we refuse the first is our choice).
    BareLineEnd,
    /// A NUL or another control character (RFC 9110 §5.5).
    ControlCharacter,
    /// A header continued on the next line (RFC 9112 §5.2).
    FoldedLine,
    /// Anything else that is not the grammar of RFC 9112 §2.1.
    Malformed,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    UnsupportedVersion,
}

impl HeadError {
    /// The status that a server answers with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::FirstLineTooLong { .. } => 414,
            Self::TooLong { .. } | Self::TooManyHeaders { .. } => 431,
            Self::BareLineEnd | Self::ControlCharacter | Self::FoldedLine | Self::Malformed => 400,
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
            Self::UnsupportedVersion => f.write_str("only HTTP/1.1 is spoken here"),
        }
    }
}

impl core::error::Error for HeadError {}

/// A request that is not a valid opening handshake (§4.2.1). Its [`Rejection`](super::Rejection) is made by `From`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The method is not GET.
    Method,
    /// HTTP/1.0, in which an Upgrade means nothing (RFC 9110 §7.8).
    HttpVersion,
    /// No Host, several, or one that is no host and port (RFC 9112 §3.2).
    Host,
    /// A body is announced, which a GET for an upgrade does not have.
    Body,
    /// Upgrade does not name `websocket`.
    NotAnUpgrade,
    /// Connection does not name `Upgrade`.
    Connection,
    /// No Sec-WebSocket-Key, several, or one that is not the base64 of 16 bytes.
    Key,
    /// Sec-WebSocket-Version is not 13 (§4.4).
    WebSocketVersion,
    /// Sec-WebSocket-Protocol is no list of unique tokens.
    Subprotocols,
    /// Sec-WebSocket-Extensions breaks the grammar of §9.1.
    Extensions,
    /// Several Origin fields, or one that is not ASCII (RFC 6454 §7.1).
    Origin,
}

impl HandshakeError {
    /// The status that the server answers with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Method => 405,
            Self::NotAnUpgrade | Self::HttpVersion | Self::WebSocketVersion => 426,
            Self::Host
            | Self::Body
            | Self::Connection
            | Self::Key
            | Self::Subprotocols
            | Self::Extensions
            | Self::Origin => 400,
        }
    }

    /// The header fields that this status asks for.
    #[must_use]
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("Allow", "GET")],
            Self::NotAnUpgrade | Self::HttpVersion => &[("Upgrade", "websocket")],
            Self::WebSocketVersion => &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
            _ => &[],
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "a WebSocket handshake is a GET",
            Self::HttpVersion => "a WebSocket handshake needs HTTP/1.1",
            Self::Host => "exactly one valid Host is needed",
            Self::Body => "a WebSocket handshake has no body",
            Self::NotAnUpgrade => "this resource speaks WebSocket: Upgrade must be websocket",
            Self::Connection => "Connection must contain Upgrade",
            Self::Key => "exactly one Sec-WebSocket-Key of 16 bytes in base64 is needed",
            Self::WebSocketVersion => "only version 13 of WebSocket is spoken here",
            Self::Subprotocols => "Sec-WebSocket-Protocol must be a list of unique tokens",
            Self::Extensions => "Sec-WebSocket-Extensions is malformed",
            Self::Origin => "at most one Origin is allowed",
        })
    }
}

impl core::error::Error for HandshakeError {}

/// A header field, status or target that our own caller supplied and that cannot be written. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// The name is no token (RFC 9110 §5.1).
    Name(String),
    /// The value holds something other than visible ASCII, space and tab: CR and LF above all.
    Value {
        /// The field's name.
        name: String,
    },
    /// The field is written by the engine itself.
    Reserved(String),
    /// The subprotocol is not one that the client offered (§4.2.2), or no token, or offered twice (§4.1).
    Subprotocol(String),
    /// Not a status that ends a handshake: 200 to 599.
    Status(u16),
    /// The request target is empty or holds something other than visible ASCII.
    Target(String),
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?} is no name of a header field"),
            Self::Value { name } => write!(f, "the value of {name} holds characters that a header must not"),
            Self::Reserved(name) => write!(f, "the header field {name} is written by the engine"),
            Self::Subprotocol(name) => write!(f, "the subprotocol {name:?} was not offered, or twice, or is no token"),
            Self::Status(status) => write!(f, "{status} is no status for a rejection"),
            Self::Target(target) => write!(f, "{target:?} is no request target"),
        }
    }
}

impl core::error::Error for InvalidHeader {}

/// A server's answer that does not open the connection (§4.1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientHandshakeError {
    /// The answer is not HTTP/1.1 as we take it.
    Head(HeadError),
    /// A redirect: the caller decides whether to follow.
    Redirect {
        /// The Location, as it came.
        location: String,
        /// The head of the answer.
        response: Box<ResponseHead>,
        /// How many of the bytes given last belong to the head; its body follows.
        used: usize,
    },
    /// Any other status than 101.
    Status {
        /// The head of the answer.
        response: Box<ResponseHead>,
        /// How many of the bytes given last belong to the head; its body follows.
        used: usize,
    },
    /// More interim answers (1xx) than anyone sends.
    TooManyInterim,
    /// 101 without `Upgrade: websocket`.
    Upgrade,
    /// 101 whose Connection does not name `Upgrade`.
    Connection,
    /// Sec-WebSocket-Accept is missing, repeated or not the answer to our key.
    Accept,
    /// A subprotocol that we did not offer, or several.
    Subprotocol,
    /// Sec-WebSocket-Extensions breaks the grammar of §9.1.
    Extensions,
    /// An extension that we did not offer, or one twice.
    Extension,
    /// permessage-deflate with parameters that are no answer to our offer (RFC 7692 §7.1).
    Deflate(DeflateResponseError),
}

/// A server's answer to an offer of permessage-deflate that is none
/// ([RFC 7692 §7.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeflateResponseError {
    /// A parameter that RFC 7692 does not define.
    Unknown,
    /// A parameter twice.
    Repeated,
    /// A parameter with a value that it cannot have, or without one that it must have: a window's bits are 8 to 15.
    InvalidValue,
    /// We asked that the server use no context takeover, and it did not confirm that.
    ContextTakeover,
}

impl fmt::Display for DeflateResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "a parameter is unknown",
            Self::Repeated => "a parameter stands twice",
            Self::InvalidValue => "a parameter has a value that it cannot have",
            Self::ContextTakeover => "server_no_context_takeover was asked for and is missing",
        })
    }
}

impl core::error::Error for DeflateResponseError {}

impl fmt::Display for ClientHandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(_) => f.write_str("the server's answer is not HTTP/1.1 as it is understood here"),
            Self::Redirect { location, .. } => write!(f, "the server redirects to {location}"),
            Self::Status { response, .. } => write!(f, "the server answers with status {}", response.status()),
            Self::TooManyInterim => f.write_str("the server sends interim answers without end"),
            Self::Upgrade => f.write_str("the server's answer lacks Upgrade: websocket"),
            Self::Connection => f.write_str("the server's answer lacks Connection: Upgrade"),
            Self::Accept => f.write_str("Sec-WebSocket-Accept is not the answer to our key"),
            Self::Subprotocol => f.write_str("the server chose a subprotocol that was not offered"),
            Self::Extensions => f.write_str("Sec-WebSocket-Extensions is malformed"),
            Self::Extension => f.write_str("the server chose an extension that was not offered"),
            Self::Deflate(_) => f.write_str("the server's answer to permessage-deflate is not valid"),
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
