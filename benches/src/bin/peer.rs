//! Runs one of the peers in Rust: `peer baseline echo`. Prints its address and serves until it is killed.

use std::io;

use clap::Parser;
use switchboard_benches::peers::{self, Mode, Peer};

/// Runs a server that ours is compared with
#[derive(Debug, Parser)]
struct Cli {
    peer: Peer,
    mode: Mode,
    /// The port on 127.0.0.1; 0 takes any free port
    #[arg(long, default_value_t = 0)]
    port: u16,
}

fn main() -> io::Result<()> {
    let Cli { peer, mode, port } = Cli::parse();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let listener = peers::listen(port)?;
    println!("listening on {}", listener.local_addr()?);
    peers::serve(peer, mode, listener)
}
