//! Reads a database to check it: SQLite's own checks, the schema, and the rules of `invariants.rs`.
//!
//! A check changes nothing. All its queries see the database at one moment, also while a server writes to it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    OpenError, StoreError,
    files::has_mark,
    invariants::RULES,
    open::{BUSY_TIMEOUT, MIGRATIONS, existing_database, explain, version_of},
};

/// A chat's database, opened for reading: for checks and backups, also while a server runs.
#[derive(Debug)]
pub struct DataReader {
    pub(super) db: Connection,
    file: PathBuf,
    /// The version of the schema.
    version: usize,
}

/// Why a check has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckError {
    /// It was stopped: see [`Progress::stop`].
    Stopped,
    /// SQLite returned this error, which says nothing about the data.
    Database(rusqlite::Error),
}

/// How far a check or a backup is. Another thread can read it, and stop the work.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    is_stopped: AtomicBool,
    is_checking: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
}

/// What a check or a backup is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// A backup copies the database.
    Copying {
        /// Bytes copied.
        done: u64,
        /// Bytes in all; 0 before it is known.
        total: u64,
    },
    /// The database, or the copy of it, is checked. The first check takes by far the longest.
    Checking {
        /// Checks done.
        done: u64,
        /// Checks in all.
        total: u64,
    },
}

impl Progress {
    /// Stops the work as soon as possible.
    pub fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Returns what the work is doing.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let [done, total] = [&self.0.done, &self.0.total].map(|count| count.load(Ordering::Relaxed));
        match self.0.is_checking.load(Ordering::Relaxed) {
            true => Stage::Checking { done, total },
            false => Stage::Copying { done, total },
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.is_stopped.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, stage: Stage) {
        let (is_checking, done, total) = match stage {
            Stage::Copying { done, total } => (false, done, total),
            Stage::Checking { done, total } => (true, done, total),
        };
        self.0.is_checking.store(is_checking, Ordering::Relaxed);
        self.0.total.store(total, Ordering::Relaxed);
        self.0.done.store(done, Ordering::Relaxed);
    }
}

impl DataReader {
    /// Opens the database in a chat's folder.
    ///
    /// # Errors
    /// [`OpenError`] if there is none, or if it is not a chat's.
    pub fn in_folder(folder: &Path) -> Result<Self, OpenError> {
        match Self::open(existing_database(folder)?) {
            Ok(Self { version: 0, .. }) if has_mark(folder)? => Err(OpenError::Lost(folder.to_owned())),
            Ok(Self { version: 0, .. }) => Err(OpenError::NoChat(folder.to_owned())),
            opened => opened.map_err(|error| explain(error, folder)),
        }
    }

    /// Opens a backup.
    ///
    /// # Errors
    /// [`OpenError`] if it cannot be read, or is not of a chat.
    pub fn of_backup(file: &Path) -> Result<Self, OpenError> {
        match Self::open(file.to_owned()) {
            Ok(Self { version: 0, .. }) => Err(OpenError::NotABackup(file.to_owned())),
            Err(OpenError::Foreign(_)) => Err(OpenError::NotABackup(file.to_owned())),
            Err(OpenError::Database(error)) => Err(match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenError::NotABackup(file.to_owned()),
                _ => OpenError::Database(error),
            }),
            opened => opened,
        }
    }

    fn open(file: PathBuf) -> Result<Self, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&file, flags)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let version = version_of(&db)?;
        Ok(Self { db, file, version })
    }

    /// Returns the path of the database.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Checks the database. Returns a description of each problem: none if it is sound.
    ///
    /// If an older version of this program wrote the data, the rules of the latest version are not checked.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn check(&mut self, progress: &Progress) -> Result<Vec<String>, CheckError> {
        let watched = progress.clone();
        self.db.progress_handler(INSTRUCTIONS, Some(move || watched.is_stopped()))?;
        let problems = self.problems(progress);
        self.db.progress_handler(0, None::<fn() -> bool>)?;
        problems
    }

    fn problems(&self, progress: &Progress) -> Result<Vec<String>, CheckError> {
        let rules = if self.version == MIGRATIONS.len() { RULES } else { &[] };
        let total = u64::try_from(3 + rules.len()).unwrap_or(u64::MAX);
        let mut done = 0;
        let mut problems = Vec::new();
        let mut add = |found: Result<Vec<String>, StoreError>| {
            done += 1;
            progress.set(Stage::Checking { done, total });
            match found {
                Ok(found) => problems.extend(found),
                _ if progress.is_stopped() => return Err(CheckError::Stopped),
                Err(error) if is_damage(&error) => problems.push(error.to_string()),
                Err(error) => return Err(CheckError::Database(error)),
            }
            Ok(())
        };
        progress.set(Stage::Checking { done: 0, total });
        let moment = self.db.unchecked_transaction()?;
        add(integrity(&moment))?;
        add(foreign_keys(&moment))?;
        add(schema(&moment, self.version))?;
        rules.iter().try_for_each(|rule| add(rule(&moment)))?;
        Ok(problems)
    }
}

/// SQLite's check of all pages, tables and indexes.
fn integrity(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = db.prepare("PRAGMA integrity_check")?;
    let found = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

fn foreign_keys(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = db.prepare("PRAGMA foreign_key_check")?;
    let found = statement.query_map([], |row| {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        Ok(format!("a row of {table} refers to a row of {parent} that does not exist"))
    })?;
    let mut found = found.collect::<Result<Vec<String>, _>>()?;
    found.dedup();
    Ok(found)
}

/// Compares the tables, indexes and triggers with those of the schema's version.
fn schema(db: &Connection, version: usize) -> Result<Vec<String>, StoreError> {
    let expected = Connection::open_in_memory()?;
    MIGRATIONS.iter().take(version).try_for_each(|migration| expected.execute_batch(migration))?;
    let [expected, found] = [objects(&expected)?, objects(db)?];
    let differing = expected.iter().chain(&found).filter(|object| expected.contains(object) != found.contains(object));
    let mut names: Vec<_> =
        differing.map(|(kind, name, _)| format!("the {kind} {name} is not as it should be")).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Returns the kinds, names and definitions of all that a schema has created.
fn objects(db: &Connection) -> Result<Vec<(String, String, String)>, StoreError> {
    let mut statement = db.prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    statement.query_map([], |row| row.try_into())?.collect()
}

/// Returns whether an error says that the database is damaged.
fn is_damage(error: &StoreError) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure) => true,
        // A table or a column is missing, or a value has another type.
        Some(ErrorCode::Unknown) => true,
        Some(_) => false,
        None => true,
    }
}

impl From<rusqlite::Error> for CheckError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Database(error) => write!(f, "cannot read the data: {error}; try again"),
        }
    }
}

impl std::error::Error for CheckError {}

/// Instructions of SQLite's virtual machine after which it looks whether it was stopped.
const INSTRUCTIONS: i32 = 10_000;
/// Size of the page cache, in KiB.
const CACHE_KIB: i32 = 64 << 10;
