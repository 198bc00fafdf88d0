//! The measurements of all tested servers, from which the tables are made.

use super::row::{Outcome, Row};
use crate::{
    peers::Peer,
    process::{CpuTime, TestedServer},
    report::Samples,
};

/// The measurements of all tested servers, by row.
#[derive(Debug)]
pub(super) struct Results {
    /// What all titles begin with; may be empty.
    pub(super) heading: &'static str,
    /// The servers' names, in the order of the cells of a row.
    pub(super) names: Vec<&'static str>,
    /// The index of the server that the others are compared with: ours on tokio, or uWebSockets, or the baseline if
    /// uWebSockets is absent.
    pub(super) reference: usize,
    pub(super) rows: Vec<(Row, Vec<Cell>)>,
}

/// The results of one tested server in one row.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// One value per round: work per CPU second, bytes, or nanoseconds.
    pub(super) samples: Samples,
    /// p99 and p99.9, if the samples are p50.
    pub(super) tails: [Samples; 2],
    /// The sum over all rounds.
    pub(super) cpu: CpuTime,
    pub(super) done: u64,
    /// Whether the server did something wrong. It is not measured again in this row.
    pub(super) failed: bool,
}

impl Results {
    /// Empty results of these servers in these rows.
    pub(super) fn new(heading: &'static str, servers: &[TestedServer], rows: impl Iterator<Item = Row>) -> Self {
        let is_reference = |server: &TestedServer| {
            matches!(server, TestedServer::UWebSockets(_) | TestedServer::Rust(Peer::SwitchboardTokio, ..))
        };
        Self {
            heading,
            names: servers.iter().map(TestedServer::name).collect(),
            reference: servers.iter().position(is_reference).unwrap_or(0),
            rows: rows.map(|row| (row, vec![Cell::default(); servers.len()])).collect(),
        }
    }

    /// Returns the title of a table or plot.
    pub(super) fn title(&self, text: &str) -> String {
        if self.heading.is_empty() { text.to_owned() } else { format!("{}: {text}", self.heading) }
    }
}

impl Cell {
    pub(super) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Work(measured) => {
                self.samples.push(measured.per_cpu_second());
                self.cpu = self.cpu + measured.cpu;
                self.done += measured.done;
            }
            Outcome::Bytes(bytes) => self.samples.push(bytes),
            Outcome::Latency([p50, p99, p999]) => {
                self.samples.push(p50);
                self.tails[0].push(p99);
                self.tails[1].push(p999);
            }
        }
    }
}
