//! Topics of one worker, and what was published to them in this turn of the loop.
//!
//! A publish is encoded once, into the log of its topic. At the end of the turn each subscriber gets the log: one
//! `write` from the same bytes to each, whatever the number of messages. Where some of them agreed on compression there
//! is a second log, in which what gains by it is compressed. A cursor per subscriber says how much of the
//! turn it has got already: whoever is sent something of its own in the middle of a turn is first brought up to date,
//! so that a connection sees sends and publishes in the order in which its worker executed them.

use std::{collections::HashMap, sync::Arc};

use crate::{Output as _, reactor::Key};

/// How many publications this worker has executed; a subscriber's cursor is such a number.
pub(super) type Sequence = u64;

#[derive(Debug, Default)]
pub(super) struct Topics {
    ids: HashMap<Arc<str>, TopicId>,
    topics: Vec<Topic>,
    /// Ids whose topic has no subscriber left.
    free: Vec<TopicId>,
    sequence: Sequence,
    /// Topics that were published to in this turn.
    published: Vec<TopicId>,
    /// Bytes in their logs.
    logged: usize,
}

pub(super) type TopicId = u32;

/// One connection's place in one topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    pub(super) topic: TopicId,
    /// It takes compressed messages.
    deflating: bool,
    /// Where the connection stands in the topic's list.
    position: u32,
}

#[derive(Debug, Default)]
struct Topic {
    name: Arc<str>,
    subscribers: Vec<Key>,
    /// How many of them take compressed messages.
    deflating: usize,
    /// The frames of this turn, one after the other.
    plain: Vec<u8>,
    /// The same for those who take compressed messages, if there are any.
    compressed: Vec<u8>,
    entries: Vec<LogEntry>,
    /// How many entries are not for everybody.
    exceptions: usize,
    /// The longest message that the second log has compressed.
    longest_inflated: usize,
}

/// Where one publication ends in its topic's logs.
#[derive(Clone, Copy, Debug)]
struct LogEntry {
    sequence: Sequence,
    plain_end: usize,
    compressed_end: usize,
    /// The message's length, where the second log has it compressed; 0 else.
    inflated: usize,
    /// Who does not get it.
    except: Option<Key>,
}

/// A piece of a log that is owed to a subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending<'a> {
    sequence: Sequence,
    pub(super) frame: &'a [u8],
    /// Whether the message in it is compressed.
    pub(super) compressed: bool,
}

impl Topics {
    /// The number of the latest publication: the cursor of who has got everything.
    pub(super) fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Adds `key` to a topic, which begins to exist with its first subscriber. The caller keeps the subscription,
    /// and gives none twice.
    pub(super) fn subscribe(&mut self, name: &str, key: Key, deflating: bool) -> Subscription {
        let topic = match self.ids.get(name) {
            Some(&id) => id,
            None => self.create(name),
        };
        let Topic { subscribers, deflating: count, .. } = &mut self.topics[topic as usize];
        subscribers.push(key);
        *count += usize::from(deflating);
        Subscription { topic, deflating, position: (subscribers.len() - 1) as u32 }
    }

    /// Whether a topic has subscribers who take compressed messages.
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

    /// Takes a subscription back. Gives the connection that now stands in its place, and that place: the caller
    /// writes it into that connection's subscription.
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

    /// Logs a frame for all subscribers of a topic but one; `compressed` is the frame for those who take that, where the
    /// message gains by it.
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

    /// Bytes in the logs of this turn.
    pub(super) fn logged_bytes(&self) -> usize {
        self.logged
    }

    /// The topics that were published to in this turn.
    pub(super) fn published(&self) -> &[TopicId] {
        &self.published
    }

    pub(super) fn subscribers(&self, topic: TopicId) -> &[Key] {
        &self.topics[topic as usize].subscribers
    }

    /// The whole log of a topic, if all of it is owed to `key` whose cursor is `seen`: it misses nothing of this
    /// turn and may see everything. With it, whether anything in it is compressed. `longest`: how long what is compressed in it may be, `None` where nothing may be.
    pub(super) fn whole_log(
        &self,
        topic: TopicId,
        key: Key,
        seen: Sequence,
        max_inflated: Option<usize>,
    ) -> Option<(&[u8], bool)> {
        let Topic { plain, compressed, entries, exceptions, longest_inflated, .. } = &self.topics[topic as usize];
        let misses_nothing = entries.first().is_none_or(|first| first.sequence > seen);
        let sees_all = *exceptions == 0 || entries.iter().all(|entry| entry.except != Some(key));
        let inflates_all = max_inflated.is_none_or(|max| *longest_inflated <= max);
        (misses_nothing && sees_all && inflates_all).then(|| match max_inflated {
            Some(_) => (&**compressed, *longest_inflated > 0),
            None => (&**plain, false),
        })
    }

    /// What is owed to `key`, in order, from all its topics, given that it has seen everything up to `seen`; `longest`
    /// as for [`whole_log`](Self::whole_log).
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
                    pending.push(Pending { sequence: entry.sequence, frame, compressed: is_compressed });
                }
            }
        }
        pending.sort_unstable_by_key(|pending| pending.sequence);
        pending
    }

    /// Whether no topic is there, and nothing is left of any.
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

    /// Forgets the logs: everyone has got what was owed.
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
    /// Now stands where `other` stood.
    pub(super) fn move_to(&mut self, other: Subscription) {
        self.position = other.position;
    }
}

/// Capacity that a topic's log keeps from turn to turn.
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
        let a = [topics.subscribe("x", A, false), topics.subscribe("y", A, false)];
        let b = [topics.subscribe("x", B, false)];
        topics.publish("x", b"1", b"", None, None);
        topics.publish("y", b"2", b"", None, None);
        let seen = topics.sequence();
        topics.publish("x", b"3", b"", None, Some(A));
        topics.publish("x", b"4", b"", None, None);
        topics.publish("nobody", b"5", b"", None, None);
        assert_eq!(pending(&topics, A, 0, &a), b"124");
        assert_eq!(pending(&topics, A, seen, &a), b"4");
        assert_eq!(pending(&topics, B, 0, &b), b"134");
        assert_eq!(topics.whole_log(b[0].topic, B, 0, None), Some((&b"134"[..], false)));
        assert_eq!(topics.whole_log(b[0].topic, B, seen, None), None);
        assert_eq!(topics.whole_log(b[0].topic, A, 0, None), None);
        topics.clear_logs();
        assert_eq!(pending(&topics, B, 0, &b), b"");
    }

    #[test]
    fn unsubscribing_moves_the_last_subscriber_and_an_empty_topic_is_forgotten() {
        let mut topics = Topics::default();
        let a = topics.subscribe("x", A, false);
        let mut b = topics.subscribe("x", B, false);
        let (moved, place) = topics.unsubscribe(a).unwrap();
        assert_eq!(moved, B);
        b.move_to(place);
        assert_eq!(topics.subscribers(b.topic), [B]);
        topics.publish("x", b"1", b"", None, None);
        assert!(topics.unsubscribe(b).is_none());
        assert_eq!(topics.id("x"), None);
        assert!(topics.published().is_empty());
        let again = topics.subscribe("z", A, false);
        assert_eq!(again.topic, a.topic);
        assert_eq!(topics.whole_log(again.topic, A, 0, None), Some((&b""[..], false)));
    }

    #[test]
    fn only_subscribers_that_take_compressed_messages_get_them() {
        let mut topics = Topics::default();
        let plain = [topics.subscribe("x", A, false)];
        assert!(!topics.is_deflating("x"));
        topics.publish("x", b"0", b"", None, None);
        let joined = topics.sequence();
        let deflating = [topics.subscribe("x", B, true)];
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
        assert_eq!(pending(B, joined, &deflating, Some(13)), all[1..], "its window is too small");
        let topic = plain[0].topic;
        assert_eq!(topics.whole_log(topic, A, 0, None), Some((&b"0a long messagerandom"[..], false)));
        assert_eq!(topics.whole_log(topic, B, joined, Some(14)), None, "it does not get the first one");
        topics.clear_logs();
        topics.publish("x", b"", b"a long message", Some(b"short"), None);
        assert_eq!(topics.whole_log(topic, B, joined, Some(14)), Some((&b"short"[..], true)));
        assert_eq!(topics.whole_log(topic, B, joined, Some(13)), None);
        topics.unsubscribe(deflating[0]);
        assert!(!topics.is_deflating("x"));
    }
}
