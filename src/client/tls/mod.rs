//! TLS ([RFC 8446]) on any transport, by rustls. No file outside this folder names rustls.
//!
//! | file | content |
//! |---|---|
//! | `error.rs` | `TlsError`, which the rest of the client knows |
//! | `classify.rs` | what kind of failure an error of rustls is |
//! | `options.rs` | what a builder knows about TLS |
//! | `session.rs` | the transport |
//!
//! [RFC 8446]: https://www.rfc-editor.org/rfc/rfc8446

mod classify;
mod error;
mod options;
mod session;

pub use error::{TlsError, TlsErrorKind};
pub(super) use options::TlsOptions;
pub(super) use session::Session;
