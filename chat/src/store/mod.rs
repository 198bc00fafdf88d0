//! What survives: accounts, sessions, rooms and their logs, in SQLite.
//!
//! One thread uses a [`Store`]. It works in transactions: whatever was not committed has not happened. A commit is
//! durable (WAL, `synchronous=FULL`), so it is worth gathering work for it.
//!
//! | file | what |
//! |---|---|
//! | `open.rs` | where the data is, and the versions of its schema |
//! | `ids.rs` | numbers that must not be mixed up |
//! | `restored.rs` | new epochs for data that was put back |
//! | `keys.rs` | the keys of names, made anew with new tables |
//! | `people.rs` | accounts, guests, and whom they block |
//! | `sessions.rs` | who is signed in, by the hash of a token |
//! | `rooms.rs` | rooms and their members |
//! | `messages.rs` | the rooms' logs |

mod ids;
mod keys;
mod messages;
mod open;
mod people;
mod restored;
mod rooms;
mod sessions;

pub(super) use ids::{PersonId, RoomId, SessionId};
pub(super) use messages::{Entry, Logged, MOST_FORGOTTEN, NewEntry, Page, Place, Span};
pub use open::{Data, OpenError};
pub(super) use people::PersonRow;
pub(super) use rooms::{LOBBY, Member, Role, RoomKind, RoomRow};
pub(super) use sessions::SessionRow;

use std::time::{SystemTime, UNIX_EPOCH};

use restored::Beside;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

/// What SQLite says when it cannot: a full disk, a broken one, a file that is no database.
pub(super) type StoreError = rusqlite::Error;

/// Milliseconds since 1970.
pub(super) type Millis = u64;

/// The time by the calendar.
pub(super) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// The database.
#[derive(Debug)]
pub(super) struct Store {
    db: Connection,
    /// What keeps other servers away, if any could come.
    beside: Option<Beside>,
    /// For tests: how many commits fail from now on.
    #[cfg(test)]
    refused_commits: std::cell::Cell<usize>,
}

impl Store {
    /// Begins a transaction, once no other process is in one.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        match self.prepared("BEGIN IMMEDIATE")?.execute([]) {
            // What cannot be written can still be read.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly) => {
                self.prepared("BEGIN")?.execute([]).map(drop)
            }
            begun => begun.map(drop),
        }
    }

    /// Makes durable what was done since [`begin`](Self::begin).
    pub(super) fn commit(&self) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some(left) = self.refused_commits.get().checked_sub(1) {
            self.refused_commits.set(left);
            return Err(StoreError::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None));
        }
        self.prepared("COMMIT")?.execute([]).map(drop)
    }

    /// Undoes what was done since [`begin`](Self::begin).
    pub(super) fn roll_back(&self) {
        // SQLite may have done so already, as it does when the disk is full.
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            log::error!("what could not be written cannot be undone either: {error}");
        }
    }

    /// A number that changes when another process has written.
    pub(super) fn foreign_changes(&self) -> Result<i64, StoreError> {
        self.prepared("PRAGMA data_version")?.query_row([], |row| row.get(0))
    }

    /// Whether whatever would be written fails from now on, as on a disk that is full.
    pub(super) fn refuse_writes(&self, refuse: bool) -> Result<(), StoreError> {
        self.db.pragma_update(None, "query_only", refuse)
    }

    /// For tests: so many commits fail, with all that was done for them.
    #[cfg(test)]
    pub(super) fn refuse_commits(&self, count: usize) {
        self.refused_commits.set(count);
    }

    /// For tests: the version of the schema.
    #[cfg(test)]
    pub(super) fn set_version(&self, version: usize) -> Result<(), StoreError> {
        self.db.pragma_update(None, "user_version", version)
    }

    fn prepared(&self, sql: &str) -> Result<CachedStatement<'_>, StoreError> {
        self.db.prepare_cached(sql)
    }

    /// Executes a statement; gives how many rows it has changed.
    fn change(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.prepared(sql)?.execute(params)
    }

    /// The first row of a query.
    fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.prepared(sql)?.query_row(params, read).optional()
    }

    /// All rows of a query.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.prepared(sql)?.query_map(params, read)?.collect()
    }
}
