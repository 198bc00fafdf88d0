//! Our program against its peers: echo, fan-out, handshakes, idle connections, latency.
//!
//! Each measurement starts a new server, on a core of its own. `benches/README.md` explains the tables.

use std::{io, path::Path};

use clap::Parser;
use switchboard_benches::{
    process::{Cores, TestedServer, UWEBSOCKETS_ABSENT, UWEBSOCKETS_VERSION, build_ours},
    report::{Options, Run},
    servers::{Row, ServersBench},
};

fn main() -> io::Result<()> {
    let options = Options::parse();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let tested_servers = TestedServer::all(Path::new(env!("CARGO_BIN_EXE_peer")), build_ours()?);
    let cores = Cores::find()?;
    cores.pin_load()?;

    let mut run = Run::begin("servers", &options)?;
    match UWEBSOCKETS_ABSENT {
        None => run.peer("uWebSockets", Some(UWEBSOCKETS_VERSION)),
        Some(reason) => run.note(format!("uWebSockets is absent, so the ratios are to the baseline: {reason}")),
    }
    for peer in ["tungstenite", "tokio-websockets", "fastwebsockets"] {
        run.peer(peer, None);
    }
    run.note(cores.description());
    let mut bench = ServersBench::new("", tested_servers, Row::all(), cores, &options);
    let failures = bench.measure(&run, &options);
    for failure in &failures {
        run.note(format!("**failed:** {failure}"));
    }
    let (tables, plots) = bench.report();
    run.finish(&tables, &plots)?;
    if failures.is_empty() { Ok(()) } else { Err(io::Error::other("a measurement failed; see above")) }
}
