//! The actions of an app during a callback for one of its connections.

use std::time::Duration;

use super::{ConnectionId, Remote, SlowSubscriber, TooManyTimers, WorkerContext, hub::Hub, timers::Owner};
use crate::{CloseCode, CloseFrame, Message, Prepared, SendError, reactor::Key};

/// Access to the connection of a callback, and through it to other connections and topics.
///
/// A connection receives messages sent and published here in the order of the calls. Across workers, order holds per
/// publisher only.
///
/// ```rust
/// use switchboard::{CloseCode, Context, Message, SendError};
///
/// /// Is called by `App::message`.
/// fn command(text: &str, context: &mut Context<'_>) -> Result<(), SendError> {
///     match text.split_once(' ') {
///         Some(("join", room)) => context.subscribe(room),
///         Some((room, text)) => context.publish(room, Message::Text(text)),
///         None => context.close(CloseCode::NORMAL_CLOSURE, "bye")?,
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Context<'a> {
    hub: &'a mut Hub,
    key: Key,
    /// Whether messages may be compressed.
    compress: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(hub: &'a mut Hub, key: Key) -> Self {
        Self { hub, key, compress: true }
    }

    #[cfg(feature = "events")]
    pub(crate) fn reborrow(&mut self) -> Context<'_> {
        Context { hub: self.hub, key: self.key, compress: self.compress }
    }

    /// Returns a context whose messages are sent without compression.
    ///
    /// Use it for a message that contains both a secret and text that an attacker may choose: the length of a
    /// compressed message reveals how much the two have in common.
    ///
    /// ```
    /// # use switchboard::{Context, Message};
    /// # fn f(mut context: Context<'_>) {
    /// context.uncompressed().send(Message::Text("a token, and the words of a search"));
    /// # }
    /// ```
    pub fn uncompressed(&mut self) -> Context<'_> {
        Context { hub: self.hub, key: self.key, compress: false }
    }

    /// Returns this connection's id.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.hub.id(self.key)
    }

    /// Sends a message to this connection. Does nothing once it is closing.
    pub fn send(&mut self, message: Message<'_>) {
        self.hub.send(self.key, message, self.compress);
    }

    /// Sends a message to another connection, on any worker. Does nothing if it does not exist.
    /// [`Config::slow_subscriber`](super::Config::slow_subscriber) applies if it is too slow.
    pub fn send_to(&mut self, id: ConnectionId, message: Message<'_>) {
        let prepared = message.to_prepared();
        let message = if self.compress { prepared } else { prepared.uncompressed() };
        if id.worker == self.hub.worker {
            self.hub.send_unsolicited(id.key, &message);
        } else {
            self.hub.own_remote().send(id, message);
        }
    }

    /// As [`send`](Self::send), with a message that is encoded, and compressed, once for any number of connections.
    pub fn send_prepared(&mut self, message: &Prepared) {
        self.hub.answer(self.key, message);
    }

    /// Publishes a message to all subscribers of `topic`, on all workers; to this connection too if it subscribed.
    pub fn publish(&mut self, topic: &str, message: Message<'_>) {
        self.hub.publish(topic, message, None, self.compress);
    }

    /// Publishes a message to all subscribers of `topic`, on all workers, except this connection.
    pub fn publish_to_others(&mut self, topic: &str, message: Message<'_>) {
        self.hub.publish(topic, message, Some(self.key), self.compress);
    }

    /// As [`publish`](Self::publish), with a message that is encoded, and compressed, once for any number of topics.
    pub fn publish_prepared(&mut self, topic: &str, message: &Prepared) {
        self.hub.publish_prepared(topic, message, None);
    }

    /// As [`publish_to_others`](Self::publish_to_others), with a message that is encoded, and compressed, once for any
    /// number of topics.
    pub fn publish_prepared_to_others(&mut self, topic: &str, message: &Prepared) {
        self.hub.publish_prepared(topic, message, Some(self.key));
    }

    /// Subscribes this connection to `topic`: it gets later publications, none from before.
    pub fn subscribe(&mut self, topic: &str) {
        self.hub.subscribe(self.key, topic, None);
    }

    /// As [`subscribe`](Self::subscribe), with a policy of its own for the publications of this topic that have to wait
    /// because the connection is too slow, in place of [`Config::slow_subscriber`](super::Config::slow_subscriber). If
    /// the connection has subscribed already, later publications have this policy.
    ///
    /// ```
    /// # use switchboard::{Context, SlowSubscriber};
    /// # fn f(mut context: Context<'_>) {
    /// // Every message is the whole state of the game: a slow client skips to the latest.
    /// context.subscribe_with("game", SlowSubscriber::Latest);
    /// // Of a log the last lines matter most.
    /// context.subscribe_with("log", SlowSubscriber::DropOldest);
    /// # }
    /// ```
    pub fn subscribe_with(&mut self, topic: &str, policy: SlowSubscriber) {
        self.hub.subscribe(self.key, topic, Some(policy));
    }

    /// Unsubscribes this connection from `topic`.
    pub fn unsubscribe(&mut self, topic: &str) {
        self.hub.unsubscribe(self.key, topic);
    }

    /// Sends a Ping. [`App::pong`](super::App::pong) is called with the same payload when the peer answers, unless
    /// another Ping was sent since (RFC 6455 §5.5.3). Does nothing if the connection is closing.
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`] past 125 bytes.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.hub.ping(self.key, payload)
    }

    /// Lets [`App::timer`](super::App::timer) be called with `name` once, after `delay`: not earlier, and at most 20 ms
    /// later, or at the end of the turn that it falls into. It takes the place of this connection's timer of the same
    /// name, if there is one. A delay of more than a year counts as a year.
    ///
    /// The connection's timers are cancelled with it, and when it begins to close. Does nothing then.
    ///
    /// # Errors
    /// [`TooManyTimers`]: 16 others are set.
    pub fn set_timer(&mut self, name: u32, delay: Duration) -> Result<(), TooManyTimers> {
        if !self.hub.links.is_open(self.key) {
            return Ok(());
        }
        self.hub.timers.set_once(Owner::Connection(self.key), name, delay, self.hub.now)
    }

    /// Lets [`App::timer`](super::App::timer) be called with `name` at each `interval`, rounded to hundredths of a
    /// second, at least one. The times do not drift, and those that a longer turn misses are skipped. Otherwise as
    /// [`set_timer`](Self::set_timer).
    ///
    /// # Errors
    /// [`TooManyTimers`]: 16 others are set.
    pub fn set_interval(&mut self, name: u32, interval: Duration) -> Result<(), TooManyTimers> {
        if !self.hub.links.is_open(self.key) {
            return Ok(());
        }
        self.hub.timers.set_interval(Owner::Connection(self.key), name, interval, self.hub.now)
    }

    /// Cancels this connection's timer of this name. Does nothing if it is not set.
    pub fn cancel_timer(&mut self, name: u32) {
        self.hub.timers.cancel(Owner::Connection(self.key), name);
    }

    /// Lets [`App::drained`](super::App::drained) be called once, as soon as the kernel has taken all that was sent to
    /// this connection: at once if it takes all at the end of this turn. An app that has much to send sends a part at a
    /// time this way, and keeps no more than that in memory.
    pub fn notify_when_drained(&mut self) {
        if self.hub.links.is_open(self.key) {
            self.hub.links.watch(self.key);
        }
    }

    /// Ends this connection at once, without a Close frame and without what waits for it: for a peer that is known to be
    /// gone, or that must not be given a moment more. The app gets no further message, and at the end of the turn
    /// [`App::closed`](super::App::closed) with [`End::Terminated`](super::End::Terminated).
    pub fn terminate(&mut self) {
        self.hub.terminate(self.key);
    }

    /// Begins the closing handshake, after all messages sent so far. The app gets no further message of this
    /// connection. [`App::closed`](super::App::closed) is called once the peer has answered or
    /// [`Config::close_timeout`] has passed.
    ///
    /// # Errors
    /// Returns [`SendError::InvalidCloseCode`], or [`SendError::ReasonTooLong`] past 123 bytes. The connection then
    /// stays open.
    ///
    /// [`Config::close_timeout`]: super::Config::close_timeout
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.hub.close(self.key, Some(CloseFrame { code, reason }))
    }

    /// As [`close`](Self::close), but reads nothing more, not even the peer's Close frame. This is for a peer that goes
    /// on sending whatever it is told: what it sends costs nothing more. The connection ends after
    /// [`Config::close_timeout`] with [`End::NoClose`](super::End::NoClose).
    ///
    /// # Errors
    /// As [`close`](Self::close).
    ///
    /// [`Config::close_timeout`]: super::Config::close_timeout
    pub fn shut(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.hub.shut(self.key, CloseFrame { code, reason })
    }

    /// Stops reading from this connection until [`Remote::resume`]. Deadlines for the peer's silence do not run
    /// meanwhile.
    pub fn pause(&mut self) {
        if let Some(link) = self.hub.links.get_mut(self.key) {
            link.paused = true;
        }
    }

    /// Returns a handle for other threads and later use.
    ///
    /// Its commands travel through the workers' mailboxes. They come after everything published here, but have no fixed
    /// order relative to messages sent here. [`uncompressed`](Self::uncompressed) has no effect on it: pass it
    /// [`Prepared::uncompressed`](crate::Prepared::uncompressed) messages instead.
    pub fn remote(&mut self) -> Remote {
        self.hub.own_remote()
    }

    /// Returns access to the other connections of this worker, to its topics, and to the app's own timers.
    pub fn worker(&mut self) -> WorkerContext<'_> {
        WorkerContext::new(self.hub)
    }
}
