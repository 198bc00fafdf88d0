//! What interrupts a read from another thread: a pipe beside the socket.

use std::{io, sync::Arc};

#[cfg(unix)]
use std::{
    io::{PipeReader, PipeWriter, Read as _, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

/// Makes [`receive`](super::Client::receive) return from another thread, with
/// [`ClientError::Woken`](super::ClientError::Woken). From [`Client::waker`](super::Client::waker) or
/// [`ReceivingHalf::waker`](super::ReceivingHalf::waker).
///
/// Clones are the same waker.
#[derive(Clone, Debug)]
pub struct Waker(pub(super) Arc<Wake>);

impl Waker {
    /// Makes the current call of `receive` return at once, or else the next one, also if messages wait. Several wakes
    /// before it returns are one. Does nothing once the connection has ended.
    pub fn wake(&self) {
        self.0.wake();
    }
}

/// A flag, and a pipe that holds a byte while the flag is set.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Wake {
    is_set: AtomicBool,
    reader: PipeReader,
    writer: PipeWriter,
}

#[cfg(unix)]
impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { is_set: AtomicBool::new(false), reader, writer })
    }

    fn wake(&self) {
        if !self.is_set.swap(true, Ordering::AcqRel) {
            // The pipe holds no other byte, and this value has its other end: the write neither waits nor fails.
            let _ = (&self.writer).write_all(&[0]);
        }
    }

    /// Takes the wake, if there is one.
    pub(super) fn take(&self) -> bool {
        // The byte comes right after the flag.
        self.is_set.load(Ordering::Acquire)
            && (&self.reader).read_exact(&mut [0]).is_ok()
            && self.is_set.swap(false, Ordering::AcqRel)
    }

    /// The end of the pipe that becomes readable.
    pub(super) fn reader(&self) -> &PipeReader {
        &self.reader
    }
}

/// Elsewhere there is no waker.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) enum Wake {}

#[cfg(not(unix))]
impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn wake(&self) {
        match *self {}
    }

    pub(super) fn take(&self) -> bool {
        match *self {}
    }
}

/// The error of a read that a waker has ended.
#[derive(Debug)]
pub(super) struct Woken;

impl std::fmt::Display for Woken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a waker interrupted the read")
    }
}

impl std::error::Error for Woken {}
