//! Commands for the core's thread, and the order in which it takes them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{
        backlog::{Backlog, EventMemory},
        interface::{ClientId, Credential, RequestId},
        store::UserId,
    },
    channel::{Receiver, Sender, channel},
    fair::{FairQueue, Line, Source},
};

/// A command for the core's thread, with an event of type `E` or a request of type `R`.
pub(crate) enum Command<E, R> {
    Opened(ClientId, Credential, Arc<Backlog>),
    Event(ClientId, E, Unfinished),
    Closed(ClientId, Arc<Backlog>),
    Request(Ticket, R),
    /// The last command.
    Stop,
}

/// Where a request waits, and for whom.
pub(crate) struct Ticket {
    pub(crate) id: RequestId,
    pub(crate) line: Line,
    pub(crate) source: Source,
    /// The event for which it is made.
    pub(crate) event: Option<(ClientId, Unfinished)>,
}

/// An event's part of its connection's backlog.
pub(crate) struct Unfinished {
    pub(crate) backlog: Arc<Backlog>,
    /// `None`: the event has left the backlog already.
    pub(crate) bytes: Option<usize>,
}

/// Returns the two ends of a new queue of commands. The events in it may take `event_bytes`.
pub(super) fn command_queue<E, R>(event_bytes: usize) -> (CommandSender<E, R>, CommandReceiver<E, R>) {
    let (sender, receiver) = channel();
    let sender = CommandSender { sender, event_memory: Arc::new(EventMemory::new(event_bytes)) };
    (sender, CommandReceiver { receiver, waiting: FairQueue::new(), batch: FULL_BATCH, is_stopping: false })
}

/// The sending end of the queue, for any thread.
pub(super) struct CommandSender<E, R> {
    sender: Sender<Command<E, R>>,
    event_memory: Arc<EventMemory>,
}

/// The receiving end of the queue, for the core's thread. It takes the commands of all sources in turn: see
/// [`FairQueue`].
pub(super) struct CommandReceiver<E, R> {
    receiver: Receiver<Command<E, R>>,
    waiting: FairQueue<Command<E, R>>,
    batch: Batch,
    is_stopping: bool,
}

/// What may still be taken for one transaction.
#[derive(Clone, Copy)]
struct Batch {
    commands: usize,
    time: Duration,
}

impl<E, R> CommandSender<E, R> {
    /// Sends a command, however many wait. If the thread has ended, the server has ended too, and the command is
    /// dropped.
    pub(super) fn send(&self, command: Command<E, R>) {
        self.sender.send(command);
        self.sender.wake();
    }

    /// Returns the backlog of a new connection.
    pub(super) fn backlog(&self, address: std::net::IpAddr) -> Arc<Backlog> {
        Arc::new(Backlog::new(address, Arc::clone(&self.event_memory)))
    }

    /// Sends a command. The thread may not see it before a call of [`wake`](Self::wake).
    pub(super) fn send_quietly(&self, command: Command<E, R>) {
        self.sender.send(command);
    }

    /// Wakes the thread if it waits although events were sent.
    pub(super) fn wake(&self) {
        self.sender.wake();
    }
}

// A derived impl would require that they are `Clone`.
impl<E, R> Clone for CommandSender<E, R> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), event_memory: Arc::clone(&self.event_memory) }
    }
}

impl<E, R> CommandReceiver<E, R> {
    /// Waits until there is a command, or until `deadline`, and begins a batch. Returns whether the queue goes on:
    /// after a [`Command::Stop`] it ends when all other commands have been taken.
    pub(super) fn wait(&mut self, deadline: Instant, user_of: impl Fn(ClientId) -> Option<UserId>) -> bool {
        let is_idle = self.waiting.is_empty() && !self.is_stopping;
        for command in self.receiver.take(is_idle.then_some(deadline)) {
            match &command {
                Command::Opened(connection, _, backlog)
                | Command::Event(connection, _, Unfinished { backlog, .. })
                | Command::Closed(connection, backlog) => {
                    let (connection, stranger) = (*connection, Source::Stranger(backlog.address()));
                    let source = || user_of(connection).map_or(stranger, Source::User);
                    self.waiting.push(Line::Connection(connection), command, source);
                }
                Command::Request(Ticket { line, source, event, .. }, _) => {
                    let (line, stranger) = (*line, *source);
                    let user = event.as_ref().and_then(|(connection, _)| user_of(*connection));
                    self.waiting.push(line, command, || user.map_or(stranger, Source::User));
                }
                Command::Stop => self.is_stopping = true,
            }
        }
        self.batch = FULL_BATCH;
        !(self.is_stopping && self.waiting.is_empty())
    }

    /// Takes the next command of the batch, and says whom it is for. [`charge`](Self::charge) must be called with its
    /// time.
    pub(super) fn pop(&mut self) -> Option<(Source, Command<E, R>)> {
        if self.batch.commands == 0 || self.batch.time.is_zero() {
            return None;
        }
        let next = self.waiting.pop()?;
        self.batch.commands -= 1;
        Some(next)
    }

    pub(super) fn charge(&mut self, source: Source, took: Duration) {
        self.batch.time = self.batch.time.saturating_sub(took);
        self.waiting.charge(source, took);
    }
}

/// Maximum commands in one transaction, and the time after which it takes no further command: all replies wait for the
/// end of the transaction.
const FULL_BATCH: Batch = Batch { commands: 1024, time: Duration::from_millis(5) };
