//! What the load generator connects to, and how it speaks there.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use clap::ValueEnum;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
    version::TLS13,
};

use super::Traffic;

/// A server and its protocols: WebSocket over TCP, unless said otherwise.
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) is_websocket: bool,
}

/// The key exchange that a client offers. It offers no other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyExchange {
    X25519,
    /// Post-quantum and X25519 together
    #[value(name = "x25519mlkem768")]
    X25519MlKem768,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None, is_websocket: true }
    }
}

impl Target {
    /// The same over TLS 1.3, if the server has the certificate in the PEM file `certificate`.
    ///
    /// # Errors
    /// The file cannot be read or used.
    pub fn over_tls(self, certificate: &Path, key_exchange: KeyExchange) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(certificate).map_err(io::Error::other)?;
        roots.add(certificate).map_err(io::Error::other)?;
        let kx_groups = match key_exchange {
            KeyExchange::X25519 => vec![aws_lc_rs::kx_group::X25519],
            KeyExchange::X25519MlKem768 => vec![aws_lc_rs::kx_group::X25519MLKEM768],
        };
        let provider = Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() });
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let builder = builder.map_err(io::Error::other)?.with_root_certificates(roots);
        Ok(Self { tls: Some(Arc::new(builder.with_no_client_auth())), ..self })
    }

    /// The same without WebSocket: the server sends back the bytes that it gets.
    #[must_use]
    pub fn without_websocket(self) -> Self {
        Self { is_websocket: false, ..self }
    }

    /// Returns messages with `payload_bytes` bytes of payload. Without WebSocket they are as long as a server's frame.
    pub(super) fn traffic(&self, payload_bytes: usize) -> Traffic {
        if self.is_websocket { Traffic::of_binary(payload_bytes) } else { Traffic::of_bytes(payload_bytes) }
    }
}

impl KeyExchange {
    /// Returns the name in the registry of TLS.
    pub fn name(self) -> &'static str {
        match self {
            Self::X25519 => "X25519",
            Self::X25519MlKem768 => "X25519MLKEM768",
        }
    }
}
