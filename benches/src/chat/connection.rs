//! One connection to the chat, on our engine.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use switchboard::{Connection, Delivery, Established, Event, Limits, Masked, Receiver, Sender};

use crate::random::Random;

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct ChatConnection {
    pub(super) stream: TcpStream,
    receiver: Receiver,
    sender: Sender<Masked<Random>>,
    /// Encoded frames that the socket has not accepted yet.
    unsent: Vec<u8>,
}

impl ChatConnection {
    /// `early` holds the bytes that came behind the handshake response. Text messages in it are ignored.
    pub(super) fn new(stream: TcpStream, established: Established, keys: Random, early: &mut [u8]) -> io::Result<Self> {
        let Connection { receiver, sender } = established.into_connection(keys, Limits::default(), Delivery::Messages);
        let mut connection = Self { stream, receiver, sender, unsent: Vec::new() };
        connection.process(early, &mut |_| Ok(()))?;
        Ok(connection)
    }

    /// Encodes an event, to be sent later or on another connection.
    pub(super) fn encode(&mut self, event: &str, frames: &mut Vec<u8>) -> io::Result<()> {
        self.sender.text(event, frames).map_err(io::Error::other)
    }

    /// Sends an event. Bytes that the socket does not accept now are sent by a later [`Self::flush`].
    pub(super) fn send(&mut self, event: &str) -> io::Result<()> {
        self.sender.text(event, &mut self.unsent).map_err(io::Error::other)?;
        self.flush()
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until the socket is empty, and calls `on_event` for each event.
    ///
    /// # Errors
    /// An error of `on_event`, an I/O or protocol error, or the end of the connection.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        mut on_event: impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a connection")),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.process(&mut buffer[..length], &mut on_event)?;
            if length < buffer.len() {
                return Ok(()); // the socket is empty
            }
        }
    }

    fn process(&mut self, bytes: &mut [u8], on_event: &mut impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let mut events = self.receiver.receive(bytes);
        while let Some(event) = events.next_event().map_err(io::Error::other)? {
            match event {
                Event::Text(text) => on_event(text)?,
                Event::Ping(_) => {}
                other => return Err(io::Error::other(format!("unexpected from the server: {other:?}"))),
            }
            if let Some(reply) = event.reply() {
                self.sender.reply(reply, &mut self.unsent).map_err(io::Error::other)?;
            }
        }
        self.flush()
    }
}
