//! ME: everything that peers can make a server keep counts against `Config::max_worker_bytes`, and is freed when they
//! have gone.
//!
//! Each attack would take several times the budget if what it sends did not count. A client that sends a
//! message every 20 ms gets its echo meanwhile.

use std::{
    ops::RangeBounds,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use switchboard::{
    CloseCode, Context, Message, Response,
    client::{self, Client},
};
use switchboard_tests::{
    attackers::{Attackers, MemoryWatch, Witness, opening_of, unfinished_head},
    counting::live,
    deflaters::{Blocks, Zlib},
    server::{LONG, OPENING, Raw, Service, builder, config, frame, header, round_trip, serve},
};

use crate::{
    exclusively,
    process::{ServerProcess, open, server_process},
};

const MIB: usize = 1 << 20;
/// The server's `max_worker_bytes`.
const BUDGET: usize = 32 * MIB;
/// Memory beside what counts: the tables of the connections, the buffers of one turn, and what the allocator wastes.
const SLACK: usize = 24 * MIB;
/// The message on which an app gives the decisions that it has held back.
const RELEASE: &[u8] = b"release";
/// The least that a server holds during an attack that would take more than its budget.
const FILLED: isize = 8 << 20;
/// The memory that a server may keep when the attackers have gone: its tables do not shrink.
const KEPT: isize = 8 << 20;

/// Runs an attack on a server of `service` in a process of its own. `name` is the caller. `run` returns what holds the
/// attackers' connections open.
///
/// Asserts that the worker holds at least [`FILLED`] for the attackers, that the memory of the process stays within the
/// budget, that a well-behaved client is served, and that the worker frees everything when the attackers have gone and
/// the app has decided about them. (What it frees stays in the process for as long as the allocator likes, so the
/// memory of the process shows nothing.)
#[track_caller]
fn attack<A>(name: &str, service: impl FnOnce() -> Service, run: impl FnOnce(&ServerProcess) -> A) {
    attack_that_holds(FILLED.., name, service, run);
}

/// Like [`attack`], except that the worker holds so many bytes for the attackers.
#[track_caller]
fn attack_that_holds<A>(
    expected: impl RangeBounds<isize>,
    name: &str,
    service: impl FnOnce() -> Service,
    run: impl FnOnce(&ServerProcess) -> A,
) {
    // The server inherits the limit of descriptors.
    let _exclusive = exclusively();
    let server = server_process(name, || {
        let mut config = config();
        config.max_worker_bytes = BUDGET;
        serve(config, service())
    });
    let mut client = builder().connect(&server.url()).unwrap();
    let before = held(&mut client);
    let witness = Witness::start(&server.url());
    let watch = MemoryWatch::start(server.id());
    let attackers = run(&server);
    watch.wait_until_idle();
    let peak = watch.peak();
    witness.expect_served();
    let during = held(&mut client) - before;
    println!("peak +{} MiB, allocated +{} KiB during the attack", peak / MIB, during / 1024);
    assert!(expected.contains(&during), "{during} bytes are held during the attack");
    drop(attackers);
    client.send_binary(RELEASE).unwrap();
    let gone = Instant::now();
    while held(&mut client) - before > KEPT {
        assert!(gone.elapsed() < LONG, "{} bytes are kept", held(&mut client) - before);
        thread::park_timeout(Duration::from_millis(20));
    }
    assert!(peak <= BUDGET + SLACK, "{} MiB more at the peak, not {} MiB", peak / MIB, (BUDGET + SLACK) / MIB);
}

/// An app that echoes texts, except that it answers `held` with the bytes that its worker has allocated; and that
/// handles binary messages as given.
fn service(on_binary: impl Fn(Message<'_>, &mut Context<'_>) + Send + Sync + 'static) -> Service {
    Service::echo().on_message(move |message, context| match message {
        Message::Text("held") => context.send(Message::Text(&live().to_string())),
        Message::Text(_) => context.send(message),
        Message::Binary(_) => on_binary(message, context),
    })
}

fn echo() -> Service {
    service(|message, context| context.send(message))
}

/// Returns the bytes that the worker has allocated.
#[track_caller]
fn held(client: &mut Client) -> isize {
    client.send_text("held").unwrap();
    loop {
        if let client::Message::Text(bytes) = client.receive().unwrap() {
            return bytes.parse().unwrap();
        }
    }
}

#[test]
fn me_01_unfinished_heads_count() {
    attack("memory::me_01_unfinished_heads_count", echo, |server| {
        let mut attackers = Attackers::connect(server.address, 6_000);
        attackers.send(unfinished_head((16 << 10) - 1));
        attackers
    });
}

#[test]
fn me_01_unfinished_heads_count_that_come_in_small_pieces() {
    attack("memory::me_01_unfinished_heads_count_that_come_in_small_pieces", echo, |server| {
        let mut attackers = Attackers::connect(server.address, 6_000);
        let head = unfinished_head((16 << 10) - 1);
        head.chunks(3_000).for_each(|piece| attackers.send(piece));
        attackers
    });
}

#[test]
fn me_02_unfinished_bodies_count() {
    attack("memory::me_02_unfinished_bodies_count", echo, |server| {
        let mut attackers = Attackers::connect(server.address, 1_600);
        attackers.send(post("Content-Length: 65536"));
        attackers.send(vec![b'a'; 65_535]);
        attackers
    });
}

#[test]
fn me_02_unfinished_bodies_in_chunks_count() {
    attack("memory::me_02_unfinished_bodies_in_chunks_count", echo, |server| {
        let mut attackers = Attackers::connect(server.address, 1_600);
        attackers.send([post("Transfer-Encoding: chunked"), b"ffff\r\n".to_vec(), vec![b'a'; 65_535]].concat());
        attackers
    });
}

/// The server accepts no such body, so nothing of it may be kept either.
#[test]
fn me_02_bodies_that_are_refused_take_nothing() {
    let name = "memory::me_02_bodies_that_are_refused_take_nothing";
    attack_that_holds(..1 << 20, name, echo, |server| {
        for field in ["Transfer-Encoding: gzip", "Content-Length: 65537", "Content-Length: 99999999999999999999"] {
            let mut raw = Raw::connect(server.address);
            raw.write(post(field));
            let status = if field.starts_with('T') { 501 } else { 413 };
            assert_eq!(raw.response().status, status, "{field}");
        }
        let mut attackers = Attackers::connect(server.address, 1_600);
        attackers.send([post("Transfer-Encoding: gzip"), b"ffff\r\n".to_vec(), vec![b'a'; 65_535]].concat());
        attackers
    });
}

/// The head of a POST with this field.
fn post(field: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n").into_bytes()
}

/// In one frame, and in two, of which the first is complete.
#[test]
fn me_03_unfinished_messages_count() {
    attack("memory::me_03_unfinished_messages_count", echo, |server| {
        let mut attackers = Attackers::connect(server.address, 800);
        attackers.send([OPENING.as_bytes(), &header(0x82, 1 << 20), &vec![7; 65_536]].concat());
        let mut others = Attackers::connect(server.address, 800);
        others.send([OPENING.as_bytes(), &frame(0x02, &vec![7; 65_000]), &header(0x80, 1_000), b"x"].concat());
        (attackers, others)
    });
}

/// The peak is bounded however few bytes a connection has of them.
#[test]
fn me_03_short_unfinished_messages_of_15_000_connections_count() {
    attack("memory::me_03_short_unfinished_messages_of_15_000_connections_count", echo, |server| {
        let mut attackers = Attackers::connect(server.address, 15_000);
        attackers.send([OPENING.as_bytes(), &header(0x82, 1 << 20), &vec![7; 6_000]].concat());
        attackers
    });
}

/// Each of eight clients requests an echo of 8 MiB, and takes 16 KB of it a second. The kernel reports room for more
/// when about as much has been taken.
#[test]
fn me_04_peer_that_takes_bytes_too_slowly_is_closed() {
    let name = "memory::me_04_peer_that_takes_bytes_too_slowly_is_closed";
    let _exclusive = exclusively();
    let server = server_process(name, || {
        let mut config = config();
        config.write_timeout = Duration::from_secs(1);
        serve(config, echo())
    });
    let witness = Witness::start(&server.url());
    let mut attackers = Attackers::connect_with_short_segments(server.address, 8);
    attackers.send([OPENING.as_bytes(), &frame(0x82, &vec![7; 8 * MIB])].concat());
    let started = Instant::now();
    // The end arrives behind the bytes in the kernel, but a write fails at once.
    while attackers.left() > 0 {
        assert!(started.elapsed() < LONG, "{} of 8 are still connected", attackers.left());
        thread::park_timeout(Duration::from_millis(250));
        attackers.read_at_most(4_000);
        attackers.send(frame(0x8A, b""));
    }
    witness.expect_served();
}

/// It takes 256 KiB a second, and needs one and a half times the deadline for what it requested.
#[test]
fn me_04_peer_that_takes_bytes_steadily_gets_all() {
    let name = "memory::me_04_peer_that_takes_bytes_steadily_gets_all";
    let server = server_process(name, || {
        let mut config = config();
        config.write_timeout = Duration::from_secs(4);
        serve(config, Service::echo())
    });
    let mut raw = open(Raw::connect_with_short_segments(server.address));
    raw.send(0x82, vec![7; 2 * MIB]);
    for _ in 0..64 {
        raw.pause_reading(Duration::from_millis(125));
        raw.take(32 << 10);
    }
}

/// An app that gives no verdict on `/held` until it is told so, and then rejects.
fn slow_verdicts() -> Service {
    let held = Arc::new(Mutex::new(Vec::new()));
    let holding = Arc::clone(&held);
    service(move |_, _| held.lock().unwrap().clear()).on_accept(move |handshake, verdict| {
        match handshake.request.target() {
            "/held" => holding.lock().unwrap().push(verdict),
            _ => verdict.accept(()),
        }
    })
}

#[test]
fn me_05_input_behind_a_handshake_that_waits_for_a_verdict_counts() {
    let name = "memory::me_05_input_behind_a_handshake_that_waits_for_a_verdict_counts";
    attack(name, slow_verdicts, |server| {
        let mut attackers = Attackers::connect(server.address, 1_600);
        attackers.send([opening_of("/held").as_bytes(), &frame(0x82, &vec![7; 125 << 10])].concat());
        attackers
    });
}

/// A list of short names takes many times as much memory as it has bytes.
#[test]
fn me_05_handshakes_that_wait_for_a_verdict_count() {
    let name = "memory::me_05_handshakes_that_wait_for_a_verdict_count";
    for field in [
        format!("Sec-WebSocket-Extensions: {}x", "x,".repeat(8_000 - 80)),
        format!("Sec-WebSocket-Extensions: x{}", ";a".repeat(8_000 - 80)),
        format!("Sec-WebSocket-Protocol: {}", unique_names(15_700)),
    ] {
        attack(name, slow_verdicts, |server| {
            let mut attackers = Attackers::connect(server.address, 400);
            attackers.send(opening_of("/held").replacen("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"), 1));
            attackers
        });
    }
}

/// Returns a list of different names, of at most `length` bytes.
fn unique_names(length: usize) -> String {
    let letters = || b'a'..=b'z';
    let names = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| [a, b, c])));
    let names: Vec<_> = names.take(length / 4).map(|name| String::from_utf8(name.to_vec()).unwrap()).collect();
    names.join(",")
}

#[test]
fn me_05_requests_behind_one_that_waits_for_its_response_count() {
    let name = "memory::me_05_requests_behind_one_that_waits_for_its_response_count";
    let service = || {
        // `None` once the app has been told to respond.
        let held = Arc::new(Mutex::new(Some(Vec::new())));
        let holding = Arc::clone(&held);
        service(move |_, _| drop(held.lock().unwrap().take())).on_request(move |_, responder| {
            if let Some(held) = &mut *holding.lock().unwrap() {
                held.push(responder);
            }
        })
    };
    attack(name, service, |server| {
        let mut attackers = Attackers::connect(server.address, 1_600);
        attackers.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3_000));
        attackers
    });
}

#[test]
fn me_05_input_of_connections_that_the_app_has_paused_counts() {
    let name = "memory::me_05_input_of_connections_that_the_app_has_paused_counts";
    let service = || {
        let paused = Mutex::new(Vec::new());
        service(move |message, context| match message {
            Message::Binary(RELEASE) => {
                paused.lock().unwrap().drain(..).for_each(|id| context.remote().close(id, CloseCode::GOING_AWAY, ""));
            }
            _ => {
                context.pause();
                paused.lock().unwrap().push(context.id());
            }
        })
    };
    attack(name, service, |server| {
        let mut attackers = Attackers::connect(server.address, 1_600);
        attackers.send([OPENING.as_bytes(), &frame(0x82, b"x").repeat(18_000)].concat());
        attackers
    });
}

/// A publisher's messages of 64 KiB, of which each subscriber may have 1 MiB waiting.
#[test]
fn me_06_publications_for_slow_subscribers_count() {
    let name = "memory::me_06_publications_for_slow_subscribers_count";
    let service = || {
        service(|message, context| match message {
            Message::Binary(b"subscribe") => context.subscribe("news"),
            message => context.publish("news", message),
        })
    };
    attack(name, service, |server| {
        let mut attackers = Attackers::connect_with_short_segments(server.address, 200);
        attackers.send([OPENING.as_bytes(), &frame(0x82, b"subscribe")].concat());
        let mut publisher = builder().connect(&server.url()).unwrap();
        for _ in 0..15 {
            publisher.send_binary(&vec![7; 64 << 10]).unwrap();
            round_trip(&mut publisher);
        }
        attackers
    });
}

#[test]
fn me_07_unfinished_compressed_messages_count() {
    attack("memory::me_07_unfinished_compressed_messages_count", echo, |server| {
        let mut attackers = Attackers::connect(server.address, 1_600);
        let stored = Blocks::default().stored(false, &[7; 65_000]).message();
        let opening = opening_with_deflate();
        attackers.send([opening.as_bytes(), &header(0xC2, 1 << 20), &masked(&stored)].concat());
        attackers
    });
}

/// Each message of 1 KiB is inflated to just under 1 MiB.
#[test]
fn me_07_inflated_parts_of_unfinished_messages_count() {
    attack("memory::me_07_inflated_parts_of_unfinished_messages_count", echo, |server| {
        let mut attackers = Attackers::connect(server.address, 150);
        let bomb = Zlib::new(9, 15).message(&vec![0; MIB - 1]);
        let opening = opening_with_deflate();
        attackers.send([opening.as_bytes(), &header(0xC2, 1 << 20), &masked(&bomb)].concat());
        attackers
    });
}

fn opening_with_deflate() -> String {
    OPENING.replacen("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 1)
}

/// Masks a payload for a frame that `header` begins.
fn masked(payload: &[u8]) -> Vec<u8> {
    let whole = frame(0x82, payload);
    whole[whole.len() - payload.len()..].to_vec()
}

/// Eight clients send a thousand requests each in one packet, and the app answers each with 64 KiB through `Remote`.
#[test]
fn me_08_answers_on_their_way_to_peers_that_do_not_read_count() {
    let name = "memory::me_08_answers_on_their_way_to_peers_that_do_not_read_count";
    let service = || {
        service(|_, context| {
            let (id, answer) = (context.id(), vec![7; 64 << 10]);
            context.remote().answer(id, Message::Binary(&answer));
        })
    };
    attack(name, service, |server| {
        let mut attackers = Attackers::connect_with_short_segments(server.address, 8);
        attackers.send([OPENING.as_bytes(), &frame(0x82, b"?").repeat(1_000)].concat());
        attackers
    });
}

/// Each client requests the page twenty times, and reads nothing.
#[test]
fn me_09_responses_to_pipelined_requests_count() {
    let name = "memory::me_09_responses_to_pipelined_requests_count";
    let service = || echo().on_request(|_, responder| responder.send(Response::text(200, "x".repeat(60 << 10))));
    attack(name, service, |server| {
        let mut attackers = Attackers::connect_with_short_segments(server.address, 1_500);
        attackers.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20));
        attackers
    });
}
