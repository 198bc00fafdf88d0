//! What TLS costs our program: compared with itself without TLS, with peers over TLS, and with rustls alone.
//!
//! Each measurement starts a new server, on a core of its own. `benches/README.md` explains the tables.

use std::{io, path::Path};

use clap::Parser;
use switchboard_benches::{
    process::{Cores, build_ours},
    report::{Options, Run},
    tls::{Certificate, TlsBench, TlsSetup},
};

fn main() -> io::Result<()> {
    let options = Options::parse();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let setups = TlsSetup::all(Path::new(env!("CARGO_BIN_EXE_peer")), &build_ours()?);
    let certificate = Certificate::make(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let cores = Cores::find()?;
    cores.pin_load()?;

    let mut run = Run::begin("tls", &options)?;
    for peer in ["rustls", "aws-lc-rs", "tungstenite", "tokio-websockets", "tokio-rustls"] {
        run.peer(peer, None);
    }
    run.note(cores.description());
    run.note("TLS 1.3 with AES-256-GCM, a certificate with ECDSA on P-256; X25519 where no key exchange is named");
    let mut bench = TlsBench::new(setups, certificate, cores, &options);
    let failures = bench.measure(&run, &options);
    for failure in &failures {
        run.note(format!("**failed:** {failure}"));
    }
    let (tables, plots) = bench.report();
    run.finish(&tables, &plots)?;
    if failures.is_empty() { Ok(()) } else { Err(io::Error::other("a measurement failed; see above")) }
}
