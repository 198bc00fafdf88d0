//! Every limit of the chat at 0, at 1 and at its maximum: a guest signs in, connects, creates a room, and writes to it
//! and to another user. Each limit allows that or refuses a step of it, and the chat goes on.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use switchboard::Server;
use switchboard_chat::{ChatConfig, ChatService, Rate};
use switchboard_tests::{
    fields::{assert_complete, fields_of},
    server::config,
};

use crate::support::chat_user::{ChatUser, PASSWORD, json_of, post, request};

/// A field of [`ChatConfig`], how to set it to the values in [`EXTREMES`], and what the guest gets with each.
type Row = (&'static str, fn(&mut ChatConfig, usize), [&'static str; 3]);

const EXTREMES: [usize; 3] = [0, 1, usize::MAX];
const WORKS: &str = "works";

const ROWS: &[Row] = &[
    ("session_idle", |c, n| c.session_idle = time(n), ["no welcome", "no welcome", WORKS]),
    ("session_lifetime", |c, n| c.session_lifetime = time(n), ["no welcome", "no welcome", WORKS]),
    ("waiting_event_bytes", |c, n| c.waiting_event_bytes = n, ["create: overloaded", "create: overloaded", WORKS]),
    ("limits.text_chars", |c, n| c.limits.text_chars = n, ["say: too_long", "say: too_long", WORKS]),
    ("limits.topic_chars", |c, n| c.limits.topic_chars = n, ["create: too_long", "create: too_long", WORKS]),
    ("limits.name_chars", |c, n| c.limits.name_chars = n, ["guest: 400", "guest: 400", WORKS]),
    ("limits.room_name_chars", |c, n| c.limits.room_name_chars = n, ["create: bad_name", "create: bad_name", WORKS]),
    ("limits.events", |c, n| c.limits.events = rate(n), ["create: too_fast", "say: too_fast", WORKS]),
    ("limits.messages", |c, n| c.limits.messages = rate(n), ["create: too_fast", "say: too_fast", WORKS]),
    ("limits.entries", |c, n| c.limits.entries = rate(n), ["create: too_fast", WORKS, WORKS]),
    // A guest may always begin one: a share of a rate is at least one.
    ("limits.conversations", |c, n| c.limits.conversations = rate(n), [WORKS; 3]),
    ("limits.sign_ins", |c, n| c.limits.sign_ins = rate(n), [WORKS; 3]),
    ("limits.sign_ups", |c, n| c.limits.sign_ups = rate(n), ["guest: 429", "guest: 429", WORKS]),
    ("limits.rooms", |c, n| c.limits.rooms = n, ["create: too_many_rooms", "create: too_many_rooms", WORKS]),
    ("limits.owned_rooms", |c, n| c.limits.owned_rooms = n, ["create: too_many_rooms", WORKS, WORKS]),
    ("limits.connections", |c, n| c.limits.connections = n, ["no welcome", WORKS, WORKS]),
    ("limits.kept_messages", |c, n| c.limits.kept_messages = n as u64, [WORKS; 3]),
];

/// Fields that are no limits.
const OTHERS: &[&str] = &["data", "guests", "registration", "public_url", "origins", "trusted_proxies"];

fn time(extreme: usize) -> Duration {
    if extreme == usize::MAX { Duration::MAX } else { Duration::from_nanos(extreme as u64) }
}

/// Returns a rate with the extremes of both its fields.
fn rate(extreme: usize) -> Rate {
    let at_once = u32::try_from(extreme).unwrap_or(u32::MAX);
    let per_second = match extreme {
        0 => 0.0,
        1 => f64::MIN_POSITIVE,
        _ => f64::MAX,
    };
    Rate { at_once, per_second }
}

/// Serves a chat. Returns the number of entries in the guest's room, or the first step that is refused, and why.
fn outcome(chat: ChatConfig) -> Result<usize, String> {
    let chat = ChatService::open(chat).unwrap();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config()).unwrap();
    let running = server.start(move |remote| chat.app(remote)).unwrap();
    let address = running.local_addr();
    let seen = steps(address);
    assert_eq!(request(address, "GET", "/api/session", &[], "").status, 200, "the chat goes on");
    running.stopper().stop();
    running.join().unwrap();
    seen
}

fn steps(address: SocketAddr) -> Result<usize, String> {
    let mut tokens = Vec::new();
    for name in ["Ann", "Bob"] {
        let answer = post(address, "/api/guest", &json!({"name": name, "token": true}));
        let token = json_of(&answer)["token"].as_str().map(str::to_owned);
        tokens.push(token.ok_or_else(|| format!("guest: {}", answer.status))?);
    }
    let mut ann = ChatUser::with_header(address, "Authorization", &format!("Bearer {}", tokens[0]));
    match ann.receive() {
        Ok(event) if event.name == "welcome" => {}
        _ => return Err("no welcome".into()),
    }
    let mut ask = |event: &str, data| ann.ask(event, data).map_err(|code| format!("{event}: {code}"));
    let created = ask("create", json!({"name": "Attic", "topic": "old things"}))?;
    let key = |number| uuid::Uuid::from_u64_pair(0, number).to_string();
    for number in [1, 2] {
        ask("say", json!({"room": created["room"]["room"], "text": "hello", "key": key(number)}))?;
    }
    ask("tell", json!({"name": "Bob", "text": "hello", "key": key(3)}))?;
    let page = ask("history", json!({"room": created["room"]["room"], "limit": 5}))?;
    Ok(page["messages"].as_array().expect("a list").len())
}

#[test]
fn each_limit_of_the_chat_at_its_extremes_refuses_or_allows() {
    let names: Vec<_> = ROWS.iter().map(|(name, ..)| *name).chain(OTHERS.iter().copied()).collect();
    let mut fields = fields_of(&ChatConfig::default());
    // A rate is one limit.
    fields.iter_mut().for_each(|field| *field = field.replace(".at_once", ""));
    fields.retain(|field| !field.ends_with(".per_second"));
    assert_complete(&names, &fields);
    for (name, set, expected) in ROWS {
        for (extreme, expected) in EXTREMES.into_iter().zip(expected) {
            let mut config = ChatConfig::default();
            config.guests = true;
            set(&mut config, extreme);
            let seen = outcome(config).map_or_else(|refusal| refusal, |_| WORKS.into());
            assert_eq!(seen, *expected, "{name} at {extreme}");
        }
    }
}

#[test]
fn a_room_keeps_at_least_its_last_entry() {
    for (kept_messages, entries) in [(0, 1), (1, 1), (2, 2), (u64::MAX, 3)] {
        let mut config = ChatConfig::default();
        config.guests = true;
        config.limits.kept_messages = kept_messages;
        assert_eq!(outcome(config), Ok(entries), "{kept_messages} are kept");
    }
}

#[test]
fn clients_learn_the_limits_before_they_sign_in_and_again_in_the_welcome() {
    let mut chat = ChatConfig::default();
    chat.guests = true;
    let limits = &mut chat.limits;
    (limits.text_chars, limits.topic_chars, limits.rooms) = (11, 12, 13);
    (limits.name_chars, limits.room_name_chars) = (14, 15);
    let chat = ChatService::open(chat).unwrap();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config()).unwrap();
    let running = server.start(move |remote| chat.app(remote)).unwrap();
    let address = running.local_addr();
    let expected = json!({
        "text": 11, "topic": 12, "rooms": 13, "name": 14, "room_name": 15, "password": 256, "password_min": 8
    });
    assert_eq!(json_of(&request(address, "GET", "/api/session", &[], ""))["limits"], expected);
    let answer = json_of(&post(address, "/api/guest", &json!({"name": "Ann", "token": true})));
    let token = answer["token"].as_str().expect("a token");
    let mut ann = ChatUser::with_header(address, "Authorization", &format!("Bearer {token}"));
    assert_eq!(ann.receive().unwrap().data["limits"], expected);
    running.stopper().stop();
    running.join().unwrap();
}

#[test]
fn names_have_at_most_128_characters_whatever_the_limit() {
    let mut chat = ChatConfig::default();
    chat.limits.name_chars = usize::MAX;
    let chat = ChatService::open(chat).unwrap();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config()).unwrap();
    let running = server.start(move |remote| chat.app(remote)).unwrap();
    for (length, registered, logged_in) in [(128, 201, 200), (129, 400, 401)] {
        let account = json!({"name": "a".repeat(length), "password": PASSWORD});
        assert_eq!(post(running.local_addr(), "/api/register", &account).status, registered, "{length}");
        assert_eq!(post(running.local_addr(), "/api/login", &account).status, logged_in, "{length}");
    }
    running.stopper().stop();
    running.join().unwrap();
}
