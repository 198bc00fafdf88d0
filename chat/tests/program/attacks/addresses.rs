//! RS-12: connections from one address, also through a proxy, and what the log says of them.

use std::{fs, net::IpAddr, process::Command, time::Instant};

use switchboard_tests::server::{LONG, OPENING, Raw};

use crate::support::{
    folder::Folder,
    program::{PATH, Program, start_command},
};

/// Opens a WebSocket from this address, with these additional fields. Returns the status of the response.
fn open(program: &Program, from: [u8; 4], fields: &str) -> (u16, Raw) {
    let mut raw = Raw::connect_from(IpAddr::from(from), program.address());
    raw.write(OPENING.replace("GET /", "GET /ws").replace("Host:", &format!("{fields}Host:")));
    (raw.head().status, raw)
}

#[test]
fn rs_12_connections_of_an_address_are_limited_and_a_trusted_proxy_has_none() {
    let folder = Folder::new("addresses");
    let log = format!("{}/log", folder.path());
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$0\" \"$@\" 2>'{log}'"), PATH, "--data", ":memory:", "--workers", "2"]);
    command.args(["--listen", "127.0.0.1:0", "--max-connections-per-address", "3", "--trusted-proxy", "127.0.0.9"]);
    let program = start_command(&mut command);
    let (direct, proxy) = ([127, 0, 0, 2], [127, 0, 0, 9]);
    for (from, fields) in [
        (direct, ""),
        ([127, 0, 0, 3], "X-Forwarded-For: 10.0.0.1\r\n"),
        (proxy, "X-Forwarded-For: 10.0.0.1\r\n"),
        (proxy, "X-Forwarded-For: 10.0.0.1, 2001:db8::1\r\n"),
    ] {
        let inside: Vec<_> = (0..3).map(|_| open(&program, from, fields)).collect();
        assert!(inside.iter().all(|(status, _)| *status == 101), "{from:?} {fields}");
        for _ in 0..5 {
            assert_eq!(open(&program, from, fields).0, 503, "{from:?} {fields}");
        }
        drop(inside);
        let started = Instant::now();
        while open(&program, from, fields).0 != 101 {
            assert!(started.elapsed() < LONG, "{from:?} {fields}: closed connections are still counted");
        }
    }
    // Clients that the proxy does not name.
    let unnamed: Vec<_> = (0..10).map(|_| open(&program, proxy, "")).collect();
    assert!(unnamed.iter().all(|(status, _)| *status == 101));
    let log = fs::read_to_string(log).unwrap();
    for address in ["127.0.0.2", "127.0.0.3", "10.0.0.1", "2001:db8::/64"] {
        let said = format!("{address} has 3 connections, as many as one address may have");
        assert!(log.contains(&said), "{said:?} is not in the log: {log}");
    }
    assert!(log.lines().count() < 10, "the log is short: {log}");
}

#[test]
fn rs_12_without_a_limit_any_number_of_connections_may_come_from_one_address() {
    let program = super::chat(&["--max-connections-per-address", "0"]);
    let crowd: Vec<_> = (0..1_100).map(|_| open(&program, [127, 0, 0, 2], "")).collect();
    assert!(crowd.iter().all(|(status, _)| *status == 101));
}
