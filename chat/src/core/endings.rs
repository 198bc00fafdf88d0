//! How sessions end: by time, by will, from elsewhere.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    super::{
        backplane::{Exchange, SignInError},
        store::{Millis, PersonId, SessionId, SessionRow, StoreError},
        token::TokenHash,
        wire,
    },
    effects::{Effect, Topic},
    keeper::{Keeper, Now},
    lookup::other_of,
    presence::News,
    signing_in::{MOST_NAMES, millis},
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

#[derive(Serialize)]
struct PresenceTold {
    online: Option<Vec<String>>,
    offline: Option<Vec<String>>,
    count: usize,
}

impl Keeper {
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
        if guest { idle.min(GUESTS_IDLE) } else { idle }
    }

    /// Tells a connection that it has no session, and closes it.
    pub(super) fn expire(&mut self, connection: ConnectionId, reason: Reason) {
        // Its last use goes with it: either the session has ended, or there was none.
        self.presence.leave(connection);
        self.answer(connection, wire::event("expired", &Expired { reason }));
        self.effects.push(Effect::Close(connection, EXPIRED, "the session has ended"));
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
        let places = self.store.memberships_of(person)?;
        self.leave_all_rooms(person)?;
        self.store.remove_person(person)?;
        self.lookup.forget_person(person);
        for place in places {
            // Who has talked with them learns that there is no answer to come.
            if let Some(room) = self.room(place.room)?
                && let Some(other) = other_of(&room, person)
            {
                self.tell_room(&room, other)?;
            }
        }
        Ok(())
    }

    /// What time brings: sessions end, and all hear who came and went.
    pub(crate) fn look_around(&mut self, now: Now, exchange: &impl Exchange) {
        self.now = now;
        for connection in self.presence.overdue(now.instant) {
            self.expire(connection, Reason::None);
        }
        self.end_overdue();
        self.presence.keep();
        self.show(exchange);
        if self.has_more_to_forget {
            self.forget_removed();
        }
        // By the clock that nobody sets back.
        let is_due = |last: Option<Instant>, period| last.is_none_or(|last| now.instant >= last + period);
        if is_due(self.looked_through, LOOK_THROUGH) || self.has_more_to_end {
            self.looked_through = Some(now.instant);
            self.look_for_data();
            self.has_more_to_end = false;
            match self.in_transaction(Self::look_through) {
                Ok((changes, has_more)) => (self.foreign_changes, self.has_more_to_end) = (changes, has_more),
                Err(error) => log::error!("the chat's data cannot be looked through: {error}"),
            }
            self.has_more_to_forget = true;
        }
        if is_due(self.marked, MARK) {
            self.marked = Some(now.instant);
            self.renew_mark();
        }
        self.tell_news();
        self.show(exchange);
    }

    /// Nobody is to be told that something is durable which is written to a file that is no more.
    fn look_for_data(&mut self) {
        match self.store.refuse_writes_if_moved() {
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
    fn forget_removed(&mut self) {
        let forgotten = self.in_transaction(|keeper| keeper.store.trim_removed());
        self.has_more_to_forget = forgotten.unwrap_or_else(|error| {
            log::error!("what was removed cannot be forgotten: {error}");
            false
        });
    }

    fn renew_mark(&mut self) {
        if let Err(error) = self.store.renew_mark() {
            log::error!("the chat's data cannot be marked: {error}");
        }
    }

    /// Ends the sessions in use whose time is over: their connections hear of it even where the store cannot be
    /// written, which forgets them later.
    fn end_overdue(&mut self) {
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
    fn look_through(&mut self) -> Result<(i64, bool), StoreError> {
        let kept_back = USE_KEPT_BACK.min(self.idle_time(true) / 10);
        let used: Vec<(SessionId, Millis)> = self
            .presence
            .sessions()
            .filter(|(_, live)| live.used > live.stored.saturating_add(kept_back))
            .map(|(id, live)| (id, live.used))
            .collect();
        for (session, used) in used {
            self.store.set_used(session, used)?;
            self.presence.stored(session, used);
        }
        let before = |time: Millis| self.now.wall.saturating_sub(time);
        let (idle, guests_idle) = (before(self.idle_time(false)), before(self.idle_time(true)));
        let ended = self.store.ended_sessions(self.now.wall, idle, guests_idle, ENDED_AT_ONCE)?;
        for session in &ended {
            match self.presence.session(session.id).map(|live| live.used) {
                // The store does not know yet that it was used later; else it would stand in the others' way.
                Some(used) => {
                    self.store.set_used(session.id, used)?;
                    self.presence.stored(session.id, used);
                }
                None => self.end_session(session, Reason::Idle)?,
            }
        }
        let changes = self.store.foreign_changes()?;
        if self.foreign_changes != changes {
            self.look_at_foreign_changes()?;
        }
        Ok((changes, ended.len() == ENDED_AT_ONCE))
    }

    /// An operator has changed something beside us: passwords, sessions, who is an operator.
    fn look_at_foreign_changes(&mut self) -> Result<(), StoreError> {
        self.lookup = super::lookup::Lookup::default();
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
    fn tell_news(&mut self) {
        let News { online, offline } = self.presence.news();
        if online.is_empty() && offline.is_empty() {
            return;
        }
        let few = online.len() + offline.len() <= MOST_NEWS && self.presence.count() <= MOST_NAMES;
        let names = |names: Vec<String>| few.then_some(names);
        let told = PresenceTold { online: names(online), offline: names(offline), count: self.presence.count() };
        self.publish(Topic::Everyone, wire::event("presence", &told), None);
    }

    /// Stores what was kept back.
    pub(super) fn close(&mut self, now: Now) {
        self.now = now;
        let used: Vec<_> = self.presence.sessions().map(|(id, live)| (id, live.used)).collect();
        let stored =
            self.in_transaction(|keeper| used.iter().try_for_each(|(id, used)| keeper.store.set_used(*id, *used)));
        if let Err(error) = stored {
            log::error!("when sessions were last used cannot be stored: {error}");
        }
        self.renew_mark();
    }
}

/// The close code for who has no session, or none any more.
const EXPIRED: CloseCode = CloseCode::new(4001);
/// Nobody waits longer for the name of a guest who has left.
const GUESTS_IDLE: Millis = 24 * 60 * 60 * 1000;
/// How often the store is looked through.
const LOOK_THROUGH: Duration = Duration::from_secs(1);
/// How often the data is marked, so that a copy of it is known as one.
const MARK: Duration = Duration::from_secs(60);
/// How late it is stored that a session was used: what a sudden end of the process takes from it.
const USE_KEPT_BACK: Millis = 60_000;
/// Sessions that are ended in one look: with each a guest may go, who leaves all rooms.
const ENDED_AT_ONCE: usize = 10;
/// News of more people than this are told as a number.
const MOST_NEWS: usize = 200;
