//! Plain HTTP/1.1 on the server's port: the requests that are accepted, and those that are refused.

use std::sync::mpsc;

use switchboard::Response;
use switchboard_tests::server::{LONG, OPENING, Raw, Service, config, serve};

use super::http::{GET, echo_requests};

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
fn methods_that_the_app_asks_for_are_passed_on_with_their_bodies() {
    let asked = config().extra_methods(vec!["PUT".into(), "DELETE".into(), "PROPFIND".into()]);
    let server = serve(asked, echo_requests());
    let mut raw = Raw::connect(server.address);
    for (request, status, body) in [
        ("PUT / HTTP/1.1\r\nContent-Length: 4\r\n", 200, "PUT /\nbody"),
        ("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 200, "PUT /\nbody"),
        ("DELETE /a HTTP/1.1\r\n", 200, "DELETE /a\n"),
        ("PROPFIND / HTTP/1.1\r\n", 200, "PROPFIND /\n"),
        ("PUT / HTTP/1.1\r\n", 411, "this method needs a Content-Length or chunks\n"),
        ("PATCH / HTTP/1.1\r\n", 405, "only GET, HEAD, OPTIONS, POST, PUT, DELETE, PROPFIND are supported\n"),
        ("put / HTTP/1.1\r\n", 405, "only GET, HEAD, OPTIONS, POST, PUT, DELETE, PROPFIND are supported\n"),
        ("CONNECT / HTTP/1.1\r\n", 405, "only GET, HEAD, OPTIONS, POST, PUT, DELETE, PROPFIND are supported\n"),
    ] {
        raw.write(format!("{request}Host: localhost\r\n\r\n"));
        match request {
            _ if request.contains("chunked") => raw.write("4\r\nbody\r\n0\r\n\r\n"),
            _ if request.contains("Length") => raw.write("body"),
            _ => {}
        }
        let response = raw.response();
        assert_eq!((response.status, &*response.body), (status, body.as_bytes()), "{request}");
        if status != 200 {
            raw = Raw::connect(server.address);
        }
    }
    raw.write("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.response().header("Allow"), Some("GET, HEAD, OPTIONS, POST, PUT, DELETE, PROPFIND"));
    for wrong in ["", "A B", "CONNECT", "PUT\r\n", "P\u{dc}T"] {
        let refused = config().extra_methods(vec!["PUT".into(), wrong.into()]).check().unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput, "{wrong:?}");
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
