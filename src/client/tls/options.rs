//! What a builder knows about TLS, and the configuration of rustls that is made from it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;

use super::{Session, TlsError, TlsErrorKind, classify::classified};
use crate::client::{ClientBuilder, ClientError, UrlError};

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
pub(in crate::client) struct TlsOptions {
    roots: Vec<Vec<u8>>,
    has_webpki_roots: bool,
    client_certificate: Option<(Vec<u8>, Vec<u8>)>,
    config: Option<Arc<ClientConfig>>,
    /// Made from the options above by the first connection. Sessions to resume are kept there.
    prepared: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl TlsOptions {
    /// Returns the options for a change. A configuration that was prepared before belongs to earlier clones only.
    fn change(&mut self) -> &mut Self {
        self.prepared = Arc::default();
        self
    }

    /// Begins a session with the server of this name or address.
    ///
    /// # Errors
    /// [`ClientError::Tls`] if the options cannot be used, [`ClientError::Url`] if no certificate can have such a name.
    pub(in crate::client) fn session(&self, host: &str) -> Result<Session, ClientError> {
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
        Ok(Session::new(connection, host.to_owned()))
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
