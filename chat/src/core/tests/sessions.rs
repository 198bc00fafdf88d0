//! The end of sessions by time.

use super::{super::handle::allow_for_pause, *};

const MINUTE: Duration = Duration::from_secs(60);

fn chat() -> TestChat {
    TestChat::with(|config| {
        config.session_idle = 15 * MINUTE;
        config.session_lifetime = 60 * MINUTE;
    })
}

#[test]
fn a_connection_without_a_session_is_closed_after_ten_seconds() {
    let mut chat = chat();
    let anonymous = chat.open(Credential::None);
    chat.advance(Duration::from_millis(9_999));
    assert_eq!(chat.take_output(anonymous), [Value::Null; 0]);
    chat.advance(Duration::from_millis(1));
    assert_eq!(chat.take_output(anonymous), [json!(["expired", { "reason": "none" }])]);
    assert_eq!(chat.closed_with(anonymous), Some(4001));
    for credential in [Credential::Malformed, unknown_token()] {
        let connection = chat.open(credential);
        assert_eq!(chat.take_output(connection), [json!(["expired", { "reason": "unknown" }])]);
    }
}

#[test]
fn the_first_valid_token_of_several_counts_and_all_log_out() {
    let mut chat = chat();
    let [ada, ben, old] = ["Ada", "Ben", "Old"].map(|name| chat.account(name).unwrap());
    chat.log_out(&[old]).unwrap();
    let unknown = Token::random().hash();
    for tokens in [vec![unknown, ada], vec![ada, unknown], vec![old, unknown, ada], vec![ada, ben]] {
        let connection = chat.open(Credential::Tokens(tokens.clone()));
        assert_eq!(chat.take_output(connection)[0][1]["you"]["name"], "Ada", "{tokens:?}");
        let you = chat.request(FindSession(tokens.clone())).unwrap().you;
        assert_eq!(you.map(|(you, _)| you.name), Some("Ada".to_owned()));
    }
    chat.log_out(&[unknown, ada, ben]).unwrap();
    assert_eq!(chat.request(FindSession(vec![ada, ben])).unwrap().you, None);
}

#[test]
fn a_session_that_only_reads_ends_as_idle() {
    let mut chat = chat();
    let (reader, doer) = (chat.connect_user("Reader"), chat.connect_user("Doer"));
    for minute in 1..=20 {
        chat.advance(MINUTE);
        if chat.closed_with(reader).is_none() {
            for event in ["beat", "rooms", "people", "sessions"] {
                chat.call(reader, event, json!({})).unwrap();
            }
            for event in ["join", "history", "members"] {
                chat.call(reader, event, json!({ "room": LOBBY })).unwrap();
            }
            chat.call(reader, "read", json!({ "room": LOBBY, "seq": 1 })).unwrap();
        }
        let ended = chat.pushes_of(reader, "expired");
        assert_eq!(ended, if minute == 15 { vec![json!({ "reason": "idle" })] } else { vec![] }, "minute {minute}");
        chat.call(doer, "typing", json!({ "room": LOBBY })).unwrap();
    }
    assert_eq!(chat.closed_with(doer), None);
    assert_eq!(chat.closed_with(reader), Some(4001));
}

#[test]
fn a_session_ends_after_its_lifetime_even_if_it_is_used() {
    let mut chat = chat();
    let token = chat.account("Ada").unwrap();
    let ada = chat.connect(token);
    for _ in 0..59 {
        chat.advance(MINUTE);
        chat.call(ada, "typing", json!({ "room": LOBBY })).unwrap();
    }
    chat.clear_output();
    chat.advance(MINUTE - Duration::from_millis(1));
    assert_eq!(chat.take_output(ada), [Value::Null; 0]);
    chat.advance(Duration::from_millis(1));
    assert_eq!(chat.take_output(ada)[0], json!(["expired", { "reason": "lifetime" }]));
    let again = chat.connect(token);
    assert_eq!(chat.take_output(again)[0][0], "expired");
}

#[test]
fn a_session_without_connections_ends_as_idle() {
    let mut chat = chat();
    let token = chat.account("Ada").unwrap();
    let ada = chat.connect(token);
    chat.advance(10 * MINUTE);
    chat.call(ada, "typing", json!({ "room": LOBBY })).unwrap();
    chat.close(ada);
    chat.advance(14 * MINUTE);
    let back = chat.connect(token);
    assert_eq!(chat.take_output(back)[0][0], "welcome", "the last use is kept after the connection is gone");
    chat.close(back);
    chat.advance(MINUTE);
    assert_eq!(chat.request(FindSession(vec![token])).map(|session| session.you), Ok(None));
    assert!(chat.state.store.session_of_token(&token).unwrap().is_none(), "the session is removed from the store");
}

#[test]
fn a_guest_is_removed_with_the_last_session_and_the_name_becomes_free() {
    let mut chat = TestChat::new();
    let token = chat.guest("Guest").unwrap();
    let (guest, bob) = (chat.connect(token), chat.connect_user("Bob"));
    chat.join(bob, LOBBY).unwrap();
    chat.say(guest, LOBBY, "hi").unwrap();
    chat.close(guest);
    chat.advance(24 * 60 * MINUTE - Duration::from_secs(1));
    assert_eq!(chat.account("Guest"), Err(SignInError::NameTaken));
    chat.clear_output();
    chat.advance(Duration::from_secs(2));
    assert_eq!(chat.pushes_of(bob, "message"), [Value::Null; 0], "the Lobby's log does not say that guests leave");
    let members = chat.call(bob, "members", json!({ "room": LOBBY })).unwrap();
    assert_eq!(members["members"].as_array().unwrap().len(), 1, "only Bob");
    chat.account("Guest").unwrap();
    let history = chat.call(bob, "history", json!({ "room": LOBBY })).unwrap();
    assert_eq!(history["messages"][0]["gone"], true);
}

#[test]
fn a_guest_who_ends_their_session_confirms_each_room_that_is_removed_with_it() {
    for revokes in [false, true] {
        let mut chat = TestChat::new();
        let token = chat.guest("Guest").unwrap();
        let (guest, bob) = (chat.connect(token), chat.connect_user("Bob"));
        let [alone, shared] = ["Alone", "Shared"].map(|name| chat.create(guest, name, "public"));
        chat.join(bob, shared).unwrap();
        let sessions = chat.call(guest, "sessions", json!({})).unwrap();
        let session = &sessions["sessions"][0]["session"];
        // The error has the rooms that are to be confirmed.
        let end = |chat: &mut TestChat, remove: &[u64]| -> Result<(), Value> {
            if revokes {
                chat.clear_output();
                chat.send(guest, &json!(["revoke", { "session": session, "remove": remove }, 1]));
                let reply = chat.take_output(guest).into_iter().find(|event| event[2] == 1).expect("a reply");
                return if reply[0] == "ack" { Ok(()) } else { Err(reply[1]["rooms"].clone()) };
            }
            let rooms = |rooms: &[u64]| serde_json::from_value(json!(rooms)).unwrap();
            let ended = chat.request(LogOut { tokens: vec![token], remove: rooms(remove) }).unwrap();
            ended.map_err(|error| json!(error.rooms))
        };
        assert_eq!(end(&mut chat, &[]), Err(json!([alone])), "revokes: {revokes}");
        assert_eq!(end(&mut chat, &[shared, 1_000_000]), Err(json!([alone])));
        assert!(chat.request(FindSession(vec![token])).unwrap().you.is_some(), "the session goes on");
        chat.call(bob, "leave", json!({ "room": shared })).unwrap();
        assert_eq!(end(&mut chat, &[alone]), Err(json!([alone, shared])));
        assert_eq!(end(&mut chat, &[shared, alone]), Ok(()));
        assert_eq!(chat.request(FindSession(vec![token])).unwrap().you, None);
        chat.join(bob, alone).expect_err("the room is gone");
        chat.account("Guest").expect("the name is free");
    }
}

#[test]
fn an_account_keeps_its_rooms_when_its_last_session_ends() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let (ada, bob) = (chat.connect(token), chat.connect_user("Bob"));
    let alone = chat.create(ada, "Alone", "public");
    chat.log_out(&[token]).unwrap();
    chat.join(bob, alone).unwrap();
}

#[test]
fn one_session_too_many_ends_the_least_recently_used() {
    let mut chat = TestChat::new();
    let first = chat.account("Ada").unwrap();
    let ada = chat.state.store.user_named(&Name::new("Ada").unwrap()).unwrap().unwrap().id;
    let log_in = |chat: &mut TestChat| {
        chat.advance(Duration::from_secs(1));
        chat.log_in(ada, "a hash").unwrap()
    };
    let second = log_in(&mut chat);
    let here = chat.connect(first);
    let there = chat.connect(second);
    for _ in 3..=100 {
        log_in(&mut chat);
    }
    // This use is not stored yet.
    chat.say(here, LOBBY, "I am still here").unwrap();
    chat.clear_output();
    log_in(&mut chat);
    assert_eq!(chat.take_output(there), [json!(["expired", { "reason": "revoked" }])]);
    assert_eq!(chat.take_output(here), [Value::Null; 0]);
    let sessions = chat.call(here, "sessions", json!({})).unwrap();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 100);
}

#[test]
fn sessions_end_even_if_the_clock_is_set_back() {
    let folder = std::env::temp_dir().join(format!("switchboard-test-{}", Token::random()));
    let data = Data::Folder(folder.clone());
    let mut chat = TestChat::new();
    chat.state.store = Store::open(&data).unwrap();
    let token = chat.account("Ada").unwrap();
    let (ada, anonymous) = (chat.connect(token), chat.open(Credential::None));
    chat.advance(Duration::from_secs(2));
    chat.clear_output();
    chat.now.wall -= 3_600_000;
    super::super::super::Accounts::open(&data).unwrap().set_password("Ada", "another password").unwrap();
    chat.advance(Duration::from_secs(2));
    assert_eq!(chat.take_output(ada), [json!(["expired", { "reason": "revoked" }])]);
    chat.advance(Duration::from_secs(6));
    assert_eq!(chat.take_output(anonymous), [json!(["expired", { "reason": "none" }])]);
    drop(chat);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn ended_sessions_are_removed_in_pieces_and_those_in_use_stay() {
    let mut chat = chat();
    let mut online = Vec::new();
    for i in 0..12 {
        let token = chat.account(&format!("Online {i}")).unwrap();
        online.push((token, chat.connect(token)));
    }
    for i in 0..25 {
        chat.guest(&format!("Guest {i}")).unwrap();
    }
    // Too soon after the last stored use to be stored.
    chat.advance(Duration::from_secs(30));
    for (_, connection) in &online {
        chat.call(*connection, "typing", json!({ "room": LOBBY })).unwrap();
    }
    (chat.in_pieces, chat.state.max_piece) = (true, Duration::ZERO);
    chat.advance(15 * MINUTE - Duration::from_secs(31));
    let sessions = |chat: &TestChat| chat.state.store.number("SELECT count(*) FROM sessions").unwrap();
    while chat.work_in_background() {}
    assert_eq!(sessions(&chat), 37);
    chat.advance(Duration::from_secs(1));
    let mut left = Vec::new();
    while chat.work_in_background() {
        left.push(sessions(&chat));
    }
    assert_eq!(left[..3], [27, 17, 12]);
    assert!(online.iter().all(|(_, connection)| chat.closed_with(*connection).is_none()));
    let lobby: RoomId = serde_json::from_value(json!(LOBBY)).unwrap();
    assert_eq!(chat.state.store.count_members(lobby).unwrap(), 12);
}

#[test]
fn many_overdue_sessions_and_connections_end_a_hundred_at_once() {
    let mut chat = chat();
    chat.in_pieces = true;
    let users: Vec<_> = (0..500).map(|number| chat.connect_user(&format!("User {number}"))).collect();
    let mut anonymous = Vec::new();
    let closed = |chat: &TestChat| chat.delivery.0.closed.lock().unwrap().len();
    for _ in 0..300 {
        anonymous.push(chat.open(Credential::None));
    }
    chat.advance(Duration::from_secs(10));
    assert_eq!(closed(&chat), 100);
    while chat.work_in_background() {}
    assert_eq!(closed(&chat), 300);
    chat.advance(15 * MINUTE);
    assert_eq!(closed(&chat), 400);
    while chat.work_in_background() {}
    assert_eq!(closed(&chat), 800);
    for connection in users {
        assert_eq!(chat.pushes_of(connection, "expired"), [json!({ "reason": "idle" })]);
    }
}

#[test]
fn a_pause_of_the_thread_does_not_count_as_time_to_sign_in() {
    let mut chat = chat();
    let connections = [(); 2].map(|()| chat.open(Credential::None));
    chat.advance(Duration::from_secs(9));
    // The tick after a pause of 35 s, and one that is hardly late.
    for (late, until) in [(35, 35), (0, 2)] {
        let now = chat.state.now;
        let now = Now { instant: now.instant + Duration::from_secs(late + until), ..now };
        allow_for_pause(&mut chat.state, now, now.instant - Duration::from_secs(until));
    }
    chat.advance(Duration::from_millis(35_999));
    assert!(connections.iter().all(|connection| chat.closed_with(*connection).is_none()));
    chat.advance(Duration::from_millis(1));
    assert!(connections.iter().all(|connection| chat.closed_with(*connection).is_some()));
    assert!(chat.state.presence.is_empty());
}

/// The times at which sessions are checked follow their uses, and nothing of a session stays when it has ended.
#[test]
fn a_session_is_checked_when_it_may_end() {
    let mut chat = chat();
    let token = chat.account("Ada").unwrap();
    for round in 0..50 {
        let connection = chat.connect(token);
        chat.advance(Duration::from_secs(1));
        chat.call(connection, "typing", json!({ "room": LOBBY })).unwrap();
        if round % 2 == 0 {
            chat.state.store.refuse_commits(1);
        }
        chat.close(connection);
        chat.state.store.refuse_commits(0);
    }
    assert!(chat.state.presence.is_empty());
    let ada = chat.connect(token);
    chat.advance(15 * MINUTE - Duration::from_millis(1));
    assert_eq!(chat.closed_with(ada), None);
    chat.advance(Duration::from_millis(1));
    assert_eq!(chat.closed_with(ada), Some(4001));
    assert!(chat.state.presence.is_empty());
}

#[test]
fn changes_by_another_process_take_effect() {
    let folder = std::env::temp_dir().join(format!("switchboard-test-{}", Token::random()));
    let data = Data::Folder(folder.clone());
    let mut chat = TestChat::new();
    chat.state.store = Store::open(&data).unwrap();
    let token = chat.account("Ada").unwrap();
    let ada = chat.connect(token);
    chat.advance(Duration::from_secs(2));
    chat.clear_output();
    let accounts = super::super::super::Accounts::open(&data).unwrap();
    accounts.set_operator("ada", true).unwrap();
    chat.advance(Duration::from_secs(2));
    chat.call(ada, "notice", json!({ "text": "I am one now" })).unwrap();
    accounts.set_password("ADA", "another password").unwrap();
    chat.clear_output();
    chat.advance(Duration::from_secs(2));
    assert_eq!(chat.pushes_of(ada, "expired"), [json!({ "reason": "revoked" })]);
    std::fs::remove_dir_all(folder).unwrap();
}
