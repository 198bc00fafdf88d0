//! PM: permessage-deflate (RFC 7692) under attack: bombs, odd offers, invalid data, the memory of windows, and lengths
//! that reveal secrets.

use std::sync::{Mutex, mpsc};

use switchboard::{
    ClientHandshake, ClientHandshakeError, ClientRequest, CloseCode, Connection, Deflate, DeflateConfig, DeflateParams,
    Delivery, Event, HandshakeError, HeadLimits, HttpVersion, Limits, Message, Prepared, ProtocolError, Receiver, Role,
    ServerHandshake,
};
use switchboard_tests::{
    deflaters::Zlib,
    engine::{BOTH_ROLES, KEY, binary, frame, frames, receive, receive_cut, rule, text},
    random::{Random, for_each_seed},
    rfc1951::Inflater,
    server,
};

use crate::scaled;

/// Neither end takes its context over from message to message.
const NO_TAKEOVER: DeflateParams = DeflateParams {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    server_max_window_bits: None,
    client_max_window_bits: None,
};

fn receiver(role: Role, limits: Limits, delivery: Delivery) -> Receiver {
    let deflate = Deflate::default();
    match role {
        Role::Server => {
            Connection::server(limits, delivery).with_deflate(&deflate, NO_TAKEOVER).expect(BUDGET_HAS_ROOM).receiver
        }
        Role::Client => {
            Connection::client(|| KEY, limits, delivery)
                .with_deflate(&deflate, NO_TAKEOVER)
                .expect(BUDGET_HAS_ROOM)
                .receiver
        }
    }
}

#[test]
fn pm_01_a_bomb_is_stopped_where_it_passes_the_limit() {
    let bomb = Zlib::new(9, 15).message(&vec![0; 64 << 20]);
    assert!(bomb.len() < 66_000, "{} bytes", bomb.len());
    let limit = 1 << 20;
    for role in BOTH_ROLES {
        let mut pieces = receiver(role, Limits::of_bytes(limit), Delivery::Pieces);
        let mut wire = frame(role, 0xC2, &bomb);
        let length = wire.len();
        let mut events = pieces.receive(&mut wire);
        let (mut given, mut read) = (0, 0);
        let error = loop {
            match events.next_event() {
                Ok(Some(Event::Piece(piece))) => given += piece.payload.len() as u64,
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
            read = length - events.unread();
        };
        assert_eq!(error, ProtocolError::MessageTooLong { length: limit + 1, limit });
        assert_eq!(error.close_code(), CloseCode::MESSAGE_TOO_BIG);
        assert!((limit - (16 << 10)..=limit).contains(&given), "{given} bytes were inflated, the limit is {limit}");
        assert!(read < 2000, "{read} of {length} bytes were read");
        let mut whole = receiver(role, Limits::of_bytes(limit), Delivery::Messages);
        assert_eq!(receive(&mut whole, &frame(role, 0xC2, &bomb)), (vec![], Some(error)));
        assert_eq!(whole.buffered_bytes(), 0);
    }
}

/// A peer's bombs, each below the limit, are inflated 1 MiB at a time, so other peers' messages are read in between.
/// The app handles the first bomb only when the other peer's message is in the kernel.
#[test]
fn pm_02_bombs_below_the_limit_do_not_delay_other_peers() {
    const BOMBS: usize = 40;
    let (report, reports) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let gate = Mutex::new((Some(may_go_on), report));
    let service = server::Service::echo().on_message(move |message, context| {
        let mut gate = gate.lock().unwrap();
        let _ = gate.1.send(message == Message::Text("Hello"));
        if let Some(may_go_on) = gate.0.take() {
            may_go_on.recv_timeout(server::LONG).expect("the other peer has sent its message");
        }
        if let Message::Text(_) = message {
            context.send(message);
        }
    });
    let server = server::serve(server::config(), service);
    let mut attacker = server::Raw::connect(server.address);
    attacker.write(server::OPENING.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"));
    assert!(attacker.head().header("Sec-WebSocket-Extensions").is_some());
    let mut other = server.client();
    let bomb = frame(Role::Server, 0xC2, &Zlib::new(9, 15).message(&vec![0; 1 << 20]));
    attacker.write(bomb.repeat(BOMBS));
    assert!(!reports.recv_timeout(server::LONG).unwrap());
    other.send_text("Hello").unwrap();
    go_on.send(()).unwrap();
    let before = (1..).find(|_| reports.recv_timeout(server::LONG).unwrap()).unwrap();
    assert!(before <= 4, "{before} of {BOMBS} bombs were inflated before the other message was read");
    server::expect_text(&mut other, "Hello");
}

/// A random value of `Sec-WebSocket-Extensions`: mostly valid, sometimes against the grammar.
fn random_offer(random: &mut Random) -> String {
    const NAMES: [&str; 7] = [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
        "server_max_window_bits",
        "client_max_window_bits",
        "x",
    ];
    const VALUES: [&str; 20] = [
        "",
        "",
        "",
        "=7",
        "=8",
        "=08",
        "=9",
        "=15",
        "=16",
        "=256",
        "=-1",
        "=\"\"",
        "=\"10\"",
        "=\"\\1\\2\"",
        "=",
        "=\"",
        "=18446744073709551616",
        "=1 0",
        "==9",
        "=\u{e9}",
    ];
    let mut value = String::new();
    for _ in 0..1 + random.below(3) {
        value += ["", "", "", ",", ";", " "][random.below(6)];
        value +=
            ["permessage-deflate", "permessage-deflate", "permessage-deflate", "deflate-frame", ""][random.below(5)];
        for _ in 0..random.below(4) {
            value += ["; ", ";", " ;\t", "; ", ";;"][random.below(5)];
            value += NAMES[random.below(NAMES.len())];
            let known = if random.chance(1, 8) { VALUES.len() } else { 9 };
            value += VALUES[random.below(known)];
        }
        value += ", ";
    }
    value
}

#[test]
fn pm_03_no_offer_and_no_response_panics_or_makes_a_window_that_does_not_work() {
    let text_to_send = "All work and no play makes Jack a dull boy. ".repeat(10);
    let mut seen = [0; 3];
    for seed in 0..scaled(2000, 1_000_000) {
        let mut random = Random::new(seed);
        let value = random_offer(&mut random);
        let mut config = DeflateConfig::default();
        config.memory_bytes = [0, 1 << 20][random.below(2)];
        let deflate = Deflate::new(config);
        let fields: [(&str, &[u8]); 6] = [
            ("Host", b"a"),
            ("Upgrade", b"websocket"),
            ("Connection", b"Upgrade"),
            ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", b"13"),
            ("Sec-WebSocket-Extensions", value.as_bytes()),
        ];
        match ServerHandshake::from_parts("GET", HttpVersion::Http11, fields) {
            Err(error) => {
                assert_eq!(error, HandshakeError::Extensions, "{value}");
                seen[0] += 1;
            }
            Ok(handshake) => {
                let handshake = handshake.with_deflate(&deflate);
                let params = handshake.deflate().copied();
                let bits = params.map_or(15, |params| params.server_max_window_bits.map_or(15, |bits| bits.get()));
                assert!((9..=15).contains(&bits), "{value}");
                let mut connection = handshake.into_connection(Limits::default(), Delivery::Messages);
                let mut out = Vec::new();
                connection.sender.text(&text_to_send, &mut out).expect("a Vec has room");
                assert_eq!(out[0], if params.is_some() { 0xC1 } else { 0x81 }, "{value}");
                if params.is_some() {
                    let header = if out[1] < 126 { 2 } else { 4 };
                    let read = Inflater::new(bits).inflate(&out[header..]);
                    assert_eq!(read.as_deref(), Ok(text_to_send.as_bytes()), "{value}");
                }
                seen[1 + usize::from(params.is_some())] += 1;
            }
        }
        // The same value in a server's response.
        let (request, limits) = (ClientRequest::new("a", "/"), HeadLimits::default());
        let mut handshake =
            ClientHandshake::with_deflate(&request, &deflate, *b"the sample nonce", limits, &mut Vec::new())
                .expect("a valid request");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: {value}\r\n\r\n"
        );
        match handshake.receive(answer.as_bytes()) {
            Err(error) => assert!(
                matches!(
                    error,
                    ClientHandshakeError::Extensions
                        | ClientHandshakeError::Extension
                        | ClientHandshakeError::Deflate(_)
                ),
                "{value}: {error:?}"
            ),
            Ok(established) => {
                let (established, _) = established.expect("a whole head");
                let mut connection = established.into_connection(|| KEY, Limits::default(), Delivery::Messages);
                connection.sender.text(&text_to_send, &mut Vec::new()).expect("a Vec has room");
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 100), "refused, declined and accepted: {seen:?}");
}

/// Inflates a message with zlib itself, which is started anew behind each block with BFINAL.
fn by_zlib(message: &[u8]) -> Option<Vec<u8>> {
    let mut codec = flate2::Decompress::new_with_window_bits(false, 15);
    let mut all = Vec::with_capacity(1 << 20);
    // With the tail and an empty block behind it, which zlib reads as one only where a block begins.
    let bytes = [message, &[0x00, 0x00, 0xFF, 0xFF, 0x03, 0x00]].concat();
    let mut rest = &bytes[..];
    loop {
        let read = codec.total_in();
        let status = codec.decompress_vec(rest, &mut all, flate2::FlushDecompress::None).ok()?;
        rest = &rest[(codec.total_in() - read) as usize..];
        assert!(all.len() < all.capacity(), "short messages");
        match status {
            flate2::Status::StreamEnd if rest.is_empty() => {
                return Some(all);
            }
            flate2::Status::StreamEnd => {
                codec.reset(false);
                codec.set_dictionary(&all[all.len().saturating_sub(32 << 10)..]).ok()?;
            }
            _ if rest.is_empty() => return None,
            _ => {}
        }
    }
}

/// The fuzz target `inflate_matches_naive` tries many more messages.
#[test]
fn pm_04_deflate_data_is_accepted_or_refused_as_by_zlib() {
    let (mut valid, mut invalid) = (0, 0);
    for seed in 0..scaled(4000, 200_000) {
        let mut random = Random::new(seed);
        let length = [0, 3, 40, 300, 2000][random.below(5)];
        let plain: Vec<u8> = (0..length).map(|_| b'a' + (random.below(20) * random.below(2)) as u8).collect();
        let mut message = Zlib::new(random.below(10) as u32, 9 + random.below(7) as u8).message(&plain);
        for _ in 0..random.below(4) {
            let at = random.below(message.len());
            match random.below(8) {
                0 => message.truncate(at.max(1)),
                1 => message.insert(at, random.next_u64() as u8),
                2 => message.push([0x00, 0x01, 0xFF][random.below(3)]),
                3 => message[at] = random.next_u64() as u8,
                4 => message.extend(Zlib::new(6, 15).message(&plain)),
                5 => message.extend_from_slice(&[0x00, 0x00, 0xFF, 0xFF]),
                6 => message[0] ^= 1, // BFINAL of the first block
                _ => message[at] ^= 1 << random.below(8),
            }
        }
        let expected = Inflater::new(15).inflate(&message);
        let role = BOTH_ROLES[random.below(2)];
        let wire = frame(role, 0xC2, &message);
        let mut receiver = receiver(role, Limits::default(), Delivery::Messages);
        let (seen, error) = receive_cut(&mut receiver, &wire, random.cuts(wire.len()));
        match &expected {
            Ok(inflated) => {
                assert_eq!((&*seen, error), (&[binary(inflated)][..], None), "seed {seed}: {message:02x?}");
                assert_eq!(by_zlib(&message).as_ref(), Some(inflated), "seed {seed}: {message:02x?}, by zlib");
                valid += 1;
            }
            Err(fault) => {
                let invalid_deflate = (&[][..], Some(ProtocolError::InvalidDeflate));
                assert_eq!((&*seen, error), invalid_deflate, "seed {seed}: {fault}: {message:02x?}");
                // zlib accepts any last block, and reads the added block as the end of a cut-off message.
                let zlib_may_take_it = matches!(*fault, "no empty block at the end" | "cut off");
                assert!(
                    zlib_may_take_it || by_zlib(&message).is_none(),
                    "seed {seed}: {fault}: {message:02x?}, by zlib"
                );
                invalid += 1;
            }
        }
    }
    assert!(valid > 500 && invalid > 500, "{valid} valid, {invalid} not");
}

#[test]
fn pm_05_rsv1_where_it_means_nothing_is_a_violation() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for role in BOTH_ROLES {
        for first in [0xC9, 0xCA, 0xC8] {
            let (seen, error) =
                receive(&mut receiver(role, Limits::default(), Delivery::Messages), &frame(role, first, b""));
            assert_eq!((seen, error), (vec![], Some(ProtocolError::ReservedBits { bits: 0b100 })), "{first:02x}");
        }
        let wire = frames(role, &[(0x41, &hello[..3]), (0xC0, &hello[3..])]);
        let (_, error) = receive(&mut receiver(role, Limits::default(), Delivery::Messages), &wire);
        assert_eq!(error, Some(ProtocolError::ReservedBits { bits: 0b100 }), "a continuation ({role:?})");
        let mut plain = switchboard_tests::engine::receiver(role, Limits::default(), Delivery::Messages);
        let (_, error) = receive(&mut plain, &frame(role, 0xC1, hello));
        assert_eq!(error, Some(ProtocolError::ReservedBits { bits: 0b100 }), "not negotiated ({role:?})");
        assert_eq!(error.expect("a violation").close_code(), CloseCode::PROTOCOL_ERROR);
        let agreed = receive(&mut receiver(role, Limits::default(), Delivery::Messages), &frame(role, 0xC1, hello));
        assert_eq!((agreed.0, rule(agreed.1)), (vec![text("Hello")], None), "valid if negotiated");
    }
}

#[test]
fn pm_06_the_windows_of_any_number_of_connections_stay_within_the_budget() {
    let budget = 4 << 20;
    let mut config = DeflateConfig::default();
    config.memory_bytes = budget;
    let deflate = Deflate::new(config);
    let message = "All work and no play makes Jack a dull boy. ".repeat(10);
    let mut all = Vec::new();
    let mut taking_over = 0;
    let mut out = Vec::new();
    for _ in 0..scaled(2000, 100_000) {
        let fields: [(&str, &[u8]); 6] = [
            ("Host", b"a"),
            ("Upgrade", b"websocket"),
            ("Connection", b"Upgrade"),
            ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", b"13"),
            ("Sec-WebSocket-Extensions", b"permessage-deflate"),
        ];
        let handshake = ServerHandshake::from_parts("GET", HttpVersion::Http11, fields).expect("valid");
        let handshake = handshake.with_deflate(&deflate);
        let params = *handshake.deflate().expect("negotiated");
        assert!(!params.server_no_context_takeover);
        taking_over += usize::from(!params.client_no_context_takeover);
        let mut connection = handshake.into_connection(Limits::default(), Delivery::Messages);
        out.clear();
        connection.sender.text(&message, &mut out).expect("a Vec has room");
        assert_eq!(out[0], 0xC1, "compressed in any case");
        all.push(connection);
        assert!(deflate.takeover_bytes() <= budget);
    }
    // Receiving windows are not evicted, so they take all of the budget in the end.
    assert_eq!(taking_over, budget / (32_768 + 32));
    drop(all);
    assert_eq!(deflate.takeover_bytes(), 0);
}

/// How a page with a secret and an attacker's text is sent.
#[derive(Clone, Copy, Debug)]
enum Page {
    /// In one message, compressed.
    Compressed,
    /// In one message, uncompressed.
    Uncompressed,
    /// In one prepared message, uncompressed.
    PreparedUncompressed,
    /// In two messages of one context, both compressed.
    InTwoOfOneContext,
    /// In two messages of one context, the one with the secret uncompressed.
    SecretUncompressed,
    /// In two compressed messages, without context takeover.
    InTwoWithoutTakeover,
}

fn length_of(page: Page, guess: &str) -> usize {
    const SECRET: &str = "token=7f3k9q2m8x4w6z1v";
    let filler: String = (0..300_u32).map(|i| char::from(b' ' + (i * i * 31 % 89) as u8)).collect();
    let mut config = DeflateConfig::default();
    config.memory_bytes = 1 << 20;
    let params = if matches!(page, Page::InTwoWithoutTakeover) { NO_TAKEOVER } else { DeflateParams::default() };
    let connection = Connection::server(Limits::default(), Delivery::Messages);
    let mut connection = connection.with_deflate(&Deflate::new(config), params).expect(BUDGET_HAS_ROOM);
    let sender = &mut connection.sender;
    let filler = filler.repeat(2);
    let both = format!("{filler}{SECRET}, you searched for {guess}");
    let (first, second) = (format!("{filler}{SECRET}"), format!("{filler}you searched for {guess}"));
    let mut out = Vec::new();
    match page {
        Page::Compressed => sender.text(&both, &mut out),
        Page::Uncompressed => sender.text_uncompressed(&both, &mut out),
        Page::PreparedUncompressed => sender.prepared(&Prepared::text(&both).uncompressed(), &mut out),
        Page::InTwoOfOneContext | Page::InTwoWithoutTakeover => {
            sender.text(&first, &mut out).and_then(|()| sender.text(&second, &mut out))
        }
        Page::SecretUncompressed => {
            sender.text_uncompressed(&first, &mut out).and_then(|()| sender.text(&second, &mut out))
        }
    }
    .expect("a Vec has room");
    out.len()
}

#[test]
fn pm_07_lengths_reveal_nothing_about_a_secret_that_is_sent_uncompressed() {
    let right = "token=7f3k9q2m8x4w6z1v";
    let wrong =
        ["token=abcdefghijklmnop", "token=7f3kabcdefghijkl", "tokem=1v6z4w8x2m9q3k7f", "0123456789ABCDEFGHIJKL"];
    for page in [Page::Compressed, Page::InTwoOfOneContext] {
        for wrong in wrong {
            assert!(
                length_of(page, right) < length_of(page, wrong),
                "{page:?}: the length reveals the secret ({wrong})"
            );
        }
    }
    for page in [Page::Uncompressed, Page::PreparedUncompressed, Page::SecretUncompressed, Page::InTwoWithoutTakeover] {
        for wrong in [right].iter().chain(&wrong[..2]) {
            assert_eq!(length_of(page, right), length_of(page, wrong), "{page:?}, {wrong}");
        }
    }
    for page in [Page::Uncompressed, Page::PreparedUncompressed] {
        assert_eq!(length_of(page, right), length_of(page, wrong[3]), "{page:?}");
    }
    for_each_seed(20, |mut random| {
        let guess: String = (0..22).map(|_| char::from(b'0' + random.below(70) as u8)).collect();
        assert_eq!(length_of(Page::Uncompressed, &guess), length_of(Page::Uncompressed, right));
    });
}

/// FR-05 with RSV1 negotiated: it is valid on the first frame of a message, and nowhere else (RFC 7692 §6).
#[test]
fn fr_05_with_compression_only_rsv1_on_the_first_frame_of_a_message_is_accepted() {
    for role in BOTH_ROLES {
        for bits in 1..=7 {
            for first in [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88] {
                let mut receiver = receiver(role, Limits::default(), Delivery::Messages);
                if first & 0x0F == 0 {
                    assert_eq!(receive(&mut receiver, &frame(role, 0x01, b"begun")), (vec![], None));
                }
                let (seen, violation) = receive(&mut receiver, &[first | bits << 4]);
                let taken = bits == 0b100 && matches!(first & 0x0F, 1 | 2);
                let expected = (!taken).then_some(ProtocolError::ReservedBits { bits });
                assert_eq!((seen, violation), (vec![], expected), "{role:?}, {first:02x}, {bits:03b}");
            }
        }
    }
}

const BUDGET_HAS_ROOM: &str = "the budget has room";
