//! Handlers: blocking, sessions, accounts.

use serde::Deserialize;

use super::{
    super::{
        hash_queue::Asker,
        interface::{Answer, DeviceView, Effect, EndReason, Push, SessionView, SignInError, Topic},
        password::{BadPassword, HashError, Password},
        store::{RoomId, SessionId, StoreError, UserId},
        wire::EventError,
    },
    call::{Call, Failure, HandlerResult, PendingReply, Reply, answer, done, refuse, too_fast},
    data::{AnyPassword, NoData, UserName},
    fair::Source,
    queue::{AnyRequest, CommandSender, Request},
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
}

/// `revoke`: ends one of the user's sessions, or all except the current one.
pub(super) fn revoke(call: &mut Call<'_>, data: &Option<Revoke>) -> HandlerResult {
    match data.as_ref().and_then(|revoke| revoke.session) {
        None => call.state.end_other_sessions(call.user, call.session)?,
        Some(id) => match call.state.store.session(id)? {
            Some(session) if session.user == call.user => call.state.end_session(&session, EndReason::Revoked)?,
            _ => return refuse("unknown_session", "You have no such session."),
        },
    }
    done()
}

#[derive(Deserialize)]
pub(super) struct ChangePassword {
    old: AnyPassword,
    new: AnyPassword,
}

/// `password`: changes the password, and ends all other sessions.
pub(super) fn password(call: &mut Call<'_>, data: &ChangePassword) -> HandlerResult {
    let ChangePassword { old, new } = data;
    let (old, hash) = call.own_password(old)?;
    let new = new.0.clone().or_else(|error| refuse("bad_password", error.to_string()))?;
    let (user, session, pending) = (call.user, call.session, call.pending_reply());
    let (hasher, commands) = (call.state.hasher.clone(), call.state.commands.clone());
    call.state.run_after_commit(move || {
        let again = hasher.clone();
        hasher.verify(asker(user), old, Some(hash.clone()), move |verified| {
            if let Err(error) = is_right(verified) {
                return reply_with_error((pending, commands), error);
            }
            again.hash(asker(user), new, move |new_hash| {
                let new_hash = match new_hash {
                    Ok(new_hash) => new_hash,
                    Err(error) => return reply_with_error((pending, commands), error.into()),
                };
                let change = move |state: &mut State| {
                    // Refused if the password was changed meanwhile.
                    match state.store.user(user)? {
                        Some(row) if row.password.as_ref() == Some(&hash) => {
                            state.store.set_password(user, &new_hash)?;
                            state.end_other_sessions(user, session)?;
                            Ok(Ok(()))
                        }
                        _ => Ok(Err(own_account_error(SignInError::BadCredentials))),
                    }
                };
                commands.clone().request(Source::Core, reply_after((pending, commands), change));
            });
        });
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct DeleteAccount {
    password: Option<AnyPassword>,
    /// Rooms that may be removed because the user is their last member.
    remove: Vec<RoomId>,
}

/// `delete_account`: deletes the user's account, with its sessions and memberships, and frees its name. The user must
/// confirm that rooms are removed of which they are the last member.
pub(super) fn delete_account(call: &mut Call<'_>, data: &Option<DeleteAccount>) -> HandlerResult {
    let confirmed = match data {
        Some(data) => call.state.confirmed_removals(call.user, data.remove.clone())?,
        None => call.state.confirmed_removals(call.user, Vec::new())?,
    };
    let confirmed = confirmed.map_err(Failure::Refused)?;
    if call.state.profile(call.user)?.guest {
        call.state.remove_user(call.user)?;
        return done();
    }
    let missing = AnyPassword(Err(BadPassword::TooShort));
    let password = data.as_ref().and_then(|data| data.password.as_ref()).unwrap_or(&missing);
    let (password, hash) = call.own_password(password)?;
    let (user, pending) = (call.user, call.pending_reply());
    let (hasher, commands) = (call.state.hasher.clone(), call.state.commands.clone());
    call.state.run_after_commit(move || {
        hasher.verify(asker(user), password, Some(hash.clone()), move |verified| {
            if let Err(error) = is_right(verified) {
                return reply_with_error((pending, commands), error);
            }
            let remove = move |state: &mut State| match state.store.user(user)? {
                // Refused if the user has become the last member of another room meanwhile.
                Some(row) if row.password.as_ref() == Some(&hash) => {
                    match state.confirmed_removals(user, confirmed.clone())? {
                        Ok(_) => state.remove_user(user).map(Ok),
                        Err(error) => Ok(Err(error)),
                    }
                }
                _ => Ok(Err(own_account_error(SignInError::BadCredentials))),
            };
            commands.clone().request(Source::Core, reply_after((pending, commands), remove));
        });
    })
}

/// Returns the row of a user's jobs in the queue of the hasher.
fn asker(user: UserId) -> Asker {
    Asker::User(user.to_string())
}

/// Returns an error unless a password was verified and is right.
fn is_right(verified: Result<bool, HashError>) -> Result<(), SignInError> {
    if verified? { Ok(()) } else { Err(SignInError::BadCredentials) }
}

/// Returns the error for a user who acts on their own account, where only the password can be wrong.
fn own_account_error(error: SignInError) -> EventError {
    match error {
        SignInError::BadCredentials => EventError::new("bad_credentials", "The password is wrong."),
        other => other.event_error(),
    }
}

/// A reply to be sent, and the queue of the thread that sends it.
type ReplyPath = (PendingReply, CommandSender<State>);

/// Returns a request that changes an account, and then sends the reply.
fn reply_after(
    (pending, commands): ReplyPath,
    mut change: impl FnMut(&mut State) -> Result<Result<(), EventError>, StoreError> + Send + 'static,
) -> impl AnyRequest<State> + 'static {
    let reply = pending.clone();
    let run = move |state: &mut State| {
        let before = state.effects.len();
        let changed = change(state)?;
        reply.send(state, before, changed);
        Ok(Ok(()))
    };
    Request::new(
        run,
        Box::new(move |done| {
            if let Err(error) = done {
                reply_with_error((pending, commands), error)
            }
        }),
    )
}

/// Makes the thread send an error as the reply.
fn reply_with_error((pending, commands): ReplyPath, error: SignInError) {
    let run = move |state: &mut State| {
        let before = state.effects.len();
        pending.send(state, before, Err(own_account_error(error)));
        Ok(Ok(()))
    };
    commands.request(Source::Core, Request::new(run, Box::new(|_: Result<(), SignInError>| ())));
}

impl Call<'_> {
    /// Checks that a client has sent a password, and charges it to the rate limit. Returns the password
    /// with the hash to verify it against.
    fn own_password(&mut self, password: &AnyPassword) -> Result<(Password, String), Failure> {
        let hash = self.state.store.user(self.user)?.and_then(|user| user.password);
        if hash.is_some() {
            self.state.rate_limit(Action::Password, self.user).or_else(too_fast)?;
        }
        match (password.0.clone(), hash) {
            (_, None) => refuse("guest", "A guest has no password."),
            (Err(_), _) => Err(Failure::Refused(own_account_error(SignInError::BadCredentials))),
            (Ok(password), Some(hash)) => Ok((password, hash)),
        }
    }
}

impl State {
    /// Starts slow work on another thread, after the commit.
    fn run_after_commit(&mut self, begin: impl FnOnce() + Send + 'static) -> HandlerResult {
        self.effects.push(Effect::Do(Box::new(begin)));
        Ok(Reply::Later)
    }

    /// Returns the rooms that go with a user, because no other member is left, if all of them are in `confirmed`.
    ///
    /// # Errors
    /// `last_member`, with all of these rooms.
    fn confirmed_removals(
        &self,
        user: UserId,
        mut confirmed: Vec<RoomId>,
    ) -> Result<Result<Vec<RoomId>, EventError>, StoreError> {
        let rooms = self.store.rooms_only_of(user)?;
        confirmed.sort_unstable();
        if rooms.iter().all(|room| confirmed.binary_search(room).is_ok()) {
            return Ok(Ok(rooms));
        }
        Ok(Err(EventError::last_member(rooms.into_iter().map(RoomId::number).collect())))
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
const MAX_BLOCKED: usize = 1000;
