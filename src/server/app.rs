//! What a service on this server is: [`App`], and what it is told.

use std::{fmt, net::SocketAddr};

use super::{ConnectionId, Context, Request, Responder, Verdict};
use crate::{CloseCode, MessageKind, Prepared, ProtocolError, Remote, RequestHead, ServerHandshake};

/// A service: one value per worker, used by that worker's thread alone.
///
/// Its methods run on the event loop: they must not block. Slow work goes to a thread of the app's own, which answers
/// by [`Responder`], [`Verdict`] or [`Remote`]. A panic ends the process (exit code 101), since a worker that is dead
/// would keep its share of the port.
pub trait App: Sized {
    /// What the app keeps for each open connection.
    type Peer: Send + 'static;

    /// Somebody asks to open a connection. The verdict may be given later, from any thread; dropped, it is 500.
    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<Self::Peer>);

    /// A plain HTTP request came. The answer may be given later, from any thread; dropped, it is 500.
    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        let _ = request;
        responder.send(super::Response::text(404, "there is nothing here\n"));
    }

    /// A connection is open.
    fn opened(&mut self, peer: &mut Self::Peer, context: &mut Context<'_>) {
        let _ = (peer, context);
    }

    /// A message came. Not called any more once the app has closed the connection.
    fn message(&mut self, peer: &mut Self::Peer, message: Message<'_>, context: &mut Context<'_>);

    /// An open connection has ended: called once for each [`opened`](Self::opened).
    fn closed(&mut self, peer: Self::Peer, id: ConnectionId, end: &End, remote: &Remote) {
        let _ = (peer, id, end, remote);
    }
}

/// A message, received or to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Text or binary.
    #[must_use]
    pub fn kind(self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// The bytes.
    #[must_use]
    pub fn payload(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Encodes it once for many receivers.
    #[must_use]
    pub fn prepared(self) -> Prepared {
        match self {
            Self::Text(text) => Prepared::text(text),
            Self::Binary(bytes) => Prepared::binary(bytes),
        }
    }
}

impl From<Message<'_>> for Prepared {
    fn from(message: Message<'_>) -> Self {
        message.prepared()
    }
}

/// A valid opening handshake, for [`App::accept`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Handshake<'a> {
    /// The request as it came.
    pub request: &'a RequestHead,
    /// What the RFC says about it: Host, Origin, subprotocols.
    pub websocket: &'a ServerHandshake,
    /// Where it came from: the other end of the TCP connection.
    pub peer: SocketAddr,
    /// What the connection will be called.
    pub id: ConnectionId,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// By the closing handshake; `code` is that of the first Close frame.
    Closed {
        /// Whether the first Close frame was ours.
        by_us: bool,
        /// Its code; `None` where it had none.
        code: Option<CloseCode>,
    },
    /// The peer broke the protocol.
    Failed(ProtocolError),
    /// The peer ended TCP without a Close frame.
    Vanished,
    /// The connection broke.
    Broken(std::io::ErrorKind),
    /// The peer answered no Ping.
    NoPong,
    /// The peer did not answer our Close frame.
    NoClose,
    /// The peer took no bytes.
    WriteStalled,
    /// The peer began a message and did not go on.
    MessageStalled,
    /// The peer did not read what others published.
    TooSlow,
    /// The worker's memory was used up, most of it by this connection.
    Overloaded,
    /// The server ended before the closing handshake was done.
    Stopped,
}

impl End {
    /// The code as an application should see it: that of the closing handshake, or the one we failed the connection
    /// with; 1005 for a Close frame without a code, 1006 where there was no closing handshake.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        match self {
            Self::Closed { code, .. } => code.unwrap_or(CloseCode::NO_STATUS_RECEIVED),
            Self::Failed(error) => error.close_code(),
            Self::TooSlow | Self::NoPong | Self::MessageStalled => CloseCode::POLICY_VIOLATION,
            Self::Overloaded => CloseCode::TRY_AGAIN_LATER,
            Self::Vanished | Self::Broken(_) | Self::NoClose | Self::WriteStalled | Self::Stopped => {
                CloseCode::ABNORMAL_CLOSURE
            }
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { by_us: true, .. } => write!(f, "closed by us, {}", self.code()),
            Self::Closed { by_us: false, .. } => write!(f, "closed by the peer, {}", self.code()),
            Self::Failed(error) => write!(f, "failed with {}: {error}", self.code()),
            Self::Vanished => f.write_str("ended without a Close frame"),
            Self::Broken(kind) => write!(f, "broke: {kind}"),
            Self::NoPong => f.write_str("answered no Ping"),
            Self::NoClose => f.write_str("did not answer our Close frame"),
            Self::WriteStalled => f.write_str("took no bytes for too long"),
            Self::MessageStalled => f.write_str("began a message and did not go on"),
            Self::TooSlow => f.write_str("was too slow for what is published"),
            Self::Overloaded => f.write_str("used most of the worker's memory when it ran out"),
            Self::Stopped => f.write_str("cut by the end of the server"),
        }
    }
}
