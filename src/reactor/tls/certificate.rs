//! A certificate chain with its private key, and the choice between several.

use std::{collections::HashMap, fmt, sync::Arc};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::error::TlsConfigError;

/// A certificate chain with its private key. A clone is cheap.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    names: Arc<[String]>,
}

impl Certificate {
    /// Reads a chain, the server's own certificate first, and its key: PKCS #8, PKCS #1 or SEC1, not encrypted.
    ///
    /// # Errors
    /// - [`TlsConfigError::NoCertificate`], [`TlsConfigError::NoKey`]: there is none in the PEM text.
    /// - [`TlsConfigError::Mismatch`]: the key is not that of the first certificate.
    /// - [`TlsConfigError::Pem`], [`TlsConfigError::Rustls`]: one of them cannot be read or used.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsConfigError> {
        let chain = certificates(chain)?;
        let key = match PrivateKeyDer::from_pem_slice(key) {
            Ok(key) => key,
            Err(rustls::pki_types::pem::Error::NoItemsFound) => return Err(TlsConfigError::NoKey),
            Err(error) => return Err(TlsConfigError::pem(&error)),
        };
        let names = names(&chain[0]).map_err(TlsConfigError::certificate)?;
        let key = CertifiedKey::from_der(chain, key, &provider())?;
        Ok(Self { key: Arc::new(key), names: names.into() })
    }

    /// Returns the names of hosts that the certificate is for, as it spells them; `*.example.com` stands for one label.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Chooses a certificate for each handshake. Called on the event loop: it must not block.
pub trait CertificateResolver: Send + Sync {
    /// Returns the certificate for the host that the client names (SNI, RFC 6066 §3), in lower case. Clients name none
    /// if they connect to an address. Without a certificate the handshake fails.
    fn resolve(&self, server_name: Option<&str>) -> Option<Certificate>;
}

/// Reads all certificates of a PEM text, at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsConfigError::pem(&error))?;
    if chain.is_empty() { Err(TlsConfigError::NoCertificate) } else { Ok(chain) }
}

/// Returns the names of hosts, and the URIs, that a certificate is for.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, webpki::Error> {
    let certificate = webpki::EndEntityCert::try_from(certificate)?;
    Ok(certificate.valid_dns_names().chain(certificate.valid_uri_names()).map(Into::into).collect())
}

/// The cryptography: aws-lc-rs, with X25519MLKEM768 before the other key exchanges.
pub(super) fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// Certificates by the names that they are for.
#[derive(Debug)]
pub(super) struct ByName {
    default: Certificate,
    by_name: HashMap<String, Certificate>,
}

impl ByName {
    /// The first certificate is the default. If two are for one name, the first of them is used.
    pub(super) fn new(default: &Certificate, others: &[Certificate]) -> Self {
        let mut by_name = HashMap::new();
        for certificate in std::iter::once(default).chain(others) {
            for name in certificate.names() {
                by_name.entry(name.to_ascii_lowercase()).or_insert_with(|| certificate.clone());
            }
        }
        Self { default: default.clone(), by_name }
    }
}

impl CertificateResolver for ByName {
    fn resolve(&self, server_name: Option<&str>) -> Option<Certificate> {
        let wildcard = |name: &str| {
            let (_, domain) = name.split_once('.')?;
            self.by_name.get(&format!("*.{domain}"))
        };
        let named = server_name.and_then(|name| self.by_name.get(name).or_else(|| wildcard(name)));
        Some(named.unwrap_or(&self.default).clone())
    }
}

/// A resolver, as rustls wants it.
pub(super) struct Resolver(pub(super) Arc<dyn CertificateResolver>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.resolve(client_hello.server_name()).map(|certificate| certificate.key)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
