//! A room's log as its members are told it.
//!
//! Its first entries are that they enter, one after another: each of these is told to those who are in it by then. All
//! further ones are told to all. The first who is told one of these has it read and checked; the others must be told the
//! same, byte for byte, which costs next to nothing. An entry is forgotten when all have it, so at the end none may be
//! left.

use std::{collections::VecDeque, io};

use super::messages::SentMessage;

/// A room, as far as its members have been told of it.
#[derive(Debug)]
pub(super) struct Room {
    /// The server's number for it, once somebody is in it.
    pub(super) id: u64,
    /// How many are to be in it; the log's entries up to this number are that they enter.
    members: u64,
    /// How often somebody is still to be told that somebody else has entered.
    missing_joins: u64,
    /// The latest entry that the server has told anybody of.
    latest: u64,
    /// The number of the first entry behind those of entering that somebody misses.
    first: u64,
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    sent: Option<SentMessage>,
    /// How many do not have it yet.
    missing: u64,
}

impl Room {
    /// A room that is to have so many members.
    pub(super) fn new(members: u64) -> Self {
        // Of two one is told about the other, of three …
        let missing_joins = (1..members).sum();
        Self { id: 0, members, missing_joins, latest: 0, first: members + 1, entries: VecDeque::new() }
    }

    /// Somebody has entered it, and that was this entry.
    pub(super) fn entered(&mut self, id: u64, seq: u64) {
        self.id = id;
        self.acknowledged(seq);
    }

    /// The server has acknowledged this entry.
    pub(super) fn acknowledged(&mut self, seq: u64) {
        self.latest = self.latest.max(seq);
    }

    /// Whether all have been told all.
    pub(super) fn is_settled(&self) -> bool {
        self.missing_joins == 0 && self.first > self.latest
    }

    /// A member is told an entry. Gives what was said, if it is not of another kind; `read` makes that of the text, for
    /// the first who is told it, or says what is wrong.
    pub(super) fn receive(
        &mut self,
        seq: u64,
        text: &str,
        parse: impl FnOnce() -> io::Result<Option<SentMessage>>,
    ) -> io::Result<Option<SentMessage>> {
        let Some(at) = seq.checked_sub(self.first) else {
            self.missing_joins = self.missing_joins.saturating_sub(1);
            return parse();
        };
        let at = usize::try_from(at).map_err(io::Error::other)?;
        if at == self.entries.len() {
            self.entries.push_back(Entry { text: text.into(), sent: parse()?, missing: self.members });
        }
        let Some(entry) = self.entries.get_mut(at) else {
            return Err(io::Error::other(format!("{text} is told before what comes before it")));
        };
        if *entry.text != *text {
            return Err(io::Error::other(format!("{text} is told where {} is due", entry.text)));
        }
        entry.missing -= 1;
        let sent = entry.sent;
        while self.entries.front().is_some_and(|entry| entry.missing == 0) {
            self.entries.pop_front();
            self.first += 1;
        }
        Ok(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of telling entries of a room of two in which one thing was said.
    fn outcome(receive: &[(u64, &str)]) -> String {
        let mut room = Room::new(2);
        room.entered(7, 1);
        room.entered(7, 2);
        room.acknowledged(3);
        let sent = SentMessage { author: 1, number: 1, at: 0 };
        for &(seq, text) in receive {
            let expected = (seq > 2).then_some(sent);
            match room.receive(seq, text, || Ok(expected)) {
                Ok(sent) => assert_eq!(sent, expected, "{told:?}"),
                Err(error) => return error.to_string(),
            }
        }
        (if room.is_settled() { "settled" } else { "not settled" }).to_owned()
    }

    #[test]
    fn all_are_told_the_same_in_order() {
        let rows: &[(&[(u64, &str)], &str)] = &[
            (&[], "not settled"),
            (&[(2, "joined"), (3, "hi"), (3, "hi")], "settled"),
            (&[(3, "hi"), (2, "joined"), (3, "hi")], "settled"),
            (&[(2, "joined"), (3, "hi")], "not settled"),
            (&[(3, "hi"), (3, "hi")], "not settled"),
            (&[(2, "joined"), (4, "ho")], "ho is told before what comes before it"),
            (&[(2, "joined"), (3, "hi"), (3, "ho")], "ho is told where hi is due"),
        ];
        for (receive, expected) in rows {
            assert_eq!(outcome(receive), *expected, "{told:?}");
        }
    }
}
