//! The bench: measures all servers under all loads, round by round, and makes the tables and plots.

use super::{
    ServerSetup,
    work::{self, Load, Outcome},
};
use crate::{
    process::Cores,
    report::{Options, Plot, Run, Samples, Table, figures, rotated},
};

/// The servers, and the results by server, load and number of connections.
#[derive(Debug)]
pub struct ScaleBench {
    setups: Vec<ServerSetup>,
    cores: Cores,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    load: Load,
    connections: usize,
    /// One cell per server setup.
    cells: Vec<Cell>,
}

#[derive(Clone, Debug, Default)]
struct Cell {
    cpu: Samples,
    latency: [Samples; 3],
    lateness: Samples,
    failed: bool,
}

impl ScaleBench {
    pub fn new(setups: Vec<ServerSetup>, cores: Cores, options: &Options) -> Self {
        let mut rows = Vec::new();
        for load in LOADS {
            for connections in if options.quick { QUICK_CONNECTIONS } else { CONNECTIONS } {
                let row = Row { load, connections, cells: vec![Cell::default(); setups.len()] };
                if options.wants(&row.name()) {
                    rows.push(row);
                }
            }
        }
        Self { setups, cores, rows }
    }

    /// Measures all rows, or until the run is over. Returns a line per failure.
    pub fn measure(&mut self, run: &Run, options: &Options) -> Vec<String> {
        let rounds = options.rounds_or(5, 1);
        let mut failures = Vec::new();
        for round in 0..rounds {
            for row in &mut self.rows {
                for at in rotated(self.setups.len(), round) {
                    let (setup, name) = (&self.setups[at], row.name());
                    if run.is_over() {
                        return failures;
                    }
                    if row.cells[at].failed || !is_fair(setup, row.load, &self.cores) {
                        continue;
                    }
                    run.progress(&format!("{name}, round {} of {rounds}: {}", round + 1, setup.name()));
                    match work::run(setup, row.load, row.connections, &self.cores, options.quick) {
                        Ok(outcome) => row.cells[at].add(outcome),
                        Err(_) if run.is_over() => return failures, // the signal has interrupted it
                        Err(error) => {
                            row.cells[at] = Cell { failed: true, ..Cell::default() };
                            failures.push(format!("{}, {name}: {error}", setup.name()));
                        }
                    }
                }
            }
        }
        failures
    }

    /// The tables and plots of what is measured so far.
    pub fn report(&self) -> (Vec<Table>, Vec<Plot>) {
        let mut plots = Vec::new();
        for load in LOADS {
            let mut plot = Plot::lines(format!("CPU per message, 16 B, {}", load.name()), "connections", "ns");
            let rows = || self.rows.iter().filter(|row| row.load == load);
            for (at, setup) in self.setups.iter().enumerate() {
                let points = rows().filter_map(|row| Some((row.connections as f64, row.cells[at].cpu.median()?)));
                let points: Vec<_> = points.collect();
                if !points.is_empty() {
                    plot.line(setup.name(), points);
                }
            }
            if rows().next().is_some() {
                plots.push(plot);
            }
        }
        (vec![self.cpu(), self.latency()], plots)
    }

    fn cpu(&self) -> Table {
        let mut table = Table::new("Server CPU per echoed message of 16 B, ns", self.columns());
        for row in &self.rows {
            table.row(
                row.name(),
                row.cells.iter().map(|cell| match cell {
                    Cell { failed: true, .. } => FAILED.into(),
                    Cell { cpu, .. } => match cpu.spread() {
                        Some(spread) => format!("{} ±{}", cpu.shown(figures::plain), figures::percent(spread / 2.0)),
                        None => cpu.shown(figures::plain),
                    },
                }),
            );
        }
        table.note("Medians, ± half the distance between the quartiles.");
        table
    }

    fn latency(&self) -> Table {
        let title = "Latency at a fixed rate, from each message's scheduled time: p50, p99, p99.9";
        let mut columns = self.columns();
        columns.push("sending delay, p99".into());
        let mut table = Table::new(title, columns);
        for row in self.rows.iter().filter(|row| matches!(row.load, Load::Rate(_))) {
            let cells = row.cells.iter().map(|Cell { latency, failed, .. }| match latency[0].median() {
                _ if *failed => FAILED.into(),
                None => latency[0].shown(figures::nanoseconds),
                Some(_) => latency.each_ref().map(|samples| samples.shown(figures::nanoseconds)).join(", "),
            });
            let lateness = row.cells.iter().flat_map(|cell| cell.lateness.values()).copied().collect::<Samples>();
            table.row(row.name(), cells.chain([lateness.shown(figures::nanoseconds)]));
        }
        table.note("The last column is the load generator's own delay, which is part of all other columns.");
        if self.setups.iter().any(|setup| !is_fair(setup, Load::Rate(0), &self.cores)) {
            table.note(
                "A dash: not measured, because the load generator, which does not sleep here, would share a core with a \
                 worker.",
            );
        }
        table
    }

    fn columns(&self) -> Vec<String> {
        std::iter::once("load".to_owned()).chain(self.setups.iter().map(ServerSetup::name)).collect()
    }
}

impl Row {
    fn name(&self) -> String {
        format!("{}, {} connections", self.load.name(), self.connections)
    }
}

impl Cell {
    fn add(&mut self, Outcome { cpu, latency, lateness }: Outcome) {
        self.cpu.push(cpu);
        for (samples, nanoseconds) in self.latency.iter_mut().zip(latency.into_iter().flatten()) {
            samples.push(nanoseconds);
        }
        if let Some(lateness) = lateness {
            self.lateness.push(lateness);
        }
    }
}

/// Returns whether the load generator has a core of its own, if the load needs one.
fn is_fair(setup: &ServerSetup, load: Load, cores: &Cores) -> bool {
    !matches!(load, Load::Rate(_)) || !cores.for_workers(setup.workers()).contains(&cores.load)
}

const LOADS: [Load; 4] = [Load::InFlight(1), Load::InFlight(32), Load::Rate(10_000), Load::Rate(40_000)];
const CONNECTIONS: [usize; 5] = [100, 300, 1000, 3000, 10_000];
const QUICK_CONNECTIONS: [usize; 5] = [10, 30, 100, 300, 1000];
const FAILED: &str = "failed";
