//! The buffer of a large message is kept for the next one, and lent to one message at a time.

use switchboard::{Delivery, Limits, Receiver, Role, SpareBuffer};
use switchboard_tests::engine::{frame, frames, receiver};

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
