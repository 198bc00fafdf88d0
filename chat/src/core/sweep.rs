//! What happens by time: sessions end, and presence is published.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    super::{
        interface::Delivery,
        store::{Millis, SessionId, StoreError},
        wire,
    },
    cache::Cache,
    effects::Topic,
    presence::{MAX_ONLINE_NAMES, PresenceDiff},
    sessions::Reason,
    state::{Now, State},
};

#[derive(Serialize)]
struct PresenceView {
    online: Option<Vec<String>>,
    offline: Option<Vec<String>>,
    count: usize,
}

impl State {
    /// What time brings: sessions end, and all hear who came and went.
    pub(crate) fn tick(&mut self, now: Now, delivery: &impl Delivery) {
        self.now = now;
        for connection in self.presence.overdue(now.instant) {
            self.expire(connection, Reason::None);
        }
        self.expire_overdue();
        self.presence.commit();
        self.deliver(delivery);
        if self.has_more_to_trim {
            self.trim_removed_rooms();
        }
        // By the clock that nobody sets back.
        let is_due = |last: Option<Instant>, period| last.is_none_or(|last| now.instant >= last + period);
        if is_due(self.last_sweep, SWEEP_INTERVAL) || self.has_more_ended {
            self.last_sweep = Some(now.instant);
            self.check_data_file();
            self.has_more_ended = false;
            match self.in_transaction(Self::sweep) {
                Ok((changes, has_more)) => (self.foreign_changes, self.has_more_ended) = (changes, has_more),
                Err(error) => log::error!("the chat's data cannot be looked through: {error}"),
            }
            self.has_more_to_trim = true;
        }
        if is_due(self.last_marked, MARK_INTERVAL) {
            self.last_marked = Some(now.instant);
            self.renew_mark();
        }
        self.publish_presence();
        self.deliver(delivery);
    }

    /// Nobody is to be told that something is durable which is written to a file that is no more.
    fn check_data_file(&mut self) {
        match self.store.give_up_if_moved() {
            Ok(None) => {}
            Ok(Some(file)) => log::error!(
                "{} was removed, moved or replaced while in use: nothing is stored any more, please restart",
                file.display()
            ),
            Err(error) => log::error!("the chat's data cannot be given up: {error}"),
        }
    }

    /// Forgets a part of what was said in rooms that are no more: by itself, so that nothing else is undone where it
    /// cannot be written, as on a disk that is nearly full.
    fn trim_removed_rooms(&mut self) {
        let forgotten = self.in_transaction(|state| state.store.trim_removed());
        self.has_more_to_trim = forgotten.unwrap_or_else(|error| {
            log::error!("what was removed cannot be forgotten: {error}");
            false
        });
    }

    fn renew_mark(&mut self) {
        if let Err(error) = self.store.renew_mark() {
            log::error!("the chat's data cannot be last_marked: {error}");
        }
    }

    /// Ends the sessions in use whose time is over: their connections hear of it even where the store cannot be
    /// written, which forgets them later.
    fn expire_overdue(&mut self) {
        let overdue = self
            .presence
            .sessions()
            .filter_map(|(id, live)| self.end_by_time(live.used, live.expires, live.guest).map(|reason| (id, reason)));
        for (session, reason) in overdue.collect::<Vec<_>>() {
            for connection in self.presence.connections_of_session(session) {
                // When it was last used does not matter any more.
                self.expire(connection, reason);
            }
        }
    }

    /// Looks through the store for what has ended there, and stores what is known better here.
    /// Gives the number of others' changes, and whether there may be more that has ended.
    fn sweep(&mut self) -> Result<(i64, bool), StoreError> {
        let max_delay = MAX_USE_DELAY.min(self.idle_time(true) / 10);
        let used: Vec<(SessionId, Millis)> = self
            .presence
            .sessions()
            .filter(|(_, live)| live.used > live.stored.saturating_add(max_delay))
            .map(|(id, live)| (id, live.used))
            .collect();
        for (session, used) in used {
            self.store.set_used(session, used)?;
            self.presence.mark_stored(session, used);
        }
        let before = |time: Millis| self.now.wall.saturating_sub(time);
        let (idle, guests_idle) = (before(self.idle_time(false)), before(self.idle_time(true)));
        let ended = self.store.ended_sessions(self.now.wall, idle, guests_idle, MAX_ENDED_PER_SWEEP)?;
        for session in &ended {
            match self.presence.session(session.id).map(|live| live.used) {
                // The store does not know yet that it was used later; else it would stand in the others' way.
                Some(used) => {
                    self.store.set_used(session.id, used)?;
                    self.presence.mark_stored(session.id, used);
                }
                None => self.end_session(session, Reason::Idle)?,
            }
        }
        let changes = self.store.foreign_changes()?;
        if self.foreign_changes != changes {
            self.apply_foreign_changes()?;
        }
        Ok((changes, ended.len() == MAX_ENDED_PER_SWEEP))
    }

    /// An operator has changed something beside us: passwords, sessions, who is an operator.
    fn apply_foreign_changes(&mut self) -> Result<(), StoreError> {
        self.cache = Cache::default();
        let sessions: Vec<SessionId> = self.presence.sessions().map(|(id, _)| id).collect();
        for session in sessions {
            if self.store.session(session)?.is_none() {
                for connection in self.presence.connections_of_session(session) {
                    self.expire(connection, Reason::Revoked);
                }
            }
        }
        Ok(())
    }

    /// Tells all who came and who went.
    fn publish_presence(&mut self) {
        let PresenceDiff { online, offline } = self.presence.take_diff();
        if online.is_empty() && offline.is_empty() {
            return;
        }
        let few = online.len() + offline.len() <= MAX_PRESENCE_CHANGES && self.presence.count() <= MAX_ONLINE_NAMES;
        let names = |names: Vec<String>| few.then_some(names);
        let view = PresenceView { online: names(online), offline: names(offline), count: self.presence.count() };
        self.publish(Topic::Everyone, wire::event("presence", &view), None);
    }

    /// Stores what was kept back.
    pub(super) fn close(&mut self, now: Now) {
        self.now = now;
        let used: Vec<_> = self.presence.sessions().map(|(id, live)| (id, live.used)).collect();
        let stored =
            self.in_transaction(|state| used.iter().try_for_each(|(id, used)| state.store.set_used(*id, *used)));
        if let Err(error) = stored {
            log::error!("when sessions were last used cannot be stored: {error}");
        }
        self.renew_mark();
    }
}

/// How often the store is looked through.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How often the data is last_marked, so that a copy of it is known as one.
const MARK_INTERVAL: Duration = Duration::from_secs(60);
/// How late it is stored that a session was used: what a sudden end of the process takes from it.
const MAX_USE_DELAY: Millis = 60_000;
/// Sessions that are ended in one look: with each a guest may go, who leaves all rooms.
const MAX_ENDED_PER_SWEEP: usize = 10;
/// PresenceDiff of more people than this are told as a number.
const MAX_PRESENCE_CHANGES: usize = 200;
