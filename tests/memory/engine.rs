//! A connection's size, and the allocations that a peer can cause. Allocations are counted per thread, so that tests
//! that run at the same time do not affect each other.

use switchboard::{Connection, Delivery, Driver, Event, Limits, Masked, MaskingKey, Role, SpareBuffer, Unmasked};
use switchboard_tests::{
    counting::{Cost, NOTHING, calls, cost, live},
    engine::{KEY, count_events, frame, receiver},
};

#[test]
fn the_counter_counts_each_allocation() {
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
    // Four bytes less per frame: a server's frames have no masking key.
    assert_eq!(out.len(), one.len() * 10 - 4 * 40);
}

#[test]
fn large_messages_of_one_length_allocate_nothing_if_reads_follow_the_advice() {
    for length in [8 << 10, 16 << 10, 64 << 10, 100_000] {
        let one = frame(Role::Server, 0x82, &vec![b'x'; length]);
        let mut wire = one.repeat(20);
        let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
        let mut receive = |wire: &mut [u8]| {
            let (mut rest, mut messages) = (wire, 0);
            while !rest.is_empty() {
                let (now, later) = rest.split_at_mut(server.read_limit(128 << 10).min(rest.len()));
                messages += count_events(&mut server, now);
                rest = later;
            }
            messages
        };
        let (first, others) = wire.split_at_mut(one.len());
        assert_eq!(receive(first), 1);
        assert_eq!(cost(|| assert_eq!(receive(others), 19)), NOTHING, "{length}");
    }
}

#[test]
fn a_driver_that_has_warmed_up_allocates_nothing() {
    let one = [frame(Role::Server, 0x81, &[b'x'; 20_000]), frame(Role::Server, 0x89, b"!")].concat();
    let mut input = one.repeat(10);
    let mut driver = Driver::new(Connection::server(Limits::default(), Delivery::Messages), Vec::new());
    let mut reads = input.chunks_mut(one.len());
    let mut echo = |read: &mut [u8]| {
        let (mut events, mut outgoing) = driver.receive(read);
        while let Some(event) = events.next_event(&mut outgoing).expect("valid frames") {
            if let Event::Text(text) = event {
                outgoing.text(text).expect("it is open");
            }
        }
        assert_eq!(driver.output().len(), one.len() - 4 * 2);
        driver.wrote(usize::MAX);
    };
    echo(reads.next().expect("ten reads"));
    assert_eq!(cost(|| reads.for_each(echo)), NOTHING);
}

#[test]
fn the_first_bytes_of_a_header_allocate_nothing() {
    let header = &frame(Role::Server, 0x82, &[0; 70_000])[..13];
    let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
    let used = cost(|| {
        for &byte in header {
            count_events(&mut server, &mut [byte]);
        }
    });
    assert_eq!((used, server.has_unfinished()), (NOTHING, true));
}

#[test]
fn an_unfinished_message_has_at_most_twice_the_room_that_its_bytes_need() {
    for first in [0x01, 0x02, 0x81, 0x82] {
        let wire = frame(Role::Server, first, &[b'x'; 300_000]);
        for read in [100, 5000, 100_000] {
            let before = live();
            let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
            let mut arrived = 0;
            for piece in wire[..wire.len() - 1].chunks(read) {
                count_events(&mut server, &mut piece.to_vec());
                arrived += piece.len();
                let kept = live() - before;
                assert!(kept <= 2 * arrived as isize + 500, "{first:02x}, reads of {read}: {kept} of {arrived}");
            }
        }
    }
}

#[test]
fn the_buffer_of_a_message_doubles_and_then_has_its_final_size() {
    for first in [0x81, 0x82] {
        for read in [10, 24_576] {
            let wire = frame(Role::Server, first, &[b'x'; 100_000]);
            let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
            let mut room = vec![0; read];
            let mut feed = |bytes: &[u8]| {
                cost(|| {
                    for now in bytes.chunks(read) {
                        room[..now.len()].copy_from_slice(now);
                        count_events(&mut server, &mut room[..now.len()]);
                    }
                })
            };
            // Once half of a text is there, it grows at most once; the room for a binary message is for larger reads.
            let (start, rest) = wire[..wire.len() - 1].split_at(3 * 24_576);
            let used = feed(start);
            assert!(used.calls <= 15, "{first:02x}, reads of {read}: {used:?}");
            let used = feed(rest);
            assert!(used.calls <= usize::from(first == 0x82), "{first:02x}, reads of {read}: {used:?}");
        }
    }
}

#[test]
fn the_memory_of_an_unfinished_message_is_told_exactly() {
    let ping = frame(Role::Server, 0x89, &[b'!'; 100]);
    let message = [frame(Role::Server, 0x02, &[b'x'; 3_000]), ping, frame(Role::Server, 0x80, &[b'y'; 200])].concat();
    for read in [1, 50, 700] {
        for first in [0x01, 0x02] {
            let wire = [&[first], &message[1..]].concat();
            let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
            let before = live();
            for (i, piece) in wire.chunks(read).enumerate() {
                count_events(&mut server, &mut piece.to_vec());
                let told = server.allocated_bytes();
                assert_eq!(told as isize, live() - before, "{first:02x}, read {i} of {read}");
                assert!(told >= server.buffered_bytes(), "{first:02x}, read {i} of {read}");
            }
            assert_eq!(server.allocated_bytes(), 0, "{first:02x}, reads of {read}");
        }
    }
}

#[test]
fn a_message_that_is_read_into_its_own_buffer_has_no_more_room_and_one_copy() {
    for (length, read) in [(300_000, 5_000), (300_000, 100_000), (1 << 20, 16 << 10), (64 << 10, 32 << 10)] {
        let wire = frame(Role::Server, 0x82, &vec![b'x'; length]);
        let before = live();
        let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
        let mut buffer = vec![0; read];
        let calls_before = calls();
        let (mut rest, mut lent, mut messages) = (wire.as_slice(), 0, 0);
        while !rest.is_empty() {
            let mut events = match server.room(&mut buffer) {
                Some(mut room) => {
                    let vec = room.vec();
                    let (now, later) = rest.split_at(read.min(vec.capacity() - vec.len()).min(rest.len()));
                    assert!(vec.len() + now.len() <= vec.capacity() && !now.is_empty());
                    vec.extend_from_slice(now);
                    lent += now.len();
                    rest = later;
                    room.receive()
                }
                None => {
                    let (now, later) = rest.split_at(read.min(rest.len()));
                    buffer[..now.len()].copy_from_slice(now);
                    rest = later;
                    server.receive(&mut buffer[..now.len()])
                }
            };
            while let Some(event) = events.next_event().expect("valid frames") {
                assert!(matches!(event, Event::Binary(payload) if payload.len() == length));
                messages += 1;
            }
            drop(events);
            let (kept, arrived) = (live() - before - read as isize, wire.len() - rest.len());
            assert!(kept <= 2 * arrived as isize + 500, "{length}, reads of {read}: {kept} of {arrived}");
        }
        assert!(messages == 1 && lent >= length - read - (4 << 10), "{length}, reads of {read}: {lent}");
        // Its state, and a buffer that doubles.
        let (calls, doublings) = (calls() - calls_before, (length / read).ilog2() as usize);
        assert!(calls <= doublings + 3, "{length}, reads of {read}: {calls} allocations");
    }
}

#[test]
fn a_message_whose_rest_is_too_short_to_be_read_into_it_has_no_room_for_that() {
    let mut wire = frame(Role::Server, 0x82, &[b'x'; 5_000]);
    let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
    let arrived = wire.len() - 3_600;
    count_events(&mut server, &mut wire[..arrived]);
    assert!(server.room(&mut [0; 100]).is_none());
    let kept = server.allocated_bytes();
    assert!(kept < 2_000, "{kept} bytes for {arrived}");
}

#[test]
fn a_message_in_the_spare_buffer_allocates_only_its_state() {
    for first in [0x81, 0x82] {
        let mut wire = frame(Role::Server, first, &[b'x'; 300_000]).repeat(4);
        let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
        let mut spare = SpareBuffer::new(1 << 20);
        let mut messages = 0;
        let mut receive = |wire: &mut [u8]| {
            for piece in wire.chunks_mut(30_000) {
                let mut events = server.receive(piece).with_spare(&mut spare);
                while events.next_event().expect("valid frames").is_some() {
                    messages += 1;
                }
            }
        };
        let (warming_up, measured) = wire.split_at_mut(600_000);
        receive(warming_up);
        let used = cost(|| receive(measured));
        // The last read of one message is the first of the next.
        assert!(used.calls <= 4 && used.peak <= 500, "{first:02x}: {used:?}");
        assert_eq!(messages, 4);
    }
}

#[test]
fn a_connection_that_is_idle_again_has_freed_all_memory() {
    let before = live();
    let mut server = receiver(Role::Server, Limits::default(), Delivery::Messages);
    for list in [[(0x02, 5000), (0x89, 100), (0x80, 5000)], [(0x01, 1), (0x8A, 0), (0x80, 70_000)]] {
        for (first, length) in list {
            let wire = frame(Role::Server, first, &vec![b'x'; length]);
            for piece in wire.chunks(100) {
                count_events(&mut server, &mut piece.to_vec());
            }
        }
    }
    assert_eq!((live() - before, server.has_unfinished()), (0, false));
    // A connection that fails inside a message keeps nothing either.
    count_events(&mut server, &mut frame(Role::Server, 0x02, &[0; 5000]));
    assert!(live() - before >= 5000);
    assert!(server.receive(&mut [0xFF]).next_event().is_err());
    assert_eq!(live() - before, 0);
}
