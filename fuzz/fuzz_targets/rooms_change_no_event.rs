//! Messages that are read into their own buffers, one of them the spare one, are those that one input holds; and an
//! unfinished one never has much more room than what has arrived of it.
//!
//! Input: role; limits; the most that the spare buffer keeps, in units of 4 KiB; how much is read at once: a number of
//! lengths, then each in a byte, in units of 1 KiB; a number of frames, then for each its first byte and the length of
//! its payload, in two bytes and in units of 4; the bytes after these frames.
#![no_main]

use switchboard::Delivery;
use switchboard_fuzz::{Input, Recorder, same_violation};
use switchboard_tests::engine::frame;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (role, limits) = (input.role(), input.limits());
    let max_spare = usize::from(input.byte()) << 12;
    let lengths: Vec<usize> = input.counted().iter().map(|&length| (usize::from(length) << 10).max(1)).collect();
    let mut wire = Vec::new();
    for _ in 0..input.byte() % 16 {
        let (first, length) = (input.byte(), 4 * usize::from(u16::from_be_bytes(input.array())));
        // A control frame that is too long fails with its header.
        let length = if first & 8 == 0 { length } else { length % 130 };
        wire.extend(frame(role, first, &vec![b'x'; length]));
    }
    wire.extend(input.rest());

    let mut whole = Recorder::new(role, limits, Delivery::Messages, None);
    whole.receive(&wire);
    let mut lent = Recorder::new(role, limits, Delivery::Messages, None);
    lent.receive_in_rooms(&wire, &lengths, max_spare);
    assert!(lent.seen == whole.seen, "the events");
    assert!(same_violation(lent.violation, whole.violation), "{:?}, {:?}", lent.violation, whole.violation);
    assert_eq!(lent.receiver.buffered_bytes(), whole.receiver.buffered_bytes());
});
