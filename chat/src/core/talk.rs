//! Handlers: what is said, and how it is read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    super::{
        precis::is_blank,
        store::{Entry, NewEntry, PersonId, Role, RoomId, RoomKind, RoomRow, Span, Stamp, StoreError},
        token::epoch,
        wire,
    },
    effects::Topic,
    events::{Call, Failure, Handled, done, parse, refuse, result, too_fast},
    keeper::Counted,
    log::{Message, Since},
    lookup::other_of,
    rooms::InRoom,
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
pub(super) fn say(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let Say { room, text, key, to } = parse(data)?;
    let said = call.say_in(room, &text, &key, to);
    result(&call.or_before(&key, said)?.place)
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
struct Words {
    text: String,
    key: Uuid,
}

/// Where something was said.
#[derive(Serialize)]
struct Said {
    room: RoomId,
    #[serde(flatten)]
    place: Stamp,
}

/// `tell`: a message to one person.
pub(super) fn tell(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let Tell { name, text, key, to } = parse(data)?;
    let said = call.tell_to(&name, &text, &key, to);
    result(&call.or_before(&key, said)?)
}

#[derive(Deserialize)]
struct Direct {
    name: String,
    since: Option<Since>,
}

/// `direct`: the conversation with one person.
pub(super) fn direct(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let Direct { name, since } = parse(data)?;
    let other = call.keeper.find_person(&name)?;
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
    messages: Vec<Message>,
    more: bool,
}

/// `history`: a page of a room's log.
pub(super) fn history(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let ReadHistory { room, before, after, limit } = parse(data)?;
    let (room, _) = call.keeper.find_own_room(room, call.person)?;
    let limit = limit.unwrap_or(PAGE).clamp(1, MOST_PER_PAGE);
    // No log is as long as the largest number that the store holds.
    let bounded = |seq: u64| seq.min(u64::MAX >> 1);
    let span = match (before, after) {
        (None, Some(after)) => Span::After(bounded(after), limit),
        (Some(before), None) => Span::Before(bounded(before), limit),
        (None, None) => Span::Before(bounded(u64::MAX), limit),
        (Some(_), Some(_)) => return refuse("bad_data", "History is read before a message or after one."),
    };
    let (messages, more) = call.keeper.messages(&room, span)?;
    result(&History { messages, more })
}

#[derive(Deserialize)]
struct Read {
    room: RoomId,
    seq: u64,
}

#[derive(Serialize)]
struct ReadTold {
    room: RoomId,
    seq: u64,
}

/// `read`: one has seen all up to a message.
pub(super) fn read(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let Read { room, seq } = parse(data)?;
    let (room, _) = call.keeper.find_own_room(room, call.person)?;
    let seq = seq.min(call.keeper.head(room.id)?.seq);
    if call.keeper.store.set_read(room.id, call.person, seq)? {
        let told = wire::event("read", &ReadTold { room: room.id, seq });
        call.keeper.publish(Topic::Person(call.person), told, Some(call.connection));
    }
    done()
}

#[derive(Serialize)]
struct Typing<'a> {
    room: RoomId,
    name: &'a str,
}

/// `typing`: one is writing.
pub(super) fn typing(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let InRoom { room } = parse(data)?;
    let (room, _) = call.keeper.find_own_room(room, call.person)?;
    if let Some(other) = other_of(&room, call.person)
        && call.keeper.store.has_blocked(other, call.person)?
    {
        return done();
    }
    let known = call.keeper.known(call.person)?;
    let told = wire::event("typing", &Typing { room: room.id, name: &known.name });
    call.keeper.publish(Topic::Room(room.id), told, Some(call.connection));
    done()
}

impl Call<'_> {
    /// Whether one may write to somebody in private.
    fn check_may_write(&mut self, other: PersonId) -> Result<(), Failure> {
        let store = &self.keeper.store;
        if other == self.person {
            return refuse("yourself", "This is you.");
        }
        if store.has_blocked(other, self.person)? {
            return refuse("blocked", "This person does not take messages from you.");
        }
        if store.has_blocked(self.person, other)? {
            return refuse("blocking", "You have blocked this person.");
        }
        if self.keeper.known(other)?.gone {
            return refuse("unknown_person", "This person is not here any more.");
        }
        Ok(())
    }

    fn say_in(&mut self, room: RoomId, text: &str, key: &str, to: To) -> Result<Said, Failure> {
        let (room, _) = self.keeper.find_own_room(room, self.person)?;
        let other = other_of(&room, self.person);
        if let Some(other) = other {
            self.check_may_write(other)?;
        }
        let words = self.check_words(text, key)?;
        if let Some(other) = other {
            if let Some(said) = self.said_before(words.key)? {
                return Ok(said);
            }
            self.ensure_member(&room, other)?;
        }
        self.speak(&room, &words, to)
    }

    fn tell_to(&mut self, name: &str, text: &str, key: &str, to: To) -> Result<Said, Failure> {
        let other = self.keeper.find_person(name)?;
        self.check_may_write(other)?;
        let words = self.check_words(text, key)?;
        // A repeat brings nobody back who has left since.
        if let Some(said) = self.said_before(words.key)? {
            return Ok(said);
        }
        let room = self.conversation(other)?;
        self.ensure_member(&room, other)?;
        self.speak(&room, &words, to)
    }

    /// What was said under this key before, where it is refused now: a repeat is acknowledged again, however fast it
    /// comes, and whatever has changed meanwhile.
    fn or_before(&mut self, key: &str, said: Result<Said, Failure>) -> Result<Said, Failure> {
        let Err(Failure::Refused(error)) = said else { return said };
        if let Ok(key) = Uuid::try_parse(key)
            && let Some(said) = self.said_before(key)?
        {
            return Ok(said);
        }
        Err(Failure::Refused(error))
    }

    fn said_before(&self, key: Uuid) -> Result<Option<Said>, StoreError> {
        Ok(self.keeper.store.with_key(self.person, key)?.map(|(room, place)| Said { room, place }))
    }

    /// What can be said, and may be said now.
    fn check_words(&mut self, text: &str, key: &str) -> Result<Words, Failure> {
        let Ok(key) = Uuid::try_parse(key) else { return refuse("bad_key", "A message's key is a UUID.") };
        let text = clean(text, self.keeper.config.limits.text_chars)?;
        if is_blank(&text) {
            return refuse("empty", "There is nothing to say.");
        }
        self.keeper.count(Counted::Said, self.person).or_else(too_fast)?;
        Ok(Words { text, key })
    }

    /// Says something in a room, once for each key.
    fn speak(&mut self, room: &RoomRow, words: &Words, to: To) -> Result<Said, Failure> {
        let keeper = &mut *self.keeper;
        let Words { text, key } = words;
        let except = (to == To::Others).then_some(self.connection);
        let new = NewEntry { entry: Entry::Said, author: self.person, key: Some(*key), text: Some(text), about: None };
        if let Some(place) = keeper.append(room, new, except)? {
            return Ok(Said { room: room.id, place });
        }
        match self.said_before(*key)? {
            Some(said) => Ok(said),
            None => refuse("unknown_message", "The message of this key is no longer kept."),
        }
    }

    /// The conversation with somebody, begun if need be; the caller is a member of it.
    fn conversation(&mut self, other: PersonId) -> Result<Arc<RoomRow>, Failure> {
        let key = RoomKind::key_of_pair(self.person, other);
        let id = match self.keeper.store.room_with_key(&key)? {
            Some(id) => Some(id),
            None if self.keeper.store.count_conversations(self.person)? >= MOST_CONVERSATIONS => {
                return refuse("too_many_rooms", "You talk with as many people as one may; leave some of them.");
            }
            None => self.keeper.store.add_room(RoomKind::Direct, "", &key, "", &epoch())?,
        };
        let room = match id {
            Some(id) => self.keeper.room(id)?,
            None => None,
        };
        let Some(room) = room else { return refuse("unknown_room", "The conversation is gone.") };
        self.ensure_member(&room, self.person)?;
        Ok(room)
    }

    /// Somebody is in a conversation of two from here on, if they were not.
    fn ensure_member(&mut self, room: &RoomRow, person: PersonId) -> Result<(), StoreError> {
        let keeper = &mut *self.keeper;
        if keeper.store.member(room.id, person)?.is_none() {
            keeper.set_role(room.id, person, Role::Member)?;
            keeper.mark_all_read(room.id, person)?;
            keeper.follow(person, room.id);
            keeper.tell_room(room, person)?;
        }
        Ok(())
    }
}

/// A text without what has no meaning in a chat: controls other than line breaks and tabs (they take six bytes each as
/// JSON), and what is blank at its end.
pub(super) fn clean(text: &str, most_chars: usize) -> Result<String, Failure> {
    let text: String = text.chars().filter(|&c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let text = text.trim_end();
    if text.chars().count() > most_chars {
        return refuse("too_long", format!("This may have {most_chars} characters at most."));
    }
    Ok(text.to_owned())
}

/// Conversations that somebody begins: each is told whenever they connect.
const MOST_CONVERSATIONS: usize = 1000;
/// Messages of a page of history.
const PAGE: usize = 50;
const MOST_PER_PAGE: usize = 100;
