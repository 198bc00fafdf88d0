//! Who is connected, and by which session. Nothing here is stored.
//!
//! What has changed can be undone, as the store's transactions can: see [`commit`](Presence::commit) and
//! [`roll_back`](Presence::roll_back).

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::super::store::{Millis, PersonId, SessionId, SessionRow};
use switchboard::ConnectionId;

#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Connections that have not shown a session yet, and until when they may.
    unauthenticated: HashMap<ConnectionId, Instant>,
    connections: HashMap<ConnectionId, (PersonId, SessionId)>,
    people: HashMap<PersonId, OnlinePerson>,
    /// The people, by the keys of their names.
    by_key: BTreeMap<String, PersonId>,
    sessions: HashMap<SessionId, LiveSession>,
    /// Who has come or gone since that was last told.
    changed: HashMap<PersonId, Change>,
    /// What has happened since the last [`commit`](Self::commit), the latest at the end.
    journal: Vec<Undo>,
}

/// What is undone by its opposite.
#[derive(Debug)]
enum Undo {
    AwaitedAuth(ConnectionId),
    Connected(ConnectionId, Option<Instant>),
    Disconnected(ConnectionId, Removed),
    Used(SessionId, Millis),
    Stored(SessionId, Millis),
}

/// Where a connection was.
#[derive(Debug)]
enum Removed {
    Unauthenticated(Instant),
    SignedIn { name: String, key: String, guest: bool, session: SessionRow, stored: Millis },
}

#[derive(Debug)]
struct OnlinePerson {
    name: String,
    key: String,
    connections: Vec<ConnectionId>,
}

/// A session that is in use.
#[derive(Clone, Debug)]
pub(super) struct LiveSession {
    pub(super) guest: bool,
    /// When something was last done in it, and when that was last stored.
    pub(super) used: Millis,
    pub(super) stored: Millis,
    created: Millis,
    pub(super) expires: Millis,
    connections: Vec<ConnectionId>,
}

#[derive(Debug)]
struct Change {
    name: String,
    was_online: bool,
}

/// Somebody who is connected by a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewConnection<'a> {
    pub(super) connection: ConnectionId,
    pub(super) name: &'a str,
    pub(super) key: &'a str,
    pub(super) guest: bool,
    pub(super) session: &'a SessionRow,
}

/// Who came and went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PresenceDiff {
    pub(super) online: Vec<String>,
    pub(super) offline: Vec<String>,
}

impl Presence {
    /// All that has happened is settled.
    pub(super) fn commit(&mut self) {
        self.journal.clear();
    }

    /// All that has happened since it was last settled has not.
    pub(super) fn roll_back(&mut self) {
        while let Some(undo) = self.journal.pop() {
            match undo {
                Undo::AwaitedAuth(connection) => drop(self.unauthenticated.remove(&connection)),
                Undo::Connected(connection, deadline) => {
                    self.remove(connection);
                    if let Some(until) = deadline {
                        self.unauthenticated.insert(connection, until);
                    }
                }
                Undo::Disconnected(connection, Removed::Unauthenticated(until)) => {
                    self.unauthenticated.insert(connection, until);
                }
                Undo::Disconnected(connection, Removed::SignedIn { name, key, guest, session, stored }) => {
                    self.add(NewConnection { connection, name: &name, key: &key, guest, session: &session }, stored);
                }
                Undo::Used(session, before) => {
                    if let Some(live) = self.sessions.get_mut(&session) {
                        live.used = before;
                    }
                }
                Undo::Stored(session, before) => {
                    if let Some(live) = self.sessions.get_mut(&session) {
                        live.stored = before;
                    }
                }
            }
        }
    }

    /// A connection that has shown no session yet, but may until then.
    pub(super) fn await_auth(&mut self, connection: ConnectionId, until: Instant) {
        self.journal.push(Undo::AwaitedAuth(connection));
        self.unauthenticated.insert(connection, until);
    }

    /// Connections that have shown no session in time.
    pub(super) fn overdue(&self, now: Instant) -> Vec<ConnectionId> {
        self.unauthenticated.iter().filter(|(_, until)| **until <= now).map(|(connection, _)| *connection).collect()
    }

    pub(super) fn is_unauthenticated(&self, connection: ConnectionId) -> bool {
        self.unauthenticated.contains_key(&connection)
    }

    /// Somebody is connected by a session.
    pub(super) fn connect(&mut self, new: NewConnection<'_>) {
        let deadline = self.unauthenticated.remove(&new.connection);
        self.journal.push(Undo::Connected(new.connection, deadline));
        self.add(new, new.session.used);
    }

    fn add(&mut self, new: NewConnection<'_>, stored: Millis) {
        let NewConnection { connection, name, key, guest, session } = new;
        self.connections.insert(connection, (session.person, session.id));
        let present = self.people.entry(session.person).or_insert_with(|| {
            let change = self.changed.entry(session.person);
            change.or_insert_with(|| Change { name: name.to_owned(), was_online: false });
            self.by_key.insert(key.to_owned(), session.person);
            OnlinePerson { name: name.to_owned(), key: key.to_owned(), connections: Vec::new() }
        });
        present.connections.push(connection);
        let live = self.sessions.entry(session.id).or_insert_with(|| LiveSession {
            guest,
            used: session.used,
            stored,
            created: session.created,
            expires: session.expires,
            connections: Vec::new(),
        });
        live.connections.push(connection);
    }

    /// A connection is gone, or nobody's any more. Gives the session that is no longer in use by that, whose last use
    /// is not stored yet.
    pub(super) fn disconnect(&mut self, connection: ConnectionId) -> Option<(SessionId, Millis)> {
        if let Some(until) = self.unauthenticated.remove(&connection) {
            self.journal.push(Undo::Disconnected(connection, Removed::Unauthenticated(until)));
        }
        let removed = self.remove(connection)?;
        let unstored = match &removed {
            Removed::SignedIn { session, stored, .. }
                if session.used > *stored && !self.sessions.contains_key(&session.id) =>
            {
                Some((session.id, session.used))
            }
            Removed::SignedIn { .. } | Removed::Unauthenticated(_) => None,
        };
        self.journal.push(Undo::Disconnected(connection, removed));
        unstored
    }

    fn remove(&mut self, connection: ConnectionId) -> Option<Removed> {
        let (person, id) = self.connections.remove(&connection)?;
        let present = self.people.get_mut(&person)?;
        let (name, key) = (present.name.clone(), present.key.clone());
        present.connections.retain(|other| *other != connection);
        if present.connections.is_empty() {
            self.people.remove(&person);
            self.by_key.remove(&key);
            self.changed.entry(person).or_insert(Change { name: name.clone(), was_online: true });
        }
        let live = self.sessions.get_mut(&id)?;
        live.connections.retain(|other| *other != connection);
        let LiveSession { guest, used, stored, created, expires, .. } = *live;
        if live.connections.is_empty() {
            self.sessions.remove(&id);
        }
        let session = SessionRow { id, person, created, used, expires };
        Some(Removed::SignedIn { name, key, guest, session, stored })
    }

    /// Who is connected here, and by which session.
    pub(super) fn identity_of(&self, connection: ConnectionId) -> Option<(PersonId, SessionId)> {
        self.connections.get(&connection).copied()
    }

    pub(super) fn connections_of(&self, person: PersonId) -> &[ConnectionId] {
        self.people.get(&person).map_or(&[], |present| &present.connections)
    }

    pub(super) fn connections_of_session(&self, session: SessionId) -> Vec<ConnectionId> {
        self.sessions.get(&session).map_or(Vec::new(), |live| live.connections.clone())
    }

    pub(super) fn is_online(&self, person: PersonId) -> bool {
        self.people.contains_key(&person)
    }

    /// How many people there are.
    pub(super) fn count(&self) -> usize {
        self.people.len()
    }

    /// The people in the order of their names' keys, behind `after`.
    pub(super) fn people(&self, after: &str) -> impl Iterator<Item = (PersonId, &str)> {
        let behind = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        let ids = self.by_key.range::<str, _>(behind).map(|(_, id)| *id);
        ids.filter_map(|id| self.people.get(&id).map(|present| (id, &*present.name)))
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = (SessionId, &LiveSession)> {
        self.sessions.iter().map(|(id, live)| (*id, live))
    }

    pub(super) fn session(&self, session: SessionId) -> Option<&LiveSession> {
        self.sessions.get(&session)
    }

    /// Something was done in a session.
    pub(super) fn mark_used(&mut self, session: SessionId, now: Millis) {
        if let Some(live) = self.sessions.get_mut(&session)
            && live.used < now
        {
            self.journal.push(Undo::Used(session, live.used));
            live.used = now;
        }
    }

    /// When a session was last used is stored now.
    pub(super) fn mark_stored(&mut self, session: SessionId, used: Millis) {
        if let Some(live) = self.sessions.get_mut(&session) {
            self.journal.push(Undo::Stored(session, live.stored));
            live.stored = live.stored.max(used);
        }
    }

    /// Who has come and gone since this was last asked; who did both is not among them.
    pub(super) fn take_diff(&mut self) -> PresenceDiff {
        let mut diff = PresenceDiff::default();
        for (id, Change { name, was_online }) in self.changed.drain() {
            match (was_online, self.people.contains_key(&id)) {
                (false, true) => diff.online.push(name),
                (true, false) => diff.offline.push(name),
                _ => {}
            }
        }
        diff.online.sort();
        diff.offline.sort();
        diff
    }
}

/// Above so many people their names are no longer told to everybody.
pub(super) const MAX_ONLINE_NAMES: usize = 1000;
