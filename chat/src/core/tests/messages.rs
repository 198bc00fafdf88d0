//! Sending and reading messages.

use super::*;

#[test]
fn messages_arrive_in_the_order_of_the_log_and_after_the_reply() {
    let mut chat = TestChat::new();
    let (ada, bob, eve) = (chat.connect_user("Ada"), chat.connect_user("Bob"), chat.connect_user("Eve"));
    for connection in [ada, bob] {
        assert_eq!(chat.join(connection, LOBBY).unwrap()["live"], true);
    }
    chat.clear_output();
    let says = [("one", "all"), ("two", "others"), ("three", "all")].map(|(text, to)| {
        let key = chat.key();
        event_command(ada, &json!(["say", { "room": LOBBY, "text": text, "key": key, "to": to }, text]))
    });
    chat.process(says.into());
    let output = chat.take_output(ada);
    let shape: Vec<_> = output.iter().map(|event| event[0].as_str().unwrap()).collect();
    assert_eq!(shape, ["ack", "message", "ack", "ack", "message"], "the second message went to the others only");
    assert_eq!((&output[0][1]["seq"], &output[2][1]["seq"]), (&json!(1), &json!(2)));
    let pushes = chat.pushes_of(bob, "message");
    assert_eq!(texts(&json!(pushes)), ["one", "two", "three"]);
    assert_eq!(pushes[0]["from"], "Ada");
    assert_eq!(pushes[0]["seq"], 1);
    assert_eq!(pushes[0]["epoch"], output[1][1]["epoch"]);
    assert_eq!(chat.take_output(eve), [Value::Null; 0], "a connection that does not follow the room gets nothing");
}

#[test]
fn a_repeated_key_sends_one_message() {
    let mut chat = TestChat::with(|config| config.limits.messages.at_once = 2);
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    chat.join(bob, LOBBY).unwrap();
    let key = chat.key();
    let say = json!({ "room": LOBBY, "text": "once", "key": key });
    let first = chat.call(ada, "say", say.clone()).unwrap();
    for _ in 0..5 {
        assert_eq!(chat.call(ada, "say", say.clone()).unwrap(), first, "a repeat is not rate-limited");
    }
    assert_eq!(chat.pushes_of(bob, "message").len(), 1);
    // The same key of another user is another key. A key is the same in a direct room and in other rooms.
    assert_eq!(chat.call(bob, "say", say).unwrap()["seq"], 2);
    chat.advance(Duration::from_secs(9));
    let output = chat.call(ada, "tell", json!({ "name": "Bob", "text": "once", "key": key })).unwrap();
    assert_eq!((&output["room"], &output["seq"]), (&json!(LOBBY), &first["seq"]));
    assert_eq!(chat.call(ada, "say", json!({ "room": LOBBY, "text": "x", "key": "1" })), Err("bad_key".into()));
    // A repeat is acknowledged even if it would no longer be allowed.
    chat.call(ada, "leave", json!({ "room": LOBBY })).unwrap();
    chat.call(bob, "block", json!({ "name": "Ada" })).unwrap();
    assert_eq!(chat.call(ada, "say", json!({ "room": LOBBY, "text": "once", "key": key })).unwrap(), first);
    assert_eq!(
        chat.call(ada, "tell", json!({ "name": "Bob", "text": "once", "key": key })).unwrap()["seq"],
        first["seq"]
    );
}

#[test]
fn a_message_is_neither_empty_nor_too_long_nor_invisible() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    chat.join(ada, LOBBY).unwrap();
    let longest = "\u{1f600}".repeat(4000);
    let rows: &[(&str, Result<&str, &str>)] = &[
        ("hi", Ok("hi")),
        ("  two\tlines\n here \n\n", Ok("  two\tlines\n here")),
        ("a\u{1}b\u{85}c", Ok("abc")),
        ("<script>alert(1)</script>", Ok("<script>alert(1)</script>")),
        (&longest, Ok(&longest)),
        ("", Err("empty")),
        (" \n\t ", Err("empty")),
        ("\u{7}", Err("empty")),
        ("\u{200b} \u{2060}\u{feff}", Err("empty")),
        ("\u{2800} \u{2800}", Err("empty")),
        ("\u{1d159}", Err("empty")),
        ("\u{fff9}", Err("empty")),
        (&"\u{3164}".repeat(4001), Err("empty")),
        ("\u{200b}.", Ok("\u{200b}.")),
        (&"x".repeat(4001), Err("too_long")),
    ];
    for (text, expected) in rows {
        chat.clear_output();
        let said = chat.say(ada, LOBBY, text).map_err(|code| assert_eq!(Err(&*code), *expected));
        if said.is_ok() {
            assert_eq!(texts(&json!(chat.pushes_of(ada, "message"))), [expected.unwrap()]);
        }
    }
}

#[test]
fn messages_are_rate_limited_over_all_connections_of_a_user() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let connections = [chat.connect(token), chat.connect(token)];
    let burst = |chat: &mut TestChat| {
        (0..)
            .take_while(|i| {
                let key = chat.key();
                let say = json!({ "room": LOBBY, "text": "word", "key": key });
                chat.call(connections[i % 2], "say", say).map_err(|code| assert_eq!(code, "too_fast")).is_ok()
            })
            .count()
    };
    assert_eq!(burst(&mut chat), 20);
    chat.advance(Duration::from_secs(2));
    assert_eq!(burst(&mut chat), 10);
    chat.advance(Duration::from_secs(3600));
    assert_eq!(burst(&mut chat), 20);
}

#[test]
fn long_lists_count_as_several_events() {
    let rows = [
        ("rooms", json!({}), 100),
        ("members", json!({ "room": LOBBY }), 240),
        ("people", json!({}), 240),
        ("sessions", json!({}), 1200),
    ];
    for (event, data, at_once) in rows {
        let mut chat = TestChat::new();
        let ada = chat.connect_user("Ada");
        for _ in 0..at_once {
            chat.call(ada, event, data.clone()).unwrap();
        }
        assert_eq!(chat.call(ada, event, data.clone()), Err("too_fast".into()), "{event}");
        chat.advance(Duration::from_secs(1));
        assert!(chat.call(ada, event, data).is_ok(), "{event}");
    }
}

#[test]
fn a_private_message_reaches_all_connections_of_both_users_even_later() {
    let mut chat = TestChat::new();
    let (ada_token, bob_token) = (chat.account("Ada").unwrap(), chat.account("Bob").unwrap());
    let (ada, ada_too, eve) = (chat.connect(ada_token), chat.connect(ada_token), chat.connect_user("Eve"));
    chat.clear_output();
    let key = chat.key();
    let output = chat.call(ada, "tell", json!({ "name": "bob", "text": "psst", "key": key })).unwrap();
    assert_eq!(output["seq"], 1);
    for connection in [ada, ada_too] {
        let output = chat.take_output(connection);
        assert_eq!(
            (&output[0][0], &output[0][1]["name"], &output[0][1]["kind"]),
            (&json!("room"), &json!("Bob"), &json!("direct"))
        );
        assert_eq!((&output[1][0], &output[1][1]["text"]), (&json!("message"), &json!("psst")));
    }
    assert_eq!(chat.take_output(eve), [Value::Null; 0]);

    let bob = chat.connect(bob_token);
    let welcome = chat.take_output(bob).remove(0)[1].take();
    let room = &welcome["rooms"][1];
    assert_eq!((&room["name"], &room["unread"], &room["room"]), (&json!("Ada"), &json!(1), &output["room"]));
    let entered = chat.join(bob, output["room"].as_u64().unwrap()).unwrap();
    assert_eq!(texts(&entered["messages"]), ["psst"]);
    assert_eq!(entered["live"], true);
    assert_eq!(chat.say(bob, output["room"].as_u64().unwrap(), "what?"), Ok(2));
    for connection in [ada, ada_too, bob] {
        assert_eq!(texts(&json!(chat.pushes_of(connection, "message"))), ["what?"]);
    }
    // `direct` enters the same room.
    assert_eq!(texts(&chat.call(bob, "direct", json!({ "name": "Ada" })).unwrap()["messages"]), ["psst", "what?"]);
    assert_eq!(chat.call(eve, "direct", json!({ "name": "Eve" })), Err("yourself".into()));
    assert_eq!(chat.call(eve, "direct", json!({ "name": "Nobody" })), Err("unknown_person".into()));
}

#[test]
fn a_refused_private_message_creates_no_direct_room() {
    let mut chat = TestChat::with(|config| config.limits.messages.at_once = 1);
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    chat.say(ada, LOBBY, "one").unwrap();
    for text in ["too fast", "", &"x".repeat(4001)] {
        let key = chat.key();
        chat.call(ada, "tell", json!({ "name": "Bob", "text": text, "key": key })).unwrap_err();
    }
    assert_eq!([chat.take_output(ada), chat.take_output(bob)], [[Value::Null; 0], [Value::Null; 0]]);
    let welcome = chat.account("Eve").map(|token| chat.connect(token)).unwrap();
    assert_eq!(chat.take_output(welcome)[0][1]["rooms"].as_array().unwrap().len(), 1);
}

#[test]
fn a_new_private_message_makes_a_user_who_left_a_member_again() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let key = chat.key();
    let room =
        chat.call(ada, "tell", json!({ "name": "Bob", "text": "one", "key": key })).unwrap()["room"].as_u64().unwrap();
    assert_eq!(chat.call(bob, "leave", json!({ "room": room })), Ok(json!({})));
    assert_eq!(chat.pushes_of(bob, "gone"), [json!({ "room": room, "reason": "left" })]);
    chat.say(ada, room, "two").unwrap();
    let output = chat.take_output(bob);
    assert_eq!((&output[0][0], &output[1][1]["text"]), (&json!("room"), &json!("two")), "{output:?}");
}

#[test]
fn a_repeated_private_message_does_not_make_users_who_left_members_again() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let tell = json!({ "name": "Bob", "text": "one", "key": chat.key() });
    let output = chat.call(ada, "tell", tell.clone()).unwrap();
    for connection in [ada, bob] {
        chat.call(connection, "leave", json!({ "room": output["room"] })).unwrap();
    }
    chat.clear_output();
    assert_eq!(chat.call(ada, "tell", tell), Ok(output));
    assert_eq!([chat.take_output(ada), chat.take_output(bob)], [[Value::Null; 0], [Value::Null; 0]]);
}

#[test]
fn events_that_are_published_count_as_messages() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    let mut count = |event: &str, data: Value| {
        chat.advance(Duration::from_secs(3600));
        (0..50).take_while(|_| chat.call(ada, event, data.clone()) != Err("too_fast".into())).count()
    };
    assert_eq!(count("typing", json!({ "room": LOBBY })), 20);
    assert_eq!(count("topic", json!({ "room": 99, "topic": "x" })), 20, "refused events count too");
    assert_eq!(count("leave", json!({ "room": LOBBY })), 20);
    assert_eq!(count("history", json!({ "room": LOBBY })), 50);
}

#[test]
fn private_messages_are_refused_between_blocked_users_and_to_oneself() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let tell = |chat: &mut TestChat, from, name: &str| {
        let key = chat.key();
        chat.call(from, "tell", json!({ "name": name, "text": "psst", "key": key }))
            .map(|output| output["room"].as_u64().unwrap())
    };
    assert_eq!(tell(&mut chat, ada, "Ada"), Err("yourself".into()));
    assert_eq!(tell(&mut chat, ada, "Nobody"), Err("unknown_person".into()));
    let room = tell(&mut chat, ada, "Bob").unwrap();
    chat.call(bob, "block", json!({ "name": "Ada" })).unwrap();
    assert_eq!(chat.pushes_of(bob, "blocked"), [json!({ "name": "Ada", "blocked": true })]);
    assert_eq!(tell(&mut chat, ada, "Bob"), Err("blocked".into()));
    assert_eq!(chat.say(ada, room, "psst"), Err("blocked".into()));
    assert_eq!(tell(&mut chat, bob, "Ada"), Err("blocking".into()), "a blocked user cannot be written to either");
    chat.clear_output();
    chat.call(ada, "typing", json!({ "room": room })).unwrap();
    assert_eq!(chat.take_output(bob), [Value::Null; 0]);
    let invited = chat.create(ada, "Den", "invited");
    assert_eq!(chat.call(ada, "invite", json!({ "room": invited, "name": "Bob" })), Err("blocked".into()));
    chat.call(bob, "unblock", json!({ "name": "Ada" })).unwrap();
    chat.say(ada, room, "psst").unwrap();
}

#[test]
fn history_comes_in_pages_in_both_directions() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    for i in 1..=7 {
        chat.say(ada, LOBBY, &i.to_string()).unwrap();
    }
    let rows = [
        (json!({}), vec!["1", "2", "3", "4", "5", "6", "7"], false),
        (json!({ "limit": 3 }), vec!["5", "6", "7"], true),
        (json!({ "before": 5, "limit": 3 }), vec!["2", "3", "4"], true),
        (json!({ "before": 4, "limit": 3 }), vec!["1", "2", "3"], false),
        (json!({ "before": 1 }), vec![], false),
        (json!({ "after": 0, "limit": 3 }), vec!["1", "2", "3"], true),
        (json!({ "after": 4, "limit": 3 }), vec!["5", "6", "7"], false),
        (json!({ "after": 7 }), vec![], false),
        (json!({ "limit": 1_000_000 }), vec!["1", "2", "3", "4", "5", "6", "7"], false),
    ];
    for (mut data, expected, more) in rows {
        data["room"] = json!(LOBBY);
        let page = chat.call(ada, "history", data.clone()).unwrap();
        assert_eq!((texts(&page["messages"]), &page["more"]), (expected, &json!(more)), "{data}");
    }
}

/// A page is bounded by bytes, so that neither the client nor the thread has to handle a hundred of the longest
/// messages at once.
#[test]
fn pages_are_bounded_in_bytes_and_can_be_continued() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    let long = "\u{1f600}".repeat(4_000);
    for _ in 0..12 {
        chat.say(ada, LOBBY, &long).unwrap();
    }
    let mut page = |data: Value| {
        let page = chat.call(ada, "history", data).unwrap();
        let seqs = page["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap());
        (seqs.collect::<Vec<_>>(), page["more"] == true)
    };
    // Four times 16,000 bytes fit into 64 KiB.
    assert_eq!(page(json!({ "room": LOBBY, "limit": 100 })), (vec![9, 10, 11, 12], true));
    assert_eq!(page(json!({ "room": LOBBY, "before": 5 })), (vec![1, 2, 3, 4], false));
    assert_eq!(page(json!({ "room": LOBBY, "after": 0 })), (vec![1, 2, 3, 4], true));
    assert_eq!(page(json!({ "room": LOBBY, "after": 8 })), (vec![9, 10, 11, 12], false));
    assert_eq!(page(json!({ "room": LOBBY, "after": 6, "limit": 2 })), (vec![7, 8], true));

    let entered = chat.join(ada, LOBBY).unwrap();
    assert_eq!((entered["messages"][0]["seq"].as_u64(), &entered["live"]), (Some(9), &json!(true)));
    let since = json!({ "epoch": entered["room"]["epoch"], "seq": 2 });
    let missed = chat.call(ada, "join", json!({ "room": LOBBY, "since": since })).unwrap();
    let messages = missed["messages"].as_array().unwrap();
    let ends = [&messages[0]["seq"], &messages[messages.len() - 1]["seq"]].map(Value::as_u64);
    assert_eq!((ends, &missed["gap"], &missed["live"]), ([Some(3), Some(6)], &json!(false), &json!(false)));
}

#[test]
fn the_read_position_is_shared_by_all_connections_and_read_messages_do_not_count_as_unread() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let (here, there, bob) = (chat.connect(token), chat.connect(token), chat.connect_user("Bob"));
    for text in ["one", "two", "three"] {
        chat.say(bob, LOBBY, text).unwrap();
    }
    let unread = |chat: &mut TestChat| {
        let connection = chat.connect(token);
        chat.take_output(connection)[0][1]["rooms"][0]["unread"].clone()
    };
    assert_eq!(unread(&mut chat), 3);
    chat.clear_output();
    chat.call(here, "read", json!({ "room": LOBBY, "seq": 2 })).unwrap();
    assert_eq!(chat.take_output(there), [json!(["read", { "room": LOBBY, "seq": 2, "unread": 1 }])]);
    assert_eq!(chat.take_output(here), [Value::Null; 0]);
    assert_eq!(unread(&mut chat), 1);
    chat.call(there, "read", json!({ "room": LOBBY, "seq": 1 })).unwrap();
    assert_eq!(chat.take_output(here), [Value::Null; 0], "the read position never moves back");
    chat.call(there, "read", json!({ "room": LOBBY, "seq": 99 })).unwrap();
    let expected = json!({ "room": LOBBY, "seq": 3, "unread": 0 });
    assert_eq!(chat.pushes_of(here, "read"), [expected], "reading ends at the last entry");
    chat.say(here, LOBBY, "mine").unwrap();
    assert_eq!(unread(&mut chat), 0, "the user's own messages do not count as unread");
}

#[test]
fn a_client_catches_up_page_by_page_before_it_follows_the_room() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let epoch = chat.join(bob, LOBBY).unwrap()["room"]["epoch"].clone();
    let mut said: Vec<String> = (1..=450).map(|i| i.to_string()).collect();
    for text in &said {
        chat.say(ada, LOBBY, text).unwrap();
    }
    chat.clear_output();
    let back = chat.connect_user("Back");
    let (mut seen, mut lives) = (1, Vec::new());
    while lives.last() != Some(&true) {
        let since = json!({ "room": LOBBY, "since": { "epoch": epoch, "seq": seen } });
        let entered = chat.call(back, "join", since).unwrap();
        let messages = texts(&entered["messages"]);
        assert_eq!(messages, said[seen..(seen + 200).min(said.len())]);
        assert_eq!(entered["gap"], false);
        seen += messages.len();
        lives.push(entered["live"] == true);
        // Nothing is pushed before the client has caught up.
        said.push(format!("meanwhile {seen}"));
        chat.say(ada, LOBBY, said.last().unwrap()).unwrap();
        let pushes = chat.pushes_of(back, "message");
        assert_eq!(pushes.len(), usize::from(lives.last() == Some(&true)), "at {seen}");
        seen += pushes.len();
    }
    assert_eq!((lives, seen), (vec![false, false, true], said.len()));
}

#[test]
fn a_log_is_trimmed_to_its_limit_and_deleted_after_its_room() {
    let mut chat = TestChat::with(|config| config.limits.kept_messages = 1000);
    let ada = chat.connect_user("Ada");
    let room = chat.create(ada, "Rust", "public");
    let id: RoomId = serde_json::from_value(json!(room)).unwrap();
    for _ in 0..1500 {
        let seq = chat.say(ada, room, "word").unwrap();
        let tail = chat.state.store.tail(id).unwrap().unwrap();
        assert!(seq - tail < 1010, "{tail} to {seq}");
    }
    chat.call(ada, "remove", json!({ "room": room })).unwrap();
    assert_eq!(chat.state.store.tail(id).unwrap(), None);
}

#[test]
fn cached_unread_counts_match_the_store() {
    // One log keeps fewer messages than are counted as unread, the other more.
    [60, 250].into_iter().for_each(check_cached_counts);
}

fn check_cached_counts(kept_messages: u64) {
    let mut chat = TestChat::with(|config| config.limits.kept_messages = kept_messages);
    let names = ["Ada", "Bob", "Eve"];
    let [ada, bob, eve] = names.map(|name| chat.connect_user(name));
    let room = chat.create(ada, "Rust", "public");
    chat.join(bob, room).unwrap();
    chat.join(eve, room).unwrap();
    let ids = names.map(|name| chat.state.store.user_named(&Name::new(name).unwrap()).unwrap().unwrap().id);
    let output = |chat: &mut TestChat| ids.map(|id| json!(chat.state.rooms_of(id).unwrap()));
    for step in 0..700 {
        match step % 7 {
            0 | 2 | 3 => drop(chat.say(ada, room, "word").unwrap()),
            1 => drop(chat.say(bob, room, "word").unwrap()),
            4 => {
                let seq = chat.say(bob, room, "slip").unwrap();
                chat.call(bob, "delete", json!({ "room": room, "seq": seq - step % 3 })).ok();
            }
            5 if step % 20 == 0 => drop(chat.call(ada, "topic", json!({ "room": room, "topic": step })).ok()),
            5 => {
                chat.advance(Duration::from_secs(1));
                chat.state.store.refuse_commits(1);
                let key = chat.key();
                chat.call(ada, "say", json!({ "room": room, "text": "undone", "key": key })).unwrap_err();
            }
            _ if step % 100 == 6 => drop(chat.call(eve, "read", json!({ "room": room, "seq": step / 2 })).unwrap()),
            _ => {}
        }
        let remembered = output(&mut chat);
        let kept = std::mem::take(&mut chat.state.cache);
        assert_eq!(remembered, output(&mut chat), "step {step}");
        chat.state.cache = kept;
    }
    let unread = output(&mut chat)[2][1]["unread"].as_u64().unwrap();
    assert!((30..60).contains(&unread) || kept_messages == 250 && unread == 100, "{unread}");
}

#[test]
fn a_deleted_message_keeps_its_number() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    chat.join(bob, LOBBY).unwrap();
    let seq = chat.say(ada, LOBBY, "oops").unwrap();
    chat.say(ada, LOBBY, "fine").unwrap();
    chat.clear_output();
    assert_eq!(chat.call(bob, "delete", json!({ "room": LOBBY, "seq": seq })), Err("not_owner".into()));
    assert_eq!(chat.call(ada, "delete", json!({ "room": LOBBY, "seq": 9 })), Err("unknown_message".into()));
    assert_eq!(chat.call(ada, "delete", json!({ "room": LOBBY, "seq": seq })), Ok(json!({})));
    let output = chat.pushes_of(bob, "message");
    assert_eq!((kinds(&output), &output[0]["target"]), (vec!["deleted"], &json!(seq)));
    assert_eq!(chat.call(ada, "delete", json!({ "room": LOBBY, "seq": seq })), Err("unknown_message".into()), "twice");
    let history = chat.call(bob, "history", json!({ "room": LOBBY })).unwrap();
    assert_eq!(texts(&history["messages"]), ["fine"]);
    assert_eq!(history["messages"][0]["deleted"], true);
}

#[test]
fn typing_is_published_to_the_others_and_never_stored() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    for connection in [ada, bob] {
        chat.join(connection, LOBBY).unwrap();
    }
    chat.clear_output();
    chat.call(ada, "typing", json!({ "room": LOBBY })).unwrap();
    assert_eq!(chat.take_output(bob), [json!(["typing", { "room": LOBBY, "name": "Ada" }])]);
    assert_eq!(chat.take_output(ada), [Value::Null; 0]);
    assert_eq!(chat.join(bob, LOBBY).unwrap()["messages"], json!([]));
}
