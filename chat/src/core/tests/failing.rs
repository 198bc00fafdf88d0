//! What cannot be written has not happened, and is not acknowledged.

use super::*;

#[test]
fn while_nothing_can_be_written_all_is_refused_that_would_have_to_be_and_the_rest_goes_on() {
    let mut house = House::new();
    let (token, bob) = (house.account("Ada").unwrap(), house.come("Bob"));
    let ada = house.connect(token);
    house.join(bob, LOBBY).unwrap();
    house.say(ada, LOBBY, "before").unwrap();
    house.forget_all_told();
    house.keeper.store.refuse_writes(true).unwrap();
    let keys = [house.key(), house.key()];
    let say = |text: &str, key: &str| json!(["say", { "room": LOBBY, "text": text, "key": key }, text]);
    // One transaction in which some can be done and some cannot.
    house.work(vec![
        errand(ada, &say("lost", &keys[0])),
        errand(bob, &json!(["history", { "room": LOBBY }, "history"])),
        errand(ada, &json!(["beat"])),
        errand(bob, &say("lost too", &keys[1])),
        errand(bob, &json!(["typing", { "room": LOBBY }, "typing"])),
    ]);
    let told = house.told(ada);
    assert_eq!((&told[0][0], &told[0][1]["code"], &told[0][2]), (&json!("error"), &json!("storage"), &json!("lost")));
    assert_eq!(told[1..], [json!(["beat"])]);
    let told = house.told(bob);
    assert_eq!(texts(&told[0][1]["messages"]), ["before"]);
    assert_eq!((&told[1][1]["code"], &told[2]), (&json!("storage"), &json!(["ack", {}, "typing"])));
    assert_eq!(told.len(), 3, "nobody heard what was not written");
    assert_eq!(house.account("Eve"), Err(SignInError::Storage));
    let again = house.connect(token);
    assert_eq!(house.told(again)[0][0], "welcome");

    house.keeper.store.refuse_writes(false).unwrap();
    // The same key says it now, at the number that is next.
    house.work(vec![errand(ada, &say("lost", &keys[0]))]);
    assert_eq!(house.told(ada)[0][1]["seq"], 2);
    assert_eq!(texts(&json!(house.told_of(bob, "message"))), ["lost"]);
}

#[test]
fn what_was_undone_is_done_again_piece_by_piece_and_told_once() {
    let mut house = House::new();
    let (ada, bob) = (house.come("Ada"), house.come("Bob"));
    house.join(bob, LOBBY).unwrap();
    let says = |house: &mut House| -> Vec<Errand> {
        let say = |house: &mut House, text| {
            let key = house.key();
            errand(ada, &json!(["say", { "room": LOBBY, "text": text, "key": key }, text]))
        };
        ["one", "two", "three"].map(|text| say(house, text)).into()
    };
    let batch = says(&mut house);
    house.keeper.store.refuse_commits(1);
    house.work(batch);
    let heard = house.told_of(bob, "message");
    assert_eq!(texts(&json!(heard)), ["one", "two", "three"]);
    assert_eq!(heard[2]["seq"], 3, "numbers that were undone are given again");
    assert_eq!(house.told_of(ada, "ack").len(), 3);

    let batch = says(&mut house);
    house.keeper.store.refuse_commits(2);
    house.work(batch);
    assert_eq!(texts(&json!(house.told_of(bob, "message"))), ["two", "three"]);
    let told = house.told(ada);
    let answers: Vec<_> = told.iter().map(|event| (event[0].as_str().unwrap(), event[1]["seq"].as_u64())).collect();
    assert_eq!(answers, [("error", None), ("ack", Some(4)), ("ack", Some(5))]);
}

#[test]
fn who_comes_and_goes_while_nothing_can_be_committed_does_so_once() {
    let mut house = House::new();
    let (token, other) = (Token::random(), house.account("Bob").unwrap());
    let ada = house.come("Ada");
    let row = house.keeper.store.person_named(Name::new("Ada").unwrap().key()).unwrap().unwrap();
    house.keeper.store.add_session(&row, &token.hash(), house.now.wall, house.now.wall + 1_000_000).unwrap();
    let stranger = house.open(Credential::None);
    let late = connection_numbered(99);
    let (say, tell) = (house.key(), house.key());
    house.keeper.store.refuse_commits(1);
    house.work(vec![
        errand(stranger, &json!(["auth", { "token": token.to_string() }, 1])),
        errand(ada, &json!(["tell", { "name": "Bob", "text": "before", "key": tell }, 2])),
        Errand::Opened(late, Credential::Token(other)),
        errand(ada, &json!(["say", { "room": LOBBY, "text": "last words", "key": say }, 3])),
        Errand::Closed(ada),
    ]);
    let told = house.told(stranger);
    assert_eq!((&told[0], &told[1][0]), (&json!(["ack", {}, 1]), &json!("welcome")), "not signed in twice");
    assert_eq!(house.answered(ada, 3).unwrap()["seq"], 1, "nor gone before the last words");
    let told = house.told(late);
    assert_eq!(told.iter().map(|event| &event[0]).collect::<Vec<_>>(), ["welcome"], "and nothing comes before it");
    assert_eq!(told[0][1]["rooms"].as_array().unwrap().len(), 2);
}

#[test]
fn a_session_that_is_over_is_over_even_where_that_cannot_be_written() {
    let mut house = House::new();
    let token = house.account("Ada").unwrap();
    let ada = house.connect(token);
    house.forget_all_told();
    house.keeper.store.refuse_writes(true).unwrap();
    assert_eq!(house.answer(move |keeper| keeper.log_out(&token)), Err(SignInError::Storage));
    assert_eq!(house.told(ada), [Value::Null; 0], "not logged out is not told so");
    house.pass(Duration::from_secs(31 * 24 * 60 * 60));
    assert_eq!(house.told_of(ada, "expired"), [json!({ "reason": "idle" })]);
    assert_eq!(house.answer(move |keeper| keeper.signed_in(&token)), Ok(None));
}

#[test]
fn sessions_end_even_where_what_was_removed_cannot_be_forgotten() {
    let mut house = House::new();
    let (guest, ada) = (house.guest("Guest").unwrap(), house.come("Ada"));
    let day = Duration::from_secs(24 * 60 * 60);
    house.pass(day - Duration::from_secs(2));
    let room = house.create(ada, "Rust", "public");
    house.ask(ada, "remove", json!({ "room": room })).unwrap();
    house.pass(Duration::from_secs(1));
    house.keeper.store.refuse_commits(1);
    house.pass(Duration::from_secs(1));
    assert!(house.keeper.store.session_of_token(&guest).unwrap().is_none());
}

#[test]
fn data_of_another_program_or_of_a_newer_one_is_left_alone() {
    let folder = std::env::temp_dir().join(format!("switchboard-test-{}", Token::random()));
    let data = Data::Folder(folder.clone());
    let store = Store::open(&data).unwrap();
    assert!(Store::open(&data).unwrap_err().to_string().starts_with("another switchboard works with"));
    store.set_version(99).unwrap();
    drop(store);
    assert!(Store::open(&data).unwrap_err().to_string().starts_with("the data is of version 99"));
    std::fs::write(folder.join("chat.sqlite3"), "Dear diary, ".repeat(1000)).unwrap();
    let error = Store::open(&data).unwrap_err().to_string();
    assert!(error.contains("is not a switchboard database; choose another folder with --data DIR"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn when_a_session_was_used_last_is_not_forgotten_where_it_cannot_be_stored_at_once() {
    let mut house = House::new();
    let token = house.account("Ada").unwrap();
    let ada = house.connect(token);
    house.pass(Duration::from_secs(3600));
    house.ask(ada, "typing", json!({ "room": LOBBY })).unwrap();
    let used = house.now.wall;
    house.keeper.store.refuse_commits(1);
    house.pass(Duration::from_secs(1));
    house.close(ada);
    assert_eq!(house.keeper.store.session_of_token(&token).unwrap().unwrap().used, used);
}

#[cfg(unix)]
#[test]
fn nothing_is_acknowledged_that_is_written_to_a_file_that_is_no_more() {
    let folder = std::env::temp_dir().join(format!("switchboard-test-{}", Token::random()));
    let mut house = House::new();
    house.keeper.store = Store::open(&Data::Folder(folder.clone())).unwrap();
    let ada = house.come("Ada");
    house.say(ada, LOBBY, "kept").unwrap();
    // As when it is replaced by a backup, which is another file.
    std::fs::rename(folder.join("chat.sqlite3"), folder.join("old.sqlite3")).unwrap();
    std::fs::copy(folder.join("old.sqlite3"), folder.join("chat.sqlite3")).unwrap();
    house.pass(Duration::from_secs(1));
    assert_eq!(house.say(ada, LOBBY, "lost"), Err("storage".into()));
    house.ask(ada, "history", json!({ "room": LOBBY })).unwrap();
    drop(house);
    std::fs::remove_dir_all(folder).unwrap();
}
