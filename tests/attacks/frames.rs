//! FR: frame headers.

use std::{
    collections::HashSet,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use switchboard::{
    Connection, Delivery, HeadLimits, Limits, MaskingKey, ProtocolError, RequestReader, Role, ServerHandshake,
};
use switchboard_tests::{
    counting::{NOTHING, cost},
    engine::{
        BOTH_ROLES, Frames, OwnedEvent, Row, binary, count_events, frame, frames, ping, receive, receive_cut, receiver,
        rule, text,
    },
    hex,
    process::{memory, peak_of_address_space},
    random::{Random, for_each_seed},
    server::{LONG, Raw, Service, builder, config, header, round_trip, serve},
};

use crate::{
    exclusively,
    process::{echo_process, server_process},
    scaled,
};

/// Returns the frame header for a receiver in this role: `header` is as a client receives it, and for a server the mask
/// bit is set.
fn for_role(role: Role, header: &str) -> Vec<u8> {
    let mut bytes = hex(header);
    if role == Role::Server {
        bytes[1] |= 0x80;
    }
    bytes
}

/// Covers targets of 64 bits; the test does not run on one of 32 bits.
#[test]
fn fr_01_length_out_of_range_fails_with_1002_or_1009_and_allocates_nothing() {
    let unlimited = Limits::of_bytes(u64::MAX);
    let high = ProtocolError::LengthOutOfRange;
    let limit = Limits::default().max_frame_bytes;
    let long = |length| ProtocolError::FrameTooLong { length, limit };
    let rows = [
        ("only the highest bit", "82 7f 80", unlimited, high, 1002),
        ("the highest bit, and 5", "82 7f 80000000 00000005", unlimited, high, 1002),
        ("all bits", "82 7f ffffffff ffffffff", unlimited, high, 1002),
        ("all bits, text, default limits", "81 7f ffffffff ffffffff", Limits::default(), high, 1002),
        ("all bits, a Ping", "89 7f ffffffff ffffffff", unlimited, ProtocolError::ControlTooLong, 1002),
        ("2^63 - 1", "82 7f 7fffffff ffffffff", Limits::default(), long(i64::MAX as u64), 1009),
        ("2^32 + 5: 5 in 32 bits", "82 7f 00000001 00000005", Limits::default(), long((1 << 32) + 5), 1009),
        ("2^32 - 14: header and length wrap", "82 7f 00000000 fffffff2", Limits::default(), long(0xFFFF_FFF2), 1009),
    ];
    for role in BOTH_ROLES {
        for (name, wire, limits, error, code) in rows {
            assert_eq!(error.close_code().get(), code);
            for bytewise in [false, true] {
                let mut wire = for_role(role, wire);
                let length = wire.len();
                let mut receiver = receiver(role, limits, Delivery::Messages);
                let mut seen = None;
                let used = cost(|| {
                    for piece in wire.chunks_mut(if bytewise { 1 } else { length }) {
                        seen = receiver.receive(piece).next_event().err().or(seen);
                    }
                });
                assert_eq!((rule(seen), used), (rule(Some(error)), NOTHING), "{name} ({role:?}): {seen:?}");
            }
        }
    }
}

/// The sum of the lengths overflows a signed integer.
#[test]
fn fr_01_lengths_that_add_up_past_2_to_63_fail_with_1009() {
    let limit = i64::MAX as u64 + 500;
    for role in BOTH_ROLES {
        let mut receiver = receiver(role, Limits::of_bytes(limit), Delivery::Messages);
        assert_eq!(receive(&mut receiver, &frame(role, 0x02, &[7; 1000])), (vec![], None));
        let (_, error) = receive(&mut receiver, &for_role(role, "00 7f 7fffffff ffffffff"));
        assert_eq!(error, Some(ProtocolError::MessageTooLong { length: i64::MAX as u64 + 1000, limit }));
    }
}

#[test]
fn fr_01_length_over_the_limit_allocates_nothing() {
    let mut client = receiver(Role::Client, Limits::default(), Delivery::Messages);
    let used = cost(|| {
        let mut bytes = [0x82, 0x7F, 0, 0, 0, 1];
        assert!(client.receive(&mut bytes).next_event().is_err());
    });
    assert_eq!(used, NOTHING);
}

#[test]
fn fr_02_length_that_is_not_minimal_fails_with_1002_at_the_byte_that_shows_it() {
    let violation = ProtocolError::NonMinimalLength;
    assert_eq!(violation.close_code().get(), 1002);
    let rows: &[(&str, &str)] = &[
        ("16 bits for 0", "7e 0000"),
        ("16 bits for 1", "7e 0001"),
        ("16 bits for 125", "7e 007d"),
        ("64 bits for 0 to 65535, whatever follows", "7f 000000000000"),
    ];
    for (name, length) in rows {
        Row::fails(name, Role::Client, [hex("82"), hex(length)].concat(), violation).check();
        let mut masked = hex(length);
        masked[0] |= 0x80;
        Row::fails(name, Role::Server, [hex("82"), masked].concat(), violation).check();
    }
    let near: &[(&str, &[u8])] =
        &[("16 bits for 126", &[0x82, 0x7E, 0, 126]), ("64 bits for 65536", &[0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0])];
    for (name, header) in near {
        let taken = receive(&mut receiver(Role::Client, Limits::default(), Default::default()), header);
        assert_eq!(taken, (vec![], None), "{name}");
    }
}

#[test]
fn fr_03_claimed_length_reserves_nothing_until_bytes_come() {
    for first in [0x81, 0x82, 0x01, 0x02] {
        for delivery in [Delivery::Messages, Delivery::Pieces] {
            let mut client = receiver(Role::Client, Limits::of_bytes(u64::MAX), delivery);
            let used = cost(|| {
                count_events(&mut client, &mut [first, 0x7F, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
            });
            // The state of the message may be allocated, but no buffer.
            assert!(used.calls <= 1 && used.peak <= 256, "{first:02x}: {used:?}");
            let more = cost(|| {
                count_events(&mut client, &mut [b'x'; 100]);
            });
            assert!(more.peak <= 200, "{first:02x}, then 100 bytes: {more:?}");
        }
    }
}

#[test]
fn fr_03_length_that_is_claimed_costs_no_address_space() {
    let server = echo_process("frames::fr_03_length_that_is_claimed_costs_no_address_space");
    let mut witness = builder().connect(&server.url()).unwrap();
    round_trip(&mut witness);
    let before = peak_of_address_space(server.id());
    let mut peers = Vec::new();
    for _ in 0..200 {
        let mut raw = Raw::connect(server.address);
        raw.handshake();
        raw.write(header(0x82, 16 << 20));
        raw.write([0]);
        let mut post = Raw::connect(server.address);
        post.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n");
        peers.push((raw, post));
    }
    round_trip(&mut witness);
    round_trip(&mut witness);
    // The peers claim 3,200 MiB.
    let more = peak_of_address_space(server.id()) - before;
    assert!(more < 100 << 20, "{} MiB more", more >> 20);
}

/// The deadline is 30 s by default.
#[test]
fn fr_03_crowd_that_claims_much_and_sends_one_byte_costs_little_and_gets_1008() {
    let name = "frames::fr_03_crowd_that_claims_much_and_sends_one_byte_costs_little_and_gets_1008";
    let timeout = scaled(Duration::from_secs(3), Duration::from_secs(30));
    let server = server_process(name, || {
        let mut config = config();
        config.message_timeout = timeout;
        serve(config, Service::echo())
    });
    let _exclusive = exclusively();
    let crowd = scaled(1_000, 10_000);
    // The first peers make the server allocate what it needs itself.
    let few: Vec<_> = (0..100).map(|_| claim(server.raw())).collect();
    let before = memory(server.id());
    let mut many: Vec<_> = (0..crowd).map(|_| claim(server.raw())).collect();
    let last = Instant::now();
    round_trip(&mut builder().connect(&format!("ws://{}/", server.address)).unwrap());
    let more = memory(server.id()).saturating_sub(before);
    assert!(more <= crowd * (4 << 10), "{} bytes for each", more / crowd);
    for raw in &mut many {
        raw.stream.set_read_timeout(Some(timeout + LONG)).unwrap();
        assert_eq!(raw.until_close(), (vec![], 1008));
        raw.expect_end();
    }
    let waited = last.elapsed();
    assert!(waited > timeout / 2 && waited < timeout + LONG, "closed after {waited:?}");
    drop(few);
}

/// Announces a message of the maximum length and sends one byte of it.
fn claim(mut raw: Raw) -> Raw {
    raw.write([header(0x82, 16 << 20), vec![0]].concat());
    raw
}

#[test]
fn fr_04_client_masks_every_frame_and_a_server_none_or_1002() {
    let unmasked = ProtocolError::UnmaskedFrame;
    let masked = ProtocolError::MaskedFrame;
    let rows = [
        Row::fails("text", Role::Server, hex("81 05"), unmasked),
        Row::fails("empty text", Role::Server, hex("81 00"), unmasked),
        Row::fails("a long one", Role::Server, hex("82 7f"), unmasked),
        Row::fails("close", Role::Server, hex("88 02"), unmasked),
        Row::fails("empty ping", Role::Server, hex("89 00"), unmasked),
        Row::fails("empty pong", Role::Server, hex("8a 00"), unmasked),
        Row::fails("second fragment", Role::Server, hex("01 80 00000000  80 00"), unmasked),
        Row::fails("text", Role::Client, hex("81 85"), masked),
        Row::fails("empty text", Role::Client, hex("81 80"), masked),
        Row::fails("a long one", Role::Client, hex("82 ff"), masked),
        Row::fails("close", Role::Client, hex("88 82"), masked),
        Row::fails("empty ping", Role::Client, hex("89 80"), masked),
        Row::fails("empty pong", Role::Client, hex("8a 80"), masked),
        Row::fails("second fragment", Role::Client, hex("01 00  80 80"), masked),
    ];
    rows.iter().for_each(Row::check);
    assert_eq!((unmasked.close_code().get(), masked.close_code().get()), (1002, 1002));
}

/// No extension is negotiated, so no reserved bit is valid.
#[test]
fn fr_05_reserved_bits_in_all_combinations_fail_with_1002_at_the_first_byte() {
    for role in BOTH_ROLES {
        for bits in 1..=7 {
            let violation = ProtocolError::ReservedBits { bits };
            assert_eq!(violation.close_code().get(), 1002);
            let fails = |before: Frames<'_>, events: &[OwnedEvent], first: u8| {
                let wire = [frames(role, before), vec![first | bits << 4]].concat();
                Row::fails(&format!("{first:02x}, {bits:03b}"), role, wire, violation).after(events.to_vec()).check();
            };
            for first in [0x81, 0x82, 0x01, 0x02, 0x89, 0x8A, 0x88] {
                fails(&[], &[], first);
                fails(&[(0x81, b"a")], &[text("a")], first);
            }
            for first in [0x00, 0x80, 0x89, 0x8A, 0x88] {
                fails(&[(0x01, b"a")], &[], first);
                fails(&[(0x02, b"a"), (0x89, b"!"), (0x00, b"b")], &[ping(b"!")], first);
            }
        }
    }
}

#[test]
fn fr_06_reserved_opcodes_fail_with_1002_at_the_first_byte_and_allocate_nothing() {
    for role in BOTH_ROLES {
        for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF] {
            let violation = ProtocolError::ReservedOpcode(opcode);
            assert_eq!(violation.close_code().get(), 1002);
            for first in [opcode, 0x80 | opcode] {
                Row::fails("before its length", role, vec![first], violation).check();
                let mut receiver = receiver(role, Limits::of_bytes(u64::MAX), Delivery::Messages);
                let mut wire = for_role(role, "00 7f 00000000 40000000");
                wire[0] = first;
                let used = cost(|| assert_eq!(receiver.receive(&mut wire).next_event(), Err(violation)));
                assert_eq!(used, NOTHING, "1 GiB of {first:02x}");
            }
        }
    }
}

#[test]
fn fr_06_peer_that_announces_a_gigabyte_of_a_reserved_opcode_gets_1002_before_it_sends_any() {
    let server = serve(config(), Service::echo());
    for first in [0x83, 0x03, 0x8B, 0x8F] {
        let (mut raw, _) = server.raw();
        raw.write(header(first, 1 << 30));
        assert_eq!(raw.until_close(), (vec![], 1002));
        raw.expect_end();
    }
}

/// Inputs of at most 64 bytes, valid and invalid.
fn short_wires(role: Role) -> Vec<Vec<u8>> {
    let long = [b'x'; 30];
    let lists: [Frames<'_>; 11] = [
        &[(0x81, b"Hello"), (0x82, b"\xFF"), (0x89, b"!")],
        &[(0x01, "sch\u{f6}n".as_bytes()), (0x89, b"?"), (0x00, b""), (0x8A, b""), (0x80, b"er")],
        &[(0x01, b"\xF0\x9F"), (0x89, b""), (0x80, b"\x98\x80")],
        &[(0x01, b"\xF0\x9F"), (0x80, b"\x98")],
        &[(0x81, &long), (0x88, b"\x03\xE8bye"), (0x81, b"late")],
        &[(0x82, b"a"), (0x88, b"\x03\xED")],
        &[(0x81, b"a\xED\xA0\x80")],
        &[(0x02, b"a"), (0x02, b"b")],
        &[(0x82, b""), (0x80, b"")],
        &[(0x89, b"a"), (0x09, b"b")],
        &[(0x82, b"a"), (0xC2, b"b")],
    ];
    let mut wires: Vec<_> = lists.iter().map(|list| frames(role, list)).collect();
    for header in ["82 7e 00 7d", "82 7f 80", "82 7e 01 00 00", "81 7f 0000000000010000 6161", "83 00", "88 01 03"] {
        wires.push([frame(role, 0x81, b"before"), for_role(role, header), vec![0; 20]].concat());
    }
    wires
}

#[test]
fn fr_07_every_pair_of_cuts_in_short_wires_gives_the_same_events_and_the_same_violation() {
    for role in BOTH_ROLES {
        for wire in short_wires(role) {
            assert!(wire.len() <= 64, "{} bytes", wire.len());
            let new = || receiver(role, Limits::of_bytes(1 << 20), Delivery::Messages);
            let (events, error) = receive(&mut new(), &wire);
            let check = |lengths: Vec<usize>| {
                let name = format!("{wire:02x?} in {lengths:?} ({role:?})");
                let (seen, violation) = receive_cut(&mut new(), &wire, lengths);
                assert_eq!((seen, rule(violation)), (events.clone(), rule(error)), "{name}");
            };
            check(vec![1; wire.len()]);
            for first in 0..=wire.len() {
                for second in first..=wire.len() {
                    check(vec![first, second - first, wire.len() - second]);
                }
            }
        }
    }
}

/// Random frames that are mostly valid, as a faulty peer would write them.
fn faulty_wire(to: Role, random: &mut Random) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut inside = false;
    for _ in 0..1 + random.below(8) {
        let length = [0, 1, 2, 4, 125, 126, 200][random.below(7)];
        let control = random.chance(1, 4);
        let length = if control { length.min(125) } else { length };
        let payload =
            if random.chance(2, 3) { random.text(length).bytes().take(length).collect() } else { random.bytes(length) };
        let fin = random.chance(1, 2);
        let first = match (control, inside) {
            (true, _) => 0x80 | [0x9, 0xA, 0x9, 0xA, 0x8][random.below(5)],
            (false, true) => 0x00,
            (false, false) => [0x1, 0x2][random.below(2)],
        };
        let first = if fin && !control { first | 0x80 } else { first };
        inside = if control { inside } else { !fin };
        wire.extend(frame(to, first, &payload));
    }
    if random.chance(1, 2) {
        let at = random.below(wire.len());
        wire[at] ^= 1 << random.below(8);
    }
    wire
}

#[test]
fn fr_07_random_cuts_give_the_same_events_and_the_same_violation() {
    for_each_seed(scaled(3_000, 250_000), |mut random| {
        for role in BOTH_ROLES {
            let limits = Limits::of_bytes([100, 150, 1 << 20][random.below(3)]);
            let wire = faulty_wire(role, &mut random);
            let new = || receiver(role, limits, Delivery::Messages);
            let (mut whole, mut cut, mut bytewise) = (new(), new(), new());
            let (events, error) = receive(&mut whole, &wire);
            for (name, receiver, lengths) in
                [("cut", &mut cut, random.cuts(wire.len())), ("byte by byte", &mut bytewise, vec![1; wire.len()])]
            {
                let (seen, violation) = receive_cut(receiver, &wire, lengths);
                assert_eq!(seen, events, "{name} ({role:?})");
                assert_eq!(rule(violation), rule(error), "{name} ({role:?}): {violation:?}, {error:?}");
                if matches!(error, Some(ProtocolError::InvalidUtf8 { .. })) {
                    assert_eq!(violation, error, "{name} ({role:?}): the offset too");
                }
                assert_eq!(
                    (receiver.has_unfinished(), receiver.buffered_bytes()),
                    (whole.has_unfinished(), whole.buffered_bytes()),
                    "{name} ({role:?})"
                );
            }
        }
    });
}

#[test]
fn fr_07_noise_has_the_same_result_however_it_is_cut() {
    for_each_seed(scaled(3_000, 250_000), |mut random| {
        for role in BOTH_ROLES {
            let length = 1 + random.below(64);
            let wire = random.bytes(length);
            let new = || receiver(role, Limits::default(), Delivery::Messages);
            let whole = receive(&mut new(), &wire);
            let cut = receive_cut(&mut new(), &wire, random.cuts(wire.len()));
            assert_eq!((&cut.0, rule(cut.1)), (&whole.0, rule(whole.1)), "{role:?}");
        }
    });
}

/// The masking keys of a client come from the operating system; its API takes none. A long run has a million frames.
#[test]
fn fr_08_client_masks_each_frame_with_a_fresh_key_of_random_bytes() {
    let count = scaled(20_000, 1_000_000);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let keys = thread::spawn(move || keys_of(listener, count));
    let mut client = builder().connect(&format!("ws://{address}/")).unwrap();
    for _ in 0..count {
        client.send_text("").unwrap();
    }
    let keys = keys.join().unwrap();

    // Of random keys about n² / 2^33 pairs are equal: 0.05 here, 116 of a million.
    let distinct: HashSet<_> = keys.iter().collect();
    assert!(keys.len() - distinct.len() <= scaled(5, 250), "{} keys are used twice", keys.len() - distinct.len());
    for place in 0..4 {
        assert_random(keys.iter().map(|key| key[place]), &format!("byte {place} of the keys"));
        let steps = keys.windows(2).map(|pair| pair[1][place].wrapping_sub(pair[0][place]));
        assert_random(steps, &format!("byte {place} of the keys' differences"));
    }
}

/// Accepts a client and returns the masking keys of its next `count` empty frames.
fn keys_of(listener: TcpListener, count: usize) -> Vec<[u8; 4]> {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut reader = RequestReader::new(HeadLimits::default());
    let mut buffer = vec![0; 64 << 10];
    let request = loop {
        let length = stream.read(&mut buffer).unwrap();
        if let Some((request, used)) = reader.receive(&buffer[..length]).unwrap() {
            assert_eq!(used, length, "nothing is sent before the response");
            break request;
        }
    };
    let mut out = Vec::new();
    let handshake = ServerHandshake::from_request(&request).unwrap();
    handshake.accept(None, &[], Limits::default(), Delivery::Messages, &mut out).unwrap();
    stream.write_all(&out).unwrap();
    let mut wire = vec![0; 6 * count];
    stream.read_exact(&mut wire).unwrap();
    wire.chunks(6)
        .map(|frame| {
            assert_eq!(frame[..2], [0x81, 0x80]);
            frame[2..].try_into().unwrap()
        })
        .collect()
}

/// A χ² test over the 256 values of a byte: of random bytes one in 10^9 series exceeds 415.
fn assert_random(bytes: impl Iterator<Item = u8>, name: &str) {
    let mut counts = [0_f64; 256];
    bytes.for_each(|byte| counts[usize::from(byte)] += 1.0);
    let expected = counts.iter().sum::<f64>() / 256.0;
    let chi_square: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
    assert!(chi_square < 415.0, "{name}: {chi_square}");
}

#[test]
fn fr_09_masking_key_of_zero_is_accepted() {
    let rows = [
        Row::accepted("text", Role::Server, hex("81 85 00000000 48656c6c6f"), vec![text("Hello")]),
        Row::accepted("empty text", Role::Server, hex("81 80 00000000"), vec![text("")]),
        Row::accepted("empty, another key", Role::Server, hex("81 80 01020304"), vec![text("")]),
    ];
    rows.iter().for_each(Row::check);
}

#[test]
fn fr_09_lengths_at_the_limits_of_each_form_make_the_round_trip_whatever_the_key() {
    let lengths = [0, 125, 126, 65_535, 65_536];
    for key in [[0; 4], [0xFF; 4], [0x37, 0xFA, 0x21, 0x3D]] {
        let mut client = Connection::client(|| MaskingKey(key), Limits::default(), Delivery::Messages);
        let mut server = Connection::server(Limits::default(), Delivery::Messages);
        for length in lengths {
            let payload: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let (mut up, mut down) = (Vec::new(), Vec::new());
            client.sender.binary(&payload, &mut up).unwrap();
            assert!(receive(&mut server.receiver, &up) == (vec![binary(&payload)], None), "{length} with {key:?}");
            server.sender.binary(&payload, &mut down).unwrap();
            assert!(receive(&mut client.receiver, &down) == (vec![binary(&payload)], None), "{length}");
        }
    }
    let server = serve(config(), Service::echo());
    let (mut raw, _) = server.raw();
    for length in lengths {
        let payload = vec![7; length];
        let mut frame = header(0x82, length as u64);
        let key = frame.len() - 4;
        frame[key..].fill(0);
        raw.write([frame, payload.clone()].concat());
        raw.expect_frame(0x82, payload);
    }
}
