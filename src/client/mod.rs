//! A blocking WebSocket client on `std::net`, for tests, scripts and tools.
//!
//! A [`Client`] is one connection that one thread uses. It checks what the server sends as strictly as the server in
//! this crate checks its clients. It answers Pings and the server's Close by itself, assembles fragmented messages, and
//! offers permessage-deflate if the feature `deflate` is on.
//!
//! With the feature `client-tls` it speaks TLS (`wss://`). It uses a proxy and follows redirects if it is asked to.
//!
//! ```no_run
//! use switchboard::{CloseCode, client::{Client, Message}};
//!
//! let mut client = Client::connect("ws://localhost:9002/")?;
//! client.send_text("Hello")?;
//! assert_eq!(client.receive()?, Message::Text("Hello".into()));
//! client.close(CloseCode::NORMAL_CLOSURE, "")?;
//! # Ok::<(), switchboard::client::ClientError>(())
//! ```
//!
//! A [`ClientBuilder`] sets header fields, subprotocols, limits and timeouts before it connects:
//!
//! ```no_run
//! use std::time::Duration;
//! use switchboard::client::Client;
//!
//! let client = Client::builder()
//!     .header("Authorization", "Bearer abc")
//!     .subprotocol("chat.v2")
//!     .read_timeout(Some(Duration::from_secs(60)))
//!     .connect("ws://localhost:9002/chat?room=1")?;
//! assert_eq!(client.subprotocol(), Some("chat.v2"));
//! # Ok::<(), switchboard::client::ClientError>(())
//! ```
//!
//! # TLS
//!
//! The feature `client-tls` adds `wss://` by rustls and aws-lc-rs, which needs a C compiler. The server's certificate
//! is always verified: by the authorities that the operating system trusts, or by those given to
//! `ClientBuilder::roots`. There is no switch against it; to test against a server with a certificate of its own, give
//! that certificate to `roots`. TLS 1.2 and 1.3, ALPN `http/1.1`, no early data. Connections of one builder resume its
//! earlier sessions.
#![cfg_attr(
    feature = "client-tls",
    doc = r#"
```no_run
use switchboard::client::Client;

let authority = std::fs::read("company-ca.pem")?;
let mut client = Client::builder().roots(authority).proxy("http://proxy:3128").connect("wss://chat.internal/")?;
client.send_text("Hello")?;
# Ok::<(), Box<dyn std::error::Error>>(())
```
"#
)]
//!
//! # Timeouts
//!
//! | timeout | bounds | default |
//! |---|---|---|
//! | [`connect_timeout`](ClientBuilder::connect_timeout) | all until the connection is open | 10 s |
//! | [`read_timeout`](ClientBuilder::read_timeout) | one call of [`Client::receive`] | none: it waits without limit |
//! | [`write_timeout`](ClientBuilder::write_timeout) | a send during which the server takes no bytes | 30 s |
//! | [`close_timeout`](ClientBuilder::close_timeout) | the closing handshake and the end of TCP together | 5 s |
//!
//! The resolution of a name cannot be interrupted; the system's resolver may take longer than `connect_timeout`.
//!
//! # Errors
//!
//! Every failure is a [`ClientError`]. The error says what is still possible afterwards:
//!
//! | error | afterwards |
//! |---|---|
//! | [`Timeout`](ClientError::Timeout) of [`Stage::Receive`] | nothing is lost; call [`Client::receive`] again |
//! | [`Send`](ClientError::Send) | nothing was sent, and the connection is unchanged |
//! | another error of a send | nothing more can be sent; [`Client::receive`] and [`Client::close`] still work |
//! | another error of [`Client::receive`] or [`Client::close`] | the connection is closed |

// | file | content |
// |---|---|
// | `url.rs` | the URLs that can be connected to |
// | `error.rs` | `ClientError`, `Stage` |
// | `message.rs` | `Message` |
// | `deadline.rs` | how long to wait |
// | `stream.rs` | a transport with a read buffer |
// | `tcp.rs`, `foreign.rs`, `tls/` | the transports: a socket, a stream of the caller's, TLS over either |
// | `proxy/` | tunnels through proxies |
// | `handshake.rs` | §4.1: the request, the response, the body of a refusal |
// | `redirect.rs` | which redirects are followed, and where they lead |
// | `headers.rs` | header fields with credentials |
// | `builder.rs` | `ClientBuilder` |
// | `connect.rs` | `ClientBuilder::connect` |
// | `mod.rs` | `Client` |

mod builder;
mod connect;
mod deadline;
mod error;
mod foreign;
mod handshake;
mod headers;
mod message;
mod proxy;
mod redirect;
mod stream;
mod tcp;
#[cfg(feature = "client-tls")]
mod tls;
mod url;

use std::{
    fmt, io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

pub use crate::UrlError;
pub use builder::ClientBuilder;
pub use error::{ClientError, Stage};
pub use message::Message;
pub use proxy::ProxyError;
pub use redirect::RedirectError;
#[cfg(feature = "client-tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "client-tls")))]
pub use tls::{TlsError, TlsErrorKind};

#[cfg(feature = "deflate")]
use crate::DeflateParams;
use crate::{
    CloseCode, CloseFrame, Delivery, Driver, Established, Limits, Masked, Outgoing, OwnedCloseFrame, RandomKeys,
    ResponseHead, SendError, State,
};
use deadline::Deadline;
use stream::Stream;

/// An open connection to a server.
///
/// - Connecting: [`connect`](Self::connect), [`builder`](Self::builder).
/// - Sending: [`send`](Self::send), [`send_text`](Self::send_text), [`send_binary`](Self::send_binary),
///   [`ping`](Self::ping), and by fragments [`send_text_fragment`](Self::send_text_fragment),
///   [`send_binary_fragment`](Self::send_binary_fragment). Each is one frame and, if it is small, one system call.
/// - Receiving: [`receive`](Self::receive), which also answers Pings and the server's Close.
/// - Closing: [`close`](Self::close). Dropping a client ends TCP without a closing handshake.
/// - Getters: [`subprotocol`](Self::subprotocol), [`response`](Self::response), [`state`](Self::state),
///   [`local_addr`](Self::local_addr), [`peer_addr`](Self::peer_addr), and `deflate` with the feature of that name.
///
/// The client does not read while it sends. A server that answers a message before it has read all of it may therefore
/// wait for the client while the client waits for the server. `write_timeout` ends that.
///
/// ```rust
/// use switchboard::{CloseCode, client::{Client, Message}};
/// # #[cfg(feature = "server")] {
/// # use switchboard::{Config, OriginPolicy, Server, apps::Echo};
/// # let server = Server::bind("127.0.0.1:0".parse()?, Config::default())?.start(|_| Echo::new(OriginPolicy::Any))?;
/// # let url = format!("ws://{}", server.local_addr());
///
/// let mut client = Client::connect(&url)?;
/// client.send_text("Is anybody there?")?;
/// assert_eq!(client.receive()?, Message::from("Is anybody there?"));
/// client.close(CloseCode::NORMAL_CLOSURE, "")?; // and waits for the server's
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client {
    stream: Stream,
    tcp_state: TcpState,
    driver: Driver<Masked<RandomKeys>>,
    subprotocol: Option<String>,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateParams>,
    response: ResponseHead,
    timeouts: Timeouts,
}

/// Which directions of TCP still work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TcpState {
    /// Both directions work.
    Open,
    /// A write failed, perhaps in the middle of a frame. Earlier messages of the server, such as its Close, can be
    /// read.
    ReadOnly,
    /// Both directions have ended.
    Ended,
}

/// The timeouts of an open connection; see the table in the module's documentation.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    read: Option<Duration>,
    write: Option<Duration>,
    close: Duration,
}

impl Client {
    /// Connects to a URL such as `ws://localhost:9002/chat?room=1` with the default settings.
    ///
    /// # Errors
    /// See [`ClientBuilder::connect`].
    pub fn connect(url: &str) -> Result<Self, ClientError> {
        Self::builder().connect(url)
    }

    /// Returns a builder, which sets what the request carries, limits and timeouts.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    fn new(stream: Stream, established: Established, keys: RandomKeys, limits: Limits, timeouts: Timeouts) -> Self {
        Self {
            stream,
            tcp_state: TcpState::Open,
            subprotocol: established.subprotocol().map(Into::into),
            #[cfg(feature = "deflate")]
            deflate: established.deflate().copied(),
            response: established.response().clone(),
            driver: Driver::new(established.into_connection(keys, limits, Delivery::Messages), Vec::new()),
            timeouts,
        }
    }

    /// Sends a message or a control frame.
    ///
    /// Sending a [`Message::Close`] does not wait for the server's Close: [`receive`](Self::receive) still returns the
    /// messages that the server sent before it.
    ///
    /// # Errors
    /// - [`ClientError::Send`]: the message must not be sent, or not now. Nothing is sent.
    /// - [`ClientError::Closed`]: the connection is closed, or an earlier send has failed.
    /// - [`ClientError::Timeout`], [`ClientError::Disconnected`], [`ClientError::Io`]: the message may be sent in part,
    ///   so nothing more can be sent. Messages that the server has sent can still be received.
    pub fn send(&mut self, message: &Message) -> Result<(), ClientError> {
        self.send_with(|mut outgoing| match message {
            Message::Text(text) => outgoing.text(text),
            Message::Binary(payload) => outgoing.binary(payload),
            Message::Ping(payload) => outgoing.ping(payload),
            Message::Pong(payload) => outgoing.pong(payload),
            Message::Close(frame) => outgoing.close(frame.as_ref().map(OwnedCloseFrame::as_borrowed)),
        })
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_text(&mut self, text: &str) -> Result<(), ClientError> {
        self.send_with(|mut outgoing| outgoing.text(text))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.send_with(|mut outgoing| outgoing.binary(payload))
    }

    /// Sends a text message uncompressed, even if permessage-deflate was negotiated; see
    /// [`Sender::text_uncompressed`](crate::Sender::text_uncompressed).
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_text_uncompressed(&mut self, text: &str) -> Result<(), ClientError> {
        self.send_with(|mut outgoing| outgoing.text_uncompressed(text))
    }

    /// Sends a binary message uncompressed, even if permessage-deflate was negotiated; see
    /// [`Sender::binary_uncompressed`](crate::Sender::binary_uncompressed).
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_binary_uncompressed(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.send_with(|mut outgoing| outgoing.binary_uncompressed(payload))
    }

    /// Sends the next fragment of a text message ([§5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4)).
    ///
    /// The first call begins the message; the call with `fin` set ends it.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_text_fragment(&mut self, text: &str, fin: bool) -> Result<(), ClientError> {
        self.send_with(|mut outgoing| outgoing.text_fragment(text, fin))
    }

    /// Sends the next fragment of a binary message ([§5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4)).
    ///
    /// The first call begins the message; the call with `fin` set ends it.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_binary_fragment(&mut self, payload: &[u8], fin: bool) -> Result<(), ClientError> {
        self.send_with(|mut outgoing| outgoing.binary_fragment(payload, fin))
    }

    /// Sends a Ping with a payload of at most 125 bytes. [`receive`](Self::receive) returns the server's Pong.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.send_with(|mut outgoing| outgoing.ping(payload))
    }

    /// Waits for the next message or control frame, at most for `read_timeout`.
    ///
    /// A Ping or a Close is answered before it is returned. After a Close the connection is closed: the client waits at
    /// most `close_timeout` for the server to end TCP ([§7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)),
    /// and then ends it itself.
    ///
    /// # Errors
    /// - [`ClientError::Timeout`]: no complete message came in time. Nothing is lost; call again.
    /// - [`ClientError::Protocol`]: the server broke a rule of the protocol. The client has sent a Close with the
    ///   matching code, and the connection is closed.
    /// - [`ClientError::Disconnected`], [`ClientError::Io`]: the connection is closed.
    /// - [`ClientError::Closed`]: the connection was closed before this call.
    pub fn receive(&mut self) -> Result<Message, ClientError> {
        let message = self.next_message(Deadline::after(self.timeouts.read), Stage::Receive)?;
        if let Message::Close(_) = message {
            self.wait_for_tcp_end(Deadline::after(Some(self.timeouts.close)));
        }
        Ok(message)
    }

    /// Performs the closing handshake ([§7.1.2](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2)) and returns the
    /// server's close code and reason.
    ///
    /// Sends a Close unless one has been sent already, then waits for the server's Close and for its end of TCP, at
    /// most `close_timeout` in all. Messages that arrive before the server's Close are dropped.
    ///
    /// # Errors
    /// - [`ClientError::Send`]: the code or the reason must not be sent. Nothing is sent, and the connection is
    ///   unchanged.
    /// - [`ClientError::Timeout`]: the server's Close did not come in time. The connection is closed.
    /// - All others as for [`receive`](Self::receive).
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Option<OwnedCloseFrame>, ClientError> {
        let deadline = Deadline::after(Some(self.timeouts.close));
        if self.tcp_state == TcpState::Open && self.driver.sender().is_open() {
            self.driver.outgoing().close(Some(CloseFrame { code, reason }))?;
            // If this fails, the server's Close may still be there to read.
            let _ = self.flush(deadline, Stage::Close);
        }
        loop {
            match self.next_message(deadline, Stage::Close) {
                Ok(Message::Close(frame)) => {
                    self.wait_for_tcp_end(deadline);
                    return Ok(frame);
                }
                Ok(_) => {}
                Err(error) => {
                    self.end_tcp();
                    return Err(error);
                }
            }
        }
    }

    /// Returns the subprotocol that the server chose, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the negotiated parameters of permessage-deflate, or `None` if messages are not compressed.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.deflate.as_ref()
    }

    /// Returns the head of the server's response to the opening handshake.
    #[must_use]
    pub fn response(&self) -> &ResponseHead {
        &self.response
    }

    /// Returns the state of the connection. It is [`State::Closed`] also after an end without a closing handshake.
    #[must_use]
    pub fn state(&self) -> State {
        match self.tcp_state {
            TcpState::Open | TcpState::ReadOnly => self.driver.state(),
            TcpState::Ended => State::Closed,
        }
    }

    /// Returns the local address of the connection.
    ///
    /// # Errors
    /// The operating system's error; `Unsupported` for a stream given to [`ClientBuilder::connect_over`].
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket()?.local_addr()
    }

    /// Returns the server's address, or the proxy's.
    ///
    /// # Errors
    /// The operating system's error, usually because the connection is closed; `Unsupported` for a stream given to
    /// [`ClientBuilder::connect_over`].
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket()?.peer_addr()
    }

    /// Sets how long [`receive`](Self::receive) waits, from the next call on; `None` is without limit.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.timeouts.read = timeout;
    }

    fn socket(&self) -> io::Result<&TcpStream> {
        self.stream.socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Lets `send` append frames to the output, and writes them.
    fn send_with(
        &mut self,
        send: impl FnOnce(Outgoing<'_, Masked<RandomKeys>>) -> Result<(), SendError>,
    ) -> Result<(), ClientError> {
        if self.tcp_state != TcpState::Open {
            return Err(ClientError::Closed);
        }
        send(self.driver.outgoing())?;
        self.flush(Deadline::PerCall(self.timeouts.write), Stage::Send)
    }

    /// Writes the output to the stream.
    fn flush(&mut self, deadline: Deadline, stage: Stage) -> Result<(), ClientError> {
        let written = match self.tcp_state {
            TcpState::Open => self.stream.write_all(self.driver.output(), deadline),
            TcpState::ReadOnly | TcpState::Ended => Ok(()),
        };
        self.driver.wrote(self.driver.output().len());
        written.map_err(|error| {
            log::debug!("sending failed, the connection is read-only: {error}");
            self.tcp_state = TcpState::ReadOnly;
            ClientError::from_io(error, stage)
        })
    }

    /// Returns the next message, reading more bytes if necessary. Answers control frames, and fails the connection
    /// after a protocol error.
    fn next_message(&mut self, deadline: Deadline, stage: Stage) -> Result<Message, ClientError> {
        loop {
            if self.tcp_state == TcpState::Ended {
                return Err(ClientError::Closed);
            }
            if let Some(message) = self.parse_message()? {
                return Ok(message);
            }
            match self.stream.fill(deadline).map_err(|error| ClientError::from_io(error, stage)) {
                Ok(0) => {
                    self.end_tcp();
                    return Err(ClientError::Disconnected);
                }
                Ok(_) => {}
                Err(timeout @ ClientError::Timeout(_)) => return Err(timeout),
                Err(error) => {
                    self.end_tcp();
                    return Err(error);
                }
            }
        }
    }

    /// Returns the next message from the bytes already read. Later messages stay in the buffer.
    fn parse_message(&mut self) -> Result<Option<Message>, ClientError> {
        loop {
            let (mut events, mut outgoing) = self.driver.receive(self.stream.unread());
            let message = match events.next_event(&mut outgoing) {
                Ok(Some(event)) => Message::from_event(&event),
                Ok(None) => {
                    self.stream.keep_last(0);
                    return Ok(None);
                }
                Err(error) => {
                    self.end_after_failure();
                    return Err(ClientError::Protocol(error));
                }
            };
            let left = events.unread();
            self.stream.keep_last(left);
            // The message is returned even if its answer cannot be sent.
            let _ = self.flush(Deadline::PerCall(self.timeouts.write), Stage::Send);
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// Ends a connection that has failed (§7.1.7): writes the Close, then reads and drops input for up to
    /// [`LINGER_TIMEOUT`]. Unread input would make the kernel send a reset, which may overtake our Close.
    fn end_after_failure(&mut self) {
        let deadline = Deadline::after(Some(LINGER_TIMEOUT));
        if self.flush(deadline, Stage::Close).is_ok() && self.stream.finish_writing(deadline).is_ok() {
            // Whether the server ends TCP, resets the connection or stays silent makes no difference here.
            let _ = self.stream.drain(deadline);
        }
        self.end_tcp();
    }

    /// Says that nothing more follows, waits until the server ends TCP, then ends it here. §7.1.1: TCP "SHOULD be
    /// closed first by the server, so that it holds the TIME_WAIT state and not the client".
    fn wait_for_tcp_end(&mut self, deadline: Deadline) {
        let ended = if self.tcp_state == TcpState::Open { self.stream.announce_end(deadline) } else { Ok(()) };
        if let Err(error) = ended.and_then(|()| self.stream.drain(deadline)) {
            log::debug!("the server did not end TCP after the closing handshake: {error}");
        }
        self.end_tcp();
    }

    fn end_tcp(&mut self) {
        self.stream.shutdown();
        self.tcp_state = TcpState::Ended;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("stream", &self.stream).field("state", &self.state()).finish_non_exhaustive()
    }
}

/// How long input is read and dropped after the connection has failed.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
