//! RS: memory, descriptors and turns that many peers share.

use std::{
    fs,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use socket2::Socket;
use switchboard::{Connection, Delivery, Event, Limits, Message, Prepared, Role, client};
use switchboard_tests::{
    counting::live,
    engine::frame,
    process::{cpu_time, descriptors, memory, next_descriptor, wait_for_descriptors},
    server::{LONG, OPENING, Raw, Service, builder, config, expect_text, frame as masked, round_trip, serve},
};

use crate::{
    exclusively,
    process::{echo_process, echo_process_by, open, server_process},
    scaled,
};

const MIB: usize = 1 << 20;

/// One subscriber in a hundred reads nothing. A long run has 10,000 subscribers. A round would take many times as long
/// if a subscriber that reads had to wait for one that does not; other times are left to the benchmarks.
#[test]
fn rs_01_subscribers_that_never_read_are_closed_while_all_others_get_everything_and_pings() {
    let name = "resources::rs_01_subscribers_that_never_read_are_closed_while_all_others_get_everything_and_pings";
    let server = server_process(name, || {
        let mut config = config();
        config.max_queued_bytes = 64 << 10;
        (config.ping_after, config.idle_timeout) = (Duration::from_secs(1), Duration::from_secs(600));
        let service = Service::echo()
            .on_opened(|context| context.subscribe("radio"))
            .on_message(|message, context| context.publish_to_others("radio", message));
        serve(config, service)
    });
    let _exclusive = exclusively();
    let count = scaled(1_000, 10_000);
    let mut publisher = server.raw();
    let mut readers: Vec<_> = (0..count - count / 100).map(|_| Reader::new(server.raw())).collect();
    let mut round = |readers: &mut [Reader], number: u32| {
        let mut payload = vec![0; 16 << 10];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        let started = Instant::now();
        publisher.send(0x82, &payload);
        readers.iter_mut().for_each(|reader| reader.next(number));
        started.elapsed()
    };
    let mut before: Vec<_> = (0..5).map(|number| round(&mut readers, number)).collect();
    let held = memory(server.id());
    let silent: Vec<_> = (0..count / 100).map(|_| open(Raw::connect_with_short_segments(server.address))).collect();
    let mut during = Vec::new();
    let started = Instant::now();
    // The kernel buffers 50 KB for each subscriber that does not read, so by then each is over its limit; the readers
    // together have received far more than 64 MiB.
    for number in 5..45 {
        during.push(round(&mut readers, number));
    }
    let more = memory(server.id()).saturating_sub(held);
    assert!(more <= count * (64 << 10), "{} KiB for {count} subscribers", more >> 10);
    before.sort_unstable();
    during.sort_unstable();
    let (usual, now) = (before[before.len() / 2], during[during.len() / 2]);
    assert!(now < 5 * usual, "a round takes {now:?}, and took {usual:?}");
    for mut raw in silent {
        assert_eq!(raw.until_close().1, 1008);
        raw.expect_end();
    }
    // Long enough for a Ping to each subscriber that has sent nothing for a second.
    thread::park_timeout(Duration::from_millis(2_200).saturating_sub(started.elapsed()));
    round(&mut readers, u32::MAX);
    let unpinged = readers.iter().filter(|reader| reader.pings == 0).count();
    assert_eq!(unpinged, 0, "{unpinged} of {} readers have had no Ping", readers.len());
}

/// A subscriber that reads everything, and answers no Ping.
struct Reader {
    raw: Raw,
    pings: usize,
}

impl Reader {
    fn new(raw: Raw) -> Self {
        Self { raw, pings: 0 }
    }

    /// Asserts that the next message has this number. Counts Pings before it.
    #[track_caller]
    fn next(&mut self, number: u32) {
        loop {
            let frame = self.raw.frame();
            if frame.first == 0x89 {
                self.pings += 1;
                continue;
            }
            assert_eq!((frame.first, frame.payload.len()), (0x82, 16 << 10));
            assert_eq!(frame.payload[..4], number.to_be_bytes());
            return;
        }
    }
}

/// A server's app gets a message that borrows from the read buffer, so it keeps a copy. A client gets an owned message.
#[test]
fn rs_02_kept_message_keeps_no_buffer() {
    let text = "twenty bytes of text";
    let count = 2_000;
    // A message whole in one read, and a message in fragments.
    let mut receiver = Connection::server(Limits::default(), Delivery::Messages).receiver;
    let mut kept: Vec<Box<str>> = Vec::with_capacity(2 * count);
    let mut buffer = vec![0; 64 << 10];
    let whole = frame(Role::Server, 0x81, text.as_bytes());
    let fragments =
        [frame(Role::Server, 0x01, &text.as_bytes()[..5]), frame(Role::Server, 0x80, &text.as_bytes()[5..])];
    let before = live();
    for wire in [whole, fragments.concat()] {
        for _ in 0..count {
            buffer[..wire.len()].copy_from_slice(&wire);
            let mut events = receiver.receive(&mut buffer[..wire.len()]);
            let Ok(Some(Event::Text(seen))) = events.next_event() else { panic!("a text") };
            kept.push(seen.into());
        }
    }
    let retained = (live() - before) as usize;
    assert!(kept.iter().all(|seen| **seen == *text));
    assert!(retained <= 2 * 2 * count * text.len(), "{} bytes for each of {}", retained / kept.len(), text.len());
    drop(kept);

    let before = live();
    let prepared: Vec<_> = (0..count).map(|_| Prepared::text(text)).collect();
    let retained = (live() - before) as usize - prepared.capacity() * size_of::<Prepared>();
    assert!(retained <= count * (2 * text.len() + 64), "{} bytes for each that is encoded", retained / count);
}

#[test]
fn rs_02_kept_message_of_a_client_keeps_no_buffer() {
    let text = "twenty bytes of text";
    let server = serve(config(), Service::echo());
    let mut client = server.client();
    client.send_binary(&vec![7; MIB]).unwrap();
    client.receive().unwrap();
    let count = 200;
    let mut kept = Vec::with_capacity(count);
    let before = live();
    for _ in 0..count / 2 {
        client.send_text(text).unwrap();
        kept.push(client.receive().unwrap());
        client.send_text_fragment("twenty ", false).unwrap();
        client.send_text_fragment("bytes of text", true).unwrap();
        kept.push(client.receive().unwrap());
    }
    let retained = live() - before;
    assert!(kept.iter().all(|seen| *seen == client::Message::Text(text.into())));
    assert!(retained <= (2 * count * text.len()) as isize, "{} bytes for each", retained / count as isize);
}

/// A long run goes from a thousand to ten thousand connections. Without TLS, which the server does not have.
#[test]
fn rs_03_idle_connection_takes_at_most_1536_bytes_of_the_server() {
    let server = echo_process("resources::rs_03_idle_connection_takes_at_most_1536_bytes_of_the_server");
    let _exclusive = exclusively();
    let opened = || open(Raw::connect(server.address));
    let (few, many) = scaled((500, 2_500), (1_000, 10_000));
    let mut idle: Vec<_> = (0..few).map(|_| opened()).collect();
    round_trip(&mut builder().connect(&server.url()).unwrap());
    let before = memory(server.id());
    idle.extend((few..many).map(|_| opened()));
    // Each has sent a message and got its echo.
    for raw in &mut idle {
        raw.send(0x82, [7; 1_000]);
        raw.expect_frame(0x82, [7; 1_000]);
    }
    let more = memory(server.id()).saturating_sub(before);
    assert!(more <= (many - few) * 1536, "{} bytes for each", more / (many - few));
}

/// The server knows its limit of descriptors and accepts no connection beyond it, so `accept` never fails; for that
/// case see the next test.
#[test]
fn rs_04_out_of_descriptors_open_connections_are_served_and_new_ones_open_once_others_close() {
    let name = "resources::rs_04_out_of_descriptors_open_connections_are_served_and_new_ones_open_once_others_close";
    let server = echo_process_by("ulimit -n 64; exec \"$0\" \"$@\"", name);
    let mut clients: Vec<_> = (0..200).map(|_| Raw::connect(server.address)).collect();
    for client in &mut clients {
        client.write(OPENING);
    }
    let (inside, refused) = clients.split_at_mut(30);
    for client in &mut *inside {
        assert_eq!(client.head().status, 101);
    }
    // The last one is past the number of refusals that the server sends at once: it is disconnected without a byte.
    assert_eq!(refused.last_mut().unwrap().take_up_to(1), 0);
    // The refused clients, which are still there, take almost no CPU time.
    let before = cpu_time(server.id());
    assert!(inside[0].receives_nothing_for(Duration::from_secs(1)));
    let used = cpu_time(server.id()) - before;
    assert!(used < Duration::from_millis(300), "{used:?} in one second of waiting");
    for client in inside {
        client.text("served");
        client.expect_frame(0x81, "served");
    }
    drop(clients);
    let started = Instant::now();
    let mut late = loop {
        match builder().connect(&server.url()) {
            Ok(client) => break client,
            Err(error) => assert!(started.elapsed() < LONG, "{error}"),
        }
    };
    round_trip(&mut late);
}

/// The limit is lowered while the server runs, so that `accept` itself fails. A long run takes ten seconds.
#[test]
fn rs_04_accept_that_is_refused_a_descriptor_neither_spins_nor_stops_accepting() {
    let server = echo_process("resources::rs_04_accept_that_is_refused_a_descriptor_neither_spins_nor_stops_accepting");
    let mut inside: Vec<_> = (0..20).map(|_| open(Raw::connect(server.address))).collect();
    let (mut soft, mut hard) = (0, 0);
    let id = server.id().try_into().unwrap();
    rlimit::prlimit(id, rlimit::Resource::NOFILE, None, Some((&mut soft, &mut hard))).unwrap();
    let next = next_descriptor(server.id());
    rlimit::prlimit(id, rlimit::Resource::NOFILE, Some((next, hard)), None).unwrap();
    let mut outside: Vec<_> = (0..200).map(|_| Raw::connect(server.address)).collect();
    outside.iter_mut().for_each(|raw| raw.write(OPENING));
    let (time, before) = (scaled(Duration::from_secs(1), Duration::from_secs(10)), cpu_time(server.id()));
    assert!(outside[0].receives_nothing_for(time));
    let used = cpu_time(server.id()) - before;
    assert!(used <= time / 20, "{used:?} in {time:?} of waiting");
    for raw in &mut inside {
        raw.text("served");
        raw.expect_frame(0x81, "served");
    }
    // One connection closes and a waiting one is accepted, although no event announces it.
    let started = Instant::now();
    drop(inside.pop());
    assert_eq!(outside[0].head().status, 101);
    assert!(started.elapsed() < Duration::from_secs(2), "accepted after {:?}", started.elapsed());
    rlimit::prlimit(id, rlimit::Resource::NOFILE, Some((soft, hard)), None).unwrap();
    for raw in &mut outside[1..] {
        assert_eq!(raw.head().status, 101);
    }
}

/// A long run takes five seconds.
#[test]
fn rs_05_flood_of_resets_leaves_no_descriptor_no_memory_and_no_flood_of_lines() {
    let log = format!("{}/rs_05-{}.log", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let name = "resources::rs_05_flood_of_resets_leaves_no_descriptor_no_memory_and_no_flood_of_lines";
    let server = echo_process_by(&format!("exec \"$0\" \"$@\" 2>'{log}'"), name);
    let _exclusive = exclusively();
    let mut witness = builder().connect(&server.url()).unwrap();
    round_trip(&mut witness);
    let baseline = descriptors(server.id());
    let mut resets = 0;
    let mut flood = |time: Duration| {
        let started = Instant::now();
        while started.elapsed() < time {
            let socket = Socket::from(TcpStream::connect(server.address).unwrap());
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            // Before the first byte, inside the handshake, and behind it.
            match resets % 3 {
                0 => {}
                1 => drop(socket.send(&OPENING.as_bytes()[..50])),
                _ => drop(socket.send(OPENING.as_bytes())),
            }
            resets += 1;
        }
    };
    flood(Duration::from_millis(300));
    round_trip(&mut witness);
    wait_for_descriptors(server.id(), baseline);
    let before = memory(server.id());
    flood(scaled(Duration::from_secs(1), Duration::from_secs(5)));
    round_trip(&mut witness);
    wait_for_descriptors(server.id(), baseline);
    let more = memory(server.id()).saturating_sub(before);
    assert!(more <= MIB, "{} KiB more after {resets} resets", more >> 10);
    let lines = fs::read_to_string(&log).unwrap();
    assert!(lines.lines().count() <= 10, "{lines}");
    assert!(resets > 300, "too few resets: {resets}");
    round_trip(&mut builder().connect(&server.url()).unwrap());
    fs::remove_file(&log).unwrap();
}

/// Counts the messages of endless senders that the server reads between a client's message and its echo.
#[test]
fn rs_07_peer_that_sends_without_end_gets_1024_events_per_turn_and_delays_no_other_peer() {
    let flooded = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&flooded);
    let (report, reports) = mpsc::channel();
    let service = Service::echo().on_message(move |message, context| match message {
        Message::Binary(_) => drop(counter.fetch_add(1, Ordering::SeqCst)),
        message => {
            report.send(counter.load(Ordering::SeqCst)).unwrap();
            context.send(message);
        }
    });
    let server = serve(config(), service);
    let (mut client, _) = server.client_with_id();
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (mut raw, _) = server.raw();
            let tiny = masked(0x82, b"x").repeat(20_000);
            thread::spawn(move || {
                // Ends when the server does.
                while std::io::Write::write_all(&mut raw.stream, &tiny).is_ok() {}
            })
        })
        .collect();
    let started = Instant::now();
    while flooded.load(Ordering::SeqCst) < 100_000 {
        assert!(started.elapsed() < LONG, "no flood");
        thread::yield_now();
    }
    for _ in 0..50 {
        client.send_text("?").unwrap();
        let at_most = flooded.load(Ordering::SeqCst);
        expect_text(&mut client, "?");
        let count_at_message = reports.recv_timeout(LONG).unwrap();
        // The rest of the turn in which the message came, and the next turn, in which it is read.
        let between = count_at_message.saturating_sub(at_most);
        assert!(between <= 2 * SENDERS * 1024, "{between} messages were read before it");
    }
    drop((client, server));
    for sender in senders {
        sender.join().unwrap();
    }
}

const SENDERS: usize = 3;
