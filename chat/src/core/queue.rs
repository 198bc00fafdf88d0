//! Commands for the core's thread, and the bound on how many wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Instant,
};

use switchboard::ConnectionId;

use super::super::{
    interface::{Callback, Credential, Overloaded, SignInError},
    store::StoreError,
    wire::Incoming,
};

/// A command for the core's thread. `S` is the state that requests run on.
pub(super) enum Command<S> {
    Opened(ConnectionId, Credential),
    Event {
        connection: ConnectionId,
        event: Incoming,
        bytes: usize,
    },
    Closed(ConnectionId),
    Request(Box<dyn AnyRequest<S>>),
    /// The last command.
    Stop,
}

/// A [`Request`] of any type.
pub(super) trait AnyRequest<S>: Send {
    /// Computes the result. Called again if the transaction was rolled back.
    fn run(&mut self, state: &mut S) -> Result<(), StoreError>;

    /// Calls back with the result, which is now durable, or with an error if the transaction `failed`.
    fn complete(self: Box<Self>, failed: bool);
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

    fn complete(self: Box<Self>, failed: bool) {
        let result = self.result.filter(|_| !failed).unwrap_or(Err(SignInError::Storage));
        (self.callback)(result);
    }
}

/// Returns the two ends of a new queue of commands.
pub(super) fn command_queue<S>() -> (CommandSender<S>, CommandReceiver<S>) {
    let (sender, receiver) = channel();
    let waiting = Arc::new(Waiting::default());
    (CommandSender { sender, waiting: Arc::clone(&waiting) }, CommandReceiver { receiver, waiting })
}

/// The sending end of the queue, for any thread.
pub(super) struct CommandSender<S> {
    sender: Sender<Command<S>>,
    waiting: Arc<Waiting>,
}

/// The receiving end of the queue, for the core's thread.
pub(super) struct CommandReceiver<S> {
    receiver: Receiver<Command<S>>,
    waiting: Arc<Waiting>,
}

/// The number of clients' events in the queue, and their size.
#[derive(Debug, Default)]
struct Waiting {
    events: AtomicUsize,
    bytes: AtomicUsize,
}

impl<S> CommandSender<S> {
    /// Sends a command, however many wait. If the thread has ended, the server has ended too, and the command is
    /// dropped.
    pub(super) fn send(&self, command: Command<S>) {
        let _ = self.sender.send(command);
    }

    pub(super) fn request(&self, request: impl AnyRequest<S> + 'static) {
        self.send(Command::Request(Box::new(request)));
    }

    /// Sends an event, unless too many wait already.
    pub(super) fn try_send_event(
        &self,
        connection: ConnectionId,
        event: Incoming,
        bytes: usize,
    ) -> Result<(), (Overloaded, Incoming)> {
        let Waiting { events, bytes: total } = &*self.waiting;
        if events.load(Ordering::Relaxed) >= MAX_WAITING || total.load(Ordering::Relaxed) >= MAX_WAITING_BYTES {
            return Err((Overloaded, event));
        }
        events.fetch_add(1, Ordering::Relaxed);
        total.fetch_add(bytes, Ordering::Relaxed);
        self.send(Command::Event { connection, event, bytes });
        Ok(())
    }
}

// A derived impl would require `S: Clone`.
impl<S> Clone for CommandSender<S> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), waiting: Arc::clone(&self.waiting) }
    }
}

impl<S> CommandReceiver<S> {
    /// Takes all waiting commands, up to a bound. If there are none, waits for one until `deadline`. Returns `None` if
    /// no sender is left.
    pub(super) fn next_batch(&self, deadline: Instant) -> Option<Vec<Command<S>>> {
        let mut batch = Vec::new();
        match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(first) => batch.push(first),
            Err(RecvTimeoutError::Timeout) => return Some(batch),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        batch.extend(self.receiver.try_iter().take(MAX_BATCH - 1));
        for command in &batch {
            if let Command::Event { bytes, .. } = command {
                self.waiting.events.fetch_sub(1, Ordering::Relaxed);
                self.waiting.bytes.fetch_sub(*bytes, Ordering::Relaxed);
            }
        }
        Some(batch)
    }
}

/// Maximum commands in one transaction.
const MAX_BATCH: usize = 1024;
/// Maximum clients' events that wait, and maximum bytes of them. Above either, the next event is refused.
const MAX_WAITING: usize = 16 << 10;
const MAX_WAITING_BYTES: usize = 64 << 20;
