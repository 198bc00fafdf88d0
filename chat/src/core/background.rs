//! Background work, in small pieces between the commands: ends sessions, and deletes what removed rooms and users leave
//! behind.
//!
//! The store knows what is left to do, so the work goes on after a restart or a failure. Each kind of work has
//! transactions of its own: if one fails, as it may on a disk that is nearly full, no command and no other kind of work
//! is rolled back.

use super::{
    super::{
        interface::{Delivery, EndReason},
        store::{LOBBY, Millis, Role, RoomId, SessionId, StoreError, UserId},
    },
    clock::Now,
    costs::Stopwatch,
    lookup::other_member,
    state::State,
};

/// Takes a step, of a few hundred microseconds. Returns whether there may be more.
type Step = fn(&mut State) -> Result<bool, StoreError>;

/// The kinds of work, the most urgent first.
const KINDS: [Step; 7] = [
    |state| state.store.correct_some_sessions(state.clock.now(), MAX_CORRECTED),
    State::end_some_sessions,
    State::store_some_uses,
    State::check_some_sessions,
    State::depart_a_little,
    State::dismiss_some_members,
    |state| state.store.trim_removed(),
];

impl State {
    /// Returns whether there may be background work.
    pub(super) fn has_work(&self) -> bool {
        self.has_background_work || self.has_overdue
    }

    /// Does a piece of the background work, if there is any.
    pub(super) fn work_in_background(&mut self, now: Now, delivery: &impl Delivery) {
        if !self.has_work() {
            return;
        }
        self.set_now(now);
        let mut stopwatch = Stopwatch::start();
        if self.has_overdue {
            self.end_overdue(delivery);
        }
        let mut took = stopwatch.lap();
        let (mut has_more, mut has_failed) = (false, false);
        for step in KINDS {
            if has_more || !self.has_background_work {
                break;
            }
            let done = self.in_transaction(|state| {
                while step(state)? {
                    took += stopwatch.lap();
                    if took >= state.max_piece {
                        return Ok(true);
                    }
                }
                Ok(false)
            });
            match done {
                Ok(more) => has_more = more,
                Err(error) => {
                    log::error!("background work has failed, and is tried again: {error}");
                    // All sessions are checked for foreign changes again.
                    (has_failed, self.foreign_changes) = (true, 0);
                    if error.is_busy() {
                        // Each other kind would wait as long as this one did.
                        break;
                    }
                }
            }
        }
        // After a failure, the work goes on when it is found again.
        self.has_background_work = has_more && !has_failed;
        self.deliver(delivery);
        delivery.post();
        self.costs.record("<background>", took + stopwatch.lap());
    }

    /// Ends some of the sessions in use that are overdue, and closes connections that have shown no session in time.
    /// The connections are closed even if the store cannot be written; background work removes the sessions from it
    /// later.
    pub(super) fn end_overdue(&mut self, delivery: &impl Delivery) {
        for _ in 0..MAX_OVERDUE {
            let Some(connection) = self.presence.overdue(self.now.instant) else { break };
            self.expire(connection, EndReason::None);
        }
        for _ in 0..MAX_OVERDUE {
            let Some((session, live)) = self.presence.session_to_check(self.clock.now()) else { break };
            match self.end_by_time(live.used, live.expires, live.guest) {
                // The session is over, so its last use need not be stored.
                Some(reason) => self.expire_all(session, reason),
                None => {
                    let at = self.idle_at(live.used, live.guest).min(live.expires);
                    self.presence.check_at(session, at);
                }
            }
        }
        self.has_overdue = self.presence.overdue(self.now.instant).is_some()
            || self.presence.session_to_check(self.clock.now()).is_some();
        self.presence.commit();
        self.deliver(delivery);
    }

    /// Closes all connections of a session.
    fn expire_all(&mut self, session: SessionId, reason: EndReason) {
        for connection in self.presence.connections_of_session(session) {
            self.expire(connection, reason);
        }
    }

    /// Removes some ended sessions from the store.
    fn end_some_sessions(&mut self) -> Result<bool, StoreError> {
        let before = |time: Millis| self.clock.now().saturating_sub(time);
        let (idle, guests_idle) = (before(self.idle_time(false)), before(self.idle_time(true)));
        let ended = self.store.ended_sessions(self.clock.now(), idle, guests_idle, MAX_ENDED)?;
        for session in &ended {
            let live = self.presence.session(session.id).map(|live| (live.used, live.guest));
            match live {
                // The session was used later than the store knows.
                Some((used, guest)) if self.end_by_time(used, session.expires, guest).is_none() => {
                    self.store.set_used(session.id, used)?;
                    self.presence.mark_stored(session.id, used);
                }
                _ => self.end_session(session, EndReason::Idle)?,
            }
        }
        Ok(!ended.is_empty())
    }

    /// Stores some uses of sessions that have waited for long enough.
    fn store_some_uses(&mut self) -> Result<bool, StoreError> {
        let max_delay = MAX_USE_DELAY.min(self.idle_time(true) / 10);
        let since = self.clock.now().saturating_sub(max_delay);
        let uses: Vec<_> = self.presence.unstored_uses(since).take(MAX_STORED).collect();
        for &(session, used) in &uses {
            self.store.set_used(session, used)?;
            self.presence.mark_stored(session, used);
        }
        Ok(!uses.is_empty())
    }

    /// Closes the connections of some sessions that another process has removed.
    fn check_some_sessions(&mut self) -> Result<bool, StoreError> {
        for _ in 0..MAX_CHECKED {
            let Some(session) = self.unchecked.pop() else { return Ok(false) };
            if self.store.session(session)?.is_none() {
                self.expire_all(session, EndReason::Revoked);
            }
        }
        Ok(true)
    }

    /// Ends some memberships of a user who is gone, or deletes some blocks when no membership is left.
    fn depart_a_little(&mut self) -> Result<bool, StoreError> {
        let Some(user) = self.store.departure()? else { return Ok(false) };
        let memberships = self.store.some_memberships_of(user, MAX_LEFT)?;
        if memberships.is_empty() {
            self.store.remove_some_blocks(user, MAX_UNBLOCKED)?;
        }
        for membership in memberships {
            self.depart_from(membership.room, user, membership.role)?;
        }
        Ok(true)
    }

    fn depart_from(&mut self, room: RoomId, user: UserId, role: Role) -> Result<(), StoreError> {
        let Some(room) = self.room(room)?.filter(|room| room.id != LOBBY) else {
            // No entry in the Lobby's log: there was none either when the user joined, and guests come and go. All
            // other rooms that are not found are removed themselves.
            return self.remove_member(room, user);
        };
        self.leave_room(&room, user, role)?;
        if let Some(other) = other_member(&room, user)
            && self.room(room.id)?.is_some()
        {
            // So the other member of a direct room sees that the user is gone.
            self.push_room(&room, other)?;
        }
        Ok(())
    }

    fn dismiss_some_members(&mut self) -> Result<bool, StoreError> {
        let Some(room) = self.store.removed_room()? else { return Ok(false) };
        self.dismiss_members(room, MAX_DISMISSED)?;
        Ok(true)
    }
}

/// Maximum delay before a session's last use is stored. A crash loses at most this much of it.
const MAX_USE_DELAY: Millis = 60_000;
/// Maximum overdue sessions, and connections without one, that are ended at once.
const MAX_OVERDUE: usize = 100;
/// Maximum sessions whose times are corrected in one step.
const MAX_CORRECTED: usize = 50;
/// Maximum sessions that are removed from the store in one step.
const MAX_ENDED: usize = 10;
/// Maximum last uses that are stored in one step.
const MAX_STORED: usize = 20;
/// Maximum sessions that are looked up in one step.
const MAX_CHECKED: usize = 50;
/// Maximum members of a removed room in one step.
const MAX_DISMISSED: usize = 50;
/// Maximum rooms that a user leaves in one step.
const MAX_LEFT: usize = 10;
/// Maximum blocks of each kind that are deleted in one step.
const MAX_UNBLOCKED: usize = 50;
