//! A stream of the caller's as the transport of a client, from
//! [`connect_over`](super::ClientBuilder::connect_over).

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use super::{
    deadline::Deadline,
    stream::{Transport, drain},
};

/// A blocking stream, `None` after [`shutdown`](Transport::shutdown).
///
/// It cannot be interrupted: a deadline is looked at before each read and write only. If the stream has timeouts of its
/// own, they come as errors of the kind `WouldBlock` or `TimedOut`, as those of a socket do.
pub(super) struct Foreign<S>(Option<S>);

impl<S> Foreign<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Some(stream))
    }

    fn stream(&mut self) -> io::Result<&mut S> {
        self.0.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: Read + Write + Send> Transport for Foreign<S> {
    fn read(&mut self, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
        let stream = self.stream()?;
        loop {
            deadline.timeout()?;
            match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A stream that claims more than it was given room for.
                Ok(length) if length > buffer.len() => return Err(io::ErrorKind::InvalidData.into()),
                read => return read,
            }
        }
    }

    fn write_all(&mut self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        let stream = self.stream()?;
        while !bytes.is_empty() {
            deadline.timeout()?;
            match stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        stream.flush()
    }

    /// A stream of an unknown kind has no half that could be ended alone.
    fn finish_writing(&mut self, _deadline: Deadline) -> io::Result<()> {
        self.stream()?.flush()
    }

    fn drain(&mut self, deadline: Deadline) -> io::Result<()> {
        drain(self, deadline)
    }

    fn shutdown(&mut self) {
        self.0 = None;
    }

    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}
