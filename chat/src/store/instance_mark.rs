//! The lock file beside the database, and the mark in it that identifies the running instance.

use std::{
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::files::FolderLock;

/// The lock file beside the database. The folder stays locked while this value lives.
#[derive(Debug)]
pub(super) struct InstanceMark {
    pub(super) lock: FolderLock,
    /// The database file.
    pub(super) database: PathBuf,
    /// Identifies the database file, so that a moved one is noticed: see [`file_identity`].
    pub(super) file_identity: String,
    /// The mark that is both in the lock file and in the database.
    pub(super) mark: String,
    /// The connection's count of changed rows when the mark was written.
    pub(super) changes: u64,
}

impl InstanceMark {
    /// Takes over a lock file whose mark in the database is `mark`.
    pub(super) fn new(lock: FolderLock, database: &Path, file_identity: String, mark: String) -> Self {
        Self { lock, database: database.to_owned(), file_identity, mark, changes: 0 }
    }

    /// Replaces the marks in the lock file, one per line, and syncs the file.
    pub(super) fn write_marks(&self, marks: &[&str]) -> io::Result<()> {
        let text: String = marks.iter().flat_map(|mark| [*mark, "\n"]).collect();
        let mut file = &self.lock.file;
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)?;
        file.sync_data()
    }
}

/// Reads the marks in a lock file. A file that is not UTF-8 has none.
pub(super) fn read_marks(lock: &mut FolderLock) -> String {
    let mut marks = String::new();
    let _ = lock.file.read_to_string(&mut marks);
    marks
}

/// Returns a text that identifies a file while it stays where it is.
#[cfg(unix)]
pub(super) fn file_identity(file: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(file)?;
    Ok(format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
pub(super) fn file_identity(file: &Path) -> io::Result<String> {
    Ok(std::fs::canonicalize(file)?.display().to_string())
}
