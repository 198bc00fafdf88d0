//! TM: times in which the server does not run, and peers that must not pay for them.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use switchboard::Message;
use switchboard_tests::{
    process::cpu_time,
    server::{LONG, Raw, Service, config, serve},
};

use crate::{
    exclusively,
    process::{ServerProcess, server_process},
    scaled,
};

/// The server waits this long for an answer to its Ping.
const PATIENCE: Duration = Duration::from_secs(4);

/// SIGSTOP ends a wait for events, so the first turn after SIGCONT could find every peer late and no event. (Before the
/// mend, a server with the default deadlines closed 5,000 of 5,000 after 35 s.)
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
    thread::park_timeout(PATIENCE + Duration::from_secs(2));
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
            while cpu_time(std::process::id()) - started < PATIENCE + Duration::from_secs(1) {}
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
    let computed = Instant::now();
    assert_eq!(silent.until_close(), (vec![], 1008));
    assert!(computed.elapsed() < Duration::from_secs(2), "closed only after {:?}", computed.elapsed());
    for peer in &mut peers {
        expect_echo(peer);
    }
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
