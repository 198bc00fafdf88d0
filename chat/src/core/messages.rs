//! Handlers: sending and reading messages.

use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

use super::{
    super::{
        interface::{Answer, Push, Topic},
        store::{Entry, NewEntry, RoomId, RoomRow, Span, Stamp, StoreError, UserId},
    },
    call::{Call, Failure, HandlerResult, answer, done, refuse, too_fast},
    data::{MessageKey, Text, UserName},
    lookup::other_member,
    rooms::RoomRef,
    state::Action,
    text::within,
};

/// The connections that get a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum To {
    #[default]
    All,
    /// All except the sending connection.
    Others,
}

#[derive(Deserialize)]
pub(super) struct Say {
    room: RoomId,
    text: Text,
    key: MessageKey,
    #[serde(default)]
    to: To,
}

/// `say`: sends a message to a room.
pub(super) fn say(call: &mut Call<'_>, data: &Say) -> HandlerResult {
    let Say { room, text, key, to } = data;
    let sent = call.send_to_room(*room, text, *key, *to);
    answer(Answer::Stamped(call.or_earlier(*key, sent)?.stamp))
}

#[derive(Deserialize)]
pub(super) struct Tell {
    name: UserName,
    text: Text,
    key: MessageKey,
    #[serde(default)]
    to: To,
}

/// A checked message that is not sent yet.
struct Draft<'a> {
    text: &'a str,
    key: Uuid,
}

/// The room and stamp of a message that was sent.
struct Sent {
    room: RoomId,
    stamp: Stamp,
}

/// `tell`: sends a message to one user.
pub(super) fn tell(call: &mut Call<'_>, data: &Tell) -> HandlerResult {
    let Tell { name, text, key, to } = data;
    let sent = call.send_direct(name, text, *key, *to);
    let Sent { room, stamp } = call.or_earlier(*key, sent)?;
    answer(Answer::Sent { room, stamp })
}

#[derive(Deserialize)]
pub(super) struct ReadHistory {
    room: RoomId,
    before: Option<u64>,
    after: Option<u64>,
    limit: Option<usize>,
}

/// `history`: returns a page of a room's log.
pub(super) fn history(call: &mut Call<'_>, data: &ReadHistory) -> HandlerResult {
    let ReadHistory { room, before, after, limit } = *data;
    let (room, _) = call.state.find_joined_room(room, call.user)?;
    let limit = limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    // The store cannot hold a larger number, and no log is that long.
    let bounded = |seq: u64| seq.min(u64::MAX >> 1);
    let span = match (before, after) {
        (None, Some(after)) => Span::After(bounded(after), limit),
        (Some(before), None) => Span::Before(bounded(before), limit),
        (None, None) => Span::Before(bounded(u64::MAX), limit),
        (Some(_), Some(_)) => return refuse("bad_data", "Give either before or after, not both."),
    };
    let (messages, more) = call.state.messages(&room, span)?;
    answer(Answer::History { messages, more })
}

#[derive(Deserialize)]
pub(super) struct Read {
    room: RoomId,
    seq: u64,
}

/// `read`: marks all entries up to one as read. Returns how many messages are left unread.
pub(super) fn read(call: &mut Call<'_>, data: &Read) -> HandlerResult {
    let Read { room, seq } = *data;
    let (room, member) = call.state.find_joined_room(room, call.user)?;
    let seq = seq.min(call.state.head(room.id)?.seq);
    if call.state.store.set_read(room.id, call.user, seq)? {
        let unread = call.state.count_unread(room.id, call.user, seq)?;
        let push = Push::Read { room: room.id, seq, unread };
        call.state.publish(Topic::User(call.user), push, Some(call.connection));
        return answer(Answer::Unread { unread });
    }
    let unread = call.state.count_unread(room.id, call.user, member.read.max(seq))?;
    answer(Answer::Unread { unread })
}

/// `typing`: tells the others in a room that the user is writing.
pub(super) fn typing(call: &mut Call<'_>, data: &RoomRef) -> HandlerResult {
    let (room, _) = call.state.find_joined_room(data.room, call.user)?;
    if let Some(other) = other_member(&room, call.user)
        && call.state.store.has_blocked(other, call.user)?
    {
        return done();
    }
    let profile = call.state.profile(call.user)?;
    let push = Push::Typing { room: room.id, name: profile.name.clone() };
    call.state.publish(Topic::Room(room.id), push, Some(call.connection));
    done()
}

impl Call<'_> {
    /// Checks that the user may send private messages to another.
    fn check_may_write(&mut self, other: UserId) -> Result<(), Failure> {
        let store = &self.state.store;
        if other == self.user {
            return refuse("yourself", "You cannot do this to yourself.");
        }
        if store.has_blocked(other, self.user)? {
            return refuse("blocked", "This user does not accept messages from you.");
        }
        if store.has_blocked(self.user, other)? {
            return refuse("blocking", "You have blocked this user; unblock them first.");
        }
        if self.state.profile(other)?.gone {
            return refuse("unknown_person", "This user no longer exists.");
        }
        Ok(())
    }

    fn send_to_room(&mut self, room: RoomId, text: &Text, key: MessageKey, to: To) -> Result<Sent, Failure> {
        let (room, _) = self.state.find_joined_room(room, self.user)?;
        let other = other_member(&room, self.user);
        if let Some(other) = other {
            self.check_may_write(other)?;
        }
        let draft = self.check_draft(text, key)?;
        if let Some(other) = other {
            if let Some(sent) = self.sent_earlier(draft.key)? {
                return Ok(sent);
            }
            self.prepare_direct_room(Some(Arc::clone(&room)), other)?;
        }
        self.post(&room, &draft, to)
    }

    fn send_direct(&mut self, name: &UserName, text: &Text, key: MessageKey, to: To) -> Result<Sent, Failure> {
        let other = self.state.find_user(name)?;
        self.check_may_write(other)?;
        let draft = self.check_draft(text, key)?;
        // The repeat of a message does not bring back a user who has left since.
        if let Some(sent) = self.sent_earlier(draft.key)? {
            return Ok(sent);
        }
        let room = self.find_direct_room(other)?;
        let room = self.prepare_direct_room(room, other)?;
        self.post(&room, &draft, to)
    }

    /// If a message was refused, returns the one that was sent earlier with the same key, if any. So a repeat is
    /// acknowledged even if it comes too fast, or would no longer be allowed.
    fn or_earlier(&mut self, key: MessageKey, sent: Result<Sent, Failure>) -> Result<Sent, Failure> {
        let Err(Failure::Refused(error)) = sent else { return sent };
        if let MessageKey(Some(key)) = key
            && let Some(sent) = self.sent_earlier(key)?
        {
            return Ok(sent);
        }
        Err(Failure::Refused(error))
    }

    fn sent_earlier(&self, key: Uuid) -> Result<Option<Sent>, StoreError> {
        Ok(self.state.store.with_key(self.user, key)?.map(|(room, stamp)| Sent { room, stamp }))
    }

    /// Checks the text and key of a message, and charges it to the rate limit.
    fn check_draft<'a>(&mut self, text: &'a Text, key: MessageKey) -> Result<Draft<'a>, Failure> {
        let MessageKey(Some(key)) = key else { return refuse("bad_key", "A message's key is a UUID.") };
        let text = within(text, self.state.config.limits.text_chars)?;
        if text.is_empty() {
            return refuse("empty", "The text is empty.");
        }
        self.state.rate_limit(Action::Message, self.user).or_else(too_fast)?;
        Ok(Draft { text, key })
    }

    /// Appends a message to a room's log, once for each key.
    fn post(&mut self, room: &RoomRow, draft: &Draft<'_>, to: To) -> Result<Sent, Failure> {
        let state = &mut *self.state;
        let Draft { text, key } = draft;
        let except = (to == To::Others).then_some(self.connection);
        let (entry, author) = (Entry::Said, self.user);
        let new = NewEntry { entry, author, key: Some(*key), text: Some(text), about: None, other: None };
        if let Some(stamp) = state.append(room, new, except)? {
            return Ok(Sent { room: room.id, stamp });
        }
        match self.sent_earlier(*key)? {
            Some(sent) => Ok(sent),
            None => refuse("unknown_message", "The message with this key is no longer kept."),
        }
    }
}

/// Messages in a page of history, by default and at most.
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 100;
