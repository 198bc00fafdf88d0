//! What a connection costs: its size, and the allocations that a peer can cause. Counted, not timed, and per thread,
//! so that tests side by side do not count each other's.

#[path = "support/counting.rs"]
mod counting;
mod support;

use switchboard::{
    Connection, Delivery, Event, HeadLimits, Limits, Masked, MaskingKey, Receiver, RequestReader, Role, Unmasked,
};

use counting::{Cost, NOTHING, cost, live};
use support::engine::{KEY, frame, receiver};

/// Takes `bytes` and returns the number of events; the payloads are looked at and let go.
fn take(receiver: &mut Receiver, bytes: &mut [u8]) -> usize {
    let mut events = receiver.receive(bytes);
    let mut count = 0;
    while let Some(event) = events.next_event().expect("valid frames") {
        std::hint::black_box(&event);
        count += 1;
    }
    count
}

#[test]
fn the_counter_counts() {
    let used = cost(|| drop(std::hint::black_box(vec![0_u8; 1000])));
    assert_eq!(used, Cost { calls: 1, peak: 1000 });
}

#[test]
fn a_connection_fits_into_128_bytes_and_owns_no_memory() {
    assert!(size_of::<Connection<Unmasked>>() <= 128, "{}", size_of::<Connection<Unmasked>>());
    let client = size_of::<Connection<Masked<fn() -> MaskingKey>>>();
    assert!(client <= 128, "{client}");
    let used = cost(|| {
        std::hint::black_box(Connection::server(Limits::default(), Delivery::Messages));
        std::hint::black_box(Connection::client(|| KEY, Limits::default(), Delivery::Messages));
    });
    assert_eq!(used, NOTHING);
}

#[test]
fn whole_messages_in_the_buffer_allocate_nothing_to_receive_and_to_echo() {
    let payload = vec![b'x'; 70_000];
    let one = [
        frame(Role::Server, 0x81, b"Hello"),
        frame(Role::Server, 0x82, &payload),
        frame(Role::Server, 0x89, b"!"),
        frame(Role::Server, 0x81, &payload),
    ]
    .concat();
    let mut input = one.repeat(10);
    let mut server = Connection::server(Limits::default(), Delivery::Messages);
    let mut out = Vec::with_capacity(input.len());
    let used = cost(|| {
        let mut events = server.receiver.receive(&mut input);
        while let Some(event) = events.next_event().expect("valid frames") {
            match event {
                Event::Text(text) => server.sender.text(text, &mut out),
                Event::Binary(bytes) => server.sender.binary(bytes, &mut out),
                other => server.sender.reply(other.reply().expect("a Ping"), &mut out),
            }
            .expect("a Vec has room");
        }
    });
    assert_eq!(used, NOTHING);
    // Four bytes less for each frame: a server's have no key.
    assert_eq!(out.len(), one.len() * 10 - 4 * 40);
}

#[test]
fn the_first_bytes_of_a_header_allocate_nothing() {
    let header = &frame(Role::Server, 0x82, &[0; 70_000])[..13];
    let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
    let used = cost(|| {
        for &byte in header {
            take(&mut server, &mut [byte]);
        }
    });
    assert_eq!((used, server.has_unfinished()), (NOTHING, true));
}

#[test]
fn a_claimed_length_reserves_nothing_until_bytes_come() {
    for first in [0x81, 0x82, 0x01, 0x02] {
        for delivery in [Delivery::Messages, Delivery::Pieces] {
            let mut client = receiver(Role::Client, Limits::of_bytes(u64::MAX), delivery);
            let used = cost(|| {
                take(&mut client, &mut [first, 0x7F, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
            });
            // What keeps a message's place is there; a buffer is not.
            assert!(used.calls <= 1 && used.peak <= 256, "{first:02x}: {used:?}");
            let more = cost(|| {
                take(&mut client, &mut [b'x'; 100]);
            });
            assert!(more.peak <= 200, "{first:02x}, then 100 bytes: {more:?}");
        }
    }
}

#[test]
fn a_claimed_length_over_the_limit_allocates_nothing() {
    let mut client = receiver(Role::Client, Limits::default(), Delivery::Messages);
    let used = cost(|| {
        let mut bytes = [0x82, 0x7F, 0, 0, 0, 1];
        assert!(client.receive(&mut bytes).next_event().is_err());
    });
    assert_eq!(used, NOTHING);
}

#[test]
fn memory_for_131000_fragments_of_one_byte_is_less_than_twice_their_payload() {
    const COUNT: usize = 131_000;
    for first in [0x01, 0x02] {
        let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
        let mut begin = frame(Role::Server, first, b"x");
        take(&mut server, &mut begin);
        let more = frame(Role::Server, 0x00, b"x");
        let mut bytes = more.clone();
        let used = cost(|| {
            for _ in 1..COUNT {
                bytes.copy_from_slice(&more);
                take(&mut server, &mut bytes);
            }
        });
        assert_eq!(server.buffered_bytes(), COUNT as u64);
        assert!(used.peak as usize <= 2 * COUNT + 4096, "{used:?}");
        assert!(used.calls <= 20, "one buffer that doubles: {used:?}");
    }
}

#[test]
fn as_many_empty_fragments_as_are_allowed_cost_nothing() {
    let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
    take(&mut server, &mut frame(Role::Server, 0x01, b""));
    let empty = frame(Role::Server, 0x00, b"");
    let mut bytes = empty.repeat(9_999);
    assert_eq!(cost(|| assert_eq!(take(&mut server, &mut bytes), 0)), NOTHING);
}

#[test]
fn a_connection_that_is_idle_again_has_given_all_memory_back() {
    let before = live();
    let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
    for list in [[(0x02, 5000), (0x89, 100), (0x80, 5000)], [(0x01, 1), (0x8A, 0), (0x80, 70_000)]] {
        for (first, length) in list {
            let wire = frame(Role::Server, first, &vec![b'x'; length]);
            for piece in wire.chunks(100) {
                take(&mut server, &mut piece.to_vec());
            }
        }
    }
    assert_eq!((live() - before, server.has_unfinished()), (0, false));
    // And one that fails in the middle of a message keeps nothing either.
    take(&mut server, &mut frame(Role::Server, 0x02, &[0; 5000]));
    assert!(live() - before >= 5000);
    assert!(server.receive(&mut [0xFF]).next_event().is_err());
    assert_eq!(live() - before, 0);
}

#[test]
fn a_head_that_comes_byte_by_byte_is_kept_once_and_parsed_once() {
    let field = format!("X: {}\r\n", "x".repeat(295));
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", field.repeat(50)).into_bytes();
    let limits = HeadLimits::default();
    let mut reader = RequestReader::new(limits);
    let (&last, all_before) = head.split_last().expect("not empty");
    let collecting = cost(|| {
        for &byte in all_before {
            assert!(matches!(reader.receive(&[byte]), Ok(None)));
        }
    });
    // A buffer that doubles from 8 bytes to 16 KiB: a dozen calls, and not one for a parser.
    assert!(collecting.calls <= 12 && collecting.peak <= limits.max_bytes as isize, "{collecting:?}");
    let parsing = cost(|| {
        let (request, used) = reader.receive(&[last]).expect("a valid head").expect("it is whole");
        assert_eq!((request.headers().count(), used), (50, 1));
    });
    assert!(parsing.calls <= 8, "{parsing:?}");
}

#[test]
fn a_head_without_end_is_not_kept_past_its_limit() {
    let limits = HeadLimits::default();
    for piece in [1, 100, 1460, 65_536] {
        let mut reader = RequestReader::new(limits);
        let filler = vec![b'x'; piece];
        let used = cost(|| {
            assert!(matches!(reader.receive(b"GET / HTTP/1.1\r\nX: "), Ok(None)));
            while reader.receive(&filler).is_ok() {}
        });
        assert!(used.peak <= limits.max_bytes as isize + 1024, "pieces of {piece}: {used:?}");
    }
}
