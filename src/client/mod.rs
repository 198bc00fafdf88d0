//! Floor 2: a blocking client for tests and scripts, the engine of [`proto`](crate) from the other end.
//!
//! One connection, one thread, `std::net`; no TLS, no proxy, no redirect that is followed. Every wait but that for a
//! message has a deadline by default.
//!
//! | file | what |
//! |---|---|
//! | `url.rs` | §3: `ws://host[:port][/path][?query]` |
//! | `error.rs` | [`ClientError`], [`Stage`] |
//! | `message.rs` | [`Message`] |
//! | `keys.rs` | §5.3: masking keys |
//! | `tcp.rs` | a stream with a buffer and deadlines |
//! | `handshake.rs` | §4.1: request, answer, the body of a refusal |
//! | `builder.rs` | [`ClientBuilder`] |
//! | `mod.rs` | [`Client`] |
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

mod builder;
mod error;
mod handshake;
mod keys;
mod message;
mod tcp;
mod url;

use std::{fmt, io, net::SocketAddr, time::Duration};

pub use builder::ClientBuilder;
pub use error::{ClientError, Stage};
pub use message::Message;
pub use url::UrlError;

#[cfg(feature = "deflate")]
use crate::DeflateParams;
use crate::{
    CloseCode, CloseFrame, Connection, Delivery, Established, Limits, Masked, ResponseHead, SendError, Sender, State,
};
use keys::Keys;
use tcp::{Deadline, Tcp};

/// An open connection to a server.
///
/// - Connecting: [`connect`](Self::connect), [`builder`](Self::builder).
/// - Sending: [`send`](Self::send), [`send_text`](Self::send_text), [`send_binary`](Self::send_binary),
///   [`ping`](Self::ping), and by fragments [`send_text_fragment`](Self::send_text_fragment),
///   [`send_binary_fragment`](Self::send_binary_fragment). Each is one frame and, if it is small, one system call.
/// - Receiving: [`receive`](Self::receive), which also answers Pings and the server's Close.
/// - Ending: [`close`](Self::close). A client that is dropped ends TCP without a closing handshake.
/// - Getters: [`subprotocol`](Self::subprotocol), [`response`](Self::response), [`state`](Self::state),
///   [`local_addr`](Self::local_addr), [`peer_addr`](Self::peer_addr).
///
/// Who sends does not read meanwhile. A server that answers what it has not read to the end may therefore wait for us
/// while we wait for it; `write_timeout` ends that.
pub struct Client {
    tcp: Tcp,
    tcp_state: TcpState,
    connection: Connection<Masked<Keys>>,
    subprotocol: Option<String>,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateParams>,
    response: ResponseHead,
    timeouts: Timeouts,
    /// Frames on their way out; empty between calls.
    out: Vec<u8>,
}

/// What may still be done with TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TcpState {
    /// Both directions work.
    Open,
    /// A write failed, perhaps in the middle of a frame. What the server sent before, such as its Close, can be read.
    ReadOnly,
    /// Both directions are ended.
    Ended,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    read: Option<Duration>,
    write: Option<Duration>,
    close: Duration,
}

impl Client {
    /// Connects to a URL such as `ws://localhost:9002/chat?room=1`, all else by default.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub fn connect(url: &str) -> Result<Self, ClientError> {
        Self::builder().connect(url)
    }

    /// Says what to ask for and how long to wait before connecting.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    fn new(tcp: Tcp, established: Established, keys: Keys, limits: Limits, timeouts: Timeouts) -> Self {
        Self {
            tcp,
            tcp_state: TcpState::Open,
            subprotocol: established.subprotocol().map(Into::into),
            #[cfg(feature = "deflate")]
            deflate: established.deflate().copied(),
            response: established.response().clone(),
            connection: established.into_connection(keys, limits, Delivery::Messages),
            timeouts,
            out: Vec::new(),
        }
    }

    /// Sends a message or a control frame. A Close that is sent so does not wait for its answer: the messages before it
    /// can still be received.
    ///
    /// # Errors
    /// [`ClientError::Send`] for what must not be sent, or not now. Nothing is sent then.
    /// [`ClientError::Closed`] once the connection is over. [`Timeout`](ClientError::Timeout),
    /// [`Disconnected`](ClientError::Disconnected) and [`Io`](ClientError::Io) end our direction, while what the
    /// server sent before can still be received.
    pub fn send(&mut self, message: &Message) -> Result<(), ClientError> {
        self.send_with(|sender, out| match message {
            Message::Text(text) => sender.text(text, out),
            Message::Binary(payload) => sender.binary(payload, out),
            Message::Ping(payload) => sender.ping(payload, out),
            Message::Pong(payload) => sender.pong(payload, out),
            Message::Close(frame) => {
                let frame = frame.as_ref().map(|(code, reason)| CloseFrame { code: *code, reason });
                sender.close(frame, out)
            }
        })
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_text(&mut self, text: &str) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.text(text, out))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.binary(payload, out))
    }

    /// Sends a text message as it is, whatever was agreed on; see
    /// [`Sender::text_uncompressed`](crate::Sender::text_uncompressed).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_text_uncompressed(&mut self, text: &str) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.text_uncompressed(text, out))
    }

    /// Sends a binary message as it is, whatever was agreed on.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_binary_uncompressed(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.binary_uncompressed(payload, out))
    }

    /// Sends the next fragment of a text message; the first call begins it, `fin` ends it (§5.4).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_text_fragment(&mut self, text: &str, fin: bool) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.text_fragment(text, fin, out))
    }

    /// Sends the next fragment of a binary message; the first call begins it, `fin` ends it (§5.4).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_binary_fragment(&mut self, payload: &[u8], fin: bool) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.binary_fragment(payload, fin, out))
    }

    /// Sends a Ping with at most 125 bytes. Its Pong is received as [`Message::Pong`].
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.ping(payload, out))
    }

    /// Waits for the next message or control frame, at most for the read timeout.
    ///
    /// A Ping is answered before it is given. So is a Close; then the server has the time of `close_timeout` to end
    /// TCP, as is its part (§7.1.1), and the connection is over.
    ///
    /// # Errors
    /// [`ClientError::Timeout`]: no message came in time. Nothing is lost; try again.
    ///
    /// [`ClientError::Protocol`]: the server broke a rule. Our Close has told it so, and the connection is over.
    ///
    /// [`ClientError::Disconnected`], [`ClientError::Io`]: the connection is over; from then on
    /// [`ClientError::Closed`].
    pub fn receive(&mut self) -> Result<Message, ClientError> {
        let message = self.next_message(Deadline::after(self.timeouts.read), Stage::Receive)?;
        if let Message::Close(_) = message {
            self.wait_for_tcp_end(Deadline::after(Some(self.timeouts.close)));
        }
        Ok(message)
    }

    /// Does the closing handshake ([§7.1.2](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2)): sends our Close,
    /// unless that is done, waits for the server's and for its end of TCP. Messages that still arrive are dropped.
    /// Gives the server's code and reason.
    ///
    /// # Errors
    /// [`ClientError::Send`] for a code or reason that must not be sent: nothing happened. After all else the
    /// connection is over: [`ClientError::Timeout`] where the server's Close did not come in time, else as
    /// [`receive`](Self::receive).
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Option<(CloseCode, String)>, ClientError> {
        let deadline = Deadline::after(Some(self.timeouts.close));
        if self.tcp_state == TcpState::Open && self.connection.sender.is_open() {
            self.connection.sender.close(Some(CloseFrame { code, reason }), &mut self.out)?;
            // Where this fails, the server may have sent its own Close before.
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

    /// The subprotocol that the server chose.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// What was agreed on of permessage-deflate, if anything was.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.deflate.as_ref()
    }

    /// The server's answer to the handshake.
    #[must_use]
    pub fn response(&self) -> &ResponseHead {
        &self.response
    }

    /// Where the connection stands. A connection that ended without closing handshake is [`State::Closed`], too.
    #[must_use]
    pub fn state(&self) -> State {
        match self.tcp_state {
            TcpState::Open | TcpState::ReadOnly => self.connection.state(),
            TcpState::Ended => State::Closed,
        }
    }

    /// Our address.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.stream().local_addr()
    }

    /// The server's address.
    ///
    /// # Errors
    /// What the operating system says, above all where the connection is over.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.stream().peer_addr()
    }

    /// The time in which [`receive`](Self::receive) must give a message, from the next call on; `None` is without end.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.timeouts.read = timeout;
    }

    /// Lets `write` append frames and sends them.
    fn send_with(
        &mut self,
        write: impl FnOnce(&mut Sender<Masked<Keys>>, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), ClientError> {
        if self.tcp_state != TcpState::Open {
            return Err(ClientError::Closed);
        }
        write(&mut self.connection.sender, &mut self.out)?;
        self.flush(Deadline::PerCall(self.timeouts.write), Stage::Send)
    }

    /// Sends what is in `out`.
    fn flush(&mut self, deadline: Deadline, stage: Stage) -> Result<(), ClientError> {
        let written = match self.tcp_state {
            TcpState::Open => self.tcp.write_all(&self.out, deadline),
            TcpState::ReadOnly | TcpState::Ended => Ok(()),
        };
        self.out.clear();
        self.out.shrink_to(MAX_KEPT_OUT_BYTES);
        written.map_err(|error| {
            log::debug!("cannot send any more: {error}");
            self.tcp_state = TcpState::ReadOnly;
            ClientError::from_io(error, stage)
        })
    }

    /// The next message, from what has been read or after reading more. Answers it, and fails the connection.
    fn next_message(&mut self, deadline: Deadline, stage: Stage) -> Result<Message, ClientError> {
        loop {
            if self.tcp_state == TcpState::Ended {
                return Err(ClientError::Closed);
            }
            if let Some(message) = self.parse_message()? {
                return Ok(message);
            }
            match self.tcp.fill(deadline).map_err(|error| ClientError::from_io(error, stage)) {
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

    /// The next message in what has been read, one at a time: those behind it stay there.
    fn parse_message(&mut self) -> Result<Option<Message>, ClientError> {
        loop {
            let mut events = self.connection.receiver.receive(self.tcp.unread());
            let event = match events.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => {
                    self.tcp.keep_last(0);
                    return Ok(None);
                }
                Err(error) => {
                    self.connection.sender.fail(&error, &mut self.out)?;
                    self.fail();
                    return Err(ClientError::Protocol(error));
                }
            };
            let message = Message::from_event(&event);
            if let Some(reply) = event.reply() {
                self.connection.sender.reply(reply, &mut self.out)?;
            }
            let left = events.unread();
            self.tcp.keep_last(left);
            // An answer that cannot be sent makes the message no less received.
            let _ = self.flush(Deadline::PerCall(self.timeouts.write), Stage::Send);
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// _Fails the connection_ (§7.1.7) with the Close that is in `out`: what the server still sends is read and dropped
    /// for a moment, or a reset might overtake our Close.
    fn fail(&mut self) {
        let deadline = Deadline::after(Some(LINGER_TIMEOUT));
        if self.flush(deadline, Stage::Close).is_ok() && self.tcp.finish_writing().is_ok() {
            // That the server stays silent or resets the connection is all the same now.
            let _ = self.tcp.drain(deadline);
        }
        self.end_tcp();
    }

    /// Waits until the server ends TCP. It "SHOULD be closed first by the server, so that it holds the TIME_WAIT state
    /// and not the client" (§7.1.1).
    fn wait_for_tcp_end(&mut self, deadline: Deadline) {
        if let Err(error) = self.tcp.drain(deadline) {
            log::debug!("the server does not end TCP after the closing handshake: {error}");
        }
        self.end_tcp();
    }

    fn end_tcp(&mut self) {
        self.tcp.shutdown();
        self.tcp_state = TcpState::Ended;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("tcp", &self.tcp).field("state", &self.state()).finish_non_exhaustive()
    }
}

/// After a failure, how long what the server still sends is read and dropped.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Room for output that is kept between calls.
const MAX_KEPT_OUT_BYTES: usize = 64 << 10;
