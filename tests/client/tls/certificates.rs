//! Authorities, certificates and servers of the tests' own.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};

use crate::peer::{Peer, Wire};

/// Issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    /// Issues a certificate that `change` has changed before.
    pub(crate) fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = params(names);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Identity::new(&params.signed_by(&key, &self.0).unwrap(), key)
    }
}

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: KeyPair) -> Self {
        Self { certificate: certificate.der().clone(), certificate_pem: certificate.pem(), key }
    }

    /// A certificate that no authority has issued.
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        Self::new(&params(names).self_signed(&key).unwrap(), key)
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

pub(crate) fn expired(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2001, 9, 9);
}

pub(crate) fn not_yet_valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(4000, 1, 1);
}

pub(crate) const BOTH: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;
pub(crate) const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub(crate) const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The configuration of a server with this certificate.
pub(crate) fn config(identity: &Identity, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    ServerConfig::builder_with_protocol_versions(versions)
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.key_der())
        .unwrap()
}

/// The configuration of a server that demands a certificate of this authority from its clients.
pub(crate) fn config_with_clients(
    identity: &Identity,
    clients: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(clients.0.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    ServerConfig::builder_with_protocol_versions(versions)
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate.clone()], identity.key_der())
        .unwrap()
}

/// TCP whose writes are cut into pieces, each in a segment of its own.
pub(crate) struct Pieces {
    pub(crate) tcp: TcpStream,
    pub(crate) bytes: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(&bytes[..bytes.len().min(self.bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

impl Peer {
    /// Performs the handshake of TLS.
    pub(crate) fn secure(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        self.secure_in_pieces(config, usize::MAX)
    }

    /// As [`secure`](Self::secure); the server writes `bytes` at a time.
    pub(crate) fn secure_in_pieces(&mut self, config: &Arc<ServerConfig>, bytes: usize) -> io::Result<()> {
        let tcp = self.stream.tcp().try_clone().unwrap();
        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
        let mut stream = StreamOwned::new(connection, Pieces { tcp, bytes });
        let handshake = stream.conn.complete_io(&mut stream.sock);
        // After a failure, the alert may wait behind what was sent before it.
        while handshake.is_err() && stream.conn.wants_write() && stream.conn.write_tls(&mut stream.sock).is_ok() {}
        self.stream = Wire::Tls(Box::new(stream));
        handshake.map(drop)
    }

    pub(crate) fn tls(&mut self) -> &mut ServerConnection {
        match &mut self.stream {
            Wire::Tls(stream) => &mut stream.conn,
            Wire::Plain(_) => panic!("the connection is not secure"),
        }
    }

    /// Ends the server's direction of TCP without close_notify, then waits until the client ends its own.
    pub(crate) fn truncate(&mut self) {
        self.stream.tcp().shutdown(std::net::Shutdown::Write).unwrap();
        self.expect_end();
    }
}
