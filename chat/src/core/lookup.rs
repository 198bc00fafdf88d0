//! Rooms, users, and members, read through the cache.

use std::sync::Arc;

use super::{
    super::{
        interface::RoomView,
        store::{
            ACTIVITY_STEP, DirectsEnd, LOBBY, Member, Millis, Place, Role, RoomId, RoomKind, RoomRow, Stamp,
            StoreError, UserId,
        },
    },
    cache::Profile,
    call::{Failure, refuse},
    data::UserName,
    state::State,
};

impl State {
    pub(super) fn room(&mut self, id: RoomId) -> Result<Option<Arc<RoomRow>>, StoreError> {
        self.cache.room(&self.store, id)
    }

    /// Returns the stamp of a room's latest entry.
    pub(super) fn head(&mut self, room: RoomId) -> Result<Stamp, StoreError> {
        self.cache.head(&self.store, room)
    }

    /// Returns the part of a user's data that others may see.
    pub(super) fn profile(&mut self, id: UserId) -> Result<Arc<Profile>, StoreError> {
        self.cache.profile(&self.store, id)
    }

    /// Returns the user whose name a client has sent.
    pub(super) fn find_user(&mut self, name: &UserName) -> Result<UserId, Failure> {
        let found = match &name.0 {
            Some(name) => self.store.user_named(name)?,
            None => None,
        };
        match found {
            Some(user) => Ok(user.id),
            None => refuse("unknown_person", "There is no user with this name."),
        }
    }

    /// Returns a room and a user's membership in it. Hides the direct rooms of others, and invited rooms that the user
    /// is not invited to.
    pub(super) fn find_room(&mut self, id: RoomId, user: UserId) -> Result<(Arc<RoomRow>, Option<Member>), Failure> {
        if let Some(room) = self.room(id)? {
            let member = self.store.member(id, user)?;
            let invited = member.is_some_and(|member| member.role >= Role::Invited);
            if invited || room.kind == RoomKind::Public {
                return Ok((room, member));
            }
        }
        refuse("unknown_room", "There is no such room.")
    }

    /// Returns a room that a user is a member of.
    pub(super) fn find_joined_room(&mut self, id: RoomId, user: UserId) -> Result<(Arc<RoomRow>, Member), Failure> {
        match self.find_room(id, user)? {
            (room, Some(member)) if member.role >= Role::Member => Ok((room, member)),
            _ => refuse("not_member", "You are not a member of this room."),
        }
    }

    /// Returns a room as one user sees it.
    pub(super) fn room_view(&mut self, room: &RoomRow, user: UserId) -> Result<RoomView, StoreError> {
        let member = self.store.member(room.id, user)?;
        self.room_view_of(room, user, member)
    }

    fn room_view_of(&mut self, room: &RoomRow, user: UserId, member: Option<Member>) -> Result<RoomView, StoreError> {
        let head = self.head(room.id)?;
        let read = member.map_or(head.seq, |member| member.read);
        let is_member = member.is_some_and(|member| member.role >= Role::Member);
        let unread = if is_member { self.count_unread(room.id, user, read)? } else { 0 };
        let (name, gone) = match other_member(room, user) {
            Some(other) => {
                let other = self.profile(other)?;
                (other.name.clone(), other.gone)
            }
            None => (room.name.clone(), false),
        };
        let by = match member.map(|member| member.role) {
            Some(Role::Invited) => self.inviter(room.id, user)?,
            Some(Role::Banned | Role::Member | Role::Owner) | None => None,
        };
        Ok(RoomView {
            room: room.id,
            kind: room.kind,
            name,
            topic: room.topic.clone(),
            role: member.map(|member| member.role).filter(|role| *role > Role::Banned),
            epoch: room.epoch.clone(),
            seq: head.seq,
            hash: head.hash,
            time: head.time,
            active: member.and_then(|member| member.active).map(|active| self.latest_activity(active, head)),
            read,
            unread,
            members: self.cache.count_members(&self.store, room.id)?,
            gone,
            by,
        })
    }

    /// Returns the name of the user who has invited another to a room, unless the inviter is gone.
    fn inviter(&mut self, room: RoomId, user: UserId) -> Result<Option<String>, StoreError> {
        let Some(inviter) = self.store.inviter(room, user)? else { return Ok(None) };
        let profile = self.profile(inviter)?;
        Ok((!profile.gone).then(|| profile.name.clone()))
    }

    /// Returns whether a room is removed with its messages when this member leaves.
    pub(super) fn is_kept_by(&mut self, room: &RoomRow, user: UserId) -> Result<bool, StoreError> {
        match other_member(room, user) {
            Some(other) => Ok(self.profile(other)?.gone && self.head(room.id)?.seq > 0),
            None => Ok(room.id != LOBBY && !self.store.has_other_member(room.id, user)?),
        }
    }

    /// Returns how many messages after the one numbered `read` are unread by a member of a room.
    pub(super) fn count_unread(&mut self, room: RoomId, user: UserId, read: u64) -> Result<u64, StoreError> {
        if read < self.head(room)?.seq { self.cache.count_unread(&self.store, room, read, user) } else { Ok(0) }
    }

    /// Returns the time of a direct room's latest message for the order of conversations. It is the time of the entry,
    /// as far as what is known by the steady clock allows.
    fn latest_activity(&self, active: Millis, head: Stamp) -> Millis {
        let active = self.clock.to_wall(active);
        head.time.clamp(active, active.saturating_add(ACTIVITY_STEP))
    }

    /// Returns the rooms that a user is in or invited to, without direct rooms.
    pub(super) fn rooms_of(&mut self, user: UserId) -> Result<Vec<RoomView>, StoreError> {
        let members = self.store.rooms_of(user)?;
        self.room_views(user, members)
    }

    /// Returns the latest direct rooms of a user, or those after the end of an earlier list, and the end of this list.
    /// Rooms in which the user has written come first in the list, and have their own share of it: others who begin
    /// conversations cannot take it away.
    pub(super) fn directs_of(
        &mut self,
        user: UserId,
        after: Option<DirectsEnd>,
    ) -> Result<(Vec<RoomView>, DirectsEnd), StoreError> {
        let start = after.unwrap_or_default();
        let find = |wrote, place: Option<Place>| match place {
            // The earlier list was complete.
            None if after.is_some() => Ok(Vec::new()),
            _ => self.store.directs_of(user, wrote, place, MAX_DIRECTS + 1),
        };
        let (mut answered, mut unanswered) = (find(true, start.answered)?, find(false, start.unanswered)?);
        let left = |others: usize, share: usize| share.max(MAX_DIRECTS.saturating_sub(others));
        let max_answered = left(unanswered.len(), MAX_DIRECTS - UNANSWERED_SHARE);
        let end = DirectsEnd {
            unanswered: cut(&mut unanswered, left(answered.len(), UNANSWERED_SHARE)),
            answered: cut(&mut answered, max_answered),
        };
        let members = answered.into_iter().chain(unanswered).map(|(member, _)| member).collect();
        Ok((self.room_views(user, members)?, end))
    }

    /// Returns users whom a user has blocked, after one of them or from the first, and whether there are more.
    pub(super) fn blocked_by(
        &mut self,
        user: UserId,
        after: Option<UserId>,
    ) -> Result<(Vec<String>, bool), StoreError> {
        let mut names = self.store.blocked_by(user, after, MAX_BLOCKED_LISTED + 1)?;
        let more = names.len() > MAX_BLOCKED_LISTED;
        names.truncate(MAX_BLOCKED_LISTED);
        Ok((names, more))
    }

    fn room_views(&mut self, user: UserId, members: Vec<Member>) -> Result<Vec<RoomView>, StoreError> {
        let mut views = Vec::with_capacity(members.len());
        for member in members {
            if let Some(room) = self.room(member.room)? {
                views.push(self.room_view_of(&room, user, Some(member))?);
            }
        }
        Ok(views)
    }

    /// Sets a user's role in a room.
    pub(super) fn set_role(&mut self, room: RoomId, user: UserId, role: Role) -> Result<(), StoreError> {
        let before = self.store.member(room, user)?.map(|member| member.role);
        self.store.set_role(room, user, role, self.clock.now())?;
        self.cache.role_changed(room, before, Some(role));
        Ok(())
    }

    /// Ends a user's membership, invitation, or ban in a room.
    pub(super) fn remove_member(&mut self, room: RoomId, user: UserId) -> Result<(), StoreError> {
        let before = self.store.member(room, user)?.map(|member| member.role);
        self.store.remove_member(room, user)?;
        self.cache.role_changed(room, before, None);
        Ok(())
    }

    /// Marks all entries of a room as read by a user.
    pub(super) fn mark_all_read(&mut self, room: RoomId, user: UserId) -> Result<(), StoreError> {
        let head = self.head(room)?;
        self.store.set_read(room, user, head.seq).map(drop)
    }
}

/// Cuts a list off. Returns the place of the last entry that is left, or `None` if the list was no longer.
fn cut(list: &mut Vec<(Member, Place)>, max: usize) -> Option<Place> {
    if list.len() <= max {
        return None;
    }
    list.truncate(max);
    list.last().map(|(_, place)| *place)
}

/// Maximum direct rooms in one list.
const MAX_DIRECTS: usize = 100;
/// How many of them may be rooms in which the user has not written, if there are enough others.
const UNANSWERED_SHARE: usize = 40;
/// Maximum blocked users in one list.
const MAX_BLOCKED_LISTED: usize = 200;

/// Returns the other member of a direct room, or `None` for other rooms.
pub(super) fn other_member(room: &RoomRow, user: UserId) -> Option<UserId> {
    let (one, two) = room.pair()?;
    Some(if one == user { two } else { one })
}
