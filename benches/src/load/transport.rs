//! TCP, or TLS over it: blocking while a connection is opened, then non-blocking.

use std::{
    io::{self, BufRead, ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConnection,
    pki_types::{IpAddr, ServerName},
};
use socket2::SockRef;

use super::Target;

/// A connection over the socket `S`. Dropping it resets the connection, so that no port stays in TIME_WAIT.
#[derive(Debug)]
pub(super) struct Transport<S> {
    socket: S,
    tls: Option<Box<ClientConnection>>,
}

impl Transport<TcpStream> {
    /// Connects, and begins the handshake of TLS.
    pub(super) fn connect(target: &Target) -> io::Result<Self> {
        let mut socket = TcpStream::connect(target.address)?;
        SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut tls = target.tls.as_ref().map(|config| tls_client(target, config)).transpose()?;
        if let Some(connection) = &mut tls {
            connection.write_tls(&mut socket)?;
        }
        Ok(Self { socket, tls })
    }

    /// Completes the handshake of TLS, if there is one.
    pub(super) fn complete_handshake(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(connection) if connection.is_handshaking() => connection.complete_io(&mut self.socket).map(drop),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(connection) => rustls::Stream::new(&mut **connection, &mut self.socket).write_all(bytes),
            None => self.socket.write_all(bytes),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(connection) => rustls::Stream::new(&mut **connection, &mut self.socket).read(buffer),
            None => self.socket.read(buffer),
        }
    }

    pub(super) fn into_nonblocking(self) -> io::Result<Transport<mio::net::TcpStream>> {
        self.socket.set_nonblocking(true)?;
        Ok(Transport { socket: mio::net::TcpStream::from_std(self.socket), tls: self.tls })
    }
}

impl Transport<mio::net::TcpStream> {
    pub(super) fn socket(&mut self) -> &mut mio::net::TcpStream {
        &mut self.socket
    }

    /// Takes some of the bytes, at least one, and returns their number. TLS may take more than the kernel does;
    /// [`Transport::flush`] sends the rest.
    ///
    /// # Errors
    /// `WouldBlock`: none are taken now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let Some(connection) = &mut self.tls else { return self.socket.write(bytes) };
        let taken = connection.writer().write(bytes)?;
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(taken),
        }
    }

    /// Sends what TLS has encrypted.
    ///
    /// # Errors
    /// `WouldBlock`: a part is left.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(connection) = &mut self.tls {
            while connection.wants_write() {
                connection.write_tls(&mut self.socket)?;
            }
        }
        Ok(())
    }

    /// Reads all that has arrived, and passes it to `take` piece by piece.
    ///
    /// # Errors
    /// The server closes the connection, a system call fails, or `take` does.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let length = match self.socket.read(buffer) {
                Ok(0) => return Err(io::Error::other(CLOSED)),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            match &mut self.tls {
                Some(connection) => decrypt(connection, &buffer[..length], &mut take)?,
                None => take(&buffer[..length])?,
            }
            if length < buffer.len() {
                return Ok(()); // the socket is empty
            }
        }
    }
}

/// Begins a connection of TLS to the server's address.
pub(super) fn tls_client(target: &Target, config: &Arc<rustls::ClientConfig>) -> io::Result<Box<ClientConnection>> {
    let name = ServerName::IpAddress(IpAddr::from(target.address.ip()));
    Ok(Box::new(ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?))
}

/// Passes the plaintext of `ciphertext` to `take`, record by record.
fn decrypt(
    connection: &mut ClientConnection,
    mut ciphertext: &[u8],
    take: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    while !ciphertext.is_empty() {
        connection.read_tls(&mut ciphertext)?;
        connection.process_new_packets().map_err(io::Error::other)?;
        let mut reader = connection.reader();
        loop {
            let length = match reader.fill_buf() {
                Ok([]) => return Err(io::Error::other(CLOSED)),
                Ok(plaintext) => {
                    take(plaintext)?;
                    plaintext.len()
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            reader.consume(length);
        }
    }
    Ok(())
}

const CLOSED: &str = "the server closed a connection";
const READ_TIMEOUT: Duration = Duration::from_secs(10);
