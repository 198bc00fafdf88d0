//! What the users notice of floods by others: the same load without a flood and with each kind, round by round.

use super::{
    chat_load::Pace,
    flood::{FloodKind, Stage},
    runner::{Flooded, Runner},
};
use crate::report::{Options, Run, Samples, Table, figures, rotated};

/// The results by flood.
#[derive(Debug)]
pub(super) struct Fairness {
    stage: Stage,
    /// The first one is without a flood.
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    flood: Option<FloodKind>,
    /// p50 and p99.
    delivery: [Samples; 2],
    /// The maximum over all rounds, in nanoseconds.
    longest_delivery: u64,
    /// The p99, less that of the round without a flood.
    delay: Samples,
    /// The largest part of messages refused in a round.
    refused: f64,
    lateness: Samples,
    /// What the flood has got per second.
    got: Samples,
    has_failed: bool,
}

impl Fairness {
    pub(super) fn new(options: &Options) -> Self {
        let floods = FloodKind::ALL.into_iter().map(Some).filter(|flood| options.wants(&name(*flood)));
        let mut rows: Vec<_> = floods.map(Row::new).collect();
        if !rows.is_empty() {
            rows.insert(0, Row::new(None));
        }
        Self { stage: if options.quick { QUICK_STAGE } else { STAGE }, rows }
    }

    /// Measures everything once, or until the run is over. Returns a text for each failure.
    pub(super) fn measure(&mut self, runner: &Runner, run: &Run, round: usize) -> Vec<String> {
        let mut failures = Vec::new();
        for at in rotated(self.rows.len(), round) {
            let row = &mut self.rows[at];
            if run.is_over() {
                return failures;
            }
            if row.has_failed {
                continue;
            }
            run.progress(&format!("{}, round {}", name(row.flood), round + 1));
            match runner.run_flooded(row.flood, self.stage, PACE) {
                Ok(flooded) => row.add(&flooded),
                Err(_) if run.is_over() => return failures, // a signal has interrupted it
                Err(error) => {
                    row.has_failed = true;
                    failures.push(format!("{}: {error}", name(row.flood)));
                }
            }
        }
        if let [quiet, flooded @ ..] = &mut *self.rows {
            for row in flooded {
                if let (Some(p99), Some(quiet)) = (row.delivery[1].values().last(), quiet.delivery[1].values().last()) {
                    row.delay.push((p99 - quiet).max(0.0));
                }
            }
        }
        failures
    }

    /// Returns a text for each flood that the users notice too much of.
    pub(super) fn unfair(&self) -> Vec<String> {
        let mut unfair = Vec::new();
        for row in &self.rows {
            let name = name(row.flood);
            if let Some(delay) = row.delay.median().filter(|delay| *delay > MAX_DELAY) {
                let (delay, max) = (figures::nanoseconds(delay), figures::nanoseconds(MAX_DELAY));
                unfair.push(format!("{name}: it delays the p99 of the others by {delay}, more than {max}"));
            }
            if row.refused > 0.0 {
                unfair.push(format!("{name}: up to {:.1} % of the others' messages are refused", row.refused * 100.0));
            }
        }
        unfair
    }

    pub(super) fn table(&self) -> Table {
        let title = "Delivery latency at 500 per second while others flood the chat: p50, p99, max";
        let columns = ["flood by", "delivery", "p99 above no flood", "refused", "the flood gets", "send lateness, p99"];
        let mut table = Table::new(title, columns);
        for row in &self.rows {
            let name = row.flood.map_or("nobody", FloodKind::name);
            if row.has_failed {
                table.row(name, ["failed"]);
                continue;
            }
            if row.lateness.values().is_empty() {
                continue;
            }
            let [p50, p99] = row.delivery.each_ref().map(|samples| samples.shown(figures::nanoseconds));
            let longest = figures::nanoseconds(row.longest_delivery as f64);
            table.row(
                name,
                [
                    format!("{p50}, {p99}, {longest}"),
                    row.delay.shown(figures::nanoseconds),
                    format!("{:.1} %", row.refused * 100.0),
                    row.got.shown(|got| match row.flood {
                        Some(FloodKind::Strangers) => format!("{} answers/s", figures::per_second(got)),
                        Some(_) | None => format!("{}/s", figures::bytes(got)),
                    }),
                    row.lateness.shown(figures::nanoseconds),
                ],
            );
        }
        table
            .note("In memory. A flood that delays the p99 by more than 50 ms, or gets messages refused, is a failure.");
        table
    }
}

impl Row {
    fn new(flood: Option<FloodKind>) -> Self {
        Self {
            flood,
            delivery: Default::default(),
            longest_delivery: 0,
            delay: Samples::default(),
            refused: 0.0,
            lateness: Samples::default(),
            got: Samples::default(),
            has_failed: false,
        }
    }

    fn add(&mut self, flooded: &Flooded) {
        for (samples, part) in self.delivery.iter_mut().zip([0.5, 0.99]) {
            samples.push(flooded.delivery.value_at_quantile(part) as f64);
        }
        self.longest_delivery = self.longest_delivery.max(flooded.delivery.max());
        self.refused = self.refused.max(flooded.refused);
        self.lateness.push(flooded.lateness.value_at_quantile(0.99) as f64);
        if self.flood.is_some() {
            self.got.push(flooded.got);
        }
    }
}

fn name(flood: Option<FloodKind>) -> String {
    flood.map_or("no flood".to_owned(), |kind| format!("flood by {}", kind.name()))
}

const PACE: Pace = Pace::PerSecond(500);
const STAGE: Stage = Stage { rooms: 10_000, connections_each: 20 };
const QUICK_STAGE: Stage = Stage { rooms: 100, connections_each: 4 };
/// The longest delay of the others' p99 by a flood, in nanoseconds.
const MAX_DELAY: f64 = 50e6;
