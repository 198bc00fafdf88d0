//! The bench `tls`: what TLS costs our program, compared with plain TCP, with other libraries, and with rustls alone.
//!
//! | file | what |
//! |---|---|
//! | `certificate.rs` | the certificate that all servers have |
//! | `setup.rs` | the servers |
//! | `row.rs` | the rows: what a server has to do, how it is measured, and our aims |
//! | `flood.rs` | what others notice of a flood of handshakes |
//! | `tables.rs` | the tables and plots |
//! | `bench.rs` | the bench: all servers, row by row and round by round |

mod bench;
mod certificate;
mod flood;
mod row;
mod setup;
mod tables;

pub use bench::TlsBench;
pub use certificate::Certificate;
pub use setup::TlsSetup;
