//! Direct rooms: beginning conversations, and the lists of them.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    super::{
        interface::Answer,
        store::{ACTIVITY_STEP, DirectMember, DirectsEnd, Role, RoomKind, RoomRow, StoreError, UserId},
        token::epoch,
    },
    call::{Call, Failure, HandlerResult, answer, refuse, too_fast},
    data::UserName,
    log::Position,
    state::{Action, State},
};

#[derive(Deserialize)]
pub(super) struct Direct {
    name: UserName,
    since: Option<Position>,
}

/// `direct`: enters the direct room with another user.
pub(super) fn direct(call: &mut Call<'_>, data: &Direct) -> HandlerResult {
    let other = call.state.find_user(&data.name)?;
    if other == call.user {
        return refuse("yourself", "You cannot do this to yourself.");
    }
    let room = match call.find_direct_room(other)? {
        Some(room) if call.state.store.member(room.id, call.user)?.is_some() => room,
        room => call.enter_direct_room(room, other)?,
    };
    call.enter(&room, data.since.as_ref())
}

#[derive(Deserialize)]
pub(super) struct List {
    older: Option<DirectsEnd>,
}

/// `conversations`: lists the user's direct rooms, a page at a time.
pub(super) fn conversations(call: &mut Call<'_>, data: &Option<List>) -> HandlerResult {
    let (rooms, end) = call.state.directs_of(call.user, data.as_ref().and_then(|list| list.older))?;
    answer(Answer::Conversations { rooms, older: (!end.is_complete()).then_some(end) })
}

impl Call<'_> {
    /// Returns the direct room with another user, if there is one.
    pub(super) fn find_direct_room(&mut self, other: UserId) -> Result<Option<Arc<RoomRow>>, StoreError> {
        match self.state.store.room_with_key(&RoomKind::key_of_pair(self.user, other))? {
            Some(id) => self.state.room(id),
            None => Ok(None),
        }
    }

    /// Prepares the direct room with another user for a message of the caller. Creates it if there is none, and makes
    /// both users members.
    pub(super) fn prepare_direct_room(
        &mut self,
        room: Option<Arc<RoomRow>>,
        other: UserId,
    ) -> Result<Arc<RoomRow>, Failure> {
        let members = match &room {
            Some(room) => self.state.store.direct_members(room.id)?,
            None => Vec::new(),
        };
        let is_member = |user| members.iter().any(|member| member.user == user);
        if !is_member(other) {
            self.charge_beginning()?;
        }
        let room = match room {
            Some(room) if is_member(self.user) => room,
            room => self.enter_direct_room(room, other)?,
        };
        if !is_member(other) {
            self.add_to_direct_room(&room, other)?;
        }
        self.state.mark_active(&room, self.user, &members)?;
        Ok(room)
    }

    /// Charges a message that begins a conversation, because the other user is not a member of the direct room. A
    /// message to a member is free: only the member's own actions end the membership.
    fn charge_beginning(&mut self) -> Result<(), Failure> {
        let is_guest = self.state.profile(self.user)?.guest;
        let action = if is_guest { Action::GuestConversation } else { Action::Conversation };
        self.state.rate_limit(action, self.user).or_else(too_fast)
    }

    /// Makes the caller a member of the direct room with another user, which is created if there is none.
    fn enter_direct_room(&mut self, room: Option<Arc<RoomRow>>, other: UserId) -> Result<Arc<RoomRow>, Failure> {
        if self.state.store.count_begun(self.user)? >= MAX_BEGUN {
            return refuse("too_many_rooms", "You have begun too many conversations; leave some of them first.");
        }
        let room = match room {
            Some(room) => Some(room),
            None => {
                let key = RoomKind::key_of_pair(self.user, other);
                match self.state.store.add_room(RoomKind::Direct, "", &key, "", &epoch())? {
                    Some(id) => self.state.room(id)?,
                    None => None,
                }
            }
        };
        let Some(room) = room else { return refuse("unknown_room", "This conversation no longer exists.") };
        self.add_to_direct_room(&room, self.user)?;
        Ok(room)
    }

    /// Makes a user a member of a direct room. The caller counts as the one who begins the conversation.
    fn add_to_direct_room(&mut self, room: &RoomRow, user: UserId) -> Result<(), StoreError> {
        let state = &mut *self.state;
        state.set_role(room.id, user, Role::Member)?;
        state.store.set_direct_member(room.id, user, self.user, state.clock.now())?;
        state.mark_all_read(room.id, user)?;
        state.subscribe_all(user, room.id);
        state.push_room(room, user)
    }
}

impl State {
    /// Moves a direct room to the front of both users' lists, because `author` is about to write in it. `members` are
    /// those it had before. If their connections do not know the room, because their list was cut off before it, they
    /// get it now and follow it.
    fn mark_active(&mut self, room: &RoomRow, author: UserId, members: &[DirectMember]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut is_due = !members.iter().any(|member| member.user == author && member.wrote);
        for member in members {
            let is_unknown = self.presence.known_directs(member.user).is_some_and(|known| member.is_after(known));
            if is_unknown {
                self.subscribe_all(member.user, room.id);
                self.push_room(room, member.user)?;
            }
            let active = member.place.active;
            is_due |= is_unknown || active > now || active.saturating_add(ACTIVITY_STEP) <= now;
        }
        if is_due {
            for member in members {
                self.store.correct_directs_of(member.user, now.saturating_sub(1))?;
            }
            self.store.set_active(room.id, author, now)?;
        }
        Ok(())
    }
}

/// Maximum direct rooms of a user that the user has begun. Those that others begin do not count.
pub(super) const MAX_BEGUN: usize = 1000;
