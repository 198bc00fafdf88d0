//! What other threads do with a reconnecting client.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::outbox::Outbox;
use crate::{
    CloseCode,
    client::{ClientError, Message, Waker},
};

/// Sends by a [`ReconnectingClient`](super::ReconnectingClient), and closes it, from any thread. Clones are the same
/// handle.
#[derive(Clone, Debug)]
pub struct ReconnectingHandle(Arc<Shared>);

impl ReconnectingHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Sends a message or a Ping, or puts it into the queue while there is no connection. A message whose send fails
    /// because the connection is lost is put into the queue as well: the server does not have it as a whole.
    ///
    /// A Close ends the client, as [`close`](Self::close) does.
    ///
    /// Waits while another thread sends, and for the server, each at most the builder's `write_timeout`.
    ///
    /// # Errors
    /// - [`ClientError::QueueFull`]: there is no connection, and no room in the queue.
    /// - [`ClientError::Send`]: the message must not be sent.
    /// - [`ClientError::Closed`]: the client is over for good.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), ClientError> {
        match message.into() {
            Message::Close(frame) => {
                let (code, reason) = frame.unwrap_or((CloseCode::NORMAL_CLOSURE, String::new()));
                self.close(code, &reason);
                Ok(())
            }
            message => self.0.outbox().send(message),
        }
    }

    /// Returns how many messages wait for a connection.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.0.outbox().queued()
    }

    /// Ends the client for good: the closing handshake with this code and reason if there is a connection, which takes
    /// at most the builder's `close_timeout`; at once if the client waits; after at most `connect_timeout` while it
    /// connects. Messages that arrive before the server's Close are dropped. Does not wait. Only the first call counts.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.0.close(code, reason);
    }
}

/// What the handles share with the client.
#[derive(Debug)]
pub(super) struct Shared {
    /// Locked over sends.
    outbox: Mutex<Outbox>,
    /// Locked for moments.
    control: Mutex<Control>,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct Control {
    /// With which code and reason to close, until the client takes them.
    close: Option<(CloseCode, String)>,
    is_closed: bool,
    /// What interrupts the current connection.
    waker: Option<Waker>,
}

impl Shared {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self { outbox: Mutex::new(outbox), control: Mutex::default(), closed: Condvar::new() }
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a new connection, with this waker.
    pub(super) fn opened(&self, waker: Waker) {
        self.control().waker = Some(waker);
    }

    /// The connection is lost, or over.
    pub(super) fn lost(&self) {
        self.control().waker = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.control().is_closed
    }

    /// Returns with which code and reason to close, the first time after [`close`](Self::close).
    pub(super) fn take_close(&self) -> Option<(CloseCode, String)> {
        self.control().close.take()
    }

    /// Waits until this time, without limit if it is `None`, or until the client is closed.
    pub(super) fn wait(&self, until: Option<Instant>) {
        let mut control = self.control();
        while !control.is_closed {
            control = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return,
                Some(left) => self.closed.wait_timeout(control, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.closed.wait(control).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn close(&self, code: CloseCode, reason: &str) {
        let mut control = self.control();
        if !control.is_closed {
            control.is_closed = true;
            control.close = Some((code, reason.to_owned()));
        }
        self.closed.notify_all();
        if let Some(waker) = &control.waker {
            waker.wake();
        }
    }
}
