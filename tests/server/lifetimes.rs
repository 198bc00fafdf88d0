//! How connections end: the app gets `closed` once for each, with the reason.

use std::{collections::BTreeMap, io::ErrorKind, net::TcpStream, sync::mpsc, time::Duration};

use switchboard::{
    CloseCode, Config, ConnectionId, End, Message, OwnedCloseFrame, ProtocolError, client::Message as Received,
};
use switchboard_tests::server::{
    LONG, OPENING, Raw, Service, TestServer, config, expect_text, frame, header, round_trip, serve,
};

const SHORT: Duration = Duration::from_millis(100);

/// An app that closes with 4000 on the text "close", shuts the connection on "shut", and echoes other messages.
fn closes_on_request() -> Service {
    Service::echo().on_message(|message, context| match message {
        Message::Text("close") => context.close(CloseCode::new(4000), "as you wish").unwrap(),
        Message::Text("shut") => context.shut(CloseCode::new(4001), "enough").unwrap(),
        message => context.send(message),
    })
}

/// Runs `peer` on one connection, and asserts that the connection ends once, as `expected`.
#[track_caller]
fn assert_ends_as(config: Config, peer: impl FnOnce(&TestServer, Raw, ConnectionId), expected: End) {
    let server = serve(config, closes_on_request());
    let (raw, id) = server.raw();
    peer(&server, raw, id);
    assert_eq!(server.next_closed(), (id, expected));
    server.stop();
    assert_eq!(server.join(), [], "a connection was closed twice");
}

#[test]
fn a_close_by_the_peer_ends_as_closed_by_the_peer() {
    let close = |payload: &'static [u8]| {
        move |_: &TestServer, mut raw: Raw, _: ConnectionId| {
            raw.send(0x88, payload);
            raw.expect_frame(0x88, &payload[..payload.len().min(2)]);
            raw.expect_end();
        }
    };
    let end = |code| End::Closed { by_us: false, code };
    assert_ends_as(config(), close(b"\x03\xE8bye"), end(Some(CloseCode::NORMAL_CLOSURE)));
    assert_ends_as(config(), close(b""), end(None));
    assert_eq!(end(None).code(), CloseCode::NO_STATUS_RECEIVED);
}

#[test]
fn a_close_by_the_app_ends_as_closed_by_us_with_the_code_of_the_app() {
    let peer = |_: &TestServer, mut raw: Raw, _: ConnectionId| {
        raw.text("close");
        raw.expect_frame(0x88, b"\x0F\xA0as you wish");
        // A message sent before the Close reached the peer, then the peer's Close with another code.
        raw.text("ignored");
        raw.send(0x88, b"\x03\xE9");
        raw.expect_end();
    };
    assert_ends_as(config(), peer, End::Closed { by_us: true, code: Some(CloseCode::new(4000)) });
}

#[test]
fn a_close_from_another_thread_ends_as_closed_by_us() {
    let peer = |server: &TestServer, mut raw: Raw, id: ConnectionId| {
        server.remote.close(id, CloseCode::NORMAL_CLOSURE, "");
        raw.expect_frame(0x88, b"\x03\xE8");
        raw.send(0x88, b"\x03\xE8");
        raw.expect_end();
    };
    assert_ends_as(config(), peer, End::Closed { by_us: true, code: Some(CloseCode::NORMAL_CLOSURE) });
}

#[test]
fn a_close_while_paused_still_receives_the_close_of_the_peer() {
    // The server reads the peer's Close although the app has paused the connection.
    let service = Service::echo().on_message(|_, context| {
        context.pause();
        context.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    });
    let server = serve(config(), service);
    let (mut raw, id) = server.raw();
    raw.text("go");
    raw.expect_frame(0x88, b"\x03\xE8");
    raw.send(0x88, b"\x03\xE8");
    raw.expect_end();
    assert_eq!(server.next_closed(), (id, End::Closed { by_us: true, code: Some(CloseCode::NORMAL_CLOSURE) }));
}

#[test]
fn a_protocol_error_ends_as_failed_with_the_error() {
    let rows: [(&str, Vec<u8>, u16, ProtocolError); 4] = [
        ("RSV1", frame(0xC1, b"x"), 1002, ProtocolError::ReservedBits { bits: 4 }),
        ("not masked", b"\x81\x01x".to_vec(), 1002, ProtocolError::UnmaskedFrame),
        ("not UTF-8", frame(0x81, b"\xFF"), 1007, ProtocolError::InvalidUtf8 { offset: 0 }),
        ("too long", header(0x82, 1001), 1009, ProtocolError::FrameTooLong { length: 1001, limit: 1000 }),
    ];
    for (name, bytes, code, error) in rows {
        let mut config = config();
        config.limits.max_frame_bytes = 1000;
        config.limits.max_message_bytes = 1000;
        let peer = |_: &TestServer, mut raw: Raw, _: ConnectionId| {
            raw.text("before");
            raw.write([&bytes[..], &frame(0x81, b"behind")].concat());
            raw.expect_frame(0x81, "before");
            assert_eq!(raw.until_close(), (vec![], code), "{name}");
            raw.expect_end();
        };
        assert_ends_as(config, peer, End::Failed(error));
    }
}

#[test]
fn the_end_of_tcp_ends_as_vanished_also_within_a_frame_or_message() {
    for started in [vec![], header(0x82, 1000), frame(0x01, b"fragment"), vec![0x81]] {
        let peer = move |_: &TestServer, mut raw: Raw, _: ConnectionId| {
            raw.write(started);
            raw.finish_writing();
        };
        assert_ends_as(config(), peer, End::Vanished);
    }
}

#[test]
fn everything_before_the_end_of_tcp_is_handled() {
    let peer = |_: &TestServer, mut raw: Raw, _: ConnectionId| {
        let message = frame(0x81, b"x");
        raw.write([message.repeat(2000), frame(0x88, b"\x03\xE8")].concat());
        raw.finish_writing();
        for _ in 0..2000 {
            raw.expect_frame(0x81, "x");
        }
        assert_eq!(raw.until_close(), (vec![], 1000));
        raw.expect_end();
    };
    assert_ends_as(config(), peer, End::Closed { by_us: false, code: Some(CloseCode::NORMAL_CLOSURE) });
}

#[test]
fn the_end_of_tcp_while_paused_is_handled_on_resume_after_the_messages_before_it() {
    let (messages_tx, messages) = mpsc::channel();
    let service = Service::echo()
        .on_opened(|context| context.pause())
        .on_message(move |message, _| messages_tx.send(message.payload().to_vec()).unwrap());
    let server = serve(config(), service);
    let (mut raw, id) = server.raw();
    raw.text("one");
    raw.text("two");
    raw.finish_writing();
    assert!(raw.receives_nothing_for(SHORT));
    assert_eq!(messages.try_iter().count(), 0);
    server.remote.resume(id);
    assert_eq!(server.next_closed(), (id, End::Vanished));
    assert_eq!(messages.try_iter().collect::<Vec<_>>(), [b"one", b"two"]);
}

#[test]
fn a_reset_ends_as_broken() {
    assert_ends_as(config(), |_, raw, _| raw.reset(), End::Broken(ErrorKind::ConnectionReset));
}

#[test]
fn a_reset_while_output_is_queued_ends_as_broken() {
    let mut config = config();
    // The large limit keeps reading enabled, so that both a write and a read fail.
    config.max_queued_bytes = 64 << 20;
    let service = Service::echo().on_message(|message, context| match message {
        Message::Text("much") => context.send(Message::Binary(&vec![0; 16 << 20])),
        message => context.send(message),
    });
    let server = serve(config, service);
    let (mut other, _) = server.client_with_id();
    for _ in 0..5 {
        let (mut raw, id) = server.raw_with_small_buffer();
        raw.text("much");
        raw.take(10);
        round_trip(&mut other);
        raw.reset();
        assert_eq!(server.next_closed(), (id, End::Broken(ErrorKind::ConnectionReset)));
    }
}

#[test]
fn silence_after_a_ping_ends_as_no_pong() {
    let mut config = config();
    (config.ping_after, config.idle_timeout) = (SHORT, 3 * SHORT);
    let peer = |_: &TestServer, mut raw: Raw, _: ConnectionId| {
        raw.expect_frame(0x89, "");
        assert_eq!(raw.until_close(), (vec![], 1008));
        raw.expect_end();
    };
    assert_ends_as(config, peer, End::NoPong);
}

#[test]
fn an_unanswered_close_ends_as_no_close() {
    let mut config = config();
    config.close_timeout = SHORT;
    let peer = |_: &TestServer, mut raw: Raw, _: ConnectionId| {
        raw.text("close");
        assert_eq!(raw.until_close(), (vec![], 4000));
        raw.expect_end();
    };
    assert_ends_as(config, peer, End::NoClose);
}

/// The peer's Close, and even what breaks the protocol, stays unread. `resume` does not change that.
#[test]
fn nothing_is_read_from_a_connection_that_was_shut() {
    let ways: [fn(&TestServer, &mut Raw, ConnectionId); 2] =
        [|_, raw, _| raw.text("shut"), |server, _, id| server.remote.shut(id, CloseCode::new(4001), "enough")];
    for shut in ways {
        let mut config = config();
        config.close_timeout = SHORT;
        let peer = move |server: &TestServer, mut raw: Raw, id: ConnectionId| {
            shut(server, &mut raw, id);
            raw.expect_frame(0x88, b"\x0F\xA1enough");
            server.remote.resume(id);
            raw.text("more");
            raw.send(0x88, b"\x0F\xA1");
            raw.write(b"\xFF");
        };
        assert_ends_as(config, peer, End::NoClose);
    }
}

#[test]
fn a_message_that_does_not_continue_ends_as_message_stalled() {
    let mut config = config();
    config.message_timeout = SHORT;
    for started in [header(0x82, 1000), frame(0x01, b"fragment"), vec![0x81], header(0x89, 5)] {
        let peer = move |_: &TestServer, mut raw: Raw, _: ConnectionId| {
            raw.write(started);
            assert_eq!(raw.until_close(), (vec![], 1008));
            raw.expect_end();
        };
        assert_ends_as(config.clone(), peer, End::MessageStalled);
    }
}

#[test]
fn a_peer_that_does_not_read_ends_as_write_stalled() {
    let mut config = config();
    config.write_timeout = 2 * SHORT;
    let service = Service::echo().on_message(|_, context| context.send(Message::Binary(&vec![0; 16 << 20])));
    let server = serve(config, service);
    let (mut raw, id) = server.raw_with_small_buffer();
    raw.text("go");
    assert_eq!(server.next_closed(), (id, End::WriteStalled));
}

#[test]
fn a_stop_sends_1001_and_cuts_off_peers_that_do_not_answer() {
    let server = serve(config(), closes_on_request());
    let (mut answering, first) = server.client_with_id();
    let (_silent, second) = server.raw();
    let _half = {
        let mut raw = Raw::connect(server.address);
        raw.write(&OPENING[..20]);
        raw
    };
    let mut idle = Raw::connect(server.address);
    round_trip(&mut answering);
    server.stop();
    let Received::Close(Some(OwnedCloseFrame { code, .. })) = answering.receive().unwrap() else { panic!("no Close") };
    assert_eq!(code, CloseCode::GOING_AWAY);
    // A connection without a request is ended at once.
    idle.expect_end();
    let ends: BTreeMap<_, _> = server.join().into_iter().collect();
    let gone = End::Closed { by_us: true, code: Some(CloseCode::GOING_AWAY) };
    assert_eq!(ends, BTreeMap::from([(first, gone), (second, End::Stopped)]));
}

#[test]
fn a_stopped_server_accepts_no_connection_and_closes_after_a_late_verdict_with_1001() {
    let (verdicts_tx, verdicts) = mpsc::channel();
    let mut config = config();
    config.stop_timeout = LONG;
    let server = serve(config, closes_on_request().on_accept(move |_, verdict| verdicts_tx.send(verdict).unwrap()));
    let mut raw = Raw::connect(server.address);
    raw.write(OPENING);
    let verdict = verdicts.recv_timeout(LONG).unwrap();
    server.stop();
    verdict.accept(());
    assert_eq!(raw.head().status, 101);
    assert_eq!(raw.until_close(), (vec![], 1001));
    raw.send(0x88, b"\x03\xE9");
    raw.expect_end();
    let address = server.address;
    drop(raw);
    assert_eq!(server.join().len(), 1);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_remote_that_outlives_the_server_does_nothing() {
    let server = serve(config(), closes_on_request());
    let (mut client, id) = server.client_with_id();
    let remote = server.remote.clone();
    server.stop();
    while !matches!(client.receive().unwrap(), Received::Close(_)) {}
    assert_eq!(server.join().len(), 1);
    remote.send(id, Message::Text("late"));
    remote.publish("topic", Message::Text("late"));
    remote.close(id, CloseCode::NORMAL_CLOSURE, "");
}

#[test]
fn a_server_goes_on_after_a_connection_has_ended() {
    let server = serve(config(), closes_on_request());
    let (mut client, _) = server.client_with_id();
    let (raw, _) = server.raw();
    raw.reset();
    server.next_closed();
    client.send_text("still here").unwrap();
    expect_text(&mut client, "still here");
}
