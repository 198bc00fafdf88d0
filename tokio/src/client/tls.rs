//! TLS for `wss`, by rustls.

use std::sync::Arc;

use rustls_platform_verifier::BuilderVerifierExt as _;
use switchboard::UrlError;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, crypto::aws_lc_rs, pki_types::ServerName},
};

use super::{ClientStream, ConnectError};
use crate::Config;

impl Config {
    /// Uses this configuration of rustls for `wss`. Default: the authorities that the operating system trusts, TLS 1.3
    /// and 1.2, with the cryptography of aws-lc-rs.
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn rustls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Encrypts the stream to this host.
    pub(super) async fn secure(&self, host: &str, stream: TcpStream) -> Result<ClientStream, ConnectError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| UrlError::Host(host.to_owned()))?;
        let config = match &self.tls {
            Some(config) => Arc::clone(config),
            None => Arc::new(platform().map_err(|error| ConnectError::Tls(std::io::Error::other(error)))?),
        };
        let secured = TlsConnector::from(config).connect(name, stream).await.map_err(ConnectError::Tls)?;
        Ok(ClientStream::Tls(Box::new(secured)))
    }
}

/// Trusts what the operating system trusts.
fn platform() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_platform_verifier()?.with_no_client_auth())
}
