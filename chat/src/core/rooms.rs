//! Handlers: creating, entering, and leaving rooms.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    super::{
        interface::{Answer, Effect, LeaveReason, MemberView, Push, Topic},
        store::{Entry, LOBBY, Member, Role, RoomId, RoomKind, RoomRow, Span, Store, StoreError, UserId},
        token::epoch,
        wire::EventError,
    },
    call::{Call, Failure, HandlerResult, answer, done, refuse, too_fast},
    data::{NewRoomName, PublicName, Searched, Text, UserName},
    log::{CatchUp, LATEST_MESSAGES, Position},
    lookup::other_member,
    state::{Action, State},
    text::within,
};

/// A room by its number.
#[derive(Deserialize)]
pub(super) struct RoomRef {
    pub(super) room: RoomId,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct List {
    after: Option<PublicName>,
    search: Searched,
}

/// `rooms`: lists public rooms. A page of a search may have few rooms, or none, although more follow.
pub(super) fn list(call: &mut Call<'_>, data: &Option<List>) -> HandlerResult {
    let after = data.as_ref().and_then(|list| list.after.as_ref()).and_then(|PublicName(name)| name.as_ref());
    let after = after.map(|name| call.state.store.place_of_room(name)).transpose()?;
    let search = data.as_ref().map_or("", |list| &list.search.0);
    let found = call.state.store.public_rooms(search, after.as_ref(), MAX_LISTED_ROOMS)?;
    let next = match found.last {
        Some(id) => call.state.room(id)?.map(|room| room.name.clone()),
        None => None,
    };
    let mut rooms = Vec::new();
    for id in found.rooms {
        if let Some(room) = call.state.room(id)? {
            rooms.push(call.state.room_view(&room, call.user)?);
        }
    }
    answer(Answer::Rooms { rooms, more: next.is_some(), next })
}

#[derive(Deserialize)]
pub(super) struct Create {
    name: NewRoomName,
    #[serde(default = "public")]
    kind: RoomKind,
    #[serde(default)]
    topic: Text,
}

fn public() -> RoomKind {
    RoomKind::Public
}

/// `create`: creates a room, which the user owns.
pub(super) fn create(call: &mut Call<'_>, data: &Create) -> HandlerResult {
    let Create { name: NewRoomName(name), kind, topic } = data;
    let (kind, limits) = (*kind, &call.state.config.limits);
    let name = match name.as_ref().map_err(|error| *error).and_then(|name| name.within(limits.room_name_chars)) {
        Ok(name) => name,
        Err(error) => return refuse("bad_name", error.to_string()),
    };
    if kind == RoomKind::Direct {
        return refuse("bad_data", "Use the event direct or tell to start a direct room.");
    }
    let topic = within(topic, limits.topic_chars)?;
    call.check_room_count()?;
    if call.state.store.count_created(call.user)? >= call.state.config.limits.owned_rooms {
        return refuse("too_many_rooms", "You have created too many rooms; remove or leave one first.");
    }
    call.state.rate_limit(Action::Enter, call.user).or_else(too_fast)?;
    let epoch = epoch();
    let key = match kind {
        RoomKind::Public => RoomKind::key_of_name(name.key()),
        // Others must not learn the name of an invited room, so it does not make the name unavailable to them.
        RoomKind::Invited | RoomKind::Direct => format!("invited {epoch}"),
    };
    let Some(id) = call.state.store.add_room(kind, name.as_str(), &key, topic, &epoch)? else {
        return refuse("name_taken", "A room with this name, or with one that looks like it, already exists.");
    };
    let Some(room) = call.state.room(id)? else { return refuse("unknown_room", "This room no longer exists.") };
    call.become_member(&room, Role::Owner)?;
    call.state.store.set_initiator(room.id, call.user, call.user)?;
    call.enter(&room, None)
}

#[derive(Deserialize)]
pub(super) struct Join {
    room: Option<RoomId>,
    name: Option<PublicName>,
    since: Option<Position>,
}

/// `join`: enters a room, and makes the user a member unless they are one.
pub(super) fn join(call: &mut Call<'_>, data: &Join) -> HandlerResult {
    let Join { room, name, since } = data;
    let state = &mut *call.state;
    let id = match (room, name) {
        (Some(id), None) => Some(*id),
        (None, Some(PublicName(Some(name)))) => state.store.room_named(name)?,
        (None, Some(PublicName(None))) => None,
        _ => return refuse("bad_data", "Give either room or name."),
    };
    let Some(id) = id else { return refuse("unknown_room", "There is no such room.") };
    let (room, member) = state.find_room(id, call.user)?;
    match member.map(|member| member.role) {
        Some(Role::Member | Role::Owner) => {}
        Some(Role::Banned) => return refuse("banned", "You are banned from this room."),
        // A client that resumes must not become a member again: the user may have been kicked meanwhile.
        Some(Role::Invited) | None if since.is_some() => {
            return refuse("not_member", "You are no longer a member of this room.");
        }
        Some(Role::Invited) | None => {
            call.check_room_count()?;
            // Becoming a member counts as a message and as activity; resuming does not.
            call.state.rate_limit(Action::Message, call.user).or_else(too_fast)?;
            call.state.rate_limit(Action::Enter, call.user).or_else(too_fast)?;
            call.state.presence.mark_used(call.session, call.state.clock.now());
            call.become_member(&room, Role::Member)?;
        }
    }
    call.enter(&room, since.as_ref())
}

/// `look`: shows a room to a user who may join it: the room, and its latest messages. The user becomes no member.
pub(super) fn look(call: &mut Call<'_>, data: &RoomRef) -> HandlerResult {
    let (room, member) = call.state.find_room(data.room, call.user)?;
    if member.is_some_and(|member| member.role == Role::Banned) {
        return refuse("banned", "You are banned from this room.");
    }
    let head = call.state.head(room.id)?;
    let (messages, _) = call.state.messages(&room, Span::Before(head.seq + 1, LATEST_MESSAGES))?;
    answer(Answer::Looked { room: Box::new(call.state.room_view(&room, call.user)?), messages })
}

#[derive(Deserialize)]
pub(super) struct Leave {
    room: RoomId,
    /// Whether the room is to be removed if the user is its last member.
    #[serde(default)]
    remove: bool,
}

/// `leave`: ends the user's membership, or declines an invitation. The last member must confirm that the room is
/// removed.
pub(super) fn leave(call: &mut Call<'_>, data: &Leave) -> HandlerResult {
    match call.state.find_room(data.room, call.user)? {
        (room, Some(member)) if member.role > Role::Banned => {
            if member.role >= Role::Member && !data.remove && call.state.is_kept_by(&room, call.user)? {
                return Err(Failure::Refused(EventError::last_member(vec![room.id.number()])));
            }
            call.state.leave_room(&room, call.user, member.role)?;
            done()
        }
        _ => refuse("not_member", "You are not a member of this room."),
    }
}

#[derive(Deserialize)]
pub(super) struct ListMembers {
    pub(super) room: RoomId,
    pub(super) after: Option<UserName>,
}

/// `members`: lists a room's members, in the order in which they signed up.
pub(super) fn members(call: &mut Call<'_>, data: &ListMembers) -> HandlerResult {
    let state = &mut *call.state;
    let (room, _) = state.find_joined_room(data.room, call.user)?;
    let count = state.cache.count_members(&state.store, room.id)?;
    let (members, more) = state.members(&room, Store::members, data.after.as_ref())?;
    answer(Answer::Members { members, more, count: Some(count) })
}

impl Call<'_> {
    /// Checks that the user may join one more room.
    fn check_room_count(&mut self) -> Result<(), Failure> {
        if self.state.store.count_rooms(self.user, Role::Member)? >= self.state.config.limits.rooms {
            return refuse("too_many_rooms", "You are in too many rooms; leave one first.");
        }
        Ok(())
    }

    /// Makes the caller a member. All the caller's connections follow the room from the new entry on. The event `room`
    /// is pushed to all of them except this one.
    fn become_member(&mut self, room: &RoomRow, role: Role) -> Result<(), StoreError> {
        self.state.set_role(room.id, self.user, role)?;
        self.state.append_event(room, Entry::Joined, self.user, None)?;
        self.state.mark_all_read(room.id, self.user)?;
        let push = Push::Room(self.state.room_view(room, self.user)?);
        self.state.publish(Topic::User(self.user), push, Some(self.connection));
        self.state.subscribe_all(self.user, room.id);
        Ok(())
    }

    /// Enters a room: returns the messages that the client has missed. If they reach the end of the log, this
    /// connection follows the room from there on.
    pub(super) fn enter(&mut self, room: &Arc<RoomRow>, since: Option<&Position>) -> HandlerResult {
        let CatchUp { messages, gap, live } = self.state.catch_up(room, since)?;
        if live {
            self.state.effects.push(Effect::Follow(self.connection, Topic::Room(room.id)));
        }
        answer(Answer::Entered { room: Box::new(self.state.room_view(room, self.user)?), messages, gap, live })
    }
}

impl State {
    /// Tells all connections of a user that they are no longer in a room, and unsubscribes them from it.
    pub(super) fn notify_gone(&mut self, room: RoomId, user: UserId, reason: LeaveReason) {
        if !self.presence.is_online(user) {
            return;
        }
        self.unsubscribe_all(user, room);
        self.publish(Topic::User(user), Push::Gone { room, reason }, None);
    }

    /// Ends a membership because the member leaves. If the last owner leaves, the oldest member becomes an owner. A
    /// room that nobody can enter again is removed. The Lobby is an exception to both: every user starts in it, and
    /// operators choose its owners.
    pub(super) fn leave_room(&mut self, room: &RoomRow, user: UserId, role: Role) -> Result<(), StoreError> {
        if role >= Role::Member && room.kind != RoomKind::Direct {
            self.append_event(room, Entry::Left, user, None)?;
        }
        self.remove_member(room.id, user)?;
        self.notify_gone(room.id, user, LeaveReason::Left);
        if let Some(other) = other_member(room, user)
            && self.store.count_members(room.id)? == 0
            && (self.profile(other)?.gone || self.profile(user)?.gone || self.head(room.id)?.seq == 0)
        {
            // Neither of the two can enter it again, or there is nothing in it.
            return self.remove_room(room);
        }
        if role == Role::Owner && room.id != LOBBY && self.store.count_owners(room.id)? == 0 {
            match self.store.oldest_member(room.id)? {
                Some(successor) => {
                    self.set_role(room.id, successor, Role::Owner)?;
                    self.append_event(room, Entry::Owner, user, Some(successor))?;
                    self.push_room(room, successor)?;
                }
                // The room is empty. Its name becomes free.
                None => self.remove_room(room)?,
            }
        }
        Ok(())
    }

    /// Ends a user's membership in the direct room with another, if there is one.
    pub(super) fn leave_conversation(&mut self, user: UserId, other: UserId) -> Result<(), StoreError> {
        if let Some(id) = self.store.room_with_key(&RoomKind::key_of_pair(user, other))?
            && let Some(room) = self.room(id)?
            && let Some(member) = self.store.member(id, user)?
        {
            self.leave_room(&room, user, member.role)?;
        }
        Ok(())
    }

    /// Declines all invitations of a user by another.
    pub(super) fn decline_invitations(&mut self, user: UserId, inviter: UserId) -> Result<(), StoreError> {
        for invitation in self.store.invitations_of(user)? {
            if invitation.inviter == Some(inviter) {
                self.remove_member(invitation.room, user)?;
                self.notify_gone(invitation.room, user, LeaveReason::Left);
            }
        }
        Ok(())
    }

    /// Returns a page of the members that `find` returns, after the one named `after`, and whether there are more.
    pub(super) fn members(
        &mut self,
        room: &RoomRow,
        find: fn(&Store, RoomId, Option<UserId>, usize) -> Result<Vec<Member>, StoreError>,
        after: Option<&UserName>,
    ) -> Result<(Vec<MemberView>, bool), Failure> {
        let after = after.map(|name| self.find_user(name)).transpose()?;
        let mut found = find(&self.store, room.id, after, MAX_LISTED_MEMBERS + 1)?;
        let more = found.len() > MAX_LISTED_MEMBERS;
        found.truncate(MAX_LISTED_MEMBERS);
        let mut members = Vec::new();
        for member in found {
            let profile = self.profile(member.user)?;
            members.push(MemberView {
                name: profile.name.clone(),
                role: member.role,
                online: self.presence.is_online(member.user),
                guest: profile.guest,
                operator: profile.operator,
            });
        }
        Ok((members, more))
    }

    /// Pushes a room to a user, as the user sees it now.
    pub(super) fn push_room(&mut self, room: &RoomRow, user: UserId) -> Result<(), StoreError> {
        if self.presence.is_online(user) {
            let push = Push::Room(self.room_view(room, user)?);
            self.publish(Topic::User(user), push, None);
        }
        Ok(())
    }

    /// Removes a room with its log. Nobody can find it any longer, and its name is free. The first members learn of it
    /// in the same transaction, the others soon after.
    pub(super) fn remove_room(&mut self, room: &RoomRow) -> Result<(), StoreError> {
        self.store.remove_room(room.id)?;
        self.cache.evict_room(room.id);
        self.dismiss_members(room.id, MAX_DISMISSED_AT_ONCE)?;
        self.has_background_work = true;
        Ok(())
    }

    /// Deletes at most `max` members of a removed room. Each of them learns of it when their membership ends: once.
    pub(super) fn dismiss_members(&mut self, room: RoomId, max: usize) -> Result<(), StoreError> {
        for member in self.store.remove_some_members(room, max)? {
            if member.role > Role::Banned {
                self.notify_gone(room, member.user, LeaveReason::Removed);
            }
        }
        Ok(())
    }
}

/// Maximum members who learn that their room is removed before the reply to the user who removes it.
const MAX_DISMISSED_AT_ONCE: usize = 50;
/// Maximum public rooms in one list.
const MAX_LISTED_ROOMS: usize = 100;
/// Maximum members in one list.
const MAX_LISTED_MEMBERS: usize = 200;
