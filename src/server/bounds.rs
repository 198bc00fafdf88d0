//! Bounds on the bytes that peers make a worker keep: a policy for each slow subscriber, and a limit for all bytes of a
//! worker.
//!
//! All heap memory that grows with what peers send, or do not read, is counted, as allocated: outboxes, and input that
//! is not processed (parts of requests and messages, stashes). Input gets at most half of the limit, so that a flood of
//! it leaves room for answers.

use std::io;

use super::{
    Config, SlowSubscriber,
    eviction::EvictionOrder,
    link::{Link, LinkState},
};
use crate::{
    CloseCode, CloseFrame,
    reactor::{Key, Slots, Tick},
};

/// The bytes that a worker keeps for its peers, their bounds, and the connections that exceeded one.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Bytes allocated by all outboxes.
    outgoing: usize,
    /// Bytes allocated for input that is not processed, of all connections.
    incoming: usize,
    /// The limit of `incoming`, and of both together.
    max_incoming: usize,
    max_total: usize,
    /// The limit for one subscriber.
    max_queued_each: usize,
    slow_subscriber: SlowSubscriber,
    /// Connections that must end, and why. Handled at the end of the turn.
    pub(super) failed: Vec<(Key, Failure)>,
}

/// Why the outgoing half of a connection must end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The socket is broken.
    Broken(io::Error),
    /// The subscriber is too far behind.
    TooSlow,
    /// The connection was evicted to free memory: its frames were dropped and a Close frame was queued.
    Overloaded,
    /// The limit left no space even for the rest of a partly written frame. That frame is cut off, so no Close frame
    /// can follow.
    Cut,
}

impl Bounds {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            outgoing: 0,
            incoming: 0,
            max_incoming: config.max_input_bytes(),
            max_total: config.max_connection_bytes(),
            max_queued_each: config.max_queued_bytes,
            slow_subscriber: config.slow_subscriber,
            failed: Vec::new(),
        }
    }

    /// Returns the bytes allocated by all outboxes.
    #[cfg(test)]
    pub(super) fn outgoing(&self) -> usize {
        self.outgoing
    }

    /// Returns the bytes allocated for input that is not processed.
    #[cfg(test)]
    pub(super) fn incoming(&self) -> usize {
        self.incoming
    }

    /// Updates the count after an outbox has changed.
    pub(super) fn recount(&mut self, link: &mut Link) {
        let (before, now) = link.outbox.recount();
        self.outgoing = self.outgoing - before + now;
    }

    /// Updates the count after the unprocessed input of a connection has changed.
    pub(super) fn recount_incoming(&mut self, (before, now): (usize, usize)) {
        self.incoming = self.incoming - before + now;
    }

    /// Returns what takes more than its limit, if anything does.
    pub(super) fn excess(&self) -> Option<Excess> {
        if self.incoming > self.max_incoming {
            Some(Excess::Incoming)
        } else if self.incoming + self.outgoing > self.max_total {
            Some(Excess::Both)
        } else {
            None
        }
    }

    /// Returns whether an excess is gone, and a sixteenth of the limit is free. Finding the largest connections costs a
    /// look at all of them, and must not be needed for every few bytes.
    pub(super) fn is_relieved(&self, excess: Excess) -> bool {
        match excess {
            Excess::Incoming => self.incoming <= with_reserve(self.max_incoming),
            Excess::Both => self.incoming + self.outgoing <= with_reserve(self.max_total),
        }
    }

    /// Returns how many bytes the outboxes may allocate: what the input leaves.
    fn max_outgoing(&self) -> usize {
        self.max_total.saturating_sub(self.incoming)
    }

    /// Removes the outbox of a removed link from the count.
    pub(super) fn forget(&mut self, mut link: Link) {
        link.outbox.clear();
        self.recount(&mut link);
    }

    /// Returns whether `more` unsolicited bytes may wait for `key`. Applies the policy for slow subscribers and the
    /// worker's limit, and evicts connections as these require.
    pub(super) fn may_wait(&mut self, links: &mut Slots<Link>, key: Key, more: usize, now: Tick) -> bool {
        let Some(link) = links.get_mut(key).filter(|link| link.state == LinkState::Open) else { return false };
        let waits = link.outbox.len();
        if waits > 0 && waits + more > self.max_queued_each {
            match self.slow_subscriber {
                SlowSubscriber::Skip => {}
                // Evict at once: no later message of this turn may follow the one that was dropped.
                SlowSubscriber::Close => {
                    self.evict(link, CloseCode::POLICY_VIOLATION, TOO_SLOW, now);
                    self.failed.push((key, Failure::TooSlow));
                }
            }
            return false;
        }
        let fits = self.make_room(links, more, now);
        if !fits && let Some(link) = links.get_mut(key).filter(|link| link.state == LinkState::Open) {
            self.evict(link, CloseCode::TRY_AGAIN_LATER, OVERLOADED, now);
            self.failed.push((key, Failure::Overloaded));
        }
        fits
    }

    /// Returns whether `more` bytes may wait for a link without any policy or eviction.
    pub(super) fn has_space(&self, link: &Link, more: usize) -> bool {
        link.outbox.len() + more <= self.max_queued_each && self.outgoing + more <= self.max_outgoing()
    }

    /// Writes frames to a link with an empty outbox, and keeps the bytes that the kernel does not take.
    pub(super) fn write_or_keep(&mut self, links: &mut Slots<Link>, key: Key, frames: &[u8], now: Tick) {
        let Some(link) = links.get_mut(key) else { return };
        let written = match link.socket.write(frames) {
            Ok(written) if written == frames.len() => return,
            Ok(written) => written,
            Err(error) => {
                self.failed.push((key, Failure::Broken(error)));
                return;
            }
        };
        let fits = self.make_room(links, frames.len() - written, now);
        let Some(link) = links.get_mut(key) else { return };
        link.outbox.keep_rest(frames, written, now);
        if !fits {
            // Unstarted frames are dropped; the rest of the started one may still be too much.
            link.outbox.drop_unstarted();
            if self.outgoing + link.outbox.allocated_bytes() > self.max_outgoing() {
                link.outbox.clear();
                link.state = LinkState::Draining;
                self.failed.push((key, Failure::Cut));
            } else {
                if link.state == LinkState::Open {
                    self.evict(link, CloseCode::TRY_AGAIN_LATER, OVERLOADED, now);
                }
                self.failed.push((key, Failure::Overloaded));
            }
        }
        self.recount(link);
    }

    /// Makes room for `more` bytes: if the limit would be exceeded, evicts the connections with the most bytes of
    /// unstarted frames, with code 1013, those of the network that holds most first. Returns whether there is room now.
    ///
    /// Partly written frames can only be dropped with their connection; the end of the turn decides that.
    fn make_room(&mut self, links: &mut Slots<Link>, more: usize, now: Tick) -> bool {
        let Some(max_before) = self.max_outgoing().checked_sub(more) else { return false }; // no eviction would help
        if self.outgoing > max_before {
            let gain = |link: &Link| link.outbox.unstarted();
            let worth =
                links.iter().filter(|(_, link)| link.state == LinkState::Open && gain(link) > CLOSE_FRAME_BYTES);
            let order = EvictionOrder::new(worth.map(|(key, link)| (key, link.permit.as_ref(), gain(link))));
            let enough = max_before.min(with_reserve(self.max_outgoing()));
            for key in order {
                if self.outgoing <= enough {
                    break;
                }
                let Some(link) = links.get_mut(key) else { continue };
                self.evict(link, CloseCode::TRY_AGAIN_LATER, OVERLOADED, now);
                self.failed.push((key, Failure::Overloaded));
            }
        }
        self.outgoing <= max_before
    }

    /// Drops the unstarted frames of a connection, queues a Close frame instead, and sends nothing after it.
    fn evict(&mut self, link: &mut Link, code: CloseCode, reason: &str, now: Tick) {
        link.outbox.drop_unstarted();
        if let Some(sender) = link.sender.as_mut().filter(|sender| sender.is_open()) {
            let written = sender.close(Some(CloseFrame { code, reason }), link.outbox.frames(now));
            debug_assert_eq!(written, Ok(()), "our own close reasons fit");
        }
        link.enter(LinkState::Draining, now);
        self.recount(link);
    }
}

/// What takes more of a worker's memory than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// Input that is not processed.
    Incoming,
    /// Input and outboxes together.
    Both,
}

/// Returns a limit less a sixteenth.
fn with_reserve(limit: usize) -> usize {
    limit - limit / 16
}

/// The largest Close frame: dropping fewer bytes than it takes makes no room.
const CLOSE_FRAME_BYTES: usize = 127;
/// The close reason for a subscriber that does not read fast enough.
pub(super) const TOO_SLOW: &str = "too slow for what is published";
/// The close reason for a connection that is evicted when a worker reaches its memory limit.
pub(super) const OVERLOADED: &str = "out of memory, try again later";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        Connection, Delivery, Event, Limits, MaskingKey, Prepared,
        reactor::{
            Clock,
            simulated::{Network, Peer, SECOND, Wire, pair},
        },
        server::{Message, Remote, hub::Hub, inbound::Mail},
    };

    /// A hub with one open connection, whose kernel takes ten bytes at a time.
    fn hub() -> (Hub, Key, Network, Peer) {
        let config = Config { max_queued_bytes: 100, ..Config::default() };
        let now = Clock::starting_now().tick(std::time::Instant::now());
        let remote = Remote::new::<Mail<()>>(&[]);
        let mut hub = Hub::new(Arc::new(config), remote, 0, now);
        let wire = Wire { send_buffer: 10, receive_buffer: 1000, delay: 0, piece: 10 };
        let (network, socket, peer) = pair(wire, wire);
        let key = hub.links.insert_with(|_| Link::new(socket, now));
        let link = hub.links.get_mut(key).unwrap();
        link.sender = Some(Connection::server(Limits::default(), Delivery::Messages).sender);
        link.enter(LinkState::Open, now);
        (hub, key, network, peer)
    }

    /// Returns everything that the peer receives.
    fn received(hub: &mut Hub, key: Key, network: &Network, peer: &Peer) -> Vec<String> {
        let keys = || MaskingKey([0; 4]);
        let mut client = Connection::client(keys, Limits::default(), Delivery::Messages);
        let mut seen = Vec::new();
        for turn in 0..100 {
            hub.end_of_turn();
            hub.flush(key);
            network.advance(turn * SECOND);
            let mut buffer = [0; 100];
            let Ok(count) = peer.read(&mut buffer) else { continue };
            let mut events = client.receiver.receive(&mut buffer[..count]);
            while let Some(event) = events.next_event().unwrap() {
                seen.push(match event {
                    Event::Text(text) => text.to_owned(),
                    Event::Close(frame) => format!("Close {}", frame.unwrap().code.get()),
                    other => panic!("{other:?}"),
                });
            }
        }
        seen
    }

    /// A past bug: a later message that fitted was sent after one that did not.
    #[test]
    fn a_subscriber_too_slow_for_one_message_gets_no_later_one() {
        let (mut hub, key, network, peer) = hub();
        for text in ["the first message", "unbegun", &"x".repeat(100), "small"] {
            hub.send_unsolicited(key, &Prepared::text(text));
            if text.starts_with("the first") {
                hub.end_of_turn();
            }
        }
        hub.send(key, Message::Text("an answer"), true);
        assert!(matches!(hub.bounds.failed[..], [(_, Failure::TooSlow)]));
        assert_eq!(received(&mut hub, key, &network, &peer), ["the first message", "Close 1008"]);
    }

    /// A past bug: closing moved an evicted connection back to the state that waits for the peer's Close.
    #[test]
    fn a_connection_evicted_while_it_is_being_closed_stays_evicted() {
        let (mut hub, key, network, peer) = hub();
        hub.subscribe(key, "topic");
        hub.send_unsolicited(key, &Prepared::text("the first message"));
        hub.end_of_turn();
        hub.publish_here("topic", &Prepared::text(&"x".repeat(100)), None);
        hub.close(key, Some(CloseFrame { code: CloseCode::NORMAL_CLOSURE, reason: "" })).unwrap();
        assert_eq!(hub.links.get(key).unwrap().state, LinkState::Draining);
        assert_eq!(received(&mut hub, key, &network, &peer), ["the first message", "Close 1008"]);
    }
}
