//! Entries of a room's log: written, told, read again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    super::{
        store::{Entry, Logged, MAX_TRIMMED, NewEntry, Page, PersonId, RoomId, RoomRow, Span, Stamp, StoreError},
        wire,
    },
    effects::Topic,
    keeper::Keeper,
    lookup::Known,
};
use switchboard::ConnectionId;

/// A place in a log that a client has seen.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Since {
    epoch: String,
    seq: u64,
}

/// What somebody has missed.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) messages: Vec<Message>,
    /// Something between the place that they have seen and these is not known any more.
    pub(super) gap: bool,
    /// Nothing is behind these.
    pub(super) live: bool,
}

/// An entry of a log as it is told.
#[derive(Debug, Serialize)]
pub(super) struct Message {
    room: RoomId,
    epoch: String,
    seq: u64,
    time: u64,
    from: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<i64>,
    #[serde(skip_serializing_if = "is_false")]
    gone: bool,
}

impl Keeper {
    /// Writes an entry to a room's log, and tells it to all who follow but one connection. `None`: the author has used
    /// the key before.
    pub(super) fn append(
        &mut self,
        room: &RoomRow,
        new: NewEntry<'_>,
        except: Option<ConnectionId>,
    ) -> Result<Option<Stamp>, StoreError> {
        let head = self.head(room.id)?;
        // A clock that was set back does not turn the log around.
        let place = Stamp { seq: head.seq + 1, time: self.now.wall.max(head.time) };
        if !self.store.append(room.id, place, &new)? {
            return Ok(None);
        }
        self.lookup.appended(room.id, place, (new.entry == Entry::Said).then_some(new.author));
        let kept = self.config.limits.kept_messages;
        if place.seq.is_multiple_of(TRIMMED_EVERY.min(kept.div_ceil(10))) {
            let oldest = (place.seq + 1).saturating_sub(kept);
            self.store.trim(room.id, oldest)?;
            self.lookup.trimmed(room.id, oldest);
        }
        let NewEntry { entry, author, text, about, .. } = new;
        let message =
            self.message(room, Logged { stamp: place, entry, author, text: text.map(str::to_owned), about })?;
        self.publish(Topic::Room(room.id), wire::event("message", &message), except);
        Ok(Some(place))
    }

    /// The same for an entry that says who did something, perhaps to whom.
    pub(super) fn record(
        &mut self,
        room: &RoomRow,
        entry: Entry,
        author: PersonId,
        about: Option<PersonId>,
    ) -> Result<(), StoreError> {
        let about = about.map(PersonId::as_subject);
        self.append(room, NewEntry { entry, author, key: None, text: None, about }, None).map(drop)
    }

    /// An entry as it is told.
    fn message(&mut self, room: &RoomRow, logged: Logged) -> Result<Message, StoreError> {
        let author: Arc<Known> = self.known(logged.author)?;
        let who = match logged.person() {
            Some(person) => Some(self.known(person)?.name.clone()),
            None => None,
        };
        let (kind, role) = match logged.entry {
            Entry::Said => ("said", None),
            Entry::Topic => ("topic", None),
            Entry::Joined => ("joined", None),
            Entry::Left => ("left", None),
            Entry::Kicked => ("kicked", None),
            Entry::Banned => ("banned", None),
            Entry::Unbanned => ("unbanned", None),
            Entry::Owner => ("role", Some("owner")),
            Entry::Member => ("role", Some("member")),
            Entry::Deleted => ("deleted", None),
        };
        Ok(Message {
            room: room.id,
            epoch: room.epoch.clone(),
            seq: logged.stamp.seq,
            time: logged.stamp.time,
            from: author.name.clone(),
            kind,
            deleted: logged.entry == Entry::Said && logged.text.is_none(),
            text: logged.text,
            who,
            role,
            target: logged.about.filter(|_| logged.entry == Entry::Deleted),
            gone: author.gone,
        })
    }

    /// A part of a room's log as it is told, and whether there is more of it.
    pub(super) fn messages(&mut self, room: &RoomRow, span: Span) -> Result<(Vec<Message>, bool), StoreError> {
        let Page { entries, more } = self.store.entries(room.id, span)?;
        let messages: Result<_, _> = entries.into_iter().map(|logged| self.message(room, logged)).collect();
        Ok((messages?, more))
    }

    /// What somebody has missed who has seen a log up to a place; the latest for who has seen nothing of it.
    pub(super) fn missed(&mut self, room: &RoomRow, since: Option<&Since>) -> Result<Missed, StoreError> {
        let head = self.head(room.id)?;
        if let Some(since) = since.filter(|since| since.epoch == room.epoch && since.seq <= head.seq) {
            let oldest = self.store.tail(room.id)?.unwrap_or(head.seq + 1);
            if since.seq + 1 >= oldest {
                let (messages, more) = self.messages(room, Span::After(since.seq, MOST_MISSED))?;
                return Ok(Missed { messages, gap: false, live: !more });
            }
        }
        let (messages, _) = self.messages(room, Span::Before(head.seq + 1, LATEST))?;
        Ok(Missed { messages, gap: since.is_some(), live: true })
    }
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

/// What is told at once of what somebody has missed.
const MOST_MISSED: usize = 200;
/// What is told to who was not here before.
const LATEST: usize = 50;
/// A log is trimmed once in so many entries, or more often where few are kept.
const TRIMMED_EVERY: u64 = 100;
// Else a log would grow for ever.
const _: () = assert!(TRIMMED_EVERY <= MAX_TRIMMED);
