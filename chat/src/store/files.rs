//! The files in a chat's folder: creating them for their owner only, locking them, and finding out what is missing.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::OpenError;

/// The locks that keep other servers out of a folder, until this value is dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    /// The lock file, which also holds the marks.
    pub(super) file: File,
    /// The folder itself, which stays locked if somebody removes the lock file. `None` where the system locks no
    /// folders, such as on NFS.
    _folder: Option<File>,
}

impl FolderLock {
    /// Locks a folder. Creates the lock file if there is none.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another server has locked it.
    pub(super) fn acquire(folder: &Path) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Folder(folder.to_owned(), error);
        let locked = File::open(folder).ok().map(|folder| (lock(|| folder.try_lock()), folder));
        let locked = match locked {
            Some((Err(TryLockError::WouldBlock), _)) => return Err(OpenError::InUse(folder.to_owned())),
            Some((Ok(()), folder)) => Some(folder),
            Some((Err(TryLockError::Error(_)), _)) | None => None,
        };
        let file = private().create(true).truncate(false).open(folder.join(LOCK)).map_err(failed)?;
        match lock(|| file.try_lock()) {
            Ok(()) => Ok(Self { file, _folder: locked }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Tries to lock a file, and tries again a little later: a command that looks whether a server has locked it holds a
/// lock of its own for a moment, in [`is_served`].
fn lock(try_lock: impl Fn() -> Result<(), TryLockError>) -> Result<(), TryLockError> {
    match try_lock() {
        Err(TryLockError::WouldBlock) => {
            thread::park_timeout(LOCK_INTERVAL);
            try_lock()
        }
        tried => tried,
    }
}

/// Returns the path of the database in a chat's folder.
pub(super) fn database_in(folder: &Path) -> PathBuf {
    folder.join(DATABASE)
}

/// Returns whether a server has used the folder: its lock file has a mark.
///
/// # Errors
/// [`OpenError::Unreadable`].
pub(super) fn has_mark(folder: &Path) -> Result<bool, OpenError> {
    let lock = folder.join(LOCK);
    let marks = existing(&lock, fs::read(&lock))?;
    Ok(marks.is_some_and(|marks| !marks.trim_ascii().is_empty()))
}

/// Returns whether a server has locked the folder.
pub(super) fn is_served(folder: &Path) -> bool {
    let lock = File::open(folder.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Returns whether the folder has a database.
///
/// # Errors
/// [`OpenError::Lost`] if it has none, or an empty one, beside the files of an earlier chat; [`OpenError::Unreadable`].
pub(super) fn has_database(folder: &Path) -> Result<bool, OpenError> {
    let file = database_in(folder);
    if length(&file)? > 0 {
        return Ok(true);
    }
    if has_mark(folder)? || length(&log_of(&file))? > 0 {
        return Err(OpenError::Lost(folder.to_owned()));
    }
    Ok(false)
}

/// Checks that the write-ahead log beside a database is its own.
///
/// SQLite would apply a log that an earlier database has left behind, for example after `kill -9`, and so damage a
/// backup that was put in that database's place. Backups are not in WAL mode, and the server's database always is.
///
/// # Errors
/// [`OpenError::StaleLog`], [`OpenError::Unreadable`].
pub(super) fn refuse_stale_log(file: &Path) -> Result<(), OpenError> {
    let log = log_of(file);
    if length(&log)? == 0 {
        return Ok(());
    }
    let Some(mut database) = existing(file, File::open(file))? else { return Ok(()) };
    let mut header = [0; 20];
    let is_read = database.read_exact(&mut header).is_ok();
    // Closing the file would release the POSIX locks that SQLite holds on it for other connections of this process
    // (<https://www.sqlite.org/howtocorrupt.html>, section 2.2). The descriptor stays open: one, after a crash only.
    std::mem::forget(database);
    match header {
        [.., ROLLBACK_JOURNAL, ROLLBACK_JOURNAL] if is_read => Err(OpenError::StaleLog(log)),
        _ => Ok(()),
    }
}

/// Creates a folder that only its owner can read, with its parents. Does nothing if the folder exists.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Creates a file if it does not exist, for its owner only. An existing file is not even opened: closing it would
/// release the POSIX locks that SQLite holds on it in this process.
pub(super) fn make_private_file(file: &Path) -> io::Result<()> {
    match private().create_new(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Warns if others can read a database, for example one that was copied without its permissions.
pub(super) fn warn_if_public(file: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = fs::metadata(file)
        && std::os::unix::fs::MetadataExt::mode(&metadata) & 0o077 != 0
    {
        log::warn!("others can read {}, which has all messages; run chmod 600 on it", file.display());
    }
}

/// Options that create a file which only its owner can read, even in a public folder.
fn private() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Returns the path of a database's write-ahead log.
pub(super) fn log_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// Returns the length of a file in bytes: 0 if it does not exist.
///
/// # Errors
/// [`OpenError::Unreadable`].
pub(super) fn length(file: &Path) -> Result<u64, OpenError> {
    Ok(existing(file, fs::metadata(file))?.map_or(0, |metadata| metadata.len()))
}

/// Returns `None` if a file was not found. It may be there if it cannot be looked at.
fn existing<T>(file: &Path, found: io::Result<T>) -> Result<Option<T>, OpenError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::Unreadable(file.to_owned(), error)),
    }
}

const DATABASE: &str = "chat.sqlite3";
const LOCK: &str = "lock";
/// The time after which a lock is tried again.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);
/// The value of the bytes 18 and 19 of a database that is not in WAL mode.
const ROLLBACK_JOURNAL: u8 = 1;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{super::super::token::epoch, *};

    #[test]
    fn a_lock_that_is_held_for_a_moment_is_tried_again() {
        let tries = Cell::new(0);
        let held_for = |times| {
            tries.set(0);
            lock(|| match tries.replace(tries.get() + 1) {
                try_number if try_number < times => Err(TryLockError::WouldBlock),
                _ => Ok(()),
            })
        };
        assert!(held_for(0).is_ok() && tries.get() == 1);
        assert!(held_for(1).is_ok() && tries.get() == 2);
        assert!(matches!(held_for(2), Err(TryLockError::WouldBlock)));
    }

    /// A file in the folder's place stands for a folder of another user: the tests may run as root.
    #[cfg(unix)]
    #[test]
    fn files_that_cannot_be_read_are_not_called_missing() {
        let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
        fs::write(&folder, "a file").unwrap();
        let database = database_in(&folder);
        let is_unreadable = |error: OpenError| matches!(error, OpenError::Unreadable(..));
        assert!(has_database(&folder).is_err_and(is_unreadable));
        assert!(has_mark(&folder).is_err_and(is_unreadable));
        assert!(length(&database).is_err_and(is_unreadable));
        assert!(refuse_stale_log(&database).is_err_and(is_unreadable));
        let refused = existing::<()>(&database, Err(io::ErrorKind::PermissionDenied.into())).unwrap_err().to_string();
        assert!(refused.contains("chat.sqlite3: permission denied; run this as the user of the server"), "{refused}");
        fs::remove_file(&folder).unwrap();
        assert!(!has_database(&folder).unwrap() && !has_mark(&folder).unwrap());
    }
}
