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
    /// The lines of the lock file. The mark that the database has is among them.
    pub(super) marks: Vec<String>,
    /// The connection's count of changed rows when the mark was written.
    pub(super) changes: u64,
}

impl InstanceMark {
    /// Takes over a lock file of so many lines, whose mark in the database is `mark`.
    pub(super) fn new(lock: FolderLock, lines: usize, database: &Path, file_identity: String, mark: String) -> Self {
        Self { lock, database: database.to_owned(), file_identity, marks: vec![mark; lines], changes: 0 }
    }

    /// Adds a mark to the lock file, beside those that the database may have.
    pub(super) fn add_mark(&mut self, mark: &str) -> io::Result<()> {
        let before = self.marks.clone();
        // The last line is free if it repeats another one.
        let last = self.marks.pop();
        self.marks.extend(last.filter(|last| !self.marks.contains(last)));
        self.marks.push(mark.to_owned());
        self.write_marks().inspect_err(|_| self.marks = before)
    }

    /// Makes a mark the only one in the lock file. The file keeps its length: of a write and a truncation, a crash may
    /// leave only the truncation.
    pub(super) fn set_mark(&mut self, mark: &str) -> io::Result<()> {
        self.marks.fill(mark.to_owned());
        self.write_marks()
    }

    /// Writes the lines of the lock file, and syncs it.
    fn write_marks(&self) -> io::Result<()> {
        let text: String = self.marks.iter().flat_map(|mark| [mark, "\n"]).collect();
        let mut file = &self.lock.file;
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    }
}

/// Reads the marks in a lock file. A file that is not UTF-8 has none.
pub(super) fn read_marks(lock: &mut FolderLock) -> io::Result<String> {
    let mut marks = String::new();
    match lock.file.read_to_string(&mut marks) {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(error),
        _ => Ok(marks),
    }
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
