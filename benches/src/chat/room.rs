//! Checks that the members of a room receive the same log.
//!
//! The first entries of the log record that the members join, one after another; each is delivered to the members who
//! are already in the room. Every later entry is delivered to all members.
//!
//! When the first member receives a later entry, it is parsed and checked. The other members must receive the same
//! bytes, which is cheap to compare. An entry is removed once all members have it, so none may remain at the end.

use std::{collections::VecDeque, io};

use super::messages::SentMessage;

/// The log of a room, as far as its members have received it.
#[derive(Debug)]
pub(super) struct Room {
    /// The server's id of the room; 0 until the first member has joined.
    pub(super) id: u64,
    /// The final number of members. The log's entries up to this number record that they join.
    members: u64,
    /// The number of deliveries of joins that are still missing.
    missing_joins: u64,
    /// The number of the latest entry that the server has acknowledged.
    latest_seq: u64,
    /// The number of the first entry after the joins that a member has not received.
    first_missing: u64,
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    sent: Option<SentMessage>,
    /// The number of members who have not received it.
    missing: u64,
}

impl Room {
    /// Creates a room that will have `members` members.
    pub(super) fn new(members: u64) -> Self {
        // The second join is delivered to one member, the third to two, …
        let missing_joins = (1..members).sum();
        Self { id: 0, members, missing_joins, latest_seq: 0, first_missing: members + 1, entries: VecDeque::new() }
    }

    /// Records that a member has joined, which is the entry `seq`.
    pub(super) fn joined(&mut self, id: u64, seq: u64) {
        self.id = id;
        self.acknowledged(seq);
    }

    /// Records that the server has acknowledged the entry `seq`.
    pub(super) fn acknowledged(&mut self, seq: u64) {
        self.latest_seq = self.latest_seq.max(seq);
    }

    /// Returns whether all members have received all entries.
    pub(super) fn is_settled(&self) -> bool {
        self.missing_joins == 0 && self.first_missing > self.latest_seq
    }

    /// Checks the entry `seq` that a member receives.
    ///
    /// Returns the sent message in it, or `None` for another kind of entry. `parse` reads and checks the text. It is
    /// called for each delivery of a join, and for the first delivery of a later entry.
    ///
    /// # Errors
    /// The error of `parse`, or the entry is out of order or differs from what another member received.
    pub(super) fn receive(
        &mut self,
        seq: u64,
        text: &str,
        parse: impl FnOnce() -> io::Result<Option<SentMessage>>,
    ) -> io::Result<Option<SentMessage>> {
        let Some(at) = seq.checked_sub(self.first_missing) else {
            self.missing_joins = self.missing_joins.saturating_sub(1);
            return parse();
        };
        let at = usize::try_from(at).map_err(io::Error::other)?;
        if at == self.entries.len() {
            self.entries.push_back(Entry { text: text.into(), sent: parse()?, missing: self.members });
        }
        let Some(entry) = self.entries.get_mut(at) else {
            return Err(io::Error::other(format!("{text} is delivered before an earlier entry")));
        };
        if *entry.text != *text {
            return Err(io::Error::other(format!("{text} is delivered where {} is due", entry.text)));
        }
        entry.missing -= 1;
        let sent = entry.sent;
        while self.entries.front().is_some_and(|entry| entry.missing == 0) {
            self.entries.pop_front();
            self.first_missing += 1;
        }
        Ok(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the outcome of deliveries in a room of two members in which one message was sent.
    fn outcome(deliveries: &[(u64, &str)]) -> String {
        let mut room = Room::new(2);
        room.joined(7, 1);
        room.joined(7, 2);
        room.acknowledged(3);
        let sent = SentMessage { author: 1, number: 1, at: 0 };
        for &(seq, text) in deliveries {
            let expected = (seq > 2).then_some(sent);
            match room.receive(seq, text, || Ok(expected)) {
                Ok(sent) => assert_eq!(sent, expected, "{deliveries:?}"),
                Err(error) => return error.to_string(),
            }
        }
        (if room.is_settled() { "settled" } else { "not settled" }).to_owned()
    }

    #[test]
    fn all_members_receive_the_same_in_order() {
        let rows: &[(&[(u64, &str)], &str)] = &[
            (&[], "not settled"),
            (&[(2, "joined"), (3, "hi"), (3, "hi")], "settled"),
            (&[(3, "hi"), (2, "joined"), (3, "hi")], "settled"),
            (&[(2, "joined"), (3, "hi")], "not settled"),
            (&[(3, "hi"), (3, "hi")], "not settled"),
            (&[(2, "joined"), (4, "ho")], "ho is delivered before an earlier entry"),
            (&[(2, "joined"), (3, "hi"), (3, "ho")], "ho is delivered where hi is due"),
        ];
        for (deliveries, expected) in rows {
            assert_eq!(outcome(deliveries), *expected, "{deliveries:?}");
        }
    }
}
