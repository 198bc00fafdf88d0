//! TM: times in which the server does not run or is not told of what arrived.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::Command,
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use switchboard::Message;
use switchboard_tests::{
    process::cpu_time,
    server::{LONG, Raw, Service, builder, config, serve},
};

use crate::{
    exclusively,
    process::{ServerProcess, process_with, server_process},
    scaled,
};

/// The server waits this long for an answer to its Ping.
const PATIENCE: Duration = Duration::from_secs(3);
/// By how much more than this a process is stopped or busy.
const MARGIN: Duration = Duration::from_millis(100);

/// SIGSTOP ends a wait for events, so the first turn after SIGCONT could find every peer late and no event. A past bug:
/// a server with the default deadlines closed 5,000 of 5,000 peers after 35 s.
#[test]
fn tm_01_peers_that_answer_while_the_process_is_stopped_stay_and_a_silent_one_is_closed_in_its_time() {
    let name = "time::tm_01_peers_that_answer_while_the_process_is_stopped_stay_and_a_silent_one_is_closed_in_its_time";
    let server = pinging_process(name, Service::echo());
    let _exclusive = exclusively();
    let connected = Instant::now();
    let mut silent = server.raw();
    let mut peers = pinged_peers(&server, scaled(300, 5_000));
    silent.expect_frame(0x89, "");

    signal(&server, "STOP");
    let stopped = Instant::now();
    wait_for_state(&server, 'T');
    for peer in &mut peers {
        peer.send(0x8A, "");
    }
    // All Pongs are late, if this time counts: the Pings came before.
    wait_until(stopped + PATIENCE + MARGIN);
    signal(&server, "CONT");
    let continued = Instant::now();
    for peer in &mut peers {
        expect_echo(peer);
    }
    assert_eq!(silent.until_close(), (vec![], 1008));
    // Its Ping came at least a second after it connected.
    let waited_before = stopped - connected - Duration::from_secs(1);
    let least = PATIENCE.saturating_sub(waited_before + Duration::from_millis(500));
    assert!(continued.elapsed() >= least, "closed {:?} after the pause, not {least:?}", continued.elapsed());
}

/// A turn that computes for longer than the server waits for an answer. More peers have answered than one wait for
/// events reports.
#[test]
fn tm_02_slow_server_closes_a_silent_peer_and_no_peer_whose_answer_it_has_not_read() {
    let name = "time::tm_02_slow_server_closes_a_silent_peer_and_no_peer_whose_answer_it_has_not_read";
    let service = Service::echo().on_message(|message, context| {
        if message == Message::Text("compute") {
            let started = cpu_time(std::process::id());
            while cpu_time(std::process::id()) - started < PATIENCE + MARGIN {}
        }
        context.send(message);
    });
    let server = pinging_process(name, service);
    let _exclusive = exclusively();
    let mut busy = server.raw();
    let mut silent = server.raw();
    let mut peers = pinged_peers(&server, scaled(1_500, 5_000));
    silent.expect_frame(0x89, "");
    busy.expect_frame(0x89, "");
    let before = cpu_time(server.id());
    busy.text("compute");
    while cpu_time(server.id()) - before < Duration::from_millis(200) {
        thread::park_timeout(Duration::from_millis(10));
    }
    for peer in &mut peers {
        peer.send(0x8A, "");
    }
    busy.stream.set_read_timeout(Some(4 * LONG)).unwrap();
    busy.expect_frame(0x81, "compute");
    // The check of the deadlines that finds `busy` silent for a second ends the wait for `silent`, or one before does.
    busy.expect_frame(0x89, "");
    expect_echo(&mut busy);
    assert!(!silent.receives_nothing_for(Duration::from_millis(1)), "the time of the turn did not count");
    assert_eq!(silent.until_close(), (vec![], 1008));
    for peer in &mut peers {
        expect_echo(peer);
    }
}

/// Linux ends a read at the urgent byte, which is not part of the stream. So a short read has not drained the socket.
#[test]
fn tm_03_urgent_byte_of_tcp_delays_no_frame() {
    let (held_tx, held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let service = Service::echo().on_message(move |message, context| {
        if message == Message::Text("hold") {
            held_tx.send(()).unwrap();
            released.lock().unwrap().recv_timeout(LONG).unwrap();
        }
        context.send(message);
    });
    let server = serve(config(), service);
    let (mut holder, _) = server.raw();
    let (mut raw, _) = server.raw();
    for length in [0, 1, 10, 16, 1000, 16 << 10] {
        // Everything arrives while the server does not read.
        holder.text("hold");
        held.recv_timeout(LONG).unwrap();
        raw.send(0x82, vec![1; length]);
        send_urgent(&raw);
        raw.text("behind");
        release.send(()).unwrap();
        holder.expect_frame(0x81, "hold");
        raw.expect_frame(0x82, vec![1; length]);
        raw.expect_frame(0x81, "behind");

        holder.text("hold");
        held.recv_timeout(LONG).unwrap();
        raw.send(0x82, vec![2; length]);
        send_urgent(&raw); // the very last byte
        release.send(()).unwrap();
        holder.expect_frame(0x81, "hold");
        raw.expect_frame(0x82, vec![2; length]);
        raw.text("later");
        raw.expect_frame(0x81, "later");
    }
    // Around the size of the server's read buffer.
    for length in ((128 << 10) - 16..(128 << 10) + 2).chain([1 << 20]) {
        let mut sender = raw.stream.try_clone().unwrap();
        let writing = thread::spawn(move || {
            sender.write_all(&switchboard_tests::server::frame(0x82, &vec![3; length])).unwrap();
        });
        raw.expect_frame(0x82, vec![3; length]);
        writing.join().unwrap();
        send_urgent(&raw);
        raw.text("behind");
        raw.expect_frame(0x81, "behind");
    }
}

/// The client waits this long for a message.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// SIGSTOP interrupts a read with a timeout. A past bug: after SIGCONT the client only saw that its time was over.
#[test]
fn tm_04_client_whose_process_was_stopped_reads_what_arrived_meanwhile() {
    let name = "time::tm_04_client_whose_process_was_stopped_reads_what_arrived_meanwhile";
    let process = process_with(name, |control| {
        let mut url = String::new();
        let mut lines = BufReader::new(&control);
        lines.read_line(&mut url).unwrap();
        let mut client = builder().read_timeout(Some(READ_TIMEOUT)).connect(url.trim()).unwrap();
        writeln!(&control, "{:?}", client.receive()).unwrap();
    });
    let server = serve(config(), Service::echo());
    let mut control = TcpStream::connect(process.address).unwrap();
    control.set_read_timeout(Some(LONG)).unwrap();
    writeln!(control, "{}", server.url()).unwrap();
    let id = server.next_opened();
    signal(&process, "STOP");
    wait_for_state(&process, 'T');
    let stopped = Instant::now();
    server.remote.send(id, Message::Text("meanwhile"));
    // The client began to read before it was stopped.
    wait_until(stopped + READ_TIMEOUT + MARGIN);
    signal(&process, "CONT");
    let mut received = String::new();
    BufReader::new(control).read_line(&mut received).unwrap();
    assert_eq!(received.trim(), r#"Ok(Text("meanwhile"))"#);
}

fn send_urgent(raw: &Raw) {
    let sent = socket2::SockRef::from(&raw.stream).send_out_of_band(b"!").unwrap();
    assert_eq!(sent, 1);
}

/// A server that pings after one second, and then waits for [`PATIENCE`].
fn pinging_process(name: &str, service: Service) -> ServerProcess {
    server_process(name, || {
        let mut config = config();
        config.ping_after = Duration::from_secs(1);
        config.idle_timeout = config.ping_after + PATIENCE;
        serve(config, service)
    })
}

/// Peers that have each got a Ping and not answered.
fn pinged_peers(server: &ServerProcess, count: usize) -> Vec<Raw> {
    let mut peers: Vec<_> = (0..count).map(|_| server.raw()).collect();
    for peer in &mut peers {
        peer.expect_frame(0x89, "");
    }
    peers
}

/// Asserts that the server answers a text. Pings may come before.
#[track_caller]
fn expect_echo(peer: &mut Raw) {
    peer.text("alive");
    loop {
        let frame = peer.frame();
        match frame.first {
            0x89 => {}
            first => return assert_eq!((first, &*frame.payload), (0x81, b"alive".as_slice())),
        }
    }
}

fn signal(server: &ServerProcess, name: &str) {
    let status = Command::new("kill").args(["-s", name, &server.id().to_string()]).status().unwrap();
    assert!(status.success(), "kill -s {name}");
}

fn wait_until(end: Instant) {
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

/// Waits until the process is in this state: the field after its name in `/proc/…/stat`.
fn wait_for_state(server: &ServerProcess, state: char) {
    let started = Instant::now();
    loop {
        let stat = fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
        if stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with(state)) {
            return;
        }
        assert!(started.elapsed() < LONG, "the process is not in the state {state}: {stat}");
        thread::yield_now();
    }
}
