//! Presence, accounts, and sessions.

use super::*;

#[test]
fn a_name_that_is_taken_or_looks_like_a_taken_one_is_refused() {
    let mut chat = TestChat::new();
    chat.account("Ada").unwrap();
    for name in ["Ada", "ADA", "\u{ff21}\u{ff44}\u{ff41}"] {
        assert_eq!(chat.account(name), Err(SignInError::NameTaken), "{name}");
        assert_eq!(chat.guest(name), Err(SignInError::NameTaken), "{name}");
    }
    chat.guest("Guest").unwrap();
    assert_eq!(chat.account("guest"), Err(SignInError::NameTaken));
    chat.account("小明").unwrap();
}

#[test]
fn presence_is_per_user_and_ignores_short_disconnections() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let bob = chat.connect_user("Bob");
    chat.advance(Duration::from_secs(1));
    chat.clear_output();
    let (here, there) = (chat.connect(token), chat.connect(token));
    chat.advance(Duration::from_secs(1));
    let came = json!({ "online": ["Ada"], "offline": [], "count": 2 });
    assert_eq!(chat.pushes_of(bob, "presence"), [came]);
    chat.close(here);
    chat.advance(Duration::from_secs(1));
    chat.close(there);
    let again = chat.connect(token);
    chat.advance(Duration::from_secs(1));
    assert_eq!(chat.take_all_output(bob), [Value::Null; 0], "a short loss is not published");
    chat.close(again);
    chat.advance(Duration::from_secs(1));
    assert_eq!(chat.pushes_of(bob, "presence"), [json!({ "online": [], "offline": ["Ada"], "count": 1 })]);
    let people = chat.call(bob, "people", json!({})).unwrap();
    assert_eq!(people, json!({ "people": [{ "name": "Bob", "guest": false, "online": true }], "more": false }));
    let found = chat.call(bob, "people", json!({ "search": "AD" })).unwrap();
    assert_eq!(found["people"], json!([{ "name": "Ada", "guest": false, "online": false }]));
}

#[test]
fn the_connections_of_a_user_are_limited() {
    let mut chat = TestChat::with(|config| config.limits.connections = 2);
    let token = chat.account("Ada").unwrap();
    let connections = [chat.connect(token), chat.connect(token), chat.connect(token)];
    assert_eq!(chat.take_output(connections[2])[0][1]["code"], "too_many_connections");
    assert_eq!(chat.closed_with(connections[2]), Some(1008));
    assert_eq!(chat.closed_with(connections[1]), None);
}

#[test]
fn sessions_are_listed_and_ended_from_another_session() {
    let mut chat = TestChat::new();
    let (ada_token, eve) = (chat.account("Ada").unwrap(), chat.connect_user("Eve"));
    let ada = chat.state.store.user_named(&Name::new("Ada").unwrap()).unwrap().unwrap();
    let other_token = chat.log_in(ada.id, "a hash").unwrap();
    let (here, there) = (chat.connect(ada_token), chat.connect(other_token));
    let listed = chat.call(here, "sessions", json!({})).unwrap()["sessions"].clone();
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|session| session["session"].clone()).collect();
    let current: Vec<_> = listed.as_array().unwrap().iter().filter(|session| session["current"] == true).collect();
    assert_eq!((ids.len(), current.len()), (2, 1));
    for session in &ids {
        assert_eq!(chat.call(eve, "revoke", json!({ "session": session })), Err("unknown_session".into()));
    }
    chat.clear_output();
    chat.call(here, "revoke", json!({})).unwrap();
    assert_eq!(chat.take_output(there), [json!(["expired", { "reason": "revoked" }])]);
    assert_eq!((chat.closed_with(there), chat.closed_with(here)), (Some(4001), None));
    let back = chat.connect(other_token);
    assert_eq!(chat.take_output(back), [json!(["expired", { "reason": "unknown" }])]);
    chat.call(here, "revoke", json!({ "session": current[0]["session"] })).unwrap();
    assert_eq!(chat.take_output(here), [json!(["expired", { "reason": "revoked" }])]);
}

#[test]
fn the_list_of_sessions_names_the_client_of_each() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let ada = chat.state.store.user_named(&Name::new("Ada").unwrap()).unwrap().unwrap().id;
    let firefox = UserAgent::parse(b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0");
    for agent in [firefox, UserAgent::APP] {
        let (password_hash, token) = ("a hash".to_owned(), Token::random().hash());
        chat.request(LogIn { user: ada, password_hash, token, agent }).unwrap();
    }
    let here = chat.connect(token);
    let listed = chat.call(here, "sessions", json!({})).unwrap()["sessions"].clone();
    let mut devices: Vec<_> = listed.as_array().unwrap().iter().map(|session| session["device"].to_string()).collect();
    devices.sort();
    let expected = [
        json!({"program": "Firefox", "system": "Linux"}),
        json!({"program": "app", "system": null}),
        json!({"program": null, "system": null}),
    ];
    assert_eq!(devices, expected.map(|device| device.to_string()));
}

#[test]
fn a_visitor_learns_whether_there_is_any_account() {
    let mut chat = TestChat::new();
    let has_accounts = |chat: &mut TestChat| chat.request(FindSession(vec![])).unwrap().has_accounts;
    assert!(!has_accounts(&mut chat));
    let guest = chat.guest("Eve").unwrap();
    assert!(!has_accounts(&mut chat), "a guest is no account");
    let session = chat.request(FindSession(vec![guest])).unwrap();
    assert_eq!((session.you.map(|(you, _)| you.name), session.has_accounts), (Some("Eve".to_owned()), false));
    chat.account("Ada").unwrap();
    assert!(has_accounts(&mut chat));
}

#[test]
fn logging_out_ends_a_session_on_all_its_connections() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let connections = [chat.connect(token), chat.connect(token)];
    chat.clear_output();
    chat.log_out(&[token]).unwrap();
    for connection in connections {
        assert_eq!(chat.take_output(connection), [json!(["expired", { "reason": "logout" }])]);
    }
    assert_eq!(chat.request(FindSession(vec![token])).map(|session| session.you), Ok(None));
    chat.log_out(&[token]).expect("repeating it changes nothing");
}

#[test]
fn changing_the_password_needs_the_old_one_and_ends_other_sessions() {
    let mut chat = TestChat::new();
    let hash: &'static str =
        super::super::super::password::Password::new("the old one").unwrap().hash().unwrap().leak();
    let token = chat.sign_up("Ada", Some(hash)).unwrap();
    let ada = chat.state.store.user_named(&Name::new("Ada").unwrap()).unwrap().unwrap().id;
    let other = chat.log_in(ada, hash).unwrap();
    let (here, there) = (chat.connect(token), chat.connect(other));
    chat.clear_output();
    let change = |chat: &mut TestChat, old: &str, new: &str, slow: bool| {
        chat.prove(here, &json!(["password", { "old": old, "new": new }, new]));
        if slow {
            assert_eq!(chat.take_output(here), [Value::Null; 0], "the reply comes later");
        }
        chat.process_queue();
        let output = chat.take_output(here).remove(0);
        assert_eq!(output[2], new);
        output[1]["code"].as_str().map(str::to_owned)
    };
    assert_eq!(change(&mut chat, "the old one", "short", false).as_deref(), Some("bad_password"));
    assert_eq!(change(&mut chat, "x", "the new one", false).as_deref(), Some("bad_credentials"));
    assert_eq!(change(&mut chat, "another one", "the new one", true).as_deref(), Some("bad_credentials"));
    assert_eq!(chat.take_output(there), [Value::Null; 0]);
    assert_eq!(change(&mut chat, "the old one", "the new one", true), None);
    assert_eq!(chat.take_output(there), [json!(["expired", { "reason": "revoked" }])]);
    assert_eq!(chat.log_in(ada, hash).map(drop), Err(SignInError::BadCredentials));
    let guest = chat.guest("Guest").unwrap();
    let guest = chat.connect(guest);
    chat.prove(guest, &json!(["password", { "old": "the old one", "new": "the new one" }, 1]));
    chat.process_queue();
    assert_eq!(chat.reply_to(guest, 1), Err("guest".into()));
}

#[test]
fn a_deleted_account_leaves_only_its_messages() {
    let mut chat = TestChat::new();
    let hash: &'static str =
        super::super::super::password::Password::new("the password").unwrap().hash().unwrap().leak();
    let token = chat.sign_up("Ada", Some(hash)).unwrap();
    let (ada, bob) = (chat.connect(token), chat.connect_user("Bob"));
    chat.join(bob, LOBBY).unwrap();
    chat.say(ada, LOBBY, "remember me").unwrap();
    let room = chat.create(ada, "Hers", "public");
    chat.join(bob, room).unwrap();
    let key = chat.key();
    let direct = chat.call(ada, "tell", json!({ "name": "Bob", "text": "farewell", "key": key })).unwrap();
    assert_eq!(chat.pushes_of(bob, "room")[0].get("gone"), None);
    chat.clear_output();
    chat.prove(ada, &json!(["delete_account", { "password": "the wrong one" }, 1]));
    chat.process_queue();
    assert_eq!(chat.reply_to(ada, 1), Err("bad_credentials".into()));
    chat.prove(ada, &json!(["delete_account", { "password": "the password" }, 2]));
    chat.process_queue();
    assert_eq!(chat.take_output(ada)[0], json!(["ack", {}, 2]));
    assert_eq!(chat.closed_with(ada), Some(4001));
    let output = chat.take_all_output(bob);
    let of = |event: &str| {
        output.iter().filter(|output| output[0] == event).map(|output| output[1].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(&of("message")),
        ["left", "role"],
        "her room is his now, and the Lobby's log does not say that she left"
    );
    let rooms = of("room");
    let rooms: Vec<_> = rooms.iter().map(|room| (&room["room"], &room["name"], &room["gone"])).collect();
    assert_eq!(rooms, [(&direct["room"], &json!("Ada"), &json!(true)), (&json!(room), &json!("Hers"), &Value::Null)]);
    let back = chat.connect(token);
    assert_eq!(chat.take_output(back)[0], json!(["expired", { "reason": "unknown" }]));
    let history = chat.call(bob, "history", json!({ "room": LOBBY })).unwrap();
    assert_eq!((&history["messages"][0]["from"], &history["messages"][0]["gone"]), (&json!("Ada"), &json!(true)));
    let tell = json!({ "name": "Ada", "text": "hi", "key": chat.key() });
    assert_eq!(chat.call(bob, "tell", tell), Err("unknown_person".into()));
    // A new account of the same name is another user.
    let new = chat.connect_user("Ada");
    assert_eq!(chat.call(new, "history", json!({ "room": LOBBY })).unwrap()["messages"][0]["gone"], true);
    assert_eq!(chat.call(new, "delete", json!({ "room": LOBBY, "seq": 1 })), Err("not_owner".into()));
}

#[test]
fn password_attempts_are_limited_in_a_session_too() {
    let mut chat = TestChat::with(|config| config.limits.sign_ins.at_once = 2);
    let hash: &'static str =
        super::super::super::password::Password::new("the password").unwrap().hash().unwrap().leak();
    let token = chat.sign_up("Ada", Some(hash)).unwrap();
    let ada = chat.connect(token);
    chat.take_output(ada);
    for id in 1..=2 {
        chat.prove(ada, &json!(["delete_account", { "password": "the wrong one" }, id]));
        chat.process_queue();
        assert_eq!(chat.reply_to(ada, id), Err("bad_credentials".into()));
    }
    let right = json!({ "password": "the password" });
    for event in [json!(["delete_account", right, 3]), json!(["password", { "old": "a", "new": "b" }, 3])] {
        chat.prove(ada, &event);
        chat.process_queue();
        assert_eq!(chat.reply_to(ada, 3), Err("too_fast".into()));
    }
    chat.advance(Duration::from_secs(60));
    chat.prove(ada, &json!(["delete_account", right, "id"]));
    chat.process_queue();
    assert_eq!(chat.take_output(ada)[0], json!(["ack", {}, "id"]));
}

#[test]
fn a_deleted_guest_can_send_no_more_events() {
    let mut chat = TestChat::new();
    let token = chat.guest("Guest").unwrap();
    let guest = chat.connect(token);
    chat.take_output(guest);
    chat.process(vec![
        event_command(guest, &json!(["delete_account", {}, 1])),
        event_command(guest, &json!(["create", { "name": "Mine" }, 2])),
        event_command(guest, &json!(["join", { "room": LOBBY }, 3])),
    ]);
    assert_eq!(chat.reply_to(guest, 1), Ok(json!({})));
    assert_eq!(chat.reply_to(guest, 2), Err("no_session".into()));
    assert_eq!(chat.reply_to(guest, 3), Err("no_session".into()));
    let ada = chat.connect_user("Ada");
    assert_eq!(chat.call(ada, "rooms", json!({})).unwrap()["rooms"].as_array().unwrap().len(), 1);
    assert_eq!(chat.call(ada, "members", json!({ "room": LOBBY })).unwrap()["members"].as_array().unwrap().len(), 1);
}

#[test]
fn new_connections_of_a_user_are_rate_limited() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    for _ in 0..60 {
        let connection = chat.connect(token);
        assert_eq!(chat.take_output(connection)[0][0], "welcome");
        chat.close(connection);
    }
    let connection = chat.connect(token);
    assert_eq!(chat.take_output(connection)[0][1]["code"], "too_fast");
    assert_eq!(chat.closed_with(connection), Some(1013));
    chat.advance(Duration::from_secs(1));
    let connection = chat.connect(token);
    assert_eq!(chat.take_output(connection)[0][0], "welcome");
}

#[test]
fn a_user_blocks_at_most_1_000_others() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let ada = chat.connect(token);
    let me = chat.state.store.user_named(&Name::new("Ada").unwrap()).unwrap().unwrap().id;
    for i in 0..1001 {
        let name = Name::new(&format!("p{i}")).unwrap();
        let added = chat.state.store.add_user(name.as_str(), name.key(), None, chat.now.wall).unwrap();
        if i < 999 {
            chat.state.store.set_blocked(me, added.unwrap(), true).unwrap();
        }
    }
    let rows = [
        ("block", "p999", Ok(json!({}))),
        ("block", "p1000", Err("too_many_blocks".into())),
        ("block", "p7", Ok(json!({}))),
        ("unblock", "p1000", Ok(json!({}))),
        ("unblock", "p7", Ok(json!({}))),
        ("block", "p1000", Ok(json!({}))),
        ("block", "p7", Err("too_many_blocks".into())),
    ];
    for (row, (event, name, expected)) in rows.into_iter().enumerate() {
        assert_eq!(chat.call(ada, event, json!({ "name": name })), expected, "row {row}");
    }
    let again = chat.connect(token);
    let welcome = chat.take_output(again).remove(0)[1].take();
    let mut listed: Vec<Value> = welcome["blocked"].as_array().unwrap().clone();
    assert_eq!((listed.len(), &welcome["blocked_more"]), (200, &json!(true)));
    for more in [true, true, true, false] {
        let page = chat.call(again, "blocks", json!({ "after": listed.last() })).unwrap();
        assert_eq!(page["more"], more);
        listed.extend(page["blocked"].as_array().unwrap().iter().cloned());
    }
    let names = (0..1001).filter(|number| *number != 7).map(|number| json!(format!("p{number}")));
    assert_eq!(listed, names.collect::<Vec<_>>());
}

#[test]
fn only_operators_send_notices() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let notice = json!({ "text": "We restart at <b>noon</b>." });
    assert_eq!(chat.call(ada, "notice", notice.clone()), Err("not_operator".into()));
    let row = chat.state.store.user_named(&Name::new("Ada").unwrap()).unwrap().unwrap();
    chat.state.store.set_operator(row.id, true).unwrap();
    chat.state.cache = super::super::cache::Cache::default();
    chat.clear_output();
    for blank in [" ", "\u{2800}", "\u{200b}"] {
        assert_eq!(chat.call(ada, "notice", json!({ "text": blank })), Err("empty".into()));
    }
    chat.call(ada, "notice", notice).unwrap();
    for connection in [ada, bob] {
        let output = chat.pushes_of(connection, "notice");
        assert_eq!((&output[0]["text"], &output[0]["from"]), (&json!("We restart at <b>noon</b>."), &json!("Ada")));
    }
}

#[test]
fn an_account_is_not_deleted_with_rooms_of_its_own_unless_the_user_confirms_each() {
    let mut chat = TestChat::new();
    let hash: &'static str =
        super::super::super::password::Password::new("the password").unwrap().hash().unwrap().leak();
    let token = chat.sign_up("Ada", Some(hash)).unwrap();
    let (ada, bob) = (chat.connect(token), chat.connect_user("Bob"));
    let [alone, shared] = ["Alone", "Shared"].map(|name| chat.create(ada, name, "public"));
    chat.join(bob, shared).unwrap();
    chat.clear_output();
    let delete = |remove: Value| json!(["delete_account", { "password": "the password", "remove": remove }, 1]);
    let refused = |chat: &TestChat| {
        let output = chat.take_output(ada);
        let error = output.iter().find(|event| event[0] == "error").unwrap_or_else(|| panic!("{output:?}"));
        assert_eq!(error[1]["code"], "last_member");
        error[1]["rooms"].clone()
    };
    // A wrong password is refused first, and no room is named.
    chat.prove(ada, &json!(["delete_account", { "password": "another password" }, 1]));
    chat.process_queue();
    assert_eq!(chat.take_output(ada)[0][1], json!({ "code": "bad_credentials", "message": "The password is wrong." }));
    chat.prove(ada, &delete(json!([shared])));
    chat.process_queue();
    assert_eq!(refused(&chat), json!([alone]));
    // While the password is verified, Ada becomes the last member of another room.
    chat.prove(ada, &delete(json!([alone, 1_000_000])));
    chat.call(bob, "leave", json!({ "room": shared })).unwrap();
    chat.process_queue();
    assert_eq!(refused(&chat), json!([alone, shared]));
    chat.prove(ada, &delete(json!([shared, alone])));
    chat.process_queue();
    assert_eq!(chat.take_output(ada)[0], json!(["ack", {}, 1]));
    assert_eq!(chat.join(bob, alone), Err("unknown_room".into()));
}
