//! Messages that are delivered in pieces, as they arrive: the pieces make up the message, nothing is kept, and all
//! rules hold.

use switchboard::{Delivery, Limits, MessageKind, ProtocolError, Role};
use switchboard_tests::{
    engine::{BOTH_ROLES, Frames, OwnedEvent, binary, frame, frames, ping, receive, receive_cut, receiver, text},
    random::for_each_seed,
};

/// Joins pieces into messages, and checks `first` and `last` of each.
fn joined(events: Vec<OwnedEvent>) -> Vec<OwnedEvent> {
    let mut whole = Vec::new();
    let mut open: Option<(MessageKind, Vec<u8>)> = None;
    for event in events {
        let OwnedEvent::Piece { kind, payload, first, last } = event else {
            assert!(!matches!(event, OwnedEvent::Text(_) | OwnedEvent::Binary(_)), "pieces were asked for");
            whole.push(event);
            continue;
        };
        assert_eq!(first, open.is_none(), "`first` is set only where a message begins");
        let (begun, mut bytes) = open.take().unwrap_or((kind, Vec::new()));
        assert_eq!(kind, begun, "one kind for all pieces of a message");
        bytes.extend(payload);
        match (last, kind) {
            (false, _) => open = Some((kind, bytes)),
            (true, MessageKind::Text) => whole.push(text(&String::from_utf8(bytes).expect("a text is UTF-8"))),
            (true, MessageKind::Binary) => whole.push(binary(&bytes)),
        }
    }
    assert_eq!(open, None, "the last message is whole");
    whole
}

fn piece(kind: MessageKind, payload: &[u8], first: bool, last: bool) -> OwnedEvent {
    OwnedEvent::Piece { kind, payload: payload.into(), first, last }
}

#[test]
fn a_whole_message_is_one_piece() {
    for role in BOTH_ROLES {
        for payload in [b"".as_slice(), b"Hello"] {
            let mut receiver = receiver(role, Limits::default(), Delivery::Pieces);
            let wire = frames(role, &[(0x81, payload), (0x82, payload)]);
            let expected =
                vec![piece(MessageKind::Text, payload, true, true), piece(MessageKind::Binary, payload, true, true)];
            assert_eq!(receive(&mut receiver, &wire), (expected, None), "{role:?}");
        }
    }
}

#[test]
fn fragments_are_pieces_with_other_events_between() {
    let list: Frames<'_> = &[(0x01, b"a\xc3"), (0x89, b"!"), (0x00, b"\xa9"), (0x80, b"")];
    for role in BOTH_ROLES {
        let mut receiver = receiver(role, Limits::default(), Delivery::Pieces);
        let expected = vec![
            piece(MessageKind::Text, b"a\xc3", true, false),
            ping(b"!"),
            piece(MessageKind::Text, b"\xa9", false, false),
            piece(MessageKind::Text, b"", false, true),
        ];
        assert_eq!(receive(&mut receiver, &frames(role, list)), (expected, None), "{role:?}");
    }
}

#[test]
fn pieces_joined_are_the_messages_however_they_are_cut() {
    let list: Frames<'_> = &[
        (0x81, "\u{1f98a} whole".as_bytes()),
        (0x01, b"\xf0\x9f"),
        (0x89, b"between"),
        (0x00, b""),
        (0x00, b"\xa6"),
        (0x80, b"\x8a"),
        (0x82, b""),
        (0x02, b""),
        (0x80, b""),
        (0x02, &[7; 300]),
        (0x8A, b""),
        (0x80, &[8; 70_000]),
        (0x81, b"end"),
    ];
    for role in BOTH_ROLES {
        let wire = frames(role, list);
        let (expected, error) = receive(&mut receiver(role, Limits::default(), Delivery::Messages), &wire);
        assert_eq!((expected.len(), error), (8, None));
        for_each_seed(50, |mut random| {
            let mut pieces = receiver(role, Limits::default(), Delivery::Pieces);
            let (seen, error) = receive_cut(&mut pieces, &wire, random.cuts(wire.len()));
            assert_eq!((joined(seen), error), (expected.clone(), None));
        });
        let mut pieces = receiver(role, Limits::default(), Delivery::Pieces);
        let (seen, error) = receive_cut(&mut pieces, &wire, wire.iter().map(|_| 1));
        assert_eq!((joined(seen), error), (expected, None), "{role:?}, byte by byte");
    }
}

#[test]
fn payload_that_was_delivered_is_not_kept() {
    let mut receiver = receiver(Role::Client, Limits::default(), Delivery::Pieces);
    receive(&mut receiver, &[&[0x02, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0], [7; 1000].as_slice()].concat());
    assert_eq!((receiver.has_unfinished(), receiver.buffered_bytes()), (true, 0));
}

#[test]
fn limits_hold_for_pieces() {
    let limits = Limits::of_bytes(10);
    let too_long = ProtocolError::MessageTooLong { length: 11, limit: 10 };
    for role in BOTH_ROLES {
        let at_limit = frames(role, &[(0x02, b"12345"), (0x80, b"67890")]);
        let (seen, error) = receive(&mut receiver(role, limits, Delivery::Pieces), &at_limit);
        assert_eq!((joined(seen), error), (vec![binary(b"1234567890")], None));

        let over = frames(role, &[(0x02, b"12345"), (0x80, b"678901")]);
        let first = vec![piece(MessageKind::Binary, b"12345", true, false)];
        assert_eq!(receive(&mut receiver(role, limits, Delivery::Pieces), &over), (first, Some(too_long)));

        let frame = frame(role, 0x82, b"12345678901");
        let too_long = ProtocolError::FrameTooLong { length: 11, limit: 10 };
        assert_eq!(receive(&mut receiver(role, limits, Delivery::Pieces), &frame), (vec![], Some(too_long)));
    }
}

#[test]
fn text_in_pieces_is_still_checked() {
    let rows: &[(&str, Frames<'_>, u64)] = &[
        ("in one frame", &[(0x81, b"a\xff")], 1),
        ("over two frames", &[(0x01, b"a\xf4"), (0x80, b"\x90")], 2),
        ("cut off by the end", &[(0x01, b"a\xf4"), (0x80, b"\x8f\xbf")], 4),
        ("cut off by an empty last frame", &[(0x01, b"a\xf4"), (0x80, b"")], 2),
    ];
    for (name, list, offset) in rows {
        for role in BOTH_ROLES {
            let wire = frames(role, list);
            let violation = Some(ProtocolError::InvalidUtf8 { offset: *offset });
            for read in [wire.len(), 1] {
                let mut receiver = receiver(role, Limits::default(), Delivery::Pieces);
                let (seen, error) = receive_cut(&mut receiver, &wire, wire.chunks(read).map(<[u8]>::len));
                assert_eq!(error, violation, "{name} ({role:?}), reads of {read}");
                assert!(!seen.iter().any(|event| matches!(event, OwnedEvent::Piece { last: true, .. })), "{name}");
            }
        }
    }
}

#[test]
fn continuation_rules_hold_for_pieces() {
    let rows: &[(&str, Frames<'_>, ProtocolError)] = &[
        ("no message", &[(0x80, b"a")], ProtocolError::UnexpectedContinuation),
        ("after a whole one", &[(0x82, b"a"), (0x80, b"a")], ProtocolError::UnexpectedContinuation),
        ("inside of one", &[(0x02, b"a"), (0x82, b"a")], ProtocolError::ExpectedContinuation),
        ("inside of an empty one", &[(0x02, b""), (0x81, b"a")], ProtocolError::ExpectedContinuation),
    ];
    for (name, list, violation) in rows {
        for role in BOTH_ROLES {
            let mut receiver = receiver(role, Limits::default(), Delivery::Pieces);
            assert_eq!(receive(&mut receiver, &frames(role, list)).1, Some(*violation), "{name} ({role:?})");
        }
    }
}
