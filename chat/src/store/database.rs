//! The database connection and its transactions.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

use super::instance_mark::InstanceMark;

/// An error of SQLite, such as a full or broken disk, or a file that is not a database.
pub(crate) type StoreError = rusqlite::Error;

/// A time in milliseconds since 1970-01-01 UTC, or a duration in milliseconds.
pub(crate) type Millis = u64;

/// Returns the wall-clock time. A time before 1970 counts as 1970.
pub(crate) fn now() -> Millis {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Returns a duration in milliseconds.
pub(crate) fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) db: Connection,
    /// The lock against other servers. `None` in memory, for an unlocked store, and after the database was moved.
    pub(super) instance: Option<InstanceMark>,
    /// For tests: the number of next commits that fail.
    #[cfg(test)]
    pub(super) refused_commits: std::cell::Cell<usize>,
}

impl Store {
    /// Begins a transaction. Waits until no other process is in one.
    pub(crate) fn begin(&self) -> Result<(), StoreError> {
        match self.prepared("BEGIN IMMEDIATE")?.execute([]) {
            // A read-only database can still be read.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly) => {
                self.prepared("BEGIN")?.execute([]).map(drop)
            }
            begun => begun.map(drop),
        }
    }

    /// Makes the changes since [`begin`](Self::begin) durable.
    pub(crate) fn commit(&self) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some(left) = self.refused_commits.get().checked_sub(1) {
            self.refused_commits.set(left);
            return Err(StoreError::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None));
        }
        self.prepared("COMMIT")?.execute([]).map(drop)
    }

    /// Undoes the changes since [`begin`](Self::begin).
    pub(crate) fn roll_back(&self) {
        // SQLite may have rolled back by itself, for example because the disk is full.
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            log::error!("a failed transaction cannot be rolled back: {error}");
        }
    }

    /// Returns a number that changes whenever another process writes to the database.
    pub(crate) fn foreign_changes(&self) -> Result<i64, StoreError> {
        self.prepared("PRAGMA data_version")?.query_row([], |row| row.get(0))
    }

    /// With `true`, makes all later writes fail, as a full disk does; with `false`, allows them again.
    pub(crate) fn refuse_writes(&self, refuse: bool) -> Result<(), StoreError> {
        self.db.pragma_update(None, "query_only", refuse)
    }

    /// For tests: makes the next `count` commits fail, with their transactions' changes.
    #[cfg(test)]
    pub(crate) fn refuse_commits(&self, count: usize) {
        self.refused_commits.set(count);
    }

    /// For tests: sets the version of the schema.
    #[cfg(test)]
    pub(crate) fn set_version(&self, version: usize) -> Result<(), StoreError> {
        self.db.pragma_update(None, "user_version", version)
    }

    /// For tests: executes a statement.
    #[cfg(test)]
    pub(crate) fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.db.execute_batch(sql)
    }

    /// For tests: returns the number that a query returns.
    #[cfg(test)]
    pub(crate) fn number(&self, sql: &str) -> Result<i64, StoreError> {
        self.db.query_row(sql, [], |row| row.get(0))
    }

    pub(super) fn prepared(&self, sql: &str) -> Result<CachedStatement<'_>, StoreError> {
        self.db.prepare_cached(sql)
    }

    /// Executes a statement. Returns the number of changed rows.
    pub(super) fn change(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.prepared(sql)?.execute(params)
    }

    /// Returns the first row of a query.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.prepared(sql)?.query_row(params, read).optional()
    }

    /// Returns all rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.prepared(sql)?.query_map(params, read)?.collect()
    }
}
