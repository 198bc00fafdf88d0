//! `codec`: the cost of receiving and sending a frame in memory, compared with the peers and a copy of the same bytes.
//!
//! All implementations read the same stream of masked frames, in pieces as large as a read's, or write the same message
//! repeatedly. They are measured in turns, by the CPU time of their thread, and must receive or write every byte.

use std::{rc::Rc, time::Duration};

use clap::Parser;
use switchboard_benches::{
    Outcome,
    codec::{Block, Direction, Payload, RECEIVED, SENT, instructions, receive, send, uwebsockets},
    pairing::Comparison,
    process::UWEBSOCKETS_VERSION,
    report::{Options, Plot, Run, Table, figures},
};

#[derive(Debug, Parser)]
#[command(about = "The engine and its peers in memory: nanoseconds per frame")]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Also count instructions per frame with callgrind, which takes minutes
    #[arg(long)]
    instructions: bool,

    /// Only do some work under valgrind
    #[arg(long, hide = true, num_args = 4)]
    work: Option<Vec<String>>,
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    if let Some(work) = &arguments.work {
        return instructions::work(work);
    }
    let options = &arguments.options;
    let mut run = Run::begin("codec", options)?;
    for peer in ["tungstenite", "fastwebsockets", "tokio-websockets", "yawc"] {
        run.peer(peer, None);
    }
    match uwebsockets::PROGRAM {
        Ok(_) => run.peer(uwebsockets::NAME, Some(UWEBSOCKETS_VERSION)),
        Err(reason) => run.note(format!("No uWebSockets: {reason}")),
    }
    let (receiving, receiving_plot) = receiving(&run, options)?;
    let (sending, sending_plot) = sending(&run, options)?;
    let mut tables = vec![receiving, sending];
    if arguments.instructions {
        match instructions::valgrind() {
            Some(version) => {
                tables.push(counted(&run, options, &version, Direction::Receive)?);
                tables.push(counted(&run, options, &version, Direction::Send)?);
            }
            None => run.note("Instructions are not counted: valgrind is not installed."),
        }
    }
    run.finish(&tables, &[receiving_plot, sending_plot])?;
    Ok(())
}

fn receiving(run: &Run, options: &Options) -> Outcome<(Table, Plot)> {
    let title = "Receiving: ns per masked frame, one copy of its bytes included";
    let add_all = |comparison: &mut Comparison<'_>, payload: Payload| {
        let block = Rc::new(Block::new(payload));
        for (name, implementation) in receive::IMPLEMENTATIONS {
            for read_bytes in receive::READS {
                comparison.add(variant(name, read_bytes), implementation(&block, read_bytes));
            }
        }
        if let Ok(program) = uwebsockets::PROGRAM {
            let bytes = block.bytes.clone();
            let measure = uwebsockets::measuring(program, Direction::Receive, payload, bytes);
            comparison.add_self_timed(uwebsockets::NAME, measure);
        }
    };
    let (mut table, plot) = Engines::receiving().compared(run, options, title, &RECEIVED, add_all)?;
    table.note(
        "Each is measured with reads of 16, 32, 64 and 128 KiB and shown with the best of these, uWebSockets with 64 KiB. \
         Where the program makes the read buffer, its place in the page varies.",
    );
    Ok((table, plot))
}

fn sending(run: &Run, options: &Options) -> Outcome<(Table, Plot)> {
    let title = "Sending: ns per frame of a server, written into a buffer";
    let add_all = |comparison: &mut Comparison<'_>, payload: Payload| {
        for (name, implementation) in send::IMPLEMENTATIONS {
            comparison.add(*name, implementation(&payload));
        }
        if let Ok(program) = uwebsockets::PROGRAM {
            let measure = uwebsockets::measuring(program, Direction::Send, payload, payload.bytes());
            comparison.add_self_timed(uwebsockets::NAME, measure);
        }
    };
    let (mut table, plot) = Engines::sending().compared(run, options, title, &SENT, add_all)?;
    table.note("For yawc and uWebSockets only the encoder is measured, for the others the whole connection.");
    Ok((table, plot))
}

/// Returns the name of an implementation with reads of this size.
fn variant(name: &str, read_bytes: usize) -> String {
    format!("{name}, {} KiB", read_bytes >> 10)
}

/// The implementations of a table.
struct Engines {
    /// All implementations, in the order of columns.
    columns: Vec<&'static str>,
    ours: &'static str,
    peers: Vec<&'static str>,
}

impl Engines {
    fn receiving() -> Self {
        Self::new(receive::IMPLEMENTATIONS, receive::OURS, &receive::PEERS)
    }

    fn sending() -> Self {
        Self::new(send::IMPLEMENTATIONS, send::OURS, &send::PEERS)
    }

    fn new<T>(all: &'static [(&'static str, T)], ours: &'static str, peers: &[&'static str]) -> Self {
        let cxx = uwebsockets::PROGRAM.is_ok().then_some(uwebsockets::NAME);
        let peers: Vec<&str> = cxx.into_iter().chain(peers.iter().copied()).collect();
        let others = all.iter().map(|(name, _)| *name).filter(|name| !peers.contains(name));
        Self { columns: others.chain(peers.iter().copied()).collect(), ours, peers }
    }

    fn compared(
        &self,
        run: &Run,
        options: &Options,
        title: &str,
        payloads: &[Payload],
        add_all: impl Fn(&mut Comparison<'_>, Payload),
    ) -> Outcome<(Table, Plot)> {
        let columns = ["payload"].iter().chain(&self.columns).chain(&["spread"]).copied();
        let mut table = Table::new(title, columns);
        let plotted = || std::iter::once(self.ours).chain(self.peers.iter().copied());
        let short = title.split(':').next().unwrap_or(title);
        let mut plot = Plot::bars(short, "frames per second, 1 is the best peer", plotted());
        for payload in wanted(run, payloads, options) {
            let mut comparison = Comparison::default();
            add_all(&mut comparison, payload);
            comparison.run(run, &format!("{short}, {}", payload.name), rounds(options), each(options))?;
            let shown = |name: &str| best_variant(&comparison, name);
            let peers: Vec<String> = self.peers.iter().map(|name| shown(name)).collect();
            let best = comparison.best(peers.iter().map(String::as_str));
            table.row(payload.name, self.cells(&comparison, best));
            plot.group(payload.name, plotted().map(|name| comparison.ratio(best?, &shown(name))));
        }
        table.note(NOTE);
        Ok((table, plot))
    }

    /// Returns the cells of a row: medians, for ours also the ratio to the best peer, and the largest spread.
    fn cells(&self, comparison: &Comparison<'_>, best: Option<&str>) -> Vec<String> {
        let cell = |column: &&str| {
            let name = &best_variant(comparison, column);
            let median = comparison.samples(name).map_or_else(String::new, |samples| samples.shown(time));
            match best.and_then(|best| comparison.ratio(name, best)) {
                Some(ratio) if self.ours == *column => format!("**{median}** ({})", figures::ratio(ratio)),
                Some(_) | None => median,
            }
        };
        let spread = comparison.spread().map_or_else(String::new, figures::percent);
        self.columns.iter().map(cell).chain([spread]).collect()
    }
}

/// Returns the name of the implementation with the size of reads that it likes best, or its own name if it is measured
/// with one size only.
fn best_variant(comparison: &Comparison<'_>, name: &str) -> String {
    let variants = receive::READS.map(|read_bytes| variant(name, read_bytes));
    let best = comparison.best(variants.iter().map(String::as_str));
    best.unwrap_or(name).to_owned()
}

fn counted(run: &Run, options: &Options, valgrind: &str, direction: Direction) -> Outcome<Table> {
    let (title, engines, payloads) = match direction {
        Direction::Receive => ("Receiving", Engines::receiving(), RECEIVED.as_slice()),
        Direction::Send => ("Sending", Engines::sending(), SENT.as_slice()),
    };
    let title = format!("{title}: instructions per frame");
    let mut table = Table::new(&title, ["payload"].iter().chain(&engines.columns).copied());
    for payload in wanted(run, payloads, options) {
        let mut cells = Vec::new();
        for name in &engines.columns {
            if run.is_over() {
                break;
            }
            run.progress(&format!("{title}, {}: {name}", payload.name));
            cells.push(figures::plain(instructions::per_frame(direction, &payload, name)?));
        }
        table.row(payload.name, cells);
    }
    table.note(format!(
        "Counted by {valgrind}, which has no AVX-512: implementations that would choose it at run time use AVX2 here."
    ));
    Ok(table)
}

/// Returns the rows to measure, until the run is over.
fn wanted(run: &Run, payloads: &[Payload], options: &Options) -> impl Iterator<Item = Payload> {
    let all = payloads.iter().copied().take_while(|_| !run.is_over());
    all.filter(|payload| options.wants(payload.name))
}

fn rounds(options: &Options) -> usize {
    options.rounds_or(20, 1)
}

/// Returns the time of each implementation in a round.
fn each(options: &Options) -> Duration {
    Duration::from_millis(if options.quick { 1 } else { 20 })
}

/// Formats nanoseconds: plain below 2,000, else with a unit.
fn time(nanoseconds: f64) -> String {
    if nanoseconds < 2000.0 { figures::plain(nanoseconds) } else { figures::nanoseconds(nanoseconds) }
}

const NOTE: &str = "Medians over all rounds. In brackets: the median of the ratios to the best peer's time in each \
                    round; less than 1 is faster. Spread: the distance between the quartiles, the largest of the row.";
