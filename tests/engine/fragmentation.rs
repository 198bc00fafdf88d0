//! Messages in several frames (RFC 6455 §5.4): the order of frames, control frames between them, the limits, and the
//! memory that an unfinished message takes.

use switchboard::{Delivery, Limits, ProtocolError, Role};
use switchboard_tests::engine::{
    BOTH_ROLES, Frames, OwnedEvent, Row, binary, close, frame, frames, ping, pong, receive, receive_cut, receiver,
    rule, text,
};

#[test]
fn fragments_become_one_message() {
    let rows: &[(&str, Frames<'_>, &[OwnedEvent])] = &[
        ("two", &[(0x01, b"Hel"), (0x80, b"lo")], &[text("Hello")]),
        ("three", &[(0x02, b"a"), (0x00, b"b"), (0x80, b"c")], &[binary(b"abc")]),
        ("first empty", &[(0x01, b""), (0x80, b"a")], &[text("a")]),
        ("last empty", &[(0x01, b"a"), (0x80, b"")], &[text("a")]),
        ("all empty", &[(0x02, b""), (0x00, b""), (0x80, b"")], &[binary(b"")]),
        ("all empty, text", &[(0x01, b""), (0x00, b""), (0x80, b"")], &[text("")]),
        (
            "one message after another",
            &[(0x01, b"a"), (0x80, b"b"), (0x82, b"c"), (0x02, b"d"), (0x80, b"e"), (0x81, b"f")],
            &[text("ab"), binary(b"c"), binary(b"de"), text("f")],
        ),
        ("bytes that are not text, as binary", &[(0x02, b"\xff"), (0x80, b"\xc0")], &[binary(b"\xff\xc0")]),
    ];
    for (name, list, events) in rows {
        for role in BOTH_ROLES {
            Row::accepted(name, role, frames(role, list), events.to_vec()).check();
        }
    }
}

#[test]
fn control_frames_may_stand_between_fragments() {
    let longest = [b'p'; 125];
    let rows: &[(&str, Frames<'_>, &[OwnedEvent])] = &[
        ("ping", &[(0x01, b"a"), (0x89, b"!"), (0x80, b"b")], &[ping(b"!"), text("ab")]),
        ("empty ping", &[(0x01, b"a"), (0x89, b""), (0x80, b"b")], &[ping(b""), text("ab")]),
        ("longest ping", &[(0x02, b"a"), (0x89, &longest), (0x80, b"b")], &[ping(&longest), binary(b"ab")]),
        ("unsolicited pong", &[(0x01, b"a"), (0x8A, b"!"), (0x80, b"b")], &[pong(b"!"), text("ab")]),
        (
            "several, everywhere",
            &[(0x02, b""), (0x89, b"1"), (0x8A, b"2"), (0x00, b"a"), (0x89, b"3"), (0x80, b"b"), (0x89, b"4")],
            &[ping(b"1"), pong(b"2"), ping(b"3"), binary(b"ab"), ping(b"4")],
        ),
        ("a close: the message is lost", &[(0x01, b"a"), (0x88, b"\x03\xe8")], &[close(1000, "")]),
    ];
    for (name, list, events) in rows {
        for role in BOTH_ROLES {
            Row::accepted(name, role, frames(role, list), events.to_vec()).check();
        }
    }
}

#[test]
fn reserved_bits_and_opcodes_fail_inside_a_message_too() {
    for role in BOTH_ROLES {
        let begun = frame(role, 0x01, b"a");
        let fails = |first: u8, violation| {
            let wire = [begun.as_slice(), &[first]].concat();
            Row::fails(&format!("{first:02x}"), role, wire, violation).check();
        };
        for bits in 1..=7 {
            fails(bits << 4, ProtocolError::ReservedBits { bits });
            fails(0x80 | bits << 4, ProtocolError::ReservedBits { bits });
            fails(0x89 | bits << 4, ProtocolError::ReservedBits { bits });
        }
        for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF] {
            fails(0x80 | opcode, ProtocolError::ReservedOpcode(opcode));
        }
        for control in [0x8, 0x9, 0xA] {
            fails(control, ProtocolError::FragmentedControl);
        }
    }
}

#[test]
fn the_limits_for_frames_and_for_messages_are_independent() {
    let mut short_frames = Limits::of_bytes(1000);
    short_frames.max_frame_bytes = 10;
    let mut short_messages = Limits::of_bytes(1000);
    short_messages.max_message_bytes = 10;
    let ten = [b'x'; 10];
    let role = Role::Client;
    let twenty = frames(role, &[(0x02, &ten), (0x80, &ten)]);
    let rows = [
        Row::accepted("a long message of short frames", role, twenty, vec![binary(&[b'x'; 20])]).within(short_frames),
        Row::fails(
            "a frame over its limit",
            role,
            vec![0x82, 11],
            ProtocolError::FrameTooLong { length: 11, limit: 10 },
        )
        .within(short_frames),
        Row::fails(
            "a message of one frame over its limit",
            role,
            vec![0x82, 11],
            ProtocolError::MessageTooLong { length: 11, limit: 10 },
        )
        .within(short_messages),
    ];
    rows.iter().for_each(Row::check);
}

#[test]
fn data_frames_are_counted_as_empty_in_a_row_until_one_has_a_byte() {
    let mut limits = Limits::default();
    limits.max_empty_frames = 2;
    let violation = ProtocolError::TooManyEmptyFrames { limit: 2 };
    let empty = || binary(b"");
    for role in BOTH_ROLES {
        let accepted: Frames<'_> = &[(0x82, b""), (0x82, b""), (0x82, b"a"), (0x82, b""), (0x8A, b""), (0x82, b"")];
        let events = vec![empty(), empty(), binary(b"a"), empty(), pong(b""), empty()];
        let fails = [frames(role, accepted), frame(role, 0x82, b"")].concat();
        Row::accepted("two", role, frames(role, accepted), events.clone()).within(limits).check();
        Row::fails("three", role, fails, violation).after(events).within(limits).check();
        let fragments = frames(role, &[(0x02, b""), (0x00, b""), (0x00, b"")]);
        Row::fails("three fragments", role, fragments, violation).within(limits).check();
    }
}

/// The first byte of a length may show that the message is too long, and the next byte that the frame is too long as
/// well. Which of the two errors was returned once depended on the reads.
#[test]
fn which_limit_is_crossed_does_not_depend_on_where_a_length_is_cut() {
    let mut long_frames = Limits::of_bytes(200);
    long_frames.max_frame_bytes = 300;
    let mut short_frames = Limits::of_bytes(1000);
    short_frames.max_frame_bytes = 300;
    let begun = |length: usize| frame(Role::Client, 0x02, &vec![b'x'; length]);
    let rows: &[(&str, Limits, Vec<u8>, &[u8], ProtocolError)] = &[
        (
            "a message of one frame",
            long_frames,
            vec![],
            &[0x82, 126, 0x01, 0xFF],
            ProtocolError::MessageTooLong { length: 511, limit: 200 },
        ),
        (
            "the message has less room than a frame",
            Limits::of_bytes(1000),
            begun(300),
            &[0x80, 126, 0x03, 0xFF],
            ProtocolError::MessageTooLong { length: 1323, limit: 1000 },
        ),
        (
            "a frame has less room than the message",
            short_frames,
            begun(250),
            &[0x80, 126, 0x03, 0xFF],
            ProtocolError::FrameTooLong { length: 1023, limit: 300 },
        ),
    ];
    for (name, limits, before, header, violation) in rows {
        let wire = [before.as_slice(), header].concat();
        for cut in before.len()..=wire.len() {
            let new = &mut receiver(Role::Client, *limits, Delivery::Messages);
            let (seen, error) = receive_cut(new, &wire, [cut, wire.len() - cut]);
            assert_eq!((seen, rule(error)), (vec![], rule(Some(*violation))), "{name}, cut at {cut}: {error:?}");
        }
        let whole = receive(&mut receiver(Role::Client, *limits, Delivery::Messages), &wire);
        assert_eq!(whole, (vec![], Some(*violation)), "{name}, whole");
    }
}

/// Such a payload is unmasked and checked in several steps per read.
#[test]
fn a_long_message_is_the_same_however_its_reads_are_cut() {
    let content: String = "one, zwei, \u{4e09}, \u{1f340}, ".chars().cycle().take(60_000).collect();
    let bytes = content.as_bytes();
    let (begin, end) = bytes.split_at(50_001);
    for role in BOTH_ROLES {
        let rows: &[(&str, Frames<'_>, OwnedEvent)] = &[
            ("binary", &[(0x82, bytes)], binary(bytes)),
            ("text", &[(0x81, bytes)], text(&content)),
            ("fragments", &[(0x02, begin), (0x80, end)], binary(bytes)),
            ("fragments of text", &[(0x01, begin), (0x80, end)], text(&content)),
        ];
        for (name, list, event) in rows {
            let wire = frames(role, list);
            for read in [1001, 16_384, 30_003, wire.len() - 1] {
                let lengths = (0..wire.len()).step_by(read).map(|start| read.min(wire.len() - start));
                let mut receiver = receiver(role, Limits::default(), Delivery::Messages);
                let (seen, error) = receive_cut(&mut receiver, &wire, lengths);
                assert!(error.is_none() && seen == [event.clone()], "{name} ({role:?}), {read} at a time: {error:?}");
            }
        }
    }
}

#[test]
fn the_limit_counts_each_message_anew() {
    let limits = Limits::of_bytes(4);
    let list: Frames<'_> = &[(0x01, b"ab"), (0x80, b"cd"), (0x02, b"ef"), (0x80, b"gh"), (0x81, b"ijkl")];
    for role in BOTH_ROLES {
        let events = vec![text("abcd"), binary(b"efgh"), text("ijkl")];
        Row::accepted("three at the limit", role, frames(role, list), events).within(limits).check();
    }
}

#[test]
fn unfinished_frames_and_messages_are_reported_and_counted() {
    let mut receiver = receiver(Role::Client, Limits::default(), Delivery::Messages);
    let mut step = |name: &str, bytes: &[u8], events: &[OwnedEvent], has_unfinished: bool, buffered: u64| {
        assert_eq!(receive(&mut receiver, bytes), (events.to_vec(), None), "{name}");
        assert_eq!((receiver.has_unfinished(), receiver.buffered_bytes()), (has_unfinished, buffered), "{name}");
    };
    step("nothing has arrived", b"", &[], false, 0);
    step("half a header", b"\x82", &[], true, 0);
    step("a header without its payload", b"\x04", &[], true, 0);
    step("half of the payload", b"ab", &[], true, 2);
    step("all of it", b"cd", &[binary(b"abcd")], false, 0);
    step("a first fragment", b"\x01\x03abc", &[], true, 3);
    step("the header of a ping inside", b"\x89\x03", &[], true, 3);
    step("half of the ping", b"12", &[], true, 5);
    step("all of the ping", b"3", &[ping(b"123")], true, 3);
    step("half of a code point", b"\x00\x01\xc3", &[], true, 4);
    step("the last fragment", b"\x80\x01\xa9", &[text("abc\u{e9}")], false, 0);
    step("a whole message", b"\x82\x01a", &[binary(b"a")], false, 0);
    step("an empty first fragment", b"\x02\x00", &[], true, 0);
    step("its end", b"\x80\x00", &[binary(b"")], false, 0);
    step("a fragment again", b"\x02\x01a", &[], true, 1);
    step("a close drops it", b"\x88\x00", &[OwnedEvent::Close(None)], false, 0);
    step("nothing is kept after a close", b"\x82\x04ab", &[], false, 0);
}

#[test]
fn after_a_failure_nothing_is_parsed_or_kept() {
    for role in BOTH_ROLES {
        let mut receiver = receiver(role, Limits::default(), Delivery::Messages);
        let begun = frames(role, &[(0x02, b"kept"), (0x89, b"!")]);
        assert_eq!(receive(&mut receiver, &begun), (vec![ping(b"!")], None));
        assert_eq!(receive(&mut receiver, b"\x83"), (vec![], Some(ProtocolError::ReservedOpcode(3))));
        assert!(receiver.has_failed() && !receiver.is_open());
        let later = [frame(role, 0x80, b"end"), frame(role, 0x81, b"text"), vec![0x83, 0xFF, 0x81]].concat();
        assert_eq!(receive_cut(&mut receiver, &later, [3, 5, later.len() - 8]), (vec![], None));
        assert_eq!((receiver.has_unfinished(), receiver.buffered_bytes()), (false, 0));
    }
}

#[test]
fn an_embedder_that_fails_the_connection_ends_parsing() {
    let mut receiver = receiver(Role::Server, Limits::default(), Delivery::Messages);
    receive(&mut receiver, &frame(Role::Server, 0x01, b"kept"));
    receiver.fail();
    assert!(receiver.has_failed() && !receiver.is_open() && !receiver.has_unfinished());
    assert_eq!(receive(&mut receiver, &frame(Role::Server, 0x89, b"!")), (vec![], None));
}

#[test]
fn a_caller_that_stops_early_passes_the_unread_bytes_again() {
    let list: Frames<'_> = &[(0x81, b"one"), (0x01, b"t"), (0x89, b"!"), (0x80, b"wo"), (0x82, b"three")];
    let expected = [text("one"), ping(b"!"), text("two"), binary(b"three")];
    for role in BOTH_ROLES {
        let mut receiver = receiver(role, Limits::default(), Delivery::Messages);
        let mut bytes = frames(role, list);
        let mut seen = Vec::new();
        let mut start = 0;
        while start < bytes.len() {
            let mut events = receiver.receive(&mut bytes[start..]);
            seen.extend(events.next_event().unwrap().map(OwnedEvent::from));
            let unread = events.unread();
            start = bytes.len() - unread;
        }
        assert_eq!(seen, expected, "{role:?}");
    }
}
