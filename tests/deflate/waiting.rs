//! Unfinished compressed messages: which of them have an inflater, what the others keep, and what both count for.

use switchboard::{Deflate, Delivery, Event, Limits, ProtocolError, Role};
use switchboard_tests::{
    counting::{cost, live},
    deflaters::{Blocks, Zlib},
    engine::{BOTH_ROLES, binary, frame, frames, receive},
    random::Random,
};

use crate::{NO_TAKEOVER, TAKEOVER, deflate, receiver, server};

fn pool_with(max_unfinished: usize) -> Deflate {
    deflate(|config| config.max_unfinished = max_unfinished)
}

/// A message that is about as long compressed.
fn incompressible(length: usize) -> Vec<u8> {
    Zlib::new(9, 15).message(&Random::new(1).bytes(length))
}

#[test]
fn an_unfinished_message_without_an_inflater_keeps_its_compressed_bytes_and_nothing_else() {
    let zeros = Zlib::new(9, 15).message(&[0; 100_000]);
    let (start, end) = zeros.split_at(50);
    for role in BOTH_ROLES {
        let cut = frame(role, 0xC2, &zeros);
        let header = cut.len() - zeros.len();
        let rows = [
            ("the last frame, cut", cut[..header + 50].to_vec(), 50),
            ("a whole frame before the last", frame(role, 0x42, start), 50),
            (
                "and the last, cut",
                [frame(role, 0x42, start), frame(role, 0x80, end)[..header + 10].to_vec()].concat(),
                60,
            ),
        ];
        for (name, wire, kept) in rows {
            let mut receiver = receiver(&pool_with(0), role, NO_TAKEOVER, Limits::default(), Delivery::Messages);
            let before = live();
            assert_eq!(receive(&mut receiver, &wire), (vec![], None), "{name} ({role:?})");
            assert_eq!(receiver.allocated_bytes() as isize, live() - before, "{name} ({role:?})");
            assert_eq!(receiver.buffered_bytes(), kept, "{name} ({role:?})");
            assert!(receiver.allocated_bytes() < 1000, "{name} ({role:?}): {}", receiver.allocated_bytes());
        }
    }
}

#[test]
fn a_header_alone_takes_no_inflater() {
    let deflate = pool_with(1);
    let new = || receiver(&deflate, Role::Client, NO_TAKEOVER, Limits::default(), Delivery::Messages);
    let zeros = Zlib::new(9, 15).message(&[0; 100_000]);
    let (mut idle, mut next, mut late) = (new(), new(), new());
    let wire = frame(Role::Client, 0xC2, &zeros);
    let header = wire.len() - zeros.len();
    receive(&mut idle, &wire[..header]);
    receive(&mut next, &wire[..wire.len() - 1]);
    assert!(next.buffered_bytes() > 90_000, "it is inflated: {} bytes", next.buffered_bytes());
    receive(&mut late, &wire[..wire.len() - 1]);
    assert_eq!(late.buffered_bytes(), zeros.len() as u64 - 1, "no inflater is left");
}

#[test]
fn an_inflater_beyond_those_that_the_pool_allows_is_told_with_its_message() {
    let wire = frame(Role::Client, 0xC2, &incompressible(1000));
    for (max_unfinished, told) in [(0, 32 << 10..120_000), (1, 0..1000)] {
        let deflate = pool_with(max_unfinished);
        let mut receiver = receiver(&deflate, Role::Client, NO_TAKEOVER, Limits::default(), Delivery::Pieces);
        receive(&mut receiver, &wire[..500]);
        assert!(told.contains(&receiver.allocated_bytes()), "{}, {max_unfinished}", receiver.allocated_bytes());
    }
}

#[test]
fn what_waits_for_an_inflater_counts_against_the_limit_of_the_message() {
    let mut limits = Limits::of_bytes(1000);
    limits.max_frame_bytes = 10_000;
    let compressed = incompressible(1100);
    for max_unfinished in [0, 1] {
        let mut receiver = receiver(&pool_with(max_unfinished), Role::Client, NO_TAKEOVER, limits, Delivery::Messages);
        let begun = frames(Role::Client, &[(0x42, &compressed[..500]), (0x00, &compressed[500..900])]);
        assert_eq!(receive(&mut receiver, &begun), (vec![], None), "{max_unfinished} inflaters");
        let violation = ProtocolError::MessageTooLong { length: 1001, limit: 1000 };
        assert_eq!(receive(&mut receiver, &[0x00, 101]), (vec![], Some(violation)), "{max_unfinished} inflaters");
    }
}

/// The windows are 32 KiB, and each is set up for a message of one byte.
#[test]
fn a_window_counts_as_work_when_it_is_set_up() {
    let deflate = deflate(|config| config.memory_bytes = 1 << 20);
    let mut receiver = receiver(&deflate, Role::Client, TAKEOVER, Limits::default(), Delivery::Messages);
    let window = Blocks::default().stored(false, &[7; 40_000]).message();
    receive(&mut receiver, &frame(Role::Client, 0xC2, &window));
    let one = frame(Role::Client, 0xC2, b"\x00");
    let mut wire = one.repeat(10);
    let mut events = receiver.receive(&mut wire).with_inflate_budget(32 << 10);
    assert_eq!(events.next_event().map(|event| event.map(Into::into)), Ok(Some(binary(b""))));
    assert_eq!(events.next_event(), Ok(None));
    assert_eq!(events.unread(), 9 * one.len());
}

#[test]
fn a_compressed_message_is_not_read_into_a_buffer_of_its_own() {
    let compressed = incompressible(100_000);
    for (max_unfinished, first) in [(0, 0xC2), (1, 0xC2), (0, 0x42), (1, 0x42)] {
        let wire = frame(Role::Client, first, &compressed);
        let mut receiver =
            receiver(&pool_with(max_unfinished), Role::Client, NO_TAKEOVER, Limits::default(), Delivery::Messages);
        receive(&mut receiver, &wire[..50_000]);
        assert!(receiver.has_unfinished() && receiver.room(&mut [0; 16 << 10]).is_none(), "{max_unfinished} inflaters");
    }
}

/// A step makes 8 KiB. What zlib still holds when the input ends in a full step comes in another, which is not larger.
#[test]
fn the_end_of_a_message_is_inflated_wherever_a_step_ends() {
    let deflate = pool_with(1);
    for length in (8192 - 2..8192 + 270).chain([3 * 8192 - 1, 3 * 8192, 3 * 8192 + 1, 3 * 8192 + 258]) {
        let mut wire = frame(Role::Client, 0xC2, &Zlib::new(9, 15).message(&vec![0; length]));
        let mut receiver = receiver(&deflate, Role::Client, NO_TAKEOVER, Limits::default(), Delivery::Pieces);
        let mut inflated = 0;
        let used = cost(|| {
            let mut events = receiver.receive(&mut wire);
            while let Some(event) = events.next_event().expect("valid") {
                let Event::Piece(piece) = event else { panic!("{event:?}") };
                inflated += piece.payload.len();
            }
        });
        assert_eq!(inflated, length);
        assert!(used.peak < 200_000, "{length} bytes: {used:?}");
    }
}

#[test]
fn the_debug_text_of_a_pool_holds_numbers_and_no_messages() {
    let deflate = deflate(|config| config.memory_bytes = 1 << 20);
    let mut connection = server(&deflate, TAKEOVER, Limits::default(), Delivery::Messages);
    let sent = incompressible(5000);
    receive(&mut connection.receiver, &frame(Role::Server, 0xC2, &sent));
    receive(&mut connection.receiver, &frame(Role::Server, 0xC2, &sent)[..1000]);
    connection.sender.text(&"text ".repeat(1000), &mut Vec::new()).expect("a Vec has room");
    let (pool, receiver) = (format!("{deflate:?}"), format!("{:?}", connection.receiver));
    assert!(pool.contains("history_bytes: 32") && pool.contains("counted_in_use: 1"), "{pool}");
    assert!(receiver.contains("buffered_bytes: "), "{receiver}");
    assert!(pool.len() < 1000 && receiver.len() < 1000, "{pool}, {receiver}");
}
