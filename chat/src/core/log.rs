//! A room's log: appending, reading, catching up.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    super::{
        interface::{ClientId, MessageView, Push, Topic},
        store::{Entry, Logged, MAX_TRIMMED, NewEntry, Page, RoomRow, Span, Stamp, StoreError, UserId},
    },
    cache::Profile,
    state::State,
};

/// The last entry of a log that a client has seen.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Position {
    epoch: String,
    seq: u64,
    /// The entry's [`EntryHash`](super::super::store::EntryHash), if the client sends it.
    hash: Option<String>,
}

/// The part of a log that a client gets to catch up.
#[derive(Debug)]
pub(super) struct CatchUp {
    pub(super) messages: Vec<MessageView>,
    /// Whether entries are missing between the client's position and these messages.
    pub(super) gap: bool,
    /// Whether these messages reach the end of the log.
    pub(super) live: bool,
}

impl State {
    /// Appends an entry to a room's log, and publishes it to all connections that follow the room, except one. Returns
    /// `None` if the author has used the entry's key before.
    pub(super) fn append(
        &mut self,
        room: &RoomRow,
        new: NewEntry<'_>,
        except: Option<ClientId>,
    ) -> Result<Option<Stamp>, StoreError> {
        let head = self.head(room.id)?;
        // `seq` says the order. The time is the wall clock's, and is earlier than the one before if the clock was set
        // back.
        let stamp = Stamp::new(head.seq + 1, self.now.wall, &new);
        if !self.store.append(room.id, stamp, &new)? {
            return Ok(None);
        }
        self.cache.appended(room.id, stamp, (new.entry == Entry::Said).then_some(new.author));
        let kept = self.config.limits.kept_messages;
        if stamp.seq.is_multiple_of(TRIM_INTERVAL.min(kept.div_ceil(10))) {
            let oldest = (stamp.seq + 1).saturating_sub(kept);
            self.store.trim(room.id, oldest)?;
            self.cache.trimmed(room.id, oldest);
        }
        let NewEntry { entry, author, text, about, other, .. } = new;
        let logged = Logged { stamp, entry, author, text: text.map(str::to_owned), about, other };
        let message = self.message_view(room, logged)?;
        self.publish(Topic::Room(room.id), Push::Message(message), except);
        Ok(Some(stamp))
    }

    /// Appends an entry about an action of a user. `about` is the user whom the action affects, if any.
    pub(super) fn append_event(
        &mut self,
        room: &RoomRow,
        entry: Entry,
        author: UserId,
        about: Option<UserId>,
    ) -> Result<(), StoreError> {
        let about = about.map(UserId::as_subject);
        self.append(room, NewEntry { entry, author, key: None, text: None, about, other: None }, None).map(drop)
    }

    /// Returns an entry as clients see it.
    fn message_view(&mut self, room: &RoomRow, logged: Logged) -> Result<MessageView, StoreError> {
        let author: Arc<Profile> = self.profile(logged.author)?;
        let mut name_of = |user: Option<UserId>| -> Result<Option<String>, StoreError> {
            user.map(|user| Ok(self.profile(user)?.name.clone())).transpose()
        };
        let other = name_of(logged.other)?;
        let (who, by) = match logged.entry {
            Entry::Deleted => (other, None),
            Entry::Said => (None, other),
            Entry::Topic
            | Entry::Joined
            | Entry::Left
            | Entry::Kicked
            | Entry::Banned
            | Entry::Unbanned
            | Entry::Owner
            | Entry::Member => (name_of(logged.user())?, None),
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
            seq: logged.stamp.seq,
            hash: logged.stamp.hash,
            time: logged.stamp.time,
            from: author.name.clone(),
            kind,
            deleted: logged.entry == Entry::Said && logged.text.is_none(),
            by,
            text: logged.text,
            who,
            role,
            target: logged.about.filter(|_| logged.entry == Entry::Deleted),
            gone: author.gone,
        })
    }

    /// Returns a page of a room's log as clients see it, and whether there is more in the page's direction.
    pub(super) fn messages(&mut self, room: &RoomRow, span: Span) -> Result<(Vec<MessageView>, bool), StoreError> {
        let Page { entries, more } = self.store.entries(room.id, span)?;
        let messages: Result<_, _> = entries.into_iter().map(|logged| self.message_view(room, logged)).collect();
        Ok((messages?, more))
    }

    /// Returns the messages that a client at the position `from` has missed. Without a position, or with one that is
    /// not in the log, returns the latest messages.
    pub(super) fn catch_up(&mut self, room: &RoomRow, from: Option<&Position>) -> Result<CatchUp, StoreError> {
        let head = self.head(room.id)?;
        if let Some(from) = from
            && self.is_in_log(room, head, from)?
        {
            let (messages, more) = self.messages(room, Span::After(from.seq, MAX_CATCH_UP))?;
            return Ok(CatchUp { messages, gap: false, live: !more });
        }
        let (messages, _) = self.messages(room, Span::Before(head.seq + 1, LATEST_MESSAGES))?;
        Ok(CatchUp { messages, gap: from.is_some(), live: true })
    }

    /// Returns whether the log, which ends at `head`, goes on from a client's position with all later entries.
    fn is_in_log(&self, room: &RoomRow, head: Stamp, from: &Position) -> Result<bool, StoreError> {
        if from.epoch != room.epoch || from.seq > head.seq {
            return Ok(false);
        }
        let hash = match &from.hash {
            Some(hash) if from.seq > 0 => hash,
            // The beginning of every log is the same. Without a hash, the entry is trusted to be.
            _ => return Ok(from.seq + 1 >= self.store.tail(room.id)?.unwrap_or(head.seq + 1)),
        };
        let known = if from.seq == head.seq {
            Some(head.hash)
        } else {
            // `None` if the entry is no longer kept: then nothing tells whether the client has seen it or another.
            self.store.entry(room.id, from.seq)?.map(|logged| logged.stamp.hash)
        };
        Ok(known.is_some_and(|known| known.to_string() == *hash))
    }
}

/// Maximum messages in one catch-up.
const MAX_CATCH_UP: usize = 200;
/// Maximum messages for a client without a position.
pub(super) const LATEST_MESSAGES: usize = 50;
/// A log is trimmed every this many entries, or more often if the configuration keeps few.
const TRIM_INTERVAL: u64 = 10;
// With a longer interval, a log would grow faster than it is trimmed.
const _: () = assert!(TRIM_INTERVAL <= MAX_TRIMMED);
