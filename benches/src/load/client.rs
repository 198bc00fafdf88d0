//! One connection of the load generator: its unsent and its received bytes.

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
    /// The bytes to send since the connection was opened, the bytes sent already included.
    queued: u64,
    sent: u64,
    received: u64,
}

impl Client {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, queued: 0, sent: 0, received: 0 }
    }

    /// Queues `messages` more messages and sends as much as the kernel takes. [`Client::flush`] sends the rest.
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

    /// Returns the number of messages sent or queued.
    pub(super) fn queued_messages(&self, traffic: &Traffic) -> u64 {
        self.queued / traffic.request.frame()
    }

    /// Reads all available bytes. Returns the numbers of the answers that became complete.
    ///
    /// # Errors
    /// A byte differs from the expected answer, or the server closes the connection.
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
                return Err(io::Error::other("the server sent a wrong answer"));
            }
            self.received += length as u64;
            if length < buffer.len() {
                break; // the socket is empty
            }
        }
        Ok(before..self.received / traffic.answer.frame())
    }
}
