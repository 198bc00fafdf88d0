//! A non-blocking TCP socket, plain or with TLS.

use std::{io, net::SocketAddr};

use mio::event::Event;

#[cfg(feature = "tls")]
use super::tls::{Session, TlsConfig};
use super::{buffers::Buffers, system::Stream};

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    /// `None` if the socket is plain.
    #[cfg(feature = "tls")]
    tls: Option<Box<Session>>,
}

/// A hint of what is possible with a socket now. Any part of it may be wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer has ended its side: only bytes in the kernel's buffer are still to come.
    pub(crate) read_closed: bool,
    /// The peer has sent an urgent byte of TCP (RFC 6093), at which a read ends. Set with `readable`, on Linux only.
    pub(crate) urgent: bool,
}

impl Readiness {
    pub(super) fn of(event: &Event) -> Self {
        Self {
            readable: event.is_readable() || event.is_error(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            #[cfg(target_os = "linux")]
            urgent: event.is_priority(),
            #[cfg(not(target_os = "linux"))]
            urgent: false,
        }
    }
}

/// The result of a read.
#[derive(Debug)]
pub(crate) enum Read {
    /// `count` bytes were read. If `drained`, no more are there now, and an event will announce the next ones. Of TLS,
    /// `incomplete` bytes wait for the rest of their record.
    Bytes { count: usize, incomplete: usize, drained: bool },
    /// No bytes are there now. An event will announce the next ones.
    Blocked,
    /// The peer has ended its side: if not `drained`, that of TLS only, and the end of TCP may be there too.
    Ended { drained: bool },
    /// The connection is broken.
    Failed(io::Error),
    /// The peer has broken the rules of TLS. An alert for it waits in the [`Buffers`], and nothing can be sent after
    /// it.
    #[cfg(feature = "tls")]
    Alerted(io::Error),
    /// The peer does not speak TLS, as these `count` bytes show. The socket is plain now.
    #[cfg(feature = "tls")]
    Plain { count: usize },
}

impl Socket {
    pub(super) fn new(stream: Stream) -> Self {
        // Otherwise a small message may wait for the peer's acknowledgement of the previous one. An error here means
        // that the connection is broken, which the first read reports.
        let _ = stream.set_nodelay();
        Self {
            stream,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Lets the socket speak TLS from its first byte on.
    ///
    /// # Errors
    /// rustls refuses configurations of its own that make no sense.
    #[cfg(feature = "tls")]
    pub(crate) fn secure(&mut self, config: &TlsConfig) -> io::Result<()> {
        self.tls = Some(Box::new(Session::new(config)?));
        Ok(())
    }

    /// Returns the address of the other end; `None` if the connection is broken.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.stream.peer_addr()
    }

    pub(super) fn source(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Reads once. The bytes may be fewer than have arrived, even none: TLS keeps what it cannot decrypt yet. It may
    /// also leave bytes to send in `buffers`.
    ///
    /// A read that does not fill the buffer has drained the socket (epoll(7), question 9). Not so if `more_follows`:
    /// the peer has ended its side, and no further event announces that end; or the read may have ended at an urgent
    /// byte.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables))]
    pub(crate) fn read(&mut self, buffer: &mut [u8], more_follows: bool, buffers: &mut Buffers) -> Read {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.tls {
            return match session.read_from(&mut self.stream, buffer, more_follows, buffers) {
                Read::Plain { count } => {
                    self.tls = None;
                    Read::Plain { count }
                }
                read => read,
            };
        }
        self.stream.read_once(buffer, more_follows)
    }

    /// Reads once into the spare capacity of `vec`, which must not be 0. Only a plain socket can: what TLS decrypts
    /// goes elsewhere.
    pub(crate) fn append_to(&mut self, vec: &mut Vec<u8>, more_follows: bool) -> Read {
        let room = vec.capacity() - vec.len();
        self.stream.once(room, more_follows, |stream| stream.append_to(vec))
    }

    /// Reads once what will be dropped, without decrypting it.
    pub(crate) fn skip(&mut self, buffer: &mut [u8], more_follows: bool) -> Read {
        self.stream.read_once(buffer, more_follows)
    }

    /// Writes as many bytes as the kernel takes, and returns their number. TLS takes more than the kernel does: what it
    /// has encrypted and the kernel has not taken is in `buffers`, must be [sent](Self::send) later, and before
    /// anything else is written.
    #[inline]
    #[cfg_attr(not(feature = "tls"), expect(unused_variables))]
    pub(crate) fn write(&mut self, bytes: &[u8], buffers: &mut Buffers) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.tls {
            return session.write_to(&mut self.stream, bytes, buffers);
        }
        self.stream.write_all(bytes)
    }

    /// Writes as many bytes as the kernel takes, as they are, and returns their number.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write_all(bytes)
    }

    /// Lets TLS end our side: what the kernel does not take of that is in `buffers`, as after [`write`](Self::write).
    /// Plain TCP sends nothing.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables))]
    pub(crate) fn close_notify(&mut self, buffers: &mut Buffers) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.tls {
            return session.close_to(&mut self.stream, buffers);
        }
        Ok(())
    }

    /// Ends our side. The peer reads everything that was written, then the end.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }
}

#[cfg(feature = "tls")]
impl Socket {
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns whether the handshake of TLS is not complete.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|session| session.is_handshaking())
    }

    /// Returns the heap memory of ciphertext that is not complete, in bytes.
    pub(crate) fn incomplete_bytes(&self) -> usize {
        self.tls.as_ref().map_or(0, |session| session.incomplete_bytes())
    }

    /// Returns the names in the verified certificate of the client.
    pub(crate) fn client_names(&self) -> Vec<String> {
        self.tls.as_ref().map_or_else(Vec::new, |session| session.client_names())
    }
}

#[cfg(not(feature = "tls"))]
impl Socket {
    pub(crate) fn is_tls(&self) -> bool {
        false
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        false
    }

    pub(crate) fn incomplete_bytes(&self) -> usize {
        0
    }

    pub(crate) fn client_names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Stream {
    /// Reads once; see [`Socket::read`].
    #[inline]
    pub(super) fn read_once(&mut self, buffer: &mut [u8], more_follows: bool) -> Read {
        self.once(buffer.len(), more_follows, |stream| stream.read(buffer))
    }

    /// Lets `read` read at most `room` bytes, again if a signal interrupts it.
    #[inline]
    fn once(&mut self, room: usize, more_follows: bool, mut read: impl FnMut(&mut Self) -> io::Result<usize>) -> Read {
        loop {
            return match read(self) {
                Ok(0) => Read::Ended { drained: true },
                Ok(count) => {
                    let drained = cfg!(target_os = "linux") && count < room && !more_follows;
                    Read::Bytes { count, incomplete: 0, drained }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => Read::Blocked,
                    io::ErrorKind::Interrupted => continue,
                    _ => Read::Failed(error),
                },
            };
        }
    }

    /// Writes as many bytes as the kernel takes, and returns their number.
    #[inline]
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.write(&bytes[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(written)
    }
}
