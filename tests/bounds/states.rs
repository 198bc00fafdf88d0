//! What one connection can make the server keep, in each of its states: the table in `docs/limits.md` is measured.

use std::{
    net::TcpStream,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use switchboard::{Config, Responder, Response, Verdict};
use switchboard_tests::server::{LONG, Raw, Service, TestServer, config, frame, header, round_trip, serve};

use crate::{MIB, held, one_at_a_time};

/// The rows of the table, those of TLS or the others: the state, and the most bytes that a connection keeps in it.
fn documented(over_tls: bool) -> Vec<(String, usize)> {
    let text = include_str!("../../docs/limits.md");
    let (_, section) = text.split_once("## What one connection can make the server keep").expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")).skip(1);
    let rows = rows.filter(|row| row.starts_with("over TLS: ") == over_tls);
    rows.map(|row| {
        let (state, most) = row.split_once(" | ").expect("two columns");
        let (number, unit) = most.split_once(' ').expect("a number and a unit");
        let unit = match unit {
            "bytes" => 1,
            "KiB" => 1 << 10,
            "MiB" => MIB,
            other => panic!("{other}"),
        };
        (state.to_owned(), number.parse::<usize>().unwrap() * unit)
    })
    .collect()
}

/// Brings a new connection into a state, with as much kept for it as possible.
pub(crate) type Enter = fn(&TestServer) -> TcpStream;

const STATES: &[(&str, Enter)] = &[
    ("connected", |server| Raw::connect(server.address).stream),
    ("a head has begun", |server| {
        let mut raw = Raw::connect(server.address);
        raw.write(long_head("GET / HTTP/1.1\r\n", 16 << 10).strip_suffix("\n").unwrap());
        raw.stream
    }),
    ("a body has begun", |server| {
        let mut raw = Raw::connect(server.address);
        raw.write(long_head("POST / HTTP/1.1\r\nContent-Length: 65536\r\n", 16 << 10));
        raw.write([b'x'; 65_535]);
        raw.stream
    }),
    ("a request waits for the app's response", |server| {
        let mut raw = Raw::connect(server.address);
        raw.write("GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(10_000));
        raw.stream
    }),
    ("a handshake waits for the app's verdict", |server| {
        let mut raw = Raw::connect(server.address);
        let fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let start = format!("GET /never HTTP/1.1\r\nHost: localhost\r\n{fields}Sec-WebSocket-Extensions: a");
        raw.write(format!("{start}{}\r\n\r\n", ";a".repeat(((16 << 10) - start.len() - 4) / 2)));
        raw.write([0; 256 << 10]);
        raw.stream
    }),
    ("open", |server| opened(server, "/").stream),
    ("a message has begun", |server| {
        let mut raw = opened(server, "/");
        raw.write(header(0x82, 16 << 20));
        raw.write(vec![0; (16 << 20) - 1]);
        raw.stream
    }),
    ("a compressed message waits for an inflater", |server| {
        let mut raw = Raw::connect(server.address);
        raw.write(handshake("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
        assert_eq!(raw.head().status, 101);
        raw.write(header(0xC2, 16 << 20));
        raw.write(vec![0; (16 << 20) - 1]);
        raw.stream
    }),
    ("the app has paused it", |server| {
        let mut raw = opened(server, "/");
        // In one write, so that the server reads more than the request to pause.
        raw.write([frame(0x81, b"pause"), frame(0x8A, &[0; 125]).repeat(4_000)].concat());
        raw.stream
    }),
    ("it does not read what is sent to it", |server| {
        let mut raw = opened(server, "/");
        let message = frame(0x82, &[0; 32 << 10]);
        let mut rest = Vec::new();
        let mut blocked = 0;
        while blocked < 50 {
            if rest.is_empty() {
                rest.extend_from_slice(&message);
            }
            let taken = raw.write_some(&rest);
            rest.drain(..taken);
            blocked = if taken == 0 { blocked + 1 } else { 0 };
            if taken == 0 {
                thread::park_timeout(Duration::from_millis(1));
            }
        }
        raw.stream
    }),
];

fn handshake(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
}

fn opened(server: &TestServer, path: &str) -> Raw {
    let mut raw = Raw::connect_with_small_buffer(server.address);
    raw.write(handshake(path, ""));
    assert_eq!(raw.head().status, 101);
    raw
}

/// A head of exactly `length` bytes and as many fields as are allowed.
fn long_head(start: &str, length: usize) -> String {
    let mut head = format!("{start}Host: localhost\r\n");
    while head.matches("\r\n").count() < 64 {
        head += "a: b\r\n";
    }
    head += "pad: ";
    let rest = length - head.len() - 4;
    format!("{head}{}\r\n\r\n", "x".repeat(rest))
}

/// Answers nothing below `/never`.
pub(crate) fn service() -> Service {
    static VERDICTS: Mutex<Vec<Verdict<()>>> = Mutex::new(Vec::new());
    static RESPONDERS: Mutex<Vec<Responder>> = Mutex::new(Vec::new());
    Service::echo()
        .on_accept(|handshake, verdict| match handshake.request.path() {
            "/never" => VERDICTS.lock().unwrap().push(verdict),
            _ => verdict.accept(()),
        })
        .on_request(|request, responder| match request.head.path() {
            "/never" => RESPONDERS.lock().unwrap().push(responder),
            _ => responder.send(Response::new(204)),
        })
        .on_message(|message, context| match message.payload() {
            b"pause" => context.pause(),
            _ => context.send(message),
        })
}

#[test]
fn no_connection_keeps_more_than_is_documented_in_any_state() {
    let _turn = one_at_a_time();
    measure(STATES, false, |config| {
        let server = serve(config, service());
        let mut other = server.client();
        (server, move || round_trip(&mut other))
    });
}

/// Asserts that a connection in each state keeps at most what is documented, and at least a third of it. `serve` starts
/// a server, and returns it with what lets it make a turn.
pub(crate) fn measure<T: FnMut()>(states: &[(&str, Enter)], over_tls: bool, serve: impl Fn(Config) -> (TestServer, T)) {
    let documented = documented(over_tls);
    assert!(documented.iter().map(|(state, _)| &**state).eq(states.iter().map(|(state, _)| *state)), "{documented:?}");
    for ((state, most), (_, enter)) in documented.into_iter().zip(states) {
        let mut config = config();
        config.deflate.as_mut().unwrap().max_unfinished = 0;
        let (server, mut turn) = serve(config);
        let count = (8 * MIB / most).clamp(2, 100);
        let before = held();
        let connections: Vec<TcpStream> = (0..count).map(|_| enter(&server)).collect();
        // It is most once all bytes have been handled: nothing tells when, but it must come.
        let started = Instant::now();
        let mut each = 0;
        while each < most / 3 {
            assert!(started.elapsed() < LONG, "{state}: a connection keeps only {each} bytes");
            turn();
            each = held().saturating_sub(before) / count;
        }
        for _ in 0..100 {
            turn();
            each = each.max(held().saturating_sub(before) / count);
        }
        println!("{state}: {each} of {most}");
        assert!(each <= most, "{state}: a connection keeps {each} bytes");
        drop(connections);
    }
}
