//! A chat with much in it, and one user who has the right to everything.

use serde_json::{Value, json};

use super::super::{
    super::{
        super::{
            Rate, RoomName,
            interface::{ClientId, Credential},
            store::{DirectsEnd, Entry, EntryHash, LOBBY, NewEntry, Role, RoomId, RoomKind, Stamp, UserId},
            token::{Token, TokenHash},
            user_agent::UserAgent,
        },
        clock::Now,
        presence::NewConnection,
        state::State,
    },
    Name, TestChat, connection_numbered,
};

/// How much is in the chat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Users online.
    pub(super) online: usize,
    /// Public rooms, of which the user is in a part.
    pub(super) rooms: usize,
    /// Members of each room that the user owns.
    pub(super) members: usize,
    /// Messages in each room that the user owns.
    pub(super) messages: usize,
    /// The user's sessions.
    pub(super) sessions: usize,
    /// Users whom the user blocks, and users who block the user.
    pub(super) blocks: usize,
    /// The user's direct rooms.
    pub(super) conversations: usize,
}

/// A chat with much in it.
pub(crate) struct Filled {
    pub(crate) state: State,
    pub(super) now: Now,
    /// The user's connection.
    pub(crate) connection: ClientId,
    /// Credentials of a session of the user.
    pub(super) token: Token,
    /// Values that events may name.
    pub(super) pools: Pools,
}

/// Values that exist in the chat, for the data of events.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pub(super) rooms: Vec<RoomId>,
    pub(super) room_names: Vec<String>,
    pub(super) user_names: Vec<String>,
    pub(super) epoch: String,
    pub(super) messages: u64,
    /// The hashes of the messages, by number: the same in all rooms that the user owns.
    pub(super) hashes: Vec<EntryHash>,
    pub(super) sessions: Vec<Value>,
}

impl Filled {
    pub(super) fn new(sizes: Sizes) -> Self {
        let TestChat { mut state, now, .. } = TestChat::with(|config| {
            let much = Rate { at_once: u32::MAX, per_second: 1e9 };
            let limits = &mut config.limits;
            (limits.events, limits.messages, limits.sign_ins) = (much, much, much);
            (limits.entries, limits.conversations) = (much, much);
            (limits.rooms, limits.owned_rooms) = (1_000_000, 1_000_000);
        });
        state.now = now;
        state.store.begin().unwrap();
        let mut pools = Pools { epoch: "epoch".to_owned(), ..Pools::default() };
        let count = sizes.online.max(sizes.members).max(sizes.blocks).max(sizes.conversations);
        let users: Vec<UserId> = (0..=count).map(|number| add_user(&mut state, number, &mut pools)).collect();
        let (me, others) = users.split_first().expect("a user");
        state.store.set_operator(*me, true).unwrap();

        fill_rooms(&mut state, *me, others, sizes, &mut pools);
        for other in others.iter().take(sizes.conversations) {
            let key = RoomKind::key_of_pair(*me, *other);
            let room = state.store.add_room(RoomKind::Direct, "", &key, "", &pools.epoch).unwrap().expect("a new room");
            for user in [me, other] {
                state.store.set_role(room, *user, Role::Member, 0).unwrap();
                state.store.set_direct_member(room, *user, *me, 0).unwrap();
            }
            append(&mut state, room, *other, 1, "Hello");
            pools.rooms.push(room);
        }
        for other in others.iter().rev().take(sizes.blocks) {
            state.store.set_blocked(*me, *other, true).unwrap();
            state.store.set_blocked(*other, *me, true).unwrap();
        }
        let tokens: Vec<_> = (0..sizes.sessions).map(|_| add_session(&mut state, *me, &mut pools)).collect();
        for (slot, other) in (1..).zip(others.iter().take(sizes.online)) {
            let token = add_session(&mut state, *other, &mut Pools::default());
            connect(&mut state, &token, slot);
        }
        state.store.commit().unwrap();
        let token = tokens.into_iter().next().expect("a session");
        let connection = connection_numbered(0);
        connect(&mut state, &token, 0);
        state.presence.commit();
        state.presence.take_diff();
        Self { state, now, connection, token, pools }
    }
}

impl Filled {
    /// Returns the id of the user.
    pub(super) fn user(&self) -> UserId {
        self.state.presence.user_of(self.connection).expect("a user")
    }
}

/// Opens a new connection of a session.
pub(super) fn open(state: &mut State, token: TokenHash) {
    state.opened(connection_numbered(u32::MAX >> 8), &Credential::Tokens(vec![token])).unwrap();
}

fn add_user(state: &mut State, number: usize, pools: &mut Pools) -> UserId {
    // Names of several scripts, and of all lengths.
    let name = match number % 5 {
        0 => format!("User {number}"),
        1 => format!("{}{number}", "m".repeat(24)),
        2 => format!("{}{number}", "Ж".repeat(20)),
        3 => format!("{}{number}", "明".repeat(20)),
        _ => format!("{}{number}", "é".repeat(20)),
    };
    let name = Name::new(&name).unwrap();
    pools.user_names.push(name.as_str().to_owned());
    state.store.add_user(name.as_str(), name.key(), Some("a hash"), 0).unwrap().expect("a new name")
}

fn fill_rooms(state: &mut State, me: UserId, others: &[UserId], sizes: Sizes, pools: &mut Pools) {
    pools.rooms.push(LOBBY);
    for number in 0..sizes.rooms {
        let name = match number % 4 {
            0 => format!("Room {number}"),
            1 => format!("aaa aab {number}"),
            2 => format!("{}{number}", "🦀".repeat(34)),
            _ => format!("{}{number}", "ア・".repeat(17)),
        };
        let name = RoomName::new(&name).unwrap();
        let key = RoomKind::key_of_name(name.key());
        let room = state.store.add_room(RoomKind::Public, name.as_str(), &key, &"é".repeat(200), &pools.epoch);
        let room = room.unwrap().expect("a new name");
        pools.room_names.push(name.as_str().to_owned());
        // The user is in the first ones, and in no more than a user may be.
        if number < MAX_ROOMS {
            state.store.set_role(room, me, if number < OWNED { Role::Owner } else { Role::Member }, 0).unwrap();
            pools.rooms.push(room);
        }
        if number < OWNED {
            for (place, other) in others.iter().take(sizes.members).enumerate() {
                let role = if place % 2 == 1 { Role::Banned } else { Role::Member };
                state.store.set_role(room, *other, role, 0).unwrap();
            }
            let text = text_of(number);
            pools.hashes = vec![EntryHash::default()];
            for seq in 1..=sizes.messages {
                let author = others.get(seq % 50).copied().unwrap_or(me);
                pools.hashes.push(append(state, room, author, seq as u64, &text).hash);
            }
        } else {
            append(state, room, me, 1, "Hello");
        }
    }
    pools.messages = sizes.messages as u64;
}

/// Returns a text of a room that the user owns: the longest, one that JSON escapes, or a short one.
fn text_of(room: usize) -> String {
    match room {
        0 => "😀".repeat(4_000),
        1 => "\"\\".repeat(2_000),
        _ => "Yes.".to_owned(),
    }
}

fn append(state: &mut State, room: RoomId, author: UserId, seq: u64, text: &str) -> Stamp {
    let new = NewEntry { entry: Entry::Said, author, key: None, text: Some(text), about: None, other: None };
    let stamp = Stamp::new(seq, 0, &new);
    assert!(state.store.append(room, stamp, &new).unwrap());
    stamp
}

fn add_session(state: &mut State, user: UserId, pools: &mut Pools) -> Token {
    let token = Token::random();
    let row = state.store.user(user).unwrap().expect("a user");
    let session =
        state.store.add_session(&row, &token.hash(), state.now.wall, u64::MAX >> 1, UserAgent::default()).unwrap();
    pools.sessions.push(json!(session.id));
    token
}

/// Connects a session of a user, without a welcome.
fn connect(state: &mut State, token: &Token, slot: u32) {
    let session = state.store.session_of_token(&token.hash()).unwrap().expect("a session");
    let user = state.store.user(session.user).unwrap().expect("a user");
    let folded = user.folded.as_deref().expect("a folded name");
    let connection = connection_numbered(slot);
    state.presence.connect(NewConnection {
        connection,
        name: &user.name,
        folded,
        guest: false,
        known: DirectsEnd::default(),
        session: &session,
    });
}

/// Rooms that the user owns, with members and messages.
const OWNED: usize = 3;
/// Rooms that the user is in at most.
const MAX_ROOMS: usize = 200;
