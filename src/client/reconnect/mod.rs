//! A client that comes back after a loss.
//!
//! | file | content |
//! |---|---|
//! | `outbox.rs` | the way out: the connection, or a queue while there is none |
//! | `handle.rs` | `ReconnectingHandle`: sends and ends from other threads |
//! | `mod.rs` | `ReconnectingClient` |

mod handle;
mod outbox;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Client, ClientBuilder, ClientError, Message, ReceivingHalf};
use crate::{Backoff, Keepalive, Overdue, OwnedCloseFrame, Wish};
pub use handle::ReconnectingHandle;
use handle::Shared;
pub use outbox::WhenFull;
use outbox::{Outbox, QueueOptions};

/// A client that connects again after each loss, with [`Backoff`], until it is closed or the server refuses for good.
///
/// One thread runs it, by [`run`](Self::run) or [`next`](Self::next), and gets messages and changes of state as
/// [`ReconnectEvent`]s. Any thread sends by a [`ReconnectingHandle`].
///
/// ```no_run
/// use switchboard::client::{Client, ReconnectEvent, ReconnectingClient};
///
/// let mut client = ReconnectingClient::new(Client::builder(), "wss://example.com/feed");
/// client.on_open(|connection| connection.send_text("subscribe")); // on each new connection
/// let handle = client.handle(); // sends, and closes, from any thread
/// client.run(|event| match event {
///     ReconnectEvent::Message(message) => handle.send(message).unwrap_or_else(|error| eprintln!("{error}")),
///     change => eprintln!("{change:?}"),
/// });
/// ```
///
/// **Delivery.** A message is sent at most once. A send to an open connection returns once the system has taken the
/// message; if the connection is then lost, the server may not have read it. Only an answer of the application tells,
/// and
/// [`on_open`](Self::on_open) is the place to ask for what was missed. While there is no connection, messages wait in a
/// bounded queue: see [`queue`](Self::queue).
///
/// **Silence.** After 30 s without a byte the client sends a Ping, and after 60 s it gives the connection up:
/// [`keepalive`](Self::keepalive). The builder's `read_timeout` is not used.
///
/// **For good.** The client ends after [`close`](ReconnectingHandle::close), after an error that is not
/// [retryable](ClientError::is_retryable), and after a Close with another code than 1001, 1011, 1012, 1013 or 1014, or
/// none: [`retry_if`](Self::retry_if) decides otherwise.
///
/// It needs Unix, as a [`Waker`](super::Waker) does.
pub struct ReconnectingClient {
    builder: ClientBuilder,
    url: String,
    backoff: Backoff,
    silence: (Duration, Duration),
    on_open: Option<Box<OnOpen>>,
    retry_if: Box<RetryIf>,
    phase: Phase,
    shared: Arc<Shared>,
}

type OnOpen = dyn FnMut(&mut Client) -> Result<(), ClientError> + Send;
type RetryIf = dyn Fn(&Loss) -> bool + Send;

/// What a [`ReconnectingClient`] has received, or has become.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReconnectEvent {
    /// An attempt to connect begins, after so many that have failed in a row.
    Connecting {
        /// The number of failures before.
        failures: u32,
    },
    /// The connection is open. [`on_open`](ReconnectingClient::on_open) was called, and the queue was sent.
    Open,
    /// A text or binary message.
    Message(Message),
    /// The connection is lost, or an attempt has failed. The next attempt follows after the delay.
    Waiting {
        /// How long the client waits.
        delay: Duration,
        /// Why.
        loss: Loss,
    },
    /// The connection is over for good. No event follows.
    Closed {
        /// Why.
        loss: Loss,
        /// The messages that waited for a connection, in their order.
        unsent: Vec<Message>,
    },
}

/// Why there is no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Loss {
    /// The server has sent a Close, with or without a code: to end the connection, or as the answer to ours.
    Closed(Option<OwnedCloseFrame>),
    /// The connection or the attempt has failed.
    Failed(ClientError),
    /// The server was silent for too long, also after a Ping.
    Silent,
    /// [`close`](ReconnectingHandle::close) was called while there was no connection.
    Cancelled,
}

impl Loss {
    /// Returns whether it makes sense to connect again: see [`ReconnectingClient`].
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Closed(frame) => Backoff::retries_close(frame.as_ref().map(|frame| frame.code)),
            Self::Failed(error) => error.is_retryable(),
            Self::Silent => true,
            Self::Cancelled => false,
        }
    }

    /// Returns what the server wishes about the next attempt.
    fn wish(&self) -> Wish {
        match self {
            Self::Closed(frame) => Wish::of_close(frame.as_ref().map(|frame| frame.code)),
            Self::Failed(error) => error.retry_after().map_or(Wish::None, Wish::After),
            Self::Silent | Self::Cancelled => Wish::None,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(None) => f.write_str("the server closed the connection without a code"),
            Self::Closed(Some(OwnedCloseFrame { code, reason })) if reason.is_empty() => {
                write!(f, "the server closed the connection with code {}", code.get())
            }
            Self::Closed(Some(OwnedCloseFrame { code, reason })) => {
                write!(f, "the server closed the connection with code {}: {}", code.get(), crate::Escaped::new(reason))
            }
            Self::Failed(error) => error.fmt(f),
            Self::Silent => f.write_str("the server was silent for too long"),
            Self::Cancelled => f.write_str("the client was closed"),
        }
    }
}

enum Phase {
    /// An attempt is announced next.
    Idle,
    /// An attempt is made next.
    Connecting,
    Open(Box<(ReceivingHalf, Keepalive)>),
    /// An attempt is announced at this time.
    Waiting(Option<Instant>),
    Over,
}

impl ReconnectingClient {
    /// Prepares a client that connects to this URL with these options, once it runs.
    #[must_use]
    pub fn new(builder: ClientBuilder, url: impl Into<String>) -> Self {
        let options = QueueOptions { max_messages: 1000, max_bytes: 16 << 20, when_full: WhenFull::Refuse };
        Self {
            builder,
            url: url.into(),
            backoff: Backoff::new(),
            silence: (Duration::from_secs(30), Duration::from_secs(60)),
            on_open: None,
            retry_if: Box::new(Loss::is_retryable),
            phase: Phase::Idle,
            shared: Arc::new(Shared::new(Outbox::new(options))),
        }
    }

    /// Sets how long to wait before each attempt but the first. Default [`Backoff::new`].
    pub fn backoff(&mut self, backoff: Backoff) -> &mut Self {
        self.backoff = backoff;
        self
    }

    /// Sets after what silence a Ping is sent, and after what silence the connection is given up. Default 30 s and 60
    /// s.
    pub fn keepalive(&mut self, ping_after: Duration, give_up_after: Duration) -> &mut Self {
        self.silence = (ping_after, give_up_after);
        self
    }

    /// Sets how many messages, and how many bytes of them, wait while there is no connection, and what happens to the
    /// next one. Default 1,000 messages of 16 MiB together, then [`WhenFull::Refuse`]. Each message counts its payload
    /// and 64 bytes. Messages that wait already are dropped.
    pub fn queue(&mut self, max_messages: usize, max_bytes: usize, when_full: WhenFull) -> &mut Self {
        *self.shared.outbox() = Outbox::new(QueueOptions { max_messages, max_bytes, when_full });
        self
    }

    /// Calls this on each new connection, before the queue is sent and before [`ReconnectEvent::Open`]: to log in, to
    /// subscribe, to ask for what was missed. It may also receive, which ends with [`ClientError::Woken`] when the
    /// client is closed. If it fails, so has the attempt.
    pub fn on_open(&mut self, hook: impl FnMut(&mut Client) -> Result<(), ClientError> + Send + 'static) -> &mut Self {
        self.on_open = Some(Box::new(hook));
        self
    }

    /// Decides after which losses the client connects again. Default [`Loss::is_retryable`].
    pub fn retry_if(&mut self, decide: impl Fn(&Loss) -> bool + Send + 'static) -> &mut Self {
        self.retry_if = Box::new(decide);
        self
    }

    /// Returns what sends and closes from any thread.
    #[must_use]
    pub fn handle(&self) -> ReconnectingHandle {
        ReconnectingHandle::new(Arc::clone(&self.shared))
    }

    /// Runs until the connection is over for good. `handle_event` is called in this thread.
    pub fn run(&mut self, mut handle_event: impl FnMut(ReconnectEvent)) {
        while let Some(event) = self.next() {
            handle_event(event);
        }
    }

    /// Waits for the next event. `None` after [`ReconnectEvent::Closed`].
    ///
    /// Pings are answered, and a loss is noticed, within this call only.
    #[expect(clippy::should_implement_trait, reason = "an iterator would promise adapters that stop the Pongs")]
    pub fn next(&mut self) -> Option<ReconnectEvent> {
        loop {
            match &mut self.phase {
                Phase::Over => return None,
                Phase::Idle if self.shared.is_closed() => return Some(self.end(Loss::Cancelled)),
                Phase::Idle => {
                    self.phase = Phase::Connecting;
                    return Some(ReconnectEvent::Connecting { failures: self.backoff.failures() });
                }
                Phase::Connecting => {
                    let attempt = self.shared.attempt(&self.builder, &self.url);
                    let opened = attempt.map(|connected| connected.and_then(|client| self.opened(client)));
                    return Some(match opened {
                        Some(Ok(())) => ReconnectEvent::Open,
                        // Closed while it connected, or while the hook received.
                        None => self.lost(Loss::Cancelled),
                        Some(Err(ClientError::Woken)) if self.shared.is_closed() => self.lost(Loss::Cancelled),
                        Some(Err(error)) => self.lost(Loss::Failed(error)),
                    });
                }
                Phase::Waiting(until) => {
                    self.shared.wait(*until);
                    self.phase = Phase::Idle;
                }
                Phase::Open(connection) => {
                    let (receiving, keepalive) = &mut **connection;
                    let happened = if let Some((code, reason)) = self.shared.take_close() {
                        Err(receiving.close(code, &reason).map_or_else(Loss::Failed, Loss::Closed))
                    } else {
                        receive(receiving, keepalive)
                    };
                    match happened {
                        Ok(None) => {}
                        Ok(Some(message)) => return Some(ReconnectEvent::Message(message)),
                        Err(loss) => return Some(self.lost(loss)),
                    }
                }
            }
        }
    }

    fn opened(&mut self, mut client: Client) -> Result<(), ClientError> {
        self.shared.opened(client.waker().map_err(ClientError::Io)?);
        if let Some(hook) = &mut self.on_open {
            hook(&mut client)?;
        }
        let (receiving, sending) = client.split().map_err(ClientError::Io)?;
        self.shared.outbox().open(sending, || self.shared.is_closed())?;
        let now = Instant::now();
        self.backoff.opened(now);
        let (ping_after, give_up_after) = self.silence;
        let keepalive = Keepalive::new(now).silence(ping_after, give_up_after);
        self.phase = Phase::Open(Box::new((receiving, keepalive)));
        Ok(())
    }

    /// Decides what follows a loss.
    fn lost(&mut self, loss: Loss) -> ReconnectEvent {
        if let Phase::Open(connection) = &self.phase {
            // A thread that waits to send would keep the outbox.
            connection.0.end();
        }
        self.shared.lost();
        if self.shared.is_closed() || !(self.retry_if)(&loss) {
            return self.end(loss);
        }
        self.shared.outbox().lost();
        let now = Instant::now();
        let delay = self.backoff.delay(now, loss.wish(), random());
        self.phase = Phase::Waiting(now.checked_add(delay));
        ReconnectEvent::Waiting { delay, loss }
    }

    fn end(&mut self, loss: Loss) -> ReconnectEvent {
        self.phase = Phase::Over;
        ReconnectEvent::Closed { loss, unsent: self.shared.outbox().end() }
    }
}

impl Drop for ReconnectingClient {
    fn drop(&mut self) {
        if let Phase::Open(connection) = &self.phase {
            connection.0.end();
        }
        self.shared.outbox().end();
    }
}

impl fmt::Debug for ReconnectingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingClient").field("builder", &self.builder).finish_non_exhaustive()
    }
}

/// Waits for a message, at most until something is due.
fn receive(receiving: &mut ReceivingHalf, keepalive: &mut Keepalive) -> Result<Option<Message>, Loss> {
    let now = Instant::now();
    receiving.set_read_timeout(Some(keepalive.next_deadline().saturating_duration_since(now)));
    match receiving.receive() {
        Ok(Message::Close(frame)) => Err(Loss::Closed(frame)),
        Ok(message) => {
            keepalive.heard(Instant::now());
            Ok(message.is_data().then_some(message))
        }
        Err(ClientError::Woken) => Ok(None),
        Err(ClientError::Timeout(_)) => match keepalive.overdue(Instant::now()) {
            Some(Overdue::Ping) => {
                receiving.ping();
                Ok(None)
            }
            Some(Overdue::Silence | Overdue::Message | Overdue::Close) => Err(Loss::Silent),
            None => Ok(None),
        },
        Err(error) => Err(Loss::Failed(error)),
    }
}

/// Returns a random number, or the greatest if the system has none.
fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX)
}
