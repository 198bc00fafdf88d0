//! Rooms and their members.

use rusqlite::{
    Row, ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use serde::{Deserialize, Serialize};

use super::{Millis, PersonId, RoomId, Store, StoreError};

/// Who may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RoomKind {
    Public,
    Invited,
    /// The conversation of two.
    Direct,
}

/// What somebody is in a room, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Banned,
    Invited,
    Member,
    Owner,
}

/// A room, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomRow {
    pub(crate) id: RoomId,
    pub(crate) kind: RoomKind,
    pub(crate) name: String,
    /// Of a public one's name, or of the two people.
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

/// The public room that everybody begins in; it is there from the beginning and is never removed.
pub(crate) const LOBBY: RoomId = RoomId(1);

/// Somebody's place in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) room: RoomId,
    pub(crate) person: PersonId,
    pub(crate) role: Role,
    /// The latest message that they have seen.
    pub(crate) read: u64,
}

impl Member {
    fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self { room: row.get(0)?, person: row.get(1)?, role: row.get(2)?, read: row.get(3)? })
    }
}

impl Store {
    /// Makes a room under a name that no other has; `None` where one does. The keys of names and of pairs of people
    /// never meet: they are not spelled alike.
    pub(crate) fn add_room(
        &self,
        kind: RoomKind,
        name: &str,
        key: &str,
        topic: &str,
        epoch: &str,
    ) -> Result<Option<RoomId>, StoreError> {
        let sql = "INSERT INTO rooms (kind, name, key, topic, epoch) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (key) DO NOTHING RETURNING id";
        self.first(sql, (kind, name, key, topic, epoch), |row| row.get(0))
    }

    pub(crate) fn room(&self, id: RoomId) -> Result<Option<RoomRow>, StoreError> {
        self.first("SELECT id, kind, name, key, topic, epoch FROM rooms WHERE id = ?1", [id], RoomRow::read)
    }

    pub(crate) fn room_with_key(&self, key: &str) -> Result<Option<RoomId>, StoreError> {
        self.first("SELECT id FROM rooms WHERE key = ?1", [key], |row| row.get(0))
    }

    /// Public rooms in the order of their keys, behind `after`, with `search` in the name's key; among so many at most
    /// that nobody waits long.
    pub(crate) fn public_rooms(&self, search: &str, after: &str, max: usize) -> Result<Vec<RoomId>, StoreError> {
        let sql = "SELECT id FROM (SELECT id, key FROM rooms WHERE kind = 0 AND key > ?2 ORDER BY key LIMIT ?4)
            WHERE instr(substr(key, length('name ') + 1), ?1) > 0 LIMIT ?3";
        self.all(sql, (search, after, max, MAX_SEARCHED), |row| row.get(0))
    }

    pub(crate) fn set_topic(&self, id: RoomId, topic: &str) -> Result<(), StoreError> {
        self.change("UPDATE rooms SET topic = ?2 WHERE id = ?1", (id, topic)).map(drop)
    }

    /// Removes a room. What was said in it is out of reach, and forgotten by and by ([`trim_removed`](Self::trim_removed)).
    pub(crate) fn remove_room(&self, id: RoomId) -> Result<(), StoreError> {
        self.change("INSERT INTO removed (room) VALUES (?1)", [id])?;
        self.change("DELETE FROM members WHERE room = ?1", [id])?;
        self.change("DELETE FROM rooms WHERE id = ?1", [id]).map(drop)
    }

    pub(crate) fn member(&self, room: RoomId, person: PersonId) -> Result<Option<Member>, StoreError> {
        let sql = "SELECT room, person, role, read FROM members WHERE room = ?1 AND person = ?2";
        self.first(sql, (room, person), Member::read)
    }

    /// All places of somebody, in the order of the rooms.
    pub(crate) fn memberships_of(&self, person: PersonId) -> Result<Vec<Member>, StoreError> {
        let sql = "SELECT room, person, role, read FROM members WHERE person = ?1 ORDER BY room";
        self.all(sql, [person], Member::read)
    }

    /// The members of a room in the order of their ids, behind one.
    pub(crate) fn members(&self, room: RoomId, after: Option<PersonId>, max: usize) -> Result<Vec<Member>, StoreError> {
        let sql = "SELECT room, person, role, read FROM members
            WHERE room = ?1 AND person > ifnull(?2, 0) AND role >= 2 ORDER BY person LIMIT ?3";
        self.all(sql, (room, after, max), Member::read)
    }

    /// The same for who is banned: a few among many.
    pub(crate) fn banned(&self, room: RoomId, after: Option<PersonId>, max: usize) -> Result<Vec<Member>, StoreError> {
        self.all(BANNED, (room, after, max), Member::read)
    }

    /// In how many rooms somebody has this role, or a higher one; conversations of two do not count.
    pub(crate) fn count_rooms(&self, person: PersonId, role: Role) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM members JOIN rooms ON rooms.id = room
            WHERE person = ?1 AND role >= ?2 AND kind <> 2";
        Ok(self.first(sql, (person, role), |row| row.get(0))?.unwrap_or(0))
    }

    /// How many rooms somebody is invited to.
    pub(crate) fn count_invitations(&self, person: PersonId) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM members WHERE person = ?1 AND role = 1";
        Ok(self.first(sql, [person], |row| row.get(0))?.unwrap_or(0))
    }

    /// How many conversations of two somebody is in.
    pub(crate) fn count_conversations(&self, person: PersonId) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM members JOIN rooms ON rooms.id = room WHERE person = ?1 AND kind = 2";
        Ok(self.first(sql, [person], |row| row.get(0))?.unwrap_or(0))
    }

    pub(crate) fn count_members(&self, room: RoomId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM members WHERE room = ?1 AND role >= 2";
        Ok(self.first(sql, [room], |row| row.get(0))?.unwrap_or(0))
    }

    /// How many owners a room has.
    pub(crate) fn count_owners(&self, room: RoomId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM members INDEXED BY owners WHERE room = ?1 AND role = 3";
        Ok(self.first(sql, [room], |row| row.get(0))?.unwrap_or(0))
    }

    /// Who has been a member for the longest time, owners aside.
    pub(crate) fn oldest_member(&self, room: RoomId) -> Result<Option<PersonId>, StoreError> {
        let sql = "SELECT person FROM members WHERE room = ?1 AND role = 2 ORDER BY since, person LIMIT 1";
        self.first(sql, [room], |row| row.get(0))
    }

    /// Gives somebody a role, and a place if they had none.
    pub(crate) fn set_role(&self, room: RoomId, person: PersonId, role: Role, now: Millis) -> Result<(), StoreError> {
        let sql = "INSERT INTO members (room, person, role, since) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (room, person) DO UPDATE SET role = excluded.role,
                since = CASE WHEN members.role < 2 THEN excluded.since ELSE members.since END";
        self.change(sql, (room, person, role, now)).map(drop)
    }

    pub(crate) fn remove_member(&self, room: RoomId, person: PersonId) -> Result<(), StoreError> {
        self.change("DELETE FROM members WHERE room = ?1 AND person = ?2", (room, person)).map(drop)
    }

    /// Says that somebody has seen all up to `seq`; whether that is news.
    pub(crate) fn set_read(&self, room: RoomId, person: PersonId, seq: u64) -> Result<bool, StoreError> {
        let sql = "UPDATE members SET read = ?3 WHERE room = ?1 AND person = ?2 AND read < ?3";
        Ok(self.change(sql, (room, person, seq))? > 0)
    }
}

const BANNED: &str = "SELECT room, person, role, read FROM members INDEXED BY banned
    WHERE room = ?1 AND person > ifnull(?2, 0) AND role = 0 ORDER BY person LIMIT ?3";
/// Rooms that are looked at in one search.
const MAX_SEARCHED: usize = 10_000;

macro_rules! stored_as_number {
    ($type:ident { $($variant:ident = $number:literal),+ }) => {
        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(match self { $(Self::$variant => $number),+ }.into())
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
    /// The key of a room with this name's key.
    pub(crate) fn key_of_name(key: &str) -> String {
        format!("name {key}")
    }

    /// The key of the conversation of two.
    pub(crate) fn key_of_pair(one: PersonId, two: PersonId) -> String {
        let (PersonId(one), PersonId(two)) = (one.min(two), one.max(two));
        format!("pair {one} {two}")
    }
}

impl RoomRow {
    /// The two of a conversation of two.
    pub(crate) fn pair(&self) -> Option<(PersonId, PersonId)> {
        let (one, two) = self.key.strip_prefix("pair ")?.split_once(' ')?;
        Some((PersonId(one.parse().ok()?), PersonId(two.parse().ok()?)))
    }
}
