//! AP-01 and RS-01: reading and changing other users' rooms, and removing large ones.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{LOBBY, generous_chat, key, words};
use crate::support::chat_user::{ChatUser, Event, Reply};

/// Returns every event about one room, except `join`.
fn events_about(room: &Value) -> Vec<(&'static str, Value)> {
    vec![
        ("leave", json!({"room": room})),
        ("topic", json!({"room": room, "topic": "mine"})),
        ("invite", json!({"room": room, "name": "Eve"})),
        ("kick", json!({"room": room, "name": "Ann"})),
        ("ban", json!({"room": room, "name": "Ann"})),
        ("unban", json!({"room": room, "name": "Ann"})),
        ("role", json!({"room": room, "name": "Eve", "role": "owner"})),
        ("delete", json!({"room": room, "seq": 1})),
        ("remove", json!({"room": room})),
        ("members", json!({"room": room})),
        ("history", json!({"room": room})),
        ("history", json!({"room": room, "after": 0})),
        ("read", json!({"room": room, "seq": 1})),
        ("typing", json!({"room": room})),
        ("say", words(room, "may I?")),
    ]
}

/// Creates a room of this kind.
#[track_caller]
fn create(owner: &mut ChatUser, name: &str, kind: &str) -> Value {
    owner.ask("create", json!({"name": name, "kind": kind})).unwrap()["room"]["room"].clone()
}

fn guests<const N: usize>(address: SocketAddr, names: [&str; N]) -> [ChatUser; N] {
    names.map(|name| ChatUser::guest(address, name))
}

fn refused(code: &str) -> Reply {
    Err(code.to_owned())
}

/// Returns the received events about rooms and their messages.
fn room_events(user: &mut ChatUser) -> Vec<Event> {
    user.received(&["message", "room", "typing", "gone", "read"])
}

#[test]
fn ap_01_invited_and_direct_rooms_of_others_seem_not_to_exist() {
    let program = generous_chat();
    let [mut ann, mut bob, mut eve] = guests(program.address(), ["Ann", "Bob", "Eve"]);
    let invited = create(&mut ann, "Secret garden", "invited");
    ann.ask("say", words(&invited, "the key is under the mat")).unwrap();
    let reply = ann.ask("tell", json!({"name": "Bob", "text": "between us", "key": key()})).unwrap();
    let direct = reply["room"].clone();
    bob.ask("say", words(&direct, "sure")).unwrap();

    let mut ask_all = |room: &Value| -> Vec<(&str, Value)> {
        let mut events = events_about(room);
        events.push(("join", json!({"room": room})));
        events.push(("look", json!({"room": room})));
        events.push(("person", json!({"name": "Ann", "room": room})));
        events.push(("join", json!({"room": room, "since": {"epoch": "x", "seq": 0}})));
        let answers = events.into_iter().map(|(event, data)| {
            let id = eve.send(event, &data);
            let answer = eve.reply_to(&id.into());
            assert_eq!((&*answer.name, &answer.data["code"]), ("error", &json!("unknown_room")), "{event} {data}");
            (event, answer.data)
        });
        answers.collect()
    };
    let nowhere = ask_all(&json!(4_000_000));
    for room in [&invited, &direct] {
        assert_eq!(ask_all(room), nowhere, "the replies are identical");
    }
    for name in ["Secret garden", "secret  GARDEN", "Bob", "Ann", "pair 1 2", "name lobby", ""] {
        assert_eq!(eve.ask("join", json!({"name": name})), refused("unknown_room"), "{name:?}");
    }
    for search in ["", "s", "Secret garden"] {
        let rooms = eve.ask("rooms", json!({"search": search})).unwrap();
        let names: Vec<_> = rooms["rooms"].as_array().unwrap().iter().map(|room| &room["name"]).collect();
        let expected: &[&str] = if search.is_empty() { &["Lobby"] } else { &[] };
        assert_eq!(names, expected, "{search:?}");
    }
    assert_eq!(room_events(&mut eve), [], "no event about them is received");
    // None of it had an effect.
    let page = ann.ask("history", json!({"room": invited})).unwrap();
    assert_eq!(page["messages"].as_array().unwrap().len(), 2, "joined and said: {page}");
    assert_eq!(bob.ask("history", json!({"room": direct})).unwrap()["messages"].as_array().unwrap().len(), 2);
}

#[test]
fn ap_01_a_public_room_must_be_joined_first() {
    let program = generous_chat();
    let [mut ann, mut eve] = guests(program.address(), ["Ann", "Eve"]);
    let room = create(&mut ann, "Market", "public");
    for (event, data) in events_about(&room) {
        assert_eq!(eve.ask(event, data.clone()), refused("not_member"), "{event} {data}");
    }
    ann.ask("say", words(&room, "fish!")).unwrap();
    assert_eq!(room_events(&mut eve), []);
    let entered = eve.ask("join", json!({"room": room})).unwrap();
    assert_eq!(entered["room"]["role"], "member");
    // A member lacks an owner's rights.
    let owners = ["topic", "kick", "ban", "unban", "role", "delete", "remove"];
    for (event, mut data) in events_about(&room).into_iter().filter(|(event, _)| owners.contains(event)) {
        if event == "delete" {
            data["seq"] = json!(2);
        }
        assert_eq!(eve.ask(event, data.clone()), refused("not_owner"), "{event} {data}");
    }
    let page = ann.ask("history", json!({"room": room, "after": 1, "limit": 1})).unwrap();
    assert_eq!(page["messages"][0]["text"], "fish!");
}

/// Nobody owns a direct room, not even its two members.
#[test]
fn ap_01_a_direct_room_has_no_owner_and_no_third_member() {
    let program = generous_chat();
    let [mut ann, mut bob, _eve] = guests(program.address(), ["Ann", "Bob", "Eve"]);
    let room = ann.ask("direct", json!({"name": "Bob"})).unwrap()["room"]["room"].clone();
    bob.ask("tell", json!({"name": "Ann", "text": "hi", "key": key()})).unwrap();
    let owners = ["topic", "invite", "kick", "ban", "unban", "role", "remove"];
    for user in [&mut ann, &mut bob] {
        for (event, data) in events_about(&room).into_iter().filter(|(event, _)| owners.contains(event)) {
            assert_eq!(user.ask(event, data.clone()), refused("not_owner"), "{event} {data}");
        }
    }
    assert_eq!(ann.ask("delete", json!({"room": room, "seq": 1})), refused("not_owner"), "Bob said that");
}

#[test]
fn ap_01_after_a_kick_a_ban_or_leaving_a_user_receives_nothing() {
    for kind in ["public", "invited"] {
        let program = generous_chat();
        let address = program.address();
        let mut ann = ChatUser::guest(address, "Ann");
        let room = create(&mut ann, "Market", kind);
        // Each user is connected twice.
        let mut leaving = ["Kicked", "Banned", "Left"].map(|name| {
            let token = crate::support::chat_user::guest(address, name);
            ann.ask("invite", json!({"room": room, "name": name})).unwrap();
            let mut users = [(); 2].map(|()| ChatUser::with_token(address, &token));
            for user in &mut users {
                user.ask("join", json!({"room": room})).unwrap();
            }
            (name, users)
        });
        ann.ask("kick", json!({"room": room, "name": "Kicked"})).unwrap();
        ann.ask("ban", json!({"room": room, "name": "Banned"})).unwrap();
        leaving[2].1[0].ask("leave", json!({"room": room})).unwrap();
        ann.ask("say", words(&room, "now that they are gone")).unwrap();
        ann.ask("typing", json!({"room": room})).unwrap();
        ann.ask("topic", json!({"room": room, "topic": "those who are gone"})).unwrap();
        for (name, users) in &mut leaving {
            for user in users {
                let events = room_events(user);
                let gone = events.iter().position(|event| event.name == "gone").expect("a gone event");
                assert_eq!(events[gone].data, json!({"room": room, "reason": name.to_lowercase()}));
                assert_eq!(events[gone + 1..], [], "{name}, {kind}");
                let said = |event: &Event| event.data["text"].as_str().is_some_and(|text| text.contains("gone"));
                assert!(!events.iter().any(said), "{events:?}");
                // For a formerly invited user the room seems not to exist.
                let code = if kind == "public" { "not_member" } else { "unknown_room" };
                for (event, data) in events_about(&room) {
                    assert_eq!(user.ask(event, data.clone()), refused(code), "{name}, {kind}: {event} {data}");
                }
            }
        }
        let mut join = |number: usize| leaving[number].1[0].ask("join", json!({"room": room}));
        match kind {
            "public" => {
                assert_eq!(join(1), refused("banned"));
                assert!(join(0).is_ok() && join(2).is_ok());
            }
            _ => (0..3).for_each(|number| assert_eq!(join(number), refused("unknown_room"))),
        }
        // A banned user cannot be invited.
        assert_eq!(ann.ask("invite", json!({"room": room, "name": "Banned"})), refused("banned"));
        ann.ask("unban", json!({"room": room, "name": "Banned"})).unwrap();
        ann.ask("invite", json!({"room": room, "name": "Banned"})).unwrap();
        assert!(leaving[1].1[1].ask("join", json!({"room": room})).is_ok());
    }
}

#[test]
fn ap_01_a_removed_room_is_gone_for_all() {
    let program = generous_chat();
    let [mut ann, mut bob] = guests(program.address(), ["Ann", "Bob"]);
    let room = create(&mut ann, "Market", "public");
    bob.ask("join", json!({"room": room})).unwrap();
    ann.ask("remove", json!({"room": room})).unwrap();
    for user in [&mut ann, &mut bob] {
        assert_eq!(user.expect_event("gone"), json!({"room": room, "reason": "removed"}));
        for (event, data) in events_about(&room) {
            assert_eq!(user.ask(event, data.clone()), refused("unknown_room"), "{event} {data}");
        }
    }
    // Its id is not reused.
    assert_ne!(create(&mut bob, "Market", "public"), room);
    for lobby in [&mut ann, &mut bob] {
        assert_eq!(lobby.ask("remove", json!({"room": LOBBY})), refused("not_owner"));
    }
}

/// More members than learn of it in the same transaction.
#[test]
fn rs_01_each_member_of_a_large_room_that_is_removed_learns_it_once() {
    let program = generous_chat();
    let address = program.address();
    let mut members: Vec<_> = (0..70).map(|number| ChatUser::guest(address, &format!("Member {number}"))).collect();
    let room = create(&mut members[0], "Market", "public");
    for member in &mut members[1..] {
        member.ask("join", json!({"room": room})).unwrap();
    }
    let mut eve = ChatUser::guest(address, "Eve");
    members[0].ask("remove", json!({"room": room})).unwrap();
    assert_ne!(create(&mut eve, "Market", "public"), room, "the name is free at once");
    for member in &mut members {
        assert_eq!(member.expect_event("gone"), json!({"room": room, "reason": "removed"}));
        assert_eq!(member.ask("history", json!({"room": room})), refused("unknown_room"));
        assert_eq!(member.received(&["gone"]), [], "once");
    }
}

#[test]
fn ap_01_a_room_keeps_an_owner_and_owners_cannot_be_kicked_or_banned() {
    let program = generous_chat();
    let [mut ann, mut bob, _cem] = guests(program.address(), ["Ann", "Bob", "Cem"]);
    let room = create(&mut ann, "Market", "public");
    bob.ask("join", json!({"room": room})).unwrap();
    let role = |name: &str, role: &str| json!({"room": room, "name": name, "role": role});
    assert_eq!(ann.ask("role", role("Ann", "member")), refused("last_owner"));
    assert_eq!(ann.ask("role", role("Cem", "owner")), refused("not_member"));
    for odd in ["banned", "invited"] {
        assert_eq!(ann.ask("role", role("Bob", odd)), refused("bad_data"));
    }
    ann.ask("role", role("Bob", "owner")).unwrap();
    for event in ["kick", "ban"] {
        for (user, name) in [(&mut ann, "Bob"), (&mut bob, "Ann")] {
            assert_eq!(user.ask(event, json!({"room": room, "name": name})), refused("is_owner"), "{event} {name}");
        }
    }
    bob.ask("role", role("Ann", "member")).unwrap();
    assert_eq!(ann.ask("topic", json!({"room": room, "topic": "mine"})), refused("not_owner"));
}

#[test]
fn ap_01_a_message_is_deleted_by_its_author_or_an_owner_only() {
    let program = generous_chat();
    let [mut ann, mut bob] = guests(program.address(), ["Ann", "Bob"]);
    let room = create(&mut ann, "Market", "public");
    bob.ask("join", json!({"room": room})).unwrap();
    let say = |user: &mut ChatUser| user.ask("say", words(&room, "a secret")).unwrap()["seq"].clone();
    let [anns, bobs, bobs_second] = [say(&mut ann), say(&mut bob), say(&mut bob)];
    let delete = |seq: &Value| json!({"room": room, "seq": seq});
    assert_eq!(bob.ask("delete", delete(&anns)), refused("not_owner"));
    bob.ask("delete", delete(&bobs)).unwrap();
    ann.ask("delete", delete(&bobs_second)).unwrap();
    assert_eq!(ann.ask("delete", delete(&bobs)), refused("unknown_message"), "it is deleted already");
    // Other entries, such as a member's joining, and unknown numbers cannot be deleted.
    for seq in [json!(1), json!(0), json!(4_000), json!(u64::MAX)] {
        assert_eq!(ann.ask("delete", delete(&seq)), refused("unknown_message"), "{seq}");
    }
    let page = bob.ask("history", json!({"room": room})).unwrap();
    let messages = page["messages"].as_array().unwrap();
    let secrets: Vec<_> = messages.iter().filter(|message| message["text"] == "a secret").collect();
    assert_eq!(secrets.len(), 1, "{page}");
    assert_eq!(secrets[0]["seq"], anns);
    for seq in [&bobs, &bobs_second] {
        let message = messages.iter().find(|message| message["seq"] == *seq).expect("its position is kept");
        assert_eq!((&message["deleted"], message.get("text")), (&json!(true), None));
    }
}
