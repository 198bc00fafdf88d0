//! The rows of the tables: what a server has to do, and how it is measured.

use std::io;

use crate::{
    load::{Echo, FanOut, Handshakes, Measurement, RoundTrips, Times, idle_bytes, measure},
    peers::Mode,
    process::{Cores, Server, TestedServer},
};

/// A row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Echo { connections: usize, payload_bytes: usize, in_flight: u64 },
    FanOut { receivers: usize, payload_bytes: usize, in_flight: usize },
    Handshakes,
    Idle { deflate: bool },
    Latency { connections: usize },
}

/// The result of one server in one round.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Work(Measurement),
    Bytes(f64),
    /// p50, p99 and p99.9 in nanoseconds.
    Latency([f64; 3]),
}

impl Row {
    /// Returns the rows of the bench `servers`, in the order of the tables.
    pub fn all() -> Vec<Self> {
        let echo = Self::echo;
        let fan_out = |receivers, payload_bytes| Self::FanOut { receivers, payload_bytes, in_flight: 16 };
        vec![
            echo(16, 1, 64),
            echo(16, 32, 64),
            echo(1 << 10, 32, 64),
            echo(64 << 10, 1, 64),
            echo(16, 32, 1000),
            echo(1 << 10, 32, 1000),
            fan_out(1000, 64),
            fan_out(1000, 1 << 10),
            fan_out(10_000, 64),
            Self::Handshakes,
            Self::Idle { deflate: false },
            Self::Idle { deflate: true },
            Self::Latency { connections: 1 },
            Self::Latency { connections: 64 },
        ]
    }

    /// Returns the rows of the bench `tokio`, in the order of the tables.
    pub fn on_tokio() -> Vec<Self> {
        [(16, 1), (16, 32), (1 << 10, 1), (1 << 10, 32), (64 << 10, 1)]
            .map(|(payload_bytes, in_flight)| Self::echo(payload_bytes, in_flight, 64))
            .into()
    }

    fn echo(payload_bytes: usize, in_flight: u64, connections: usize) -> Self {
        Self::Echo { connections, payload_bytes, in_flight }
    }

    pub fn name(self) -> String {
        match self {
            Self::Echo { connections, payload_bytes, in_flight } => {
                let in_flight = if in_flight == 1 { "one at a time".into() } else { format!("{in_flight} in flight") };
                format!("echo {}, {in_flight}, {connections} connections", size(payload_bytes))
            }
            Self::FanOut { receivers, payload_bytes, in_flight } => {
                format!("fan-out {}, {in_flight} in flight, {receivers} receivers", size(payload_bytes))
            }
            Self::Handshakes => "handshake, µs of server CPU".into(),
            Self::Idle { deflate: false } => "idle connection, resident bytes".into(),
            Self::Idle { deflate: true } => "the same with permessage-deflate agreed on".into(),
            Self::Latency { connections: 1 } => "round trip of 16 B, 1 connection".into(),
            Self::Latency { connections } => format!("round trip of 16 B, {connections} connections"),
        }
    }

    /// Returns whether the row applies to the server. Only ours is tested with compression.
    pub fn is_for(self, tested_server: &TestedServer) -> bool {
        self != Self::Idle { deflate: true } || matches!(tested_server, TestedServer::Ours(_))
    }

    /// Memory hardly varies, so it is measured in a few rounds only.
    pub fn max_rounds(self) -> usize {
        if matches!(self, Self::Idle { .. }) { 3 } else { usize::MAX }
    }

    /// Starts the server, measures it, and ends it.
    ///
    /// # Errors
    /// The server cannot be started, or sends a wrong answer.
    pub fn run(self, tested_server: &TestedServer, cores: &Cores, quick: bool) -> io::Result<Outcome> {
        let times = if quick { Times::QUICK } else { Times::FULL };
        let mode = if let Self::FanOut { .. } = self { Mode::Broadcast } else { Mode::Echo };
        let deflate = self == Self::Idle { deflate: true };
        let server = Server::start(tested_server.command(mode, deflate), &cores.for_workers(1))?;
        let address = server.address();
        Ok(match self {
            Self::Echo { connections, payload_bytes, in_flight } => {
                let mut work = Echo::start(address, connections, payload_bytes, in_flight)?;
                Outcome::Work(measure(&mut work, server.id(), times)?)
            }
            Self::FanOut { receivers, payload_bytes, in_flight } => {
                let mut work = FanOut::start(address, receivers, payload_bytes, in_flight)?;
                Outcome::Work(measure(&mut work, server.id(), times)?)
            }
            Self::Handshakes => Outcome::Work(measure(&mut Handshakes::of(address), server.id(), times)?),
            Self::Idle { deflate } => {
                let connections = if quick { 100..1000 } else { 1000..9000 };
                Outcome::Bytes(idle_bytes(&server, address, connections, deflate)?)
            }
            Self::Latency { connections } => {
                let times = RoundTrips::start(address, connections, 16)?.measure(times.warm_up, times.window)?;
                Outcome::Latency([0.5, 0.99, 0.999].map(|part| times.value_at_quantile(part) as f64))
            }
        })
    }
}

fn size(bytes: usize) -> String {
    if bytes < 1024 { format!("{bytes} B") } else { format!("{} KiB", bytes >> 10) }
}
