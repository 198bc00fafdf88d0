//! Text is UTF-8 (RFC 6455 §8.1, RFC 3629). An error is found at the byte that shows it: inside a frame, and however
//! frames and reads cut the bytes.

use switchboard::{Delivery, Limits, ProtocolError, Role};
use switchboard_tests::engine::{
    BOTH_ROLES, Frames, OwnedEvent, Row, frame, frames, ping, receive, receive_cut, receiver, text,
};

/// The number of bytes before the first byte that cannot occur there in UTF-8; `None` for valid text.
type Fault = Option<usize>;

const ROWS: &[(&str, &[u8], Fault)] = &[
    ("ascii", b"Hello", None),
    ("two bytes", b"\xc3\xa9", None),
    ("first of two bytes", b"\xc2\x80", None),
    ("last of two bytes", b"\xdf\xbf", None),
    ("first of three bytes", b"\xe0\xa0\x80", None),
    ("before the surrogates", b"\xed\x9f\xbf", None),
    ("after the surrogates", b"\xee\x80\x80", None),
    ("last of three bytes", b"\xef\xbf\xbf", None),
    ("first of four bytes", b"\xf0\x90\x80\x80", None),
    ("last code point", b"\xf4\x8f\xbf\xbf", None),
    ("a byte order mark", b"\xef\xbb\xbfa", None),
    ("a NUL", b"a\0b", None),
    ("all lengths", "\u{1f600}\u{6771}\u{e9}a\u{e9}\u{6771}\u{1f600}".as_bytes(), None),
    ("a continuation byte alone", b"a\x80b", Some(1)),
    ("two of them", b"\xbf\x80", Some(0)),
    ("overlong slash, two bytes", b"\xc0\xaf", Some(0)),
    ("c1", b"a\xc1\xbf", Some(1)),
    ("overlong slash, three bytes", b"\xe0\x80\xaf", Some(1)),
    ("one before the first of three bytes", b"\xe0\x9f\xbf", Some(1)),
    ("first surrogate", b"a\xed\xa0\x80", Some(2)),
    ("last surrogate", b"\xed\xbf\xbf", Some(1)),
    ("overlong slash, four bytes", b"\xf0\x80\x80\xaf", Some(1)),
    ("one before the first of four bytes", b"\xf0\x8f\xbf\xbf", Some(1)),
    ("one after the last code point", b"\xf4\x90\x80\x80", Some(1)),
    ("f5", b"\xf5\x80\x80\x80", Some(0)),
    ("five bytes", b"ab\xf8\x88\x80\x80\x80", Some(2)),
    ("fe", b"\xfe", Some(0)),
    ("ff", b"abc\xff", Some(3)),
    ("two bytes, the second is ascii", b"\xc3a", Some(1)),
    ("three bytes, the third is ascii", b"\xe6\x9da", Some(2)),
    ("four bytes, the fourth begins another", b"\xf0\x9f\x98\xf0\x9f\x98\x80", Some(3)),
    ("the text of Autobahn 6.4", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", Some(12)),
];

/// Texts that end inside a code point.
const CUT_OFF: &[(&str, &[u8])] = &[
    ("c3 alone", b"\xc3"),
    ("two of three", b"ab\xe6\x9d"),
    ("three of four", b"\xf0\x9f\x98"),
    ("one of four, behind one that is whole", b"\xf0\x9f\x98\x80\xf0"),
];

fn expected(bytes: &[u8], fault: Fault) -> (Vec<OwnedEvent>, Option<ProtocolError>) {
    match fault {
        None => (vec![text(std::str::from_utf8(bytes).expect("the row says that it is UTF-8"))], None),
        Some(offset) => (vec![], Some(ProtocolError::InvalidUtf8 { offset: offset as u64 })),
    }
}

#[test]
fn text_that_is_not_utf8_fails_with_1007_at_the_byte_that_shows_it() {
    assert_eq!(ProtocolError::InvalidUtf8 { offset: 0 }.close_code().get(), 1007);
    for role in BOTH_ROLES {
        for (name, bytes, fault) in ROWS {
            let wire = frame(role, 0x81, bytes);
            let (events, violation) = expected(bytes, *fault);
            match (fault, violation) {
                (Some(offset), Some(violation)) => {
                    let up_to_fault = wire.len() - bytes.len() + offset + 1;
                    Row::fails(name, role, wire[..up_to_fault].to_vec(), violation).check();
                }
                _ => Row::accepted(name, role, wire, events).check(),
            }
        }
    }
}

#[test]
fn text_cut_at_every_place_over_two_frames_has_the_same_result() {
    for role in BOTH_ROLES {
        for (name, bytes, fault) in ROWS {
            for cut in 0..=bytes.len() {
                let (first, second) = bytes.split_at(cut);
                let wire = frames(role, &[(0x01, first), (0x89, b"!"), (0x80, second)]);
                let (events, violation) = expected(bytes, *fault);
                let ping_is_seen = fault.is_none_or(|offset| offset >= cut);
                let events: Vec<OwnedEvent> = ping_is_seen.then(|| ping(b"!")).into_iter().chain(events).collect();
                for read in [wire.len(), 1, 2, 3] {
                    let reads = wire.chunks(read).map(<[u8]>::len);
                    let seen = receive_cut(&mut receiver(role, Limits::default(), Delivery::Messages), &wire, reads);
                    assert_eq!(seen, (events.clone(), violation), "{name} cut at {cut}, reads of {read} ({role:?})");
                }
            }
        }
    }
}

#[test]
fn text_cut_at_every_pair_of_places_over_reads_has_the_same_result() {
    for (name, bytes, fault) in ROWS {
        let wire = frame(Role::Server, 0x81, bytes);
        for first in 0..=wire.len() {
            for second in first..=wire.len() {
                let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
                let seen = receive_cut(&mut server, &wire, [first, second - first, wire.len() - second]);
                assert_eq!(seen, expected(bytes, *fault), "{name} cut at {first} and {second}");
            }
        }
    }
}

#[test]
fn a_text_that_ends_inside_a_code_point_fails_with_1007_at_its_end() {
    for role in BOTH_ROLES {
        for (name, bytes) in CUT_OFF {
            let violation = ProtocolError::InvalidUtf8 { offset: bytes.len() as u64 };
            Row::fails(name, role, frame(role, 0x81, bytes), violation).check();

            // With an empty last fragment, the end of its header shows the error.
            let wire = frames(role, &[(0x01, bytes), (0x80, b"")]);
            Row::fails(&format!("{name}, empty last fragment"), role, wire, violation).check();

            // If the message continues, there is no error yet.
            let mut receiver = receiver(role, Limits::default(), Delivery::Messages);
            assert_eq!(receive(&mut receiver, &frame(role, 0x01, bytes)), (vec![], None), "{name}, not the end");
        }
    }
}

#[test]
fn a_fault_is_found_in_the_middle_of_a_frame_whose_end_never_comes() {
    for first in [0x81, 0x01] {
        let mut client = receiver(Role::Client, Limits::default(), Delivery::Messages);
        let (header, kept) = (&[first, 0x7F, 0, 0, 0, 0, 0, 0x0F, 0, 0], [b'x'; 1000]);
        assert_eq!(receive(&mut client, header), (vec![], None));
        assert_eq!(receive(&mut client, &kept), (vec![], None));
        assert_eq!(receive(&mut client, b"\xf4"), (vec![], None));
        let violation = ProtocolError::InvalidUtf8 { offset: 1001 };
        assert_eq!(receive(&mut client, b"\x90"), (vec![], Some(violation)));
        assert_eq!((client.has_unfinished(), client.buffered_bytes()), (false, 0));
    }
}

#[test]
fn a_fault_in_a_long_text_has_the_same_offset_however_it_comes() {
    let good = "The quick \u{1f98a} jumps over \u{61d2}\u{72d7}. ".repeat(20).into_bytes();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] = 0xFF;
        let wire = frame(Role::Server, 0x81, &bad);
        let new = || receiver(Role::Server, Limits::default(), Delivery::Messages);
        let whole = receive(&mut new(), &wire);
        assert_eq!(whole, expected(&bad, Some(at)), "fault at {at}");
        for read in [1, 63, 64, 65, 200] {
            let reads = wire.chunks(read).map(<[u8]>::len);
            assert_eq!(receive_cut(&mut new(), &wire, reads), whole, "fault at {at}, reads of {read}");
        }
    }
}

#[test]
fn each_text_is_checked_for_itself() {
    // Half a code point does not carry over into the next message, with or without a binary message between.
    let list: Frames<'_> = &[(0x01, b"\xc3"), (0x80, b"\xa9"), (0x82, b"\xc3"), (0x81, b"\xa9")];
    for role in BOTH_ROLES {
        let mut receiver = receiver(role, Limits::default(), Delivery::Messages);
        let seen = receive(&mut receiver, &frames(role, list));
        let events = vec![text("\u{e9}"), switchboard_tests::engine::binary(b"\xc3")];
        assert_eq!(seen, (events, Some(ProtocolError::InvalidUtf8 { offset: 0 })), "{role:?}");
    }
}
