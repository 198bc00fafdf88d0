//! The directory with the chat's data, and the speed of its disk.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Instant,
};

use hdrhistogram::Histogram;

use super::checker::as_nanoseconds;
use crate::load::histogram;

/// A directory for one server's data. Dropping it removes the directory.
#[derive(Debug)]
pub(super) struct DataDir(PathBuf);

impl DataDir {
    /// Creates a directory in `parent`.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        let dir = parent.join(format!("switchboard-bench-{}", std::process::id()));
        fs::create_dir(&dir)?;
        Ok(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the total length of its files.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        fs::read_dir(&self.0)?.map(|file| Ok(file?.metadata()?.len())).sum()
    }

    /// Measures how long it takes to write 4 KiB durably, in nanoseconds. Each write overwrites another page of an
    /// existing file, as in a write-ahead log that is reused.
    pub(super) fn write_times(&self, count: u64) -> io::Result<Histogram<u64>> {
        let path = self.0.join("durable");
        let file = File::create_new(&path)?;
        let page = [0x5A; PAGE_BYTES];
        for at in 0..count {
            file.write_all_at(&page, at * PAGE_BYTES as u64)?;
        }
        file.sync_all()?;
        let mut times = histogram()?;
        for at in 0..count {
            let begin = Instant::now();
            file.write_all_at(&page, at * PAGE_BYTES as u64)?;
            file.sync_data()?;
            times.saturating_record(as_nanoseconds(begin.elapsed()));
        }
        fs::remove_file(path)?;
        Ok(times)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // If this fails, the rest stays in the build directory or where the caller chose.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns the type of the file system that a directory is on, such as ext4.
///
/// # Errors
/// The directory does not exist, or `/proc/self/mounts` cannot be read.
pub(super) fn file_system(dir: &Path) -> io::Result<String> {
    let dir = dir.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let around = mounts.filter(|(mount, _)| dir.starts_with(mount));
    // Of several mounts at one place the last is visible; `max_by_key` returns the last maximum.
    let nearest = around.max_by_key(|(mount, _)| mount.len());
    Ok(nearest.map_or("unknown", |(_, kind)| kind).to_owned())
}

const PAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_dir_is_created_empty_and_removed_when_dropped() {
        let dir = DataDir::new(&std::env::temp_dir()).unwrap();
        let path = dir.path().to_owned();
        assert_eq!(dir.write_times(3).unwrap().len(), 3);
        assert_eq!(dir.bytes().unwrap(), 0);
        fs::write(path.join("file"), "four").unwrap();
        assert_eq!(dir.bytes().unwrap(), 4);
        drop(dir);
        assert!(!path.exists());
    }

    #[test]
    fn the_type_of_a_file_system_is_found() {
        assert_eq!(file_system(Path::new("/proc")).unwrap(), "proc");
    }
}
