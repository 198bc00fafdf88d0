//! Work at intervals: finds background work, and publishes presence.

use std::time::{Duration, Instant};

use super::{
    super::{
        interface::{Delivery, Push, Topic},
        store::Millis,
    },
    cache::Cache,
    clock::Now,
    costs::Cost,
    presence::PresenceDiff,
    state::State,
};

impl State {
    /// Ends overdue sessions and connections, publishes presence, and now and then finds background work.
    pub(super) fn tick(&mut self, now: Now, delivery: &impl Delivery) {
        self.set_now(now);
        self.end_overdue(delivery);
        delivery.post();
        // The monotonic clock is never set back.
        let is_due = |last: Option<Instant>, period| last.is_none_or(|last| now.instant >= last + period);
        if is_due(self.last_sweep, SWEEP_INTERVAL) {
            self.last_sweep = Some(now.instant);
            self.check_data_file();
            self.checkpoint_if_idle();
            self.find_foreign_changes();
            self.has_background_work = true;
        }
        if is_due(self.last_saved, SAVE_INTERVAL) {
            self.last_saved = Some(now.instant);
            self.save_clock();
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

    fn save_clock(&mut self) {
        if let Some(saved) = self.clock.to_saved()
            && let Err(error) = self.in_transaction(|state| state.store.save_clock(saved))
        {
            log::error!("the chat's clock cannot be saved: {error}");
        }
    }

    fn checkpoint_if_idle(&mut self) {
        if let Err(error) = self.store.checkpoint_if_idle() {
            log::error!("cannot start a thread to shorten the write-ahead log: {error}");
        }
    }

    fn renew_mark(&mut self) {
        if let Err(error) = self.store.renew_mark() {
            log::error!("the chat's data cannot be marked: {error}");
        }
    }

    /// Drops the cache if another process, such as an operator's command, has changed the store. The background work
    /// then looks for sessions that it has removed.
    fn find_foreign_changes(&mut self) {
        match self.store.foreign_changes() {
            Ok(changes) if changes == self.foreign_changes => {}
            Ok(changes) => {
                self.foreign_changes = changes;
                self.cache = Cache::default();
                self.unchecked = self.presence.session_ids().collect();
            }
            Err(error) => log::error!("cannot see whether another process has changed the chat's data: {error}"),
        }
    }

    /// Publishes which users came online or went offline.
    fn publish_presence(&mut self) {
        let PresenceDiff { online, offline } = self.presence.take_diff();
        if online.is_empty() && offline.is_empty() {
            return;
        }
        let few = online.len() + offline.len() <= MAX_PRESENCE_CHANGES && self.presence.has_few_users();
        let names = |names: Vec<String>| few.then_some(names);
        let push = Push::Presence { online: names(online), offline: names(offline), count: self.presence.count() };
        self.publish(Topic::Everyone, push, None);
    }

    /// Stores the last use of all sessions, and logs what the thread has spent its time on. Called when the chat ends.
    pub(super) fn close(&mut self, now: Now) {
        self.set_now(now);
        for (name, Cost { count, total, max }) in self.costs.rows() {
            log::debug!("the chat's thread: {name} {count} times, {total:?} in all, {max:?} at most");
        }
        let used: Vec<_> = self.presence.unstored_uses(Millis::MAX).collect();
        let stored =
            self.in_transaction(|state| used.iter().try_for_each(|(id, used)| state.store.set_used(*id, *used)));
        if let Err(error) = stored {
            log::error!("the last use of sessions cannot be stored: {error}");
        }
        self.save_clock();
        self.renew_mark();
    }
}

/// How often background work is looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How often the store is marked, so that a copy of it can be recognized as one.
const MARK_INTERVAL: Duration = Duration::from_secs(60);
/// How often the clock for long deadlines is saved. If the process is killed, the time since then counts as time in
/// which the computer was off.
const SAVE_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// If the presence of more users has changed, clients get no names, only the number of users online.
const MAX_PRESENCE_CHANGES: usize = 200;
