//! The same bytes give the same events and the same violation however they are cut into reads, in both roles and with
//! both deliveries. The same holds for a caller that stops after each event, or inflates as little as possible at a
//! time.
//!
//! Input: role and deflate; limits; cuts; the bytes from the peer.
#![no_main]

use switchboard::Delivery;
use switchboard_fuzz::{Cuts, Input, Recorder, same_violation, shared_deflate};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let ((role, deflate), limits, cuts) = (input.role_and_deflate(), input.limits(), input.cuts());
    let wire = input.rest();
    let shared = shared_deflate();
    let new = |delivery| Recorder::sharing(&shared, role, limits, delivery, deflate);

    let whole = new(Delivery::Messages).after(wire, Cuts::WHOLE);
    assert_eq!(whole.unfinished, None, "no pieces where messages were asked for");
    let mut by_event = new(Delivery::Messages);
    by_event.receive_by_event(wire);
    let mut by_step = new(Delivery::Messages);
    by_step.receive_by_step(wire);
    for (name, recorder) in [
        ("cut", new(Delivery::Messages).after(wire, cuts)),
        ("byte by byte", new(Delivery::Messages).after(wire, Cuts::BYTES)),
        ("stopping after each event", by_event),
        ("inflating step by step", by_step),
    ] {
        agree(name, &recorder, &whole);
        let (one, other) = (&recorder.receiver, &whole.receiver);
        assert_eq!(one.buffered_bytes(), other.buffered_bytes(), "{name}: buffered bytes");
    }

    let mut by_event = new(Delivery::Pieces);
    by_event.receive_by_event(wire);
    let mut by_step = new(Delivery::Pieces);
    by_step.receive_by_step(wire);
    let pieces = new(Delivery::Pieces).after(wire, Cuts::WHOLE);
    agree("pieces", &pieces, &whole);
    for (name, recorder) in [
        ("pieces, cut", new(Delivery::Pieces).after(wire, cuts)),
        ("pieces, byte by byte", new(Delivery::Pieces).after(wire, Cuts::BYTES)),
        ("pieces, stopping after each event", by_event),
        ("pieces, inflating step by step", by_step),
    ] {
        agree(name, &recorder, &whole);
        // A violation may be inside of a piece, which is then returned in part or not at all.
        if whole.violation.is_none() {
            assert_eq!(recorder.unfinished, pieces.unfinished, "{name}: the unfinished message");
        }
    }
});

fn agree(name: &str, one: &Recorder, other: &Recorder) {
    assert_eq!(one.seen, other.seen, "{name}");
    assert!(same_violation(one.violation, other.violation), "{name}: {:?}, {:?}", one.violation, other.violation);
    let (one, other) = (&one.receiver, &other.receiver);
    assert_eq!(one.is_open(), other.is_open(), "{name}: is it open?");
    assert_eq!(one.has_failed(), other.has_failed(), "{name}: has it failed?");
    assert_eq!(one.has_unfinished(), other.has_unfinished(), "{name}: is something unfinished?");
    assert!(
        one.is_open() || !one.has_unfinished() && one.buffered_bytes() == 0,
        "{name}: after the end, nothing is kept"
    );
}
