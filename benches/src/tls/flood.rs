//! What others notice of a flood of handshakes: the latency of their messages without a flood and with each kind.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Certificate, TlsSetup};
use crate::{
    load::{KeyExchange, Paced, Times, TlsHandshakeKind, TlsHandshakes, Work},
    peers::Mode,
    process::Cores,
    report::{Samples, Table, figures},
};

/// A kind of flood, and what was measured of each server.
#[derive(Debug)]
pub(super) struct FloodRow {
    kind: Option<TlsHandshakeKind>,
    pub(super) cells: Vec<FloodCell>,
}

/// The results of one server during one kind of flood: a value for each round.
#[derive(Clone, Debug, Default)]
pub(super) struct FloodCell {
    p50: Samples,
    p99: Samples,
    /// The p99 of the load generator's own delay.
    lateness: Samples,
    /// Handshakes per second.
    handshakes: Samples,
    pub(super) failed: bool,
}

impl FloodRow {
    /// Returns the rows for `servers` servers.
    pub(super) fn all(servers: usize) -> Vec<Self> {
        let kinds = [TlsHandshakeKind::Full, TlsHandshakeKind::Resumed, TlsHandshakeKind::Aborted].map(Some);
        let row = |kind| Self { kind, cells: vec![FloodCell::default(); servers] };
        std::iter::once(None).chain(kinds).map(row).collect()
    }

    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            None => "flood of no handshakes",
            Some(TlsHandshakeKind::Full) => "flood of full handshakes",
            Some(TlsHandshakeKind::Resumed) => "flood of resumed handshakes",
            Some(TlsHandshakeKind::Aborted) => "flood of handshakes, aborted",
        }
    }

    /// Starts the server at the index `at`, measures it, and ends it.
    pub(super) fn run(
        &mut self,
        at: usize,
        setup: &TlsSetup,
        certificate: &Certificate,
        cores: &Cores,
        quick: bool,
    ) -> io::Result<()> {
        let (server, target) = setup.start(Mode::Echo, certificate, KeyExchange::X25519MlKem768, cores)?;
        let mut flood = self.kind.map(|kind| TlsHandshakes::new(target.clone(), kind)).transpose()?;
        let mut others = Paced::start(target, CONNECTIONS, PAYLOAD_BYTES, PER_SECOND)?;
        let Times { warm_up, window } = if quick { Times::QUICK } else { TIMES };
        let done = |flood: &Option<TlsHandshakes>| flood.as_ref().map_or(0, Work::done);
        others.run_beside(Instant::now() + warm_up, || flood.as_mut().map_or(Ok(()), TlsHandshakes::step))?;
        others.forget();
        let (begin, before) = (Instant::now(), done(&flood));
        others.run_beside(begin + window, || flood.as_mut().map_or(Ok(()), TlsHandshakes::step))?;
        let cell = &mut self.cells[at];
        cell.handshakes.push((done(&flood) - before) as f64 / begin.elapsed().as_secs_f64());
        cell.p50.push(others.nanoseconds().value_at_quantile(0.5) as f64);
        cell.p99.push(others.nanoseconds().value_at_quantile(0.99) as f64);
        cell.lateness.push(others.lateness().value_at_quantile(0.99) as f64);
        drop(server);
        Ok(())
    }
}

/// Returns the table of all floods.
pub(super) fn table(rows: &[FloodRow], setups: &[TlsSetup]) -> Table {
    let title = "Latency of echoes of 16 B, 1 k per second, while others flood the server with handshakes: p50, p99";
    let shown = |at: &usize| !setups[*at].is_plain();
    let names = (0..setups.len()).filter(shown).map(|at| setups[at].name());
    let columns: Vec<_> = ["load"].into_iter().chain(names).chain(["sending delay, p99"]).collect();
    let mut table = Table::new(title, columns);
    for row in rows {
        let cells = (0..setups.len()).filter(shown).map(|at| row.cells[at].shown(row.kind.is_some()));
        let lateness: Samples = row.cells.iter().flat_map(|cell| cell.lateness.values()).copied().collect();
        table.row(row.name(), cells.chain([lateness.shown(figures::nanoseconds)]));
    }
    table.note(format!(
        "X25519MLKEM768; {} connections at a time. In brackets: handshakes per second, of which the load generator does \
         its own part on its own core. Our aim is a p99 of at most 5 ms. The last column is the load generator's own \
         delay, which is part of all other columns.",
        TlsHandshakes::AT_ONCE,
    ));
    table
}

impl FloodCell {
    fn shown(&self, is_flood: bool) -> String {
        let Self { p50, p99, handshakes, failed, .. } = self;
        if *failed {
            return "failed".into();
        }
        let latency = [p50, p99].map(|samples| samples.shown(figures::nanoseconds)).join(", ");
        if is_flood { format!("{latency} ({})", handshakes.shown(figures::per_second)) } else { latency }
    }
}

const CONNECTIONS: usize = 64;
const PAYLOAD_BYTES: usize = 16;
const PER_SECOND: u32 = 1000;
const TIMES: Times = Times { warm_up: Duration::from_millis(250), window: Duration::from_millis(2000) };
