//! [`WebSocket`]: a connection in one value.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_sink::Sink;
use switchboard::{CloseCode, CloseFrame, Connection, Masking, Prepared, SendError, Sender, Unmasked};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    Config, Error, Message,
    link::Link,
    reading::Reading,
    split::{SplitSink, SplitStream},
};

/// An open connection over the stream `S`: a [`Stream`] and a [`Sink`] of [`Message`]s.
///
/// A server gets it from [`accept`](crate::accept()), a client from [`connect`](crate::connect); after a handshake by
/// another HTTP library, [`from_upgraded`](Self::from_upgraded) makes one. [`split`](Self::split) gives two tasks a
/// half each.
///
/// ```
/// # async fn echo(stream: tokio::io::DuplexStream) -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = switchboard_tokio::accept(stream).await?;
/// while let Some(message) = socket.next().await {
///     match message? {
///         message if message.is_data() => socket.send(message).await?,
///         _ => {} // a Ping or a Close, which is answered already
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// **Receiving drives the connection.** Pongs, the answer to a Close, Pings to a silent peer and all deadlines happen
/// while [`next`](Self::next) is awaited, so await it all the time, as in the loop above, or in a task of its own after
/// [`split`](Self::split).
///
/// **Batching.** [`feed`](Self::feed) only encodes; [`next`](Self::next) writes everything before it reads from the
/// stream. So a loop of `next` and `feed` answers all messages of one read in one write. [`send`](Self::send) writes at
/// once.
///
/// **Back pressure.** `feed` and `send` wait while [`Config::max_output_bytes`] or more are not written. A peer whose
/// Pings bring more than 64 KiB of Pongs that it does not read is not read from either.
///
/// **Memory.** An idle connection has no buffers. Input: 128 KiB while a part of it is not processed, and one message of
/// at most [`Limits::max_message_bytes`](switchboard::Limits::max_message_bytes), which exists twice while it is
/// delivered. Output: `max_output_bytes` and one message; Pongs up to 64 KiB and three times one read. The peer cannot
/// keep a large message there for long: see [`Config::message_timeout`]. A server for strangers bounds the number of
/// connections. Each thread keeps up to 1 MiB of buffers for its connections.
///
/// **The end.** After the peer's Close, `next` returns it as [`Message::Close`], with the answer written, and then
/// `None` once the stream has ended. After a violation, `next` returns the error once the Close with the fitting code
/// is written and the stream has ended. Both have the time of [`Config::close_timeout`]. A value that is dropped before
/// sends no Close; the peer sees code 1006.
#[derive(Debug)]
pub struct WebSocket<S, M = Unmasked> {
    reading: Reading,
    link: Link<S, M>,
    subprotocol: Option<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, M: Masking> WebSocket<S, M> {
    /// Takes a connection over whose opening handshake is done: by another HTTP library, with
    /// [`ServerHandshake::into_connection`](switchboard::ServerHandshake::into_connection), or elsewhere.
    ///
    /// `leftover` is what was read after the handshake, the first frames. An upgraded stream that returns these bytes
    /// by itself, such as hyper's, leaves none over. `config` gives the deadlines and the bound of the output; what was
    /// negotiated, and the limits, are in `connection` already.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    pub fn from_upgraded(io: S, leftover: impl Into<Vec<u8>>, connection: Connection<M>, config: &Config) -> Self {
        let Connection { receiver, sender } = connection;
        Self {
            reading: Reading::new(receiver, leftover.into()),
            link: Link::new(io, sender, config),
            subprotocol: None,
        }
    }

    /// Returns the next message; `None` once the connection has ended after a closing handshake, or after an error.
    ///
    /// Received Pings and Closes are answered already.
    ///
    /// **Cancel safe**: a message is returned, or it stays.
    ///
    /// # Errors
    /// [`Error::Protocol`], [`Error::Timeout`], [`Error::Disconnected`], [`Error::Io`]. The connection is over.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|context| self.poll_receive(context)).await
    }

    /// Sends a message and writes it to the stream.
    ///
    /// **Cancellation**: the message is sent or not, never in part. If it is, it is written by a later call of any
    /// method that writes.
    ///
    /// # Errors
    /// [`Error::Send`]: the connection is unchanged. Others: it is over.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Encodes a message, to be written by [`flush`](Self::flush) or before the next read.
    ///
    /// **Cancellation**: the message is not sent.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let message = message.into();
        self.ready().await?;
        self.link.send_message(message)
    }

    /// Sends a message that was encoded once for many connections.
    ///
    /// **Cancellation**: as [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.ready().await?;
        self.link.send(|sender, out| sender.prepared(message, out))?;
        self.flush().await
    }

    /// Sends by a method of the engine's [`Sender`], for what has no method here: fragments, and messages that must not
    /// be compressed. The bytes are written as after [`feed`](Self::feed), and no bound of the output applies.
    ///
    /// ```
    /// # fn send<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    /// #     socket: &mut switchboard_tokio::WebSocket<S>,
    /// # ) -> Result<(), switchboard_tokio::Error> {
    /// socket.encode(|sender, out| sender.text_uncompressed("a secret", out))
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn encode(
        &mut self,
        encode: impl FnOnce(&mut Sender<M>, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.link.send(encode)
    }

    /// Writes everything that was sent, and flushes the stream.
    ///
    /// **Cancel safe**.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Disconnected`], [`Error::Io`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|context| Pin::new(&mut *self).poll_flush(context)).await
    }

    /// Closes the connection (§7.1.2): sends a Close after the messages before it, waits for the peer's, and ends the
    /// stream. Messages that still arrive are dropped; to get them, send [`Message::Close`] and go on receiving.
    ///
    /// If a Close was sent or received before, this only completes the closing handshake.
    ///
    /// **Cancel safe**: once the Close is encoded, which happens at the first poll, a further call goes on.
    ///
    /// # Errors
    /// [`Error::Send`] for a code that must not be sent or a reason of more than 123 bytes: nothing has changed.
    /// [`Error::Timeout`] after [`Config::close_timeout`], and the errors of [`next`](Self::next).
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.link.start_close(CloseFrame { code, reason })?;
        poll_fn(|context| self.poll_drain(context)).await
    }

    /// Returns whether messages can be sent: no Close was sent, which includes the answer to the peer's, and the
    /// connection has not failed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Returns the subprotocol that the server chose; `None` after [`from_upgraded`](Self::from_upgraded).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    pub(crate) fn with_subprotocol(self, subprotocol: Option<String>) -> Self {
        Self { subprotocol, ..self }
    }

    /// Returns the stream, for its getters.
    #[must_use]
    pub fn stream(&self) -> &S {
        self.link.io()
    }

    /// Splits the connection into halves for two tasks. Incoming messages are unmasked, checked and copied without a
    /// lock; the halves share a lock for the stream and the output, which is held for one call of the stream at a time
    /// and never while a task waits.
    #[must_use]
    pub fn split(self) -> (SplitSink<S, M>, SplitStream<S, M>) {
        crate::split::split(self.reading, self.link)
    }

    async fn ready(&mut self) -> Result<(), Error> {
        poll_fn(|context| Pin::new(&mut *self).poll_ready(context)).await
    }

    fn poll_receive(&mut self, context: &Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        self.reading.poll_next(&mut self.link, context)
    }

    /// Receives and drops everything up to the end.
    fn poll_drain(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        while let Some(message) = ready!(self.poll_receive(context)) {
            message?;
        }
        Poll::Ready(Ok(()))
    }
}

/// Nothing is pinned by value.
impl<S, M> Unpin for WebSocket<S, M> {}

impl<S: AsyncRead + AsyncWrite + Unpin, M: Masking> Stream for WebSocket<S, M> {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_receive(context)
    }
}

/// `poll_close` is [`WebSocket::close`] with the code 1000.
impl<S: AsyncRead + AsyncWrite + Unpin, M: Masking> Sink<Message> for WebSocket<S, M> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().link.poll_ready(context)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.get_mut().link.send_message(message)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.link.wakers.sending.register(context.waker());
        self.get_mut().link.poll_flush()
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        this.link.start_close(CloseFrame { code: CloseCode::NORMAL_CLOSURE, reason: "" })?;
        this.poll_drain(context)
    }
}
