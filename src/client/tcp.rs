//! A TCP connection with a deadline for every wait.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use super::{
    deadline::{Deadline, MIN_TIMEOUT},
    stream::{Transport, drain},
};

/// A connected TCP socket.
pub(super) struct Tcp {
    stream: TcpStream,
    /// The stream's current timeouts. They are set only when they change.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
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
        Ok(Self { stream, read_timeout: None, write_timeout: None })
    }
}

impl Transport for Tcp {
    /// If the process is stopped until the deadline is over, bytes may have arrived meanwhile: they are read.
    fn read(&mut self, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
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
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => was_interrupted = true,
                read => return read,
            }
        }
    }

    fn write_all(&mut self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
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

    fn finish_writing(&mut self, _deadline: Deadline) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    fn drain(&mut self, deadline: Deadline) -> io::Result<()> {
        drain(self, deadline)
    }

    fn shutdown(&mut self) {
        // Fails if the peer has ended the connection already, which is just as good.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(&self.stream)
    }
}
