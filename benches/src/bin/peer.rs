//! Runs one of the peers in Rust: `peer baseline echo`. Prints its address and serves until it is killed.

use std::{io, path::PathBuf};

use clap::Parser;
use switchboard_benches::peers::{self, Code, Mode, Peer};

/// Runs a server that ours is compared with
#[derive(Debug, Parser)]
struct Cli {
    peer: Peer,
    mode: Mode,
    /// How a peer on tokio uses its library to echo
    #[arg(long, default_value = "tuned")]
    code: Code,
    /// The port on 127.0.0.1; 0 takes any free port
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Speaks TLS with this certificate chain, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

fn main() -> io::Result<()> {
    let Cli { peer, mode, code, port, tls_cert, tls_key } = Cli::parse();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let tls = tls_cert.zip(tls_key).map(|(chain, key)| peers::tls_config(&chain, &key)).transpose()?;
    let listener = peers::listen(port)?;
    println!("listening on {}", listener.local_addr()?);
    peers::serve(peer, mode, code, listener, tls)
}
