//! Handlers: making, entering and leaving rooms.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    super::{
        Name, RoomName,
        store::{Entry, LOBBY, Member, PersonId, Role, RoomId, RoomKind, RoomRow, Store, StoreError},
        token::epoch,
        wire,
    },
    call::{Call, Failure, HandlerResult, done, parse, refuse, result, too_fast},
    effects::{Effect, Topic},
    log::{CatchUp, MessageView, Position},
    lookup::{RoomView, other_member},
    state::{Action, State},
    text::clean,
};

/// What somebody is told who enters a room.
#[derive(Serialize)]
struct Entered {
    room: RoomView,
    messages: Vec<MessageView>,
    gap: bool,
    live: bool,
}

#[derive(Serialize)]
struct Rooms {
    rooms: Vec<RoomView>,
    more: bool,
}

#[derive(Serialize)]
pub(super) struct MembersView {
    members: Vec<MemberView>,
    more: bool,
}

#[derive(Serialize)]
struct MemberView {
    name: String,
    role: Role,
    online: bool,
}

/// Why somebody is no longer in a room.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LeaveReason {
    Left,
    Kicked,
    Banned,
    Removed,
}

#[derive(Serialize)]
struct GoneView {
    room: RoomId,
    reason: LeaveReason,
}

/// One room, by its number.
#[derive(Deserialize)]
pub(super) struct RoomRef {
    pub(super) room: RoomId,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    after: String,
    search: String,
}

/// `rooms`: public ones.
pub(super) fn list(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let List { after, search } = parse::<Option<_>>(data)?.unwrap_or_default();
    let key = |name: &str| RoomName::at_most(Name::LONGEST, name).map(|name| name.key().to_owned()).ok();
    let after = key(&after).map_or(String::new(), |key| RoomKind::key_of_name(&key));
    let search = key(&search).unwrap_or_else(|| search.to_lowercase());
    let mut ids = call.state.store.public_rooms(&search, &after, MAX_LISTED_ROOMS + 1)?;
    let more = ids.len() > MAX_LISTED_ROOMS;
    ids.truncate(MAX_LISTED_ROOMS);
    let mut rooms = Vec::new();
    for id in ids {
        if let Some(room) = call.state.room(id)? {
            rooms.push(call.state.room_view(&room, call.person)?);
        }
    }
    result(&Rooms { rooms, more })
}

#[derive(Deserialize)]
struct Create {
    name: String,
    #[serde(default = "public")]
    kind: RoomKind,
    #[serde(default)]
    topic: String,
}

fn public() -> RoomKind {
    RoomKind::Public
}

/// `create`: a room of one's own.
pub(super) fn create(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let Create { name, kind, topic } = parse(data)?;
    let limits = &call.state.config.limits;
    let name = match RoomName::at_most(limits.room_name_chars, &name) {
        Ok(name) => name,
        Err(error) => return refuse("bad_name", error.to_string()),
    };
    if kind == RoomKind::Direct {
        return refuse("bad_data", "A conversation of two begins with direct or tell.");
    }
    let topic = clean(&topic, limits.topic_chars)?;
    call.check_room_count()?;
    if call.state.store.count_rooms(call.person, Role::Owner)? >= call.state.config.limits.owned_rooms {
        return refuse("too_many_rooms", "You own as many rooms as one may.");
    }
    let epoch = epoch();
    let key = match kind {
        RoomKind::Public => RoomKind::key_of_name(name.key()),
        // Its name is nobody's business, so it cannot be taken either.
        RoomKind::Invited | RoomKind::Direct => format!("invited {epoch}"),
    };
    let Some(id) = call.state.store.add_room(kind, name.as_str(), &key, &topic, &epoch)? else {
        return refuse("name_taken", "There is a room of this name already, or of one that looks like it.");
    };
    let Some(room) = call.state.room(id)? else { return refuse("unknown_room", "The room is gone.") };
    call.become_member(&room, Role::Owner)?;
    call.enter(&room, None)
}

#[derive(Deserialize)]
struct Join {
    room: Option<RoomId>,
    name: Option<String>,
    since: Option<Position>,
}

/// `join`: follows a room, and becomes a member of it where one is not.
pub(super) fn join(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let Join { room, name, since } = parse(data)?;
    let state = &mut *call.state;
    let id = match (room, name) {
        (Some(id), None) => Some(id),
        (None, Some(name)) => match RoomName::at_most(Name::LONGEST, &name) {
            Ok(name) => state.store.room_with_key(&RoomKind::key_of_name(name.key()))?,
            Err(_) => None,
        },
        _ => return refuse("bad_data", "A room is joined by its number or by its name."),
    };
    let Some(id) = id else { return refuse("unknown_room", "There is no such room.") };
    let (room, member) = state.find_room(id, call.person)?;
    match member.map(|member| member.role) {
        Some(Role::Member | Role::Owner) => {}
        Some(Role::Banned) => return refuse("banned", "You are banned from this room."),
        // Who means to come back must not come in anew, behind the back of whoever has sent them away meanwhile.
        Some(Role::Invited) | None if since.is_some() => {
            return refuse("not_member", "You are not a member of this room any more.");
        }
        Some(Role::Invited) | None => {
            call.check_room_count()?;
            // Entering is doing something; coming back is not.
            call.state.rate_limit(Action::Message, call.person).or_else(too_fast)?;
            call.state.presence.mark_used(call.session, call.state.now.wall);
            call.become_member(&room, Role::Member)?;
        }
    }
    call.enter(&room, since.as_ref())
}

/// `leave`: is no longer a member, or turns an invitation down.
pub(super) fn leave(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let RoomRef { room } = parse(data)?;
    match call.state.find_room(room, call.person)? {
        (room, Some(member)) if member.role > Role::Banned => {
            call.state.leave_room(&room, call.person, member.role)?;
            done()
        }
        _ => refuse("not_member", "You are not a member of this room."),
    }
}

#[derive(Deserialize)]
pub(super) struct ListMembers {
    pub(super) room: RoomId,
    pub(super) after: Option<String>,
}

/// `members`: of a room, in the order in which they came to the chat.
pub(super) fn members(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let ListMembers { room, after } = parse(data)?;
    let state = &mut *call.state;
    let (room, _) = state.find_joined_room(room, call.person)?;
    result(&state.members(&room, Store::members, after.as_deref())?)
}

impl Call<'_> {
    /// Whether one may be in one more room.
    fn check_room_count(&mut self) -> Result<(), Failure> {
        if self.state.store.count_rooms(self.person, Role::Member)? >= self.state.config.limits.rooms {
            return refuse("too_many_rooms", "You are in as many rooms as one may be.");
        }
        Ok(())
    }

    /// Makes the caller a member: all their connections follow the room from its new entry on, and those other than
    /// this one hear of it.
    fn become_member(&mut self, room: &RoomRow, role: Role) -> Result<(), StoreError> {
        self.state.set_role(room.id, self.person, role)?;
        self.state.append_event(room, Entry::Joined, self.person, None)?;
        self.state.mark_all_read(room.id, self.person)?;
        let view = wire::event("room", &self.state.room_view(room, self.person)?);
        self.state.publish(Topic::Person(self.person), view, Some(self.connection));
        self.state.subscribe_all(self.person, room.id);
        Ok(())
    }

    /// What was missed of a room; where that is all, this connection follows it from there on.
    pub(super) fn enter(&mut self, room: &Arc<RoomRow>, since: Option<&Position>) -> HandlerResult {
        let CatchUp { messages, gap, live } = self.state.catch_up(room, since)?;
        if live {
            self.state.effects.push(Effect::Subscribe(self.connection, Topic::Room(room.id)));
        }
        result(&Entered { room: self.state.room_view(room, self.person)?, messages, gap, live })
    }
}

impl State {
    /// All connections of somebody hear that they are no longer in a room, and follow it no more.
    pub(super) fn notify_gone(&mut self, room: RoomId, person: PersonId, reason: LeaveReason) {
        self.unsubscribe_all(person, room);
        self.publish(Topic::Person(person), wire::event("gone", &GoneView { room, reason }), None);
    }

    /// Somebody leaves a room. A room that loses its last owner gets another one; one that nobody can enter any more is
    /// removed. The lobby stays as it is: whoever comes begins in it, and its owners are who operators want.
    fn leave_room(&mut self, room: &RoomRow, person: PersonId, role: Role) -> Result<(), StoreError> {
        if role >= Role::Member && room.kind != RoomKind::Direct {
            self.append_event(room, Entry::Left, person, None)?;
        }
        self.remove_member(room.id, person)?;
        self.notify_gone(room.id, person, LeaveReason::Left);
        if let Some(other) = other_member(room, person)
            && self.store.count_members(room.id)? == 0
            && self.profile(other)?.gone
        {
            // Nobody can ever come back to it.
            return self.remove_room(room);
        }
        if role == Role::Owner && room.id != LOBBY && self.store.count_owners(room.id)? == 0 {
            match self.store.oldest_member(room.id)? {
                Some(successor) => {
                    self.set_role(room.id, successor, Role::Owner)?;
                    self.append_event(room, Entry::Owner, person, Some(successor))?;
                    self.push_room(room, successor)?;
                }
                // Nobody is left; the name is free again.
                None => self.remove_room(room)?,
            }
        }
        Ok(())
    }

    /// Somebody is no more.
    pub(super) fn leave_all_rooms(&mut self, person: PersonId) -> Result<(), StoreError> {
        for place in self.store.places_of(person)? {
            if place.room == LOBBY {
                // Nobody was told that they came either, and guests come and go.
                self.remove_member(LOBBY, person)?;
            } else if let Some(room) = self.room(place.room)? {
                self.leave_room(&room, person, place.role)?;
            }
        }
        Ok(())
    }

    /// Those whom the store finds in a room, behind the one of this name.
    pub(super) fn members(
        &mut self,
        room: &RoomRow,
        find: fn(&Store, RoomId, Option<PersonId>, usize) -> Result<Vec<Member>, StoreError>,
        after: Option<&str>,
    ) -> Result<MembersView, Failure> {
        let after = after.map(|name| self.find_person(name)).transpose()?;
        let mut found = find(&self.store, room.id, after, MAX_LISTED_MEMBERS + 1)?;
        let more = found.len() > MAX_LISTED_MEMBERS;
        found.truncate(MAX_LISTED_MEMBERS);
        let mut members = Vec::new();
        for member in found {
            let name = self.profile(member.person)?.name.clone();
            members.push(MemberView { name, role: member.role, online: self.presence.is_online(member.person) });
        }
        Ok(MembersView { members, more })
    }

    /// Tells somebody how a room is to them now.
    pub(super) fn push_room(&mut self, room: &RoomRow, person: PersonId) -> Result<(), StoreError> {
        if self.presence.is_online(person) {
            let view = wire::event("room", &self.room_view(room, person)?);
            self.publish(Topic::Person(person), view, None);
        }
        Ok(())
    }

    /// Removes a room and all that is in it.
    pub(super) fn remove_room(&mut self, room: &RoomRow) -> Result<(), StoreError> {
        let online: Vec<PersonId> = self.presence.people("").map(|(id, _)| id).collect();
        for person in online {
            if self.store.member(room.id, person)?.is_some_and(|member| member.role > Role::Banned) {
                self.notify_gone(room.id, person, LeaveReason::Removed);
            }
        }
        self.store.remove_room(room.id)?;
        self.cache.evict_room(room.id);
        Ok(())
    }
}

/// Public rooms that are told at once.
const MAX_LISTED_ROOMS: usize = 100;
/// MembersView that are told at once.
const MAX_LISTED_MEMBERS: usize = 200;
