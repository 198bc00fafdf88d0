//! A stream of the caller's as the transport of a client, from
//! [`connect_over`](super::ClientBuilder::connect_over).

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    deadline::Deadline,
    stream::{Transport, drain},
    waker::Wake,
};

/// A blocking stream, `None` after [`shutdown`](Transport::shutdown).
///
/// It cannot be interrupted: a deadline is looked at before each read and write only. If the stream has timeouts of its
/// own, they come as errors of the kind `WouldBlock` or `TimedOut`, as those of a socket do.
pub(super) struct Foreign<S>(Mutex<Option<S>>);

impl<S> Foreign<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Mutex::new(Some(stream)))
    }

    /// Lets `call` use the stream. No other thread does so at the same time: see
    /// [`is_duplex`](Transport::is_duplex).
    fn with<T>(&self, call: impl FnOnce(&mut S) -> io::Result<T>) -> io::Result<T> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        call(stream.as_mut().ok_or(io::ErrorKind::NotConnected)?)
    }
}

impl<S: Read + Write + Send> Transport for Foreign<S> {
    fn read(&self, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
        self.with(|stream| {
            loop {
                deadline.timeout()?;
                match stream.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // A stream that claims more than it was given room for.
                    Ok(length) if length > buffer.len() => return Err(io::ErrorKind::InvalidData.into()),
                    read => return read,
                }
            }
        })
    }

    fn write_all(&self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        self.with(|stream| {
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
        })
    }

    /// A stream of an unknown kind has no half that could be ended alone.
    fn finish_writing(&self, _deadline: Deadline) -> io::Result<()> {
        self.with(|stream| stream.flush())
    }

    fn drain(&self, deadline: Deadline) -> io::Result<()> {
        drain(self, deadline)
    }

    fn shutdown(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn wake(&self) -> io::Result<Arc<Wake>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn take_wake(&self) -> bool {
        false
    }

    fn is_duplex(&self) -> bool {
        false
    }
}
