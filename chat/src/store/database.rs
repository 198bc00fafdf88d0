//! The database connection and its transactions.
//!
//! A COMMIT that fails is not undone by that alone. In WAL mode it may have written all its frames, and only their sync
//! has failed. SQLite goes on as if they were not there, and its next transaction overwrites them. But if the process
//! or the machine ends before that, recovery finds them complete, and the transaction is there after all. So after a
//! failed COMMIT the store *withdraws* the transaction: it commits a small one of its own. The frames of that begin
//! where the failed ones began, and recovery ends behind it, since each frame has a checksum over all frames before it.
//! If that fails as well, nobody can know whether the transaction is there after a crash, and the caller is told so:
//! [`TransactionError::Unknown`]. Nothing is written until a later attempt has withdrawn it, so no other transaction
//! becomes uncertain.
//!
//! On a full disk there is nothing to withdraw: the last frame, which makes the others a commit, is not complete.

use std::{
    cell::Cell,
    fmt, io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, Params, Row};

use super::{super::token::epoch, checkpoint::IdleCheckpoint, instance_mark::InstanceMark};

/// An error of SQLite, such as a full or broken disk, or a file that is not a database.
pub(crate) type StoreError = rusqlite::Error;

/// Why a transaction was not committed.
#[derive(Debug)]
pub(crate) enum TransactionError {
    /// Nothing of the transaction is stored.
    Undone(StoreError),
    /// While the process runs, nothing of the transaction is there. After a crash all of it may be there, or nothing.
    Unknown(StoreError),
}

impl TransactionError {
    /// Returns whether another process locks the database.
    pub(crate) fn is_busy(&self) -> bool {
        let (Self::Undone(error) | Self::Unknown(error)) = self;
        error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
    }
}

impl From<StoreError> for TransactionError {
    fn from(error: StoreError) -> Self {
        Self::Undone(error)
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undone(error) => error.fmt(f),
            Self::Unknown(error) => write!(f, "{error} (after a crash the change may be there or not)"),
        }
    }
}

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
    pub(super) checkpoint: IdleCheckpoint,
    pub(super) db: Connection,
    /// The lock against other servers. `None` in memory, for an unlocked store, and after the database was moved.
    pub(super) instance: Option<InstanceMark>,
    /// Whether a transaction whose commit has failed may come back after a crash.
    pub(super) has_doubtful: Cell<bool>,
    /// Whether all writes are refused: see [`refuse_writes`](Self::refuse_writes).
    pub(super) refuses_writes: Cell<bool>,
    /// For tests: the number of next commits that fail, and of next transactions that cannot be withdrawn.
    #[cfg(test)]
    pub(super) refused_commits: Cell<usize>,
    #[cfg(test)]
    pub(super) refused_withdrawals: Cell<usize>,
}

impl Store {
    /// Returns the store of an open database.
    pub(super) fn new(db: Connection) -> Self {
        Self {
            checkpoint: IdleCheckpoint::default(),
            db,
            instance: None,
            has_doubtful: Cell::default(),
            refuses_writes: Cell::default(),
            #[cfg(test)]
            refused_commits: Cell::default(),
            #[cfg(test)]
            refused_withdrawals: Cell::default(),
        }
    }

    /// Begins a transaction. Waits until no other process is in one.
    ///
    /// Its writes fail while an earlier transaction cannot be withdrawn.
    pub(crate) fn begin(&self) -> Result<(), StoreError> {
        if self.has_doubtful.get()
            && let Err(error) = self.withdraw()
        {
            log::debug!("a failed transaction still cannot be withdrawn: {error}");
            self.pause_writes(true)?;
        }
        self.begin_now()
    }

    fn begin_now(&self) -> Result<(), StoreError> {
        match self.prepared("BEGIN IMMEDIATE")?.execute([]) {
            // A read-only database can still be read.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => {
                self.prepared("BEGIN")?.execute([]).map(drop)
            }
            begun => begun.map(drop),
        }
    }

    /// Makes the changes since [`begin`](Self::begin) durable.
    ///
    /// # Errors
    /// [`TransactionError`]. The changes are rolled back.
    pub(crate) fn commit(&self) -> Result<(), TransactionError> {
        let Err(error) = self.commit_now() else { return Ok(()) };
        self.roll_back();
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
            return Err(TransactionError::Undone(error));
        }
        self.has_doubtful.set(true);
        match self.withdraw() {
            Ok(()) => Err(TransactionError::Undone(error)),
            Err(second) => {
                log::error!("a failed transaction cannot be withdrawn, and may be there after a crash: {second}");
                Err(TransactionError::Unknown(error))
            }
        }
    }

    fn commit_now(&self) -> Result<(), StoreError> {
        #[cfg(test)]
        take_refusal(&self.refused_commits)?;
        self.prepared("COMMIT")?.execute([]).map(drop)
    }

    /// Makes sure that the transaction whose commit has failed does not come back: commits another one in its place.
    fn withdraw(&self) -> Result<(), StoreError> {
        self.pause_writes(false)?;
        let withdrawn = self.begin_now().and_then(|()| {
            // A new value: SQLite writes nothing for a row that stays the same.
            self.set_meta("withdrawal", &epoch())?;
            #[cfg(test)]
            take_refusal(&self.refused_withdrawals)?;
            self.prepared("COMMIT")?.execute([]).map(drop)
        });
        match &withdrawn {
            Ok(()) => self.has_doubtful.set(false),
            Err(_) => self.roll_back(),
        }
        withdrawn
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

    /// Returns how many rows all transactions so far have changed, those that were rolled back included.
    pub(crate) fn changed_rows(&self) -> u64 {
        self.db.total_changes()
    }

    /// Returns a number that changes whenever another process writes to the database.
    pub(crate) fn foreign_changes(&self) -> Result<i64, StoreError> {
        self.prepared("PRAGMA data_version")?.query_row([], |row| row.get(0))
    }

    /// Shortens the write-ahead log on another thread, if it is long and nothing was written since the last call.
    pub(crate) fn checkpoint_if_idle(&mut self) -> io::Result<()> {
        match &self.instance {
            Some(instance) => self.checkpoint.run_if_idle(self.db.total_changes(), &instance.database),
            None => Ok(()),
        }
    }

    /// With `true`, makes all later writes fail, as a full disk does; with `false`, allows them again.
    pub(crate) fn refuse_writes(&self, refuse: bool) -> Result<(), StoreError> {
        self.refuses_writes.set(refuse);
        self.pause_writes(false)
    }

    /// With `true`, makes writes fail until the next call with `false`.
    fn pause_writes(&self, pause: bool) -> Result<(), StoreError> {
        self.db.pragma_update(None, "query_only", pause || self.refuses_writes.get())
    }

    /// For tests: makes the next `count` commits fail, with their transactions' changes.
    #[cfg(test)]
    pub(crate) fn refuse_commits(&self, count: usize) {
        self.refused_commits.set(count);
    }

    /// For tests: makes the next `count` attempts to withdraw a failed transaction fail.
    #[cfg(test)]
    pub(crate) fn refuse_withdrawals(&self, count: usize) {
        self.refused_withdrawals.set(count);
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

/// For tests: fails like a sync if there are refusals left.
#[cfg(test)]
fn take_refusal(refusals: &Cell<usize>) -> Result<(), StoreError> {
    match refusals.get().checked_sub(1) {
        None => Ok(()),
        Some(left) => {
            refusals.set(left);
            Err(StoreError::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC), None))
        }
    }
}
