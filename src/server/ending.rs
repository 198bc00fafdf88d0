//! How connections end, one by one or all at a stop. The app hears of each once.

use log::{debug, info};

use super::{
    App, End,
    bounds::{Failure, OVERLOADED, TOO_SLOW},
    hub::{Fault, Hub},
    inbound::Phase,
    link::{Link, Stage},
    worker::Worker,
};
use crate::{
    CloseCode, CloseFrame,
    reactor::{Key, Tick, Turn},
};

impl<A: App> Worker<A> {
    /// The peer ended its side of TCP.
    pub(super) fn peer_ended(&mut self, key: Key) {
        let Some(link) = self.hub.links.get_mut(key) else { return };
        link.read_closed = true;
        match self.inbound[Self::slot(key)].phase {
            // A write may have found the connection broken already, and taken the socket's error with it.
            Phase::Open { .. } if self.hub.bounds.failed.iter().any(|(failed, _)| *failed == key) => {}
            Phase::Open { .. } => self.end(key, &End::Vanished),
            // It may still want the answer to what it asked.
            Phase::AwaitingResponse { .. } | Phase::AwaitingVerdict { .. } => {}
            // The answer to its last request may still be on its way.
            Phase::Http(_) => self.drain(key),
            Phase::Over => {
                if link.stage == Stage::Lingering {
                    self.remove(key);
                }
            }
        }
    }

    /// The connection is over for the app, which hears of it once; frames that wait are still written.
    pub(super) fn finish(&mut self, key: Key, end: &End) {
        let inbound = &mut self.inbound[Self::slot(key)];
        inbound.take_stash();
        let phase = std::mem::replace(&mut inbound.phase, Phase::Over);
        self.note_unfinished(key, true);
        if let Phase::Open { peer, .. } = phase {
            let id = self.hub.id(key);
            debug!("{id}: {end}");
            self.app.closed(peer, id, end, &self.hub.remote);
        }
    }

    /// The connection is over at once.
    pub(super) fn end(&mut self, key: Key, end: &End) {
        self.finish(key, end);
        self.remove(key);
    }

    pub(super) fn remove(&mut self, key: Key) {
        self.hub.remove(key);
        if let Some(inbound) = self.inbound.get_mut(Self::slot(key)) {
            inbound.take_stash();
            inbound.phase = Phase::Over;
        }
    }

    /// Fails a connection by policy: the peer is told why, and the app.
    pub(super) fn fail(&mut self, key: Key, end: &End, reason: &str) {
        self.finish(key, end);
        self.hub.fail(key, &Fault::Policy(end.code(), reason));
        self.schedule(key);
    }

    /// Carries out what the hub found: broken sockets, subscribers that are too slow.
    pub(super) fn handle_failures(&mut self) {
        while let Some((key, failure)) = self.hub.bounds.failed.pop() {
            if self.hub.links.get(key).is_none() {
                continue;
            }
            match failure {
                Failure::Broken(error) => self.end(key, &End::Broken(error.kind())),
                Failure::Overloaded => self.fail(key, &End::Overloaded, OVERLOADED),
                Failure::Cut => self.end(key, &End::Overloaded),
                Failure::TooSlow => self.fail(key, &End::TooSlow, TOO_SLOW),
            }
        }
    }

    /// Closes whoever uses most of this worker's memory while that is more than it may be.
    pub(super) fn bound_memory(&mut self) {
        let limit = self.config.max_worker_bytes;
        let used =
            |worker: &Self| worker.hub.queued_bytes() + usize::try_from(worker.unfinished_bytes).unwrap_or(usize::MAX);
        while used(self) > limit {
            let share = |key: Key, link: &Link| link.outbox.len() as u64 + self.inbound[Self::slot(key)].buffered();
            let largest = self.hub.links.iter().max_by_key(|&(key, link)| share(key, link)).map(|(key, _)| key);
            let Some(key) = largest else { return };
            let before = used(self);
            if self.hub.is_open(key) {
                self.fail(key, &End::Overloaded, OVERLOADED);
            }
            if used(self) >= before {
                self.end(key, &End::Overloaded);
            }
        }
    }

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
        // A code and reason of our own that fit.
        let _ = self.hub.close(key, Some(frame));
    }

    /// Whether the server is stopping and this worker has nothing left to do, or no time to do it.
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

/// How a connection ended whose peer sent this Close frame.
pub(super) fn close_end(hub: &Hub, key: Key, frame: Option<CloseFrame<'_>>) -> End {
    let link = hub.links.get(key);
    match link.filter(|link| link.stage == Stage::Closing).and_then(|link| link.sender.as_ref()?.close_code()) {
        Some(code) => End::Closed { by_us: true, code },
        None => End::Closed { by_us: false, code: frame.map(|frame| frame.code) },
    }
}
