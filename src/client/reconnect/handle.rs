//! What other threads do with a reconnecting client.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use super::outbox::Outbox;
use crate::{
    CloseCode, OwnedCloseFrame,
    client::{Client, ClientBuilder, ClientError, Message, Waker},
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
                let frame = frame.unwrap_or_else(|| OwnedCloseFrame::new(CloseCode::NORMAL_CLOSURE, ""));
                self.close(frame.code, &frame.reason);
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
    /// at most the builder's `close_timeout`; at once if the client waits or connects. Messages that arrive before the
    /// server's Close are dropped. Does not wait. Only the first call counts.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.0.close(code, reason);
    }
}

/// The state that the handles share with the client.
#[derive(Debug)]
pub(super) struct Shared {
    /// Locked over sends.
    outbox: Mutex<Outbox>,
    /// Locked for moments.
    control: Mutex<Control>,
    /// The client is closed, or an attempt is over.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Control {
    /// With which code and reason to close, until the client takes them.
    close: Option<(CloseCode, String)>,
    is_closed: bool,
    /// What interrupts the current connection.
    waker: Option<Waker>,
    /// The result of the attempt that was made last, until the client takes it.
    attempt: Option<thread::Result<Result<Client, ClientError>>>,
}

impl Shared {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self { outbox: Mutex::new(outbox), control: Mutex::default(), changed: Condvar::new() }
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
                Some(left) => self.changed.wait_timeout(control, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(control).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Makes an attempt on a thread of its own, and waits until it is over or the client is closed. `None` if it is
    /// closed. The thread ends by itself then, at the latest after the builder's `connect_timeout`, except that the
    /// system may take longer to resolve a name.
    ///
    /// # Panics
    /// If the attempt does.
    pub(super) fn attempt(self: &Arc<Self>, builder: &ClientBuilder, url: &str) -> Option<Result<Client, ClientError>> {
        let (shared, builder, url) = (Arc::clone(self), builder.clone(), url.to_owned());
        let connect = move || shared.finish_attempt(catch_unwind(AssertUnwindSafe(|| builder.connect(&url))));
        if let Err(error) = thread::Builder::new().name("switchboard-connect".to_owned()).spawn(connect) {
            return Some(Err(ClientError::Io(error)));
        }
        let mut control = self.control();
        loop {
            if control.is_closed {
                return None;
            }
            match control.attempt.take() {
                Some(Ok(connected)) => return Some(connected),
                Some(Err(panic)) => {
                    drop(control);
                    resume_unwind(panic)
                }
                None => control = self.changed.wait(control).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn finish_attempt(&self, result: thread::Result<Result<Client, ClientError>>) {
        let mut control = self.control();
        if control.is_closed {
            drop(control); // it ends a connection, which may take a moment
            return;
        }
        control.attempt = Some(result);
        self.changed.notify_all();
    }

    fn close(&self, code: CloseCode, reason: &str) {
        let mut control = self.control();
        if !control.is_closed {
            control.is_closed = true;
            control.close = Some((code, reason.to_owned()));
        }
        self.changed.notify_all();
        if let Some(waker) = &control.waker {
            waker.wake();
        }
    }
}
