//! The servers and their loads.

use std::{
    io,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    load::{Echo, Paced, Times, Work, measure},
    peers::Mode,
    process::{Cores, Server, TestedServer, ours},
};

/// A tested server with its number of workers.
#[derive(Clone, Debug)]
pub enum ServerSetup {
    /// Our program with this number of workers.
    Ours(PathBuf, usize),
    /// A peer, for comparison.
    Peer(TestedServer),
}

impl ServerSetup {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Ours(_, 1) => "ours, 1 worker".into(),
            Self::Ours(_, workers) => format!("ours, {workers} workers"),
            Self::Peer(tested_server) => tested_server.name().into(),
        }
    }

    pub(super) fn workers(&self) -> usize {
        match self {
            Self::Ours(_, workers) => *workers,
            Self::Peer(_) => 1,
        }
    }

    fn command(&self) -> Command {
        match self {
            Self::Ours(program, workers) => {
                let mut command = ours(program, Mode::Echo, *workers);
                command.arg("--no-deflate");
                command
            }
            Self::Peer(tested_server) => tested_server.command(Mode::Echo, false),
        }
    }
}

/// The load. All messages have 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Each client keeps this number of messages in flight.
    InFlight(u64),
    /// The clients send this number of messages per second together, in turn.
    Rate(u32),
}

impl Load {
    pub(super) fn name(self) -> String {
        match self {
            Self::InFlight(1) => "one at a time".into(),
            Self::InFlight(count) => format!("{count} in flight"),
            Self::Rate(rate) => format!("{} k per second", rate / 1000),
        }
    }
}

/// The result of one server in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// The server's CPU per message, in nanoseconds.
    pub(super) cpu: f64,
    /// p50, p99 and p99.9 in nanoseconds, if messages had a fixed rate.
    pub(super) latency: Option<[f64; 3]>,
    /// The load generator's own delay: p99 in nanoseconds.
    pub(super) lateness: Option<f64>,
}

/// Starts a server, connects the clients, and measures the load.
pub(super) fn run(
    setup: &ServerSetup,
    load: Load,
    connections: usize,
    cores: &Cores,
    quick: bool,
) -> io::Result<Outcome> {
    let times = if quick { Times::QUICK } else { Times::FULL };
    let server = Server::start(setup.command(), &cores.for_workers(setup.workers()))?;
    match load {
        Load::InFlight(count) => {
            let mut work = Echo::start(server.address(), connections, PAYLOAD_BYTES, count)?;
            Ok(Outcome {
                cpu: 1e9 / measure(&mut work, server.id(), times)?.per_cpu_second(),
                latency: None,
                lateness: None,
            })
        }
        Load::Rate(rate) => {
            let mut work = Paced::start(server.address(), connections, PAYLOAD_BYTES, rate)?;
            work.run_until(Instant::now() + times.warm_up)?;
            work.forget();
            let measured = measure(&mut work, server.id(), Times { warm_up: Duration::ZERO, ..times })?;
            let latency = [0.5, 0.99, 0.999].map(|part| work.nanoseconds().value_at_quantile(part) as f64);
            let lateness = work.lateness().value_at_quantile(0.99) as f64;
            Ok(Outcome { cpu: 1e9 / measured.per_cpu_second(), latency: Some(latency), lateness: Some(lateness) })
        }
    }
}

const PAYLOAD_BYTES: usize = 16;
