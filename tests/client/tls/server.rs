//! Servers of the tests' own that speak TLS.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::peer::{Peer, Wire};

/// TCP whose writes are cut into pieces, each in a segment of its own.
pub(crate) struct Pieces {
    pub(crate) tcp: TcpStream,
    pub(crate) bytes: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(&bytes[..bytes.len().min(self.bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

impl Peer {
    /// Performs the handshake of TLS.
    pub(crate) fn secure(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        self.secure_in_pieces(config, usize::MAX)
    }

    /// As [`secure`](Self::secure); the server writes `bytes` at a time.
    pub(crate) fn secure_in_pieces(&mut self, config: &Arc<ServerConfig>, bytes: usize) -> io::Result<()> {
        let tcp = self.stream.tcp().try_clone().unwrap();
        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
        let mut stream = StreamOwned::new(connection, Pieces { tcp, bytes });
        let handshake = stream.conn.complete_io(&mut stream.sock);
        // After a failure, the alert may wait behind what was sent before it.
        while handshake.is_err() && stream.conn.wants_write() && stream.conn.write_tls(&mut stream.sock).is_ok() {}
        self.stream = Wire::Tls(Box::new(stream));
        handshake.map(drop)
    }

    pub(crate) fn tls(&mut self) -> &mut ServerConnection {
        match &mut self.stream {
            Wire::Tls(stream) => &mut stream.conn,
            Wire::Plain(_) => panic!("the connection is not secure"),
        }
    }

    /// Ends the server's direction of TCP without close_notify, then waits until the client ends its own.
    pub(crate) fn truncate(&mut self) {
        self.stream.tcp().shutdown(std::net::Shutdown::Write).unwrap();
        self.expect_end();
    }
}
