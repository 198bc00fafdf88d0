//! A client that comes back after a loss.
//!
//! | file | content |
//! |---|---|
//! | `loss.rs` | `Loss`: why there is no connection, and whether that may pass |
//! | `queue.rs` | `ReconnectingHandle`, and the queue of messages between it and the client |
//! | `mod.rs` | `ReconnectingClient` |

mod loss;
mod queue;

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use futures_sink::Sink as _;
use switchboard::{Backoff, OwnedCloseFrame, RandomKeys};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep},
};

use crate::{ClientSocket, ClientStream, Config, Error, Message, Request};
pub use loss::Loss;
use queue::Shared;
pub use queue::{ReconnectingHandle, TrySendError, WhenFull};

/// A client that connects again after each loss, with [`Backoff`], until it is closed or the server refuses for good.
///
/// One task awaits [`next`](Self::next) and gets messages and changes of state as [`ReconnectEvent`]s. Any task sends
/// by a [`ReconnectingHandle`].
///
/// ```no_run
/// use switchboard_tokio::{Message, ReconnectEvent, ReconnectingClient, Request};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = ReconnectingClient::new(Request::new("ws://example.com/feed")?)
///     .on_open(|| vec![Message::text("subscribe")]); // first on each new connection
/// let handle = client.handle(); // sends, and closes, from any task
/// while let Some(event) = client.next().await {
///     match event {
///         ReconnectEvent::Message(message) => handle.try_send(message)?,
///         change => eprintln!("{change:?}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// **Delivery.** A message is sent at most once. It waits in a bounded [`queue`](Self::queue) until a connection takes
/// it, which happens while `next` is awaited. If that connection is lost then, the server may not have read it: only an
/// answer of the application tells, and [`on_open`](Self::on_open) is the place to ask for what was missed.
///
/// **For good.** The client ends after [`close`](ReconnectingHandle::close), after a loss that is not
/// [retryable](Loss::is_retryable), and after a Close with another code than 1001, 1011, 1012, 1013 or 1014, or none:
/// [`retry_if`](Self::retry_if) decides otherwise. If it is dropped, whatever it does is cancelled: an attempt, a wait,
/// or the connection, without a Close.
#[must_use]
pub struct ReconnectingClient<S = ClientStream> {
    connect: Box<Connect<S>>,
    backoff: Backoff,
    on_open: Option<Box<dyn FnMut() -> Vec<Message> + Send>>,
    retry_if: Box<dyn Fn(&Loss) -> bool + Send>,
    phase: Phase<S>,
    shared: Arc<Shared>,
}

type Attempt<S> = Pin<Box<dyn Future<Output = Result<ClientSocket<S>, Loss>> + Send>>;
type Connect<S> = dyn FnMut() -> Attempt<S> + Send;

/// What a [`ReconnectingClient`] has received, or has become.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReconnectEvent {
    /// An attempt to connect begins, after so many that have failed in a row.
    Connecting {
        /// The number of failures before.
        failures: u32,
    },
    /// The connection is open.
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

enum Phase<S> {
    /// An attempt is announced next.
    Idle,
    Connecting(Attempt<S>),
    Open(Box<Open<S>>),
    Waiting(Pin<Box<Sleep>>),
    Over,
}

struct Open<S> {
    socket: ClientSocket<S>,
    /// What goes out before the queue.
    first: VecDeque<Message>,
    /// The server's Close, once it has come.
    close: Option<Option<OwnedCloseFrame>>,
}

impl ReconnectingClient {
    /// Prepares a client for this request, with the default [`Config`].
    pub fn new(request: Request) -> Self {
        Self::with_config(Config::new(), request)
    }

    /// Prepares a client for this request.
    pub fn with_config(config: Config, request: Request) -> Self {
        let (config, request) = (Arc::new(config), Arc::new(request));
        Self::connect_by(move || {
            let (config, request) = (Arc::clone(&config), Arc::clone(&request));
            async move { Ok(config.connect(&request).await?) }
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ReconnectingClient<S> {
    /// Prepares a client that connects by this function: over another stream, with a new token for each attempt, or
    /// with a login that has to be answered before anything else is sent. `?` makes a [`Loss`] of a
    /// [`ConnectError`](crate::ConnectError) and of an [`Error`]. The function bounds the time of an attempt, as
    /// [`Config::connect`] does.
    pub fn connect_by<F, A>(mut connect: F) -> Self
    where
        F: FnMut() -> A + Send + 'static,
        A: Future<Output = Result<ClientSocket<S>, Loss>> + Send + 'static,
    {
        Self {
            connect: Box::new(move || Box::pin(connect())),
            backoff: Backoff::new(),
            on_open: None,
            retry_if: Box::new(Loss::is_retryable),
            phase: Phase::Idle,
            shared: Arc::new(Shared::new()),
        }
    }

    /// Sets how long to wait before each attempt but the first. Default [`Backoff::new`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how many messages, and how many bytes of them, may wait in the queue, and what happens to the next one.
    /// Default 1,000 messages of 16 MiB together, then [`WhenFull::Refuse`]. Each message counts its payload and 64
    /// bytes.
    pub fn queue(self, max_messages: usize, max_bytes: usize, when_full: WhenFull) -> Self {
        self.shared.set_bounds(max_messages, max_bytes, when_full);
        self
    }

    /// Sends these messages first on each new connection, before the queue: to log in, to subscribe, to ask for what
    /// was missed. A Close among them is not sent.
    pub fn on_open(mut self, hook: impl FnMut() -> Vec<Message> + Send + 'static) -> Self {
        self.on_open = Some(Box::new(hook));
        self
    }

    /// Decides after which losses the client connects again. Default [`Loss::is_retryable`].
    pub fn retry_if(mut self, decide: impl Fn(&Loss) -> bool + Send + 'static) -> Self {
        self.retry_if = Box::new(decide);
        self
    }

    /// Returns what sends and closes from any task.
    #[must_use]
    pub fn handle(&self) -> ReconnectingHandle {
        ReconnectingHandle::new(Arc::clone(&self.shared))
    }

    /// Waits for the next event; `None` after [`ReconnectEvent::Closed`]. Everything happens while this is awaited:
    /// attempts, Pongs, and that messages of the queue are sent.
    ///
    /// **Cancel safe**: an attempt or a wait that has begun goes on with the next call, and no event is lost.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    pub async fn next(&mut self) -> Option<ReconnectEvent> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<ReconnectEvent>> {
        self.shared.register(context.waker());
        loop {
            let is_closed = self.shared.is_closed();
            let event = match &mut self.phase {
                Phase::Over => return Poll::Ready(None),
                // Dropping an attempt or a wait cancels it.
                Phase::Idle | Phase::Connecting(_) | Phase::Waiting(_) if is_closed => self.end(Loss::Cancelled),
                Phase::Idle => {
                    self.phase = Phase::Connecting((self.connect)());
                    ReconnectEvent::Connecting { failures: self.backoff.failures() }
                }
                Phase::Connecting(attempt) => match attempt.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(socket)) => {
                        self.backoff.opened(Instant::now().into_std());
                        let first = self.on_open.as_mut().map_or_else(Vec::new, |hook| hook()).into();
                        self.phase = Phase::Open(Box::new(Open { socket, first, close: None }));
                        ReconnectEvent::Open
                    }
                    Poll::Ready(Err(loss)) => self.lost(loss),
                },
                Phase::Waiting(wait) => match wait.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => {
                        self.phase = Phase::Idle;
                        continue;
                    }
                },
                Phase::Open(open) => match open.poll(context, &self.shared) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(message)) => ReconnectEvent::Message(message),
                    Poll::Ready(Err(loss)) => self.lost(loss),
                },
            };
            return Poll::Ready(Some(event));
        }
    }

    /// Decides what follows a loss.
    fn lost(&mut self, loss: Loss) -> ReconnectEvent {
        if self.shared.is_closed() || !(self.retry_if)(&loss) {
            return self.end(loss);
        }
        let delay = self.backoff.delay(Instant::now().into_std(), loss.wish(), random());
        self.phase = Phase::Waiting(Box::pin(sleep(delay)));
        ReconnectEvent::Waiting { delay, loss }
    }

    fn end(&mut self, loss: Loss) -> ReconnectEvent {
        self.phase = Phase::Over;
        ReconnectEvent::Closed { loss, unsent: self.shared.end() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Open<S> {
    /// Sends what waits, and receives.
    fn poll(&mut self, context: &mut Context<'_>, shared: &Shared) -> Poll<Result<Message, Loss>> {
        self.send(context, shared)?;
        loop {
            match Pin::new(&mut self.socket).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(Message::Close(frame)))) => self.close = Some(frame),
                Poll::Ready(Some(Ok(message))) if message.is_data() => return Poll::Ready(Ok(message)),
                Poll::Ready(Some(Ok(_))) => {}
                // Once there was a Close, that is why the connection has ended.
                Poll::Ready(end) => {
                    let failed = end.and_then(Result::err).unwrap_or(Error::Disconnected);
                    return Poll::Ready(Err(self.close.take().map_or(Loss::Failed(failed), Loss::Closed)));
                }
            }
        }
    }

    /// Gives the connection messages as long as it takes them.
    fn send(&mut self, context: &mut Context<'_>, shared: &Shared) -> Result<(), Error> {
        let mut socket = Pin::new(&mut self.socket);
        while socket.is_open() {
            match socket.as_mut().poll_ready(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(ready) => ready?,
            }
            let message = match self.first.pop_front() {
                Some(Message::Close(_)) => continue,
                Some(message) => message,
                None => match shared.take() {
                    Some(message) => message,
                    None => match shared.take_close() {
                        Some(frame) => Message::Close(Some(frame)),
                        None => return Ok(()),
                    },
                },
            };
            socket.as_mut().start_send(message)?;
        }
        Ok(())
    }
}

/// The events. It ends after [`ReconnectEvent::Closed`].
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for ReconnectingClient<S> {
    type Item = ReconnectEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_event(context)
    }
}

/// Nothing is pinned by value.
impl<S> Unpin for ReconnectingClient<S> {}

impl<S> Drop for ReconnectingClient<S> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl<S> fmt::Debug for ReconnectingClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match &self.phase {
            Phase::Idle | Phase::Connecting(_) => "connecting",
            Phase::Open(_) => "open",
            Phase::Waiting(_) => "waiting",
            Phase::Over => "over",
        };
        f.debug_struct("ReconnectingClient").field("phase", &phase).finish_non_exhaustive()
    }
}

/// Returns a random number, or the greatest if the system has none.
fn random() -> u64 {
    let Ok(mut keys) = RandomKeys::new() else { return u64::MAX };
    let [a, b, c, d, e, f, g, h, ..] = keys.nonce();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}
