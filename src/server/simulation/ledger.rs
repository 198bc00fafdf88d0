//! A model of the server: which messages each client must get, and which ends of a connection are correct.
//!
//! The app's callbacks and the worker's mail are recorded here just before the worker acts on them. A worker executes
//! one action after another, and each connection gets messages in that order. So the ledger needs no tolerance: it
//! executes the same actions in its own tables, and each client compares every message with the next one that it
//! expects.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    ops::Range,
    rc::Rc,
};

use super::{
    super::{ConnectionId, End, Responder, Response, SlowSubscriber, Verdict, remote::Command},
    app::{Peer, Told},
    setting::{Behavior, Profile, ReadRate, Setting},
};
use crate::{
    CloseCode, Prepared,
    reactor::{
        Key,
        simulated::{MILLISECOND, NEVER, Network, SECOND, Time},
    },
};

pub(super) struct Ledger {
    pub(super) network: Network,
    pub(super) setting: Rc<Setting>,
    /// One per client, which has one connection.
    pub(super) records: Vec<Record>,
    by_id: BTreeMap<ConnectionId, usize>,
    /// When each worker began to stop.
    pub(super) stopping: Vec<Option<Time>>,
    pub(super) clocks: Vec<WorkerClock>,
    /// Messages that were posted and not executed, in order, by poster (a worker, or `None` for another thread) and
    /// receiving worker.
    in_flight: BTreeMap<(Option<u16>, u16), VecDeque<Rc<[u8]>>>,
    /// Actions that apps leave to threads of their own, each with its delay.
    pub(super) deferred: Vec<(Time, Deferred)>,
    pub(super) counts: BTreeMap<String, u64>,
}

/// The time of a worker, in which it is never suspended.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkerClock {
    /// The times in which the worker was suspended.
    pub(super) suspended: Vec<Range<Time>>,
    /// The times in which it computed.
    pub(super) slow: Vec<Range<Time>>,
}

impl WorkerClock {
    /// Returns how long the worker was not suspended between two times; 0 if the second is the earlier one.
    pub(super) fn between(&self, from: Time, to: Time) -> Time {
        let suspended = self.suspended.iter().map(|gap| gap.end.min(to).saturating_sub(gap.start.max(from)));
        to.saturating_sub(from).saturating_sub(suspended.sum())
    }

    /// Returns the time that was `span` before `now`; 0 if the run began later.
    fn before(&self, now: Time, span: Time) -> Time {
        let mut time = now.saturating_sub(span);
        while time > 0 && self.between(time, now) < span {
            time = time.saturating_sub(span - self.between(time, now));
        }
        time
    }

    /// Returns whether at most `longest` passed between two times. What becomes due while the worker does not serve
    /// its peers is done in the second after.
    pub(super) fn is_within(&self, longest: Time, from: Time, mut to: Time) -> bool {
        let mut pauses: Vec<_> = self.suspended.iter().chain(&self.slow).collect();
        pauses.sort_by_key(|pause| Reverse(pause.start));
        for pause in pauses {
            if (pause.start..pause.end + SECOND).contains(&to) {
                to = pause.start;
            }
        }
        self.between(from, to) <= longest
    }

    /// Returns the end of the last time before `now` in which the worker did not serve its peers.
    fn last_pause(&self, now: Time) -> Time {
        let ends = self.suspended.iter().chain(&self.slow).map(|pause| pause.end);
        ends.filter(|end| *end <= now).max().unwrap_or(0)
    }
}

/// An action that another thread does for an app, later.
pub(super) enum Deferred {
    Accept(Verdict<Peer>, usize),
    Drop(#[allow(dead_code, reason = "dropping it is the answer")] Verdict<Peer>),
    Respond(Responder, Response),
    Resume(ConnectionId),
    Tell(ConnectionId, Told),
}

/// A client and its connection.
pub(super) struct Record {
    pub(super) pair: usize,
    pub(super) worker: usize,
    pub(super) behavior: Behavior,
    pub(super) read_rate: ReadRate,
    /// Messages that the client has sent.
    pub(super) sent: Vec<Sent>,
    /// How many of them the app has received.
    pub(super) received: usize,
    pub(super) id: Option<ConnectionId>,
    pub(super) app_view: AppView,
    subscriptions: Vec<Box<str>>,
    /// The timers that are set, by name: since when, and for how long.
    timers: BTreeMap<u32, (Time, Time)>,
    /// The app waits until nothing waits for the client.
    watched: bool,
    /// The messages for the client, in order.
    expected: Vec<Expected>,
    /// How many of these it has got or was allowed to miss.
    settled: usize,
    /// The messages that it has missed, as far as it can know; and those of which the app was told.
    missed: u64,
    told_missed: u64,
    pub(super) end: Option<(End, Time)>,
    /// The code of the Close frame that the client sent, and the offset of the frame's end in all bytes it sent.
    pub(super) closed_with: Option<(Option<CloseCode>, usize)>,
    /// The close code that its violation of the protocol requires.
    pub(super) violation: Option<CloseCode>,
    /// When the client vanished or stopped reading.
    pub(super) unresponsive_since: Option<Time>,
    /// The code of the Close frame that the client got.
    pub(super) got_close: Option<Option<CloseCode>>,
    /// The client has read the end of the server's side.
    pub(super) saw_end: bool,
    /// The connection ended before all was written, since the client took too little.
    was_cut: bool,
    /// When the client closed its socket.
    pub(super) closed_at: Time,
}

pub(super) struct Sent {
    pub(super) binary: bool,
    pub(super) payload: Rc<[u8]>,
}

struct Expected {
    payload: Rc<[u8]>,
    origin: Origin,
}

/// The origin of a message, which decides whether a slow client may miss it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// The client has asked for it.
    Answer,
    /// Another has sent it to the client.
    Sent,
    /// It was published in a topic.
    Published(Rc<str>),
}

impl Expected {
    /// Returns the policy that applies if the client is too slow for this message; `None` if none does.
    fn policy(&self, setting: &Setting) -> Option<SlowSubscriber> {
        match &self.origin {
            Origin::Answer => None,
            Origin::Sent => Some(setting.config.slow_subscriber),
            Origin::Published(topic) => Some(setting.policy(topic)),
        }
    }
}

/// How far a connection has come, as its app has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AppView {
    Before,
    Open,
    /// Our Close frame with this code is sent or waits, since this time.
    Closing(CloseCode, Time),
    /// The app has terminated it.
    Terminated,
    Over,
}

impl Record {
    pub(super) fn new(pair: usize, worker: usize, behavior: Behavior, read_rate: ReadRate) -> Self {
        Self {
            pair,
            worker,
            behavior,
            read_rate,
            sent: Vec::new(),
            received: 0,
            id: None,
            app_view: AppView::Before,
            subscriptions: Vec::new(),
            timers: BTreeMap::new(),
            watched: false,
            expected: Vec::new(),
            settled: 0,
            missed: 0,
            told_missed: 0,
            end: None,
            closed_with: None,
            violation: None,
            unresponsive_since: None,
            got_close: None,
            saw_end: false,
            was_cut: false,
            closed_at: 0,
        }
    }

    /// Returns whether the client may miss an expected message because it is slow.
    fn may_miss(&self, place: usize, setting: &Setting) -> bool {
        let expected = &self.expected[place];
        match expected.policy(setting) {
            None | Some(SlowSubscriber::Close) => false,
            Some(SlowSubscriber::Skip | SlowSubscriber::DropOldest) => true,
            Some(SlowSubscriber::Latest) => match expected.origin {
                // Only for a later one of the topic.
                Origin::Published(_) => self.expected[place + 1..].iter().any(|later| later.origin == expected.origin),
                Origin::Answer | Origin::Sent => true,
            },
        }
    }

    /// Returns whether the client reads at full speed and follows the protocol, apart from a deliberate violation.
    pub(super) fn is_well_behaved(&self) -> bool {
        let keen = self.read_rate == ReadRate::Eager && self.unresponsive_since.is_none();
        keen && matches!(
            self.behavior,
            Behavior::Closes | Behavior::ClosesAndEnds | Behavior::RequestsClose | Behavior::BreaksProtocol
        )
    }
}

impl Ledger {
    pub(super) fn new(network: Network, setting: Rc<Setting>) -> Self {
        let workers = setting.workers;
        Self {
            network,
            setting,
            records: Vec::new(),
            by_id: BTreeMap::new(),
            stopping: vec![None; workers],
            clocks: vec![WorkerClock::default(); workers],
            in_flight: BTreeMap::new(),
            deferred: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn count(&mut self, what: &str) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    pub(super) fn defer(&mut self, after: Time, action: Deferred) {
        self.deferred.push((after, action));
    }

    // Callbacks of the app.

    pub(super) fn handshake_received(&mut self, client: usize, id: ConnectionId) {
        assert_eq!(self.records[client].id.replace(id), None, "client {client} asks twice");
        assert_eq!(self.by_id.insert(id, client), None, "{id} is given twice");
    }

    pub(super) fn opened(&mut self, client: usize, id: ConnectionId) {
        let record = &mut self.records[client];
        assert_eq!((record.app_view, record.id), (AppView::Before, Some(id)), "client {client} opens");
        record.app_view = AppView::Open;
        self.network.note(format_args!("{client} is open as {id}"));
    }

    pub(super) fn message_received(&mut self, client: usize, binary: bool, payload: &[u8]) {
        let record = &mut self.records[client];
        assert_eq!(record.app_view, AppView::Open, "client {client}: a message after the close");
        let place = record.received;
        record.received += 1;
        let sent = &record.sent[place];
        assert!(sent.binary == binary && *sent.payload == *payload, "client {client}: message {place} differs");
        self.network.note(format_args!("{client}'s message arrives: {}", excerpt(payload)));
    }

    pub(super) fn closed(&mut self, client: usize, id: ConnectionId, end: &End) {
        let now = self.network.now();
        let record = &mut self.records[client];
        assert_eq!(record.id, Some(id), "client {client} has another id");
        assert!(
            matches!(record.app_view, AppView::Open | AppView::Closing(..) | AppView::Terminated),
            "client {client} ends a second time: {end}"
        );
        self.network.note(format_args!("{client} ends: {end}"));
        self.check_end(client, end, now);
        self.check_timers(client, now);
        let record = &mut self.records[client];
        record.app_view = AppView::Over;
        record.end = Some((end.clone(), now));
        self.count(name(end));
    }

    pub(super) fn ponged(&mut self, client: usize) {
        assert_eq!(self.records[client].app_view, AppView::Open, "client {client}: a Pong after the close");
        self.count("pong");
    }

    pub(super) fn timer(&mut self, client: usize, name: u32) {
        let now = self.network.now();
        let record = &mut self.records[client];
        assert_eq!(record.app_view, AppView::Open, "client {client}: a timer after the close");
        let Some((since, delay)) = record.timers.remove(&name) else {
            panic!("client {client}: timer {name} is not set");
        };
        assert!(now >= since + delay, "client {client}: timer {name} of {delay} µs is early");
        self.count("timer");
    }

    pub(super) fn drained(&mut self, client: usize) {
        let record = &mut self.records[client];
        assert_eq!(record.app_view, AppView::Open, "client {client}: drained after the close");
        assert!(std::mem::take(&mut record.watched), "client {client}: drained, and nobody waited for that");
        self.count("drained");
    }

    pub(super) fn missed(&mut self, client: usize, count: u64) {
        let record = &mut self.records[client];
        assert_eq!(record.app_view, AppView::Open, "client {client}: told of missed messages after the close");
        assert_ne!(count, 0, "client {client} missed nothing");
        record.told_missed += count;
        self.count("told of missed messages");
    }

    /// Checks that no timer of a client is overdue.
    fn check_timers(&self, client: usize, now: Time) {
        let record = &self.records[client];
        let clock = &self.clocks[record.worker];
        for (name, (since, delay)) in &record.timers {
            let longest = delay + 2 * self.setting.longest_wait + 50 * MILLISECOND;
            assert!(clock.is_within(longest, *since, now), "client {client}: timer {name} of {delay} µs is overdue");
        }
    }

    // Actions of the app and of the workers.

    pub(super) fn subscribe(&mut self, client: usize, topic: &str) {
        let record = &mut self.records[client];
        if record.app_view == AppView::Open && !record.subscriptions.iter().any(|name| **name == *topic) {
            record.subscriptions.push(topic.into());
        }
    }

    pub(super) fn unsubscribe(&mut self, client: usize, topic: &str) {
        self.records[client].subscriptions.retain(|name| **name != *topic);
    }

    /// Records that a worker executes a publication.
    pub(super) fn publish(&mut self, worker: u16, topic: &str, payload: &[u8], except: Option<usize>) {
        let (payload, topic): (Rc<[u8]>, Rc<str>) = (payload.into(), topic.into());
        for (client, record) in self.records.iter_mut().enumerate() {
            let subscribed = || record.subscriptions.iter().any(|name| **name == *topic);
            if record.app_view == AppView::Open
                && record.id.is_some_and(|id| id.worker == worker)
                && subscribed()
                && except != Some(client)
            {
                let origin = Origin::Published(Rc::clone(&topic));
                record.expected.push(Expected { payload: Rc::clone(&payload), origin });
            }
        }
    }

    /// Records that a worker executes a send to one connection.
    pub(super) fn send(&mut self, client: usize, payload: &[u8], unsolicited: bool) {
        let record = &mut self.records[client];
        if record.app_view == AppView::Open {
            let origin = if unsolicited { Origin::Sent } else { Origin::Answer };
            record.expected.push(Expected { payload: payload.into(), origin });
        }
    }

    pub(super) fn close(&mut self, client: usize, code: CloseCode) {
        let now = self.network.now();
        let record = &mut self.records[client];
        if record.app_view == AppView::Open {
            record.app_view = AppView::Closing(code, now);
            record.timers.clear();
            self.network.note(format_args!("{client} is being closed with {code}"));
        }
    }

    pub(super) fn terminate(&mut self, client: usize) {
        let record = &mut self.records[client];
        assert_eq!(record.app_view, AppView::Open, "client {client} is terminated");
        record.app_view = AppView::Terminated;
        record.timers.clear();
    }

    pub(super) fn set_timer(&mut self, client: usize, name: u32, delay: Time) {
        let now = self.network.now();
        self.records[client].timers.insert(name, (now, delay));
    }

    pub(super) fn watch(&mut self, client: usize) {
        self.records[client].watched = true;
    }

    fn client(&self, worker: u16, key: Key) -> Option<usize> {
        self.by_id.get(&ConnectionId { worker, key }).copied()
    }

    /// Records a command that a worker is about to execute.
    pub(super) fn command_received(&mut self, worker: u16, command: &Command) {
        match command {
            Command::Publish(batch) => {
                for publication in batch.iter() {
                    self.arrived(worker, publication.message.payload());
                    let except = publication.except_at(worker).and_then(|key| self.client(worker, key));
                    self.publish(worker, &publication.topic, publication.message.payload(), except);
                }
            }
            Command::Send(key, message) | Command::Answer(key, message) => {
                let client = self.client(worker, *key);
                self.arrived(worker, message.payload());
                self.send_prepared(client, message, matches!(command, Command::Send(..)));
            }
            Command::Subscribe(key, topic, _) => {
                if let Some(client) = self.client(worker, *key) {
                    self.subscribe(client, topic);
                }
            }
            Command::Unsubscribe(key, topic) => {
                if let Some(client) = self.client(worker, *key) {
                    self.unsubscribe(client, topic);
                }
            }
            Command::Close(key, code, reason) | Command::Shut(key, code, reason) => {
                let may = code.may_be_sent() && *code != CloseCode::MANDATORY_EXTENSION && reason.len() <= 123;
                if let Some(client) = self.client(worker, *key) {
                    self.close(client, if may { *code } else { CloseCode::INTERNAL_ERROR });
                }
            }
            Command::Resume(_) | Command::SetConfig(_) => {}
            #[cfg(feature = "tls")]
            Command::SetTls(_) => {}
            Command::Stop => {
                let now = self.network.now();
                if self.stopping[usize::from(worker)].replace(now).is_none() {
                    self.network.note(format_args!("worker {worker} gets the command to stop"));
                }
                self.close_all(worker);
            }
        }
    }

    /// Records a message posted to a worker, by another worker or by another thread (`None`).
    pub(super) fn post(&mut self, from: Option<u16>, to: u16, payload: &[u8]) {
        self.in_flight.entry((from, to)).or_default().push_back(payload.into());
    }

    /// Records a message posted to all workers except the poster.
    pub(super) fn post_to_others(&mut self, from: Option<u16>, payload: &[u8]) {
        for to in (0..self.setting.workers as u16).filter(|to| Some(*to) != from) {
            self.post(from, to, payload);
        }
    }

    /// Records the arrival of a posted message, which must be the next one of its poster.
    fn arrived(&mut self, to: u16, payload: &[u8]) {
        let is_next = |queue: &&mut VecDeque<Rc<[u8]>>| queue.front().is_some_and(|next| **next == *payload);
        let queues = self.in_flight.iter_mut().filter(|((_, by), _)| *by == to).map(|(_, queue)| queue);
        let queue = { queues }.find(is_next);
        let Some(queue) = queue else { panic!("worker {to} gets an unexpected message: {}", excerpt(payload)) };
        queue.pop_front();
    }

    /// Checks that no posted message was lost, except to workers that have stopped.
    pub(super) fn check_at_rest(&self) {
        for ((from, to), queue) in &self.in_flight {
            let lost = queue.front().map(|payload| excerpt(payload));
            assert!(lost.is_none() || self.stopping[usize::from(*to)].is_some(), "{from:?} to {to}: {lost:?} is lost");
        }
    }

    fn send_prepared(&mut self, client: Option<usize>, message: &Prepared, unsolicited: bool) {
        if let Some(client) = client {
            self.send(client, message.payload(), unsolicited);
        }
    }

    /// Records that all open connections of a stopping worker are closed.
    pub(super) fn close_all(&mut self, worker: u16) {
        if self.stopping[usize::from(worker)].is_some() {
            for client in 0..self.records.len() {
                if self.records[client].id.is_some_and(|id| id.worker == worker) {
                    self.close(client, CloseCode::GOING_AWAY);
                }
            }
        }
    }

    // Observations of clients.

    /// Checks a message that a client has got: it must be the next expected one.
    pub(super) fn got(&mut self, client: usize, payload: &[u8]) {
        let setting = Rc::clone(&self.setting);
        let record = &mut self.records[client];
        let mut skipped = BTreeMap::new();
        loop {
            let Some(expected) = record.expected.get(record.settled) else {
                panic!("client {client} got a message that is unexpected, repeated or too late: {}", excerpt(payload));
            };
            let place = record.settled;
            record.settled += 1;
            if *expected.payload == *payload {
                break;
            }
            let (wanted, got) = (excerpt(&expected.payload), excerpt(payload));
            assert!(record.may_miss(place, &setting), "client {client} got {got} instead of {wanted}");
            *skipped.entry(format!("{:?}", expected.policy(&setting))).or_insert(0) += 1;
        }
        record.missed += skipped.values().sum::<u64>();
        for policy in skipped.into_keys() {
            assert_ne!(self.setting.profile, Profile::Calm, "client {client} missed messages without a reason");
            self.count(&format!("missed by {policy}"));
        }
    }

    /// Checks that an end matches the client's behavior.
    fn check_end(&self, client: usize, end: &End, now: Time) {
        let record = &self.records[client];
        let config = &self.setting.config;
        let facts = self.network.facts(record.pair);
        let micros = |duration: std::time::Duration| duration.as_micros() as Time;
        let clock = &self.clocks[record.worker];
        // Deadlines count in hundredths of a second, and in the time of the worker.
        let ago = |timeout: std::time::Duration| clock.before(now, micros(timeout).saturating_sub(20 * MILLISECOND));
        // A worker may not have noticed later arrivals yet.
        let noticed = now.saturating_sub(self.setting.longest_wait + 10 * MILLISECOND);
        let unresponsive = record.unresponsive_since.is_some();
        let (is_right, why) = match end {
            End::Closed { by_us: true, code } => {
                (matches!(record.app_view, AppView::Closing(ours, _) if Some(ours) == *code), "we closed it otherwise")
            }
            End::Closed { by_us: false, code } => {
                let theirs = record.closed_with.map(|(code, _)| code);
                (record.app_view == AppView::Open && theirs == Some(*code), "the peer closed it otherwise")
            }
            End::Failed(error) => (record.violation == Some(error.close_code()), "it broke another rule, or none"),
            End::Vanished => (facts.ended.is_some(), "its end has not arrived"),
            End::Broken(_) => (facts.reset.is_some(), "it was not reset"),
            End::TlsFailed => (false, "no client breaks its rules"),
            End::NoPong => {
                let silent = facts.arrived <= ago(config.idle_timeout - config.ping_after);
                (silent && !record.is_well_behaved(), "it was not silent")
            }
            End::NoClose => {
                let since = match record.app_view {
                    AppView::Closing(_, since) => since,
                    _ => NEVER,
                };
                // Input is counted as it is on the wire, and output is not.
                let counts = !self.setting.is_tls;
                let answered = counts && record.closed_with.is_some_and(|(_, bytes)| facts.arrived_bytes >= bytes);
                let lately = facts.arrived >= noticed;
                (since <= ago(config.close_timeout) && (!answered || lately), "its Close arrived in time")
            }
            End::WriteStalled => {
                let slow = self.setting.profile != Profile::Calm || !record.is_well_behaved();
                (slow && self.takes_too_little(record, now), "it took bytes")
            }
            End::MessageStalled => {
                // The last bytes may have been a Ping in the middle of the message, which is no progress of the
                // message.
                let patience = config.message_timeout / if record.behavior == Behavior::Vanishes { 2 } else { 1 };
                // Others may have sent a few bytes, but not the demanded share of the message.
                let few = self.network.arrived_since(record.pair, ago(patience)) <= facts.arrived_bytes / 32;
                let stalled = record.behavior == Behavior::StopsInMessage || few;
                (stalled && !record.is_well_behaved(), "its messages went on")
            }
            End::TooSlow => {
                let closes = |expected: &Expected| expected.policy(&self.setting) == Some(SlowSubscriber::Close);
                (record.expected.iter().any(closes) && self.setting.profile != Profile::Calm, "it was not too slow")
            }
            End::Overloaded => (self.setting.profile == Profile::Memory, "there was room"),
            End::Terminated => (record.app_view == AppView::Terminated, "the app did not"),
            End::Stopped => {
                let since = record.id.and_then(|id| self.stopping[usize::from(id.worker)]).unwrap_or(NEVER);
                (since <= ago(config.stop_timeout), "there was time")
            }
        };
        assert!(
            is_right,
            "client {client}, {:?}, {:?}: {end}, but {why}: {facts:?}, unresponsive {unresponsive}",
            record.behavior, record.app_view
        );
        if let Some(since) = record.unresponsive_since {
            // The client's kernel still takes bytes when the client does not read.
            let since = if record.behavior == Behavior::StopsReading { since.max(facts.last_writable) } else { since };
            // A slow worker sends its Pings late, and restarts the deadlines of the peers whose bytes it then finds.
            // The others restart theirs if they have waited for its mailbox.
            let paused = self.clocks.iter().map(|clock| clock.last_pause(now)).max().unwrap_or(0);
            let since = since.max(paused);
            let bound = micros(config.idle_timeout + config.write_timeout) + 2 * SECOND;
            assert!(
                clock.is_within(bound, since, now),
                "client {client} is unresponsive since {since} and ended only now"
            );
        }
    }

    /// Returns whether a client took less than the demanded share of all that ever was to be sent to it.
    fn takes_too_little(&self, record: &Record, now: Time) -> bool {
        let timeout = self.setting.config.write_timeout.as_micros() as Time;
        let since = self.clocks[record.worker].before(now, timeout.saturating_sub(20 * MILLISECOND));
        let taken = self.network.written_since(record.pair, since);
        let all: usize = record.expected.iter().map(|expected| expected.payload.len() + MAX_HEADER_BYTES).sum();
        taken <= all / 32
    }

    /// Records that a connection that the app is done with has ended before all was written.
    pub(super) fn cut(&mut self, worker: u16, key: Key) {
        let Some(client) = self.client(worker, key) else { return };
        let now = self.network.now();
        assert!(self.takes_too_little(&self.records[client], now), "client {client} is cut, but it took bytes");
        self.records[client].was_cut = true;
    }

    /// Returns whether neither the network nor a limit interfered with a client, so that it must have got every
    /// expected message.
    pub(super) fn is_undisturbed(&self, client: usize) -> bool {
        let (record, config) = (&self.records[client], &self.setting.config);
        // A client that is cut off by a stop or evicted may miss the rest.
        let cut_off = self.stopping.iter().flatten().min().map(|since| since + config.stop_timeout.as_micros() as Time);
        let in_time =
            record.closed_at + 20 * MILLISECOND < cut_off.unwrap_or(NEVER) && self.setting.profile != Profile::Memory;
        let is_whole = !record.was_cut && !self.network.facts(record.pair).client_reset;
        in_time && is_whole && record.is_well_behaved() && record.saw_end
    }

    /// Checks a client whose connection is over on both sides.
    pub(super) fn check_over(&self, client: usize) {
        let record = &self.records[client];
        let Some((end, _)) = &record.end else {
            assert!(matches!(record.app_view, AppView::Before), "client {client}, {:?}, never ended", record.behavior);
            return;
        };
        let code = match end {
            End::Closed { code, .. } => Some(*code),
            End::Failed(_) | End::NoPong | End::MessageStalled | End::TooSlow | End::Overloaded => {
                Some(Some(end.code()))
            }
            End::Vanished
            | End::Broken(_)
            | End::TlsFailed
            | End::NoClose
            | End::WriteStalled
            | End::Terminated
            | End::Stopped => None,
        };
        if let (Some(got), Some(code)) = (record.got_close, code) {
            assert_eq!(got, code, "client {client} got another code than the app: {end}");
        }
        let undisturbed = self.is_undisturbed(client);
        if undisturbed && code.is_some() && *end != End::Overloaded {
            assert!(record.got_close.is_some(), "client {client} got no Close frame: {end}");
        }
        if undisturbed && matches!(end, End::Closed { .. }) {
            let rest = record.settled..record.expected.len();
            let missed = rest.clone().find(|place| !record.may_miss(*place, &self.setting));
            let missed = missed.map(|place| excerpt(&record.expected[place].payload));
            assert_eq!(missed, None, "client {client} missed a message before the Close: {end}");
            let missed = record.missed + rest.len() as u64;
            assert!(record.told_missed <= missed, "client {client} missed {missed}, its app knows of more");
            if matches!(end, End::Closed { by_us: false, .. }) {
                assert_eq!(record.received, record.sent.len(), "client {client}: the app missed messages");
            }
        }
    }
}

/// The longest header of a frame of the server.
const MAX_HEADER_BYTES: usize = 10;

/// Returns the start of a message, which identifies it.
pub(super) fn excerpt(payload: &[u8]) -> String {
    String::from_utf8_lossy(&payload[..payload.len().min(24)]).into_owned()
}

/// Returns the name of an end, without its fields.
pub(super) fn name(end: &End) -> &'static str {
    match end {
        End::Closed { by_us: true, .. } => "closed by us",
        End::Closed { by_us: false, .. } => "closed by the peer",
        End::Failed(_) => "failed",
        End::Vanished => "vanished",
        End::Broken(_) => "broken",
        End::TlsFailed => "broke TLS",
        End::NoPong => "no pong",
        End::NoClose => "no close",
        End::WriteStalled => "write stalled",
        End::MessageStalled => "message stalled",
        End::TooSlow => "too slow",
        End::Overloaded => "overloaded",
        End::Terminated => "terminated",
        End::Stopped => "stopped",
    }
}
