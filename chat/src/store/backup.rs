//! Backups: a consistent copy of the database, checked, and marked as a copy.
//!
//! All pages are copied in one read transaction, so that a busy server cannot make the copy start anew, as it does with
//! `sqlite3 .backup`. Meanwhile the server's write-ahead log grows by what the server writes. The copy is checked
//! afterwards, when it no longer holds the server up.
//!
//! The copy is made in a folder of its own beside its destination. It gets its name when it is complete, checked and
//! on the disk, so a file with that name is always a whole backup.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use tempfile::TempPath;

use super::{
    OpenError, StoreError,
    database::now,
    files::{length, log_of, make_private_file},
    reader::{CheckError, DataReader, Progress, Stage, is_of_disk},
    restored::BACKUP,
};

/// Why there is no backup. No file was made or changed, except with [`BackupError::Unsynced`].
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The file exists.
    Exists(PathBuf),
    /// The file is not a regular file, or belongs to the chat's data.
    NotReplaceable(PathBuf),
    /// A log of an earlier database lies beside the file, and SQLite would read it instead of the backup.
    StaleLog(PathBuf),
    /// The file cannot be written.
    File(PathBuf, io::Error),
    /// The backup is there and whole, but its folder cannot be synced: it may be gone after a crash of the machine.
    Unsynced(PathBuf, io::Error),
    /// The data has these problems.
    Unsound(Vec<String>),
    /// It was stopped: see [`Progress::stop`].
    Stopped,
    /// No server had the data at first, and then it was changed.
    Changed,
    /// The copy cannot be opened.
    Open(OpenError),
    /// SQLite returned this error.
    Database(rusqlite::Error),
}

impl DataReader {
    /// Copies the database to `file`, which only its owner can read, and checks the copy. Returns its length in bytes.
    ///
    /// An existing file is replaced with `replace`, and refused without. When a server first opens a backup, all rooms
    /// get new epochs.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn back_up(&self, file: &Path, replace: bool, progress: &Progress) -> Result<u64, BackupError> {
        let failed = |error| BackupError::File(file.to_owned(), error);
        self.check_destination(file, replace)?;
        let temp_dir =
            tempfile::Builder::new().prefix(".switchboard-backup-").tempdir_in(folder_of(file)).map_err(failed)?;
        let copy = temp_dir.path().join("copy");
        make_private_file(&copy).map_err(failed)?;
        let copied = self.copy_to(&copy, progress);
        if self.has_changed() {
            return Err(BackupError::Changed);
        }
        copied?;
        let mut reader = DataReader::of_backup(&copy).map_err(BackupError::Open)?;
        reader.map_into_memory()?;
        let problems = reader.check(progress)?;
        drop(reader);
        if !problems.is_empty() {
            return Err(BackupError::Unsound(problems));
        }
        let written = File::open(&copy).and_then(|copy| copy.sync_all().and(copy.metadata())).map_err(failed)?;
        if progress.is_stopped() {
            return Err(BackupError::Stopped);
        }
        publish(copy, file, replace, sync_folder)?;
        Ok(written.len())
    }

    /// Checks that `file` may become a backup.
    fn check_destination(&self, file: &Path, replace: bool) -> Result<(), BackupError> {
        let failed = |error| BackupError::File(file.to_owned(), error);
        // First of all, the name: SQLite would delete a backup that has the name of a log.
        let folder = fs::canonicalize(folder_of(file)).map_err(failed)?;
        let data = fs::canonicalize(self.file()).map_err(failed)?;
        let is_data = data.parent() == Some(&folder) && file.file_name().is_none_or(|name| is_of(name, &data));
        if is_data || fs::canonicalize(file).is_ok_and(|file| file == data) {
            return Err(BackupError::NotReplaceable(file.to_owned()));
        }
        let log = log_of(file);
        if length(&log).map_err(BackupError::Open)? > 0 {
            return Err(BackupError::StaleLog(log));
        }
        match fs::symlink_metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
            Ok(metadata) if !metadata.is_file() => Err(BackupError::NotReplaceable(file.to_owned())),
            Ok(_) if !replace => Err(BackupError::Exists(file.to_owned())),
            Ok(_) => Ok(()),
        }
    }

    /// Copies all pages of one snapshot, and marks the copy.
    fn copy_to(&self, copy: &Path, progress: &Progress) -> Result<(), BackupError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(copy, flags)?;
        // An unfinished copy is removed, so it needs no journal. The complete one is synced once.
        db.pragma_update(None, "journal_mode", "OFF")?;
        db.pragma_update(None, "synchronous", "OFF")?;
        let snapshot = self.db.unchecked_transaction()?;
        // A transaction begins with its first read.
        snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let written = File::open(copy).map_err(|error| BackupError::File(copy.to_owned(), error))?;
        let backup = Backup::new(&snapshot, &mut db)?;
        loop {
            let step = backup.step(STEP_PAGES)?;
            let left = backup.progress();
            let bytes = |pages: i32| u64::try_from(pages).unwrap_or(0) * PAGE_BYTES;
            progress.set(Stage::Copying { done: bytes(left.pagecount - left.remaining), total: bytes(left.pagecount) });
            if progress.is_stopped() {
                return Err(BackupError::Stopped);
            }
            // In small parts: a server's commit may have to wait until all that was written before is on the disk.
            written.sync_data().map_err(|error| BackupError::File(copy.to_owned(), error))?;
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else uses the copy, and the snapshot is this connection's own.
                _ => {
                    return Err(BackupError::Database(StoreError::SqliteFailure(
                        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                        None,
                    )));
                }
            }
        }
        drop(backup);
        drop(snapshot);
        // One file without a log beside it.
        db.pragma_update(None, "journal_mode", "DELETE")?;
        db.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?1, ?2)", (BACKUP, now().to_string()))?;
        db.close().map_err(|(_, error)| error.into())
    }

    /// Reads the database through a mapping: twice as fast as copying each page. A broken disk would end the process,
    /// so this is for a file that was just written.
    fn map_into_memory(&self) -> Result<(), StoreError> {
        self.db.pragma_update(None, "mmap_size", i64::MAX)
    }
}

/// Gives a finished copy its name, and makes that durable with `sync`.
fn publish(
    copy: PathBuf,
    file: &Path,
    replace: bool,
    sync: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), BackupError> {
    let failed = |error| BackupError::File(file.to_owned(), error);
    let copy = TempPath::try_from_path(copy).map_err(failed)?;
    let renamed = if replace { copy.persist(file) } else { copy.persist_noclobber(file) };
    renamed.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(file.to_owned()),
        _ => failed(error.error),
    })?;
    sync(folder_of(file)).map_err(|error| BackupError::Unsynced(file.to_owned(), error))
}

/// Makes the names of the files in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // Other systems open no folders.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Returns the folder that a file is or will be in.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns whether a file of this name, in the folder of a database, belongs to it.
fn is_of(name: &OsStr, database: &Path) -> bool {
    let (name, database) = (name.to_string_lossy(), database.file_name().unwrap_or_default().to_string_lossy());
    name == "lock" || name.strip_prefix(&*database).is_some_and(|rest| ["", "-wal", "-shm", "-journal"].contains(&rest))
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<CheckError> for BackupError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Stopped => Self::Stopped,
            CheckError::Changed => Self::Changed,
            CheckError::Database(error) => Self::Database(error),
        }
    }
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(file) => {
                write!(f, "{} exists; choose another name, or replace it with --force", file.display())
            }
            Self::NotReplaceable(file) => {
                write!(
                    f,
                    "{} is not a regular file, or belongs to the chat's data; choose another name",
                    file.display()
                )
            }
            Self::StaleLog(log) => {
                write!(f, "{} belongs to an earlier database; move it away, or choose another name", log.display())
            }
            Self::File(file, error) => {
                write!(f, "cannot write {}: {error}; choose a writable folder with enough space", file.display())
            }
            Self::Unsynced(file, error) => write!(
                f,
                "{} is a whole backup, but may be gone after a crash of the machine: its folder cannot be synced: \
                 {error}; check the disk, and copy the backup to another one",
                file.display()
            ),
            Self::Unsound(problems) => write!(
                f,
                "there is no backup, because the data is damaged: {}; switchboard check lists all that is wrong",
                problems.first().map_or("", String::as_str)
            ),
            Self::Stopped => f.write_str("stopped; there is no backup"),
            Self::Changed => f.write_str("there is no backup, because the data was changed meanwhile; try again"),
            Self::Open(error) => error.fmt(f),
            Self::Database(error) if is_of_disk(error) => write!(f, "cannot copy the data: {error}; check the disk"),
            Self::Database(error) => {
                write!(f, "cannot copy the data: {error}; check that there is enough space, and try again")
            }
        }
    }
}

impl std::error::Error for BackupError {}

/// Pages that are copied before the next look at whether the backup was stopped: 16 MiB.
const STEP_PAGES: i32 = 4096;
/// Bytes of a page.
const PAGE_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::{
        super::{super::token::epoch, open::create_first_version},
        *,
    };

    /// A backup before an update of the program is made by the new program.
    #[test]
    fn data_of_an_older_version_is_checked_and_copied_unchanged() {
        let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
        fs::create_dir(&folder).unwrap();
        create_first_version(&Connection::open(folder.join("chat.sqlite3")).unwrap());
        let (mut reader, copy) = (DataReader::in_folder(&folder).unwrap(), folder.join("copy"));
        assert_eq!(reader.check(&Progress::default()).unwrap(), [""; 0]);
        let bytes = reader.back_up(&copy, false, &Progress::default()).unwrap();
        assert_eq!(bytes, fs::metadata(&copy).unwrap().len());
        let db = Connection::open(&copy).unwrap();
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 1);
        db.execute_batch("DROP INDEX sessions_by_use").unwrap();
        drop(db);
        let problems = DataReader::of_backup(&copy).unwrap().check(&Progress::default()).unwrap();
        assert_eq!(problems, ["the index sessions_by_use is not as it should be"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_backup_whose_folder_cannot_be_synced_is_there_and_the_error_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let [copy, file] = ["copy", "file"].map(|name| folder.path().join(name));
        fs::write(&copy, "a backup").unwrap();
        let error = publish(copy, &file, false, |_| Err(io::Error::other("broken"))).unwrap_err();
        assert_eq!(fs::read(&file).unwrap(), b"a backup");
        let text = error.to_string();
        assert!(matches!(error, BackupError::Unsynced(..)) && text.contains("file is a whole backup, but"), "{text}");
    }
}
