//! TLS as a transport over another one.
//!
//! Reads ciphertext into a buffer, and lets rustls turn it into plaintext; so a deadline in the middle of a record
//! loses nothing. Writes ciphertext into a buffer as well, and sends it at once.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

use rustls::ClientConnection;

use super::{TlsError, TlsErrorKind, classify::classified};
use crate::client::{ClientError, Stage, deadline::Deadline, stream::Transport, waker::Wake};

/// A session that has not begun on the wire.
pub(in crate::client) struct Session {
    connection: ClientConnection,
    host: String,
}

impl Session {
    /// Wraps a connection to the server of this name in the URL.
    pub(super) fn new(connection: ClientConnection, host: String) -> Self {
        Self { connection, host }
    }

    /// Performs the TLS handshake over `transport`. Later, what TLS has to answer of its own gets `write_timeout`.
    ///
    /// # Errors
    /// [`ClientError::Tls`], [`ClientError::Timeout`] of [`Stage::Tls`], or an error of the transport.
    pub(in crate::client) fn establish(
        self,
        transport: Arc<dyn Transport>,
        write_timeout: Option<Duration>,
        deadline: Deadline,
    ) -> Result<Arc<dyn Transport>, ClientError> {
        let tls = Tls {
            transport,
            connection: Mutex::new(self.connection),
            host: self.host,
            incoming: Mutex::new(Incoming {
                buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
                unread: 0..0,
                has_begun: false,
                failure: None,
            }),
            outgoing: Mutex::default(),
            write_timeout,
        };
        match tls.handshake(deadline).map_err(|error| ClientError::from_io(error, Stage::Tls)) {
            Ok(()) => Ok(Arc::new(tls)),
            Err(ClientError::Disconnected) => Err(ClientError::Tls(TlsError::without_cause(TlsErrorKind::Ended))),
            Err(error) => Err(error),
        }
    }
}

/// TLS over another transport.
///
/// One thread reads, another may write. No lock that both take is held over a wait: only the reading thread locks
/// `incoming`, and it does not wait for `outgoing`.
struct Tls {
    transport: Arc<dyn Transport>,
    /// Never locked over a read or a write of the transport. `outgoing` is locked before it, if at all.
    connection: Mutex<ClientConnection>,
    /// The name in the URL, for errors.
    host: String,
    incoming: Mutex<Incoming>,
    /// Locked over writes, so that ciphertext is sent in its order.
    outgoing: Mutex<Outgoing>,
    /// For what TLS has to answer by itself.
    write_timeout: Option<Duration>,
}

/// Ciphertext from the server.
struct Incoming {
    buffer: Box<[u8]>,
    /// `buffer[unread]` is ciphertext that rustls has not taken yet.
    unread: Range<usize>,
    /// Whether the server has sent something that can be TLS.
    has_begun: bool,
    /// Why nothing more can be received. It is reported after the plaintext before it.
    failure: Option<TlsError>,
}

/// Ciphertext for the server.
#[derive(Default)]
struct Outgoing {
    /// The bytes to send next. Empty unless they are being sent.
    ciphertext: Vec<u8>,
    /// Why nothing more can be sent: a record may be sent in part.
    failure: Option<io::ErrorKind>,
}

impl Tls {
    fn connection(&self) -> MutexGuard<'_, ClientConnection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the outgoing direction, unless another thread is writing.
    fn outgoing_if_free(&self) -> Option<MutexGuard<'_, Outgoing>> {
        match self.outgoing.try_lock() {
            Ok(outgoing) => Some(outgoing),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn handshake(&self, deadline: Deadline) -> io::Result<()> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        while self.connection().is_handshaking() {
            self.flush(&mut self.outgoing(), deadline)?;
            let goes_on = self.receive(&mut incoming, deadline)?;
            if let Some(error) = incoming.failure.take() {
                return Err(into_io(error));
            }
            if !goes_on {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.flush(&mut self.outgoing(), deadline)
    }

    /// Takes in more ciphertext: what is buffered, or one read of the transport. Returns whether more can follow; if it
    /// cannot because of an error, that is in `failure`.
    fn receive(&self, incoming: &mut Incoming, deadline: Deadline) -> io::Result<bool> {
        if incoming.unread.is_empty() {
            let length = self.transport.read(&mut incoming.buffer, deadline)?;
            incoming.unread = 0..length;
        }
        let mut ciphertext = &incoming.buffer[incoming.unread.clone()];
        if let (false, Some(first)) = (incoming.has_begun, ciphertext.first()) {
            if !matches!(*first, ALERT_RECORD | HANDSHAKE_RECORD) {
                incoming.failure = Some(TlsError::without_cause(TlsErrorKind::NoTls));
                return Ok(false);
            }
            incoming.has_begun = true;
        }
        let mut connection = self.connection();
        // A read of nothing tells rustls that the stream has ended.
        let used = match connection.read_tls(&mut ciphertext) {
            Ok(used) => used,
            // A message of the handshake is longer than rustls takes.
            Err(error) => {
                incoming.failure = Some(TlsError::new(TlsErrorKind::Protocol, error));
                return Ok(false);
            }
        };
        incoming.unread.start += used;
        let processed = connection.process_new_packets();
        drop(connection);
        match processed {
            Ok(state) => Ok(used > 0 && !state.peer_has_closed()),
            Err(error) => {
                self.send_alert(deadline);
                incoming.failure = Some(classified(error, &self.host));
                Ok(false)
            }
        }
    }

    /// Sends the alert that says why the connection ends, and gives the server a moment to read it. If a socket is
    /// closed with unread input, the kernel sends a reset, which may overtake the alert. While another thread writes,
    /// the server gets no alert.
    fn send_alert(&self, deadline: Deadline) {
        let deadline = deadline.at_most(ALERT_TIMEOUT);
        if let Some(mut outgoing) = self.outgoing_if_free() {
            // The error before it is the one to report.
            let ended = self.announce(&mut outgoing, deadline).and_then(|()| self.transport.finish_writing(deadline));
            let _ = ended.and_then(|()| self.transport.drain(deadline));
        }
    }

    /// Sends what TLS has to answer by itself. If that fails, reads go on with what the server sends. While another
    /// thread writes, that thread or the next write sends it: RFC 8446 §4.6.3 asks for an answer "prior to sending its
    /// next Application Data record".
    fn answer(&self) {
        if let Some(mut outgoing) = self.outgoing_if_free()
            && outgoing.failure.is_none()
            && let Err(error) = self.flush(&mut outgoing, Deadline::PerCall(self.write_timeout))
        {
            log::debug!("an answer of TLS could not be sent: {error}");
        }
    }

    /// Sends all ciphertext that there is.
    fn flush(&self, outgoing: &mut Outgoing, deadline: Deadline) -> io::Result<()> {
        let mut connection = self.connection();
        while connection.wants_write() {
            connection.write_tls(&mut outgoing.ciphertext)?;
        }
        drop(connection);
        if outgoing.ciphertext.is_empty() {
            return Ok(());
        }
        let written = self.transport.write_all(&outgoing.ciphertext, deadline);
        outgoing.ciphertext.clear();
        outgoing.failure = written.as_ref().err().map(io::Error::kind);
        written
    }

    /// Sends close_notify (RFC 8446 §6.1).
    fn announce(&self, outgoing: &mut Outgoing, deadline: Deadline) -> io::Result<()> {
        if let Some(kind) = outgoing.failure {
            return Err(kind.into());
        }
        self.connection().send_close_notify(); // the first time, and not after another alert
        self.flush(outgoing, deadline)
    }
}

impl Transport for Tls {
    fn read(&self, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Returns 0 after the server's close_notify, and `UnexpectedEof` at an end without one.
            match self.connection().reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if let Some(error) = incoming.failure.take() {
                return Err(into_io(error));
            }
            self.receive(&mut incoming, deadline)?;
            self.answer();
        }
    }

    fn write_all(&self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        let mut outgoing = self.outgoing();
        if let Some(kind) = outgoing.failure {
            return Err(kind.into());
        }
        while !bytes.is_empty() {
            // Takes at most 64 KiB.
            let length = self.connection().writer().write(bytes)?;
            self.flush(&mut outgoing, deadline)?;
            match bytes.get(length..) {
                Some(rest) if length > 0 => bytes = rest,
                _ => return Err(io::ErrorKind::WriteZero.into()),
            }
        }
        Ok(())
    }

    fn announce_end(&self, deadline: Deadline) -> io::Result<()> {
        self.announce(&mut self.outgoing(), deadline)
    }

    fn finish_writing(&self, deadline: Deadline) -> io::Result<()> {
        self.announce_end(deadline)?;
        self.transport.finish_writing(deadline)
    }

    /// Does not decrypt: how the server ends TLS has no meaning any more.
    fn drain(&self, deadline: Deadline) -> io::Result<()> {
        self.transport.drain(deadline)
    }

    fn shutdown(&self) {
        self.transport.shutdown();
    }

    fn socket(&self) -> Option<&TcpStream> {
        self.transport.socket()
    }

    fn wake(&self) -> io::Result<Arc<Wake>> {
        self.transport.wake()
    }

    fn take_wake(&self) -> bool {
        self.transport.take_wake()
    }

    fn is_duplex(&self) -> bool {
        self.transport.is_duplex()
    }
}

fn into_io(error: TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The types of the records with which a server can begin (RFC 8446 §5.1).
const ALERT_RECORD: u8 = 21;
const HANDSHAKE_RECORD: u8 = 22;

/// How much ciphertext is read at once: a record of the greatest length fits.
const BUFFER_BYTES: usize = 32 << 10;

/// How long the server has for reading an alert.
const ALERT_TIMEOUT: Duration = Duration::from_secs(1);
