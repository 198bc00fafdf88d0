//! Copies of the data, made and put back as operators do.

use std::{fs, io, process::Command};

use rusqlite::Connection;

use crate::support::{
    folder::Folder,
    program::{PATH, run},
};

/// The contents of the data's files.
pub(super) struct DataCopy {
    database: Vec<u8>,
    log: Option<Vec<u8>>,
    lock: Vec<u8>,
}

/// How a copy is put back.
#[derive(Clone, Copy)]
pub(super) struct PutBack {
    /// Whether the files are written over. Otherwise they are removed first.
    pub(super) over: bool,
    pub(super) lock: Lock,
}

/// What happens to the lock file.
#[derive(Clone, Copy)]
pub(super) enum Lock {
    Kept,
    PutBack,
    Removed,
}

impl DataCopy {
    /// Copies the database as the `.backup` of `sqlite3` does, while the program runs.
    pub(super) fn of_a_database_in_use(folder: &Folder) -> Self {
        let copy = file(folder, "copy");
        Connection::open(file(folder, DATABASE)).unwrap().backup("main", &copy, None::<fn(_)>).unwrap();
        Self::of_one_file(folder, &copy)
    }

    /// Makes a backup with the program, whether a server runs or not.
    pub(super) fn of_a_backup(folder: &Folder) -> Self {
        let copy = file(folder, "copy");
        let ended = run(Command::new(PATH).args(["backup", &copy, "--data", folder.path()]));
        assert!(ended.status.success(), "{ended:?}");
        Self::of_one_file(folder, &copy)
    }

    fn of_one_file(folder: &Folder, copy: &str) -> Self {
        let database = fs::read(copy).unwrap();
        fs::remove_file(copy).unwrap();
        Self { database, log: None, lock: fs::read(file(folder, "lock")).unwrap() }
    }

    /// Copies the files, while the program does not write them.
    pub(super) fn of_files(folder: &Folder) -> Self {
        let read = |name: &str| fs::read(file(folder, name));
        let log = match read(WRITE_AHEAD_LOG) {
            Ok(log) => Some(log),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => panic!("{error}"),
        };
        Self { database: read(DATABASE).unwrap(), log, lock: read("lock").unwrap() }
    }

    /// Replaces the files, while the program does not run.
    pub(super) fn put_back(&self, folder: &Folder, how: PutBack) {
        let remove = |name: &str| match fs::remove_file(file(folder, name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        };
        [WRITE_AHEAD_LOG, "chat.sqlite3-shm"].into_iter().for_each(remove);
        if !how.over {
            remove(DATABASE);
        }
        fs::write(file(folder, DATABASE), &self.database).unwrap();
        if let Some(log) = &self.log {
            fs::write(file(folder, WRITE_AHEAD_LOG), log).unwrap();
        }
        match how.lock {
            Lock::Kept => {}
            Lock::PutBack => fs::write(file(folder, "lock"), &self.lock).unwrap(),
            Lock::Removed => remove("lock"),
        }
    }
}

fn file(folder: &Folder, name: &str) -> String {
    format!("{}/{name}", folder.path())
}

const DATABASE: &str = "chat.sqlite3";
const WRITE_AHEAD_LOG: &str = "chat.sqlite3-wal";
