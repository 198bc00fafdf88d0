//! The connections, sessions, and users that are online. Nothing here is stored.
//!
//! Changes can be rolled back together with the store's changes: see [`commit`](Presence::commit) and
//! [`roll_back`](Presence::roll_back).

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

use super::super::interface::ClientId;
use super::super::store::{DirectsEnd, Millis, SessionId, SessionRow, UserId, UserPlace};

#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Connections without a session, each with the time by which it must have one.
    unauthenticated: HashMap<ClientId, Instant>,
    /// The same, in the order of the times.
    awaited: BTreeSet<(Instant, ClientId)>,
    connections: HashMap<ClientId, (UserId, SessionId)>,
    users: HashMap<UserId, OnlineUser>,
    /// The users online, in the order of their names.
    by_name: BTreeSet<UserPlace>,
    /// The length of all their names together.
    name_bytes: usize,
    sessions: HashMap<SessionId, LiveSession>,
    /// When each session is to be checked for its end, in the order of the times.
    checks: BTreeSet<(Millis, SessionId)>,
    /// Sessions whose last use is not stored, in the order of the first such use.
    unstored: BTreeSet<(Millis, SessionId)>,
    /// Users who may have come online or gone offline since the last [`take_diff`](Self::take_diff).
    changed: HashMap<UserId, Change>,
    /// The undo log of the changes since the last [`commit`](Self::commit), the latest last.
    journal: Vec<Undo>,
}

/// A change, with what is needed to undo it.
#[derive(Debug)]
enum Undo {
    AwaitedAuth(ClientId),
    Connected(ClientId, Option<Instant>),
    Disconnected(ClientId, Removed),
    Used(SessionId, Millis),
    Stored(SessionId, Millis),
}

/// The state of a connection before it was removed.
#[derive(Debug)]
enum Removed {
    Unauthenticated(Instant),
    SignedIn { name: Arc<str>, folded: String, guest: bool, known: DirectsEnd, session: SessionRow, stored: Millis },
}

#[derive(Debug)]
struct OnlineUser {
    name: Arc<str>,
    folded: String,
    connections: Vec<ClientId>,
    /// Each connection knows the direct rooms up to here.
    known: DirectsEnd,
}

/// A session that is in use by at least one connection.
#[derive(Clone, Debug)]
pub(super) struct LiveSession {
    pub(super) guest: bool,
    /// When the session was last used, and the last use that is stored.
    pub(super) used: Millis,
    pub(super) stored: Millis,
    created: Millis,
    pub(super) expires: Millis,
    /// Its entries in [`Presence::checks`] and [`Presence::unstored`].
    check: Millis,
    unstored_since: Option<Millis>,
    connections: Vec<ClientId>,
}

#[derive(Debug)]
struct Change {
    name: String,
    was_online: bool,
}

/// A connection that has signed in.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewConnection<'a> {
    pub(super) connection: ClientId,
    pub(super) name: &'a str,
    pub(super) folded: &'a str,
    pub(super) guest: bool,
    /// The end of the list of direct rooms that the connection gets.
    pub(super) known: DirectsEnd,
    pub(super) session: &'a SessionRow,
}

/// The names of the users who came online, and of those who went offline.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PresenceDiff {
    pub(super) online: Vec<String>,
    pub(super) offline: Vec<String>,
}

impl Presence {
    /// Makes all changes final.
    pub(super) fn commit(&mut self) {
        self.journal.clear();
    }

    /// Undoes all changes since the last [`commit`](Self::commit).
    pub(super) fn roll_back(&mut self) {
        while let Some(undo) = self.journal.pop() {
            match undo {
                Undo::AwaitedAuth(connection) => drop(self.remove_unauthenticated(connection)),
                Undo::Connected(connection, deadline) => {
                    self.remove(connection);
                    if let Some(until) = deadline {
                        self.add_unauthenticated(connection, until);
                    }
                }
                Undo::Disconnected(connection, Removed::Unauthenticated(until)) => {
                    self.add_unauthenticated(connection, until);
                }
                Undo::Disconnected(connection, Removed::SignedIn { name, folded, guest, known, session, stored }) => {
                    let (name, folded, session) = (&name, &folded, &session);
                    self.add(NewConnection { connection, name, folded, guest, known, session }, stored);
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
                    self.note_unstored(session, before);
                }
            }
        }
    }

    /// Adds a connection without a session, which must have one by `until`.
    pub(super) fn await_auth(&mut self, connection: ClientId, until: Instant) {
        self.journal.push(Undo::AwaitedAuth(connection));
        self.add_unauthenticated(connection, until);
    }

    fn add_unauthenticated(&mut self, connection: ClientId, until: Instant) {
        self.unauthenticated.insert(connection, until);
        self.awaited.insert((until, connection));
    }

    fn remove_unauthenticated(&mut self, connection: ClientId) -> Option<Instant> {
        let until = self.unauthenticated.remove(&connection)?;
        self.awaited.remove(&(until, connection));
        Some(until)
    }

    /// Gives all connections without a session this much more time.
    pub(super) fn postpone_auth(&mut self, time: Duration) {
        self.unauthenticated.values_mut().for_each(|until| *until += time);
        self.awaited = self.unauthenticated.iter().map(|(connection, until)| (*until, *connection)).collect();
    }

    /// Returns a connection that has no session although its time is over.
    pub(super) fn overdue(&self, now: Instant) -> Option<ClientId> {
        self.awaited.first().filter(|(until, _)| *until <= now).map(|(_, connection)| *connection)
    }

    /// For tests: whether nothing is left of any connection.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let connections = [self.unauthenticated.len(), self.awaited.len(), self.connections.len()];
        let sessions = [self.sessions.len(), self.checks.len(), self.unstored.len()];
        connections == [0; 3] && sessions == [0; 3] && self.users.is_empty() && self.by_name.is_empty()
    }

    pub(super) fn is_unauthenticated(&self, connection: ClientId) -> bool {
        self.unauthenticated.contains_key(&connection)
    }

    /// Adds a connection that has signed in.
    pub(super) fn connect(&mut self, new: NewConnection<'_>) {
        let deadline = self.remove_unauthenticated(new.connection);
        self.journal.push(Undo::Connected(new.connection, deadline));
        self.add(new, new.session.used);
    }

    fn add(&mut self, new: NewConnection<'_>, stored: Millis) {
        let NewConnection { connection, name, folded, guest, known, session } = new;
        self.connections.insert(connection, (session.user, session.id));
        let present = self.users.entry(session.user).or_insert_with(|| {
            let change = self.changed.entry(session.user);
            change.or_insert_with(|| Change { name: name.to_owned(), was_online: false });
            self.by_name.insert(UserPlace { folded: folded.to_owned(), id: session.user });
            self.name_bytes += name.len();
            OnlineUser { name: name.into(), folded: folded.to_owned(), connections: Vec::new(), known }
        });
        present.connections.push(connection);
        present.known = present.known.or_earlier(known);
        let live = self.sessions.entry(session.id).or_insert_with(|| {
            self.checks.insert((session.used, session.id));
            LiveSession {
                guest,
                used: session.used,
                stored,
                created: session.created,
                expires: session.expires,
                check: session.used,
                unstored_since: None,
                connections: Vec::new(),
            }
        });
        live.connections.push(connection);
        if session.used > stored {
            self.note_unstored(session.id, stored);
        }
    }

    /// Notes that the uses of a session since `since` are not stored.
    fn note_unstored(&mut self, session: SessionId, since: Millis) {
        if let Some(live) = self.sessions.get_mut(&session)
            && live.unstored_since.is_none()
        {
            live.unstored_since = Some(since);
            self.unstored.insert((since, session));
        }
    }

    /// Removes a connection. If that was the last connection of its session, and the session's last use is not stored,
    /// returns the session and the time of that use.
    pub(super) fn disconnect(&mut self, connection: ClientId) -> Option<(SessionId, Millis)> {
        if let Some(until) = self.remove_unauthenticated(connection) {
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

    fn remove(&mut self, connection: ClientId) -> Option<Removed> {
        let (user, id) = self.connections.remove(&connection)?;
        let present = self.users.get_mut(&user)?;
        let (name, folded, known) = (present.name.clone(), present.folded.clone(), present.known);
        present.connections.retain(|other| *other != connection);
        if present.connections.is_empty() {
            self.users.remove(&user);
            self.by_name.remove(&UserPlace { folded: folded.clone(), id: user });
            self.name_bytes -= name.len();
            self.changed.entry(user).or_insert_with(|| Change { name: name.to_string(), was_online: true });
        }
        let live = self.sessions.get_mut(&id)?;
        live.connections.retain(|other| *other != connection);
        let LiveSession { guest, used, stored, created, expires, check, unstored_since, .. } = *live;
        if live.connections.is_empty() {
            self.sessions.remove(&id);
            self.checks.remove(&(check, id));
            unstored_since.map(|since| self.unstored.remove(&(since, id)));
        }
        let session = SessionRow { id, user, created, used, expires };
        Some(Removed::SignedIn { name, folded, guest, known, session, stored })
    }

    /// Returns the user and session of a connection that is signed in.
    pub(super) fn identity_of(&self, connection: ClientId) -> Option<(UserId, SessionId)> {
        self.connections.get(&connection).copied()
    }

    /// Returns the user of a connection that is signed in.
    pub(super) fn user_of(&self, connection: ClientId) -> Option<UserId> {
        self.connections.get(&connection).map(|(user, _)| *user)
    }

    pub(super) fn connections_of(&self, user: UserId) -> &[ClientId] {
        self.users.get(&user).map_or(&[], |present| &present.connections)
    }

    pub(super) fn connections_of_session(&self, session: SessionId) -> Vec<ClientId> {
        self.sessions.get(&session).map_or(Vec::new(), |live| live.connections.clone())
    }

    pub(super) fn is_online(&self, user: UserId) -> bool {
        self.users.contains_key(&user)
    }

    /// Returns the end of the list of a user's direct rooms that all their connections know. `None`: the user is
    /// offline.
    pub(super) fn known_directs(&self, user: UserId) -> Option<DirectsEnd> {
        self.users.get(&user).map(|present| present.known)
    }

    /// Returns whether so few users are online that clients get their names.
    pub(super) fn has_few_users(&self) -> bool {
        self.users.len() <= MAX_ONLINE_NAMES && self.name_bytes <= MAX_ONLINE_NAME_BYTES
    }

    /// Returns how many users are online.
    pub(super) fn count(&self) -> usize {
        self.users.len()
    }

    /// Returns the online users in the order of names, from the first or after a place in that order.
    pub(super) fn users(&self, after: Option<&UserPlace>) -> impl Iterator<Item = (UserId, &Arc<str>)> {
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let places = self.by_name.range::<UserPlace, _>(behind);
        places.filter_map(|UserPlace { id, .. }| self.users.get(id).map(|present| (*id, &present.name)))
    }

    pub(super) fn session_ids(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.keys().copied()
    }

    /// Returns a session that is to be checked for its end.
    pub(super) fn session_to_check(&self, now: Millis) -> Option<(SessionId, &LiveSession)> {
        let (_, id) = self.checks.first().filter(|(at, _)| *at <= now)?;
        self.sessions.get_key_value(id).map(|(id, live)| (*id, live))
    }

    /// Postpones the check of a session to the time at which it ends if it is not used until then.
    pub(super) fn check_at(&mut self, session: SessionId, at: Millis) {
        if let Some(live) = self.sessions.get_mut(&session) {
            self.checks.remove(&(live.check, session));
            live.check = at;
            self.checks.insert((at, session));
        }
    }

    /// Returns the sessions with uses since `since` or longer that are not stored, each with its last use.
    pub(super) fn unstored_uses(&self, since: Millis) -> impl Iterator<Item = (SessionId, Millis)> {
        let waiting = self.unstored.iter().take_while(move |(first, _)| *first <= since);
        waiting.filter_map(|(_, id)| self.sessions.get(id).map(|live| (*id, live.used)))
    }

    pub(super) fn session(&self, session: SessionId) -> Option<&LiveSession> {
        self.sessions.get(&session)
    }

    /// Records that a session was used.
    pub(super) fn mark_used(&mut self, session: SessionId, now: Millis) {
        if let Some(live) = self.sessions.get_mut(&session)
            && live.used < now
        {
            self.journal.push(Undo::Used(session, live.used));
            live.used = now;
            self.note_unstored(session, now);
        }
    }

    /// Records that a session's last use was stored.
    pub(super) fn mark_stored(&mut self, session: SessionId, used: Millis) {
        if let Some(live) = self.sessions.get_mut(&session) {
            self.journal.push(Undo::Stored(session, live.stored));
            live.stored = live.stored.max(used);
            if live.stored >= live.used
                && let Some(since) = live.unstored_since.take()
            {
                self.unstored.remove(&(since, session));
            }
        }
    }

    /// Returns the users who came online or went offline since the last call. Users who did both are left out.
    pub(super) fn take_diff(&mut self) -> PresenceDiff {
        let mut diff = PresenceDiff::default();
        for (id, Change { name, was_online }) in self.changed.drain() {
            match (was_online, self.users.contains_key(&id)) {
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

/// If more users are online, clients get no names, only their number.
const MAX_ONLINE_NAMES: usize = 1000;
/// The same if their names together are longer. A name has up to 128 bytes.
const MAX_ONLINE_NAME_BYTES: usize = 16 << 10;
