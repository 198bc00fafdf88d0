//! HS: the opening handshake, on both sides.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use switchboard::{
    Acceptance, ClientHandshake, ClientHandshakeError, ClientRequest, Delivery, HandshakeError, HeadError, HeadLimits,
    InvalidHeader, Limits, OriginPolicy, Rejection, RequestReader, ServerHandshake, client::ClientError,
};
use switchboard_tests::{
    counting::cost,
    process::memory,
    server::{LONG, OPENING, Raw, Service, TestServer, builder, config, frame, round_trip, serve},
};

use crate::{exclusively, process::server_process, scaled};

#[test]
fn hs_01_head_byte_by_byte_is_kept_once_and_parsed_once() {
    let field = format!("X: {}\r\n", "x".repeat(295));
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", field.repeat(50)).into_bytes();
    let limits = HeadLimits::default();
    let mut reader = RequestReader::new(limits);
    let (&last, all_before) = head.split_last().expect("not empty");
    let collecting = cost(|| {
        for &byte in all_before {
            assert!(matches!(reader.receive(&[byte]), Ok(None)));
        }
    });
    // A buffer that doubles from 8 bytes to 16 KiB takes a dozen allocations; the parser takes none.
    assert!(collecting.calls <= 12 && collecting.peak <= limits.max_bytes as isize, "{collecting:?}");
    let parsing = cost(|| {
        let (request, used) = reader.receive(&[last]).expect("a valid head").expect("it is whole");
        assert_eq!((request.headers().count(), used), (50, 1));
    });
    assert!(parsing.calls <= 8, "{parsing:?}");
}

#[test]
fn hs_01_head_past_the_cap_is_not_kept_past_it() {
    let limits = HeadLimits::default();
    for piece in [1, 100, 1460, 65_536] {
        let mut reader = RequestReader::new(limits);
        let filler = vec![b'x'; piece];
        let used = cost(|| {
            assert!(matches!(reader.receive(b"GET / HTTP/1.1\r\nX: "), Ok(None)));
            while reader.receive(&filler).is_ok() {}
        });
        assert!(used.peak <= limits.max_bytes as isize + 1024, "pieces of {piece}: {used:?}");
    }
}

#[test]
fn hs_01_head_past_the_cap_gets_431_at_the_first_byte_past_it() {
    let limits = HeadLimits::default();
    let head = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 10 << 20]].concat();
    for piece in [1, 1460, 64 << 10] {
        let mut reader = RequestReader::new(limits);
        let mut given = 0;
        let error = head.chunks(piece).find_map(|part| {
            given += part.len();
            reader.receive(part).err()
        });
        assert_eq!(error, Some(HeadError::TooLong { limit: limits.max_bytes }), "pieces of {piece}");
        assert_eq!(error.map(|error| error.status()), Some(431));
        assert!(given - piece <= limits.max_bytes && given > limits.max_bytes, "{given} in pieces of {piece}");
    }
}

/// A parser that begins anew with each piece would take 16 times as long for 64 KiB as for 16 times 4 KiB.
#[test]
fn hs_01_head_byte_by_byte_is_read_in_linear_time() {
    assert_linear("a head", |length| {
        let mut limits = HeadLimits::default();
        limits.max_bytes = usize::MAX;
        let mut reader = RequestReader::new(limits);
        assert!(matches!(reader.receive(b"GET / HTTP/1.1\r\nX: "), Ok(None)));
        for _ in 0..length {
            assert!(matches!(reader.receive(b"x"), Ok(None)));
        }
    });
}

/// Measures `work` on 64 KiB and 16 times on 4 KiB, in turns, and compares the shortest time of each. Other programs on
/// the machine only make a measured time longer, so more turns make both times more exact.
fn assert_linear(name: &str, work: impl Fn(usize)) {
    let _exclusive = exclusively();
    let time = |times, length| {
        let started = Instant::now();
        (0..times).for_each(|_| work(length));
        started.elapsed()
    };
    let (mut short, mut long) = (Duration::MAX, Duration::MAX);
    let started = Instant::now();
    loop {
        short = short.min(time(16, 4 << 10));
        long = long.min(time(1, 64 << 10));
        if long < 4 * short {
            return;
        }
        assert!(started.elapsed() < LONG, "{name}: {short:?} for 16 times 4 KiB, {long:?} for 64 KiB");
    }
}

#[test]
fn hs_01_peer_of_a_head_without_end_reads_431_and_the_end_while_it_sends_on() {
    let server = lingering(Service::echo());
    let begun = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
    let mut bytewise = Raw::connect(server.address);
    bytewise.write(begun);
    (0..(16 << 10) + 10).for_each(|_| bytewise.write("x"));
    let mut at_once = Raw::connect(server.address);
    at_once.write(begun);
    (0..160).for_each(|_| at_once.write(vec![b'x'; 64 << 10]));
    for mut raw in [bytewise, at_once] {
        let answer = raw.response();
        assert_eq!((answer.status, answer.header("Connection")), (431, Some("close")));
        raw.expect_end();
    }
}

/// A server that lingers long enough for a refused peer to send all of its bytes.
fn lingering(service: Service) -> TestServer {
    let mut config = config();
    config.linger_timeout = LONG;
    serve(config, service)
}

/// A service that accepts and answers every request, and the targets of all requests that reach it.
fn recording() -> (Service, mpsc::Receiver<String>) {
    let (record, targets) = mpsc::channel();
    let record = Mutex::new(record);
    let record = Arc::new(move |target: &str| record.lock().unwrap().send(target.to_owned()).unwrap());
    let record_again = Arc::clone(&record);
    let service = Service::echo()
        .on_accept(move |handshake, verdict| {
            record(handshake.request.target());
            verdict.accept(());
        })
        .on_request(move |request, responder| {
            record_again(request.head.target());
            responder.send(switchboard::Response::text(404, "nothing\n"));
        });
    (service, targets)
}

/// The request of an opening handshake with additional header fields.
fn opening_with(fields: &str) -> String {
    OPENING.replace("\r\n\r\n", &format!("\r\n{fields}\r\n"))
}

#[test]
fn hs_02_many_fields_get_431_and_broken_lines_400_and_none_of_it_is_accepted() {
    let (service, targets) = recording();
    let server = lingering(service);
    let rows = [
        ("2,000 fields", opening_with(&"A: b\r\n".repeat(2_000)), 431),
        ("2,000 fields of one name", opening_with(&"Cookie: b\r\n".repeat(2_000)), 431),
        ("65 fields", opening_with(&"A: b\r\n".repeat(60)), 431),
        ("a folded line", opening_with("A: b\r\n c\r\n"), 400),
        ("a line folded with a tab", opening_with("A: b\r\n\tc\r\n"), 400),
        ("a folded Host", OPENING.replace("Host: ", "Host:\r\n "), 400),
        ("NUL in a value", opening_with("A: b\0c\r\n"), 400),
        ("NUL in a name", opening_with("A\0: b\r\n"), 400),
        ("bare LF in the head", opening_with("A: b\nC: d\r\n"), 400),
        ("bare LF everywhere", OPENING.replace("\r\n", "\n"), 400),
        ("bare CR", opening_with("A: b\rC: d\r\n"), 400),
        ("a space before a colon", OPENING.replace("Host:", "Host :"), 400),
        ("a tab before a colon", OPENING.replace("Host:", "Host\t:"), 400),
        ("a space before the first field", OPENING.replace("Host:", " Host:"), 400),
        ("no name", opening_with(": b\r\n"), 400),
        ("no colon", opening_with("A\r\n"), 400),
    ];
    for (name, request, status) in rows {
        let mut raw = Raw::connect(server.address);
        raw.write(&request);
        assert_eq!(raw.response().status, status, "{name}");
        raw.expect_end();
    }
    assert_eq!(targets.try_iter().count(), 0, "no request reaches the app");
    let mut raw = Raw::connect(server.address);
    raw.write(opening_with(&"A: b\r\n".repeat(59)));
    assert_eq!(raw.head().status, 101, "64 fields");
}

#[test]
fn hs_03_request_that_comes_byte_by_byte_is_not_given_more_time() {
    let mut config = config();
    config.handshake_timeout = Duration::from_millis(200);
    let server = serve(config, Service::echo());
    let mut raw = Raw::connect(server.address);
    raw.write("GET / HTTP/1.1\r\nX-Long: ");
    let started = Instant::now();
    while raw.receives_nothing_for(Duration::from_millis(5)) {
        raw.write("x");
        assert!(started.elapsed() < LONG, "still reading after {:?}", started.elapsed());
    }
    assert_eq!(raw.response().status, 408);
}

/// The deadline is 10 s by default, and is met within a second. Each peer sends one byte per half of it.
#[test]
fn hs_03_crowd_that_trickles_bytes_is_ended_at_an_absolute_deadline_while_others_connect() {
    let name = "handshake::hs_03_crowd_that_trickles_bytes_is_ended_at_an_absolute_deadline_while_others_connect";
    let timeout = scaled(Duration::from_secs(3), Duration::from_secs(10));
    let server = server_process(name, || {
        let mut config = config();
        config.handshake_timeout = timeout;
        serve(config, Service::echo())
    });
    let _exclusive = exclusively();
    let crowd = scaled(1_000, 10_000);
    let begun = |_| {
        let mut raw = Raw::connect(server.address);
        raw.write("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
        (raw, Instant::now())
    };
    let url = format!("ws://{}/", server.address);
    let _warm_up: Vec<_> = (0..100).map(begun).collect();
    round_trip(&mut builder().connect(&url).unwrap());
    let before = memory(server.id());
    let mut pending: Vec<_> = (0..crowd).map(begun).collect();
    let mut connecting: Vec<Duration> = (0..100)
        .map(|_| {
            let started = Instant::now();
            round_trip(&mut builder().connect(&url).unwrap());
            started.elapsed()
        })
        .collect();
    let more = memory(server.id()).saturating_sub(before);
    assert!(more <= crowd * (2 << 10), "{} bytes per waiting peer", more / crowd);
    connecting.sort_unstable();
    assert!(connecting[50] < Duration::from_millis(50), "half of the others take {:?} or more", connecting[50]);

    for (raw, since) in &mut pending {
        thread::park_timeout((timeout / 2).saturating_sub(since.elapsed()));
        if since.elapsed() < timeout {
            assert!(is_open(raw) || since.elapsed() >= timeout, "ended after {:?}", since.elapsed());
            raw.write("x");
        }
    }
    let last = pending.last().expect("a crowd").1;
    for (mut raw, since) in pending {
        assert_eq!(raw.response().status, 408);
        raw.expect_end();
        assert!(since.elapsed() >= timeout, "ended after {:?}", since.elapsed());
    }
    let late = last.elapsed().saturating_sub(timeout);
    assert!(late < LONG / 2, "the last one is ended {late:?} after its time");
}

/// Returns whether the connection is open and no byte has come.
fn is_open(raw: &Raw) -> bool {
    raw.stream.set_nonblocking(true).unwrap();
    let seen = raw.stream.peek(&mut [0]);
    raw.stream.set_nonblocking(false).unwrap();
    seen.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Reads and checks a whole request with additional header fields of any length.
fn checked(fields: &str) -> Result<ServerHandshake, HandshakeError> {
    let mut limits = HeadLimits::default();
    limits.max_bytes = usize::MAX;
    let request = opening_with(fields);
    let (head, _) = RequestReader::new(limits).receive(request.as_bytes()).unwrap().expect("a whole head");
    ServerHandshake::from_request(&head)
}

#[test]
fn hs_04_invalid_list_of_subprotocols_gets_400_in_linear_time() {
    let odd = |length| format!("Sec-WebSocket-Protocol: b{}x\r\n", " ".repeat(length));
    assert_eq!(checked(&odd(32 << 10)).err(), Some(HandshakeError::Subprotocols));
    assert_eq!(HandshakeError::Subprotocols.status(), 400);
    let rows = [
        odd,
        |length| format!("Sec-WebSocket-Protocol: {}x y\r\n", "a,".repeat(length / 2)),
        |length| format!("Sec-WebSocket-Protocol: {}x y\r\n", ", ".repeat(length / 2)),
    ];
    for fields in rows {
        assert_linear(&fields(10), |length| assert!(checked(&fields(length)).is_err()));
    }
}

#[test]
fn hs_04_unknown_extension_is_ignored_however_odd_its_value_in_linear_time() {
    let escapes = |length| format!("Sec-WebSocket-Extensions: a; b=\"{}\"\r\n", "\\c".repeat(length / 2));
    let offered = checked(&escapes(1000)).expect("a quoted value");
    assert_eq!(offered.extensions()[0].params[0].1.as_ref().map(String::len), Some(500));
    let open = |length| format!("Sec-WebSocket-Extensions: a; b=\"{}\r\n", "\\c".repeat(length / 2));
    assert_eq!(checked(&open(1000)).err(), Some(HandshakeError::Extensions));
    let params = |length| format!("Sec-WebSocket-Extensions: a{}\r\n", "; b=\"c\"".repeat(length / 8));
    let elements = |length| format!("Sec-WebSocket-Extensions: {}a\r\n", "a,".repeat(length / 2));
    let rows: [(&str, fn(usize) -> String); 4] =
        [("escapes", escapes), ("escapes, left open", open), ("parameters", params), ("elements", elements)];
    for (name, fields) in rows {
        assert_linear(name, |length| drop(checked(&fields(length))));
    }
}

#[test]
fn hs_04_odd_lists_over_a_socket_get_101_400_or_past_the_cap_431() {
    let server = lingering(Service::echo());
    let rows = [
        ("spaces", format!("Sec-WebSocket-Protocol: b{}x\r\n", " ".repeat(12 << 10)), 400),
        ("spaces, past the cap", format!("Sec-WebSocket-Protocol: b{}x\r\n", " ".repeat(32 << 10)), 431),
        ("escapes", format!("Sec-WebSocket-Extensions: a; b=\"{}\"\r\n", "\\c".repeat(6 << 10)), 101),
        ("escapes, past the cap", format!("Sec-WebSocket-Extensions: a; b=\"{}\"\r\n", "\\c".repeat(16 << 10)), 431),
    ];
    for (name, fields, status) in rows {
        let mut raw = Raw::connect(server.address);
        raw.write(opening_with(&fields));
        let answer = raw.head();
        assert_eq!((answer.status, answer.header("Sec-WebSocket-Extensions")), (status, None), "{name}");
    }
}

#[test]
fn hs_05_foreign_origin_gets_403_before_101_with_or_without_cookies() {
    let same_host = OriginPolicy::SameHostOr(vec!["https://good.example".into()]);
    let only = OriginPolicy::Only(vec!["https://good.example".into()]);
    // The origin, and whether each policy allows it. The request's Host is "localhost".
    let rows: &[(Option<&str>, bool, bool)] = &[
        (None, true, true),
        (Some("http://localhost"), true, false),
        (Some("HTTP://LOCALHOST"), false, false),
        (Some("http://LocalHost"), true, false),
        (Some("http://localhost:80"), true, false),
        (Some("https://localhost:443"), true, false),
        (Some("http://localhost:443"), false, false),
        (Some("http://localhost:8080"), false, false),
        (Some("https://good.example"), true, true),
        (Some("https://GOOD.example"), true, true),
        (Some("https://good.example:443"), false, false),
        (Some("https://good.example:8443"), false, false),
        (Some("http://good.example"), false, false),
        (Some("https://good.example.evil.com"), false, false),
        (Some("https://evilgood.example"), false, false),
        (Some("https://good.example/"), false, false),
        (Some("https://good.example@evil.com"), false, false),
        (Some("https://evil.com/https://good.example"), false, false),
        (Some("https://evil.com"), false, false),
        (Some("http://localhost.evil.com"), false, false),
        (Some("http://evil.com:localhost"), false, false),
        (Some("ws://localhost"), false, false),
        (Some("file://"), false, false),
        (Some("null"), false, false),
        (Some(""), false, false),
        (Some("http://localhost https://evil.com"), false, false),
    ];
    for (policy, first) in [(same_host, true), (only, false)] {
        let shown = format!("{policy:?}");
        let service = Service::echo().on_accept(move |handshake, verdict| policy.judge(handshake, verdict, ()));
        let server = serve(config(), service);
        let mut let_in = 0;
        for &(origin, by_host, by_list) in rows {
            let allowed = if first { by_host } else { by_list };
            for cookie in ["", "Cookie: session=secret\r\n"] {
                let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
                let mut raw = Raw::connect(server.address);
                raw.write(opening_with(&format!("{origin}{cookie}")));
                let status = raw.head().status;
                assert_eq!(status, if allowed { 101 } else { 403 }, "{origin:?} {cookie:?} with {shown}");
                let_in += usize::from(allowed);
            }
        }
        for _ in 0..let_in {
            server.next_opened();
        }
        server.stop();
        assert_eq!(server.join().len(), let_in, "no other connection was open");
    }
}

#[test]
fn hs_05_two_origins_get_400() {
    let server = serve(config(), Service::echo());
    let mut raw = Raw::connect(server.address);
    raw.write(opening_with("Origin: http://localhost\r\nOrigin: https://evil.com\r\n"));
    assert_eq!(raw.response().status, 400);
}

/// Tries every character that a header line must not hold, in each place where an app or a caller can put one.
#[test]
fn hs_06_characters_that_break_out_of_a_line_are_refused_and_nothing_is_written() {
    let controls = (0..0x20_u8).chain([0x7F]).map(char::from).filter(|&c| c != '\t');
    for bad in controls.chain(['\u{80}', '\u{e9}', '\u{10a}', '\u{1f600}']) {
        let bad = format!("a{bad}b");
        let mut out = Vec::new();
        let handshake = || checked(&format!("Sec-WebSocket-Protocol: {}\r\n", "chat")).unwrap();
        let mut refused = |subprotocol: Option<&str>, headers: &[(&str, &str)]| {
            let made = handshake().accept(subprotocol, headers, Limits::default(), Delivery::Messages, &mut out);
            made.err().unwrap_or_else(|| panic!("{bad:?} is written"))
        };
        assert_eq!(refused(Some(&bad), &[]), InvalidHeader::Subprotocol(bad.clone()));
        assert_eq!(refused(None, &[("X", &bad)]), InvalidHeader::Value { name: "X".into() });
        assert_eq!(refused(None, &[(&bad, "x")]), InvalidHeader::Name(bad.clone()));
        assert!(Rejection::new(403).header("X", bad.clone()).write(&mut out).is_err());
        assert!(Rejection::new(403).header(bad.clone(), "x").write(&mut out).is_err());

        let mut asked = |request: ClientRequest<'_>| {
            let made = ClientHandshake::new(&request, [7; 16], HeadLimits::default(), &mut out);
            assert!(made.is_err(), "{bad:?} is asked for");
        };
        let plain = || ClientRequest::new("localhost", "/");
        asked(ClientRequest::new(&bad, "/"));
        asked(ClientRequest::new("localhost", &format!("/{bad}")));
        let (names, values, subprotocols) = ([(bad.as_str(), "x")], [("X", bad.as_str())], [bad.as_str()]);
        let mut request = plain();
        request.headers = &names;
        asked(request);
        let mut request = plain();
        request.headers = &values;
        asked(request);
        let mut request = plain();
        request.subprotocols = &subprotocols;
        asked(request);
        let mut request = plain();
        request.origin = Some(&bad);
        asked(request);
        assert_eq!(out, b"", "{bad:?}");
    }
}

#[test]
fn hs_06_response_that_breaks_out_of_its_line_becomes_500() {
    let acceptances = [
        Acceptance::default().header("X-Broken", "a\r\nInjected: b"),
        Acceptance::default().header("two words", "a"),
        Acceptance::default().header("Sec-WebSocket-Accept", "a"),
        Acceptance::default().subprotocol("never offered"),
    ];
    for acceptance in acceptances {
        let shown = format!("{acceptance:?}");
        let service = Service::echo().on_accept(move |_, verdict| verdict.accept_with(acceptance.clone(), ()));
        let server = serve(config(), service);
        let mut raw = Raw::connect(server.address);
        raw.write(OPENING);
        assert_eq!(raw.response().status, 500, "{shown}");
        raw.expect_end();
    }
    for (name, value) in [("X-Broken", "a\r\nInjected: b"), ("Content-Length", "1")] {
        let reject = move |_: &switchboard::Handshake<'_>, verdict: switchboard::Verdict<()>| {
            verdict.reject(Rejection::new(403).header(name, value));
        };
        let server = serve(config(), Service::echo().on_accept(reject));
        let mut raw = Raw::connect(server.address);
        raw.write(OPENING);
        assert_eq!(raw.response().status, 500, "{name}");
        raw.expect_end();
    }
}

/// The bytes behind each of these are never read as a request. This test has no proxy in front: the server refuses
/// every request that a proxy might read differently, and ends the connection.
#[test]
fn hs_07_handshake_with_a_body_or_a_bad_version_ends_the_connection_and_what_follows_is_no_request() {
    const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (service, targets) = recording();
    let server = lingering(service);
    let chunks = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let length = format!("Content-Length: {}\r\n", SMUGGLED.len());
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    let rows = [
        ("a length", opening_with(&length), "", 400),
        ("a body", opening_with("Content-Length: 5\r\n"), "hello", 400),
        ("chunks", opening_with("Transfer-Encoding: chunked\r\n"), &chunks, 400),
        ("both", opening_with(&format!("{length}Transfer-Encoding: chunked\r\n")), &chunks, 400),
        ("both, the other way round", opening_with(&format!("Transfer-Encoding: chunked\r\n{length}")), &chunks, 400),
        ("a length of 0 and chunks", opening_with("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), &chunks, 400),
        ("lengths of 0 and 5", opening_with("Content-Length: 0\r\nContent-Length: 5\r\n"), "hello", 400),
        ("a list of lengths", opening_with("Content-Length: 0, 5\r\n"), "hello", 400),
        ("a signed length", opening_with("Content-Length: +5\r\n"), "hello", 400),
        ("a length in hexadecimal", opening_with("Content-Length: 0x5\r\n"), "hello", 400),
        ("a negative length", opening_with("Content-Length: -0\r\n"), "", 400),
        ("xchunked", opening_with("Transfer-Encoding: xchunked\r\n"), &chunks, 400),
        ("identity", opening_with("Transfer-Encoding: identity\r\n"), "", 400),
        ("chunked twice", opening_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n"), &chunks, 400),
        ("chunked in a list", opening_with("Transfer-Encoding: x, chunked\r\n"), &chunks, 400),
        ("chunked in capitals", opening_with("TRANSFER-ENCODING: CHUNKED\r\n"), &chunks, 400),
        ("chunked behind a tab", opening_with("Transfer-Encoding:\tchunked\r\n"), &chunks, 400),
        ("chunked behind VT", opening_with("Transfer-Encoding: \x0bchunked\r\n"), &chunks, 400),
        ("a space before the colon", opening_with("Transfer-Encoding : chunked\r\n"), &chunks, 400),
        ("a space before the name", opening_with(" Transfer-Encoding: chunked\r\n"), &chunks, 400),
        ("a folded value", opening_with("Transfer-Encoding:\r\n chunked\r\n"), &chunks, 400),
        ("behind a bare LF", opening_with("X: y\nTransfer-Encoding: chunked\r\n"), &chunks, 400),
        ("behind a bare CR", opening_with("X: y\rTransfer-Encoding: chunked\r\n"), &chunks, 400),
        ("behind a NUL", opening_with("Transfer-Encoding\0: chunked\r\n"), &chunks, 400),
        ("version 8", OPENING.replace("Version: 13", "Version: 8"), "", 426),
        ("no version", OPENING.replace("Sec-WebSocket-Version: 13\r\n", ""), "", 426),
        ("a length and chunks", post(&format!("{length}Transfer-Encoding: chunked\r\n")), &chunks, 400),
        ("chunks and a length", post(&format!("Transfer-Encoding: chunked\r\n{length}")), &chunks, 400),
        ("chunks, x", post("Transfer-Encoding: chunked, x\r\n"), &chunks, 400),
        ("x, chunks", post("Transfer-Encoding: x, chunked\r\n"), &chunks, 501),
        ("xchunked, plain", post("Transfer-Encoding: xchunked\r\n"), &chunks, 501),
        ("chunks in HTTP/1.0", post("Transfer-Encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0"), &chunks, 400),
        ("a chunk before a bare LF", post("Transfer-Encoding: chunked\r\n"), "5;\nhello\r\n0\r\n\r\n", 400),
        ("a size of more than 64 bits", post("Transfer-Encoding: chunked\r\n"), "10000000000000005\r\nhello", 413),
        ("a request as a trailer field", post("Transfer-Encoding: chunked\r\n"), "0\r\n", 400),
        ("two lengths", post("Content-Length: 0\r\nContent-Length: 5\r\n"), "hello", 400),
    ];
    for (name, request, body, status) in rows {
        let mut raw = Raw::connect(server.address);
        raw.write(format!("{request}{body}{SMUGGLED}"));
        let answer = raw.response();
        assert_eq!(answer.status, status, "{name}");
        let connection = answer.header("Connection").expect("a Connection field").to_ascii_lowercase();
        let tokens: Vec<_> = connection.split(", ").collect();
        if status == 426 {
            assert_eq!(tokens, ["close", "upgrade"], "{name}");
            assert_eq!(answer.header("Upgrade"), Some("websocket"), "{name}");
            assert_eq!(answer.header("Sec-WebSocket-Version"), Some("13"), "{name}");
        } else {
            assert_eq!(tokens, ["close"], "{name}");
        }
        raw.expect_end();
    }
    assert_eq!(targets.try_iter().collect::<Vec<_>>(), [""; 0], "no body is read as a request");

    // A valid body is read as a body.
    for (fields, body) in [(&*length, SMUGGLED), ("Transfer-Encoding: chunked\r\n", &chunks)] {
        let mut raw = Raw::connect(server.address);
        raw.write(format!("{}{body}", post(fields)));
        assert_eq!(raw.response().status, 404);
        raw.finish_writing();
        raw.expect_end();
        assert_eq!(targets.try_iter().collect::<Vec<_>>(), ["/"]);
    }
}

#[test]
fn hs_07_length_of_0_is_no_body_and_a_request_behind_the_handshake_is_a_broken_frame() {
    let (service, targets) = recording();
    let server = lingering(service);
    let mut raw = Raw::connect(server.address);
    raw.write(opening_with("Content-Length: 0\r\n"));
    raw.write("GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.head().status, 101);
    assert_eq!(raw.until_close(), (vec![], 1002));
    raw.expect_end();
    assert_eq!(targets.try_iter().collect::<Vec<_>>(), ["/"]);
}

#[test]
fn hs_08_each_invalid_request_has_its_status() {
    let (service, _targets) = recording();
    let server = lingering(service);
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let with_key = |key: &str| OPENING.replace("dGhlIHNhbXBsZSBub25jZQ==", key).into_bytes();
    let with_version = |version: &str| OPENING.replace("Version: 13", &format!("Version: {version}")).into_bytes();
    let replaced = |from: &str, to: &str| OPENING.replace(from, to).into_bytes();
    let hello = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03".as_slice(), &[0x5A; 506]].concat();
    let rows: &[(&str, Vec<u8>, u16, Option<(&str, &str)>)] = &[
        ("a valid request", OPENING.into(), 101, Some(("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))),
        ("no key", replaced(key, ""), 400, None),
        ("two keys", replaced(key, &key.repeat(2)), 400, None),
        ("an empty key", with_key(""), 400, None),
        ("15 bytes", with_key("AQIDBAUGBwgJCgsMDQ4P"), 400, None),
        ("17 bytes", with_key("AQIDBAUGBwgJCgsMDQ4PEBE="), 400, None),
        ("not base64", with_key("dGhlIHNhbXBsZSBub25jZ!=="), 400, None),
        ("a key without padding", with_key("dGhlIHNhbXBsZSBub25jZQ"), 400, None),
        ("pad bits that are set, as in §4.1", with_key("AQIDBAUGBwgJCgsMDQ4PEC=="), 101, None),
        ("POST", replaced("GET", "POST"), 405, Some(("Allow", "GET"))),
        ("HEAD", replaced("GET", "HEAD"), 405, Some(("Allow", "GET"))),
        ("get", replaced("GET", "get"), 405, Some(("Allow", "GET"))),
        ("HTTP/1.0: no Upgrade", replaced("HTTP/1.1", "HTTP/1.0"), 404, None),
        ("HTTP/1.2", replaced("HTTP/1.1", "HTTP/1.2"), 505, None),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 505, None),
        ("no Host", replaced("Host: localhost\r\n", ""), 400, None),
        ("two Hosts", replaced("Host: localhost\r\n", "Host: localhost\r\nHost: localhost\r\n"), 400, None),
        ("no Connection", replaced("Connection: Upgrade\r\n", ""), 400, None),
        ("another Upgrade: plain HTTP", replaced("websocket", "h2c"), 404, None),
        ("version 013", with_version("013"), 426, Some(("Sec-WebSocket-Version", "13"))),
        ("versions 13, 8", with_version("13, 8"), 426, Some(("Sec-WebSocket-Version", "13"))),
        ("version 12", with_version("12"), 426, Some(("Sec-WebSocket-Version", "13"))),
        ("a TLS ClientHello", hello, 400, None),
        ("nonsense", b"hello\r\n\r\n".to_vec(), 400, None),
    ];
    for (name, request, status, header) in rows {
        let mut raw = Raw::connect(server.address);
        raw.write(request);
        let answer = raw.head();
        assert_eq!(answer.status, *status, "{name}");
        if let Some((field, value)) = header {
            assert_eq!(answer.header(field), Some(*value), "{name}");
        }
        if *status != 101 && *status != 404 {
            let connection = answer.header("Connection").unwrap_or_default();
            assert!(connection.starts_with("close"), "{name}: {connection}");
        }
    }
}

#[test]
fn hs_09_frames_behind_the_request_are_kept_until_the_verdict() {
    let (verdicts, asked) = mpsc::channel();
    let server = serve(config(), Service::echo().on_accept(move |_, verdict| verdicts.send(verdict).unwrap()));
    let mut raw = Raw::connect(server.address);
    raw.write([OPENING.as_bytes(), &frame(0x81, b"early"), &frame(0x81, b"bird")].concat());
    let verdict = asked.recv_timeout(LONG).unwrap();
    raw.text("later");
    verdict.accept(());
    assert_eq!(raw.head().status, 101);
    for text in ["early", "bird", "later"] {
        raw.expect_frame(0x81, text);
    }
}

#[test]
fn hs_09_frames_in_the_packet_of_the_request_are_all_delivered_in_order_once_it_is_open() {
    let service = Service::echo().on_opened(|context| context.send(switchboard::Message::Text("open")));
    let server = serve(config(), service);
    let texts: Vec<String> = (0..3_000).map(|number| format!("message {number}")).collect();
    let frames = texts.iter().flat_map(|text| frame(0x81, text.as_bytes()));
    let all: Vec<u8> = OPENING.bytes().chain(frames).collect();
    for cut in [all.len(), OPENING.len() - 1, OPENING.len(), OPENING.len() + 1, OPENING.len() + 7] {
        let mut raw = Raw::connect(server.address);
        raw.write(&all[..cut]);
        raw.write(&all[cut..]);
        assert_eq!(raw.head().status, 101);
        raw.expect_frame(0x81, "open");
        for text in &texts {
            raw.expect_frame(0x81, text);
        }
    }
}

/// Runs a client against a server whose response `script` writes, given the valid one. The server then waits for the
/// client's end. Returns the client's outcome and the script's result.
fn answered<W>(script: impl FnOnce(String, &mut TcpStream) -> W + Send + 'static) -> (Result<(), ClientError>, W)
where
    W: Send + 'static,
{
    let (address, script): (SocketAddr, JoinHandle<W>) = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            stream.set_write_timeout(Some(LONG)).unwrap();
            let mut reader = RequestReader::new(HeadLimits::default());
            let mut buffer = [0; 4096];
            let request = loop {
                let length = stream.read(&mut buffer).unwrap();
                if let Some((request, _)) = reader.receive(&buffer[..length]).unwrap() {
                    break request;
                }
            };
            let mut out = Vec::new();
            let handshake = ServerHandshake::from_request(&request).unwrap();
            handshake.accept(None, &[], Limits::default(), Delivery::Messages, &mut out).unwrap();
            let written = script(String::from_utf8(out).unwrap(), &mut stream);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            // Waits until the client ends TCP.
            while stream.read(&mut buffer).is_ok_and(|length| length > 0) {}
            written
        });
        (address, script)
    };
    let outcome = builder().subprotocol("chat").connect(&format!("ws://{address}/")).map(drop);
    (outcome, script.join().unwrap())
}

#[test]
fn hs_10_client_accepts_no_response_but_the_right_one() {
    let rows: &[(&str, &str, &str, &str)] = &[
        ("another Accept", "Accept: ", "Accept: x", "Accept"),
        ("no Accept", "Sec-WebSocket-Accept: ", "X: ", "Accept"),
        ("no Upgrade", "Upgrade: websocket\r\n", "", "Upgrade"),
        ("no Connection", "Connection: Upgrade\r\n", "", "Connection"),
        ("an extension that was not offered", "\r\n\r\n", "\r\nSec-WebSocket-Extensions: x-other\r\n\r\n", "Extension"),
        (
            "an extension without the requested parameters",
            "\r\n\r\n",
            "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            "Deflate(ContextTakeover)",
        ),
        ("a subprotocol that was not offered", "\r\n\r\n", "\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", "Subprotocol"),
        ("bare LF", "\r\n", "\n", "Head(BareLineEnd)"),
        ("HTTP/1.0", "HTTP/1.1", "HTTP/1.0", "Head(UnsupportedVersion)"),
    ];
    for &(name, from, to, error) in rows {
        let (outcome, ()) = answered(move |valid, stream| {
            let answer = valid.replace(from, to);
            assert_ne!(answer, valid, "the row changes something");
            stream.write_all(answer.as_bytes()).unwrap();
        });
        match outcome {
            Err(ClientError::Handshake(found)) => assert_eq!(format!("{found:?}"), error, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let (outcome, ()) = answered(|valid, stream| stream.write_all(valid.as_bytes()).unwrap());
    assert!(outcome.is_ok(), "{outcome:?}");
}

/// Writes `bytes` again and again until the client ends. Returns the number of bytes written.
fn write_until_refused(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < MAX_WRITTEN && stream.write_all(bytes).is_ok() {
        written += bytes.len();
    }
    written
}

const MAX_WRITTEN: usize = 100 << 20;

#[test]
fn hs_10_client_gives_up_after_a_few_interim_responses() {
    let (outcome, written) =
        answered(|_, stream| write_until_refused(stream, &b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000)));
    assert!(matches!(outcome, Err(ClientError::Handshake(ClientHandshakeError::TooManyInterim))), "{outcome:?}");
    assert!(written < MAX_WRITTEN, "the client reads everything");
}

#[test]
fn hs_10_client_reads_64_kib_of_an_error_and_no_more() {
    for head in [
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 104857600\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n6400000\r\n",
    ] {
        let mut used = None;
        let (outcome, written) = {
            let script = move |_, stream: &mut TcpStream| {
                stream.write_all(head.as_bytes()).unwrap();
                write_until_refused(stream, &[b'x'; 64 << 10])
            };
            let mut result = None;
            used.replace(cost(|| result = Some(answered(script))));
            result.expect("it has run")
        };
        match outcome {
            Err(ClientError::Refused { response, body }) => {
                assert_eq!((response.status(), body.len()), (403, 64 << 10), "{head}");
            }
            other => panic!("{head}: {other:?}"),
        }
        assert!(written < MAX_WRITTEN, "the client reads everything: {head}");
        assert!(used.expect("it has run").peak < 512 << 10, "{used:?}: {head}");
    }
}

#[test]
fn hs_10_client_follows_no_redirect() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let location = format!("ws://{}/", elsewhere.local_addr().unwrap());
    let expected = location.clone();
    let (outcome, ()) = answered(move |_, stream| {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    match outcome {
        Err(ClientError::Redirect { location, response, .. }) => {
            assert_eq!((location, response.status()), (expected, 302));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(elsewhere.accept().map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock, "no client connected");
}
