//! Reading files that are short if they are what they should be, and that others may replace meanwhile.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use rustix::fs::{Mode, OFlags};

/// What to do with a path whose last part is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Refuse,
}

/// Reads a file of at most `max_bytes`. Never waits for a pipe or a device, since it reads nothing but files.
///
/// # Errors
/// The system's error, or that it is no file, or longer.
pub(crate) fn read(path: &Path, max_bytes: u64, links: Links) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = if links == Links::Refuse { flags | OFlags::NOFOLLOW } else { flags };
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut content = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut content)?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= max_bytes) {
        Ok(content)
    } else {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {max_bytes} bytes")))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_short_files_are_read_and_links_only_if_they_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("short"), "short").unwrap();
        std::fs::write(path("longest"), [b'a'; 1024]).unwrap();
        std::fs::write(path("long"), [b'a'; 1025]).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        symlink("short", path("link")).unwrap();
        symlink(folder.path(), path("folder-link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        for links in [Links::Follow, Links::Refuse] {
            assert_eq!(read(&path("short"), 1024, links).unwrap(), b"short");
            assert_eq!(read(&path("folder-link/short"), 1024, links).unwrap(), b"short");
            assert_eq!(read(&path("longest"), 1024, links).unwrap().len(), 1024);
            for (name, expected) in [
                ("long", io::ErrorKind::FileTooLarge),
                ("folder", io::ErrorKind::InvalidInput),
                ("pipe", io::ErrorKind::InvalidInput),
                ("nothing", io::ErrorKind::NotFound),
            ] {
                assert_eq!(read(&path(name), 1024, links).unwrap_err().kind(), expected, "{name}");
            }
        }
        assert_eq!(read(&path("link"), 1024, Links::Follow).unwrap(), b"short");
        let refused = read(&path("link"), 1024, Links::Refuse).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::LOOP.raw_os_error()));
    }
}
