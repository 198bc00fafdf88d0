//! The rooms' logs.

use rusqlite::{
    Row, ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use serde::Serialize;
use uuid::Uuid;

use super::{EntryHash, Millis, RoomId, Store, StoreError, UserId, rooms::stored_as_number};

/// The kind of an entry in a room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Entry {
    Said,
    Topic,
    Joined,
    Left,
    Kicked,
    Banned,
    Unbanned,
    /// A member has become an owner.
    Owner,
    /// An owner has become a member.
    Member,
    Deleted,
}

stored_as_number!(Entry {
    Said = 0, Topic = 1, Joined = 2, Left = 3, Kicked = 4, Banned = 5, Unbanned = 6, Owner = 7, Member = 8, Deleted = 9
});

/// The number of an entry in its log, its time, and its hash. The default is for the beginning of a log, before its
/// first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Stamp {
    pub(crate) seq: u64,
    pub(crate) time: Millis,
    pub(crate) hash: EntryHash,
}

/// A new entry, to be appended to a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewEntry<'a> {
    pub(crate) entry: Entry,
    pub(crate) author: UserId,
    pub(crate) key: Option<Uuid>,
    pub(crate) text: Option<&'a str>,
    /// The id of the user or the number of the message that the entry is about, depending on the kind.
    pub(crate) about: Option<i64>,
    /// The author of the message that the entry deletes, if that is another user.
    pub(crate) other: Option<UserId>,
}

/// An entry in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) stamp: Stamp,
    pub(crate) entry: Entry,
    pub(crate) author: UserId,
    pub(crate) text: Option<String>,
    /// The id of the user or the number of the message that the entry is about, depending on the kind.
    pub(crate) about: Option<i64>,
    /// The other user of a deletion: of a message, who has deleted it; of the deletion's entry, the message's author.
    /// `None` if it is the entry's own author, or was not recorded.
    pub(crate) other: Option<UserId>,
}

impl Stamp {
    /// Returns the stamp of a new entry.
    pub(crate) fn new(seq: u64, time: Millis, new: &NewEntry<'_>) -> Self {
        let NewEntry { entry, author, key, about, .. } = *new;
        Self { seq, time, hash: EntryHash::new(seq, time, entry.number(), author, key, about) }
    }
}

impl Logged {
    /// Reads the columns `seq, time, kind, author, text, about, key, other`.
    fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let (seq, time) = (row.get(0)?, row.get(1)?);
        let (entry, author, about): (Entry, _, _) = (row.get(2)?, row.get(3)?, row.get(5)?);
        let key = row.get::<_, Option<_>>(6)?.map(Uuid::from_bytes);
        let hash = EntryHash::new(seq, time, entry.number(), author, key, about);
        Ok(Self { stamp: Stamp { seq, time, hash }, entry, author, text: row.get(4)?, about, other: row.get(7)? })
    }

    /// Returns the user whom the entry is about, if any.
    pub(crate) fn user(&self) -> Option<UserId> {
        match self.entry {
            Entry::Kicked | Entry::Banned | Entry::Unbanned | Entry::Owner | Entry::Member => self.about.map(UserId),
            Entry::Said | Entry::Topic | Entry::Joined | Entry::Left | Entry::Deleted => None,
        }
    }
}

impl UserId {
    /// Returns the value for [`NewEntry::about`].
    pub(crate) fn as_subject(self) -> i64 {
        self.0
    }
}

/// A part of a log, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// The first entries after this number, with a maximum count.
    After(u64, usize),
    /// The last entries before this number, with a maximum count.
    Before(u64, usize),
}

/// The entries of a [`Span`] in ascending order: at least one, if the span has any.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Logged>,
    /// Whether the span has more entries: later ones for [`Span::After`], earlier ones for [`Span::Before`].
    pub(crate) more: bool,
}

impl Store {
    /// Returns the stamp of the latest entry.
    pub(crate) fn head(&self, room: RoomId) -> Result<Option<Stamp>, StoreError> {
        let sql = "SELECT seq, time, kind, author, text, about, key, other FROM messages
            WHERE room = ?1 ORDER BY seq DESC LIMIT 1";
        Ok(self.first(sql, [room], Logged::read)?.map(|logged| logged.stamp))
    }

    /// Returns the number of the oldest entry.
    pub(crate) fn tail(&self, room: RoomId) -> Result<Option<u64>, StoreError> {
        self.first("SELECT seq FROM messages WHERE room = ?1 ORDER BY seq LIMIT 1", [room], |row| row.get(0))
    }

    /// Appends an entry with an unused number. Returns `false`, and writes nothing, if the author has used the key
    /// before.
    pub(crate) fn append(&self, room: RoomId, stamp: Stamp, new: &NewEntry<'_>) -> Result<bool, StoreError> {
        let sql = "INSERT INTO messages (room, seq, time, kind, author, key, text, about, other)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (key, author) WHERE key IS NOT NULL DO NOTHING";
        let key = new.key.as_ref().map(|key| key.as_bytes().as_slice());
        let params = (room, stamp.seq, stamp.time, new.entry, new.author, key, new.text, new.about, new.other);
        Ok(self.change(sql, params)? > 0)
    }

    /// Returns the room and stamp of an author's message with this key.
    pub(crate) fn with_key(&self, author: UserId, key: Uuid) -> Result<Option<(RoomId, Stamp)>, StoreError> {
        let sql = "SELECT seq, time, kind, author, text, about, key, other, room FROM messages
            WHERE key = ?2 AND author = ?1";
        self.first(sql, (author, key.as_bytes().as_slice()), |row| Ok((row.get(8)?, Logged::read(row)?.stamp)))
    }

    pub(crate) fn entry(&self, room: RoomId, seq: u64) -> Result<Option<Logged>, StoreError> {
        let sql = "SELECT seq, time, kind, author, text, about, key, other FROM messages WHERE room = ?1 AND seq = ?2";
        self.first(sql, (room, seq), Logged::read)
    }

    /// Returns the entries of a span, up to [`PAGE_BYTES`] of text.
    pub(crate) fn entries(&self, room: RoomId, span: Span) -> Result<Page, StoreError> {
        let (sql, seq, max) = match span {
            Span::After(seq, max) => (
                "SELECT seq, time, kind, author, text, about, key, other FROM messages
                    WHERE room = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
                seq,
                max,
            ),
            Span::Before(seq, max) => (
                "SELECT seq, time, kind, author, text, about, key, other FROM messages
                    WHERE room = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
                seq,
                max,
            ),
        };
        let mut statement = self.prepared(sql)?;
        let mut rows = statement.query((room, seq, max + 1))?;
        let mut page = Page { entries: Vec::new(), more: false };
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let entry = Logged::read(row)?;
            bytes += entry.text.as_ref().map_or(0, String::len);
            page.more = page.entries.len() == max || (bytes > PAGE_BYTES && !page.entries.is_empty());
            if page.more {
                break;
            }
            page.entries.push(entry);
        }
        if let Span::Before(..) = span {
            page.entries.reverse();
        }
        Ok(page)
    }

    /// Deletes a message's text. `by` is the user who does so, unless it is the author.
    pub(crate) fn erase(&self, room: RoomId, seq: u64, by: Option<UserId>) -> Result<(), StoreError> {
        let sql = "UPDATE messages SET text = NULL, other = ?3 WHERE room = ?1 AND seq = ?2";
        self.change(sql, (room, seq, by)).map(drop)
    }

    /// Deletes entries before `seq`, the oldest first and at most [`MAX_TRIMMED`]. Returns whether there were any.
    pub(crate) fn trim(&self, room: RoomId, seq: u64) -> Result<bool, StoreError> {
        let sql = "DELETE FROM messages WHERE room = ?1 AND seq < ?2
            AND seq < ?3 + (SELECT min(seq) FROM messages WHERE room = ?1)";
        Ok(self.change(sql, (room, seq, MAX_TRIMMED))? > 0)
    }

    /// Deletes at most [`MAX_TRIMMED`] entries of removed rooms. Returns whether there may be more.
    pub(crate) fn trim_removed(&self) -> Result<bool, StoreError> {
        let removed: Option<RoomId> = self.first("SELECT room FROM removed LIMIT 1", [], |row| row.get(0))?;
        if let Some(room) = removed
            && !self.trim(room, u64::MAX >> 1)?
        {
            self.change("DELETE FROM removed WHERE room = ?1", [room])?;
        }
        Ok(removed.is_some())
    }

    /// Returns the numbers and authors of the last messages after `seq` that are not deleted, in ascending order.
    pub(crate) fn last_said(&self, room: RoomId, seq: u64, max: usize) -> Result<Vec<(u64, UserId)>, StoreError> {
        let sql = "SELECT seq, author FROM messages
            WHERE room = ?1 AND seq > ?2 AND kind = 0 AND text IS NOT NULL ORDER BY seq DESC LIMIT ?3";
        let mut said = self.all(sql, (room, seq, max), |row| Ok((row.get(0)?, row.get(1)?)))?;
        said.reverse();
        Ok(said)
    }
}

/// Bytes of text after which a page ends, so that one client's requests do not delay the others'.
const PAGE_BYTES: usize = 64 << 10;
/// Maximum entries that one call deletes. It is low because no other command runs meanwhile, and long texts take time:
/// each of their bytes is overwritten.
pub(crate) const MAX_TRIMMED: u64 = 10;

#[cfg(test)]
mod tests {
    use super::{
        super::{Data, LOBBY, RoomKind},
        *,
    };

    #[test]
    fn old_entries_are_deleted_in_batches() {
        let store = Store::open(&Data::Memory).unwrap();
        let new = NewEntry { entry: Entry::Joined, author: UserId(1), key: None, text: None, about: None, other: None };
        let room = store.add_room(RoomKind::Public, "Rust", "name rust", "", "e").unwrap().unwrap();
        for room in [LOBBY, room] {
            for seq in 1..=MAX_TRIMMED + 10 {
                assert!(store.append(room, Stamp::new(seq, 0, &new), &new).unwrap());
            }
        }
        assert!(store.trim(LOBBY, 5).unwrap());
        assert_eq!(store.tail(LOBBY).unwrap(), Some(5));
        assert!(store.trim(LOBBY, MAX_TRIMMED + 9).unwrap());
        assert_eq!(store.tail(LOBBY).unwrap(), Some(MAX_TRIMMED + 5), "the oldest ones first");
        assert!(store.trim(LOBBY, MAX_TRIMMED + 9).unwrap());
        assert_eq!(store.tail(LOBBY).unwrap(), Some(MAX_TRIMMED + 9));
        assert!(!store.trim(LOBBY, MAX_TRIMMED + 9).unwrap());

        store.remove_room(room).unwrap();
        assert_eq!(store.room(room).unwrap(), None);
        for (tail, more) in [(Some(1), true), (Some(MAX_TRIMMED + 1), true), (None, true), (None, false)] {
            assert_eq!(store.tail(room).unwrap(), tail);
            assert_eq!(store.trim_removed().unwrap(), more, "from {tail:?} on");
        }
        let left: u64 = store.first("SELECT count(*) FROM removed", [], |row| row.get(0)).unwrap().unwrap();
        assert_eq!((left, store.tail(LOBBY).unwrap()), (0, Some(MAX_TRIMMED + 9)));
    }
}
