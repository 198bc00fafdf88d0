//! `compression`: permessage-deflate by the engine and by zlib in C, per message and per connection.
//!
//! Many connections take turns, each with messages that differ. zlib is used as a server does that gives every connection
//! a compressor and a decompressor of its own; what either sends is read back by our engine as a client.

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

/// Counts what is allocated; zlib in C takes its memory from here too.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

#[derive(Debug, Parser)]
#[command(about = "permessage-deflate: messages per second of CPU, bytes on the wire, memory per connection")]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

/// What a row is about.
#[derive(Clone, Copy, Debug)]
struct Row {
    length: usize,
    takeover: bool,
}

impl Row {
    /// Those that are asked for, until the run is over.
    fn all(run: &Run, options: &Options) -> impl Iterator<Item = Self> {
        let all = [false, true].into_iter().flat_map(|takeover| LENGTHS.map(|length| Self { length, takeover }));
        all.take_while(|_| !run.is_over()).filter(|row| options.wants(&row.name()))
    }

    /// Work that the connections do in turns, each with one message after another. What a connection may remember is full
    /// before any is measured. And not all are equally far: the same message is compressed quicker the next time, and
    /// the moments when zlib moves its windows must not all come at once.
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

/// So many connections take turns: what belongs to one of them is not always in the cache when its turn comes.
const CONNECTIONS: usize = 64;
/// The longest that DEFLATE has, and the one that is agreed on.
const WINDOW_BYTES: usize = 32 << 10;
/// Who gets a message that is sent to many.
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

/// How long the frames are that each of them sends; the first connection's are read by our engine as a client.
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

/// What a connection keeps between its messages, both directions used: the slope from some to more connections, so
/// that what is shared is not in it.
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
        "After {EXCHANGED} messages each way: {} bytes of it are the connection itself; what all connections share is \
         not in it. zlib takes as much at any level.",
        size_of::<Connection>()
    ));
    Ok(table)
}

const SOME: usize = 20;
const MORE: usize = 100;
const EXCHANGED: usize = 32;

/// One message to all receivers.
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

/// A row: messages per second, with the ratio to `base`, and the largest spread.
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

const RATES: &str = "Medians over all rounds. In brackets: how many times as many as the one without brackets, the median \
                     of the ratios in each round. Spread: from quartile to quartile, the widest in the row.";
