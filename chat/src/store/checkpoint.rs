//! Keeps the write-ahead log short.
//!
//! SQLite copies the log into the database at the first commit that makes it longer than [`CHECKPOINT_PAGES`], and then
//! writes it from its beginning again. The file keeps its length, which may be a multiple of that: after one large
//! transaction, or while another process reads for a long time, as a backup does. `journal_size_limit` cuts it at the
//! next commit.
//!
//! If nothing is written any more, there is no next commit. Then a thread with a connection of its own copies the log
//! and cuts it to nothing. It copies without a lock that a writer needs, so the chat's thread waits for no disk.

use std::{
    io,
    path::Path,
    thread::{Builder, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::files::{length, log_of};

/// Notices that nothing was written for a while, and holds the thread that works then.
#[derive(Debug, Default)]
pub(super) struct IdleCheckpoint {
    /// The connection's count of changed rows at the last call.
    changes: u64,
    thread: Option<JoinHandle<()>>,
}

impl IdleCheckpoint {
    /// Copies the log of a database into it and cuts the log, on another thread, if it is long and `changes`, the count
    /// of all changed rows, is the same as in the last call.
    pub(super) fn run_if_idle(&mut self, changes: u64, database: &Path) -> io::Result<()> {
        let was_idle = std::mem::replace(&mut self.changes, changes) == changes;
        let is_working = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        if was_idle && !is_working && length(&log_of(database)).is_ok_and(|bytes| bytes > MAX_IDLE_LOG_BYTES) {
            let database = database.to_owned();
            let thread = Builder::new().name("switchboard-log".to_owned()).spawn(move || cut_log(&database))?;
            self.thread = Some(thread);
        }
        Ok(())
    }
}

/// The thread's connection is closed before the store's, which removes the log when it is the last.
impl Drop for IdleCheckpoint {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that shortens the write-ahead log has panicked");
        }
    }
}

fn cut_log(database: &Path) {
    match try_cut_log(database) {
        Ok(true) => log::debug!("the write-ahead log was cut"),
        Ok(false) => log::debug!("another process reads from the write-ahead log, which is cut later"),
        Err(error) => log::warn!("the write-ahead log cannot be cut: {error}"),
    }
}

/// Returns whether the log was cut. It is not while somebody reads from it.
fn try_cut_log(database: &Path) -> rusqlite::Result<bool> {
    let db =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.pragma_update(None, "checkpoint_fullfsync", true)?;
    db.busy_timeout(Duration::ZERO)?;
    // Whether it was stopped by a lock, the frames in the log, and how many of them are in the database.
    let checkpoint = |mode: &str| {
        db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| <(bool, i64, i64)>::try_from(row))
    };
    // Writers wait for a checkpoint that cuts the log. So everything is copied before, and nothing is left to copy
    // then.
    let (_, frames, copied) = checkpoint("PASSIVE")?;
    Ok(frames == copied && !checkpoint("TRUNCATE")?.0)
}

/// Pages after which a commit copies the log into the database: of 4 KiB each, so about 16 MiB.
pub(super) const CHECKPOINT_PAGES: i32 = 4000;
/// Length to which a commit cuts the log once it is in the database, in bytes. It is longer than the log usually is.
pub(super) const MAX_LOG_BYTES: i64 = 20 << 20;
/// Length of a log that stays when nothing is written, in bytes.
const MAX_IDLE_LOG_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{
        super::{super::token::epoch, Data, Store},
        *,
    };

    /// A store in a folder, with a log of about this many MiB.
    fn with_log(mib: u64) -> (Store, PathBuf, PathBuf) {
        let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
        let store = Store::open(&Data::Folder(folder.clone())).unwrap();
        store.begin().unwrap();
        store.execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {mib} * 256)
            INSERT INTO messages (room, seq, time, kind, author, text) SELECT 1, i, 0, 0, 0, hex(zeroblob(2000)) FROM n",
        ))
        .unwrap();
        store.commit().unwrap();
        let log = log_of(&folder.join("chat.sqlite3"));
        (store, folder, log)
    }

    /// Calls the checkpoint as after a second without a write, and waits for its end.
    fn idle(store: &mut Store) {
        store.checkpoint_if_idle().unwrap();
        if let Some(thread) = store.checkpoint.thread.take() {
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_long_log_is_cut_when_nothing_is_written() {
        let (mut store, folder, log) = with_log(3);
        idle(&mut store);
        assert!(length(&log).unwrap() > 3 << 20, "something was written since the last call");
        idle(&mut store);
        assert_eq!(length(&log).unwrap(), 0);
        store.set_meta("test", "more").unwrap();
        idle(&mut store);
        idle(&mut store);
        assert!((1..1 << 20).contains(&length(&log).unwrap()), "a short log stays");
        drop(store);
        assert!(!log.exists(), "the last connection removes it");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_log_that_is_read_is_cut_later() {
        let (mut store, folder, log) = with_log(3);
        let reader = Connection::open(folder.join("chat.sqlite3")).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM messages").unwrap();
        store.set_meta("test", "more").unwrap();
        for _ in 0..3 {
            idle(&mut store);
            assert!(length(&log).unwrap() > 3 << 20);
        }
        reader.execute_batch("COMMIT").unwrap();
        idle(&mut store);
        assert_eq!(length(&log).unwrap(), 0);
        drop((store, reader));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_log_is_cut_by_the_commits_after_a_large_one() {
        let (store, folder, log) = with_log(30);
        assert!(length(&log).unwrap() > 30 << 20);
        for number in 0..2 {
            store.set_meta("test", &number.to_string()).unwrap();
        }
        assert!(length(&log).unwrap() <= 20 << 20);
        drop(store);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
