//! TLS for the sockets of a server. No other folder of the server names rustls.
//!
//! | file | what |
//! |---|---|
//! | `config.rs` | [`TlsConfig`]: certificates, whom to ask for one, which versions |
//! | `certificate.rs` | [`Certificate`]: a chain with its key, from PEM; [`CertificateResolver`] |
//! | `error.rs` | [`TlsConfigError`]: why a configuration cannot be used |
//! | `session.rs` | [`Session`]: one connection, from ciphertext to plaintext and back |
//!
//! rustls's unbuffered connections keep no buffers: an idle session takes less than half of the memory of a buffered
//! one. Each record costs an allocation and a copy.

mod certificate;
mod config;
mod error;
mod session;

pub use certificate::{Certificate, CertificateResolver};
pub use config::{TlsBuilder, TlsConfig, TlsVersion};
pub use error::TlsConfigError;
pub(super) use session::Session;
