//! Frame headers on the wire (RFC 6455 §5.1–5.3, §5.5): the headers that are accepted, and those that fail, with the
//! byte that shows the violation.
//!
//! In a row that fails, the last byte shows the violation; the bytes before it must be accepted.

use switchboard::{CloseCode, Delivery, FrameHeader, HeaderRules, Limits, MaskingKey, Opcode, ProtocolError, Role};
use switchboard_tests::{
    engine::{
        BOTH_ROLES, CLOSE_WITHOUT_CODE, Frames, KEY, OwnedEvent, Row, binary, close, frame, frames, ping, pong,
        receive, receiver, text,
    },
    hex, to_hex,
};

#[test]
fn the_examples_of_section_5_7_are_accepted() {
    let bytes_256: Vec<u8> = (0..=255).collect();
    let bytes_64k = bytes_256.repeat(256);
    let rows = [
        Row::accepted("a text message", Role::Client, hex("81 05 48656c6c6f"), vec![text("Hello")]),
        Row::accepted("masked", Role::Server, hex("81 85 37fa213d 7f9f4d5158"), vec![text("Hello")]),
        Row::accepted("fragmented", Role::Client, hex("01 03 48656c  80 02 6c6f"), vec![text("Hello")]),
        Row::accepted("a Ping", Role::Client, hex("89 05 48656c6c6f"), vec![ping(b"Hello")]),
        Row::accepted("and its Pong, masked", Role::Server, hex("8a 85 37fa213d 7f9f4d5158"), vec![pong(b"Hello")]),
        Row::accepted(
            "256 bytes",
            Role::Client,
            [hex("82 7e 0100"), bytes_256.clone()].concat(),
            vec![binary(&bytes_256)],
        ),
        Row::accepted(
            "64 KiB",
            Role::Client,
            [hex("82 7f 0000000000010000"), bytes_64k.clone()].concat(),
            vec![binary(&bytes_64k)],
        ),
    ];
    rows.iter().for_each(Row::check);
}

#[test]
fn a_first_byte_with_a_reserved_opcode_or_bit_fails_at_once() {
    for role in BOTH_ROLES {
        for first in 0..=0xFF_u8 {
            let (bits, opcode, fin) = (first >> 4 & 7, first & 0x0F, first & 0x80 != 0);
            let violation = match opcode {
                0x3..=0x7 | 0xB..=0xF => ProtocolError::ReservedOpcode(opcode),
                _ if bits != 0 => ProtocolError::ReservedBits { bits },
                0x8..=0xA if !fin => ProtocolError::FragmentedControl,
                0x0 => ProtocolError::UnexpectedContinuation,
                _ => continue, // the rows below
            };
            Row::fails(&format!("{first:02x}"), role, vec![first], violation).check();
        }
    }
}

#[test]
fn each_of_the_six_opcodes_is_accepted_in_its_place() {
    for role in BOTH_ROLES {
        let rows: &[(&str, Frames<'_>, &[OwnedEvent])] = &[
            ("text", &[(0x81, b"a")], &[text("a")]),
            ("binary", &[(0x82, b"a")], &[binary(b"a")]),
            ("continuation", &[(0x02, b"a"), (0x80, b"b")], &[binary(b"ab")]),
            ("close", &[(0x88, b"\x03\xe8")], &[close(1000, "")]),
            ("ping", &[(0x89, b"a")], &[ping(b"a")]),
            ("pong", &[(0x8A, b"a")], &[pong(b"a")]),
            ("empty text", &[(0x81, b"")], &[text("")]),
            ("empty binary", &[(0x82, b"")], &[binary(b"")]),
            ("empty close", &[(0x88, b"")], &[CLOSE_WITHOUT_CODE]),
            ("empty ping", &[(0x89, b"")], &[ping(b"")]),
            ("empty pong", &[(0x8A, b"")], &[pong(b"")]),
        ];
        for (name, list, events) in rows {
            Row::accepted(name, role, frames(role, list), events.to_vec()).check();
        }
    }
}

#[test]
fn lengths_on_both_sides_of_each_form_are_accepted() {
    for role in BOTH_ROLES {
        for length in [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537] {
            let payload: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let wire = frame(role, 0x82, &payload);
            Row::accepted(&format!("{length} bytes"), role, wire, vec![binary(&payload)]).check();
        }
    }
}

#[test]
fn a_64_bit_length_with_its_highest_bit_set_fails_with_1002_at_its_first_byte() {
    let violation = ProtocolError::LengthOutOfRange;
    assert_eq!(violation.close_code().get(), 1002);
    let unlimited = Limits::of_bytes(u64::MAX);
    for byte in [0x80, 0xFF] {
        Row::fails("unmasked", Role::Client, vec![0x82, 0x7F, byte], violation).within(unlimited).check();
        Row::fails("masked", Role::Server, vec![0x82, 0xFF, byte], violation).within(unlimited).check();
        Row::fails("text, default limits", Role::Client, vec![0x81, 0x7F, byte], violation).check();
    }
    // 2^63 - 1 is a valid length: without a limit, the receiver waits for the payload and keeps what has come.
    let longest = [hex("82 7f 7fffffffffffffff"), b"abc".to_vec()].concat();
    let mut waiting = receiver(Role::Client, unlimited, Default::default());
    assert_eq!(receive(&mut waiting, &longest), (vec![], None));
    assert_eq!((waiting.has_unfinished(), waiting.buffered_bytes()), (true, 3));
}

#[test]
fn a_frame_over_the_limit_fails_with_1009_at_the_first_byte_that_decides() {
    let fails = |name, limit, wire: &str, length| {
        let violation = ProtocolError::FrameTooLong { length, limit };
        assert_eq!(violation.close_code().get(), 1009);
        Row::fails(name, Role::Client, hex(wire), violation).within(Limits::of_bytes(limit)).check();
    };
    fails("101 of 100", 100, "82 65", 101);
    fails("125 of 124", 124, "81 7d", 125);
    fails("126 of 125", 125, "82 7e 007e", 126);
    fails("the first of two bytes", 255, "82 7e 01", 256);
    fails("the second of two bytes", 256, "82 7e 0101", 257);
    fails("a 64-bit length of 65536", 65_535, "82 7f 000000000001", 65_536);
    fails("its last byte", 65_536, "82 7f 0000000000010001", 65_537);
    fails("2^32 + 5", 16 << 20, "82 7f 00000001", 1 << 32);
    fails("2^62", u64::MAX >> 2, "82 7f 40", 1 << 62);

    for length in [100, 125, 126, 255, 256, 65_535, 65_536] {
        for role in BOTH_ROLES {
            let payload = vec![7; length];
            let wire = frame(role, 0x82, &payload);
            Row::accepted("exactly at the limit", role, wire, vec![binary(&payload)])
                .within(Limits::of_bytes(length as u64))
                .check();
        }
    }
}

/// A whole message in one frame is read in a shorter way than a header whose payload is still to come.
#[test]
fn a_frame_that_arrives_whole_fails_as_its_header_alone_does() {
    let bytes = |frame: u64, message: u64| {
        let mut limits = Limits::of_bytes(message);
        limits.max_frame_bytes = frame;
        limits
    };
    for role in BOTH_ROLES {
        for length in [0_u8, 1, 100, 124, 125] {
            let short = frame(role, 0x82, &vec![b'x'; length.into()]);
            let long = [&[0x82, short[1] & 0x80 | 126, 0, length], &short[2..]].concat();
            let mut receiver = receiver(role, Limits::default(), Delivery::Messages);
            let violation = ProtocolError::NonMinimalLength;
            assert_eq!(receive(&mut receiver, &long), (vec![], Some(violation)), "{length} in 16 bits ({role:?})");
        }
        for length in [0_u64, 125, 126, 65_535] {
            let mask_bit = frame(role, 0x82, b"")[1];
            let wire = [&[0x82, mask_bit | 127], length.to_be_bytes().as_slice()].concat();
            let mut receiver = receiver(role, Limits::default(), Delivery::Messages);
            let violation = ProtocolError::NonMinimalLength;
            assert_eq!(receive(&mut receiver, &wire), (vec![], Some(violation)), "{length} in 64 bits ({role:?})");
        }
        let rows = [
            (bytes(9, 20), 10, Some(ProtocolError::FrameTooLong { length: 10, limit: 9 })),
            (bytes(20, 9), 10, Some(ProtocolError::MessageTooLong { length: 10, limit: 9 })),
            (bytes(10, 20), 10, None),
            (bytes(20, 10), 10, None),
            (bytes(199, 400), 200, Some(ProtocolError::FrameTooLong { length: 200, limit: 199 })),
            (bytes(400, 199), 200, Some(ProtocolError::MessageTooLong { length: 200, limit: 199 })),
        ];
        for (limits, length, violation) in rows {
            for first in [0x81, 0x82] {
                let wire = frame(role, first, &vec![b'x'; length]);
                let mut receiver = receiver(role, limits, Delivery::Messages);
                let (events, error) = receive(&mut receiver, &wire);
                assert_eq!((events.len(), error), (usize::from(violation.is_none()), violation), "{limits:?}");
            }
        }
    }
}

#[test]
fn control_frames_do_not_count_against_the_limits() {
    let rows: &[(&[u8], u8, OwnedEvent)] = &[
        (&[b'x'; 125], 0x89, ping(&[b'x'; 125])),
        (&[b'x'; 125], 0x8A, pong(&[b'x'; 125])),
        (b"\x03\xe8bye", 0x88, close(1000, "bye")),
    ];
    for (payload, first, event) in rows {
        for role in BOTH_ROLES {
            Row::accepted("limit 0", role, frame(role, *first, payload), vec![event.clone()])
                .within(Limits::of_bytes(0))
                .check();
        }
    }
}

/// The default rules of a role, outside of a message.
fn rules(role: Role) -> HeaderRules {
    HeaderRules { role, rsv1: false, unfinished: None, max_frame_bytes: u64::MAX, max_message_bytes: u64::MAX }
}

#[test]
fn a_header_is_decoded_only_when_it_is_whole_and_encoded_as_it_was() {
    let long = u64::MAX >> 1;
    let rows: &[(&str, &str, u64, Option<MaskingKey>)] = &[
        ("82 00", "empty", 0, None),
        ("82 7d", "125", 125, None),
        ("82 7e 007e", "126", 126, None),
        ("82 7e ffff", "65535", 65_535, None),
        ("82 7f 0000000000010000", "65536", 65_536, None),
        ("82 7f 7fffffffffffffff", "2^63 - 1", long, None),
        ("82 80 37fa213d", "empty, masked", 0, Some(KEY)),
        ("82 fe ffff 37fa213d", "65535, masked", 65_535, Some(KEY)),
        ("82 ff 7fffffffffffffff 37fa213d", "2^63 - 1, masked", long, Some(KEY)),
    ];
    for (wire, name, payload_len, mask) in rows {
        let wire = hex(wire);
        let rules = rules(if mask.is_some() { Role::Server } else { Role::Client });
        let header =
            FrameHeader { fin: true, rsv1: false, opcode: Opcode::Binary, mask: *mask, payload_len: *payload_len };
        for end in 0..wire.len() {
            assert_eq!(FrameHeader::decode(&wire[..end], &rules), Ok(None), "{name}, {end} bytes of it");
        }
        let with_payload = [wire.as_slice(), b"payload"].concat();
        assert_eq!(FrameHeader::decode(&wire, &rules), Ok(Some((header, wire.len()))), "{name}");
        assert_eq!(FrameHeader::decode(&with_payload, &rules), Ok(Some((header, wire.len()))), "{name}");
        assert_eq!(to_hex(header.encode().as_ref()), to_hex(&wire), "{name}");
    }
}

#[test]
fn rsv1_stands_only_on_the_first_frame_of_a_message_and_only_where_it_was_negotiated() {
    let negotiated = HeaderRules { rsv1: true, ..rules(Role::Client) };
    let inside = HeaderRules { unfinished: Some(1), ..negotiated };
    let decode =
        |first: u8, rules: &HeaderRules| FrameHeader::decode(&[first, 0], rules).map(|found| found.unwrap().0.rsv1);
    let violation = |bits| Err(ProtocolError::ReservedBits { bits });
    let rows = [
        ("text", 0xC1, negotiated, Ok(true)),
        ("binary", 0xC2, negotiated, Ok(true)),
        ("first fragment", 0x41, negotiated, Ok(true)),
        ("not compressed", 0x81, negotiated, Ok(false)),
        ("text, not negotiated", 0xC1, rules(Role::Client), violation(4)),
        ("continuation", 0x40, inside, violation(4)),
        ("last continuation", 0xC0, inside, violation(4)),
        ("close", 0xC8, negotiated, violation(4)),
        ("ping", 0xC9, negotiated, violation(4)),
        ("pong", 0xCA, negotiated, violation(4)),
        ("RSV2", 0xA1, negotiated, violation(2)),
        ("RSV3", 0x91, negotiated, violation(1)),
        ("RSV1 and RSV3", 0xD1, negotiated, violation(5)),
    ];
    for (name, first, rules, expected) in rows {
        assert_eq!(decode(first, &rules), expected, "{name}");
    }
    let header = FrameHeader { fin: true, rsv1: true, opcode: Opcode::Text, mask: None, payload_len: 0 };
    assert_eq!(to_hex(header.encode().as_ref()), "c1 00");
}

#[test]
fn a_value_converts_into_what_it_was_made_from() {
    assert_eq!(<[u8; 4]>::from(MaskingKey::from([1, 2, 3, 4])), [1, 2, 3, 4]);
    assert_eq!(u16::from(CloseCode::from(4321)), 4321);
    for opcode in [0x0, 0x1, 0x2, 0x8, 0x9, 0xA] {
        assert_eq!(Opcode::try_from(opcode).map(|known| known as u8), Ok(opcode));
    }
}
