//! The bench itself: measures all tested servers, row by row and round by round, so that a disturbance of the machine
//! affects all of them.

use super::{
    results::{Cell, Results},
    row::Row,
    tables,
};
use crate::{
    process::{Cores, TestedServer},
    report::{Options, Plot, Run, Table, rotated},
};

/// The tested servers, and what is measured of each.
#[derive(Debug)]
pub struct ServersBench {
    tested_servers: Vec<TestedServer>,
    cores: Cores,
    results: Results,
}

impl ServersBench {
    /// A bench of these servers in these rows, or in those that the options want. All titles begin with `heading`.
    pub fn new(
        heading: &'static str,
        tested_servers: Vec<TestedServer>,
        rows: Vec<Row>,
        cores: Cores,
        options: &Options,
    ) -> Self {
        let rows = rows.into_iter().filter(|row| options.wants(&row.name()));
        let results = Results::new(heading, &tested_servers, rows);
        Self { tested_servers, cores, results }
    }

    /// Measures all rows, or until the run is over. Returns a line per failure.
    pub fn measure(&mut self, run: &Run, options: &Options) -> Vec<String> {
        let rounds = options.rounds_or(10, 1);
        let mut failures = Vec::new();
        for round in 0..rounds {
            for (row, cells) in &mut self.results.rows {
                for at in rotated(self.tested_servers.len(), round) {
                    let (server, cell) = (&self.tested_servers[at], &mut cells[at]);
                    if run.is_over() {
                        return failures;
                    }
                    if cell.failed || !row.is_for(server) || round >= row.max_rounds() {
                        continue;
                    }
                    let (name, row_name) = (server.name(), row.name());
                    run.progress(&format!("{row_name}, round {} of {rounds}: {name}", round + 1));
                    match row.run(server, &self.cores, options.quick) {
                        Ok(outcome) => cell.add(outcome),
                        Err(_) if run.is_over() => return failures, // the signal has interrupted it
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

    /// The tables and plots of what is measured so far.
    pub fn report(&self) -> (Vec<Table>, Vec<Plot>) {
        tables::all(&self.results)
    }
}
