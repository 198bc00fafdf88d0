//! Work at intervals: ends sessions, and publishes presence.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    super::{
        interface::Delivery,
        store::{Millis, SessionId, StoreError},
        wire,
    },
    cache::Cache,
    costs::Cost,
    effects::Topic,
    presence::PresenceDiff,
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
    /// Ends overdue sessions and connections, publishes presence, and now and then sweeps the store.
    pub(super) fn tick(&mut self, now: Now, delivery: &impl Delivery) {
        self.now = now;
        for connection in self.presence.overdue(now.instant) {
            self.expire(connection, Reason::None);
        }
        self.expire_overdue();
        self.presence.commit();
        self.deliver(delivery);
        delivery.post();
        if self.has_more_to_trim {
            self.trim_removed_rooms();
        }
        // The monotonic clock is never set back.
        let is_due = |last: Option<Instant>, period| last.is_none_or(|last| now.instant >= last + period);
        if is_due(self.last_sweep, SWEEP_INTERVAL) || self.has_more_ended {
            self.last_sweep = Some(now.instant);
            self.check_data_file();
            self.has_more_ended = false;
            match self.in_transaction(Self::sweep) {
                Ok((changes, has_more)) => (self.foreign_changes, self.has_more_ended) = (changes, has_more),
                Err(error) => log::error!("cannot remove ended sessions: {error}"),
            }
            self.has_more_to_trim = true;
        }
        if is_due(self.last_marked, MARK_INTERVAL) {
            self.last_marked = Some(now.instant);
            self.renew_mark();
        }
        self.publish_presence();
        self.deliver(delivery);
        delivery.post();
    }

    /// Makes the store refuse writes if its file is gone: a write to a deleted file must not be acknowledged.
    fn check_data_file(&mut self) {
        match self.store.refuse_writes_if_moved() {
            Ok(None) => {}
            Ok(Some(file)) => log::error!(
                "{} was removed, moved or replaced while in use; nothing is stored until the server is restarted",
                file.display()
            ),
            Err(error) => log::error!("cannot check whether the chat's data was moved: {error}"),
        }
    }

    /// Deletes a part of the logs of removed rooms. Uses a transaction of its own: if it fails, as it may on a disk
    /// that is nearly full, nothing else is rolled back.
    fn trim_removed_rooms(&mut self) {
        let has_more = self.in_transaction(|state| state.store.trim_removed());
        self.has_more_to_trim = has_more.unwrap_or_else(|error| {
            log::error!("the messages of removed rooms cannot be deleted: {error}");
            false
        });
    }

    fn renew_mark(&mut self) {
        if let Err(error) = self.store.renew_mark() {
            log::error!("the chat's data cannot be marked: {error}");
        }
    }

    /// Ends the overdue sessions that are in use. Their connections are closed even if the store cannot be written; a
    /// sweep removes the sessions from it later.
    fn expire_overdue(&mut self) {
        let overdue = self
            .presence
            .sessions()
            .filter_map(|(id, live)| self.end_by_time(live.used, live.expires, live.guest).map(|reason| (id, reason)));
        for (session, reason) in overdue.collect::<Vec<_>>() {
            for connection in self.presence.connections_of_session(session) {
                // The session is over, so its last use need not be stored.
                self.expire(connection, reason);
            }
        }
    }

    /// Stores the last use of sessions, and removes ended sessions from the store. Returns the store's
    /// [`foreign_changes`](super::super::store::Store::foreign_changes), and whether there may be more ended sessions.
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
                // The session was used later than the store knows. Without this it would count against the limit in
                // every sweep.
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

    /// Drops the cache, and closes the connections of removed sessions: another process, such as an operator's command,
    /// has changed the store.
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

    /// Publishes which users came online or went offline.
    fn publish_presence(&mut self) {
        let PresenceDiff { online, offline } = self.presence.take_diff();
        if online.is_empty() && offline.is_empty() {
            return;
        }
        let few = online.len() + offline.len() <= MAX_PRESENCE_CHANGES && self.presence.has_few_users();
        let names = |names: Vec<String>| few.then_some(names);
        let view = PresenceView { online: names(online), offline: names(offline), count: self.presence.count() };
        self.publish(Topic::Everyone, wire::event("presence", &view), None);
    }

    /// Stores the last use of all sessions, and logs what the thread has spent its time on. Called when the chat ends.
    pub(super) fn close(&mut self, now: Now) {
        self.now = now;
        for (name, Cost { count, total, max }) in self.costs.rows() {
            log::debug!("the chat's thread: {name} {count} times, {total:?} in all, {max:?} at most");
        }
        let used: Vec<_> = self.presence.sessions().map(|(id, live)| (id, live.used)).collect();
        let stored =
            self.in_transaction(|state| used.iter().try_for_each(|(id, used)| state.store.set_used(*id, *used)));
        if let Err(error) = stored {
            log::error!("the last use of sessions cannot be stored: {error}");
        }
        self.renew_mark();
    }
}

/// How often the store is swept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How often the store is marked, so that a copy of it can be recognized as one.
const MARK_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum delay before a session's last use is stored. A crash loses at most this much of it.
const MAX_USE_DELAY: Millis = 60_000;
/// Maximum sessions that one sweep ends. It is low because each may remove a guest, who then leaves all rooms.
const MAX_ENDED_PER_SWEEP: usize = 10;
/// If the presence of more users has changed, clients get no names, only the number of users online.
const MAX_PRESENCE_CHANGES: usize = 200;
