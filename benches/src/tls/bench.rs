//! The bench itself: measures all servers, row by row and round by round, so that a disturbance of the machine affects
//! all of them.

use super::{Certificate, TlsSetup, flood::FloodRow, row::Row, tables};
use crate::{
    process::Cores,
    report::{Options, Plot, Run, Samples, Table, rotated},
};

/// The servers, and what is measured of each.
#[derive(Debug)]
pub struct TlsBench {
    pub(super) setups: Vec<TlsSetup>,
    certificate: Certificate,
    cores: Cores,
    pub(super) rows: Vec<(Row, Vec<Cell>)>,
    pub(super) floods: Vec<FloodRow>,
}

/// The results of one server in one row: a value for each round.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// Work per second of CPU, or bytes.
    pub(super) samples: Samples,
    /// Whether the server did something wrong. It is not measured again in this row.
    pub(super) failed: bool,
}

impl TlsBench {
    pub fn new(setups: Vec<TlsSetup>, certificate: Certificate, cores: Cores, options: &Options) -> Self {
        let cells = vec![Cell::default(); setups.len()];
        let rows = Row::all().into_iter().filter(|row| options.wants(&row.name())).map(|row| (row, cells.clone()));
        let floods = FloodRow::all(setups.len()).into_iter().filter(|row| options.wants(row.name()));
        Self { rows: rows.collect(), floods: floods.collect(), setups, certificate, cores }
    }

    /// Measures everything, or until the run is over. Returns a line per failure.
    pub fn measure(&mut self, run: &Run, options: &Options) -> Vec<String> {
        let Self { setups, certificate, cores, rows, floods } = self;
        let rounds = options.rounds_or(8, 1);
        let mut failures = Vec::new();
        for round in 0..rounds {
            for (row, cells) in &mut *rows {
                for at in rotated(setups.len(), round) {
                    let (setup, cell) = (&setups[at], &mut cells[at]);
                    if run.is_over() {
                        return failures;
                    }
                    if cell.failed || !row.is_for(setup) || round >= row.max_rounds() {
                        continue;
                    }
                    run.progress(&format!("{}, round {} of {rounds}: {}", row.name(), round + 1, setup.name()));
                    match row.run(setup, certificate, cores, options.quick) {
                        Ok(figure) => cell.samples.push(figure),
                        Err(_) if run.is_over() => return failures, // the signal has interrupted it
                        Err(error) => {
                            *cell = Cell { failed: true, ..Cell::default() };
                            failures.push(format!("{}, {}: {error}", setup.name(), row.name()));
                        }
                    }
                }
            }
            for row in &mut *floods {
                for at in rotated(setups.len(), round).filter(|at| !setups[*at].is_plain()) {
                    if run.is_over() {
                        return failures;
                    }
                    if row.cells[at].failed {
                        continue;
                    }
                    run.progress(&format!("{}, round {} of {rounds}: {}", row.name(), round + 1, setups[at].name()));
                    match row.run(at, &setups[at], certificate, cores, options.quick) {
                        Ok(()) => {}
                        Err(_) if run.is_over() => return failures, // the signal has interrupted it
                        Err(error) => {
                            row.cells[at].failed = true;
                            failures.push(format!("{}, {}: {error}", setups[at].name(), row.name()));
                        }
                    }
                }
            }
        }
        failures
    }

    /// The tables and plots of what is measured so far.
    pub fn report(&self) -> (Vec<Table>, Vec<Plot>) {
        tables::all(self)
    }
}
