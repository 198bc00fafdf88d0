//! Commands for the core's thread, and the order in which it takes them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use switchboard::ConnectionId;

use super::{
    super::{
        backlog::{Backlog, EventMemory, Flow},
        interface::{Callback, Credential, SignInError},
        store::{StoreError, UserId},
        wire::{EventError, EventId},
    },
    channel::{Receiver, Sender, channel},
    fair::{FairQueue, Line, Source},
};

/// A command for the core's thread. `S` is the state that it runs on.
pub(super) enum Command<S> {
    Opened(ConnectionId, Credential, Arc<Backlog>),
    Event(ConnectionId, Box<dyn AnyEvent<S>>, Unfinished),
    Closed(ConnectionId, Arc<Backlog>),
    Request(Source, Box<dyn AnyRequest<S>>),
    /// The last command.
    Stop,
}

/// A client's event of any type, decoded.
pub(super) trait AnyEvent<S>: Send {
    fn name(&self) -> &'static str;

    /// Returns the id by which the client waits for a reply.
    fn id(&self) -> Option<&EventId>;

    /// Handles the event. Called again if the transaction was rolled back.
    fn run(&self, state: &mut S, connection: ConnectionId) -> Result<(), StoreError>;
}

/// A [`Request`] of any type.
pub(super) trait AnyRequest<S>: Send {
    /// Computes the result. Called again if the transaction was rolled back.
    fn run(&mut self, state: &mut S) -> Result<(), StoreError>;

    /// Calls back with the result, which is now durable, or with the error with which the transaction failed.
    fn complete(self: Box<Self>, done: Result<(), SignInError>);
}

/// An event's part of its connection's backlog.
pub(super) struct Unfinished {
    pub(super) backlog: Arc<Backlog>,
    pub(super) bytes: usize,
}

/// A request whose result is a `T` or an error.
pub(super) struct Request<T, F> {
    run: F,
    callback: Callback<Result<T, SignInError>>,
    result: Option<Result<T, SignInError>>,
}

impl<T, F> Request<T, F>
where
    T: Send + 'static,
{
    pub(super) fn new<S>(run: F, callback: Callback<Result<T, SignInError>>) -> Self
    where
        F: FnMut(&mut S) -> Result<Result<T, SignInError>, StoreError> + Send + 'static,
    {
        Self { run, callback, result: None }
    }
}

impl<S, T, F> AnyRequest<S> for Request<T, F>
where
    T: Send,
    F: FnMut(&mut S) -> Result<Result<T, SignInError>, StoreError> + Send,
{
    fn run(&mut self, state: &mut S) -> Result<(), StoreError> {
        self.result = Some((self.run)(state)?);
        Ok(())
    }

    fn complete(self: Box<Self>, done: Result<(), SignInError>) {
        let Self { callback, result, .. } = *self;
        callback(done.and_then(|()| result.unwrap_or(Err(SignInError::Storage))));
    }
}

impl<S> Command<S> {
    /// Returns the name under which the time of the command is recorded.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Opened(..) => "<opened>",
            Self::Event(_, event, _) => event.name(),
            Self::Closed(..) => "<closed>",
            Self::Request(..) => "<request>",
            Self::Stop => "<stop>",
        }
    }
}

/// Returns the two ends of a new queue of commands. The events in it may take `event_bytes`.
pub(super) fn command_queue<S>(event_bytes: usize) -> (CommandSender<S>, CommandReceiver<S>) {
    let (sender, receiver) = channel();
    let sender = CommandSender { sender, event_memory: Arc::new(EventMemory::new(event_bytes)) };
    (sender, CommandReceiver { receiver, waiting: FairQueue::new(), batch: FULL_BATCH, is_stopping: false })
}

/// The sending end of the queue, for any thread.
pub(super) struct CommandSender<S> {
    sender: Sender<Command<S>>,
    event_memory: Arc<EventMemory>,
}

/// The receiving end of the queue, for the core's thread. It takes the commands of all sources in turn: see
/// [`FairQueue`].
pub(super) struct CommandReceiver<S> {
    receiver: Receiver<Command<S>>,
    waiting: FairQueue<Command<S>>,
    batch: Batch,
    is_stopping: bool,
}

/// What may still be taken for one transaction.
#[derive(Clone, Copy)]
struct Batch {
    commands: usize,
    time: Duration,
}

impl<S> CommandSender<S> {
    /// Sends a command, however many wait. If the thread has ended, the server has ended too, and the command is
    /// dropped.
    pub(super) fn send(&self, command: Command<S>) {
        self.sender.send(command);
        self.sender.wake();
    }

    pub(super) fn request(&self, source: Source, request: impl AnyRequest<S> + 'static) {
        self.send(Command::Request(source, Box::new(request)));
    }

    /// Returns the backlog of a new connection.
    pub(super) fn backlog(&self, address: std::net::IpAddr) -> Arc<Backlog> {
        Arc::new(Backlog::new(address, Arc::clone(&self.event_memory)))
    }

    /// Sends an event, unless too many wait already. The thread may not see it before a call of [`wake`](Self::wake).
    pub(super) fn send_event(
        &self,
        connection: ConnectionId,
        event: Box<dyn AnyEvent<S>>,
        bytes: usize,
        backlog: &Arc<Backlog>,
    ) -> Result<Flow, (EventError, Option<EventId>)> {
        let Ok(flow) = backlog.begin(bytes) else { return Err((EventError::overloaded(), event.id().cloned())) };
        self.sender.send(Command::Event(connection, event, Unfinished { backlog: Arc::clone(backlog), bytes }));
        Ok(flow)
    }

    /// Wakes the thread if it waits although events were sent.
    pub(super) fn wake(&self) {
        self.sender.wake();
    }
}

// A derived impl would require `S: Clone`.
impl<S> Clone for CommandSender<S> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), event_memory: Arc::clone(&self.event_memory) }
    }
}

impl<S> CommandReceiver<S> {
    /// Waits until there is a command, or until `deadline`, and begins a batch. Returns whether the queue goes on:
    /// after a [`Command::Stop`] it ends when all other commands have been taken.
    pub(super) fn wait(&mut self, deadline: Instant, user_of: impl Fn(ConnectionId) -> Option<UserId>) -> bool {
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
                Command::Request(source, _) => {
                    let source = *source;
                    self.waiting.push(Line::Source(source), command, || source);
                }
                Command::Stop => self.is_stopping = true,
            }
        }
        self.batch = FULL_BATCH;
        !(self.is_stopping && self.waiting.is_empty())
    }

    /// Takes the next command of the batch, and says whom it is for. [`charge`](Self::charge) must be called with its
    /// time.
    pub(super) fn pop(&mut self) -> Option<(Source, Command<S>)> {
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
