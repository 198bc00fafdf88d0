//! What a worker gets from the system: its listener, its poller, its waker, and its event loop, a turn at a time.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mio::Token;

use super::{
    super::{
        Acceptors, Clock, Handler, LISTENER, Mailbox, Next, Readiness, Turns, mailbox, system, system::Registry,
        wait_for_events,
    },
    Network, Side, Time,
    ends::Stream,
    flow::Flags,
    state::PollState,
};

/// A worker's listener.
#[derive(Debug)]
pub(crate) struct Listener {
    network: Network,
    worker: usize,
}

impl Listener {
    pub(crate) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
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
        Ok((Stream { network: self.network.clone(), pair }, state.pairs[pair].address))
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
    pub(crate) fn watch(&self, stream: &Stream, token: Token) -> io::Result<()> {
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
    pub(crate) fn wake(&self) -> io::Result<()> {
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
    /// The time that the worker has computed.
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
    #[cfg(test)]
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
