//! A room's log as its members are told it.
//!
//! Its first entries are that they enter, one after another: each of these is told to those who are in it by then. All
//! further ones are told to all. The first who is told one of these has it read and checked; the others must be told the
//! same, byte for byte, which costs next to nothing. An entry is forgotten when all have it, so at the end none may be
//! left.

use std::{collections::VecDeque, io};

use super::words::Saying;

/// A room, as far as its members have been told of it.
#[derive(Debug)]
pub(super) struct Room {
    /// The server's number for it, once somebody is in it.
    pub(super) id: u64,
    /// How many are to be in it; the log's entries up to this number are that they enter.
    members: u64,
    /// How often somebody is still to be told that somebody else has entered.
    untold: u64,
    /// The latest entry that the server has told anybody of.
    latest: u64,
    /// The number of the first entry behind those of entering that somebody misses.
    first: u64,
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    said: Option<Saying>,
    /// How many do not have it yet.
    missing: u64,
}

impl Room {
    /// A room that is to have so many members.
    pub(super) fn of(members: u64) -> Self {
        // Of two one is told about the other, of three …
        let untold = (1..members).sum();
        Self { id: 0, members, untold, latest: 0, first: members + 1, entries: VecDeque::new() }
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
        self.untold == 0 && self.first > self.latest
    }

    /// A member is told an entry. Gives what was said, if it is not of another kind; `read` makes that of the text, for
    /// the first who is told it, or says what is wrong.
    pub(super) fn told(
        &mut self,
        seq: u64,
        text: &str,
        read: impl FnOnce() -> io::Result<Option<Saying>>,
    ) -> io::Result<Option<Saying>> {
        let Some(at) = seq.checked_sub(self.first) else {
            self.untold = self.untold.saturating_sub(1);
            return read();
        };
        let at = usize::try_from(at).map_err(io::Error::other)?;
        if at == self.entries.len() {
            self.entries.push_back(Entry { text: text.into(), said: read()?, missing: self.members });
        }
        let Some(entry) = self.entries.get_mut(at) else {
            return Err(io::Error::other(format!("{text} is told before what comes before it")));
        };
        if *entry.text != *text {
            return Err(io::Error::other(format!("{text} is told where {} is due", entry.text)));
        }
        entry.missing -= 1;
        let said = entry.said;
        while self.entries.front().is_some_and(|entry| entry.missing == 0) {
            self.entries.pop_front();
            self.first += 1;
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of telling entries of a room of two in which one thing was said.
    fn outcome(told: &[(u64, &str)]) -> String {
        let mut room = Room::of(2);
        room.entered(7, 1);
        room.entered(7, 2);
        room.acknowledged(3);
        let saying = Saying { author: 1, number: 1, at: 0 };
        for &(seq, text) in told {
            let expected = (seq > 2).then_some(saying);
            match room.told(seq, text, || Ok(expected)) {
                Ok(said) => assert_eq!(said, expected, "{told:?}"),
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
        for (told, expected) in rows {
            assert_eq!(outcome(told), *expected, "{told:?}");
        }
    }
}
