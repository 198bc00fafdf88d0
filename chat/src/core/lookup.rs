//! Rooms and people as they are remembered and told.
//!
//! What is remembered here is a copy of what the store has. It is forgotten whenever something had to be undone there.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry as Slot},
    sync::Arc,
};

use serde::Serialize;

use super::{
    super::{
        Name,
        name::BadName,
        store::{Member, PersonId, Role, RoomId, RoomKind, RoomRow, Stamp, StoreError},
    },
    events::{Failure, refuse},
    keeper::Keeper,
};

#[derive(Debug, Default)]
pub(super) struct Lookup {
    rooms: HashMap<RoomId, Arc<RoomRow>>,
    heads: HashMap<RoomId, Stamp>,
    members: HashMap<RoomId, u64>,
    people: HashMap<PersonId, Arc<Known>>,
    /// What was said lately: the number of each message that has its words, in order, and its author.
    said: HashMap<RoomId, VecDeque<(u64, PersonId)>>,
}

/// What others may know about somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) guest: bool,
    pub(super) operator: bool,
    pub(super) gone: bool,
}

/// A room as somebody is told about it.
#[derive(Debug, Serialize)]
pub(super) struct RoomView {
    room: RoomId,
    kind: RoomKind,
    name: String,
    topic: String,
    role: Option<Role>,
    epoch: String,
    seq: u64,
    time: u64,
    read: u64,
    unread: u64,
    members: u64,
    #[serde(skip_serializing_if = "super::log::is_false")]
    gone: bool,
}

impl Lookup {
    pub(super) fn forget_person(&mut self, person: PersonId) {
        self.people.remove(&person);
    }

    pub(super) fn forget_topic(&mut self, room: RoomId) {
        self.rooms.remove(&room);
    }

    pub(super) fn forget_room(&mut self, room: RoomId) {
        self.rooms.remove(&room);
        self.heads.remove(&room);
        self.members.remove(&room);
        self.said.remove(&room);
    }

    /// Somebody's role in a room was one, and is another: where there are many members they are not counted again.
    pub(super) fn role_changed(&mut self, room: RoomId, before: Option<Role>, now: Option<Role>) {
        if let Some(count) = self.members.get_mut(&room) {
            let is_member = |role: Option<Role>| u64::from(role >= Some(Role::Member));
            // It may lack whom an operator has added beside us a moment ago.
            *count = (*count + is_member(now)).saturating_sub(is_member(before));
        }
    }

    /// A room's log has a new entry.
    pub(super) fn appended(&mut self, room: RoomId, place: Stamp, said_by: Option<PersonId>) {
        self.heads.insert(room, place);
        if let Some(said) = self.said.get_mut(&room) {
            said.extend(said_by.map(|author| (place.seq, author)));
        }
        self.trimmed(room, (place.seq + 1).saturating_sub(LOOKED_AT_FOR_UNREAD));
    }

    /// A room's log begins with this entry now, as far as it is looked at.
    pub(super) fn trimmed(&mut self, room: RoomId, oldest: u64) {
        if let Some(said) = self.said.get_mut(&room) {
            while said.pop_front_if(|(seq, _)| *seq < oldest).is_some() {}
        }
    }

    /// A message has no words any more.
    pub(super) fn erased(&mut self, room: RoomId, seq: u64) {
        if let Some(said) = self.said.get_mut(&room) {
            said.retain(|(other, _)| *other != seq);
        }
    }
}

impl Keeper {
    pub(super) fn room(&mut self, id: RoomId) -> Result<Option<Arc<RoomRow>>, StoreError> {
        if let Some(room) = self.lookup.rooms.get(&id) {
            return Ok(Some(Arc::clone(room)));
        }
        let Some(row) = self.store.room(id)? else { return Ok(None) };
        make_room_in(&mut self.lookup.rooms, MOST_REMEMBERED);
        Ok(Some(Arc::clone(self.lookup.rooms.entry(id).or_insert(Arc::new(row)))))
    }

    /// The place of a room's latest entry.
    pub(super) fn head(&mut self, room: RoomId) -> Result<Stamp, StoreError> {
        if let Some(head) = self.lookup.heads.get(&room) {
            return Ok(*head);
        }
        let head = self.store.head(room)?.unwrap_or_default();
        make_room_in(&mut self.lookup.heads, MOST_REMEMBERED);
        self.lookup.heads.insert(room, head);
        Ok(head)
    }

    /// How many messages others have said behind `read`. Whoever is in many rooms has many counted at once: so not in
    /// the store, but for the first time.
    fn count_unread(&mut self, room: RoomId, read: u64, person: PersonId) -> Result<u64, StoreError> {
        let head = self.head(room)?;
        if !self.lookup.said.contains_key(&room) {
            make_room_in(&mut self.lookup.said, MOST_LOGS_REMEMBERED);
        }
        let said = match self.lookup.said.entry(room) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => {
                slot.insert(self.store.said_since(room, head.seq.saturating_sub(LOOKED_AT_FOR_UNREAD))?.into())
            }
        };
        let unread = said.iter().rev().take_while(|(seq, _)| *seq > read).filter(|(_, author)| *author != person);
        Ok(unread.take(MOST_UNREAD).map(|_| 1).sum())
    }

    fn count_members(&mut self, room: RoomId) -> Result<u64, StoreError> {
        if let Some(count) = self.lookup.members.get(&room) {
            return Ok(*count);
        }
        let count = self.store.count_members(room)?;
        make_room_in(&mut self.lookup.members, MOST_REMEMBERED);
        self.lookup.members.insert(room, count);
        Ok(count)
    }

    /// What others may know about somebody.
    pub(super) fn known(&mut self, id: PersonId) -> Result<Arc<Known>, StoreError> {
        if let Some(known) = self.lookup.people.get(&id) {
            return Ok(Arc::clone(known));
        }
        let known = match self.store.person(id)? {
            Some(row) => {
                Known { guest: row.is_guest(), operator: row.operator, gone: row.key.is_none(), name: row.name }
            }
            // Nobody is ever removed altogether.
            None => Known { name: String::new(), guest: false, operator: false, gone: true },
        };
        make_room_in(&mut self.lookup.people, MOST_REMEMBERED);
        Ok(Arc::clone(self.lookup.people.entry(id).or_insert(Arc::new(known))))
    }

    /// A name that a client has sent to say whom it means.
    pub(super) fn name(&self, text: &str) -> Result<Name, BadName> {
        Name::at_most(Name::HIGHEST_LIMIT, text)
    }

    /// Whom a name belongs to that a client has sent.
    pub(super) fn find_person(&mut self, name: &str) -> Result<PersonId, Failure> {
        let found = match self.name(name) {
            Ok(name) => self.store.person_named(name.key())?,
            Err(_) => None,
        };
        match found {
            Some(person) => Ok(person.id),
            None => refuse("unknown_person", "There is nobody of this name."),
        }
    }

    /// A room and somebody's place in it, if the room is there for them: others' conversations are not, nor are rooms
    /// to which they were not invited.
    pub(super) fn find_room(
        &mut self,
        id: RoomId,
        person: PersonId,
    ) -> Result<(Arc<RoomRow>, Option<Member>), Failure> {
        if let Some(room) = self.room(id)? {
            let member = self.store.member(id, person)?;
            let invited = member.is_some_and(|member| member.role >= Role::Invited);
            if invited || room.kind == RoomKind::Public {
                return Ok((room, member));
            }
        }
        refuse("unknown_room", "There is no such room.")
    }

    /// A room that somebody is a member of.
    pub(super) fn find_own_room(&mut self, id: RoomId, person: PersonId) -> Result<(Arc<RoomRow>, Member), Failure> {
        match self.find_room(id, person)? {
            (room, Some(member)) if member.role >= Role::Member => Ok((room, member)),
            _ => refuse("not_member", "You are not a member of this room."),
        }
    }

    /// A room as somebody is told about it.
    pub(super) fn view(&mut self, room: &RoomRow, person: PersonId) -> Result<RoomView, StoreError> {
        let member = self.store.member(room.id, person)?;
        self.view_as(room, person, member)
    }

    fn view_as(&mut self, room: &RoomRow, person: PersonId, member: Option<Member>) -> Result<RoomView, StoreError> {
        let head = self.head(room.id)?;
        let read = member.map_or(head.seq, |member| member.read);
        let is_member = member.is_some_and(|member| member.role >= Role::Member);
        let unread = if is_member && read < head.seq { self.count_unread(room.id, read, person)? } else { 0 };
        let (name, gone) = match other_of(room, person) {
            Some(other) => {
                let other = self.known(other)?;
                (other.name.clone(), other.gone)
            }
            None => (room.name.clone(), false),
        };
        Ok(RoomView {
            room: room.id,
            kind: room.kind,
            name,
            topic: room.topic.clone(),
            role: member.map(|member| member.role).filter(|role| *role > Role::Banned),
            epoch: room.epoch.clone(),
            seq: head.seq,
            time: head.time,
            read,
            unread,
            members: self.count_members(room.id)?,
            gone,
        })
    }

    /// The rooms that somebody is in or invited to.
    pub(super) fn rooms_of(&mut self, person: PersonId) -> Result<Vec<RoomView>, StoreError> {
        let mut views = Vec::new();
        for member in self.store.memberships_of(person)? {
            if member.role > Role::Banned
                && let Some(room) = self.room(member.room)?
            {
                views.push(self.view_as(&room, person, Some(member))?);
            }
        }
        Ok(views)
    }

    /// Changes somebody's role in a room.
    pub(super) fn set_role(&mut self, room: RoomId, person: PersonId, role: Role) -> Result<(), StoreError> {
        let before = self.store.member(room, person)?.map(|member| member.role);
        self.store.set_role(room, person, role, self.now.wall)?;
        self.lookup.role_changed(room, before, Some(role));
        Ok(())
    }

    /// Takes somebody's place in a room away.
    pub(super) fn remove_member(&mut self, room: RoomId, person: PersonId) -> Result<(), StoreError> {
        let before = self.store.member(room, person)?.map(|member| member.role);
        self.store.remove_member(room, person)?;
        self.lookup.role_changed(room, before, None);
        Ok(())
    }

    /// All that is in a room is nothing new for somebody.
    pub(super) fn mark_all_read(&mut self, room: RoomId, person: PersonId) -> Result<(), StoreError> {
        let head = self.head(room)?;
        self.store.set_read(room, person, head.seq).map(drop)
    }
}

/// The other one in a conversation of two.
pub(super) fn other_of(room: &RoomRow, person: PersonId) -> Option<PersonId> {
    let (one, two) = room.pair()?;
    Some(if one == person { two } else { one })
}

/// What is remembered has a bound. At it, all is forgotten and looked up again.
fn make_room_in<K, V>(map: &mut HashMap<K, V>, most: usize) {
    if map.len() >= most {
        map.clear();
    }
}

/// What is not read is counted up to this.
const MOST_UNREAD: usize = 100;
/// And looked for among so many entries.
const LOOKED_AT_FOR_UNREAD: u64 = 200;
const MOST_REMEMBERED: usize = 100_000;
/// Rooms of which it is remembered who has said something lately: 4 KiB each at most.
const MOST_LOGS_REMEMBERED: usize = 10_000;
