//! A server and a client of the ABI, against each other and against wire bytes.

use switchboard_ffi::*;
use switchboard_tests::hex;

use crate::support::*;

/// Connects a client and a server, both with this configuration, and cuts all bytes into pieces of `cut`.
fn pair(config: &Config, cut: usize) -> (Box<Connection>, Box<Connection>) {
    let mut asked = request("example.com", "/chat");
    let (name, value) = (c_string("chat.v1"), c_string("https://example.com"));
    // SAFETY: pointers of C strings.
    unsafe {
        assert_eq!(switchboard_request_add_subprotocol(Some(&mut asked), name.as_ptr()), Outcome::Ok);
        assert_eq!(switchboard_request_set_origin(Some(&mut asked), value.as_ptr()), Outcome::Ok);
        let field = c_string("X-Trace");
        assert_eq!(switchboard_request_add_header(Some(&mut asked), field.as_ptr(), value.as_ptr()), Outcome::Ok);
    }
    let mut client = client(Some(config), &asked).expect("the request may be sent");
    switchboard_request_free(Some(asked));
    let mut server = switchboard_connection_new_server(Some(config));
    assert_eq!(switchboard_connection_state(Some(&client)), State::Connecting);
    let events = carry(&mut client, &mut server, cut);
    assert_eq!(kinds(&events), [EventKind::Request]);
    assert_eq!(switchboard_connection_next(Some(&server)), NextStep::Answer);
    assert_eq!(text(switchboard_connection_offered_subprotocol(Some(&server), 0)), "chat.v1");
    assert_eq!(header(&server, "x-trace", 0).as_deref(), Some(&b"https://example.com"[..]));
    assert_eq!(accept(&mut server, Some("chat.v1")), Outcome::Ok);
    assert_eq!(kinds(&carry(&mut server, &mut client, cut)), [EventKind::Opened]);
    for end in [&client, &server] {
        assert_eq!(switchboard_connection_state(Some(end)), State::Open);
        assert_eq!(text(switchboard_connection_subprotocol(Some(end))), "chat.v1");
    }
    (client, server)
}

/// Gives the output of one end to the other, in pieces, and returns the events.
fn carry(from: &mut Connection, to: &mut Connection, cut: usize) -> Vec<Received> {
    let mut output = take_output(from);
    output.chunks_mut(cut).flat_map(|piece| events(to, piece)).collect()
}

fn kinds(events: &[Received]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

#[test]
fn both_roles_exchange_messages_however_the_bytes_are_cut() {
    let mut config = switchboard_config_new();
    for is_deflate_on in [false, true] {
        assert_eq!(switchboard_config_set_deflate(Some(&mut config), is_deflate_on), Outcome::Ok);
        // Miri takes a minute for each megabyte that is inflated byte by byte.
        let cuts: &[usize] = if cfg!(miri) { &[1000] } else { &[1, 7, 1000, usize::MAX] };
        for &cut in cuts {
            let (mut client, mut server) = pair(&config, cut);
            let long = "längere Nachricht ".repeat(300).into_bytes();
            exchange(&mut client, &mut server, &long, cut);
            exchange(&mut server, &mut client, &long, cut);
            assert_eq!(send_close(&mut client, 4000, b"done"), Outcome::Ok);
            let closed = carry(&mut client, &mut server, cut);
            assert_eq!((closed[0].kind, closed[0].close_code), (EventKind::Close, 4000));
            assert_eq!(closed[0].data.as_deref(), Some(&b"done"[..]));
            let answered = carry(&mut server, &mut client, cut);
            assert_eq!((answered[0].kind, answered[0].close_code), (EventKind::Close, 4000));
            for end in [&client, &server] {
                assert_eq!(switchboard_connection_state(Some(end)), State::Closed);
                assert_eq!(switchboard_connection_next(Some(end)), NextStep::End);
            }
            switchboard_connection_free(Some(client));
            switchboard_connection_free(Some(server));
        }
    }
    switchboard_config_free(Some(config));
}

fn exchange(from: &mut Connection, to: &mut Connection, long: &[u8], cut: usize) {
    for payload in [&b""[..], b"x", long] {
        assert_eq!(send_text(from, payload), Outcome::Ok);
        assert_eq!(send_binary(from, payload), Outcome::Ok);
        let events = carry(from, to, cut);
        assert_eq!(kinds(&events), [EventKind::Text, EventKind::Binary], "{} bytes cut by {cut}", payload.len());
        for event in events {
            assert_eq!(event.data.as_deref(), Some(payload));
        }
    }
    let (data, length) = (long.as_ptr(), long.len());
    // SAFETY: pointers and lengths of slices.
    unsafe {
        assert_eq!(switchboard_connection_send_text_uncompressed(Some(from), data, length), Outcome::Ok);
        assert!(switchboard_connection_output(Some(from)).length > length, "it is not compressed");
        assert_eq!(switchboard_connection_send_binary_uncompressed(Some(from), data, length), Outcome::Ok);
        assert_eq!(switchboard_connection_send_text_fragment(Some(from), b"ab".as_ptr(), 2, false), Outcome::Ok);
        assert_eq!(switchboard_connection_send_ping(Some(from), b"p".as_ptr(), 1), Outcome::Ok);
        assert_eq!(send_text(from, b"between"), Outcome::WrongState);
        assert_eq!(switchboard_connection_send_text_fragment(Some(from), b"c".as_ptr(), 1, true), Outcome::Ok);
        assert_eq!(switchboard_connection_send_binary_fragment(Some(from), b"d".as_ptr(), 1, true), Outcome::Ok);
        assert_eq!(switchboard_connection_send_pong(Some(from), b"q".as_ptr(), 1), Outcome::Ok);
    }
    let events = carry(from, to, cut);
    let expected: [(EventKind, &[u8]); 6] = [
        (EventKind::Text, long),
        (EventKind::Binary, long),
        (EventKind::Ping, b"p"),
        (EventKind::Text, b"abc"),
        (EventKind::Binary, b"d"),
        (EventKind::Pong, b"q"),
    ];
    let found: Vec<_> = events.iter().map(|event| (event.kind, event.data.as_deref().unwrap_or_default())).collect();
    assert_eq!(found, expected);
    assert_eq!(kinds(&carry(to, from, cut)), [EventKind::Pong], "the Ping is answered by itself");
}

#[test]
fn a_server_reads_the_request_and_answers_it() {
    let mut server = switchboard_connection_new_server(None);
    let received = receive(&mut server, &mut REQUEST.to_vec());
    assert_eq!((received.kind, received.used), (EventKind::Request, REQUEST.len()));
    assert_eq!(text(switchboard_connection_target(Some(&server))), "/chat?room=1");
    assert_eq!(text(switchboard_connection_path(Some(&server))), "/chat");
    assert_eq!(text(switchboard_connection_query(Some(&server))), "room=1");
    assert_eq!(text(switchboard_connection_host(Some(&server))), "example.com");
    assert_eq!(text(switchboard_connection_origin(Some(&server))), "http://example.com");
    assert!(switchboard_connection_is_same_origin(Some(&server), false));
    assert!(!switchboard_connection_is_same_origin(Some(&server), true), "another program's page");
    let offered = |index| copy(switchboard_connection_offered_subprotocol(Some(&server), index));
    assert_eq!([offered(0), offered(1), offered(2)], [Some(b"chat.v2".to_vec()), Some(b"chat.v1".to_vec()), None]);
    let cookie = |index| header(&server, "cookie", index);
    assert_eq!([cookie(0), cookie(1), cookie(2)], [Some(b"a=1".to_vec()), Some(b"b=2".to_vec()), None]);

    assert_eq!(add_header(&mut server, "Server", "test"), Outcome::Ok);
    assert_eq!(accept(&mut server, Some("chat.v1")), Outcome::Ok);
    let response = take_output(&mut server);
    assert_eq!(
        String::from_utf8(response).unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat.v1\r\nServer: test\r\n\r\n"
    );
    assert_eq!(copy(switchboard_connection_target(Some(&server))), None, "the request is answered");
}

#[test]
fn frames_that_come_with_the_request_wait_for_the_answer() {
    let mut server = switchboard_connection_new_server(None);
    let mut bytes = REQUEST.to_vec();
    bytes.extend(hex("81 82 00000000 6869"));
    let received = receive(&mut server, &mut bytes);
    assert_eq!((received.kind, received.used), (EventKind::Request, REQUEST.len()));
    assert_eq!(receive(&mut server, &mut bytes[REQUEST.len()..]).outcome, Outcome::WrongState);
    assert_eq!(accept(&mut server, None), Outcome::Ok);
    let events = events(&mut server, &mut bytes[REQUEST.len()..]);
    assert_eq!(events[0].data.as_deref(), Some(&b"hi"[..]));
}

#[test]
fn a_request_that_breaks_a_rule_has_its_response_in_the_output() {
    let rows: &[(&str, &[u8], &str, &str)] = &[
        ("no upgrade", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "426 Upgrade Required", "Upgrade"),
        ("another method", b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", "405 Method Not Allowed", "GET"),
        ("bare LF", b"GET / HTTP/1.1\n", "400 Bad Request", "LF"),
    ];
    for (name, request, status, text) in rows {
        let mut server = switchboard_connection_new_server(None);
        let received = receive(&mut server, &mut request.to_vec());
        assert_eq!((received.outcome, received.used), (Outcome::HandshakeFailed, request.len()), "{name}");
        assert!(error_text(&server).contains(text), "{name}: {}", error_text(&server));
        assert_eq!(switchboard_connection_next(Some(&server)), NextStep::Write, "{name}");
        let response = String::from_utf8(take_output(&mut server)).unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{name}: {response}");
        assert_eq!(switchboard_connection_next(Some(&server)), NextStep::End, "{name}");
        assert_eq!(receive(&mut server, &mut [0; 100]).used, 100, "{name}: later bytes are dropped");
    }
}

#[test]
fn a_rejection_is_written_with_its_header_fields() {
    let mut server = switchboard_connection_new_server(None);
    receive(&mut server, &mut REQUEST.to_vec());
    assert_eq!(add_header(&mut server, "WWW-Authenticate", "Basic"), Outcome::Ok);
    assert_eq!(reject(&mut server, 401, "sign in first\n"), Outcome::Ok);
    assert_eq!(
        String::from_utf8(take_output(&mut server)).unwrap(),
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: 14\r\nConnection: close\r\n\r\nsign in first\n"
    );
    assert_eq!(switchboard_connection_state(Some(&server)), State::Closed);
}

#[test]
fn a_response_that_breaks_a_rule_ends_a_client() {
    let asked = request("example.com", "/");
    for response in ["HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "SSH-2.0-x\r\n"] {
        let mut client = client(None, &asked).expect("the request may be sent");
        take_output(&mut client);
        let received = receive(&mut client, &mut response.as_bytes().to_vec());
        assert_eq!((received.outcome, received.used), (Outcome::HandshakeFailed, response.len()), "{response}");
        assert_ne!(error_text(&client), "", "{response}");
        assert_eq!(switchboard_connection_next(Some(&client)), NextStep::End, "{response}");
    }
}

#[test]
fn a_violation_is_answered_with_the_close_that_fits() {
    let mut config = switchboard_config_new();
    assert_eq!(switchboard_config_set_max_message_bytes(Some(&mut config), 100), Outcome::Ok);
    assert_eq!(switchboard_config_set_max_frame_bytes(Some(&mut config), 80), Outcome::Ok);
    assert_eq!(switchboard_config_set_max_empty_frames(Some(&mut config), 1), Outcome::Ok);
    let message_too_long = format!("02 d0 00000000 {} 80 95 00000000", "00".repeat(80));
    let rows = [
        ("an unmasked frame", "81 02 6869", 1002, "unmasked"),
        ("text that is not UTF-8", "81 81 00000000 ff", 1007, "UTF-8"),
        ("a frame over the limit", "82 d1 00000000", 1009, "frame too big (81 bytes or more, the limit is 80)"),
        ("a message over the limit", &message_too_long, 1009, "message too big (101 bytes or more, the limit is 100)"),
        ("two empty frames in a row", "82 80 00000000 82 80 00000000", 1008, "empty frames"),
    ];
    for (name, bytes, code, text) in rows {
        let mut server = open_server(Some(&config));
        let mut bytes = hex(bytes);
        let events = events(&mut server, &mut bytes);
        let last = events.last().expect("an error");
        assert_eq!((last.outcome, last.close_code), (Outcome::ProtocolError, code), "{name}");
        assert!(error_text(&server).contains(text), "{name}: {}", error_text(&server));
        let close = take_output(&mut server);
        assert_eq!((close[0], &close[2..4]), (0x88, &code.to_be_bytes()[..]), "{name}");
        assert_eq!(switchboard_connection_next(Some(&server)), NextStep::End, "{name}");
    }
}

#[test]
fn a_close_without_code_has_1005_in_both_directions() {
    let mut server = open_server(None);
    let events = events(&mut server, &mut hex("88 80 00000000"));
    assert_eq!((events[0].kind, events[0].close_code), (EventKind::Close, 1005));
    assert_eq!(take_output(&mut server), hex("88 00"));
    let mut server = open_server(None);
    assert_eq!(send_close(&mut server, 1005, b""), Outcome::Ok);
    assert_eq!(take_output(&mut server), hex("88 00"));
    assert_eq!(switchboard_connection_state(Some(&server)), State::Closing);
}

#[test]
fn a_deadline_fails_the_connection() {
    let mut server = open_server(None);
    receive(&mut server, &mut hex("82 ff"));
    assert!(switchboard_connection_has_unfinished(Some(&server)));
    // SAFETY: pointer and length of a slice.
    let failed = unsafe { switchboard_connection_fail(Some(&mut server), 1008, b"too slow".as_ptr(), 8) };
    assert_eq!((failed, switchboard_connection_state(Some(&server))), (Outcome::Ok, State::Closed));
    assert!(!switchboard_connection_has_unfinished(Some(&server)));
    assert_eq!(take_output(&mut server), hex("88 0a 03f0 746f6f20736c6f77"));
}

#[test]
fn output_is_written_in_parts() {
    let mut server = open_server(None);
    assert_eq!(send_text(&mut server, b"hello"), Outcome::Ok);
    assert_eq!(switchboard_connection_wrote(Some(&mut server), 3), Outcome::Ok);
    assert_eq!(switchboard_connection_next(Some(&server)), NextStep::Write);
    assert_eq!(take_output(&mut server), b"ello");
    assert_eq!(switchboard_connection_next(Some(&server)), NextStep::Read);
}

/// What does not lie whole in one read is kept until the next call, and not longer.
#[test]
fn a_payload_is_kept_until_the_next_call() {
    let mut server = open_server(None);
    let mut message = hex("82 fe c350 00000000");
    message.resize(message.len() + 50_000, 7);
    let (start, end) = message.split_at_mut(40_000);
    assert_eq!(receive(&mut server, start).kind, EventKind::None);
    assert!(switchboard_connection_allocated_bytes(Some(&server)) >= 39_000);
    let received = receive(&mut server, end);
    assert_eq!((received.kind, received.data.map(|data| data.len())), (EventKind::Binary, Some(50_000)));
    assert!(switchboard_connection_allocated_bytes(Some(&server)) >= 50_000);
    assert_eq!(receive(&mut server, &mut []).kind, EventKind::None);
    assert_eq!(switchboard_connection_allocated_bytes(Some(&server)), 0);
}
