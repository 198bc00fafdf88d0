//! `compression`: permessage-deflate by the engine and by zlib in C, per message and per connection.
//!
//! Many connections take turns, each with different messages. With zlib every connection has its own compressor and
//! decompressor. The frames of both are read back by our engine as a client.

use std::{alloc::System, rc::Rc, time::Duration};

use cap::Cap;
use clap::Parser;
use switchboard::{Connection, Deflate, Delivery, Limits, Prepared};
use switchboard_benches::{
    Outcome,
    compression::{Ends, KINDS, Kind, Messages, ours},
    pairing::Comparison,
    report::{Options, Plot, Run, Table, figures},
};

/// Counts allocated memory, including that of zlib in C.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

#[derive(Debug, Parser)]
#[command(about = "permessage-deflate: messages per second of CPU, bytes on the wire, memory per connection")]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

/// A row of a table.
#[derive(Clone, Copy, Debug)]
struct Row {
    length: usize,
    takeover: bool,
}

impl Row {
    /// Returns the rows to measure, until the run is over.
    fn all(run: &Run, options: &Options) -> impl Iterator<Item = Self> {
        let all = [false, true].into_iter().flat_map(|takeover| LENGTHS.map(|length| Self { length, takeover }));
        all.take_while(|_| !run.is_over()).filter(|row| options.wants(&row.name()))
    }

    /// Returns work that the connections do in turns, each with one message after another. Every window is full before
    /// the measurement begins. The connections are at different messages, because a message is compressed faster when
    /// it was just compressed by another connection, and because zlib must not move all windows at the same time.
    fn in_turn(self, mut work: impl FnMut(usize, usize) -> Outcome<()>) -> Outcome<impl FnMut(u64) -> Outcome<u64>> {
        let remembered = WINDOW_BYTES.div_ceil(self.length);
        let apart = remembered.div_ceil(CONNECTIONS);
        let mut done: Vec<usize> = (0..CONNECTIONS).map(|at| remembered + at * apart).collect();
        for (connection, count) in done.iter().enumerate() {
            (0..*count).try_for_each(|at| work(connection, at))?;
        }
        let mut connections = (0..CONNECTIONS).cycle();
        Ok(move |count| {
            for connection in connections.by_ref().take(count as usize) {
                work(connection, done[connection])?;
                done[connection] += 1;
            }
            Ok(count)
        })
    }

    fn name(self) -> String {
        let takeover = if self.takeover { "context takeover" } else { "no takeover" };
        format!("{}, {takeover}", figures::bytes(self.length as f64))
    }
}

const LENGTHS: [usize; 3] = [256, 1 << 10, 16 << 10];

/// The number of connections that take turns: so many that a connection's data is not always in the cache.
const CONNECTIONS: usize = 64;
/// The maximum window of DEFLATE, which the connections agree on.
const WINDOW_BYTES: usize = 32 << 10;
/// The number of receivers of a fan-out.
const RECEIVERS: usize = 1000;

fn main() -> Outcome<()> {
    let Arguments { options } = Arguments::parse();
    let mut run = Run::begin("compression", &options)?;
    run.peer("flate2", None);
    run.peer("libz-sys", None);
    run.peer("zlib-rs", None);
    let mut plot = Plot::bars(
        "Compression",
        "messages per second of CPU, 1 is zlib at level 1",
        ["ours", "zlib, level 1", "zlib, level 6"],
    );
    let tables = [
        compressing(&run, &options, &mut plot)?,
        inflating(&run, &options)?,
        on_the_wire(&run, &options)?,
        memory(&run, &options)?,
        fan_out(&run, &options)?,
    ];
    run.finish(&tables, &[plot])?;
    Ok(())
}

fn compressing(run: &Run, options: &Options, plot: &mut Plot) -> Outcome<Table> {
    let columns = ["message"].into_iter().chain(KINDS.map(|(name, _)| name)).chain(["spread"]);
    let mut table = Table::new("Compressing: messages per second of CPU", columns);
    for row in Row::all(run, options) {
        let messages = Messages::new(row.length, row.takeover)?;
        let mut comparison = Comparison::default();
        for (name, kind) in KINDS {
            let mut ends = connections(kind, row.takeover, CONNECTIONS)?;
            let (messages, mut out) = (Rc::clone(&messages), Vec::new());
            let work = row.in_turn(move |connection, at| {
                out.clear();
                ends.all()[connection].send(&messages.texts[at % messages.texts.len()], &mut out)
            })?;
            comparison.add(name, work);
        }
        comparison.run(run, &format!("compressing {}", row.name()), rounds(options), each(options))?;
        let names = KINDS.map(|(name, _)| name);
        table.row(row.name(), rates(&comparison, &names, "zlib, level 1"));
        plot.group(row.name(), names.map(|name| comparison.ratio("zlib, level 1", name)));
    }
    table.note(RATES);
    Ok(table)
}

fn inflating(run: &Run, options: &Options) -> Outcome<Table> {
    let kinds = &KINDS[..2];
    let names = ["ours", "zlib"];
    let columns = ["message"].into_iter().chain(names).chain(["spread"]);
    let mut table = Table::new("Unmasking, inflating and checking: messages per second of CPU", columns);
    for row in Row::all(run, options) {
        let messages = Messages::new(row.length, row.takeover)?;
        let mut comparison = Comparison::default();
        for (name, (_, kind)) in names.into_iter().zip(kinds) {
            let mut ends = connections(*kind, row.takeover, CONNECTIONS)?;
            let (messages, mut frame) = (Rc::clone(&messages), Vec::new());
            let work = row.in_turn(move |connection, at| {
                let at = at % messages.texts.len();
                frame.clear();
                frame.extend_from_slice(&messages.frames[at]);
                let mut length = 0;
                ends.all()[connection].receive(&mut frame, &mut |text| length = text.len())?;
                if length == messages.texts[at].len() { Ok(()) } else { Err("a text of another length".into()) }
            })?;
            comparison.add(name, work);
        }
        comparison.run(run, &format!("inflating {}", row.name()), rounds(options), each(options))?;
        table.row(row.name(), rates(&comparison, &names, "zlib"));
    }
    table.note(RATES);
    Ok(table)
}

/// Measures the length of the frames of each kind. Our engine reads them back as a client.
fn on_the_wire(run: &Run, options: &Options) -> Outcome<Table> {
    let columns = ["message"].into_iter().chain(KINDS.map(|(name, _)| name));
    let mut table = Table::new("On the wire: bytes per message", columns);
    for row in Row::all(run, options) {
        run.progress(&format!("on the wire, {}", row.name()));
        let messages = Messages::new(row.length, row.takeover)?;
        let mut cells = Vec::new();
        for (name, kind) in KINDS {
            let mut ends = connections(kind, row.takeover, 1)?;
            let mut frames = Vec::new();
            for text in &messages.texts {
                ends.all()[0].send(text, &mut frames)?;
            }
            let bytes = frames.len() as f64 / messages.texts.len() as f64;
            messages.check_as_client(&mut frames, row.takeover).map_err(|error| format!("{name}: {error}"))?;
            cells.push(figures::plain(bytes));
        }
        table.row(row.name(), cells);
    }
    Ok(table)
}

/// Measures a connection's memory between two messages, after both directions were used. It is the growth from some to
/// more connections, so shared memory does not count.
fn memory(run: &Run, options: &Options) -> Outcome<Table> {
    let columns = ["message", "ours", "zlib"];
    let mut table = Table::new("Memory: bytes per connection, between two messages", columns);
    for row in Row::all(run, options) {
        let messages = Messages::new(row.length, row.takeover)?;
        let mut cells = Vec::new();
        for (_, kind) in &KINDS[..2] {
            run.progress(&format!("memory, {}", row.name()));
            let mut ends = Ends::new(*kind, row.takeover, SOME + MORE);
            let (mut out, mut frame) = (Vec::new(), Vec::new());
            let mut held = Vec::new();
            for count in [SOME, MORE] {
                for _ in 0..count {
                    ends.add()?;
                    let end = ends.all().last_mut().ok_or("nothing was added")?;
                    for at in 0..EXCHANGED {
                        out.clear();
                        end.send(&messages.texts[at], &mut out)?;
                        frame.clone_from(&messages.frames[at]);
                        end.receive(&mut frame, &mut |_| ())?;
                    }
                }
                held.push(ALLOCATOR.allocated() as f64);
            }
            cells.push(figures::plain((held[1] - held[0]) / MORE as f64));
        }
        table.row(row.name(), cells);
    }
    table.note(format!(
        "After {EXCHANGED} messages each way. {} bytes are the connection itself; memory that all connections share does \
         not count. zlib takes the same at every level.",
        size_of::<Connection>()
    ));
    Ok(table)
}

const SOME: usize = 20;
const MORE: usize = 100;
const EXCHANGED: usize = 32;

/// Measures the fan-out of one message to all receivers.
fn fan_out(run: &Run, options: &Options) -> Outcome<Table> {
    let names = ["not compressed", "compressed once", "compressed for each"];
    let columns = ["message"].into_iter().chain(names).chain(["spread"]);
    let mut table = Table::new(format!("Fan-out to {RECEIVERS} receivers: deliveries per second of CPU"), columns);
    for row in Row::all(run, options).filter(|row| !row.takeover) {
        let messages = Messages::new(row.length, false)?;
        let deflate = Deflate::default();
        let all = |deflated: bool| -> Outcome<Vec<Connection>> {
            let plain = || Ok(Connection::server(Limits::default(), Delivery::Messages));
            (0..RECEIVERS).map(|_| if deflated { ours(&deflate, false) } else { plain() }).collect()
        };
        let mut comparison = Comparison::default();
        for (name, deflated, once) in [(names[0], false, true), (names[1], true, true), (names[2], true, false)] {
            let (mut receivers, messages, mut out) = (all(deflated)?, Rc::clone(&messages), Vec::new());
            let mut at = 0;
            comparison.add(name, move |deliveries| {
                let mut done = 0;
                while done < deliveries {
                    let text = &messages.texts[at % messages.texts.len()];
                    let prepared = Prepared::text(text);
                    for receiver in &mut receivers {
                        out.clear();
                        if once {
                            receiver.sender.prepared(&prepared, &mut out)?
                        } else {
                            receiver.sender.text(text, &mut out)?
                        }
                    }
                    at += 1;
                    done += RECEIVERS as u64;
                }
                Ok(done)
            });
        }
        comparison.run(run, &format!("fan-out of {}", row.name()), rounds(options), each(options))?;
        table.row(figures::bytes(row.length as f64), rates(&comparison, &names, names[2]));
    }
    table.note(RATES);
    Ok(table)
}

fn connections(kind: Kind, takeover: bool, count: usize) -> Outcome<Ends> {
    let mut ends = Ends::new(kind, takeover, count);
    (0..count).try_for_each(|_| ends.add())?;
    Ok(ends)
}

/// Returns the cells of a row: messages per second, with the ratio to `base`, and the largest spread.
fn rates(comparison: &Comparison<'_>, names: &[&str], base: &str) -> Vec<String> {
    let cell = |name: &&str| {
        let rate = |nanoseconds: f64| figures::per_second(1e9 / nanoseconds);
        let median = comparison.samples(name).map_or_else(String::new, |samples| samples.shown(rate));
        match comparison.ratio(base, name) {
            Some(ratio) if *name != base => format!("{median} ({})", figures::ratio(ratio)),
            Some(_) | None => median,
        }
    };
    let spread = comparison.spread().map_or_else(String::new, figures::percent);
    names.iter().map(cell).chain([spread]).collect()
}

fn rounds(options: &Options) -> usize {
    options.rounds_or(10, 1)
}

fn each(options: &Options) -> Duration {
    Duration::from_millis(if options.quick { 2 } else { 50 })
}

const RATES: &str = "Medians over all rounds. In brackets: the median of the ratios, in each round, to the column without \
                     brackets. Spread: the distance between the quartiles, the largest of the row.";
