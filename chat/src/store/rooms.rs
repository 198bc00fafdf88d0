//! Rooms and their members.

use rusqlite::{
    Row, ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use serde::{Deserialize, Serialize};

use super::{super::fold::fold, Millis, RoomId, Store, StoreError, UserId};

/// The kind of a room, which decides who may join it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RoomKind {
    /// Everybody.
    Public,
    /// Invited users only.
    Invited,
    /// The private conversation of two users: a direct room.
    Direct,
}

/// A user's role in a room, in ascending order of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Banned,
    Invited,
    Member,
    Owner,
}

/// A stored room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomRow {
    pub(crate) id: RoomId,
    pub(crate) kind: RoomKind,
    pub(crate) name: String,
    /// The unique key: made from a public room's name, or from the two users of a direct room.
    pub(crate) key: String,
    pub(crate) topic: String,
    pub(crate) epoch: String,
}

impl RoomRow {
    fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.get(0)?,
            kind: row.get(1)?,
            name: row.get(2)?,
            key: row.get(3)?,
            topic: row.get(4)?,
            epoch: row.get(5)?,
        })
    }
}

/// The public room that every new user is a member of. The schema creates it, and it is never removed.
pub(crate) const LOBBY: RoomId = RoomId(1);

/// A user's role in a room, including an invitation or a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) room: RoomId,
    pub(crate) user: UserId,
    pub(crate) role: Role,
    /// The number of the latest message that the user has read.
    pub(crate) read: u64,
    /// In a direct room: the time of the latest message, by the steady clock, at most
    /// [`ACTIVITY_STEP`](super::ACTIVITY_STEP) too early.
    pub(crate) active: Option<Millis>,
}

impl Member {
    pub(super) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self { room: row.get(0)?, user: row.get(1)?, role: row.get(2)?, read: row.get(3)?, active: row.get(4)? })
    }
}

/// An open invitation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invitation {
    pub(crate) room: RoomId,
    /// `None` if it was sent before inviters were recorded.
    pub(crate) inviter: Option<UserId>,
    pub(crate) since: Millis,
}

impl Store {
    /// Adds a room. Returns `None` if another room has the key. The key of a name never equals the key of a pair: they
    /// have different prefixes.
    pub(crate) fn add_room(
        &self,
        kind: RoomKind,
        name: &str,
        key: &str,
        topic: &str,
        epoch: &str,
    ) -> Result<Option<RoomId>, StoreError> {
        let folded = (kind == RoomKind::Public).then(|| fold(name));
        let sql = "INSERT INTO rooms (kind, name, key, folded, topic, epoch) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (key) DO NOTHING RETURNING id";
        let added = self.first(sql, (kind, name, key, &folded, topic, epoch), |row| row.get(0))?;
        if let (Some(room), Some(folded)) = (added, &folded) {
            self.add_room_parts(room, folded)?;
        }
        Ok(added)
    }

    pub(crate) fn room(&self, id: RoomId) -> Result<Option<RoomRow>, StoreError> {
        let sql = "SELECT id, kind, name, key, topic, epoch FROM rooms WHERE id = ?1 AND kind < 3";
        self.first(sql, [id], RoomRow::read)
    }

    pub(crate) fn room_with_key(&self, key: &str) -> Result<Option<RoomId>, StoreError> {
        self.first("SELECT id FROM rooms WHERE key = ?1", [key], |row| row.get(0))
    }

    pub(crate) fn set_topic(&self, id: RoomId, topic: &str) -> Result<(), StoreError> {
        self.change("UPDATE rooms SET topic = ?2 WHERE id = ?1", (id, topic)).map(drop)
    }

    /// Removes a room: nobody can find it any longer, and its name is free. Its members and messages are deleted later:
    /// see [`remove_some_members`](Self::remove_some_members) and [`trim_removed`](Self::trim_removed).
    pub(crate) fn remove_room(&self, id: RoomId) -> Result<(), StoreError> {
        self.change("INSERT INTO removed (room) VALUES (?1)", [id])?;
        let sql = "SELECT key, folded FROM rooms WHERE id = ?1 AND kind = 0";
        let public = self.first(sql, [id], |row| <(String, String)>::try_from(row))?;
        let sql = "UPDATE rooms SET kind = 3, name = '', key = 'removed ' || id, folded = NULL, topic = ''
            WHERE id = ?1";
        self.change(sql, [id])?;
        if let Some((key, folded)) = public {
            self.remove_room_parts(id, &folded)?;
            self.pass_on_room_key(&key)?;
        }
        Ok(())
    }

    /// Returns a removed room that still has members.
    pub(crate) fn removed_room(&self) -> Result<Option<RoomId>, StoreError> {
        self.first("SELECT id FROM rooms WHERE kind = 3 LIMIT 1", [], |row| row.get(0))
    }

    /// Deletes at most `max` members of a removed room, with invited and banned users, and returns them. When none is
    /// left, deletes the room.
    pub(crate) fn remove_some_members(&self, room: RoomId, max: usize) -> Result<Vec<Member>, StoreError> {
        let sql = "DELETE FROM members WHERE room = ?1
            AND person IN (SELECT person FROM members WHERE room = ?1 ORDER BY person LIMIT ?2)
            RETURNING room, person, role, read, active";
        let members = self.all(sql, (room, max), Member::read)?;
        if members.len() < max {
            self.change("DELETE FROM rooms WHERE id = ?1 AND kind = 3", [room])?;
        }
        Ok(members)
    }

    pub(crate) fn member(&self, room: RoomId, user: UserId) -> Result<Option<Member>, StoreError> {
        let sql = "SELECT room, person, role, read, active FROM members WHERE room = ?1 AND person = ?2";
        self.first(sql, (room, user), Member::read)
    }

    /// Returns at most `max` memberships, invitations and bans of a user.
    pub(crate) fn some_memberships_of(&self, user: UserId, max: usize) -> Result<Vec<Member>, StoreError> {
        let sql = "SELECT room, person, role, read, active FROM members WHERE person = ?1 LIMIT ?2";
        self.all(sql, (user, max), Member::read)
    }

    /// Returns a room's members and owners with ids after `after`, in the order of their ids.
    pub(crate) fn members(&self, room: RoomId, after: Option<UserId>, max: usize) -> Result<Vec<Member>, StoreError> {
        let sql = "SELECT room, person, role, read, active FROM members
            WHERE room = ?1 AND person > ifnull(?2, 0) AND role >= 2 ORDER BY person LIMIT ?3";
        self.all(sql, (room, after, max), Member::read)
    }

    /// Returns a room's banned users with ids after `after`, in the order of their ids. Uses an index: few of many
    /// users are banned.
    pub(crate) fn banned(&self, room: RoomId, after: Option<UserId>, max: usize) -> Result<Vec<Member>, StoreError> {
        self.all(BANNED, (room, after, max), Member::read)
    }

    /// Returns the memberships of a user and the invitations to them, in the order of the rooms' ids, without direct
    /// rooms and bans.
    pub(crate) fn rooms_of(&self, user: UserId) -> Result<Vec<Member>, StoreError> {
        let sql = "SELECT room, person, role, read, active FROM members INDEXED BY rooms_of
            WHERE person = ?1 AND role >= 1 AND active IS NULL";
        let mut members = self.all(sql, [user], Member::read)?;
        members.sort_by_key(|member| member.room);
        Ok(members)
    }

    /// Returns in how many rooms a user has this role or a higher one, direct rooms excluded.
    pub(crate) fn count_rooms(&self, user: UserId, role: Role) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM members INDEXED BY rooms_of JOIN rooms ON rooms.id = room
            WHERE person = ?1 AND role >= ?2 AND active IS NULL AND kind < 2";
        Ok(self.first(sql, (user, role), |row| row.get(0))?.unwrap_or(0))
    }

    /// Returns how many rooms a user has created and still owns.
    pub(crate) fn count_created(&self, user: UserId) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM members INDEXED BY rooms_of JOIN rooms ON rooms.id = room
            WHERE person = ?1 AND role = 3 AND active IS NULL AND initiator = ?1 AND kind < 2";
        Ok(self.first(sql, [user], |row| row.get(0))?.unwrap_or(0))
    }

    /// Returns the open invitations of a user.
    pub(crate) fn invitations_of(&self, user: UserId) -> Result<Vec<Invitation>, StoreError> {
        let sql = "SELECT room, initiator, since FROM members INDEXED BY rooms_of JOIN rooms ON rooms.id = room
            WHERE person = ?1 AND role = 1 AND active IS NULL AND kind < 2";
        self.all(sql, [user], |row| Ok(Invitation { room: row.get(0)?, inviter: row.get(1)?, since: row.get(2)? }))
    }

    /// Returns how many invitations of a user since this time are open.
    pub(crate) fn count_invited_by(&self, user: UserId, since: Millis) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM members INDEXED BY invitations_by JOIN rooms ON rooms.id = room
            WHERE initiator = ?1 AND role = 1 AND since >= ?2 AND kind < 2";
        Ok(self.first(sql, (user, since), |row| row.get(0))?.unwrap_or(0))
    }

    /// Corrects the times of a user's open invitations that are later than `now`, by a clock that was ahead.
    pub(crate) fn correct_invitations_by(&self, user: UserId, now: Millis) -> Result<(), StoreError> {
        let sql = "UPDATE members SET since = ?2 WHERE initiator = ?1 AND role = 1 AND since > ?2";
        self.change(sql, (user, now)).map(drop)
    }

    /// Records who created a room or sent an invitation to it.
    pub(crate) fn set_initiator(&self, room: RoomId, user: UserId, initiator: UserId) -> Result<(), StoreError> {
        let sql = "UPDATE members SET initiator = ?3 WHERE room = ?1 AND person = ?2";
        self.change(sql, (room, user, initiator)).map(drop)
    }

    pub(crate) fn count_members(&self, room: RoomId) -> Result<u64, StoreError> {
        Ok(self.first("SELECT members FROM rooms WHERE id = ?1", [room], |row| row.get(0))?.unwrap_or(0))
    }

    /// Returns how many owners a room has.
    pub(crate) fn count_owners(&self, room: RoomId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM members INDEXED BY owners WHERE room = ?1 AND role = 3";
        Ok(self.first(sql, [room], |row| row.get(0))?.unwrap_or(0))
    }

    /// Returns whether a room other than the Lobby has a member, apart from this one, who is not gone.
    pub(crate) fn has_other_member(&self, room: RoomId, user: UserId) -> Result<bool, StoreError> {
        let owners = "SELECT 1 FROM members INDEXED BY owners CROSS JOIN people ON people.id = person
            WHERE room = ?1 AND role = 3 AND person <> ?2 AND people.key IS NOT NULL LIMIT 1";
        let members = "SELECT 1 FROM members INDEXED BY members_by_age CROSS JOIN people ON people.id = person
            WHERE room = ?1 AND role = 2 AND room <> 1 AND person <> ?2 AND people.key IS NOT NULL LIMIT 1";
        let has = |sql| self.first(sql, (room, user), |_| Ok(())).map(|found| found.is_some());
        Ok(has(owners)? || has(members)?)
    }

    /// Returns the rooms, without the Lobby and direct rooms, of which a user is the only member who is not gone.
    pub(crate) fn rooms_only_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        let sql = "SELECT mine.room FROM members AS mine INDEXED BY rooms_of CROSS JOIN rooms ON rooms.id = mine.room
            WHERE mine.person = ?1 AND mine.role >= 2 AND mine.active IS NULL AND kind < 2 AND mine.room <> 1
            AND NOT EXISTS (SELECT 1 FROM members AS other INDEXED BY owners CROSS JOIN people
                ON people.id = other.person WHERE other.room = mine.room AND other.role = 3
                AND other.person <> ?1 AND people.key IS NOT NULL)
            AND NOT EXISTS (SELECT 1 FROM members AS other INDEXED BY members_by_age CROSS JOIN people
                ON people.id = other.person WHERE other.room = mine.room AND other.role = 2 AND other.room <> 1
                AND other.person <> ?1 AND people.key IS NOT NULL)";
        self.all(sql, [user], |row| row.get(0))
    }

    /// Returns the user who has invited another to a room, if that is known.
    pub(crate) fn inviter(&self, room: RoomId, user: UserId) -> Result<Option<UserId>, StoreError> {
        let sql = "SELECT initiator FROM members WHERE room = ?1 AND person = ?2 AND role = 1";
        Ok(self.first(sql, (room, user), |row| row.get(0))?.flatten())
    }

    /// Returns the user who has been a member for the longest time, owners and users who are gone excluded. Never
    /// returns a member of the Lobby.
    pub(crate) fn oldest_member(&self, room: RoomId) -> Result<Option<UserId>, StoreError> {
        let sql = "SELECT person FROM members INDEXED BY members_by_age CROSS JOIN people ON people.id = person
            WHERE room = ?1 AND role = 2 AND room <> 1 AND people.key IS NOT NULL ORDER BY since, person LIMIT 1";
        self.first(sql, [room], |row| row.get(0))
    }

    /// Sets a user's role, and adds the membership if there is none. Members who become it later have a later time,
    /// even if `now` is not later; in the Lobby it does not matter.
    pub(crate) fn set_role(&self, room: RoomId, user: UserId, role: Role, now: Millis) -> Result<(), StoreError> {
        // Not in one statement: SQLite would compile that anew for each role.
        let latest = "SELECT since FROM members INDEXED BY members_by_age
            WHERE room = ?1 AND role = 2 AND room <> 1 ORDER BY since DESC LIMIT 1";
        let latest: Option<Millis> = match role {
            Role::Member => self.first(latest, [room], |row| row.get(0))?,
            Role::Banned | Role::Invited | Role::Owner => None,
        };
        let since = latest.map_or(now, |latest| now.max(latest.saturating_add(1)));
        let sql = "INSERT INTO members (room, person, role, since) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (room, person) DO UPDATE SET role = excluded.role,
                since = CASE WHEN members.role < 2 THEN excluded.since ELSE members.since END";
        self.change(sql, (room, user, role, since)).map(drop)
    }

    pub(crate) fn remove_member(&self, room: RoomId, user: UserId) -> Result<(), StoreError> {
        self.change("DELETE FROM members WHERE room = ?1 AND person = ?2", (room, user)).map(drop)
    }

    /// Records that a user has read all messages up to `seq`. Returns whether the read position has advanced.
    pub(crate) fn set_read(&self, room: RoomId, user: UserId, seq: u64) -> Result<bool, StoreError> {
        let sql = "UPDATE members SET read = ?3 WHERE room = ?1 AND person = ?2 AND read < ?3";
        Ok(self.change(sql, (room, user, seq))? > 0)
    }
}

const BANNED: &str = "SELECT room, person, role, read, active FROM members INDEXED BY banned
    WHERE room = ?1 AND person > ifnull(?2, 0) AND role = 0 ORDER BY person LIMIT ?3";
macro_rules! stored_as_number {
    ($type:ident { $($variant:ident = $number:literal),+ }) => {
        impl $type {
            /// Returns the number that is stored for the value.
            pub(super) fn number(self) -> u8 {
                match self { $(Self::$variant => $number),+ }
            }
        }

        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.number().into())
            }
        }

        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                match value.as_i64()? {
                    $($number => Ok(Self::$variant),)+
                    other => Err(FromSqlError::OutOfRange(other)),
                }
            }
        }
    };
}

pub(super) use stored_as_number;

stored_as_number!(RoomKind { Public = 0, Invited = 1, Direct = 2 });
stored_as_number!(Role { Banned = 0, Invited = 1, Member = 2, Owner = 3 });

impl RoomKind {
    /// Returns the key of a public room, from the key of its name.
    pub(crate) fn key_of_name(key: &str) -> String {
        format!("name {key}")
    }

    /// Returns the key of the direct room of two users.
    pub(crate) fn key_of_pair(one: UserId, two: UserId) -> String {
        let (UserId(one), UserId(two)) = (one.min(two), one.max(two));
        format!("pair {one} {two}")
    }
}

impl RoomRow {
    /// Returns the two users of a direct room.
    pub(crate) fn pair(&self) -> Option<(UserId, UserId)> {
        let (one, two) = self.key.strip_prefix("pair ")?.split_once(' ')?;
        Some((UserId(one.parse().ok()?), UserId(two.parse().ok()?)))
    }
}
