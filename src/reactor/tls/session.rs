//! One connection that speaks TLS: ciphertext in, plaintext out, and back.

use std::{fmt, io, sync::Arc};

use log::debug;
use rustls::{
    Error,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic},
};

use super::{
    super::{
        buffers::{Buffers, Output},
        socket::Read,
        system::Stream,
    },
    certificate::names,
    config::TlsConfig,
};

/// The state of TLS on one connection.
pub(crate) struct Session {
    connection: UnbufferedServerConnection,
    /// The bytes of records and messages of TLS that are not complete. The connection remembers places in them, so it
    /// is given them with every call.
    incomplete: Vec<u8>,
    phase: Phase,
    wants_client_certificate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No byte has arrived.
    New,
    /// The peer may send.
    Active,
    /// The peer has ended its side with close_notify.
    PeerClosed,
    /// The peer has broken the rules; an alert has told it, after which nothing can be sent.
    Failed,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (incomplete, phase) = (self.incomplete.len(), self.phase);
        f.debug_struct("Session").field("incomplete", &incomplete).field("phase", &phase).finish_non_exhaustive()
    }
}

impl Session {
    /// # Errors
    /// rustls refuses configurations of its own that make no sense.
    pub(crate) fn new(config: &TlsConfig) -> io::Result<Self> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(Arc::clone(config.server())).map_err(invalid_data)?,
            incomplete: Vec::new(),
            phase: Phase::New,
            wants_client_certificate: config.wants_client_certificate(),
        })
    }

    /// Returns whether the handshake is not complete.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Returns the heap memory of what is not complete, in bytes.
    pub(crate) fn incomplete_bytes(&self) -> usize {
        self.incomplete.capacity()
    }

    /// Returns the names in the verified certificate of the client; none if it was not asked for one.
    pub(crate) fn client_names(&self) -> Vec<String> {
        let certificate = self.connection.peer_certificates().filter(|_| self.wants_client_certificate);
        certificate.and_then(<[_]>::first).map_or_else(Vec::new, |certificate| {
            names(certificate).unwrap_or_else(|error| {
                debug!("the names of a client's certificate cannot be read: {error}");
                Vec::new()
            })
        })
    }

    /// Reads once from the transport, and decrypts; see [`Socket::read`](super::super::Socket::read).
    pub(in super::super) fn read_from(
        &mut self,
        stream: &mut Stream,
        plaintext: &mut [u8],
        more_follows: bool,
        buffers: &mut Buffers,
    ) -> Read {
        match self.phase {
            Phase::New | Phase::Active => {}
            Phase::PeerClosed => return Read::Ended { drained: false },
            // Nobody reads after the alert; what arrives would not be plaintext.
            Phase::Failed => return Read::Failed(io::ErrorKind::InvalidData.into()),
        }
        let Buffers { input, output } = buffers;
        if input.len() < plaintext.len() {
            input.resize(plaintext.len(), 0);
        }
        // The plaintext is shorter than its ciphertext, so it has room if that has no more than this.
        let input = &mut input[..plaintext.len()];
        let Some((kept, space)) =
            input.split_at_mut_checked(self.incomplete.len()).filter(|(_, space)| !space.is_empty())
        else {
            // A message of TLS has 64 KiB at most, and takes six times as much only in records of one byte.
            return Read::Failed(io::ErrorKind::OutOfMemory.into());
        };
        kept.copy_from_slice(&self.incomplete);
        let (count, drained) = match stream.read_once(space, more_follows) {
            Read::Bytes { count, drained, .. } => (count, drained),
            read => return read,
        };
        // A record begins with its type, which is no letter; a request of HTTP begins with one.
        if self.phase == Phase::New && space[0].is_ascii_alphabetic() {
            plaintext[..count].copy_from_slice(&space[..count]);
            return Read::Plain { count };
        }
        let filled = self.incomplete.len() + count;
        match self.read(&mut input[..filled], plaintext, output) {
            Ok(0) if self.phase == Phase::PeerClosed => Read::Ended { drained: false },
            // The end is still to come.
            Ok(count) => {
                let drained = drained && self.phase != Phase::PeerClosed;
                Read::Bytes { count, incomplete: self.incomplete_bytes(), drained }
            }
            Err(error) => Read::Alerted(invalid_data(error)),
        }
    }

    /// Encrypts and writes as much as the transport takes; see [`Socket::write`](super::super::Socket::write).
    pub(in super::super) fn write_to(
        &mut self,
        stream: &mut Stream,
        bytes: &[u8],
        buffers: &mut Buffers,
    ) -> io::Result<usize> {
        let mut taken = 0;
        for piece in bytes.chunks(WRITE_BYTES) {
            self.write(piece, &mut buffers.output)?;
            taken += piece.len();
            if !send(stream, &mut buffers.output)? {
                break;
            }
        }
        Ok(taken)
    }

    /// Ends our side of TLS; see [`Socket::close_notify`](super::super::Socket::close_notify).
    pub(in super::super) fn close_to(&mut self, stream: &mut Stream, buffers: &mut Buffers) -> io::Result<()> {
        self.close(&mut buffers.output)?;
        send(stream, &mut buffers.output)?;
        Ok(())
    }

    /// Decrypts `input`: what was not complete, and what has arrived after it. Returns how many
    /// bytes of plaintext are in `plaintext` now, which is as long as `input` at least. Appends to `output` what TLS
    /// itself sends: messages of the handshake, tickets, an alert if this fails.
    fn read(&mut self, input: &mut [u8], plaintext: &mut [u8], output: &mut Output) -> Result<usize, Error> {
        self.phase = Phase::Active;
        let (mut used, mut count) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(&mut input[used..]);
            let (mut is_done, mut was_traffic) = (false, false);
            let result = match state {
                Ok(ConnectionState::ReadTraffic(mut records)) => loop {
                    was_traffic = true;
                    match records.next_record() {
                        Some(Ok(record)) => {
                            let end = count + record.payload.len();
                            plaintext[count..end].copy_from_slice(record.payload);
                            count = end;
                            discard += record.discard;
                        }
                        Some(Err(error)) => break Err(error),
                        None => break Ok(()),
                    }
                },
                Ok(ConnectionState::EncodeTlsData(mut data)) => output.append(0, |space| encoded(data.encode(space))),
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    Ok(())
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.phase = Phase::PeerClosed;
                    is_done = true;
                    Ok(())
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) | ConnectionState::Closed) => {
                    is_done = true;
                    Ok(())
                }
                Ok(state) => Err(Error::General(format!("a state that is not expected here: {state:?}"))),
                Err(error) => Err(error),
            };
            used += discard;
            if let Err(error) = result {
                self.fail(output);
                return Err(error);
            }
            // After the last record of a read, the connection would only say that it may be written to.
            if is_done || (was_traffic && used == input.len() && !self.connection.wants_write()) {
                break;
            }
        }
        // Input after close_notify is ignored (RFC 8446 §6.1).
        let rest: &[u8] = if self.phase == Phase::PeerClosed { &[] } else { &input[used..] };
        if !(self.incomplete.is_empty() && rest.is_empty()) {
            self.incomplete = rest.to_vec();
        }
        Ok(count)
    }

    /// Appends the alert that waits, and uses the connection no more.
    fn fail(&mut self, output: &mut Output) {
        self.phase = Phase::Failed;
        self.incomplete = Vec::new();
        while self.connection.wants_write() {
            // As long as output waits, the connection looks at no input.
            let Ok(ConnectionState::EncodeTlsData(mut data)) = self.connection.process_tls_records(&mut []).state
            else {
                return;
            };
            if output.append(0, |space| encoded(data.encode(space))).is_err() {
                return;
            }
        }
    }

    /// Appends `plaintext` to `output`, encrypted.
    ///
    /// # Errors
    /// The handshake is not complete, or TLS has ended or failed.
    fn write(&mut self, plaintext: &[u8], output: &mut Output) -> io::Result<()> {
        let length = plaintext.len() + (plaintext.len() / RECORD_BYTES + 1) * RECORD_OVERHEAD;
        self.with_traffic(output, length, |traffic, space| traffic.encrypt(plaintext, space))
    }

    /// Appends close_notify to `output`, unless it was sent before, or cannot be sent: the handshake is not complete,
    /// or an alert has ended TLS.
    fn close(&mut self, output: &mut Output) -> io::Result<()> {
        if self.phase == Phase::Failed || self.is_handshaking() {
            return Ok(());
        }
        self.with_traffic(output, RECORD_OVERHEAD, |traffic, space| traffic.queue_close_notify(space))
    }

    fn with_traffic(
        &mut self,
        output: &mut Output,
        length: usize,
        mut encrypt: impl FnMut(
            &mut WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        while self.phase != Phase::Failed {
            match self.connection.process_tls_records(&mut self.incomplete).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return output.append(length, |space| match encrypt(&mut traffic, space) {
                        Ok(used) => Ok(Ok(used)),
                        Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                            Ok(Err(required_size))
                        }
                        Err(EncryptError::EncryptExhausted) => Err(io::ErrorKind::BrokenPipe.into()),
                    });
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    output.append(0, |space| encoded(data.encode(space))).map_err(invalid_data)?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.phase = Phase::PeerClosed,
                Ok(_) => break,
                Err(error) => return Err(invalid_data(error)),
            }
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// Writes as much of the output as the kernel takes. Returns whether that was all.
fn send(stream: &mut Stream, output: &mut Output) -> io::Result<bool> {
    let count = stream.write_all(output.bytes())?;
    output.note_sent(count);
    Ok(output.bytes().is_empty())
}

/// Returns how many bytes were used, or how many are needed.
fn encoded(result: Result<usize, EncodeError>) -> Result<Result<usize, usize>, Error> {
    match result {
        Ok(used) => Ok(Ok(used)),
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => Ok(Err(required_size)),
        Err(EncodeError::AlreadyEncoded) => Ok(Ok(0)),
    }
}

fn invalid_data(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// At most this much is encrypted before the kernel is asked to take it: what it refuses can no longer be dropped, and
/// no Pong can overtake it.
const WRITE_BYTES: usize = 64 << 10;
/// The longest plaintext of a record (RFC 8446 §5.1).
const RECORD_BYTES: usize = 1 << 14;
/// The bytes of a record beyond its plaintext, at most: in TLS 1.2 a header of 5 bytes, a nonce of 8 and a tag of 16;
/// in TLS 1.3 no nonce, but a content type. Rounded up, so that an alert or a KeyUpdate before it fits as well.
const RECORD_OVERHEAD: usize = 64;
