//! Our program with one worker and with two, from 100 to 10,000 connections: CPU per message, and latency at a fixed
//! rate.

use std::{io, path::Path};

use clap::Parser;
use switchboard_benches::{
    process::{Cores, TestedServer, UWEBSOCKETS_VERSION, build_ours},
    report::{Options, Run},
    scale::{ScaleBench, ServerSetup},
};

fn main() -> io::Result<()> {
    let options = Options::parse();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let program = build_ours()?;
    let cores = Cores::find()?;
    cores.pin_load()?;

    let mut run = Run::begin("scale", &options)?;
    let mut setups = vec![ServerSetup::Ours(program.clone(), 1), ServerSetup::Ours(program.clone(), 2)];
    let tested_servers = TestedServer::all(Path::new(env!("CARGO_BIN_EXE_peer")), program);
    for tested_server in
        tested_servers.into_iter().filter(|tested_server| matches!(tested_server, TestedServer::UWebSockets(_)))
    {
        setups.push(ServerSetup::Peer(tested_server));
        run.peer("uWebSockets", Some(UWEBSOCKETS_VERSION));
    }
    run.note(cores.description());
    let mut bench = ScaleBench::new(setups, cores, &options);
    let failures = bench.measure(&run, &options);
    for failure in &failures {
        run.note(format!("**failed:** {failure}"));
    }
    let (tables, plots) = bench.report();
    run.finish(&tables, &plots)?;
    if failures.is_empty() { Ok(()) } else { Err(io::Error::other("a measurement failed; see above")) }
}
