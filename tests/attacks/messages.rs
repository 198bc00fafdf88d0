//! MS: messages in fragments, and their text.

use std::time::{Duration, Instant};

use switchboard::{Delivery, End, Limits, ProtocolError, Role, State};
use switchboard_tests::{
    counting::{NOTHING, cost, live},
    engine::{
        BOTH_ROLES, Frames, OwnedEvent, Row, binary, close, count_events, frame, frames, ping, receiver, text,
        transcript,
    },
    process::memory,
    server::{LONG, Service, config, frame as masked, header, round_trip, serve},
};

use crate::process::server_process;

const SHORT: Duration = Duration::from_millis(100);
const MIB: usize = 1 << 20;

#[test]
fn ms_01_fragments_together_over_the_limit_fail_with_1009_at_the_header_that_crosses() {
    let limits = Limits::of_bytes(1000);
    let (half, rest) = (vec![b'x'; 500], vec![b'x'; 500]);
    let too_long = |length| ProtocolError::MessageTooLong { length, limit: 1000 };
    assert_eq!(too_long(1001).close_code().get(), 1009);
    for first in [0x01, 0x02] {
        for role in BOTH_ROLES {
            let whole: Vec<u8> = [half.as_slice(), &rest].concat();
            let event = if first == 0x01 { text(&"x".repeat(1000)) } else { binary(&whole) };
            let at_limit = frames(role, &[(first, &half), (0x80, &rest)]);
            Row::accepted("exactly at the limit", role, at_limit, vec![event.clone()]).within(limits).check();
            let with_empty = frames(role, &[(first, &half), (0x00, &rest), (0x89, b"!"), (0x80, b"")]);
            Row::accepted("and an empty last one", role, with_empty, vec![ping(b"!"), event]).within(limits).check();

            let masked = |length: &[u8]| {
                let mask_bit = if role == Role::Server { 0x80 } else { 0 };
                [&[0x80, length[0] | mask_bit], &length[1..]].concat()
            };
            let begun = frame(role, first, &half);
            let by_one = [begun.as_slice(), &masked(&[126, 0x01, 0xF5])].concat();
            Row::fails("one byte over", role, by_one, too_long(1001)).within(limits).check();
            let at_first_byte = [begun.as_slice(), &masked(&[126, 0x02])].concat();
            Row::fails("known at the length's first byte", role, at_first_byte, too_long(1012)).within(limits).check();
            let full = frames(role, &[(first, &half), (0x00, &rest)]);
            let nothing_left = [full.as_slice(), &masked(&[1])].concat();
            Row::fails("no byte is left", role, nothing_left, too_long(1001)).within(limits).check();
        }
    }
}

#[test]
fn ms_01_message_over_the_limit_holds_no_more_than_the_limit_and_a_read() {
    const READ: usize = 64 << 10;
    for limit in [MIB, 600_000, 3 * READ + 1] {
        for first in [0x01, 0x02] {
            let mut server = receiver(Role::Server, Limits::of_bytes(limit as u64), Delivery::Messages);
            let mut begin = frame(Role::Server, first, &[b'x'; 1000]);
            let more = frame(Role::Server, 0x00, &[b'x'; 1000]);
            let mut bytes = more.clone();
            let used = cost(|| {
                count_events(&mut server, &mut begin);
                while server.is_open() {
                    bytes.copy_from_slice(&more);
                    let failed = server.receive(&mut bytes).next_event().err();
                    assert!(failed.is_none_or(|error| error.close_code().get() == 1009));
                }
            });
            assert!(used.peak as usize <= limit + READ, "{used:?} with a limit of {limit}");
            assert_eq!(server.buffered_bytes(), 0);
        }
    }
}

#[test]
fn ms_02_memory_for_131000_fragments_of_one_byte_is_less_than_twice_their_payload() {
    const COUNT: usize = 131_000;
    for first in [0x01, 0x02] {
        let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
        let mut begin = frame(Role::Server, first, b"x");
        count_events(&mut server, &mut begin);
        let more = frame(Role::Server, 0x00, b"x");
        let mut bytes = more.clone();
        let used = cost(|| {
            for _ in 1..COUNT {
                bytes.copy_from_slice(&more);
                count_events(&mut server, &mut bytes);
            }
        });
        assert_eq!(server.buffered_bytes(), COUNT as u64);
        assert!(used.peak as usize <= 2 * COUNT + 4096, "{used:?}");
        assert!(used.calls <= 20, "one buffer that doubles: {used:?}");
    }
}

/// Memory only; the time per frame is for a benchmark.
#[test]
fn ms_03_as_many_empty_fragments_as_are_allowed_cost_no_memory() {
    let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
    count_events(&mut server, &mut frame(Role::Server, 0x01, b""));
    let empty = frame(Role::Server, 0x00, b"");
    let mut bytes = empty.repeat(9_999);
    assert_eq!(cost(|| assert_eq!(count_events(&mut server, &mut bytes), 0)), NOTHING);
}

/// An empty frame is allowed and costs its sender almost nothing, so the number of them in a row is limited.
#[test]
fn ms_03_too_many_empty_data_frames_in_a_row_fail_with_1008() {
    let mut limits = Limits::default();
    assert_eq!(limits.max_empty_frames, 10_000);
    limits.max_empty_frames = 3;
    let violation = ProtocolError::TooManyEmptyFrames { limit: 3 };
    assert_eq!(violation.close_code().get(), 1008);
    let empty = || binary(b"");
    let taken: &[(&str, Frames<'_>, &[OwnedEvent])] = &[
        ("three messages", &[(0x82, b"".as_slice()); 3], &[empty(), empty(), empty()]),
        ("three fragments", &[(0x02, b""), (0x00, b""), (0x80, b"")], &[empty()]),
        (
            "three, a byte, and three again",
            &[(0x02, b""), (0x00, b""), (0x00, b""), (0x00, b"a"), (0x00, b""), (0x00, b""), (0x80, b"")],
            &[binary(b"a")],
        ),
        ("empty pings do not count", &[(0x89, b"".as_slice()); 4], &[ping(b""), ping(b""), ping(b""), ping(b"")]),
    ];
    let fails: &[(&str, Frames<'_>, &[OwnedEvent])] = &[
        ("four messages", &[(0x82, b"".as_slice()); 4], &[empty(), empty(), empty()]),
        ("four fragments", &[(0x01, b""), (0x00, b""), (0x00, b""), (0x00, b"")], &[]),
        ("the last of them ends the message", &[(0x02, b""), (0x00, b""), (0x00, b""), (0x80, b"")], &[]),
        (
            "a ping between them changes nothing",
            &[(0x02, b""), (0x00, b""), (0x89, b"!"), (0x00, b""), (0x00, b"")],
            &[ping(b"!")],
        ),
        (
            "they are counted over messages",
            &[(0x02, b"a"), (0x00, b""), (0x80, b""), (0x82, b""), (0x82, b"")],
            &[binary(b"a"), empty()],
        ),
    ];
    for role in BOTH_ROLES {
        for (name, list, events) in taken {
            Row::accepted(name, role, frames(role, list), events.to_vec()).within(limits).check();
        }
        for (name, list, events) in fails {
            Row::fails(name, role, frames(role, list), violation).after(events.to_vec()).within(limits).check();
        }
    }
}

#[test]
fn ms_03_endless_empty_frames_get_1008_after_10_000_and_no_other_peer_waits() {
    let server = serve(config(), Service::echo());
    let (mut witness, _) = server.client_with_id();
    let max = 10_000;
    for (name, before, first) in [("fragments", masked(0x02, b""), 0x00), ("messages", Vec::new(), 0x82)] {
        let (mut raw, id) = server.raw();
        let allowed = max - usize::from(!before.is_empty());
        raw.write([before, masked(first, b"").repeat(allowed)].concat());
        raw.send(0x89, "still open");
        while raw.frame().first != 0x8A {}
        round_trip(&mut witness);
        // More frames than the server accepts.
        raw.write(masked(first, b"").repeat(50_000));
        assert_eq!(raw.until_close(), (vec![], 1008), "{name}");
        raw.expect_end();
        let error = ProtocolError::TooManyEmptyFrames { limit: max as u32 };
        assert_eq!(server.next_closed(), (id, End::Failed(error)), "{name}");
        round_trip(&mut witness);
    }
}

#[test]
fn ms_04_continuation_without_a_message_fails_with_1002() {
    let violation = ProtocolError::UnexpectedContinuation;
    assert_eq!(violation.close_code().get(), 1002);
    let rows: &[(&str, Frames<'_>, u8, &[OwnedEvent])] = &[
        ("at the very start", &[], 0x80, &[]),
        ("without FIN", &[], 0x00, &[]),
        ("after a whole message", &[(0x81, b"a")], 0x80, &[text("a")]),
        ("after a fragmented message", &[(0x01, b"a"), (0x80, b"b")], 0x80, &[text("ab")]),
        ("after an empty fragmented message", &[(0x02, b""), (0x80, b"")], 0x00, &[binary(b"")]),
        ("after a ping", &[(0x89, b"a")], 0x80, &[ping(b"a")]),
    ];
    for (name, before, first, events) in rows {
        for role in BOTH_ROLES {
            let mut wire = frames(role, before);
            wire.push(*first);
            Row::fails(name, role, wire, violation).after(events.to_vec()).check();
        }
    }
}

#[test]
fn ms_04_new_message_inside_a_fragmented_one_fails_with_1002() {
    let violation = ProtocolError::ExpectedContinuation;
    assert_eq!(violation.close_code().get(), 1002);
    let rows: &[(&str, Frames<'_>, &[OwnedEvent])] = &[
        ("after its first fragment", &[(0x01, b"a")], &[]),
        ("after an empty first fragment", &[(0x02, b"")], &[]),
        ("after its second", &[(0x02, b"a"), (0x00, b"b")], &[]),
        ("after a ping inside of it", &[(0x01, b"a"), (0x89, b"!")], &[ping(b"!")]),
    ];
    for (name, before, events) in rows {
        for role in BOTH_ROLES {
            for first in [0x01, 0x02, 0x81, 0x82] {
                let mut wire = frames(role, before);
                wire.push(first);
                Row::fails(&format!("{first:02x} {name}"), role, wire, violation).after(events.to_vec()).check();
            }
        }
    }
}

#[test]
fn ms_04_close_inside_a_fragmented_message_is_clean_and_drops_it() {
    transcript! { Role::Server;
        recv  "01 83 00000000 48656c";
        recv  "88 82 00000000 03e8" => close(1000, "");
        sent  "88 02 03e8";
        recv  "80 82 00000000 6c6f";
        state State::Closed;
    }
}

#[test]
fn ms_05_unfinished_message_without_progress_is_closed_with_1008() {
    let mut config = config();
    config.message_timeout = SHORT;
    let server = serve(config, Service::echo());
    for begun in [header(0x82, 100), [header(0x82, 100), vec![0; 50]].concat(), masked(0x01, b"a fragment")] {
        let (mut raw, id) = server.raw();
        raw.write(begun);
        assert_eq!(raw.until_close(), (vec![], 1008));
        raw.expect_end();
        assert_eq!(server.next_closed(), (id, End::MessageStalled));
    }
}

#[test]
fn ms_05_control_frames_are_no_progress_of_a_message() {
    let mut config = config();
    config.message_timeout = 3 * SHORT;
    let server = serve(config, Service::echo());
    let (mut raw, id) = server.raw();
    raw.send(0x01, "a fragment");
    let started = Instant::now();
    loop {
        raw.send(0x89, "");
        let frame = raw.frame();
        if frame.close_code() == Some(1008) {
            break;
        }
        assert_eq!(frame.first, 0x8A);
        assert!(started.elapsed() < LONG, "pings keep a message alive");
        raw.pause_reading(Duration::from_millis(10));
    }
    assert_eq!(server.next_closed(), (id, End::MessageStalled));
}

#[test]
fn ms_05_message_that_comes_slowly_but_steadily_is_delivered() {
    let mut config = config();
    config.message_timeout = Duration::from_secs(1);
    let server = serve(config, Service::echo());
    let (mut raw, _) = server.raw();
    raw.write(header(0x82, 50));
    for _ in 0..50 {
        assert!(raw.receives_nothing_for(Duration::from_millis(50)));
        raw.write([0]);
    }
    assert_eq!(raw.frame().payload.len(), 50);
}

#[test]
fn ms_05_memory_of_an_unfinished_message_is_freed_at_its_deadline() {
    let name = "messages::ms_05_memory_of_an_unfinished_message_is_freed_at_its_deadline";
    let server = server_process(name, || {
        let mut config = config();
        config.message_timeout = Duration::from_secs(3);
        serve(config, Service::echo())
    });
    let before = memory(server.id());
    let length = 12 * MIB;
    let mut peers: Vec<_> = (0..4).map(|_| server.raw()).collect();
    for raw in &mut peers {
        raw.write(header(0x82, length as u64 + 1));
        raw.write(vec![7; length]);
    }
    let started = Instant::now();
    while memory(server.id()) < before + 3 * length {
        assert!(started.elapsed() < LONG, "{} MiB are held of 4 messages", (memory(server.id()) - before) / MIB);
    }
    for raw in &mut peers {
        assert_eq!(raw.until_close(), (vec![], 1008));
        raw.expect_end();
    }
    let started = Instant::now();
    while memory(server.id()) > before + 2 * MIB {
        assert!(started.elapsed() < LONG, "{} MiB are still held", (memory(server.id()) - before) / MIB);
    }
}

#[test]
fn ms_05_failed_connection_holds_nothing_of_its_message() {
    let before = live();
    let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
    count_events(&mut server, &mut frame(Role::Server, 0x02, &[0; 100_000]));
    assert!(live() - before >= 100_000);
    server.fail();
    assert_eq!(live() - before, 0);
}

#[test]
fn ms_06_character_of_four_bytes_is_whole_wherever_frames_cut_it_with_pings_between() {
    let whole = "a\u{1f600}b".as_bytes();
    for role in BOTH_ROLES {
        // Each place between two bytes is cut or not.
        for cuts in 0..1_u32 << (whole.len() - 1) {
            let mut list: Vec<(u8, &[u8])> = Vec::new();
            let mut start = 0;
            for at in 1..=whole.len() {
                if at == whole.len() || cuts >> (at - 1) & 1 == 1 {
                    let first = if start == 0 { 0x01 } else { 0x00 };
                    let fin = if at == whole.len() { 0x80 } else { 0 };
                    list.push((fin | first, &whole[start..at]));
                    if fin == 0 {
                        list.push((0x89, b"!"));
                    }
                    start = at;
                }
            }
            let pings = list.iter().filter(|(first, _)| *first == 0x89).count();
            let mut events = vec![ping(b"!"); pings];
            events.push(text("a\u{1f600}b"));
            Row::accepted(&format!("cuts {cuts:06b}"), role, frames(role, &list), events).check();
        }
    }
}

/// Bytes that are not UTF-8, and the number of them that shows it.
const BROKEN: &[(&str, &[u8], usize)] = &[
    ("overlong, two bytes", b"\xC0\xAF", 1),
    ("overlong, three bytes", b"\xE0\x9F\xBF", 2),
    ("overlong, four bytes", b"\xF0\x8F\xBF\xBF", 2),
    ("a surrogate", b"\xED\xA0\x80", 2),
    ("past 10FFFF", b"\xF4\x90\x80\x80", 2),
    ("past all", b"\xF5\x80\x80\x80", 1),
    ("a continuation alone", b"\x80", 1),
    ("cut off by a letter", b"\xF0\x9F\x98a", 4),
    ("no byte of UTF-8", b"\xFF", 1),
];

#[test]
fn ms_06_text_that_is_not_utf8_fails_with_1007_at_the_byte_that_shows_it() {
    for role in BOTH_ROLES {
        for (name, broken, shown) in BROKEN {
            // A frame of more than 1 MiB, cut behind the byte that shows the error.
            let mut wire = frame(role, 0x81, &[[b'a'; 1000].as_slice(), broken, &vec![b'a'; MIB]].concat());
            wire.truncate(wire.len() - MIB - broken.len() + shown);
            let offset = 1000 + *shown as u64 - 1;
            Row::fails(name, role, wire, ProtocolError::InvalidUtf8 { offset }).check();
            for cut in 0..*shown {
                let (one, other) = broken.split_at(cut);
                let mut wire = frames(role, &[(0x01, one), (0x89, b"!"), (0x80, other)]);
                wire.truncate(wire.len() - (broken.len() - shown));
                let violation = ProtocolError::InvalidUtf8 { offset: *shown as u64 - 1 };
                Row::fails(&format!("{name} cut at {cut}"), role, wire, violation).after(vec![ping(b"!")]).check();
            }
        }
    }
    assert_eq!(ProtocolError::InvalidUtf8 { offset: 0 }.close_code().get(), 1007);
}

#[test]
fn ms_06_peer_whose_long_text_breaks_early_gets_1007_before_it_has_sent_the_rest() {
    let server = serve(config(), Service::echo());
    for (name, broken, _) in BROKEN {
        let (mut raw, id) = server.raw();
        let bytes = masked(0x81, &[b"good so far", *broken, &vec![b'a'; MIB]].concat());
        raw.write(&bytes[..bytes.len() - MIB]);
        assert_eq!(raw.until_close(), (vec![], 1007), "{name}");
        raw.expect_end();
        assert!(matches!(server.next_closed(), (ended, End::Failed(ProtocolError::InvalidUtf8 { .. })) if ended == id));
    }
}
