//! Bytes of TLS that rustls does not send.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ExtractedSecrets, ProtocolVersion,
    SupportedCipherSuite,
    crypto::{
        aws_lc_rs::cipher_suite,
        cipher::{MessageEncrypter, OutboundPlainMessage},
    },
    pki_types::ServerName,
};

/// The type, version and length in front of a record.
pub const RECORD_HEADER_BYTES: usize = 5;
/// Types of records (RFC 8446 §5.1).
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const APPLICATION_DATA: u8 = 23;

/// Returns a client that has written its ClientHello, and that message.
///
/// # Panics
/// It has more than one record.
#[must_use]
pub fn client_hello(config: &Arc<ClientConfig>) -> (ClientConnection, Vec<u8>) {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut record = Vec::new();
    connection.write_tls(&mut record).unwrap();
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    assert_eq!(record.len(), RECORD_HEADER_BYTES + length);
    (connection, record.split_off(RECORD_HEADER_BYTES))
}

/// Returns a message of the handshake, not encrypted, in records of `length` bytes each.
#[must_use]
pub fn in_records(message: &[u8], length: usize) -> Vec<Vec<u8>> {
    let record = |piece: &[u8]| {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        [&[HANDSHAKE, 3, 1], &length[..], piece].concat()
    };
    message.chunks(length).map(record).collect()
}

/// The cipher suites that a [`Forger`] can use. With AES, the keys of rustls count their records from the first.
pub const SUITES: [SupportedCipherSuite; 2] =
    [cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256];

/// A connection over TLS, and the keys with which one end of it sends.
pub struct Forger {
    pub stream: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Forger {
    /// Takes over what an end of the connection sends, one with one of the [`SUITES`].
    ///
    /// # Panics
    /// It has another cipher suite.
    #[must_use]
    pub fn new(stream: TcpStream, suite: SupportedCipherSuite, secrets: ExtractedSecrets) -> Self {
        let (sequence, secrets) = secrets.tx;
        let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else { panic!("the suite is {suite:?}") };
        let encrypter = match suite {
            SupportedCipherSuite::Tls12(suite) => suite.aead_alg.encrypter(key, iv.as_ref(), &[]),
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
        };
        Self { stream, encrypter, sequence }
    }

    /// Opens a WebSocket connection to a server in this version of TLS.
    ///
    /// # Panics
    /// The server refuses.
    #[cfg(all(feature = "client", feature = "tls"))]
    #[must_use]
    pub fn open(
        address: std::net::SocketAddr,
        authority: &crate::tls::Authority,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Self {
        use crate::{server, tls};
        let mut config = authority.client_of(SUITES.into(), &[version], None);
        config.enable_secret_extraction = true;
        let mut secure = tls::connect(address, &Arc::new(config), "localhost").unwrap();
        tls::open(&mut secure);
        secure.write_all(&server::frame(0x81, b"hello")).unwrap();
        assert_eq!(tls::read_frame(&mut secure).0, 0x81);
        let tls::Secure { conn, sock, .. } = secure;
        let suite = conn.negotiated_cipher_suite().unwrap();
        #[allow(deprecated, reason = "the keys do not change here")]
        Self::new(sock, suite, conn.dangerous_extract_secrets().unwrap())
    }

    /// Sends a record. It makes no difference if the peer has ended the connection.
    pub fn send(&mut self, kind: ContentType, bytes: &[u8]) {
        let message = OutboundPlainMessage { typ: kind, version: ProtocolVersion::TLSv1_2, payload: bytes.into() };
        let record = self.encrypter.encrypt(message, self.sequence).unwrap().encode();
        self.sequence += 1;
        let _ = self.stream.write_all(&record);
    }

    /// Reads a record of the peer, and returns its type.
    ///
    /// # Panics
    /// The peer sends none.
    pub fn record_type(&mut self) -> u8 {
        let mut header = [0; RECORD_HEADER_BYTES];
        self.stream.read_exact(&mut header).unwrap();
        self.stream.read_exact(&mut vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))]).unwrap();
        header[0]
    }
}
