//! Plain HTTP/1.1 on the server's port.

use std::sync::{Mutex, mpsc};

use switchboard::{App, Context, Handshake, Message, Rejection, Response, Server, Verdict};
use switchboard_tests::server::{LONG, OPENING, Raw, Service, config, expect_text, round_trip, serve};

/// An app that answers a request with its method, target and body.
fn echo_requests() -> Service {
    Service::echo().on_request(|request, responder| {
        let head = format!("{} {}\n", request.head.method(), request.head.target());
        responder.send(
            Response::new(200)
                .header("X-Path", request.head.path().to_owned())
                .body([head.as_bytes(), request.body].concat()),
        );
    })
}

const GET: &str = "GET /a?b HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn get_is_answered_and_the_connection_is_kept() {
    let server = serve(config(), echo_requests());
    let mut raw = Raw::connect(server.address);
    for _ in 0..3 {
        raw.write(GET);
        let response = raw.response();
        assert_eq!((response.status, &*response.body), (200, b"GET /a?b\n".as_slice()));
        assert_eq!((response.header("X-Path"), response.header("Connection")), (Some("/a"), Some("keep-alive")));
        assert!(response.head.starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn head_is_answered_with_the_length_and_without_the_body() {
    let server = serve(config(), echo_requests());
    let mut raw = Raw::connect(server.address);
    raw.write(format!("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n{GET}"));
    let response = raw.head();
    assert_eq!((response.status, response.header("Content-Length")), (200, Some("7")));
    assert_eq!(raw.response().body, b"GET /a?b\n");
}

#[test]
fn a_post_is_received_with_its_whole_body_however_it_is_split() {
    let server = serve(config(), echo_requests());
    let mut raw = Raw::connect(server.address);
    let body = "x".repeat(64 << 10);
    for body in ["", "body", &body] {
        let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        raw.write(&request);
        assert_eq!(raw.response().body, format!("POST /\n{body}").as_bytes());
        let (start, rest) = request.as_bytes().split_at(request.len().min(100));
        start.iter().for_each(|byte| raw.write([*byte]));
        raw.write(rest);
        assert_eq!(raw.response().body, format!("POST /\n{body}").as_bytes());
    }
}

#[test]
fn a_body_in_chunks_is_received_whole_however_it_is_split() {
    let server = serve(config(), echo_requests());
    let mut raw = Raw::connect(server.address);
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let rows = [
        ("0\r\n\r\n".to_owned(), String::new()),
        ("4\r\nbody\r\n0\r\n\r\n".to_owned(), "body".to_owned()),
        ("2;a=b\r\nbo\r\n2\r\ndy\r\n0\r\nX: y\r\n\r\n".to_owned(), "body".to_owned()),
        (format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(64 << 10)), "x".repeat(64 << 10)),
    ];
    for (chunks, body) in rows {
        // The next request of the connection begins right behind the last chunk.
        raw.write(format!("{head}{chunks}{GET}"));
        assert_eq!(raw.response().body, format!("POST /\n{body}").as_bytes());
        assert_eq!(raw.response().body, b"GET /a?b\n");
        let request = format!("{head}{chunks}");
        let (start, rest) = request.as_bytes().split_at(request.len().min(150));
        start.iter().for_each(|byte| raw.write([*byte]));
        raw.write(rest);
        assert_eq!(raw.response().body, format!("POST /\n{body}").as_bytes());
    }
}

/// RFC 9112 §3.2.2: a client that takes the server for a proxy sends the whole address.
#[test]
fn a_target_may_be_a_whole_address_also_of_a_websocket() {
    let service = echo_requests().on_accept(|handshake, verdict| {
        assert_eq!((handshake.websocket.host(), handshake.request.path()), ("chat.example", "/ws"));
        verdict.accept(());
    });
    let server = serve(config(), service);
    let mut raw = Raw::connect(server.address);
    raw.write("GET http://chat.example/a?b HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n");
    assert_eq!(raw.response().header("X-Path"), Some("/a"));
    raw.write(OPENING.replace("GET /", "GET http://chat.example/ws?x"));
    assert_eq!(raw.head().status, 101);
    raw.text("Hello");
    raw.expect_frame(0x81, "Hello");
}

#[test]
fn options_reaches_the_app_except_for_the_server_as_a_whole() {
    let server = serve(config(), echo_requests());
    let mut raw = Raw::connect(server.address);
    raw.write("OPTIONS /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.response().body, b"OPTIONS /a\n");
    for target in ["*", "http://localhost"] {
        raw.write(format!("OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(3));
        for _ in 0..3 {
            let response = raw.head();
            assert_eq!((response.status, response.header("Allow")), (204, Some("GET, HEAD, OPTIONS, POST")));
            assert_eq!(response.header("Content-Length"), None);
        }
    }
    raw.write("OPTIONS * HTTP/1.0\r\n\r\n");
    assert_eq!(raw.head().status, 204);
    raw.expect_end();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (responders_tx, responders) = mpsc::channel();
    let service = Service::echo().on_request(move |request, responder| {
        responders_tx.send((request.head.target().to_owned(), request.body.to_vec(), responder)).unwrap();
    });
    let server = serve(config(), service);
    let mut raw = Raw::connect(server.address);
    let mut requests = String::new();
    for number in 0..200 {
        requests += &format!("POST /{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n{number:03}");
    }
    raw.write(requests);
    for number in 0..200 {
        let (target, body, responder) = responders.recv_timeout(LONG).unwrap();
        assert_eq!((target, body), (format!("/{number}"), format!("{number:03}").into_bytes()));
        assert!(responders.try_recv().is_err(), "a request was handled before the one before it was answered");
        responder.send(Response::text(200, number.to_string()));
        assert_eq!(raw.response().body, number.to_string().as_bytes());
    }
}

#[test]
fn all_requests_before_the_end_of_tcp_are_answered() {
    let server = serve(config(), echo_requests());
    for count in [1, 2, 20] {
        let mut raw = Raw::connect(server.address);
        raw.write(GET.repeat(count));
        raw.finish_writing();
        for number in 0..count {
            assert_eq!(raw.response().status, 200, "{number} of {count}");
        }
        raw.expect_end();
    }
}

#[test]
fn a_response_is_written_completely_to_a_client_that_has_ended_its_side() {
    let service = Service::echo().on_request(|_, responder| responder.send(Response::new(200).body(vec![7; 16 << 20])));
    let server = serve(config(), service);
    let mut raw = Raw::connect_with_small_buffer(server.address);
    raw.write(GET);
    assert_eq!(raw.head().status, 200);
    raw.finish_writing();
    assert_eq!(raw.take_up_to(16 << 20), 16 << 20);
    raw.expect_end();
}

#[test]
fn the_connection_ends_after_the_response_if_the_client_asks_for_it() {
    let server = serve(config(), echo_requests());
    let rows = [
        ("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: x, Close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", true),
    ];
    for (request, kept) in rows {
        let mut raw = Raw::connect(server.address);
        raw.write([request, GET].concat());
        let response = raw.response();
        assert_eq!(response.status, 200, "{request}");
        assert_eq!(response.header("Connection"), Some(if kept { "keep-alive" } else { "close" }), "{request}");
        assert_eq!(response.header("Keep-Alive"), kept.then_some("timeout=75"), "{request}");
        if kept {
            assert_eq!(raw.response().body, b"GET /a?b\n", "{request}");
        } else {
            raw.expect_end();
        }
    }
}

#[test]
fn without_time_for_keep_alive_each_connection_ends_after_one_response() {
    let mut config = config();
    config.keep_alive_timeout = std::time::Duration::ZERO;
    let server = serve(config, echo_requests());
    for request in [GET, "GET /a?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] {
        let mut raw = Raw::connect(server.address);
        raw.write(request);
        let response = raw.response();
        assert_eq!((response.header("Connection"), response.header("Keep-Alive")), (Some("close"), None));
        assert_eq!(response.body, b"GET /a?b\n");
        raw.expect_end();
    }
}

/// A past bug: a response whose request came before the stop promised to keep the connection.
#[test]
fn responses_of_a_stopping_server_announce_the_end_of_the_connection() {
    let (responders_tx, responders) = mpsc::channel();
    let service = Service::echo().on_request(move |_, responder| responders_tx.send(responder).unwrap());
    let server = serve(config(), service);
    let mut before = Raw::connect(server.address);
    before.write(GET);
    let responder = responders.recv_timeout(LONG).unwrap();
    let mut across = Raw::connect(server.address);
    across.write(&GET[..10]);
    let mut idle = Raw::connect(server.address);
    idle.write(GET);
    responders.recv_timeout(LONG).unwrap().send(Response::new(204));
    assert_eq!(idle.head().header("Connection"), Some("keep-alive"));
    server.stop();
    idle.expect_end();
    across.write(&GET[10..]);
    responder.send(Response::new(204));
    responders.recv_timeout(LONG).unwrap().send(Response::new(204));
    for mut raw in [before, across] {
        let response = raw.head();
        assert_eq!((response.header("Connection"), response.header("Keep-Alive")), (Some("close"), None));
        raw.expect_end();
    }
}

#[test]
fn an_invalid_request_is_refused_with_its_status_and_ends_the_connection() {
    let long = "x".repeat(16 << 10);
    let many = "A: b\r\n".repeat(65);
    let rows = [
        (
            "a length and chunks",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            400,
        ),
        (
            "chunks in HTTP/1.0",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n".into(),
            400,
        ),
        (
            "an unknown coding",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".into(),
            501,
        ),
        (
            "a chunk that does not end in CR LF",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n".into(),
            400,
        ),
        (
            "chunks that are too large",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n10000\r\n".into(),
            413,
        ),
        (
            "a long extension",
            format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;{long}\r\n"),
            431,
        ),
        ("an invalid Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), 400),
        ("a Host with a user", "GET / HTTP/1.0\r\nHost: a@b\r\n\r\n".into(), 400),
        ("a whole address without Host", "GET http://h/ HTTP/1.1\r\n\r\n".into(), 400),
        ("an address of another scheme", "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400),
        ("no length", "POST / HTTP/1.1\r\nHost: h\r\n\r\n".into(), 411),
        ("too large", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n".into(), 413),
        (
            "a length over 64 bits",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n".into(),
            413,
        ),
        ("a signed length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nfives".into(), 400),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nfives".into(), 400),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nfives".into(),
            400,
        ),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into(), 400),
        ("not a request", "hello\r\n\r\n".into(), 400),
        ("a bare line feed", "GET / HTTP/1.1\nHost: h\n\n".into(), 400),
        ("a folded line", "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n".into(), 400),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        ("a long target", format!("GET /{long}"), 414),
        ("a long field", format!("GET / HTTP/1.1\r\nX: {long}"), 431),
        ("many fields", format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n"), 431),
        ("a handshake that is not a GET", OPENING.replace("GET", "POST"), 405),
        ("a handshake without a key", OPENING.replace("Sec-WebSocket-Key", "X-Key"), 400),
        ("an old handshake", OPENING.replace("Version: 13", "Version: 8"), 426),
    ];
    let server = serve(config(), echo_requests());
    for (name, request, status) in rows {
        let mut raw = Raw::connect(server.address);
        raw.write(&request);
        let response = raw.response();
        assert_eq!(
            (response.status, response.header("Connection").map(|c| c.starts_with("close"))),
            (status, Some(true)),
            "{name}"
        );
        raw.expect_end();
    }
}

/// RFC 9110 §9.3.2: also a refusal of a HEAD request has no body, and the same Content-Length as that of a GET.
#[test]
fn a_refused_head_request_gets_no_body() {
    let server = serve(config(), echo_requests());
    let rows = [
        ("HEAD / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n".to_owned(), 413),
        ("HEAD / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\n".to_owned(), 501),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx".to_owned(), 400),
        (OPENING.replace("GET", "HEAD"), 405),
    ];
    for (request, status) in rows {
        let mut raw = Raw::connect(server.address);
        raw.write(&request);
        let response = raw.head();
        assert_eq!(response.status, status, "{request}");
        assert!(response.header("Content-Length").is_some_and(|length| length != "0"), "{request}");
        raw.expect_end();
    }
}

/// RFC 9110 §15.3.5, §15.3.6, §15.4.5.
#[test]
fn a_response_with_a_status_without_a_body_is_sent_without_one() {
    for (status, length) in [(204, None), (205, Some("0")), (304, None)] {
        let service = Service::echo()
            .on_accept(move |_, verdict| verdict.reject(Rejection::new(status).body("a body")))
            .on_request(move |_, responder| responder.send(Response::text(status, "a body")));
        let server = serve(config(), service);
        let mut raw = Raw::connect(server.address);
        raw.write([GET, OPENING].concat());
        for connection in ["keep-alive", "close"] {
            let response = raw.head();
            assert_eq!((response.status, response.header("Content-Length")), (status, length));
            assert_eq!(response.header("Connection"), Some(connection));
        }
        raw.expect_end();
    }
}

/// RFC 9110 §7.8: the sender of Upgrade must list it in Connection.
#[test]
fn a_response_with_upgrade_names_it_in_connection() {
    let service = Service::echo()
        .on_request(|_, responder| responder.send(Response::text(426, "use it\n").header("upgrade", "websocket")));
    let server = serve(config(), service);
    let mut raw = Raw::connect(server.address);
    for (version, connection) in [("1.1", "keep-alive, Upgrade"), ("1.0", "close, Upgrade")] {
        raw.write(format!("GET / HTTP/{version}\r\nHost: localhost\r\n\r\n"));
        let response = raw.response();
        assert_eq!((response.status, response.header("Connection")), (426, Some(connection)));
        assert_eq!(response.header("Upgrade"), Some("websocket"));
    }
}

#[test]
fn an_invalid_request_after_valid_ones_is_refused_after_their_responses() {
    let server = serve(config(), echo_requests());
    let mut raw = Raw::connect(server.address);
    raw.write([&GET.repeat(3), "nonsense\r\n\r\n", GET].concat());
    let statuses: Vec<_> = (0..4).map(|_| raw.response().status).collect();
    assert_eq!(statuses, [200, 200, 200, 400]);
    raw.expect_end();
}

#[test]
fn an_unknown_method_is_refused_with_405_and_the_allowed_methods() {
    let server = serve(config(), echo_requests());
    for method in ["PUT", "DELETE", "TRACE", "CONNECT", "get", "options"] {
        let mut raw = Raw::connect(server.address);
        raw.write(format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let response = raw.response();
        assert_eq!((response.status, response.header("Allow")), (405, Some("GET, HEAD, OPTIONS, POST")), "{method}");
        raw.expect_end();
    }
}

#[test]
fn a_client_that_expects_100_continue_gets_it_before_the_body() {
    let server = serve(config(), echo_requests());
    let mut raw = Raw::connect(server.address);
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n";
    raw.write(head);
    assert_eq!(raw.head().status, 100);
    raw.write("body");
    assert_eq!(raw.response().body, b"POST /\nbody");
    raw.write(head.replace("Content-Length: 4", "Transfer-Encoding: chunked"));
    assert_eq!(raw.head().status, 100);
    raw.write("4\r\nbody\r\n0\r\n\r\n");
    assert_eq!(raw.response().body, b"POST /\nbody");
    // The body is there already.
    raw.write(format!("{head}body"));
    assert_eq!(raw.response().body, b"POST /\nbody");
    // A refused request gets its status instead of 100.
    raw.write(head.replace("Content-Length: 4", "Content-Length: 999999"));
    assert_eq!(raw.response().status, 413);
    raw.expect_end();
}

#[test]
fn a_response_may_come_from_another_thread_and_a_dropped_responder_sends_500() {
    let (responders_tx, responders) = mpsc::channel();
    let server =
        serve(config(), Service::echo().on_request(move |_, responder| responders_tx.send(responder).unwrap()));
    let mut raw = Raw::connect(server.address);
    raw.write(GET);
    responders.recv_timeout(LONG).unwrap().send(Response::text(202, "later\n"));
    let response = raw.response();
    assert_eq!((response.status, &*response.body), (202, b"later\n".as_slice()));
    raw.write(GET);
    drop(responders.recv_timeout(LONG).unwrap());
    assert_eq!(raw.response().status, 500);
    raw.write(GET);
    responders.recv_timeout(LONG).unwrap().send(Response::new(204));
    assert_eq!(raw.head().header("Content-Length"), None);
}

#[test]
fn a_response_for_a_disconnected_client_does_not_reach_the_next_one() {
    let (responders_tx, responders) = mpsc::channel();
    let server =
        serve(config(), Service::echo().on_request(move |_, responder| responders_tx.send(responder).unwrap()));
    let mut gone = Raw::connect(server.address);
    gone.write(GET);
    let late = responders.recv_timeout(LONG).unwrap();
    gone.reset();
    let mut next = Raw::connect(server.address);
    next.write(GET);
    let responder = responders.recv_timeout(LONG).unwrap();
    late.send(Response::text(200, "for the disconnected client"));
    responder.send(Response::text(200, "for the next client"));
    assert_eq!(next.response().body, b"for the next client");
}

/// The operating system no longer knows the peer's address at that time.
#[test]
fn a_complete_request_is_handled_although_its_client_has_reset_the_connection() {
    let (requests_tx, requests) = mpsc::channel();
    let (go_on, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let server = serve(
        config(),
        Service::echo().on_request(move |request, responder| {
            requests_tx.send((request.head.path().to_owned(), request.peer)).unwrap();
            if request.head.path() == "/hold" {
                held.lock().unwrap().recv_timeout(LONG).unwrap();
            }
            responder.send(Response::new(204));
        }),
    );
    let mut holds = Raw::connect(server.address);
    // The worker has accepted this connection before it is blocked.
    let mut resets = Raw::connect(server.address);
    resets.write(GET);
    assert_eq!(requests.recv_timeout(LONG).unwrap().0, "/a");
    resets.head();
    holds.write("GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(requests.recv_timeout(LONG).unwrap().0, "/hold");
    let address = resets.stream.local_addr().unwrap();
    resets.write("GET /last HTTP/1.1\r\nHost: localhost\r\n\r\n");
    resets.reset();
    go_on.send(()).unwrap();
    assert_eq!(requests.recv_timeout(LONG).unwrap(), ("/last".to_owned(), address));
}

#[test]
fn an_invalid_response_becomes_500() {
    let rows = [
        Response::new(200).header("X-Broken", "a\r\nInjected: b"),
        Response::new(200).header("two words", "a"),
        Response::new(200).header("X-Umlaut", "ä"),
        // The server writes these fields itself; a second one would contradict it.
        Response::new(200).header("content-length", "5"),
        Response::new(200).header("Connection", "upgrade"),
        Response::new(200).header("Keep-Alive", "timeout=5"),
        Response::new(200).header("Transfer-Encoding", "chunked"),
        // Not a final status.
        Response::new(99),
        Response::new(101),
        Response::new(1000),
    ];
    for response in rows {
        let shown = format!("{response:?}");
        let server = serve(config(), Service::echo().on_request(move |_, responder| responder.send(response.clone())));
        let mut raw = Raw::connect(server.address);
        raw.write(GET);
        let response = raw.response();
        assert_eq!((response.status, &*response.body), (500, b"internal error\n".as_slice()), "{shown}");
    }
}

#[test]
fn an_app_without_pages_answers_404() {
    struct WithoutPages;
    impl App for WithoutPages {
        type Peer = ();
        fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
            verdict.accept(());
        }
        fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}
    }
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config()).unwrap();
    let running = server.start(|_| WithoutPages).unwrap();
    let mut raw = Raw::connect(running.address());
    raw.write(GET);
    assert_eq!(raw.response().status, 404);
    drop(raw);
    running.stopper().stop();
    running.join().unwrap();
}

#[test]
fn a_kept_alive_connection_can_become_a_websocket_and_is_then_no_longer_http() {
    let server = serve(config(), echo_requests());
    let mut raw = Raw::connect(server.address);
    raw.write(GET);
    assert_eq!(raw.response().status, 200);
    raw.handshake();
    raw.text("Hello");
    raw.expect_frame(0x81, "Hello");
    // 'G' is 0x47: RSV1 and a reserved opcode.
    raw.write(GET);
    assert_eq!(raw.until_close(), (vec![], 1002));
    raw.expect_end();
}

#[test]
fn many_unread_responses_stop_reading_and_are_all_delivered_later() {
    let mut config = config();
    config.max_queued_bytes = 256 << 10;
    let service = Service::echo().on_request(|_, responder| responder.send(Response::new(200).body(vec![7; 64 << 10])));
    let server = serve(config, service);
    let mut client = server.client();
    let mut raw = Raw::connect_with_small_buffer(server.address);
    raw.write(GET.repeat(500));
    (0..10).for_each(|_| round_trip(&mut client));
    for _ in 0..500 {
        assert_eq!(raw.response().body.len(), 64 << 10);
    }
    client.send_text("still here").unwrap();
    expect_text(&mut client, "still here");
}
