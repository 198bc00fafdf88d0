//! Our chat under load: messages per second, their latency and their cost, durable and in memory.
//!
//! `benches/README.md` says how to read the tables.

use std::{io, path::PathBuf};

use clap::Parser;
use switchboard_benches::{
    chat::ChatBench,
    process::{Cores, build_ours},
    report::{Options, Run},
};

#[derive(Debug, Parser)]
#[command(about = "The chat with many users: throughput, latency, CPU and disk usage")]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// A directory on the disk to measure; the files created there are removed at the end
    #[arg(long, value_name = "DIR", default_value = env!("CARGO_TARGET_TMPDIR"))]
    data: PathBuf,
}

fn main() -> io::Result<()> {
    let Arguments { options, data } = Arguments::parse();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let program = build_ours()?;
    let cores = Cores::find()?;
    cores.pin_load()?;

    let mut run = Run::begin("chat", &options)?;
    run.note(cores.description());
    let mut bench = ChatBench::new(program, &data, cores, &options)?;
    run.note(bench.summary()?);
    let failures = bench.measure(&run, &options);
    for failure in &failures {
        run.note(format!("**failed:** {failure}"));
    }
    let (tables, plots) = bench.report();
    run.finish(&tables, &plots)?;
    if failures.is_empty() { Ok(()) } else { Err(io::Error::other("some measurements failed; see above")) }
}
