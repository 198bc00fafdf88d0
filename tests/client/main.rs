//! The blocking client against a scripted server: `std::net` in a thread, every wait with a deadline.
//!
//! A script acts through [`Peer`](peer::Peer). It uses the engine in the server's role for correct behaviour, and
//! writes bytes for incorrect behaviour.
#![cfg(feature = "client")]

mod halves;
mod peer;
mod proxies;
mod reconnecting;
mod redirects;
mod streams;
#[cfg(feature = "client-tls")]
mod tls;

use std::{
    error::Error as _,
    io::Write,
    net::SocketAddr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use peer::{builder, serve};
use switchboard::{
    ClientHandshakeError, CloseCode, CloseFrame, Delivery, HeadLimits, InvalidHeader, Limits, ProtocolError, SendError,
    ServerHandshake, State,
    client::{Client, ClientError, Message, Stage, UrlError},
};

#[test]
fn messages_of_all_lengths_come_back() {
    let server = serve(|mut peer| {
        peer.open();
        peer.echo_until_close();
    });
    let mut client = server.connect();
    assert_eq!(client.state(), State::Open);
    for length in [0, 1, 125, 126, 16_370, 65_535, 65_536, 1 << 20] {
        let text = "x".repeat(length);
        client.send_text(&text).unwrap();
        assert_eq!(client.receive().unwrap(), Message::Text(text), "text of {length}");
        let bytes = vec![0xA5; length];
        client.send_binary(&bytes).unwrap();
        assert_eq!(client.receive().unwrap(), Message::Binary(bytes), "binary of {length}");
    }
    for message in [Message::Text("ä".into()), Message::Binary(vec![0xFF])] {
        client.send(&message).unwrap();
        assert_eq!(client.receive().unwrap(), message);
    }
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

#[test]
fn the_request_carries_the_options_of_the_builder_and_the_response_is_kept() {
    let server = serve(|mut peer| {
        let request = peer.request();
        assert_eq!(request.target(), "/chat?room=1");
        for (name, value) in [
            ("Host", "example.test:8080"),
            ("Origin", "https://example.test"),
            ("Sec-WebSocket-Protocol", "v2, v1"),
            ("Cookie", "a=b"),
            ("X-Twice", "1"),
        ] {
            assert_eq!(request.values(name).next(), Some(value.as_bytes()), "{name}");
        }
        assert_eq!(request.values("x-twice").count(), 2);
        peer.accept(&request, Some("v1"), &[("Set-Cookie", "c=d")]);
        peer.echo_until_close();
    });
    let mut client = builder()
        .address(server.address)
        .origin("https://example.test")
        .subprotocol("v2")
        .subprotocol("v1")
        .header("Cookie", "a=b")
        .header("X-Twice", "1")
        .header("X-Twice", "2")
        .connect("ws://example.test:8080/chat?room=1")
        .unwrap();
    assert_eq!(client.subprotocol(), Some("v1"));
    assert_eq!(client.response().status(), 101);
    assert_eq!(client.response().values("set-cookie").next(), Some(b"c=d".as_slice()));
    assert_eq!(client.peer_addr().unwrap(), server.address);
    assert!(client.local_addr().unwrap().ip().is_loopback());
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

#[test]
fn a_name_is_resolved_and_its_addresses_are_tried_in_turn() {
    let server = serve(|mut peer| {
        peer.open();
        peer.echo_until_close();
    });
    // If the first address is ::1, no server listens there.
    let mut client = builder().connect(&format!("ws://localhost:{}/", server.address.port())).unwrap();
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

#[test]
fn frames_in_the_same_segment_as_the_response_are_received() {
    let server = serve(|mut peer| {
        let request = peer.request();
        let mut out = Vec::new();
        let handshake = ServerHandshake::from_request(&request).unwrap();
        handshake.accept(None, &[], Limits::default(), Delivery::Messages, &mut out).unwrap();
        out.extend_from_slice(b"\x81\x05Hello\x81\x05again");
        peer.write(&out);
        peer.echo_until_close();
    });
    let mut client = server.connect();
    assert_eq!(client.receive().unwrap(), Message::Text("Hello".into()));
    assert_eq!(client.receive().unwrap(), Message::Text("again".into()));
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

#[test]
fn fragments_arrive_as_frames_of_one_message() {
    let server = serve(|mut peer| {
        peer.open();
        let (text, ping, middle, last) = (peer.frame(), peer.frame(), peer.frame(), peer.frame());
        assert_eq!((text.first, &*text.payload), (0x01, b"He".as_slice()));
        assert_eq!((ping.first, &*ping.payload), (0x89, b"?".as_slice()));
        assert_eq!((middle.first, &*middle.payload), (0x00, b"".as_slice()));
        assert_eq!((last.first, &*last.payload), (0x80, b"llo".as_slice()));
        let (binary, end) = (peer.frame(), peer.frame());
        assert_eq!((binary.first, &*binary.payload), (0x02, [0xFF].as_slice()));
        assert_eq!((end.first, &*end.payload), (0x80, [0xFE].as_slice()));
        peer.echo_until_close();
    });
    let mut client = server.connect();
    client.send_text_fragment("He", false).unwrap();
    client.ping(b"?").unwrap();
    let refused = client.send_text("whole");
    assert!(matches!(refused, Err(ClientError::Send(SendError::MessageUnfinished(_)))), "{refused:?}");
    client.send_text_fragment("", false).unwrap();
    client.send_text_fragment("llo", true).unwrap();
    client.send_binary_fragment(&[0xFF], false).unwrap();
    client.send_binary_fragment(&[0xFE], true).unwrap();
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

#[test]
fn a_ping_is_answered_before_it_is_returned() {
    let server = serve(|mut peer| {
        peer.open();
        peer.write(b"\x89\x02hi\x8a\x00");
        assert_eq!(peer.next(), Message::Pong(b"hi".to_vec()));
        peer.echo_until_close();
    });
    let mut client = server.connect();
    assert_eq!(client.receive().unwrap(), Message::Ping(b"hi".to_vec()));
    assert_eq!(client.receive().unwrap(), Message::Pong(Vec::new()));
    client.ping(b"there").unwrap();
    assert_eq!(client.receive().unwrap(), Message::Pong(b"there".to_vec()));
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

#[test]
fn close_drops_later_messages_and_lets_the_server_end_tcp_first() {
    let server = serve(|mut peer| {
        peer.open();
        assert_eq!(peer.next(), Message::Close(Some((CloseCode::new(4000), "done".into()))));
        peer.write(b"\x81\x04late");
        peer.close(Some(CloseFrame { code: CloseCode::new(4000), reason: "bye" }));
        peer.expect_silence();
        peer.end();
    });
    let mut client = server.connect();
    let answer = client.close(CloseCode::new(4000), "done").unwrap();
    assert_eq!(answer, Some((CloseCode::new(4000), "bye".into())));
    assert_closed(&mut client);
    server.finish();
}

#[test]
fn after_a_close_sent_as_a_message_earlier_messages_can_be_received() {
    let server = serve(|mut peer| {
        peer.open();
        assert_eq!(peer.next(), Message::Close(None));
        peer.write(b"\x81\x04late");
        peer.close(None);
        peer.end();
    });
    let mut client = server.connect();
    client.send(&Message::Close(None)).unwrap();
    let refused = client.send_text("too late");
    assert!(matches!(refused, Err(ClientError::Send(SendError::Closed))), "{refused:?}");
    assert_eq!(client.state(), State::Closing);
    assert_eq!(client.receive().unwrap(), Message::Text("late".into()));
    assert_eq!(client.receive().unwrap(), Message::Close(None));
    assert_closed(&mut client);
    server.finish();
}

#[test]
fn the_close_of_the_server_is_echoed_and_the_server_ends_tcp_first() {
    let server = serve(|mut peer| {
        peer.open();
        peer.write(b"\x81\x02hi");
        peer.close(Some(CloseFrame { code: CloseCode::GOING_AWAY, reason: "down" }));
        assert_eq!(peer.next(), Message::Close(Some((CloseCode::GOING_AWAY, String::new()))));
        peer.expect_silence();
        peer.end();
    });
    let mut client = server.connect();
    assert_eq!(client.receive().unwrap(), Message::Text("hi".into()));
    assert_eq!(client.receive().unwrap(), Message::Close(Some((CloseCode::GOING_AWAY, "down".into()))));
    assert_closed(&mut client);
    server.finish();
}

#[test]
fn an_invalid_close_is_refused_and_changes_nothing() {
    let server = serve(|mut peer| {
        peer.open();
        peer.echo_until_close();
    });
    let mut client = server.connect();
    let refused = client.close(CloseCode::NO_STATUS_RECEIVED, "");
    assert!(matches!(refused, Err(ClientError::Send(SendError::InvalidCloseCode(_)))), "{refused:?}");
    let refused = client.close(CloseCode::NORMAL_CLOSURE, &"x".repeat(124));
    assert!(matches!(refused, Err(ClientError::Send(SendError::ReasonTooLong { length: 124 }))), "{refused:?}");
    assert_eq!(client.state(), State::Open);
    client.close(CloseCode::NORMAL_CLOSURE, &"x".repeat(123)).unwrap();
    server.finish();
}

#[test]
fn a_server_that_never_closes_is_abandoned_after_the_close_timeout() {
    let server = serve(|mut peer| {
        peer.open();
        assert!(matches!(peer.next(), Message::Close(_)));
        peer.expect_end();
    });
    let mut client = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
    let error = client.close(CloseCode::NORMAL_CLOSURE, "").unwrap_err();
    assert!(matches!(error, ClientError::Timeout(Stage::Close)), "{error:?}");
    assert_closed(&mut client);
    server.finish();
}

#[test]
fn a_server_that_never_ends_tcp_is_abandoned_after_the_close_timeout() {
    let server = serve(|mut peer| {
        peer.open();
        peer.close(None);
        assert_eq!(peer.next(), Message::Close(None));
        peer.expect_end();
    });
    let mut client = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
    assert_eq!(client.receive().unwrap(), Message::Close(None));
    assert_closed(&mut client);
    server.finish();
}

#[test]
fn a_protocol_error_fails_the_connection_with_a_close_that_reaches_the_server() {
    let rows: &[(&str, &[u8], ProtocolError)] = &[
        ("masked frame", b"\x81\x80\x01\x02\x03\x04", ProtocolError::MaskedFrame),
        ("reserved opcode", b"\x83\x00", ProtocolError::ReservedOpcode(3)),
        ("text that is not UTF-8", b"\x81\x01\xff", ProtocolError::InvalidUtf8 { offset: 0 }),
        ("a message that is too long", b"\x82\x7e\x04\x01", ProtocolError::FrameTooLong { length: 1025, limit: 1024 }),
    ];
    for &(name, wire, expected) in rows {
        let server = serve(move |mut peer| {
            peer.open();
            peer.write(b"\x81\x04fine");
            peer.write(wire);
            // Input that the client does not read must not cause a reset that overtakes its Close.
            peer.write(&[0; 40_000]);
            let reason = expected.reason().to_owned();
            assert_eq!(peer.next(), Message::Close(Some((expected.close_code(), reason))));
            peer.expect_end();
        });
        let mut client = builder().limits(Limits::of_bytes(1024)).connect(&server.url()).unwrap();
        assert_eq!(client.receive().unwrap(), Message::Text("fine".into()), "{name}");
        match client.receive() {
            Err(ClientError::Protocol(error)) => assert_eq!(error, expected, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_closed(&mut client);
        server.finish();
    }
}

#[test]
fn the_end_of_tcp_without_a_close_is_disconnected() {
    for started in [b"".as_slice(), b"\x81", b"\x81\x05Hel", b"\x01\x05Hello"] {
        let server = serve(move |mut peer| {
            peer.open();
            peer.write(started);
        });
        let mut client = server.connect();
        let error = client.receive().unwrap_err();
        assert!(matches!(error, ClientError::Disconnected), "{error:?} after {started:?}");
        assert_closed(&mut client);
        server.finish();
    }
}

// Linux keeps received bytes when a reset arrives; other systems may drop them.
#[cfg(target_os = "linux")]
#[test]
fn a_close_is_received_after_a_failed_send() {
    let server = serve(|mut peer| {
        peer.open();
        // The peer leaves input unread, so its end of the stream becomes a reset.
        peer.await_input();
        peer.close(Some(CloseFrame { code: CloseCode::POLICY_VIOLATION, reason: "" }));
    });
    let mut client = server.connect();
    let error = loop {
        if let Err(error) = client.send_text("again") {
            break error;
        }
    };
    assert!(matches!(error, ClientError::Disconnected), "{error:?}");
    let refused = client.send_text("more");
    assert!(matches!(refused, Err(ClientError::Closed)), "{refused:?}");
    assert_eq!(client.receive().unwrap(), Message::Close(Some((CloseCode::POLICY_VIOLATION, String::new()))));
    assert_closed(&mut client);
    server.finish();
}

#[test]
fn a_read_timeout_loses_nothing() {
    let server = serve(|mut peer| {
        peer.open();
        peer.write(b"\x81\x05Hel");
        assert_eq!(peer.next(), Message::Text("go on".into()));
        peer.write(b"lo");
        peer.echo_until_close();
    });
    let mut client = builder().read_timeout(Some(SHORT)).connect(&server.url()).unwrap();
    for _ in 0..2 {
        let started = Instant::now();
        let error = client.receive().unwrap_err();
        assert!(matches!(error, ClientError::Timeout(Stage::Receive)), "{error:?}");
        assert!(started.elapsed() < LONG);
    }
    client.set_read_timeout(Some(LONG));
    client.send_text("go on").unwrap();
    assert_eq!(client.receive().unwrap(), Message::Text("Hello".into()));
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

#[test]
fn a_server_that_does_not_read_runs_into_the_write_timeout() {
    let (timed_out, has_timed_out) = mpsc::channel();
    let server = serve(move |mut peer| {
        peer.open();
        peer.write(b"\x81\x02hi");
        has_timed_out.recv_timeout(LONG).unwrap();
        peer.expect_end();
    });
    let mut client = builder().write_timeout(Some(SHORT)).connect(&server.url()).unwrap();
    // More than all buffers between client and server hold.
    let error = client.send_binary(&vec![0; 64 << 20]).unwrap_err();
    assert!(matches!(error, ClientError::Timeout(Stage::Send)), "{error:?}");
    timed_out.send(()).unwrap();
    assert!(matches!(client.send_text("more"), Err(ClientError::Closed)));
    assert_eq!(client.receive().unwrap(), Message::Text("hi".into()));
    drop(client);
    server.finish();
}

#[test]
fn a_refusal_comes_with_its_head_and_body() {
    let long = vec![b'x'; 100_000];
    let with_length = [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100000\r\n\r\n", &*long].concat();
    let rows: &[(&str, &[u8], u16, &[u8])] = &[
        ("a length", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nno wayGET", 403, b"no wa"),
        ("no length", b"HTTP/1.1 404 Not Found\r\n\r\nnothing here", 404, b"nothing here"),
        (
            "chunks",
            b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n4;a=b\r\nbody\r\n0\r\n\r\n",
            401,
            b"nobody",
        ),
        ("no body", b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", 429, b""),
        ("a success other than 101", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", 200, b"OK"),
        (
            "an interim response before it",
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n?",
            400,
            b"?",
        ),
        ("over 64 KiB", &with_length, 403, &long[..64 << 10]),
    ];
    for &(name, response, status, expected) in rows {
        let response = response.to_vec();
        let server = serve(move |mut peer| {
            peer.request();
            peer.write_and_end(&response);
        });
        match builder().connect(&server.url()) {
            Err(ClientError::Refused { response, body }) => {
                assert_eq!(response.status(), status, "{name}");
                assert_eq!(body, expected, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        server.finish();
    }
}

#[test]
fn a_refusal_whose_body_stalls_is_still_a_refusal() {
    let server = serve(|mut peer| {
        peer.request();
        peer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nhalf");
        peer.expect_end();
    });
    match builder().connect_timeout(SHORT).connect(&server.url()) {
        Err(ClientError::Refused { response, body }) => assert_eq!((response.status(), &*body), (503, &b"half"[..])),
        other => panic!("{other:?}"),
    }
    server.finish();
}

// Linux keeps received bytes when a reset arrives; other systems may drop them.
#[cfg(target_os = "linux")]
#[test]
fn a_refusal_before_the_whole_request_is_read_is_heard() {
    let server = serve(|mut peer| {
        peer.await_input();
        peer.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n");
        // The peer leaves input unread, so its end of the stream becomes a reset.
    });
    // More than all buffers between client and server hold.
    match builder().header("X", "x".repeat(64 << 20)).connect(&server.url()) {
        Err(ClientError::Refused { response, .. }) => assert_eq!(response.status(), 431),
        other => panic!("{other:?}"),
    }
    server.finish();
}

#[test]
fn a_redirect_is_returned_with_its_location_and_not_followed() {
    let server = serve(|mut peer| {
        peer.request();
        peer.write(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /there\r\nContent-Length: 4\r\n\r\nmove");
        peer.expect_end();
    });
    match builder().connect(&server.url()) {
        Err(ClientError::Redirect { location, response, body }) => {
            assert_eq!((&*location, response.status(), &*body), ("/there", 307, &b"move"[..]));
        }
        other => panic!("{other:?}"),
    }
    server.finish();
}

#[test]
fn a_response_with_a_wrong_accept_or_a_long_head_is_a_handshake_error() {
    // The Sec-WebSocket-Accept for the key of §1.3, not for the client's.
    let server = serve(|mut peer| {
        peer.request();
        peer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        peer.expect_end();
    });
    let error = builder().connect(&server.url()).unwrap_err();
    assert!(matches!(error, ClientError::Handshake(ClientHandshakeError::Accept)), "{error:?}");
    assert!(error.source().is_some());
    server.finish();

    let server = serve(|mut peer| {
        peer.request();
        peer.write(b"HTTP/1.1 101 ");
        peer.write(&[b'x'; 2000]);
        peer.expect_end();
    });
    let mut limits = HeadLimits::default();
    limits.max_bytes = 1000;
    let error = builder().head_limits(limits).connect(&server.url()).unwrap_err();
    assert!(matches!(error, ClientError::Handshake(ClientHandshakeError::Head(_))), "{error:?}");
    server.finish();
}

#[test]
fn the_end_of_tcp_before_the_response_is_disconnected() {
    let server = serve(|mut peer| {
        peer.request();
        peer.write(b"HTTP/1.1 101 Switching");
    });
    let error = builder().connect(&server.url()).unwrap_err();
    assert!(matches!(error, ClientError::Disconnected), "{error:?}");
    server.finish();
}

#[test]
fn the_handshake_has_a_deadline_even_if_bytes_trickle_in() {
    let silent = serve(|mut peer| peer.expect_end());
    let trickling = serve(|mut peer| {
        peer.request();
        // One byte at a time until the client closes the connection. No byte may extend its deadline.
        peer.write(b"HTTP/1.1 ");
        let deadline = Instant::now() + LONG;
        while peer.stream.write_all(b"x").is_ok() && Instant::now() < deadline {
            thread::yield_now();
        }
        assert!(Instant::now() < deadline, "the client does not give up");
    });
    let mut limits = HeadLimits::default();
    limits.max_bytes = usize::MAX;
    for server in [silent, trickling] {
        let started = Instant::now();
        let error = builder().head_limits(limits).connect_timeout(SHORT).connect(&server.url()).unwrap_err();
        assert!(matches!(error, ClientError::Timeout(Stage::Handshake)), "{error:?}");
        assert!(started.elapsed() < LONG);
        server.finish();
    }
}

#[test]
fn an_invalid_url_or_header_is_refused_before_connecting() {
    // No server listens on port 1 of this address: a client that connected first would fail with another error.
    let unreachable = builder().address(SocketAddr::from(([127, 0, 0, 1], 1)));
    let error = unreachable.connect("http://example.test/").unwrap_err();
    assert!(matches!(error, ClientError::Url(UrlError::Scheme(_))), "{error:?}");
    let error = unreachable.clone().header("X", "a\r\nY: b").connect("ws://example.test/").unwrap_err();
    assert!(matches!(error, ClientError::Request(InvalidHeader::Value { .. })), "{error:?}");
    let error = unreachable.clone().header("Sec-WebSocket-Key", "x").connect("ws://example.test/").unwrap_err();
    assert!(matches!(error, ClientError::Request(InvalidHeader::Reserved(_))), "{error:?}");
    let error = unreachable.connect("ws://example.test/").unwrap_err();
    assert!(matches!(error, ClientError::Connect(_)), "{error:?}");
}

#[test]
fn a_client_can_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Client>();
    is_send::<ClientError>();
}

/// The timeout for events that must happen, long enough for a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// The timeout for events that must not happen.
const SHORT: Duration = Duration::from_millis(100);

/// Asserts that the client is closed and every call fails.
fn assert_closed(client: &mut Client) {
    assert_eq!(client.state(), State::Closed);
    assert!(matches!(client.receive(), Err(ClientError::Closed)));
    assert!(matches!(client.send_text(""), Err(ClientError::Closed)));
    assert!(matches!(client.close(CloseCode::NORMAL_CLOSURE, ""), Err(ClientError::Closed)));
}
