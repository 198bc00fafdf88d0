//! The closing handshake (RFC 6455 §5.5.1, §7): payloads of a Close frame, and both roles' lives as transcripts.

mod support;

use switchboard::{
    CloseCode, CloseFrame, Connection, Delivery, Limits, MaskingKey, MessageKind, ProtocolError, Reply, Role,
    SendError, State,
};

use support::engine::{
    BOTH_ROLES, CLOSE_WITHOUT_CODE, KEY, Pair, Row, WITHOUT_CODE, close, frame, ping, receive, text, transcript,
};

#[test]
fn close_payloads_of_each_length_are_read() {
    let longest = "r".repeat(123);
    let rows = [
        ("nothing", vec![], CLOSE_WITHOUT_CODE),
        ("a code", b"\x03\xe8".to_vec(), close(1000, "")),
        ("a code and a reason", b"\x0f\xa0bye".to_vec(), close(4000, "bye")),
        ("a reason in UTF-8", b"\x03\xe9caf\xc3\xa9".to_vec(), close(1001, "caf\u{e9}")),
        ("the longest reason", [b"\x0b\xb8", longest.as_bytes()].concat(), close(3000, &longest)),
    ];
    for (name, payload, event) in rows {
        for role in BOTH_ROLES {
            Row::taken(name, role, frame(role, 0x88, &payload), vec![event.clone()]).check();
        }
    }
}

#[test]
fn a_close_payload_of_one_byte_fails_with_1002() {
    assert_eq!(ProtocolError::TruncatedCloseCode.close_code().get(), 1002);
    for role in BOTH_ROLES {
        for byte in [0x03, 0x00, 0xFF] {
            Row::fails("one byte", role, frame(role, 0x88, &[byte]), ProtocolError::TruncatedCloseCode).check();
        }
    }
}

/// §7.4 and the IANA registry, both sides of each range: `true` where a Close frame may hold the code.
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
fn a_close_code_that_must_not_be_sent_fails_with_1002() {
    for &(code, allowed) in CODES {
        for role in BOTH_ROLES {
            for reason in ["", "reason"] {
                let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
                let wire = frame(role, 0x88, &payload);
                let name = format!("{code} {reason}");
                if allowed {
                    Row::taken(&name, role, wire, vec![close(code, reason)]).check();
                } else {
                    let breach = ProtocolError::InvalidCloseCode(CloseCode::new(code));
                    assert_eq!(breach.close_code().get(), 1002);
                    Row::fails(&name, role, wire, breach).check();
                }
            }
        }
    }
}

#[test]
fn a_close_reason_that_is_not_utf8_fails_with_1007() {
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
fn a_server_closes() {
    transcript! { Role::Server;
        state State::Open;
        close CloseCode::GOING_AWAY;
        sent  "88 02 03e9";
        state State::Closing;
        recv  "81 85 00000000 48656c6c6f" => text("Hello");    // our Close had not reached it
        recv  "89 81 00000000 21" => ping(b"!");               // seen, but no longer answered (§5.5.1)
        text  "late" => SendError::Closed;
        ping  "late" => SendError::Closed;
        state State::Closing;
        recv  "88 82 00000000 03e9" => close(1001, "");
        state State::Closed;
        recv  "81 85 00000000 48656c6c6f";                     // §5.5.1: nothing may follow a Close
        state State::Closed;
    }
}

#[test]
fn a_client_closes() {
    transcript! { Role::Client;
        close CloseCode::NORMAL_CLOSURE;
        sent  "88 82 00000000 03e8";
        state State::Closing;
        recv  "01 03 48656c" ;
        recv  "80 02 6c6f" => text("Hello");
        recv  "88 02 03e8" => close(1000, "");
        state State::Closed;
        recv  "89 00";
    }
}

#[test]
fn a_server_answers_a_close_with_its_code() {
    transcript! { Role::Server;
        recv  "88 85 00000000 0fa0 627965" => close(4000, "bye");
        sent  "88 02 0fa0";
        state State::Closed;
        text  "late" => SendError::Closed;
    }
}

#[test]
fn a_client_answers_a_close_with_its_code() {
    transcript! { Role::Client;
        recv  "88 02 03e8" => close(1000, "");
        sent  "88 82 00000000 03e8";
        state State::Closed;
    }
}

#[test]
fn a_close_without_a_code_is_answered_without_one() {
    transcript! { Role::Server;
        recv  "88 80 00000000" => CLOSE_WITHOUT_CODE;
        sent  "88 00";
        state State::Closed;
    }
    transcript! { Role::Client;
        close WITHOUT_CODE;
        sent  "88 80 00000000";
        recv  "88 00" => CLOSE_WITHOUT_CODE;
        state State::Closed;
    }
}

#[test]
fn closes_that_cross_are_not_answered() {
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

#[test]
fn only_the_first_close_is_sent() {
    transcript! { Role::Server;
        close CloseCode::GOING_AWAY;
        sent  "88 02 03e9";
        close CloseCode::NORMAL_CLOSURE => SendError::Closed;
        close WITHOUT_CODE => SendError::Closed;
        recv  "88 80 00000000" => CLOSE_WITHOUT_CODE;
        close WITHOUT_CODE => SendError::Closed;
        state State::Closed;
    }
}

#[test]
fn the_close_that_was_sent_is_remembered() {
    let rows = [(None, Some(None)), (Some(4001), Some(Some(CloseCode::new(4001))))];
    for (code, expected) in rows {
        let mut server = Connection::server(Limits::default(), Delivery::Messages);
        assert_eq!((server.sender.is_open(), server.sender.close_code()), (true, None));
        let frame = code.map(|code| CloseFrame { code: CloseCode::new(code), reason: "" });
        server.sender.close(frame, &mut Vec::new()).unwrap();
        assert_eq!((server.sender.is_open(), server.sender.close_code()), (false, expected));
    }
}

#[test]
fn a_close_inside_our_unfinished_message_ends_it() {
    transcript! { Role::Server;
        begin "Hel";
        sent  "01 03 48656c";
        close CloseCode::GOING_AWAY;
        sent  "88 02 03e9";
        finish "lo" => SendError::Closed;
        state State::Closing;
    }
}

#[test]
fn a_close_inside_the_peers_unfinished_message_drops_it() {
    transcript! { Role::Server;
        recv  "01 83 00000000 48656c";
        recv  "88 82 00000000 03e8" => close(1000, "");
        sent  "88 02 03e8";
        recv  "80 82 00000000 6c6f";
        state State::Closed;
    }
}

#[test]
fn a_ping_inside_our_fragmented_message_is_answered_between_fragments() {
    transcript! { Role::Server;
        begin "Hel";
        recv  "89 81 00000000 21" => ping(b"!");
        sent  "01 03 48656c  8a 01 21";
        text  "no" => SendError::MessageUnfinished(MessageKind::Text);
        finish "lo";
        sent  "80 02 6c6f";
        state State::Open;
    }
}

#[test]
fn a_breach_is_answered_with_its_close_code() {
    transcript! { Role::Server;
        recv  "83" fails ProtocolError::ReservedOpcode(3);
        sent  "88 11 03ea 7265736572766564206f70636f6465";     // 1002, "reserved opcode"
        state State::Closed;
        recv  "81 85 00000000 48656c6c6f";
        text  "late" => SendError::Closed;
    }
    transcript! { Role::Client;
        recv  "81 01 ff" fails ProtocolError::InvalidUtf8 { offset: 0 };
        sent  "88 93 00000000 03ef 74657874206973206e6f74205554462d38"; // 1007, "text is not UTF-8"
        state State::Closed;
    }
}

#[test]
fn a_breach_after_our_close_is_not_answered() {
    transcript! { Role::Server;
        close CloseCode::GOING_AWAY;
        sent  "88 02 03e9";
        recv  "81 00" fails ProtocolError::UnmaskedFrame;
        state State::Closed;
    }
}

#[test]
fn an_invalid_close_frame_is_a_breach_and_not_a_close() {
    transcript! { Role::Server;
        recv  "88 82 00000000 03ed" fails ProtocolError::InvalidCloseCode(CloseCode::NO_STATUS_RECEIVED);
        sent  "88 18 03ea 636c6f736520636f6465206e6f7420616c6c6f776564"; // 1002, "close code not allowed"
        state State::Closed;
    }
}

#[test]
fn a_breach_closes_the_connection_before_it_is_answered() {
    let mut server = Connection::server(Limits::default(), Delivery::Messages);
    receive(&mut server.receiver, b"\x8f");
    assert_eq!((server.state(), server.sender.is_open()), (State::Closed, true));
    let mut client = Connection::client(|| KEY, Limits::default(), Delivery::Messages);
    receive(&mut client.receiver, b"\x8f");
    assert_eq!((client.state(), client.sender.is_open()), (State::Closed, true));
}

#[test]
fn a_close_that_is_not_answered_yet_leaves_the_connection_closing() {
    let mut server = Connection::server(Limits::default(), Delivery::Messages);
    let mut bytes = frame(Role::Server, 0x88, b"\x03\xe8");
    let mut out = Vec::new();
    let reply = Reply::Close(Some(CloseCode::NORMAL_CLOSURE));
    let mut events = server.receiver.receive(&mut bytes);
    assert_eq!(events.next_event().unwrap().and_then(|event| event.reply()), Some(reply));
    // A last word may still be said: only what follows our own Close is forbidden.
    server.sender.text("bye", &mut out).unwrap();
    assert_eq!(server.state(), State::Closing);
    server.sender.reply(reply, &mut out).unwrap();
    assert_eq!((server.state(), out.as_slice()), (State::Closed, b"\x81\x03bye\x88\x02\x03\xe8".as_slice()));
}

#[test]
fn a_failure_after_the_peers_close_changes_nothing() {
    let mut server = Connection::server(Limits::default(), Delivery::Messages);
    receive(&mut server.receiver, &frame(Role::Server, 0x88, b""));
    assert_eq!(receive(&mut server.receiver, b"\x8f"), (vec![], None), "what follows a Close is not looked at");
    server.receiver.fail();
    assert_eq!((server.state(), server.receiver.has_failed()), (State::Closing, false));
}

/// Both ends close, in each order of who reads first: one Close each way, and both are closed.
#[test]
fn two_ends_of_our_own_close_cleanly() {
    type Step = fn(&mut Pair<fn() -> MaskingKey>);
    let client_closes: Step = |pair| {
        pair.client.connection.sender.close(None, &mut pair.client.out).unwrap();
        pair.client.wrote.push(CLOSE_WITHOUT_CODE);
    };
    let server_closes: Step = |pair| {
        pair.server.connection.sender.close(None, &mut pair.server.out).unwrap();
        pair.server.wrote.push(CLOSE_WITHOUT_CODE);
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
        assert_eq!((&pair.client.seen, &pair.server.seen), (&pair.server.wrote, &pair.client.wrote), "{name}");
        assert_eq!(pair.client.seen, [CLOSE_WITHOUT_CODE], "{name}");
        let states = (pair.client.connection.state(), pair.server.connection.state());
        assert_eq!(states, (State::Closed, State::Closed), "{name}");
    }
}
