//! Does what waits, in one transaction, and says what came of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{
        ChatConfig,
        backplane::Exchange,
        password::Hasher,
        rate::{Buckets, Rate},
        store::{self, Millis, PersonId, Store, StoreError},
        wire::{self, EventError},
    },
    effects::Effect,
    inbox::{Errand, Inbox},
    lookup::Lookup,
    presence::Presence,
};
use switchboard::{CloseCode, ConnectionId};

/// The thread's own: everything but the way out.
pub(crate) struct Keeper {
    pub(super) store: Store,
    pub(super) presence: Presence,
    pub(super) lookup: Lookup,
    pub(super) effects: Vec<Effect>,
    pub(super) allowances: Allowances,
    pub(super) config: Arc<ChatConfig>,
    pub(super) inbox: Inbox,
    pub(super) hasher: Hasher,
    pub(super) now: Now,
    /// When the store was last looked through, and what it said of others' changes.
    pub(super) looked_through: Option<Instant>,
    pub(super) foreign_changes: i64,
    /// Whether more sessions may have ended than were in that look.
    pub(super) has_more_to_end: bool,
    /// Whether rooms that were removed may have left something to forget.
    pub(super) has_more_to_forget: bool,
    /// When it was last marked.
    pub(super) marked: Option<Instant>,
    /// What is done was begun before and undone: it is not counted twice against what somebody may do.
    again: bool,
}

/// What each person may still do for now, on all their connections together.
pub(super) struct Allowances {
    /// Whatever is written into a log, or told to all in a room.
    said: Buckets<PersonId>,
    /// Events of any kind.
    events: Buckets<PersonId>,
    /// Connections.
    arrivals: Buckets<PersonId>,
    /// Passwords that are verified.
    passwords: Buckets<PersonId>,
}

impl Allowances {
    fn new() -> Self {
        Self { said: Buckets::new(), events: Buckets::new(), arrivals: Buckets::new(), passwords: Buckets::new() }
    }
}

/// What somebody wants to do that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Said,
    /// An event that counts as so many.
    Event(u32),
    Arrival,
    Password,
}

/// The time, by the calendar and by a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) wall: Millis,
    pub(crate) instant: Instant,
}

impl Now {
    pub(super) fn take() -> Self {
        Self { wall: store::now(), instant: Instant::now() }
    }
}

impl Keeper {
    pub(super) fn new(store: Store, config: Arc<ChatConfig>, inbox: Inbox, hasher: Hasher) -> Self {
        Self {
            store,
            presence: Presence::default(),
            lookup: Lookup::default(),
            effects: Vec::new(),
            allowances: Allowances::new(),
            config,
            inbox,
            hasher,
            now: Now::take(),
            looked_through: None,
            foreign_changes: 0,
            has_more_to_end: false,
            has_more_to_forget: true,
            marked: None,
            again: false,
        }
    }

    /// Does these errands, and then shows what came of them.
    pub(super) fn work(&mut self, mut errands: Vec<Errand>, now: Now, exchange: &impl Exchange) {
        self.now = now;
        let done = self.in_transaction(|keeper| errands.iter_mut().try_for_each(|errand| keeper.run(errand)));
        match done {
            Ok(()) => self.settle(errands, exchange),
            // Where another process holds the data up, each would wait for it as long again.
            Err(error) if errands.len() == 1 || is_held_up(&error) => self.fail(errands, &error, exchange),
            Err(_) => {
                // Some of it may still be done: what only reads, or fits on what is left of the disk.
                self.again = true;
                for mut errand in errands {
                    match self.in_transaction(|keeper| keeper.run(&mut errand)) {
                        Ok(()) => self.settle(vec![errand], exchange),
                        Err(error) => self.fail(vec![errand], &error, exchange),
                    }
                }
                self.again = false;
            }
        }
    }

    /// Does something that is durable afterwards, or undone.
    pub(super) fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let shown = self.effects.len();
        let done = self.store.begin().and_then(|()| work(self)).and_then(|value| self.store.commit().map(|()| value));
        match done {
            Ok(_) => self.presence.keep(),
            Err(_) => {
                self.store.roll_back();
                self.presence.undo();
                self.effects.truncate(shown);
                self.lookup = Lookup::default();
            }
        }
        done
    }

    fn run(&mut self, errand: &mut Errand) -> Result<(), StoreError> {
        match errand {
            Errand::Opened(connection, credential) => self.opened(*connection, credential),
            Errand::Event { connection, event, .. } => self.event(*connection, event),
            Errand::Closed(connection) => self.closed(*connection),
            Errand::Question(question) => question.run(self),
            Errand::Stop => Ok(()),
        }
    }

    /// Counts something that a person does.
    ///
    /// # Errors
    /// After how long they may do it again.
    pub(super) fn count(&mut self, what: Counted, person: PersonId) -> Result<(), Duration> {
        if self.again {
            return Ok(());
        }
        let (limits, now) = (&self.config.limits, self.now.instant);
        let Allowances { said, events, arrivals, passwords } = &mut self.allowances;
        match what {
            Counted::Said => said.take(person, limits.messages, now),
            // Who has more connections than one does more on them, but not as many times more.
            Counted::Event(weight) => events.take_several(person, weight, limits.events.times(EVENTS_OF_ONE), now),
            Counted::Arrival => arrivals.take(person, ARRIVALS, now),
            Counted::Password => passwords.take(person, limits.sign_ins, now),
        }
    }

    fn closed(&mut self, connection: ConnectionId) -> Result<(), StoreError> {
        match self.presence.leave(connection) {
            Some((session, used)) => self.store.set_used(session, used),
            None => Ok(()),
        }
    }

    fn settle(&mut self, errands: Vec<Errand>, exchange: &impl Exchange) {
        self.show(exchange);
        for errand in errands {
            if let Errand::Question(question) = errand {
                question.settle(false);
            }
        }
    }

    fn fail(&mut self, errands: Vec<Errand>, error: &StoreError, exchange: &impl Exchange) {
        log::error!("the chat's data cannot be read or written: {error}");
        for errand in errands {
            match errand {
                Errand::Opened(connection, _) => {
                    self.effects.push(Effect::Answer(connection, wire::error(&EventError::storage(), None)));
                    self.effects.push(Effect::Close(connection, CloseCode::TRY_AGAIN_LATER, "try again later"));
                }
                Errand::Event { connection, event, .. } => {
                    self.effects
                        .push(Effect::Answer(connection, wire::error(&EventError::storage(), event.id.as_ref())));
                }
                Errand::Question(question) => question.settle(true),
                // It is gone, whether its last use can be written or not.
                Errand::Closed(connection) => drop(self.presence.leave(connection)),
                Errand::Stop => {}
            }
        }
        self.presence.keep();
        self.show(exchange);
    }
}

fn is_held_up(error: &StoreError) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// How many times the events of one connection a person may send on all of theirs.
const EVENTS_OF_ONE: u32 = 2;
/// Connections of a person: each is told all rooms.
const ARRIVALS: Rate = Rate { at_once: 60, per_second: 1.0 };
