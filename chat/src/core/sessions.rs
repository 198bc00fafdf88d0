//! The end of sessions and accounts.

use super::{
    super::{
        interface::{ClientId, Closing, Effect, EndReason, LogOut, Push},
        store::{Millis, SessionRow, StoreError, UserId, millis},
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
    pub(super) fn log_out(&mut self, LogOut(tokens): &LogOut) -> Result<(), StoreError> {
        for token in tokens {
            if let Some(session) = self.store.session_of_token(token)? {
                self.end_session(&session, EndReason::Logout)?;
            }
        }
        Ok(())
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

/// A guest's name becomes free after this time at the latest.
const MAX_GUEST_IDLE: Millis = 24 * 60 * 60 * 1000;
