//! Messages come back from an echo, and a handshake is answered as the app decides.

use std::sync::mpsc;

use switchboard::{
    Acceptance, CloseCode, Message, OwnedCloseFrame, Rejection, SendError,
    client::{ClientError, Message as Received},
};
use switchboard_tests::server::{
    LONG, OPENING, Raw, Service, builder, config, expect_text, frame, header, round_trip, serve,
};

#[test]
fn messages_of_all_lengths_come_back() {
    let server = serve(config(), Service::echo());
    let mut client = server.client();
    for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let text = "x".repeat(length);
        client.send_text(&text).unwrap();
        assert_eq!(client.receive().unwrap(), Received::Text(text), "text of {length}");
        let bytes = vec![0xA5; length];
        client.send_binary(&bytes).unwrap();
        assert_eq!(client.receive().unwrap(), Received::Binary(bytes), "binary of {length}");
    }
    assert_eq!(
        client.close(CloseCode::NORMAL_CLOSURE, "").unwrap(),
        Some(OwnedCloseFrame::new(CloseCode::NORMAL_CLOSURE, ""))
    );
}

#[test]
fn the_longest_message_comes_back_and_one_more_byte_fails_with_1009() {
    let server = serve(config(), Service::echo());
    let mut client = server.client();
    let longest: Vec<u8> = (0..16 << 20).map(|at: u32| (at % 251) as u8).collect();
    client.send_binary(&longest).unwrap();
    assert!(client.receive().unwrap() == Received::Binary(longest), "the echo differs from the message");

    let mut raw = Raw::connect(server.address);
    raw.handshake();
    raw.write(header(0x82, (16 << 20) + 1));
    assert_eq!(raw.until_close(), (vec![], 1009));
}

#[test]
fn fragments_come_back_as_one_message_with_a_ping_between_them() {
    let server = serve(config(), Service::echo());
    let mut client = server.client();
    client.send_text_fragment("He", false).unwrap();
    client.ping(b"between").unwrap();
    client.send_text_fragment("", false).unwrap();
    client.send_text_fragment("llo", true).unwrap();
    assert_eq!(client.receive().unwrap(), Received::Pong(b"between".to_vec()));
    expect_text(&mut client, "Hello");
}

#[test]
fn large_messages_that_are_not_compressed_come_back_and_so_does_what_follows_at_once() {
    let server = serve(config(), Service::echo());
    let mut client = server.client();
    for length in [100_000, 131_072, 150_000, 300_001, 1 << 20] {
        let large: Vec<u8> = (0..length).map(|at: u32| (at % 253) as u8).collect();
        client.send_binary_uncompressed(&large).unwrap();
        assert!(client.receive().unwrap() == Received::Binary(large.clone()), "the echo of {length} differs");
        client.send_binary_uncompressed(&large).unwrap();
        client.ping(b"after").unwrap();
        client.send_text("small").unwrap();
        assert!(client.receive().unwrap() == Received::Binary(large), "the echo of {length} differs");
        assert_eq!(client.receive().unwrap(), Received::Pong(b"after".to_vec()), "{length}");
        expect_text(&mut client, "small");
    }
}

#[test]
fn many_messages_in_one_write_come_back_in_order() {
    // More than the 1,024 events of a turn, and more than one read buffer.
    let server = serve(config(), Service::echo());
    let (mut raw, _) = server.raw();
    let messages: Vec<String> = (0..20_000).map(|number| format!("message {number}")).collect();
    raw.write(messages.iter().flat_map(|message| frame(0x81, message.as_bytes())).collect::<Vec<_>>());
    for message in &messages {
        raw.expect_frame(0x81, message);
    }
}

#[test]
fn a_handshake_and_a_frame_may_arrive_byte_by_byte() {
    let server = serve(config(), Service::echo());
    let mut raw = Raw::connect(server.address);
    for byte in [OPENING.as_bytes(), &frame(0x81, "schön".as_bytes())].concat() {
        raw.write([byte]);
    }
    assert_eq!(raw.head().status, 101);
    raw.expect_frame(0x81, "schön");
}

#[test]
fn a_verdict_may_come_from_another_thread() {
    let (verdicts_tx, verdicts) = mpsc::channel();
    let server = serve(config(), Service::echo().on_accept(move |_, verdict| verdicts_tx.send(verdict).unwrap()));
    for accepts in [true, false] {
        let mut raw = Raw::connect(server.address);
        raw.write(OPENING);
        let verdict = verdicts.recv_timeout(LONG).unwrap();
        if accepts {
            verdict.accept(());
            assert_eq!(raw.head().status, 101);
        } else {
            verdict.reject(Rejection::new(401).header("WWW-Authenticate", "Basic").body("who are you?\n"));
            let answer = raw.response();
            assert_eq!((answer.status, answer.header("WWW-Authenticate")), (401, Some("Basic")));
            assert_eq!(answer.body, b"who are you?\n");
            raw.expect_end();
        }
    }
}

#[test]
fn a_dropped_verdict_sends_500() {
    let (verdicts_tx, verdicts) = mpsc::channel();
    let server = serve(config(), Service::echo().on_accept(move |_, verdict| verdicts_tx.send(verdict).unwrap()));
    let mut raw = Raw::connect(server.address);
    raw.write(OPENING);
    drop(verdicts.recv_timeout(LONG).unwrap());
    assert_eq!(raw.response().status, 500);
    raw.expect_end();
}

#[test]
fn a_verdict_for_a_disconnected_client_does_not_reach_the_next_one() {
    let (verdicts_tx, verdicts) = mpsc::channel();
    let server = serve(config(), Service::echo().on_accept(move |_, verdict| verdicts_tx.send(verdict).unwrap()));
    let mut gone = Raw::connect(server.address);
    gone.write(OPENING);
    let late = verdicts.recv_timeout(LONG).unwrap();
    gone.reset();
    let mut next = Raw::connect(server.address);
    next.write(OPENING);
    let verdict = verdicts.recv_timeout(LONG).unwrap();
    late.accept(());
    verdict.reject(Rejection::new(403));
    assert_eq!(next.response().status, 403);
}

#[test]
fn a_rejection_reaches_the_client_with_its_body() {
    let service = Service::echo().on_accept(|handshake, verdict| {
        assert_eq!(handshake.request.target(), "/");
        verdict.reject(Rejection::new(403).body("not you\n"));
    });
    let server = serve(config(), service);
    let Err(ClientError::Refused { response, body }) = builder().connect(&server.url()) else {
        panic!("the handshake was accepted");
    };
    assert_eq!((response.status(), &*body), (403, b"not you\n".as_slice()));
}

#[test]
fn the_app_chooses_a_subprotocol_and_adds_header_fields() {
    let service = Service::echo().on_accept(|handshake, verdict| {
        assert_eq!(handshake.websocket.subprotocols(), ["v2", "v1"]);
        assert_eq!(handshake.websocket.origin(), Some("https://page.example"));
        assert!(handshake.peer.ip().is_loopback());
        verdict.accept_with(Acceptance::default().subprotocol("v1").header("Set-Cookie", "a=b"), ());
    });
    let server = serve(config(), service);
    let options = builder().subprotocol("v2").subprotocol("v1").origin("https://page.example");
    let mut client = options.connect(&server.url()).unwrap();
    assert_eq!(client.subprotocol(), Some("v1"));
    assert_eq!(client.response().values("set-cookie").collect::<Vec<_>>(), [b"a=b"]);
    round_trip(&mut client);
}

#[test]
fn after_the_app_has_closed_it_gets_no_further_message() {
    let (messages_tx, messages) = mpsc::channel();
    let service = Service::echo().on_message(move |message, context| {
        messages_tx.send(message.payload().to_vec()).unwrap();
        context.send(Message::Text("last"));
        context.close(CloseCode::new(4000), "enough").unwrap();
        context.send(Message::Text("too late"));
    });
    let server = serve(config(), service);
    let (mut raw, _) = server.raw();
    raw.write([frame(0x81, b"one"), frame(0x81, b"two"), frame(0x88, &4000_u16.to_be_bytes())].concat());
    raw.expect_frame(0x81, "last");
    assert_eq!(raw.until_close(), (vec![], 4000));
    raw.expect_end();
    drop(raw);
    server.next_closed();
    assert_eq!(messages.try_iter().collect::<Vec<_>>(), [b"one"]);
}

#[test]
fn a_close_frame_that_cannot_be_sent_leaves_the_connection_open() {
    let service = Service::echo().on_message(|_, context| {
        assert!(matches!(context.close(CloseCode::new(1006), ""), Err(SendError::InvalidCloseCode(_))));
        assert!(matches!(
            context.close(CloseCode::NORMAL_CLOSURE, &"x".repeat(124)),
            Err(SendError::ReasonTooLong { .. })
        ));
        context.send(Message::Text("still open"));
    });
    let server = serve(config(), service);
    let mut client = server.client();
    client.send_text("close").unwrap();
    expect_text(&mut client, "still open");
}

#[test]
fn messages_sent_when_a_connection_opens_directly_follow_the_handshake() {
    let service = Service::echo().on_opened(|context| {
        context.send(Message::Text("welcome"));
        context.send(Message::Binary(&[1, 2, 3]));
    });
    let server = serve(config(), service);
    let mut client = server.client();
    expect_text(&mut client, "welcome");
    assert_eq!(client.receive().unwrap(), Received::Binary(vec![1, 2, 3]));
}
