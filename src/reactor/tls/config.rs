//! The TLS configuration of a server.

use std::{fmt, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::CertificateDer,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};

use super::{
    certificate::{ByName, Certificate, CertificateResolver, Resolver, certificates, provider},
    error::TlsConfigError,
};

/// How a server speaks TLS: with which certificates, to which clients. A clone is cheap.
///
/// - Versions 1.3 and 1.2; key exchange X25519MLKEM768 (hybrid, post-quantum), X25519, P-256, P-384; no renegotiation,
///   no early data. ALPN: `http/1.1`, or none.
/// - Sessions resume by one stateless ticket. Its keys change every 6 hours, and a server that is given a new
///   configuration keeps them, unless the new one has other client authorities or another minimum version. With client
///   certificates no session resumes: each connection shows its certificate.
///
/// ```no_run
/// use switchboard::{Config, TlsConfig};
///
/// let mut config = Config::default();
/// let tls = TlsConfig::builder().certificate(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?.build()?;
/// config.tls = Some(tls);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TlsConfig {
    server: Arc<ServerConfig>,
    /// What tickets depend on; `None` if sessions do not resume, or the configuration is not ours.
    tickets: Option<TlsVersion>,
    names: Arc<[String]>,
    wants_client_certificate: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246), with the cipher suites that TLS 1.3 would allow too.
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

impl TlsConfig {
    /// Begins a configuration.
    pub fn builder() -> TlsBuilder {
        TlsBuilder { certificates: Vec::new(), resolver: None, client_ca: Vec::new(), min_version: TlsVersion::V1_2 }
    }

    /// Takes a configuration of rustls as it is, for what the builder cannot say.
    ///
    /// The type is that of rustls 0.23: it changes when this crate moves to another version of rustls, even if nothing
    /// else changes. `max_early_data_size` must be 0: early data is not read.
    #[must_use]
    pub fn from_rustls(server: Arc<ServerConfig>) -> Self {
        Self { server, tickets: None, names: Arc::default(), wants_client_certificate: true }
    }

    /// Returns the names of hosts that the certificates are for; none with a resolver.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn server(&self) -> &Arc<ServerConfig> {
        &self.server
    }

    /// Returns whether a session may have a certificate of its client.
    pub(super) fn wants_client_certificate(&self) -> bool {
        self.wants_client_certificate
    }

    /// Returns this configuration with the keys of the tickets of the one before, so that sessions resume; unless they
    /// must not, since what a session was once checked for is different now.
    pub(crate) fn after(self, before: &Self) -> Self {
        if self.tickets.is_none() || self.tickets != before.tickets {
            return self;
        }
        let mut server = ServerConfig::clone(&self.server);
        server.ticketer = Arc::clone(&before.server.ticketer);
        Self { server: Arc::new(server), ..self }
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Builds a [`TlsConfig`].
#[must_use]
pub struct TlsBuilder {
    certificates: Vec<Certificate>,
    resolver: Option<Arc<dyn CertificateResolver>>,
    client_ca: Vec<CertificateDer<'static>>,
    min_version: TlsVersion,
}

impl TlsBuilder {
    /// Adds a certificate chain and its key, see [`Certificate::from_pem`].
    ///
    /// The first one is the default. Others are for the hosts that their certificates name: the client says which one
    /// it wants (SNI).
    ///
    /// # Errors
    /// See [`Certificate::from_pem`].
    pub fn certificate(mut self, chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsConfigError> {
        self.certificates.push(Certificate::from_pem(chain_pem, key_pem)?);
        Ok(self)
    }

    /// Asks `resolver` for a certificate in each handshake, instead of choosing by the names in the certificates.
    pub fn resolver(mut self, resolver: impl CertificateResolver + 'static) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Demands a certificate of each client, signed by one of these authorities, and adds them to those before. Their
    /// verified names are in [`Request::client_names`](crate::Request::client_names) and
    /// [`Handshake::client_names`](crate::Handshake::client_names).
    ///
    /// # Errors
    /// - [`TlsConfigError::NoCertificate`]: there is none in the PEM text.
    /// - [`TlsConfigError::Pem`]: it cannot be read.
    pub fn client_ca(mut self, pem: &[u8]) -> Result<Self, TlsConfigError> {
        self.client_ca.extend(certificates(pem)?);
        Ok(self)
    }

    /// Refuses older versions. Default: [`TlsVersion::V1_2`].
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self
    }

    /// Returns the configuration.
    ///
    /// # Errors
    /// - [`TlsConfigError::NoCertificate`]: it has neither a certificate nor a resolver.
    /// - [`TlsConfigError::Rustls`]: an authority of clients cannot be used.
    pub fn build(self) -> Result<TlsConfig, TlsConfigError> {
        let Self { certificates, resolver, client_ca, min_version } = self;
        let names = certificates.iter().flat_map(|certificate| certificate.names().iter().cloned()).collect();
        let resolver = match (resolver, certificates.split_first()) {
            (Some(resolver), _) => resolver,
            (None, Some((default, others))) => Arc::new(ByName::new(default, others)),
            (None, None) => return Err(TlsConfigError::NoCertificate),
        };
        let provider = Arc::new(provider());
        let versions: &[&SupportedProtocolVersion] = match min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let wants_client_certificate = !client_ca.is_empty();
        let builder = if wants_client_certificate {
            let mut roots = RootCertStore::empty();
            for authority in client_ca {
                roots.add(authority)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(TlsConfigError::certificate)?)
        } else {
            builder.with_no_client_auth()
        };
        let mut server = builder.with_cert_resolver(Arc::new(Resolver(resolver)));
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        let tickets = if wants_client_certificate {
            server.send_tls13_tickets = 0;
            None
        } else {
            server.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
            server.send_tls13_tickets = 1;
            Some(min_version)
        };
        Ok(TlsConfig { server: Arc::new(server), tickets, names, wants_client_certificate })
    }
}

impl fmt::Debug for TlsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certificates, min_version, .. } = self;
        let mut debug = f.debug_struct("TlsBuilder");
        debug.field("certificates", certificates).field("min_version", min_version).finish_non_exhaustive()
    }
}
