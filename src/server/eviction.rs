//! Which connections give way when they are too slow or a worker runs out of memory, and how.
//!
//! The network that holds the most loses its largest connection, again and again. So many connections of one network
//! that hold little each give way before one of another that holds more: a flood from few addresses costs the others
//! nothing.

use std::{
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use log::warn;

use super::{
    App, End, SlowSubscriber,
    addresses::Permit,
    bounds::{Evictions, Excess},
    ending::Consequence,
    inbound::Input,
    link::Link,
    links::Links,
    outbox::Outbox,
    state::{State, Step},
    topics::{Subscription, TopicId},
    worker::Worker,
};
use crate::{
    Rejection,
    reactor::{Key, Tick},
};

impl Links {
    /// Returns whether `more` unsolicited bytes may wait for `key`. Applies a policy for slow subscribers, which either
    /// ends the connection or skips the bytes, and the worker's limit, and evicts connections as these require.
    pub(super) fn may_wait(&mut self, key: Key, more: usize, policy: SlowSubscriber, now: Tick) -> bool {
        let Some(link) = self.get(key).filter(|link| link.state() == State::Open) else { return false };
        if self.bounds.is_too_slow(link, more) {
            match policy {
                // At once: no later message of this turn may follow the one that was dropped.
                SlowSubscriber::Close => self.evict(key, End::TooSlow, now),
                SlowSubscriber::Skip | SlowSubscriber::DropOldest | SlowSubscriber::Latest => {
                    self.note_missed(key, 1);
                }
            }
            return false;
        }
        self.has_or_makes_room(key, more, now)
    }

    /// Appends a publication to what waits for an open connection, if the policy of its topic and the worker's limit
    /// allow that. Drops what the topic drops for it.
    pub(super) fn publish(&mut self, key: Key, frame: &[u8], subscription: &Subscription, now: Tick) {
        match subscription.drops() {
            None => {
                if self.may_wait(key, frame.len(), subscription.policy, now) {
                    self.append(key, frame, now);
                }
            }
            Some(drops) => {
                let max = self.bounds.max_queued_each();
                if self.has_or_makes_room(key, frame.len(), now)
                    && let Some(link) = self.get_mut(key)
                {
                    let was_paused = link.is_read_paused(max);
                    link.outbox.frames(now).extend_from_slice(frame);
                    self.drop_earlier(key, |outbox, max| outbox.note_publication(frame.len(), drops, max));
                    if was_paused && self.get(key).is_some_and(|link| !link.is_read_paused(max)) {
                        self.resumable.push(key);
                    }
                    self.note_appended(key);
                }
            }
        }
    }

    /// Writes publications of one topic to a connection for which nothing waits. Of those that the kernel does not take,
    /// drops what the topic drops.
    pub(super) fn write_publications(&mut self, key: Key, log: &[u8], topic: TopicId, now: Tick) {
        self.write(key, log, now);
        let Some(link) = self.get(key).filter(|link| !link.outbox.is_empty()) else { return };
        let subscription = link.subscriptions.iter().find(|subscription| subscription.topic == topic);
        if let Some(drops) = subscription.and_then(Subscription::drops)
            && link.state() == State::Open
        {
            self.drop_earlier(key, |outbox, max| outbox.note_unstarted_publications(drops, max));
            self.recount(key);
        }
    }

    /// Calls `note` with an outbox and the bytes that it may hold, and counts the messages that it drops.
    fn drop_earlier(&mut self, key: Key, note: impl FnOnce(&mut Outbox, usize) -> u64) {
        let max = self.bounds.max_queued_each();
        let missed = self.get_mut(key).map_or(0, |link| note(&mut link.outbox, max));
        self.note_missed(key, missed);
    }

    /// As [`make_room`](Self::make_room), and evicts the connection for which there is none.
    fn has_or_makes_room(&mut self, key: Key, more: usize, now: Tick) -> bool {
        let fits = self.make_room(more, now);
        if !fits && self.is_open(key) {
            self.evict(key, End::Overloaded, now);
        }
        fits && self.is_open(key)
    }

    /// Makes room for `more` bytes: if the limit would be exceeded, evicts the connections with the most bytes of
    /// unstarted frames, with code 1013, those of the network that holds most first. Returns whether there is room now.
    ///
    /// Partly written frames can only be dropped with their connection; the end of the turn decides that.
    pub(super) fn make_room(&mut self, more: usize, now: Tick) -> bool {
        if self.bounds.has_room(more) {
            return true;
        }
        if !self.bounds.can_make_room(more) {
            return false; // no eviction would help
        }
        let gain = |link: &Link| link.outbox.unstarted();
        let worth = self.iter().filter(|(_, link)| link.state() == State::Open && gain(link) > CLOSE_FRAME_BYTES);
        for key in EvictionOrder::new(worth.map(|(key, link)| (key, link.permit.as_ref(), gain(link)))) {
            if self.bounds.has_room_and_reserve(more) {
                break;
            }
            self.evict(key, End::Overloaded, now);
        }
        self.bounds.has_room(more)
    }

    /// Lets a Close frame take the place of what waits for a connection, and sends nothing after it. The end of the
    /// turn ends the connection.
    pub(super) fn evict(&mut self, key: Key, end: End, now: Tick) {
        let Some(link) = self.get_mut(key) else { return };
        if let Consequence::Fail(frame) = end.consequence() {
            link.replace_unstarted(frame, now);
        }
        link.advance(Step::Evicted, now);
        self.recount(key);
        self.ended.push((key, end));
    }
}

impl<A: App> Worker<A> {
    /// Evicts connections while the worker exceeds a limit of memory: the largest of the network that holds most.
    #[inline]
    pub(super) fn bound_memory(&mut self) {
        if self.hub.links.bounds.excess().is_some() {
            self.evict_largest();
        }
    }

    #[cold]
    fn evict_largest(&mut self) {
        while let Some(excess) = self.hub.links.bounds.excess() {
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
                if self.hub.links.bounds.is_relieved(excess) {
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
        if self.hub.links.is_open(key) {
            self.end(key, &End::Overloaded);
        } else if let Input::Request(stream) = &self.inbound[Self::slot(key)].input
            && self.hub.links.state(key) != Some(State::Securing)
        {
            let rejection = Rejection::new(503).header("Retry-After", "10").body("out of memory, try again later\n");
            self.refuse(key, stream.from(), rejection);
        }
        if held(self) >= before {
            self.cut(key, &End::Overloaded);
        }
    }

    /// Counts an end for the warning about evictions, if it is one.
    pub(super) fn note_eviction(&mut self, end: &End) {
        self.evictions.count += usize::from(*end == End::Overloaded);
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
}

/// Connections in the order in which they give way.
#[derive(Debug)]
pub(super) struct EvictionOrder {
    /// Each network with the sum of its shares, the largest on top.
    totals: BinaryHeap<(usize, Holder)>,
    /// The connections of each network, the largest last.
    connections: HashMap<Holder, Vec<(usize, Key)>>,
}

/// Connections that count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Holder {
    /// The connections of a network, by its number.
    Network(usize),
    /// A connection whose network is not counted, such as a proxy's.
    Connection(Key),
}

impl EvictionOrder {
    /// Orders connections by their network and the bytes that each holds; those that hold none are left out.
    pub(super) fn new<'a>(shares: impl Iterator<Item = (Key, Option<&'a Permit>, usize)>) -> Self {
        let mut connections: HashMap<Holder, Vec<(usize, Key)>> = HashMap::new();
        for (key, permit, share) in shares.filter(|&(_, _, share)| share > 0) {
            let holder = permit.map_or(Holder::Connection(key), |permit| Holder::Network(permit.network_number()));
            connections.entry(holder).or_default().push((share, key));
        }
        let mut totals = BinaryHeap::with_capacity(connections.len());
        for (holder, shares) in &mut connections {
            shares.sort_unstable();
            totals.push((shares.iter().map(|(share, _)| share).sum(), *holder));
        }
        Self { totals, connections }
    }
}

impl Iterator for EvictionOrder {
    type Item = Key;

    fn next(&mut self) -> Option<Key> {
        let (total, holder) = self.totals.pop()?;
        let (share, key) = self.connections.get_mut(&holder)?.pop()?;
        if total > share {
            self.totals.push((total - share, holder));
        }
        Some(key)
    }
}

/// The shortest time between two warnings about evictions.
const WARN_INTERVAL: Duration = Duration::from_secs(10);
/// The largest Close frame: dropping fewer bytes than it takes makes no room.
const CLOSE_FRAME_BYTES: usize = 127;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::{Config, Remote, addresses::Addresses, hub::Hub},
        *,
    };
    use crate::{
        CloseCode, CloseFrame, Connection, Delivery, Event, Limits, MaskingKey, Message, Prepared,
        reactor::{
            Clock,
            simulated::{Network, Peer, SECOND, Wire, pair},
        },
    };

    #[test]
    fn the_largest_connection_of_the_network_that_holds_most_gives_way() {
        let rows: [(&[(&str, usize)], &[usize]); 6] = [
            (&[], &[]),
            (&[("10.0.0.1", 0)], &[]),
            (&[("10.0.0.1", 1), ("10.0.0.1", 3), ("10.0.0.1", 2)], &[1, 2, 0]),
            // Four small ones hold more than a large one.
            (
                &[("10.0.0.1", 30), ("10.0.0.2", 10), ("10.0.0.2", 11), ("10.0.0.2", 12), ("10.0.0.2", 13)],
                &[4, 3, 0, 2, 1],
            ),
            (&[("10.0.0.1", 5), ("10.0.0.2", 9), ("::1", 7)], &[1, 2, 0]),
            // A proxy's connections stand for themselves.
            (&[("10.9.9.9", 20), ("10.9.9.9", 20), ("10.0.0.1", 15), ("10.0.0.1", 15)], &[3, 1, 0, 2]),
        ];
        for (connections, expected) in rows {
            let config =
                Config { uncounted_networks: vec![std::net::IpAddr::from([10, 9, 9, 9]).into()], ..Config::default() };
            let addresses = Addresses::new(&config);
            let admit = |&(address, _): &(&str, usize)| addresses.admit(address.parse().unwrap()).unwrap();
            let permits: Vec<_> = connections.iter().map(admit).collect();
            let shares = connections
                .iter()
                .zip(&permits)
                .zip(0..)
                .map(|((&(_, share), permit), slot)| (Key { slot, generation: 0 }, permit.as_ref(), share));
            let order: Vec<_> = EvictionOrder::new(shares).map(|key| key.slot as usize).collect();
            assert_eq!(order, expected, "{connections:?}");
        }
    }

    /// A hub with one open connection, whose kernel takes ten bytes at a time.
    fn hub() -> (Hub, Key, Network, Peer) {
        hub_with(Config { max_queued_bytes: 100, ..Config::default() })
    }

    fn hub_with(config: Config) -> (Hub, Key, Network, Peer) {
        let now = Clock::starting_now().tick(std::time::Instant::now());
        let remote = Remote::new::<()>(&[]);
        let mut hub = Hub::new(Arc::new(config), remote, 0, now);
        let wire = Wire { send_buffer: 10, receive_buffer: 1000, delay: 0, piece: 10 };
        let (network, socket, peer) = pair(wire, wire);
        let key = hub.links.insert_with(|_| Link::new(socket, now));
        let link = hub.links.get_mut(key).unwrap();
        link.sender = Some(Connection::server(Limits::default(), Delivery::Messages).sender);
        link.advance(Step::HandshakeRead, now);
        link.advance(Step::Accepted, now);
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
        assert!(matches!(hub.links.ended[..], [(_, End::TooSlow)]));
        assert_eq!(received(&mut hub, key, &network, &peer), ["the first message", "Close 1008"]);
    }

    #[test]
    fn a_connection_that_does_not_fit_is_evicted_or_cut_off_inside_its_frame() {
        let large = "x".repeat(10_000);
        let first_fits: &[&str] = &["the first message", &large];
        let none_fits: &[&str] = &[&large, "the second message"];
        for (texts, is_closed, is_drained, state, expected) in [
            (first_fits, false, false, State::Evicted, &["the first message", "Close 1013"][..]),
            (first_fits, true, false, State::Evicted, &["the first message"]),
            (first_fits, false, true, State::Lingering, &["the first message", "Close 1013"]),
            (none_fits, false, false, State::Truncated, &[]),
            (none_fits, true, false, State::Truncated, &[]),
            (none_fits, false, true, State::Truncated, &[]),
        ] {
            let (mut hub, key, network, peer) = hub_with(Config { max_worker_bytes: 1000, ..Config::default() });
            hub.cork(key);
            for text in texts {
                hub.send(key, Message::Text(text), true);
            }
            if is_closed {
                hub.close(key, Some(CloseFrame { code: CloseCode::NORMAL_CLOSURE, reason: "" })).unwrap();
            }
            if is_drained {
                hub.drain(key);
            }
            hub.uncork(key);
            assert_eq!(hub.links.ended, [(key, End::Overloaded)], "{state:?}");
            assert_eq!(received(&mut hub, key, &network, &peer), expected, "{state:?}");
            assert_eq!(hub.links.state(key), Some(state), "{texts:?}");
            assert_eq!(hub.links.bounds.outgoing(), 0, "{state:?}");
        }
    }

    /// A past bug: closing moved an evicted connection back to the state that waits for the peer's Close.
    #[test]
    fn a_connection_evicted_while_it_is_being_closed_stays_evicted() {
        let (mut hub, key, network, peer) = hub();
        hub.subscribe(key, "topic", None);
        hub.send_unsolicited(key, &Prepared::text("the first message"));
        hub.end_of_turn();
        hub.publish_here("topic", &Prepared::text(&"x".repeat(100)), None);
        hub.close(key, Some(CloseFrame { code: CloseCode::NORMAL_CLOSURE, reason: "" })).unwrap();
        assert_eq!(hub.links.state(key), Some(State::Evicted));
        assert_eq!(received(&mut hub, key, &network, &peer), ["the first message", "Close 1008"]);
    }
}
