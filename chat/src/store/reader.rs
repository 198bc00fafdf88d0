//! Reads a database to check it: SQLite's own checks, the schema, and the rules of `invariants.rs`.
//!
//! A check changes nothing. All its queries see one snapshot of the database, also while a server writes to it.
//!
//! SQLite creates a log and its index beside a database that it reads, and a reader cannot remove them again. So if no
//! server has the folder and all data is in the database, the file is read as one that nobody writes. That needs no
//! permission to write, and keeps no server from starting. The reader looks afterwards whether somebody has written.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    OpenError, StoreError,
    files::{has_mark, is_served, length, log_of, refuse_stale_log},
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
    /// How the database was found, if it is read as a file that nobody writes.
    frozen: Option<FileState>,
}

/// The state of a database, by which a later change is noticed.
#[derive(Debug, PartialEq, Eq)]
struct FileState {
    modified: SystemTime,
    bytes: u64,
    log_bytes: u64,
}

impl FileState {
    fn of(file: &Path) -> Result<Self, OpenError> {
        let metadata = fs::metadata(file).and_then(|metadata| Ok((metadata.modified()?, metadata.len())));
        let (modified, bytes) = metadata.map_err(|error| OpenError::Unreadable(file.to_owned(), error))?;
        Ok(Self { modified, bytes, log_bytes: length(&log_of(file))? })
    }
}

/// Why a check has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckError {
    /// It was stopped: see [`Progress::stop`].
    Stopped,
    /// No server had the data at first, and then it was changed.
    Changed,
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

/// The stage that a check or a backup has reached.
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
        let file = existing_database(folder)?;
        let opened = match FileState::of(&file)? {
            state if state.log_bytes == 0 && !is_served(folder) => Self::open_frozen(&file, state),
            _ => Self::open(file),
        };
        match opened {
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
        if file.is_dir() {
            return Err(OpenError::IsFolder(file.to_owned()));
        }
        // SQLite would read the log instead of the backup.
        refuse_stale_log(file)?;
        let opened = match FileState::of(file) {
            Ok(state) if state.log_bytes == 0 => Self::open_frozen(file, state),
            _ => Self::open(file.to_owned()),
        };
        match opened {
            Ok(Self { version: 0, .. }) => Err(OpenError::NotABackup(file.to_owned())),
            Err(OpenError::Foreign(_)) => Err(OpenError::NotABackup(file.to_owned())),
            Err(OpenError::Database(error)) => Err(match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenError::NotABackup(file.to_owned()),
                _ => OpenError::Database(error),
            }),
            opened => opened,
        }
    }

    /// Opens a database that nobody writes.
    fn open_frozen(file: &Path, state: FileState) -> Result<Self, OpenError> {
        let uri = immutable_uri(file).map_err(|error| OpenError::Unreadable(file.to_owned(), error))?;
        let Ok(db) = Connection::open_with_flags(uri, FLAGS | OpenFlags::SQLITE_OPEN_URI) else {
            // The error names the file then, not the URI.
            return Self::open(file.to_owned());
        };
        let opened = Self::with_connection(db, file.to_owned());
        if FileState::of(file)? != state {
            return Self::open(file.to_owned());
        }
        Ok(Self { frozen: Some(state), ..opened? })
    }

    fn open(file: PathBuf) -> Result<Self, OpenError> {
        Self::with_connection(Connection::open_with_flags(&file, FLAGS)?, file)
    }

    fn with_connection(db: Connection, file: PathBuf) -> Result<Self, OpenError> {
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let version = version_of(&db)?;
        Ok(Self { db, file, version, frozen: None })
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
        match self.has_changed() {
            true => Err(CheckError::Changed),
            false => problems,
        }
    }

    /// Returns whether somebody has written to a database that was read as one that nobody writes.
    pub(super) fn has_changed(&self) -> bool {
        self.frozen.as_ref().is_some_and(|state| FileState::of(&self.file).ok().as_ref() != Some(state))
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
        let snapshot = self.db.unchecked_transaction()?;
        add(integrity(&snapshot))?;
        add(foreign_keys(&snapshot))?;
        add(schema(&snapshot, self.version))?;
        rules.iter().try_for_each(|rule| add(rule(&snapshot)))?;
        Ok(problems)
    }
}

/// SQLite's check of all pages, tables and indexes.
fn integrity(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = db.prepare("PRAGMA integrity_check")?;
    let found = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    if let Some(code) = found.iter().find_map(|line| io_failure(line)) {
        return Err(StoreError::SqliteFailure(rusqlite::ffi::Error::new(code), None));
    }
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

/// Returns the code of an error of the disk, which SQLite's check reports like damage.
fn io_failure(line: &str) -> Option<i32> {
    let (_, code) = line.rsplit_once("error code=")?;
    let code = code.trim().parse().ok()?;
    (rusqlite::ffi::Error::new(code).code == ErrorCode::SystemIoFailure).then_some(code)
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

/// Returns whether the disk could not be read or written.
pub(super) fn is_of_disk(error: &StoreError) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
}

/// Returns the URI by which SQLite opens a file that nobody writes.
fn immutable_uri(file: &Path) -> io::Result<String> {
    let path = std::path::absolute(file)?;
    let mut uri = String::from(if cfg!(windows) { "file:///" } else { "file://" });
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            b'/' | b':' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(byte.into()),
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    Ok(uri + "?immutable=1")
}

/// Returns whether an error says that the database is damaged.
fn is_damage(error: &StoreError) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
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
            Self::Changed => f.write_str("the data was changed meanwhile; check again"),
            Self::Database(error) if is_of_disk(error) => write!(f, "the data cannot be read: {error}; check the disk"),
            Self::Database(error) => write!(f, "cannot read the data: {error}; try again"),
        }
    }
}

impl std::error::Error for CheckError {}

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
/// Instructions of SQLite's virtual machine after which it looks whether it was stopped.
const INSTRUCTIONS: i32 = 10_000;
/// Size of the page cache, in KiB.
const CACHE_KIB: i32 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::{
        super::{BackupError, Data, Store},
        *,
    };

    #[test]
    fn a_check_and_a_backup_notice_that_somebody_writes_meanwhile() {
        // The characters mean something in a URI.
        let folder = tempfile::Builder::new().prefix("a?b#c%20 \u{e9}").tempdir().unwrap();
        let data = Data::Folder(folder.path().to_owned());
        drop(Store::open(&data).unwrap());
        let (progress, file) = (Progress::default(), folder.path().join("backup"));
        let mut reader = DataReader::in_folder(folder.path()).unwrap();
        assert_eq!(reader.check(&progress).unwrap(), [""; 0]);
        assert!(reader.frozen.is_some());
        let store = Store::open_unlocked(&data).unwrap();
        store.set_meta("test", "written").unwrap();
        for _ in 0..2 {
            assert!(matches!(reader.check(&progress), Err(CheckError::Changed)));
            assert!(matches!(reader.back_up(&file, false, &progress), Err(BackupError::Changed)));
            // Closing it moves the change from the log to the database.
            drop(Store::open_unlocked(&data).unwrap());
        }
        assert!(!file.exists());
        let mut reader = DataReader::in_folder(folder.path()).unwrap();
        assert!(reader.frozen.is_none(), "there is something in the log");
        assert_eq!(reader.check(&progress).unwrap(), [""; 0]);
        drop(store);
    }

    #[test]
    fn a_disk_that_fails_is_not_called_damaged_data() {
        let error = |code| StoreError::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        assert!(is_damage(&error(rusqlite::ffi::SQLITE_CORRUPT)));
        let failure = error(rusqlite::ffi::SQLITE_IOERR_READ);
        assert!(!is_damage(&failure));
        let text = CheckError::Database(failure).to_string();
        assert!(text.starts_with("the data cannot be read: ") && text.ends_with("; check the disk"), "{text}");
        // Extended codes of SQLITE_IOERR and SQLITE_CORRUPT.
        assert_eq!(io_failure("Tree 2 page 3: unable to get the page. error code=266"), Some(266));
        for line in ["Tree 2 page 3: unable to get the page. error code=11", "row 1 missing from index blocks_of"] {
            assert_eq!(io_failure(line), None, "{line}");
        }
    }
}
