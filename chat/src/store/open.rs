//! Where the data is, and the versions of its schema.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;

use super::Store;

/// Where a chat keeps what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In memory: it is gone with the process.
    Memory,
    /// In this folder, which is made where there is none.
    Folder(PathBuf),
}

/// Why the data cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be made or written.
    Folder(PathBuf, io::Error),
    /// Another server works on it.
    InUse(PathBuf),
    /// It was written by a version that knows more than this one.
    TooNew {
        /// The version of its schema.
        version: usize,
        /// The latest that is known here.
        known: usize,
    },
    /// The file is another program's.
    Foreign(PathBuf),
    /// What SQLite says.
    Database(rusqlite::Error),
}

impl Store {
    /// Opens the data for a server, alone; makes or updates what is not there yet.
    pub(crate) fn open(data: &Data) -> Result<Self, OpenError> {
        match data {
            Data::Memory => Self::set_up(Connection::open_in_memory()?),
            Data::Folder(folder) => {
                make_private(folder).map_err(|error| OpenError::Folder(folder.clone(), error))?;
                let lock = lock(folder)?;
                Self::in_folder(folder, Some(lock))
            }
        }
    }

    /// Opens the data beside a server that may be running: for a few changes by an operator.
    pub(crate) fn open_beside(data: &Data) -> Result<Self, OpenError> {
        match data {
            Data::Memory => Self::open(data),
            Data::Folder(folder) => {
                make_private(folder).map_err(|error| OpenError::Folder(folder.clone(), error))?;
                Self::in_folder(folder, None)
            }
        }
    }

    fn in_folder(folder: &Path, lock: Option<File>) -> Result<Self, OpenError> {
        let file = folder.join(DATABASE);
        // The files that SQLite puts beside it have its permissions.
        make_private_file(&file).map_err(|error| OpenError::Folder(folder.to_owned(), error))?;
        let store = Connection::open(&file).map_err(OpenError::from).and_then(Self::set_up);
        let mut store = store.map_err(|error| match error {
            OpenError::Database(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
                OpenError::Foreign(file.clone())
            }
            error => error,
        })?;
        if let Some(lock) = lock
            && store.mark_run(&file, lock)?
        {
            log::warn!("the data in {} was put back or moved: all rooms have new epochs", folder.display());
        }
        Ok(store)
    }

    fn set_up(mut db: Connection) -> Result<Self, OpenError> {
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        // Before anything of another program's is changed.
        version_of(&db)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        // macOS else leaves what was synced in the drive's own memory.
        db.pragma_update(None, "fullfsync", true)?;
        db.pragma_update(None, "checkpoint_fullfsync", true)?;
        // A page that is written often between two checkpoints is written to the database once.
        db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        db.pragma_update(None, "foreign_keys", true)?;
        // What was deleted is overwritten.
        db.pragma_update(None, "secure_delete", true)?;
        migrate(&mut db)?;
        let store = Self {
            db,
            beside: None,
            #[cfg(test)]
            refused_commits: Default::default(),
        };
        store.refresh_keys()?;
        Ok(store)
    }
}

/// The version of a database's schema, if it is ours, or a new one.
fn version_of(db: &Connection) -> Result<usize, OpenError> {
    let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && (application, version, tables) != (0, 0, 0) {
        return Err(OpenError::Foreign(db.path().unwrap_or_default().into()));
    }
    if version > MIGRATIONS.len() {
        return Err(OpenError::TooNew { version, known: MIGRATIONS.len() });
    }
    Ok(version)
}

/// Brings the schema to its latest version.
fn migrate(db: &mut Connection) -> Result<(), OpenError> {
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version = version_of(&transaction)?;
    for migration in &MIGRATIONS[version..] {
        transaction.execute_batch(migration)?;
    }
    if version < MIGRATIONS.len() {
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    }
    transaction.commit()?;
    Ok(())
}

/// Makes a folder that only its owner may look into.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// For files that only their owner may read, whatever folder they are in.
fn private() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a file where there is none. One that is there is not even opened: to close it again would take the locks away
/// that SQLite has on it in this process (POSIX; <https://www.sqlite.org/howtocorrupt.html>, 2.2).
fn make_private_file(file: &Path) -> io::Result<()> {
    match private().create_new(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Keeps other servers out for as long as the file is open.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let failed = |error| OpenError::Folder(folder.to_owned(), error);
    let file = private().create(true).truncate(false).open(folder.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder, error) => write!(
                f,
                "cannot keep data in {}: {error}; choose a folder that can be written with --data DIR",
                folder.display()
            ),
            Self::InUse(folder) => write!(
                f,
                "another switchboard works with {}; stop it, or choose another folder with --data DIR",
                folder.display()
            ),
            Self::TooNew { version, known } => write!(
                f,
                "the data is of version {version}, and this program knows up to {known}; use a newer switchboard"
            ),
            Self::Foreign(file) => {
                write!(f, "{} is not switchboard's; choose another folder with --data DIR", file.display())
            }
            Self::Database(error) => write!(f, "the data cannot be used: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

const DATABASE: &str = "chat.sqlite3";
const LOCK: &str = "lock";
/// "swbd", for whoever asks `file` what it is.
const APPLICATION: i32 = 0x7377_6264;
/// Each brings the schema from the version of its place to the next one. What was released is never changed.
const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql")];
/// How long another process may hold the database up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const STATEMENTS: usize = 128;
/// Of 4 KiB each: the log before the database grows to 16 MiB.
const CHECKPOINT_PAGES: i32 = 4000;
/// Pages that are kept in memory.
const CACHE_KIB: i32 = 32 << 10;

#[cfg(test)]
mod tests {
    use super::{super::super::token::epoch, *};

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_the_files_even_in_a_folder_that_all_may_look_into() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let store = Store::open(&Data::Folder(folder.clone())).unwrap();
        for file in fs::read_dir(&folder).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        }
        drop(store);
        fs::remove_dir_all(folder).unwrap();
    }

    /// Another process would take the database for its own, and the log beside it for nobody's.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_store_beside_another_in_one_process_leaves_it_its_locks() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
        let data = Data::Folder(folder.clone());
        let store = Store::open(&data).unwrap();
        let inode = format!(":{} ", fs::metadata(folder.join(DATABASE)).unwrap().ino());
        let is_locked = || fs::read_to_string("/proc/locks").unwrap().lines().any(|lock| lock.contains(&inode));
        assert!(is_locked());
        drop(Store::open_beside(&data).unwrap());
        assert!(is_locked());
        drop(store);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nothing_is_changed_in_another_programs_database() {
        let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
        fs::create_dir(&folder).unwrap();
        let file = folder.join(DATABASE);
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE diary (day TEXT)").unwrap();
        let before = fs::read(&file).unwrap();
        assert!(matches!(Store::open(&Data::Folder(folder.clone())), Err(OpenError::Foreign(_))));
        assert_eq!(fs::read(&file).unwrap(), before);
        fs::remove_dir_all(folder).unwrap();
    }
}
