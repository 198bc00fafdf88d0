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
    effects::{Effect, Topic},
    events::{Call, Failure, Handled, done, parse, refuse, result, too_fast},
    keeper::{Counted, Keeper},
    log::{Message, Missed, Since},
    lookup::{RoomView, other_of},
    talk::clean,
};

/// What somebody is told who enters a room.
#[derive(Serialize)]
struct Entered {
    room: RoomView,
    messages: Vec<Message>,
    gap: bool,
    live: bool,
}

#[derive(Serialize)]
struct Rooms {
    rooms: Vec<RoomView>,
    more: bool,
}

#[derive(Serialize)]
pub(super) struct Members {
    members: Vec<MemberTold>,
    more: bool,
}

#[derive(Serialize)]
struct MemberTold {
    name: String,
    role: Role,
    online: bool,
}

/// Why somebody is no longer in a room.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Gone {
    Left,
    Kicked,
    Banned,
    Removed,
}

#[derive(Serialize)]
struct GoneTold {
    room: RoomId,
    reason: Gone,
}

/// One room, by its number.
#[derive(Deserialize)]
pub(super) struct InRoom {
    pub(super) room: RoomId,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    after: String,
    search: String,
}

/// `rooms`: public ones.
pub(super) fn list(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let List { after, search } = parse::<Option<_>>(data)?.unwrap_or_default();
    let key = |name: &str| RoomName::at_most(Name::HIGHEST_LIMIT, name).map(|name| name.key().to_owned()).ok();
    let after = key(&after).map_or(String::new(), |key| RoomKind::key_of_name(&key));
    let search = key(&search).unwrap_or_else(|| search.to_lowercase());
    let mut ids = call.keeper.store.public_rooms(&search, &after, ROOMS_AT_ONCE + 1)?;
    let more = ids.len() > ROOMS_AT_ONCE;
    ids.truncate(ROOMS_AT_ONCE);
    let mut rooms = Vec::new();
    for id in ids {
        if let Some(room) = call.keeper.room(id)? {
            rooms.push(call.keeper.view(&room, call.person)?);
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
pub(super) fn create(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let Create { name, kind, topic } = parse(data)?;
    let limits = &call.keeper.config.limits;
    let name = match RoomName::at_most(limits.room_name_chars, &name) {
        Ok(name) => name,
        Err(error) => return refuse("bad_name", error.to_string()),
    };
    if kind == RoomKind::Direct {
        return refuse("bad_data", "A conversation of two begins with direct or tell.");
    }
    let topic = clean(&topic, limits.topic_chars)?;
    call.check_room_count()?;
    if call.keeper.store.count_rooms(call.person, Role::Owner)? >= call.keeper.config.limits.owned_rooms {
        return refuse("too_many_rooms", "You own as many rooms as one may.");
    }
    let epoch = epoch();
    let key = match kind {
        RoomKind::Public => RoomKind::key_of_name(name.key()),
        // Its name is nobody's business, so it cannot be taken either.
        RoomKind::Invited | RoomKind::Direct => format!("invited {epoch}"),
    };
    let Some(id) = call.keeper.store.add_room(kind, name.as_str(), &key, &topic, &epoch)? else {
        return refuse("name_taken", "There is a room of this name already, or of one that looks like it.");
    };
    let Some(room) = call.keeper.room(id)? else { return refuse("unknown_room", "The room is gone.") };
    call.become_member(&room, Role::Owner)?;
    call.enter(&room, None)
}

#[derive(Deserialize)]
struct Join {
    room: Option<RoomId>,
    name: Option<String>,
    since: Option<Since>,
}

/// `join`: follows a room, and becomes a member of it where one is not.
pub(super) fn join(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let Join { room, name, since } = parse(data)?;
    let keeper = &mut *call.keeper;
    let id = match (room, name) {
        (Some(id), None) => Some(id),
        (None, Some(name)) => match RoomName::at_most(Name::HIGHEST_LIMIT, &name) {
            Ok(name) => keeper.store.room_with_key(&RoomKind::key_of_name(name.key()))?,
            Err(_) => None,
        },
        _ => return refuse("bad_data", "A room is joined by its number or by its name."),
    };
    let Some(id) = id else { return refuse("unknown_room", "There is no such room.") };
    let (room, member) = keeper.find_room(id, call.person)?;
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
            call.keeper.count(Counted::Said, call.person).or_else(too_fast)?;
            call.keeper.presence.used(call.session, call.keeper.now.wall);
            call.become_member(&room, Role::Member)?;
        }
    }
    call.enter(&room, since.as_ref())
}

/// `leave`: is no longer a member, or turns an invitation down.
pub(super) fn leave(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let InRoom { room } = parse(data)?;
    match call.keeper.find_room(room, call.person)? {
        (room, Some(member)) if member.role > Role::Banned => {
            call.keeper.leave_room(&room, call.person, member.role)?;
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
pub(super) fn members(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let ListMembers { room, after } = parse(data)?;
    let keeper = &mut *call.keeper;
    let (room, _) = keeper.find_own_room(room, call.person)?;
    result(&keeper.members(&room, Store::members, after.as_deref())?)
}

impl Call<'_> {
    /// Whether one may be in one more room.
    fn check_room_count(&mut self) -> Result<(), Failure> {
        if self.keeper.store.count_rooms(self.person, Role::Member)? >= self.keeper.config.limits.rooms {
            return refuse("too_many_rooms", "You are in as many rooms as one may be.");
        }
        Ok(())
    }

    /// Makes the caller a member: all their connections follow the room from its new entry on, and those other than
    /// this one hear of it.
    fn become_member(&mut self, room: &RoomRow, role: Role) -> Result<(), StoreError> {
        self.keeper.set_role(room.id, self.person, role)?;
        self.keeper.record(room, Entry::Joined, self.person, None)?;
        self.keeper.mark_all_read(room.id, self.person)?;
        let view = wire::event("room", &self.keeper.view(room, self.person)?);
        self.keeper.publish(Topic::Person(self.person), view, Some(self.connection));
        self.keeper.follow(self.person, room.id);
        Ok(())
    }

    /// What was missed of a room; where that is all, this connection follows it from there on.
    pub(super) fn enter(&mut self, room: &Arc<RoomRow>, since: Option<&Since>) -> Handled {
        let Missed { messages, gap, live } = self.keeper.missed(room, since)?;
        if live {
            self.keeper.effects.push(Effect::Subscribe(self.connection, Topic::Room(room.id)));
        }
        result(&Entered { room: self.keeper.view(room, self.person)?, messages, gap, live })
    }
}

impl Keeper {
    /// All connections of somebody hear that they are no longer in a room, and follow it no more.
    pub(super) fn gone(&mut self, room: RoomId, person: PersonId, reason: Gone) {
        self.unfollow(person, room);
        self.publish(Topic::Person(person), wire::event("gone", &GoneTold { room, reason }), None);
    }

    /// Somebody leaves a room. A room that loses its last owner gets another one; one that nobody can enter any more is
    /// removed. The lobby stays as it is: whoever comes begins in it, and its owners are who operators want.
    fn leave_room(&mut self, room: &RoomRow, person: PersonId, role: Role) -> Result<(), StoreError> {
        if role >= Role::Member && room.kind != RoomKind::Direct {
            self.record(room, Entry::Left, person, None)?;
        }
        self.remove_member(room.id, person)?;
        self.gone(room.id, person, Gone::Left);
        if let Some(other) = other_of(room, person)
            && self.store.count_members(room.id)? == 0
            && self.known(other)?.gone
        {
            // Nobody can ever come back to it.
            return self.remove_room(room);
        }
        if role == Role::Owner && room.id != LOBBY && self.store.count_owners(room.id)? == 0 {
            match self.store.oldest_member(room.id)? {
                Some(heir) => {
                    self.set_role(room.id, heir, Role::Owner)?;
                    self.record(room, Entry::Owner, person, Some(heir))?;
                    self.tell_room(room, heir)?;
                }
                // Nobody is left; the name is free again.
                None => self.remove_room(room)?,
            }
        }
        Ok(())
    }

    /// Somebody is no more.
    pub(super) fn leave_all_rooms(&mut self, person: PersonId) -> Result<(), StoreError> {
        for place in self.store.memberships_of(person)? {
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
    ) -> Result<Members, Failure> {
        let after = after.map(|name| self.find_person(name)).transpose()?;
        let mut found = find(&self.store, room.id, after, MEMBERS_AT_ONCE + 1)?;
        let more = found.len() > MEMBERS_AT_ONCE;
        found.truncate(MEMBERS_AT_ONCE);
        let mut members = Vec::new();
        for member in found {
            let name = self.known(member.person)?.name.clone();
            members.push(MemberTold { name, role: member.role, online: self.presence.is_online(member.person) });
        }
        Ok(Members { members, more })
    }

    /// Tells somebody how a room is to them now.
    pub(super) fn tell_room(&mut self, room: &RoomRow, person: PersonId) -> Result<(), StoreError> {
        if self.presence.is_online(person) {
            let view = wire::event("room", &self.view(room, person)?);
            self.publish(Topic::Person(person), view, None);
        }
        Ok(())
    }

    /// Removes a room and all that is in it.
    pub(super) fn remove_room(&mut self, room: &RoomRow) -> Result<(), StoreError> {
        let online: Vec<PersonId> = self.presence.people("").map(|(id, _)| id).collect();
        for person in online {
            if self.store.member(room.id, person)?.is_some_and(|member| member.role > Role::Banned) {
                self.gone(room.id, person, Gone::Removed);
            }
        }
        self.store.remove_room(room.id)?;
        self.lookup.forget_room(room.id);
        Ok(())
    }
}

/// Public rooms that are told at once.
const ROOMS_AT_ONCE: usize = 100;
/// Members that are told at once.
const MEMBERS_AT_ONCE: usize = 200;
