//! Rooms: entering and leaving them, and the rights of their owners.

use super::*;

#[test]
fn a_new_user_is_in_the_lobby_without_unread_messages() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    chat.say(ada, LOBBY, "before").unwrap();
    let token = chat.guest("Guest").unwrap();
    let guest = chat.connect(token);
    let welcome = &chat.take_output(guest)[0][1];
    assert_eq!(welcome["you"], json!({ "name": "Guest", "guest": true, "operator": false }));
    let room = &welcome["rooms"][0];
    assert_eq!((&room["name"], &room["role"], &room["unread"]), (&json!("Lobby"), &json!("member"), &json!(0)));
    assert_eq!((&room["seq"], &room["members"], &room["kind"]), (&json!(1), &json!(2), &json!("public")));
}

#[test]
fn a_room_is_owned_by_its_creator_and_its_name_is_unique() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    let made = chat.call(ada, "create", json!({ "name": " Rust  & crabs ", "topic": "ferris" })).unwrap();
    let room = &made["room"];
    assert_eq!(
        (&room["name"], &room["topic"], &room["role"]),
        (&json!("Rust & crabs"), &json!("ferris"), &json!("owner"))
    );
    assert_eq!(kinds(made["messages"].as_array().unwrap()), ["joined"]);
    let rows = [
        ("rust & crabs", "name_taken"),
        ("lobby", "name_taken"),
        ("L0BBY", "name_taken"),
        ("", "bad_name"),
        ("  ", "bad_name"),
        ("a\u{202e}b", "bad_name"),
        (&*"x".repeat(41), "bad_name"),
    ];
    for (name, expected) in rows {
        assert_eq!(chat.call(ada, "create", json!({ "name": name })), Err(expected.into()), "{name:?}");
    }
    let long = json!({ "name": "x", "topic": "x".repeat(201) });
    assert_eq!(chat.call(ada, "create", long), Err("too_long".into()));
}

#[test]
fn a_public_room_is_listed_joined_and_left() {
    let mut chat = TestChat::new();
    let token = chat.account("Bob").unwrap();
    let (ada, bob, bob_too) = (chat.connect_user("Ada"), chat.connect(token), chat.connect(token));
    let room = chat.create(ada, "Rust", "public");
    chat.clear_output();
    let names = |rooms: &Value| -> Vec<String> {
        rooms["rooms"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&chat.call(bob, "rooms", json!({})).unwrap()), ["Lobby", "Rust"]);
    assert_eq!(names(&chat.call(bob, "rooms", json!({ "search": "US" })).unwrap()), ["Rust"]);
    assert_eq!(names(&chat.call(bob, "rooms", json!({ "after": "Lobby" })).unwrap()), ["Rust"]);
    assert_eq!(names(&chat.call(bob, "rooms", json!({ "search": "zzz" })).unwrap()), [""; 0]);

    assert_eq!(chat.say(bob, room, "hi"), Err("not_member".into()));
    let entered = chat.call(bob, "join", json!({ "name": "RUST" })).unwrap();
    assert_eq!((&entered["room"]["role"], &entered["room"]["members"]), (&json!("member"), &json!(2)));
    assert_eq!(kinds(entered["messages"].as_array().unwrap()), ["joined", "joined"]);
    assert_eq!(kinds(&chat.pushes_of(ada, "message")), ["joined"]);
    assert_eq!(chat.take_output(bob), [Value::Null; 0], "the reply says it all");
    // The user's other connection gets the room pushed, and follows it from there on.
    let output = chat.pushes_of(bob_too, "room");
    assert_eq!((&output[0]["room"], &output[0]["seq"]), (&json!(room), &json!(2)));
    chat.say(ada, room, "hi").unwrap();
    for connection in [bob, bob_too] {
        assert_eq!(chat.pushes_of(connection, "message")[0]["seq"], 3);
    }

    chat.clear_output();
    assert_eq!(chat.call(bob_too, "leave", json!({ "room": room })), Ok(json!({})));
    chat.say(ada, room, "bye").unwrap();
    for connection in [bob, bob_too] {
        let output = chat.take_output(connection);
        assert_eq!(
            (&output[0][1]["kind"], &output[1]),
            (&json!("left"), &json!(["gone", { "room": room, "reason": "left" }]))
        );
        assert_eq!(output.len(), 2, "nothing of what follows");
    }
    assert_eq!(chat.call(bob, "leave", json!({ "room": room })), Err("not_member".into()));
    assert_eq!(chat.call(bob, "history", json!({ "room": room })), Err("not_member".into()));
}

#[test]
fn a_room_is_hidden_from_users_who_are_not_invited() {
    let mut chat = TestChat::new();
    let (ada, bob, eve) = (chat.connect_user("Ada"), chat.connect_user("Bob"), chat.connect_user("Eve"));
    let den = chat.create(ada, "Den", "invited");
    let key = chat.key();
    let direct =
        chat.call(ada, "tell", json!({ "name": "Bob", "text": "psst", "key": key })).unwrap()["room"].as_u64().unwrap();
    chat.clear_output();
    let key = chat.key();
    for room in [den, direct, 999] {
        for (event, data) in [
            ("join", json!({ "room": room })),
            ("look", json!({ "room": room })),
            ("person", json!({ "name": "Ada", "room": room })),
            ("leave", json!({ "room": room })),
            ("history", json!({ "room": room })),
            ("members", json!({ "room": room })),
            ("say", json!({ "room": room, "text": "hi", "key": key })),
            ("read", json!({ "room": room, "seq": 1 })),
            ("typing", json!({ "room": room })),
            ("topic", json!({ "room": room, "topic": "hi" })),
            ("invite", json!({ "room": room, "name": "Eve" })),
            ("kick", json!({ "room": room, "name": "Ada" })),
            ("ban", json!({ "room": room, "name": "Ada" })),
            ("unban", json!({ "room": room, "name": "Ada" })),
            ("bans", json!({ "room": room })),
            ("role", json!({ "room": room, "name": "Eve", "role": "owner" })),
            ("delete", json!({ "room": room, "seq": 1 })),
            ("remove", json!({ "room": room })),
        ] {
            chat.advance(Duration::from_secs(1));
            assert_eq!(chat.call(eve, event, data), Err("unknown_room".into()), "{event} {room}");
        }
    }
    assert_eq!(chat.call(eve, "join", json!({ "name": "Den" })), Err("unknown_room".into()));
    // A name that is taken does not reveal the room either.
    chat.create(eve, "Den", "invited");
    assert_eq!(chat.call(eve, "create", json!({ "name": "Den" })).unwrap()["room"]["name"], "Den");
    assert_eq!(
        chat.call(eve, "rooms", json!({})).unwrap()["rooms"].as_array().unwrap().len(),
        2,
        "the Lobby and her own room"
    );
    assert_eq!([chat.take_output(ada), chat.take_output(bob)], [[Value::Null; 0], [Value::Null; 0]]);

    assert_eq!(chat.call(ada, "invite", json!({ "room": den, "name": "eve" })), Ok(json!({})));
    assert_eq!(chat.pushes_of(eve, "room")[0]["role"], "invited");
    assert_eq!(chat.call(eve, "history", json!({ "room": den })), Err("not_member".into()));
    assert_eq!(chat.say(eve, den, "hi"), Err("not_member".into()));
    assert_eq!(chat.join(eve, den).unwrap()["room"]["role"], "member");
    assert_eq!(chat.call(eve, "invite", json!({ "room": den, "name": "Bob" })), Err("not_owner".into()));
    // After declining, the user is not invited any longer.
    chat.call(ada, "invite", json!({ "room": den, "name": "Bob" })).unwrap();
    chat.call(bob, "leave", json!({ "room": den })).unwrap();
    assert_eq!(chat.join(bob, den), Err("unknown_room".into()));
    assert_eq!(chat.call(ada, "invite", json!({ "room": direct, "name": "Eve" })), Err("not_owner".into()));
}

#[test]
fn only_owners_kick_and_ban() {
    let mut chat = TestChat::new();
    let (ada, bob, eve) = (chat.connect_user("Ada"), chat.connect_user("Bob"), chat.connect_user("Eve"));
    let room = chat.create(ada, "Rust", "public");
    for connection in [bob, eve] {
        chat.join(connection, room).unwrap();
    }
    chat.clear_output();
    for event in ["kick", "ban", "unban"] {
        assert_eq!(chat.call(bob, event, json!({ "room": room, "name": "Eve" })), Err("not_owner".into()));
        assert_eq!(chat.call(ada, event, json!({ "room": room, "name": "Nobody" })), Err("unknown_person".into()));
        assert_eq!(chat.call(ada, event, json!({ "room": room, "name": "Ada" })), Err("is_owner".into()));
    }
    for event in ["topic", "role", "remove", "bans"] {
        let data = json!({ "room": room, "name": "Bob", "role": "owner", "topic": "mine" });
        assert_eq!(chat.call(bob, event, data), Err("not_owner".into()), "{event}");
    }
    assert_eq!([chat.take_output(ada), chat.take_output(eve)], [[Value::Null; 0], [Value::Null; 0]]);

    assert_eq!(chat.call(ada, "kick", json!({ "room": room, "name": "Bob" })), Ok(json!({})));
    let output = chat.take_output(bob);
    assert_eq!((&output[0][1]["kind"], &output[0][1]["who"]), (&json!("kicked"), &json!("Bob")));
    assert_eq!(output[1], json!(["gone", { "room": room, "reason": "kicked" }]));
    chat.say(ada, room, "he is gone").unwrap();
    assert_eq!(chat.take_output(bob), [Value::Null; 0]);
    assert_eq!(chat.say(bob, room, "hello?"), Err("not_member".into()));
    assert_eq!(chat.call(ada, "kick", json!({ "room": room, "name": "Bob" })), Err("not_member".into()));
    let back = json!({ "room": room, "since": { "epoch": output[0][1]["epoch"], "seq": output[0][1]["seq"] } });
    assert_eq!(chat.call(bob, "join", back), Err("not_member".into()), "resuming does not make a member");
    chat.join(bob, room).unwrap();

    assert_eq!(chat.call(ada, "ban", json!({ "room": room, "name": "Bob" })), Ok(json!({})));
    assert_eq!(
        chat.call(ada, "ban", json!({ "room": room, "name": "Bob" })),
        Ok(json!({})),
        "repeating it changes nothing"
    );
    assert_eq!(chat.pushes_of(bob, "gone"), [json!({ "room": room, "reason": "banned" })]);
    assert_eq!(chat.join(bob, room), Err("banned".into()));
    assert_eq!(chat.call(eve, "invite", json!({ "room": room, "name": "Bob" })), Err("banned".into()));
    let bans = |chat: &mut TestChat| chat.call(ada, "bans", json!({ "room": room })).unwrap()["members"].clone();
    assert_eq!(bans(&mut chat), json!([{ "name": "Bob", "role": "banned", "online": true }]));
    chat.call(ada, "unban", json!({ "room": room, "name": "Bob" })).unwrap();
    assert_eq!(bans(&mut chat), json!([]));
    assert_eq!(chat.call(ada, "unban", json!({ "room": room, "name": "Bob" })), Err("not_banned".into()));
    chat.join(bob, room).unwrap();
    let pushes = chat.pushes_of(eve, "message");
    assert_eq!(kinds(&pushes), ["kicked", "said", "joined", "banned", "unbanned", "joined"]);
}

#[test]
fn a_room_with_members_always_has_an_owner() {
    let mut chat = TestChat::new();
    let (ada, bob, eve) = (chat.connect_user("Ada"), chat.connect_user("Bob"), chat.connect_user("Eve"));
    let room = chat.create(ada, "Den", "invited");
    for (name, connection) in [("Bob", bob), ("Eve", eve)] {
        chat.call(ada, "invite", json!({ "room": room, "name": name })).unwrap();
        chat.advance(Duration::from_secs(1));
        chat.join(connection, room).unwrap();
    }
    let role = |name: &str, role: &str| json!({ "room": room, "name": name, "role": role });
    assert_eq!(chat.call(ada, "role", role("Ada", "member")), Err("last_owner".into()));
    chat.call(ada, "role", role("Eve", "owner")).unwrap();
    chat.call(eve, "role", role("Ada", "member")).unwrap();
    assert_eq!(chat.call(ada, "topic", json!({ "room": room, "topic": "x" })), Err("not_owner".into()));
    chat.call(eve, "role", role("Ada", "owner")).unwrap();
    chat.clear_output();
    chat.call(ada, "leave", json!({ "room": room })).unwrap();
    assert_eq!(kinds(&chat.pushes_of(bob, "message")), ["left"], "Eve is still an owner");
    chat.call(eve, "leave", json!({ "room": room })).unwrap();
    let output = chat.take_output(bob);
    let successor: Vec<_> = output.iter().filter(|event| event[1]["kind"] == "role").collect();
    assert_eq!((&successor[0][1]["who"], &successor[0][1]["role"]), (&json!("Bob"), &json!("owner")));
    assert_eq!(output.last().unwrap()[1]["role"], "owner", "the room is pushed too");
    // The last member leaves, and the room is removed: nobody could enter it again.
    assert_eq!(chat.call(bob, "leave", json!({ "room": room })), Err("last_member".into()));
    chat.call(bob, "leave", json!({ "room": room, "remove": true })).unwrap();
    assert_eq!(chat.create(ada, "Den", "invited"), room + 1, "the name is free again, the number is not");
}

#[test]
fn a_topic_is_a_log_entry_and_a_removed_room_is_gone_for_all_members() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let room = chat.create(ada, "Rust", "public");
    chat.join(bob, room).unwrap();
    let set = chat.call(ada, "topic", json!({ "room": room, "topic": "<b>crabs</b>" })).unwrap();
    assert_eq!(set["seq"], 3);
    let output = chat.pushes_of(bob, "message");
    assert_eq!((kinds(&output), texts(&json!(output))), (vec!["topic"], vec!["<b>crabs</b>"]));
    assert_eq!(chat.join(bob, room).unwrap()["room"]["topic"], "<b>crabs</b>");
    let long = json!({ "room": room, "topic": "x".repeat(201) });
    assert_eq!(chat.call(ada, "topic", long), Err("too_long".into()));
    // A topic in which nothing is visible is none.
    chat.call(ada, "topic", json!({ "room": room, "topic": "\u{2800}\u{200b}" })).unwrap();
    assert_eq!(chat.join(bob, room).unwrap()["room"]["topic"], "");

    chat.clear_output();
    chat.call(ada, "remove", json!({ "room": room })).unwrap();
    for connection in [ada, bob] {
        assert_eq!(chat.take_output(connection), [json!(["gone", { "room": room, "reason": "removed" }])]);
    }
    assert_eq!(chat.join(bob, room), Err("unknown_room".into()));
    assert_eq!(chat.call(ada, "remove", json!({ "room": LOBBY })), Err("not_owner".into()));
    let id = serde_json::from_value(json!(room)).unwrap();
    assert_eq!(chat.state.store.head(id).unwrap(), None, "the log is deleted");
}

#[test]
fn the_rooms_that_a_user_joins_and_owns_are_limited() {
    let mut chat = TestChat::with(|config| {
        config.limits.rooms = 3;
        config.limits.owned_rooms = 1;
    });
    let (ada, bob, eve) = (chat.connect_user("Ada"), chat.connect_user("Bob"), chat.connect_user("Eve"));
    let created = chat.create(ada, "A", "public");
    chat.create(bob, "B", "public");
    assert_eq!(chat.call(ada, "create", json!({ "name": "C" })), Err("too_many_rooms".into()));
    chat.call(ada, "join", json!({ "name": "B" })).unwrap();
    let room = chat.create(eve, "E", "public");
    assert_eq!(chat.join(ada, room), Err("too_many_rooms".into()));
    // Direct rooms do not count.
    let key = chat.key();
    chat.call(bob, "tell", json!({ "name": "Ada", "text": "hi", "key": key })).unwrap();
    chat.call(ada, "leave", json!({ "room": LOBBY })).unwrap();
    chat.join(ada, room).unwrap();
    // A role that another user gives does not use up the number of rooms that Ada may create.
    let owner = json!({ "room": room, "name": "Ada", "role": "owner" });
    chat.call(eve, "role", owner).unwrap();
    chat.call(ada, "leave", json!({ "room": created, "remove": true })).unwrap();
    chat.create(ada, "C", "public");
    assert_eq!(chat.call(ada, "create", json!({ "name": "D" })), Err("too_many_rooms".into()));
}

#[test]
fn members_are_listed_with_role_and_presence() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("bob"));
    chat.account("Away").unwrap();
    chat.close(bob);
    let room = json!({ "room": LOBBY });
    let expected = json!([
        { "name": "Ada", "role": "member", "online": true },
        { "name": "bob", "role": "member", "online": false },
        { "name": "Away", "role": "member", "online": false },
    ]);
    assert_eq!(chat.call(ada, "members", room).unwrap()["members"], expected);
    let behind = chat.call(ada, "members", json!({ "room": LOBBY, "after": "Ada" })).unwrap();
    assert_eq!(behind["members"].as_array().unwrap().len(), 2);
    let unknown = json!({ "room": LOBBY, "after": "Nobody" });
    assert_eq!(chat.call(ada, "members", unknown), Err("unknown_person".into()));
}

#[test]
fn the_lobby_stays_when_its_owners_leave() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let row = chat.state.store.user_named(&Name::new("Ada").unwrap()).unwrap().unwrap();
    chat.state.store.set_operator(row.id, true).unwrap();
    chat.state.cache = super::super::cache::Cache::default();
    let role = |name: &str, role: &str| json!({ "room": LOBBY, "name": name, "role": role });
    chat.call(ada, "role", role("Bob", "owner")).unwrap();
    chat.call(ada, "role", role("Bob", "member")).unwrap();
    chat.call(ada, "role", role("Bob", "owner")).unwrap();
    chat.call(bob, "leave", json!({ "room": LOBBY })).unwrap();
    let members = chat.call(ada, "members", json!({ "room": LOBBY })).unwrap();
    assert_eq!(
        members["members"],
        json!([{ "name": "Ada", "role": "member", "online": true, "operator": true }]),
        "no member becomes its owner instead"
    );
    chat.call(ada, "role", role("Ada", "owner")).unwrap();
    chat.call(ada, "leave", json!({ "room": LOBBY })).unwrap();
    chat.connect_user("Eve");
    chat.join(ada, LOBBY).unwrap();
}

#[test]
fn the_cached_member_count_follows_every_change_of_role() {
    let mut chat = TestChat::new();
    let (ada, bob, eve) = (chat.connect_user("Ada"), chat.connect_user("Bob"), chat.connect_user("Eve"));
    let room = chat.create(ada, "Rust", "public");
    let id: RoomId = serde_json::from_value(json!(room)).unwrap();
    let named = |name: &str| json!({ "room": room, "name": name });
    let role = |role: &str| json!({ "room": room, "name": "Bob", "role": role });
    let rows = [
        (bob, "join", json!({ "room": room }), 2),
        (bob, "join", json!({ "room": room }), 2),
        (bob, "invite", named("Eve"), 2),
        (eve, "join", json!({ "room": room }), 3),
        (ada, "role", role("owner"), 3),
        (ada, "role", role("member"), 3),
        (ada, "kick", named("Bob"), 2),
        (ada, "ban", named("Bob"), 2),
        (ada, "unban", named("Bob"), 2),
        (ada, "ban", named("Eve"), 1),
        (bob, "join", json!({ "room": room }), 2),
        (ada, "leave", json!({ "room": room }), 1),
    ];
    for (row, (connection, event, data, expected)) in rows.into_iter().enumerate() {
        chat.advance(Duration::from_secs(1));
        chat.call(connection, event, data).unwrap();
        assert_eq!(chat.state.store.count_members(id).unwrap(), expected, "row {row}");
        let output = chat.call(bob, "rooms", json!({ "search": "rust" })).unwrap();
        assert_eq!(output["rooms"][0]["members"], expected, "row {row}");
    }
    // The count is not read from the store again: it lacks a member who is added directly to the store.
    let unknown = chat.state.store.user_named(&Name::new("Eve").unwrap()).unwrap().unwrap().id;
    chat.state.store.set_role(id, unknown, Role::Member, 0).unwrap();
    chat.join(ada, room).unwrap();
    chat.call(bob, "topic", json!({ "room": room, "topic": "2024" })).unwrap();
    let output = chat.call(bob, "rooms", json!({ "search": "rust" })).unwrap();
    assert_eq!((&output["rooms"][0]["members"], chat.state.store.count_members(id).unwrap()), (&json!(2), 3));
}

#[test]
fn operators_have_the_rights_of_owners_in_public_rooms() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let (public, den) = (chat.create(ada, "Rust", "public"), chat.create(ada, "Den", "invited"));
    let seq = chat.say(ada, public, "spam").unwrap();
    let row = chat.state.store.user_named(&Name::new("Bob").unwrap()).unwrap().unwrap();
    chat.state.store.set_operator(row.id, true).unwrap();
    chat.state.cache = super::super::cache::Cache::default();
    assert_eq!(chat.call(bob, "topic", json!({ "room": den, "topic": "x" })), Err("unknown_room".into()));
    chat.call(bob, "delete", json!({ "room": public, "seq": seq })).unwrap();
    chat.call(bob, "topic", json!({ "room": public, "topic": "no spam" })).unwrap();
    chat.call(bob, "remove", json!({ "room": public })).unwrap();
}

#[test]
fn a_room_is_not_removed_with_its_last_member_unless_the_member_confirms_it() {
    let mut chat = super::removal::in_pieces();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let room = chat.create(ada, "Den", "public");
    chat.join(bob, room).unwrap();
    let leave = json!({ "room": room });
    // Both leave at the same time, and each saw the other.
    chat.process(vec![
        event_command(ada, &json!(["leave", leave, "one"])),
        event_command(bob, &json!(["leave", leave, "two"])),
    ]);
    let refused = chat.take_output(bob).pop().unwrap();
    assert_eq!(
        (&refused[0], &refused[1]["code"], &refused[1]["rooms"]),
        (&json!("error"), &json!("last_member"), &json!([room]))
    );
    // A user who is gone does not keep the room, even if their membership has not ended yet.
    let guest = chat.guest("Guest").unwrap();
    let guest = chat.connect(guest);
    chat.join(guest, room).unwrap();
    chat.call(guest, "delete_account", json!({})).unwrap();
    assert_eq!(chat.call(bob, "leave", leave.clone()), Err("last_member".into()));
    chat.call(bob, "leave", json!({ "room": room, "remove": true })).unwrap();
    assert_eq!(chat.join(ada, room), Err("unknown_room".into()));
    // The Lobby always stays, and declining an invitation removes nothing.
    chat.call(bob, "leave", json!({ "room": LOBBY })).unwrap();
    chat.call(ada, "leave", json!({ "room": LOBBY })).unwrap();
    let den = chat.create(ada, "Den", "invited");
    chat.call(ada, "invite", json!({ "room": den, "name": "Bob" })).unwrap();
    chat.call(bob, "leave", json!({ "room": den })).unwrap();
}

#[test]
fn the_last_user_of_a_conversation_confirms_that_its_messages_are_deleted() {
    let mut chat = super::removal::in_pieces();
    let (ada, guest) = (chat.connect_user("Ada"), chat.guest("Guest").unwrap());
    let guest = chat.connect(guest);
    let key = chat.key();
    let told = chat.call(guest, "tell", json!({ "name": "Ada", "text": "psst", "key": key })).unwrap();
    chat.call(guest, "delete_account", json!({})).unwrap();
    for _ in 0..2 {
        assert_eq!(chat.call(ada, "leave", json!({ "room": told["room"] })), Err("last_member".into()));
        while chat.work_in_background() {}
    }
    chat.call(ada, "leave", json!({ "room": told["room"], "remove": true })).unwrap();
    assert_eq!(chat.state.store.number("SELECT count(*) FROM rooms WHERE kind = 2").unwrap(), 0);
}

#[test]
fn a_public_room_can_be_looked_at_without_joining_and_others_tell_nothing() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let (open, den) = (chat.create(ada, "Rust", "public"), chat.create(ada, "Den", "invited"));
    chat.say(ada, open, "hello").unwrap();
    chat.clear_output();
    let seen = chat.call(bob, "look", json!({ "room": open })).unwrap();
    assert_eq!(
        (&seen["room"]["name"], &seen["room"]["role"], &seen["room"]["members"]),
        (&json!("Rust"), &Value::Null, &json!(1))
    );
    assert_eq!(kinds(seen["messages"].as_array().unwrap()), ["joined", "said"]);
    assert_eq!((chat.take_output(ada), chat.take_output(bob)), (vec![], vec![]), "nobody is told");
    chat.say(ada, open, "more").unwrap();
    assert_eq!(chat.take_output(bob), [Value::Null; 0], "nor does it follow the room");
    let unknown = |chat: &mut TestChat, room: u64| {
        chat.process(vec![event_command(bob, &json!(["look", { "room": room }, "id"]))]);
        chat.take_output(bob)
    };
    assert_eq!(unknown(&mut chat, den), unknown(&mut chat, den + 100));
    chat.call(ada, "invite", json!({ "room": den, "name": "Bob" })).unwrap();
    assert_eq!(chat.call(bob, "look", json!({ "room": den })).unwrap()["room"]["by"], "Ada");
    chat.join(bob, den).unwrap();
    assert_eq!(chat.call(ada, "invite", json!({ "room": den, "name": "Bob" })), Err("is_member".into()));
    chat.call(ada, "ban", json!({ "room": open, "name": "Bob" })).unwrap();
    assert_eq!(chat.call(bob, "look", json!({ "room": open })), Err("banned".into()));
}

#[test]
fn an_invitation_says_by_whom_it_is_as_long_as_there_is_this_user() {
    let mut chat = TestChat::new();
    let (bob, guest) = (chat.account("Bob").unwrap(), chat.guest("Guest").unwrap());
    let (watching, guest) = (chat.connect(bob), chat.connect(guest));
    let den = chat.create(guest, "Den", "invited");
    let ada = chat.connect_user("Ada");
    chat.call(guest, "invite", json!({ "room": den, "name": "Ada" })).unwrap();
    chat.join(ada, den).unwrap();
    chat.clear_output();
    chat.call(guest, "invite", json!({ "room": den, "name": "Bob" })).unwrap();
    assert_eq!(chat.pushes_of(watching, "room")[0]["by"], "Guest");
    let by = |chat: &mut TestChat| {
        let again = chat.connect(bob);
        let rooms = chat.take_output(again)[0][1]["rooms"].take();
        rooms.as_array().unwrap().iter().find(|room| room["room"] == den).unwrap().get("by").cloned()
    };
    assert_eq!(by(&mut chat), Some(json!("Guest")));
    chat.call(guest, "delete_account", json!({})).unwrap();
    assert_eq!(by(&mut chat), None);
}

#[test]
fn guests_operators_and_the_number_of_members_are_shown() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let user = chat.state.store.session_of_token(&token).unwrap().unwrap().user;
    chat.state.store.set_operator(user, true).unwrap();
    let (ada, guest) = (chat.connect(token), chat.guest("Guest").unwrap());
    chat.connect(guest);
    let listed = chat.call(ada, "members", json!({ "room": LOBBY })).unwrap();
    assert_eq!(listed["count"], 2);
    let marks: Vec<_> = listed["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| (member.get("guest"), member.get("operator")))
        .collect();
    assert_eq!(marks, [(None, Some(&json!(true))), (Some(&json!(true)), None)]);
    for search in [json!({}), json!({ "search": "" })] {
        let people = chat.call(ada, "people", search).unwrap();
        assert_eq!((&people["people"][0]["operator"], &people["people"][1]["guest"]), (&json!(true), &json!(true)));
    }
    let room = chat.create(ada, "Den", "invited");
    let of = |name: &str, room: u64| json!({ "name": name, "room": room });
    let seen = chat.call(ada, "person", of("ada", room)).unwrap();
    assert_eq!(seen, json!({ "name": "Ada", "guest": false, "operator": true, "online": true, "role": "owner" }));
    assert_eq!(chat.call(ada, "person", of("Guest", room)).unwrap()["role"], Value::Null);
    assert_eq!(chat.call(ada, "person", json!({ "name": "Nobody" })), Err("unknown_person".into()));
    let bob = chat.connect_user("Bob");
    assert_eq!(chat.call(bob, "person", of("Ada", room)), Err("unknown_room".into()));
}
