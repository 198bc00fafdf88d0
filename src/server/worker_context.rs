//! The actions of an app that concern no single connection, on the worker that calls it.

use std::time::Duration;

use super::{ConnectionId, Remote, TooManyTimers, hub::Hub, timers::Owner};
use crate::{Message, Prepared};

/// Access to the connections, the topics and the app's own timers on one worker, during a callback.
///
/// What it returns is of this worker: each worker of a server has its own connections. [`Remote::connections`] counts
/// those of all.
///
/// # Examples
/// A game that publishes its state 20 times a second, if anyone looks:
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use switchboard::{App, Context, Handshake, Message, Verdict, WorkerContext};
///
/// struct Game {
///     round: u64,
/// }
///
/// impl App for Game {
///     type Peer = ();
///     type Told = Infallible;
///
///     fn started(&mut self, worker: &mut WorkerContext<'_>) {
///         worker.set_interval(0, Duration::from_millis(50)).expect("the only timer");
///     }
///
///     fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
///         verdict.accept(());
///     }
///
///     fn opened(&mut self, _: &mut (), context: &mut Context<'_>) {
///         context.subscribe("state");
///     }
///
///     fn message(&mut self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
///
///     fn worker_timer(&mut self, _: u32, worker: &mut WorkerContext<'_>) {
///         self.round += 1;
///         if worker.subscribers("state") > 0 {
///             worker.publish("state", Message::Text(&self.round.to_string()));
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct WorkerContext<'a> {
    hub: &'a mut Hub,
}

impl<'a> WorkerContext<'a> {
    pub(super) fn new(hub: &'a mut Hub) -> Self {
        Self { hub }
    }

    /// Lets [`App::worker_timer`](super::App::worker_timer) be called with `name` once, after `delay`: not earlier, and
    /// at most 20 ms later, or at the end of the turn that it falls into. It takes the place of the app's own timer of
    /// the same name, if there is one. A delay of more than a year counts as a year.
    ///
    /// # Errors
    /// [`TooManyTimers`]: 65,536 others are set.
    pub fn set_timer(&mut self, name: u32, delay: Duration) -> Result<(), TooManyTimers> {
        self.hub.timers.set_once(Owner::App, name, delay, self.hub.now)
    }

    /// Lets [`App::worker_timer`](super::App::worker_timer) be called with `name` at each `interval`, rounded to
    /// hundredths of a second, at least one. The times do not drift, and those that a longer turn misses are skipped.
    /// It takes the place of the app's own timer of the same name, if there is one.
    ///
    /// # Errors
    /// [`TooManyTimers`]: 65,536 others are set.
    pub fn set_interval(&mut self, name: u32, interval: Duration) -> Result<(), TooManyTimers> {
        self.hub.timers.set_interval(Owner::App, name, interval, self.hub.now)
    }

    /// Cancels the app's own timer of this name. Does nothing if it is not set.
    pub fn cancel_timer(&mut self, name: u32) {
        self.hub.timers.cancel(Owner::App, name);
    }

    /// Returns the open connections of this worker. Each call looks at all of them.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        let links = &self.hub.links;
        links.keys().filter(|key| links.is_open(*key)).map(|key| self.hub.id(key))
    }

    /// Returns the topics that connections of this worker have subscribed to, in no order, and how many have.
    pub fn topics(&self) -> impl Iterator<Item = (&str, usize)> {
        self.hub.topics.iter()
    }

    /// Returns how many connections of this worker have subscribed to `topic`.
    #[must_use]
    pub fn subscribers(&self, topic: &str) -> usize {
        self.hub.topics.id(topic).map_or(0, |id| self.hub.topics.subscribers(id).len())
    }

    /// Returns the topics that a connection of this worker has subscribed to, in no order; none if it does not exist or
    /// is of another worker.
    pub fn topics_of(&self, id: ConnectionId) -> impl Iterator<Item = &str> {
        let link = self.hub.links.get(id.key).filter(|_| id.worker == self.hub.worker);
        let subscriptions = link.map_or(&[][..], |link| &*link.subscriptions);
        subscriptions.iter().map(|subscription| self.hub.topics.name(subscription.topic))
    }

    /// Returns how many bytes wait for a connection of this worker because the kernel has not taken them, without those
    /// of this turn; `None` if it is not open or is of another worker.
    #[must_use]
    pub fn waiting_bytes(&self, id: ConnectionId) -> Option<usize> {
        let is_open = id.worker == self.hub.worker && self.hub.links.is_open(id.key);
        self.hub.links.get(id.key).filter(|_| is_open).map(|link| link.outbox.len())
    }

    /// Returns how many messages the connections of this worker have missed since it started because they were too
    /// slow: those that [`SlowSubscriber`](super::SlowSubscriber) drops.
    #[must_use]
    pub fn missed_messages(&self) -> u64 {
        self.hub.links.missed_in_all()
    }

    /// Publishes a message to all subscribers of `topic`, on all workers.
    pub fn publish(&mut self, topic: &str, message: Message<'_>) {
        self.hub.publish(topic, message, None, true);
    }

    /// As [`publish`](Self::publish), with a message that is encoded once for any number of topics.
    pub fn publish_prepared(&mut self, topic: &str, message: &Prepared) {
        self.hub.publish_prepared(topic, message, None);
    }

    /// Returns a handle for other threads and later use, as [`Context::remote`](super::Context::remote) does.
    pub fn remote(&mut self) -> Remote {
        self.hub.own_remote()
    }
}
