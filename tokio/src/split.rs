//! The halves of a connection, for two tasks.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_sink::Sink;
use switchboard::{CloseCode, CloseFrame, Masking, Prepared, Unmasked};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Error, Message, link::Link, reading::Reading};

/// The receiving half of a [`WebSocket`](crate::WebSocket), from [`split`](crate::WebSocket::split).
///
/// It drives the connection: Pongs, the answer to a Close and deadlines do not need the other half's task. Once it is
/// dropped, nothing is read any more.
#[derive(Debug)]
pub struct SplitStream<S, M = Unmasked> {
    reading: Reading,
    link: Arc<Mutex<Link<S, M>>>,
}

/// The sending half of a [`WebSocket`](crate::WebSocket), from [`split`](crate::WebSocket::split).
#[derive(Debug)]
pub struct SplitSink<S, M = Unmasked> {
    link: Arc<Mutex<Link<S, M>>>,
}

pub(crate) fn split<S, M>(reading: Reading, link: Link<S, M>) -> (SplitSink<S, M>, SplitStream<S, M>) {
    let link = Arc::new(Mutex::new(link));
    (SplitSink { link: Arc::clone(&link) }, SplitStream { reading, link })
}

impl<S: AsyncRead + AsyncWrite + Unpin, M: Masking> SplitStream<S, M> {
    /// Returns the next message: see [`WebSocket::next`](crate::WebSocket::next). Cancel safe.
    ///
    /// # Errors
    /// As [`WebSocket::next`](crate::WebSocket::next).
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|context| self.reading.poll_next(&mut self.link, context)).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, M: Masking> SplitSink<S, M> {
    /// Sends a message and writes it: see [`WebSocket::send`](crate::WebSocket::send), also for cancellation.
    ///
    /// # Errors
    /// As [`WebSocket::send`](crate::WebSocket::send).
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Encodes a message: see [`WebSocket::feed`](crate::WebSocket::feed), also for cancellation.
    ///
    /// # Errors
    /// As [`WebSocket::send`](crate::WebSocket::send).
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let message = message.into();
        self.ready().await?;
        self.lock().send_message(message)
    }

    /// Sends a message that was encoded once for many connections: see
    /// [`WebSocket::send_prepared`](crate::WebSocket::send_prepared), also for cancellation.
    ///
    /// # Errors
    /// As [`WebSocket::send`](crate::WebSocket::send).
    pub async fn send_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.ready().await?;
        self.lock().send(|sender, out| sender.prepared(message, out))?;
        self.flush().await
    }

    /// Writes everything that was sent. Cancel safe.
    ///
    /// # Errors
    /// As [`WebSocket::flush`](crate::WebSocket::flush).
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|context| Pin::new(&mut *self).poll_flush(context)).await
    }

    /// Sends a Close after the messages before it, and writes it. The receiving half then gets the peer's Close, and
    /// ends the stream. If a Close was sent before, this only writes what waits.
    ///
    /// Cancel safe: once the Close is encoded, which happens at the first poll, a further call goes on.
    ///
    /// # Errors
    /// As [`WebSocket::close`](crate::WebSocket::close).
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.lock().start_close(CloseFrame { code, reason })?;
        poll_fn(|context| self.poll_flush_closing(context)).await
    }

    /// Returns whether messages can be sent: see [`WebSocket::is_open`](crate::WebSocket::is_open).
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lock().is_open()
    }

    async fn ready(&mut self) -> Result<(), Error> {
        poll_fn(|context| Pin::new(&mut *self).poll_ready(context)).await
    }

    /// Registers the task, and locks the other half's access. No call under the lock waits.
    fn register(&self, context: &Context<'_>) -> MutexGuard<'_, Link<S, M>> {
        let link = self.lock();
        link.wakers.sending.register(context.waker());
        link
    }

    fn poll_flush_closing(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        let mut link = self.register(context);
        ready!(link.poll_flush_closing());
        Poll::Ready(link.end_of_close())
    }
}

impl<S, M> SplitSink<S, M> {
    fn lock(&self) -> MutexGuard<'_, Link<S, M>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing is pinned by value.
impl<S, M> Unpin for SplitStream<S, M> {}

impl<S: AsyncRead + AsyncWrite + Unpin, M: Masking> Stream for SplitStream<S, M> {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { reading, link } = self.get_mut();
        reading.poll_next(link, context)
    }
}

/// `poll_close` is [`SplitSink::close`] with the code 1000.
impl<S: AsyncRead + AsyncWrite + Unpin, M: Masking> Sink<Message> for SplitSink<S, M> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.lock().poll_ready(context)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.lock().send_message(message)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.register(context).poll_flush()
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        this.lock().start_close(CloseFrame { code: CloseCode::NORMAL_CLOSURE, reason: "" })?;
        this.poll_flush_closing(context)
    }
}
