//! A change that cannot be written has no effect, and is not acknowledged.

use super::*;

#[test]
fn while_nothing_can_be_written_reading_goes_on() {
    let mut chat = TestChat::new();
    let (token, bob) = (chat.account("Ada").unwrap(), chat.connect_user("Bob"));
    let ada = chat.connect(token);
    chat.join(bob, LOBBY).unwrap();
    chat.say(ada, LOBBY, "before").unwrap();
    chat.clear_output();
    chat.state.store.refuse_writes(true).unwrap();
    let keys = [chat.key(), chat.key()];
    let say = |text: &str, key: &str| json!(["say", { "room": LOBBY, "text": text, "key": key }, text]);
    // One transaction with commands that can succeed and commands that cannot.
    chat.process(vec![
        event_command(ada, &say("lost", &keys[0])),
        event_command(bob, &json!(["history", { "room": LOBBY }, "history"])),
        event_command(ada, &json!(["beat"])),
        event_command(bob, &say("lost too", &keys[1])),
        event_command(bob, &json!(["typing", { "room": LOBBY }, "typing"])),
    ]);
    let output = chat.take_output(ada);
    assert_eq!(
        (&output[0][0], &output[0][1]["code"], &output[0][2]),
        (&json!("error"), &json!("storage"), &json!("lost"))
    );
    assert_eq!(output[1..], [json!(["beat"])]);
    let output = chat.take_output(bob);
    assert_eq!(texts(&output[0][1]["messages"]), ["before"]);
    assert_eq!((&output[1][1]["code"], &output[2]), (&json!("storage"), &json!(["ack", {}, "typing"])));
    assert_eq!(output.len(), 3, "a message that was not written is not sent");
    assert_eq!(chat.account("Eve"), Err(SignInError::Storage));
    let again = chat.connect(token);
    assert_eq!(chat.take_output(again)[0][0], "welcome");

    chat.state.store.refuse_writes(false).unwrap();
    // The same key works now, and the message gets the next number.
    chat.process(vec![event_command(ada, &say("lost", &keys[0]))]);
    assert_eq!(chat.take_output(ada)[0][1]["seq"], 2);
    assert_eq!(texts(&json!(chat.pushes_of(bob, "message"))), ["lost"]);
}

#[test]
fn a_batch_that_fails_is_retried_command_by_command_and_sent_once() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    chat.join(bob, LOBBY).unwrap();
    let says = |chat: &mut TestChat| -> Vec<Command> {
        let say = |chat: &mut TestChat, text| {
            let key = chat.key();
            event_command(ada, &json!(["say", { "room": LOBBY, "text": text, "key": key }, text]))
        };
        ["one", "two", "three"].map(|text| say(chat, text)).into()
    };
    let batch = says(&mut chat);
    chat.state.store.refuse_commits(1);
    chat.process(batch);
    let pushes = chat.pushes_of(bob, "message");
    assert_eq!(texts(&json!(pushes)), ["one", "two", "three"]);
    assert_eq!(pushes[2]["seq"], 3, "sequence numbers that were rolled back are used again");
    assert_eq!(chat.pushes_of(ada, "ack").len(), 3);

    let batch = says(&mut chat);
    chat.state.store.refuse_commits(2);
    chat.process(batch);
    assert_eq!(texts(&json!(chat.pushes_of(bob, "message"))), ["two", "three"]);
    let output = chat.take_output(ada);
    let answers: Vec<_> = output.iter().map(|event| (event[0].as_str().unwrap(), event[1]["seq"].as_u64())).collect();
    assert_eq!(answers, [("error", None), ("ack", Some(4)), ("ack", Some(5))]);
}

#[test]
fn what_may_be_there_after_a_crash_is_answered_with_unknown_and_nothing_else_is_written() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    chat.join(bob, LOBBY).unwrap();
    chat.say(ada, LOBBY, "before").unwrap();
    chat.clear_output();
    let say = |room: u64, text: &str, key: &str| json!(["say", { "room": room, "text": text, "key": key }, text]);
    let keys = [(); 3].map(|()| chat.key());
    let next_room = 2;
    chat.state.store.refuse_commits(1);
    chat.state.store.refuse_withdrawals(100);
    chat.process(vec![
        event_command(bob, &say(LOBBY, "one", &keys[0])),
        event_command(ada, &json!(["history", { "room": LOBBY }, "history"])),
        event_command(ada, &json!(["create", { "name": "Rust" }, "create"])),
        // Without the room, this is refused. But the room may be there after a crash, and then this message is, too.
        event_command(ada, &say(next_room, "two", &keys[1])),
        event_command(bob, &json!(["typing", { "room": LOBBY }, "typing"])),
    ]);
    assert_eq!(chat.reply_to(bob, "one"), Err("unknown".into()));
    assert_eq!(texts(&chat.reply_to(ada, "history").unwrap()["messages"]), ["before"]);
    assert_eq!(chat.reply_to(ada, "create"), Err("unknown".into()));
    assert_eq!(chat.reply_to(ada, "two"), Err("unknown".into()));
    assert_eq!(chat.reply_to(bob, "typing"), Ok(json!({})));
    assert_eq!(chat.take_output(bob), [Value::Null; 0], "nothing of it is published");
    // As long as it is not known, later changes are not tried, and so they certainly have not happened.
    chat.process(vec![event_command(bob, &say(LOBBY, "three", &keys[2])), event_command(bob, &json!(["beat"]))]);
    assert_eq!(chat.reply_to(bob, "three"), Err("storage".into()));
    assert_eq!(chat.take_output(bob), [json!(["beat"])]);
    assert_eq!(chat.account("Eve"), Err(SignInError::Storage));

    chat.state.store.refuse_withdrawals(0);
    assert_eq!(chat.account("Eve").map(drop), Ok(()));
    chat.process(vec![
        event_command(bob, &say(LOBBY, "one", &keys[0])),
        event_command(bob, &say(LOBBY, "one", &keys[0])),
    ]);
    let stamps = [(); 2].map(|()| chat.reply_to(bob, "one").unwrap()["seq"].clone());
    assert_eq!(stamps, [json!(2), json!(2)], "it is there once");
    chat.state.store.refuse_commits(1);
    chat.state.store.refuse_withdrawals(1);
    assert_eq!(chat.guest("Mia"), Err(SignInError::Unknown));
}

#[test]
fn a_retry_connects_and_disconnects_once() {
    let mut chat = TestChat::new();
    let (token, other) = (Token::random(), chat.account("Bob").unwrap());
    let ada = chat.connect_user("Ada");
    let row = chat.state.store.user_named(&Name::new("Ada").unwrap()).unwrap().unwrap();
    chat.state
        .store
        .add_session(&row, &token.hash(), chat.now.wall, chat.now.wall + 1_000_000, UserAgent::default())
        .unwrap();
    let anonymous = chat.open(Credential::None);
    let late = connection_numbered(99);
    let (say, tell) = (chat.key(), chat.key());
    chat.state.store.refuse_commits(1);
    chat.process(vec![
        event_command(anonymous, &json!(["auth", { "token": token.to_string() }, 1])),
        event_command(ada, &json!(["tell", { "name": "Bob", "text": "before", "key": tell }, 2])),
        Command::Opened(late, Credential::Tokens(vec![other]), backlog()),
        event_command(ada, &json!(["say", { "room": LOBBY, "text": "last words", "key": say }, 3])),
        Command::Closed(ada, backlog()),
    ]);
    let output = chat.take_output(anonymous);
    assert_eq!((&output[0], &output[1][0]), (&json!(["ack", {}, 1]), &json!("welcome")), "signed in once");
    assert_eq!(chat.reply_to(ada, 3).unwrap()["seq"], 1, "not disconnected before its last message");
    let output = chat.take_output(late);
    assert_eq!(
        output.iter().map(|event| &event[0]).collect::<Vec<_>>(),
        ["welcome"],
        "nothing comes before the welcome"
    );
    assert_eq!(output[0][1]["rooms"].as_array().unwrap().len(), 2);
}

#[test]
fn a_session_ends_even_if_that_cannot_be_written() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let ada = chat.connect(token);
    chat.clear_output();
    chat.state.store.refuse_writes(true).unwrap();
    assert_eq!(chat.log_out(&[token]), Err(SignInError::Storage));
    assert_eq!(chat.take_output(ada), [Value::Null; 0], "nothing is sent if logging out failed");
    chat.advance(Duration::from_secs(31 * 24 * 60 * 60));
    assert_eq!(chat.pushes_of(ada, "expired"), [json!({ "reason": "idle" })]);
    assert_eq!(chat.request(FindSession(vec![token])).map(|session| session.you), Ok(None));
}

#[test]
fn sessions_end_even_if_removed_rooms_cannot_be_deleted() {
    let mut chat = TestChat::new();
    let (guest, ada) = (chat.guest("Guest").unwrap(), chat.connect_user("Ada"));
    let day = Duration::from_secs(24 * 60 * 60);
    chat.advance(day - Duration::from_secs(2));
    let room = chat.create(ada, "Rust", "public");
    chat.in_pieces = true;
    chat.call(ada, "remove", json!({ "room": room })).unwrap();
    let refuse = "CREATE TEMP TRIGGER refuse BEFORE DELETE ON messages BEGIN SELECT raise(ABORT, 'full'); END";
    chat.state.store.execute(refuse).unwrap();
    chat.in_pieces = false;
    chat.advance(Duration::from_secs(2));
    assert!(chat.state.store.session_of_token(&guest).unwrap().is_none());
    let id = serde_json::from_value(json!(room)).unwrap();
    assert!(chat.state.store.head(id).unwrap().is_some());
    chat.state.store.execute("DROP TRIGGER refuse").unwrap();
    chat.advance(Duration::from_secs(1));
    assert_eq!(chat.state.store.head(id).unwrap(), None, "the work goes on later");
}

#[test]
fn data_of_another_program_or_a_newer_version_is_not_touched() {
    let folder = std::env::temp_dir().join(format!("switchboard-test-{}", Token::random()));
    let data = Data::Folder(folder.clone());
    let store = Store::open(&data).unwrap();
    assert!(Store::open(&data).unwrap_err().to_string().starts_with("another switchboard works with"));
    store.set_version(99).unwrap();
    drop(store);
    assert!(Store::open(&data).unwrap_err().to_string().starts_with("the data is of version 99"));
    std::fs::write(folder.join("chat.sqlite3"), "Dear diary, ".repeat(1000)).unwrap();
    let error = Store::open(&data).unwrap_err().to_string();
    assert!(error.contains("chat.sqlite3 is damaged, or another program has written it"), "{error}");
    std::fs::remove_file(folder.join("lock")).unwrap();
    let error = Store::open(&data).unwrap_err().to_string();
    assert!(error.contains("is not a switchboard database; choose another folder with --data DIR"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_last_use_that_cannot_be_stored_is_stored_later() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let ada = chat.connect(token);
    chat.advance(Duration::from_secs(3600));
    chat.call(ada, "typing", json!({ "room": LOBBY })).unwrap();
    let used = chat.now.wall;
    chat.state.store.refuse_commits(1);
    chat.advance(Duration::from_secs(1));
    chat.close(ada);
    assert_eq!(chat.state.store.session_of_token(&token).unwrap().unwrap().used, used);
}

#[cfg(unix)]
#[test]
fn nothing_is_acknowledged_after_the_data_file_was_replaced() {
    let folder = std::env::temp_dir().join(format!("switchboard-test-{}", Token::random()));
    let mut chat = TestChat::new();
    chat.state.store = Store::open(&Data::Folder(folder.clone())).unwrap();
    let ada = chat.connect_user("Ada");
    chat.say(ada, LOBBY, "kept").unwrap();
    // A restored backup is another file, too.
    std::fs::rename(folder.join("chat.sqlite3"), folder.join("old.sqlite3")).unwrap();
    std::fs::copy(folder.join("old.sqlite3"), folder.join("chat.sqlite3")).unwrap();
    chat.advance(Duration::from_secs(1));
    assert_eq!(chat.say(ada, LOBBY, "lost"), Err("storage".into()));
    chat.call(ada, "history", json!({ "room": LOBBY })).unwrap();
    drop(chat);
    std::fs::remove_dir_all(folder).unwrap();
}
