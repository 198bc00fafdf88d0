//! The way to the thread, and its bound.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Instant,
};

use super::{
    super::{
        backplane::{Credential, Overloaded, SignInError, Then},
        store::StoreError,
        wire::Incoming,
    },
    keeper::Keeper,
};
use switchboard::ConnectionId;

/// Something for the thread to do.
pub(super) enum Errand {
    Opened(ConnectionId, Credential),
    Event {
        connection: ConnectionId,
        event: Incoming,
        bytes: usize,
    },
    Closed(ConnectionId),
    Question(Box<dyn Ask>),
    /// Nothing comes behind it.
    Stop,
}

/// What requests want to know, whatever its type.
pub(super) trait Ask: Send {
    /// Finds the answer. May be called again, where what was done for it had to be undone.
    fn run(&mut self, keeper: &mut Keeper) -> Result<(), StoreError>;

    /// Gives the answer, which is durable, or says that it cannot be had.
    fn settle(self: Box<Self>, failed: bool);
}

/// A question whose answer is a `T`, or an error.
pub(super) struct Question<T, F> {
    run: F,
    then: Then<Result<T, SignInError>>,
    answer: Option<Result<T, SignInError>>,
}

impl<T, F> Question<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Keeper) -> Result<Result<T, SignInError>, StoreError> + Send + 'static,
{
    pub(super) fn new(run: F, then: Then<Result<T, SignInError>>) -> Self {
        Self { run, then, answer: None }
    }
}

impl<T, F> Ask for Question<T, F>
where
    T: Send,
    F: FnMut(&mut Keeper) -> Result<Result<T, SignInError>, StoreError> + Send,
{
    fn run(&mut self, keeper: &mut Keeper) -> Result<(), StoreError> {
        self.answer = Some((self.run)(keeper)?);
        Ok(())
    }

    fn settle(self: Box<Self>, failed: bool) {
        let answer = self.answer.filter(|_| !failed).unwrap_or(Err(SignInError::Storage));
        (self.then)(answer);
    }
}

/// Where errands are put.
#[derive(Clone)]
pub(super) struct Inbox {
    sender: Sender<Errand>,
    waiting: Arc<Waiting>,
}

/// Where the thread finds them.
pub(super) struct Errands {
    receiver: Receiver<Errand>,
    waiting: Arc<Waiting>,
}

/// What clients have asked for that is not done yet.
#[derive(Debug, Default)]
struct Waiting {
    events: AtomicUsize,
    bytes: AtomicUsize,
}

impl Inbox {
    pub(super) fn new() -> (Self, Errands) {
        let (sender, receiver) = channel();
        let waiting = Arc::new(Waiting::default());
        (Self { sender, waiting: Arc::clone(&waiting) }, Errands { receiver, waiting })
    }

    /// Puts what must be done, however much there is. Where the thread has ended, so has the server.
    pub(super) fn put(&self, errand: Errand) {
        let _ = self.sender.send(errand);
    }

    pub(super) fn ask(&self, question: impl Ask + 'static) {
        self.put(Errand::Question(Box::new(question)));
    }

    /// Puts an event, unless too much waits already.
    pub(super) fn offer(
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
        self.put(Errand::Event { connection, event, bytes });
        Ok(())
    }
}

impl Errands {
    /// All that waits, up to a bound; waits for something until `deadline`. `None`: nothing will come any more.
    pub(super) fn next_batch(&self, deadline: Instant) -> Option<Vec<Errand>> {
        let mut batch = Vec::new();
        match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(first) => batch.push(first),
            Err(RecvTimeoutError::Timeout) => return Some(batch),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        batch.extend(self.receiver.try_iter().take(MAX_BATCH - 1));
        for errand in &batch {
            if let Errand::Event { bytes, .. } = errand {
                self.waiting.events.fetch_sub(1, Ordering::Relaxed);
                self.waiting.bytes.fetch_sub(*bytes, Ordering::Relaxed);
            }
        }
        Some(batch)
    }
}

/// What is done in one transaction at most.
const MAX_BATCH: usize = 1024;
/// Events of clients that may wait, and their bytes; the next one is refused.
const MAX_WAITING: usize = 16 << 10;
const MAX_WAITING_BYTES: usize = 64 << 20;
