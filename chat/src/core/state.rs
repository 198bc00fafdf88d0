//! The state of the core's thread: its transactions, its effects, and the rate limits of users.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{
        ChatConfig,
        config::SharedConfig,
        interface::{Audience, ClientId, Content, Delivery, Effect, Push, Topic},
        rate::{Buckets, Rate},
        store::{RoomId, SessionId, Store, StoreError, TransactionError, UserId},
        wire::EventError,
    },
    cache::Cache,
    clock::{Now, SteadyClock},
    costs::Costs,
    presence::Presence,
};

/// The state of the core's thread.
pub(super) struct State {
    pub(super) store: Store,
    pub(super) presence: Presence,
    pub(super) cache: Cache,
    /// The effects of the current transaction, in order.
    pub(super) effects: Vec<Effect>,
    rate_limits: RateLimits,
    /// In force for the batch that is handled.
    pub(super) config: Arc<ChatConfig>,
    /// In force for the next.
    pub(super) next_config: SharedConfig,
    pub(super) now: Now,
    /// The clock for deadlines of an hour or more.
    pub(super) clock: SteadyClock,
    /// What the thread has spent its time on.
    pub(super) costs: Costs,
    /// The time of the last sweep.
    pub(super) last_sweep: Option<Instant>,
    /// The value of [`Store::foreign_changes`] at the last sweep.
    pub(super) foreign_changes: i64,
    /// Sessions in use that another process may have removed from the store.
    pub(super) unchecked: Vec<SessionId>,
    /// Whether sessions or connections may be overdue.
    pub(super) has_overdue: bool,
    /// Whether there may be background work.
    pub(super) has_background_work: bool,
    /// The time after which a piece of background work ends.
    pub(super) max_piece: Duration,
    /// The time when the store's mark was last renewed.
    pub(super) last_marked: Option<Instant>,
    /// The time when the clock was last saved.
    pub(super) last_saved: Option<Instant>,
    /// Whether the current command ran before and was rolled back. It is then not charged to rate limits again.
    pub(super) is_retry: bool,
}

/// The rate limits of each user, over all their connections.
struct RateLimits {
    /// Messages, and all other events that are written to a log or published.
    messages: Buckets<UserId>,
    /// Rooms that are entered or created.
    entries: Buckets<UserId>,
    /// Conversations that are begun.
    conversations: Buckets<UserId>,
    /// Events of any kind.
    events: Buckets<UserId>,
    /// New connections.
    connects: Buckets<UserId>,
    /// Passwords that are verified.
    passwords: Buckets<UserId>,
    /// Events that are refused because they come too fast.
    refusals: Buckets<UserId>,
}

impl RateLimits {
    fn new() -> Self {
        Self {
            messages: Buckets::new(),
            entries: Buckets::new(),
            conversations: Buckets::new(),
            events: Buckets::new(),
            connects: Buckets::new(),
            passwords: Buckets::new(),
            refusals: Buckets::new(),
        }
    }
}

/// The actions that are rate-limited by user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Message,
    /// Entering or creating a room.
    Enter,
    /// A conversation that an account begins.
    Conversation,
    /// A conversation that a guest begins.
    GuestConversation,
    /// An event, with its weight.
    Event(u32),
    Connect,
    Password,
    /// An event that is refused because it comes too fast.
    Refusal,
}

impl State {
    pub(super) fn new(store: Store, config: SharedConfig) -> Self {
        let saved_clock = store.saved_clock().unwrap_or_else(|error| {
            log::error!("the chat's clock cannot be read: {error}");
            None
        });
        Self {
            store,
            presence: Presence::default(),
            cache: Cache::default(),
            effects: Vec::new(),
            rate_limits: RateLimits::new(),
            config: config.get(),
            next_config: config,
            now: Now::read(),
            clock: SteadyClock::new(saved_clock),
            costs: Costs::default(),
            last_sweep: None,
            foreign_changes: 0,
            unchecked: Vec::new(),
            has_overdue: false,
            has_background_work: true,
            max_piece: MAX_PIECE,
            last_marked: None,
            last_saved: None,
            is_retry: false,
        }
    }

    /// Sets the current time.
    pub(super) fn set_now(&mut self, now: Now) {
        self.now = now;
        self.clock.advance(now);
    }

    /// Runs `work` in a transaction. On success its changes are durable. On failure the changes to the store and to
    /// this state are rolled back; [`TransactionError::Unknown`] means that those to the store may be there after a
    /// crash.
    pub(super) fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, TransactionError> {
        let effects_before = self.effects.len();
        let worked = self.store.begin().and_then(|()| work(self)).inspect_err(|_| self.store.roll_back());
        let done = worked.map_err(TransactionError::from).and_then(|value| self.store.commit().map(|()| value));
        match done {
            Ok(_) => self.presence.commit(),
            Err(_) => {
                self.presence.roll_back();
                self.effects.truncate(effects_before);
                self.cache = Cache::default();
            }
        }
        done
    }

    /// Charges an action to a user's rate limit.
    ///
    /// # Errors
    /// The time that the user has to wait, if the limit is reached.
    pub(super) fn rate_limit(&mut self, action: Action, user: UserId) -> Result<(), Duration> {
        if self.is_retry {
            return Ok(());
        }
        let (limits, now) = (&self.config.limits, self.now.instant);
        let RateLimits { messages, entries, conversations, events, connects, passwords, refusals } =
            &mut self.rate_limits;
        match action {
            Action::Message => messages.take(user, limits.messages, now),
            Action::Enter => entries.take(user, limits.entries, now),
            Action::Conversation => conversations.take(user, limits.conversations, now),
            Action::GuestConversation => conversations.take(user, limits.conversations.divided_by(GUEST_SHARE), now),
            // A user with many connections may send more than one connection may, but not in proportion to their
            // number.
            Action::Event(weight) => events.take_several(user, weight, limits.events.times(USER_EVENT_FACTOR), now),
            Action::Connect => connects.take(user, CONNECT_RATE, now),
            Action::Password => passwords.take(user, limits.sign_ins, now),
            Action::Refusal => refusals.take(user, REFUSAL_RATE, now),
        }
    }

    /// Charges `weight` events to a user's rate limit after they were handled. The user's next events wait for them.
    pub(super) fn charge_events(&mut self, user: UserId, weight: u32) {
        if weight > 0 && !self.is_retry {
            let rate = self.config.limits.events.times(USER_EVENT_FACTOR);
            self.rate_limits.events.charge(user, weight, rate, self.now.instant);
        }
    }

    /// Delivers the effects of a committed transaction.
    pub(super) fn deliver(&mut self, delivery: &impl Delivery) {
        for effect in std::mem::take(&mut self.effects) {
            delivery.deliver(self.encode(effect, delivery));
        }
    }

    /// Encodes an effect, and charges the length of an answer to its user's rate limit. The user's next events wait for
    /// it.
    pub(super) fn encode<D: Delivery>(&mut self, effect: Effect, delivery: &D) -> Effect<D::Encoded> {
        let effect = effect.map(|content| delivery.encode(content));
        if let Effect::Tell(Audience::One(connection), encoded) = &effect
            && let Ok(weight @ 1..) = u32::try_from(D::answer_bytes(encoded) / ANSWER_BYTES)
            && let Some(user) = self.presence.user_of(*connection)
        {
            self.charge_events(user, weight);
        }
        effect
    }

    pub(super) fn send(&mut self, connection: ClientId, push: Push) {
        self.effects.push(Effect::Tell(Audience::One(connection), Content::Push(push)));
    }

    /// Tells a connection an error that is not about one of its events.
    pub(super) fn refuse(&mut self, connection: ClientId, error: EventError) {
        self.effects.push(Effect::Tell(Audience::One(connection), Content::Reply(None, Err(error))));
    }

    pub(super) fn publish(&mut self, topic: Topic, push: Push, except: Option<ClientId>) {
        self.effects.push(Effect::Tell(Audience::Followers(topic, except), Content::Push(push)));
    }

    /// Subscribes all connections of a user to a room.
    pub(super) fn subscribe_all(&mut self, user: UserId, room: RoomId) {
        let connections = self.presence.connections_of(user).iter();
        self.effects.extend(connections.map(|&connection| Effect::Follow(connection, Topic::Room(room))));
    }

    /// Unsubscribes all connections of a user from a room.
    pub(super) fn unsubscribe_all(&mut self, user: UserId, room: RoomId) {
        let connections = self.presence.connections_of(user).iter();
        self.effects.extend(connections.map(|&connection| Effect::Unfollow(connection, Topic::Room(room))));
    }
}

/// How many times the events of one connection all connections of a user together may send.
pub(super) const USER_EVENT_FACTOR: u32 = 4;
/// Guests begin this many times fewer conversations than accounts.
pub(super) const GUEST_SHARE: u32 = 4;
/// Rate of new connections of one user. It is low because each connection is sent all the user's rooms.
pub(super) const CONNECT_RATE: Rate = Rate { at_once: 60, per_second: 1.0 };
/// Rate of one user's refused events, above which the connection is closed.
pub(super) const REFUSAL_RATE: Rate = Rate { at_once: 200, per_second: 20.0 };
/// The time after which a piece of background work ends. All commands wait for its end, and for its commit, which takes
/// nearly as long if long texts are overwritten.
const MAX_PIECE: Duration = Duration::from_millis(3);
/// Bytes of an answer that count as one event.
pub(super) const ANSWER_BYTES: usize = 8 << 10;
