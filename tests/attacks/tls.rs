//! TL: TLS, before and behind its handshake. `tests/server/tls.rs` has the cases that need no flood and no measurement.

use std::{
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ContentType, version::TLS12};
use switchboard::{End, Message};
use switchboard_tests::{
    forger::{ALERT, APPLICATION_DATA, Forger, HANDSHAKE, RECORD_HEADER_BYTES, client_hello, in_records},
    server::{LONG, Raw, Service, TestServer, config, frame, serve},
    tls::{Authority, Secure, connect, localhost, open, read_frame},
};

use crate::{exclusively, scaled};

/// An echo server for `localhost`, and the authority that has signed its certificate.
fn echo() -> (Authority, TestServer) {
    let authority = Authority::new("authority");
    let mut config = config();
    config.tls = Some(localhost(&authority));
    (authority, serve(config, Service::echo()))
}

fn connected(server: &TestServer, client: &Arc<ClientConfig>) -> Secure {
    let mut secure = connect(server.address, client, "localhost").unwrap();
    open(&mut secure);
    secure
}

#[track_caller]
fn round_trip(secure: &mut Secure, text: &str) {
    secure.write_all(&frame(0x81, text.as_bytes())).unwrap();
    assert_eq!(read_frame(secure), (0x81, text.as_bytes().to_vec()));
}

/// Returns a ClientHello of exactly 64 KiB less a byte, the longest that is allowed: one with an extension `padding`
/// (RFC 7685). A ticket would have to come behind it, so the client must have none.
fn longest(client_hello: &[u8]) -> Vec<u8> {
    const MESSAGE_HEADER: usize = 4;
    let mut at = MESSAGE_HEADER + 2 + 32;
    at += 1 + usize::from(client_hello[at]);
    at += 2 + usize::from(u16::from_be_bytes([client_hello[at], client_hello[at + 1]]));
    at += 1 + usize::from(client_hello[at]);
    let (start, extensions) = client_hello.split_at(at);
    let padding = MESSAGE_HEADER + 0xFFFF - client_hello.len() - 4;
    let padding = [&[0, 21][..], &u16::try_from(padding).unwrap().to_be_bytes(), &vec![0; padding]].concat();
    let length = u16::try_from(extensions.len() - 2 + padding.len()).unwrap().to_be_bytes();
    let mut message = [start, &length, &extensions[2..], &padding].concat();
    assert_eq!(message.len(), MESSAGE_HEADER + 0xFFFF);
    message[1..MESSAGE_HEADER].copy_from_slice(&[0, 0xFF, 0xFF]);
    message
}

/// RUSTSEC-2024-0399: a fragmented ClientHello crashed servers that took their connections by rustls's `Acceptor`.
#[test]
fn tl_01_client_hello_in_many_records_is_understood() {
    let (authority, server) = echo();
    let client = Arc::new(authority.client());
    for length in [1, 2, 3, 5, 100, 1 << 14] {
        for at_once in [true, false] {
            let (connection, message) = client_hello(&client);
            let records = in_records(&message, length);
            let mut raw = Raw::connect(server.address);
            match at_once {
                true => raw.write(records.concat()),
                false => records.iter().for_each(|record| raw.write(record)),
            }
            let mut secure = Secure::new(connection, raw.stream);
            while secure.conn.is_handshaking() {
                secure.conn.complete_io(&mut secure.sock).unwrap();
            }
            open(&mut secure);
            round_trip(&mut secure, &format!("records of {length}, at once: {at_once}"));
        }
    }
}

/// The first bytes of what the server sends, up to the end of a record's header.
fn answer(raw: &mut Raw) -> Option<Vec<u8>> {
    let mut header = vec![0; RECORD_HEADER_BYTES];
    raw.stream.read_exact(&mut header).ok().map(|()| header)
}

/// An incomplete message is copied with each read. So a ClientHello that comes in many of them must not be long: one
/// in records of a byte has six times its length.
#[test]
fn tl_01_longest_client_hello_takes_bounded_work() {
    let (authority, server) = echo();
    let mut other = connected(&server, &Arc::new(authority.client()));
    // A client without a ticket.
    let message = longest(&client_hello(&Arc::new(authority.client())).1);
    let _exclusive = exclusively();
    for (length, is_understood) in [(1 << 14, true), (1400, true), (1, false)] {
        for at_once in [true, false] {
            let records = in_records(&message, length);
            let mut raw = Raw::connect(server.address);
            let started = Instant::now();
            let mut writes = if at_once { vec![records.concat()] } else { records }.into_iter();
            // The server may end the connection before it has everything.
            let is_taken = writes.all(|bytes| raw.stream.write_all(&bytes).is_ok());
            let answer = answer(&mut raw);
            let name = format!("records of {length}, at once: {at_once}");
            println!("{name}: {:?}, taken: {is_taken}, answer: {answer:?}", started.elapsed());
            assert_eq!(answer.as_ref().is_some_and(|answer| answer[0] == HANDSHAKE), is_understood, "{name}");
            assert!(started.elapsed() < LONG / 2, "{name}: {:?}", started.elapsed());
            round_trip(&mut other, "the others are served");
        }
    }
    // One byte more is refused by what the length says. rustls sends no alert for this.
    let mut raw = Raw::connect(server.address);
    raw.write([HANDSHAKE, 3, 1, 0, 4, 1, 1, 0, 0]);
    assert_eq!(answer(&mut raw), None);
}

#[test]
fn tl_01_renegotiation_is_refused_once_and_then_ends_the_connection() {
    let (authority, server) = echo();
    let mut forger = Forger::open(server.address, &authority, &TLS12);
    let id = server.next_opened();
    let (_, hello) = client_hello(&Arc::new(authority.client_with(&[&TLS12], None)));
    forger.send(ContentType::Handshake, &hello);
    forger.send(ContentType::ApplicationData, &frame(0x81, b"hello"));
    // The alert no_renegotiation, a warning, and then the echo.
    assert_eq!(forger.record_type(), ALERT);
    assert_eq!(forger.record_type(), APPLICATION_DATA);
    forger.send(ContentType::Handshake, &hello);
    assert_eq!(server.next_closed(), (id, End::TlsFailed));
}

#[test]
fn tl_06_versions_before_1_2_get_an_alert() {
    let (authority, server) = echo();
    // With TLS 1.2 come the algorithms of signatures, without which rustls does not look at the version.
    let algorithms = [0, 8, 0, 13, 0, 4, 0, 2, 4, 3];
    for (version, extensions, expected) in [
        ([3, 0], &[][..], HANDSHAKE_FAILURE),
        ([3, 1], &[], HANDSHAKE_FAILURE),
        ([3, 1], &algorithms, PROTOCOL_VERSION),
        ([3, 2], &algorithms, PROTOCOL_VERSION),
    ] {
        // ECDHE_ECDSA_WITH_AES_128_CBC_SHA, and no compression.
        let body = [&version[..], &[7; 32], &[0, 0, 2, 0xC0, 0x09, 1, 0], extensions].concat();
        let message = [&[1, 0, 0, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        let mut raw = Raw::connect(server.address);
        raw.write(in_records(&message, message.len()).concat());
        let mut alert = Vec::new();
        raw.stream.read_to_end(&mut alert).unwrap();
        assert_eq!(alert, [ALERT, 3, 3, 0, 2, 2, expected], "{version:?} {extensions:?}");
    }
    round_trip(&mut connected(&server, &Arc::new(authority.client())), "hello");
}

/// However many handshakes can continue, messages are handled between them.
#[test]
fn tl_03_handshakes_that_begin_together_take_turns_with_messages() {
    let authority = Authority::new("authority");
    let mut config = config();
    config.tls = Some(localhost(&authority));
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let service = Service::echo().on_message(move |message, context| {
        if message == Message::Text("wait") {
            may_go_on.lock().unwrap().recv_timeout(LONG).unwrap();
        }
        context.send(message);
    });
    let server = serve(config, service);
    let client = Arc::new(authority.client());
    let (mut waiting, mut other) = (connected(&server, &client), connected(&server, &client));
    let hello = in_records(&client_hello(&client).1, 1 << 14).concat();
    let _exclusive = exclusively();
    // Of some attempts one must show it: if this thread has to wait for its processor, the handshakes go on.
    let takes_turns = (0..10).any(|_| {
        let mut handshakes = [(); 64].map(|()| Raw::connect(server.address));
        // By now the server has accepted them all.
        round_trip(&mut other, "hello");
        waiting.write_all(&frame(0x81, b"wait")).unwrap();
        handshakes.iter_mut().for_each(|raw| raw.write(&hello));
        other.write_all(&frame(0x81, b"first")).unwrap();
        go_on.send(()).unwrap();
        assert_eq!(read_frame(&mut other).1, b"first");
        round_trip(&mut other, "second");
        let answered = handshakes.iter().filter(|raw| {
            raw.stream.set_nonblocking(true).unwrap();
            raw.stream.peek(&mut [0]).is_ok()
        });
        let answered = answered.count();
        println!("{answered} of 64 handshakes are answered before the second message");
        assert_eq!(read_frame(&mut waiting).1, b"wait");
        answered < 32
    });
    assert!(takes_turns, "messages wait for all handshakes");
}

/// A client that asks for a handshake and then leaves costs the server as much as one that stays, and itself next to
/// nothing. The time that others wait is printed; what it must be at most is said by the benchmark `tls`, since a build
/// for tests has slow cryptography.
#[test]
fn tl_03_flood_of_aborted_handshakes_does_not_keep_others_from_being_served() {
    let (authority, server) = echo();
    let client = Arc::new(authority.client());
    let mut other = connected(&server, &client);
    let hello = in_records(&client_hello(&client).1, 1 << 14).concat();
    let _exclusive = exclusively();
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut times = Vec::new();
    thread::scope(|scope| {
        for _ in 0..scaled(20, 200) {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let mut raw = Raw::connect(server.address);
                    raw.write(&hello);
                    assert_eq!(answer(&mut raw).map(|answer| answer[0]), Some(HANDSHAKE));
                    answered.fetch_add(1, Ordering::Relaxed);
                    raw.reset();
                }
            });
        }
        while answered.load(Ordering::Relaxed) < scaled(300, 20_000) {
            let started = Instant::now();
            round_trip(&mut other, "hello");
            times.push(started.elapsed());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    times.sort_unstable();
    let [p50, p99] = [50, 99].map(|percent| times[times.len() * percent / 100]);
    println!("{} round trips, p50 {p50:?}, p99 {p99:?}", times.len());
    assert!(p99 < Duration::from_millis(250), "p99 {p99:?}");
}

/// Alerts (RFC 8446 §6).
const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;
