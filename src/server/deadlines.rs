//! Deadlines for everything that a peer can stall. A periodic sweep checks all connections (see
//! [`Config::sweep_period`](super::Config::sweep_period)); there is no timer per connection.

use super::{App, End, inbound::Input, link::Readable, state::State, worker::Worker};
use crate::{
    Rejection,
    reactor::{Key, Tick},
};

impl<A: App> Worker<A> {
    pub(super) fn check_deadlines(&mut self, now: Tick) {
        if now.since(self.last_sweep) < self.sweep_period {
            return;
        }
        self.last_sweep = now;
        self.warn_of_evictions();
        let (is_reading, mut slot) = (!self.hub.congested, 0);
        while let Some(key) = self.hub.links.key_from(slot) {
            slot = key.slot + 1;
            if !is_reading {
                // The worker reads from no peer, so no peer can be late.
                self.restart_peer_deadlines(key);
            }
            self.check_deadline(key, now);
        }
    }

    fn check_deadline(&mut self, key: Key, now: Tick) {
        let Some(link) = self.hub.links.get(key) else { return };
        let config = &*self.config;
        let awaited = now.since(link.since);
        if link.outbox.last_progress().is_some_and(|at| now.since(at) >= config.write_timeout) {
            return self.end(key, &End::WriteStalled);
        }
        match link.state() {
            // Bytes that have arrived may wait for their turn.
            State::Securing if link.scheduled => {}
            State::Securing | State::Request => {
                let Input::Request(stream) = &self.inbound[Self::slot(key)].input else { return };
                let is_late = match stream.begun() {
                    Some(begun) => now.since(begun) >= config.handshake_timeout,
                    None => awaited >= config.keep_alive_timeout,
                };
                if is_late && link.is_drained() {
                    self.request_timed_out(key);
                }
            }
            // The app has no deadline.
            State::AwaitingResponse | State::AwaitingVerdict => {}
            State::Open => self.check_open(key, now),
            State::Closing if link.is_drained() && awaited >= config.close_timeout => self.end(key, &End::NoClose),
            State::Lingering if awaited >= config.linger_timeout => self.end(key, &End::NoClose),
            // Only the write deadline applies until everything is written.
            State::Closing | State::Evicted | State::Truncated | State::Draining | State::Lingering => {}
        }
    }

    fn check_open(&mut self, key: Key, now: Tick) {
        let Some(link) = self.hub.links.get(key) else { return };
        let config = &*self.config;
        let inbound = &self.inbound[Self::slot(key)];
        // While the worker does not read, or has not read all, the peer's silence means nothing: only the write
        // deadline applies.
        let has_unread = !inbound.stash().is_empty() || link.readable != Readable::No;
        if link.is_read_paused(config.max_queued_bytes) || has_unread {
            return;
        }
        let awaited = now.since(link.since);
        let is_stalled = inbound
            .unfinished()
            .is_some_and(|unfinished| now.since(unfinished.last_progress()) >= config.message_timeout);
        if is_stalled {
            self.end(key, &End::MessageStalled);
        } else if link.pinged {
            if awaited >= config.idle_timeout.saturating_sub(config.ping_after) {
                self.end(key, &End::NoPong);
            }
        } else if awaited >= config.ping_after && link.is_drained() {
            self.ping(key); // while bytes wait for the peer, only the write deadline applies
        }
    }

    fn ping(&mut self, key: Key) {
        let sent = self.hub.ping(key, b"");
        debug_assert_eq!(sent, Ok(()), "an empty Ping can be sent");
        if let Some(link) = self.hub.links.get_mut(key) {
            link.note_pinged(self.hub.now);
        }
    }

    fn request_timed_out(&mut self, key: Key) {
        let Input::Request(stream) = &self.inbound[Self::slot(key)].input else { return };
        if stream.is_idle() || self.hub.links.state(key) == Some(State::Securing) {
            self.end(key, &End::Vanished);
        } else {
            self.refuse(key, stream.from(), Rejection::new(408).body("the request took too long\n"));
        }
    }
}
