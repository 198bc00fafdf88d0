//! The stream with the engine's sending half: the output, its bound, and the deadlines.
//!
//! Each `poll_` method registers the connection's own waker with the stream. Its caller has registered its task in
//! [`Link::wakers`] before.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use switchboard::{CloseCode, CloseFrame, Keepalive, Masking, Overdue, ProtocolError, Reply, Role, SendError, Sender};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};

use crate::{
    Config, Error, Message, Stage,
    config::Deadlines,
    output::{MAX_SLICES, Output},
    wakers::Wakers,
};

/// The stream of a connection, and what is sent.
#[derive(Debug)]
pub(crate) struct Link<S, M> {
    io: S,
    sender: Sender<M>,
    out: Output,
    /// Whether the stream has taken bytes since it was last flushed.
    needs_flush: bool,
    /// The number of bytes of `out` up to the end of the last reply to the peer.
    until_last_reply: usize,
    /// The number of bytes of replies since none waited.
    reply_bytes: usize,
    max_output_bytes: usize,
    deadlines: Deadlines,
    keepalive: Keepalive,
    timer: Pin<Box<Sleep>>,
    /// Runs while the stream takes no bytes.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Why nothing can be sent any more. Input that has arrived is still read.
    write_error: Option<Error>,
    /// Why the connection is over.
    broken: Option<Error>,
    pub(crate) wakers: Arc<Wakers>,
    waker: Waker,
}

impl<S: AsyncRead + AsyncWrite + Unpin, M: Masking> Link<S, M> {
    pub(crate) fn new(io: S, sender: Sender<M>, config: &Config) -> Self {
        let (wakers, waker) = Wakers::new();
        let keepalive = config.deadlines.keepalive();
        Self {
            io,
            sender,
            out: Output::default(),
            needs_flush: false,
            until_last_reply: 0,
            reply_bytes: 0,
            max_output_bytes: config.max_output_bytes,
            deadlines: config.deadlines,
            timer: Box::pin(sleep_until(keepalive.next_deadline().into())),
            keepalive,
            stalled: None,
            write_error: None,
            broken: None,
            wakers,
            waker,
        }
    }

    pub(crate) fn io(&self) -> &S {
        &self.io
    }

    pub(crate) fn is_open(&self) -> bool {
        self.sender.is_open() && self.broken.is_none()
    }

    /// Waits until less than the bound of the output is left. Registers the task only if it may have to wait: then it
    /// is not woken, beside the one that receives, when input comes.
    pub(crate) fn poll_ready(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        if !self.sender.is_open() {
            return Poll::Ready(Err(SendError::Closed.into()));
        }
        self.check()?;
        if self.out.len() >= self.max_output_bytes {
            self.wakers.sending.register(context.waker());
            let written = self.poll_write()?;
            if written.is_pending() && self.out.len() >= self.max_output_bytes {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Encodes a message into the output.
    pub(crate) fn send(
        &mut self,
        encode: impl FnOnce(&mut Sender<M>, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        if self.sender.is_open() {
            self.check()?;
        }
        self.out.append(|bytes| encode(&mut self.sender, bytes))?;
        if !self.sender.is_open() {
            self.start_closing();
        }
        Ok(())
    }

    /// Encodes a message into the output. A large one of a server is written from where it is.
    pub(crate) fn send_message(&mut self, message: Message) -> Result<(), Error> {
        let is_large = message.payload().len() >= MIN_OWNED_BYTES;
        if is_large && message.is_data() && M::ROLE == Role::Server && self.io.is_write_vectored() {
            if self.sender.is_open() {
                self.check()?;
            }
            return Ok(self.out.append_owned(&mut self.sender, message)?);
        }
        self.send(|sender, out| message.encode(sender, out))
    }

    /// Encodes our Close, unless one was sent before.
    pub(crate) fn start_close(&mut self, frame: CloseFrame<'_>) -> Result<(), Error> {
        match self.send(|sender, out| sender.close(Some(frame), out)) {
            Err(Error::Send(SendError::Closed)) => Ok(()),
            sent => sent,
        }
    }

    /// Encodes what the RFC requires in answer to an event.
    pub(crate) fn reply(&mut self, reply: Reply<'_>) {
        let before = self.out.len();
        let sent = self.out.append(|bytes| self.sender.reply(reply, bytes));
        debug_assert_eq!(sent, Ok(()), "a Vec has room, and an event has a valid reply");
        if self.out.len() > before {
            self.reply_bytes += self.out.len() - before;
            self.until_last_reply = self.out.len();
        }
        if let Reply::Close(_) = reply {
            self.start_closing();
        }
    }

    /// Encodes the Close for the peer's violation.
    pub(crate) fn fail(&mut self, error: &ProtocolError) {
        let sent = self.out.append(|bytes| self.sender.fail(error, bytes));
        debug_assert_eq!(sent, Ok(()), "a Vec has room, and an error has a valid code");
        self.start_closing();
    }

    /// Encodes the Close for a peer that is silent or too slow.
    pub(crate) fn give_up(&mut self, reason: &'static str) {
        if self.sender.is_open() {
            let frame = CloseFrame { code: CloseCode::POLICY_VIOLATION, reason };
            let sent = self.out.append(|bytes| self.sender.close(Some(frame), bytes));
            debug_assert_eq!(sent, Ok(()), "the Close is valid");
        }
        self.start_closing();
    }

    /// Starts the deadline of the closing handshake.
    fn start_closing(&mut self) {
        self.keepalive.closing(Instant::now().into_std());
        self.reset_timer();
        // The task that receives waits for the deadline.
        self.waker.wake_by_ref();
    }

    /// Writes the whole output and flushes the stream.
    pub(crate) fn poll_flush(&mut self) -> Poll<Result<(), Error>> {
        self.check()?;
        ready!(self.poll_write())?;
        if self.needs_flush {
            let mut context = Context::from_waker(&self.waker);
            match Pin::new(&mut self.io).poll_flush(&mut context) {
                Poll::Ready(Ok(())) => self.needs_flush = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail_writing(error.into()))),
                Poll::Pending => return self.poll_stalled(),
            }
            self.stalled = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the whole output within the time of the closing handshake.
    pub(crate) fn poll_flush_closing(&mut self) -> Poll<()> {
        while self.poll_flush().is_pending() {
            if ready!(self.poll_overdue()) == Overdue::Close {
                self.end(Error::Timeout(Stage::Close));
            }
        }
        Poll::Ready(())
    }

    /// Returns why our Close could not be written; nothing if the peer's has come first.
    pub(crate) fn end_of_close(&self) -> Result<(), Error> {
        match self.check() {
            Err(Error::Send(SendError::Closed)) => Ok(()),
            checked => checked,
        }
    }

    /// Writes the whole output.
    fn poll_write(&mut self) -> Poll<Result<(), Error>> {
        while !self.out.is_empty() {
            let (context, io) = (&mut Context::from_waker(&self.waker), Pin::new(&mut self.io));
            let written = if let Some(bytes) = self.out.contiguous() {
                io.poll_write(context, bytes)
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = self.out.slices(&mut slices);
                io.poll_write_vectored(context, &slices[..count])
            };
            match written {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.fail_writing(Error::Disconnected))),
                Poll::Ready(Ok(count)) => self.wrote(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail_writing(error.into()))),
                Poll::Pending => return self.poll_stalled(),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Removes written bytes from the output.
    fn wrote(&mut self, count: usize) {
        self.needs_flush = true;
        self.stalled = None;
        self.out.advance(count);
        self.until_last_reply = self.until_last_reply.saturating_sub(count);
        if self.until_last_reply == 0 {
            self.reply_bytes = 0;
        }
    }

    /// Waits for the deadline of a write.
    fn poll_stalled(&mut self) -> Poll<Result<(), Error>> {
        let Self { stalled, deadlines, waker, .. } = self;
        let timer = stalled.get_or_insert_with(|| Box::pin(sleep(deadlines.write)));
        ready!(timer.as_mut().poll(&mut Context::from_waker(waker)));
        Poll::Ready(Err(self.end(Error::Timeout(Stage::Write))))
    }

    /// Notes the bytes of an unfinished message, before the next read; see [`Keepalive::unfinished`].
    pub(crate) fn note_unfinished(&mut self, buffered: Option<u64>, is_new: bool) {
        self.keepalive.unfinished(buffered, is_new, Instant::now().into_std());
        if Instant::from(self.keepalive.next_deadline()) < self.timer.deadline() {
            self.reset_timer();
        }
    }

    /// Reads by `read` once all replies are written, or few enough wait. Returns the number of bytes; 0 is the end of
    /// the stream.
    ///
    /// # Errors
    /// `Timeout` with `Silence`, `Message` or `Close`, and the errors of the stream.
    pub(crate) fn poll_read(
        &mut self,
        mut read: impl FnMut(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<Result<usize, Error>> {
        if let Some(error) = &self.broken {
            return Poll::Ready(Err(error.copy()));
        }
        loop {
            // An error is kept in `write_error`, or in `broken`.
            let _ = self.poll_flush();
            if let Some(error) = &self.broken {
                return Poll::Ready(Err(error.copy()));
            }
            if (self.reply_bytes < MAX_REPLY_BYTES || self.write_error.is_some())
                && let Poll::Ready(length) = self.poll_read_stream(&mut read)?
            {
                self.keepalive.heard(Instant::now().into_std());
                return Poll::Ready(Ok(length));
            }
            if let Some(error) = &self.write_error {
                let error = error.copy();
                return Poll::Ready(Err(self.end(error)));
            }
            match ready!(self.poll_overdue()) {
                Overdue::Ping => {
                    // Our Close may have been sent meanwhile; then no Ping is needed.
                    let _ = self.out.append(|bytes| self.sender.ping(b"", bytes));
                }
                Overdue::Silence => return Poll::Ready(Err(Error::Timeout(Stage::Silence))),
                Overdue::Message => return Poll::Ready(Err(Error::Timeout(Stage::Message))),
                Overdue::Close => return Poll::Ready(Err(self.end(Error::Timeout(Stage::Close)))),
            }
        }
    }

    fn poll_read_stream(
        &mut self,
        read: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<Result<usize, Error>> {
        let read = read(Pin::new(&mut self.io), &mut Context::from_waker(&self.waker));
        read.map_err(|error| self.end(error.into()))
    }

    fn reset_timer(&mut self) {
        self.timer.as_mut().reset(self.keepalive.next_deadline().into());
    }

    /// Waits until something is due.
    fn poll_overdue(&mut self) -> Poll<Overdue> {
        loop {
            ready!(self.timer.as_mut().poll(&mut Context::from_waker(&self.waker)));
            let overdue = self.keepalive.overdue(Instant::now().into_std());
            self.reset_timer();
            if let Some(overdue) = overdue {
                return Poll::Ready(overdue);
            }
        }
    }

    /// Ends the stream after the last frame: writes the output, then a server ends its side first (§7.1.1). Reads and
    /// drops what still comes until the peer's end, because closing a socket with unread input would send a reset,
    /// which may overtake the output. All of it has the time of the closing handshake.
    pub(crate) fn poll_end(&mut self, is_shut: &mut bool) -> Poll<()> {
        let mut dropped = [0; 1 << 10];
        loop {
            if self.broken.is_some() {
                return Poll::Ready(());
            }
            let ended = match self.poll_flush() {
                Poll::Ready(Ok(())) if M::ROLE == Role::Server && !*is_shut => self.poll_shutdown(is_shut),
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            };
            // A peer that still sends may not read before it has sent all.
            match self.poll_read_stream(|io, context| fill(io, context, &mut dropped)) {
                Poll::Ready(Ok(1..)) if self.keepalive.overdue(Instant::now().into_std()).is_none() => continue,
                Poll::Ready(Ok(0)) if ended.is_ready() => {
                    if M::ROLE == Role::Client && !*is_shut {
                        ready!(self.poll_shutdown(is_shut));
                    }
                    self.end(SendError::Closed.into());
                    return Poll::Ready(());
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) | Poll::Pending => {}
            }
            if ready!(self.poll_overdue()) == Overdue::Close {
                self.end(Error::Timeout(Stage::Close));
                return Poll::Ready(());
            }
        }
    }

    fn poll_shutdown(&mut self, is_shut: &mut bool) -> Poll<()> {
        let ended = Pin::new(&mut self.io).poll_shutdown(&mut Context::from_waker(&self.waker));
        // An error means that the stream has ended already.
        ended.map(|_| *is_shut = true)
    }

    fn check(&self) -> Result<(), Error> {
        match self.broken.as_ref().or(self.write_error.as_ref()) {
            Some(error) => Err(error.copy()),
            None => Ok(()),
        }
    }

    /// Nothing can be sent any more.
    fn fail_writing(&mut self, error: Error) -> Error {
        self.out.clear();
        let copy = error.copy();
        self.write_error.get_or_insert(error);
        copy
    }

    /// The connection is over. Returns the error.
    pub(crate) fn end(&mut self, error: Error) -> Error {
        let copy = error.copy();
        self.out.clear();
        self.broken.get_or_insert(error);
        self.waker.wake_by_ref();
        copy
    }
}

/// Reads into `buffer`. Returns the number of bytes.
pub(crate) fn fill<S: AsyncRead>(
    io: Pin<&mut S>,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    io.poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
}

/// Reads into the spare capacity of `vec`. Returns the number of bytes.
pub(crate) fn append<S: AsyncRead>(
    mut io: Pin<&mut S>,
    context: &mut Context<'_>,
    vec: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    // The future is nothing but the call of `poll_read`: dropped while it waits, it has read nothing.
    pin!(io.read_buf(vec)).poll(context)
}

/// The replies to the peer that may wait before no more is read. One read may add three times its bytes.
const MAX_REPLY_BYTES: usize = 64 << 10;
/// From this length on it is worth it to write a payload from where it is, in bytes.
const MIN_OWNED_BYTES: usize = 4 << 10;
