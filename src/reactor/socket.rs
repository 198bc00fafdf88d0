//! A non-blocking TCP socket.

use std::io;

use mio::event::Event;

use super::system::Stream;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
}

/// A hint of what is possible with a socket now. Any part of it may be wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer has ended its side: only bytes in the kernel's buffer are still to come.
    pub(crate) read_closed: bool,
    /// The peer has sent an urgent byte of TCP (RFC 6093), at which a read ends. Set with `readable`, on Linux only.
    pub(crate) urgent: bool,
}

impl Readiness {
    pub(super) fn of(event: &Event) -> Self {
        Self {
            readable: event.is_readable() || event.is_error(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            #[cfg(target_os = "linux")]
            urgent: event.is_priority(),
            #[cfg(not(target_os = "linux"))]
            urgent: false,
        }
    }
}

/// The result of a read.
#[derive(Debug)]
pub(crate) enum Read {
    /// `count` bytes were read. If `drained`, no more are there now, and an event will announce the next ones.
    Bytes { count: usize, drained: bool },
    /// No bytes are there now. An event will announce the next ones.
    Blocked,
    /// The peer has ended its side.
    Ended,
    /// The connection is broken.
    Failed(io::Error),
}

impl Socket {
    pub(super) fn new(stream: Stream) -> Self {
        // Otherwise a small message may wait for the peer's acknowledgement of the previous one. An error here means
        // that the connection is broken, which the first read reports.
        let _ = stream.set_nodelay();
        Self { stream }
    }

    pub(super) fn source(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Reads once.
    ///
    /// A read that does not fill the buffer has drained the socket (epoll(7), question 9). Not so if `more_follows`:
    /// the peer has ended its side, and no further event announces that end; or the read may have ended at an urgent
    /// byte.
    pub(crate) fn read(&mut self, buffer: &mut [u8], more_follows: bool) -> Read {
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Read::Ended,
                Ok(count) => {
                    let drained = cfg!(target_os = "linux") && count < buffer.len() && !more_follows;
                    Read::Bytes { count, drained }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => Read::Blocked,
                    io::ErrorKind::Interrupted => continue,
                    _ => Read::Failed(error),
                },
            };
        }
    }

    /// Writes as many bytes as the kernel takes, and returns their number.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.stream.write(&bytes[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(written)
    }

    /// Ends our side. The peer reads everything that was written, then the end.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }
}
