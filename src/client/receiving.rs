//! The receiving half of a client, which also answers what the protocol requires.

use std::{fmt, io, sync::Arc, time::Duration};

use super::{
    ClientError, Message, Stage, Timeouts, Waker,
    deadline::Deadline,
    link::{Link, Turn},
    stream::Stream,
};
use crate::{CloseCode, CloseFrame, OwnedReply, Receiver};

/// The receiving half of a [`Client`](super::Client), from [`Client::split`](super::Client::split).
///
/// It answers Pings and the server's Close. If the [`SendingHalf`](super::SendingHalf) is waiting for the server at
/// that moment, the answer follows its message, and this half goes on receiving. Once this half is dropped, nothing is
/// read or answered any more.
pub struct ReceivingHalf {
    stream: Stream,
    receiver: Receiver,
    link: Arc<Link>,
    timeouts: Timeouts,
}

impl ReceivingHalf {
    pub(super) fn new(stream: Stream, receiver: Receiver, link: Arc<Link>, timeouts: Timeouts) -> Self {
        Self { stream, receiver, link, timeouts }
    }

    /// Waits for the next message or control frame: see [`Client::receive`](super::Client::receive).
    ///
    /// # Errors
    /// See [`Client::receive`](super::Client::receive).
    pub fn receive(&mut self) -> Result<Message, ClientError> {
        if self.link.transport().take_wake() {
            return Err(ClientError::Woken);
        }
        let message = self.next_message(Deadline::or_waker(self.timeouts.read), Stage::Receive);
        match &message {
            Ok(Message::Close(_)) => self.wait_for_tcp_end(Deadline::after(Some(self.timeouts.close))),
            Ok(_) => {}
            Err(ClientError::Woken) => {
                self.link.transport().take_wake();
            }
            Err(_) => {}
        }
        message
    }

    /// Returns what makes [`receive`](Self::receive) return from another thread.
    ///
    /// # Errors
    /// See [`Client::waker`](super::Client::waker).
    pub fn waker(&self) -> io::Result<Waker> {
        self.link.transport().wake().map(Waker)
    }

    /// Sets how long [`receive`](Self::receive) waits, from the next call on; `None` is without limit.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.timeouts.read = timeout;
    }

    /// Returns whether messages can still arrive: the server has sent no Close, and the connection has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.receiver.is_open() && !self.link.has_ended()
    }

    /// Sends a Ping without a payload, unless the other half is sending.
    pub(super) fn ping(&self) {
        if let Some(mut turn) = self.link.turn(Deadline::after(Some(Duration::ZERO))) {
            // If this fails, the next read does.
            let _ = turn.send(|sender, out| sender.ping(b"", out), self.link.reply_deadline(), Stage::Send);
        }
    }

    /// Ends both directions of TCP.
    pub(super) fn end(&self) {
        self.link.end();
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Performs the closing handshake: see [`Client::close`](super::Client::close).
    pub(super) fn close(&mut self, code: CloseCode, reason: &str) -> Result<Option<(CloseCode, String)>, ClientError> {
        let deadline = Deadline::after(Some(self.timeouts.close));
        let mut refused = None;
        if let Some(mut turn) = self.link.turn(deadline)
            && turn.can_write()
            && turn.is_open()
        {
            let close = CloseFrame { code, reason };
            // If the write fails, the server's Close may still be there to read.
            if let Err(error @ ClientError::Send(_)) =
                turn.send(|sender, out| sender.close(Some(close), out), deadline, Stage::Close)
            {
                refused = Some(error);
            }
        }
        if let Some(error) = refused {
            return Err(error);
        }
        loop {
            match self.next_message(deadline, Stage::Close) {
                Ok(Message::Close(frame)) => {
                    self.wait_for_tcp_end(deadline);
                    return Ok(frame);
                }
                Ok(_) => {}
                Err(error) => {
                    self.link.end();
                    return Err(error);
                }
            }
        }
    }

    /// Returns the next message, reading more bytes if necessary. Answers control frames, and fails the connection
    /// after a protocol error.
    fn next_message(&mut self, deadline: Deadline, stage: Stage) -> Result<Message, ClientError> {
        loop {
            if self.link.has_ended() {
                return Err(ClientError::Closed);
            }
            if let Some(message) = self.parse_message()? {
                return Ok(message);
            }
            match self.read(deadline).map_err(|error| ClientError::from_io(error, stage)) {
                Ok(0) => {
                    self.link.end();
                    return Err(ClientError::Disconnected);
                }
                Ok(_) => {}
                Err(error @ (ClientError::Timeout(_) | ClientError::Woken)) => return Err(error),
                Err(error) => {
                    self.link.end();
                    return Err(error);
                }
            }
        }
    }

    /// Reads once: into the buffer of an unfinished message if that has room, else into the stream's. Returns the number
    /// of bytes, 0 at the end of the stream.
    fn read(&mut self, deadline: Deadline) -> io::Result<usize> {
        let (transport, buffer) = self.stream.parts();
        let Some(mut room) = self.receiver.room(buffer) else { return self.stream.fill(deadline) };
        let vec = room.vec();
        let before = vec.len();
        vec.resize(vec.capacity().min(before + MAX_APPENDED_BYTES), 0);
        let read = transport.read(&mut vec[before..], deadline);
        vec.truncate(before + read.as_ref().map_or(0, |&length| length));
        let after = room.finish();
        self.stream.set_unread(after);
        read
    }

    /// Returns the next message from the bytes already read. Later messages stay in the buffer.
    fn parse_message(&mut self) -> Result<Option<Message>, ClientError> {
        loop {
            let mut events = self.receiver.receive(self.stream.unread());
            let (message, reply) = match events.next_event() {
                Ok(Some(event)) => (Message::from_event(&event), OwnedReply::to(&event)),
                Ok(None) => {
                    self.stream.keep_last(0);
                    return Ok(None);
                }
                Err(error) => {
                    self.link.reply(OwnedReply::from(error), Deadline::after(Some(LINGER_TIMEOUT)));
                    self.end_after_failure();
                    return Err(ClientError::Protocol(error));
                }
            };
            let left = events.unread();
            self.stream.keep_last(left);
            if let Some(reply) = reply {
                self.link.reply(reply, self.link.reply_deadline());
            }
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// Ends a connection that has failed (§7.1.7): after the Close, reads and drops input for up to
    /// [`LINGER_TIMEOUT`]. Unread input would make the kernel send a reset, which may overtake our Close.
    fn end_after_failure(&mut self) {
        let deadline = Deadline::after(Some(LINGER_TIMEOUT));
        let transport = self.link.transport();
        let turn = self.link.turn(deadline).filter(Turn::can_write);
        let ended = turn.map(|_turn| transport.finish_writing(deadline));
        if let Some(Ok(())) = ended {
            // Whether the server ends TCP, resets the connection or stays silent makes no difference here.
            let _ = self.stream.drain(deadline);
        }
        self.link.end();
    }

    /// Says that nothing more follows, waits until the server ends TCP, then ends it here. §7.1.1: TCP "SHOULD be
    /// closed first by the server, so that it holds the TIME_WAIT state and not the client".
    fn wait_for_tcp_end(&mut self, deadline: Deadline) {
        let transport = self.link.transport();
        let turn = self.link.turn(deadline).filter(Turn::can_write);
        let ended = turn.map_or(Ok(()), |_turn| transport.announce_end(deadline));
        if let Err(error) = ended.and_then(|()| self.stream.drain(deadline)) {
            log::debug!("the server did not end TCP after the closing handshake: {error}");
        }
        self.link.end();
    }
}

impl fmt::Debug for ReceivingHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivingHalf").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// How long input is read and dropped after the connection has failed.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// How much is read at once of a large message. It is cleared for each read, of which a slow server may need many.
const MAX_APPENDED_BYTES: usize = 64 << 10;
