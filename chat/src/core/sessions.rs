//! The end of sessions and accounts.

use std::collections::HashSet;

use super::{
    super::{
        interface::{ClientId, Closing, Effect, EndReason, LogOut, Push},
        store::{Millis, RoomId, SessionRow, StoreError, UserId, millis},
        wire::EventError,
    },
    state::State,
};

impl State {
    /// Returns why a session has ended by time, or `None` if it has not.
    pub(super) fn end_by_time(&self, used: Millis, expires: Millis, guest: bool) -> Option<EndReason> {
        if expires <= self.clock.now() {
            Some(EndReason::Lifetime)
        } else if self.idle_at(used, guest) <= self.clock.now() {
            Some(EndReason::Idle)
        } else {
            None
        }
    }

    /// Returns when a session ends that is not used again after `used`.
    pub(super) fn idle_at(&self, used: Millis, guest: bool) -> Millis {
        used.saturating_add(self.idle_time(guest))
    }

    /// Returns how long a session may be unused.
    pub(super) fn idle_time(&self, guest: bool) -> Millis {
        let idle = millis(self.config.session_idle);
        if guest { idle.min(MAX_GUEST_IDLE) } else { idle }
    }

    /// Tells a connection that it has no session, and closes it.
    pub(super) fn expire(&mut self, connection: ClientId, reason: EndReason) {
        // The session's last use need not be stored: either the session has ended, or there was none.
        self.presence.disconnect(connection);
        self.send(connection, Push::Expired { reason });
        self.effects.push(Effect::Close(connection, Closing::NoSession));
    }

    /// Ends a session on all its connections. A guest is removed with the last session.
    pub(super) fn end_session(&mut self, session: &SessionRow, reason: EndReason) -> Result<(), StoreError> {
        for connection in self.presence.connections_of_session(session.id) {
            self.expire(connection, reason);
        }
        self.store.remove_session(session.id)?;
        let Some(user) = self.store.user(session.user)? else { return Ok(()) };
        if user.is_guest() && self.store.sessions_of(user.id)?.is_empty() {
            self.remove_user(user.id)?;
        }
        Ok(())
    }

    /// Ends the sessions of these tokens, because their user logs out.
    pub(super) fn log_out(&mut self, LogOut { tokens, remove }: &LogOut) -> Result<Result<(), EventError>, StoreError> {
        let (mut sessions, mut rooms) = (Vec::new(), Vec::new());
        for token in tokens {
            if let Some(session) = self.store.session_of_token(token)? {
                rooms.extend(self.rooms_only_of_session(&session)?);
                sessions.push(session);
            }
        }
        if let Err(error) = check_confirmed(rooms, remove) {
            return Ok(Err(error));
        }
        for session in sessions {
            self.end_session(&session, EndReason::Logout)?;
        }
        Ok(Ok(()))
    }

    /// Returns the rooms that go with a session: a guest is removed with the last one, and may be the last member of
    /// some rooms.
    pub(super) fn rooms_only_of_session(&self, session: &SessionRow) -> Result<Vec<RoomId>, StoreError> {
        match self.store.user(session.user)? {
            Some(user) if user.is_guest() && self.store.sessions_of(user.id)?.len() == 1 => {
                self.store.rooms_only_of(user.id)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Removes a user: ends all sessions, and frees the name. The memberships end soon after.
    pub(super) fn remove_user(&mut self, user: UserId) -> Result<(), StoreError> {
        for session in self.store.sessions_of(user)? {
            for connection in self.presence.connections_of_session(session.id) {
                self.expire(connection, EndReason::Deleted);
            }
        }
        self.store.remove_user(user)?;
        self.cache.evict_user(user);
        self.has_background_work = true;
        Ok(())
    }
}

/// Checks that a user has confirmed that these `rooms` are removed, because no other member is left.
///
/// # Errors
/// `last_member`, with all of these rooms.
pub(super) fn check_confirmed(rooms: Vec<RoomId>, confirmed: &[RoomId]) -> Result<(), EventError> {
    if rooms.is_empty() {
        return Ok(());
    }
    let confirmed: HashSet<_> = confirmed.iter().collect();
    if rooms.iter().all(|room| confirmed.contains(room)) {
        return Ok(());
    }
    Err(EventError::last_member(rooms.into_iter().map(RoomId::number).collect()))
}

/// A guest's name becomes free after this time at the latest.
const MAX_GUEST_IDLE: Millis = 24 * 60 * 60 * 1000;
