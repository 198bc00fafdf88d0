//! A stream of bytes with a read buffer, over any [`Transport`]. Knows nothing of WebSocket.
//!
//! Buffered bytes can be borrowed in place ([`Stream::unread`]) or read through [`BufRead`] ([`Stream::reader`]), which
//! consumes no byte beyond what its caller asks for.

use std::{
    fmt,
    io::{self, BufRead, Read},
    net::TcpStream,
    ops::Range,
    sync::Arc,
};

use super::{deadline::Deadline, waker::Wake};

/// What carries the bytes: TCP, TLS, or a stream of the caller's. Each call blocks, at most until its deadline.
///
/// After an error of the kind `TimedOut` or `WouldBlock` nothing that was received is lost, and the call can be
/// repeated; after one of a write, a part may be sent.
///
/// One thread reads and drains. Another may write at the same time, if [`is_duplex`](Self::is_duplex).
pub(super) trait Transport: Send + Sync {
    /// Reads once and returns the number of bytes, 0 at the end of the stream.
    fn read(&self, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize>;

    /// Writes all of `bytes`, and whatever the transport itself still has to send. With few bytes it is one system
    /// call.
    fn write_all(&self, bytes: &[u8], deadline: Deadline) -> io::Result<()>;

    /// Tells the peer that no more bytes follow, if the transport has a message for that. The connection stays open.
    fn announce_end(&self, _deadline: Deadline) -> io::Result<()> {
        Ok(())
    }

    /// Ends the outgoing direction. The incoming one stays open.
    fn finish_writing(&self, deadline: Deadline) -> io::Result<()>;

    /// Reads and drops input until the peer ends TCP.
    fn drain(&self, deadline: Deadline) -> io::Result<()>;

    /// Ends both directions.
    fn shutdown(&self);

    /// Returns the socket, `None` if the transport is a stream of the caller's.
    fn socket(&self) -> Option<&TcpStream>;

    /// Returns what interrupts a read; makes it at the first call.
    ///
    /// # Errors
    /// `Unsupported` if reads cannot be interrupted, or the system's error.
    fn wake(&self) -> io::Result<Arc<Wake>>;

    /// Returns whether a wake is due, and takes it.
    fn take_wake(&self) -> bool;

    /// Returns whether one thread can read while another writes.
    fn is_duplex(&self) -> bool;
}

/// A connected transport and its read buffer.
pub(super) struct Stream {
    transport: Arc<dyn Transport>,
    buffer: Box<[u8]>,
    /// `buffer[unread]` has been read from the transport but not consumed.
    unread: Range<usize>,
}

impl Stream {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, buffer: vec![0; BUFFER_BYTES].into_boxed_slice(), unread: 0..0 }
    }

    /// Returns the transport.
    pub(super) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Returns the transport. Drops the buffer, which must be empty.
    pub(super) fn into_transport(self) -> Arc<dyn Transport> {
        debug_assert!(self.unread.is_empty(), "bytes would be lost");
        self.transport
    }

    /// Returns the buffered bytes.
    pub(super) fn unread(&mut self) -> &mut [u8] {
        &mut self.buffer[self.unread.clone()]
    }

    /// Consumes all buffered bytes except the last `left`.
    pub(super) fn keep_last(&mut self, left: usize) {
        self.unread.start = self.unread.end.saturating_sub(left).max(self.unread.start);
    }

    /// Reads once and returns the number of bytes, 0 at the end of the stream. Overwrites the buffer: all earlier bytes
    /// must have been consumed.
    pub(super) fn fill(&mut self, deadline: Deadline) -> io::Result<usize> {
        self.unread = 0..0;
        let length = self.transport.read(&mut self.buffer, deadline)?;
        self.unread = 0..length;
        Ok(length)
    }

    /// Returns the transport, to read elsewhere, and the buffer. All earlier bytes must have been consumed.
    pub(super) fn parts(&mut self) -> (&dyn Transport, &mut [u8]) {
        (&*self.transport, &mut self.buffer)
    }

    /// The first `length` bytes of the buffer have been read now.
    pub(super) fn set_unread(&mut self, length: usize) {
        self.unread = 0..length.min(self.buffer.len());
    }

    /// Writes all of `bytes`.
    pub(super) fn write_all(&mut self, bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        self.transport.write_all(bytes, deadline)
    }

    /// Returns a [`BufRead`] whose reads all share `deadline`.
    pub(super) fn reader(&mut self, deadline: Deadline) -> Reader<'_> {
        Reader { stream: self, deadline }
    }

    /// Reads and drops input until the peer ends TCP. If a socket is closed with unread input, the kernel sends a
    /// reset, which may overtake the last bytes we wrote.
    pub(super) fn drain(&mut self, deadline: Deadline) -> io::Result<()> {
        self.unread = 0..0;
        self.transport.drain(deadline)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("socket", &self.transport.socket())
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}

/// Reads from a [`Stream`] until a deadline; from [`Stream::reader`].
pub(super) struct Reader<'a> {
    stream: &'a mut Stream,
    deadline: Deadline,
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.stream.unread.is_empty() {
            self.stream.fill(self.deadline)?;
        }
        Ok(self.stream.unread())
    }

    fn consume(&mut self, amount: usize) {
        self.stream.unread.start = (self.stream.unread.start + amount).min(self.stream.unread.end);
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buf)?;
        self.consume(length);
        Ok(length)
    }
}

/// Reads and drops input until `transport` ends.
pub(super) fn drain(transport: &impl Transport, deadline: Deadline) -> io::Result<()> {
    let mut dropped = [0; 4096];
    while transport.read(&mut dropped, deadline)? > 0 {}
    Ok(())
}

/// The size of the read buffer. A message that fits into it is parsed in place, without being assembled.
const BUFFER_BYTES: usize = 16 << 10;
