//! The closing handshake (RFC 6455 §5.5.1, §7): the payload of a Close frame, and transcripts of connections
//! in both roles.

use switchboard::{
    CloseCode, CloseFrame, Connection, Delivery, Limits, MessageKind, ProtocolError, Reply, Role, SendError, State,
};
use switchboard_tests::engine::{
    BOTH_ROLES, CLOSE_WITHOUT_CODE, KEY, Row, WITHOUT_CODE, close, frame, ping, receive, text, transcript,
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
            Row::accepted(name, role, frame(role, 0x88, &payload), vec![event.clone()]).check();
        }
    }
}

#[test]
fn a_server_that_has_closed_receives_until_the_peers_close() {
    transcript! { Role::Server;
        state State::Open;
        close CloseCode::GOING_AWAY;
        sent  "88 02 03e9";
        state State::Closing;
        recv  "81 85 00000000 48656c6c6f" => text("Hello");    // sent before our Close arrived
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
fn a_client_that_has_closed_receives_until_the_peers_close() {
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
fn a_violation_is_answered_with_its_close_code() {
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
fn a_violation_after_our_close_is_not_answered() {
    transcript! { Role::Server;
        close CloseCode::GOING_AWAY;
        sent  "88 02 03e9";
        recv  "81 00" fails ProtocolError::UnmaskedFrame;
        state State::Closed;
    }
}

#[test]
fn an_invalid_close_frame_is_a_violation_and_not_a_close() {
    transcript! { Role::Server;
        recv  "88 82 00000000 03ed" fails ProtocolError::InvalidCloseCode(CloseCode::NO_STATUS_RECEIVED);
        sent  "88 18 03ea 636c6f736520636f6465206e6f7420616c6c6f776564"; // 1002, "close code not allowed"
        state State::Closed;
    }
}

#[test]
fn a_violation_closes_the_connection_before_it_is_answered() {
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
    // Messages may still be sent: only our own Close forbids that.
    server.sender.text("bye", &mut out).unwrap();
    assert_eq!(server.state(), State::Closing);
    server.sender.reply(reply, &mut out).unwrap();
    assert_eq!((server.state(), out.as_slice()), (State::Closed, b"\x81\x03bye\x88\x02\x03\xe8".as_slice()));
}

#[test]
fn a_failure_after_the_peers_close_changes_nothing() {
    let mut server = Connection::server(Limits::default(), Delivery::Messages);
    receive(&mut server.receiver, &frame(Role::Server, 0x88, b""));
    assert_eq!(receive(&mut server.receiver, b"\x8f"), (vec![], None), "bytes after a Close are dropped");
    server.receiver.fail();
    assert_eq!((server.state(), server.receiver.has_failed()), (State::Closing, false));
}
