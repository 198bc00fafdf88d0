//! Certificates of the tests' own, and a client that speaks TLS by rustls alone.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use switchboard::TlsConfig;

use crate::server::LONG;

/// An authority that signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Pem {
    pub chain: String,
    pub key: String,
}

impl Authority {
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { issuer: CertifiedIssuer::self_signed(params, new_key()).unwrap() }
    }

    /// Returns the authority's own certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Signs a certificate for these hosts and addresses, which is valid now.
    #[must_use]
    pub fn sign(&self, names: &[&str]) -> Pem {
        self.sign_with(names, |_| {})
    }

    /// As [`sign`](Self::sign), but with changes, such as to its validity.
    #[must_use]
    pub fn sign_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pem {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "switchboard's tests");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = new_key();
        Pem { chain: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    /// Returns the configuration of a server that is `localhost`.
    #[must_use]
    pub fn server(&self) -> TlsConfig {
        let Pem { chain, key } = self.sign(&["localhost"]);
        TlsConfig::builder().certificate(chain.as_bytes(), key.as_bytes()).unwrap().build().unwrap()
    }

    /// Returns the configuration of a client that trusts this authority alone.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        self.client_with(rustls::DEFAULT_VERSIONS, None)
    }

    /// As [`client`](Self::client), with these versions of TLS, and with a certificate of the client.
    #[must_use]
    pub fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Pem>,
    ) -> ClientConfig {
        self.client_of(aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec(), versions, certificate)
    }

    /// As [`client_with`](Self::client_with), with these cipher suites.
    #[must_use]
    pub fn client_of(
        &self,
        cipher_suites: Vec<SupportedCipherSuite>,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Pem>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() });
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        match certificate {
            Some(Pem { chain, key }) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        }
    }
}

/// Returns a new key. Its signatures are always of the same length.
fn new_key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}

/// A connection of TLS over TCP, on which each write sends what it was given.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Connects and completes the handshake.
///
/// # Errors
/// The handshake failed.
pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> io::Result<Secure> {
    over(TcpStream::connect_timeout(&address, LONG)?, config, name)
}

/// As [`connect`], over an open connection of TCP.
///
/// # Errors
/// The handshake failed.
pub fn over(stream: TcpStream, config: &Arc<ClientConfig>, name: &str) -> io::Result<Secure> {
    stream.set_read_timeout(Some(LONG))?;
    stream.set_write_timeout(Some(LONG))?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut secure = StreamOwned::new(connection, stream);
    while secure.conn.is_handshaking() {
        secure.conn.complete_io(&mut secure.sock)?;
    }
    Ok(secure)
}

/// Reads up to the end of a head of HTTP. What follows must not be sent yet.
///
/// # Panics
/// The server has ended the connection.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("the server responds");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Opens a WebSocket connection.
///
/// # Panics
/// The server refuses.
pub fn open(stream: &mut (impl Read + Write)) {
    stream.write_all(crate::server::OPENING.as_bytes()).unwrap();
    let head = read_head(stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

/// Reads a frame of the server: its first byte and its payload.
///
/// # Panics
/// The server has ended the connection.
pub fn read_frame(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("the server sends a frame");
    let length = match head[1] {
        126 => {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes).unwrap();
            u64::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes).unwrap();
            u64::from_be_bytes(bytes)
        }
        length => u64::from(length),
    };
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}
