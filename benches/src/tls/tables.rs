//! The tables and plots of the results.

use super::{
    bench::{Cell, TlsBench},
    flood,
    row::{Reference, Row},
};
use crate::report::{Plot, Table, figures, ratios};

pub(super) fn all(bench: &TlsBench) -> (Vec<Table>, Vec<Plot>) {
    let mut tables = vec![work(bench, "Messages per second of server CPU", is_traffic)];
    tables.push(work(bench, "Handshakes per second of server CPU", |row| matches!(row, Row::Handshakes(..))));
    tables.push(memory(bench));
    tables.retain(|table| !table.is_empty());
    if !bench.floods.is_empty() {
        tables.push(flood::table(&bench.floods, &bench.setups));
    }
    (tables, plot(bench).into_iter().collect())
}

fn work(bench: &TlsBench, title: &str, wanted: impl Fn(Row) -> bool) -> Table {
    let names = bench.setups.iter().map(|setup| setup.name());
    let columns: Vec<_> = ["work"].into_iter().chain(names).chain(["ours / without TLS", "ours / rustls"]).collect();
    let mut table = Table::new(title, columns);
    for (row, cells) in bench.rows.iter().filter(|(row, _)| wanted(*row)) {
        let figures = cells.iter().map(|cell| match cell {
            Cell { failed: true, .. } => FAILED.into(),
            Cell { samples, .. } => samples.shown(figures::per_second),
        });
        let ratios = [Reference::Plain, Reference::Bare].map(|reference| ratio(bench, *row, cells, reference));
        table.row(row.name(), figures.chain(ratios));
    }
    table.note(
        "User and system time together, medians. The ratios are the medians of those in each round, ± half the distance \
         between their quartiles; in brackets our aim.",
    );
    table
}

/// Shows how much our program does, compared with a reference.
fn ratio(bench: &TlsBench, row: Row, cells: &[Cell], reference: Reference) -> String {
    let ratios = ratios(&cells[ours(bench)].samples, &cells[index(bench, reference)].samples);
    match (ratios.spread_shown(figures::ratio), row.aim(reference)) {
        (Some(shown), Some(aim)) => format!("{shown} (≥ {aim})"),
        (Some(shown), None) => shown,
        (None, _) => NONE.into(),
    }
}

fn memory(bench: &TlsBench) -> Table {
    let mut table = Table::new("Per connection", ["what"].into_iter().chain(bench.setups.iter().map(|s| s.name())));
    for (row, cells) in bench.rows.iter().filter(|(row, _)| *row == Row::Idle) {
        table.row(
            row.name(),
            cells.iter().map(|cell| if cell.failed { FAILED.into() } else { cell.samples.shown(figures::plain) }),
        );
    }
    table.note("Our aim is at most 4,096 bytes.");
    table
}

/// Ratios, ours first.
fn plot(bench: &TlsBench) -> Option<Plot> {
    let order: Vec<usize> = (0..bench.setups.len()).rev().collect();
    let reference = index(bench, Reference::Bare);
    let title = format!("Work per second of server CPU over TLS, {} = 1", bench.setups[reference].name());
    let mut plot = Plot::bars(title, "ratio", order.iter().map(|&at| bench.setups[at].name()));
    let rows: Vec<_> = bench.rows.iter().filter(|(row, _)| *row != Row::Idle).collect();
    for (row, cells) in &rows {
        let ratio = |at: usize| ratios(&cells[at].samples, &cells[reference].samples).median();
        plot.group(row.name(), order.iter().map(|&at| ratio(at)));
    }
    (!rows.is_empty()).then_some(plot)
}

fn ours(bench: &TlsBench) -> usize {
    bench.setups.iter().position(|setup| setup.is_ours()).unwrap_or_default()
}

fn index(bench: &TlsBench, reference: Reference) -> usize {
    let position = bench.setups.iter().position(|setup| match reference {
        Reference::Plain => setup.is_plain(),
        Reference::Bare => setup.is_bare(),
    });
    position.unwrap_or_default()
}

fn is_traffic(row: Row) -> bool {
    matches!(row, Row::Echo { .. } | Row::FanOut { .. })
}

const FAILED: &str = "failed";
const NONE: &str = "–";
