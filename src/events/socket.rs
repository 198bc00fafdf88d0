//! One connection, as a handler sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{JsonArrays, Parser, ToPeer, acknowledgement::Refused, emitter::topic_of};
use crate::{CloseCode, ConnectionId, Context, Prepared, SendError, TooManyTimers};

/// One connection, for a handler: its sender.
///
/// `S` is the application's own value for each connection ([`Router::with_state`](super::Router::with_state)).
#[derive(Debug)]
pub struct Socket<'a, S = (), P: Parser = JsonArrays> {
    pub(super) context: Context<'a>,
    pub(super) peer: &'a mut Peer<S, P>,
    pub(super) parser: &'a Arc<P>,
}

/// The state of one connection.
pub(super) struct Peer<S, P: Parser> {
    pub(super) state: S,
    pub(super) parsing: P::State,
    rooms: BTreeSet<Box<str>>,
    /// The number of the latest event that is to be acknowledged.
    latest_id: u64,
    /// Those that are not yet, by number.
    waiting: BTreeMap<u64, Waiting<S, P>>,
}

/// A callback for the acknowledgement of one event.
struct Waiting<S, P: Parser> {
    then: Then<S, P>,
    /// The timer that ends the wait.
    timer: u32,
}

type Then<S, P> =
    Box<dyn for<'m> FnOnce(&mut Socket<'_, S, P>, Result<&<P as Parser>::Data<'m>, NotAcknowledged>) + Send>;

/// Why an event was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAcknowledged {
    /// Not within the timeout.
    TimedOut,
    /// The peer answered that it failed, with these words.
    Failed(String),
    /// The peer's answer has another form, with these words.
    Malformed(String),
}

impl fmt::Display for NotAcknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("not acknowledged in time"),
            Self::Failed(why) => write!(f, "the peer answered: {why}"),
            Self::Malformed(why) => write!(f, "the peer's answer has another form: {why}"),
        }
    }
}

impl std::error::Error for NotAcknowledged {}

/// The error of [`Socket::emit_with_ack`]: eight events wait for the peer's acknowledgement already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TooManyWaiting;

impl fmt::Display for TooManyWaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MAX_WAITING} events wait for the peer's acknowledgement already")
    }
}

impl std::error::Error for TooManyWaiting {}

impl<S, P: Parser> Peer<S, P> {
    pub(super) fn new(state: S) -> Self {
        Self { state, parsing: P::State::default(), rooms: BTreeSet::new(), latest_id: 0, waiting: BTreeMap::new() }
    }
}

impl<S, P: Parser> fmt::Debug for Peer<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl<S, P: Parser> Socket<'_, S, P> {
    /// Returns the connection's id, unique while the server runs.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.context.id()
    }

    /// Returns the application's own value for this connection.
    pub fn state(&mut self) -> &mut S {
        &mut self.peer.state
    }

    /// Sends an event to this connection.
    ///
    /// Data that the parser cannot encode is an error of the program: it is logged, and nothing is sent. That holds for
    /// all methods that send.
    pub fn emit<D: Serialize + ?Sized>(&mut self, name: &str, data: &D) {
        let context = &mut self.context;
        encode(&**self.parser, ToPeer::Event { name, data, id: None }, |message| context.send_prepared(&message));
    }

    /// Sends an event to this connection, and calls `then` once: with the peer's answer, or when there is none within
    /// `timeout`. If the connection ends before, `then` is dropped.
    ///
    /// # Errors
    /// [`TooManyWaiting`]: eight events wait for their acknowledgements. Nothing is sent.
    pub fn emit_with_ack<D, R, F>(
        &mut self,
        name: &str,
        data: &D,
        timeout: Duration,
        then: F,
    ) -> Result<(), TooManyWaiting>
    where
        D: Serialize + ?Sized,
        R: DeserializeOwned,
        F: FnOnce(&mut Socket<'_, S, P>, Result<R, NotAcknowledged>) + Send + 'static,
    {
        let is_free = |timer: &u32| self.peer.waiting.values().all(|waiting| waiting.timer != *timer);
        let timer = (FIRST_TIMER..=u32::MAX).find(is_free).ok_or(TooManyWaiting)?;
        self.context.set_timer(timer, timeout).map_err(|_| TooManyWaiting)?;
        self.peer.latest_id += 1;
        let id = self.peer.latest_id;
        let then: Then<S, P> = Box::new(move |socket, answer| {
            let answer = answer.and_then(|data| {
                socket.parser.decode(data).map_err(|error| NotAcknowledged::Malformed(error.to_string()))
            });
            then(socket, answer);
        });
        self.peer.waiting.insert(id, Waiting { then, timer });
        let context = &mut self.context;
        encode(&**self.parser, ToPeer::Event { name, data, id: Some(id) }, |message| context.send_prepared(&message));
        Ok(())
    }

    /// Sends an event to all other connections.
    pub fn broadcast<D: Serialize + ?Sized>(&mut self, name: &str, data: &D) {
        self.publish_to_others(EVERYONE, name, data);
    }

    /// Returns the other connections in a room, to send them events. This connection need not be in it.
    pub fn to<'s>(&'s mut self, room: &str) -> Others<'s, S, P>
    where
        Self: 's,
    {
        let room = topic_of(room);
        Others { socket: self.reborrow(), room }
    }

    /// Lets this connection enter a room, which exists as long as anybody is in it. Returns whether it is in the room
    /// now: it may be in 256 at most, and their names may have 256 bytes, since a peer may choose them.
    pub fn join(&mut self, room: &str) -> bool {
        let rooms = &mut self.peer.rooms;
        if rooms.contains(room) {
            return true;
        }
        if rooms.len() >= MAX_ROOMS || room.len() > MAX_ROOM_BYTES {
            return false;
        }
        rooms.insert(room.into());
        self.context.subscribe(&topic_of(room));
        true
    }

    /// Lets this connection leave a room.
    pub fn leave(&mut self, room: &str) {
        if self.peer.rooms.remove(room) {
            self.context.unsubscribe(&topic_of(room));
        }
    }

    /// Returns the rooms that this connection is in, in the order of their names.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.peer.rooms.iter().map(|room| &**room)
    }

    /// Begins the closing handshake, after all events sent so far. No handler is called for this connection any more,
    /// but for that of [`Router::on_disconnect`](super::Router::on_disconnect).
    ///
    /// # Errors
    /// As [`Context::close`].
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.context.close(code, reason)
    }

    /// Lets the handler of [`Router::on_timer`](super::Router::on_timer) be called with `name` once, after `delay`: see
    /// [`Context::set_timer`]. With no events that wait for acknowledgements, there may be 16 timers, otherwise as many
    /// less.
    ///
    /// # Errors
    /// [`TooManyTimers`], also for the names from 4,294,967,288 on, which acknowledgements use.
    pub fn set_timer(&mut self, name: u32, delay: Duration) -> Result<(), TooManyTimers> {
        if name >= FIRST_TIMER { Err(TooManyTimers) } else { self.context.set_timer(name, delay) }
    }

    /// As [`set_timer`](Self::set_timer), at each `interval`: see [`Context::set_interval`].
    ///
    /// # Errors
    /// As [`set_timer`](Self::set_timer).
    pub fn set_interval(&mut self, name: u32, interval: Duration) -> Result<(), TooManyTimers> {
        if name >= FIRST_TIMER { Err(TooManyTimers) } else { self.context.set_interval(name, interval) }
    }

    /// Cancels a timer. Does nothing if it is not set.
    pub fn cancel_timer(&mut self, name: u32) {
        if name < FIRST_TIMER {
            self.context.cancel_timer(name);
        }
    }

    fn publish_to_others<D: Serialize + ?Sized>(&mut self, topic: &str, name: &str, data: &D) {
        let context = &mut self.context;
        encode(&**self.parser, ToPeer::Event { name, data, id: None }, |message| {
            context.publish_prepared_to_others(topic, &message);
        });
    }

    /// Acknowledges an event of the peer's.
    pub(super) fn acknowledge<D: Serialize>(&mut self, id: u64, answer: &D) {
        let context = &mut self.context;
        let answer = ToPeer::Acknowledgement { id, answer: Ok(answer) };
        encode(&**self.parser, answer, |message| context.send_prepared(&message));
    }

    /// Tells the peer that its event failed: by its acknowledgement if it wants one, otherwise by the event `error`.
    pub(super) fn refuse(&mut self, name: Option<&str>, id: Option<u64>, message: &str) {
        let context = &mut self.context;
        let send = |message: Prepared| context.send_prepared(&message);
        match id {
            Some(id) => {
                encode::<P, ()>(&**self.parser, ToPeer::Acknowledgement { id, answer: Err(message) }, send);
            }
            None => {
                let data = &Refused { event: name, message };
                encode(&**self.parser, ToPeer::Event { name: "error", data, id: None }, send);
            }
        }
    }

    /// Handles the peer's acknowledgement. One that nothing waits for is ignored: it may have come too late.
    pub(super) fn acknowledged(&mut self, id: u64, answer: Result<&P::Data<'_>, NotAcknowledged>) {
        if let Some(Waiting { then, timer }) = self.peer.waiting.remove(&id) {
            self.context.cancel_timer(timer);
            then(self, answer);
        }
    }

    /// Handles a timer of an acknowledgement. Returns whether it is one.
    pub(super) fn has_timed_out(&mut self, timer: u32) -> bool {
        if timer < FIRST_TIMER {
            return false;
        }
        let late = self.peer.waiting.iter().find(|(_, waiting)| waiting.timer == timer).map(|(id, _)| *id);
        if let Some(Waiting { then, .. }) = late.and_then(|id| self.peer.waiting.remove(&id)) {
            then(self, Err(NotAcknowledged::TimedOut));
        }
        true
    }

    fn reborrow(&mut self) -> Socket<'_, S, P> {
        Socket { context: self.context.reborrow(), peer: self.peer, parser: self.parser }
    }
}

/// The other connections in a room: see [`Socket::to`].
#[derive(Debug)]
pub struct Others<'a, S, P: Parser> {
    socket: Socket<'a, S, P>,
    /// The room's topic.
    room: String,
}

impl<S, P: Parser> Others<'_, S, P> {
    /// Sends them an event.
    pub fn emit<D: Serialize + ?Sized>(&mut self, name: &str, data: &D) {
        self.socket.publish_to_others(&self.room, name, data);
    }
}

/// Encodes an event, and logs what cannot be encoded.
pub(super) fn encode<P: Parser, D: Serialize + ?Sized>(
    parser: &P,
    event: ToPeer<'_, D>,
    mut send: impl FnMut(Prepared),
) {
    let what = match event {
        ToPeer::Event { name, .. } => name,
        ToPeer::Acknowledgement { .. } => "an acknowledgement",
    };
    if let Err(error) = parser.encode(event, &mut send) {
        log::error!("{what:?} cannot be sent: {error}");
    }
}

/// The topic of all connections.
pub(super) const EVERYONE: &str = "events";
/// A peer may choose the rooms that it joins.
const MAX_ROOMS: usize = 256;
const MAX_ROOM_BYTES: usize = 256;
/// So many events may wait for the acknowledgements of one peer.
const MAX_WAITING: u32 = 8;
/// The timers from here on end the waits for acknowledgements.
const FIRST_TIMER: u32 = u32::MAX - MAX_WAITING + 1;
