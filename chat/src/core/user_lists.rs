//! Handlers: lists of users, and single ones.

use serde::Deserialize;

use super::{
    super::{
        interface::{Answer, UserView},
        store::{Role, RoomId},
    },
    cache::Profile,
    call::{Call, HandlerResult, answer},
    data::{Searched, UserName},
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct List {
    after: Option<UserName>,
    search: Option<Searched>,
}

/// `people`: lists the online users, or with `search` all users whose name begins with it, in the order
/// of names.
pub(super) fn list(call: &mut Call<'_>, data: &Option<List>) -> HandlerResult {
    let state = &mut *call.state;
    let after = data.as_ref().and_then(|list| list.after.as_ref()).and_then(|UserName(name)| name.as_ref());
    let after = after.map(|name| state.store.place_of_user(name)).transpose()?;
    let search = data.as_ref().and_then(|list| list.search.as_ref());
    let mut users = Vec::new();
    match search {
        Some(Searched(prefix)) => {
            for user in state.store.users_from(prefix, after.as_ref(), MAX_LISTED_USERS + 1)? {
                let (guest, online) = (user.is_guest(), state.presence.is_online(user.id));
                users.push(UserView { name: user.name, guest, operator: user.operator, online });
            }
        }
        None => {
            let ids: Vec<_> =
                state.presence.users(after.as_ref()).take(MAX_LISTED_USERS + 1).map(|(id, _)| id).collect();
            for id in ids {
                let profile = state.profile(id)?;
                users.push(user_view(&profile, true));
            }
        }
    }
    let more = users.len() > MAX_LISTED_USERS;
    users.truncate(MAX_LISTED_USERS);
    answer(Answer::Users { people: users, more })
}

fn user_view(profile: &Profile, online: bool) -> UserView {
    UserView { name: profile.name.clone(), guest: profile.guest, operator: profile.operator, online }
}

#[derive(Deserialize)]
pub(super) struct OneUser {
    name: UserName,
    room: Option<RoomId>,
}

/// `person`: shows one user, and with `room` the user's role in that room if the user is a
/// member.
pub(super) fn one(call: &mut Call<'_>, data: &OneUser) -> HandlerResult {
    let state = &mut *call.state;
    let room = data.room.map(|room| state.find_joined_room(room, call.user)).transpose()?;
    let user = state.find_user(&data.name)?;
    let member = room.map(|(room, _)| state.store.member(room.id, user)).transpose()?.flatten();
    let role = member.map(|member| member.role).filter(|role| *role >= Role::Member);
    let (profile, online) = (state.profile(user)?, state.presence.is_online(user));
    answer(Answer::User { user: user_view(&profile, online), role })
}

/// Maximum users in one list.
const MAX_LISTED_USERS: usize = 200;
