//! What must come to whom: kept beside the server, by who calls it and by who reads its mail first.
//!
//! A worker executes one thing after the other, and promises each connection what is sent and published in that
//! order. So the ledger needs no tolerance: it executes the same in its own tables, and each client compares every
//! message with the next one that it is owed.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use super::{
    super::{ConnectionId, End, Responder, Response, SlowSubscriber, Verdict, remote::Order},
    app::Peer,
    setting::{Appetite, Fate, Profile, Setting},
};
use crate::{
    CloseCode, Prepared,
    reactor::{
        Key,
        simulated::{FOR_EVER, MILLISECOND, Network, Time},
    },
};

pub(super) struct Ledger {
    pub(super) network: Network,
    pub(super) setting: Rc<Setting>,
    /// One per client, which has one connection.
    pub(super) stories: Vec<Story>,
    by_id: BTreeMap<ConnectionId, usize>,
    /// By worker, since when it knows that the server is stopping.
    pub(super) stopping: Vec<Option<Time>>,
    /// What was posted and is not executed, by who posted it (a worker, or somebody else) and to whom: in that order.
    underway: BTreeMap<(Option<u16>, u16), VecDeque<Rc<[u8]>>>,
    /// What apps leave for threads of their own, and when those do it.
    pub(super) chores: Vec<(Time, Chore)>,
    pub(super) counts: BTreeMap<String, u64>,
}

/// Something that another thread does for an app.
pub(super) enum Chore {
    Accept(Verdict<Peer>, usize),
    Drop(#[allow(dead_code, reason = "dropping it is the answer")] Verdict<Peer>),
    Respond(Responder, Response),
    Resume(ConnectionId),
}

/// A client and its connection.
pub(super) struct Story {
    pub(super) pair: usize,
    pub(super) fate: Fate,
    pub(super) appetite: Appetite,
    /// Messages that it has put on its way.
    pub(super) sent: Vec<Sent>,
    /// How many of them the app has heard.
    pub(super) heard: usize,
    pub(super) id: Option<ConnectionId>,
    pub(super) stage: Stage,
    subscriptions: Vec<Box<str>>,
    /// What it is owed, in order.
    owed: Vec<Owed>,
    /// How many of these it has got, or was rightly not given.
    settled: usize,
    pub(super) end: Option<(End, Time)>,
    /// The Close frame that it put on its way, and when all before that and it will have arrived, in bytes.
    pub(super) closed_with: Option<(Option<CloseCode>, usize)>,
    /// The code that its breach of the protocol calls for.
    pub(super) breach: Option<CloseCode>,
    /// It has gone away without a word, or reads no more.
    pub(super) deaf_since: Option<Time>,
    /// The Close frame that it has got.
    pub(super) got_close: Option<Option<CloseCode>>,
    /// It has read to the end of the server's side.
    pub(super) saw_end: bool,
    /// When it closed its socket.
    pub(super) left: Time,
}

pub(super) struct Sent {
    pub(super) binary: bool,
    pub(super) payload: Rc<[u8]>,
}

struct Owed {
    payload: Rc<[u8]>,
    /// It may be skipped where the subscriber is slow.
    by_others: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Before,
    Open,
    /// Our Close is sent, or waits, with this code.
    Closing(CloseCode, Time),
    Over,
}

impl Story {
    pub(super) fn new(pair: usize, fate: Fate, appetite: Appetite) -> Self {
        Self {
            pair,
            fate,
            appetite,
            sent: Vec::new(),
            heard: 0,
            id: None,
            stage: Stage::Before,
            subscriptions: Vec::new(),
            owed: Vec::new(),
            settled: 0,
            end: None,
            closed_with: None,
            breach: None,
            deaf_since: None,
            got_close: None,
            saw_end: false,
            left: 0,
        }
    }

    /// It reads as fast as it can and says what it owes, to its end.
    pub(super) fn is_well_behaved(&self) -> bool {
        let keen = self.appetite == Appetite::Eager && self.deaf_since.is_none();
        keen && matches!(self.fate, Fate::Closes | Fate::ClosesAndEnds | Fate::AsksToClose | Fate::Breaches)
    }
}

impl Ledger {
    pub(super) fn new(network: Network, setting: Rc<Setting>) -> Self {
        let workers = setting.workers;
        Self {
            network,
            setting,
            stories: Vec::new(),
            by_id: BTreeMap::new(),
            stopping: vec![None; workers],
            underway: BTreeMap::new(),
            chores: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn count(&mut self, what: &str) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    pub(super) fn leave(&mut self, after: Time, chore: Chore) {
        self.chores.push((after, chore));
    }

    // What the app is told.

    pub(super) fn asked(&mut self, client: usize, id: ConnectionId) {
        assert_eq!(self.stories[client].id.replace(id), None, "client {client} is asked about twice");
        assert_eq!(self.by_id.insert(id, client), None, "{id} is given twice");
    }

    pub(super) fn opened(&mut self, client: usize, id: ConnectionId) {
        let story = &mut self.stories[client];
        assert_eq!((story.stage, story.id), (Stage::Before, Some(id)), "client {client} opens");
        story.stage = Stage::Open;
        self.network.note(format_args!("{client} is open as {id}"));
    }

    pub(super) fn heard(&mut self, client: usize, binary: bool, payload: &[u8]) {
        let story = &mut self.stories[client];
        assert_eq!(story.stage, Stage::Open, "client {client} is heard after it was closed");
        let place = story.heard;
        story.heard += 1;
        let sent = &story.sent[place];
        assert!(sent.binary == binary && *sent.payload == *payload, "client {client}: message {place} is another one");
        self.network.note(format_args!("{client} is heard: {}", head(payload)));
    }

    pub(super) fn closed(&mut self, client: usize, id: ConnectionId, end: &End) {
        let now = self.network.now();
        let story = &mut self.stories[client];
        assert_eq!(story.id, Some(id), "client {client} is another one");
        assert!(matches!(story.stage, Stage::Open | Stage::Closing(..)), "client {client} ends a second time: {end}");
        self.network.note(format_args!("{client} ends: {end}"));
        self.judge(client, end, now);
        let story = &mut self.stories[client];
        story.stage = Stage::Over;
        story.end = Some((end.clone(), now));
        self.count(name(end));
    }

    // What is done for the app.

    pub(super) fn subscribe(&mut self, client: usize, topic: &str) {
        let story = &mut self.stories[client];
        if story.stage == Stage::Open && !story.subscriptions.iter().any(|name| **name == *topic) {
            story.subscriptions.push(topic.into());
        }
    }

    pub(super) fn unsubscribe(&mut self, client: usize, topic: &str) {
        self.stories[client].subscriptions.retain(|name| **name != *topic);
    }

    /// A worker executes a publication.
    pub(super) fn publish(&mut self, worker: u16, topic: &str, payload: &[u8], except: Option<usize>) {
        let payload: Rc<[u8]> = payload.into();
        for (client, story) in self.stories.iter_mut().enumerate() {
            let subscribed = || story.subscriptions.iter().any(|name| **name == *topic);
            if story.stage == Stage::Open
                && story.id.is_some_and(|id| id.worker == worker)
                && subscribed()
                && except != Some(client)
            {
                story.owed.push(Owed { payload: Rc::clone(&payload), by_others: true });
            }
        }
    }

    /// A worker executes that something is sent.
    pub(super) fn send(&mut self, client: usize, payload: &[u8], by_others: bool) {
        let story = &mut self.stories[client];
        if story.stage == Stage::Open {
            story.owed.push(Owed { payload: payload.into(), by_others });
        }
    }

    pub(super) fn close(&mut self, client: usize, code: CloseCode) {
        let now = self.network.now();
        let story = &mut self.stories[client];
        if story.stage == Stage::Open {
            story.stage = Stage::Closing(code, now);
            self.network.note(format_args!("{client} is being closed with {code}"));
        }
    }

    fn client(&self, worker: u16, key: Key) -> Option<usize> {
        self.by_id.get(&ConnectionId { worker, key }).copied()
    }

    /// A worker is about to execute what other threads asked for.
    pub(super) fn ordered(&mut self, worker: u16, order: &Order) {
        match order {
            Order::Publish(batch) => {
                for publication in batch.iter() {
                    self.arrived(worker, publication.message.payload());
                    let except = publication.except_at(worker).and_then(|key| self.client(worker, key));
                    self.publish(worker, &publication.topic, publication.message.payload(), except);
                }
            }
            Order::Send(key, message) | Order::Answer(key, message) => {
                let client = self.client(worker, *key);
                self.arrived(worker, message.payload());
                self.send_prepared(client, message, matches!(order, Order::Send(..)));
            }
            Order::Subscribe(key, topic) => {
                if let Some(client) = self.client(worker, *key) {
                    self.subscribe(client, topic);
                }
            }
            Order::Unsubscribe(key, topic) => {
                if let Some(client) = self.client(worker, *key) {
                    self.unsubscribe(client, topic);
                }
            }
            Order::Close(key, code, reason) => {
                let may = code.may_be_sent() && *code != CloseCode::MANDATORY_EXTENSION && reason.len() <= 123;
                if let Some(client) = self.client(worker, *key) {
                    self.close(client, if may { *code } else { CloseCode::INTERNAL_ERROR });
                }
            }
            Order::Resume(_) => {}
            Order::Stop => {
                let now = self.network.now();
                if self.stopping[usize::from(worker)].replace(now).is_none() {
                    self.network.note(format_args!("worker {worker} is told to stop"));
                }
                self.close_all(worker);
            }
        }
    }

    /// Something is on its way to a worker, posted by another or by no worker.
    pub(super) fn post(&mut self, from: Option<u16>, to: u16, payload: &[u8]) {
        self.underway.entry((from, to)).or_default().push_back(payload.into());
    }

    /// The same for all workers but the one that posts it.
    pub(super) fn post_to_others(&mut self, from: Option<u16>, payload: &[u8]) {
        for to in (0..self.setting.workers as u16).filter(|to| Some(*to) != from) {
            self.post(from, to, payload);
        }
    }

    /// It is there: the next one of whoever posted it.
    fn arrived(&mut self, to: u16, payload: &[u8]) {
        let is_next = |queue: &&mut VecDeque<Rc<[u8]>>| queue.front().is_some_and(|next| **next == *payload);
        let queues = self.underway.iter_mut().filter(|((_, by), _)| *by == to).map(|(_, queue)| queue);
        let queue = { queues }.find(is_next);
        let Some(queue) = queue else { panic!("worker {to} was not to get this now: {}", head(payload)) };
        queue.pop_front();
    }

    /// What must hold when all workers are at rest, unless some have ended before.
    pub(super) fn check_at_rest(&self) {
        for ((from, to), queue) in &self.underway {
            let lost = queue.front().map(|payload| head(payload));
            assert!(lost.is_none() || self.stopping[usize::from(*to)].is_some(), "{from:?} to {to}: {lost:?} is lost");
        }
    }

    fn send_prepared(&mut self, client: Option<usize>, message: &Prepared, by_others: bool) {
        if let Some(client) = client {
            self.send(client, message.payload(), by_others);
        }
    }

    /// Whoever is open on a worker that stops is closed.
    pub(super) fn close_all(&mut self, worker: u16) {
        if self.stopping[usize::from(worker)].is_some() {
            for client in 0..self.stories.len() {
                if self.stories[client].id.is_some_and(|id| id.worker == worker) {
                    self.close(client, CloseCode::GOING_AWAY);
                }
            }
        }
    }

    // What clients see.

    /// A client has got a message: it must be the next that it is owed.
    pub(super) fn got(&mut self, client: usize, payload: &[u8]) {
        let skips = self.setting.config.slow_subscriber == SlowSubscriber::Skip;
        let story = &mut self.stories[client];
        let mut skipped = 0;
        loop {
            let Some(owed) = story.owed.get(story.settled) else {
                panic!("client {client} got what it is not owed, or twice, or too late: {}", head(payload));
            };
            story.settled += 1;
            if *owed.payload == *payload {
                break;
            }
            let (wanted, got) = (head(&owed.payload), head(payload));
            assert!(skips && owed.by_others, "client {client} got {got} instead of {wanted}");
            skipped += 1;
        }
        if skipped > 0 {
            assert_ne!(self.setting.profile, Profile::Calm, "client {client} missed messages for nothing");
            self.count("skipped for a slow subscriber");
        }
    }

    /// Whether an end fits what the client did, and did not.
    fn judge(&self, client: usize, end: &End, now: Time) {
        let story = &self.stories[client];
        let config = &self.setting.config;
        let facts = self.network.facts(story.pair);
        let micros = |duration: std::time::Duration| duration.as_micros() as Time;
        // A deadline looks at hundredths of a second.
        let ago = |timeout: std::time::Duration| now.saturating_sub(micros(timeout)) + 20 * MILLISECOND;
        // What a worker has not had time to notice.
        let noticed = now.saturating_sub(self.setting.longest_wait + 10 * MILLISECOND);
        let deaf = story.deaf_since.is_some();
        let (is_right, why) = match end {
            End::Closed { by_us: true, code } => {
                (matches!(story.stage, Stage::Closing(ours, _) if Some(ours) == *code), "we closed it otherwise")
            }
            End::Closed { by_us: false, code } => {
                let theirs = story.closed_with.map(|(code, _)| code);
                (story.stage == Stage::Open && theirs == Some(*code), "the peer closed it otherwise")
            }
            End::Failed(error) => (story.breach == Some(error.close_code()), "it broke another rule, or none"),
            End::Vanished => (facts.ended.is_some(), "its end has not come"),
            End::Broken(_) => (facts.reset.is_some(), "nobody reset it"),
            End::NoPong => {
                let silent = facts.arrived <= ago(config.idle_timeout - config.ping_after);
                (silent && !story.is_well_behaved(), "it was not silent")
            }
            End::NoClose => {
                let since = match story.stage {
                    Stage::Closing(_, since) => since,
                    _ => FOR_EVER,
                };
                let answered = story.closed_with.is_some_and(|(_, bytes)| facts.arrived_bytes >= bytes);
                let lately = facts.arrived >= noticed;
                (since <= ago(config.close_timeout) && (!answered || lately), "its Close was there in time")
            }
            End::WriteStalled => {
                let stalled = facts.had_room <= ago(config.write_timeout);
                (stalled && !story.is_well_behaved(), "it took bytes")
            }
            End::MessageStalled => {
                // What came last may have been a Ping in the middle of the message, which is no progress of it.
                let patience = config.message_timeout / if story.fate == Fate::Vanishes { 2 } else { 1 };
                let stalled = story.fate == Fate::StopsInMessage || facts.arrived <= ago(patience);
                (stalled && !story.is_well_behaved(), "its messages went on")
            }
            End::TooSlow => {
                let closes = config.slow_subscriber == SlowSubscriber::Close;
                (closes && self.setting.profile != Profile::Calm, "it was not too slow")
            }
            End::Overloaded => (self.setting.profile == Profile::Memory, "there was room"),
            End::Stopped => {
                let since = story.id.and_then(|id| self.stopping[usize::from(id.worker)]).unwrap_or(FOR_EVER);
                (since <= ago(config.stop_timeout), "there was time")
            }
        };
        assert!(
            is_right,
            "client {client}, {:?}, {:?}: {end}, but {why}: {facts:?}, deaf {deaf}",
            story.fate, story.stage
        );
        if let Some(since) = story.deaf_since {
            // What its system takes for it, it takes.
            let since = if story.fate == Fate::StopsReading { since.max(facts.had_room) } else { since };
            let bound = micros(config.idle_timeout + config.write_timeout) + 2_000_000;
            assert!(now <= since + bound, "client {client} is gone since {since} and ended only now");
        }
    }

    /// Whether nothing went wrong with a client that it or we could not help: it must have got all that it is owed.
    pub(super) fn is_undisturbed(&self, client: usize) -> bool {
        let (story, config) = (&self.stories[client], &self.setting.config);
        // Who is cut off by the end of the server, or for its memory, may miss the rest.
        let cut_off = self.stopping.iter().flatten().min().map(|since| since + config.stop_timeout.as_micros() as Time);
        let in_time =
            story.left + 20 * MILLISECOND < cut_off.unwrap_or(FOR_EVER) && self.setting.profile != Profile::Memory;
        in_time && !self.network.facts(story.pair).client_reset && story.is_well_behaved() && story.saw_end
    }

    /// What must hold of a client whose connection is over on both sides.
    pub(super) fn check_over(&self, client: usize) {
        let story = &self.stories[client];
        let Some((end, _)) = &story.end else {
            assert!(matches!(story.stage, Stage::Before), "client {client}, {:?}, never ended", story.fate);
            return;
        };
        let code = match end {
            End::Closed { code, .. } => Some(*code),
            End::Failed(_) | End::NoPong | End::MessageStalled | End::TooSlow | End::Overloaded => {
                Some(Some(end.code()))
            }
            End::Vanished | End::Broken(_) | End::NoClose | End::WriteStalled | End::Stopped => None,
        };
        if let (Some(got), Some(code)) = (story.got_close, code) {
            assert_eq!(got, code, "client {client} was told another code than the app: {end}");
        }
        let undisturbed = self.is_undisturbed(client);
        if undisturbed && code.is_some() && *end != End::Overloaded {
            assert!(story.got_close.is_some(), "client {client} was not told why: {end}");
        }
        if undisturbed && matches!(end, End::Closed { .. }) {
            let skips = self.setting.config.slow_subscriber == SlowSubscriber::Skip;
            let missed = story.owed[story.settled..].iter().find(|owed| !(skips && owed.by_others));
            let missed = missed.map(|owed| head(&owed.payload));
            assert_eq!(missed, None, "client {client} did not get all before the Close: {end}");
            if matches!(end, End::Closed { by_us: false, .. }) {
                assert_eq!(story.heard, story.sent.len(), "client {client} was not heard to the end");
            }
        }
    }
}

/// The first words of a message, which tell it from all others.
pub(super) fn head(payload: &[u8]) -> String {
    String::from_utf8_lossy(&payload[..payload.len().min(24)]).into_owned()
}

/// An end without its particulars.
pub(super) fn name(end: &End) -> &'static str {
    match end {
        End::Closed { by_us: true, .. } => "closed by us",
        End::Closed { by_us: false, .. } => "closed by the peer",
        End::Failed(_) => "failed",
        End::Vanished => "vanished",
        End::Broken(_) => "broken",
        End::NoPong => "no pong",
        End::NoClose => "no close",
        End::WriteStalled => "write stalled",
        End::MessageStalled => "message stalled",
        End::TooSlow => "too slow",
        End::Overloaded => "overloaded",
        End::Stopped => "stopped",
    }
}
