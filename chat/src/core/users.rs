//! Handlers: blocking, sessions, accounts.

use serde::Deserialize;

use super::{
    super::{
        interface::{Answer, DeviceView, EndReason, Prover, Push, SessionView, Topic},
        store::{RoomId, SessionId, StoreError, UserId},
        wire::EventError,
    },
    call::{Call, Failure, HandlerResult, answer, done, refuse, too_fast},
    data::{AnyPassword, NoData, UserName},
    sessions::check_confirmed,
    state::{Action, State},
};

#[derive(Deserialize)]
pub(super) struct Named {
    name: UserName,
}

#[derive(Deserialize)]
pub(super) struct ListBlocked {
    after: Option<UserName>,
}

/// `blocks`: lists the users whom this one has blocked, in the order in which they signed up.
pub(super) fn blocks(call: &mut Call<'_>, data: &Option<ListBlocked>) -> HandlerResult {
    let after = data.as_ref().and_then(|list| list.after.as_ref());
    let after = after.map(|name| call.state.find_user(name)).transpose()?;
    let (blocked, more) = call.state.blocked_by(call.user, after)?;
    answer(Answer::Blocked { blocked, more })
}

/// `block`: keeps another user from sending private messages and invitations to this one, and ends those there are.
pub(super) fn block(call: &mut Call<'_>, data: &Named) -> HandlerResult {
    set_blocked(call, data, true)
}

/// `unblock`: lifts a block.
pub(super) fn unblock(call: &mut Call<'_>, data: &Named) -> HandlerResult {
    set_blocked(call, data, false)
}

fn set_blocked(call: &mut Call<'_>, data: &Named, blocked: bool) -> HandlerResult {
    let other = call.state.find_user(&data.name)?;
    if other == call.user {
        return refuse("yourself", "You cannot do this to yourself.");
    }
    let store = &call.state.store;
    if blocked && !store.has_blocked(call.user, other)? && store.count_blocked(call.user)? >= MAX_BLOCKED {
        return refuse("too_many_blocks", "You have blocked too many users; unblock one first.");
    }
    store.set_blocked(call.user, other, blocked)?;
    call.state.cache.evict_blocked(call.user);
    if blocked {
        call.state.leave_conversation(call.user, other)?;
        call.state.decline_invitations(call.user, other)?;
    }
    let profile = call.state.profile(other)?;
    let push = Push::Blocked { name: profile.name.clone(), blocked };
    call.state.publish(Topic::User(call.user), push, None);
    done()
}

/// `sessions`: lists the user's sessions.
pub(super) fn sessions(call: &mut Call<'_>, _: &NoData) -> HandlerResult {
    let sessions = call.state.store.sessions_with_agents_of(call.user)?;
    let clock = call.state.clock;
    let sessions = sessions.into_iter().map(|(row, agent)| (row.corrected(clock.now()), agent));
    let sessions = sessions.map(|(row, agent)| SessionView {
        session: row.id,
        created: clock.to_wall(row.created),
        used: clock.to_wall(call.state.presence.session(row.id).map_or(row.used, |live| live.used)),
        current: row.id == call.session,
        device: DeviceView { program: agent.program, system: agent.system },
    });
    answer(Answer::Sessions { sessions: sessions.collect() })
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Revoke {
    session: Option<SessionId>,
    /// Rooms that may be removed with the last session of a guest.
    remove: Vec<RoomId>,
}

/// `revoke`: ends one of the user's sessions, or all except the current one. A guest must confirm that rooms are removed
/// of which they are the last member.
pub(super) fn revoke(call: &mut Call<'_>, data: &Option<Revoke>) -> HandlerResult {
    let Some((id, remove)) = data.as_ref().and_then(|Revoke { session, remove }| Some(((*session)?, remove))) else {
        call.state.end_other_sessions(call.user, call.session)?;
        return done();
    };
    match call.state.store.session(id)? {
        Some(session) if session.user == call.user => {
            let rooms = call.state.rooms_only_of_session(&session)?;
            check_confirmed(rooms, remove).map_err(Failure::Refused)?;
            call.state.end_session(&session, EndReason::Revoked)?;
            done()
        }
        _ => refuse("unknown_session", "You have no such session."),
    }
}

/// The data of `password`.
#[derive(Deserialize)]
pub(crate) struct ChangePassword {
    pub(crate) old: AnyPassword,
    pub(crate) new: AnyPassword,
}

/// A change of the password, after a proof.
pub(crate) struct SetPassword {
    /// The hash against which the old password was verified.
    pub(crate) proved: String,
    /// The hash of the new one.
    pub(crate) new: String,
}

/// `password`: changes the password, and ends all other sessions.
pub(super) fn set_password(call: &mut Call<'_>, data: &SetPassword) -> HandlerResult {
    call.check_proof(Some(&data.proved))?;
    call.state.store.set_password(call.user, &data.new)?;
    call.state.end_other_sessions(call.user, call.session)?;
    done()
}

/// The data of `delete_account`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct DeleteAccount {
    pub(crate) password: Option<AnyPassword>,
    /// Rooms that may be removed because the user is their last member.
    pub(crate) remove: Vec<RoomId>,
}

/// The deletion of an account, after a proof.
#[derive(Default)]
pub(crate) struct RemoveAccount {
    /// The hash against which the password was verified; `None` without a password, as guests are.
    pub(crate) proved: Option<String>,
    pub(crate) remove: Vec<RoomId>,
}

/// `delete_account`: deletes the user's account, with its sessions and memberships, and frees its name. The user must
/// confirm that rooms are removed of which they are the last member.
pub(super) fn remove_account(call: &mut Call<'_>, data: &RemoveAccount) -> HandlerResult {
    call.check_proof(data.proved.as_ref())?;
    let rooms = call.state.store.rooms_only_of(call.user)?;
    check_confirmed(rooms, &data.remove).map_err(Failure::Refused)?;
    call.state.remove_user(call.user)?;
    done()
}

impl Call<'_> {
    /// Refuses a proof if the password was changed meanwhile.
    fn check_proof(&self, proved: Option<&String>) -> Result<(), Failure> {
        match self.state.store.user(self.user)? {
            Some(row) if row.password.as_ref() == proved => Ok(()),
            _ => Err(Failure::Refused(EventError::wrong_password())),
        }
    }
}

impl State {
    /// Returns a user who begins a proof. That is charged to the rate limit of an account.
    pub(super) fn prover(&mut self, user: UserId) -> Result<Prover, Failure> {
        let password_hash = self.store.user(user)?.and_then(|user| user.password);
        if password_hash.is_some() {
            self.rate_limit(Action::Password, user).or_else(too_fast)?;
        }
        Ok(Prover { user, password_hash })
    }

    /// Ends all sessions of a user except one.
    fn end_other_sessions(&mut self, user: UserId, except: SessionId) -> Result<(), StoreError> {
        for session in self.store.sessions_of(user)? {
            if session.id != except {
                self.end_session(&session, EndReason::Revoked)?;
            }
        }
        Ok(())
    }
}

/// Maximum users that a user blocks.
pub(super) const MAX_BLOCKED: usize = 1000;
