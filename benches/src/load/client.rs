//! One connection of the load generator: its unsent and its received bytes.

use std::{
    io::{self, ErrorKind},
    ops::Range,
};

use mio::net::TcpStream;

use super::{
    traffic::{PIECE_BYTES, Traffic},
    transport::Transport,
};

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct Client {
    transport: Transport<TcpStream>,
    /// The bytes to send since the connection was opened, the bytes sent already included.
    queued: u64,
    sent: u64,
    received: u64,
}

impl Client {
    pub(super) fn new(transport: Transport<TcpStream>) -> Self {
        Self { transport, queued: 0, sent: 0, received: 0 }
    }

    /// Queues `messages` more messages and sends as much as the kernel takes. [`Client::flush`] sends the rest.
    pub(super) fn send(&mut self, traffic: &Traffic, messages: u64) -> io::Result<()> {
        self.queued += messages * traffic.request.frame();
        self.flush(traffic)
    }

    pub(super) fn flush(&mut self, traffic: &Traffic) -> io::Result<()> {
        match self.send_queued(traffic) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn send_queued(&mut self, traffic: &Traffic) -> io::Result<()> {
        while self.sent < self.queued {
            let piece = traffic.request.at(self.sent);
            let left = usize::try_from(self.queued - self.sent).unwrap_or(usize::MAX);
            self.sent += self.transport.write(&piece[..piece.len().min(left)])? as u64;
        }
        self.transport.flush()
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
        let received = &mut self.received;
        self.transport.receive(buffer, |piece| {
            if *piece != traffic.answer.at(*received)[..piece.len()] {
                return Err(io::Error::other("the server sent a wrong answer"));
            }
            *received += piece.len() as u64;
            Ok(())
        })?;
        Ok(before..self.received / traffic.answer.frame())
    }
}
