//! The certificates of the program.
//!
//! | file | contents |
//! |---|---|
//! | `certificate.rs` | what is said of a certificate: names, expiry, fingerprint |
//! | `files.rs` | certificates and keys from files |
//! | `self_signed.rs` | a certificate of one's own making |
//! | `reload.rs` | replacing certificates while the program runs |

pub(crate) mod certificate;
pub(crate) mod files;
pub(crate) mod reload;
pub(crate) mod self_signed;
