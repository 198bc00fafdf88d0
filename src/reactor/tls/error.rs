//! Why a TLS configuration cannot be used.

use std::{error::Error, fmt, sync::Arc};

/// Why a TLS configuration cannot be used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// There is no certificate.
    NoCertificate,
    /// There is no private key.
    NoKey,
    /// The private key is not that of the certificate.
    Mismatch,
    /// A PEM text is broken.
    Pem(String),
    /// A certificate or key that can be read, but not be used.
    Rustls(Arc<dyn Error + Send + Sync>),
}

impl TlsConfigError {
    pub(super) fn pem(error: &rustls::pki_types::pem::Error) -> Self {
        Self::Pem(error.to_string())
    }

    pub(super) fn certificate(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Rustls(Arc::new(error))
    }
}

impl From<rustls::Error> for TlsConfigError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch) => Self::Mismatch,
            error => Self::certificate(error),
        }
    }
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("there is no certificate: a PEM text with BEGIN CERTIFICATE is needed"),
            Self::NoKey => {
                f.write_str("there is no private key: a PEM text with BEGIN PRIVATE KEY is needed, not encrypted")
            }
            Self::Mismatch => f.write_str("the private key does not belong to the certificate"),
            Self::Pem(why) => write!(f, "the PEM text is broken: {why}"),
            Self::Rustls(error) => write!(f, "the certificate or key cannot be used: {error}"),
        }
    }
}

impl Error for TlsConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rustls(error) => Some(&**error),
            Self::NoCertificate | Self::NoKey | Self::Mismatch | Self::Pem(_) => None,
        }
    }
}
