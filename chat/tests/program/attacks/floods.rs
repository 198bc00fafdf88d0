//! AP-01 and RS-01: exceeding limits.

use std::{net::SocketAddr, time::Instant};

use serde_json::{Value, json};
use switchboard::CloseCode;
use switchboard_tests::process::peak_of_memory;
use switchboard_tests::server::{LONG, OPENING, Raw, frame};

use super::{GENEROUS, LOBBY, PLENTY, chat, generous_chat, key, words};
use crate::support::chat_user::{ChatUser, End, Reply, account, guest};

fn refused(code: &str) -> Reply {
    Err(code.to_owned())
}

#[test]
fn ap_01_the_rooms_that_a_user_joins_and_owns_are_limited() {
    let program = chat(&["--max-rooms", "5", "--max-owned-rooms", "3", "--event-rate", PLENTY]);
    let [mut ann, mut eve] = ["Ann", "Eve"].map(|name| ChatUser::guest(program.address(), name));
    let create = |user: &mut ChatUser, name: String| {
        user.ask("create", json!({"name": name})).map(|made| made["room"]["room"].clone())
    };
    let anns: Vec<_> = (0..3).map(|number| create(&mut ann, format!("Ann's {number}")).unwrap()).collect();
    assert_eq!(create(&mut ann, "Ann's last".into()), refused("too_many_rooms"));
    create(&mut eve, "Eve's".into()).unwrap();
    for room in &anns {
        eve.ask("join", json!({"room": room})).unwrap();
    }
    // Eve is in the Lobby, in one room of her own, and in three others.
    ann.ask("leave", json!({"room": LOBBY})).unwrap();
    ann.ask("leave", json!({"room": anns[0]})).unwrap();
    let another = create(&mut ann, "Ann's last".into()).unwrap();
    assert_eq!(create(&mut eve, "Eve's second".into()), refused("too_many_rooms"));
    for join in [json!({"room": another}), json!({"name": "Ann's last"})] {
        assert_eq!(eve.ask("join", join), refused("too_many_rooms"));
    }
    ann.ask("invite", json!({"room": another, "name": "Eve"})).unwrap();
    assert_eq!(eve.ask("join", json!({"room": another})), refused("too_many_rooms"), "not by an invitation either");
    assert!(eve.ask("join", json!({"room": anns[1]})).is_ok(), "a member may join again");
    eve.ask("leave", json!({"room": anns[0], "remove": true})).unwrap();
    assert!(eve.ask("join", json!({"room": another})).is_ok());
}

/// One guest invites a user into all of the guest's rooms, and so do a hundred others.
#[test]
fn ap_01_strangers_cannot_use_up_the_invitations_of_a_user() {
    let program = chat(&[&GENEROUS[..], &["--max-owned-rooms", "100"]].concat());
    let address = program.address();
    let victim = account(address, "Victim");
    let invitations = || {
        let (_, welcome) = ChatUser::with_welcome(address, &victim);
        let invited = welcome["rooms"].as_array().unwrap().iter().filter(|room| room["role"] == "invited");
        (invited.count(), welcome.to_string().len())
    };
    let create = |user: &mut ChatUser| {
        user.ask("create", json!({"name": "Den", "kind": "invited", "topic": "\u{1f600}".repeat(200)})).unwrap()["room"]
            ["room"]
            .clone()
    };
    let mut eve = ChatUser::guest(address, "Eve");
    for number in 0..59 {
        let room = create(&mut eve);
        let invited = eve.ask("invite", json!({"room": room, "name": "Victim"}));
        assert_eq!(invited.is_ok(), number < 10, "{number}: {invited:?}");
    }
    assert_eq!(invitations().0, 10);
    let mut friend = ChatUser::with_token(address, &account(address, "Friend"));
    let den = create(&mut friend);
    friend.ask("invite", json!({"room": den, "name": "Victim"})).unwrap();
    assert_eq!(invitations().0, 11);

    for number in 0..100 {
        let mut guest = ChatUser::guest(address, &format!("Guest {number}"));
        let room = create(&mut guest);
        guest.ask("invite", json!({"room": room, "name": "Victim"})).unwrap();
    }
    let (count, bytes) = invitations();
    assert_eq!(count, 50);
    assert!(bytes < 64 << 10, "{bytes} bytes");
    let second = create(&mut friend);
    friend.ask("invite", json!({"room": second, "name": "Victim"})).unwrap();
    let mut victim = ChatUser::with_token(address, &victim);
    for room in [den, second] {
        let entered = victim.ask("join", json!({"room": room})).unwrap();
        assert_eq!(entered["room"]["role"], "member", "the friend's invitations are open");
    }
}

/// A thousand guests say hi to a user, who then can begin a conversation, and still sees what friends write.
#[test]
fn ap_01_strangers_cannot_use_up_the_conversations_of_a_user_or_the_welcome() {
    let program = generous_chat();
    let address = program.address();
    let mut friend = ChatUser::with_token(address, &account(address, "Friend"));
    let mut bystander = ChatUser::with_token(address, &account(address, "Bystander"));
    let token = account(address, "Victim");
    let mut victim = ChatUser::with_token(address, &token);
    let tell = |name: &str| json!({"name": name, "text": "hi", "key": key()});
    // 32 characters, most of them of four bytes.
    let name_of = |number: usize| format!("{}{number:04}", "\u{20000}".repeat(28));
    let room = victim.ask("tell", tell("Friend")).unwrap()["room"].clone();
    let unanswered = bystander.ask("tell", tell("Victim")).unwrap()["room"].clone();
    drop(victim);
    let mut guests: Vec<_> = (0..1_000)
        .map(|number| {
            let mut guest = ChatUser::guest(address, &name_of(number));
            guest.ask("tell", tell("Victim")).unwrap();
            guest
        })
        .collect();
    friend.ask("tell", tell("Victim")).unwrap();

    let (mut victim, welcome) = ChatUser::with_welcome(address, &token);
    let bytes = welcome.to_string().len();
    assert!(bytes < 64 << 10, "{bytes} bytes");
    let rooms = welcome["rooms"].as_array().unwrap();
    assert_eq!(rooms.len(), 1 + 100);
    assert!(rooms.iter().any(|each| each["room"] == room && each["unread"] == 1), "the friend's message is seen");
    victim.ask("tell", tell("Nobody")).unwrap_err();
    for name in ["Bystander", &name_of(0), &name_of(999)] {
        victim.ask("tell", tell(name)).unwrap();
    }
    ChatUser::guest(address, "New");
    let new = victim.ask("tell", tell("New")).unwrap()["room"].clone();

    // The rest comes in pages.
    let (mut listed, mut older) = (rooms.len() - 1, welcome["older"].clone());
    while !older.is_null() {
        let page = victim.ask("conversations", json!({ "older": older })).unwrap();
        listed += page["rooms"].as_array().unwrap().len();
        older = page["older"].clone();
    }
    // Those that became active meanwhile have moved to the front.
    assert!((1_000..=1_002).contains(&listed), "{listed}");
    // A message in a conversation that the welcome does not contain comes nevertheless.
    victim.received_so_far();
    guests[3].ask("tell", tell("Victim")).unwrap();
    assert_eq!(victim.expect_event("room")["name"], name_of(3));
    assert_eq!(victim.expect_event("message")["text"], "hi");

    // The victim can get rid of all of them.
    for number in 0..1_000 {
        victim.ask("block", json!({"name": name_of(number)})).unwrap();
    }
    let (_, welcome) = ChatUser::with_welcome(address, &token);
    let mut left: Vec<_> = welcome["rooms"].as_array().unwrap().iter().map(|each| each["room"].clone()).collect();
    left.sort_by_key(Value::as_u64);
    assert_eq!(left, [json!(LOBBY), room, unanswered, new]);
    assert!(welcome["older"].is_null());
    assert_eq!((welcome["blocked"].as_array().unwrap().len(), &welcome["blocked_more"]), (200, &json!(true)));
}

/// A guest greets many users, as fast as the chat allows it.
#[test]
fn ap_01_a_guest_begins_few_conversations() {
    let program = chat(&["--sign-in-rate", PLENTY, "--event-rate", PLENTY, "--message-rate", PLENTY]);
    let address = program.address();
    let mut eve = ChatUser::guest(address, "Eve");
    let greeted = (0..50).filter(|number| {
        let name = format!("Guest {number}");
        guest(address, &name);
        eve.ask("tell", json!({"name": name, "text": "hi", "key": key()})).is_ok()
    });
    assert_eq!(greeted.count(), 5);
}

#[test]
fn ap_01_events_of_a_connection_are_limited_malformed_ones_included_and_others_are_not_affected() {
    let program = chat(&["--event-rate", "10+1/h"]);
    let token = guest(program.address(), "Eve");
    let mut calm = ChatUser::guest(program.address(), "Ann");
    for flood in [r#"["people",null,"x"]"#, r#"["nonsense",null,"x"]"#, "nonsense", r#"["beat",null,"x"]"#] {
        let mut eve = ChatUser::with_token(program.address(), &token);
        (0..10).for_each(|_| eve.send_text(flood));
        for _ in 0..20 {
            assert_eq!(eve.ask("people", Value::Null), refused("too_fast"), "after {flood}");
        }
    }
    assert!(calm.ask("people", Value::Null).is_ok());
}

#[test]
fn ap_01_messages_of_a_user_are_limited_over_all_connections_and_repeats_are_acknowledged() {
    let program = chat(&["--message-rate", "4+1/h", "--event-rate", PLENTY]);
    let token = guest(program.address(), "Eve");
    let mut eves = [(); 2].map(|()| ChatUser::with_token(program.address(), &token));
    let mut ann = ChatUser::guest(program.address(), "Ann");
    let said: Vec<_> = (0..4)
        .map(|number| {
            let what = words(&LOBBY.into(), "spam");
            (eves[number % 2].ask("say", what.clone()).unwrap(), what)
        })
        .collect();
    for eve in &mut eves {
        assert_eq!(eve.ask("say", words(&LOBBY.into(), "spam")), refused("too_fast"));
        assert_eq!(eve.ask("tell", json!({"name": "Ann", "text": "spam", "key": key()})), refused("too_fast"));
        for (place, what) in &said {
            assert_eq!(eve.ask("say", what.clone()).as_ref(), Ok(place), "a repeat is acknowledged with its position");
        }
    }
    assert!(ann.ask("say", words(&LOBBY.into(), "no spam")).is_ok());
    let page = ann.ask("history", json!({"room": LOBBY})).unwrap();
    assert_eq!(page["messages"].as_array().unwrap().len(), 5, "{page}");
}

#[test]
fn ap_01_connections_of_a_user_are_limited() {
    let program = chat(&["--max-connections-each", "3"]);
    let address = program.address();
    let (token, other) = (guest(address, "Eve"), guest(address, "Ann"));
    let bearer = format!("Bearer {token}");
    let mut inside: Vec<_> = (0..3).map(|_| ChatUser::with_token(address, &token)).collect();
    for _ in 0..10 {
        let (events, end) = ChatUser::with_header(address, "Authorization", &bearer).until_end();
        assert_eq!((events.len(), &events[0].data["code"]), (1, &json!("too_many_connections")));
        assert_eq!(end, End::Closed(CloseCode::POLICY_VIOLATION.get()));
        let mut late = ChatUser::unauthenticated(address);
        late.send("auth", &json!({"token": token}));
        assert_eq!(late.until_end().1, End::Closed(CloseCode::POLICY_VIOLATION.get()));
    }
    assert!(inside.iter_mut().all(|eve| eve.ask("people", Value::Null).is_ok()), "the open connections stay open");
    ChatUser::with_token(address, &other);
    // After one connection has closed, another may open.
    drop(inside.pop());
    let started = Instant::now();
    while ChatUser::with_header(address, "Authorization", &bearer).receive().expect("an event").name != "welcome" {
        assert!(started.elapsed() < LONG, "no new connection is accepted");
    }
}

/// Joins the Lobby over a raw connection, from which nothing is read until the test does so.
pub(super) fn raw_member(address: SocketAddr, token: &str) -> Raw {
    let mut raw = Raw::connect_with_short_segments(address);
    let fields = format!("Host: {address}\r\nAuthorization: Bearer {token}\r\n");
    raw.write(OPENING.replace("GET / ", "GET /ws ").replace("Host: localhost\r\n", &fields));
    assert_eq!(raw.head().status, 101);
    raw.text(&json!(["join", {"room": LOBBY}, 1]).to_string());
    while !raw.frame().payload.starts_with(br#"["ack""#) {}
    raw
}

#[test]
fn rs_01_members_who_never_read_are_closed_and_all_others_receive_everything_in_order() {
    let program = generous_chat();
    let address = program.address();
    let mut silent = ["Tom", "Tim"].map(|name| raw_member(address, &guest(address, name)));
    let mut readers = ["Ann", "Bob", "Cem"].map(|name| ChatUser::guest(address, name));
    for reader in &mut readers {
        reader.ask("join", json!({"room": LOBBY})).unwrap();
    }
    // More than the kernel buffers for a connection that is not read, and more than the server's send buffer.
    let text = "x".repeat(4_000);
    for seq in 1..=400 {
        let said = readers[seq % 3].ask("say", words(&LOBBY.into(), &text)).unwrap();
        assert_eq!(said["seq"], seq);
        for reader in &mut readers {
            let message = reader.expect_event("message");
            assert_eq!((&message["seq"], message["text"].as_str()), (&json!(seq), Some(&*text)));
        }
    }
    for raw in &mut silent {
        let (frames, code) = raw.until_close();
        assert_eq!(code, CloseCode::POLICY_VIOLATION.get());
        let seqs: Vec<u64> = frames
            .iter()
            .filter_map(|frame| {
                let event: Value = serde_json::from_slice(&frame.payload).unwrap();
                (event[0] == "message").then(|| event[1]["seq"].as_u64().unwrap())
            })
            .collect();
        assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "the received messages are in order");
        assert!(seqs.len() < 400, "slow members do not get all messages");
    }
    // Slow members may reconnect, and catch up.
    let mut tom = ChatUser::guest(address, "Tom again");
    let missed = tom.ask("join", json!({"room": LOBBY})).unwrap();
    assert_eq!((&missed["room"]["seq"], &missed["live"]), (&json!(400), &json!(true)));
}

/// Each connection requests the longest history a hundred times at once, and reads no reply.
#[test]
fn rs_01_many_requests_without_reading_cost_little_memory_and_do_not_delay_others() {
    let program = generous_chat();
    let address = program.address();
    let mut ann = ChatUser::guest(address, "Ann");
    let text = "\u{1f600}".repeat(4_000);
    for _ in 0..100 {
        ann.ask("say", words(&LOBBY.into(), &text)).unwrap();
    }
    let names = (0..10).map(|number| format!("Tom {number}"));
    let mut greedy: Vec<_> = names.map(|name| raw_member(address, &guest(address, &name))).collect();
    let before = peak_of_memory(program.id());
    let history = json!(["history", {"room": LOBBY, "limit": 100}, 1]).to_string();
    for raw in &mut greedy {
        raw.write(frame(0x81, history.as_bytes()).repeat(100));
    }
    // All of them have been handled when a later event has its reply.
    ann.ask("say", words(&LOBBY.into(), "is anybody here?")).expect("a reply in time");
    let more = peak_of_memory(program.id()) - before;
    assert!(more < 256 << 20, "{} MiB", more >> 20);
}
