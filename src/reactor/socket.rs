//! A TCP socket that never blocks and says what came of each call.

use std::io;

use mio::event::Event;

use super::system::Stream;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
}

/// What may be possible with a socket now; any of it may turn out not to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more: what is still in the kernel's buffer is all there is.
    pub(crate) read_closed: bool,
}

impl Readiness {
    pub(super) fn of(event: &Event) -> Self {
        Self {
            readable: event.is_readable() || event.is_error(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
        }
    }
}

/// What a read came to.
#[derive(Debug)]
pub(crate) enum Read {
    /// So many bytes; `drained` where there are no more for now and an event will tell of the next ones.
    Bytes { count: usize, drained: bool },
    /// Nothing now; an event will tell.
    Blocked,
    /// The peer has ended its side.
    Ended,
    /// The connection is broken.
    Failed(io::Error),
}

impl Socket {
    pub(super) fn new(stream: Stream) -> Self {
        // Without it a small answer may wait for the peer's acknowledgement of the last one. Where it cannot be set
        // the connection is broken, which the first read tells.
        let _ = stream.set_nodelay();
        Self { stream }
    }

    pub(super) fn source(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Reads once. A read that does not fill the buffer has drained the socket (epoll(7), question 9), unless the
    /// peer has ended its side: that end has been announced already and must be read too.
    pub(crate) fn read(&mut self, buffer: &mut [u8], read_closed: bool) -> Read {
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Read::Ended,
                Ok(count) => {
                    let drained = cfg!(target_os = "linux") && count < buffer.len() && !read_closed;
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

    /// Writes as much as the kernel takes, and says how much that was.
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

    /// Ends our side: the peer reads all that was written, then the end.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }
}
