//! RS-07 and RS-11: one user or stranger who sends as much as possible must not delay the others or make their events
//! fail.

use std::{
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchboard::CloseCode;
use switchboard_tests::server::{OPENING, Raw, frame};

use super::{LOBBY, chat, floods::raw_member, generous_chat, words};
use crate::support::chat_user::{ChatUser, End, guest};

/// Six guests send the events that cost most, a hundred at a time, as fast as they get their replies.
#[test]
fn rs_07_a_flood_of_expensive_events_does_not_delay_others() {
    let program = generous_chat();
    let address = program.address();
    let mut ann = ChatUser::guest(address, "Ann");
    let text = "\u{1f600}".repeat(4_000);
    for number in 0..20 {
        ann.ask("say", words(&LOBBY.into(), &text)).unwrap();
        ann.ask("create", json!({"name": format!("aaa aab {number}")})).unwrap();
    }
    let mut greedy: Vec<_> =
        (0..6).map(|number| raw_member(address, &guest(address, &format!("Tom {number}")))).collect();
    for (event, data) in [
        ("history", json!({"room": LOBBY, "limit": 100})),
        // The rule for this character is about the whole name.
        ("join", json!({"name": format!("{}\u{30a2}", "\u{30fb}".repeat(340))})),
        ("rooms", json!({"search": "aaab"})),
        ("rooms", json!({})),
        ("people", json!({"search": ""})),
        ("members", json!({"room": LOBBY})),
    ] {
        let is_over = AtomicBool::new(false);
        let event_frame = frame(0x81, json!([event, data, 1]).to_string().as_bytes());
        let times = thread::scope(|scope| {
            for raw in &mut greedy {
                raw.write(event_frame.repeat(100));
                let (is_over, event_frame) = (&is_over, &event_frame);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        // One more for each reply, so that as many are always under way.
                        let reply = raw.frame().payload;
                        if reply.starts_with(br#"["ack""#) || reply.starts_with(br#"["error""#) {
                            raw.write(event_frame);
                        }
                    }
                });
            }
            let mut times = Vec::new();
            for _ in 0..15 {
                let started = Instant::now();
                let said = ann.ask("say", words(&LOBBY.into(), "is anybody here?"));
                times.push(started.elapsed());
                if said.is_err() {
                    break;
                }
            }
            is_over.store(true, Ordering::Relaxed);
            times
        });
        let longest = times.iter().max().expect("some times");
        assert_eq!(times.len(), 15, "{event}: an event of Ann's failed");
        assert!(*longest < Duration::from_millis(500), "{event}: {times:?}");
    }
}

/// Connections without a session send more than the core handles.
#[test]
fn rs_11_strangers_do_not_make_events_of_users_fail() {
    let program = generous_chat();
    let address = program.address();
    let mut ann = ChatUser::guest(address, "Ann");
    let flood = frame(0x81, br#"["beat"]"#).repeat(20_000);
    thread::scope(|scope| {
        let strangers: Vec<_> = (0..8)
            .map(|_| {
                let mut raw = Raw::connect(address);
                raw.write(
                    OPENING
                        .replace("GET / ", "GET /ws ")
                        .replace("Host: localhost\r\n", &format!("Host: {address}\r\n")),
                );
                assert_eq!(raw.head().status, 101);
                raw
            })
            .collect();
        for mut raw in strangers {
            let flood = &flood;
            scope.spawn(move || {
                // Fails when the connection is closed.
                let _ = raw.stream.write_all(flood);
            });
        }
        for number in 0..200 {
            let said = ann.ask("say", words(&LOBBY.into(), "is anybody here?"));
            assert!(said.is_ok(), "message {number}: {said:?}");
        }
    });
}

#[test]
fn rs_11_a_connection_whose_events_are_refused_again_and_again_is_closed() {
    let program = chat(&["--event-rate", "10+1/h"]);
    let token = guest(program.address(), "Eve");
    for flood in [r#"["people",null,"x"]"#, r#"["nonsense",null,"x"]"#, "nonsense", r#"["join",{}]"#] {
        let mut eve = ChatUser::with_token(program.address(), &token);
        let mut refused = 0;
        let end = loop {
            eve.send_text(flood);
            match eve.receive() {
                Ok(event) if event.name == "error" => refused += 1,
                Ok(_) => {}
                Err(end) => break end,
            }
            assert!(refused < 300, "{flood}");
        };
        assert_eq!(end, End::Closed(CloseCode::POLICY_VIOLATION.get()), "{flood}");
        assert!(refused > 200, "{flood}: {refused}");
    }
    // One who is refused now and then stays.
    let mut ann = ChatUser::with_token(program.address(), &guest(program.address(), "Ann"));
    for _ in 0..150 {
        let _ = ann.ask("people", Value::Null);
    }
    assert_eq!(ann.ask("people", Value::Null), Err("too_fast".to_owned()));
}
