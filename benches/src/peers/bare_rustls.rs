//! The cost of TLS and of the kernel, and next to nothing else: a loop on mio with rustls's buffered connections, as
//! its documentation shows them, and without WebSocket. Sends all bytes back to their sender, or to all connections.

use std::{
    io::{self, ErrorKind, Read, Write},
    sync::Arc,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use rustls::{ServerConfig, ServerConnection};
use slab::Slab;

use super::{Mode, accept};

pub(super) fn serve(listener: std::net::TcpListener, mode: Mode, config: &Arc<ServerConfig>) -> io::Result<()> {
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections = Slab::new();
    let mut events = Events::with_capacity(1024);
    // The bytes of one connection in one turn, or those of all.
    let mut plaintext = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Some(mut stream) = accept(&listener)? {
                    let mut tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                    tls.set_buffer_limit(None);
                    let entry = connections.vacant_entry();
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(entry.key()), interest)?;
                    entry.insert(Connection { stream, tls: Box::new(tls) });
                }
                continue;
            }
            let slot = event.token().0;
            let Some(connection) = connections.get_mut(slot) else { continue };
            if connection.serve(event.is_readable(), mode, &mut plaintext).is_err() {
                connections.remove(slot);
            }
        }
        if !plaintext.is_empty() {
            connections.retain(|_, connection| connection.is_handshaking() || connection.write(&plaintext).is_ok());
            plaintext.clear();
        }
    }
}

struct Connection {
    stream: TcpStream,
    tls: Box<ServerConnection>,
}

impl Connection {
    /// Reads and answers. The bytes to broadcast stay in `plaintext`.
    fn serve(&mut self, is_readable: bool, mode: Mode, plaintext: &mut Vec<u8>) -> io::Result<()> {
        if is_readable {
            self.read(plaintext)?;
            if mode == Mode::Echo {
                self.tls.writer().write_all(plaintext)?;
                plaintext.clear();
            }
        }
        self.flush()
    }

    /// Reads until the socket is empty, and appends the plaintext to `plaintext`.
    fn read(&mut self, plaintext: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let mut source = Source { stream: &mut self.stream, is_drained: false };
            match self.tls.read_tls(&mut source) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            let is_drained = source.is_drained;
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            let start = plaintext.len();
            plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
            self.tls.reader().read_exact(&mut plaintext[start..])?;
            if is_drained {
                return Ok(());
            }
        }
    }

    fn write(&mut self, plaintext: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(plaintext)?;
        self.flush()
    }

    /// Sends as much as the kernel takes.
    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }
}

/// A socket that notes when a read has emptied it.
struct Source<'a> {
    stream: &'a mut TcpStream,
    is_drained: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(buffer)?;
        self.is_drained = length < buffer.len();
        Ok(length)
    }
}

const LISTENER: Token = Token(usize::MAX);
