//! TLS ([RFC 8446]) on any transport, by [rustls]. No other file of the client names rustls.
//!
//! Reads ciphertext into a buffer, and lets rustls turn it into plaintext; so a deadline in the middle of a record
//! loses nothing. Writes ciphertext into a buffer as well, and sends it at once.
//!
//! [RFC 8446]: https://www.rfc-editor.org/rfc/rfc8446

use std::{
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    ops::Range,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;

use super::{
    ClientBuilder, ClientError, Stage, TlsError, TlsErrorKind, UrlError, deadline::Deadline, stream::Transport,
};

impl ClientBuilder {
    /// Trusts the authorities with these certificates in PEM, and no others, for `wss`. Call it again to add more.
    /// Default: those that the operating system trusts.
    ///
    /// A certificate that a server has made for itself can be given as well.
    pub fn roots(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.tls.change().roots.push(pem.as_ref().to_vec());
        self
    }

    /// Trusts the authorities that Mozilla trusts, as they were when the program was built, instead of those of the
    /// operating system; with [`roots`](Self::roots), both.
    #[cfg(feature = "webpki-roots")]
    #[cfg_attr(docsrs, doc(cfg(feature = "webpki-roots")))]
    pub fn webpki_roots(mut self) -> Self {
        self.tls.change().has_webpki_roots = true;
        self
    }

    /// Presents this certificate to servers that ask for one. `chain_pem` begins with it, and goes on with those of the
    /// authorities in between. `key_pem` is its private key: PKCS#8, PKCS#1 or SEC1. Default none.
    pub fn client_certificate(mut self, chain_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
        self.tls.change().client_certificate = Some((chain_pem.as_ref().to_vec(), key_pem.as_ref().to_vec()));
        self
    }

    /// Uses this configuration of rustls as it is, and none of the other options of TLS.
    ///
    /// It is for what they cannot do, such as keys in hardware. It binds the caller to the version of rustls that this
    /// crate uses, 0.23: a later version of this crate may need another one.
    pub fn rustls_config(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls.change().config = Some(config);
        self
    }
}

/// What a builder knows about TLS.
#[derive(Clone, Default)]
pub(super) struct TlsOptions {
    roots: Vec<Vec<u8>>,
    has_webpki_roots: bool,
    client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    config: Option<Arc<ClientConfig>>,
    /// Made from the options above by the first connection. Sessions to resume are kept there.
    prepared: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl TlsOptions {
    /// Returns the options for a change. What was prepared from them before belongs to earlier clones only.
    fn change(&mut self) -> &mut Self {
        self.prepared = Arc::default();
        self
    }

    /// Begins a session with the server of this name or address.
    ///
    /// # Errors
    /// [`ClientError::Tls`] if the options cannot be used, [`ClientError::Url`] if no certificate can have such a name.
    pub(super) fn session(&self, host: &str) -> Result<Session, ClientError> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| ClientError::Url(UrlError::Host(host.to_owned())))?;
        let config = match (&self.config, self.prepared.get()) {
            (Some(config), _) | (None, Some(config)) => Arc::clone(config),
            // Two threads may both come here; one of the two is kept.
            (None, None) => {
                let config = Arc::new(self.prepare().map_err(ClientError::Tls)?);
                Arc::clone(self.prepared.get_or_init(|| config))
            }
        };
        let connection =
            ClientConnection::new(config, name).map_err(|error| ClientError::Tls(classified(error, host)))?;
        Ok(Session { connection, host: host.to_owned() })
    }

    fn prepare(&self) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(invalid("the cryptography has no version of TLS"))?;
        let builder = match self.root_store()? {
            Some(roots) => builder.with_root_certificates(roots),
            None => builder
                .with_platform_verifier()
                .map_err(invalid("the system trusts no authorities; name one by ClientBuilder::roots"))?,
        };
        let mut config = match &self.client_certificate {
            Some((chain, key)) => {
                let chain = certificates(chain, "client_certificate has no certificate in PEM")?;
                // The error of a parser may quote the key.
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
                    TlsError::without_cause(TlsErrorKind::Options("client_certificate has no private key in PEM"))
                })?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(invalid("the certificate and the key of client_certificate do not belong together"))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Returns the roots that were given, or `None` if the operating system's are to be used.
    fn root_store(&self) -> Result<Option<RootCertStore>, TlsError> {
        if self.roots.is_empty() && !self.has_webpki_roots {
            return Ok(None);
        }
        let mut store = RootCertStore::empty();
        #[cfg(feature = "webpki-roots")]
        if self.has_webpki_roots {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for pem in &self.roots {
            for certificate in certificates(pem, "roots has no certificate in PEM")? {
                let added = store.add(certificate);
                added.map_err(invalid("roots has a certificate that cannot be read"))?;
            }
        }
        Ok(Some(store))
    }
}

/// Shows no private key.
impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsOptions")
    }
}

/// Returns all certificates of a PEM text, at least one.
fn certificates(pem: &[u8], reason: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::without_cause(TlsErrorKind::Options(reason))),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::new(TlsErrorKind::Options(reason), error)),
    }
}

fn invalid(reason: &'static str) -> impl Fn(rustls::Error) -> TlsError {
    move |error| TlsError::new(TlsErrorKind::Options(reason), error)
}

/// A session that has not begun on the wire.
pub(super) struct Session {
    connection: ClientConnection,
    host: String,
}

impl Session {
    /// Performs the TLS handshake over `transport`. Later, what TLS has to answer of its own gets `write_timeout`.
    ///
    /// # Errors
    /// [`ClientError::Tls`], [`ClientError::Timeout`] of [`Stage::Tls`], or an error of the transport.
    pub(super) fn establish(
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

/// Converts an error of rustls. `host` is the name in the URL.
fn classified(error: rustls::Error, host: &str) -> TlsError {
    let kind = match &error {
        rustls::Error::InvalidCertificate(error) => certificate_error(error, host),
        rustls::Error::NoCertificatesPresented => TlsErrorKind::Certificate,
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => TlsErrorKind::ClientCertificateRequired,
        rustls::Error::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        ) => TlsErrorKind::ClientCertificateRefused,
        rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => {
            TlsErrorKind::Refused
        }
        _ => TlsErrorKind::Protocol,
    };
    TlsError::new(kind, error)
}

fn certificate_error(error: &CertificateError, host: &str) -> TlsErrorKind {
    let between = |early: UnixTime, late: UnixTime| Duration::from_secs(late.as_secs().saturating_sub(early.as_secs()));
    match error {
        CertificateError::UnknownIssuer => TlsErrorKind::UnknownIssuer,
        CertificateError::Expired => TlsErrorKind::Expired { since: None },
        CertificateError::ExpiredContext { time, not_after } => {
            TlsErrorKind::Expired { since: Some(between(*not_after, *time)) }
        }
        CertificateError::NotValidYet => TlsErrorKind::NotYetValid { until: None },
        CertificateError::NotValidYetContext { time, not_before } => {
            TlsErrorKind::NotYetValid { until: Some(between(*time, *not_before)) }
        }
        CertificateError::NotValidForName => TlsErrorKind::WrongName { host: host.to_owned(), names: Vec::new() },
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = presented.iter().take(MAX_NAMES).map(|name| bare_name(name).to_owned()).collect();
            TlsErrorKind::WrongName { host: host.to_owned(), names }
        }
        _ => TlsErrorKind::Certificate,
    }
}

/// Returns the name in the form `DnsName("example.com")` or `IpAddress(127.0.0.1)`, in which rustls lists names.
fn bare_name(listed: &str) -> &str {
    let inside = listed.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(listed);
    inside.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(inside)
}

/// The types of the records with which a server can begin (RFC 8446 §5.1).
const ALERT_RECORD: u8 = 21;
const HANDSHAKE_RECORD: u8 = 22;

/// How much ciphertext is read at once: a record of the greatest length fits.
const BUFFER_BYTES: usize = 32 << 10;

/// How long the server has for reading an alert.
const ALERT_TIMEOUT: Duration = Duration::from_secs(1);

/// How many names of a certificate an error keeps.
const MAX_NAMES: usize = 100;
