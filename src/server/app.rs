//! A service on this server: [`App`], and the values passed to it.

use std::{fmt, net::SocketAddr};

use super::{ConnectionId, Context, Request, Responder, Verdict, WorkerContext};
use crate::{CloseCode, Message, ProtocolError, Remote, RequestHead, ServerHandshake};

/// A service: one value per worker, used by that worker's thread alone.
///
/// The methods run on the event loop and must not block. Slow work belongs on the app's own threads, such as
/// those of a [`TaskPool`](crate::TaskPool), which respond through [`Responder`], [`Verdict`] or [`Remote`]. A panic exits the process with code 101 (see
/// [`exit_on_panic`](crate::exit_on_panic)).
///
/// # Examples
/// A server that sends each text back in upper case:
///
/// ```rust
/// use std::convert::Infallible;
/// use switchboard::{App, Config, Context, Handshake, Message, Server, Verdict};
///
/// struct Shout;
///
/// impl App for Shout {
///     type Peer = ();
///     type Told = Infallible;
///
///     fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
///         verdict.accept(());
///     }
///
///     fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
///         if let Message::Text(text) = message {
///             context.send(Message::Text(&text.to_uppercase()));
///         }
///     }
/// }
///
/// let server = Server::bind("127.0.0.1:0".parse()?, Config::default())?; // port 0 takes any free one
/// println!("listening on {}", server.local_addr());
/// let running = server.start(|_| Shout)?;
/// # running.stopper().stop();
/// running.join()?; // waits until a `Stopper` stops it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait App: Sized {
    /// The app's own value for each open connection.
    type Peer: Send + 'static;

    /// What other threads tell the app ([`Remote::tell`]), such as an `enum` of events;
    /// [`Infallible`](std::convert::Infallible) if nothing does.
    type Told: Send + 'static;

    /// Called once, on the worker's thread, before all other methods.
    fn started(&mut self, worker: &mut WorkerContext<'_>) {
        let _ = worker;
    }

    /// Called when a client asks to open a connection. The verdict may be given later, from any thread. If it is
    /// dropped, the client gets 500.
    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<Self::Peer>);

    /// Called for each plain HTTP request: GET, HEAD, POST or OPTIONS. The response may be sent later, from any thread.
    /// If the responder is dropped, the client gets 500. The default sends 404.
    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        let _ = request;
        responder.send(super::Response::text(404, "there is nothing here\n"));
    }

    /// Called once a connection is open, before any of its messages.
    fn opened(&mut self, peer: &mut Self::Peer, context: &mut Context<'_>) {
        let _ = (peer, context);
    }

    /// Called for each message. Not called after the app has closed the connection.
    fn message(&mut self, peer: &mut Self::Peer, message: Message<'_>, context: &mut Context<'_>);

    /// Called for what was told about an open connection by [`Remote::tell`] or [`Remote::tell_all`]. Not called after
    /// the app has closed the connection.
    fn told(&mut self, peer: &mut Self::Peer, told: Self::Told, context: &mut Context<'_>) {
        let _ = (peer, told, context);
    }

    /// Called for each Pong, with its payload: that of a Ping that [`Context::ping`] has sent, or an empty one for a
    /// Ping of the server's own. A peer may send Pongs that answer nothing (RFC 6455 §5.5.3). Not called after the app
    /// has closed the connection.
    fn pong(&mut self, peer: &mut Self::Peer, payload: &[u8], context: &mut Context<'_>) {
        let _ = (peer, payload, context);
    }

    /// Called when a timer is due that [`Context::set_timer`] or [`Context::set_interval`] has set for this connection.
    fn timer(&mut self, peer: &mut Self::Peer, name: u32, context: &mut Context<'_>) {
        let _ = (peer, name, context);
    }

    /// Called when one of the app's own timers is due, which [`WorkerContext::set_timer`] or
    /// [`WorkerContext::set_interval`] has set.
    fn worker_timer(&mut self, name: u32, worker: &mut WorkerContext<'_>) {
        let _ = (name, worker);
    }

    /// Called once nothing waits for this connection any more, after [`Context::notify_when_drained`]. Not called after
    /// the app has closed the connection.
    fn drained(&mut self, peer: &mut Self::Peer, context: &mut Context<'_>) {
        let _ = (peer, context);
    }

    /// Called once nothing waits for this connection any more, if it has missed messages because it was too slow:
    /// `count` of them, since the last call or the connection's start ([`SlowSubscriber`](super::SlowSubscriber)). The
    /// app may send what brings it up to date. Not called after the app has closed the connection.
    fn missed(&mut self, peer: &mut Self::Peer, count: u64, context: &mut Context<'_>) {
        let _ = (peer, count, context);
    }

    /// Called in each turn of the event loop after the turn's messages, before publications are written. An app that
    /// passes messages on to another thread may wake that thread here, once for all messages of the turn.
    fn end_of_turn(&mut self) {}

    /// Called when an open connection has ended, once for each call of [`opened`](Self::opened).
    fn closed(&mut self, peer: Self::Peer, id: ConnectionId, end: &End, remote: &Remote) {
        let _ = (peer, id, end, remote);
    }
}

/// A valid opening handshake, for [`App::accept`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Handshake<'a> {
    /// The request's head as received.
    pub request: &'a RequestHead,
    /// The parsed WebSocket fields: Host, Origin, subprotocols.
    pub websocket: &'a ServerHandshake,
    /// The address of the other end of the TCP connection.
    pub peer: SocketAddr,
    /// Whether the connection speaks TLS.
    pub is_tls: bool,
    /// The names in the client's certificate, which was verified: hosts and URIs of its subjectAltName. Empty unless
    /// `TlsBuilder::client_ca` demands a certificate.
    pub client_names: &'a [String],
    /// The id that the connection has once it is open.
    pub id: ConnectionId,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// The closing handshake was completed.
    Closed {
        /// Whether the first Close frame was ours.
        by_us: bool,
        /// The code of the first Close frame; `None` if it had none.
        code: Option<CloseCode>,
    },
    /// The peer broke the protocol.
    Failed(ProtocolError),
    /// The peer ended TCP without a Close frame.
    Vanished,
    /// The TCP connection broke.
    Broken(std::io::ErrorKind),
    /// The peer sent nothing after our Ping within [`Config::idle_timeout`](super::Config::idle_timeout).
    NoPong,
    /// The peer broke the rules of TLS.
    TlsFailed,
    /// The peer did not answer our Close frame within [`Config::close_timeout`](super::Config::close_timeout).
    NoClose,
    /// The peer took too few of the bytes that wait for it, see
    /// [`Config::write_timeout`](super::Config::write_timeout).
    WriteStalled,
    /// The peer stopped in the middle of a message for [`Config::message_timeout`](super::Config::message_timeout).
    MessageStalled,
    /// More than [`Config::max_queued_bytes`](super::Config::max_queued_bytes) waited for the peer, and the policy is
    /// [`Close`](super::SlowSubscriber::Close).
    TooSlow,
    /// The worker reached [`Config::max_worker_bytes`](super::Config::max_worker_bytes), and this connection was
    /// evicted.
    Overloaded,
    /// The app terminated the connection ([`Context::terminate`]).
    Terminated,
    /// The server stopped before the closing handshake was completed.
    Stopped,
}

impl End {
    /// Returns the close code as an application sees it.
    ///
    /// It is the code of the closing handshake, or the code we failed the connection with. It is 1005 for a Close frame
    /// without a code, and 1006 if there was no closing handshake.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        match self {
            Self::Closed { code, .. } => code.unwrap_or(CloseCode::NO_STATUS_RECEIVED),
            Self::Failed(error) => error.close_code(),
            Self::TooSlow | Self::NoPong | Self::MessageStalled => CloseCode::POLICY_VIOLATION,
            Self::Overloaded => CloseCode::TRY_AGAIN_LATER,
            Self::Vanished
            | Self::Broken(_)
            | Self::TlsFailed
            | Self::NoClose
            | Self::WriteStalled
            | Self::Terminated
            | Self::Stopped => CloseCode::ABNORMAL_CLOSURE,
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
            Self::TlsFailed => f.write_str("broke the rules of TLS"),
            Self::NoPong => f.write_str("did not answer a Ping"),
            Self::NoClose => f.write_str("did not answer our Close frame"),
            Self::WriteStalled => f.write_str("took too few bytes for too long"),
            Self::MessageStalled => f.write_str("stopped in the middle of a message"),
            Self::TooSlow => f.write_str("was too slow for what is published"),
            Self::Overloaded => f.write_str("used most of the worker's memory when it ran out"),
            Self::Terminated => f.write_str("terminated by us"),
            Self::Stopped => f.write_str("cut off when the server stopped"),
        }
    }
}
