//! Messages that are read into their own buffers: the events are the same, wherever the input is cut.

use switchboard::{Delivery, Event, Limits, ProtocolError, Receiver, Role, SpareBuffer};
use switchboard_tests::{
    engine::{BOTH_ROLES, OwnedEvent, binary, frame, frames, ping, receive, receiver},
    random::{Random, for_each_seed},
};

/// Receives `wire` with reads of at most `length()` bytes, into a room whenever there is one. Large messages have the
/// buffer of `spare`. Returns the events, the violation, and how many bytes went into rooms.
fn receive_lent(
    receiver: &mut Receiver,
    spare: &mut SpareBuffer,
    wire: &[u8],
    mut length: impl FnMut() -> usize,
) -> (Vec<OwnedEvent>, Option<ProtocolError>, usize) {
    let (mut seen, mut lent, mut rest) = (Vec::new(), 0, wire);
    let mut buffer = vec![0; 16 << 10];
    while !rest.is_empty() {
        let most = length().min(rest.len());
        let mut events = match receiver.room(&mut buffer) {
            Some(mut room) => {
                let vec = room.vec();
                let spare = vec.capacity() - vec.len();
                assert!(spare >= 4 << 10, "a room of {spare}");
                let (now, later) = rest.split_at(most.min(spare));
                vec.extend_from_slice(now);
                (lent, rest) = (lent + now.len(), later);
                room.receive()
            }
            None => {
                let (now, later) = rest.split_at(most.min(receiver.read_limit(buffer.len())));
                buffer[..now.len()].copy_from_slice(now);
                rest = later;
                receiver.receive(&mut buffer[..now.len()])
            }
        }
        .with_spare(spare);
        loop {
            match events.next_event() {
                Ok(Some(event)) => seen.push(event.into()),
                Ok(None) => break,
                Err(error) => return (seen, Some(error), lent),
            }
        }
    }
    (seen, None, lent)
}

#[test]
fn rooms_change_no_event() {
    for_each_seed(20, |mut random| {
        for role in BOTH_ROLES {
            let wire = some_frames(role, &mut random);
            let whole = receive(&mut receiver(role, Limits::default(), Delivery::Messages), &wire);
            let mut lending = receiver(role, Limits::default(), Delivery::Messages);
            let most = [500, 5_000, 20_000, 200_000][random.below(4)];
            // A small one is passed over often, and another takes its place.
            let mut spare = SpareBuffer::new([0, 40_000, 1 << 20][random.below(3)]);
            let (seen, error, _) = receive_lent(&mut lending, &mut spare, &wire, || 1 + random.below(most));
            assert!((seen, error) == whole, "{role:?}, reads of up to {most}");
        }
    });
}

/// Messages of all kinds, whole and in fragments, with control frames between, and now and then a violation at the end.
fn some_frames(role: Role, random: &mut Random) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..6 {
        let payload: Vec<u8> = (0..random.below(90_000)).map(|i| (i * 7 + i / 251) as u8).collect();
        let (first, second) = payload.split_at(random.below(payload.len() + 1));
        match random.below(4) {
            0 => wire.extend(frames(role, &[(0x02, first), (0x89, b"now"), (0x00, second), (0x80, b"end")])),
            1 => wire.extend(frames(role, &[(0x02, b""), (0x00, first), (0x80, second)])),
            2 => wire.extend(frame(role, 0x81, "x\u{e9}".repeat(payload.len() / 3).as_bytes())),
            _ => wire.extend(frames(role, &[(0x82, &payload), (0x8A, b"pong")])),
        }
    }
    if random.chance(1, 2) {
        wire.extend(frame(role, 0x83, b"reserved"));
    }
    wire
}

#[test]
fn most_of_a_large_message_is_read_where_it_belongs() {
    let payload: Vec<u8> = (0..1 << 20).map(|i: u32| (i / 3) as u8).collect();
    for role in BOTH_ROLES {
        let wire = frames(role, &[(0x82, &payload), (0x82, b"next"), (0x82, &payload)]);
        let mut lending = receiver(role, Limits::default(), Delivery::Messages);
        let (seen, error, lent) = receive_lent(&mut lending, &mut SpareBuffer::new(0), &wire, || usize::MAX);
        assert!(seen == [binary(&payload), binary(b"next"), binary(&payload)] && error.is_none());
        assert!(lent >= 2 * (payload.len() - (20 << 10)), "{lent}");
        assert!(!lending.has_unfinished() && lending.buffered_bytes() == 0);
    }
}

#[test]
fn only_a_large_rest_of_a_binary_frame_has_room() {
    let payload = [b'x'; 50_000];
    let mut buffer = [0; 100];
    for (name, delivery, first, has_room) in [
        ("binary", Delivery::Messages, 0x82, true),
        ("a fragment", Delivery::Messages, 0x02, true),
        ("text", Delivery::Messages, 0x81, false),
        ("pieces", Delivery::Pieces, 0x82, false),
    ] {
        let wire = frame(Role::Server, first, &payload);
        let mut lending = receiver(Role::Server, Limits::default(), delivery);
        assert!(lending.room(&mut buffer).is_none(), "{name}: nothing has arrived");
        receive(&mut lending, &wire[..3_000]);
        assert!(lending.room(&mut buffer).is_none(), "{name}: little has arrived");
        receive(&mut lending, &wire[3_000..10_000]);
        assert_eq!(lending.room(&mut buffer).is_some(), has_room, "{name}");
        receive(&mut lending, &wire[10_000..48_000]);
        assert!(lending.room(&mut buffer).is_none(), "{name}: little is missing");
        lending.fail();
        assert!(lending.room(&mut buffer).is_none(), "{name}: it has failed");
    }
}

#[test]
fn bytes_in_a_room_that_is_dropped_are_dropped() {
    let payload: Vec<u8> = (0..40_000_u32).map(|i| i as u8).collect();
    let wire = frame(Role::Server, 0x82, &payload);
    let mut buffer = vec![0; 1000];
    let mut lending = receiver(Role::Server, Limits::default(), Delivery::Messages);
    receive(&mut lending, &wire[..10_000]);
    lending.room(&mut buffer).expect("most is missing").vec().extend_from_slice(b"never mind");
    assert_eq!(receive(&mut lending, &wire[10_000..]), (vec![binary(&payload)], None));
}

#[test]
fn bytes_after_the_frame_are_input() {
    let payload = [7; 20_000];
    let next = frames(Role::Server, &[(0x89, b"a"), (0x80, b"end"), (0x89, b"b")]);
    let wire = [frame(Role::Server, 0x02, &payload), next.clone()].concat();
    let mut buffer = vec![0; 16 << 10];
    let mut lending = receiver(Role::Server, Limits::default(), Delivery::Messages);
    receive(&mut lending, &wire[..15_001]);
    let mut room = lending.room(&mut buffer).expect("5,000 bytes are missing");
    room.vec().extend_from_slice(&wire[15_001..]);
    let mut events = room.receive();
    assert_eq!(events.unread(), next.len());
    assert_eq!(events.next_event(), Ok(Some(Event::Ping(b"a"))));
    let whole = [payload.as_slice(), b"end"].concat();
    assert_eq!(events.next_event(), Ok(Some(Event::Binary(&whole))));
    let unread = events.unread();
    let rest = &buffer[next.len() - unread..next.len()];
    assert_eq!(receive(&mut lending, rest), (vec![ping(b"b")], None));
}

#[test]
fn a_message_is_returned_even_if_nothing_follows_it() {
    let payload = [7; 20_000];
    let wire = frame(Role::Server, 0x82, &payload);
    let mut buffer = vec![0; 100];
    let mut lending = receiver(Role::Server, Limits::default(), Delivery::Messages);
    receive(&mut lending, &wire[..11_000]);
    let mut room = lending.room(&mut buffer).expect("9,000 bytes are missing");
    let vec = room.vec();
    assert!(vec.capacity() - vec.len() > wire.len() - 11_000, "a read that does not fill the room has read everything");
    vec.extend_from_slice(&wire[11_000..]);
    assert_eq!(room.finish(), 0);
    assert_eq!(lending.room(&mut buffer).map(|_| ()), None, "the message is whole");
    assert_eq!(receive(&mut lending, &[]), (vec![binary(&payload)], None));
}
