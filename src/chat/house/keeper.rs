//! Does what waits, in one transaction, and says what came of it.

use std::{sync::Arc, time::Instant};

use super::{
    super::{
        ChatConfig,
        backplane::Exchange,
        password::Hasher,
        rate::Buckets,
        store::{self, Millis, PersonId, Store, StoreError},
        wire::{self, EventError},
    },
    effects::Effect,
    inbox::{Errand, Inbox},
    lookup::Lookup,
    presence::Presence,
};
use crate::{CloseCode, ConnectionId};

/// The thread's own: everything but the way out.
pub(in super::super) struct Keeper {
    pub(super) store: Store,
    pub(super) presence: Presence,
    pub(super) lookup: Lookup,
    pub(super) effects: Vec<Effect>,
    pub(super) said: Buckets<PersonId>,
    pub(super) config: Arc<ChatConfig>,
    pub(super) inbox: Inbox,
    pub(super) hasher: Hasher,
    pub(super) now: Now,
    /// When the store was last looked through, and what it said of others' changes.
    pub(super) looked_through: Millis,
    pub(super) foreign_changes: i64,
}

/// The time, by the calendar and by a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Now {
    pub(in super::super) wall: Millis,
    pub(in super::super) instant: Instant,
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
            said: Buckets::new(),
            config,
            inbox,
            hasher,
            now: Now::take(),
            looked_through: 0,
            foreign_changes: 0,
        }
    }

    /// Does these errands, and then shows what came of them.
    pub(super) fn work(&mut self, mut errands: Vec<Errand>, now: Now, exchange: &impl Exchange) {
        self.now = now;
        let done = self.in_transaction(|keeper| errands.iter_mut().try_for_each(|errand| keeper.run(errand)));
        match done {
            Ok(()) => self.settle(errands, exchange),
            Err(error) if errands.len() == 1 => self.fail(errands, &error, exchange),
            Err(_) => {
                // Some of it may still be done: what only reads, or fits on what is left of the disk.
                for mut errand in errands {
                    match self.in_transaction(|keeper| keeper.run(&mut errand)) {
                        Ok(()) => self.settle(vec![errand], exchange),
                        Err(error) => self.fail(vec![errand], &error, exchange),
                    }
                }
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
        if done.is_err() {
            self.store.roll_back();
            self.effects.truncate(shown);
            self.lookup = Lookup::default();
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
                    self.effects.push(Effect::Dismiss(connection, CloseCode::TRY_AGAIN_LATER, "try again later"));
                }
                Errand::Event { connection, event, .. } => {
                    self.effects
                        .push(Effect::Answer(connection, wire::error(&EventError::storage(), event.id.as_ref())));
                }
                Errand::Question(question) => question.settle(true),
                Errand::Closed(_) | Errand::Stop => {}
            }
        }
        self.show(exchange);
    }
}
