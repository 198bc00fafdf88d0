//! Handlers: what is said, and how it is read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    super::{
        precis::is_blank,
        store::{Entry, NewEntry, PersonId, Place, Role, RoomId, RoomKind, RoomRow, Span, StoreError},
        token::epoch,
        wire,
    },
    call::{Call, Failure, HandlerResult, done, parse, refuse, result, too_fast},
    effects::Topic,
    log::{MessageView, Position},
    lookup::other_member,
    rooms::RoomRef,
    state::Action,
    text::clean,
};

/// Whom one's own message is sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum To {
    #[default]
    All,
    /// All but the connection that sends it.
    Others,
}

#[derive(Deserialize)]
struct Say {
    room: RoomId,
    text: String,
    key: String,
    #[serde(default)]
    to: To,
}

/// `say`: a message to all in a room.
pub(super) fn say(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let Say { room, text, key, to } = parse(data)?;
    let said = call.send_to_room(room, &text, &key, to);
    result(&call.or_earlier(&key, said)?.place)
}

#[derive(Deserialize)]
struct Tell {
    name: String,
    text: String,
    key: String,
    #[serde(default)]
    to: To,
}

/// What is to be said.
struct Draft {
    text: String,
    key: Uuid,
}

/// Where something was said.
#[derive(Serialize)]
struct Sent {
    room: RoomId,
    #[serde(flatten)]
    place: Place,
}

/// `tell`: a message to one person.
pub(super) fn tell(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let Tell { name, text, key, to } = parse(data)?;
    let said = call.send_direct(&name, &text, &key, to);
    result(&call.or_earlier(&key, said)?)
}

#[derive(Deserialize)]
struct Direct {
    name: String,
    since: Option<Position>,
}

/// `direct`: the conversation with one person.
pub(super) fn direct(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let Direct { name, since } = parse(data)?;
    let other = call.state.find_person(&name)?;
    if other == call.person {
        return refuse("yourself", "This is you.");
    }
    let room = call.conversation(other)?;
    call.enter(&room, since.as_ref())
}

#[derive(Deserialize)]
struct ReadHistory {
    room: RoomId,
    before: Option<u64>,
    after: Option<u64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct History {
    messages: Vec<MessageView>,
    more: bool,
}

/// `history`: a page of a room's log.
pub(super) fn history(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let ReadHistory { room, before, after, limit } = parse(data)?;
    let (room, _) = call.state.find_joined_room(room, call.person)?;
    let limit = limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    // No log is as long as the largest number that the store holds.
    let bounded = |seq: u64| seq.min(u64::MAX >> 1);
    let span = match (before, after) {
        (None, Some(after)) => Span::After(bounded(after), limit),
        (Some(before), None) => Span::Before(bounded(before), limit),
        (None, None) => Span::Before(bounded(u64::MAX), limit),
        (Some(_), Some(_)) => return refuse("bad_data", "History is read before a message or after one."),
    };
    let (messages, more) = call.state.messages(&room, span)?;
    result(&History { messages, more })
}

#[derive(Deserialize)]
struct Read {
    room: RoomId,
    seq: u64,
}

#[derive(Serialize)]
struct ReadView {
    room: RoomId,
    seq: u64,
}

/// `read`: one has seen all up to a message.
pub(super) fn read(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let Read { room, seq } = parse(data)?;
    let (room, _) = call.state.find_joined_room(room, call.person)?;
    let seq = seq.min(call.state.head(room.id)?.seq);
    if call.state.store.set_read(room.id, call.person, seq)? {
        let push = wire::event("read", &ReadView { room: room.id, seq });
        call.state.publish(Topic::Person(call.person), push, Some(call.connection));
    }
    done()
}

#[derive(Serialize)]
struct Typing<'a> {
    room: RoomId,
    name: &'a str,
}

/// `typing`: one is writing.
pub(super) fn typing(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let RoomRef { room } = parse(data)?;
    let (room, _) = call.state.find_joined_room(room, call.person)?;
    if let Some(other) = other_member(&room, call.person)
        && call.state.store.has_blocked(other, call.person)?
    {
        return done();
    }
    let profile = call.state.profile(call.person)?;
    let push = wire::event("typing", &Typing { room: room.id, name: &profile.name });
    call.state.publish(Topic::Room(room.id), push, Some(call.connection));
    done()
}

impl Call<'_> {
    /// Whether one may write to somebody in private.
    fn check_may_write(&mut self, other: PersonId) -> Result<(), Failure> {
        let store = &self.state.store;
        if other == self.person {
            return refuse("yourself", "This is you.");
        }
        if store.has_blocked(other, self.person)? {
            return refuse("blocked", "This person does not take messages from you.");
        }
        if store.has_blocked(self.person, other)? {
            return refuse("blocking", "You have blocked this person.");
        }
        if self.state.profile(other)?.gone {
            return refuse("unknown_person", "This person is not here any more.");
        }
        Ok(())
    }

    fn send_to_room(&mut self, room: RoomId, text: &str, key: &str, to: To) -> Result<Sent, Failure> {
        let (room, _) = self.state.find_joined_room(room, self.person)?;
        let other = other_member(&room, self.person);
        if let Some(other) = other {
            self.check_may_write(other)?;
        }
        let draft = self.check_draft(text, key)?;
        if let Some(other) = other {
            if let Some(said) = self.sent_earlier(draft.key)? {
                return Ok(said);
            }
            self.ensure_member(&room, other)?;
        }
        self.post(&room, &draft, to)
    }

    fn send_direct(&mut self, name: &str, text: &str, key: &str, to: To) -> Result<Sent, Failure> {
        let other = self.state.find_person(name)?;
        self.check_may_write(other)?;
        let draft = self.check_draft(text, key)?;
        // A repeat brings nobody back who has left since.
        if let Some(said) = self.sent_earlier(draft.key)? {
            return Ok(said);
        }
        let room = self.conversation(other)?;
        self.ensure_member(&room, other)?;
        self.post(&room, &draft, to)
    }

    /// What was said under this key before, where it is refused now: a repeat is acknowledged again, however fast it
    /// comes, and whatever has changed meanwhile.
    fn or_earlier(&mut self, key: &str, said: Result<Sent, Failure>) -> Result<Sent, Failure> {
        let Err(Failure::Refused(error)) = said else { return said };
        if let Ok(key) = Uuid::try_parse(key)
            && let Some(said) = self.sent_earlier(key)?
        {
            return Ok(said);
        }
        Err(Failure::Refused(error))
    }

    fn sent_earlier(&self, key: Uuid) -> Result<Option<Sent>, StoreError> {
        Ok(self.state.store.with_key(self.person, key)?.map(|(room, place)| Sent { room, place }))
    }

    /// What can be said, and may be said now.
    fn check_draft(&mut self, text: &str, key: &str) -> Result<Draft, Failure> {
        let Ok(key) = Uuid::try_parse(key) else { return refuse("bad_key", "A message's key is a UUID.") };
        let text = clean(text, self.state.config.limits.text_chars)?;
        if is_blank(&text) {
            return refuse("empty", "There is nothing to say.");
        }
        self.state.rate_limit(Action::Message, self.person).or_else(too_fast)?;
        Ok(Draft { text, key })
    }

    /// Says something in a room, once for each key.
    fn post(&mut self, room: &RoomRow, draft: &Draft, to: To) -> Result<Sent, Failure> {
        let state = &mut *self.state;
        let Draft { text, key } = draft;
        let except = (to == To::Others).then_some(self.connection);
        let new = NewEntry { entry: Entry::Said, author: self.person, key: Some(*key), text: Some(text), about: None };
        if let Some(place) = state.append(room, new, except)? {
            return Ok(Sent { room: room.id, place });
        }
        match self.sent_earlier(*key)? {
            Some(said) => Ok(said),
            None => refuse("unknown_message", "The message of this key is no longer kept."),
        }
    }

    /// The conversation with somebody, begun if need be; the caller is a member of it.
    fn conversation(&mut self, other: PersonId) -> Result<Arc<RoomRow>, Failure> {
        let key = RoomKind::key_of_pair(self.person, other);
        let id = match self.state.store.room_with_key(&key)? {
            Some(id) => Some(id),
            None if self.state.store.count_conversations(self.person)? >= MAX_CONVERSATIONS => {
                return refuse("too_many_rooms", "You talk with as many people as one may; leave some of them.");
            }
            None => self.state.store.add_room(RoomKind::Direct, "", &key, "", &epoch())?,
        };
        let room = match id {
            Some(id) => self.state.room(id)?,
            None => None,
        };
        let Some(room) = room else { return refuse("unknown_room", "The conversation is gone.") };
        self.ensure_member(&room, self.person)?;
        Ok(room)
    }

    /// Somebody is in a conversation of two from here on, if they were not.
    fn ensure_member(&mut self, room: &RoomRow, person: PersonId) -> Result<(), StoreError> {
        let state = &mut *self.state;
        if state.store.member(room.id, person)?.is_none() {
            state.set_role(room.id, person, Role::Member)?;
            state.mark_all_read(room.id, person)?;
            state.subscribe_all(person, room.id);
            state.push_room(room, person)?;
        }
        Ok(())
    }
}

/// Conversations that somebody begins: each is told whenever they connect.
const MAX_CONVERSATIONS: usize = 1000;
/// Messages of a page of history.
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 100;
