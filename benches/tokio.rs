//! Our library on tokio against its peers: echo by natural code and by tuned code.
//!
//! Each measurement starts a new server, on a core of its own. `benches/README.md` explains the tables.

use std::{io, path::Path};

use clap::Parser;
use switchboard_benches::{
    peers::Code,
    process::{Cores, TestedServer},
    report::{Options, Run},
    servers::{Row, ServersBench},
};

fn main() -> io::Result<()> {
    let options = Options::parse();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let cores = Cores::find()?;
    cores.pin_load()?;

    let mut run = Run::begin("tokio", &options)?;
    for peer in ["tokio", "tokio-tungstenite", "tungstenite", "tokio-websockets", "fastwebsockets"] {
        run.peer(peer, None);
    }
    run.note(cores.description());
    let (mut failures, mut tables, mut plots) = (Vec::new(), Vec::new(), Vec::new());
    for (code, heading) in [(Code::Natural, "Natural code"), (Code::Tuned, "Tuned code")] {
        let servers = TestedServer::on_tokio(Path::new(env!("CARGO_BIN_EXE_peer")), code);
        let mut bench = ServersBench::new(heading, servers, Row::on_tokio(), cores.clone(), &options);
        let failed = bench.measure(&run, &options);
        failures.extend(failed.into_iter().map(|failure| format!("{heading}, {failure}")));
        let (of_code, drawn) = bench.report();
        tables.extend(of_code);
        plots.extend(drawn);
    }
    for failure in &failures {
        run.note(format!("**failed:** {failure}"));
    }
    run.finish(&tables, &plots)?;
    if failures.is_empty() { Ok(()) } else { Err(io::Error::other("a measurement failed; see above")) }
}
