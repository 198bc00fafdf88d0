//! A TCP connection with a deadline for every wait.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

#[cfg(unix)]
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvFlags, recv},
};

#[cfg(unix)]
use super::waker::Woken;
use super::{
    deadline::{Deadline, MIN_TIMEOUT},
    stream::{Transport, drain},
    waker::Wake,
};

/// A connected TCP socket.
pub(super) struct Tcp {
    stream: TcpStream,
    /// The stream's current timeouts. They are set only when they change.
    read_timeout: Mutex<Option<Duration>>,
    write_timeout: Mutex<Option<Duration>>,
    /// Once there is a waker.
    wake: OnceLock<Arc<Wake>>,
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
        Ok(Self { stream, read_timeout: Mutex::default(), write_timeout: Mutex::default(), wake: OnceLock::new() })
    }

    /// Sets the timeout of the stream, unless it is set already.
    fn set_timeout(
        &self,
        current: &Mutex<Option<Duration>>,
        timeout: Option<Duration>,
        set: fn(&TcpStream, Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if timeout != *current {
            set(&self.stream, timeout)?;
            *current = timeout;
        }
        Ok(())
    }

    /// Reads once, unless the waker is faster.
    #[cfg(unix)]
    fn read_unless_woken(&self, buffer: &mut [u8], deadline: Deadline, wake: &Wake) -> io::Result<usize> {
        let mut was_interrupted = false;
        loop {
            let timeout = timeout_for_read(deadline, was_interrupted)?;
            // A time that the system cannot express is no limit.
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            let mut waits = [PollFd::new(&self.stream, PollFlags::IN), PollFd::new(wake.reader(), PollFlags::IN)];
            match poll(&mut waits, timeout.as_ref()) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) if !waits[1].revents().is_empty() => return Err(io::Error::other(Woken)),
                Ok(_) => match recv(&self.stream, &mut *buffer, RecvFlags::DONTWAIT) {
                    Ok((length, _)) => return Ok(length),
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                },
                Err(Errno::INTR) => was_interrupted = true,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Returns the timeout for the next read. If the process is stopped until the deadline is over, bytes may have arrived
/// meanwhile: they are read.
fn timeout_for_read(deadline: Deadline, was_interrupted: bool) -> io::Result<Option<Duration>> {
    match deadline.timeout() {
        Err(_) if was_interrupted => Ok(Some(MIN_TIMEOUT)),
        timeout => timeout,
    }
}

impl Transport for Tcp {
    fn read(&self, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
        #[cfg(unix)]
        if let (Deadline::Wakeable(_), Some(wake)) = (deadline, self.wake.get()) {
            return self.read_unless_woken(buffer, deadline, wake);
        }
        let mut was_interrupted = false;
        loop {
            let timeout = timeout_for_read(deadline, was_interrupted)?;
            self.set_timeout(&self.read_timeout, timeout, TcpStream::set_read_timeout)?;
            match (&self.stream).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => was_interrupted = true,
                read => return read,
            }
        }
    }

    fn write_all(&self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        while !bytes.is_empty() {
            self.set_timeout(&self.write_timeout, deadline.timeout()?, TcpStream::set_write_timeout)?;
            match (&self.stream).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn finish_writing(&self, _deadline: Deadline) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    fn drain(&self, deadline: Deadline) -> io::Result<()> {
        drain(self, deadline)
    }

    fn shutdown(&self) {
        // Fails if the peer has ended the connection already, which is just as good.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(&self.stream)
    }

    fn wake(&self) -> io::Result<Arc<Wake>> {
        if let Some(wake) = self.wake.get() {
            return Ok(Arc::clone(wake));
        }
        // Two threads may both come here; one of the two is kept.
        let wake = Arc::new(Wake::new()?);
        Ok(Arc::clone(self.wake.get_or_init(|| wake)))
    }

    fn take_wake(&self) -> bool {
        self.wake.get().is_some_and(|wake| wake.take())
    }

    fn is_duplex(&self) -> bool {
        true
    }
}
