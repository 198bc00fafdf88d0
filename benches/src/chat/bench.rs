//! Runs all loads with both kinds of storage, round by round, and reports the results.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use hdrhistogram::Histogram;

use super::{
    chat_load::Pace,
    clients::Size,
    data_dir,
    fairness::Fairness,
    messages::TEXT_BYTES,
    runner::{DiskUsage, Measurement, Runner, Storage},
};
use crate::{
    load::{Times, histogram},
    process::Cores,
    report::{Options, Plot, Run, Samples, Table, figures, ratios, rotated},
};

/// The results of the chat under load, by pace and by storage.
#[derive(Debug)]
pub struct ChatBench {
    runner: Runner,
    rows: Vec<Row>,
    fairness: Fairness,
    /// The size of the data before the first message, in bytes.
    baseline_bytes: Option<u64>,
    /// Times of durable 4 KiB writes, in nanoseconds.
    write_times: Histogram<u64>,
}

#[derive(Debug)]
struct Row {
    pace: Pace,
    /// By storage, in the order of [`Storage::ALL`].
    cells: [Cell; 2],
}

#[derive(Clone, Debug, Default)]
struct Cell {
    acknowledged: Samples,
    delivered: Samples,
    cpu: Samples,
    chat_cpu: Samples,
    busy: Samples,
    /// p50 and p99.
    delivery: [Samples; 2],
    /// The maximum over all rounds.
    longest_delivery: u64,
    /// p50 and p99.
    acknowledgement: [Samples; 2],
    lateness: Samples,
    written: Samples,
    stored: Samples,
    failed: bool,
}

impl ChatBench {
    /// Prepares runs of `program` with its data in memory and in a directory below `data_root`.
    ///
    /// Creates `data_root` if it does not exist.
    ///
    /// # Errors
    /// An I/O error.
    pub fn new(program: PathBuf, data_root: &Path, cores: Cores, options: &Options) -> io::Result<Self> {
        fs::create_dir_all(data_root)?;
        let (size, times) = if options.quick { (QUICK_SIZE, QUICK_TIMES) } else { (SIZE, TIMES) };
        let rows = PACES.into_iter().map(|pace| Row { pace, cells: [Cell::default(), Cell::default()] });
        Ok(Self {
            runner: Runner { program, data_root: data_root.to_owned(), cores, size, times },
            rows: rows.filter(|row| options.wants(&row.name())).collect(),
            fairness: Fairness::new(options),
            baseline_bytes: None,
            write_times: histogram()?,
        })
    }

    /// Describes the users, the rooms, the texts and the file system, for the head of the results.
    ///
    /// # Errors
    /// The list of mounted file systems cannot be read.
    pub fn summary(&self) -> io::Result<String> {
        let Size { users, rooms } = self.runner.size;
        let kind = data_dir::file_system(&self.runner.data_root)?;
        Ok(format!("{users} users in {rooms} rooms, texts of {TEXT_BYTES} B; durable: on {kind}"))
    }

    /// Measures everything, or until the run is over. Returns a text for each failure.
    pub fn measure(&mut self, run: &Run, options: &Options) -> Vec<String> {
        let rounds = options.rounds_or(5, 1);
        let mut failures = Vec::new();
        for round in 0..rounds {
            run.progress(&format!("the disk, round {} of {rounds}", round + 1));
            if let Err(error) = self.measure_disk(if options.quick { QUICK_WRITES } else { WRITES }) {
                failures.push(format!("the disk: {error}"));
                return failures;
            }
            for row in &mut self.rows {
                for at in rotated(Storage::ALL.len(), round) {
                    let (storage, name) = (Storage::ALL[at], row.name());
                    if run.is_over() {
                        return failures;
                    }
                    if row.cells[at].failed {
                        continue;
                    }
                    run.progress(&format!("{name}, round {} of {rounds}: {}", round + 1, storage.name()));
                    match self.runner.run(storage, row.pace) {
                        Ok(measurement) => row.cells[at].add(&measurement, self.baseline_bytes),
                        Err(_) if run.is_over() => return failures, // a signal has interrupted it
                        Err(error) => {
                            row.cells[at] = Cell { failed: true, ..Cell::default() };
                            failures.push(format!("{}, {name}: {error}", storage.name()));
                        }
                    }
                }
            }
            failures.extend(self.fairness.measure(&self.runner, run, round));
        }
        if !options.quick {
            failures.extend(self.fairness.unfair());
        }
        failures
    }

    fn measure_disk(&mut self, writes: u64) -> io::Result<()> {
        if self.baseline_bytes.is_none() {
            self.baseline_bytes = Some(self.runner.baseline_bytes()?);
        }
        self.write_times.add(self.runner.write_times(writes)?).map_err(io::Error::other)
    }

    /// Returns the tables and plots of the results.
    pub fn report(&self) -> (Vec<Table>, Vec<Plot>) {
        let fairness = self.fairness.table();
        let tables = [self.throughput(), self.cpu(), self.delivery(), self.acknowledgement(), self.disk(), fairness];
        let plot = self.rows.iter().any(Row::is_saturating).then(|| self.plot());
        (tables.into_iter().filter(|table| !table.is_empty()).collect(), plot.into_iter().collect())
    }

    fn throughput(&self) -> Table {
        let mut table = Table::new("Messages per second: acknowledged, delivered", columns(&["durable to memory"]));
        for row in self.rows.iter().filter(|row| row.is_saturating()) {
            let shown = |cell: &Cell| {
                [&cell.acknowledged, &cell.delivered].map(|samples| samples.shown(figures::per_second)).join(", ")
            };
            let [memory, durable] = &row.cells;
            let ratios = ratios(&durable.acknowledged, &memory.acknowledged);
            let ratio = match (ratios.median(), ratios.quartiles()) {
                (Some(median), Some((low, high))) => {
                    format!("{} ±{}", figures::ratio(median), figures::ratio((high - low) / 2.0))
                }
                _ => NONE.into(),
            };
            table.row(row.name(), row.shown(shown).into_iter().chain([ratio]));
        }
        table.note("Medians; ± is half the distance between the quartiles of the round-by-round ratios.");
        table
    }

    fn cpu(&self) -> Table {
        let title = "Server CPU per message with all its deliveries: total, chat thread; server busy";
        let mut table = Table::new(title, columns(&[]));
        for row in &self.rows {
            let cells = row.shown(|cell| {
                let [cpu, chat] = [&cell.cpu, &cell.chat_cpu].map(|samples| samples.shown(figures::nanoseconds));
                format!("{cpu}, {chat}; {}", cell.busy.shown(figures::percent))
            });
            table.row(row.name(), cells);
        }
        table.note("A server below 100 % waits for the disk, for input, or for other processes on the machine.");
        table
    }

    fn delivery(&self) -> Table {
        let title = "Delivery latency, from sending a message to each member's receipt: p50, p99, max";
        let mut table = Table::new(title, columns(&["send lateness, p99"]));
        for row in &self.rows {
            let cells = row.shown(|cell| {
                let [p50, p99] = cell.delivery.each_ref().map(|samples| samples.shown(figures::nanoseconds));
                format!("{p50}, {p99}, {}", figures::nanoseconds(cell.longest_delivery as f64))
            });
            let lateness = row.cells.iter().flat_map(|cell| cell.lateness.values()).copied().collect::<Samples>();
            table.row(row.name(), cells.into_iter().chain([lateness.shown(figures::nanoseconds)]));
        }
        table.note("The last column is the load generator's own delay, for loads that send at fixed times.");
        table
    }

    fn acknowledgement(&self) -> Table {
        let mut table = Table::new("Acknowledgement latency, from sending a message: p50, p99", columns(&[]));
        for row in &self.rows {
            let shown = |cell: &Cell| {
                cell.acknowledgement.each_ref().map(|samples| samples.shown(figures::nanoseconds)).join(", ")
            };
            table.row(row.name(), row.shown(shown));
        }
        table
    }

    fn disk(&self) -> Table {
        let columns: Vec<String> = ["disk usage".into()].into_iter().chain(self.rows.iter().map(Row::name)).collect();
        let mut table = Table::new("Disk", columns);
        let durable = |figure: fn(&Cell) -> &Samples| {
            let cells = self.rows.iter().map(|row| &row.cells[1]);
            cells.map(move |cell| if cell.failed { FAILED.into() } else { figure(cell).shown(figures::bytes) })
        };
        table.row("data per message", durable(|cell| &cell.stored));
        table.row("written per message", durable(|cell| &cell.written));
        let [p50, p99] = [0.5, 0.99].map(|part| figures::nanoseconds(self.write_times.value_at_quantile(part) as f64));
        table.note(format!("A durable write of 4 KiB takes {p50} (p50), {p99} (p99) while no server runs."));
        table
    }

    fn plot(&self) -> Plot {
        let names = Storage::ALL.map(Storage::name);
        let mut plot = Plot::bars("Acknowledged messages", "per second", names);
        for row in self.rows.iter().filter(|row| row.is_saturating()) {
            plot.group(row.name(), row.cells.iter().map(|cell| cell.acknowledged.median()));
        }
        plot
    }
}

impl Row {
    fn name(&self) -> String {
        match self.pace {
            Pace::InFlight(count) => format!("{} in flight", figures::plain(count as f64)),
            Pace::PerSecond(rate) => format!("{rate} per second"),
        }
    }

    /// Returns whether the load is limited only by the server.
    fn is_saturating(&self) -> bool {
        matches!(self.pace, Pace::InFlight(_))
    }

    fn shown(&self, figure: impl Fn(&Cell) -> String) -> [String; 2] {
        self.cells.each_ref().map(|cell| match (cell.failed, cell.acknowledged.median()) {
            (true, _) => FAILED.into(),
            (false, None) => NONE.into(),
            (false, Some(_)) => figure(cell),
        })
    }
}

impl Cell {
    fn add(&mut self, measurement: &Measurement, baseline_bytes: Option<u64>) {
        self.acknowledged.push(measurement.acknowledged);
        self.delivered.push(measurement.delivered);
        self.cpu.push(measurement.cpu);
        self.chat_cpu.push(measurement.chat_cpu);
        self.busy.push(measurement.busy);
        for (at, part) in [0.5, 0.99].into_iter().enumerate() {
            self.delivery[at].push(measurement.delivery.value_at_quantile(part) as f64);
            self.acknowledgement[at].push(measurement.acknowledgement.value_at_quantile(part) as f64);
        }
        self.longest_delivery = self.longest_delivery.max(measurement.delivery.max());
        if !measurement.lateness.is_empty() {
            self.lateness.push(measurement.lateness.value_at_quantile(0.99) as f64);
        }
        if let (Some(DiskUsage { written, bytes, messages }), Some(baseline)) = (measurement.disk, baseline_bytes) {
            self.written.push(written);
            self.stored.push((bytes as f64 - baseline as f64) / messages as f64);
        }
    }
}

fn columns(more: &[&'static str]) -> Vec<&'static str> {
    let storages = Storage::ALL.map(Storage::name);
    ["load"].iter().chain(&storages).chain(more).copied().collect()
}

const PACES: [Pace; 3] = [Pace::InFlight(256), Pace::InFlight(1024), Pace::PerSecond(500)];
const SIZE: Size = Size { users: 1000, rooms: 20 };
const QUICK_SIZE: Size = Size { users: 100, rooms: 4 };
/// Longer than in other benches, to include the database's occasional work, such as checkpoints.
const TIMES: Times = Times { warm_up: Duration::from_millis(500), window: Duration::from_millis(2000) };
const QUICK_TIMES: Times = Times { warm_up: Duration::from_millis(50), window: Duration::from_millis(250) };
/// The number of durable writes measured in a round.
const WRITES: u64 = 200;
const QUICK_WRITES: u64 = 20;
const FAILED: &str = "failed";
const NONE: &str = "–";
