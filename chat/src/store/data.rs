//! Where a chat keeps its data ([`Data`]), and why it cannot be opened ([`OpenError`]).

use std::{fmt, io, path::PathBuf};

/// Where a chat keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In memory: the data is lost when the process ends.
    Memory,
    /// In this folder. It is created if it does not exist.
    Folder(PathBuf),
}

/// Why the data cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be created or written.
    Folder(PathBuf, io::Error),
    /// Another server uses the folder.
    InUse(PathBuf),
    /// The folder has no chat, and the operation creates none.
    NoChat(PathBuf),
    /// The folder has files of an earlier chat, but its database is missing or empty.
    Lost(PathBuf),
    /// It cannot be told what is in the folder, because this file or the folder cannot be read.
    Unreadable(PathBuf, io::Error),
    /// This user may not open the database, or the files that SQLite keeps beside it.
    NoAccess(PathBuf, rusqlite::Error),
    /// The database is damaged, or another program has written it.
    Damaged(PathBuf),
    /// The backup is a folder.
    IsFolder(PathBuf),
    /// The file is no backup, or is damaged.
    NotABackup(PathBuf),
    /// A write-ahead log lies beside a backup that was put in another database's place. SQLite would damage the backup
    /// with it.
    StaleLog(PathBuf),
    /// A newer version of this program wrote the data.
    TooNew {
        /// The version of its schema.
        version: usize,
        /// The latest version that this program knows.
        known: usize,
    },
    /// The file belongs to another program.
    Foreign(PathBuf),
    /// SQLite returned this error.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder, error) => {
                write!(f, "cannot keep data in {}: {error}; choose a writable folder with --data DIR", folder.display())
            }
            Self::InUse(folder) => write!(
                f,
                "another switchboard works with {}; stop it, or choose another folder with --data DIR",
                folder.display()
            ),
            Self::NoChat(folder) => {
                write!(f, "there is no chat in {}; name the folder of its data with --data DIR", folder.display())
            }
            Self::Lost(folder) => write!(
                f,
                "{} has files of an earlier chat, but its database chat.sqlite3 is missing or empty; restore a backup, \
                 or remove the other files to begin a new chat",
                folder.display()
            ),
            Self::Unreadable(file, error) => {
                write!(f, "cannot read {}: {error}; run this as the user of the server", file.display())
            }
            Self::NoAccess(file, error) => write!(
                f,
                "cannot open {} and the files beside it: {error}; run this as the user of the server",
                file.display()
            ),
            Self::Damaged(file) => write!(
                f,
                "{} is damaged, or another program has written it; move all files of its folder away and restore a backup",
                file.display()
            ),
            Self::IsFolder(folder) => {
                write!(f, "{} is a folder; name the folder of a chat with --data", folder.display())
            }
            Self::NotABackup(file) => {
                write!(f, "{} is not a backup of a switchboard, or is damaged; choose another file", file.display())
            }
            Self::StaleLog(log) => write!(
                f,
                "{} belongs to an earlier database and would damage the backup that is in its place; move it away, with \
                 the file that ends in -shm",
                log.display()
            ),
            Self::TooNew { version, known } => write!(
                f,
                "the data is of version {version}, and this program supports up to version {known}; \
                 use a newer switchboard"
            ),
            Self::Foreign(file) => {
                write!(f, "{} is not a switchboard database; choose another folder with --data DIR", file.display())
            }
            Self::Database(error) => write!(f, "cannot use the data: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}
