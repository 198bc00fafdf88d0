//! The engine's receiving half with its input: one message at a time, and the end of the connection.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use switchboard::{Masking, Receiver};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    Error, Message, Stage,
    buffers::Input,
    link::{self, Link},
};

/// What receives.
#[derive(Debug)]
pub(crate) struct Reading {
    receiver: Receiver,
    input: Input,
    /// Whether the last read went to the message's own buffer, so that it may be whole without further input.
    has_lent: bool,
    /// Whether a message was completed since the last read.
    has_completed: bool,
    /// Whether a message was unfinished at the last read.
    was_unfinished: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Open,
    /// The peer's Close has arrived: it is returned once the answer is written.
    Closing(Message),
    /// Nothing more is received. The error, if any, is returned once the stream has ended.
    Ending {
        error: Option<Error>,
        is_shut: bool,
    },
    Ended,
}

/// Access to the other half: direct, or by a lock if another task has it too.
pub(crate) trait Access<S, M> {
    fn with<R>(&mut self, call: impl FnOnce(&mut Link<S, M>) -> R) -> R;
}

impl<S, M> Access<S, M> for Link<S, M> {
    fn with<R>(&mut self, call: impl FnOnce(&mut Self) -> R) -> R {
        call(self)
    }
}

impl<S, M> Access<S, M> for Arc<Mutex<Link<S, M>>> {
    fn with<R>(&mut self, call: impl FnOnce(&mut Link<S, M>) -> R) -> R {
        call(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reading {
    /// `leftover` is the first input.
    pub(crate) fn new(receiver: Receiver, leftover: Vec<u8>) -> Self {
        let input = leftover.into();
        Self { receiver, input, has_lent: false, has_completed: false, was_unfinished: false, phase: Phase::Open }
    }

    /// Returns the next message; see [`WebSocket::next`](crate::WebSocket::next).
    pub(crate) fn poll_next<S, M>(
        &mut self,
        link: &mut impl Access<S, M>,
        context: &Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        M: Masking,
    {
        link.with(|link| link.wakers.receiving.register(context.waker()));
        loop {
            match &mut self.phase {
                Phase::Open => match self.next_message(link) {
                    Some(Ok(close @ Message::Close(_))) => self.phase = Phase::Closing(close),
                    Some(Ok(message)) => return Poll::Ready(Some(Ok(message))),
                    Some(Err(error)) => self.phase = Phase::ending(Some(error)),
                    None => match ready!(self.poll_input(link)) {
                        Ok(()) => {}
                        Err(error @ Error::Timeout(stage @ (Stage::Silence | Stage::Message))) => {
                            self.receiver.fail();
                            link.with(|link| link.give_up(if stage == Stage::Silence { SILENT } else { TOO_SLOW }));
                            self.phase = Phase::ending(Some(error));
                        }
                        Err(error) => {
                            self.phase = Phase::Ended;
                            return Poll::Ready(Some(Err(error)));
                        }
                    },
                },
                Phase::Closing(_) => {
                    // If the answer cannot be written, the peer has closed all the same.
                    ready!(link.with(Link::poll_flush_closing));
                    if let Phase::Closing(close) = mem::replace(&mut self.phase, Phase::ending(None)) {
                        return Poll::Ready(Some(Ok(close)));
                    }
                }
                Phase::Ending { error, is_shut } => {
                    ready!(link.with(|link| link.poll_end(is_shut)));
                    let error = error.take();
                    self.phase = Phase::Ended;
                    return Poll::Ready(error.map(Err));
                }
                Phase::Ended => return Poll::Ready(None),
            }
        }
    }

    /// Returns the next message of the input that was read, and passes what the RFC requires to the other half.
    fn next_message<S, M>(&mut self, link: &mut impl Access<S, M>) -> Option<Result<Message, Error>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        M: Masking,
    {
        while mem::take(&mut self.has_lent) || !self.input.is_empty() {
            let mut events = self.receiver.receive(self.input.unread());
            let found = match events.next_event() {
                Ok(None) => None,
                Ok(Some(event)) => {
                    if let Some(reply) = event.reply() {
                        link.with(|link| link.reply(reply));
                    }
                    let message = Message::from_event(&event);
                    self.has_completed |= message.as_ref().is_some_and(Message::is_data);
                    message.map(Ok)
                }
                Err(error) => {
                    link.with(|link| link.fail(&error));
                    Some(Err(Error::Protocol(error)))
                }
            };
            let unread = events.unread();
            self.input.keep_last(unread);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Reads once: into the buffer of an unfinished message if that has room, else into one of the thread's.
    fn poll_input<S, M>(&mut self, link: &mut impl Access<S, M>) -> Poll<Result<(), Error>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        M: Masking,
    {
        let is_unfinished = self.receiver.has_unfinished();
        if is_unfinished || self.was_unfinished {
            let buffered = is_unfinished.then(|| self.receiver.buffered_bytes());
            link.with(|link| link.note_unfinished(buffered, self.has_completed));
        }
        (self.was_unfinished, self.has_completed) = (is_unfinished, false);
        let Self { receiver, input, has_lent, .. } = self;
        let read = input.fill(
            |buffer| match receiver.room(buffer) {
                Some(mut room) => {
                    let read = link.with(|link| link.poll_read(|io, context| link::append(io, context, room.vec())));
                    *has_lent = read.is_ready();
                    read.map_ok(|length| (length, room.finish()))
                }
                None => {
                    let read = link.with(|link| link.poll_read(|io, context| link::fill(io, context, buffer)));
                    read.map_ok(|length| (length, length))
                }
            },
            |read| if let Poll::Ready(Ok((_, of_input))) = read { *of_input } else { 0 },
        );
        let (length, _) = ready!(read)?;
        if length == 0 {
            return Poll::Ready(Err(link.with(|link| link.end(Error::Disconnected))));
        }
        Poll::Ready(Ok(()))
    }
}

impl Phase {
    const fn ending(error: Option<Error>) -> Self {
        Self::Ending { error, is_shut: false }
    }
}

/// The reasons of a Close with 1008.
const SILENT: &str = "no answer to a Ping";
const TOO_SLOW: &str = "a message was not finished in time";
