//! AP-01: using a session after its end.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchboard_tests::server::LONG;

use super::{LOBBY, PLENTY, chat, generous_chat, words};
use crate::support::chat_user::{AS_JSON, ChatUser, End, PASSWORD, account, guest, json_of, log_in, post, request};

/// Checks the last event for a session that has ended, and the close code after it.
#[track_caller]
fn expect_expired(user: &mut ChatUser, reason: &str) {
    let (events, end) = user.until_end();
    let last = events.last().unwrap_or_else(|| panic!("{end:?} without an event"));
    assert_eq!((&*last.name, &last.data), ("expired", &json!({"reason": reason})));
    assert_eq!(end, End::Closed(4001));
}

/// Checks that a token is useless over HTTP and over the WebSocket.
#[track_caller]
fn expect_useless(address: SocketAddr, token: &str, reason: &str) {
    let bearer = format!("Bearer {token}");
    let response = request(address, "GET", "/api/session", &[("Authorization", &bearer)], "");
    assert_eq!(
        (response.status, &json_of(&response)["you"], &json_of(&response)["expires"]),
        (200, &Value::Null, &Value::Null)
    );
    expect_expired(&mut ChatUser::with_header(address, "Authorization", &bearer), reason);
    let mut late = ChatUser::unauthenticated(address);
    late.send("auth", &json!({"token": token}));
    expect_expired(&mut late, reason);
}

#[test]
fn ap_01_a_token_is_useless_after_logout_and_its_connections_are_closed() {
    let program = generous_chat();
    let address = program.address();
    let (token, other) = (account(address, "Ann"), log_in(address, "Ann"));
    let mut connections = [(); 3].map(|()| ChatUser::with_token(address, &token));
    let mut elsewhere = ChatUser::with_token(address, &other);
    let bearer = format!("Bearer {token}");
    for _ in 0..2 {
        let answer = request(address, "POST", "/api/logout", &[("Authorization", &bearer)], "");
        assert_eq!(answer.status, 204, "also the second time");
    }
    for connection in &mut connections {
        expect_expired(connection, "logout");
    }
    expect_useless(address, &token, "unknown");
    assert!(elsewhere.ask("sessions", Value::Null).is_ok(), "the other session goes on");
    let said = elsewhere.ask("say", words(&LOBBY.into(), "still here"));
    assert!(said.is_ok(), "{said:?}");
}

#[test]
fn ap_01_sessions_end_with_the_password_with_the_account_and_when_they_are_revoked() {
    let program = generous_chat();
    let address = program.address();
    let tokens = [account(address, "Ann"), log_in(address, "Ann"), log_in(address, "Ann"), log_in(address, "Ann")];
    let [mut first, mut second, mut third, mut fourth] =
        tokens.each_ref().map(|token| ChatUser::with_token(address, token));
    let mut eve = ChatUser::guest(address, "Eve");

    // Eve cannot revoke Ann's sessions.
    let sessions = first.ask("sessions", Value::Null).unwrap();
    let sessions = sessions["sessions"].as_array().unwrap();
    for session in sessions {
        assert_eq!(eve.ask("revoke", json!({"session": session["session"]})), Err("unknown_session".into()));
    }
    assert_eq!(sessions.len(), 4);
    let own = |user: &mut ChatUser| {
        let sessions = user.ask("sessions", Value::Null).unwrap();
        sessions["sessions"].as_array().unwrap().iter().find(|session| session["current"] == true).unwrap().clone()
    };
    let fourths = own(&mut fourth);
    first.ask("revoke", json!({"session": fourths["session"]})).unwrap();
    expect_expired(&mut fourth, "revoked");
    expect_useless(address, &tokens[3], "unknown");

    let wrong = json!({"old": "wrong horse", "new": "better horse"});
    assert_eq!(first.ask("password", wrong), Err("bad_credentials".into()));
    assert!(second.ask("people", Value::Null).is_ok(), "nothing has changed");
    first.ask("password", json!({"old": PASSWORD, "new": "better horse"})).unwrap();
    for (user, token) in [(&mut second, &tokens[1]), (&mut third, &tokens[2])] {
        expect_expired(user, "revoked");
        expect_useless(address, token, "unknown");
    }
    assert_eq!(post(address, "/api/login", &json!({"name": "Ann", "password": PASSWORD})).status, 401);

    for password in [Value::Null, json!({}), json!({"password": PASSWORD})] {
        assert_eq!(first.ask("delete_account", password), Err("bad_credentials".into()));
    }
    first.ask("delete_account", json!({"password": "better horse"})).unwrap();
    expect_expired(&mut first, "deleted");
    expect_useless(address, &tokens[0], "unknown");
    assert_eq!(post(address, "/api/login", &json!({"name": "Ann", "password": "better horse"})).status, 401);
}

#[test]
fn ap_01_an_invalid_token_expires_and_the_connection_is_closed() {
    let program = generous_chat();
    let address = program.address();
    let token = guest(address, "Ann");
    let (cut, longer) = (&token[1..], format!("{token}A"));
    let unknown = format!("Bearer {}", "A".repeat(43));
    expect_expired(&mut ChatUser::with_header(address, "Authorization", &unknown), "unknown");
    for bad in ["", "x", cut, &longer, &"A".repeat(43), &"A".repeat(10_000)] {
        let mut late = ChatUser::unauthenticated(address);
        late.send("auth", &json!({"token": bad}));
        expect_expired(&mut late, "unknown");
    }
    // What has not the form of a token may be a proxy's.
    for header in [
        format!("Basic {token}"),
        format!("Token {token}"),
        token.clone(),
        format!("Bearer {cut}"),
        format!("Bearer {longer}"),
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln".to_owned(),
        "Bearer".to_owned(),
    ] {
        let mut user = ChatUser::with_header(address, "Authorization", &header);
        assert_eq!(user.ask("people", Value::Null), Err("no_session".into()), "{header}");
        assert_eq!(user.ask("auth", json!({"token": token})), Ok(json!({})));
    }
    // A connection cannot change its user.
    let bob = guest(address, "Bob");
    let mut ann = ChatUser::with_token(address, &token);
    assert_eq!(ann.ask("auth", json!({"token": bob})), Err("bad_data".into()));
    let said = ann.ask("say", words(&LOBBY.into(), "I am Ann")).unwrap();
    let page = ann.ask("history", json!({"room": LOBBY, "after": said["seq"].as_u64().unwrap() - 1})).unwrap();
    assert_eq!(page["messages"][0]["from"], "Ann");
}

#[test]
fn ap_01_without_a_session_only_a_beat_is_answered() {
    let program = generous_chat();
    let mut unauthenticated = ChatUser::unauthenticated(program.address());
    let mut ann = ChatUser::guest(program.address(), "Ann");
    ann.ask("join", json!({"room": LOBBY})).unwrap();
    for event in EVENTS_OF_USERS {
        for data in [Value::Null, json!({"room": LOBBY}), words(&LOBBY.into(), "?"), json!({"name": "Ann"})] {
            assert_eq!(unauthenticated.ask(event, data.clone()), Err("no_session".into()), "{event} {data}");
        }
    }
    ann.ask("say", words(&LOBBY.into(), "among us")).unwrap();
    assert_eq!(unauthenticated.received_so_far(), [], "an unauthenticated connection receives nothing");
}

const EVENTS_OF_USERS: &[&str] = &[
    "rooms",
    "create",
    "join",
    "look",
    "leave",
    "members",
    "topic",
    "invite",
    "kick",
    "ban",
    "unban",
    "role",
    "delete",
    "remove",
    "say",
    "tell",
    "direct",
    "history",
    "read",
    "typing",
    "people",
    "person",
    "block",
    "unblock",
    "sessions",
    "revoke",
    "password",
    "delete_account",
    "notice",
    "dismiss",
];

/// Maximum delay of a session's end.
const LATE: Duration = Duration::from_secs(2);
/// Tolerance for a busy machine.
const SLACK: Duration = Duration::from_millis(500);

/// Repeats an action with pauses until the connection ends. Returns the time from the welcome to the end.
fn until_it_ends(address: SocketAddr, token: &str, mut act: impl FnMut(&mut ChatUser), reason: &str) -> Duration {
    let mut user = ChatUser::with_token(address, token);
    let started = Instant::now();
    loop {
        act(&mut user);
        let acted = Instant::now();
        while let Some(left) = Duration::from_millis(100).checked_sub(acted.elapsed()) {
            match user.receive_within(left) {
                Some(Ok(event)) if event.name == "expired" => {
                    let time = started.elapsed();
                    assert_eq!(event.data, json!({"reason": reason}));
                    assert_eq!(user.receive(), Err(End::Closed(4001)));
                    return time;
                }
                Some(Err(end)) => panic!("{end:?} without an event"),
                Some(Ok(_)) | None => {}
            }
        }
        assert!(started.elapsed() < LONG, "the session does not end");
    }
}

#[test]
fn ap_01_a_user_who_only_reads_is_logged_out_and_one_who_writes_is_not() {
    let idle = Duration::from_secs(2);
    let rates = ["--sign-up-rate", PLENTY, "--event-rate", PLENTY, "--message-rate", PLENTY];
    let program = chat(&[&["--session-idle", "2s"][..], &rates].concat());
    let address = program.address();
    let (reader, silent) = (guest(address, "Reader"), guest(address, "Silent"));
    let (mut talker, welcome) = ChatUser::with_welcome(address, &guest(address, "Talker"));
    assert_eq!(welcome["session"]["idle"], 2_000);
    let talking = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let reads = |user: &mut ChatUser| {
                user.send_text(r#"["beat"]"#);
                for (event, data) in [
                    ("history", json!({"room": LOBBY})),
                    ("join", json!({"room": LOBBY})),
                    ("read", json!({"room": LOBBY, "seq": 1})),
                    ("people", Value::Null),
                    ("rooms", Value::Null),
                    ("members", json!({"room": LOBBY})),
                    ("sessions", Value::Null),
                ] {
                    // The reply is dropped with all other events.
                    user.send(event, &data);
                }
            };
            until_it_ends(address, &reader, reads, "idle")
        });
        let staying = scope.spawn(|| until_it_ends(address, &silent, |_| (), "idle"));
        let started = Instant::now();
        while !reading.is_finished() || !staying.is_finished() || started.elapsed() < idle * 2 {
            talker.ask("say", words(&LOBBY.into(), "I am here")).expect("a user who writes stays logged in");
            while talker.receive_within(Duration::from_millis(100)).is_some() {}
        }
        for ended in [reading.join().unwrap(), staying.join().unwrap()] {
            // The sessions started a little before their connections.
            assert!(ended > idle - SLACK && ended < idle + LATE + SLACK, "ended after {ended:?}");
        }
        started.elapsed()
    });
    assert!(talking > idle);
    talker.ask("say", words(&LOBBY.into(), "I am still here")).expect("a user who writes is not idle");
    // An ended session stays ended. The reason depends on whether the store has already deleted it.
    for token in [reader, silent] {
        let answer = request(address, "GET", "/api/session", &[("Authorization", &format!("Bearer {token}"))], "");
        assert_eq!(json_of(&answer)["you"], Value::Null);
        let (events, end) = ChatUser::with_header(address, "Authorization", &format!("Bearer {token}")).until_end();
        assert_eq!((&*events[0].name, end), ("expired", End::Closed(4001)));
    }
}

#[test]
fn ap_01_a_session_ends_after_its_lifetime_despite_activity() {
    let lifetime = Duration::from_secs(2);
    let program = chat(&["--session-lifetime", "2s", "--message-rate", PLENTY, "--event-rate", PLENTY]);
    let token = account(program.address(), "Ann");
    let talks = |user: &mut ChatUser| {
        user.send("say", &words(&LOBBY.into(), "again"));
    };
    let ended = until_it_ends(program.address(), &token, talks, "lifetime");
    assert!(ended > lifetime - SLACK && ended < lifetime + LATE + SLACK, "ended after {ended:?}");
    let (events, end) =
        ChatUser::with_header(program.address(), "Authorization", &format!("Bearer {token}")).until_end();
    assert_eq!((&*events[0].name, end), ("expired", End::Closed(4001)));
}

#[test]
fn ap_01_an_unauthenticated_connection_is_closed_after_ten_seconds_despite_activity() {
    let program = generous_chat();
    let mut unauthenticated = ChatUser::unauthenticated(program.address());
    let started = Instant::now();
    let (expired, time) = loop {
        match unauthenticated.receive_within(Duration::from_millis(250)) {
            Some(Ok(event)) if event.name == "expired" => break (event, started.elapsed()),
            Some(Err(end)) => panic!("{end:?} without an event"),
            Some(Ok(_)) => {}
            None => {
                assert!(started.elapsed() < 2 * LONG, "an unauthenticated connection is never closed");
                unauthenticated.send_text(r#"["beat"]"#);
            }
        }
    };
    assert_eq!(expired.data, json!({"reason": "none"}));
    assert_eq!(unauthenticated.until_end().1, End::Closed(4001));
    let limit = Duration::from_secs(10);
    assert!(time > limit - SLACK && time < limit + LATE + SLACK, "closed after {time:?}");
}

#[test]
fn ap_01_the_list_of_sessions_shows_nothing_that_a_client_has_made_up() {
    let program = generous_chat();
    let address = program.address();
    let session = || json_of(&request(address, "GET", "/api/session", &[], ""))["accounts"].clone();
    assert_eq!(session(), json!(false), "nobody has signed up");
    let long = format!("Mozilla/5.0 {} Firefox/128.0", "x".repeat(4000));
    let agents = ["<b>Ann's bank</b> \u{202e}", "Mozilla/5.0 (Windows NT 10.0) Firefox/128.0 <script>", &long];
    account(address, "Ann");
    for agent in agents {
        let fields = [("Content-Type", "application/json"), ("User-Agent", agent)];
        let body = json!({"name": "Ann", "password": PASSWORD}).to_string();
        assert_eq!(request(address, "POST", "/api/login", &fields, &body).status, 200);
    }
    assert_eq!(session(), json!(true));
    let mut ann = ChatUser::with_token(address, &log_in(address, "Ann"));
    let listed = ann.ask("sessions", Value::Null).expect("a list");
    let mut devices: Vec<_> = listed["sessions"].as_array().unwrap().iter().map(|one| one["device"].clone()).collect();
    devices.sort_by_key(Value::to_string);
    let (unknown, app) = (json!({"program": null, "system": null}), json!({"program": "app", "system": null}));
    let firefox = json!({"program": "Firefox", "system": "Windows"});
    assert_eq!(devices, [firefox, app.clone(), app, unknown.clone(), unknown]);
}

#[test]
fn ap_01_a_guest_logs_out_only_after_naming_the_rooms_that_are_removed() {
    let program = generous_chat();
    let address = program.address();
    let token = guest(address, "Ann");
    let mut ann = ChatUser::with_token(address, &token);
    let room = ann.ask("create", json!({"name": "Garden"})).unwrap()["room"]["room"].clone();
    let bearer = format!("Bearer {token}");
    let log_out = |fields: &[(&str, &str)], body: &str| {
        let fields = [&[("Authorization", &*bearer)], fields].concat();
        request(address, "POST", "/api/logout", &fields, body)
    };
    let answer = log_out(&[], "");
    assert_eq!((answer.status, answer.header("Set-Cookie")), (409, None));
    let error = &json_of(&answer)["error"];
    assert_eq!((&error["code"], &error["rooms"]), (&json!("last_member"), &json!([room])));
    let confirmed = json!({"remove": [room]}).to_string();
    assert_eq!(log_out(&[], &confirmed).status, 415, "a body must say that it is JSON");
    assert_eq!(log_out(&[AS_JSON], r#"{"remove": "all"}"#).status, 400);
    assert!(ann.ask("beat", Value::Null).is_ok(), "the session goes on");
    assert_eq!(log_out(&[AS_JSON], &confirmed).status, 204);
    expect_expired(&mut ann, "logout");
}
