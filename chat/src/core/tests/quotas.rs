//! Limits that others could use up.

use super::{super::super::store::UserId, *};

/// A chat in which rates do not matter.
fn generous() -> TestChat {
    TestChat::with(|config| {
        let plenty = super::super::super::Rate { at_once: 1_000_000, per_second: 1e6 };
        (config.limits.events, config.limits.messages, config.limits.conversations) = (plenty, plenty, plenty);
    })
}

/// Connects a guest, and drops the welcome.
fn connect_guest(chat: &mut TestChat, name: &str) -> ClientId {
    let token = chat.guest(name).unwrap();
    let connection = chat.connect(token);
    chat.take_output(connection);
    connection
}

fn tell(chat: &mut TestChat, from: ClientId, name: &str) -> Result<u64, String> {
    let tell = json!({ "name": name, "text": "hi", "key": chat.key() });
    chat.call(from, "tell", tell).map(|sent| sent["room"].as_u64().unwrap())
}

fn invite(chat: &mut TestChat, from: ClientId, room: u64, name: &str) -> Result<(), String> {
    chat.advance(Duration::from_millis(1));
    chat.call(from, "invite", json!({ "room": room, "name": name })).map(drop)
}

/// Creates rooms, and returns their numbers.
fn create_rooms(chat: &mut TestChat, owner: ClientId, count: usize) -> Vec<u64> {
    (0..count).map(|_| chat.create(owner, "Den", "invited")).collect()
}

fn welcome(chat: &mut TestChat, token: TokenHash) -> (ClientId, Value) {
    let connection = chat.connect(token);
    let welcome = chat.take_output(connection).remove(0)[1].take();
    (connection, welcome)
}

fn numbers(rooms: &Value) -> Vec<u64> {
    rooms.as_array().unwrap().iter().map(|room| room["room"].as_u64().unwrap()).collect()
}

fn id_of(chat: &TestChat, name: &str) -> UserId {
    chat.state.store.user_named(&Name::new(name).unwrap()).unwrap().unwrap().id
}

/// The rooms to which a user is invited.
fn invitations(chat: &mut TestChat, token: TokenHash) -> Vec<u64> {
    let (connection, welcome) = welcome(chat, token);
    chat.close(connection);
    let rooms = welcome["rooms"].as_array().unwrap().iter().filter(|room| room["role"] == "invited");
    rooms.map(|room| room["room"].as_u64().unwrap()).collect()
}

#[test]
fn one_inviter_has_a_share_of_a_users_invitations() {
    let mut chat = generous();
    let victim = chat.account("Victim").unwrap();
    let (eve, friend) = (connect_guest(&mut chat, "Eve"), chat.connect_user("Friend"));
    let rooms = create_rooms(&mut chat, eve, 11);
    let expected = |number| if number < 10 { Ok(()) } else { Err("too_many_invitations".to_owned()) };
    for (number, room) in rooms.iter().enumerate() {
        assert_eq!(invite(&mut chat, eve, *room, "Victim"), expected(number), "invitation {number}");
        assert_eq!(invite(&mut chat, eve, *room, "Victim"), expected(number), "again");
    }
    let den = chat.create(friend, "Den", "invited");
    invite(&mut chat, friend, den, "Victim").unwrap();
    assert_eq!(invitations(&mut chat, victim), [&rooms[..10], &[den]].concat());
    // An answer makes the share free again.
    let (connection, _) = welcome(&mut chat, victim);
    chat.call(connection, "leave", json!({ "room": rooms[0] })).unwrap();
    invite(&mut chat, eve, rooms[10], "Victim").unwrap();
}

#[test]
fn open_invitations_of_an_inviter_are_limited_for_a_month_and_less_for_a_guest() {
    for (is_guest, max) in [(true, 20), (false, 100)] {
        let mut chat = generous();
        let eve = if is_guest { connect_guest(&mut chat, "Eve") } else { chat.connect_user("Eve") };
        let room = chat.create(eve, "Den", "invited");
        let tokens: Vec<_> = (0..=max).map(|number| chat.account(&format!("User {number}")).unwrap()).collect();
        for number in 0..max {
            invite(&mut chat, eve, room, &format!("User {number}")).unwrap();
        }
        let last = format!("User {max}");
        assert_eq!(invite(&mut chat, eve, room, &last), Err("too_many_invitations".into()));
        let accepted = chat.connect(tokens[3]);
        chat.join(accepted, room).unwrap();
        invite(&mut chat, eve, room, &last).unwrap();
        chat.account("Late").unwrap();
        assert_eq!(invite(&mut chat, eve, room, "Late"), Err("too_many_invitations".into()));
        if !is_guest {
            // Each day with some activity, so that the session does not end.
            for _ in 0..31 {
                chat.advance(Duration::from_secs(24 * 60 * 60));
                chat.call(eve, "typing", json!({ "room": room })).unwrap();
            }
            invite(&mut chat, eve, room, "Late").unwrap();
        }
    }
}

/// In each row some inviters have filled a user's invitations, and another one invites.
#[test]
fn of_too_many_invitations_one_of_the_least_trusted_inviter_gives_way() {
    #[derive(Clone, Copy, PartialEq)]
    enum Inviter {
        Guest,
        Account,
        Acquaintance,
    }
    use Inviter::*;
    let rows = [
        (Guest, Guest, true),
        (Guest, Account, true),
        (Guest, Acquaintance, true),
        (Account, Guest, false),
        (Account, Account, true),
        (Account, Acquaintance, true),
        (Acquaintance, Guest, false),
        (Acquaintance, Account, false),
        (Acquaintance, Acquaintance, true),
    ];
    for (row, (others, last, is_possible)) in rows.into_iter().enumerate() {
        let mut chat = generous();
        let token = chat.account("Victim").unwrap();
        let victim = chat.connect(token);
        let rooms_of = |chat: &mut TestChat, name: &str, kind, count| {
            let inviter = if kind == Guest { connect_guest(chat, name) } else { chat.connect_user(name) };
            if kind == Acquaintance {
                tell(chat, victim, name).unwrap();
            }
            let rooms = create_rooms(chat, inviter, count);
            (inviter, rooms)
        };
        // Two inviters have three invitations each, the other 44 have one each.
        let mut open = Vec::new();
        for number in 0..46 {
            let count = if [5, 9].contains(&number) { 3 } else { 1 };
            let (inviter, rooms) = rooms_of(&mut chat, &format!("Other {number}"), others, count);
            for room in rooms {
                invite(&mut chat, inviter, room, "Victim").unwrap();
                open.push(room);
            }
        }
        assert_eq!(invitations(&mut chat, token), open, "row {row}");
        chat.clear_output();
        let (inviter, rooms) = rooms_of(&mut chat, "Last", last, 1);
        let invited = invite(&mut chat, inviter, rooms[0], "Victim");
        if is_possible {
            assert_eq!(invited, Ok(()), "row {row}");
            let oldest_of_most = open.remove(5);
            assert_eq!(chat.pushes_of(victim, "gone"), [json!({ "room": oldest_of_most, "reason": "left" })]);
            open.push(rooms[0]);
        } else {
            assert_eq!(invited, Err("too_many_invitations".into()), "row {row}");
        }
        assert_eq!(invitations(&mut chat, token), open, "row {row}");
    }
}

#[test]
fn conversations_that_others_begin_do_not_count() {
    let mut chat = generous();
    let token = chat.account("Victim").unwrap();
    let victim = chat.connect(token);
    let id = id_of(&chat, "Victim");
    for number in 0..1001 {
        let guest = connect_guest(&mut chat, &format!("Guest {number}"));
        tell(&mut chat, guest, "Victim").unwrap();
        chat.close(guest);
    }
    chat.clear_output();
    for number in 0..1000 {
        chat.account(&format!("User {number}")).unwrap();
        let begun = chat.call(victim, "direct", json!({ "name": format!("User {number}") })).unwrap();
        assert_eq!(begun["room"]["name"], format!("User {number}"));
    }
    assert_eq!(chat.state.store.count_begun(id).unwrap(), 1000);
    chat.account("Another").unwrap();
    for (event, data) in [
        ("direct", json!({ "name": "Another" })),
        ("tell", json!({ "name": "Another", "text": "hi", "key": chat.key() })),
    ] {
        assert_eq!(chat.call(victim, event, data), Err("too_many_rooms".into()), "{event}");
    }
    // The victim can answer everybody, come back, and leave.
    let room = tell(&mut chat, victim, "Guest 7").unwrap();
    let empty = chat.call(victim, "direct", json!({ "name": "User 7" })).unwrap()["room"]["room"].clone();
    chat.call(victim, "leave", json!({ "room": empty })).unwrap();
    assert!(tell(&mut chat, victim, "Another").is_ok());
    // Coming back to a conversation counts as beginning it.
    chat.call(victim, "leave", json!({ "room": room })).unwrap();
    assert_eq!(tell(&mut chat, victim, "Guest 7"), Err("too_many_rooms".into()));
}

#[test]
fn a_conversation_without_messages_is_removed_when_its_only_member_leaves() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let empty = chat.call(ada, "direct", json!({ "name": "Bob" })).unwrap()["room"]["room"].clone();
    chat.call(ada, "leave", json!({ "room": empty })).unwrap();
    let again = tell(&mut chat, ada, "Bob").unwrap();
    assert_ne!(again, empty);
    for connection in [ada, bob] {
        chat.call(connection, "leave", json!({ "room": again })).unwrap();
    }
    assert_eq!(tell(&mut chat, bob, "Ada"), Ok(again), "the messages are kept");
}

#[test]
fn beginning_conversations_is_rate_limited_and_answering_is_not() {
    for (is_guest, at_once, per_hour) in [(false, 20, 60), (true, 5, 15)] {
        let mut chat = TestChat::new();
        let eve = if is_guest { connect_guest(&mut chat, "Eve") } else { chat.connect_user("Eve") };
        for number in 0..=at_once {
            let other = chat.connect_user(&format!("User {number}"));
            chat.advance(Duration::from_millis(200));
            if number < at_once {
                tell(&mut chat, eve, &format!("User {number}")).unwrap();
            }
            chat.close(other);
        }
        let last = format!("User {at_once}");
        assert_eq!(tell(&mut chat, eve, &last), Err("too_fast".into()), "{is_guest}");
        let greeting = json!({ "name": last, "text": "hi", "key": chat.key() });
        assert_eq!(chat.call(eve, "tell", greeting.clone()), Err("too_fast".into()), "nothing was created or sent");
        // Messages to users who are in the conversation are free, whoever has begun it.
        tell(&mut chat, eve, "User 0").unwrap();
        let friend = chat.connect_user("Friend");
        let room = tell(&mut chat, friend, "Eve").unwrap();
        chat.say(eve, room, "hello").unwrap();
        // Making a user a member again counts.
        chat.call(friend, "leave", json!({ "room": room })).unwrap();
        assert_eq!(chat.say(eve, room, "come back"), Err("too_fast".into()));
        chat.advance(Duration::from_secs(3600 / per_hour));
        let sent = chat.call(eve, "tell", greeting.clone()).unwrap();
        assert_eq!(chat.call(eve, "tell", greeting), Ok(sent), "a repeat is free");
        assert_eq!(chat.say(eve, room, "come back"), Err("too_fast".into()));
    }
}

/// A victim with this many answered conversations and this many greetings by strangers: each is listed once, the
/// latest first, and both have a share of the first page.
#[test]
fn direct_rooms_come_in_pages_of_which_strangers_fill_only_a_part() {
    let rows = [
        (0, 0, vec![(0, 0)]),
        (3, 2, vec![(3, 2)]),
        (100, 0, vec![(100, 0)]),
        (101, 0, vec![(100, 0), (1, 0)]),
        (0, 101, vec![(0, 100), (0, 1)]),
        (60, 40, vec![(60, 40)]),
        (60, 41, vec![(60, 40), (0, 1)]),
        (10, 300, vec![(10, 90), (0, 100), (0, 100), (0, 10)]),
        (70, 130, vec![(60, 40), (10, 90)]),
        (130, 10, vec![(90, 10), (40, 0)]),
    ];
    for (answered, unanswered, pages) in rows {
        let mut chat = generous();
        let token = chat.account("Victim").unwrap();
        let victim = chat.connect(token);
        let mut expected = [Vec::new(), Vec::new()];
        for number in 0..answered + unanswered {
            let other = connect_guest(&mut chat, &format!("Guest {number}"));
            let room = tell(&mut chat, other, "Victim").unwrap();
            if number < answered {
                tell(&mut chat, victim, &format!("Guest {number}")).unwrap();
            }
            expected[usize::from(number >= answered)].insert(0, room);
            chat.close(other);
            // Some have the same time.
            chat.advance(Duration::from_millis(u64::from(number % 3 == 0)));
        }
        chat.close(victim);
        let (connection, mut page) = welcome(&mut chat, token);
        page["rooms"].as_array_mut().unwrap().remove(0);
        for (number, (of_answered, of_unanswered)) in pages.iter().enumerate() {
            let context = format!("{answered} and {unanswered}, page {number}");
            let [first, second] = &mut expected;
            let listed: Vec<u64> = first.drain(..of_answered).chain(second.drain(..of_unanswered)).collect();
            assert_eq!(numbers(&page["rooms"]), listed, "{context}");
            assert_eq!(page["older"].is_null(), number + 1 == pages.len(), "{context}");
            if number + 1 < pages.len() {
                page = chat.call(connection, "conversations", json!({ "older": page["older"] })).unwrap();
            }
        }
        assert_eq!(expected, [[0; 0], [0; 0]], "{answered} and {unanswered}");
    }
}

/// All others have the longest names, and write and invite as much as they can.
#[test]
fn others_fill_a_bounded_part_of_a_welcome() {
    let mut chat = generous();
    let token = chat.account("Victim").unwrap();
    let (_, before) = welcome(&mut chat, token);
    let before = before.to_string().len();
    for number in 0..150 {
        let name = format!("{}{}", "\u{20000}".repeat(31), char::from_u32(0x20001 + number).unwrap());
        let guest = connect_guest(&mut chat, &name);
        tell(&mut chat, guest, "Victim").unwrap();
        let room = json!({ "name": "\u{1f600}".repeat(40), "topic": "\"".repeat(200), "kind": "invited" });
        let room = chat.call(guest, "create", room).unwrap()["room"]["room"].as_u64().unwrap();
        let topic = json!({ "room": room, "topic": "\u{1f600}".repeat(200) });
        chat.call(guest, "topic", topic).unwrap();
        invite(&mut chat, guest, room, "Victim").unwrap();
        if number > 120 {
            chat.close(guest);
        }
    }
    let (_, greeting) = welcome(&mut chat, token);
    assert_eq!(numbers(&greeting["rooms"]).len(), 1 + 100 + 50);
    assert!(!greeting["online"]["names"].is_null());
    let more = greeting.to_string().len() - before;
    assert!((96 << 10..112 << 10).contains(&more), "{more} bytes");
}

#[test]
fn a_place_that_a_client_makes_up_is_harmless() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let room = tell(&mut chat, bob, "Ada").unwrap();
    let place = |active: u64, room: i64| json!({ "active": active, "room": room });
    let rows = [
        (json!(null), vec![room]),
        (json!({}), vec![room]),
        (json!({ "older": null }), vec![room]),
        (json!({ "older": { "answered": null, "unanswered": null } }), vec![]),
        (json!({ "older": { "unanswered": place(0, 0) } }), vec![]),
        (json!({ "older": { "unanswered": place(u64::MAX, i64::MAX) } }), vec![room]),
        (json!({ "older": { "answered": place(u64::MAX, i64::MAX) } }), vec![]),
        (json!({ "older": { "unanswered": place(1 << 63, i64::MIN) } }), vec![room]),
    ];
    for (data, expected) in rows {
        let page = chat.call(ada, "conversations", data.clone()).unwrap();
        assert_eq!(numbers(&page["rooms"]), expected, "{data}");
        chat.advance(Duration::from_secs(1));
    }
    for data in [json!(7), json!({ "older": 7 }), json!({ "older": { "answered": place(0, 0)["active"] } })] {
        assert_eq!(chat.call(ada, "conversations", data.clone()), Err("bad_data".into()), "{data}");
    }
}

/// A conversation that is not in the welcome comes as an event before its next message, and is followed from there.
#[test]
fn a_message_in_an_older_conversation_reaches_connections_that_do_not_know_it() {
    for is_answered in [false, true] {
        let mut chat = generous();
        let token = chat.account("Victim").unwrap();
        let friend = chat.connect_user("Friend");
        let room = tell(&mut chat, friend, "Victim").unwrap();
        let victim = chat.connect(token);
        if is_answered {
            tell(&mut chat, victim, "Friend").unwrap();
        }
        let strangers: Vec<_> = (0..110)
            .map(|number| {
                let name = format!("Guest {number}");
                let guest = connect_guest(&mut chat, &name);
                tell(&mut chat, guest, "Victim").unwrap();
                if is_answered {
                    tell(&mut chat, victim, &name).unwrap();
                }
                guest
            })
            .collect();
        chat.close(victim);
        let (here, greeting) = welcome(&mut chat, token);
        let (there, _) = welcome(&mut chat, token);
        assert!(!numbers(&greeting["rooms"]).contains(&room));
        chat.clear_output();
        // All this happens within a minute, in which activity is not recorded again.
        for number in 0..3 {
            chat.say(friend, room, &format!("message {number}")).unwrap();
            for connection in [here, there] {
                let output = chat.take_output(connection);
                let events: Vec<_> = output.iter().map(|event| event[0].as_str().unwrap()).collect();
                assert_eq!(events, if number == 0 { vec!["room", "message"] } else { vec!["message"] });
                let message = &output.last().unwrap()[1];
                assert_eq!(message["text"], format!("message {number}"));
                if number == 0 {
                    assert_eq!((&output[0][1]["room"], &output[0][1]["kind"]), (&json!(room), &json!("direct")));
                    assert_eq!(output[0][1]["seq"].as_u64().unwrap() + 1, message["seq"].as_u64().unwrap());
                }
            }
        }
        assert_eq!(chat.pushes_of(friend, "room"), [Value::Null; 0], "the friend knows the conversation");
        // It is in the next welcome, although strangers write as well.
        for stranger in strangers {
            tell(&mut chat, stranger, "Victim").unwrap();
        }
        let (_, again) = welcome(&mut chat, token);
        assert!(numbers(&again["rooms"]).contains(&room));
    }
}

#[test]
fn a_connection_whose_end_is_rolled_back_still_gets_conversations_that_it_does_not_know() {
    let mut chat = generous();
    let token = chat.account("Victim").unwrap();
    let friend = chat.connect_user("Friend");
    let room = tell(&mut chat, friend, "Victim").unwrap();
    for number in 0..110 {
        let guest = connect_guest(&mut chat, &format!("Guest {number}"));
        tell(&mut chat, guest, "Victim").unwrap();
    }
    let (victim, _) = welcome(&mut chat, token);
    // The connection's end, and its undoing.
    chat.state.presence.disconnect(victim);
    chat.state.presence.roll_back();
    chat.say(friend, room, "hello?").unwrap();
    assert_eq!(chat.pushes_of(victim, "room")[0]["room"], room);
}

#[test]
fn a_block_ends_the_conversation_and_the_invitations() {
    let mut chat = generous();
    let token = chat.account("Victim").unwrap();
    let (victim, other) = (chat.connect(token), chat.connect(token));
    let (eve, friend) = (connect_guest(&mut chat, "Eve"), chat.connect_user("Friend"));
    let conversation = tell(&mut chat, eve, "Victim").unwrap();
    let rooms = create_rooms(&mut chat, eve, 3);
    for room in &rooms {
        invite(&mut chat, eve, *room, "Victim").unwrap();
    }
    let den = chat.create(friend, "Den", "invited");
    invite(&mut chat, friend, den, "Victim").unwrap();
    // A room that the victim has joined stays.
    chat.join(victim, rooms[0]).unwrap();
    chat.clear_output();
    chat.call(victim, "block", json!({ "name": "Eve" })).unwrap();
    for connection in [victim, other] {
        let output = chat.take_output(connection);
        let gone = |room| json!(["gone", { "room": room, "reason": "left" }]);
        let blocked = json!(["blocked", { "name": "Eve", "blocked": true }]);
        assert_eq!(output, [gone(conversation), gone(rooms[1]), gone(rooms[2]), blocked]);
    }
    assert_eq!(tell(&mut chat, eve, "Victim"), Err("blocked".into()));
    let (_, greeting) = welcome(&mut chat, token);
    assert_eq!(numbers(&greeting["rooms"]), [LOBBY, rooms[0], den]);
    // The messages are kept, and after unblocking the conversation goes on.
    chat.call(victim, "unblock", json!({ "name": "Eve" })).unwrap();
    assert_eq!(tell(&mut chat, eve, "Victim"), Ok(conversation));
    let history = chat.call(victim, "history", json!({ "room": conversation })).unwrap();
    assert_eq!(texts(&history["messages"]), ["hi", "hi"]);
}

#[test]
fn bans_by_others_are_not_in_the_way() {
    let mut chat = generous();
    let token = chat.account("Victim").unwrap();
    let eve = connect_guest(&mut chat, "Eve");
    for room in create_rooms(&mut chat, eve, 20) {
        chat.call(eve, "ban", json!({ "room": room, "name": "Victim" })).unwrap();
    }
    let (victim, greeting) = welcome(&mut chat, token);
    assert_eq!(numbers(&greeting["rooms"]), [LOBBY]);
    assert_eq!(create_rooms(&mut chat, victim, 20).len(), 20);
}

#[test]
fn entering_and_leaving_hides_no_unread_messages_and_is_rate_limited() {
    let mut chat = generous();
    let token = chat.account("Ada").unwrap();
    let (ada, bob, eve) = (chat.connect(token), chat.connect_user("Bob"), connect_guest(&mut chat, "Eve"));
    let room = chat.create(bob, "Rust", "public");
    chat.join(ada, room).unwrap();
    for text in ["one", "two", "three"] {
        chat.say(bob, room, text).unwrap();
    }
    chat.close(ada);
    for times in 0..150 {
        let joined = chat.join(eve, room).map(drop);
        assert_eq!(joined.is_ok(), times < 60, "time {times}: {joined:?}");
        chat.call(eve, "leave", json!({ "room": room })).ok();
    }
    chat.advance(Duration::from_secs(5));
    chat.join(eve, room).unwrap();
    chat.call(eve, "leave", json!({ "room": room })).unwrap();
    assert_eq!(chat.call(eve, "create", json!({ "name": "Another" })).map(drop), Err("too_fast".into()));
    for minute in 0..20 {
        chat.advance(Duration::from_secs(60));
        while chat.join(eve, room).is_ok() {
            chat.call(eve, "leave", json!({ "room": room })).unwrap();
        }
        if minute % 10 == 0 {
            chat.state.cache = super::super::cache::Cache::default();
        }
        let (connection, welcome) = welcome(&mut chat, token);
        assert_eq!(welcome["rooms"][1]["unread"], 3, "minute {minute}");
        chat.close(connection);
    }
    let seq = chat.join(bob, room).unwrap()["room"]["seq"].as_u64().unwrap();
    assert!((500..2_000).contains(&seq), "{seq}");
}

#[test]
fn long_names_of_users_online_are_left_out_like_many() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let online = |chat: &mut TestChat| {
        let (connection, welcome) = welcome(chat, token);
        chat.close(connection);
        (welcome["online"]["count"].as_u64().unwrap(), welcome["online"]["names"].as_array().map(Vec::len))
    };
    // 128 bytes each, and "Ada" has 3.
    let long = |number: u32| format!("{}{}", "\u{20000}".repeat(31), char::from_u32(0x20001 + number).unwrap());
    let users: Vec<_> = (0..128).map(|number| connect_guest(&mut chat, &long(number))).collect();
    assert_eq!(online(&mut chat), (129, None));
    chat.close(users[0]);
    assert_eq!(online(&mut chat), (128, Some(128)));
    chat.advance(Duration::from_secs(1));
    chat.take_all_output(users[1]);
    let last = connect_guest(&mut chat, "Bob");
    chat.advance(Duration::from_secs(1));
    assert_eq!(chat.pushes_of(users[1], "presence")[0]["online"], json!(["Bob"]));
    chat.close(last);
}
