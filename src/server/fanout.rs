//! The fan-out of a [`Hub`]: subscriptions, publications, and at the end of the turn their delivery to each subscriber.

use super::{SlowSubscriber, hub::Hub, remote::Publication, state::State, topics::Subscription};
use crate::{FrameHeader, Message, Prepared, reactor::Key};

impl Hub {
    /// Subscribes a connection to a topic. If it has subscribed already, only the policy changes. `None` is that of the
    /// configuration.
    pub(super) fn subscribe(&mut self, key: Key, name: &str, policy: Option<SlowSubscriber>) {
        self.catch_up(key);
        let policy = policy.unwrap_or(self.config.slow_subscriber);
        let Some(link) = self.links.get_mut(key).filter(|link| link.state() == State::Open) else { return };
        if let Some(id) = self.topics.id(name)
            && let Some(has) = link.subscriptions.iter_mut().find(|subscription| subscription.topic == id)
        {
            has.policy = policy;
            return;
        }
        link.seen = self.topics.sequence();
        let deflating = link.max_shared_bytes().is_some();
        let subscription = self.topics.subscribe(name, key, policy, deflating);
        // Exactly: nearly all connections have few.
        link.subscriptions.reserve_exact(1);
        link.subscriptions.push(subscription);
    }

    pub(super) fn unsubscribe(&mut self, key: Key, name: &str) {
        self.catch_up(key);
        let (Some(id), Some(link)) = (self.topics.id(name), self.links.get_mut(key)) else { return };
        if let Some(at) = link.subscriptions.iter().position(|subscription| subscription.topic == id) {
            let subscription = link.subscriptions.swap_remove(at);
            link.subscriptions.shrink_to_fit();
            link.outbox.forget_topic(id);
            self.remove_subscription(subscription);
        }
    }

    pub(super) fn unsubscribe_all(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        for subscription in std::mem::take(&mut link.subscriptions) {
            self.remove_subscription(subscription);
        }
    }

    fn remove_subscription(&mut self, subscription: Subscription) {
        if let Some((moved, place)) = self.topics.unsubscribe(subscription)
            && let Some(link) = self.links.get_mut(moved)
        {
            let same = |other: &&mut Subscription| other.topic == place.topic;
            if let Some(other) = link.subscriptions.iter_mut().find(same) {
                other.move_to(place);
            }
        }
    }

    /// Publishes a message to this worker's subscribers and queues it for the other workers.
    pub(super) fn publish(&mut self, topic: &str, message: Message<'_>, except: Option<Key>, compress: bool) {
        let others = self.remote.workers() > 1;
        if others || (compress && self.topics.is_deflating(topic)) {
            let prepared = message.to_prepared();
            let message = if compress { prepared } else { prepared.uncompressed() };
            self.publish_prepared(topic, &message, except);
        } else {
            let header = FrameHeader::of_message(message.kind(), false, message.payload().len() as u64).encode();
            self.topics.publish(topic, header.as_ref(), message.payload(), None, except);
            self.flush_full_logs();
        }
    }

    /// Publishes a message to this worker's subscribers and queues it for the other workers.
    pub(super) fn publish_prepared(&mut self, topic: &str, message: &Prepared, except: Option<Key>) {
        self.publish_here(topic, message, except);
        if self.remote.workers() > 1 {
            // The excepted connection is one of this worker.
            self.outgoing_bytes += message.frame().len();
            self.outgoing.push(Publication { topic: topic.into(), message: message.clone(), except: None });
            if self.outgoing_bytes >= MAX_LOG_BYTES {
                self.flush_outgoing();
            }
        }
    }

    /// Publishes a message to this worker's subscribers only.
    pub(super) fn publish_here(&mut self, topic: &str, message: &Prepared, except: Option<Key>) {
        let compressed = match &self.deflate {
            Some(deflate) if self.topics.is_deflating(topic) => message.compressed(deflate),
            _ => None,
        };
        let (header, payload) = message.frame().split_at(message.frame().len() - message.payload().len());
        self.topics.publish(topic, header, payload, compressed, except);
        self.flush_full_logs();
    }

    /// Delivers the logs early if they have grown too large.
    fn flush_full_logs(&mut self) {
        if self.topics.logged_bytes() >= MAX_LOG_BYTES {
            self.flush_topics();
        }
    }

    /// Delivers to a connection the pending publications of its topics. Called before anything else is sent to it, so
    /// that it sees everything in order.
    pub(super) fn catch_up(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        let latest = self.topics.sequence();
        if link.seen == latest || link.subscriptions.is_empty() {
            link.seen = latest;
            return;
        }
        let (seen, max_inflated) = (std::mem::replace(&mut link.seen, latest), link.max_shared_bytes());
        if link.state() != State::Open {
            return;
        }
        let mut corked = self.corked == Some(key) && link.outbox.is_empty();
        // The common case: publications in one of its topics, which are appended as they are in the log.
        if let Some(subscription) = self.topics.only_published(&link.subscriptions)
            && let Some((log, compressed)) = self.topics.rest_of_log(subscription.topic, key, seen, max_inflated)
            && subscription.drops().is_none()
            && (corked || self.links.has_space(key, log.len()))
        {
            if log.is_empty() {
                return;
            }
            if compressed {
                self.links.reset_context(key);
            }
            if corked {
                self.cork.extend_from_slice(log);
            } else {
                self.links.append(key, log, self.now);
            }
            return;
        }
        let Some(link) = self.links.get(key) else { return };
        if corked && link.subscriptions.iter().any(|subscription| subscription.drops().is_some()) {
            // The cork does not know which of its frames may be dropped.
            self.flush_cork(key);
            corked = false;
        }
        let Some(link) = self.links.get(key) else { return };
        let pending = self.topics.pending(key, seen, &link.subscriptions, max_inflated);
        for pending in pending {
            if pending.compressed {
                self.links.reset_context(key);
            }
            if corked {
                self.cork.extend_from_slice(pending.frame);
                continue;
            }
            if !self.links.is_open(key) {
                break;
            }
            self.links.publish(key, pending.frame, &pending.subscription, self.now);
        }
    }

    /// Delivers the publications of this turn to all subscribers.
    pub(super) fn flush_topics(&mut self) {
        if self.topics.published().is_empty() {
            return;
        }
        let latest = self.topics.sequence();
        let one_topic = self.topics.published().len() == 1;
        for at in 0..self.topics.published().len() {
            let topic = self.topics.published()[at];
            for place in 0..self.topics.subscribers(topic).len() {
                let key = self.topics.subscribers(topic)[place];
                let Some(link) = self.links.get_mut(key) else { continue };
                if link.seen == latest {
                    continue;
                }
                // The common case: publications in one of its topics, and nothing waits. One write, directly from the
                // log.
                if link.outbox.is_empty()
                    && link.state() == State::Open
                    && self.corked != Some(key)
                    && (one_topic
                        || self.topics.only_published(&link.subscriptions).is_some_and(|only| only.topic == topic))
                    && let Some((log, compressed)) =
                        self.topics.rest_of_log(topic, key, link.seen, link.max_shared_bytes())
                {
                    link.seen = latest;
                    if log.is_empty() {
                        continue;
                    }
                    if let (true, Some(sender)) = (compressed, &mut link.sender) {
                        sender.reset_context();
                    }
                    self.links.write_publications(key, log, topic, self.now);
                } else {
                    self.catch_up(key);
                }
            }
        }
        self.topics.clear_logs();
    }

    /// Writes everything that was batched in this turn. Connections with frames of their own come first, so that an
    /// answer does not wait for a large fan-out.
    pub(super) fn end_of_turn(&mut self) {
        self.flush_dirty();
        self.flush_topics();
        // Connections with more than one topic, and those whose kernel buffer was full, became dirty in between.
        self.flush_dirty();
        self.flush_outgoing();
    }

    fn flush_dirty(&mut self) {
        for key in std::mem::take(&mut self.links.dirty) {
            // Pending publications are added first, so that one write serves all.
            self.catch_up(key);
            if let Some(link) = self.links.get_mut(key) {
                link.dirty = false;
                self.flush(key);
            }
        }
    }

    /// Posts this turn's publications to the other workers. Called before posting anything that must come after them.
    pub(super) fn flush_outgoing(&mut self) {
        if !self.outgoing.is_empty() {
            let batch = std::mem::take(&mut self.outgoing).into();
            self.outgoing_bytes = 0;
            self.remote.publish_from(self.worker, &batch);
            self.note_posted();
        }
    }
}

/// Publications of at least this many bytes are delivered, or posted to the other workers, before the turn is done.
const MAX_LOG_BYTES: usize = 1 << 20;
