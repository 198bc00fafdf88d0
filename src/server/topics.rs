//! The topics of one worker, and the publications of this turn of the event loop.
//!
//! Each publication is encoded once, into the log of its topic. At the end of the turn each subscriber gets the log, in
//! one `write` from the same bytes, for any number of messages. If some subscribers use compression, the topic has a
//! second log, in which a message is compressed if that makes it shorter. A cursor per subscriber says how much of the
//! turn it has already been given. Before a message of its own is sent to a subscriber in the middle of a turn, the
//! subscriber is brought up to date. So each connection sees sends and publications in the order in which its worker
//! executed them.

use std::{collections::HashMap, sync::Arc};

use super::{SlowSubscriber, droppable::Drops};
use crate::{Output as _, reactor::Key};

/// The number of a publication on this worker, counted from 1. A subscriber's cursor is the last one it has been given.
pub(super) type Sequence = u64;

#[derive(Debug, Default)]
pub(super) struct Topics {
    ids: HashMap<Arc<str>, TopicId>,
    topics: Vec<Topic>,
    /// Ids that no topic uses, to be reused.
    free: Vec<TopicId>,
    sequence: Sequence,
    /// Topics with publications in this turn.
    published: Vec<TopicId>,
    /// Bytes in their logs.
    logged: usize,
}

pub(super) type TopicId = u32;

/// One connection's entry in one topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    pub(super) topic: TopicId,
    /// What happens to publications when the connection is too slow.
    pub(super) policy: SlowSubscriber,
    /// The connection accepts compressed messages.
    deflating: bool,
    /// The connection's index in the topic's list of subscribers.
    position: u32,
}

#[derive(Debug, Default)]
struct Topic {
    name: Arc<str>,
    subscribers: Vec<Key>,
    /// How many of them accept compressed messages.
    deflating: usize,
    /// The frames of this turn, one after another.
    plain: Vec<u8>,
    /// The same for subscribers that accept compressed messages, if there are any.
    compressed: Vec<u8>,
    entries: Vec<LogEntry>,
    /// The number of entries that a subscriber does not get (`LogEntry::except`).
    exceptions: usize,
    /// The length of the longest message, before compression, that is compressed in the second log.
    longest_inflated: usize,
}

/// The end offsets of one publication in its topic's logs.
#[derive(Clone, Copy, Debug)]
struct LogEntry {
    sequence: Sequence,
    plain_end: usize,
    compressed_end: usize,
    /// The message's length before compression if the second log has it compressed; otherwise 0.
    inflated: usize,
    /// A subscriber that does not get it.
    except: Option<Key>,
}

/// A publication that a subscriber has not been given yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending<'a> {
    sequence: Sequence,
    /// The subscription by which the connection gets it.
    pub(super) subscription: Subscription,
    pub(super) frame: &'a [u8],
    /// Whether the message in it is compressed.
    pub(super) compressed: bool,
}

impl Topics {
    /// Returns the number of the latest publication: the cursor of a subscriber that is up to date.
    pub(super) fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Adds `key` to a topic, and creates the topic if it has no subscriber yet. The caller keeps the subscription, and
    /// does not subscribe a connection twice.
    pub(super) fn subscribe(&mut self, name: &str, key: Key, policy: SlowSubscriber, deflating: bool) -> Subscription {
        let topic = match self.ids.get(name) {
            Some(&id) => id,
            None => self.create(name),
        };
        let Topic { subscribers, deflating: count, .. } = &mut self.topics[topic as usize];
        subscribers.push(key);
        *count += usize::from(deflating);
        Subscription { topic, policy, deflating, position: (subscribers.len() - 1) as u32 }
    }

    /// Returns whether a topic has subscribers that accept compressed messages.
    pub(super) fn is_deflating(&self, name: &str) -> bool {
        self.ids.get(name).is_some_and(|&id| self.topics[id as usize].deflating > 0)
    }

    fn create(&mut self, name: &str) -> TopicId {
        let name: Arc<str> = name.into();
        let topic = Topic { name: Arc::clone(&name), ..Topic::default() };
        let id = match self.free.pop() {
            Some(id) => {
                self.topics[id as usize] = topic;
                id
            }
            None => {
                self.topics.push(topic);
                (self.topics.len() - 1) as TopicId
            }
        };
        self.ids.insert(name, id);
        id
    }

    pub(super) fn id(&self, name: &str) -> Option<TopicId> {
        self.ids.get(name).copied()
    }

    /// Removes a subscription. If another connection has moved to its position, returns that connection and the
    /// position, which the caller writes into the connection's subscription.
    pub(super) fn unsubscribe(&mut self, subscription: Subscription) -> Option<(Key, Subscription)> {
        let topic = &mut self.topics[subscription.topic as usize];
        topic.subscribers.swap_remove(subscription.position as usize);
        topic.deflating -= usize::from(subscription.deflating);
        let moved = topic.subscribers.get(subscription.position as usize).map(|&key| (key, subscription));
        if topic.subscribers.is_empty() {
            self.ids.remove(&topic.name);
            self.logged -= topic.plain.len() + topic.compressed.len();
            topic.plain = Vec::new();
            topic.compressed = Vec::new();
            topic.forget_entries();
            self.published.retain(|&id| id != subscription.topic);
            self.free.push(subscription.topic);
        }
        moved
    }

    /// Logs a frame for all subscribers of a topic except `except`. `compressed` is the compressed frame, if the
    /// message becomes shorter by it.
    pub(super) fn publish(
        &mut self,
        name: &str,
        header: &[u8],
        payload: &[u8],
        compressed: Option<&[u8]>,
        except: Option<Key>,
    ) {
        let Some(&id) = self.ids.get(name) else { return };
        let topic = &mut self.topics[id as usize];
        if topic.entries.is_empty() {
            self.published.push(id);
        }
        self.sequence += 1;
        let before = topic.plain.len() + topic.compressed.len();
        // Growing buffers take everything.
        let _ = topic.plain.append_frame(header, payload);
        if topic.deflating > 0 {
            let _ = match compressed {
                Some(frame) => topic.compressed.append_frame(&[], frame),
                None => topic.compressed.append_frame(header, payload),
            };
        }
        self.logged += topic.plain.len() + topic.compressed.len() - before;
        let inflated = compressed.map_or(0, |_| payload.len());
        topic.exceptions += usize::from(except.is_some());
        topic.longest_inflated = topic.longest_inflated.max(inflated);
        topic.entries.push(LogEntry {
            sequence: self.sequence,
            plain_end: topic.plain.len(),
            compressed_end: topic.compressed.len(),
            inflated,
            except,
        });
    }

    /// Returns the bytes in the logs of this turn.
    pub(super) fn logged_bytes(&self) -> usize {
        self.logged
    }

    /// Returns the topics with publications in this turn.
    pub(super) fn published(&self) -> &[TopicId] {
        &self.published
    }

    /// Returns the one of `subscriptions` whose topic has publications in this turn, unless several have.
    pub(super) fn only_published<'a>(&self, subscriptions: &'a [Subscription]) -> Option<&'a Subscription> {
        let is_published = |subscription: &&Subscription| !self.topics[subscription.topic as usize].entries.is_empty();
        let mut published = subscriptions.iter().filter(is_published);
        published.next().filter(|_| published.next().is_none())
    }

    pub(super) fn name(&self, topic: TopicId) -> &str {
        &self.topics[topic as usize].name
    }

    /// Returns the names of all topics, in no order, and how many subscribers each has.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.ids.iter().map(|(name, &id)| (&**name, self.topics[id as usize].subscribers.len()))
    }

    pub(super) fn subscribers(&self, topic: TopicId) -> &[Key] {
        &self.topics[topic as usize].subscribers
    }

    /// Returns the part of a topic's log that is pending for `key` with the cursor `seen`, and whether any message of
    /// the log is compressed. Returns `None` if the subscriber gets only some of that part, or other bytes.
    ///
    /// `max_inflated` is the longest message, before compression, that the subscriber accepts compressed; `None` if it
    /// accepts none.
    pub(super) fn rest_of_log(
        &self,
        topic: TopicId,
        key: Key,
        seen: Sequence,
        max_inflated: Option<usize>,
    ) -> Option<(&[u8], bool)> {
        let Topic { plain, compressed, entries, exceptions, longest_inflated, .. } = &self.topics[topic as usize];
        let is_due = |entry: &LogEntry| entry.sequence > seen;
        let start = match entries.first() {
            None => return Some((&[], false)),
            // The common case: it has been given nothing yet.
            Some(first) if is_due(first) => (0, 0),
            Some(_) => {
                let last_given = &entries[entries.partition_point(|entry| !is_due(entry)) - 1];
                (last_given.plain_end, last_given.compressed_end)
            }
        };
        let is_excepted = |entry: &LogEntry| is_due(entry) && entry.except == Some(key);
        if *exceptions > 0 && entries.iter().any(is_excepted) {
            return None;
        }
        match max_inflated {
            None => Some((&plain[start.0..], false)),
            Some(max) if *longest_inflated <= max => Some((&compressed[start.1..], *longest_inflated > 0)),
            Some(_) => None,
        }
    }

    /// Returns the publications of all its topics that are pending for `key` with the cursor `seen`, in order.
    /// `max_inflated` is as for [`rest_of_log`](Self::rest_of_log).
    pub(super) fn pending<'a>(
        &'a self,
        key: Key,
        seen: Sequence,
        subscriptions: &[Subscription],
        max_inflated: Option<usize>,
    ) -> Vec<Pending<'a>> {
        let mut pending = Vec::new();
        for subscription in subscriptions {
            let Topic { plain, compressed, entries, .. } = &self.topics[subscription.topic as usize];
            let (mut plain_start, mut compressed_start) = (0, 0);
            for entry in entries {
                let is_compressed = entry.inflated > 0 && max_inflated.is_some_and(|max| entry.inflated <= max);
                let frame = if is_compressed {
                    &compressed[compressed_start..entry.compressed_end]
                } else {
                    &plain[plain_start..entry.plain_end]
                };
                (plain_start, compressed_start) = (entry.plain_end, entry.compressed_end);
                if entry.sequence > seen && entry.except != Some(key) {
                    pending.push(Pending {
                        sequence: entry.sequence,
                        subscription: *subscription,
                        frame,
                        compressed: is_compressed,
                    });
                }
            }
        }
        pending.sort_unstable_by_key(|pending| pending.sequence);
        pending
    }

    /// Returns whether there is no topic and all memory of former ones is reset.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        let empty = |topic: &Topic| {
            topic.subscribers.is_empty()
                && topic.plain.is_empty()
                && topic.compressed.is_empty()
                && topic.entries.is_empty()
        };
        let all_free = self.free.len() == self.topics.len() && self.topics.iter().all(empty);
        all_free && self.ids.is_empty() && self.published.is_empty() && self.logged == 0
    }

    /// Clears the logs. Called when all subscribers are up to date.
    pub(super) fn clear_logs(&mut self) {
        self.logged = 0;
        for id in self.published.drain(..) {
            let topic = &mut self.topics[id as usize];
            for log in [&mut topic.plain, &mut topic.compressed] {
                log.clear();
                log.shrink_to(KEPT_LOG_BYTES);
            }
            topic.forget_entries();
        }
    }
}

impl Topic {
    fn forget_entries(&mut self) {
        self.entries.clear();
        (self.exceptions, self.longest_inflated) = (0, 0);
    }
}

impl Subscription {
    /// Takes over the position of `other`.
    pub(super) fn move_to(&mut self, other: Subscription) {
        self.position = other.position;
    }

    /// Returns which publications that wait may be dropped for a later one of the topic.
    pub(super) fn drops(&self) -> Option<Drops> {
        match self.policy {
            SlowSubscriber::Close | SlowSubscriber::Skip => None,
            SlowSubscriber::DropOldest => Some(Drops::Oldest),
            SlowSubscriber::Latest => Some(Drops::Earlier(self.topic)),
        }
    }
}

/// The capacity that a topic's log keeps from turn to turn, in bytes.
const KEPT_LOG_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = Key { slot: 0, generation: 0 };
    const B: Key = Key { slot: 1, generation: 0 };

    fn pending(topics: &Topics, key: Key, seen: Sequence, subscriptions: &[Subscription]) -> Vec<u8> {
        topics.pending(key, seen, subscriptions, None).iter().flat_map(|pending| pending.frame.to_vec()).collect()
    }

    #[test]
    fn topics_are_merged_in_the_order_of_their_publications() {
        let mut topics = Topics::default();
        let a = [
            topics.subscribe("x", A, SlowSubscriber::Close, false),
            topics.subscribe("y", A, SlowSubscriber::Close, false),
        ];
        let b = [topics.subscribe("x", B, SlowSubscriber::Close, false)];
        topics.publish("x", b"1", b"", None, None);
        topics.publish("y", b"2", b"", None, None);
        let seen = topics.sequence();
        topics.publish("x", b"3", b"", None, Some(A));
        topics.publish("x", b"4", b"", None, None);
        topics.publish("nobody", b"5", b"", None, None);
        let only = |topics: &Topics, of: &[Subscription]| topics.only_published(of).map(|only| only.topic);
        assert_eq!(only(&topics, &b), Some(b[0].topic));
        assert_eq!(only(&topics, &a), None, "both have publications");
        assert_eq!(pending(&topics, A, 0, &a), b"124");
        assert_eq!(pending(&topics, A, seen, &a), b"4");
        assert_eq!(pending(&topics, B, 0, &b), b"134");
        for (key, seen, expected) in [
            (B, 0, Some(&b"134"[..])),
            (B, seen, Some(b"34")),
            (B, topics.sequence(), Some(b"")),
            (A, 0, None),
            (A, seen + 1, Some(b"4")),
        ] {
            assert_eq!(
                topics.rest_of_log(b[0].topic, key, seen, None),
                expected.map(|log| (log, false)),
                "{key:?} {seen}"
            );
        }
        topics.clear_logs();
        assert_eq!(pending(&topics, B, 0, &b), b"");
        topics.publish("y", b"6", b"", None, None);
        assert_eq!(only(&topics, &a), Some(a[1].topic), "the other has none in this turn");
        assert_eq!(only(&topics, &b), None);
    }

    #[test]
    fn unsubscribing_moves_the_last_subscriber_and_an_empty_topic_is_forgotten() {
        let mut topics = Topics::default();
        let a = topics.subscribe("x", A, SlowSubscriber::Close, false);
        let mut b = topics.subscribe("x", B, SlowSubscriber::Close, false);
        let (moved, place) = topics.unsubscribe(a).unwrap();
        assert_eq!(moved, B);
        b.move_to(place);
        assert_eq!(topics.subscribers(b.topic), [B]);
        topics.publish("x", b"1", b"", None, None);
        assert!(topics.unsubscribe(b).is_none());
        assert_eq!(topics.id("x"), None);
        assert!(topics.published().is_empty());
        let again = topics.subscribe("z", A, SlowSubscriber::Close, false);
        assert_eq!(again.topic, a.topic);
        assert_eq!(topics.rest_of_log(again.topic, A, 0, None), Some((&b""[..], false)));
    }

    #[test]
    fn only_subscribers_that_take_compressed_messages_get_them() {
        let mut topics = Topics::default();
        let plain = [topics.subscribe("x", A, SlowSubscriber::Close, false)];
        assert!(!topics.is_deflating("x"));
        topics.publish("x", b"0", b"", None, None);
        let joined = topics.sequence();
        let deflating = [topics.subscribe("x", B, SlowSubscriber::Close, true)];
        assert!(topics.is_deflating("x"));
        topics.publish("x", b"", b"a long message", Some(b"short"), None);
        topics.publish("x", b"", b"random", None, None);
        let pending = |key, seen, subscriptions, max_inflated| -> Vec<(Vec<u8>, bool)> {
            let pending = topics.pending(key, seen, subscriptions, max_inflated);
            pending.iter().map(|pending| (pending.frame.to_vec(), pending.compressed)).collect()
        };
        let row = |frame: &[u8], compressed| (frame.to_vec(), compressed);
        let all = [row(b"0", false), row(b"a long message", false), row(b"random", false)];
        assert_eq!(pending(A, 0, &plain, None), all);
        assert_eq!(pending(B, joined, &deflating, Some(14)), [row(b"short", true), row(b"random", false)]);
        assert_eq!(pending(B, joined, &deflating, Some(13)), all[1..], "the message is longer than it accepts");
        let topic = plain[0].topic;
        assert_eq!(topics.rest_of_log(topic, A, 0, None), Some((&b"0a long messagerandom"[..], false)));
        assert_eq!(topics.rest_of_log(topic, B, joined, Some(14)), Some((&b"shortrandom"[..], true)));
        topics.clear_logs();
        topics.publish("x", b"", b"a long message", Some(b"short"), None);
        assert_eq!(topics.rest_of_log(topic, B, joined, Some(14)), Some((&b"short"[..], true)));
        assert_eq!(topics.rest_of_log(topic, B, joined, Some(13)), None);
        topics.unsubscribe(deflating[0]);
        assert!(!topics.is_deflating("x"));
    }
}
