//! Who is connected, and by which session. Nothing here is stored.
//!
//! What has changed can be undone, as the store's transactions can: see [`keep`](Presence::keep) and
//! [`undo`](Presence::undo).

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::super::store::{Millis, PersonId, SessionId, SessionRow};
use switchboard::ConnectionId;

#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Connections that have not shown a session yet, and until when they may.
    strangers: HashMap<ConnectionId, Instant>,
    connections: HashMap<ConnectionId, (PersonId, SessionId)>,
    people: HashMap<PersonId, Present>,
    /// The people, by the keys of their names.
    by_key: BTreeMap<String, PersonId>,
    sessions: HashMap<SessionId, LiveSession>,
    /// Who has come or gone since that was last told.
    changed: HashMap<PersonId, Change>,
    /// What has happened since the last [`keep`](Self::keep), the latest at the end.
    journal: Vec<Step>,
}

/// What is undone by its opposite.
#[derive(Debug)]
enum Step {
    Expected(ConnectionId),
    Arrived(ConnectionId, Option<Instant>),
    Left(ConnectionId, Place),
    Used(SessionId, Millis),
    Stored(SessionId, Millis),
}

/// Where a connection was.
#[derive(Debug)]
enum Place {
    Stranger(Instant),
    Signed { name: String, key: String, guest: bool, session: SessionRow, stored: Millis },
}

#[derive(Debug)]
struct Present {
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
pub(super) struct Arrival<'a> {
    pub(super) connection: ConnectionId,
    pub(super) name: &'a str,
    pub(super) key: &'a str,
    pub(super) guest: bool,
    pub(super) session: &'a SessionRow,
}

/// Who came and went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) online: Vec<String>,
    pub(super) offline: Vec<String>,
}

impl Presence {
    /// All that has happened is settled.
    pub(super) fn keep(&mut self) {
        self.journal.clear();
    }

    /// All that has happened since it was last settled has not.
    pub(super) fn undo(&mut self) {
        while let Some(step) = self.journal.pop() {
            match step {
                Step::Expected(connection) => drop(self.strangers.remove(&connection)),
                Step::Arrived(connection, stranger) => {
                    self.remove(connection);
                    if let Some(until) = stranger {
                        self.strangers.insert(connection, until);
                    }
                }
                Step::Left(connection, Place::Stranger(until)) => drop(self.strangers.insert(connection, until)),
                Step::Left(connection, Place::Signed { name, key, guest, session, stored }) => {
                    self.add(Arrival { connection, name: &name, key: &key, guest, session: &session }, stored);
                }
                Step::Used(session, before) => {
                    if let Some(live) = self.sessions.get_mut(&session) {
                        live.used = before;
                    }
                }
                Step::Stored(session, before) => {
                    if let Some(live) = self.sessions.get_mut(&session) {
                        live.stored = before;
                    }
                }
            }
        }
    }

    /// A connection that has shown no session yet, but may until then.
    pub(super) fn expect(&mut self, connection: ConnectionId, until: Instant) {
        self.journal.push(Step::Expected(connection));
        self.strangers.insert(connection, until);
    }

    /// Connections that have shown no session in time.
    pub(super) fn overdue(&self, now: Instant) -> Vec<ConnectionId> {
        self.strangers.iter().filter(|(_, until)| **until <= now).map(|(connection, _)| *connection).collect()
    }

    pub(super) fn is_stranger(&self, connection: ConnectionId) -> bool {
        self.strangers.contains_key(&connection)
    }

    /// Somebody is connected by a session.
    pub(super) fn arrive(&mut self, arrival: Arrival<'_>) {
        let stranger = self.strangers.remove(&arrival.connection);
        self.journal.push(Step::Arrived(arrival.connection, stranger));
        self.add(arrival, arrival.session.used);
    }

    fn add(&mut self, arrival: Arrival<'_>, stored: Millis) {
        let Arrival { connection, name, key, guest, session } = arrival;
        self.connections.insert(connection, (session.person, session.id));
        let present = self.people.entry(session.person).or_insert_with(|| {
            let change = self.changed.entry(session.person);
            change.or_insert_with(|| Change { name: name.to_owned(), was_online: false });
            self.by_key.insert(key.to_owned(), session.person);
            Present { name: name.to_owned(), key: key.to_owned(), connections: Vec::new() }
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
    pub(super) fn leave(&mut self, connection: ConnectionId) -> Option<(SessionId, Millis)> {
        if let Some(until) = self.strangers.remove(&connection) {
            self.journal.push(Step::Left(connection, Place::Stranger(until)));
        }
        let place = self.remove(connection)?;
        let unstored = match &place {
            Place::Signed { session, stored, .. }
                if session.used > *stored && !self.sessions.contains_key(&session.id) =>
            {
                Some((session.id, session.used))
            }
            Place::Signed { .. } | Place::Stranger(_) => None,
        };
        self.journal.push(Step::Left(connection, place));
        unstored
    }

    fn remove(&mut self, connection: ConnectionId) -> Option<Place> {
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
        Some(Place::Signed { name, key, guest, session, stored })
    }

    /// Who is connected here, and by which session.
    pub(super) fn at(&self, connection: ConnectionId) -> Option<(PersonId, SessionId)> {
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
    pub(super) fn used(&mut self, session: SessionId, now: Millis) {
        if let Some(live) = self.sessions.get_mut(&session)
            && live.used < now
        {
            self.journal.push(Step::Used(session, live.used));
            live.used = now;
        }
    }

    /// When a session was last used is stored now.
    pub(super) fn stored(&mut self, session: SessionId, used: Millis) {
        if let Some(live) = self.sessions.get_mut(&session) {
            self.journal.push(Step::Stored(session, live.stored));
            live.stored = live.stored.max(used);
        }
    }

    /// Who has come and gone since this was last asked; who did both is not among them.
    pub(super) fn news(&mut self) -> News {
        let mut news = News::default();
        for (id, Change { name, was_online }) in self.changed.drain() {
            match (was_online, self.people.contains_key(&id)) {
                (false, true) => news.online.push(name),
                (true, false) => news.offline.push(name),
                _ => {}
            }
        }
        news.online.sort();
        news.offline.sort();
        news
    }
}
