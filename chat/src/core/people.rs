//! Handlers: accounts, sessions, who is there, blocking, notices.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    super::{
        backplane::SignInError,
        password::Password,
        store::{Millis, PersonId, SessionId, StoreError},
        wire,
    },
    effects::{Effect, Topic},
    endings::Reason,
    events::{Answer, Call, Failure, Handled, Promise, done, parse, refuse, result, too_fast},
    inbox::{Ask, Inbox, Question},
    keeper::{Counted, Keeper},
    talk::clean,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    after: String,
    search: Option<String>,
}

#[derive(Serialize)]
struct People {
    people: Vec<PersonTold>,
    more: bool,
}

#[derive(Serialize)]
struct PersonTold {
    name: String,
    guest: bool,
    online: bool,
}

/// `people`: who is online; with `search`, all whose name begins so.
pub(super) fn list(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let List { after, search } = parse::<Option<_>>(data)?.unwrap_or_default();
    let keeper = &mut *call.keeper;
    let key = |name: &str| keeper.name(name).map(|name| name.key().to_owned()).ok();
    let after = key(&after).unwrap_or_default();
    let mut people = Vec::new();
    match search {
        Some(search) => {
            let prefix = key(&search).unwrap_or_else(|| search.to_lowercase());
            for person in keeper.store.people_from(&prefix, &after, PEOPLE_AT_ONCE + 1)? {
                let (guest, online) = (person.is_guest(), keeper.presence.is_online(person.id));
                people.push(PersonTold { name: person.name, guest, online });
            }
        }
        None => {
            let ids: Vec<_> = keeper.presence.people(&after).take(PEOPLE_AT_ONCE + 1).map(|(id, _)| id).collect();
            for id in ids {
                let known = keeper.known(id)?;
                people.push(PersonTold { name: known.name.clone(), guest: known.guest, online: true });
            }
        }
    }
    let more = people.len() > PEOPLE_AT_ONCE;
    people.truncate(PEOPLE_AT_ONCE);
    result(&People { people, more })
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

/// `block`: somebody cannot write to one in private, nor invite one.
pub(super) fn block(call: &mut Call<'_>, data: &RawValue) -> Handled {
    set_blocked(call, data, true)
}

/// `unblock`: they can again.
pub(super) fn unblock(call: &mut Call<'_>, data: &RawValue) -> Handled {
    set_blocked(call, data, false)
}

fn set_blocked(call: &mut Call<'_>, data: &RawValue, blocked: bool) -> Handled {
    let Named { name } = parse(data)?;
    let other = call.keeper.find_person(&name)?;
    if other == call.person {
        return refuse("yourself", "This is you.");
    }
    let store = &call.keeper.store;
    if blocked && !store.has_blocked(call.person, other)? && store.count_blocked(call.person)? >= MOST_BLOCKED {
        return refuse("too_many_blocks", "You block as many people as one may.");
    }
    store.set_blocked(call.person, other, blocked)?;
    let known = call.keeper.known(other)?;
    let told = wire::event("blocked", &Blocked { name: &known.name, blocked });
    call.keeper.publish(Topic::Person(call.person), told, None);
    done()
}

#[derive(Serialize)]
struct Sessions {
    sessions: Vec<SessionTold>,
}

#[derive(Serialize)]
struct SessionTold {
    session: SessionId,
    created: Millis,
    used: Millis,
    current: bool,
}

/// `sessions`: where one is signed in.
pub(super) fn sessions(call: &mut Call<'_>, _: &RawValue) -> Handled {
    let sessions = call.keeper.store.sessions_of(call.person)?;
    let sessions = sessions.into_iter().map(|row| SessionTold {
        session: row.id,
        created: row.created,
        used: call.keeper.presence.session(row.id).map_or(row.used, |live| live.used),
        current: row.id == call.session,
    });
    result(&Sessions { sessions: sessions.collect() })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Revoke {
    session: Option<SessionId>,
}

/// `revoke`: ends a session of one's own, or all but this one.
pub(super) fn revoke(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let Revoke { session } = parse::<Option<_>>(data)?.unwrap_or_default();
    match session {
        None => call.keeper.end_other_sessions(call.person, call.session)?,
        Some(id) => match call.keeper.store.session(id)? {
            Some(session) if session.person == call.person => call.keeper.end_session(&session, Reason::Revoked)?,
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

/// `password`: changes it, and ends all other sessions.
pub(super) fn password(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let ChangePassword { old, new } = parse(data)?;
    let (old, hash) = call.own_password(&old)?;
    let new = Password::new(&new).or_else(|error| refuse("bad_password", error.to_string()))?;
    let (person, session, promise) = (call.person, call.session, call.promise());
    let (hasher, inbox) = (call.keeper.hasher.clone(), call.keeper.inbox.clone());
    call.keeper.later(move || {
        let failing = (promise, inbox.clone());
        let again = hasher.clone();
        let verified = hasher.verify(old, Some(hash.clone()), failing, move |right, failing| {
            if !right {
                return fail(failing, SignInError::BadCredentials);
            }
            let hashed = again.hash(new, failing, move |new_hash, (promise, inbox)| {
                let Ok(new_hash) = new_hash else { return fail((promise, inbox), SignInError::Storage) };
                let change = move |keeper: &mut Keeper| {
                    // Not where somebody else has changed it meanwhile.
                    match keeper.store.person(person)? {
                        Some(row) if row.password.as_ref() == Some(&hash) => {
                            keeper.store.set_password(person, &new_hash)?;
                            keeper.end_other_sessions(person, session)?;
                            Ok(Ok(()))
                        }
                        _ => Ok(Err(SignInError::BadCredentials)),
                    }
                };
                inbox.clone().ask(keeping((promise, inbox), change));
            });
            if let Err(failing) = hashed {
                fail(failing, SignInError::Overloaded);
            }
        });
        if let Err(failing) = verified {
            fail(failing, SignInError::Overloaded);
        }
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeleteAccount {
    password: String,
}

/// `delete_account`: one's own, with its name, sessions and memberships.
pub(super) fn delete_account(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let DeleteAccount { password } = parse::<Option<_>>(data)?.unwrap_or_default();
    if call.keeper.known(call.person)?.guest {
        call.keeper.remove_person(call.person)?;
        return done();
    }
    let (password, hash) = call.own_password(&password)?;
    let (person, promise) = (call.person, call.promise());
    let (hasher, inbox) = (call.keeper.hasher.clone(), call.keeper.inbox.clone());
    call.keeper.later(move || {
        let verified = hasher.verify(password, Some(hash.clone()), (promise, inbox), move |right, (promise, inbox)| {
            if !right {
                return fail((promise, inbox), SignInError::BadCredentials);
            }
            let remove = move |keeper: &mut Keeper| match keeper.store.person(person)? {
                Some(row) if row.password.as_ref() == Some(&hash) => keeper.remove_person(person).map(Ok),
                _ => Ok(Err(SignInError::BadCredentials)),
            };
            inbox.clone().ask(keeping((promise, inbox), remove));
        });
        if let Err(failing) = verified {
            fail(failing, SignInError::Overloaded);
        }
    })
}

#[derive(Deserialize)]
struct Notice {
    text: String,
}

#[derive(Serialize)]
struct NoticeTold<'a> {
    text: &'a str,
    from: &'a str,
    time: Millis,
}

/// `notice`: an operator's words to all who are online.
pub(super) fn notice(call: &mut Call<'_>, data: &RawValue) -> Handled {
    let Notice { text } = parse(data)?;
    let known = call.keeper.known(call.person)?;
    if !known.operator {
        return refuse("not_operator", "Only an operator may do that.");
    }
    let text = clean(&text, call.keeper.config.limits.text_chars)?;
    if text.is_empty() {
        return refuse("empty", "There is nothing to say.");
    }
    let told = NoticeTold { text: &text, from: &known.name, time: call.keeper.now.wall };
    call.keeper.publish(Topic::Everyone, wire::event("notice", &told), None);
    done()
}

/// Whom an answer is owed, and the way back to the thread.
type Owed = (Promise, Inbox);

/// Something that changes an account, and then keeps a promise.
fn keeping(
    (promise, inbox): Owed,
    mut change: impl FnMut(&mut Keeper) -> Result<Result<(), SignInError>, StoreError> + Send + 'static,
) -> impl Ask + 'static {
    let owed = promise.clone();
    let run = move |keeper: &mut Keeper| {
        let before = keeper.effects.len();
        let changed = change(keeper)?;
        owed.keep(keeper, before, changed.map_err(SignInError::told));
        Ok(Ok(()))
    };
    Question::new(
        run,
        Box::new(move |done| {
            if let Err(error) = done {
                fail((promise, inbox), error)
            }
        }),
    )
}

/// Keeps a promise by saying what went wrong.
fn fail((promise, inbox): Owed, error: SignInError) {
    let run = move |keeper: &mut Keeper| {
        let before = keeper.effects.len();
        promise.keep(keeper, before, Err(error.told()));
        Ok(Ok(()))
    };
    inbox.ask(Question::new(run, Box::new(|_: Result<(), SignInError>| ())));
}

impl Call<'_> {
    /// The password that a client has sent as its own, and the hash that it should have.
    fn own_password(&mut self, password: &str) -> Result<(Password, String), Failure> {
        let hash = self.keeper.store.person(self.person)?.and_then(|person| person.password);
        if hash.is_some() {
            self.keeper.count(Counted::Password, self.person).or_else(too_fast)?;
        }
        match (Password::new(password), hash) {
            (_, None) => refuse("guest", "A guest has no password."),
            (Err(_), _) => Err(Failure::Refused(SignInError::BadCredentials.told())),
            (Ok(password), Some(hash)) => Ok((password, hash)),
        }
    }
}

impl Keeper {
    /// Begins something slow elsewhere, once all that came before it is durable.
    fn later(&mut self, begin: impl FnOnce() + Send + 'static) -> Handled {
        self.effects.push(Effect::Do(Box::new(begin)));
        Ok(Answer::Later)
    }

    /// Ends all sessions of somebody but one.
    fn end_other_sessions(&mut self, person: PersonId, but: SessionId) -> Result<(), StoreError> {
        for session in self.store.sessions_of(person)? {
            if session.id != but {
                self.end_session(&session, Reason::Revoked)?;
            }
        }
        Ok(())
    }
}

/// People that one may block: each welcome tells them all.
const MOST_BLOCKED: usize = 1000;
/// People that are told at once.
const PEOPLE_AT_ONCE: usize = 200;
