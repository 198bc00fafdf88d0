//! How sessions end by time.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn house() -> House {
    House::with(|config| {
        config.session_idle = 15 * MINUTE;
        config.session_lifetime = 60 * MINUTE;
    })
}

#[test]
fn who_shows_no_session_is_ended_after_ten_seconds() {
    let mut house = house();
    let stranger = house.open(Credential::None);
    house.pass(Duration::from_millis(9_999));
    assert_eq!(house.told(stranger), [Value::Null; 0]);
    house.pass(Duration::from_millis(1));
    assert_eq!(house.told(stranger), [json!(["expired", { "reason": "none" }])]);
    assert_eq!(house.closed_with(stranger), Some(4001));
    for credential in [Credential::Malformed, strange_token()] {
        let connection = house.open(credential);
        assert_eq!(house.told(connection), [json!(["expired", { "reason": "unknown" }])]);
    }
}

#[test]
fn reading_keeps_no_session_alive_and_doing_something_does() {
    let mut house = house();
    let (reader, doer) = (house.come("Reader"), house.come("Doer"));
    for minute in 1..=20 {
        house.pass(MINUTE);
        if house.closed_with(reader).is_none() {
            for event in ["beat", "rooms", "people", "sessions"] {
                house.ask(reader, event, json!({})).unwrap();
            }
            for event in ["join", "history", "members"] {
                house.ask(reader, event, json!({ "room": LOBBY })).unwrap();
            }
            house.ask(reader, "read", json!({ "room": LOBBY, "seq": 1 })).unwrap();
        }
        let ended = house.told_of(reader, "expired");
        assert_eq!(ended, if minute == 15 { vec![json!({ "reason": "idle" })] } else { vec![] }, "minute {minute}");
        house.ask(doer, "typing", json!({ "room": LOBBY })).unwrap();
    }
    assert_eq!(house.closed_with(doer), None);
    assert_eq!(house.closed_with(reader), Some(4001));
}

#[test]
fn a_session_ends_after_its_lifetime_whatever_is_done_in_it() {
    let mut house = house();
    let token = house.account("Ada").unwrap();
    let ada = house.connect(token);
    for _ in 0..59 {
        house.pass(MINUTE);
        house.ask(ada, "typing", json!({ "room": LOBBY })).unwrap();
    }
    house.forget_all_told();
    house.pass(MINUTE - Duration::from_millis(1));
    assert_eq!(house.told(ada), [Value::Null; 0]);
    house.pass(Duration::from_millis(1));
    assert_eq!(house.told(ada)[0], json!(["expired", { "reason": "lifetime" }]));
    let again = house.connect(token);
    assert_eq!(house.told(again)[0][0], "expired");
}

#[test]
fn a_session_ends_while_nobody_is_connected_by_it() {
    let mut house = house();
    let token = house.account("Ada").unwrap();
    let ada = house.connect(token);
    house.pass(10 * MINUTE);
    house.ask(ada, "typing", json!({ "room": LOBBY })).unwrap();
    house.close(ada);
    house.pass(14 * MINUTE);
    let back = house.connect(token);
    assert_eq!(house.told(back)[0][0], "welcome", "what was done last is not forgotten with the connection");
    house.close(back);
    house.pass(MINUTE);
    assert_eq!(house.answer(move |keeper| keeper.signed_in(&token)), Ok(None));
    assert!(house.keeper.store.session_of_token(&token).unwrap().is_none(), "nor kept for ever");
}

#[test]
fn a_guest_is_gone_with_their_session_and_the_name_is_free() {
    let mut house = House::new();
    let token = house.guest("Guest").unwrap();
    let (guest, bob) = (house.connect(token), house.come("Bob"));
    house.join(bob, LOBBY).unwrap();
    house.say(guest, LOBBY, "hi").unwrap();
    house.close(guest);
    house.pass(24 * 60 * MINUTE - Duration::from_secs(1));
    assert_eq!(house.account("Guest"), Err(SignInError::NameTaken));
    house.forget_all_told();
    house.pass(Duration::from_secs(2));
    assert_eq!(house.told_of(bob, "message"), [Value::Null; 0], "as silently as they came to the lobby");
    let members = house.ask(bob, "members", json!({ "room": LOBBY })).unwrap();
    assert_eq!(members["members"].as_array().unwrap().len(), 1, "only Bob");
    house.account("Guest").unwrap();
    let history = house.ask(bob, "history", json!({ "room": LOBBY })).unwrap();
    assert_eq!(history["messages"][0]["gone"], true);
}

#[test]
fn with_a_session_too_many_the_one_that_was_not_used_for_longest_ends() {
    let mut house = House::new();
    let first = house.account("Ada").unwrap();
    let ada = house.keeper.store.person_named(Name::new("Ada").unwrap().key()).unwrap().unwrap().id;
    let log_in = |house: &mut House| {
        house.pass(Duration::from_secs(1));
        house.answer(move |keeper| keeper.log_in(ada, "a hash")).unwrap().token.hash()
    };
    let second = log_in(&mut house);
    let here = house.connect(first);
    let there = house.connect(second);
    for _ in 3..=100 {
        log_in(&mut house);
    }
    // What was done last is not stored yet.
    house.say(here, LOBBY, "I am still here").unwrap();
    house.forget_all_told();
    log_in(&mut house);
    assert_eq!(house.told(there), [json!(["expired", { "reason": "revoked" }])]);
    assert_eq!(house.told(here), [Value::Null; 0]);
    let sessions = house.ask(here, "sessions", json!({})).unwrap();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 100);
}

#[test]
fn a_clock_that_is_set_back_keeps_no_ending_off() {
    let folder = std::env::temp_dir().join(format!("switchboard-test-{}", Token::random()));
    let data = Data::Folder(folder.clone());
    let mut house = House::new();
    house.keeper.store = Store::open(&data).unwrap();
    let token = house.account("Ada").unwrap();
    let (ada, stranger) = (house.connect(token), house.open(Credential::None));
    house.pass(Duration::from_secs(2));
    house.forget_all_told();
    house.now.wall -= 3_600_000;
    super::super::super::Accounts::open(&data).unwrap().set_password("Ada", "another password").unwrap();
    house.pass(Duration::from_secs(2));
    assert_eq!(house.told(ada), [json!(["expired", { "reason": "revoked" }])]);
    house.pass(Duration::from_secs(6));
    assert_eq!(house.told(stranger), [json!(["expired", { "reason": "none" }])]);
    drop(house);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn many_sessions_end_a_few_at_a_time_and_none_that_is_in_use_stands_in_their_way() {
    let mut house = house();
    let mut online = Vec::new();
    for i in 0..12 {
        let token = house.account(&format!("Online {i}")).unwrap();
        online.push((token, house.connect(token)));
    }
    for i in 0..25 {
        house.guest(&format!("Guest {i}")).unwrap();
    }
    // Too little later for the store to be told.
    house.pass(Duration::from_secs(30));
    for (_, connection) in &online {
        house.ask(*connection, "typing", json!({ "room": LOBBY })).unwrap();
    }
    house.pass(15 * MINUTE - Duration::from_secs(31));
    let lobby: RoomId = serde_json::from_value(json!(LOBBY)).unwrap();
    let mut left = Vec::new();
    for _ in 0..6 {
        house.pass(Duration::from_millis(if left.is_empty() { 1000 } else { 250 }));
        left.push(house.keeper.store.count_members(lobby).unwrap());
    }
    assert_eq!(left, [37, 29, 19, 12, 12, 12]);
    assert!(online.iter().all(|(_, connection)| house.closed_with(*connection).is_none()));
}

#[test]
fn what_an_operator_changes_beside_us_is_noticed() {
    let folder = std::env::temp_dir().join(format!("switchboard-test-{}", Token::random()));
    let data = Data::Folder(folder.clone());
    let mut house = House::new();
    house.keeper.store = Store::open(&data).unwrap();
    let token = house.account("Ada").unwrap();
    let ada = house.connect(token);
    house.pass(Duration::from_secs(2));
    house.forget_all_told();
    let accounts = super::super::super::Accounts::open(&data).unwrap();
    accounts.set_operator("ada", true).unwrap();
    house.pass(Duration::from_secs(2));
    house.ask(ada, "notice", json!({ "text": "I am one now" })).unwrap();
    accounts.set_password("ADA", "another password").unwrap();
    house.forget_all_told();
    house.pass(Duration::from_secs(2));
    assert_eq!(house.told_of(ada, "expired"), [json!({ "reason": "revoked" })]);
    std::fs::remove_dir_all(folder).unwrap();
}
