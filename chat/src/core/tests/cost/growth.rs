//! The cost of each event in a chat, and in one with ten times as much of one kind: what grows must be declared.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    super::{
        super::{
            events::{EVENTS, Growth},
            state::State,
        },
        LogIn, LogOut, Name, SignUp, Token, UserAgent,
    },
    DROPPED, RUNS, cost_of, cpu_time,
    filled::{self, Filled, Sizes},
    measure,
};

/// The kinds of things of which there may be ten times as many.
const KINDS: &[(Growth, fn(Sizes) -> Sizes)] = &[
    (Growth::Online, |sizes| Sizes { online: 10 * sizes.online, ..sizes }),
    (Growth::Rooms, |sizes| Sizes { rooms: 10 * sizes.rooms, ..sizes }),
    (Growth::Members, |sizes| Sizes { members: 10 * sizes.members, ..sizes }),
    (Growth::Messages, |sizes| Sizes { messages: 10 * sizes.messages, ..sizes }),
    (Growth::Sessions, |sizes| Sizes { sessions: 10 * sizes.sessions, ..sizes }),
    (Growth::Blocks, |sizes| Sizes { blocks: 10 * sizes.blocks, ..sizes }),
    (Growth::Conversations, |sizes| Sizes { conversations: 10 * sizes.conversations, ..sizes }),
];

/// Small, but more than the longest page of each list.
const BASE: Sizes =
    Sizes { online: 220, rooms: 450, members: 450, messages: 220, sessions: 10, blocks: 220, conversations: 110 };

/// Returns events whose data leads to the longest work.
pub(crate) fn each_event(filled: &Filled) -> Vec<(&'static str, Value)> {
    let room = filled.pools.rooms.get(1).expect("a room of the user");
    let conversation = filled.pools.rooms.last().expect("a conversation");
    // Every second user is banned.
    let (other, member) = (&filled.pools.user_names[1], &filled.pools.user_names[3]);
    let key = "0198c5a2-7d1e-7c43-9a51-3f2b8d6e4c10";
    let position = json!({ "epoch": filled.pools.epoch, "seq": filled.pools.messages });
    let earlier = json!({ "epoch": filled.pools.epoch, "seq": 20, "hash": filled.pools.hashes[20] });
    vec![
        ("auth", json!({ "token": "?" })),
        ("beat", json!({})),
        ("rooms", json!({})),
        ("rooms", json!({ "search": "aab" })),
        ("rooms", json!({ "search": "no such room" })),
        ("create", json!({ "name": "New" })),
        ("join", json!({ "room": room })),
        ("join", json!({ "room": room, "since": position })),
        ("join", json!({ "room": room, "since": earlier })),
        ("look", json!({ "room": room })),
        ("leave", json!({ "room": room })),
        ("leave", json!({ "room": filled.pools.rooms.get(3), "remove": true })),
        ("members", json!({ "room": room })),
        ("topic", json!({ "room": room, "topic": "New" })),
        ("invite", json!({ "room": filled.pools.rooms.get(4), "name": other })),
        ("kick", json!({ "room": room, "name": member })),
        ("ban", json!({ "room": room, "name": member })),
        ("unban", json!({ "room": room, "name": &filled.pools.user_names[10] })),
        ("bans", json!({ "room": room })),
        ("role", json!({ "room": room, "name": member, "role": "owner" })),
        ("delete", json!({ "room": room, "seq": filled.pools.messages })),
        ("remove", json!({ "room": room })),
        ("remove", json!({ "room": filled.pools.rooms.get(3) })),
        ("say", json!({ "room": room, "text": "Hello", "key": key })),
        ("say", json!({ "room": conversation, "text": "Hello", "key": key })),
        ("tell", json!({ "name": other, "text": "Hello", "key": key })),
        ("direct", json!({ "name": other })),
        ("conversations", json!({})),
        ("history", json!({ "room": room, "limit": 100 })),
        ("read", json!({ "room": room, "seq": filled.pools.messages })),
        ("typing", json!({ "room": room })),
        ("people", json!({})),
        ("people", json!({ "search": "" })),
        ("person", json!({ "name": member, "room": room })),
        ("blocks", json!({})),
        ("block", json!({ "name": other })),
        ("unblock", json!({ "name": filled.pools.user_names.last() })),
        ("sessions", json!({})),
        ("revoke", json!({ "session": filled.pools.sessions.last() })),
        ("revoke", json!({})),
        ("password", json!({ "old": "a long secret", "new": "another secret" })),
        ("delete_account", json!({ "password": "a long secret" })),
        ("notice", json!({ "text": "Hello" })),
        ("dismiss", json!({ "notice": 1 })),
    ]
}

/// Everything else that the core's thread does.
type Work = (&'static str, fn(&Filled) -> Box<dyn Fn(&mut State)>);
const OTHER_WORK: &[Work] = &[
    (WELCOME, |filled| {
        let token = filled.token.hash();
        Box::new(move |state| filled::open(state, token))
    }),
    ("<closed>", |filled| {
        let connection = filled.connection;
        Box::new(move |state| {
            let _ = state.presence.disconnect(connection);
        })
    }),
    ("<sign up>", |_| {
        let name = Name::new("New").unwrap();
        let (token, agent) = (Token::random().hash(), UserAgent::default());
        let request = SignUp { name, password_hash: None, token, agent };
        Box::new(move |state| drop(state.sign_up(&request).unwrap()))
    }),
    (LOG_IN, |filled| {
        let user = filled.user();
        let (token, agent) = (Token::random().hash(), UserAgent::default());
        let request = LogIn { user, password_hash: "a hash".to_owned(), token, agent };
        Box::new(move |state| drop(state.log_in(&request).unwrap()))
    }),
    ("<log out>", |filled| {
        let request = LogOut { tokens: vec![filled.token.hash()], remove: Vec::new() };
        Box::new(move |state| state.log_out(&request).unwrap().unwrap())
    }),
    (REMOVE_USER, |filled| {
        let user = filled.user();
        Box::new(move |state| state.remove_user(user).unwrap())
    }),
];

/// Returns a chat in which each list is longer than its longest page.
pub(crate) fn filled() -> Filled {
    Filled::new(BASE)
}

fn costs(sizes: Sizes) -> Vec<(String, &'static str, Duration)> {
    let mut filled = Filled::new(sizes);
    let mut costs = Vec::new();
    for (name, data) in each_event(&filled) {
        let took = cost_of(&mut filled, &json!([name, data, 1])).took;
        costs.push((format!("{name} {data}"), name, took));
    }
    for (name, prepare) in OTHER_WORK {
        let work = prepare(&filled);
        costs.push(((*name).to_owned(), name, measure(&mut filled.state, RUNS, || &work).took));
    }
    costs.push((TICK.to_owned(), TICK, (0..RUNS).map(|_| cost_of_a_tick(&mut filled)).min().expect("some runs")));
    costs
}

/// Measures a tick with a sweep, in transactions of its own, when all sessions have been looked at once.
fn cost_of_a_tick(filled: &mut Filled) -> Duration {
    while filled.state.has_overdue {
        filled.state.tick(filled.now, &DROPPED);
    }
    filled.state.last_sweep = None;
    let start = cpu_time();
    filled.state.tick(filled.now, &DROPPED);
    cpu_time() - start
}

#[test]
fn what_grows_with_the_chat_is_declared_beside_the_handler() {
    // A busy machine may slow down one of two measurements, but not the same one again and again.
    let mut found = differences();
    for _ in 1..ATTEMPTS {
        if !found.is_empty() {
            let again = differences();
            found.retain(|what, _| again.contains_key(what));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Returns what grows and is not declared to, and what is declared to grow and does not; the former with its costs.
fn differences() -> BTreeMap<String, [Duration; 2]> {
    let base = costs(BASE);
    for row in EVENTS {
        assert!(base.iter().any(|(_, name, _)| *name == row.name), "{} is not measured", row.name);
    }
    let (mut found, mut shown) = (BTreeMap::new(), Vec::new());
    for (kind, enlarge) in KINDS {
        for ((what, name, small), (_, _, large)) in base.iter().zip(costs(enlarge(BASE))) {
            let declared = declared(name).contains(kind);
            let grows = large > small.mul_f64(1.8) + FLOOR;
            if grows {
                shown.push((*name, *kind));
            }
            if grows && !declared {
                let shown: String = what.chars().take(80).collect();
                found.insert(format!("{shown} grows with {kind:?}"), [*small, large]);
            }
        }
    }
    for row in EVENTS {
        for kind in row.grows {
            if !shown.contains(&(row.name, *kind)) {
                found.insert(format!("{} does not grow with {kind:?}", row.name), [Duration::ZERO; 2]);
            }
        }
    }
    found
}

/// Returns what the cost of an event or of other work may grow with.
fn declared(name: &str) -> &'static [Growth] {
    match name {
        // The names of at most 1,000 users online.
        WELCOME => &[Growth::Online],
        // A user has at most 100 sessions.
        REMOVE_USER | LOG_IN => &[Growth::Sessions],
        name => EVENTS.iter().find(|row| row.name == name).map_or(&[], |row| row.grows),
    }
}

const ATTEMPTS: usize = 3;
/// A new connection.
const WELCOME: &str = "<opened>";
const LOG_IN: &str = "<log in>";
const REMOVE_USER: &str = "<remove user>";
const TICK: &str = "<tick>";
/// Differences below this are not looked at.
const FLOOR: Duration = Duration::from_micros(if cfg!(debug_assertions) { 100 } else { 15 });
