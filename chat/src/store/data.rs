//! Where a chat keeps its data ([`Data`]), and why it cannot be opened ([`OpenError`]).

use std::{fmt, io, path::PathBuf};

use super::TransactionError;

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

impl From<TransactionError> for OpenError {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Undone(error) | TransactionError::Unknown(error) => Self::Database(error),
        }
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
