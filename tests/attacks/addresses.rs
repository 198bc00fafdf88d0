//! RS-12: connections from one address, counted before the handshake.

use std::{io::Write, net::IpAddr, time::Instant};

use switchboard::{Acceptance, Config};
use switchboard_tests::server::{LONG, OPENING, Raw, Service, TestServer, serve};

/// The number of connections that an address may have.
const LIMIT: usize = 5;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const RESPONSE: &str = "too many connections from your address, close one or try again later\n";

fn config() -> Config {
    let mut config = switchboard_tests::server::config();
    // The kernel spreads the connections of an address over the workers.
    config.workers = 4;
    config.max_connections_per_address = Some(LIMIT);
    config
}

fn connect(server: &TestServer, from: [u8; 4]) -> Raw {
    Raw::connect_from(IpAddr::from(from), server.address)
}

/// Opens a connection. Returns the status of the response, and the connection.
fn open(server: &TestServer, from: [u8; 4], fields: &str) -> (u16, Raw) {
    let mut raw = connect(server, from);
    raw.write(OPENING.replace("Host:", &format!("{fields}Host:")));
    (raw.head().status, raw)
}

/// Opens a connection as soon as that is possible again.
#[track_caller]
fn open_again(server: &TestServer, from: [u8; 4], fields: &str) -> Raw {
    let started = Instant::now();
    loop {
        let (status, raw) = open(server, from, fields);
        if status == 101 {
            return raw;
        }
        assert!(started.elapsed() < LONG, "a closed connection is still counted");
    }
}

#[test]
fn rs_12_an_address_that_opens_many_connections_gets_503_and_others_are_served() {
    let server = serve(config(), Service::echo());
    // Some send nothing, and some only a part of their request.
    let mut silent: Vec<_> = (0..LIMIT).map(|_| connect(&server, [127, 0, 0, 2])).collect();
    for raw in &mut silent[..LIMIT / 2] {
        raw.write("GET / HT");
    }
    // The workers accept in any order, so one of those may have been refused instead.
    let more: Vec<_> = (0..LIMIT).map(|_| connect(&server, [127, 0, 0, 2])).collect();
    for other in [[127, 0, 0, 1], [127, 0, 0, 3]] {
        let (status, _raw) = open(&server, other, "");
        assert_eq!(status, 101);
    }
    let (mut served, mut refused) = (Vec::new(), 0);
    for (number, mut raw) in silent.into_iter().chain(more).enumerate() {
        // Each completes its request. The server may have closed the connection already.
        let _ = raw.stream.write_all(if number < LIMIT / 2 { b"TP/1.1\r\nHost: x\r\n\r\n" } else { REQUEST });
        let response = raw.response();
        if response.status == 503 {
            assert_eq!(&*response.body, RESPONSE.as_bytes());
            assert!(response.header("Retry-After").is_some());
            assert_eq!(raw.take_up_to(1), 0);
            refused += 1;
        } else {
            assert_eq!(response.status, 404);
            served.push(raw);
        }
    }
    assert_eq!((served.len(), refused), (LIMIT, LIMIT));
}

#[test]
fn rs_12_a_connection_that_ends_makes_room_for_another() {
    let server = serve(config(), Service::echo());
    let from = [127, 0, 0, 2];
    for _ in 0..20 {
        let mut inside: Vec<_> = (0..LIMIT).map(|_| open_again(&server, from, "")).collect();
        assert_eq!(open(&server, from, "").0, 503);
        inside.pop().unwrap().reset();
        inside.push(open_again(&server, from, ""));
        assert_eq!(open(&server, from, "").0, 503);
        for raw in &mut inside {
            raw.text("served");
            raw.expect_frame(0x81, "served");
        }
    }
}

#[test]
fn rs_12_connections_through_a_proxy_count_for_its_clients() {
    let mut config = config();
    config.uncounted_networks = vec!["127.0.0.9/32".parse().unwrap()];
    let service = Service::echo().on_accept(|handshake, verdict| {
        let client = handshake.request.values("x-client").next().and_then(|value| std::str::from_utf8(value).ok());
        let client = client.and_then(|client| client.parse().ok()).unwrap_or(handshake.peer.ip());
        verdict.accept_with(Acceptance::default().counted_as(client), ());
    });
    let server = serve(config, service);
    let (proxy, direct) = ([127, 0, 0, 9], [127, 0, 0, 2]);
    // Clients that the proxy does not name.
    let _unnamed: Vec<_> = (0..3 * LIMIT).map(|_| open_again(&server, proxy, "")).collect();
    for client in ["X-Client: 10.0.0.1\r\n", "X-Client: 10.0.0.2\r\n"] {
        let _inside: Vec<_> = (0..LIMIT).map(|_| open_again(&server, proxy, client)).collect();
        let (status, mut raw) = open(&server, proxy, client);
        assert_eq!(status, 503);
        raw.take(RESPONSE.len());
        raw.expect_end();
        // A client that is not a proxy cannot name another address: its connections do not count for that one.
        let _claims = open_again(&server, direct, client);
    }
    open_again(&server, proxy, "X-Client: 10.0.0.1\r\n");
}
