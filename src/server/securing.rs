//! Handshakes of TLS, before HTTP.
//!
//! A handshake costs as much as a thousand messages. So those that can continue wait in a queue, from which each turn
//! takes one, and more until they have taken a millisecond: a flood of them delays the other connections by that much.

use std::time::Duration;

use super::{App, state::Step, worker::Worker};
use crate::{
    Rejection,
    reactor::{Key, Stopwatch, Turn},
};

impl<A: App> Worker<A> {
    /// Lets a connection wait until its handshake can continue.
    pub(super) fn wait_to_secure(&mut self, key: Key) {
        if let Some(link) = self.hub.links.get_mut(key).filter(|link| !link.scheduled) {
            link.scheduled = true;
            self.securing.push_back(key);
        }
    }

    /// Continues the handshakes that have waited longest.
    pub(super) fn secure_some(&mut self, turn: &mut Turn<'_>) {
        let mut spent = Duration::ZERO;
        while spent < TIME_PER_TURN
            && !self.hub.congested
            && let Some(key) = self.securing.pop_front()
        {
            if let Some(link) = self.hub.links.get_mut(key) {
                link.scheduled = false;
                let stopwatch = Stopwatch::start();
                self.secure(key, turn);
                spent += stopwatch.elapsed();
            }
        }
    }

    /// Continues a handshake with what has arrived.
    fn secure(&mut self, key: Key, turn: &mut Turn<'_>) {
        let read = self.hub.links.read(key, turn.buffer, turn.now);
        let Some(link) = self.hub.links.get_mut(key) else { return };
        if !link.socket.is_handshaking() {
            link.advance(Step::Secured, turn.now);
            if link.over_capacity {
                self.refuse_first(key, Rejection::new(503).header("Retry-After", "10").body(TOO_MANY));
            }
        }
        self.received(key, read, turn);
        self.recount(key);
        self.bound_memory();
        self.schedule(key);
    }

    /// Refuses a peer that speaks HTTP without TLS, in clear.
    #[cfg(feature = "tls")]
    pub(super) fn refuse_plain(&mut self, key: Key) {
        self.refuse_first(key, Rejection::new(400).body("this port speaks https, and wss: use TLS\n"));
    }

    /// Refuses the first request of a connection before it is read.
    fn refuse_first(&mut self, key: Key, rejection: Rejection) {
        if let Some(from) = self.inbound[Self::slot(key)].first_from() {
            self.refuse(key, from, rejection);
        }
    }
}

/// The time for handshakes in one turn, after which no other begins.
const TIME_PER_TURN: Duration = Duration::from_millis(1);
/// The body of a response to a client that is one too many, for the server or for its address.
const TOO_MANY: &str = "the server, or your address, has too many connections: try again later\n";
