//! The folder in which the chat keeps its data, and what its disk costs.

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

/// A folder for one server's data. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct DataDir(PathBuf);

impl DataDir {
    /// A new one in `parent`.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        let dir = parent.join(format!("switchboard-bench-{}", std::process::id()));
        fs::create_dir(&dir)?;
        Ok(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// How long its files are, together.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        fs::read_dir(&self.0)?.map(|file| Ok(file?.metadata()?.len())).sum()
    }

    /// What it takes to write 4 KiB and to make them durable, in nanoseconds: once in each part of a file that is there
    /// already, as a write-ahead log that has gone round is.
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
        // What is left lies in the folder for builds, or where the caller chose.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The kind of file system that a folder is on, such as ext4.
///
/// # Errors
/// The folder is not there, or the system does not say.
pub(super) fn file_system(dir: &Path) -> io::Result<String> {
    let dir = dir.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let around = mounts.filter(|(mount, _)| dir.starts_with(mount));
    // Of those that are mounted at the same place the last one is seen.
    let nearest = around.max_by_key(|(mount, _)| mount.len());
    Ok(nearest.map_or("unknown", |(_, kind)| kind).to_owned())
}

const PAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_empty_at_first_and_gone_at_the_end() {
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
    fn file_systems_have_names() {
        assert_eq!(file_system(Path::new("/proc")).unwrap(), "proc");
    }
}
