//! Rooms: who may enter, and who may do what.

use super::*;

#[test]
fn everybody_begins_in_the_lobby_and_has_read_what_was_said_before() {
    let mut house = House::new();
    let ada = house.come("Ada");
    house.say(ada, LOBBY, "before").unwrap();
    let token = house.guest("Guest").unwrap();
    let guest = house.connect(token);
    let welcome = &house.told(guest)[0][1];
    assert_eq!(welcome["you"], json!({ "name": "Guest", "guest": true, "operator": false }));
    let room = &welcome["rooms"][0];
    assert_eq!((&room["name"], &room["role"], &room["unread"]), (&json!("Lobby"), &json!("member"), &json!(0)));
    assert_eq!((&room["seq"], &room["members"], &room["kind"]), (&json!(1), &json!(2), &json!("public")));
}

#[test]
fn a_room_belongs_to_who_made_it_and_has_a_name_that_no_other_looks_like() {
    let mut house = House::new();
    let ada = house.come("Ada");
    let made = house.ask(ada, "create", json!({ "name": " Rust  & crabs ", "topic": "ferris" })).unwrap();
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
        assert_eq!(house.ask(ada, "create", json!({ "name": name })), Err(expected.into()), "{name:?}");
    }
    let long = json!({ "name": "x", "topic": "x".repeat(201) });
    assert_eq!(house.ask(ada, "create", long), Err("too_long".into()));
}

#[test]
fn a_public_room_is_listed_and_joined_and_left() {
    let mut house = House::new();
    let token = house.account("Bob").unwrap();
    let (ada, bob, bob_too) = (house.come("Ada"), house.connect(token), house.connect(token));
    let room = house.create(ada, "Rust", "public");
    house.forget_all_told();
    let names = |rooms: &Value| -> Vec<String> {
        rooms["rooms"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&house.ask(bob, "rooms", json!({})).unwrap()), ["Lobby", "Rust"]);
    assert_eq!(names(&house.ask(bob, "rooms", json!({ "search": "US" })).unwrap()), ["Rust"]);
    assert_eq!(names(&house.ask(bob, "rooms", json!({ "after": "Lobby" })).unwrap()), ["Rust"]);
    assert_eq!(names(&house.ask(bob, "rooms", json!({ "search": "zzz" })).unwrap()), [""; 0]);

    assert_eq!(house.say(bob, room, "hi"), Err("not_member".into()));
    let entered = house.ask(bob, "join", json!({ "name": "RUST" })).unwrap();
    assert_eq!((&entered["room"]["role"], &entered["room"]["members"]), (&json!("member"), &json!(2)));
    assert_eq!(kinds(entered["messages"].as_array().unwrap()), ["joined", "joined"]);
    assert_eq!(kinds(&house.told_of(ada, "message")), ["joined"]);
    assert_eq!(house.told(bob), [Value::Null; 0], "its answer has it all");
    // The other connection hears of the room, and follows it from there on.
    let told = house.told_of(bob_too, "room");
    assert_eq!((&told[0]["room"], &told[0]["seq"]), (&json!(room), &json!(2)));
    house.say(ada, room, "hi").unwrap();
    for connection in [bob, bob_too] {
        assert_eq!(house.told_of(connection, "message")[0]["seq"], 3);
    }

    house.forget_all_told();
    assert_eq!(house.ask(bob_too, "leave", json!({ "room": room })), Ok(json!({})));
    house.say(ada, room, "bye").unwrap();
    for connection in [bob, bob_too] {
        let told = house.told(connection);
        assert_eq!(
            (&told[0][1]["kind"], &told[1]),
            (&json!("left"), &json!(["gone", { "room": room, "reason": "left" }]))
        );
        assert_eq!(told.len(), 2, "and nothing of what comes then");
    }
    assert_eq!(house.ask(bob, "leave", json!({ "room": room })), Err("not_member".into()));
    assert_eq!(house.ask(bob, "history", json!({ "room": room })), Err("not_member".into()));
}

#[test]
fn to_who_was_not_invited_a_room_is_not_there() {
    let mut house = House::new();
    let (ada, bob, eve) = (house.come("Ada"), house.come("Bob"), house.come("Eve"));
    let den = house.create(ada, "Den", "invited");
    let key = house.key();
    let direct =
        house.ask(ada, "tell", json!({ "name": "Bob", "text": "psst", "key": key })).unwrap()["room"].as_u64().unwrap();
    house.forget_all_told();
    let key = house.key();
    for room in [den, direct, 999] {
        for (event, data) in [
            ("join", json!({ "room": room })),
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
            house.pass(Duration::from_secs(1));
            assert_eq!(house.ask(eve, event, data), Err("unknown_room".into()), "{event} {room}");
        }
    }
    assert_eq!(house.ask(eve, "join", json!({ "name": "Den" })), Err("unknown_room".into()));
    // Nor does its name tell that it is there.
    house.create(eve, "Den", "invited");
    assert_eq!(house.ask(eve, "create", json!({ "name": "Den" })).unwrap()["room"]["name"], "Den");
    assert_eq!(
        house.ask(eve, "rooms", json!({})).unwrap()["rooms"].as_array().unwrap().len(),
        2,
        "the lobby, and her own"
    );
    assert_eq!([house.told(ada), house.told(bob)], [[Value::Null; 0], [Value::Null; 0]]);

    assert_eq!(house.ask(ada, "invite", json!({ "room": den, "name": "eve" })), Ok(json!({})));
    assert_eq!(house.told_of(eve, "room")[0]["role"], "invited");
    assert_eq!(house.ask(eve, "history", json!({ "room": den })), Err("not_member".into()));
    assert_eq!(house.say(eve, den, "hi"), Err("not_member".into()));
    assert_eq!(house.join(eve, den).unwrap()["room"]["role"], "member");
    assert_eq!(house.ask(eve, "invite", json!({ "room": den, "name": "Bob" })), Err("not_owner".into()));
    // Who turns an invitation down is as if never invited.
    house.ask(ada, "invite", json!({ "room": den, "name": "Bob" })).unwrap();
    house.ask(bob, "leave", json!({ "room": den })).unwrap();
    assert_eq!(house.join(bob, den), Err("unknown_room".into()));
    assert_eq!(house.ask(ada, "invite", json!({ "room": direct, "name": "Eve" })), Err("not_owner".into()));
}

#[test]
fn owners_kick_and_ban_and_nobody_else_does() {
    let mut house = House::new();
    let (ada, bob, eve) = (house.come("Ada"), house.come("Bob"), house.come("Eve"));
    let room = house.create(ada, "Rust", "public");
    for connection in [bob, eve] {
        house.join(connection, room).unwrap();
    }
    house.forget_all_told();
    for event in ["kick", "ban", "unban"] {
        assert_eq!(house.ask(bob, event, json!({ "room": room, "name": "Eve" })), Err("not_owner".into()));
        assert_eq!(house.ask(ada, event, json!({ "room": room, "name": "Nobody" })), Err("unknown_person".into()));
        assert_eq!(house.ask(ada, event, json!({ "room": room, "name": "Ada" })), Err("is_owner".into()));
    }
    for event in ["topic", "role", "remove", "bans"] {
        let data = json!({ "room": room, "name": "Bob", "role": "owner", "topic": "mine" });
        assert_eq!(house.ask(bob, event, data), Err("not_owner".into()), "{event}");
    }
    assert_eq!([house.told(ada), house.told(eve)], [[Value::Null; 0], [Value::Null; 0]]);

    assert_eq!(house.ask(ada, "kick", json!({ "room": room, "name": "Bob" })), Ok(json!({})));
    let told = house.told(bob);
    assert_eq!((&told[0][1]["kind"], &told[0][1]["who"]), (&json!("kicked"), &json!("Bob")));
    assert_eq!(told[1], json!(["gone", { "room": room, "reason": "kicked" }]));
    house.say(ada, room, "he is gone").unwrap();
    assert_eq!(house.told(bob), [Value::Null; 0]);
    assert_eq!(house.say(bob, room, "hello?"), Err("not_member".into()));
    assert_eq!(house.ask(ada, "kick", json!({ "room": room, "name": "Bob" })), Err("not_member".into()));
    let back = json!({ "room": room, "since": { "epoch": told[0][1]["epoch"], "seq": told[0][1]["seq"] } });
    assert_eq!(house.ask(bob, "join", back), Err("not_member".into()), "only who knows it enters anew");
    house.join(bob, room).unwrap();

    assert_eq!(house.ask(ada, "ban", json!({ "room": room, "name": "Bob" })), Ok(json!({})));
    assert_eq!(house.ask(ada, "ban", json!({ "room": room, "name": "Bob" })), Ok(json!({})), "twice is once");
    assert_eq!(house.told_of(bob, "gone"), [json!({ "room": room, "reason": "banned" })]);
    assert_eq!(house.join(bob, room), Err("banned".into()));
    assert_eq!(house.ask(eve, "invite", json!({ "room": room, "name": "Bob" })), Err("banned".into()));
    let bans = |house: &mut House| house.ask(ada, "bans", json!({ "room": room })).unwrap()["members"].clone();
    assert_eq!(bans(&mut house), json!([{ "name": "Bob", "role": "banned", "online": true }]));
    house.ask(ada, "unban", json!({ "room": room, "name": "Bob" })).unwrap();
    assert_eq!(bans(&mut house), json!([]));
    assert_eq!(house.ask(ada, "unban", json!({ "room": room, "name": "Bob" })), Err("not_banned".into()));
    house.join(bob, room).unwrap();
    let heard = house.told_of(eve, "message");
    assert_eq!(kinds(&heard), ["kicked", "said", "joined", "banned", "unbanned", "joined"]);
}

#[test]
fn a_room_is_never_without_an_owner_as_long_as_somebody_is_in_it() {
    let mut house = House::new();
    let (ada, bob, eve) = (house.come("Ada"), house.come("Bob"), house.come("Eve"));
    let room = house.create(ada, "Den", "invited");
    for (name, connection) in [("Bob", bob), ("Eve", eve)] {
        house.ask(ada, "invite", json!({ "room": room, "name": name })).unwrap();
        house.pass(Duration::from_secs(1));
        house.join(connection, room).unwrap();
    }
    let role = |name: &str, role: &str| json!({ "room": room, "name": name, "role": role });
    assert_eq!(house.ask(ada, "role", role("Ada", "member")), Err("last_owner".into()));
    house.ask(ada, "role", role("Eve", "owner")).unwrap();
    house.ask(eve, "role", role("Ada", "member")).unwrap();
    assert_eq!(house.ask(ada, "topic", json!({ "room": room, "topic": "x" })), Err("not_owner".into()));
    house.ask(eve, "role", role("Ada", "owner")).unwrap();
    house.forget_all_told();
    house.ask(ada, "leave", json!({ "room": room })).unwrap();
    assert_eq!(kinds(&house.told_of(bob, "message")), ["left"], "Eve is one still");
    house.ask(eve, "leave", json!({ "room": room })).unwrap();
    let told = house.told(bob);
    let heir: Vec<_> = told.iter().filter(|event| event[1]["kind"] == "role").collect();
    assert_eq!((&heir[0][1]["who"], &heir[0][1]["role"]), (&json!("Bob"), &json!("owner")));
    assert_eq!(told.last().unwrap()[1]["role"], "owner", "and is told how the room is now");
    // The last one takes it along: nobody could ever enter it again.
    house.ask(bob, "leave", json!({ "room": room })).unwrap();
    assert_eq!(house.create(ada, "Den", "invited"), room + 1, "the name is free, the number is not");
}

#[test]
fn a_topic_is_an_entry_of_the_log_and_a_removed_room_is_gone_for_all() {
    let mut house = House::new();
    let (ada, bob) = (house.come("Ada"), house.come("Bob"));
    let room = house.create(ada, "Rust", "public");
    house.join(bob, room).unwrap();
    let set = house.ask(ada, "topic", json!({ "room": room, "topic": "<b>crabs</b>" })).unwrap();
    assert_eq!(set["seq"], 3);
    let told = house.told_of(bob, "message");
    assert_eq!((kinds(&told), texts(&json!(told))), (vec!["topic"], vec!["<b>crabs</b>"]));
    assert_eq!(house.join(bob, room).unwrap()["room"]["topic"], "<b>crabs</b>");
    let long = json!({ "room": room, "topic": "x".repeat(201) });
    assert_eq!(house.ask(ada, "topic", long), Err("too_long".into()));

    house.forget_all_told();
    house.ask(ada, "remove", json!({ "room": room })).unwrap();
    for connection in [ada, bob] {
        assert_eq!(house.told(connection), [json!(["gone", { "room": room, "reason": "removed" }])]);
    }
    assert_eq!(house.join(bob, room), Err("unknown_room".into()));
    assert_eq!(house.ask(ada, "remove", json!({ "room": LOBBY })), Err("not_owner".into()));
    let id = serde_json::from_value(json!(room)).unwrap();
    assert!(house.keeper.store.head(id).unwrap().is_some(), "what was said is forgotten later");
    house.pass(Duration::from_secs(1));
    assert_eq!(house.keeper.store.head(id).unwrap(), None);
}

#[test]
fn nobody_is_in_more_rooms_than_one_may_nor_owns_more() {
    let mut house = House::with(|config| {
        config.limits.rooms = 3;
        config.limits.owned_rooms = 1;
    });
    let (ada, bob, eve) = (house.come("Ada"), house.come("Bob"), house.come("Eve"));
    house.create(ada, "A", "public");
    house.create(bob, "B", "public");
    assert_eq!(house.ask(ada, "create", json!({ "name": "C" })), Err("too_many_rooms".into()));
    house.ask(ada, "join", json!({ "name": "B" })).unwrap();
    let room = house.create(eve, "E", "public");
    assert_eq!(house.join(ada, room), Err("too_many_rooms".into()));
    // Whom one talks to in private takes nobody's room.
    let key = house.key();
    house.ask(bob, "tell", json!({ "name": "Ada", "text": "hi", "key": key })).unwrap();
    house.ask(ada, "leave", json!({ "room": LOBBY })).unwrap();
    house.join(ada, room).unwrap();
    let owner = json!({ "room": room, "name": "Ada", "role": "owner" });
    assert_eq!(house.ask(eve, "role", owner), Err("too_many_rooms".into()), "nor by others' doing");
}

#[test]
fn members_are_listed_with_their_roles_and_whether_they_are_there() {
    let mut house = House::new();
    let (ada, bob) = (house.come("Ada"), house.come("bob"));
    house.account("Away").unwrap();
    house.close(bob);
    let room = json!({ "room": LOBBY });
    let expected = json!([
        { "name": "Ada", "role": "member", "online": true },
        { "name": "bob", "role": "member", "online": false },
        { "name": "Away", "role": "member", "online": false },
    ]);
    assert_eq!(house.ask(ada, "members", room).unwrap()["members"], expected);
    let behind = house.ask(ada, "members", json!({ "room": LOBBY, "after": "Ada" })).unwrap();
    assert_eq!(behind["members"].as_array().unwrap().len(), 2);
    let unknown = json!({ "room": LOBBY, "after": "Nobody" });
    assert_eq!(house.ask(ada, "members", unknown), Err("unknown_person".into()));
}

#[test]
fn the_lobby_is_there_whoever_owns_it_and_leaves() {
    let mut house = House::new();
    let (ada, bob) = (house.come("Ada"), house.come("Bob"));
    let row = house.keeper.store.person_named(Name::new("Ada").unwrap().key()).unwrap().unwrap();
    house.keeper.store.set_operator(row.id, true).unwrap();
    house.keeper.lookup = super::super::lookup::Lookup::default();
    let role = |name: &str, role: &str| json!({ "room": LOBBY, "name": name, "role": role });
    house.ask(ada, "role", role("Bob", "owner")).unwrap();
    house.ask(ada, "role", role("Bob", "member")).unwrap();
    house.ask(ada, "role", role("Bob", "owner")).unwrap();
    house.ask(bob, "leave", json!({ "room": LOBBY })).unwrap();
    let members = house.ask(ada, "members", json!({ "room": LOBBY })).unwrap();
    assert_eq!(members["members"], json!([{ "name": "Ada", "role": "member", "online": true }]), "nobody is its heir");
    house.ask(ada, "role", role("Ada", "owner")).unwrap();
    house.ask(ada, "leave", json!({ "room": LOBBY })).unwrap();
    house.come("Eve");
    house.join(ada, LOBBY).unwrap();
}

#[test]
fn members_are_counted_once_and_then_as_they_come_and_go() {
    let mut house = House::new();
    let (ada, bob, eve) = (house.come("Ada"), house.come("Bob"), house.come("Eve"));
    let room = house.create(ada, "Rust", "public");
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
        house.pass(Duration::from_secs(1));
        house.ask(connection, event, data).unwrap();
        assert_eq!(house.keeper.store.count_members(id).unwrap(), expected, "row {row}");
        let told = house.ask(bob, "rooms", json!({ "search": "rust" })).unwrap();
        assert_eq!(told["rooms"][0]["members"], expected, "row {row}");
    }
    // One whom the count does not know of shows that it is not made again.
    let unknown = house.keeper.store.person_named(Name::new("Eve").unwrap().key()).unwrap().unwrap().id;
    house.keeper.store.set_role(id, unknown, Role::Member, 0).unwrap();
    house.join(ada, room).unwrap();
    house.ask(bob, "topic", json!({ "room": room, "topic": "2024" })).unwrap();
    let told = house.ask(bob, "rooms", json!({ "search": "rust" })).unwrap();
    assert_eq!((&told["rooms"][0]["members"], house.keeper.store.count_members(id).unwrap()), (&json!(2), 3));
}

#[test]
fn operators_do_in_public_rooms_what_owners_do() {
    let mut house = House::new();
    let (ada, bob) = (house.come("Ada"), house.come("Bob"));
    let (public, den) = (house.create(ada, "Rust", "public"), house.create(ada, "Den", "invited"));
    let seq = house.say(ada, public, "spam").unwrap();
    let row = house.keeper.store.person_named(Name::new("Bob").unwrap().key()).unwrap().unwrap();
    house.keeper.store.set_operator(row.id, true).unwrap();
    house.keeper.lookup = super::super::lookup::Lookup::default();
    assert_eq!(house.ask(bob, "topic", json!({ "room": den, "topic": "x" })), Err("unknown_room".into()));
    house.ask(bob, "delete", json!({ "room": public, "seq": seq })).unwrap();
    house.ask(bob, "topic", json!({ "room": public, "topic": "no spam" })).unwrap();
    house.ask(bob, "remove", json!({ "room": public })).unwrap();
}
