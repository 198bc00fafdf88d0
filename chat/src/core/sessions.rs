//! How sessions end: by time, by will, from elsewhere.

use std::time::Duration;

use serde::Serialize;

use super::{
    super::{
        interface::SignInError,
        store::{Millis, PersonId, SessionRow, StoreError},
        token::TokenHash,
        wire,
    },
    effects::Effect,
    lookup::other_member,
    state::State,
};
use switchboard::{CloseCode, ConnectionId};

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reason {
    /// None was shown in time.
    None,
    /// There is no such session.
    Unknown,
    /// Nothing was done in it for too long.
    Idle,
    /// Its time is over.
    Lifetime,
    /// Its owner has logged out.
    Logout,
    /// Its owner has ended it from elsewhere, or an operator.
    Revoked,
    /// Its owner's account is no more.
    Deleted,
}

#[derive(Serialize)]
struct Expired {
    reason: Reason,
}

impl State {
    /// Why a session has ended, if time has ended it.
    pub(super) fn end_by_time(&self, used: Millis, expires: Millis, guest: bool) -> Option<Reason> {
        if expires <= self.now.wall {
            Some(Reason::Lifetime)
        } else if used.saturating_add(self.idle_time(guest)) <= self.now.wall {
            Some(Reason::Idle)
        } else {
            None
        }
    }

    /// How long one may do nothing.
    pub(super) fn idle_time(&self, guest: bool) -> Millis {
        let idle = millis(self.config.session_idle);
        if guest { idle.min(MAX_GUEST_IDLE) } else { idle }
    }

    /// Tells a connection that it has no session, and closes it.
    pub(super) fn expire(&mut self, connection: ConnectionId, reason: Reason) {
        // Its last use goes with it: either the session has ended, or there was none.
        self.presence.disconnect(connection);
        self.send(connection, wire::event("expired", &Expired { reason }));
        self.effects.push(Effect::Close(connection, SESSION_EXPIRED, "the session has ended"));
    }

    /// Ends a session, wherever it is in use. A guest's last one takes the guest with it.
    pub(super) fn end_session(&mut self, session: &SessionRow, reason: Reason) -> Result<(), StoreError> {
        for connection in self.presence.connections_of_session(session.id) {
            self.expire(connection, reason);
        }
        self.store.remove_session(session.id)?;
        let Some(person) = self.store.person(session.person)? else { return Ok(()) };
        if person.is_guest() && self.store.sessions_of(person.id)?.is_empty() {
            self.remove_person(person.id)?;
        }
        Ok(())
    }

    /// Ends the session of a token, by its owner's will.
    pub(super) fn log_out(&mut self, token: &TokenHash) -> Result<Result<(), SignInError>, StoreError> {
        if let Some(session) = self.store.session_of_token(token)? {
            self.end_session(&session, Reason::Logout)?;
        }
        Ok(Ok(()))
    }

    /// Somebody is no more: they leave all rooms, their sessions end, and their name is free.
    pub(super) fn remove_person(&mut self, person: PersonId) -> Result<(), StoreError> {
        for session in self.store.sessions_of(person)? {
            for connection in self.presence.connections_of_session(session.id) {
                self.expire(connection, Reason::Deleted);
            }
        }
        let places = self.store.places_of(person)?;
        self.leave_all_rooms(person)?;
        self.store.remove_person(person)?;
        self.cache.evict_person(person);
        for place in places {
            // Who has talked with them learns that there is no answer to come.
            if let Some(room) = self.room(place.room)?
                && let Some(other) = other_member(&room, person)
            {
                self.push_room(&room, other)?;
            }
        }
        Ok(())
    }
}

pub(super) fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

/// The close code for who has no session, or none any more.
const SESSION_EXPIRED: CloseCode = CloseCode::new(4001);
/// Nobody waits longer for the name of a guest who has left.
const MAX_GUEST_IDLE: Millis = 24 * 60 * 60 * 1000;
