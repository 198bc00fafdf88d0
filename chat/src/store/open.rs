//! Opening the database, and the versions of its schema.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

use super::{
    Data, OpenError, Store, TransactionError,
    checkpoint::{CHECKPOINT_PAGES, MAX_LOG_BYTES},
    files::{
        FolderLock, database_in, has_database, has_mark, is_served, make_private, make_private_file, refuse_stale_log,
        warn_if_public,
    },
};

impl Store {
    /// Opens the data for a server, and locks it against other servers. Creates the database if there is none, and
    /// updates an old schema.
    pub(crate) fn open(data: &Data) -> Result<Self, OpenError> {
        match data {
            Data::Memory => Self::set_up(Connection::open_in_memory()?),
            Data::Folder(folder) => {
                let failed = |error| OpenError::Folder(folder.clone(), error);
                make_private(folder).map_err(failed)?;
                let lock = FolderLock::acquire(folder)?;
                let file = database_in(folder);
                has_database(folder)?;
                refuse_stale_log(&file)?;
                // SQLite gives the files that it creates beside the database the same permissions.
                make_private_file(&file).map_err(failed)?;
                let (mut store, is_new) = Self::open_file(folder, &file)?;
                warn_if_public(&file);
                if is_new {
                    log::warn!("there was no chat in {}; a new one begins", folder.display());
                }
                if store.mark_instance(&file, lock)? {
                    log::warn!("the data in {} was restored or moved: all rooms have new epochs", folder.display());
                }
                Ok(store)
            }
        }
    }

    /// Opens existing data without the server's lock, for an operator's changes: a server may be running.
    pub(crate) fn open_unlocked(data: &Data) -> Result<Self, OpenError> {
        match data {
            Data::Memory => Self::open(data),
            Data::Folder(folder) => Self::open_file(folder, &existing_database(folder)?).map(|(store, _)| store),
        }
    }

    /// Opens a database, and returns whether it had no tables.
    fn open_file(folder: &Path, file: &Path) -> Result<(Self, bool), OpenError> {
        let store = Connection::open(file).map_err(OpenError::from).and_then(|db| {
            // A database without tables is new, unless there was a chat.
            let is_new = version_of(&db)? == 0;
            if is_new && has_mark(folder)? {
                return Err(OpenError::Lost(folder.to_owned()));
            }
            Ok((Self::set_up(db)?, is_new))
        });
        store.map_err(|error| explain(error, folder))
    }

    fn set_up(mut db: Connection) -> Result<Self, OpenError> {
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        // Without these, macOS leaves synced data in the drive's cache.
        db.pragma_update(None, "fullfsync", true)?;
        db.pragma_update(None, "checkpoint_fullfsync", true)?;
        // A page that changes often between two checkpoints is written to the database once.
        db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        db.pragma_update(None, "journal_size_limit", MAX_LOG_BYTES)?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        db.pragma_update(None, "foreign_keys", true)?;
        // Deleted content is overwritten with zeros.
        db.pragma_update(None, "secure_delete", true)?;
        migrate(&mut db)?;
        let store = Self::new(db);
        store.refresh_keys()?;
        Ok(store)
    }
}

impl From<TransactionError> for OpenError {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Undone(error) | TransactionError::Unknown(error) => Self::Database(error),
        }
    }
}

/// Returns the path of the database in a folder, for commands that create none.
///
/// # Errors
/// [`OpenError::NoChat`] if there is none; [`OpenError::Lost`], [`OpenError::Unreadable`] or [`OpenError::StaleLog`].
pub(super) fn existing_database(folder: &Path) -> Result<PathBuf, OpenError> {
    if !has_database(folder)? {
        return Err(OpenError::NoChat(folder.to_owned()));
    }
    let file = database_in(folder);
    // A running server's log is its own.
    if !is_served(folder) {
        refuse_stale_log(&file)?;
    }
    Ok(file)
}

/// Says what an error of SQLite means in a folder that had a chat's database.
pub(super) fn explain(error: OpenError, folder: &Path) -> OpenError {
    let file = database_in(folder);
    let is_foreign = match &error {
        OpenError::Foreign(_) => true,
        OpenError::Database(error) => error.sqlite_error_code() == Some(ErrorCode::NotADatabase),
        _ => false,
    };
    match error {
        _ if is_foreign => match has_mark(folder) {
            Ok(true) => OpenError::Damaged(file),
            Ok(false) => OpenError::Foreign(file),
            Err(error) => error,
        },
        OpenError::Database(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged(file),
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                OpenError::NoAccess(file, error)
            }
            _ => OpenError::Database(error),
        },
        error => error,
    }
}

/// Returns the version of the schema: 0 for a new database.
///
/// # Errors
/// [`OpenError::Foreign`] for another program's database, [`OpenError::TooNew`] for an unknown version.
pub(super) fn version_of(db: &Connection) -> Result<usize, OpenError> {
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

/// Updates the schema to the latest version.
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

/// "swbd": lets the `file` command recognize the database.
const APPLICATION: i32 = 0x7377_6264;
/// Each entry updates the schema from the version that is its index to the next one. A released entry never changes.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
];
/// How long a statement waits for another process's transaction.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum prepared statements in the cache.
const STATEMENTS: usize = 128;
/// Size of the page cache, in KiB.
const CACHE_KIB: i32 = 32 << 10;

/// For tests: creates a database of the first version.
#[cfg(test)]
pub(super) fn create_first_version(db: &Connection) {
    db.execute_batch(MIGRATIONS[0]).unwrap();
    db.pragma_update(None, "application_id", APPLICATION).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
}

#[cfg(test)]
impl Store {
    /// For tests: opens a database of this version of the schema, with what these statements have written.
    pub(crate) fn of_version(version: usize, sql: &str) -> Self {
        let db = Connection::open_in_memory().unwrap();
        MIGRATIONS[..version].iter().for_each(|migration| db.execute_batch(migration).unwrap());
        db.execute_batch(sql).unwrap();
        db.pragma_update(None, "application_id", APPLICATION).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        Self::set_up(db).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{
            super::{name::keys_version, token::epoch},
            Role, RoomId, UserId,
        },
        *,
    };

    #[cfg(unix)]
    #[test]
    fn files_are_private_even_in_a_public_folder() {
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

    /// Without the locks, another process would assume that the database is unused, and delete its write-ahead log.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_second_store_in_the_process_leaves_the_first_ones_locks() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
        let data = Data::Folder(folder.clone());
        let store = Store::open(&data).unwrap();
        let inode = format!(":{} ", fs::metadata(database_in(&folder)).unwrap().ino());
        let is_locked = || fs::read_to_string("/proc/locks").unwrap().lines().any(|lock| lock.contains(&inode));
        assert!(is_locked());
        drop(Store::open_unlocked(&data).unwrap());
        assert!(is_locked());
        drop(store);
        fs::remove_dir_all(folder).unwrap();
    }

    /// The data of the first version: who is in which rooms, and who has written there.
    #[test]
    fn an_old_database_learns_who_began_conversations_and_who_has_answered() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(MIGRATIONS[0]).unwrap();
        db.execute_batch(
            "INSERT INTO people (id, name, key, created) VALUES (1, 'Ada', 'ada', 0), (2, 'Bob', 'bob', 0);
            INSERT INTO rooms (id, kind, name, key, epoch) VALUES (2, 0, 'Rust', 'name rust', 'e'),
                (3, 2, '', 'pair 1 2', 'e');
            INSERT INTO members (room, person, role, since) VALUES (1, 1, 2, 5), (1, 2, 1, 5), (2, 1, 3, 6),
                (2, 2, 2, 7), (3, 1, 2, 8), (3, 2, 2, 8);
            INSERT INTO messages (room, seq, time, kind, author, text) VALUES (3, 1, 70, 0, 2, 'hi'),
                (3, 2, 80, 0, 2, 'hello?');
            PRAGMA user_version = 1;",
        )
        .unwrap();
        db.pragma_update(None, "application_id", APPLICATION).unwrap();
        migrate(&mut db).unwrap();
        let mut rows =
            db.prepare("SELECT room, person, initiator, active, wrote FROM members ORDER BY room, person").unwrap();
        type Row = (i64, i64, Option<i64>, Option<i64>, bool);
        let rows = rows.query_map([], |row| <Row>::try_from(row)).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let expected = [
            (1, 1, None, None, false),
            (1, 2, None, None, false),
            (2, 1, Some(1), None, false),
            (2, 2, None, None, false),
            (3, 1, Some(2), Some(80), false),
            (3, 2, Some(2), Some(80), true),
        ];
        assert_eq!(rows, expected);
    }

    /// The tests may run as root, whom no permission stops.
    #[test]
    fn an_operator_without_permission_learns_which_user_has_it() {
        for code in [rusqlite::ffi::SQLITE_CANTOPEN, rusqlite::ffi::SQLITE_READONLY, rusqlite::ffi::SQLITE_PERM] {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            let refused = explain(OpenError::Database(error), Path::new("data"));
            let text = refused.to_string();
            assert!(matches!(refused, OpenError::NoAccess(..)), "{refused:?}");
            assert!(text.ends_with("; run this as the user of the server"), "{text}");
        }
    }

    #[test]
    fn another_programs_database_is_left_unchanged() {
        let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
        fs::create_dir(&folder).unwrap();
        let file = database_in(&folder);
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE diary (day TEXT)").unwrap();
        let before = fs::read(&file).unwrap();
        assert!(matches!(Store::open(&Data::Folder(folder.clone())), Err(OpenError::Foreign(_))));
        assert_eq!(fs::read(&file).unwrap(), before);
        fs::remove_dir_all(folder).unwrap();
    }

    /// Everything that the first version has stored keeps its meaning.
    #[test]
    fn a_database_of_the_first_version_is_updated() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(MIGRATIONS[0]).unwrap();
        db.pragma_update(None, "application_id", APPLICATION).unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        db.execute_batch(
            "INSERT INTO people (id, name, key, created) VALUES
                (1, 'Ada', 'ada', 0), (2, 'Bob', 'bob', 0), (3, 'Eve', NULL, 0);
            INSERT INTO rooms (id, kind, name, key, epoch) VALUES
                (2, 0, 'Rust', 'name rust', 'e'), (3, 2, '', 'pair 1 2', 'e');
            INSERT INTO members (room, person, role, since) VALUES
                (1, 1, 2, 0), (1, 2, 2, 0), (2, 1, 3, 0), (2, 2, 1, 0), (3, 1, 2, 0), (3, 2, 2, 0);
            INSERT INTO messages (room, seq, time, kind, author, text) VALUES
                (2, 1, 5, 0, 1, 'kept'), (9, 1, 5, 0, 1, 'old');
            INSERT INTO removed (room) VALUES (9);",
        )
        .unwrap();
        db.execute("INSERT INTO facts VALUES ('keys', ?1)", [keys_version()]).unwrap();
        let store = Store::set_up(db).unwrap();
        let [one, two, three, nine] = [1, 2, 3, 9].map(RoomId);
        assert_eq!([one, two, three].map(|room| store.count_members(room).unwrap()), [2, 1, 2]);
        assert_eq!(store.some_memberships_of(UserId(2), 10).unwrap().len(), 3);
        assert_eq!(store.public_rooms("ust", None, 9).unwrap().rooms, [two], "the search knows old rooms");
        assert_eq!(store.room(two).unwrap().unwrap().name, "Rust");
        assert_eq!(store.removed_room().unwrap(), None);
        while store.trim_removed().unwrap() {}
        assert_eq!((store.tail(nine).unwrap(), store.tail(two).unwrap()), (None, Some(1)));
        store.remove_member(two, UserId(1)).unwrap();
        store.set_role(two, UserId(2), Role::Member, 0).unwrap();
        store.set_role(two, UserId(2), Role::Owner, 0).unwrap();
        assert_eq!(store.count_members(two).unwrap(), 1);
    }
}
