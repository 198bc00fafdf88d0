//! Runs commands in transactions, and delivers their effects after the commit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use switchboard::ConnectionId;

use super::{
    super::{
        ChatConfig,
        device::DeviceKey,
        interface::{Audience, Closing, Content, Delivery, Effect, Push, SignInError, Topic},
        password::Hasher,
        rate::{Buckets, Rate},
        store::{RoomId, SessionId, Store, StoreError, TransactionError, UserId},
        wire::EventError,
    },
    cache::Cache,
    clock::{Now, SteadyClock},
    costs::{Costs, Stopwatch},
    fair::Source,
    presence::Presence,
    queue::{Command, CommandReceiver, CommandSender, Unfinished},
};

/// The state of the core's thread.
pub(super) struct State {
    pub(super) store: Store,
    pub(super) presence: Presence,
    pub(super) cache: Cache,
    /// The effects of the current transaction, in order.
    pub(super) effects: Vec<Effect>,
    rate_limits: RateLimits,
    pub(super) config: Arc<ChatConfig>,
    /// Sends commands to this same thread, from work that is done on another one.
    pub(super) commands: CommandSender<State>,
    pub(super) hasher: Hasher,
    /// Signs the cookies of devices.
    pub(super) device_key: DeviceKey,
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
    is_retry: bool,
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
    pub(super) fn new(
        store: Store,
        config: Arc<ChatConfig>,
        device_key: DeviceKey,
        commands: CommandSender<State>,
        hasher: Hasher,
    ) -> Self {
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
            config,
            commands,
            hasher,
            device_key,
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

    /// Runs the next batch of commands in one transaction, and delivers their effects after the commit.
    pub(super) fn process<D: Delivery>(&mut self, queue: &mut impl Commands, now: Now, delivery: &D) {
        self.set_now(now);
        let mut stopwatch = Stopwatch::start();
        let (mut commands, mut have_written, mut effects) = (Vec::new(), Vec::new(), Vec::new());
        let done = self.in_transaction(|state| {
            let mut reply_bytes = 0;
            while reply_bytes < MAX_REPLY_BYTES
                && let Some((source, mut command)) = queue.pop()
            {
                let changed_before = state.store.changed_rows();
                let done = state.run(&mut command);
                for effect in std::mem::take(&mut state.effects) {
                    let effect = state.encode(effect, delivery);
                    if let Effect::Tell(Audience::One(_), encoded) = &effect {
                        reply_bytes += D::bytes(encoded);
                    }
                    effects.push(effect);
                }
                let took = stopwatch.lap();
                state.costs.record(command.name(), took);
                queue.charge(source, took);
                commands.push(command);
                have_written.push(state.store.changed_rows() > changed_before);
                done?;
            }
            Ok(())
        });
        self.costs.record("<commit>", stopwatch.lap());
        if done.is_err() && commands.is_empty() {
            // The transaction could not begin, so nothing was taken yet. The clients that wait get an error.
            commands.extend(std::iter::from_fn(|| queue.pop()).map(|(_, command)| command));
        }
        match done {
            Ok(()) => {
                effects.into_iter().for_each(|effect| delivery.deliver(effect));
                self.complete(commands, delivery);
            }
            // Another process locks the database: each retry would wait as long as this command did.
            Err(error) if commands.len() == 1 || is_busy(error.cause()) => self.fail(commands, &error, delivery),
            Err(batch_error) => {
                // Some commands may still succeed: those that only read, or whose data fits on the rest of the disk.
                self.is_retry = true;
                for (mut command, has_written) in commands.into_iter().zip(have_written) {
                    if has_written && let TransactionError::Unknown(_) = batch_error {
                        // The first run may be there after a crash, also if a second one failed.
                        self.fail(vec![command], &batch_error, delivery);
                        continue;
                    }
                    match self.in_transaction(|state| state.run(&mut command)) {
                        Ok(()) => self.complete(vec![command], delivery),
                        Err(error) => self.fail(vec![command], &error, delivery),
                    }
                }
                self.is_retry = false;
            }
        }
        self.costs.record("<deliver>", stopwatch.lap());
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

    pub(super) fn run(&mut self, command: &mut Command<State>) -> Result<(), StoreError> {
        match command {
            Command::Opened(connection, credential, _) => self.opened(*connection, credential),
            Command::Event(connection, event, _) => event.run(self, *connection),
            Command::Closed(connection, _) => self.closed(*connection),
            Command::Request(_, request) => request.run(self),
            Command::Stop => Ok(()),
        }
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
    fn encode<D: Delivery>(&mut self, effect: Effect, delivery: &D) -> Effect<D::Encoded> {
        let effect = effect.map(|content| delivery.encode(content));
        if let Effect::Tell(Audience::One(connection), encoded) = &effect
            && let Ok(weight @ 1..) = u32::try_from(D::answer_bytes(encoded) / ANSWER_BYTES)
            && let Some(user) = self.presence.user_of(*connection)
        {
            self.charge_events(user, weight);
        }
        effect
    }

    pub(super) fn send(&mut self, connection: ConnectionId, push: Push) {
        self.effects.push(Effect::Tell(Audience::One(connection), Content::Push(push)));
    }

    /// Tells a connection an error that is not about one of its events.
    pub(super) fn refuse(&mut self, connection: ConnectionId, error: EventError) {
        self.effects.push(Effect::Tell(Audience::One(connection), Content::Reply(None, Err(error))));
    }

    pub(super) fn publish(&mut self, topic: Topic, push: Push, except: Option<ConnectionId>) {
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

    fn closed(&mut self, connection: ConnectionId) -> Result<(), StoreError> {
        match self.presence.disconnect(connection) {
            Some((session, used)) => self.store.set_used(session, used),
            None => Ok(()),
        }
    }

    fn complete(&mut self, commands: Vec<Command<State>>, delivery: &impl Delivery) {
        self.deliver(delivery);
        let mut requests = Vec::new();
        for command in commands {
            match command {
                Command::Request(_, request) => requests.push(request),
                Command::Event(connection, _, unfinished) => finish(connection, &unfinished, delivery),
                Command::Opened(..) | Command::Closed(..) | Command::Stop => {}
            }
        }
        delivery.post();
        for request in requests {
            request.complete(Ok(()));
        }
    }

    fn fail(&mut self, commands: Vec<Command<State>>, error: &TransactionError, delivery: &impl Delivery) {
        log::error!("the chat's data cannot be read or written: {error}");
        let error = match error {
            TransactionError::Undone(_) => SignInError::Storage,
            TransactionError::Unknown(_) => SignInError::Unknown,
        };
        for command in commands {
            match command {
                Command::Opened(connection, ..) => {
                    self.refuse(connection, error.event_error());
                    self.effects.push(Effect::Close(connection, Closing::TryAgainLater));
                }
                Command::Event(connection, event, unfinished) => {
                    let reply = Content::Reply(event.id().cloned(), Err(error.event_error()));
                    self.effects.push(Effect::Tell(Audience::One(connection), reply));
                    finish(connection, &unfinished, delivery);
                }
                Command::Request(_, request) => request.complete(Err(error)),
                // The connection is gone, even if its session's last use cannot be written.
                Command::Closed(connection, _) => drop(self.presence.disconnect(connection)),
                Command::Stop => {}
            }
        }
        self.presence.commit();
        self.deliver(delivery);
        delivery.post();
    }
}

/// The commands that wait for the thread.
pub(super) trait Commands {
    /// Takes the next command of the batch, and says whom it is for.
    fn pop(&mut self) -> Option<(Source, Command<State>)>;

    /// Charges a source with the time that its command took.
    fn charge(&mut self, source: Source, took: Duration);
}

impl Commands for CommandReceiver<State> {
    fn pop(&mut self) -> Option<(Source, Command<State>)> {
        Self::pop(self)
    }

    fn charge(&mut self, source: Source, took: Duration) {
        Self::charge(self, source, took);
    }
}

/// Removes a handled event from its connection's backlog.
fn finish(connection: ConnectionId, Unfinished { backlog, bytes }: &Unfinished, delivery: &impl Delivery) {
    if backlog.finish(*bytes) {
        delivery.resume(connection);
    }
}

/// Returns whether another process locks the database.
pub(super) fn is_busy(error: &StoreError) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// How many times the events of one connection all connections of a user together may send.
const USER_EVENT_FACTOR: u32 = 4;
/// Guests begin this many times fewer conversations than accounts.
const GUEST_SHARE: u32 = 4;
/// Rate of new connections of one user. It is low because each connection is sent all the user's rooms.
const CONNECT_RATE: Rate = Rate { at_once: 60, per_second: 1.0 };
/// Rate of one user's refused events, above which the connection is closed.
const REFUSAL_RATE: Rate = Rate { at_once: 200, per_second: 20.0 };
/// The time after which a piece of background work ends. All commands wait for its end, and for its commit, which takes
/// nearly as long if long texts are overwritten.
const MAX_PIECE: Duration = Duration::from_millis(3);
/// Bytes of an answer that count as one event.
pub(super) const ANSWER_BYTES: usize = 8 << 10;
/// Bytes of replies after which a transaction takes no further command: whoever gets a short reply from a worker waits
/// until it has written the long ones before.
const MAX_REPLY_BYTES: usize = 256 << 10;
