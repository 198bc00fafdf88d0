//! A blocking WebSocket client on `std::net`, for tests, scripts and tools.
//!
//! A [`Client`] is one connection that one thread uses, or two after [`Client::split`]. It checks what the server sends
//! as strictly as the server in this crate checks its clients. It answers Pings and the server's Close by itself,
//! assembles fragmented messages, and offers permessage-deflate if the feature `deflate` is on.
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
//! A [`ReconnectingClient`] comes back by itself after a loss.
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
//! | [`Timeout`](ClientError::Timeout) of [`Stage::Receive`], [`Woken`](ClientError::Woken) | nothing is lost; call [`Client::receive`] again |
//! | [`Send`](ClientError::Send) | nothing was sent, and the connection is unchanged |
//! | another error of a send | nothing more can be sent; [`Client::receive`] and [`Client::close`] still work |
//! | another error of [`Client::receive`] or [`Client::close`] | the connection is closed |

// | file | content |
// |---|---|
// | `url.rs` | the URLs that can be connected to |
// | `error.rs` | `ClientError`, `Stage` |
// | `message.rs` | `Message` |
// | `retry.rs` | which failures are worth another attempt |
// | `deadline.rs` | how long to wait |
// | `waker.rs` | `Waker`: what interrupts a read |
// | `stream.rs` | a transport with a read buffer |
// | `tcp.rs`, `foreign.rs`, `tls/` | the transports: a socket, a stream of the caller's, TLS over either |
// | `proxy/` | tunnels through proxies |
// | `handshake.rs` | §4.1: the request, the response, the body of a refusal |
// | `redirect.rs` | which redirects are followed, and where they lead |
// | `headers.rs` | header fields with credentials |
// | `builder.rs` | `ClientBuilder` |
// | `connect.rs` | `ClientBuilder::connect` |
// | `link.rs` | what the halves share, and whose turn it is to write |
// | `receiving.rs`, `sending.rs` | `ReceivingHalf`, `SendingHalf` |
// | `reconnect/` | `ReconnectingClient` |
// | `mod.rs` | `Client` |

mod builder;
mod connect;
mod deadline;
mod error;
mod foreign;
mod handshake;
mod headers;
mod link;
mod message;
mod proxy;
mod receiving;
mod reconnect;
mod redirect;
mod retry;
mod sending;
mod stream;
mod tcp;
#[cfg(feature = "client-tls")]
mod tls;
mod url;
mod waker;

use std::{
    fmt, io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

pub use crate::UrlError;
pub use crate::{Backoff, Wish};
pub use builder::ClientBuilder;
pub use error::{ClientError, Stage};
pub use message::Message;
pub use proxy::ProxyError;
pub use receiving::ReceivingHalf;
pub use reconnect::{Loss, ReconnectEvent, ReconnectingClient, ReconnectingHandle, WhenFull};
pub use redirect::RedirectError;
pub use sending::SendingHalf;
#[cfg(feature = "client-tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "client-tls")))]
pub use tls::{TlsError, TlsErrorKind};
pub use waker::Waker;

#[cfg(feature = "deflate")]
use crate::DeflateParams;
use crate::{CloseCode, Connection, Delivery, Established, Limits, OwnedCloseFrame, RandomKeys, ResponseHead, State};
use deadline::Deadline;
use link::Link;
use stream::Stream;

/// An open connection to a server.
///
/// - Connecting: [`connect`](Self::connect), [`builder`](Self::builder).
/// - Sending: [`send`](Self::send), [`send_text`](Self::send_text), [`send_binary`](Self::send_binary),
///   [`ping`](Self::ping), and by fragments [`send_text_fragment`](Self::send_text_fragment),
///   [`send_binary_fragment`](Self::send_binary_fragment). Each is one frame and, if it is small, one system call.
/// - Receiving: [`receive`](Self::receive), which also answers Pings and the server's Close, and
///   [`waker`](Self::waker), which ends it from another thread.
/// - Both at once, in two threads: [`split`](Self::split).
/// - Closing: [`close`](Self::close). Dropping a client ends TCP without a closing handshake.
/// - Getters: [`subprotocol`](Self::subprotocol), [`response`](Self::response), [`state`](Self::state),
///   [`local_addr`](Self::local_addr), [`peer_addr`](Self::peer_addr), and `deflate` with the feature of that name.
///
/// Unless it is split, the client does not read while it sends. A server that answers a message before it has read all
/// of it may therefore wait for the client while the client waits for the server. `write_timeout` ends that.
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
    receiving: ReceivingHalf,
    sending: SendingHalf,
    subprotocol: Option<String>,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateParams>,
    response: ResponseHead,
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
        let subprotocol = established.subprotocol().map(Into::into);
        #[cfg(feature = "deflate")]
        let deflate = established.deflate().copied();
        let response = established.response().clone();
        let Connection { receiver, sender } = established.into_connection(keys, limits, Delivery::Messages);
        let link = Arc::new(Link::new(Arc::clone(stream.transport()), sender, timeouts.write));
        Self {
            receiving: ReceivingHalf::new(stream, receiver, Arc::clone(&link), timeouts),
            sending: SendingHalf::new(link, timeouts.write),
            subprotocol,
            #[cfg(feature = "deflate")]
            deflate,
            response,
        }
    }

    /// Takes the client apart for two threads: one receives, the other sends.
    ///
    /// ```no_run
    /// use std::thread;
    /// use switchboard::client::Client;
    ///
    /// let (mut receiving, mut sending) = Client::connect("ws://localhost:9002/")?.split()?;
    /// let waker = receiving.waker()?; // to end `receive` from here
    /// let received = thread::spawn(move || receiving.receive());
    /// sending.send_text("Hello")?;
    /// println!("{:?}", received.join().expect("the thread has not panicked")?);
    /// # let _ = waker;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `Unsupported` for a stream given to [`ClientBuilder::connect_over`]: it cannot be read and written at the same
    /// time. The client is dropped.
    pub fn split(self) -> io::Result<(ReceivingHalf, SendingHalf)> {
        if self.receiving.link().transport().is_duplex() {
            Ok((self.receiving, self.sending))
        } else {
            Err(io::ErrorKind::Unsupported.into())
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
        self.sending.send(message)
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_text(&mut self, text: &str) -> Result<(), ClientError> {
        self.sending.send_text(text)
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.sending.send_binary(payload)
    }

    /// Sends a text message uncompressed, even if permessage-deflate was negotiated; see
    /// [`Sender::text_uncompressed`](crate::Sender::text_uncompressed).
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_text_uncompressed(&mut self, text: &str) -> Result<(), ClientError> {
        self.sending.send_with(|sender, out| sender.text_uncompressed(text, out))
    }

    /// Sends a binary message uncompressed, even if permessage-deflate was negotiated; see
    /// [`Sender::binary_uncompressed`](crate::Sender::binary_uncompressed).
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_binary_uncompressed(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.sending.send_with(|sender, out| sender.binary_uncompressed(payload, out))
    }

    /// Sends the next fragment of a text message ([§5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4)).
    ///
    /// The first call begins the message; the call with `fin` set ends it.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_text_fragment(&mut self, text: &str, fin: bool) -> Result<(), ClientError> {
        self.sending.send_text_fragment(text, fin)
    }

    /// Sends the next fragment of a binary message ([§5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4)).
    ///
    /// The first call begins the message; the call with `fin` set ends it.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn send_binary_fragment(&mut self, payload: &[u8], fin: bool) -> Result<(), ClientError> {
        self.sending.send_binary_fragment(payload, fin)
    }

    /// Sends a Ping with a payload of at most 125 bytes. [`receive`](Self::receive) returns the server's Pong.
    ///
    /// # Errors
    /// See [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.sending.ping(payload)
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
        self.receiving.receive()
    }

    /// Returns what makes [`receive`](Self::receive) return from another thread.
    ///
    /// # Errors
    /// The operating system's error; `Unsupported` for a stream given to [`ClientBuilder::connect_over`], and on
    /// systems other than Unix.
    pub fn waker(&self) -> io::Result<Waker> {
        self.receiving.waker()
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
        self.receiving.close(code, reason)
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
        let link = self.receiving.link();
        let no_close_was_sent = link.turn(Deadline::PerCall(None)).is_some_and(|turn| turn.is_open());
        match (link.has_ended(), self.receiving.is_open(), no_close_was_sent) {
            (true, _, _) | (false, false, false) => State::Closed,
            (false, true, true) => State::Open,
            (false, true, false) | (false, false, true) => State::Closing,
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
        self.receiving.set_read_timeout(timeout);
    }

    fn socket(&self) -> io::Result<&TcpStream> {
        self.receiving.link().transport().socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("receiving", &self.receiving)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
