//! Receiving compressed messages (§6.2, §7.2.2): the events are the same however the bytes are cut and however many
//! inflaters the pool has; invalid data is refused.

use switchboard::{
    CloseCode, Deflate, DeflateParams, Delivery, Event, FrameHeader, Limits, MessageKind, ProtocolError, Receiver, Role,
};
use switchboard_tests::{
    counting::cost,
    deflaters::{Blocks, Zlib},
    engine::{
        BOTH_ROLES, Frames, OwnedEvent, binary, close, frame, frames, ping, pong, receive, receive_cut, rule, text,
    },
    random::{Random, for_each_seed},
    rfc1951::Inflater,
};

use crate::{NO_TAKEOVER, TAKEOVER, deflate, receiver};

/// "Hello" in one block (§7.2.3.1).
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
/// "Hello" as a reference to the message before (§7.2.3.2).
const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";

/// A pool with inflaters for `max_unfinished` messages, and memory for the windows of a few connections.
fn pool_with(max_unfinished: usize) -> Deflate {
    deflate(|config| {
        config.max_unfinished = max_unfinished;
        config.memory_bytes = 1 << 20;
    })
}

/// Receives bytes as a server does that serves other connections in between: it stops after each event and where the
/// receiver pauses, then passes the unread bytes again.
fn receive_paused(receiver: &mut Receiver, bytes: &[u8], max_bytes: usize) -> (Vec<OwnedEvent>, Option<ProtocolError>) {
    let (mut bytes, mut seen, mut start) = (bytes.to_vec(), Vec::new(), 0);
    while start < bytes.len() || receiver.is_paused() {
        let end = bytes.len();
        let mut events = receiver.receive(&mut bytes[start..]).with_inflate_budget(max_bytes);
        match events.next_event() {
            Ok(Some(event)) => seen.push(event.into()),
            Ok(None) => {}
            Err(error) => return (seen, Some(error)),
        }
        start = end - events.unread();
    }
    (seen, None)
}

/// Joins pieces into messages. An unfinished message is dropped.
fn joined(events: Vec<OwnedEvent>) -> Vec<OwnedEvent> {
    let (mut whole, mut open) = (Vec::new(), None::<Vec<u8>>);
    for event in events {
        let OwnedEvent::Piece { kind, payload, first, last } = event else {
            whole.push(event);
            continue;
        };
        assert_eq!(first, open.is_none(), "`first` is set only where a message begins");
        let mut bytes = open.take().unwrap_or_default();
        bytes.extend(payload);
        if !last {
            open = Some(bytes);
        } else if kind == MessageKind::Text {
            whole.push(text(&String::from_utf8(bytes).expect("a text is UTF-8")));
        } else {
            whole.push(binary(&bytes));
        }
    }
    whole
}

/// Receives `wire` in several ways, and compares the messages and the violation.
fn check(
    name: &str,
    role: Role,
    params: DeflateParams,
    wire: &[u8],
    expected: &[OwnedEvent],
    violation: Option<ProtocolError>,
    random: &mut Random,
) {
    for max_unfinished in [0, 1, 16] {
        let deflate = pool_with(max_unfinished);
        for delivery in [Delivery::Messages, Delivery::Pieces] {
            let new = || receiver(&deflate, role, params, Limits::default(), delivery);
            let bytewise = if wire.len() < 3000 { vec![1; wire.len()] } else { random.cuts(wire.len()) };
            let ways = [
                ("whole", receive(&mut new(), wire)),
                ("cut", receive_cut(&mut new(), wire, random.cuts(wire.len()))),
                ("byte by byte", receive_cut(&mut new(), wire, bytewise)),
                ("paused", receive_paused(&mut new(), wire, 1 + random.below(9000))),
                ("paused at each step", receive_paused(&mut new(), wire, 1)),
            ];
            for (way, (seen, error)) in ways {
                let context = format!("{name}, {way} ({role:?}, {delivery:?}, {max_unfinished} inflaters)");
                assert_eq!(joined(seen), expected, "{context}");
                assert_eq!(rule(error), rule(violation), "{context}: {error:?}");
                if let Some(ProtocolError::InvalidUtf8 { .. }) = violation {
                    assert_eq!(error, violation, "{context}: the offset too");
                }
            }
            // All inflaters are back in the pool.
            if max_unfinished > 0 && delivery == Delivery::Messages && violation.is_none() {
                let mut next = new();
                receive(&mut next, &frame(role, 0x41, HELLO));
                assert_eq!(next.buffered_bytes(), 5, "{name}: there is an inflater for the next");
            }
        }
    }
}

fn check_frames(
    name: &str,
    params: DeflateParams,
    list: Frames<'_>,
    expected: &[OwnedEvent],
    violation: Option<ProtocolError>,
) {
    for role in BOTH_ROLES {
        check(name, role, params, &frames(role, list), expected, violation, &mut Random::new(1));
    }
}

#[test]
fn the_examples_of_section_7_2_3_are_accepted() {
    let hello = [text("Hello")];
    check_frames("one block", NO_TAKEOVER, &[(0xC1, HELLO)], &hello, None);
    check_frames("in fragments", NO_TAKEOVER, &[(0x41, &HELLO[..3]), (0x80, &HELLO[3..])], &hello, None);
    let list: Frames<'_> = &[(0xC1, HELLO), (0xC1, HELLO_AGAIN)];
    check_frames("the window is shared", TAKEOVER, list, &[text("Hello"), text("Hello")], None);
    let stored = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
    check_frames("no compression", NO_TAKEOVER, &[(0xC1, stored)], &hello, None);
    check_frames("BFINAL", NO_TAKEOVER, &[(0xC1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00")], &hello, None);
    let two = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    check_frames("two blocks", NO_TAKEOVER, &[(0xC1, two)], &hello, None);
    check_frames("an empty message", NO_TAKEOVER, &[(0xC1, b"\x00")], &[text("")], None);
}

#[test]
fn everything_that_deflate_allows_is_accepted() {
    let again = [text("Hello"), text("Hello")];
    let list: Frames<'_> =
        &[(0x41, b""), (0x89, b"a"), (0x00, &HELLO[..1]), (0x00, b""), (0x8A, b"b"), (0x00, &HELLO[1..]), (0x80, b"")];
    check_frames(
        "empty fragments, and control frames between",
        NO_TAKEOVER,
        list,
        &[ping(b"a"), pong(b"b"), text("Hello")],
        None,
    );
    let list: Frames<'_> = &[(0xC2, HELLO), (0x81, b"plain"), (0xC1, HELLO_AGAIN), (0x82, b"end")];
    let expected = [binary(b"Hello"), text("plain"), text("Hello"), binary(b"end")];
    check_frames("an uncompressed message does not change the window", TAKEOVER, list, &expected, None);
    let list: Frames<'_> = &[(0xC1, HELLO), (0xC1, b"\x00"), (0xC1, HELLO_AGAIN)];
    check_frames(
        "an empty message does not change the window",
        TAKEOVER,
        list,
        &[text("Hello"), text(""), text("Hello")],
        None,
    );
    let list: Frames<'_> = &[(0xC1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), (0xC1, HELLO_AGAIN)];
    check_frames("a block with BFINAL does not change the window", TAKEOVER, list, &again, None);

    let rows: &[(&str, Vec<u8>, &[u8])] = &[
        ("an empty block with the fixed codes", b"\x02\x00".to_vec(), b""),
        ("the empty block at the end may have BFINAL too", b"\x01".to_vec(), b""),
        ("the same after data", b"\x00\x02\x00\xfd\xffHi\x01".to_vec(), b"Hi"),
        (
            "several blocks with BFINAL, with a reference to the data before them",
            Blocks::default()
                .fixed(true)
                .literals(b"abc")
                .end()
                .aligned()
                .fixed(true)
                .copy(3)
                .end()
                .aligned()
                .message(),
            b"abcabc",
        ),
        (
            "BFINAL on a stored block",
            Blocks::default().stored(true, b"abc").fixed(false).copy(3).end().message(),
            b"abcabc",
        ),
        (
            "empty stored blocks",
            Blocks::default().stored(false, b"").stored(false, b"x").stored(false, b"").message(),
            b"x",
        ),
    ];
    for (name, message, inflated) in rows {
        assert_eq!(Inflater::new(15).inflate(message).as_deref(), Ok(*inflated), "{name}, by the tests' inflater");
        check_frames(name, NO_TAKEOVER, &[(0xC2, message), (0x89, b"")], &[binary(inflated), ping(b"")], None);
    }
}

#[test]
fn a_window_of_32_kib_is_there_to_its_first_byte_and_not_before() {
    let mut random = Random::new(5);
    let bytes = random.bytes(32_768);
    for (before, distance, fits) in
        [(32_767, 32_767, true), (32_768, 32_768, true), (32_767, 32_768, false), (32_768, 32_767, true)]
    {
        let first = Blocks::default().stored(false, &bytes[..before]).message();
        let second = Blocks::default().fixed(false).copy(distance).end().message();
        let three = &bytes[before - distance.min(before)..][..3];
        for role in BOTH_ROLES {
            let wire = frames(role, &[(0xC2, &first), (0xC2, &second)]);
            let mut expected = vec![binary(&bytes[..before])];
            expected.extend(fits.then(|| binary(three)));
            let violation = (!fits).then_some(ProtocolError::InvalidDeflate);
            check(&format!("{distance} back of {before}"), role, TAKEOVER, &wire, &expected, violation, &mut random);
            // Without context takeover, the window is empty.
            let violation = Some(ProtocolError::InvalidDeflate);
            check("no takeover", role, NO_TAKEOVER, &wire, &[binary(&bytes[..before])], violation, &mut random);
        }
    }
}

#[test]
fn invalid_deflate_data_fails_with_1007() {
    let rows: &[(&str, &[u8])] = &[
        ("nothing at all", b""),
        ("cut off", &HELLO[..5]),
        ("cut off before the empty block", &HELLO[..6]),
        ("cut off in a stored block", b"\x00\x05\x00\xfa\xff\x48"),
        ("cut off in the header of a stored block", b"\x00\x05"),
        ("a stored block that takes its end from the tail", b"\x00\x04\x00\xfb\xff"),
        ("the tail left on", b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"),
        ("half of the tail left on", b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00"),
        ("garbage behind", b"\xf2\x48\xcd\xc9\xc9\x07\x00\xff"),
        ("BFINAL and nothing behind it", b"\xf3\x48\xcd\xc9\xc9\x07\x00"),
        ("the empty block twice with BFINAL, and the tail left on", b"\x01\x00\x00\xff\xff"),
        ("a stored block's length that does not fit", b"\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00"),
        ("the reserved block type", b"\x06\x00"),
        ("a distance before the beginning", HELLO_AGAIN),
        ("a zlib header in front", b"\x78\x9c\xf2\x48\xcd\xc9\xc9\x07\x00"),
        ("plain text", b"Hello"),
    ];
    for (name, message) in rows {
        assert!(Inflater::new(15).inflate(message).is_err(), "{name}, by the tests' inflater");
        let violation = Some(ProtocolError::InvalidDeflate);
        check_frames(name, NO_TAKEOVER, &[(0x89, b""), (0xC2, message), (0x89, b"")], &[ping(b"")], violation);
        check_frames(name, TAKEOVER, &[(0xC2, message), (0xC2, HELLO)], &[], violation);
        let (front, back) = message.split_at(message.len() / 2);
        check_frames(name, NO_TAKEOVER, &[(0x42, front), (0x80, back)], &[], violation);
    }
    assert_eq!(ProtocolError::InvalidDeflate.close_code(), CloseCode::INVALID_FRAME_PAYLOAD_DATA);
}

#[test]
fn rsv1_is_valid_only_if_negotiated_and_on_the_first_frame_of_a_message() {
    let rows: &[(&str, Frames<'_>, u8)] = &[
        ("RSV1 on a continuation", &[(0x41, &HELLO[..3]), (0xC0, &HELLO[3..])], 0b100),
        ("RSV1 on a continuation of an uncompressed message", &[(0x01, b"a"), (0xC0, b"b")], 0b100),
        ("RSV1 on a Ping", &[(0xC9, b"")], 0b100),
        ("RSV1 on a Pong", &[(0xCA, b"")], 0b100),
        ("RSV1 on a Close", &[(0xC8, b"")], 0b100),
        ("RSV2", &[(0xA1, b"a")], 0b010),
        ("RSV3", &[(0x91, b"a")], 0b001),
        ("RSV1 and RSV2", &[(0xE1, HELLO)], 0b110),
        ("RSV1 and RSV3", &[(0xD2, HELLO)], 0b101),
    ];
    for (name, list, bits) in rows {
        let violation = ProtocolError::ReservedBits { bits: *bits };
        check_frames(name, NO_TAKEOVER, list, &[], Some(violation));
        assert_eq!(violation.close_code(), CloseCode::PROTOCOL_ERROR);
    }
    for role in BOTH_ROLES {
        let mut plain = switchboard_tests::engine::receiver(role, Limits::default(), Delivery::Messages);
        let refused = receive(&mut plain, &frame(role, 0xC1, HELLO)[..1]);
        assert_eq!(refused, (vec![], Some(ProtocolError::ReservedBits { bits: 0b100 })), "not negotiated ({role:?})");
    }
}

/// The compressor of a peer.
struct PeerCompressor {
    zlib: Zlib,
    takeover: bool,
}

impl PeerCompressor {
    fn new(takeover: bool, random: &mut Random) -> Self {
        Self { zlib: Zlib::new(random.below(10) as u32, 9 + random.below(7) as u8), takeover }
    }

    fn compressed(&mut self, message: &[u8], random: &mut Random) -> Vec<u8> {
        if !self.takeover {
            self.zlib.reset();
        }
        match random.below(5) {
            0 => self.zlib.message_in_flushes(1 + message.len() / 3, message),
            1 if !self.takeover => {
                let (front, back) = message.split_at(random.below(message.len() + 1).min(40_000));
                let (codes, stored) = back.split_at(back.len().min(500));
                let blocks = Blocks::default().stored(random.chance(1, 2), front).fixed(true).literals(codes).end();
                stored.chunks(60_000).fold(blocks.aligned(), |blocks, part| blocks.stored(false, part)).message()
            }
            _ => self.zlib.message(message),
        }
    }
}

/// A message that repeats itself a little, and whether it is text.
fn payload(random: &mut Random) -> (bool, Vec<u8>) {
    let is_text = random.chance(1, 2);
    let words: Vec<Vec<u8>> = (0..1 + random.below(20))
        .map(|_| {
            let length = 1 + random.below(12);
            if is_text { random.text(length).into_bytes() } else { random.bytes(length) }
        })
        .collect();
    let count = [0, 1, 3, 50, 300, 3000][random.below(6)];
    (is_text, (0..count).flat_map(|_| words[random.below(words.len())].clone()).collect())
}

fn seen(is_text: bool, payload: &[u8]) -> OwnedEvent {
    if is_text { text(std::str::from_utf8(payload).expect("a text")) } else { binary(payload) }
}

/// Appends a message in fragments that are cut anywhere, with Pings between them if `controls` is set.
fn append(
    wire: &mut Vec<u8>,
    events: &mut Vec<OwnedEvent>,
    role: Role,
    first: u8,
    payload: &[u8],
    controls: bool,
    random: &mut Random,
) {
    let mut rest = payload;
    let mut opcode = first;
    loop {
        let length = if random.chance(1, 2) { rest.len() } else { random.below(rest.len() + 1) };
        let (now, later) = rest.split_at(length);
        let fin = later.is_empty() && random.chance(3, 4);
        wire.extend(frame(role, if fin { 0x80 } else { 0 } | opcode, now));
        if fin {
            return;
        }
        if controls && random.chance(1, 3) {
            wire.extend(frame(role, 0x89, b"between"));
            events.push(ping(b"between"));
        }
        (rest, opcode) = (later, 0);
    }
}

#[test]
fn messages_are_the_same_however_the_bytes_are_cut_and_however_many_inflaters_there_are() {
    for_each_seed(15, |mut random| {
        for role in BOTH_ROLES {
            let takeover = random.chance(1, 2);
            let mut peer = PeerCompressor::new(takeover, &mut random);
            let (mut wire, mut expected) = (Vec::new(), Vec::new());
            for _ in 0..1 + random.below(6) {
                let (is_text, payload) = payload(&mut random);
                let opcode = if is_text { 0x1 } else { 0x2 };
                if random.chance(1, 5) {
                    append(&mut wire, &mut expected, role, opcode, &payload, true, &mut random);
                } else {
                    let compressed = peer.compressed(&payload, &mut random);
                    append(&mut wire, &mut expected, role, 0x40 | opcode, &compressed, true, &mut random);
                }
                expected.push(seen(is_text, &payload));
            }
            if random.chance(1, 3) {
                wire.extend(frame(role, 0x88, &[0x03, 0xE8]));
                expected.push(close(1000, ""));
            }
            let params = if takeover { TAKEOVER } else { NO_TAKEOVER };
            check("messages", role, params, &wire, &expected, None, &mut random);
        }
    });
}

#[test]
fn errors_are_the_same_however_the_bytes_are_cut_and_however_many_inflaters_there_are() {
    for_each_seed(40, |mut random| {
        let role = BOTH_ROLES[random.below(2)];
        let mut peer = PeerCompressor::new(false, &mut random);
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        let (_, before) = payload(&mut random);
        wire.extend(frame(role, 0xC2, &peer.compressed(&before, &mut random)));
        expected.push(binary(&before));
        let (_, after) = payload(&mut random);
        let mut faulty = peer.compressed(&after, &mut random);
        for _ in 0..1 + random.below(3) {
            let at = random.below(faulty.len());
            match random.below(4) {
                0 => faulty.truncate(at),
                1 => faulty.insert(at, random.next_u64() as u8),
                _ => faulty[at] ^= 1 << random.below(8),
            }
            faulty.push(0);
        }
        let violation = match Inflater::new(15).inflate(&faulty) {
            Ok(inflated) => {
                expected.push(binary(&inflated));
                None
            }
            Err(_) => Some(ProtocolError::InvalidDeflate),
        };
        append(&mut wire, &mut expected, role, 0x42, &faulty, false, &mut random);
        check("a fault", role, NO_TAKEOVER, &wire, &expected, violation, &mut random);
    });
}

#[test]
fn text_is_checked_while_it_is_inflated_and_the_offset_is_exact() {
    let rows: &[(&str, &[u8], u64)] = &[
        ("a byte that never occurs", b"abc\xffdef", 3),
        ("too large", b"ab\xf4\x90\x80\x80", 3),
        ("cut off by the end", b"abc\xe6\x9d", 5),
        ("a surrogate", b"\xed\xa0\x80", 1),
    ];
    for (name, payload, offset) in rows {
        let message = Blocks::default().fixed(false).literals(payload).end().message();
        let violation = ProtocolError::InvalidUtf8 { offset: *offset };
        check_frames(name, NO_TAKEOVER, &[(0xC1, &message)], &[], Some(violation));
        let (front, back) = message.split_at(message.len() / 2);
        check_frames(name, NO_TAKEOVER, &[(0x41, front), (0x80, back)], &[], Some(violation));
        // It comes before the error of invalid DEFLATE data behind it, except if only the end shows it.
        if *name != "cut off by the end" {
            let broken = Blocks::default().fixed(false).literals(payload).copy(30_000).end().message();
            check_frames(name, NO_TAKEOVER, &[(0xC1, &broken)], &[], Some(violation));
        }
    }
    let faulty = [b"abc\xff".as_slice(), &[b'a'; 1 << 20]].concat();
    let message = Zlib::new(6, 15).message(&faulty);
    assert!(message.len() > 1000);
    for role in BOTH_ROLES {
        for delivery in [Delivery::Messages, Delivery::Pieces] {
            let deflate = Deflate::default();
            let mut receiver = receiver(&deflate, role, NO_TAKEOVER, Limits::default(), delivery);
            // The first hundred bytes show it.
            let (seen, error) = receive(&mut receiver, &frame(role, 0xC1, &message)[..100]);
            assert_eq!((seen, error), (vec![], Some(ProtocolError::InvalidUtf8 { offset: 3 })), "{role:?}");
        }
    }
}

#[test]
fn connections_that_share_a_pool_share_nothing_else() {
    struct One {
        role: Role,
        takeover: bool,
        peer: PeerCompressor,
        receiver: Receiver,
        wire: Vec<u8>,
        expected: Vec<OwnedEvent>,
        got: Vec<OwnedEvent>,
        fails: bool,
    }
    for_each_seed(12, |mut random| {
        let deflate = pool_with([0, 1, 3, 16][random.below(4)]);
        let begin = |random: &mut Random| {
            let (role, takeover) = (BOTH_ROLES[random.below(2)], random.chance(1, 2));
            let params = if takeover { TAKEOVER } else { NO_TAKEOVER };
            let receiver = receiver(&deflate, role, params, Limits::default(), Delivery::Messages);
            let peer = PeerCompressor::new(takeover, random);
            One { role, takeover, peer, receiver, wire: vec![], expected: vec![], got: vec![], fails: false }
        };
        let mut all: Vec<One> = (0..12).map(|_| begin(&mut random)).collect();
        for _ in 0..600 {
            let at = random.below(all.len());
            let one = &mut all[at];
            if one.wire.is_empty() {
                if one.fails || random.chance(1, 40) {
                    *one = begin(&mut random); // perhaps with the inflater of the connection before it
                    continue;
                }
                let (is_text, payload) = payload(&mut random);
                let first = if is_text { 0x41 } else { 0x42 };
                let mut compressed = one.peer.compressed(&payload, &mut random);
                one.fails = random.chance(1, 10);
                if one.fails {
                    compressed.truncate(compressed.len() / 2);
                    compressed.push(0xFF);
                } else {
                    one.expected.push(seen(is_text, &payload));
                }
                append(&mut one.wire, &mut vec![], one.role, first, &compressed, false, &mut random);
                // A reference to another connection's message must be invalid.
                if !one.fails && !one.takeover && random.chance(1, 10) {
                    one.wire.extend(frame(one.role, 0xC2, &Blocks::default().fixed(false).copy(3).end().message()));
                    one.fails = true;
                }
            }
            let length = 1 + random.below(one.wire.len());
            let bytes: Vec<u8> = one.wire.drain(..length).collect();
            let (seen, error) = receive_paused(&mut one.receiver, &bytes, 1 + random.below(20_000));
            one.got.extend(seen);
            if let Some(error) = error {
                assert!(one.fails, "{error:?}");
                one.wire.clear();
            }
            if one.wire.is_empty() {
                assert_eq!(one.got, one.expected);
                assert_eq!(one.receiver.has_failed(), one.fails);
            }
        }
        drop(all);
        assert_eq!(deflate.takeover_bytes(), 0);
    });
}

/// Numbers of inflaters, and deliveries.
const POOLS_AND_DELIVERIES: [(usize, Delivery); 4] =
    [(0, Delivery::Messages), (0, Delivery::Pieces), (16, Delivery::Messages), (16, Delivery::Pieces)];

/// `length` zeros, compressed to about a thousandth.
fn zeros(length: usize) -> Vec<u8> {
    Zlib::new(9, 15).message(&vec![0; length])
}

#[test]
fn a_message_fails_where_it_passes_the_limit_however_much_follows() {
    let bomb = zeros(64 << 20);
    assert!(bomb.len() < 66_000, "{} bytes", bomb.len());
    let limit = 1 << 20;
    for (max_unfinished, delivery) in POOLS_AND_DELIVERIES {
        let deflate = pool_with(max_unfinished);
        for role in BOTH_ROLES {
            let mut receiver = receiver(&deflate, role, NO_TAKEOVER, Limits::of_bytes(limit), delivery);
            let mut wire = frame(role, 0xC2, &bomb);
            let mut given = 0;
            let used = cost(|| {
                let mut events = receiver.receive(&mut wire);
                let error = loop {
                    match events.next_event() {
                        Ok(Some(Event::Piece(piece))) => given += piece.payload.len() as u64,
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => break error,
                    }
                };
                assert_eq!(error, ProtocolError::MessageTooLong { length: limit + 1, limit });
                assert_eq!(error.close_code(), CloseCode::MESSAGE_TOO_BIG);
            });
            assert!(given <= limit, "{given} bytes in pieces, limit {limit}");
            // The message's buffer and an inflater.
            let max = if delivery == Delivery::Messages { limit } else { 0 } + 150_000;
            assert!(used.peak as u64 <= max, "{delivery:?}: {used:?}");
        }
    }
}

#[test]
fn the_limit_counts_inflated_bytes_exactly() {
    for length in [1000, 8192, 16_384, 100_000] {
        let limits = Limits::of_bytes(length as u64);
        let too_long = ProtocolError::MessageTooLong { length: length as u64 + 1, limit: length as u64 };
        for (over, violation) in [(0, None), (1, Some(too_long)), (5000, Some(too_long))] {
            let compressed = zeros(length + over);
            for role in BOTH_ROLES {
                for (max_unfinished, delivery) in POOLS_AND_DELIVERIES {
                    let deflate = pool_with(max_unfinished);
                    let new = || receiver(&deflate, role, NO_TAKEOVER, limits, delivery);
                    let wire = frame(role, 0xC2, &compressed);
                    let expected = if over == 0 { vec![binary(&vec![0; length])] } else { vec![] };
                    for (seen, error) in [
                        receive(&mut new(), &wire),
                        receive_cut(&mut new(), &wire, vec![1; wire.len()]),
                        receive_paused(&mut new(), &wire, 100),
                    ] {
                        assert_eq!(
                            (joined(seen), error),
                            (expected.clone(), violation),
                            "{length} and {over} ({role:?})"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn inflating_pauses_after_the_number_of_bytes_asked_for() {
    let deflate = Deflate::default();
    let wire = frame(Role::Client, 0xC2, &zeros(1 << 20));
    let mut bytes = wire.clone();
    let mut receiver = receiver(&deflate, Role::Client, NO_TAKEOVER, Limits::default(), Delivery::Messages);
    let mut start = 0;
    let mut turns = 0;
    loop {
        let before = receiver.buffered_bytes();
        let end = bytes.len();
        let mut events = receiver.receive(&mut bytes[start..]).with_inflate_budget(64 << 10);
        let message = events.next_event().expect("valid").is_some();
        start = end - events.unread();
        turns += 1;
        if message {
            break;
        }
        assert!(start < end, "there is more");
        let inflated = receiver.buffered_bytes() - before;
        assert!((64 << 10..=80 << 10).contains(&inflated), "{inflated} bytes in a turn");
    }
    assert!((13..=17).contains(&turns), "{turns} turns");
}

/// Connections that hold all inflaters must not disable the pause for others: neither for a whole message, nor for one
/// whose compressed bytes had to wait, whatever its last frame is.
#[test]
fn inflating_pauses_without_a_free_inflater_too() {
    let bomb = zeros(1 << 20);
    let half = bomb.len() / 2;
    let rows: [(&str, Frames<'_>); 3] = [
        ("whole", &[(0xC2, &bomb)]),
        ("in two frames", &[(0x42, &bomb[..half]), (0x80, &bomb[half..])]),
        ("with an empty frame at its end", &[(0x42, &bomb), (0x80, b"")]),
    ];
    for (name, list) in rows {
        let deflate = pool_with(0);
        let mut bytes = frames(Role::Client, list);
        let mut receiver = receiver(&deflate, Role::Client, NO_TAKEOVER, Limits::default(), Delivery::Messages);
        let (mut start, mut turns) = (0, 0);
        loop {
            turns += 1;
            let end = bytes.len();
            let mut events = receiver.receive(&mut bytes[start..]).with_inflate_budget(64 << 10);
            let length = match events.next_event().expect("valid") {
                Some(Event::Binary(message)) => message.len(),
                Some(other) => panic!("{name}: {other:?}"),
                None => 0,
            };
            start = end - events.unread();
            if length > 0 {
                assert_eq!(length, 1 << 20, "{name}");
                break;
            }
            let kept = receiver.buffered_bytes();
            assert!(start < end || receiver.is_paused(), "{name}: there is more");
            assert!(kept > 90_000, "{name}: {kept} bytes, with an inflater");
        }
        assert!((13..=18).contains(&turns), "{name}: {turns} turns");
        assert!(!receiver.is_paused() && receiver.buffered_bytes() == 0, "{name}");
    }
}

/// Blocks without data still take time.
#[test]
fn input_that_inflates_to_nothing_counts_as_work() {
    let empty = (0..20_000).fold(Blocks::default(), |blocks, _| blocks.fixed(false).end()).message();
    let deflate = Deflate::default();
    let mut wire = frame(Role::Client, 0xC2, &empty);
    let length = wire.len();
    let mut receiver = receiver(&deflate, Role::Client, NO_TAKEOVER, Limits::default(), Delivery::Messages);
    let mut events = receiver.receive(&mut wire).with_inflate_budget(64 << 10);
    assert_eq!(events.next_event(), Ok(None));
    let read = length - events.unread();
    assert!(read <= 9_000, "{read} of {length} bytes");
}

/// Each block with BFINAL takes two bytes, and the window is set up anew behind it.
#[test]
fn blocks_with_bfinal_count_as_work() {
    let window = Blocks::default().stored(false, &[7; 40_000]);
    let finals = (0..1000).fold(window, |blocks, _| blocks.fixed(true).end().aligned()).message();
    let mut wire = frame(Role::Client, 0xC2, &finals);
    let length = wire.len();
    let deflate = Deflate::default();
    let mut receiver = receiver(&deflate, Role::Client, NO_TAKEOVER, Limits::default(), Delivery::Messages);
    let mut events = receiver.receive(&mut wire).with_inflate_budget(1 << 20);
    assert_eq!(events.next_event(), Ok(None));
    let read = length - events.unread();
    assert!(read <= 40_100, "a window of 32 KiB for each 2 of {} bytes", read - 40_000);
    let mut events = receiver.receive(&mut wire[read..]).with_inflate_budget(1 << 20);
    assert_eq!(events.next_event(), Ok(None));
    let more = length - read - events.unread();
    assert!(more <= 100, "a window of 32 KiB for each 2 of {more} bytes");
}

#[test]
fn the_header_of_a_compressed_frame_is_read_like_any_other() {
    let rules = switchboard::HeaderRules {
        role: Role::Client,
        rsv1: true,
        unfinished: None,
        max_frame_bytes: 10,
        max_message_bytes: 10,
    };
    let (header, used) = FrameHeader::decode(&[0xC1, 0x07], &rules).unwrap().expect("whole");
    assert_eq!((header.rsv1, header.payload_len, used), (true, 7, 2));
    assert_eq!(FrameHeader::decode(&[0xC1, 0x0B], &rules), Err(ProtocolError::FrameTooLong { length: 11, limit: 10 }));
}

#[test]
fn the_number_of_blocks_with_bfinal_is_limited() {
    let finals =
        |count: usize| (0..count).fold(Blocks::default(), |blocks, _| blocks.fixed(true).end().aligned()).message();
    let list: Frames<'_> = &[(0xC2, &finals(1000)), (0xC2, &finals(1000))];
    check_frames("the limit, twice", NO_TAKEOVER, list, &[binary(b""), binary(b"")], None);
    let violation = ProtocolError::TooManyFinalBlocks { limit: 1000 };
    assert_eq!(violation.close_code(), CloseCode::POLICY_VIOLATION);
    let list: Frames<'_> = &[(0xC2, &finals(1001))];
    check_frames("one more", NO_TAKEOVER, list, &[], Some(violation));
}

/// With context takeover, the window is set up anew for each message, however short.
#[test]
fn windows_that_are_taken_over_count_as_work() {
    let deflate = pool_with(16);
    let mut receiver = receiver(&deflate, Role::Client, TAKEOVER, Limits::default(), Delivery::Messages);
    let window = Blocks::default().stored(false, &[7; 40_000]).message();
    receive(&mut receiver, &frame(Role::Client, 0xC2, &window));
    let mut wire = frame(Role::Client, 0xC2, b"\x00").repeat(10_000);
    let length = wire.len();
    let mut events = receiver.receive(&mut wire).with_inflate_budget(1 << 20);
    let mut messages = 0;
    while events.next_event().expect("valid").is_some() {
        messages += 1;
    }
    let read = length - events.unread();
    assert!(read < 200, "{messages} windows of 32 KiB in {read} bytes");
}

#[test]
fn pieces_pause_as_messages_do_whether_or_not_an_inflater_was_free() {
    for max_unfinished in [0, 16] {
        let deflate = pool_with(max_unfinished);
        let mut receiver = receiver(&deflate, Role::Client, NO_TAKEOVER, Limits::default(), Delivery::Pieces);
        let mut wire = frame(Role::Client, 0xC2, &zeros(1 << 20));
        let mut events = receiver.receive(&mut wire).with_inflate_budget(64 << 10);
        let mut inflated = 0;
        while let Some(event) = events.next_event().expect("valid") {
            let Event::Piece(piece) = event else { panic!("{event:?}") };
            inflated += piece.payload.len();
        }
        assert!((64 << 10..=80 << 10).contains(&inflated), "{inflated} bytes, {max_unfinished} inflaters");
    }
}
