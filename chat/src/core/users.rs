//! Handlers: online users, blocking, sessions, accounts, notices.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    super::{
        interface::SignInError,
        password::Password,
        store::{Millis, SessionId, StoreError, UserId},
        wire,
    },
    call::{Call, Failure, HandlerResult, PendingReply, Reply, done, parse, refuse, result, too_fast},
    effects::{Effect, Topic},
    queue::{AnyRequest, CommandSender, Request},
    sessions::Reason,
    state::{Action, State},
    text::clean,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    after: String,
    search: Option<String>,
}

#[derive(Serialize)]
struct Users {
    people: Vec<UserView>,
    more: bool,
}

#[derive(Serialize)]
struct UserView {
    name: String,
    guest: bool,
    online: bool,
}

/// `people`: lists the online users, or with `search` all users whose name begins with it.
pub(super) fn list(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let List { after, search } = parse::<Option<_>>(data)?.unwrap_or_default();
    let state = &mut *call.state;
    let key = |name: &str| state.name(name).map(|name| name.key().to_owned()).ok();
    let after = key(&after).unwrap_or_default();
    let mut users = Vec::new();
    match search {
        Some(search) => {
            let prefix = key(&search).unwrap_or_else(|| search.to_lowercase());
            for user in state.store.users_from(&prefix, &after, MAX_LISTED_USERS + 1)? {
                let (guest, online) = (user.is_guest(), state.presence.is_online(user.id));
                users.push(UserView { name: user.name, guest, online });
            }
        }
        None => {
            let ids: Vec<_> = state.presence.users(&after).take(MAX_LISTED_USERS + 1).map(|(id, _)| id).collect();
            for id in ids {
                let profile = state.profile(id)?;
                users.push(UserView { name: profile.name.clone(), guest: profile.guest, online: true });
            }
        }
    }
    let more = users.len() > MAX_LISTED_USERS;
    users.truncate(MAX_LISTED_USERS);
    result(&Users { people: users, more })
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Serialize)]
struct Blocked<'a> {
    name: &'a str,
    blocked: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListBlocked {
    after: Option<String>,
}

#[derive(Serialize)]
struct BlockedUsers {
    blocked: Vec<String>,
    more: bool,
}

/// `blocks`: lists the users whom this one has blocked, in the order in which they signed up.
pub(super) fn blocks(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let ListBlocked { after } = parse::<Option<_>>(data)?.unwrap_or_default();
    let after = after.map(|name| call.state.find_user(&name)).transpose()?;
    let (blocked, more) = call.state.blocked_by(call.user, after)?;
    result(&BlockedUsers { blocked, more })
}

/// `block`: keeps another user from sending private messages and invitations to this one, and ends those there are.
pub(super) fn block(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    set_blocked(call, data, true)
}

/// `unblock`: lifts a block.
pub(super) fn unblock(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    set_blocked(call, data, false)
}

fn set_blocked(call: &mut Call<'_>, data: &RawValue, blocked: bool) -> HandlerResult {
    let Named { name } = parse(data)?;
    let other = call.state.find_user(&name)?;
    if other == call.user {
        return refuse("yourself", "You cannot do this to yourself.");
    }
    let store = &call.state.store;
    if blocked && !store.has_blocked(call.user, other)? && store.count_blocked(call.user)? >= MAX_BLOCKED {
        return refuse("too_many_blocks", "You have blocked too many users; unblock one first.");
    }
    store.set_blocked(call.user, other, blocked)?;
    if blocked {
        call.state.leave_conversation(call.user, other)?;
        call.state.decline_invitations(call.user, other)?;
    }
    let profile = call.state.profile(other)?;
    let view = wire::event("blocked", &Blocked { name: &profile.name, blocked });
    call.state.publish(Topic::User(call.user), view, None);
    done()
}

#[derive(Serialize)]
struct Sessions {
    sessions: Vec<SessionView>,
}

#[derive(Serialize)]
struct SessionView {
    session: SessionId,
    created: Millis,
    used: Millis,
    current: bool,
}

/// `sessions`: lists the user's sessions.
pub(super) fn sessions(call: &mut Call<'_>, _: &RawValue) -> HandlerResult {
    let sessions = call.state.store.sessions_of(call.user)?;
    let sessions = sessions.into_iter().map(|row| SessionView {
        session: row.id,
        created: row.created,
        used: call.state.presence.session(row.id).map_or(row.used, |live| live.used),
        current: row.id == call.session,
    });
    result(&Sessions { sessions: sessions.collect() })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Revoke {
    session: Option<SessionId>,
}

/// `revoke`: ends one of the user's sessions, or all except the current one.
pub(super) fn revoke(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let Revoke { session } = parse::<Option<_>>(data)?.unwrap_or_default();
    match session {
        None => call.state.end_other_sessions(call.user, call.session)?,
        Some(id) => match call.state.store.session(id)? {
            Some(session) if session.user == call.user => call.state.end_session(&session, Reason::Revoked)?,
            _ => return refuse("unknown_session", "You have no such session."),
        },
    }
    done()
}

#[derive(Deserialize)]
struct ChangePassword {
    old: String,
    new: String,
}

/// `password`: changes the password, and ends all other sessions.
pub(super) fn password(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let ChangePassword { old, new } = parse(data)?;
    let (old, hash) = call.own_password(&old)?;
    let new = Password::new(&new).or_else(|error| refuse("bad_password", error.to_string()))?;
    let (user, session, pending) = (call.user, call.session, call.pending_reply());
    let (hasher, commands) = (call.state.hasher.clone(), call.state.commands.clone());
    call.state.run_after_commit(move || {
        let reply_path = (pending, commands.clone());
        let again = hasher.clone();
        let verified = hasher.verify(old, Some(hash.clone()), reply_path, move |right, reply_path| {
            if !right {
                return reply_with_error(reply_path, SignInError::BadCredentials);
            }
            let hashed = again.hash(new, reply_path, move |new_hash, (pending, commands)| {
                let Ok(new_hash) = new_hash else { return reply_with_error((pending, commands), SignInError::Storage) };
                let change = move |state: &mut State| {
                    // Refused if the password was changed meanwhile.
                    match state.store.user(user)? {
                        Some(row) if row.password.as_ref() == Some(&hash) => {
                            state.store.set_password(user, &new_hash)?;
                            state.end_other_sessions(user, session)?;
                            Ok(Ok(()))
                        }
                        _ => Ok(Err(SignInError::BadCredentials)),
                    }
                };
                commands.clone().request(reply_after((pending, commands), change));
            });
            if let Err(reply_path) = hashed {
                reply_with_error(reply_path, SignInError::Overloaded);
            }
        });
        if let Err(reply_path) = verified {
            reply_with_error(reply_path, SignInError::Overloaded);
        }
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeleteAccount {
    password: String,
}

/// `delete_account`: deletes the user's account, with its sessions and memberships, and frees its name.
pub(super) fn delete_account(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let DeleteAccount { password } = parse::<Option<_>>(data)?.unwrap_or_default();
    if call.state.profile(call.user)?.guest {
        call.state.remove_user(call.user)?;
        return done();
    }
    let (password, hash) = call.own_password(&password)?;
    let (user, pending) = (call.user, call.pending_reply());
    let (hasher, commands) = (call.state.hasher.clone(), call.state.commands.clone());
    call.state.run_after_commit(move || {
        let verified =
            hasher.verify(password, Some(hash.clone()), (pending, commands), move |right, (pending, commands)| {
                if !right {
                    return reply_with_error((pending, commands), SignInError::BadCredentials);
                }
                let remove = move |state: &mut State| match state.store.user(user)? {
                    Some(row) if row.password.as_ref() == Some(&hash) => state.remove_user(user).map(Ok),
                    _ => Ok(Err(SignInError::BadCredentials)),
                };
                commands.clone().request(reply_after((pending, commands), remove));
            });
        if let Err(reply_path) = verified {
            reply_with_error(reply_path, SignInError::Overloaded);
        }
    })
}

#[derive(Deserialize)]
struct Notice {
    text: String,
}

#[derive(Serialize)]
struct NoticeView<'a> {
    text: &'a str,
    from: &'a str,
    time: Millis,
}

/// `notice`: publishes an operator's text to all online users.
pub(super) fn notice(call: &mut Call<'_>, data: &RawValue) -> HandlerResult {
    let Notice { text } = parse(data)?;
    let profile = call.state.profile(call.user)?;
    if !profile.operator {
        return refuse("not_operator", "Only an operator may do that.");
    }
    let text = clean(&text, call.state.config.limits.text_chars)?;
    if text.is_empty() {
        return refuse("empty", "The text is empty.");
    }
    let view = NoticeView { text: &text, from: &profile.name, time: call.state.now.wall };
    call.state.publish(Topic::Everyone, wire::event("notice", &view), None);
    done()
}

/// A reply to be sent, and the queue of the thread that sends it.
type ReplyPath = (PendingReply, CommandSender<State>);

/// Returns a request that changes an account, and then sends the reply.
fn reply_after(
    (pending, commands): ReplyPath,
    mut change: impl FnMut(&mut State) -> Result<Result<(), SignInError>, StoreError> + Send + 'static,
) -> impl AnyRequest<State> + 'static {
    let reply = pending.clone();
    let run = move |state: &mut State| {
        let before = state.effects.len();
        let changed = change(state)?;
        reply.send(state, before, changed.map_err(SignInError::event_error));
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
        pending.send(state, before, Err(error.event_error()));
        Ok(Ok(()))
    };
    commands.request(Request::new(run, Box::new(|_: Result<(), SignInError>| ())));
}

impl Call<'_> {
    /// Checks the form of a password that a client has sent, and charges it to the rate limit. Returns the password
    /// with the hash to verify it against.
    fn own_password(&mut self, password: &str) -> Result<(Password, String), Failure> {
        let hash = self.state.store.user(self.user)?.and_then(|user| user.password);
        if hash.is_some() {
            self.state.rate_limit(Action::Password, self.user).or_else(too_fast)?;
        }
        match (Password::new(password), hash) {
            (_, None) => refuse("guest", "A guest has no password."),
            (Err(_), _) => Err(Failure::Refused(SignInError::BadCredentials.event_error())),
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

    /// Ends all sessions of a user except one.
    fn end_other_sessions(&mut self, user: UserId, except: SessionId) -> Result<(), StoreError> {
        for session in self.store.sessions_of(user)? {
            if session.id != except {
                self.end_session(&session, Reason::Revoked)?;
            }
        }
        Ok(())
    }
}

/// Maximum users that a user blocks.
const MAX_BLOCKED: usize = 1000;
/// Maximum users in one list.
const MAX_LISTED_USERS: usize = 200;
