//! How connections end, one by one or all when the server stops. The app gets `closed` once for each open connection.

use std::time::Duration;

use log::{debug, info, warn};

use super::{
    App, End,
    bounds::{Excess, Failure, OVERLOADED, TOO_SLOW},
    eviction::EvictionOrder,
    hub::{Fault, Hub},
    inbound::Phase,
    link::{Link, LinkState},
    worker::Worker,
};
use crate::{
    CloseCode, CloseFrame, Rejection,
    reactor::{Key, Tick, Turn},
};

impl<A: App> Worker<A> {
    /// Handles the end of the peer's side of TCP.
    pub(super) fn peer_ended(&mut self, key: Key) {
        let Some(link) = self.hub.links.get_mut(key) else { return };
        link.read_closed = true;
        match self.inbound[Self::slot(key)].phase {
            // A failed write has consumed the socket's error; `handle_failures` ends the connection with it.
            Phase::Open { .. } if self.hub.bounds.failed.iter().any(|(failed, _)| *failed == key) => {}
            Phase::Open { .. } => self.end(key, &End::Vanished),
            // The client may still read the response to its request.
            Phase::AwaitingResponse { .. } | Phase::AwaitingVerdict { .. } => {}
            // The response to its last request may not be written yet.
            Phase::Http(_) => self.drain(key),
            Phase::Over => {
                if link.state == LinkState::Lingering {
                    self.remove(key);
                }
            }
        }
    }

    /// Ends the connection for the app, which gets `closed` once. Frames that wait are still written.
    pub(super) fn finish(&mut self, key: Key, end: &End) {
        if let Phase::Open { peer, .. } = self.drop_input(key) {
            let id = self.hub.id(key);
            debug!("{id}: {end}");
            self.app.closed(peer, id, end, &self.hub.remote);
        }
    }

    /// Frees the unprocessed input of a connection, and drops all that still arrives. Returns the phase before.
    pub(super) fn drop_input(&mut self, key: Key) -> Phase<A::Peer> {
        let inbound = &mut self.inbound[Self::slot(key)];
        inbound.take_stash();
        inbound.set_unfinished(None);
        let phase = std::mem::replace(&mut inbound.phase, Phase::Over);
        self.recount(key);
        phase
    }

    /// Ends the connection for the app, and closes it at once.
    pub(super) fn end(&mut self, key: Key, end: &End) {
        self.finish(key, end);
        self.remove(key);
    }

    /// Closes the connection at once, without telling the app.
    pub(super) fn remove(&mut self, key: Key) {
        self.hub.remove(key);
        self.drop_input(key);
    }

    /// Fails a connection by policy: the app gets `end`, the peer a Close frame with `reason`.
    pub(super) fn fail(&mut self, key: Key, end: &End, reason: &str) {
        self.finish(key, end);
        self.hub.fail(key, &Fault::Policy(end.code(), reason));
        self.schedule(key);
    }

    /// Ends the connections that the hub has reported: broken sockets, slow subscribers, evictions.
    pub(super) fn handle_failures(&mut self) {
        while let Some((key, failure)) = self.hub.bounds.failed.pop() {
            if self.hub.links.get(key).is_none() {
                continue;
            }
            self.evictions.count += usize::from(matches!(failure, Failure::Overloaded | Failure::Cut));
            match failure {
                Failure::Broken(error) => self.end(key, &End::Broken(error.kind())),
                Failure::Overloaded => self.fail(key, &End::Overloaded, OVERLOADED),
                Failure::Cut => self.end(key, &End::Overloaded),
                Failure::TooSlow => self.fail(key, &End::TooSlow, TOO_SLOW),
            }
        }
        self.warn_of_evictions();
    }

    /// Counts the unprocessed input of a connection again. Called after every change.
    pub(super) fn recount(&mut self, key: Key) {
        let counts = self.inbound[Self::slot(key)].recount();
        self.hub.bounds.recount_incoming(counts);
    }

    /// Evicts connections while the worker exceeds a limit of memory: the largest of the network that holds most.
    #[inline]
    pub(super) fn bound_memory(&mut self) {
        if self.hub.bounds.excess().is_some() {
            self.evict_largest();
        }
    }

    #[cold]
    fn evict_largest(&mut self) {
        while let Some(excess) = self.hub.bounds.excess() {
            let share = |key: Key, link: &Link| {
                let incoming = self.inbound[Self::slot(key)].counted();
                match excess {
                    Excess::Incoming => incoming,
                    Excess::Both => incoming + link.outbox.allocated_bytes(),
                }
            };
            let links = self.hub.links.iter();
            let order = EvictionOrder::new(links.map(|(key, link)| (key, link.permit.as_ref(), share(key, link))));
            let mut evicted = 0;
            for key in order {
                if self.hub.bounds.is_relieved(excess) {
                    break;
                }
                if let Some(permit) = self.hub.links.get(key).and_then(|link| link.permit.as_ref())
                    && evicted == 0
                {
                    // The first one is of the network that holds most.
                    self.evictions.network = permit.to_string();
                }
                self.evict(key);
                evicted += 1;
            }
            self.evictions.count += evicted;
            self.warn_of_evictions();
        }
    }

    /// Ends a connection to free its memory. Tells the peer, if that takes less memory.
    fn evict(&mut self, key: Key) {
        let held = |worker: &Self| {
            let outgoing = worker.hub.links.get(key).map_or(0, |link| link.outbox.allocated_bytes());
            worker.inbound[Self::slot(key)].counted() + outgoing
        };
        let before = held(self);
        if self.hub.is_open(key) {
            self.fail(key, &End::Overloaded, OVERLOADED);
        } else if let Phase::Http(stream) = &self.inbound[Self::slot(key)].phase {
            let rejection = Rejection::new(503).header("Retry-After", "10").body("out of memory, try again later\n");
            self.refuse(key, stream.from(), rejection);
        }
        if held(self) >= before {
            self.end(key, &End::Overloaded);
        }
    }

    /// Tells the operator that connections were evicted, now and then.
    pub(super) fn warn_of_evictions(&mut self) {
        let now = self.hub.now;
        let Evictions { count, network, last_warning } = &mut self.evictions;
        if *count == 0 || last_warning.is_some_and(|at| now.since(at) < WARN_INTERVAL) {
            return;
        }
        *last_warning = Some(now);
        let (count, network) = (std::mem::take(count), std::mem::take(network));
        let (worker, limit) = (self.hub.worker, self.config.max_worker_bytes >> 20);
        let of_network = if network.is_empty() { network } else { format!(", first those of {network}") };
        warn!("worker {worker}: peers have used its {limit} MiB; closed {count} connections{of_network}");
    }

    /// Begins to stop: closes the listener and all idle and open connections.
    pub(super) fn stop(&mut self, turn: &mut Turn<'_>) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(turn.now);
        turn.stop_listening();
        info!("worker {}: stopping with {} connections", self.hub.worker, self.hub.links.len());
        for key in self.hub.links.keys().collect::<Vec<_>>() {
            match &self.inbound[Self::slot(key)].phase {
                Phase::Open { .. } => self.close_for_stop(key),
                Phase::Http(stream) if stream.is_idle() => self.drain(key),
                Phase::Http(_) | Phase::AwaitingResponse { .. } | Phase::AwaitingVerdict { .. } | Phase::Over => {}
            }
        }
    }

    pub(super) fn close_for_stop(&mut self, key: Key) {
        let frame = CloseFrame { code: CloseCode::GOING_AWAY, reason: "the server is stopping" };
        // Our own code and reason are valid.
        let _ = self.hub.close(key, Some(frame));
    }

    /// Returns whether the server is stopping and this worker has no connections left. Cuts the remaining ones when the
    /// time is over.
    pub(super) fn has_stopped(&mut self, now: Tick) -> bool {
        let Some(since) = self.stopping else { return false };
        if now.since(since) >= self.config.stop_timeout {
            for key in self.hub.links.keys().collect::<Vec<_>>() {
                self.end(key, &End::Stopped);
            }
        }
        self.hub.links.len() == 0
    }
}

/// Returns how a connection ended when its peer sent this Close frame.
pub(super) fn close_end(hub: &Hub, key: Key, frame: Option<CloseFrame<'_>>) -> End {
    let link = hub.links.get(key);
    match link.filter(|link| link.state == LinkState::Closing).and_then(|link| link.sender.as_ref()?.close_code()) {
        Some(code) => End::Closed { by_us: true, code },
        None => End::Closed { by_us: false, code: frame.map(|frame| frame.code) },
    }
}

/// The evictions since the last warning about them.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    count: usize,
    /// The network that held most; empty if it is not known.
    network: String,
    last_warning: Option<Tick>,
}

/// The shortest time between two warnings about evictions.
const WARN_INTERVAL: Duration = Duration::from_secs(10);
