//! One connection of the load generator: what it has to send, and what it has received.

use std::{
    io::{self, ErrorKind, Read, Write},
    ops::Range,
};

use mio::net::TcpStream;

use super::traffic::{PIECE_BYTES, Traffic};

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    /// Bytes that are to be sent, from the beginning.
    queued: u64,
    sent: u64,
    received: u64,
}

impl Client {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, queued: 0, sent: 0, received: 0 }
    }

    /// Sends so many messages more; what the kernel does not take now goes with [`Client::flush`].
    pub(super) fn send(&mut self, traffic: &Traffic, messages: u64) -> io::Result<()> {
        self.queued += messages * traffic.request.frame();
        self.flush(traffic)
    }

    pub(super) fn flush(&mut self, traffic: &Traffic) -> io::Result<()> {
        while self.sent < self.queued {
            let piece = traffic.request.at(self.sent);
            let left = usize::try_from(self.queued - self.sent).unwrap_or(usize::MAX);
            match self.stream.write(&piece[..piece.len().min(left)]) {
                Ok(length) => self.sent += length as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How many messages it has sent, or is about to.
    pub(super) fn queued_messages(&self, traffic: &Traffic) -> u64 {
        self.queued / traffic.request.frame()
    }

    /// Reads what is there. Gives the answers that became complete, by number.
    ///
    /// # Errors
    /// A byte that is not the answer's, or the end of the connection.
    pub(super) fn receive(&mut self, traffic: &Traffic, buffer: &mut [u8; PIECE_BYTES]) -> io::Result<Range<u64>> {
        let before = self.received / traffic.answer.frame();
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a connection")),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            if buffer[..length] != traffic.answer.at(self.received)[..length] {
                return Err(io::Error::other("the server answered with something else"));
            }
            self.received += length as u64;
            if length < buffer.len() {
                break; // the socket is empty
            }
        }
        Ok(before..self.received / traffic.answer.frame())
    }
}
