//! Certificates of the tests' own.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ClientConfig, NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

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
        let mut params = params(names);
        change(&mut params);
        let key = new_key();
        Pem { chain: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    /// Returns the configuration of a client that trusts this authority alone.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        self.client_with(rustls::DEFAULT_VERSIONS, None)
    }

    /// Returns the roots that consist of this authority alone.
    #[must_use]
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
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

    /// As [`client`](Self::client), with these key exchanges, the first of which it prefers.
    #[must_use]
    pub fn client_for_groups(&self, groups: &[NamedGroup]) -> ClientConfig {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups.retain(|group| groups.contains(&group.name()));
        provider.kx_groups.sort_by_key(|group| groups.iter().position(|name| *name == group.name()));
        let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
        builder.unwrap().with_root_certificates(self.roots()).with_no_client_auth()
    }

    /// As [`client_with`](Self::client_with), with these cipher suites.
    #[must_use]
    pub fn client_of(
        &self,
        cipher_suites: Vec<SupportedCipherSuite>,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Pem>,
    ) -> ClientConfig {
        let provider = Arc::new(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() });
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(self.roots());
        match certificate {
            Some(pem) => {
                let (chain, key) = pem.parsed();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        }
    }
}

impl Pem {
    /// Makes a certificate that no authority has signed.
    #[must_use]
    pub fn self_signed(names: &[&str]) -> Self {
        let key = new_key();
        Self { chain: params(names).self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    /// Returns the configuration of a server with this certificate.
    #[must_use]
    pub fn server(&self, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        self.server_of(aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec(), versions)
    }

    /// As [`server`](Self::server), with these cipher suites.
    #[must_use]
    pub fn server_of(
        &self,
        cipher_suites: Vec<SupportedCipherSuite>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let (chain, key) = self.parsed();
        let provider = Arc::new(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() });
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        builder.with_no_client_auth().with_single_cert(chain, key).unwrap()
    }

    /// As [`server`](Self::server); the server demands a certificate of this authority from its clients.
    #[must_use]
    pub fn server_for(&self, clients: &Authority, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        let (chain, key) = self.parsed();
        let verifier = WebPkiClientVerifier::builder(Arc::new(clients.roots())).build().unwrap();
        let builder = ServerConfig::builder_with_protocol_versions(versions).with_client_cert_verifier(verifier);
        builder.with_single_cert(chain, key).unwrap()
    }

    fn parsed(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes()).collect::<Result<_, _>>().unwrap();
        (chain, PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap())
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "switchboard's tests");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// Returns a new key. Its signatures are always of the same length.
fn new_key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}
