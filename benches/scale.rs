//! Our program with one worker and with two, from 100 to 10,000 connections: CPU per message, and latency at a fixed
//! rate.

use std::{io, path::Path};

use clap::Parser;
use switchboard_benches::{
    process::{Cores, TestedServer, UWEBSOCKETS_VERSION, build_ours},
    report::{Options, Run},
    scale::{Growth, Subject},
};

fn main() -> io::Result<()> {
    let options = Options::parse();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let program = build_ours()?;
    let cores = Cores::find()?;
    cores.pin_load()?;

    let mut run = Run::begin("scale", &options)?;
    let mut subjects = vec![Subject::Ours(program.clone(), 1), Subject::Ours(program.clone(), 2)];
    let contestants = TestedServer::all(Path::new(env!("CARGO_BIN_EXE_peer")), program);
    for contestant in contestants.into_iter().filter(|contestant| matches!(contestant, TestedServer::UWebSockets(_))) {
        subjects.push(Subject::Peer(contestant));
        run.peer("uWebSockets", Some(UWEBSOCKETS_VERSION));
    }
    run.note(cores.told());
    let mut growth = Growth::new(subjects, cores, &options);
    let failures = growth.measure(&run, &options);
    for failure in &failures {
        run.note(format!("**failed:** {failure}"));
    }
    let (tables, plots) = growth.report();
    run.finish(&tables, &plots)?;
    if failures.is_empty() { Ok(()) } else { Err(io::Error::other("a server did something wrong; see above")) }
}
