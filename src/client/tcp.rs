//! A TCP stream with a read buffer, whose every wait is bounded. Has never heard of WebSocket.
//!
//! The bytes that were read and not yet looked at can be borrowed in place ([`Tcp::unread`]), or be taken through
//! [`BufRead`] ([`Tcp::reader`]), which tells to the byte where a head ends and what follows begins.

use std::{
    fmt,
    io::{self, BufRead, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    ops::Range,
    time::{Duration, Instant},
};

/// A connected stream and what has been read from it.
pub(super) struct Tcp {
    stream: TcpStream,
    buffer: Box<[u8]>,
    /// `buffer[unread]` has been read and not been looked at.
    unread: Range<usize>,
    /// The stream's two timeouts, to set them only when they change.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

/// How long to wait for the peer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    /// This long for each read or write, without end if `None`. What makes progress may take its time.
    PerCall(Option<Duration>),
    /// Reader then, whatever makes progress.
    At(Instant),
}

impl Deadline {
    /// All together this long from now, without end if `None`.
    pub(super) fn after(duration: Option<Duration>) -> Self {
        // A time so far away that the clock cannot tell it is no limit.
        match duration.and_then(|duration| Instant::now().checked_add(duration)) {
            Some(deadline) => Self::At(deadline),
            None => Self::PerCall(None),
        }
    }

    /// What is left for the next read or write.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`]: nothing.
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
    /// Connects to the first of these addresses that lets us, in their order. Each one that is tried gets an equal
    /// share of the time that is left, so that a silent one does not spend it all.
    ///
    /// # Errors
    /// What the last address said; [`io::ErrorKind::AddrNotAvailable`] if there is none.
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
                    log::debug!("{address}: {error}");
                    last = error;
                }
            }
        }
        Err(last)
    }

    fn new(stream: TcpStream) -> io::Result<Self> {
        // A message is one write; to hold it back for more to come (Nagle) would only delay it.
        stream.set_nodelay(true)?;
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Ok(Self { stream, buffer, unread: 0..0, read_timeout: None, write_timeout: None })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What has been read and not been looked at.
    pub(super) fn unread(&mut self) -> &mut [u8] {
        &mut self.buffer[self.unread.clone()]
    }

    /// All but the last `left` bytes of [`unread`](Self::unread) have been looked at.
    pub(super) fn keep_last(&mut self, left: usize) {
        self.unread.start = self.unread.end.saturating_sub(left).max(self.unread.start);
    }

    /// Reads more, once; gives the number of bytes, 0 at the stream's end. All that was read before must have been
    /// looked at: it is overwritten.
    pub(super) fn fill(&mut self, deadline: Deadline) -> io::Result<usize> {
        self.unread = 0..0;
        loop {
            let timeout = deadline.timeout()?;
            if timeout != self.read_timeout {
                self.stream.set_read_timeout(timeout)?;
                self.read_timeout = timeout;
            }
            match self.stream.read(&mut self.buffer) {
                Ok(length) => {
                    self.unread = 0..length;
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
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

    /// Reads as [`BufRead`], with one deadline for all of it.
    pub(super) fn reader(&mut self, deadline: Deadline) -> Reader<'_> {
        Reader { tcp: self, deadline }
    }

    /// Ends our direction. The other one stays open.
    pub(super) fn finish_writing(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads and drops what comes until the peer ends its direction. Had unread bytes been left behind, the kernel
    /// would send a reset, which may overtake what we wrote last.
    pub(super) fn drain(&mut self, deadline: Deadline) -> io::Result<()> {
        while self.fill(deadline)? > 0 {}
        Ok(())
    }

    /// Ends both directions.
    pub(super) fn shutdown(&mut self) {
        self.unread = 0..0;
        // Fails where the peer has ended the connection already, which is what is wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("stream", &self.stream).field("unread", &self.unread).finish_non_exhaustive()
    }
}

/// A [`Tcp`] that is read until a deadline; see [`Tcp::reader`].
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

/// Messages up to about this long are received without being put together from pieces.
const BUFFER_BYTES: usize = 16 << 10;

/// The sockets refuse a timeout of zero.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);
