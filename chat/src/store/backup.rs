//! Backups: a consistent copy of the database, checked, and marked as a copy.
//!
//! All pages are copied in one read transaction, so that a busy server cannot make the copy start anew, as it does with
//! `sqlite3 .backup`. Meanwhile the server's write-ahead log grows by what the server writes. The copy is checked
//! afterwards, when it no longer holds the server up.
//!
//! The copy is made in a folder of its own beside its destination. It gets its name when it is complete, checked and
//! on the disk, so a file with that name is always a whole backup.

use std::{
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
    files::make_private_file,
    reader::{CheckError, DataReader, Progress, Stage},
    restored::BACKUP,
};

/// Why there is no backup. No file was made or changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The file exists.
    Exists(PathBuf),
    /// The file is not a regular file, or belongs to the chat's data.
    NotReplaceable(PathBuf),
    /// The file cannot be written.
    File(PathBuf, io::Error),
    /// The data has these problems.
    Unsound(Vec<String>),
    /// It was stopped: see [`Progress::stop`].
    Stopped,
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
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let workplace = tempfile::Builder::new().prefix(".switchboard-backup-").tempdir_in(folder).map_err(failed)?;
        let copy = workplace.path().join("copy");
        make_private_file(&copy).map_err(failed)?;
        self.copy_to(&copy, progress)?;
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
        publish(copy, file, replace)?;
        #[cfg(unix)]
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(written.len())
    }

    /// Checks that `file` may become a backup.
    fn check_destination(&self, file: &Path, replace: bool) -> Result<(), BackupError> {
        let metadata = match fs::symlink_metadata(file) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(BackupError::File(file.to_owned(), error)),
        };
        let same_folder = |one: &Path, other: &Path| match (one.parent(), other.parent()) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        };
        let is_data = match (fs::canonicalize(file), fs::canonicalize(self.file())) {
            (Ok(file), Ok(data)) => file == data || (same_folder(&file, &data) && is_beside(&file, &data)),
            _ => false,
        };
        if !metadata.is_file() || is_data {
            Err(BackupError::NotReplaceable(file.to_owned()))
        } else if !replace {
            Err(BackupError::Exists(file.to_owned()))
        } else {
            Ok(())
        }
    }

    /// Copies all pages at one moment, and marks the copy.
    fn copy_to(&self, copy: &Path, progress: &Progress) -> Result<(), BackupError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(copy, flags)?;
        // An unfinished copy is removed, so it needs no journal. The complete one is synced once.
        db.pragma_update(None, "journal_mode", "OFF")?;
        db.pragma_update(None, "synchronous", "OFF")?;
        let moment = self.db.unchecked_transaction()?;
        // A transaction begins with its first read.
        moment.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let written = File::open(copy).map_err(|error| BackupError::File(copy.to_owned(), error))?;
        let backup = Backup::new(&moment, &mut db)?;
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
                // Nobody else uses the copy, and the moment is this connection's own.
                _ => {
                    return Err(BackupError::Database(StoreError::SqliteFailure(
                        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                        None,
                    )));
                }
            }
        }
        drop(backup);
        drop(moment);
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

/// Gives a finished copy its name.
fn publish(copy: PathBuf, file: &Path, replace: bool) -> Result<(), BackupError> {
    let failed = |error| BackupError::File(file.to_owned(), error);
    let copy = TempPath::try_from_path(copy).map_err(failed)?;
    let renamed = if replace { copy.persist(file) } else { copy.persist_noclobber(file) };
    renamed.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(file.to_owned()),
        _ => failed(error.error),
    })
}

/// Returns whether a file in the folder of a database belongs to it.
fn is_beside(file: &Path, database: &Path) -> bool {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (file, database) = (name(file), name(database));
    file == "lock" || file.strip_prefix(&database).is_some_and(|rest| ["-wal", "-shm", "-journal"].contains(&rest))
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
            Self::File(file, error) => {
                write!(f, "cannot write {}: {error}; choose a writable folder with enough space", file.display())
            }
            Self::Unsound(problems) => write!(
                f,
                "there is no backup, because the data is damaged: {}; switchboard check lists all that is wrong",
                problems.first().map_or("", String::as_str)
            ),
            Self::Stopped => f.write_str("stopped; there is no backup"),
            Self::Open(error) => error.fmt(f),
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
}
