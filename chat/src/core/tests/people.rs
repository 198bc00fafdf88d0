//! Who is there, accounts and their sessions.

use super::*;

#[test]
fn nobody_gets_a_name_that_somebody_has_or_that_looks_like_it() {
    let mut house = House::new();
    house.account("Ada").unwrap();
    for name in ["Ada", "ADA", "\u{ff21}\u{ff44}\u{ff41}"] {
        assert_eq!(house.account(name), Err(SignInError::NameTaken), "{name}");
        assert_eq!(house.guest(name), Err(SignInError::NameTaken), "{name}");
    }
    house.guest("Guest").unwrap();
    assert_eq!(house.account("guest"), Err(SignInError::NameTaken));
    house.account("小明").unwrap();
}

#[test]
fn several_connections_of_one_person_are_one_and_a_short_loss_is_no_news() {
    let mut house = House::new();
    let token = house.account("Ada").unwrap();
    let bob = house.come("Bob");
    house.pass(Duration::from_secs(1));
    house.forget_all_told();
    let (here, there) = (house.connect(token), house.connect(token));
    house.pass(Duration::from_secs(1));
    let came = json!({ "online": ["Ada"], "offline": [], "count": 2 });
    assert_eq!(house.told_of(bob, "presence"), [came]);
    house.close(here);
    house.pass(Duration::from_secs(1));
    house.close(there);
    let again = house.connect(token);
    house.pass(Duration::from_secs(1));
    assert_eq!(house.all_told(bob), [Value::Null; 0], "who is back at once was not away");
    house.close(again);
    house.pass(Duration::from_secs(1));
    assert_eq!(house.told_of(bob, "presence"), [json!({ "online": [], "offline": ["Ada"], "count": 1 })]);
    let people = house.ask(bob, "people", json!({})).unwrap();
    assert_eq!(people, json!({ "people": [{ "name": "Bob", "guest": false, "online": true }], "more": false }));
    let found = house.ask(bob, "people", json!({ "search": "AD" })).unwrap();
    assert_eq!(found["people"], json!([{ "name": "Ada", "guest": false, "online": false }]));
}

#[test]
fn a_person_is_connected_only_so_often() {
    let mut house = House::with(|config| config.limits.connections = 2);
    let token = house.account("Ada").unwrap();
    let connections = [house.connect(token), house.connect(token), house.connect(token)];
    assert_eq!(house.told(connections[2])[0][1]["code"], "too_many_connections");
    assert_eq!(house.closed_with(connections[2]), Some(1008));
    assert_eq!(house.closed_with(connections[1]), None);
}

#[test]
fn sessions_are_listed_and_ended_from_elsewhere() {
    let mut house = House::new();
    let (ada_token, eve) = (house.account("Ada").unwrap(), house.come("Eve"));
    let ada = house.keeper.store.person_named(Name::new("Ada").unwrap().key()).unwrap().unwrap();
    let other_token = house.answer(move |keeper| keeper.log_in(ada.id, "a hash")).unwrap().token.hash();
    let (here, there) = (house.connect(ada_token), house.connect(other_token));
    let listed = house.ask(here, "sessions", json!({})).unwrap()["sessions"].clone();
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|session| session["session"].clone()).collect();
    let current: Vec<_> = listed.as_array().unwrap().iter().filter(|session| session["current"] == true).collect();
    assert_eq!((ids.len(), current.len()), (2, 1));
    for session in &ids {
        assert_eq!(house.ask(eve, "revoke", json!({ "session": session })), Err("unknown_session".into()));
    }
    house.forget_all_told();
    house.ask(here, "revoke", json!({})).unwrap();
    assert_eq!(house.told(there), [json!(["expired", { "reason": "revoked" }])]);
    assert_eq!((house.closed_with(there), house.closed_with(here)), (Some(4001), None));
    let back = house.connect(other_token);
    assert_eq!(house.told(back), [json!(["expired", { "reason": "unknown" }])]);
    house.ask(here, "revoke", json!({ "session": current[0]["session"] })).unwrap();
    assert_eq!(house.told(here), [json!(["expired", { "reason": "revoked" }])]);
}

#[test]
fn logging_out_ends_a_session_on_all_its_connections() {
    let mut house = House::new();
    let token = house.account("Ada").unwrap();
    let connections = [house.connect(token), house.connect(token)];
    house.forget_all_told();
    house.answer(move |keeper| keeper.log_out(&token)).unwrap();
    for connection in connections {
        assert_eq!(house.told(connection), [json!(["expired", { "reason": "logout" }])]);
    }
    assert_eq!(house.answer(move |keeper| keeper.signed_in(&token)), Ok(None));
    house.answer(move |keeper| keeper.log_out(&token)).expect("twice is once");
}

#[test]
fn a_password_is_changed_by_who_knows_it_and_other_sessions_end() {
    let mut house = House::new();
    let hash: &'static str =
        super::super::super::password::Password::new("the old one").unwrap().hash().unwrap().leak();
    let token = house.sign_up("Ada", Some(hash)).unwrap();
    let ada = house.keeper.store.person_named(Name::new("Ada").unwrap().key()).unwrap().unwrap().id;
    let other = house.answer(move |keeper| keeper.log_in(ada, hash)).unwrap().token.hash();
    let (here, there) = (house.connect(token), house.connect(other));
    house.forget_all_told();
    let change = |house: &mut House, old: &str, new: &str, slow: bool| {
        house.work(vec![errand(here, &json!(["password", { "old": old, "new": new }, new]))]);
        if slow {
            assert_eq!(house.told(here), [Value::Null; 0], "the answer comes later");
            house.work_from_inbox();
        }
        let told = house.told(here).remove(0);
        assert_eq!(told[2], new);
        told[1]["code"].as_str().map(str::to_owned)
    };
    assert_eq!(change(&mut house, "the old one", "short", false).as_deref(), Some("bad_password"));
    assert_eq!(change(&mut house, "x", "the new one", false).as_deref(), Some("bad_credentials"));
    assert_eq!(change(&mut house, "another one", "the new one", true).as_deref(), Some("bad_credentials"));
    assert_eq!(house.told(there), [Value::Null; 0]);
    assert_eq!(change(&mut house, "the old one", "the new one", true), None);
    assert_eq!(house.told(there), [json!(["expired", { "reason": "revoked" }])]);
    assert_eq!(house.answer(move |keeper| keeper.log_in(ada, hash)).map(drop), Err(SignInError::BadCredentials));
    let guest = house.guest("Guest").unwrap();
    let guest = house.connect(guest);
    let data = json!({ "old": "the old one", "new": "the new one" });
    assert_eq!(house.ask(guest, "password", data), Err("guest".into()));
}

#[test]
fn a_deleted_account_leaves_its_words_and_nothing_else() {
    let mut house = House::new();
    let hash: &'static str =
        super::super::super::password::Password::new("the password").unwrap().hash().unwrap().leak();
    let token = house.sign_up("Ada", Some(hash)).unwrap();
    let (ada, bob) = (house.connect(token), house.come("Bob"));
    house.join(bob, LOBBY).unwrap();
    house.say(ada, LOBBY, "remember me").unwrap();
    let room = house.create(ada, "Hers", "public");
    house.join(bob, room).unwrap();
    let key = house.key();
    let direct = house.ask(ada, "tell", json!({ "name": "Bob", "text": "farewell", "key": key })).unwrap();
    assert_eq!(house.told_of(bob, "room")[0].get("gone"), None);
    house.forget_all_told();
    house.work(vec![errand(ada, &json!(["delete_account", { "password": "the wrong one" }, 1]))]);
    house.work_from_inbox();
    assert_eq!(house.answered(ada, 1), Err("bad_credentials".into()));
    house.work(vec![errand(ada, &json!(["delete_account", { "password": "the password" }, 2]))]);
    house.work_from_inbox();
    assert_eq!(house.told(ada)[0], json!(["ack", {}, 2]));
    assert_eq!(house.closed_with(ada), Some(4001));
    let told = house.all_told(bob);
    let of = |event: &str| told.iter().filter(|told| told[0] == event).map(|told| told[1].clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&of("message")), ["left", "role"], "her room is his, and the lobby never heard that she came");
    let rooms = of("room");
    let rooms: Vec<_> = rooms.iter().map(|room| (&room["room"], &room["name"], &room["gone"])).collect();
    assert_eq!(rooms, [(&json!(room), &json!("Hers"), &Value::Null), (&direct["room"], &json!("Ada"), &json!(true))]);
    let back = house.connect(token);
    assert_eq!(house.told(back)[0], json!(["expired", { "reason": "unknown" }]));
    let history = house.ask(bob, "history", json!({ "room": LOBBY })).unwrap();
    assert_eq!((&history["messages"][0]["from"], &history["messages"][0]["gone"]), (&json!("Ada"), &json!(true)));
    let tell = json!({ "name": "Ada", "text": "hi", "key": house.key() });
    assert_eq!(house.ask(bob, "tell", tell), Err("unknown_person".into()));
    // Who has the name now is somebody else.
    let new = house.come("Ada");
    assert_eq!(house.ask(new, "history", json!({ "room": LOBBY })).unwrap()["messages"][0]["gone"], true);
    assert_eq!(house.ask(new, "delete", json!({ "room": LOBBY, "seq": 1 })), Err("not_owner".into()));
}

#[test]
fn passwords_are_guessed_no_faster_than_by_signing_in() {
    let mut house = House::with(|config| config.limits.sign_ins.at_once = 2);
    let hash: &'static str =
        super::super::super::password::Password::new("the password").unwrap().hash().unwrap().leak();
    let token = house.sign_up("Ada", Some(hash)).unwrap();
    let ada = house.connect(token);
    house.told(ada);
    for id in 1..=2 {
        house.work(vec![errand(ada, &json!(["delete_account", { "password": "the wrong one" }, id]))]);
        house.work_from_inbox();
        assert_eq!(house.answered(ada, id), Err("bad_credentials".into()));
    }
    let right = json!({ "password": "the password" });
    assert_eq!(house.ask(ada, "delete_account", right.clone()), Err("too_fast".into()));
    assert_eq!(house.ask(ada, "password", json!({ "old": "a", "new": "b" })), Err("too_fast".into()));
    house.pass(Duration::from_secs(60));
    house.work(vec![errand(ada, &json!(["delete_account", right, "id"]))]);
    house.work_from_inbox();
    assert_eq!(house.told(ada)[0], json!(["ack", {}, "id"]));
}

#[test]
fn who_is_gone_does_nothing_more() {
    let mut house = House::new();
    let token = house.guest("Guest").unwrap();
    let guest = house.connect(token);
    house.told(guest);
    house.work(vec![
        errand(guest, &json!(["delete_account", {}, 1])),
        errand(guest, &json!(["create", { "name": "Mine" }, 2])),
        errand(guest, &json!(["join", { "room": LOBBY }, 3])),
    ]);
    assert_eq!(house.answered(guest, 1), Ok(json!({})));
    assert_eq!(house.answered(guest, 2), Err("no_session".into()));
    assert_eq!(house.answered(guest, 3), Err("no_session".into()));
    let ada = house.come("Ada");
    assert_eq!(house.ask(ada, "rooms", json!({})).unwrap()["rooms"].as_array().unwrap().len(), 1);
    assert_eq!(house.ask(ada, "members", json!({ "room": LOBBY })).unwrap()["members"].as_array().unwrap().len(), 1);
}

#[test]
fn a_person_connects_only_so_often() {
    let mut house = House::new();
    let token = house.account("Ada").unwrap();
    for _ in 0..60 {
        let connection = house.connect(token);
        assert_eq!(house.told(connection)[0][0], "welcome");
        house.close(connection);
    }
    let connection = house.connect(token);
    assert_eq!(house.told(connection)[0][1]["code"], "too_fast");
    assert_eq!(house.closed_with(connection), Some(1013));
    house.pass(Duration::from_secs(1));
    let connection = house.connect(token);
    assert_eq!(house.told(connection)[0][0], "welcome");
}

#[test]
fn nobody_blocks_more_than_1_000_people() {
    let mut house = House::new();
    let token = house.account("Ada").unwrap();
    let ada = house.connect(token);
    let me = house.keeper.store.person_named(Name::new("Ada").unwrap().key()).unwrap().unwrap().id;
    for i in 0..1001 {
        let name = Name::new(&format!("p{i}")).unwrap();
        let added = house.keeper.store.add_person(name.as_str(), name.key(), None, house.now.wall).unwrap();
        if i < 999 {
            house.keeper.store.set_blocked(me, added.unwrap(), true).unwrap();
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
        assert_eq!(house.ask(ada, event, json!({ "name": name })), expected, "row {row}");
    }
    let again = house.connect(token);
    assert_eq!(house.told(again)[0][1]["blocked"].as_array().unwrap().len(), 1000);
}

#[test]
fn only_an_operator_speaks_to_all() {
    let mut house = House::new();
    let (ada, bob) = (house.come("Ada"), house.come("Bob"));
    let notice = json!({ "text": "We restart at <b>noon</b>." });
    assert_eq!(house.ask(ada, "notice", notice.clone()), Err("not_operator".into()));
    let row = house.keeper.store.person_named(Name::new("Ada").unwrap().key()).unwrap().unwrap();
    house.keeper.store.set_operator(row.id, true).unwrap();
    house.keeper.lookup = super::super::lookup::Lookup::default();
    house.forget_all_told();
    assert_eq!(house.ask(ada, "notice", json!({ "text": " " })), Err("empty".into()));
    house.ask(ada, "notice", notice).unwrap();
    for connection in [ada, bob] {
        let told = house.told_of(connection, "notice");
        assert_eq!((&told[0]["text"], &told[0]["from"]), (&json!("We restart at <b>noon</b>."), &json!("Ada")));
    }
}
