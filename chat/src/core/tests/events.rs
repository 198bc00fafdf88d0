//! Rules of all events: their form, their replies, and the need for a session.

use super::*;

#[test]
fn an_event_with_an_id_gets_one_reply_and_one_without_gets_only_errors() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    for event in
        [json!(["beat", null, "a"]), json!(["beat"]), json!(["nope", null, 7]), json!(["nope"]), json!(["people", {}])]
    {
        chat.send(ada, &event);
    }
    let output = chat.take_output(ada);
    let shape: Vec<_> = output.iter().map(|event| (event[0].as_str().unwrap(), event.get(2).cloned())).collect();
    let expected =
        [("ack", Some(json!("a"))), ("beat", None), ("beat", None), ("error", Some(json!(7))), ("error", None)];
    assert_eq!(shape, expected);
    assert_eq!(output[4][1]["code"], "unknown_event");
}

#[test]
fn without_a_session_only_beat_and_auth_are_allowed() {
    let mut chat = TestChat::new();
    let anonymous = chat.open(Credential::None);
    assert_eq!(chat.take_output(anonymous), [Value::Null; 0]);
    assert_eq!(chat.call(anonymous, "beat", json!({})), Ok(json!({})));
    for event in ["rooms", "join", "say", "tell", "history", "people", "sessions", "notice", "delete_account"] {
        let data = json!({ "room": LOBBY, "name": "Bob", "text": "Hello", "key": "a key" });
        let data = if event == "join" { json!({ "room": LOBBY }) } else { data };
        assert_eq!(chat.call(anonymous, event, data), Err("no_session".into()), "{event}");
    }
    chat.clear_output();
    let token = Token::random();
    let ada = chat.account("Ada").unwrap();
    assert_eq!(chat.call(anonymous, "auth", json!({ "token": token.to_string() })), Err("no_session".into()));
    assert_eq!(chat.take_output(anonymous), [json!(["expired", { "reason": "unknown" }])]);
    assert_eq!(chat.closed_with(anonymous), Some(4001));

    let late = chat.connect(ada);
    assert_eq!(chat.take_output(late)[0][0], "welcome");
    assert_eq!(chat.call(late, "auth", json!({ "token": token.to_string() })), Err("bad_data".into()));
}

#[test]
fn malformed_data_is_refused_and_changes_nothing() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    let other = chat.connect_user("Bob");
    chat.join(other, LOBBY).unwrap();
    chat.clear_output();
    let rows = [
        ("join", json!({})),
        ("join", json!({ "room": 1, "name": "Lobby" })),
        ("join", json!({ "room": "1" })),
        ("join", json!({ "room": 1, "since": { "epoch": "x" } })),
        ("join", json!({ "room": 1, "since": { "epoch": "x", "seq": -1 } })),
        ("say", json!({ "room": 1, "text": "x" })),
        ("say", json!({ "room": 1, "text": 7, "key": "x" })),
        ("say", json!({ "room": 1.5, "text": "x", "key": "x" })),
        ("say", json!("say")),
        ("say", json!({ "room": 1, "text": "x", "key": "x", "to": "none" })),
        ("create", json!({ "name": "x", "kind": "direct" })),
        ("create", json!({ "name": "x", "kind": "secret" })),
        ("role", json!({ "room": 1, "name": "Bob", "role": "banned" })),
        ("history", json!({ "room": 1, "before": 3, "after": 1 })),
        ("history", json!({ "room": 1, "before": -3 })),
        ("read", json!({ "room": 1, "seq": 1.5 })),
        ("revoke", json!({ "session": "all" })),
    ];
    for (event, data) in rows {
        assert_eq!(chat.call(ada, event, data.clone()), Err("bad_data".into()), "{event} {data}");
    }
    assert_eq!(chat.take_output(other), [Value::Null; 0]);
}

#[test]
fn errors_do_not_quote_long_data() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    let long = "\u{7f}".repeat(60_000);
    for event in [json!(["say", long, 1]), json!([long, {}]), json!(["create", { "name": [long] }, 1])] {
        chat.send(ada, &event);
        let answer = json!(chat.take_output(ada)).to_string();
        assert!(answer.contains("error") && answer.len() < 1000, "{} bytes", answer.len());
    }
}

#[test]
fn extreme_numbers_name_no_room_and_no_message() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    chat.say(ada, LOBBY, "one").unwrap();
    for room in [0_i64, -1, i64::MIN, i64::MAX] {
        assert_eq!(chat.call(ada, "join", json!({ "room": room })), Err("unknown_room".into()), "{room}");
    }
    for seq in [0, 2, u64::MAX >> 1, u64::MAX] {
        let target = json!({ "room": LOBBY, "seq": seq });
        assert_eq!(chat.call(ada, "delete", target), Err("unknown_message".into()), "{seq}");
        assert_eq!(chat.call(ada, "read", json!({ "room": LOBBY, "seq": seq })), Ok(json!({ "unread": 0 })));
        let before = chat.call(ada, "history", json!({ "room": LOBBY, "before": seq })).unwrap();
        assert_eq!(texts(&before["messages"]).len(), usize::from(seq > 1), "{seq}");
        assert_eq!(
            chat.call(ada, "history", json!({ "room": LOBBY, "after": seq, "limit": 0 })).unwrap()["more"],
            false
        );
        let since = json!({ "room": LOBBY, "since": { "epoch": "?", "seq": seq } });
        assert_eq!(chat.call(ada, "join", since).unwrap()["gap"], true, "{seq}");
    }
}
