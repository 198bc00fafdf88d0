//! AP-01: malformed input.

use serde_json::{Value, json};
use switchboard_tests::server::Raw;

use super::{LOBBY, generous_chat, key};
use crate::support::chat_user::{AS_JSON, ChatUser, End, PASSWORD, code_of, guest, json_of, request_over};

#[test]
fn ap_01_malformed_bodies_are_refused() {
    let program = generous_chat();
    let address = program.address();
    let named = |name: &str| json!({"name": name, "password": PASSWORD}).to_string().into_bytes();
    let rows: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("nothing", vec![], 400, "bad_json"),
        ("half of it", br#"{"name": "Ann""#.to_vec(), 400, "bad_json"),
        ("two of it", br#"{"name": "Ann"}{"name": "Bob"}"#.to_vec(), 400, "bad_json"),
        ("no UTF-8", b"{\"name\": \"\xff\"}".to_vec(), 400, "bad_json"),
        ("a lone surrogate", br#"{"name": "\ud800"}"#.to_vec(), 400, "bad_json"),
        ("an unescaped NUL", b"{\"name\": \"A\0nn\"}".to_vec(), 400, "bad_json"),
        ("NUL", named("A\0nn"), 400, "bad_name"),
        ("deep arrays", [b"[".repeat(2_000), b"]".repeat(2_000)].concat(), 400, "bad_json"),
        ("deep objects", br#"{"name":"#.repeat(500), 400, "bad_json"),
        ("null", b"null".to_vec(), 400, "bad_data"),
        ("an array", br#"[]"#.to_vec(), 400, "bad_data"),
        ("a number", b"1e999999".to_vec(), 400, "bad_json"),
        ("no name", b"{}".to_vec(), 400, "bad_data"),
        ("a name that is no string", br#"{"name": 5}"#.to_vec(), 400, "bad_data"),
        ("a name twice", br#"{"name": "Ann", "name": 5}"#.to_vec(), 400, "bad_data"),
        ("a password that is no string", br#"{"name": "Ann", "password": ["x"]}"#.to_vec(), 400, "bad_data"),
        ("a flag that is no boolean", br#"{"name": "Ann", "token": "yes"}"#.to_vec(), 400, "bad_data"),
        ("an empty name", named(""), 400, "bad_name"),
        ("spaces", named("   "), 400, "bad_name"),
        ("33 characters", named(&"x".repeat(33)), 400, "bad_name"),
        ("3,000 characters", named(&"x".repeat(3_000)), 400, "bad_name"),
        ("20 combining marks", named(&format!("A{}", "\u{301}".repeat(20))), 400, "bad_name"),
        ("a right-to-left override", named("\u{202e}nnA"), 400, "bad_name"),
        ("a line break", named("Ann\r\nBob"), 400, "bad_name"),
        ("a zero-width space", named("Ann\u{200b}"), 400, "bad_name"),
        ("a name of 64 KiB", named(&"x".repeat(64 << 10)), 413, ""),
        ("5 KiB of spaces", [b" ".repeat(5 << 10), named("Ann")].concat(), 413, ""),
        ("a short password", br#"{"name": "Ann", "password": "1234567"}"#.to_vec(), 400, "bad_password"),
        ("NUL in a password", br#"{"name": "Ann", "password": "1234567\u0000"}"#.to_vec(), 400, "bad_password"),
        (
            "a long password",
            json!({"name": "Ann", "password": "x".repeat(257)}).to_string().into_bytes(),
            400,
            "bad_password",
        ),
    ];
    let host = address.to_string();
    for (what, body, status, code) in rows {
        let mut raw = Raw::connect(address);
        let answer = request_over(&mut raw, &host, "POST", "/api/register", &[AS_JSON], body);
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        if !code.is_empty() {
            assert_eq!(json_of(&answer)["error"]["code"], code, "{what}");
        }
    }
    // Unknown fields are ignored.
    let body = json!({"name": "Ann", "token": true, "operator": true, "guest": false, "id": 1}).to_string();
    let answer = request_over(&mut Raw::connect(address), &host, "POST", "/api/guest", &[AS_JSON], body);
    assert_eq!(json_of(&answer)["you"], json!({"name": "Ann", "guest": true, "operator": false}));
}

/// Each row: a malformed event, and the code and id of the reply.
#[test]
fn ap_01_malformed_events_get_an_error_and_the_connection_stays_open() {
    let program = generous_chat();
    let mut ann = ChatUser::guest(program.address(), "Ann");
    let long = "x".repeat(65);
    let rows: Vec<(String, &str, Value)> = vec![
        ("".into(), "bad_json", Value::Null),
        ("\0".into(), "bad_json", Value::Null),
        ("say".into(), "bad_json", Value::Null),
        (r#"["say","#.into(), "bad_json", Value::Null),
        (r#"["say",{},1] ["say",{},2]"#.into(), "bad_json", Value::Null),
        ("[".repeat(60_000), "bad_json", Value::Null),
        (r#"{"a":"#.repeat(10_000), "bad_json", Value::Null),
        (format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)), "bad_event", Value::Null),
        (format!(r#"["say",{}{},1]"#, "[".repeat(30_000), "]".repeat(30_000)), "bad_data", json!(1)),
        (format!(r#"["say",{{"x":{}{}}},1]"#, "[".repeat(30_000), "]".repeat(30_000)), "bad_data", json!(1)),
        (format!(r#"["say",{{{}"":0}},1]"#, r#""":0,"#.repeat(12_000)), "bad_data", json!(1)),
        (r#"["say",{"room":1,"room":1,"text":"x","key":"x"},1]"#.into(), "bad_data", json!(1)),
        (r#"["say",1e999,1]"#.into(), "bad_data", json!(1)),
        (r#"["say",{},1e999]"#.into(), "bad_event", Value::Null),
        (r#""say""#.into(), "bad_event", Value::Null),
        ("null".into(), "bad_event", Value::Null),
        ("[]".into(), "bad_event", Value::Null),
        ("{}".into(), "bad_event", Value::Null),
        (r#"[["say"],{},1]"#.into(), "bad_event", json!(1)),
        (r#"["say",{},1,2]"#.into(), "bad_event", json!(1)),
        (r#"["say",{},null]"#.into(), "bad_event", Value::Null),
        (r#"["say",{},[1]]"#.into(), "bad_event", Value::Null),
        (r#"["say",{},{"id":1}]"#.into(), "bad_event", Value::Null),
        (r#"["say",{},true]"#.into(), "bad_event", Value::Null),
        (json!(["say", {}, long]).to_string(), "bad_event", Value::Null),
        (json!(["say", {}, long[1..]]).to_string(), "bad_data", json!(long[1..])),
        (json!(["say", {}, ""]).to_string(), "bad_data", json!("")),
        (json!(["say", {}, "\0\u{1f600}\"\\"]).to_string(), "bad_data", json!("\0\u{1f600}\"\\")),
        (json!(["say", {}, -1]).to_string(), "bad_data", json!(-1)),
        (json!(["say", {}, 1.5]).to_string(), "bad_data", json!(1.5)),
        (json!(["say", {}, u64::MAX]).to_string(), "bad_data", json!(u64::MAX)),
        (json!(["", {}, 1]).to_string(), "unknown_event", json!(1)),
        (json!(["Say", {}, 1]).to_string(), "unknown_event", json!(1)),
        (json!(["say\0", {}, 1]).to_string(), "unknown_event", json!(1)),
        (json!(["ack", {}, 1]).to_string(), "unknown_event", json!(1)),
        (json!(["welcome", {}, 1]).to_string(), "unknown_event", json!(1)),
        (json!(["x".repeat(60_000), {}, 1]).to_string(), "unknown_event", json!(1)),
        (r#"["say"]"#.into(), "bad_data", Value::Null),
    ];
    for (text, code, id) in rows {
        let shown: String = text.chars().take(40).collect();
        ann.send_text(&text);
        let events = ann.received(&["error", "ack"]);
        let [answer] = &events[..] else { panic!("{shown}: {events:?}") };
        assert_eq!((&*code_of(answer), &answer.id), (code, &id), "{shown}");
        assert!(answer.data["message"].as_str().unwrap().len() < 200, "{shown}: {answer:?}");
    }
}

/// Each row: an event with unusual values, and the code of the reply, or none if it is accepted.
#[test]
fn ap_01_unusual_values_are_refused_or_handled_as_specified() {
    let program = generous_chat();
    let mut ann = ChatUser::guest(program.address(), "Ann");
    ann.ask("say", json!({"room": LOBBY, "text": "first", "key": key()})).unwrap();
    let say = |text: &str| json!({"room": LOBBY, "text": text, "key": key()});
    let keyed = |key: &str| json!({"room": LOBBY, "text": "x", "key": key});
    let mut rows: Vec<(&str, Value, Option<&str>)> = vec![
        ("say", say(""), Some("empty")),
        ("say", say(" \t\r\n\u{a0}"), Some("empty")),
        ("say", say("\0\u{7}\u{1b}\u{85}"), Some("empty")),
        ("say", say(&"x".repeat(4_001)), Some("too_long")),
        ("say", say(&"\u{1f600}".repeat(4_001)), Some("too_long")),
        ("say", say(&"x".repeat(60_000)), Some("too_long")),
        ("say", say(&"\u{1f600}".repeat(4_000)), None),
        ("say", say(&format!("x{}", "\0".repeat(5_000))), None),
        ("say", keyed(""), Some("bad_key")),
        ("say", keyed("1"), Some("bad_key")),
        ("say", keyed("00000000-0000-0000-0000-00000000000g"), Some("bad_key")),
        ("say", keyed(&"0".repeat(33)), Some("bad_key")),
        ("say", keyed(&"0".repeat(60_000)), Some("bad_key")),
        ("say", json!({"room": LOBBY, "text": "x"}), Some("bad_data")),
        ("say", json!({"room": LOBBY, "text": "x", "key": 1}), Some("bad_data")),
        ("say", json!({"room": LOBBY, "text": ["x"], "key": key()}), Some("bad_data")),
        ("say", json!({"room": LOBBY, "text": "x", "key": key(), "to": "everybody"}), Some("bad_data")),
        ("history", json!({"room": LOBBY, "before": u64::MAX}), None),
        ("history", json!({"room": LOBBY, "after": u64::MAX}), None),
        ("history", json!({"room": LOBBY, "before": 0}), None),
        ("history", json!({"room": LOBBY, "limit": 0}), None),
        ("history", json!({"room": LOBBY, "limit": u64::MAX}), None),
        ("history", json!({"room": LOBBY, "limit": -1}), Some("bad_data")),
        ("history", json!({"room": LOBBY, "before": -1}), Some("bad_data")),
        ("history", json!({"room": LOBBY, "after": 1.5}), Some("bad_data")),
        ("history", json!({"room": LOBBY, "after": "1"}), Some("bad_data")),
        ("history", json!({"room": LOBBY, "before": 1e300}), Some("bad_data")),
        ("history", json!({"room": LOBBY, "before": 1, "after": 1}), Some("bad_data")),
        ("read", json!({"room": LOBBY, "seq": u64::MAX}), None),
        ("read", json!({"room": LOBBY, "seq": -1}), Some("bad_data")),
        ("delete", json!({"room": LOBBY, "seq": u64::MAX}), Some("unknown_message")),
        ("delete", json!({"room": LOBBY, "seq": i64::MAX}), Some("unknown_message")),
        ("delete", json!({"room": LOBBY, "seq": -1}), Some("bad_data")),
        ("join", json!({"room": LOBBY, "since": {"epoch": "", "seq": u64::MAX}}), None),
        ("join", json!({"room": LOBBY, "since": {"epoch": "x".repeat(60_000), "seq": 0}}), None),
        ("join", json!({"room": LOBBY, "since": {"epoch": 1, "seq": 0}}), Some("bad_data")),
        ("join", json!({"room": LOBBY, "since": {"epoch": "x", "seq": -1}}), Some("bad_data")),
        ("join", json!({"room": LOBBY, "name": "Lobby"}), Some("bad_data")),
        ("join", json!({}), Some("bad_data")),
        ("join", json!({"name": "x".repeat(60_000)}), Some("unknown_room")),
        ("create", json!({"name": ""}), Some("bad_name")),
        ("create", json!({"name": "A\0B"}), Some("bad_name")),
        ("create", json!({"name": "x".repeat(41)}), Some("bad_name")),
        ("create", json!({"name": "x".repeat(60_000)}), Some("bad_name")),
        ("create", json!({"name": "L\u{43e}bby"}), Some("name_taken")),
        ("create", json!({"name": "Hall", "kind": "direct"}), Some("bad_data")),
        ("create", json!({"name": "Hall", "kind": "secret"}), Some("bad_data")),
        ("create", json!({"name": "Hall", "topic": "x".repeat(201)}), Some("too_long")),
        ("rooms", json!({"after": "\0", "search": "%_\0"}), None),
        ("rooms", json!({"after": "x".repeat(30_000), "search": "x".repeat(30_000)}), None),
        ("rooms", json!([]), None),
        ("people", json!({"after": "\0", "search": "%' OR 1=1 --"}), None),
        ("people", json!({"search": "\u{130}".repeat(20_000)}), None),
        ("members", json!({"room": LOBBY, "after": "x".repeat(60_000)}), Some("unknown_person")),
        ("revoke", json!({"session": i64::MAX}), Some("unknown_session")),
        ("revoke", json!({"session": -1}), Some("unknown_session")),
        ("revoke", json!({"session": "1"}), Some("bad_data")),
        ("password", json!({"old": PASSWORD, "new": PASSWORD}), Some("guest")),
        ("beat", json!({"x": [1]}), None),
    ];
    let no_rooms = [json!(0), json!(-1), json!(i64::MAX), json!(i64::MIN)];
    let not_even_numbers =
        [json!(u64::MAX), json!(1.5), json!("1"), Value::Null, json!([1]), json!(1e300), json!(true)];
    for event in ["join", "look", "leave", "members", "history", "typing", "remove"] {
        rows.extend(no_rooms.iter().map(|room| (event, json!({"room": room}), Some("unknown_room"))));
        let odd = not_even_numbers.iter().filter(|room| event != "join" || !room.is_null());
        rows.extend(odd.map(|room| (event, json!({"room": room}), Some("bad_data"))));
    }
    for (event, data, expected) in rows {
        let shown: String = data.to_string().chars().take(80).collect();
        let id = ann.send(event, &data);
        let answer = ann.reply_to(&id.into());
        match expected {
            Some(code) => assert_eq!(code_of(&answer), code, "{event} {shown}"),
            None => assert_eq!(answer.name, "ack", "{event} {shown}: {answer:?}"),
        }
    }
    // Trailing whitespace and control characters are removed from a text.
    let seq = ann.ask("say", say("\u{1b}[31mred\u{0}\tcell\n \n")).unwrap()["seq"].clone();
    let page = ann.ask("history", json!({"room": LOBBY, "limit": 1})).unwrap();
    assert_eq!((&page["messages"][0]["seq"], &page["messages"][0]["text"]), (&seq, &json!("[31mred\tcell")));
}

#[test]
fn ap_01_messages_over_64_kib_and_binary_ones_close_the_connection() {
    let program = generous_chat();
    let token = guest(program.address(), "Ann");
    let mut ann = ChatUser::with_token(program.address(), &token);
    ann.send_text(&" ".repeat((64 << 10) + 1));
    assert_eq!(ann.until_end().1, End::Closed(1009));
    let mut ann = ChatUser::with_token(program.address(), &token);
    ann.send_binary(b"[\"beat\"]");
    assert_eq!(ann.until_end().1, End::Closed(1003));
    // The longest allowed message is handled.
    let mut ann = ChatUser::with_token(program.address(), &token);
    ann.send_text(&format!("{}[\"beat\"]", " ".repeat((64 << 10) - 8)));
    ann.expect_event("beat");
}
