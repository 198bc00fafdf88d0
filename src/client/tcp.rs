//! A TCP stream with a read buffer and a deadline for every wait. Knows nothing of WebSocket.
//!
//! Buffered bytes can be borrowed in place ([`Tcp::unread`]) or read through [`BufRead`] ([`Tcp::reader`]), which
//! consumes no byte beyond what its caller asks for.

use std::{
    fmt,
    io::{self, BufRead, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    ops::Range,
    time::{Duration, Instant},
};

/// A connected stream and its read buffer.
pub(super) struct Tcp {
    stream: TcpStream,
    buffer: Box<[u8]>,
    /// `buffer[unread]` has been read from the stream but not consumed.
    unread: Range<usize>,
    /// The stream's current timeouts. They are set only when they change.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

/// How long to wait for the peer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    /// A timeout for each read or write, none if `None`. Several of them together may take longer.
    PerCall(Option<Duration>),
    /// A point in time by which all reads and writes must be done.
    At(Instant),
}

impl Deadline {
    /// A deadline for all reads and writes, `duration` from now; none if `None`.
    pub(super) fn after(duration: Option<Duration>) -> Self {
        // A time beyond the range of the clock is no limit.
        match duration.and_then(|duration| Instant::now().checked_add(duration)) {
            Some(deadline) => Self::At(deadline),
            None => Self::PerCall(None),
        }
    }

    /// Returns the timeout for the next read or write.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if no time is left.
    fn timeout(self) -> io::Result<Option<Duration>> {
        match self {
            Self::PerCall(timeout) => Ok(timeout.map(|timeout| timeout.max(MIN_TIMEOUT))),
            Self::At(deadline) => match deadline.saturating_duration_since(Instant::now()) {
                Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
                left => Ok(Some(left.max(MIN_TIMEOUT))),
            },
        }
    }
}

impl Tcp {
    /// Connects to the first of these addresses that accepts. Each attempt gets an equal share of the remaining time,
    /// so that one silent address does not use all of it.
    ///
    /// # Errors
    /// The error of the last address, or [`io::ErrorKind::AddrNotAvailable`] if there is no address.
    pub(super) fn connect(addresses: &[SocketAddr], deadline: Deadline) -> io::Result<Self> {
        let mut last = io::ErrorKind::AddrNotAvailable.into();
        for (index, address) in (0_u32..).zip(addresses) {
            let connected = match deadline.timeout()? {
                Some(left) => {
                    let share = left / (addresses.len() as u32).saturating_sub(index).max(1);
                    TcpStream::connect_timeout(address, share.max(MIN_TIMEOUT))
                }
                None => TcpStream::connect(address),
            };
            match connected {
                Ok(stream) => return Self::new(stream),
                Err(error) => {
                    log::debug!("cannot connect to {address}: {error}");
                    last = error;
                }
            }
        }
        Err(last)
    }

    fn new(stream: TcpStream) -> io::Result<Self> {
        // Each message is one write. Nagle's algorithm would hold it back for more data and only delay it.
        stream.set_nodelay(true)?;
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Ok(Self { stream, buffer, unread: 0..0, read_timeout: None, write_timeout: None })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
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
    ///
    /// If the process is stopped until the deadline is over, bytes may have arrived meanwhile: they are read.
    pub(super) fn fill(&mut self, deadline: Deadline) -> io::Result<usize> {
        self.unread = 0..0;
        let mut was_interrupted = false;
        loop {
            let timeout = match deadline.timeout() {
                Err(_) if was_interrupted => Some(MIN_TIMEOUT),
                timeout => timeout?,
            };
            if timeout != self.read_timeout {
                self.stream.set_read_timeout(timeout)?;
                self.read_timeout = timeout;
            }
            match self.stream.read(&mut self.buffer) {
                Ok(length) => {
                    self.unread = 0..length;
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => was_interrupted = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes all of `bytes`, in one system call if the kernel has room for them.
    pub(super) fn write_all(&mut self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        while !bytes.is_empty() {
            let timeout = deadline.timeout()?;
            if timeout != self.write_timeout {
                self.stream.set_write_timeout(timeout)?;
                self.write_timeout = timeout;
            }
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns a [`BufRead`] whose reads all share `deadline`.
    pub(super) fn reader(&mut self, deadline: Deadline) -> Reader<'_> {
        Reader { tcp: self, deadline }
    }

    /// Ends the outgoing direction. The incoming one stays open.
    pub(super) fn finish_writing(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads and drops input until the peer ends its direction. If a socket is closed with unread input, the kernel
    /// sends a reset, which may overtake the last bytes we wrote.
    pub(super) fn drain(&mut self, deadline: Deadline) -> io::Result<()> {
        while self.fill(deadline)? > 0 {}
        Ok(())
    }

    /// Ends both directions.
    pub(super) fn shutdown(&mut self) {
        self.unread = 0..0;
        // Fails if the peer has ended the connection already, which is just as good.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("stream", &self.stream).field("unread", &self.unread).finish_non_exhaustive()
    }
}

/// Reads from a [`Tcp`] until a deadline; from [`Tcp::reader`].
pub(super) struct Reader<'a> {
    tcp: &'a mut Tcp,
    deadline: Deadline,
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.tcp.unread.is_empty() {
            self.tcp.fill(self.deadline)?;
        }
        Ok(self.tcp.unread())
    }

    fn consume(&mut self, amount: usize) {
        self.tcp.unread.start = (self.tcp.unread.start + amount).min(self.tcp.unread.end);
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buf)?;
        self.consume(length);
        Ok(length)
    }
}

/// The size of the read buffer. A message that fits into it is parsed in place, without being assembled.
const BUFFER_BYTES: usize = 16 << 10;

/// The shortest timeout that is set. Sockets refuse a timeout of zero.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);
