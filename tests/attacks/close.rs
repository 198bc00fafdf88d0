//! CL: the closing handshake, and every other end of a connection.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    time::{Duration, Instant},
};

use switchboard::{
    CloseCode, Connection, Delivery, End, FixedOutput, Limits, MaskingKey, Message, ProtocolError, Role, SendError,
    State,
};
use switchboard_tests::{
    engine::{BOTH_ROLES, CLOSE_WITHOUT_CODE, KEY, Pair, Row, close, frame, receive, receiver, transcript},
    process::{descriptors, wait_for_descriptors},
    server::{LONG, Raw, Service, config, expect_text, frame as masked, header, serve},
};

use crate::{
    control::{close_frame, masking_sender, sender},
    process::server_process,
    scaled,
};

const SHORT: Duration = Duration::from_millis(100);
const MIB: usize = 1 << 20;

/// Closes with 4000 on the message "close", and echoes all others.
fn closes_when_asked() -> Service {
    Service::echo().on_message(|message, context| match message {
        Message::Text("close") => context.close(CloseCode::new(4000), "as you wish").unwrap(),
        message => context.send(message),
    })
}

/// Codes on both sides of each range of §7.4 and the IANA registry; `true` if a Close frame may hold the code.
const CODES: &[(u16, bool)] = &[
    (0, false),
    (1, false),
    (999, false),
    (1000, true),
    (1001, true),
    (1002, true),
    (1003, true),
    (1004, false),
    (1005, false),
    (1006, false),
    (1007, true),
    (1008, true),
    (1009, true),
    (1010, true),
    (1011, true),
    (1012, true),
    (1013, true),
    (1014, true),
    (1015, false),
    (1016, false),
    (1100, false),
    (2000, false),
    (2999, false),
    (3000, true),
    (3999, true),
    (4000, true),
    (4999, true),
    (5000, false),
    (65_535, false),
];

#[test]
fn cl_01_close_payload_of_one_byte_fails_with_1002() {
    assert_eq!(ProtocolError::TruncatedCloseCode.close_code().get(), 1002);
    for role in BOTH_ROLES {
        for byte in [0x03, 0x00, 0xFF] {
            Row::fails("one byte", role, frame(role, 0x88, &[byte]), ProtocolError::TruncatedCloseCode).check();
        }
    }
}

#[test]
fn cl_01_close_code_that_must_not_be_sent_fails_with_1002() {
    for &(code, allowed) in CODES {
        for role in BOTH_ROLES {
            for reason in ["", "reason"] {
                let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
                let wire = frame(role, 0x88, &payload);
                let name = format!("{code} {reason}");
                if allowed {
                    Row::accepted(&name, role, wire, vec![close(code, reason)]).check();
                } else {
                    let violation = ProtocolError::InvalidCloseCode(CloseCode::new(code));
                    assert_eq!(violation.close_code().get(), 1002);
                    Row::fails(&name, role, wire, violation).check();
                }
            }
        }
    }
}

#[test]
fn cl_01_close_reason_that_is_not_utf8_fails_with_1007() {
    assert_eq!(ProtocolError::InvalidCloseReason.close_code().get(), 1007);
    let rows: &[(&str, &[u8])] = &[
        ("a continuation byte alone", b"\x03\xe8\x80"),
        ("cut off", b"\x03\xe8caf\xc3"),
        ("a surrogate", b"\x03\xe8\xed\xa0\x80"),
        ("past the last code point", b"\x03\xe8ok\xf4\x90\x80\x80"),
    ];
    for (name, payload) in rows {
        for role in BOTH_ROLES {
            Row::fails(name, role, frame(role, 0x88, payload), ProtocolError::InvalidCloseReason).check();
        }
    }
}

#[test]
fn cl_01_send_side_refuses_close_codes_that_must_not_be_sent() {
    let codes = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];
    let (mut plain, mut out) = (sender(), Vec::new());
    let mut masking = masking_sender();
    for code in codes {
        let refused = Err(SendError::InvalidCloseCode(CloseCode::new(code)));
        assert_eq!(plain.close(close_frame(code, ""), &mut out), refused);
        assert_eq!(masking.close(close_frame(code, "reason"), &mut out), refused);
    }
    assert_eq!((out.len(), plain.is_open(), masking.is_open()), (0, true, true));
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        let mut out = Vec::new();
        sender().close(close_frame(code, ""), &mut out).unwrap();
        assert_eq!(out, [&[0x88, 2], code.to_be_bytes().as_slice()].concat());
    }
}

#[test]
fn cl_01_of_all_65536_codes_those_accepted_are_those_that_may_be_sent() {
    let registry = |code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    for code in 0..=u16::MAX {
        let mut out = Vec::new();
        let by_server = sender().close(close_frame(code, ""), &mut out).is_ok();
        let by_client = masking_sender().close(close_frame(code, ""), &mut out).is_ok();
        // §7.4.1: only a client sends 1010.
        assert_eq!((by_client, by_server), (registry(code), registry(code) && code != 1010), "{code}");
        let wire = frame(Role::Server, 0x88, &code.to_be_bytes());
        let (seen, error) = receive(&mut receiver(Role::Server, Limits::default(), Delivery::Messages), &wire);
        assert_eq!((seen.len(), error.is_none()), (usize::from(registry(code)), registry(code)), "{code}");
    }
}

#[test]
fn cl_01_reason_of_124_bytes_fails_with_1002_and_cannot_be_sent() {
    let longest = "r".repeat(123);
    let longer = "r".repeat(124);
    for role in BOTH_ROLES {
        let wire = frame(role, 0x88, &[b"\x03\xE8", longer.as_bytes()].concat());
        Row::fails("124 bytes", role, wire[..2].to_vec(), ProtocolError::ControlTooLong).check();
        let wire = frame(role, 0x88, &[b"\x03\xE8", longest.as_bytes()].concat());
        Row::accepted("123 bytes", role, wire, vec![close(1000, &longest)]).check();
    }
    let mut out = Vec::new();
    let mut sender = sender();
    let refused = sender.close(close_frame(1000, &longer), &mut out);
    assert_eq!((refused, out.len()), (Err(SendError::ReasonTooLong { length: 124 }), 0));
    sender.close(close_frame(1000, &longest), &mut out).unwrap();
}

/// One violation of each kind and its close code, for a limit of 1 MiB.
fn violations() -> Vec<(&'static str, Vec<u8>, u16)> {
    vec![
        ("reserved bits", masked(0xF1, b"x"), 1002),
        ("a reserved opcode", header(0x83, 1 << 30), 1002),
        ("not masked", b"\x81\x05Hello".to_vec(), 1002),
        ("the highest bit of a length", b"\x82\xFF\x80".to_vec(), 1002),
        ("a length that is not minimal", b"\x82\xFE\x00\x7D".to_vec(), 1002),
        ("a control frame in fragments", masked(0x09, b""), 1002),
        ("a control frame of 126 bytes", header(0x89, 126), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        ("a message inside of another", [masked(0x01, b"a"), masked(0x81, b"b")].concat(), 1002),
        ("a Close frame of one byte", masked(0x88, b"\x03"), 1002),
        ("a code that must not be sent", masked(0x88, b"\x03\xED"), 1002),
        ("a reason that is not UTF-8", masked(0x88, b"\x03\xE8\xFF"), 1007),
        ("a text that is not UTF-8", masked(0x81, b"\xC0\xAF"), 1007),
        ("a frame too long", header(0x82, 5 * MIB as u64), 1009),
        ("2^32 + 5", header(0x82, (1 << 32) + 5), 1009),
        ("fragments too long", [masked(0x02, &[0; MIB / 2]), header(0x80, MIB as u64 / 2 + 1)].concat(), 1009),
        ("empty frames without end", masked(0x82, b"").repeat(10_001), 1008),
    ]
}

/// A long run repeats this more than 10,000 times.
#[test]
fn cl_02_close_reaches_a_peer_that_is_still_sending_megabytes_and_its_writes_and_reads_do_not_fail() {
    let mut config = config();
    config.limits = Limits::of_bytes(MIB as u64);
    // The megabytes may take long on a busy machine.
    config.linger_timeout = LONG;
    let server = serve(config, Service::echo());
    let more = vec![0; 64 << 10];
    for round in 0..scaled(3, 600) {
        for (name, violation, code) in violations() {
            let (mut raw, id) = server.raw();
            raw.write(violation);
            for _ in 0..scaled(48, 80) {
                raw.write(&more);
            }
            let (ended, end) = server.next_closed();
            assert!(ended == id && matches!(end, End::Failed(_)), "{name}, round {round}: {end}");
            let mut frames = Vec::new();
            let close = loop {
                match raw.frame() {
                    frame if frame.first == 0x88 => break frame,
                    frame => frames.push(frame.first),
                }
            };
            assert_eq!(close.close_code(), Some(code), "{name}, round {round}");
            // The messages before the violation are answered.
            assert!(frames.iter().all(|&first| first == 0x82), "{name}, round {round}: {frames:02x?}");
            raw.expect_end();
        }
    }
}

#[test]
fn cl_02_after_a_violation_the_peer_has_a_deadline_to_end_its_side() {
    let mut config = config();
    config.linger_timeout = SHORT;
    let server = serve(config, Service::echo());
    let (mut raw, _) = server.raw();
    raw.send(0x83, "");
    assert_eq!(raw.until_close(), (vec![], 1002));
    raw.expect_end();
    raw.expect_writes_fail();
}

#[test]
fn cl_03_thousand_ends_of_all_kinds_are_each_reported_once() {
    let mut config = config();
    config.workers = 2;
    let server = serve(config, closes_when_asked());
    let mut expected = BTreeMap::new();
    for round in 0..1000 {
        let (mut raw, id) = server.raw();
        let end = match round % 5 {
            0 => {
                raw.send(0x88, b"\x03\xE8");
                End::Closed { by_us: false, code: Some(CloseCode::NORMAL_CLOSURE) }
            }
            1 => End::Vanished,
            2 => {
                raw.send(0x83, b"");
                End::Failed(ProtocolError::ReservedOpcode(3))
            }
            3 => {
                raw.text("close");
                raw.send(0x88, b"");
                End::Closed { by_us: true, code: Some(CloseCode::new(4000)) }
            }
            _ => {
                raw.reset();
                expected.insert(id, End::Broken(ErrorKind::ConnectionReset));
                continue;
            }
        };
        expected.insert(id, end);
        drop(raw);
    }
    let mut seen = BTreeMap::new();
    for _ in 0..expected.len() {
        let (id, end) = server.next_closed();
        assert!(seen.insert(id, end).is_none(), "{id} ended twice");
    }
    for (id, end) in &expected {
        let found = &seen[id];
        // A peer that is gone before our reply resets the connection, perhaps before its last frames are read.
        let overtaken = matches!(found, End::Broken(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
        assert!(found == end || overtaken, "{id}: {found}, not {end}");
    }
    server.stop();
    assert_eq!(server.join(), []);
}

/// A test cannot drop packets without privileges. Instead, a peer stops sending, and the server ends the connection on
/// its own.
#[test]
fn cl_03_each_end_without_a_closing_handshake_is_reported_with_its_cause_and_1006() {
    let mut config = config();
    config.close_timeout = SHORT;
    config.write_timeout = 2 * SHORT;
    let service = Service::echo().on_message(|message, context| match message {
        Message::Text("close") => context.close(CloseCode::new(4000), "").unwrap(),
        message => (0..256).for_each(|_| context.send(message)),
    });
    let server = serve(config, service);
    let (mut no_close, first) = server.raw();
    no_close.text("close");
    assert_eq!(server.next_closed(), (first, End::NoClose));
    let (fin, second) = server.raw();
    fin.finish_writing();
    assert_eq!(server.next_closed(), (second, End::Vanished));
    let (reset, third) = server.raw();
    reset.reset();
    assert_eq!(server.next_closed(), (third, End::Broken(ErrorKind::ConnectionReset)));
    let (mut takes_nothing, fourth) = server.raw_with_small_buffer();
    takes_nothing.send(0x82, vec![0; 64 << 10]);
    assert_eq!(server.next_closed(), (fourth, End::WriteStalled));
    for end in [End::NoClose, End::Vanished, End::Broken(ErrorKind::ConnectionReset), End::WriteStalled] {
        assert_eq!(end.code(), CloseCode::ABNORMAL_CLOSURE, "{end}");
    }
    server.stop();
    assert_eq!(server.join(), [], "no connection is closed twice");
}

/// The server's slots are not visible from outside; its descriptors are.
#[test]
fn cl_03_connections_that_ended_in_any_way_leave_no_descriptor() {
    let name = "close::cl_03_connections_that_ended_in_any_way_leave_no_descriptor";
    let server = server_process(name, || {
        let mut config = config();
        (config.close_timeout, config.linger_timeout) = (5 * SHORT, 3 * SHORT);
        (config.ping_after, config.idle_timeout) = (20 * SHORT, 25 * SHORT);
        serve(config, closes_when_asked())
    });
    let empty = descriptors(server.id());
    let mut witness = server.raw();
    let count = 50;
    let ways: &[(&str, fn(Raw) -> Option<Raw>)] = &[
        ("never answers our Close", |mut raw| {
            raw.text("close");
            Some(raw)
        }),
        ("ends TCP without a Close", |raw| {
            raw.finish_writing();
            Some(raw)
        }),
        ("resets", |raw| {
            raw.reset();
            None
        }),
        ("sends no more bytes", Some),
        ("breaks a rule and stays", |mut raw| {
            raw.send(0x83, "");
            Some(raw)
        }),
        ("closes and stays", |mut raw| {
            raw.send(0x88, b"\x03\xE8");
            Some(raw)
        }),
    ];
    for (name, end) in ways {
        let peers: Vec<_> = (0..count).map(|_| server.raw()).collect();
        assert!(descriptors(server.id()) > empty + count, "{name}: they are open");
        let _staying: Vec<_> = peers.into_iter().map(end).collect();
        let started = Instant::now();
        while descriptors(server.id()) > empty + 1 {
            assert!(started.elapsed() < LONG, "{name}: {} stay", descriptors(server.id()) - empty - 1);
            // The witness must send something to stay connected.
            witness.text("?");
            while witness.frame().first != 0x81 {}
        }
    }
    drop(witness);
    wait_for_descriptors(server.id(), empty);
}

#[test]
fn cl_04_closes_that_cross_are_not_answered() {
    transcript! { Role::Server;
        close CloseCode::GOING_AWAY;
        sent  "88 02 03e9";
        recv  "88 82 00000000 03e8" => close(1000, "");
        state State::Closed;
    }
    transcript! { Role::Client;
        close CloseCode::NORMAL_CLOSURE;
        sent  "88 82 00000000 03e8";
        recv  "88 02 03e9" => close(1001, "");
        state State::Closed;
    }
}

/// Whichever end closes first, there is one Close each way, and both ends are closed.
#[test]
fn cl_04_our_client_and_our_server_close_cleanly_whichever_closes_first() {
    type Step = fn(&mut Pair<fn() -> MaskingKey>);
    let client_closes: Step = |pair| {
        pair.client.connection.sender.close(None, &mut pair.client.out).unwrap();
        pair.client.sent_events.push(CLOSE_WITHOUT_CODE);
    };
    let server_closes: Step = |pair| {
        pair.server.connection.sender.close(None, &mut pair.server.out).unwrap();
        pair.server.sent_events.push(CLOSE_WITHOUT_CODE);
    };
    let settle: Step = Pair::settle;
    let rows: &[(&str, &[Step])] = &[
        ("the client", &[client_closes, settle]),
        ("the server", &[server_closes, settle]),
        ("both at once", &[client_closes, server_closes, settle]),
    ];
    for (name, steps) in rows {
        let mut pair: Pair<fn() -> MaskingKey> = Pair::new(|| KEY, Limits::default(), Delivery::Messages);
        steps.iter().for_each(|step| step(&mut pair));
        assert_eq!(
            (&pair.client.seen, &pair.server.seen),
            (&pair.server.sent_events, &pair.client.sent_events),
            "{name}"
        );
        assert_eq!(pair.client.seen, [CLOSE_WITHOUT_CODE], "{name}");
        let states = (pair.client.connection.state(), pair.server.connection.state());
        assert_eq!(states, (State::Closed, State::Closed), "{name}");
    }
}

#[test]
fn cl_04_data_behind_a_close_is_ignored_and_the_end_is_clean() {
    let (report, messages) = std::sync::mpsc::channel();
    let service = Service::echo().on_message(move |message, context| {
        report.send(message.payload().to_vec()).unwrap();
        context.close(CloseCode::new(4000), "").unwrap();
    });
    let mut config = config();
    config.linger_timeout = LONG;
    let server = serve(config, service);
    for (name, behind) in [
        ("a message", masked(0x81, b"late")),
        ("a second Close", masked(0x88, b"\x0F\xA1")),
        ("a violation", vec![0xFF; 100]),
        ("megabytes", vec![0; 3 * MIB]),
    ] {
        // The peer closes, and sends more.
        let (mut raw, id) = server.raw();
        raw.write([masked(0x88, b"\x03\xE8"), behind.clone()].concat());
        assert_eq!(raw.until_close(), (vec![], 1000), "{name}");
        raw.expect_end();
        let end = End::Closed { by_us: false, code: Some(CloseCode::NORMAL_CLOSURE) };
        assert_eq!(server.next_closed(), (id, end), "{name}");
        assert_eq!(messages.try_iter().count(), 0, "{name}");

        // Both ends close at once, and the peer sends more.
        let (mut raw, id) = server.raw();
        raw.write([masked(0x81, b"close"), masked(0x88, b"\x03\xE9"), behind].concat());
        assert_eq!(raw.until_close(), (vec![], 4000), "{name}");
        raw.expect_end();
        let end = End::Closed { by_us: true, code: Some(CloseCode::new(4000)) };
        assert_eq!(server.next_closed(), (id, end), "{name}");
        assert_eq!(messages.try_iter().collect::<Vec<_>>(), [b"close"], "{name}");
    }
}

/// Checks the bytes behind the frame. The library has no `unsafe` code, so Miri would find nothing.
#[test]
fn cl_05_close_frame_holds_the_code_and_reason_and_leaves_the_buffer_behind_it_unchanged() {
    const CANARY: u8 = 0xC5;
    for length in 0..=200 {
        let reason = "r".repeat(length);
        let mut room = [CANARY; 256];
        let mut out = FixedOutput::new(&mut room);
        let sent = sender().close(close_frame(1000, &reason), &mut out);
        let written = out.filled().to_vec();
        let expected = match length {
            0..=123 => frame(Role::Client, 0x88, &[b"\x03\xE8", reason.as_bytes()].concat()),
            _ => Vec::new(),
        };
        assert_eq!((sent.is_ok(), &written), (length <= 123, &expected), "a reason of {length} bytes");
        assert!(room[written.len()..].iter().all(|&byte| byte == CANARY), "a reason of {length} bytes");

        let mut spare = vec![CANARY; 512];
        spare.clear();
        let mut client = Connection::client(|| MaskingKey([0; 4]), Limits::default(), Delivery::Messages).sender;
        let sent = client.close(close_frame(1000, &reason), &mut spare);
        let expected = match length {
            0..=123 => {
                let payload = [b"\x03\xE8", reason.as_bytes()].concat();
                [&[0x88, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload.as_slice()].concat()
            }
            _ => Vec::new(),
        };
        assert_eq!((sent.is_ok(), spare), (length <= 123, expected), "a client's reason of {length} bytes");
    }
    let mut out = Vec::new();
    sender().close(None, &mut out).unwrap();
    assert_eq!(out, b"\x88\x00");
}

#[test]
fn cl_05_app_that_closes_with_too_long_a_reason_gets_an_error_and_nothing_is_sent() {
    let service = Service::echo().on_message(|message, context| {
        let length: usize = std::str::from_utf8(message.payload()).unwrap().parse().unwrap();
        match context.close(CloseCode::new(4000), &"r".repeat(length)) {
            Ok(()) => {}
            Err(error) => context.send(Message::Text(&format!("{error:?}"))),
        }
    });
    let server = serve(config(), service);
    let mut client = server.client();
    for length in ["124", "125", "126", "65536"] {
        client.send_text(length).unwrap();
        expect_text(&mut client, &format!("ReasonTooLong {{ length: {length} }}"));
    }
    let (mut raw, _) = server.raw();
    raw.text("123");
    raw.expect_frame(0x88, [b"\x0F\xA0".as_slice(), &[b'r'; 123]].concat());
}
