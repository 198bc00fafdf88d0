//! The end of sessions and accounts.

use serde::Serialize;
use switchboard::{CloseCode, ConnectionId};

use super::{
    super::{
        interface::SignInError,
        store::{Millis, SessionRow, StoreError, UserId, millis},
        token::TokenHash,
        wire,
    },
    effects::Effect,
    state::State,
};

/// Why a session has ended, or why a connection has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reason {
    /// The connection showed no session in time.
    None,
    /// There is no such session.
    Unknown,
    /// The session was not used for too long.
    Idle,
    /// The session has reached its maximum lifetime.
    Lifetime,
    /// The user has logged out.
    Logout,
    /// The user has ended the session from another one, or an operator has ended it.
    Revoked,
    /// The account was deleted.
    Deleted,
}

#[derive(Serialize)]
struct Expired {
    reason: Reason,
}

impl State {
    /// Returns why a session has ended by time, or `None` if it has not.
    pub(super) fn end_by_time(&self, used: Millis, expires: Millis, guest: bool) -> Option<Reason> {
        if expires <= self.clock.now() {
            Some(Reason::Lifetime)
        } else if self.idle_at(used, guest) <= self.clock.now() {
            Some(Reason::Idle)
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
    pub(super) fn expire(&mut self, connection: ConnectionId, reason: Reason) {
        // The session's last use need not be stored: either the session has ended, or there was none.
        self.presence.disconnect(connection);
        self.send(connection, wire::event("expired", &Expired { reason }));
        self.effects.push(Effect::Close(connection, SESSION_EXPIRED, "the session has ended"));
    }

    /// Ends a session on all its connections. A guest is removed with the last session.
    pub(super) fn end_session(&mut self, session: &SessionRow, reason: Reason) -> Result<(), StoreError> {
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
    pub(super) fn log_out(&mut self, tokens: &[TokenHash]) -> Result<Result<(), SignInError>, StoreError> {
        for token in tokens {
            if let Some(session) = self.store.session_of_token(token)? {
                self.end_session(&session, Reason::Logout)?;
            }
        }
        Ok(Ok(()))
    }

    /// Removes a user: ends all sessions, and frees the name. The memberships end soon after.
    pub(super) fn remove_user(&mut self, user: UserId) -> Result<(), StoreError> {
        for session in self.store.sessions_of(user)? {
            for connection in self.presence.connections_of_session(session.id) {
                self.expire(connection, Reason::Deleted);
            }
        }
        self.store.remove_user(user)?;
        self.cache.evict_user(user);
        self.has_background_work = true;
        Ok(())
    }
}

/// The close code for a connection without a session.
const SESSION_EXPIRED: CloseCode = CloseCode::new(4001);
/// A guest's name becomes free after this time at the latest.
const MAX_GUEST_IDLE: Millis = 24 * 60 * 60 * 1000;
