//! Files that are there while the program runs.

use std::{fs, path::PathBuf};

/// A file that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct RemovedFile(pub(crate) PathBuf);

impl RemovedFile {
    /// Writes the number of this process to a file. One that is there is replaced.
    pub(crate) fn with_pid(path: PathBuf) -> Result<Self, String> {
        match fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(format!("cannot write {}: {error}; choose another file with --pid-file", path.display())),
        }
    }
}

impl Drop for RemovedFile {
    fn drop(&mut self) {
        // If it is gone, that is what was wanted.
        let _ = fs::remove_file(&self.0);
    }
}
