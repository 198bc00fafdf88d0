//! The queue of messages for the next connection, and the handle that fills it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use atomic_waker::AtomicWaker;
use switchboard::{CloseCode, OwnedCloseFrame};

use crate::Message;

/// What happens to a message that is sent while the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// It is refused with [`TrySendError::Full`].
    #[default]
    Refuse,
    /// It takes the place of the oldest messages in the queue, which are lost.
    DropOldest,
}

/// Why a message was not queued. The message comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError {
    /// The queue has no room for it.
    Full(Message),
    /// It must not be sent: a Ping or Pong of more than 125 bytes, or a Close with a code or reason that is not valid.
    Invalid(Message),
    /// The client is over for good.
    Closed(Message),
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue of messages is full",
            Self::Invalid(_) => "this message must not be sent",
            Self::Closed(_) => "the client is closed",
        })
    }
}

impl std::error::Error for TrySendError {}

/// Sends by a [`ReconnectingClient`](super::ReconnectingClient), and closes it, from any task. Clones are the same
/// handle.
#[derive(Clone)]
pub struct ReconnectingHandle(Arc<Shared>);

impl ReconnectingHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Puts a message or a Ping into the queue, from where the client sends it while it has a connection. Does not
    /// wait. A Close ends the client, as [`close`](Self::close) does.
    ///
    /// # Errors
    /// [`TrySendError`], with the message.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        match message.into() {
            Message::Close(frame) => {
                let close = frame.clone().unwrap_or_else(|| OwnedCloseFrame::new(CloseCode::NORMAL_CLOSURE, ""));
                if self.close(close.code, &close.reason) {
                    Ok(())
                } else {
                    Err(TrySendError::Invalid(Message::Close(frame)))
                }
            }
            message => self.0.push(message),
        }
    }

    /// Returns how many messages wait for a connection.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.0.lock().messages.len()
    }

    /// Ends the client for good. An attempt or a wait ends at once. A connection sends what is in the queue, and then a
    /// Close with this code and reason; the server has [`Config::close_timeout`](crate::Config::close_timeout) for its
    /// own, and messages that arrive before it still come. Only the first call counts.
    ///
    /// Returns whether the code and reason are valid; if they are not, nothing has changed.
    pub fn close(&self, code: CloseCode, reason: &str) -> bool {
        let is_valid = code.may_be_sent() && reason.len() <= MAX_REASON_BYTES;
        if is_valid {
            self.0.close(OwnedCloseFrame::new(code, reason));
        }
        is_valid
    }
}

impl fmt::Debug for ReconnectingHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingHandle").field("queued", &self.queued()).finish_non_exhaustive()
    }
}

/// The state that the handles share with the client.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// The task that awaits the client's events.
    client: AtomicWaker,
}

struct Queue {
    messages: VecDeque<Message>,
    /// The cost of the messages, in bytes.
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
    when_full: WhenFull,
    /// With what to close, until the connection takes it.
    close: Option<OwnedCloseFrame>,
    is_closed: bool,
    is_over: bool,
}

impl Shared {
    pub(super) fn new() -> Self {
        let queue = Queue {
            messages: VecDeque::new(),
            bytes: 0,
            max_messages: 1000,
            max_bytes: 16 << 20,
            when_full: WhenFull::Refuse,
            close: None,
            is_closed: false,
            is_over: false,
        };
        Self { queue: Mutex::new(queue), client: AtomicWaker::new() }
    }

    /// Held for moments.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_bounds(&self, max_messages: usize, max_bytes: usize, when_full: WhenFull) {
        let mut queue = self.lock();
        (queue.max_messages, queue.max_bytes, queue.when_full) = (max_messages, max_bytes, when_full);
    }

    pub(super) fn register(&self, client: &Waker) {
        self.client.register(client);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Takes the oldest message.
    pub(super) fn take(&self) -> Option<Message> {
        self.lock().pop()
    }

    /// Returns with what to close, the first time after [`close`](Self::close).
    pub(super) fn take_close(&self) -> Option<OwnedCloseFrame> {
        self.lock().close.take()
    }

    /// There will be no connection any more. Returns the messages that nobody was sent.
    pub(super) fn end(&self) -> Vec<Message> {
        let mut queue = self.lock();
        (queue.is_over, queue.bytes) = (true, 0);
        queue.messages.drain(..).collect()
    }

    fn push(&self, message: Message) -> Result<(), TrySendError> {
        let mut queue = self.lock();
        let cost = cost(&message);
        if queue.is_over || queue.is_closed {
            return Err(TrySendError::Closed(message));
        }
        if let Message::Ping(payload) | Message::Pong(payload) = &message
            && payload.len() > MAX_CONTROL_BYTES
        {
            return Err(TrySendError::Invalid(message));
        }
        if queue.max_messages == 0 || cost > queue.max_bytes {
            return Err(TrySendError::Full(message));
        }
        while queue.messages.len() >= queue.max_messages || queue.bytes.saturating_add(cost) > queue.max_bytes {
            if queue.when_full == WhenFull::Refuse || queue.pop().is_none() {
                return Err(TrySendError::Full(message));
            }
        }
        queue.bytes += cost;
        queue.messages.push_back(message);
        drop(queue);
        self.client.wake();
        Ok(())
    }

    fn close(&self, frame: OwnedCloseFrame) {
        let mut queue = self.lock();
        if !queue.is_closed {
            queue.is_closed = true;
            queue.close = Some(frame);
        }
        drop(queue);
        self.client.wake();
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= cost(&message);
        Some(message)
    }
}

/// Returns the memory that a message counts, in bytes.
fn cost(message: &Message) -> usize {
    let payload = match message {
        Message::Text(text) => text.len(),
        Message::Binary(payload) | Message::Ping(payload) | Message::Pong(payload) => payload.len(),
        Message::Close(frame) => frame.as_ref().map_or(0, |frame| frame.reason.len()),
    };
    payload.saturating_add(MESSAGE_BYTES)
}

/// The bytes that a message counts besides its payload.
const MESSAGE_BYTES: usize = 64;
/// RFC 6455 §5.5, and the two bytes of the code.
const MAX_CONTROL_BYTES: usize = 125;
const MAX_REASON_BYTES: usize = MAX_CONTROL_BYTES - 2;
