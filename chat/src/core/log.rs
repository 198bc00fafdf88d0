//! Entries of a room's log: written, told, read again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    super::{
        store::{Entry, Logged, MOST_FORGOTTEN, NewEntry, Page, PersonId, Place, RoomId, RoomRow, Span, StoreError},
        wire,
    },
    cache::Profile,
    effects::Topic,
    state::State,
};
use switchboard::ConnectionId;

/// A place in a log that a client has seen.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Position {
    epoch: String,
    seq: u64,
}

/// What somebody has missed.
#[derive(Debug)]
pub(super) struct CatchUp {
    pub(super) messages: Vec<MessageView>,
    /// Something between the place that they have seen and these is not known any more.
    pub(super) gap: bool,
    /// Nothing is behind these.
    pub(super) live: bool,
}

/// An entry of a log as it is told.
#[derive(Debug, Serialize)]
pub(super) struct MessageView {
    room: RoomId,
    epoch: String,
    seq: u64,
    time: u64,
    from: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
}

impl State {
    /// Writes an entry to a room's log, and tells it to all who follow but one connection. `None`: the author has used
    /// the key before.
    pub(super) fn append(
        &mut self,
        room: &RoomRow,
        new: NewEntry<'_>,
        except: Option<ConnectionId>,
    ) -> Result<Option<Place>, StoreError> {
        let head = self.head(room.id)?;
        // A clock that was set back does not turn the log around.
        let place = Place { seq: head.seq + 1, time: self.now.wall.max(head.time) };
        if !self.store.append(room.id, place, &new)? {
            return Ok(None);
        }
        self.cache.appended(room.id, place, (new.entry == Entry::Said).then_some(new.author));
        let kept = self.config.limits.kept_messages;
        if place.seq.is_multiple_of(TRIM_INTERVAL.min(kept.div_ceil(10))) {
            let oldest = (place.seq + 1).saturating_sub(kept);
            self.store.trim(room.id, oldest)?;
            self.cache.trimmed(room.id, oldest);
        }
        let NewEntry { entry, author, text, about, .. } = new;
        let message = self.message_view(room, Logged { place, entry, author, text: text.map(str::to_owned), about })?;
        self.publish(Topic::Room(room.id), wire::event("message", &message), except);
        Ok(Some(place))
    }

    /// The same for an entry that says who did something, perhaps to whom.
    pub(super) fn append_event(
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
    fn message_view(&mut self, room: &RoomRow, logged: Logged) -> Result<MessageView, StoreError> {
        let author: Arc<Profile> = self.profile(logged.author)?;
        let who = match logged.person() {
            Some(person) => Some(self.profile(person)?.name.clone()),
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
        Ok(MessageView {
            room: room.id,
            epoch: room.epoch.clone(),
            seq: logged.place.seq,
            time: logged.place.time,
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
    pub(super) fn messages(&mut self, room: &RoomRow, span: Span) -> Result<(Vec<MessageView>, bool), StoreError> {
        let Page { entries, more } = self.store.entries(room.id, span)?;
        let messages: Result<_, _> = entries.into_iter().map(|logged| self.message_view(room, logged)).collect();
        Ok((messages?, more))
    }

    /// What somebody has missed who has seen a log up to a place; the latest for who has seen nothing of it.
    pub(super) fn catch_up(&mut self, room: &RoomRow, from: Option<&Position>) -> Result<CatchUp, StoreError> {
        let head = self.head(room.id)?;
        if let Some(from) = from.filter(|from| from.epoch == room.epoch && from.seq <= head.seq) {
            let oldest = self.store.tail(room.id)?.unwrap_or(head.seq + 1);
            if from.seq + 1 >= oldest {
                let (messages, more) = self.messages(room, Span::After(from.seq, MAX_CATCH_UP))?;
                return Ok(CatchUp { messages, gap: false, live: !more });
            }
        }
        let (messages, _) = self.messages(room, Span::Before(head.seq + 1, LATEST_MESSAGES))?;
        Ok(CatchUp { messages, gap: from.is_some(), live: true })
    }
}

/// What is told at once of what somebody has missed.
const MAX_CATCH_UP: usize = 200;
/// What is told to who was not here before.
const LATEST_MESSAGES: usize = 50;
/// A log is trimmed once in so many entries, or more often where few are kept.
const TRIM_INTERVAL: u64 = 100;
// Else a log would grow for ever.
const _: () = assert!(TRIM_INTERVAL <= MOST_FORGOTTEN);
