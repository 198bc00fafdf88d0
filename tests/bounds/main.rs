//! What a server holds for peers that read too little, or are done with what they sent. Counted at the allocator, for
//! the whole process: these tests take turns.
#![cfg(all(feature = "server", feature = "client"))]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    collections::BTreeSet,
    io::{ErrorKind, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use switchboard::{ConnectionId, End, Message, Response};

use switchboard_tests::server::{LONG, Raw, Service, config, frame, round_trip, serve};

const MIB: usize = 1 << 20;

/// The system's allocator, with a count of what is held.
struct CountingAllocator;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn count(more: usize, less: usize) {
    let before = HELD.fetch_add(more.wrapping_sub(less), Ordering::SeqCst);
    MOST.fetch_max((before + more).wrapping_sub(less), Ordering::SeqCst);
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: CountingAllocator = CountingAllocator;

/// Bytes that the process holds, test and server.
fn held() -> usize {
    HELD.load(Ordering::SeqCst)
}

/// Forgets the most that was held so far.
fn measure_anew() {
    MOST.store(held(), Ordering::SeqCst);
}

/// The most bytes held at once since [`measure_anew`].
fn most_held() -> usize {
    MOST.load(Ordering::SeqCst)
}

/// One test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Subscribes everyone; a message of one's own is echoed.
fn radio() -> Service {
    Service::echo().on_opened(|context| context.subscribe("radio"))
}

/// The length of the header of a server's frame past 64 KiB.
const LONG_HEADER: usize = 10;

#[test]
fn one_publish_that_a_crowd_does_not_read_stays_within_the_bound_of_the_worker() {
    let _turn = alone();
    let mut config = config();
    config.max_worker_bytes = 16 * MIB;
    let server = serve(config, radio());
    let (mut reader, reading) = server.raw();
    let crowd: Vec<_> = (0..40).map(|_| server.narrow()).collect();
    let large = vec![7; 12 * MIB];
    measure_anew();
    let before = held();
    server.remote.publish("radio", Message::Binary(&large));
    assert_eq!(reader.take(LONG_HEADER)[..2], [0x82, 127]);
    assert_eq!(reader.take_up_to(12 * MIB), 12 * MIB);
    // The kernel takes a part of each; what is left is more than half of the bound.
    let names: BTreeSet<ConnectionId> = crowd.iter().map(|&(_, id)| id).collect();
    let mut ended = BTreeSet::new();
    while ended.len() < names.len() - 2 {
        let (id, end) = server.next_closed();
        assert_eq!(end, End::Overloaded);
        if id != reading {
            assert!(names.contains(&id) && ended.insert(id), "{id} has ended twice");
        }
    }
    // Beside the bound: the message in its frame, the same in the log of the turn, and one that is found not to fit.
    let more = most_held() - before;
    assert!(more < (16 + 5 * 12) * MIB, "{} MiB more", more / MIB);
    // There is room again.
    drop(crowd);
    let (mut late, _) = server.raw();
    server.remote.publish("radio", Message::Text("on air"));
    late.expect_frame(0x81, "on air");
}

#[test]
fn where_not_all_can_be_kept_as_many_are_as_there_is_room_for() {
    let _turn = alone();
    let mut config = config();
    config.max_worker_bytes = 16 * MIB;
    let server = serve(config, radio());
    let mut crowd: Vec<_> = (0..6).map(|_| server.narrow().0).collect();
    server.remote.publish("radio", Message::Binary(&vec![7; 7 * MIB]));
    // One ends at least, so the publish is through before anybody reads.
    assert_eq!(server.next_closed().1, End::Overloaded);
    let whole = LONG_HEADER + 7 * MIB;
    crowd.retain_mut(|raw| raw.take_up_to(whole) == whole);
    server.remote.publish("radio", Message::Text("more"));
    // Text for those who are still in; a Close frame for those who are not.
    crowd.retain_mut(|raw| raw.take(1) == [0x81]);
    assert!((2..6).contains(&crowd.len()), "{} are still in", crowd.len());
}

#[test]
fn what_was_read_of_a_long_message_makes_room() {
    let _turn = alone();
    let server = serve(config(), radio());
    let (mut witness, _) = server.raw();
    let before = held();
    let mut slow: Vec<_> = (0..6).map(|_| server.narrow().0).collect();
    server.remote.publish("radio", Message::Binary(&vec![7; 16 * MIB - 1]));
    let whole = LONG_HEADER + 16 * MIB - 1;
    assert_eq!(witness.take_up_to(whole), whole);
    witness.text("?");
    witness.expect_frame(0x81, "?");
    assert!(held() - before > 6 * 8 * MIB, "the kernel takes it all");
    for raw in &mut slow {
        assert_eq!(raw.take_up_to(13 * MIB), 13 * MIB);
    }
    // At most 3 MiB of each are left, and as much room again.
    let started = Instant::now();
    while held() - before > 6 * 2 * 3 * MIB {
        assert!(started.elapsed() < LONG, "{} MiB are kept", (held() - before) / MIB);
        witness.text("?");
        witness.expect_frame(0x81, "?");
    }
    for raw in &mut slow {
        assert_eq!(raw.take_up_to(whole - 13 * MIB), whole - 13 * MIB);
        raw.text("still here");
        raw.expect_frame(0x81, "still here");
    }
}

#[test]
fn a_read_that_took_several_turns_leaves_nothing_behind() {
    let _turn = alone();
    let server = serve(config(), Service::echo());
    let mut idle: Vec<_> = (0..300).map(|_| server.raw().0).collect();
    // More events than one turn handles, and behind them most of what one read takes.
    let pongs = [frame(0x8A, b"").repeat(1_100), frame(0x8A, &[0; 125]).repeat(440)].concat();
    let before = held();
    for raw in &mut idle {
        raw.write(&pongs);
    }
    for raw in &mut idle {
        raw.text("?");
    }
    for raw in &mut idle {
        raw.expect_frame(0x81, "?");
    }
    let more = held().saturating_sub(before);
    assert!(more < 4 * MIB, "{} KiB for each", (more >> 10) / idle.len());
}

#[test]
fn who_does_not_read_the_answers_of_the_app_is_not_read_from_and_gets_them_all_later() {
    let _turn = alone();
    let mut config = config();
    config.max_queued_bytes = 256 << 10;
    let service = Service::echo().on_message(|message, context| match message {
        Message::Text(_) => context.send(message),
        Message::Binary(_) => {
            let id = context.id();
            context.remote().answer(id, message);
        }
    });
    let server = serve(config, service);
    let (mut witness, _) = server.named_client();
    let (mut raw, _) = server.narrow();
    let mut sent = 0;
    let mut rest = Vec::new();
    let before = held();
    measure_anew();
    // Writes until nothing was taken for many turns of the worker.
    let (started, mut blocked) = (Instant::now(), 0);
    while blocked < 50 {
        assert!(started.elapsed() < LONG, "no end after {sent} questions");
        if rest.is_empty() {
            rest = numbered(sent);
            sent += 1;
        }
        let taken = raw.write_some(&rest);
        rest.drain(..taken);
        blocked = if taken == 0 { blocked + 1 } else { 0 };
        if taken == 0 {
            round_trip(&mut witness);
        }
    }
    let more = most_held() - before;
    assert!(more < 4 * MIB, "{} MiB more", more / MIB);

    let mut writer = raw.stream.try_clone().unwrap();
    let rest = thread::spawn(move || writer.write_all(&rest).unwrap());
    for number in 0..sent {
        assert_eq!(raw.frame().payload[..4], number.to_be_bytes(), "out of order");
    }
    rest.join().unwrap();
    raw.text("still here");
    raw.expect_frame(0x81, "still here");
}

/// A binary message of 64 KiB that begins with its number.
fn numbered(number: u32) -> Vec<u8> {
    static ZERO: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let mut zero = ZERO.lock().unwrap();
    if zero.is_empty() {
        *zero = frame(0x82, &[0; 64 << 10]);
    }
    let mut frame = zero.clone();
    let payload = frame.len() - (64 << 10);
    for (masked, byte) in frame[payload..].iter_mut().zip(number.to_be_bytes()) {
        *masked ^= byte;
    }
    frame
}

#[test]
fn while_a_worker_does_not_keep_up_with_its_mail_nothing_is_read_and_nothing_is_lost() {
    let _turn = alone();
    let mut config = config();
    config.workers = 2;
    config.max_queued_bytes = 256 * MIB;
    let (busy, is_busy) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let heard = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&heard);
    let service = Service::echo().on_message(move |message, context| match message {
        Message::Text(_) => {
            context.subscribe("mail");
            busy.send(()).unwrap();
            let _ = may_go_on.lock().unwrap().recv_timeout(LONG);
        }
        Message::Binary(_) => {
            counter.fetch_add(1, Ordering::SeqCst);
            context.publish("mail", message);
        }
    });
    let server = serve(config, service);
    let worker = |id: ConnectionId| id.to_string().split('.').next().unwrap().to_owned();
    let (mut writer, id) = server.raw();
    let other = (0..32).map(|_| server.raw()).find(|(_, other)| worker(*other) != worker(id));
    let (mut listener, _) = other.expect("one of 32 connections on the other worker");
    listener.text("be busy");
    is_busy.recv_timeout(LONG).unwrap();

    let before = held();
    measure_anew();
    writer.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut sent = 0;
    let mut rest = Vec::new();
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < LONG, "no end after {sent} messages");
        assert!((sent as usize) < 128 * MIB / (64 << 10), "whatever is sent is read");
        if rest.is_empty() {
            rest = numbered(sent);
            sent += 1;
        }
        let overloaded = server.remote.is_overloaded();
        match writer.stream.write(&rest) {
            Ok(taken) => drop(rest.drain(..taken)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && overloaded => break,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
    }
    // A mailbox holds 64 MiB.
    let more = most_held() - before;
    assert!(more < 80 * MIB, "{} MiB more", more / MIB);
    assert!(heard.load(Ordering::SeqCst) < sent as usize);

    go_on.send(()).unwrap();
    let mut stream = writer.stream.try_clone().unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    let rest = thread::spawn(move || stream.write_all(&rest).unwrap());
    for number in 0..sent {
        assert_eq!(listener.frame().payload[..4], number.to_be_bytes(), "out of order");
    }
    rest.join().unwrap();
    assert!(!server.remote.is_overloaded());
}

#[test]
fn a_stop_lets_an_answer_be_read_to_its_end() {
    let _turn = alone();
    let service = Service::echo().on_request(|_, responder| {
        responder.send(Response::new(200).body(vec![7; 8 * MIB]));
    });
    let mut config = config();
    config.stop_timeout = LONG;
    let server = serve(config, service);
    let (mut witness, _) = server.raw();
    let mut raw = Raw::connect_narrow(server.address);
    raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.head().status, 200);
    server.stop();
    // The stop has begun.
    assert_eq!(witness.frame().close_code(), Some(1001));
    assert_eq!(raw.take_up_to(8 * MIB), 8 * MIB);
    raw.expect_end();
}
