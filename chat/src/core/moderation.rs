//! Handlers: the rights of room owners. Operators have them in public rooms.

use std::{cmp::Reverse, sync::Arc};

use serde::Deserialize;

use super::{
    super::{
        interface::{Answer, LeaveReason},
        store::{Entry, LOBBY, Member, Millis, NewEntry, Role, RoomId, RoomKind, RoomRow, Store, StoreError, UserId},
    },
    call::{Call, Failure, HandlerResult, answer, done, refuse},
    data::{Text, UserName},
    rooms::{ListMembers, RoomRef},
    state::State,
    text::within,
};

#[derive(Deserialize)]
pub(super) struct SetTopic {
    room: RoomId,
    topic: Text,
}

/// `topic`: sets a room's topic.
pub(super) fn topic(call: &mut Call<'_>, data: &SetTopic) -> HandlerResult {
    let (room, _) = call.owned_room(data.room)?;
    let topic = within(&data.topic, call.state.config.limits.topic_chars)?;
    call.state.store.set_topic(room.id, topic)?;
    call.state.cache.evict_topic(room.id);
    let new =
        NewEntry { entry: Entry::Topic, author: call.user, key: None, text: Some(topic), about: None, other: None };
    match call.state.append(&room, new, None)? {
        Some(stamp) => answer(Answer::Stamped(stamp)),
        None => done(),
    }
}

#[derive(Deserialize)]
pub(super) struct RoomAndName {
    room: RoomId,
    name: UserName,
}

/// `invite`: invites a user. In public rooms every member may do that.
pub(super) fn invite(call: &mut Call<'_>, data: &RoomAndName) -> HandlerResult {
    let (room, member) = call.state.find_joined_room(data.room, call.user)?;
    if room.kind != RoomKind::Public && (room.kind == RoomKind::Direct || member.role != Role::Owner) {
        return refuse("not_owner", "Only an owner of this room may do that.");
    }
    let user = call.state.find_user(&data.name)?;
    if call.state.store.has_blocked(user, call.user)? {
        return refuse("blocked", "This user does not accept invitations from you.");
    }
    match call.state.store.member(room.id, user)?.map(|member| member.role) {
        Some(Role::Banned) => return refuse("banned", "This user is banned from the room."),
        Some(Role::Member | Role::Owner) => return refuse("is_member", "This user is a member of the room."),
        Some(Role::Invited) => return done(),
        None => {}
    }
    call.make_room_for_invitation(user)?;
    call.state.set_role(room.id, user, Role::Invited)?;
    call.state.store.set_initiator(room.id, user, call.user)?;
    call.state.push_room(&room, user)?;
    done()
}

/// `kick`: ends a membership or an invitation. The user may enter again.
pub(super) fn kick(call: &mut Call<'_>, data: &RoomAndName) -> HandlerResult {
    let (room, user, role) = call.target(data)?;
    if role < Some(Role::Invited) {
        return refuse("not_member", "This user is not a member of the room.");
    }
    call.state.append_event(&room, Entry::Kicked, call.user, Some(user))?;
    call.state.remove_member(room.id, user)?;
    call.state.notify_gone(room.id, user, LeaveReason::Kicked);
    done()
}

/// `ban`: ends a membership, and keeps the user from entering again.
pub(super) fn ban(call: &mut Call<'_>, data: &RoomAndName) -> HandlerResult {
    let (room, user, role) = call.target(data)?;
    if role == Some(Role::Banned) {
        return done();
    }
    call.state.append_event(&room, Entry::Banned, call.user, Some(user))?;
    call.state.set_role(room.id, user, Role::Banned)?;
    if role.is_some() {
        call.state.notify_gone(room.id, user, LeaveReason::Banned);
    }
    done()
}

/// `unban`: lifts a ban.
pub(super) fn unban(call: &mut Call<'_>, data: &RoomAndName) -> HandlerResult {
    let (room, user, role) = call.target(data)?;
    if role != Some(Role::Banned) {
        return refuse("not_banned", "This user is not banned from the room.");
    }
    call.state.append_event(&room, Entry::Unbanned, call.user, Some(user))?;
    call.state.remove_member(room.id, user)?;
    done()
}

/// `bans`: lists the banned users, in the order in which they signed up.
pub(super) fn bans(call: &mut Call<'_>, data: &ListMembers) -> HandlerResult {
    let (room, _) = call.owned_room(data.room)?;
    let (members, more) = call.state.members(&room, Store::banned, data.after.as_ref())?;
    answer(Answer::Members { members, more, count: None })
}

#[derive(Deserialize)]
pub(super) struct SetRole {
    room: RoomId,
    name: UserName,
    role: Role,
}

/// `role`: makes a member an owner, or an owner a member.
pub(super) fn role(call: &mut Call<'_>, data: &SetRole) -> HandlerResult {
    let SetRole { room, name, role } = data;
    let (room, role) = (*room, *role);
    let entry = match role {
        Role::Owner => Entry::Owner,
        Role::Member => Entry::Member,
        Role::Invited | Role::Banned => return refuse("bad_data", "A role is \"owner\" or \"member\"."),
    };
    let (room, _) = call.owned_room(room)?;
    let user = call.state.find_user(name)?;
    let now = match call.state.store.member(room.id, user)? {
        Some(member) if member.role >= Role::Member => member.role,
        _ => return refuse("not_member", "This user is not a member of the room."),
    };
    if now == role {
        return done();
    }
    if now == Role::Owner && room.id != LOBBY && call.state.store.count_owners(room.id)? == 1 {
        return refuse("last_owner", "A room needs an owner; make another member an owner first.");
    }
    call.state.set_role(room.id, user, role)?;
    call.state.append_event(&room, entry, call.user, Some(user))?;
    call.state.push_room(&room, user)?;
    done()
}

#[derive(Deserialize)]
pub(super) struct Delete {
    room: RoomId,
    seq: u64,
}

/// `delete`: deletes the text of a message. A user may delete their own messages, an owner any message.
pub(super) fn delete(call: &mut Call<'_>, data: &Delete) -> HandlerResult {
    let Delete { room, seq } = *data;
    let (room, said) = match call.state.find_joined_room(room, call.user) {
        Ok((room, _)) => {
            let said = call.author_of(&room, seq)?;
            (room, said)
        }
        // Operators need not be members.
        Err(error) => match call.owned_room(room) {
            Ok((room, _)) => {
                let said = call.author_of(&room, seq)?;
                (room, said)
            }
            Err(_) => return Err(error),
        },
    };
    let Some(said_by) = said else { return refuse("unknown_message", "There is no such message.") };
    let is_own = said_by == call.user;
    if !is_own {
        call.owned_room(room.id)?;
    }
    call.state.store.erase(room.id, seq, (!is_own).then_some(call.user))?;
    call.state.cache.erased(room.id);
    let about = i64::try_from(seq).ok();
    let other = (!is_own).then_some(said_by);
    let new = NewEntry { entry: Entry::Deleted, author: call.user, key: None, text: None, about, other };
    call.state.append(&room, new, None)?;
    done()
}

/// `remove`: removes a room with its log.
pub(super) fn remove(call: &mut Call<'_>, data: &RoomRef) -> HandlerResult {
    let (room, _) = call.owned_room(data.room)?;
    if room.id == LOBBY {
        return refuse("not_owner", "The Lobby cannot be removed.");
    }
    call.state.remove_room(&room)?;
    done()
}

impl Call<'_> {
    /// Returns a room in which the caller has the rights of an owner.
    fn owned_room(&mut self, room: RoomId) -> Result<(Arc<RoomRow>, Option<Member>), Failure> {
        let (room, member) = self.state.find_room(room, self.user)?;
        let role = member.map(|member| member.role);
        let is_operator = room.kind == RoomKind::Public && self.state.profile(self.user)?.operator;
        match role {
            _ if room.kind == RoomKind::Direct => refuse("not_owner", "A direct room has no owner."),
            Some(Role::Owner) => Ok((room, member)),
            _ if is_operator => Ok((room, member)),
            Some(Role::Member) => refuse("not_owner", "Only an owner of this room may do that."),
            _ => refuse("not_member", "You are not a member of this room."),
        }
    }

    /// Checks that the caller may send one more invitation, to this user. If the user has too many, another one gives
    /// way: one of the inviter whom the user has the least reason to trust. So others cannot use up a user's
    /// invitations.
    fn make_room_for_invitation(&mut self, user: UserId) -> Result<(), Failure> {
        let is_guest = self.state.profile(self.user)?.guest;
        let max = if is_guest { MAX_INVITED_BY_GUEST } else { MAX_INVITED };
        let now = self.state.clock.now();
        self.state.store.correct_invitations_by(self.user, now)?;
        let since = now.saturating_sub(INVITATION_COUNTS);
        if self.state.store.count_invited_by(self.user, since)? >= max {
            return refuse("too_many_invitations", "Too many of your invitations are unanswered.");
        }
        let open = self.state.store.invitations_of(user)?;
        let of = |inviter: Option<UserId>| open.iter().filter(|other| other.inviter == inviter).count();
        if of(Some(self.user)) >= MAX_INVITATIONS_OF_ONE {
            return refuse("too_many_invitations", "This user has not answered your earlier invitations.");
        }
        if open.len() < MAX_INVITATIONS {
            return Ok(());
        }
        let mut ranked = Vec::with_capacity(open.len());
        for invitation in &open {
            let trust = self.state.trust(user, invitation.inviter)?;
            ranked.push((trust, Reverse(of(invitation.inviter)), invitation.since, invitation.room));
        }
        match ranked.into_iter().min() {
            Some((trust, .., room)) if trust <= self.state.trust(user, Some(self.user))? => {
                self.state.remove_member(room, user)?;
                self.state.notify_gone(room, user, LeaveReason::Left);
                Ok(())
            }
            _ => refuse("too_many_invitations", "This user has too many open invitations; they must answer one first."),
        }
    }

    /// Finds the room and the user of a moderation event, and checks that the caller has the right to it. The user
    /// must not be an owner.
    fn target(&mut self, data: &RoomAndName) -> Result<(Arc<RoomRow>, UserId, Option<Role>), Failure> {
        let (room, _) = self.owned_room(data.room)?;
        let user = self.state.find_user(&data.name)?;
        let role = self.state.store.member(room.id, user)?.map(|member| member.role);
        if role == Some(Role::Owner) {
            return refuse("is_owner", "This user is an owner of the room.");
        }
        Ok((room, user, role))
    }

    /// Returns the author of a message, or `None` if there is no such message, or its text was deleted.
    fn author_of(&mut self, room: &RoomRow, seq: u64) -> Result<Option<UserId>, Failure> {
        // The store cannot hold a larger number, so no message has it.
        let Ok(_) = i64::try_from(seq) else { return Ok(None) };
        let entry = self.state.store.entry(room.id, seq)?;
        Ok(entry.filter(|entry| entry.entry == Entry::Said && entry.text.is_some()).map(|entry| entry.author))
    }
}

impl State {
    /// Returns how much reason a user has to trust an inviter.
    fn trust(&mut self, user: UserId, inviter: Option<UserId>) -> Result<Trust, StoreError> {
        let Some(inviter) = inviter else { return Ok(Trust::Account) };
        if self.store.has_written_to(user, inviter)? {
            return Ok(Trust::Acquaintance);
        }
        let profile = self.profile(inviter)?;
        Ok(if profile.guest || profile.gone { Trust::Guest } else { Trust::Account })
    }
}

/// How much reason a user has to trust an inviter, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    /// A guest, or a user who no longer exists.
    Guest,
    Account,
    /// Somebody to whom the user has written.
    Acquaintance,
}

/// Maximum open invitations of a user: each is sent whenever the user connects.
pub(super) const MAX_INVITATIONS: usize = 50;
/// How many of them may be from one inviter.
pub(super) const MAX_INVITATIONS_OF_ONE: usize = 10;
/// Maximum open invitations that an account has sent.
pub(super) const MAX_INVITED: usize = 100;
/// Maximum open invitations that a guest has sent.
pub(super) const MAX_INVITED_BY_GUEST: usize = 20;
/// How long an open invitation counts for its inviter, in milliseconds.
pub(super) const INVITATION_COUNTS: Millis = 30 * 24 * 60 * 60 * 1000;
