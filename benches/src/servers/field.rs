//! All contestants, row by row and round by round: what disturbs the machine for a while disturbs them all.

use super::{
    row::{Outcome, Row},
    tables,
};
use crate::{
    process::{Cores, CpuTime, TestedServer},
    report::{Options, Plot, Run, Samples, Table, rotated},
};

/// The contestants, and what is known of each.
#[derive(Debug)]
pub struct Field {
    contestants: Vec<TestedServer>,
    cores: Cores,
    pub(super) rows: Vec<(Row, Vec<Cell>)>,
}

/// What is known of one contestant in one row.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// What the row is about: work per CPU second, bytes, or nanoseconds.
    pub(super) samples: Samples,
    /// p99 and p99.9, where the samples are p50.
    pub(super) tails: [Samples; 2],
    /// Of all rounds.
    pub(super) cpu: CpuTime,
    pub(super) done: u64,
    /// It did something wrong; then it is not asked again.
    pub(super) failed: bool,
}

impl Field {
    pub fn new(contestants: Vec<TestedServer>, cores: Cores, options: &Options) -> Self {
        let rows = Row::all().into_iter().filter(|row| options.wants(&row.name()));
        let rows = rows.map(|row| (row, vec![Cell::default(); contestants.len()])).collect();
        Self { contestants, cores, rows }
    }

    /// Measures everything, or until the run is over. Gives what went wrong.
    pub fn measure(&mut self, run: &Run, options: &Options) -> Vec<String> {
        let rounds = options.rounds_or(10, 1);
        let mut failures = Vec::new();
        for round in 0..rounds {
            for (row, cells) in &mut self.rows {
                for at in rotated(self.contestants.len(), round) {
                    let (contestant, cell) = (&self.contestants[at], &mut cells[at]);
                    if run.is_over() {
                        return failures;
                    }
                    if cell.failed || !row.is_for(contestant) || round >= row.rounds_at_most() {
                        continue;
                    }
                    let (name, row_name) = (contestant.name(), row.name());
                    run.progress(&format!("{row_name}, round {} of {rounds}: {name}", round + 1));
                    match row.run(contestant, &self.cores, options.quick) {
                        Ok(outcome) => cell.add(outcome),
                        Err(_) if run.is_over() => return failures, // the signal has broken it off
                        Err(error) => {
                            *cell = Cell { failed: true, ..Cell::default() };
                            failures.push(format!("{name}, {row_name}: {error}"));
                        }
                    }
                }
            }
        }
        failures
    }

    /// What came of it.
    pub fn report(&self) -> (Vec<Table>, Vec<Plot>) {
        tables::of(self)
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.contestants.iter().map(TestedServer::name).collect()
    }

    /// Whom all are compared with: uWebSockets, or where it is absent the baseline.
    pub(super) fn reference(&self) -> usize {
        self.contestants.iter().position(|contestant| matches!(contestant, TestedServer::UWebSockets(_))).unwrap_or(0)
    }
}

impl Cell {
    fn add(&mut self, outcome: Outcome) {
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
