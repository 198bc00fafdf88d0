//! Deadlines for everything that a peer can stall. A periodic sweep checks all connections (see
//! [`Config::sweep_period`](super::Config::sweep_period)); there is no timer per connection.

use super::{
    App, End,
    inbound::Phase,
    link::{LinkState, Readable},
    worker::Worker,
};
use crate::{
    Rejection,
    reactor::{Key, Tick},
};

/// The action that a deadline calls for.
enum Due {
    /// End the connection because no whole request came in time; send 408 if a part came.
    Request,
    /// Send a Ping.
    Ping,
    /// Fail the connection with a Close frame.
    Fail(End, &'static str),
    /// Close TCP at once: the peer would not read a Close frame.
    End(End),
}

impl<A: App> Worker<A> {
    pub(super) fn check_deadlines(&mut self, now: Tick) {
        if now.since(self.last_sweep) < self.sweep_period {
            return;
        }
        self.last_sweep = now;
        self.warn_of_evictions();
        if self.hub.congested {
            // The worker reads from no peer, so no peer can be late.
            for key in self.hub.links.keys().collect::<Vec<_>>() {
                self.restart_peer_deadlines(key);
            }
        }
        for key in self.hub.links.keys().collect::<Vec<_>>() {
            match self.due(key, now) {
                None => {}
                Some(Due::Ping) => self.ping(key),
                Some(Due::Request) => self.request_timed_out(key),
                Some(Due::Fail(end, reason)) => self.fail(key, &end, reason),
                Some(Due::End(end)) => self.end(key, &end),
            }
        }
    }

    fn due(&self, key: Key, now: Tick) -> Option<Due> {
        let link = self.hub.links.get(key)?;
        let config = &*self.config;
        let awaited = now.since(link.since);
        if link.outbox.last_progress().is_some_and(|at| now.since(at) >= config.write_timeout) {
            return Some(Due::End(End::WriteStalled));
        }
        match link.state {
            LinkState::Http => {
                let Phase::Http(stream) = &self.inbound[key.slot as usize].phase else { return None };
                let late = match stream.begun() {
                    Some(begun) => now.since(begun) >= config.handshake_timeout,
                    None => awaited >= config.keep_alive_timeout,
                };
                (late && link.outbox.is_empty()).then_some(Due::Request)
            }
            LinkState::Open => {
                let inbound = &self.inbound[key.slot as usize];
                // While the worker does not read, or has not read all, the peer's silence means nothing: only the write
                // deadline applies.
                let has_unread = !inbound.stash().is_empty() || link.readable != Readable::No;
                if link.is_read_paused(config.max_queued_bytes) || has_unread {
                    return None;
                }
                let unfinished = inbound.unfinished();
                let stalled = unfinished
                    .is_some_and(|unfinished| now.since(unfinished.last_progress()) >= config.message_timeout);
                if stalled {
                    Some(Due::Fail(End::MessageStalled, "a message was not finished in time"))
                } else if link.pinged {
                    let patience = config.idle_timeout.saturating_sub(config.ping_after);
                    (awaited >= patience).then_some(Due::Fail(End::NoPong, "no answer to a Ping"))
                } else if awaited >= config.ping_after && link.outbox.is_empty() {
                    Some(Due::Ping)
                } else {
                    None // while bytes wait for the peer, only the write deadline applies
                }
            }
            LinkState::Closing => {
                (link.outbox.is_empty() && awaited >= config.close_timeout).then_some(Due::End(End::NoClose))
            }
            LinkState::Draining => None, // only the write deadline applies
            LinkState::Lingering => (awaited >= config.linger_timeout).then_some(Due::End(End::NoClose)),
        }
    }

    fn ping(&mut self, key: Key) {
        self.hub.ping(key);
        if let Some(link) = self.hub.links.get_mut(key) {
            link.note_pinged(self.hub.now);
        }
    }

    fn request_timed_out(&mut self, key: Key) {
        let Phase::Http(stream) = &self.inbound[key.slot as usize].phase else { return };
        if stream.is_idle() {
            self.end(key, &End::Vanished);
        } else {
            self.refuse(key, stream.from(), Rejection::new(408).body("the request took too long\n"));
        }
    }
}
