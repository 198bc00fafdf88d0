//! How much memory a server holds for peers that read too little, and after they have read. The allocator counts it for
//! the whole process, so only one test runs at a time.
#![cfg(all(feature = "server", feature = "client"))]

#[cfg(feature = "deflate")]
mod states;
#[cfg(all(feature = "deflate", feature = "tls"))]
mod tls_states;

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

/// The system's allocator, with a count of the allocated bytes.
struct CountingAllocator;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn count(more: usize, less: usize) {
    let before = HELD.fetch_add(more.wrapping_sub(less), Ordering::SeqCst);
    PEAK.fetch_max((before + more).wrapping_sub(less), Ordering::SeqCst);
}

// SAFETY: every call passes its arguments unchanged to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: CountingAllocator = CountingAllocator;

/// The bytes that the process has allocated, test and server together.
fn held() -> usize {
    HELD.load(Ordering::SeqCst)
}

/// Sets the peak to the bytes held now.
fn reset_peak() {
    PEAK.store(held(), Ordering::SeqCst);
}

/// The maximum of bytes held at once since [`reset_peak`].
fn peak_held() -> usize {
    PEAK.load(Ordering::SeqCst)
}

/// Waits until no other test runs. A test holds the guard to its end.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An echo that subscribes every connection to "news".
fn subscribed_echo() -> Service {
    Service::echo().on_opened(|context| context.subscribe("news"))
}

/// The length of the header of a server's frame with a payload over 65,535 bytes.
const LONG_HEADER: usize = 10;

#[test]
fn one_publication_that_many_subscribers_do_not_read_stays_within_the_limit_of_the_worker() {
    let _turn = one_at_a_time();
    let mut config = config();
    config.max_worker_bytes = 16 * MIB;
    let server = serve(config, subscribed_echo());
    let (mut reader, reading) = server.raw();
    let subscribers: Vec<_> = (0..40).map(|_| server.raw_with_small_buffer()).collect();
    let large = vec![7; 12 * MIB];
    reset_peak();
    let before = held();
    server.remote.publish("news", Message::Binary(&large));
    assert_eq!(reader.take(LONG_HEADER)[..2], [0x82, 127]);
    assert_eq!(reader.take_up_to(12 * MIB), 12 * MIB);
    // The kernel takes a part for each connection; the rest of one is more than half of the limit.
    let ids: BTreeSet<ConnectionId> = subscribers.iter().map(|&(_, id)| id).collect();
    let mut ended = BTreeSet::new();
    while ended.len() < ids.len() - 2 {
        let (id, end) = server.next_closed();
        assert_eq!(end, End::Overloaded);
        if id != reading {
            assert!(ids.contains(&id) && ended.insert(id), "{id} has ended twice");
        }
    }
    // In addition to the limit: the encoded message, its copy in the log of the turn, and one that turns out not to
    // fit.
    let more = peak_held() - before;
    assert!(more < (16 + 5 * 12) * MIB, "{} MiB were allocated", more / MIB);
    // A later publication fits again.
    drop(subscribers);
    let (mut late, _) = server.raw();
    server.remote.publish("news", Message::Text("later"));
    late.expect_frame(0x81, "later");
}

#[test]
fn past_the_limit_of_the_worker_as_many_subscribers_as_fit_are_kept() {
    let _turn = one_at_a_time();
    let mut config = config();
    config.max_worker_bytes = 16 * MIB;
    let server = serve(config, subscribed_echo());
    let mut subscribers: Vec<_> = (0..6).map(|_| server.raw_with_small_buffer().0).collect();
    server.remote.publish("news", Message::Binary(&vec![7; 7 * MIB]));
    // At least one connection ends. The publication is handled by then, before any client reads.
    assert_eq!(server.next_closed().1, End::Overloaded);
    let whole = LONG_HEADER + 7 * MIB;
    subscribers.retain_mut(|raw| raw.take_up_to(whole) == whole);
    server.remote.publish("news", Message::Text("more"));
    // The kept connections get a text message, the others a Close.
    subscribers.retain_mut(|raw| raw.take(1) == [0x81]);
    assert!((2..6).contains(&subscribers.len()), "{} connections were kept", subscribers.len());
}

#[test]
fn the_read_part_of_a_long_message_is_freed() {
    let _turn = one_at_a_time();
    let server = serve(config(), subscribed_echo());
    let (mut other, _) = server.raw();
    let before = held();
    let mut slow: Vec<_> = (0..6).map(|_| server.raw_with_small_buffer().0).collect();
    server.remote.publish("news", Message::Binary(&vec![7; 16 * MIB - 1]));
    let whole = LONG_HEADER + 16 * MIB - 1;
    assert_eq!(other.take_up_to(whole), whole);
    other.text("?");
    other.expect_frame(0x81, "?");
    assert!(held() - before > 6 * 8 * MIB, "the kernel took all of the output");
    for raw in &mut slow {
        assert_eq!(raw.take_up_to(13 * MIB), 13 * MIB);
    }
    // At most 3 MiB are left for each connection, in a buffer of at most twice that size.
    let started = Instant::now();
    while held() - before > 6 * 2 * 3 * MIB {
        assert!(started.elapsed() < LONG, "{} MiB are still held", (held() - before) / MIB);
        other.text("?");
        other.expect_frame(0x81, "?");
    }
    for raw in &mut slow {
        assert_eq!(raw.take_up_to(whole - 13 * MIB), whole - 13 * MIB);
        raw.text("still here");
        raw.expect_frame(0x81, "still here");
    }
}

#[test]
fn a_read_that_took_several_turns_leaves_no_memory_behind() {
    let _turn = one_at_a_time();
    let server = serve(config(), Service::echo());
    let mut idle: Vec<_> = (0..300).map(|_| server.raw().0).collect();
    // More events than one turn handles, followed by most of what one read takes.
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
    assert!(more < 4 * MIB, "{} KiB are held for each connection", (more >> 10) / idle.len());
}

#[test]
fn a_peer_that_does_not_read_the_answers_of_the_app_is_not_read_from_and_gets_them_all_later() {
    let _turn = one_at_a_time();
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
    let (mut other, _) = server.client_with_id();
    let (mut raw, _) = server.raw_with_small_buffer();
    let mut sent = 0;
    let mut rest = Vec::new();
    let before = held();
    reset_peak();
    // Writes until the kernel takes nothing for many turns of the worker.
    let (started, mut blocked) = (Instant::now(), 0);
    while blocked < 50 {
        assert!(started.elapsed() < LONG, "the server still reads after {sent} messages");
        if rest.is_empty() {
            rest = numbered(sent);
            sent += 1;
        }
        let taken = raw.write_some(&rest);
        rest.drain(..taken);
        blocked = if taken == 0 { blocked + 1 } else { 0 };
        if taken == 0 {
            round_trip(&mut other);
        }
    }
    let more = peak_held() - before;
    assert!(more < 4 * MIB, "{} MiB were allocated", more / MIB);

    let mut writer = raw.stream.try_clone().unwrap();
    let rest = thread::spawn(move || writer.write_all(&rest).unwrap());
    for number in 0..sent {
        assert_eq!(raw.frame().payload[..4], number.to_be_bytes(), "out of order");
    }
    rest.join().unwrap();
    raw.text("still here");
    raw.expect_frame(0x81, "still here");
}

/// The frame of a binary message of 64 KiB that begins with `number`.
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
fn while_the_mailbox_of_a_worker_is_full_nothing_is_read_and_nothing_is_lost() {
    let _turn = one_at_a_time();
    let mut config = config();
    config.workers = 2;
    config.max_queued_bytes = 256 * MIB;
    let (blocked, is_blocked) = mpsc::channel();
    let (unblock, unblocked) = mpsc::channel();
    let unblocked = Mutex::new(unblocked);
    let handled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&handled);
    let service = Service::echo().on_message(move |message, context| match message {
        Message::Text(_) => {
            context.subscribe("news");
            blocked.send(()).unwrap();
            let _ = unblocked.lock().unwrap().recv_timeout(LONG);
        }
        Message::Binary(_) => {
            counter.fetch_add(1, Ordering::SeqCst);
            context.publish("news", message);
        }
    });
    let server = serve(config, service);
    let worker = |id: ConnectionId| id.to_string().split('.').next().unwrap().to_owned();
    let (mut writer, id) = server.raw();
    let on_other_worker = (0..32).map(|_| server.raw()).find(|(_, other)| worker(*other) != worker(id));
    let (mut listener, _) = on_other_worker.expect("one of 32 connections on the other worker");
    listener.text("block");
    is_blocked.recv_timeout(LONG).unwrap();

    let before = held();
    reset_peak();
    writer.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut sent = 0;
    let mut rest = Vec::new();
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < LONG, "the server still reads after {sent} messages");
        assert!((sent as usize) < 128 * MIB / (64 << 10), "the server reads without limit");
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
    // A mailbox holds at most 64 MiB.
    let more = peak_held() - before;
    assert!(more < 80 * MIB, "{} MiB were allocated", more / MIB);
    assert!(handled.load(Ordering::SeqCst) < sent as usize);

    unblock.send(()).unwrap();
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
fn a_stop_lets_a_response_be_read_to_its_end() {
    let _turn = one_at_a_time();
    let service = Service::echo().on_request(|_, responder| {
        responder.send(Response::new(200).body(vec![7; 8 * MIB]));
    });
    let mut config = config();
    config.stop_timeout = LONG;
    let server = serve(config, service);
    let (mut other, _) = server.raw();
    let mut raw = Raw::connect_with_small_buffer(server.address);
    raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.head().status, 200);
    server.stop();
    // The Close shows that the stop has begun.
    assert_eq!(other.frame().close_code(), Some(1001));
    assert_eq!(raw.take_up_to(8 * MIB), 8 * MIB);
    raw.expect_end();
}
