//! Servers, and what they are given to do.

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

/// A server that is looked at.
#[derive(Clone, Debug)]
pub enum ServerSetup {
    /// Our program with so many workers.
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

/// What the clients do; all messages are of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Each sends again what has come back.
    InFlight(u64),
    /// So many messages per second, of all clients together and each in turn.
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

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// The server's CPU per message, in nanoseconds.
    pub(super) cpu: f64,
    /// p50, p99 and p99.9 in nanoseconds, where messages had a rate.
    pub(super) latency: Option<[f64; 3]>,
    /// How late we sent them ourselves: p99 in nanoseconds.
    pub(super) lateness: Option<f64>,
}

/// Starts a server, connects so many clients, and lets them do it.
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
