//! The outgoing side of a worker: all links, topics, and what is to be written when.
//!
//! What one readiness event causes to be sent to its own connection is corked: it collects in one buffer of the
//! worker and leaves in one `write`. What goes to other connections waits in their outboxes for the end of the turn,
//! and publishes wait there in their topics' logs. Only what the kernel does not take stays.

use std::{io, sync::Arc};

use super::{
    Config, ConnectionId, Message, Remote, SlowSubscriber,
    link::{Link, Stage},
    remote::Publication,
    topics::{TopicId, Topics},
};
use crate::{
    CloseCode, CloseFrame, FrameHeader, Output, Prepared, ProtocolError, Reply, SendError, Sender,
    reactor::{Key, Slots, Tick},
};

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) config: Arc<Config>,
    pub(super) remote: Remote,
    pub(super) worker: u16,
    pub(super) links: Slots<Link>,
    pub(super) now: Tick,
    topics: Topics,
    /// Frames for the connection whose event is being handled.
    cork: Vec<u8>,
    corked: Option<Key>,
    dirty: Vec<Key>,
    /// Publications of this turn, for the other workers.
    outgoing: Vec<Publication>,
    /// Bytes in all outboxes.
    queued: usize,
    /// Connections that may be read from again, or must be to see the end: listed at the end of the turn.
    pub(super) relieved: Vec<Key>,
    /// Connections that must end, and why: handled at the end of the turn.
    pub(super) failed: Vec<(Key, Failure)>,
}

/// Why the hub wants a connection to end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The socket is broken.
    Broken(io::Error),
    /// A subscriber that is too far behind.
    TooSlow,
}

impl Hub {
    pub(super) fn new(config: Arc<Config>, remote: Remote, worker: u16, now: Tick) -> Self {
        Self {
            config,
            remote,
            worker,
            links: Slots::new(),
            now,
            topics: Topics::default(),
            cork: Vec::new(),
            corked: None,
            dirty: Vec::new(),
            outgoing: Vec::new(),
            queued: 0,
            relieved: Vec::new(),
            failed: Vec::new(),
        }
    }

    pub(super) fn id(&self, key: Key) -> ConnectionId {
        ConnectionId { worker: self.worker, key }
    }

    /// Bytes that wait for peers, in all.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued
    }

    pub(super) fn is_open(&self, key: Key) -> bool {
        self.links.get(key).is_some_and(|link| link.stage == Stage::Open)
    }

    // ---- the cork

    /// From now on, what is sent to `key` is collected.
    pub(super) fn cork(&mut self, key: Key) {
        self.corked = Some(key);
    }

    /// Writes what was collected, if it is worth a `write` of its own.
    pub(super) fn flush_full_cork(&mut self, key: Key) {
        if self.cork.len() >= CORK_BYTES {
            self.flush_cork(key);
        }
    }

    /// Writes what was collected and collects no more.
    pub(super) fn uncork(&mut self, key: Key) {
        self.flush_cork(key);
        self.corked = None;
    }

    fn flush_cork(&mut self, key: Key) {
        if self.cork.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut self.cork);
        if let Some(link) = self.links.get_mut(key) {
            write_or_keep(link, &frames, self.now, key, &mut self.failed);
            self.recount(key);
        }
        self.cork = frames;
        self.cork.clear();
        self.cork.shrink_to(2 * CORK_BYTES);
    }

    // ---- to one connection

    /// Runs `send` with the sender of an open connection and the place where its frames go now.
    fn with_sender(
        &mut self,
        key: Key,
        send: impl FnOnce(&mut Sender, &mut dyn Output) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        self.catch_up(key);
        let Some(link) = self.links.get_mut(key) else { return Ok(()) };
        if link.stage != Stage::Open {
            return Ok(());
        }
        let sent = if self.corked == Some(key) && link.outbox.is_empty() {
            send(&mut link.sender, &mut self.cork)
        } else {
            if !link.dirty {
                link.dirty = true;
                self.dirty.push(key);
            }
            if link.outbox.is_empty() {
                link.written = self.now;
            }
            send(&mut link.sender, &mut link.outbox)
        };
        self.recount(key);
        sent
    }

    /// Sends a message; nothing happens where the connection is not open.
    pub(super) fn send(&mut self, key: Key, message: Message<'_>) {
        let sent = self.with_sender(key, |sender, place| match message {
            Message::Text(text) => sender.text(text, place),
            Message::Binary(bytes) => sender.binary(bytes, place),
        });
        debug_assert_eq!(sent, Ok(()), "an open link takes whole messages");
    }

    /// Sends a message as an app to someone else than who is being handled: it counts as owed.
    pub(super) fn send_owed(&mut self, key: Key, message: &Prepared) {
        if self.has_room(key, message.frame().len()) {
            let sent = self.with_sender(key, |sender, place| sender.prepared(message, place));
            debug_assert_eq!(sent, Ok(()), "an open link takes whole messages");
        }
    }

    /// Answers what the RFC obliges us to answer.
    pub(super) fn reply(&mut self, key: Key, reply: Reply<'_>) {
        let waits = self.links.get(key).is_some_and(|link| link.stage == Stage::Open && !link.outbox.is_empty());
        match reply {
            Reply::Pong(_) if waits => {
                let mut frame = Vec::new();
                if let Some(link) = self.links.get_mut(key)
                    && link.sender.reply(reply, &mut frame).is_ok()
                {
                    link.outbox.append_pong(&frame);
                }
                self.recount(key);
            }
            Reply::Pong(_) | Reply::Close(_) => {
                let sent = self.with_sender(key, |sender, place| sender.reply(reply, place));
                debug_assert_eq!(sent, Ok(()), "a growing buffer takes any reply");
            }
        }
    }

    /// Sends a Ping, unless bytes wait for the peer anyway.
    pub(super) fn ping(&mut self, key: Key) {
        if self.links.get(key).is_some_and(|link| link.outbox.is_empty()) {
            let sent = self.with_sender(key, |sender, place| sender.ping(b"", place));
            debug_assert_eq!(sent, Ok(()), "an empty Ping can be sent");
        }
    }

    /// Begins the closing handshake behind all that waits. What the app asks for is checked by the sender.
    pub(super) fn close(&mut self, key: Key, frame: Option<CloseFrame<'_>>) -> Result<(), SendError> {
        if !self.is_open(key) {
            return Ok(());
        }
        self.with_sender(key, |sender, place| sender.close(frame, place))?;
        if let Some(link) = self.links.get_mut(key) {
            link.enter(Stage::Closing, self.now);
        }
        self.leave_topics(key);
        Ok(())
    }

    /// _Fails the connection_ (§7.1.7): drops what has not begun to be written, says why, and ends our side.
    pub(super) fn fail(&mut self, key: Key, why: &Fault<'_>) {
        if self.corked == Some(key) {
            // What was answered before the breach is on its way already, as far as order goes.
            self.flush_cork(key);
        }
        let Some(link) = self.links.get_mut(key) else { return };
        if link.sender.is_open() && matches!(link.stage, Stage::Open) {
            link.outbox.drop_unbegun();
            if link.outbox.is_empty() {
                link.written = self.now;
            }
            let written = match why {
                Fault::Protocol(error) => link.sender.fail(error, &mut link.outbox),
                Fault::Policy(code, reason) => {
                    link.sender.close(Some(CloseFrame { code: *code, reason }), &mut link.outbox)
                }
            };
            debug_assert_eq!(written, Ok(()), "our own words fit");
        }
        self.drain(key);
    }

    /// Nothing more will be said: the rest is written, then our side is ended.
    pub(super) fn drain(&mut self, key: Key) {
        self.leave_topics(key);
        if self.corked == Some(key) {
            self.flush_cork(key);
        }
        if let Some(link) = self.links.get_mut(key)
            && !matches!(link.stage, Stage::Draining | Stage::Lingering)
        {
            link.enter(Stage::Draining, self.now);
            link.paused = false;
        }
        self.flush(key);
    }

    /// Queues an answer of HTTP.
    pub(super) fn send_http(&mut self, key: Key, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(key) {
            link.written = self.now;
            link.outbox.append_http(bytes);
        }
        self.flush(key);
    }

    /// Writes what waits for `key`; ends our side where nothing more will come.
    pub(super) fn flush(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        let held = link.holds_reading(self.config.max_queued_bytes);
        if !link.outbox.is_empty() {
            match link.outbox.write_to(&mut link.socket) {
                Ok(0) => {}
                Ok(_) => link.written = self.now,
                Err(error) => self.failed.push((key, Failure::Broken(error))),
            }
        }
        if link.stage == Stage::Draining && link.outbox.is_empty() {
            link.enter(Stage::Lingering, self.now);
            if let Err(error) = link.socket.shutdown_write() {
                self.failed.push((key, Failure::Broken(error)));
            }
            // What ended before we did is not announced again.
            link.readable |= link.read_closed;
            self.relieved.push(key);
        } else if held && !link.holds_reading(self.config.max_queued_bytes) {
            // It was not listened to, so its silence says nothing.
            link.heard = self.now;
            self.relieved.push(key);
        }
        self.recount(key);
    }

    /// Whether `more` bytes may wait for `key`, by the policy for those who are too slow.
    fn has_room(&mut self, key: Key, more: usize) -> bool {
        let Some(link) = self.links.get(key) else { return false };
        let waits = link.outbox.len();
        if waits == 0 || waits + more <= self.config.max_queued_bytes {
            return true;
        }
        match self.config.slow_subscriber {
            SlowSubscriber::Skip => {}
            SlowSubscriber::Close => self.failed.push((key, Failure::TooSlow)),
        }
        false
    }

    fn recount(&mut self, key: Key) {
        if let Some(link) = self.links.get_mut(key) {
            let waits = link.outbox.len();
            self.queued = self.queued - link.counted + waits;
            link.counted = waits;
        }
    }

    /// Forgets a connection; the socket is closed with it.
    pub(super) fn remove(&mut self, key: Key) {
        self.leave_topics(key);
        if self.corked == Some(key) {
            self.cork.clear();
            self.corked = None;
        }
        if let Some(link) = self.links.remove(key) {
            self.queued -= link.counted;
        }
    }

    // ---- topics

    pub(super) fn subscribe(&mut self, key: Key, name: &str) {
        self.catch_up(key);
        let Some(link) = self.links.get_mut(key) else { return };
        let has = |id: TopicId| link.subscriptions.iter().any(|subscription| subscription.topic == id);
        if link.stage != Stage::Open || self.topics.id(name).is_some_and(has) {
            return;
        }
        link.seen = self.topics.sequence();
        link.subscriptions.push(self.topics.subscribe(name, key));
    }

    pub(super) fn unsubscribe(&mut self, key: Key, name: &str) {
        self.catch_up(key);
        let (Some(id), Some(link)) = (self.topics.id(name), self.links.get_mut(key)) else { return };
        if let Some(at) = link.subscriptions.iter().position(|subscription| subscription.topic == id) {
            let subscription = link.subscriptions.swap_remove(at);
            self.leave(subscription);
        }
    }

    fn leave_topics(&mut self, key: Key) {
        while let Some(subscription) = self.links.get_mut(key).and_then(|link| link.subscriptions.pop()) {
            self.leave(subscription);
        }
    }

    fn leave(&mut self, subscription: super::topics::Subscription) {
        if let Some((moved, place)) = self.topics.unsubscribe(subscription)
            && let Some(link) = self.links.get_mut(moved)
        {
            let same = |other: &&mut super::topics::Subscription| other.topic == place.topic;
            if let Some(other) = link.subscriptions.iter_mut().find(same) {
                other.moves_to(place);
            }
        }
    }

    /// Publishes to this worker's subscribers, and queues it for the other workers.
    pub(super) fn publish(&mut self, topic: &str, message: Message<'_>, except: Option<Key>) {
        if self.remote.workers() > 1 {
            let message = message.prepared();
            self.publish_here(topic, &message, except);
            self.outgoing.push(Publication { topic: topic.into(), message });
        } else {
            let header = FrameHeader {
                fin: true,
                rsv1: false,
                opcode: message.kind().opcode(),
                mask: None,
                payload_len: message.payload().len() as u64,
            };
            self.topics.publish(topic, &header.encode(), message.payload(), except);
            self.flush_full_logs();
        }
    }

    /// Publishes to this worker's subscribers.
    pub(super) fn publish_here(&mut self, topic: &str, message: &Prepared, except: Option<Key>) {
        self.topics.publish(topic, &[], message.frame(), except);
        self.flush_full_logs();
    }

    /// The logs of a turn are bounded too.
    fn flush_full_logs(&mut self) {
        if self.topics.logged_bytes() >= MAX_LOG_BYTES {
            self.flush_topics();
        }
    }

    /// Gives a connection what was published to its topics in this turn, before anything else is sent to it.
    fn catch_up(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        let latest = self.topics.sequence();
        if link.seen == latest || link.subscriptions.is_empty() {
            link.seen = latest;
            return;
        }
        let owed = self.topics.owed(key, link.seen, &link.subscriptions);
        link.seen = latest;
        if owed.is_empty() || link.stage != Stage::Open {
            return;
        }
        let corked = self.corked == Some(key) && link.outbox.is_empty();
        if !corked && !link.dirty {
            link.dirty = true;
            self.dirty.push(key);
        }
        for owed in owed {
            if corked {
                self.cork.extend_from_slice(owed.frame);
                continue;
            }
            let waits = link.outbox.len();
            if waits == 0 {
                link.written = self.now;
            } else if waits + owed.frame.len() > self.config.max_queued_bytes {
                match self.config.slow_subscriber {
                    SlowSubscriber::Skip => continue,
                    SlowSubscriber::Close => {
                        self.failed.push((key, Failure::TooSlow));
                        break;
                    }
                }
            }
            // A growing buffer takes everything.
            let _ = link.outbox.append_frame(&[], owed.frame);
        }
        self.recount(key);
    }

    /// Gives every subscriber what was published in this turn.
    pub(super) fn flush_topics(&mut self) {
        if self.topics.published().is_empty() {
            return;
        }
        let latest = self.topics.sequence();
        let only = self.topics.published().len() == 1;
        for at in 0..self.topics.published().len() {
            let topic = self.topics.published()[at];
            for place in 0..self.topics.subscribers(topic).len() {
                let key = self.topics.subscribers(topic)[place];
                let Some(link) = self.links.get_mut(key) else { continue };
                if link.seen == latest {
                    continue;
                }
                // The plain case: one topic, nothing seen yet, nothing waits. One write from the log itself.
                if only
                    && link.outbox.is_empty()
                    && link.stage == Stage::Open
                    && self.corked != Some(key)
                    && let Some(log) = self.topics.whole_log(topic, key, link.seen)
                {
                    link.seen = latest;
                    write_or_keep(link, log, self.now, key, &mut self.failed);
                    self.recount(key);
                } else {
                    self.catch_up(key);
                }
            }
        }
        self.topics.clear_logs();
    }

    /// All that was batched in this turn goes out.
    pub(super) fn end_of_turn(&mut self) {
        self.flush_topics();
        for key in std::mem::take(&mut self.dirty) {
            if let Some(link) = self.links.get_mut(key) {
                link.dirty = false;
                self.flush(key);
            }
        }
        if !self.outgoing.is_empty() {
            let batch = std::mem::take(&mut self.outgoing).into();
            self.remote.publish_from(self.worker, &batch);
        }
    }
}

/// Why a connection is failed.
#[derive(Debug)]
pub(super) enum Fault<'a> {
    Protocol(&'a ProtocolError),
    Policy(CloseCode, &'a str),
}

/// Writes frames to a link for which nothing waits, and keeps what the kernel does not take.
fn write_or_keep(link: &mut Link, frames: &[u8], now: Tick, key: Key, failed: &mut Vec<(Key, Failure)>) {
    match link.socket.write(frames) {
        Ok(written) if written == frames.len() => {}
        Ok(written) => {
            link.written = now;
            link.outbox.keep_rest(frames, written);
        }
        Err(error) => failed.push((key, Failure::Broken(error))),
    }
}

/// From here on a cork is written before its event is done.
const CORK_BYTES: usize = 64 << 10;
/// From here on the logs are written before the turn is done.
const MAX_LOG_BYTES: usize = 1 << 20;
