//! Messages that the app gets in pieces, as they arrive.

use std::{
    convert::Infallible,
    sync::mpsc,
    time::{Duration, Instant},
};

use switchboard::{
    Acceptance, App, CloseCode, Config, ConnectionId, Context, Delivery, End, Handshake, Limits, Message, MessageKind,
    Piece, Remote, Running, Server, Verdict, client::Message as Received,
};
use switchboard_tests::server::{LONG, Raw, builder, config, header};

/// Tells the test of each piece. A text that begins with "pause" pauses the connection, one with "close" closes it.
struct Streaming {
    heard: mpsc::Sender<Heard>,
}

#[derive(Debug, PartialEq)]
enum Heard {
    Piece { kind: MessageKind, payload: Vec<u8>, first: bool, last: bool },
    Opened(ConnectionId),
    Closed(End),
}

impl App for Streaming {
    type Peer = ();
    type Told = Infallible;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<()>) {
        let acceptance = Acceptance::default().delivery(Delivery::Pieces);
        verdict.accept_with(
            match handshake.request.path() {
                "/short" => acceptance.limits(Limits::of_bytes(10)),
                _ => acceptance.limits(Limits::of_bytes(1 << 40)),
            },
            (),
        );
    }

    fn opened(&mut self, _: &mut (), context: &mut Context<'_>) {
        self.heard.send(Heard::Opened(context.id())).unwrap();
    }

    fn message(&mut self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {
        panic!("all messages come in pieces");
    }

    fn piece(&mut self, _: &mut (), piece: Piece<'_>, context: &mut Context<'_>) {
        let Piece { kind, payload, first, last, .. } = piece;
        match payload {
            b"pause" => context.pause(),
            b"close" => context.close(CloseCode::NORMAL_CLOSURE, "").unwrap(),
            _ => {}
        }
        self.heard.send(Heard::Piece { kind, payload: payload.to_vec(), first, last }).unwrap();
    }

    fn closed(&mut self, _: (), _: ConnectionId, end: &End, _: &Remote) {
        // A test that has ended waits for nothing.
        let _ = self.heard.send(Heard::Closed(end.clone()));
    }
}

fn serve(config: Config) -> (Running, mpsc::Receiver<Heard>) {
    let (sender, heard) = mpsc::channel();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    (server.start(move |_| Streaming { heard: sender.clone() }).unwrap(), heard)
}

fn raw(running: &Running, heard: &mpsc::Receiver<Heard>) -> (Raw, ConnectionId) {
    let mut raw = Raw::connect(running.local_addr());
    raw.handshake();
    match heard.recv_timeout(LONG).unwrap() {
        Heard::Opened(id) => (raw, id),
        other => panic!("{other:?} before the connection is open"),
    }
}

fn stop(running: Running) {
    running.stopper().stop();
    running.join().unwrap();
}

#[test]
fn a_piece_reaches_the_app_before_the_rest_of_its_message_and_takes_no_memory() {
    let mut config = config();
    // A message of 64 MiB would not fit.
    config.max_worker_bytes = 4 << 20;
    let (running, heard) = serve(config);
    let (mut raw, _) = raw(&running, &heard);
    let total = 64 << 20;
    raw.write(header(0x82, total as u64));
    let part = vec![7; 1 << 20];
    let (mut arrived, mut begun) = (0, false);
    for sent in 1..=64 {
        raw.write(&part);
        while arrived < sent << 20 {
            match heard.recv_timeout(LONG).unwrap() {
                Heard::Piece { kind: MessageKind::Binary, payload, first, last } => {
                    // The header may come alone, as an empty piece.
                    assert_eq!(first, !std::mem::replace(&mut begun, true), "{arrived}");
                    arrived += payload.len();
                    assert_eq!(last, arrived == total, "{arrived}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    stop(running);
}

#[test]
fn pieces_have_their_message_s_kind_and_a_short_message_is_one_piece() {
    let (running, heard) = serve(config());
    let (mut raw, _) = raw(&running, &heard);
    raw.text("whole");
    raw.send(0x82, b"bytes");
    raw.send(0x01, "é".as_bytes().split_at(1).0);
    raw.send(0x89, b"ping");
    raw.send(0x80, "é".as_bytes().split_at(1).1);
    raw.send(0x81, b"");
    let (text, binary) = (MessageKind::Text, MessageKind::Binary);
    for (kind, payload, first, last) in [
        (text, "whole".as_bytes(), true, true),
        (binary, b"bytes", true, true),
        (text, &[0xC3], true, false),
        (text, &[0xA9], false, true),
        (text, b"", true, true),
    ] {
        let expected = Heard::Piece { kind, payload: payload.to_vec(), first, last };
        assert_eq!(heard.recv_timeout(LONG).unwrap(), expected);
    }
    raw.expect_frame(0x8A, "ping");
    // Invalid UTF-8 fails at its first byte, in the middle of a message.
    raw.send(0x01, b"a");
    raw.send(0x00, b"\xFF");
    assert_eq!(raw.until_close().1, 1007);
    stop(running);
}

#[test]
fn an_app_that_has_closed_in_the_middle_of_a_message_gets_no_further_piece() {
    let (running, heard) = serve(config());
    let (mut raw, _) = raw(&running, &heard);
    raw.send(0x01, b"close");
    raw.send(0x80, b"more");
    raw.send(0x88, b"\x03\xE8");
    assert!(matches!(heard.recv_timeout(LONG).unwrap(), Heard::Piece { .. }));
    assert!(matches!(heard.recv_timeout(LONG).unwrap(), Heard::Closed(End::Closed { by_us: true, .. })));
    stop(running);
}

#[test]
fn an_app_that_pauses_lets_its_client_wait() {
    let (running, heard) = serve(config());
    let (mut raw, id) = raw(&running, &heard);
    raw.send(0x01, b"pause");
    raw.send(0x80, b"more");
    assert!(matches!(heard.recv_timeout(LONG).unwrap(), Heard::Piece { first: true, .. }));
    // The second connection is heard, and nothing of the first one.
    let mut other = Raw::connect(running.local_addr());
    other.handshake();
    assert!(matches!(heard.recv_timeout(LONG).unwrap(), Heard::Opened(_)));
    running.remote().resume(id);
    assert!(matches!(heard.recv_timeout(LONG).unwrap(), Heard::Piece { first: false, last: true, .. }));
    stop(running);
}

#[test]
fn limits_of_a_connection_take_the_place_of_the_server_s() {
    let (running, heard) = serve(config());
    let url = format!("ws://{}/short", running.local_addr());
    let mut client = builder().connect(&url).unwrap();
    assert!(matches!(heard.recv_timeout(LONG).unwrap(), Heard::Opened(_)));
    client.send_binary(&[0; 10]).unwrap();
    client.send_binary(&[0; 11]).unwrap();
    let Received::Close(Some(frame)) = client.receive().unwrap() else { panic!("no Close frame") };
    assert_eq!(frame.code, CloseCode::MESSAGE_TOO_BIG);
    assert!(matches!(heard.recv_timeout(LONG).unwrap(), Heard::Piece { last: true, .. }));
    assert!(matches!(heard.recv_timeout(LONG).unwrap(), Heard::Closed(End::Failed(_))));
    stop(running);
}

/// Nothing is kept of the message, so each byte is progress; but without any there is an end.
#[test]
fn a_message_in_pieces_stalls_only_without_any_byte() {
    let mut config = config();
    config.message_timeout = Duration::from_millis(400);
    let (running, heard) = serve(config);
    let (mut raw, _) = raw(&running, &heard);
    raw.write(header(0x82, 1 << 30));
    let started = Instant::now();
    let mut pieces = 0;
    // Three times as long as the deadline: each byte follows once the one before has been heard.
    while started.elapsed() < Duration::from_millis(1200) {
        raw.write([1; 1]);
        assert!(matches!(heard.recv_timeout(LONG).unwrap(), Heard::Piece { .. }));
        pieces += 1;
    }
    assert!(pieces > 3);
    assert_eq!(heard.recv_timeout(LONG).unwrap(), Heard::Closed(End::MessageStalled));
    assert_eq!(raw.until_close().1, 1008);
    stop(running);
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_messages_come_in_pieces_too() {
    let (running, heard) = serve(config());
    let mut client = builder().connect(&format!("ws://{}/", running.local_addr())).unwrap();
    assert!(matches!(heard.recv_timeout(LONG).unwrap(), Heard::Opened(_)));
    let text = "a text that repeats itself, ".repeat(100_000);
    client.send_text(&text).unwrap();
    let mut whole = Vec::new();
    loop {
        match heard.recv_timeout(LONG).unwrap() {
            Heard::Piece { kind: MessageKind::Text, payload, first, last } => {
                assert_eq!(first, whole.is_empty());
                whole.extend(payload);
                if last {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(whole == text.as_bytes());
    running.remote().publish("nobody", Message::Text("nothing"));
    client.send_text("close").unwrap();
    assert!(matches!(client.receive().unwrap(), Received::Close(_)));
    stop(running);
}
