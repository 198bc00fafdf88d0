//! TLS as a transport over another one.
//!
//! Reads ciphertext into a buffer, and lets rustls turn it into plaintext; so a deadline in the middle of a record
//! loses nothing. Writes ciphertext into a buffer as well, and sends it at once.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    ops::Range,
    time::Duration,
};

use rustls::ClientConnection;

use super::{TlsError, TlsErrorKind, classify::classified};
use crate::client::{ClientError, Stage, deadline::Deadline, stream::Transport};

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
        transport: Box<dyn Transport>,
        write_timeout: Option<Duration>,
        deadline: Deadline,
    ) -> Result<Box<dyn Transport>, ClientError> {
        let mut tls = Tls {
            transport,
            connection: self.connection,
            host: self.host,
            incoming: vec![0; BUFFER_BYTES].into_boxed_slice(),
            unread: 0..0,
            has_begun: false,
            failure: None,
            outgoing: Vec::new(),
            write_failure: None,
            write_timeout,
        };
        match tls.handshake(deadline).map_err(|error| ClientError::from_io(error, Stage::Tls)) {
            Ok(()) => Ok(Box::new(tls)),
            Err(ClientError::Disconnected) => Err(ClientError::Tls(TlsError::without_cause(TlsErrorKind::Ended))),
            Err(error) => Err(error),
        }
    }
}

/// TLS over another transport.
struct Tls {
    transport: Box<dyn Transport>,
    connection: ClientConnection,
    /// The name in the URL, for errors.
    host: String,
    incoming: Box<[u8]>,
    /// `incoming[unread]` is ciphertext that rustls has not taken yet.
    unread: Range<usize>,
    /// Whether the server has sent something that can be TLS.
    has_begun: bool,
    /// Why nothing more can be received. It is reported after the plaintext before it.
    failure: Option<TlsError>,
    /// Ciphertext that is sent next. Empty between the calls.
    outgoing: Vec<u8>,
    /// Why nothing more can be sent: a record may be sent in part.
    write_failure: Option<io::ErrorKind>,
    /// For what TLS has to answer by itself.
    write_timeout: Option<Duration>,
}

impl Tls {
    fn handshake(&mut self, deadline: Deadline) -> io::Result<()> {
        while self.connection.is_handshaking() {
            self.flush(deadline)?;
            let goes_on = self.receive(deadline)?;
            if let Some(error) = self.failure.take() {
                return Err(into_io(error));
            }
            if !goes_on {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.flush(deadline)
    }

    /// Takes in more ciphertext: what is buffered, or one read of the transport. Returns whether more can follow; if it
    /// cannot because of an error, that is in `failure`.
    fn receive(&mut self, deadline: Deadline) -> io::Result<bool> {
        if self.unread.is_empty() {
            let length = self.transport.read(&mut self.incoming, deadline)?;
            self.unread = 0..length;
        }
        let mut ciphertext = &self.incoming[self.unread.clone()];
        if let (false, Some(first)) = (self.has_begun, ciphertext.first()) {
            if !matches!(*first, ALERT_RECORD | HANDSHAKE_RECORD) {
                self.failure = Some(TlsError::without_cause(TlsErrorKind::NoTls));
                return Ok(false);
            }
            self.has_begun = true;
        }
        // A read of nothing tells rustls that the stream has ended.
        let used = match self.connection.read_tls(&mut ciphertext) {
            Ok(used) => used,
            // A message of the handshake is longer than rustls takes.
            Err(error) => {
                self.failure = Some(TlsError::new(TlsErrorKind::Protocol, error));
                return Ok(false);
            }
        };
        self.unread.start += used;
        match self.connection.process_new_packets() {
            Ok(state) => Ok(used > 0 && !state.peer_has_closed()),
            Err(error) => {
                self.send_alert(deadline);
                self.failure = Some(classified(error, &self.host));
                Ok(false)
            }
        }
    }

    /// Sends the alert that says why the connection ends, and gives the server a moment to read it. If a socket is
    /// closed with unread input, the kernel sends a reset, which may overtake the alert.
    fn send_alert(&mut self, deadline: Deadline) {
        let deadline = deadline.at_most(ALERT_TIMEOUT);
        // The error before it is the one to report.
        let _ = self.finish_writing(deadline).and_then(|()| self.drain(deadline));
    }

    /// Sends what TLS has to answer by itself. If that fails, reads go on with what the server sends.
    fn answer(&mut self) {
        if self.write_failure.is_none()
            && let Err(error) = self.flush(Deadline::PerCall(self.write_timeout))
        {
            log::debug!("an answer of TLS could not be sent: {error}");
        }
    }

    /// Sends all ciphertext that there is.
    fn flush(&mut self, deadline: Deadline) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.outgoing)?;
        }
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let written = self.transport.write_all(&self.outgoing, deadline);
        self.outgoing.clear();
        self.write_failure = written.as_ref().err().map(io::Error::kind);
        written
    }
}

impl Transport for Tls {
    fn read(&mut self, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
        loop {
            // Returns 0 after the server's close_notify, and `UnexpectedEof` at an end without one.
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if let Some(error) = self.failure.take() {
                return Err(into_io(error));
            }
            self.receive(deadline)?;
            self.answer();
        }
    }

    fn write_all(&mut self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        if let Some(kind) = self.write_failure {
            return Err(kind.into());
        }
        while !bytes.is_empty() {
            // Takes at most 64 KiB.
            let length = self.connection.writer().write(bytes)?;
            self.flush(deadline)?;
            match bytes.get(length..) {
                Some(rest) if length > 0 => bytes = rest,
                _ => return Err(io::ErrorKind::WriteZero.into()),
            }
        }
        Ok(())
    }

    /// Sends close_notify (RFC 8446 §6.1).
    fn announce_end(&mut self, deadline: Deadline) -> io::Result<()> {
        if let Some(kind) = self.write_failure {
            return Err(kind.into());
        }
        self.connection.send_close_notify(); // the first time, and not after another alert
        self.flush(deadline)
    }

    fn finish_writing(&mut self, deadline: Deadline) -> io::Result<()> {
        self.announce_end(deadline)?;
        self.transport.finish_writing(deadline)
    }

    /// Does not decrypt: how the server ends TLS has no meaning any more.
    fn drain(&mut self, deadline: Deadline) -> io::Result<()> {
        self.unread = 0..0;
        self.transport.drain(deadline)
    }

    fn shutdown(&mut self) {
        self.transport.shutdown();
    }

    fn socket(&self) -> Option<&TcpStream> {
        self.transport.socket()
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
