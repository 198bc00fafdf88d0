//! How much the next read should take: all that fits of small frames, and whole frames of large ones.

use switchboard::{Connection, Delivery, Limits, Receiver, Role};
use switchboard_tests::engine::{BOTH_ROLES, binary, frame, frames, receive, receiver};

const BUFFER: usize = 64 << 10;

fn receiver_after(role: Role, wire: &[u8]) -> Receiver {
    let mut receiver = receiver(role, Limits::default(), Delivery::Messages);
    let (_, error) = receive(&mut receiver, wire);
    assert_eq!(error, None);
    receiver
}

#[test]
fn small_frames_are_read_many_at_once() {
    for role in BOTH_ROLES {
        let small = frame(role, 0x82, &[1; (8 << 10) - 1]);
        let large = frame(role, 0x82, &[1; 20_000]);
        let ping = frame(role, 0x89, b"?");
        for wire in [vec![], small.clone(), [large.clone(), small.clone()].concat(), [small, ping.clone()].concat()] {
            assert_eq!(receiver_after(role, &wire).read_limit(BUFFER), BUFFER);
        }
        // Neither control frames nor empty ones say anything about the next message.
        let empty = frame(role, 0x81, b"");
        assert!(receiver_after(role, &[large, ping, empty].concat()).read_limit(BUFFER) < BUFFER);
    }
}

#[test]
fn large_frames_are_read_whole_and_by_one_byte_more() {
    for role in BOTH_ROLES {
        for length in [8 << 10, 20_000, 60_000, 65_535, 65_536, 100_000] {
            let wire = frame(role, 0x82, &vec![1; length]);
            let receiver = receiver_after(role, &wire);
            for space in [0, 1, 3, 9 * wire.len() / 10] {
                assert_eq!(receiver.read_limit(3 * wire.len() + 1 + space), 3 * wire.len() + 1, "{role:?}, {length}");
            }
            assert_eq!(receiver.read_limit(3 * wire.len()), 2 * wire.len() + 1, "{role:?}, {length}");
            // The first bytes of the next header have arrived.
            for kept in 1..4 {
                let receiver = receiver_after(role, &[&wire, &wire[..kept]].concat());
                assert_eq!(receiver.read_limit(2 * wire.len()), 2 * wire.len() + 1 - kept, "{role:?}, {length}");
            }
        }
    }
}

#[test]
fn an_unfinished_frame_is_read_to_its_end() {
    for role in BOTH_ROLES {
        for first in [0x81, 0x82, 0x01] {
            let wire = frame(role, first, &[b'x'; 20_000]);
            let receiver = receiver_after(role, &wire[..19_000]);
            let missing = wire.len() - 19_000;
            assert_eq!(receiver.read_limit(BUFFER), missing + 3 * wire.len() + 1, "{first:02x}");
            assert_eq!(receiver.read_limit(missing + wire.len()), 16 << 10, "{first:02x}: no other has space");
        }
        let wire = frames(role, &[(0x02, &[b'x'; 20_000]), (0x89, b"a Ping")]);
        let receiver = receiver_after(role, &wire[..wire.len() - 1]);
        let fragment = frame(role, 0x02, &[b'x'; 20_000]).len();
        assert_eq!(receiver.read_limit(BUFFER), 1 + 3 * fragment + 1);
    }
}

#[test]
fn of_a_frame_that_does_not_fit_little_is_read() {
    for role in BOTH_ROLES {
        let wire = frame(role, 0x81, &vec![b'x'; 1 << 20]);
        assert_eq!(receiver_after(role, &wire).read_limit(BUFFER), 16 << 10);
        assert_eq!(receiver_after(role, &wire).read_limit(5_000), 5_000);
        assert_eq!(receiver_after(role, &wire[..100]).read_limit(BUFFER), BUFFER, "text is not read elsewhere");
        let missing = 30_000;
        assert_eq!(receiver_after(role, &wire[..wire.len() - missing]).read_limit(BUFFER), missing + 1);
        assert_eq!(receiver_after(role, &wire[..wire.len() - 10]).read_limit(BUFFER), 16 << 10);
    }
}

#[test]
fn a_length_that_is_only_claimed_limits_no_read_to_less_than_8_kib() {
    for length in [1 << 16, 1 << 24, 1 << 40, i64::MAX as u64] {
        let mut limits = Limits::default();
        (limits.max_frame_bytes, limits.max_message_bytes) = (u64::MAX, u64::MAX);
        let mut receiver = Connection::server(limits, Delivery::Messages).receiver;
        let mut wire = vec![0x82, 0xFF];
        wire.extend(length.to_be_bytes());
        wire.extend([1, 2, 3, 4, 5]);
        assert_eq!(receive(&mut receiver, &wire), (vec![], None));
        assert!((8 << 10..=BUFFER).contains(&receiver.read_limit(BUFFER)), "{length}");
        for buffer in [0, 1, 100] {
            assert!(receiver.read_limit(buffer) <= buffer);
        }
    }
}

#[test]
fn frames_that_follow_the_advice_are_whole() {
    for role in BOTH_ROLES {
        let payload = [7; 20_000];
        let wire = frame(role, 0x82, &payload).repeat(30);
        let mut receiver = receiver_after(role, &frame(role, 0x82, &payload));
        let mut rest = wire.as_slice();
        let mut seen = Vec::new();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(receiver.read_limit(BUFFER).min(rest.len()));
            let (events, error) = receive(&mut receiver, now);
            assert_eq!(error, None);
            seen.extend(events);
            assert_eq!(receiver.buffered_bytes(), 0, "no frame is cut");
            rest = later;
        }
        assert!(seen == vec![binary(&payload); 30]);
    }
}
