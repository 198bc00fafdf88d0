//! Our chat with a crowd in it: messages per second, their latency and their price, durable and in memory.
//!
//! `benches/README.md` says how to read the tables.

use std::{io, path::PathBuf};

use clap::Parser;
use switchboard_benches::{
    chat::Conversation,
    process::{Cores, build_ours},
    report::{Options, Run},
};

#[derive(Debug, Parser)]
#[command(about = "The chat with a crowd in it: throughput, latency, CPU and disk")]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// A folder on the disk that is to be measured; what is put there is removed again.
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
    let mut conversation = Conversation::new(program, &data, cores, &options)?;
    run.note(conversation.told()?);
    let failures = conversation.measure(&run, &options);
    for failure in &failures {
        run.note(format!("**failed:** {failure}"));
    }
    let (tables, plots) = conversation.report();
    run.finish(&tables, &plots)?;
    if failures.is_empty() { Ok(()) } else { Err(io::Error::other("the server did something wrong; see above")) }
}
