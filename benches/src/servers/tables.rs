//! The tables and plots of the results.

use super::{
    results::{Cell, Results},
    row::Row,
};
use crate::report::{Plot, Samples, Table, figures, ratios};

pub(super) fn all(results: &Results) -> (Vec<Table>, Vec<Plot>) {
    let tables = [throughput(results), user_time(results), cost(results), latency(results)];
    let plots = [
        plot(results, "Echo", |row| matches!(row, Row::Echo { .. })),
        plot(results, "Fan-out", |row| matches!(row, Row::FanOut { .. })),
    ];
    (tables.into_iter().flatten().collect(), plots.into_iter().flatten().collect())
}

fn throughput(results: &Results) -> Option<Table> {
    let reference = results.reference;
    let names = &results.names;
    let title = results.title("Messages per second of server CPU");
    let mut table = Table::new(title, [&["work"], names.as_slice()].concat());
    for (row, cells) in rows(results, is_traffic) {
        let figures = cells.iter().enumerate().map(|(at, cell)| {
            if cell.failed {
                return FAILED.into();
            }
            let figure = cell.samples.shown(figures::per_second);
            if at == reference { figure } else { with_ratio(figure, &cell.samples, &cells[reference].samples) }
        });
        table.row(row.name(), figures);
    }
    table.note(format!(
        "User and system time together, medians. In brackets: the median of the ratios to {} in each round, and \
         half the distance between their quartiles.",
        names[reference]
    ));
    (!table.is_empty()).then_some(table)
}

fn user_time(results: &Results) -> Option<Table> {
    let title = results.title("User-mode time per message, ns");
    let mut table = Table::new(title, [&["work"], results.names.as_slice()].concat());
    for (row, cells) in rows(results, is_traffic) {
        table.row(
            row.name(),
            cells.iter().map(|cell| {
                if cell.done == 0 {
                    return NONE.into();
                }
                let figure = figures::plain(cell.cpu.user_nanoseconds() / cell.done as f64);
                if cell.cpu.nanoseconds < MIN_SAMPLED { format!("~{figure}") } else { figure }
            }),
        );
    }
    table.note(
        "The kernel only samples the mode of a process, so these are estimates. `~` marks those from less than \
         30 s of CPU; `--rounds 30` is enough for all rows.",
    );
    (!table.is_empty()).then_some(table)
}

fn cost(results: &Results) -> Option<Table> {
    let reference = results.reference;
    let names = &results.names;
    let mut table = Table::new("Per connection", [&["what"], names.as_slice()].concat());
    let wanted = |row: Row| matches!(row, Row::Handshakes | Row::Idle { .. });
    for (row, cells) in rows(results, wanted) {
        let figures = cells.iter().enumerate().map(|(at, cell)| {
            if cell.failed {
                return FAILED.into();
            }
            let samples = if row == Row::Handshakes { microseconds(&cell.samples) } else { cell.samples.clone() };
            let figure = samples.shown(figures::plain);
            if at == reference || row != Row::Handshakes {
                return figure;
            }
            with_ratio(figure, &samples, &microseconds(&cells[reference].samples))
        });
        table.row(row.name(), figures);
    }
    table.note("A handshake's CPU time includes the end of the connection, a reset.");
    (!table.is_empty()).then_some(table)
}

fn latency(results: &Results) -> Option<Table> {
    let mut table = Table::new("Latency: p50, p99, p99.9", [&["what"], results.names.as_slice()].concat());
    for (row, cells) in rows(results, |row| matches!(row, Row::Latency { .. })) {
        table.row(
            row.name(),
            cells.iter().map(|cell| {
                let Cell { samples, tails: [p99, p999], failed, .. } = cell;
                if *failed {
                    return FAILED.into();
                }
                [samples, p99, p999].map(|samples| samples.shown(figures::nanoseconds)).join(", ")
            }),
        );
    }
    table.note(
        "The time from a message to its answer, one message at a time on each connection; medians over the rounds.",
    );
    (!table.is_empty()).then_some(table)
}

/// Ratios, ours first.
fn plot(results: &Results, what: &str, wanted: impl Fn(Row) -> bool) -> Option<Plot> {
    let names = &results.names;
    let reference = results.reference;
    let order: Vec<usize> = (0..names.len()).rev().collect();
    let title = results.title(&format!("{what}: messages per second of server CPU, {} = 1", names[reference]));
    let mut plot = Plot::bars(title, "ratio", order.iter().map(|&at| names[at]));
    let rows: Vec<_> = rows(results, wanted).collect();
    for (row, cells) in &rows {
        let ratio = |at: usize| ratios(&cells[at].samples, &cells[reference].samples).median();
        plot.group(row.name(), order.iter().map(|&at| ratio(at)));
    }
    (!rows.is_empty()).then_some(plot)
}

fn rows(results: &Results, wanted: impl Fn(Row) -> bool) -> impl Iterator<Item = (Row, &[Cell])> {
    results.rows.iter().filter(move |(row, _)| wanted(*row)).map(|(row, cells)| (*row, cells.as_slice()))
}

fn is_traffic(row: Row) -> bool {
    matches!(row, Row::Echo { .. } | Row::FanOut { .. })
}

/// `4.3 M (1.01 ±0.03)`
fn with_ratio(figure: String, samples: &Samples, reference: &Samples) -> String {
    match ratios(samples, reference).spread_shown(figures::ratio) {
        Some(ratio) => format!("{figure} ({ratio})"),
        None => figure,
    }
}

/// Returns microseconds per item from items per second.
fn microseconds(per_second: &Samples) -> Samples {
    per_second.values().iter().map(|per_second| 1e6 / per_second).collect()
}

const FAILED: &str = "failed";
const NONE: &str = "–";
/// The CPU time from which an estimate from samples is good, in nanoseconds.
const MIN_SAMPLED: u64 = 30_000_000_000;
