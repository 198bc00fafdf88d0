//! A simulated network, poller and clock, driven by one seed, in place of the system's. For this crate's tests only.
//!
//! A connection is two flows of bytes. Written bytes wait in the writer's send buffer, move to the reader's receive
//! buffer in pieces of any length after some delay, and wait there to be read. Both buffers are bounded.
//!
//! Ends, resets and readiness behave as on Linux. After a reset, bytes that have arrived can still be read; then the
//! error is returned once, and then the end. Closing a socket with unread bytes resets the connection. Readiness is
//! announced at its edges, sometimes spuriously, and bytes may arrive between an event and the call that follows it.
//!
//! The same seed gives the same run.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    fmt::{self, Write as _},
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mio::Token;

use super::{
    Acceptors, Clock, Handler, Key, LISTENER, Mailbox, Next, Readiness, Socket, Turns, mailbox, system,
    system::Registry, wait_for_events,
};

/// Random numbers from a seed: the same sequence on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(fastrand::Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Returns a number below `bound`, which must not be zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    /// Returns true `times` out of `of` times.
    pub(crate) fn chance(&mut self, times: usize, of: usize) -> bool {
        self.below(of) < times
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.0.u8(..)).collect()
    }

    /// Returns a text of `chars` characters, of one to four bytes each.
    pub(crate) fn text(&mut self, chars: usize) -> String {
        const ALPHABET: [char; 8] = ['a', 'Z', ' ', '\u{7f}', '\u{e9}', '\u{6771}', '\u{fffd}', '\u{1f600}'];
        (0..chars).map(|_| ALPHABET[self.below(ALPHABET.len())]).collect()
    }
}

/// Microseconds since the run began.
pub(crate) type Time = u64;

pub(crate) const MILLISECOND: Time = 1000;
pub(crate) const SECOND: Time = 1_000_000;
/// A time that is never reached, such as the end of a stall for good.
pub(crate) const NEVER: Time = Time::MAX;

/// A handle to the whole network, shared by all clones.
#[derive(Clone, Debug)]
pub(crate) struct Network(Arc<Mutex<State>>);

/// How often the system does what it may but need not do. The numbers are percentages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Waits that return a spurious event.
    pub(crate) spurious: usize,
    /// System calls that a signal interrupts.
    pub(crate) interrupts: usize,
    /// Calls on a socket before which bytes arrive for it.
    pub(crate) arrivals: usize,
    /// Accepts that fail.
    pub(crate) refused_accepts: usize,
    /// An event reports the full readiness of its socket, as epoll does, instead of only the changes.
    pub(crate) reports_all: bool,
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    /// The size of the writer's buffer, in bytes.
    pub(crate) send_buffer: usize,
    /// The size of the reader's buffer, in bytes.
    pub(crate) receive_buffer: usize,
    /// The longest time until a piece arrives.
    pub(crate) delay: Time,
    /// The longest piece, in bytes.
    pub(crate) piece: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Client = 0,
    Server = 1,
}

/// The facts about a connection that an outside observer knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// When bytes last arrived at the server.
    pub(crate) arrived: Time,
    /// How many bytes have arrived at the server.
    pub(crate) arrived_bytes: usize,
    /// When the server was last notified that it can write, or wrote some bytes.
    pub(crate) last_writable: Time,
    /// When the end of the client's side arrived at the server.
    pub(crate) ended: Option<Time>,
    /// When a reset arrived at the server.
    pub(crate) reset: Option<Time>,
    /// The client was reset.
    pub(crate) client_reset: bool,
}

/// Returns how many bytes were moved after a time.
fn sum_since(moves: &[(Time, usize)], since: Time) -> usize {
    moves.iter().rev().take_while(|(at, _)| *at > since).map(|(_, count)| count).sum()
}

#[derive(Debug)]
struct State {
    now: Time,
    random: Random,
    faults: Faults,
    moves: BinaryHeap<Reverse<(Time, u64, Move)>>,
    /// The number of moves so far. Orders moves at the same time.
    sequence: u64,
    pairs: Vec<Pair>,
    workers: Vec<PollState>,
    /// Clients that may have something to read, or room to write.
    ready_clients: Vec<usize>,
    trace: Trace,
}

/// Something that arrives at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Move {
    Connect { pair: usize, worker: usize },
    Piece { pair: usize, from: Side },
    Reset { pair: usize, to: Side },
}

/// A connection.
#[derive(Debug)]
struct Pair {
    /// Both directions, by the writing side.
    flows: [Flow; 2],
    /// Both ends, by side.
    ends: [End; 2],
    /// The worker that watches the server's end, and its token.
    watched: Option<(usize, Token)>,
    /// Readiness that has not been announced yet.
    edges: Flags,
    /// The connection is in the worker's `ready` list.
    queued: bool,
    facts: Facts,
    /// When bytes arrived at the server, and how many.
    arrivals: Vec<(Time, usize)>,
    /// When the server wrote bytes, and how many.
    writes: Vec<(Time, usize)>,
}

#[derive(Debug)]
struct Flow {
    wire: Wire,
    sent: VecDeque<u8>,
    arrived: VecDeque<u8>,
    fin: Fin,
    /// The reader has read the end.
    end_read: bool,
    /// A write was cut short, so the writer must be notified of free space.
    wants_writable: bool,
    /// An urgent byte waits behind this many bytes that the reader has not read.
    urgent: Option<usize>,
    scheduled: bool,
    stalled_until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    None,
    Sent,
    Arrived,
}

#[derive(Debug, Default)]
struct End {
    /// The error that the next call returns, once.
    error: Option<ErrorKind>,
    broken: bool,
    closed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    readable: bool,
    writable: bool,
    read_closed: bool,
    urgent: bool,
}

/// The state of one worker's poller.
#[derive(Debug, Default)]
struct PollState {
    /// Connections with an event that the last wait had no room for, in order.
    left: Vec<usize>,
    /// Connections that became ready since.
    ready: Vec<usize>,
    backlog: VecDeque<usize>,
    backlog_edge: bool,
    is_listening: bool,
    /// The number of calls on its sockets, without interrupted ones.
    calls: u64,
}

/// A trace of everything that happens: a hash, and the lines themselves if `print` is set.
#[derive(Debug)]
struct Trace {
    hash: u64,
    print: bool,
}

impl fmt::Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3); // FNV-1a
        }
        Ok(())
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl Network {
    pub(crate) fn new(random: Random, workers: usize, faults: Faults, print: bool) -> Self {
        let workers = (0..workers).map(|_| PollState { is_listening: true, ..PollState::default() }).collect();
        Self(Arc::new(Mutex::new(State {
            now: 0,
            random,
            faults,
            moves: BinaryHeap::new(),
            sequence: 0,
            pairs: Vec::new(),
            workers,
            ready_clients: Vec::new(),
            trace: Trace { hash: 0xCBF2_9CE4_8422_2325, print },
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Time {
        self.lock().now
    }

    /// Writes a line into the trace.
    pub(crate) fn note(&self, line: fmt::Arguments<'_>) {
        self.lock().note(line);
    }

    /// Returns the hash of the trace so far.
    pub(crate) fn trace(&self) -> u64 {
        self.lock().trace.hash
    }

    /// Returns the time of the next move.
    pub(crate) fn next_move(&self) -> Option<Time> {
        self.lock().moves.peek().map(|Reverse((at, ..))| *at)
    }

    /// Advances the clock to `time` and carries out the moves until then. Returns their number.
    pub(crate) fn advance(&self, time: Time) -> u64 {
        let mut state = self.lock();
        let mut moved = 0;
        while let Some(&Reverse((at, _, next))) = state.moves.peek()
            && at <= time
        {
            state.moves.pop();
            state.now = state.now.max(at);
            state.execute(next);
            moved += 1;
        }
        state.now = state.now.max(time);
        moved
    }

    /// Takes the clients that may have something to do since the last call.
    pub(crate) fn take_ready_clients(&self) -> Vec<usize> {
        std::mem::take(&mut self.lock().ready_clients)
    }

    /// Connects a client to a worker's listener.
    pub(crate) fn connect(&self, worker: usize, up: Wire, down: Wire) -> Peer {
        let mut state = self.lock();
        let pair = state.pairs.len();
        state.pairs.push(Pair {
            flows: [Flow::new(up), Flow::new(down)],
            ends: Default::default(),
            watched: None,
            edges: Flags::default(),
            queued: false,
            facts: Facts::default(),
            arrivals: Vec::new(),
            writes: Vec::new(),
        });
        let at = state.now + state.delay(up.delay);
        state.schedule(at, Move::Connect { pair, worker });
        Peer { network: self.clone(), pair }
    }

    pub(crate) fn facts(&self, pair: usize) -> Facts {
        self.lock().pairs[pair].facts
    }

    /// Returns how many bytes the server has written since a time.
    pub(crate) fn written_since(&self, pair: usize, since: Time) -> usize {
        sum_since(&self.lock().pairs[pair].writes, since)
    }

    /// Returns how many bytes have arrived at the server since a time.
    pub(crate) fn arrived_since(&self, pair: usize, since: Time) -> usize {
        sum_since(&self.lock().pairs[pair].arrivals, since)
    }

    /// Returns the sockets that a worker watches and for which no event is queued, each with whether it can be read and
    /// whether it can be written.
    pub(crate) fn unannounced(&self, worker: usize) -> Vec<(Key, bool, bool)> {
        let state = self.lock();
        let watched = state.pairs.iter().filter(|pair| !pair.queued);
        let ours = watched.filter_map(|pair| match pair.watched {
            Some((by, token)) if by == worker => Some((pair, token)),
            _ => None,
        });
        ours.map(|(pair, token)| {
            let (up, down, end) = (&pair.flows[0], &pair.flows[1], &pair.ends[1]);
            let ended = (up.fin == Fin::Arrived || end.broken) && !up.end_read;
            let readable = !up.arrived.is_empty() || end.error.is_some() || ended;
            (Key::from(token), readable, down.free() > 0 && !down.wants_writable)
        })
        .collect()
    }

    /// Returns the number of calls on the sockets of a worker, without interrupted ones.
    pub(crate) fn calls(&self, worker: usize) -> u64 {
        self.lock().workers[worker].calls
    }
}

impl State {
    fn note(&mut self, line: fmt::Arguments<'_>) {
        let now = self.now;
        let _ = writeln!(self.trace, "{now} {line}");
        if self.trace.print {
            println!("{:>12.6} {line}", Duration::from_micros(now).as_secs_f64());
        }
    }

    fn schedule(&mut self, at: Time, next: Move) {
        self.sequence += 1;
        self.moves.push(Reverse((at, self.sequence, next)));
    }

    fn delay(&mut self, longest: Time) -> Time {
        match self.random.below(4) {
            0 => 0,
            1 => longest,
            _ => self.random.below(longest as usize + 1) as Time,
        }
    }

    fn percent(&mut self, times: usize) -> bool {
        times > 0 && self.random.chance(times, 100)
    }

    fn execute(&mut self, next: Move) {
        match next {
            Move::Connect { pair, worker } => self.arrive(pair, worker),
            Move::Piece { pair, from } => self.deliver(pair, from),
            Move::Reset { pair, to } => self.deliver_reset(pair, to),
        }
    }

    fn arrive(&mut self, pair: usize, worker: usize) {
        if self.workers[worker].is_listening {
            self.workers[worker].backlog.push_back(pair);
            self.workers[worker].backlog_edge = true;
        } else {
            self.note(format_args!("{pair} is refused by the system"));
            self.pairs[pair].facts.client_reset = true;
            self.break_end(pair, Side::Client, ErrorKind::ConnectionRefused);
        }
    }

    /// Schedules the next piece of a flow, if something waits in it.
    fn schedule_piece(&mut self, pair: usize, from: Side) {
        let flow = &self.pairs[pair].flows[from as usize];
        let (scheduled, longest) = (flow.scheduled, flow.wire.delay);
        if !scheduled && flow.has_pending() {
            let at = self.now + self.delay(longest);
            self.pairs[pair].flows[from as usize].scheduled = true;
            self.schedule(at, Move::Piece { pair, from });
        }
    }

    fn deliver(&mut self, pair: usize, from: Side) {
        let now = self.now;
        let flow = &mut self.pairs[pair].flows[from as usize];
        flow.scheduled = false;
        if flow.stalled_until > now {
            if flow.stalled_until < NEVER {
                flow.scheduled = true;
                let at = flow.stalled_until;
                self.schedule(at, Move::Piece { pair, from });
            }
            return;
        }
        self.move_piece(pair, from);
        self.schedule_piece(pair, from);
    }

    fn move_piece(&mut self, pair: usize, from: Side) {
        let now = self.now;
        let Pair { flows, ends, .. } = &mut self.pairs[pair];
        let flow = &mut flows[from as usize];
        let reader = from.other();
        if ends[reader as usize].closed && !flow.sent.is_empty() {
            flow.sent.clear();
            self.send_reset(pair, from);
            return;
        }
        let max = flow.sent.len().min(flow.wire.receive_buffer - flow.arrived.len()).min(flow.wire.piece);
        let count = if max == 0 { 0 } else { [1, max, 1 + self.random.below(max)][self.random.below(3)] };
        let flow = &mut self.pairs[pair].flows[from as usize];
        flow.arrived.extend(flow.sent.drain(..count));
        let has_room = flow.wants_writable && 3 * flow.free() >= flow.wire.send_buffer;
        flow.wants_writable &= !has_room;
        let ends_now = flow.sent.is_empty() && flow.fin == Fin::Sent && (count == 0 || self.random.chance(1, 2));
        if ends_now {
            self.pairs[pair].flows[from as usize].fin = Fin::Arrived;
        }
        if from == Side::Client {
            let Pair { facts, arrivals, .. } = &mut self.pairs[pair];
            if count > 0 {
                arrivals.push((now, count));
                facts.arrived = now;
                facts.arrived_bytes += count;
            }
            if ends_now {
                facts.ended = Some(now);
            }
        } else if has_room {
            self.pairs[pair].facts.last_writable = now;
        }
        if count > 0 || ends_now {
            self.note(format_args!("{pair} {reader:?} gets {count}{}", if ends_now { " and the end" } else { "" }));
            let urgent = self.pairs[pair].flows[from as usize].has_urgent();
            self.notify(pair, reader, Flags { readable: true, writable: false, read_closed: ends_now, urgent });
        }
        if has_room {
            self.notify(pair, from, Flags { writable: true, ..Flags::default() });
        }
    }

    fn send_reset(&mut self, pair: usize, to: Side) {
        let longest = self.pairs[pair].flows[to.other() as usize].wire.delay;
        let at = self.now + self.delay(longest);
        self.schedule(at, Move::Reset { pair, to });
    }

    fn deliver_reset(&mut self, pair: usize, to: Side) {
        let stalled_until = self.pairs[pair].flows[to.other() as usize].stalled_until;
        if stalled_until > self.now {
            if stalled_until < NEVER {
                self.schedule(stalled_until, Move::Reset { pair, to });
            }
            return;
        }
        if self.pairs[pair].ends[to as usize].closed || self.pairs[pair].ends[to as usize].broken {
            return;
        }
        self.note(format_args!("{pair} {to:?} is reset"));
        match to {
            Side::Server => self.pairs[pair].facts.reset = Some(self.now),
            Side::Client => self.pairs[pair].facts.client_reset = true,
        }
        self.break_end(pair, to, ErrorKind::ConnectionReset);
    }

    fn break_end(&mut self, pair: usize, side: Side, error: ErrorKind) {
        let Pair { flows, ends, .. } = &mut self.pairs[pair];
        ends[side as usize] = End { error: Some(error), broken: true, closed: false };
        for flow in flows {
            flow.sent.clear();
            flow.wants_writable = false;
        }
        self.notify(pair, side, Flags { readable: true, writable: true, read_closed: true, urgent: false });
    }

    fn notify(&mut self, pair: usize, side: Side, flags: Flags) {
        match side {
            Side::Client => self.ready_clients.push(pair),
            Side::Server => {
                let place = &mut self.pairs[pair];
                place.edges.add(flags);
                if let Some((worker, _)) = place.watched
                    && !place.queued
                {
                    place.queued = true;
                    self.workers[worker].ready.push(pair);
                }
            }
        }
    }

    /// Simulates what may happen before a call on a socket: bytes arrive, or the call is interrupted.
    fn before_call(&mut self, pair: usize, side: Side) -> io::Result<()> {
        if side == Side::Server {
            if self.percent(self.faults.arrivals) {
                for from in [Side::Client, Side::Server] {
                    let flow = &self.pairs[pair].flows[from as usize];
                    if flow.has_pending() && flow.stalled_until <= self.now {
                        self.move_piece(pair, from);
                        self.schedule_piece(pair, from);
                    }
                }
            }
            if self.percent(self.faults.interrupts) {
                return Err(ErrorKind::Interrupted.into());
            }
        }
        Ok(())
    }

    fn count_call(&mut self, pair: usize, side: Side) {
        if let (Side::Server, Some((worker, _))) = (side, self.pairs[pair].watched) {
            self.workers[worker].calls += 1;
        }
    }

    fn read(&mut self, pair: usize, side: Side, buffer: &mut [u8]) -> io::Result<usize> {
        self.before_call(pair, side)?;
        self.count_call(pair, side);
        let Pair { flows, ends, .. } = &mut self.pairs[pair];
        let (flow, end) = (&mut flows[side.other() as usize], &mut ends[side as usize]);
        if flow.urgent == Some(0) {
            flow.urgent = None; // the byte is skipped
        }
        if !flow.arrived.is_empty() {
            let count = buffer.len().min(flow.arrived.len()).min(flow.urgent.unwrap_or(usize::MAX));
            flow.urgent = flow.urgent.map(|before| before - count);
            for (place, byte) in buffer.iter_mut().zip(flow.arrived.drain(..count)) {
                *place = byte;
            }
            self.schedule_piece(pair, side.other());
            return Ok(count);
        }
        if let Some(error) = end.error.take() {
            return Err(error.into());
        }
        if end.broken || flow.fin == Fin::Arrived {
            flow.end_read = true;
            return Ok(0);
        }
        Err(ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, pair: usize, side: Side, bytes: &[u8]) -> io::Result<usize> {
        self.before_call(pair, side)?;
        self.count_call(pair, side);
        let Pair { flows, ends, facts, writes, .. } = &mut self.pairs[pair];
        let (flow, end) = (&mut flows[side as usize], &mut ends[side as usize]);
        if let Some(error) = end.error.take() {
            return Err(error.into());
        }
        if end.broken || flow.fin != Fin::None {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let free = flow.free();
        flow.wants_writable |= free < bytes.len();
        if free == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let max = free.min(bytes.len());
        let count = if self.random.chance(1, 8) { 1 + self.random.below(max) } else { max };
        flow.sent.extend(&bytes[..count]);
        if side == Side::Server {
            facts.last_writable = self.now;
            writes.push((self.now, count));
        }
        self.schedule_piece(pair, side);
        Ok(count)
    }

    fn shutdown_write(&mut self, pair: usize, side: Side) -> io::Result<()> {
        self.count_call(pair, side);
        let Pair { flows, ends, .. } = &mut self.pairs[pair];
        if ends[side as usize].broken {
            return Err(ErrorKind::NotConnected.into());
        }
        let flow = &mut flows[side as usize];
        if flow.fin == Fin::None {
            flow.fin = Fin::Sent;
        }
        self.schedule_piece(pair, side);
        Ok(())
    }

    fn close(&mut self, pair: usize, side: Side) {
        let Pair { flows, ends, watched, .. } = &mut self.pairs[pair];
        if std::mem::replace(&mut ends[side as usize].closed, true) {
            return;
        }
        if side == Side::Server
            && let Some((worker, _)) = watched.take()
        {
            self.workers[worker].ready.retain(|other| *other != pair);
            self.workers[worker].left.retain(|other| *other != pair);
        }
        if ends[side as usize].broken {
            return;
        }
        if flows[side.other() as usize].arrived.is_empty() {
            let flow = &mut flows[side as usize];
            if flow.fin == Fin::None {
                flow.fin = Fin::Sent;
            }
            self.schedule_piece(pair, side);
        } else {
            // As Linux: closing with unread bytes sends a reset and drops the bytes still to be sent.
            flows[side as usize].sent.clear();
            self.send_reset(pair, side.other());
        }
    }
}

impl Flow {
    fn new(wire: Wire) -> Self {
        Self {
            wire,
            sent: VecDeque::new(),
            arrived: VecDeque::new(),
            fin: Fin::None,
            end_read: false,
            wants_writable: false,
            urgent: None,
            scheduled: false,
            stalled_until: 0,
        }
    }

    fn free(&self) -> usize {
        self.wire.send_buffer - self.sent.len()
    }

    /// Returns whether an urgent byte has arrived and was not read.
    fn has_urgent(&self) -> bool {
        self.urgent.is_some_and(|before| before <= self.arrived.len())
    }

    fn has_pending(&self) -> bool {
        if self.sent.is_empty() { self.fin == Fin::Sent } else { self.arrived.len() < self.wire.receive_buffer }
    }
}

impl Flags {
    fn add(&mut self, other: Self) {
        self.readable |= other.readable;
        self.writable |= other.writable;
        self.read_closed |= other.read_closed;
        self.urgent |= other.urgent;
    }
}

impl Pair {
    /// Returns the full readiness of the server's end.
    fn full_readiness(&self) -> Flags {
        let (up, down, end) = (&self.flows[0], &self.flows[1], &self.ends[1]);
        let read_closed = up.fin == Fin::Arrived || end.broken;
        Flags {
            readable: !up.arrived.is_empty() || read_closed,
            urgent: up.has_urgent(),
            writable: 3 * down.free() >= down.wire.send_buffer || end.broken,
            read_closed,
        }
    }
}

/// A client's end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    network: Network,
    pub(crate) pair: usize,
}

impl Peer {
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.network.lock().read(self.pair, Side::Client, buffer)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.network.lock().write(self.pair, Side::Client, bytes)
    }

    pub(crate) fn shutdown_write(&self) {
        let _ = self.network.lock().shutdown_write(self.pair, Side::Client);
    }

    /// Sends an urgent byte behind all bytes that were written, unless another one waits.
    pub(crate) fn write_urgent(&self) {
        let mut state = self.network.lock();
        let flow = &mut state.pairs[self.pair].flows[Side::Client as usize];
        flow.urgent.get_or_insert(flow.sent.len() + flow.arrived.len());
        if flow.has_urgent() {
            state.notify(self.pair, Side::Server, Flags { readable: true, urgent: true, ..Flags::default() });
        }
    }

    /// Resets the connection. Bytes that have not arrived are lost.
    pub(crate) fn reset(&self) {
        let mut state = self.network.lock();
        let Pair { flows, ends, .. } = &mut state.pairs[self.pair];
        ends[Side::Client as usize].closed = true;
        flows[Side::Client as usize].sent.clear();
        flows[Side::Client as usize].fin = Fin::None;
        state.send_reset(self.pair, Side::Server);
    }

    pub(crate) fn close(&self) {
        self.network.lock().close(self.pair, Side::Client);
    }

    /// Stalls the direction that `from` writes to until `until`: nothing in it arrives.
    pub(crate) fn stall(&self, from: Side, until: Time) {
        let mut state = self.network.lock();
        let flow = &mut state.pairs[self.pair].flows[from as usize];
        flow.stalled_until = flow.stalled_until.max(until);
    }
}

/// The server's end of a connection.
#[derive(Debug)]
pub(crate) struct Stream {
    network: Network,
    pair: usize,
}

impl Stream {
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.network.lock().read(self.pair, Side::Server, buffer)
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.network.lock().write(self.pair, Side::Server, bytes)
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.network.lock().shutdown_write(self.pair, Side::Server)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.network.lock().close(self.pair, Side::Server);
    }
}

/// Creates a connection that no worker watches, and returns its network and both ends.
pub(crate) fn pair(up: Wire, down: Wire) -> (Network, Socket, Peer) {
    let network = Network::new(Random::new(0), 1, Faults::default(), false);
    let peer = network.connect(0, up, down);
    let stream = Stream { network: network.clone(), pair: peer.pair };
    (network, Socket::new(system::Stream::Simulated(stream)), peer)
}

/// A worker's listener.
#[derive(Debug)]
pub(crate) struct Listener {
    network: Network,
    worker: usize,
}

impl Listener {
    pub(super) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let mut guard = self.network.lock();
        let state = &mut *guard;
        if state.workers[self.worker].backlog.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        if state.percent(state.faults.interrupts) {
            return Err(ErrorKind::Interrupted.into());
        }
        if state.percent(state.faults.refused_accepts) {
            let error = [ErrorKind::ConnectionAborted, ErrorKind::OutOfMemory][state.random.below(2)];
            state.note(format_args!("accept fails: {error}"));
            return Err(error.into());
        }
        let Some(pair) = state.workers[self.worker].backlog.pop_front() else {
            return Err(ErrorKind::WouldBlock.into());
        };
        state.note(format_args!("{pair} is accepted by {}", self.worker));
        let port = 1024 + pair as u16;
        Ok((Stream { network: self.network.clone(), pair }, SocketAddr::from(([10, 0, 0, 1], port))))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.network.lock();
        state.workers[self.worker].is_listening = false;
        for pair in std::mem::take(&mut state.workers[self.worker].backlog) {
            state.pairs[pair].ends[Side::Server as usize].closed = true;
            state.send_reset(pair, Side::Client);
        }
    }
}

/// The poller of one worker.
#[derive(Debug)]
pub(crate) struct Poller {
    network: Network,
    worker: usize,
}

impl Poller {
    pub(super) fn watch(&self, stream: &Stream, token: Token) -> io::Result<()> {
        let mut state = self.network.lock();
        let place = &mut state.pairs[stream.pair];
        place.watched = Some((self.worker, token));
        place.edges = place.full_readiness();
        place.queued = true;
        state.workers[self.worker].ready.push(stream.pair);
        Ok(())
    }

    fn has_something(&self) -> bool {
        let state = self.network.lock();
        let PollState { left, ready, backlog_edge, .. } = &state.workers[self.worker];
        !left.is_empty() || !ready.is_empty() || *backlog_edge
    }

    /// Adds the events to `events`. Returns how many it can return at once.
    fn poll(&self, events: &mut Vec<(Token, Readiness)>) -> io::Result<usize> {
        let mut guard = self.network.lock();
        let state = &mut *guard;
        if state.percent(state.faults.interrupts) {
            return Err(ErrorKind::Interrupted.into());
        }
        let mut arrived = std::mem::take(&mut state.workers[self.worker].ready);
        for last in (1..arrived.len()).rev() {
            arrived.swap(last, state.random.below(last + 1));
        }
        let mut ready = std::mem::take(&mut state.workers[self.worker].left);
        ready.append(&mut arrived);
        let max = if state.random.chance(1, 4) { 1 + state.random.below(4) } else { usize::MAX };
        let left = ready.split_off(max.min(ready.len()));
        let is_full = !left.is_empty();
        state.workers[self.worker].left = left;
        for pair in ready {
            let reports_all = state.faults.reports_all;
            let place = &mut state.pairs[pair];
            place.queued = false;
            let edges = std::mem::take(&mut place.edges);
            let Some((worker, token)) = place.watched else { continue };
            let Flags { readable, writable, read_closed, urgent } =
                if reports_all { place.full_readiness() } else { edges };
            if worker == self.worker && (readable || writable) {
                events.push((token, Readiness { readable, writable, read_closed, urgent }));
            }
        }
        if !is_full && state.percent(state.faults.spurious) {
            let watched = state.pairs.iter().filter_map(|pair| pair.watched);
            let ours: Vec<_> = watched.filter(|(worker, _)| *worker == self.worker).collect();
            if !ours.is_empty() {
                let (_, token) = ours[state.random.below(ours.len())];
                events.push((token, Readiness { readable: true, writable: true, read_closed: false, urgent: false }));
            }
        }
        if std::mem::take(&mut state.workers[self.worker].backlog_edge) {
            events.push((LISTENER, Readiness { readable: true, writable: false, read_closed: false, urgent: false }));
        }
        Ok(if is_full { events.len() } else { usize::MAX })
    }
}

/// Wakes a worker that has mail.
#[derive(Debug)]
pub(crate) struct Waker {
    network: Network,
    woken: Arc<AtomicBool>,
}

impl Waker {
    pub(super) fn wake(&self) -> io::Result<()> {
        let mut guard = self.network.lock();
        let state = &mut *guard;
        if state.percent(state.faults.interrupts) {
            return Err(ErrorKind::Interrupted.into());
        }
        self.woken.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// The event loop of one worker, a turn at a time.
#[derive(Debug)]
pub(crate) struct Reactor<M> {
    poller: Poller,
    turns: Turns<M>,
    woken: Arc<AtomicBool>,
    /// When the wait for readiness times out.
    wakes_at: Option<Time>,
    epoch: Instant,
    /// How long the worker has computed.
    computed: Time,
}

impl<M: Send> Reactor<M> {
    pub(crate) fn new(
        network: &Network,
        worker: usize,
        (clock, epoch): (Clock, Instant),
        mailbox_bytes: usize,
        buffer_bytes: usize,
    ) -> (Self, Mailbox<M>) {
        let poller = Poller { network: network.clone(), worker };
        let woken = Arc::new(AtomicBool::new(false));
        let waker = Waker { network: network.clone(), woken: Arc::clone(&woken) };
        let (inbox, mailbox) = mailbox::pair(system::Waker::Simulated(waker), mailbox_bytes);
        let listener = system::Listener::Simulated(Listener { network: network.clone(), worker });
        let acceptors = Acceptors::new([listener], Registry::Simulated(&poller)).expect("it takes any listener");
        let turns = Turns::new(acceptors, inbox, clock, vec![0; buffer_bytes].into());
        (Self { poller, turns, woken, wakes_at: Some(0), epoch, computed: 0 }, mailbox)
    }

    fn instant(&self) -> Instant {
        self.epoch + Duration::from_micros(self.poller.network.now())
    }

    /// Returns whether the wait for readiness would end now.
    pub(crate) fn is_ready(&self) -> bool {
        self.woken.load(Ordering::Relaxed) || self.poller.has_something()
    }

    /// Returns when the wait for readiness times out.
    pub(crate) fn wakes_at(&self) -> Option<Time> {
        self.wakes_at
    }

    /// Notes that the last turn has computed for this long.
    pub(crate) fn add_computed(&mut self, time: Time) {
        self.computed += time;
    }

    /// Runs a turn. Returns what comes next, and the number of events of this turn.
    pub(crate) fn turn<H: Handler<Mail = M>>(&mut self, handler: &mut H) -> (Next, usize) {
        let now = self.instant();
        let was_ready = usize::from(self.is_ready());
        self.woken.store(false, Ordering::Relaxed);
        let mut events = Vec::new();
        let polled = wait_for_events(None, |_| self.poller.poll(&mut events));
        let max_events = polled.expect("no other error is simulated");
        let count = events.len().max(was_ready);
        let time = self.turns.clock.begin_turn(now, || Duration::from_micros(self.computed));
        let registry = Registry::Simulated(&self.poller);
        let next = self.turns.turn(time, events.into_iter(), max_events, registry, handler);
        // mio counts in milliseconds, and rounds up.
        let timeout = self.turns.wait_timeout(next, || now);
        self.wakes_at = timeout.map(|wait| self.poller.network.now() + wait.as_micros().div_ceil(1000) as Time * 1000);
        (next, count)
    }
}
