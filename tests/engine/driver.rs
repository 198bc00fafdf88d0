//! The loop around a connection: what it asks for, what it keeps, and replies that go to another task. Each transcript
//! of the other files runs on a driver too.

use std::time::{Duration, Instant};

use switchboard::{
    CloseCode, CloseFrame, Connection, Delivery, Driver, Event, Keepalive, Limits, Next, Overdue, OwnedReply,
    ProtocolError, Role, SendError, State, Unmasked,
};
use switchboard_tests::{
    engine::{BOTH_ROLES, OwnedEvent, drive, frame, frames, ping, text},
    random::Random,
};

fn server() -> Driver {
    Driver::new(Connection::server(Limits::default(), Delivery::Messages), Vec::new())
}

#[test]
fn output_is_written_first_and_in_parts() {
    let connection = Connection::server(Limits::default(), Delivery::Messages);
    let mut driver = Driver::new(connection, b"HTTP/1.1 101".to_vec());
    assert_eq!((driver.next(), driver.output()), (Next::Write, &b"HTTP/1.1 101"[..]));
    driver.wrote(9);
    assert_eq!((driver.next(), driver.output()), (Next::Write, &b"101"[..]));
    driver.outgoing().text("hi").unwrap();
    assert_eq!(driver.output(), b"101\x81\x02hi");
    driver.wrote(0);
    driver.wrote(7);
    assert_eq!((driver.next(), driver.output()), (Next::Read, &b""[..]));
    driver.wrote(100);
    assert_eq!((driver.next(), driver.output()), (Next::Read, &b""[..]));
    driver.outgoing().close(None).unwrap();
    driver.wrote(1);
    assert_eq!(driver.output(), b"\x00");
    assert_eq!(driver.outgoing().text("late"), Err(SendError::Closed));
    let (connection, out) = driver.into_parts();
    assert_eq!((connection.state(), out), (State::Closing, b"\x00".to_vec()));
}

#[test]
fn a_message_can_be_answered_while_it_is_borrowed() {
    let mut driver = server();
    let mut wire = frames(Role::Server, &[(0x01, b"Hel"), (0x89, b"!"), (0x80, b"lo")]);
    let (mut events, mut outgoing) = driver.receive(&mut wire);
    while let Some(event) = events.next_event(&mut outgoing).unwrap() {
        if let Event::Text(text) = event {
            outgoing.text(text).unwrap();
        }
    }
    assert_eq!(driver.output(), b"\x8a\x01!\x81\x05Hello");
}

#[test]
fn the_input_that_is_not_read_is_counted() {
    let mut driver = server();
    let mut wire = frames(Role::Server, &[(0x81, b"one"), (0x81, b"three"), (0x81, b"")]);
    let second = frames(Role::Server, &[(0x81, b"three"), (0x81, b"")]).len();
    let third = frames(Role::Server, &[(0x81, b"")]).len();
    let length = wire.len();
    let (mut events, mut outgoing) = driver.receive(&mut wire);
    for unread in [length, second, third, 0] {
        assert_eq!(events.unread(), unread);
        assert_eq!(events.next_event(&mut outgoing).unwrap().is_some(), unread > 0);
    }
}

#[test]
fn a_deadline_fails_the_connection_once() {
    for is_closing in [false, true] {
        let mut driver = server();
        if is_closing {
            driver.outgoing().close(None).unwrap();
        }
        assert_eq!(
            driver.fail(CloseFrame { code: CloseCode::new(1006), reason: "" }),
            if is_closing { Ok(()) } else { Err(SendError::InvalidCloseCode(CloseCode::new(1006))) }
        );
        let late = CloseFrame { code: CloseCode::POLICY_VIOLATION, reason: "late" };
        driver.fail(late).unwrap();
        driver.fail(late).unwrap();
        let expected: &[u8] = if is_closing { b"\x88\x00" } else { b"\x88\x06\x03\xf0late" };
        assert_eq!(driver.output(), expected);
        assert_eq!(drive(&mut driver, &mut frame(Role::Server, 0x81, b"more")), (vec![], None));
        driver.wrote(usize::MAX);
        assert_eq!(driver.next(), Next::End);
    }
}

/// However the input is cut, and however much of the output is written at a time, the events and the output are those
/// of the two halves.
#[test]
fn cuts_make_no_difference() {
    let violations: &[&[u8]] = &[b"", &[0x83, 0x80, 0, 0, 0, 0], &[0xc1, 0x80, 0, 0, 0, 0]];
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut wire = Vec::new();
        for _ in 0..random.below(12) {
            let payload = vec![b'x'; random.below(200)];
            match random.below(5) {
                0 => wire.extend(frame(Role::Server, 0x89, &payload[..payload.len().min(125)])),
                1 => wire.extend(frames(Role::Server, &[(0x01, &payload), (0x89, b"in"), (0x80, &payload)])),
                _ => wire.extend(frame(Role::Server, 0x81, &payload)),
            }
        }
        wire.extend(violations[random.below(violations.len())]);
        if random.below(2) == 0 {
            wire.extend(frame(Role::Server, 0x88, b"\x03\xe8"));
        }
        let mut whole = server();
        let expected = drive(&mut whole, &mut wire.clone());
        let mut cut = server();
        let (mut seen, mut failure, mut written, mut rest) = (Vec::new(), None, Vec::new(), &mut *wire);
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut((1 + random.below(40)).min(rest.len()));
            let (more, error) = drive(&mut cut, now);
            seen.extend(more);
            failure = failure.or(error);
            let count = random.below(cut.output().len() + 1);
            written.extend_from_slice(&cut.output()[..count]);
            cut.wrote(count);
            rest = later;
        }
        written.extend_from_slice(cut.output());
        assert_eq!((seen, failure), expected, "seed {seed}");
        assert_eq!(written, whole.output(), "seed {seed}");
        assert_eq!(cut.state(), whole.state(), "seed {seed}");
    }
}

#[test]
fn the_output_of_a_flood_of_pings_is_bounded_by_its_input_and_given_back() {
    let mut driver: Driver<Unmasked> = server();
    let mut flood = frame(Role::Server, 0x89, b"").repeat(100_000);
    let length = flood.len();
    let (events, _) = drive(&mut driver, &mut flood);
    assert_eq!(events.len(), 100_000);
    assert_eq!(driver.output().len(), 2 * 100_000);
    assert!(driver.output().len() <= 3 * length);
    driver.wrote(usize::MAX);
    let (_, out) = driver.into_parts();
    assert!(out.capacity() <= 64 << 10, "{} bytes are kept", out.capacity());
}

#[test]
fn replies_that_another_task_sends_are_the_same() {
    let invalid_code = b"\x03\xed";
    for role in BOTH_ROLES {
        for (wire, expected) in [
            (frame(role, 0x89, b""), Some("8a00")),
            (frame(role, 0x89, &[7; 125]), None),
            (frame(role, 0x88, b""), Some("8800")),
            (frame(role, 0x88, b"\x0f\xa0bye"), Some("88020fa0")),
            (frame(role, 0x88, invalid_code), None),
            (frame(role, 0x83, b""), None),
            (frame(role, 0x8a, b"pong"), Some("")),
            (frame(role, 0x81, b"text"), Some("")),
        ] {
            let mut outputs = [Vec::new(), Vec::new()];
            for (is_owned, out) in outputs.iter_mut().enumerate() {
                match role {
                    Role::Server => {
                        answer(Connection::server(Limits::default(), Delivery::Messages), &wire, is_owned == 1, out)
                    }
                    Role::Client => {
                        let keys = || switchboard::MaskingKey([0; 4]);
                        answer(
                            Connection::client(keys, Limits::default(), Delivery::Messages),
                            &wire,
                            is_owned == 1,
                            out,
                        );
                    }
                }
            }
            assert_eq!(outputs[0], outputs[1], "{wire:02x?}");
            if let (Some(expected), Role::Server) = (expected, role) {
                let shown: String = outputs[0].iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(shown, expected);
            }
        }
    }
}

fn answer<M: switchboard::Masking>(connection: Connection<M>, wire: &[u8], is_owned: bool, out: &mut Vec<u8>) {
    let Connection { mut receiver, mut sender } = connection;
    let mut wire = wire.to_vec();
    let mut events = receiver.receive(&mut wire);
    let reply = match events.next_event() {
        Ok(Some(event)) if is_owned => OwnedReply::to(&event),
        Ok(Some(event)) => return event.reply().map_or((), |reply| sender.reply(reply, out).unwrap()),
        Ok(None) => panic!("the frame is whole"),
        Err(error) if is_owned => Some(OwnedReply::from(error)),
        Err(error) => return sender.fail(&error, out).unwrap(),
    };
    if let Some(reply) = reply {
        sender.owned_reply(&reply, out).unwrap();
        let before = out.len();
        if !reply.is_pong() {
            sender.owned_reply(&reply, out).unwrap();
            assert_eq!(out.len(), before, "one Close");
        }
    }
}

#[test]
fn a_pong_can_be_told_from_the_end() {
    let pong = OwnedReply::to(&Event::Ping(b"x")).unwrap();
    assert!(pong.is_pong());
    assert!(format!("{pong:?}").contains("[120]"), "{pong:?}");
    assert!(!OwnedReply::to(&Event::Close(None)).unwrap().is_pong());
    assert!(!OwnedReply::from(ProtocolError::UnmaskedFrame).is_pong());
    assert_eq!(OwnedReply::to(&Event::Pong(b"x")), None);
    assert!(size_of::<OwnedReply>() <= 128);
    assert_eq!(OwnedReply::to(&Event::Ping(&[0; 126])), None, "no frame holds it");
    let _: [OwnedEvent; 2] = [ping(b""), text("")];
}

#[test]
fn keepalive_deadlines() {
    const HEARD: &str = "heard";
    const CLOSING: &str = "closing";
    let start = Instant::now();
    let rows: &[(&str, &[(u64, &str, Option<Overdue>, u64)])] = &[
        (
            "silence",
            &[
                (29, "", None, 30),
                (30, "", Some(Overdue::Ping), 60),
                (31, "", None, 60),
                (59, "", None, 60),
                (60, "", Some(Overdue::Silence), 60),
                (61, "", Some(Overdue::Silence), 60),
            ],
        ),
        (
            "a Pong",
            &[
                (30, "", Some(Overdue::Ping), 60),
                (31, HEARD, None, 61),
                (60, "", None, 61),
                (61, "", Some(Overdue::Ping), 91),
            ],
        ),
        ("a caller that was away finds the silence, and sends no Ping", &[(100, "", Some(Overdue::Silence), 30)]),
        (
            "closing",
            &[
                (10, CLOSING, None, 15),
                (12, CLOSING, None, 15),
                (13, HEARD, None, 15),
                (15, "", Some(Overdue::Close), 15),
                (100, HEARD, Some(Overdue::Close), 15),
            ],
        ),
        ("closing after a Ping", &[(30, "", Some(Overdue::Ping), 60), (31, CLOSING, None, 36)]),
    ];
    for (name, steps) in rows {
        let mut keepalive = Keepalive::new(start);
        for &(second, input, overdue, next) in *steps {
            let now = start + Duration::from_secs(second);
            match input {
                HEARD => keepalive.heard(now),
                CLOSING => keepalive.closing(now),
                _ => {}
            }
            assert_eq!(keepalive.overdue(now), overdue, "{name}, after {second} s");
            assert_eq!(keepalive.next_deadline(), start + Duration::from_secs(next), "{name}, after {second} s");
        }
    }
    let second = Duration::from_secs(1);
    let mut own = Keepalive::new(start).silence(5 * second, 2 * second).close_within(second);
    assert_eq!(own.overdue(start + 2 * second), Some(Overdue::Silence), "no Ping if it would be too late");
    own.closing(start);
    assert_eq!(own.overdue(start + second), Some(Overdue::Close));
    let mut endless = Keepalive::new(start).silence(Duration::MAX, Duration::MAX).close_within(Duration::MAX);
    endless.closing(start);
    assert_eq!(endless.overdue(start + 1_000_000 * second), None);
}

#[test]
fn a_message_that_grows_by_less_than_its_share_is_overdue() {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    // Each step: the time in milliseconds, what is buffered, whether it is another message, and what is due then.
    let rows: &[(&str, &[(u64, Option<u64>, bool, Option<Overdue>)])] = &[
        ("nothing begun", &[(29_999, None, false, None), (30_000, None, false, Some(Overdue::Ping))]),
        ("no byte more", &[(0, Some(0), true, None), (29_999, Some(0), false, None), (30_000, Some(0), false, SLOW)]),
        ("a byte of none", &[(0, Some(0), true, None), (10_000, Some(1), false, None), (39_999, Some(1), false, None)]),
        (
            "a byte of 63",
            &[(0, Some(63), true, None), (10_000, Some(64), false, None), (39_999, Some(64), false, None)],
        ),
        (
            "a byte of 64",
            &[(0, Some(64), true, None), (10_000, Some(65), false, None), (30_000, Some(65), false, SLOW)],
        ),
        (
            "its share in steps",
            &[(0, Some(64), true, None), (9_000, Some(65), false, None), (10_000, Some(66), false, None)],
        ),
        ("a new one", &[(0, Some(64), true, None), (20_000, Some(1), true, None), (49_999, Some(1), false, None)]),
        ("the last one done", &[(0, Some(64), true, None), (20_000, None, true, None), (30_000, None, false, None)]),
        ("found a second late", &[(0, Some(9), true, None), (31_000, Some(9), false, SLOW)]),
        ("found later", &[(0, Some(9), true, None), (31_001, Some(9), false, None), (61_001, Some(9), false, SLOW)]),
    ];
    for (name, steps) in rows {
        let mut keepalive = Keepalive::new(start);
        for &(millis, buffered, is_new, overdue) in *steps {
            if buffered.is_some() || is_new {
                keepalive.heard(at(millis));
            }
            keepalive.unfinished(buffered, is_new, at(millis));
            assert_eq!(keepalive.overdue(at(millis)), overdue, "{name}, after {millis} ms");
        }
    }
    let mut own = Keepalive::new(start).message_within(Duration::from_secs(2));
    own.unfinished(Some(u64::MAX), true, start);
    assert_eq!(own.next_deadline(), at(2_000));
    assert_eq!(own.overdue(at(2_000)), SLOW);
    own.closing(at(2_000));
    assert_eq!((own.next_deadline(), own.overdue(at(3_000))), (at(7_000), None), "the Close has its own time");
}

const SLOW: Option<Overdue> = Some(Overdue::Message);

#[test]
fn a_large_message_is_read_into_its_own_buffer_and_followed_by_replies() {
    let payload: Vec<u8> = (0..50_000_u32).map(|at| (at / 7) as u8).collect();
    let wire = frames(Role::Server, &[(0x82, &payload), (0x89, b"!")]);
    let mut driver = server();
    let mut buffer = vec![0; 30_000];
    buffer.copy_from_slice(&wire[..30_000]);
    let (mut events, mut outgoing) = driver.receive(&mut buffer);
    assert_eq!(events.next_event(&mut outgoing), Ok(None));
    let mut room = driver.room(&mut buffer).expect("20,000 bytes are missing");
    room.vec().extend_from_slice(&wire[30_000..]);
    let after = room.finish();
    let (mut events, mut outgoing) = driver.receive(&mut buffer[..after]);
    assert!(events.next_event(&mut outgoing) == Ok(Some(Event::Binary(&payload))));
    assert_eq!(events.next_event(&mut outgoing), Ok(Some(Event::Ping(b"!"))));
    assert_eq!(events.next_event(&mut outgoing), Ok(None));
    assert_eq!(driver.output(), frame(Role::Client, 0x8A, b"!"));
}

#[test]
fn each_call_of_outgoing_writes_what_the_sender_writes() {
    let new = || Connection::server(Limits::default(), Delivery::Messages);
    let (mut sender, mut out, mut driver) = (new().sender, Vec::new(), Driver::new(new(), Vec::new()));
    let prepared = switchboard::Prepared::text("prepared");
    sender.binary(b"b", &mut out).unwrap();
    sender.text_uncompressed("t", &mut out).unwrap();
    sender.binary_uncompressed(b"u", &mut out).unwrap();
    sender.binary_fragment(b"f", true, &mut out).unwrap();
    sender.prepared(&prepared, &mut out).unwrap();
    sender.pong(b"p", &mut out).unwrap();
    let mut outgoing = driver.outgoing();
    outgoing.binary(b"b").unwrap();
    outgoing.text_uncompressed("t").unwrap();
    outgoing.binary_uncompressed(b"u").unwrap();
    outgoing.binary_fragment(b"f", true).unwrap();
    outgoing.prepared(&prepared).unwrap();
    outgoing.pong(b"p").unwrap();
    assert_eq!(driver.output(), out);
}
