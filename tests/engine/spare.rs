//! The buffer of a large message is kept for the next one, and lent to one message at a time. A caller may keep it too.

use switchboard::{Delivery, Event, Limits, Receiver, Role, SpareBuffer};
use switchboard_tests::{
    engine::{frame, frames, receiver},
    hex,
};

const LENGTH: usize = 100_000;

/// Receives `wire` in two parts, so that its messages do not arrive in one piece. Returns how many have arrived.
fn receive(receiver: &mut Receiver, spare: &mut SpareBuffer, wire: &[u8]) -> usize {
    let (first, second) = wire.split_at(wire.len() / 2);
    [first, second].into_iter().map(|part| part_of(receiver, spare, part)).sum()
}

fn part_of(receiver: &mut Receiver, spare: &mut SpareBuffer, part: &[u8]) -> usize {
    let mut part = part.to_vec();
    let mut events = receiver.receive(&mut part).with_spare(spare);
    let mut messages = 0;
    while events.next_event().expect("valid frames").is_some() {
        messages += 1;
    }
    messages
}

fn server() -> Receiver {
    receiver(Role::Server, Limits::default(), Delivery::Messages)
}

fn message(first: u8, length: usize) -> Vec<u8> {
    frame(Role::Server, first, &vec![b'x'; length])
}

#[test]
fn a_message_has_the_buffer_of_the_one_before_it() {
    for first in [0x81, 0x82] {
        let (mut server, mut spare) = (server(), SpareBuffer::new(1 << 20));
        let wire = message(first, LENGTH);
        assert_eq!(receive(&mut server, &mut spare, &wire), 1);
        let kept = spare.kept_bytes();
        assert!((LENGTH..=LENGTH + 1).contains(&kept), "{first:02x}: {kept}");
        assert_eq!(part_of(&mut server, &mut spare, &wire[..5_000]), 0);
        assert!(spare.kept_bytes() == 0 && server.allocated_bytes() >= kept as u64, "{first:02x}: lent");
        assert_eq!(part_of(&mut server, &mut spare, &wire[5_000..]), 1);
        assert_eq!(spare.kept_bytes(), kept, "{first:02x}: back");
    }
}

#[test]
fn one_message_at_a_time_has_the_buffer() {
    let mut spare = SpareBuffer::new(1 << 20);
    let wire = message(0x82, LENGTH);
    receive(&mut server(), &mut spare, &wire);
    let (mut holder, mut other) = (server(), server());
    part_of(&mut holder, &mut spare, &wire[..5_000]);
    assert!(holder.allocated_bytes() >= LENGTH as u64);
    // Another message has a buffer of its own, which does not replace the one that is lent.
    part_of(&mut other, &mut spare, &wire[..5_000]);
    assert!(other.allocated_bytes() < 11_000);
    assert_eq!(part_of(&mut other, &mut spare, &wire[5_000..]), 1);
    assert_eq!(spare.kept_bytes(), 0);
    // The connection ends with the message unfinished, and its buffer with it. The next one is kept again.
    drop(holder);
    assert_eq!(receive(&mut other, &mut spare, &wire), 1);
    assert!(spare.kept_bytes() >= LENGTH);
}

#[test]
fn a_message_that_fails_frees_the_buffer() {
    let mut spare = SpareBuffer::new(1 << 20);
    let wire = message(0x82, LENGTH);
    let (mut failing, mut other) = (server(), server());
    receive(&mut failing, &mut spare, &wire);
    part_of(&mut failing, &mut spare, &wire[..5_000]);
    failing.fail();
    assert_eq!((failing.allocated_bytes(), spare.kept_bytes()), (0, 0));
    receive(&mut other, &mut spare, &wire);
    assert!(spare.kept_bytes() >= LENGTH);
}

#[test]
fn only_a_message_of_about_its_size_has_the_buffer() {
    for (name, wire, has_it) in [
        ("a shorter one", message(0x82, LENGTH / 2 - 1), false),
        ("one of half its length", message(0x82, LENGTH / 2 + 1), true),
        ("a longer one", message(0x82, 2 * LENGTH), true),
        ("a fragment", frames(Role::Server, &[(0x02, &[7; LENGTH])]), false),
    ] {
        let (mut server, mut spare) = (server(), SpareBuffer::new(1 << 20));
        receive(&mut server, &mut spare, &message(0x82, LENGTH));
        part_of(&mut server, &mut spare, &wire[..5_000]);
        assert_eq!(spare.kept_bytes() == 0, has_it, "{name}");
        // At most what the message will have, and the byte that shows its end.
        assert!(server.allocated_bytes() <= wire.len() as u64 + 500, "{name}");
    }
    let (mut server, mut spare) = (server(), SpareBuffer::new(1 << 20));
    receive(&mut server, &mut spare, &message(0x82, LENGTH));
    part_of(&mut server, &mut spare, &message(0x82, LENGTH)[..4_000]);
    assert!(spare.kept_bytes() > 0, "little has arrived");
}

#[test]
fn neither_small_nor_too_large_buffers_are_kept() {
    for (length, max_bytes, is_kept) in
        [(10_000, 1 << 20, false), (LENGTH, LENGTH - 1, false), (LENGTH, LENGTH + 1, true), (LENGTH, 0, false)]
    {
        let mut spare = SpareBuffer::new(max_bytes);
        receive(&mut server(), &mut spare, &message(0x82, length));
        assert_eq!(spare.kept_bytes() > 0, is_kept, "{length}, at most {max_bytes}");
        spare.clear();
        assert_eq!(spare.kept_bytes(), 0);
    }
}

/// However the bytes are cut, the buffer ends with the payload, or is empty if the payload lies in the input.
#[test]
fn the_buffer_of_an_event_is_that_of_its_payload_alone() {
    let rows = [
        ("text", "81 83 00000000 616263", "616263"),
        ("empty text", "81 80 00000000", ""),
        ("fragmented text", "01 81 00000000 61 80 81 00000000 62", "6162"),
        ("binary", "82 83 00000000 010203", "010203"),
        ("Ping", "89 81 00000000 70", "70"),
        ("Close with a reason", "88 84 00000000 03e8 6869", "03e86869"),
    ];
    for (name, bytes, payload) in rows {
        let (bytes, payload) = (hex(bytes), hex(payload));
        for cut in 0..bytes.len() {
            let mut receiver = server();
            // A message before it, which has a buffer, leaves nothing of it.
            receiver.receive(&mut hex("82 82 00000000 11")).next_event().unwrap();
            let mut before = hex("22");
            before.extend(&bytes[..cut]);
            let mut events = receiver.receive(&mut before);
            assert_eq!(events.next_event(), Ok(Some(Event::Binary(&[0x11, 0x22]))), "{name} cut at {cut}");
            assert_eq!(events.next_event(), Ok(None), "{name} cut at {cut}");
            assert_eq!(events.into_buffer(), b"", "{name} cut at {cut}");
            let mut rest = bytes[cut..].to_vec();
            let input = rest.as_ptr_range();
            let mut events = receiver.receive(&mut rest);
            let place = match events.next_event().unwrap().expect(name) {
                Event::Text(text) => text.as_ptr(),
                Event::Binary(bytes) | Event::Ping(bytes) => bytes.as_ptr(),
                Event::Close(Some(frame)) => frame.reason.as_ptr(),
                event => panic!("{name} is {event:?}"),
            };
            let expected = if input.contains(&place) { &[][..] } else { &payload[..] };
            assert_eq!(events.into_buffer(), expected, "{name} cut at {cut}");
        }
    }
}
