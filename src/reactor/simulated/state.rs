//! The state of a network, and everything that happens in it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    fmt::{self, Write as _},
    io::{self, ErrorKind},
    time::Duration,
};

use super::{
    Faults, NEVER, Random, Side, Time,
    flow::{End, Fin, Flags, Pair},
};

#[derive(Debug)]
pub(super) struct State {
    pub(super) now: Time,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) moves: BinaryHeap<Reverse<(Time, u64, Move)>>,
    /// The number of moves so far. Orders moves at the same time.
    pub(super) sequence: u64,
    pub(super) pairs: Vec<Pair>,
    pub(super) workers: Vec<PollState>,
    /// Clients that may have something to read, or room to write.
    pub(super) ready_clients: Vec<usize>,
    pub(super) trace: Trace,
}

/// Something that arrives at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Move {
    Connect { pair: usize, worker: usize },
    Piece { pair: usize, from: Side },
    Reset { pair: usize, to: Side },
}

/// The state of one worker's poller.
#[derive(Debug, Default)]
pub(super) struct PollState {
    /// Connections with an event that the last wait had no room for, in order.
    pub(super) left: Vec<usize>,
    /// Connections that became ready since.
    pub(super) ready: Vec<usize>,
    pub(super) backlog: VecDeque<usize>,
    pub(super) backlog_edge: bool,
    pub(super) is_listening: bool,
    /// The number of calls on its sockets, without interrupted ones.
    pub(super) calls: u64,
}

/// A trace of everything that happens: a hash, and the lines themselves if `print` is set.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) hash: u64,
    pub(super) print: bool,
}

impl fmt::Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3); // FNV-1a
        }
        Ok(())
    }
}

impl State {
    pub(super) fn note(&mut self, line: fmt::Arguments<'_>) {
        let now = self.now;
        let _ = writeln!(self.trace, "{now} {line}");
        if self.trace.print {
            println!("{:>12.6} {line}", Duration::from_micros(now).as_secs_f64());
        }
    }

    pub(super) fn schedule(&mut self, at: Time, next: Move) {
        self.sequence += 1;
        self.moves.push(Reverse((at, self.sequence, next)));
    }

    pub(super) fn delay(&mut self, longest: Time) -> Time {
        match self.random.below(4) {
            0 => 0,
            1 => longest,
            _ => self.random.below(longest as usize + 1) as Time,
        }
    }

    pub(super) fn percent(&mut self, times: usize) -> bool {
        times > 0 && self.random.chance(times, 100)
    }

    pub(super) fn execute(&mut self, next: Move) {
        match next {
            Move::Connect { pair, worker } => self.arrive(pair, worker),
            Move::Piece { pair, from } => self.deliver(pair, from),
            Move::Reset { pair, to } => self.deliver_reset(pair, to),
        }
    }

    pub(super) fn arrive(&mut self, pair: usize, worker: usize) {
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
    pub(super) fn schedule_piece(&mut self, pair: usize, from: Side) {
        let flow = &self.pairs[pair].flows[from as usize];
        let (scheduled, longest) = (flow.scheduled, flow.wire.delay);
        if !scheduled && flow.has_pending() {
            let at = self.now + self.delay(longest);
            self.pairs[pair].flows[from as usize].scheduled = true;
            self.schedule(at, Move::Piece { pair, from });
        }
    }

    pub(super) fn deliver(&mut self, pair: usize, from: Side) {
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

    pub(super) fn move_piece(&mut self, pair: usize, from: Side) {
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

    pub(super) fn send_reset(&mut self, pair: usize, to: Side) {
        let longest = self.pairs[pair].flows[to.other() as usize].wire.delay;
        let at = self.now + self.delay(longest);
        self.schedule(at, Move::Reset { pair, to });
    }

    pub(super) fn deliver_reset(&mut self, pair: usize, to: Side) {
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

    pub(super) fn break_end(&mut self, pair: usize, side: Side, error: ErrorKind) {
        let Pair { flows, ends, .. } = &mut self.pairs[pair];
        ends[side as usize] = End { error: Some(error), broken: true, closed: false };
        for flow in flows {
            flow.sent.clear();
            flow.wants_writable = false;
        }
        self.notify(pair, side, Flags { readable: true, writable: true, read_closed: true, urgent: false });
    }

    pub(super) fn notify(&mut self, pair: usize, side: Side, flags: Flags) {
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
    pub(super) fn before_call(&mut self, pair: usize, side: Side) -> io::Result<()> {
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

    pub(super) fn count_call(&mut self, pair: usize, side: Side) {
        if let (Side::Server, Some((worker, _))) = (side, self.pairs[pair].watched) {
            self.workers[worker].calls += 1;
        }
    }

    pub(super) fn read(&mut self, pair: usize, side: Side, buffer: &mut [u8]) -> io::Result<usize> {
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

    pub(super) fn write(&mut self, pair: usize, side: Side, bytes: &[u8]) -> io::Result<usize> {
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

    pub(super) fn shutdown_write(&mut self, pair: usize, side: Side) -> io::Result<()> {
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

    pub(super) fn close(&mut self, pair: usize, side: Side) {
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
