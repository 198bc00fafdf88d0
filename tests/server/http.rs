//! Plain HTTP/1.1 on the server's port: responses, and how long a connection is kept.

use std::{
    sync::{Mutex, mpsc},
    time::{Duration, SystemTime},
};

use switchboard::{App, Context, Handshake, Message, Rejection, Response, Server, Verdict};
use switchboard_tests::server::{LONG, OPENING, Raw, Service, config, expect_text, round_trip, serve};

/// An app that answers a request with its method, target and body.
pub(super) fn echo_requests() -> Service {
    Service::echo().on_request(|request, responder| {
        let head = format!("{} {}\n", request.head.method(), request.head.target());
        responder.send(
            Response::new(200)
                .header("X-Path", request.head.path().to_owned())
                .body([head.as_bytes(), request.body].concat()),
        );
    })
}

pub(super) const GET: &str = "GET /a?b HTTP/1.1\r\nHost: localhost\r\n\r\n";

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
    config.keep_alive_timeout = Duration::ZERO;
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

/// RFC 9110 §6.6.1: each final response has a Date, except 101, which needs none.
#[test]
fn each_response_has_one_date_and_that_of_the_app_if_it_sets_one() {
    const OWN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    let service = Service::echo()
        .on_accept(|handshake, verdict| match handshake.request.path() {
            "/" => verdict.accept(()),
            "/date" => verdict.reject(Rejection::new(403).header("date", OWN)),
            "/broken" => verdict.reject(Rejection::new(403).header("X", "\n")),
            _ => verdict.reject(Rejection::new(403)),
        })
        .on_request(|request, responder| match request.head.path() {
            "/date" => responder.send(Response::new(200).header("dAte", OWN)),
            "/304" => responder.send(Response::new(304)),
            "/broken" => responder.send(Response::new(200).header("X", "\n")),
            _ => responder.send(Response::new(200)),
        });
    let server = serve(config(), service);
    let upgrade = |path: &str| OPENING.replacen('/', path, 1);
    let rows = [
        (GET.to_owned(), 200),
        ("HEAD / HTTP/1.0\r\n\r\n".to_owned(), 200),
        ("GET /304 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 304),
        ("GET /date HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 200),
        ("GET /broken HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 500),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 204),
        ("nonsense\r\n\r\n".to_owned(), 400),
        (OPENING.replace("GET", "HEAD"), 405),
        (upgrade("/refused"), 403),
        (upgrade("/date"), 403),
        (upgrade("/broken"), 500),
        (upgrade("/"), 101),
    ];
    for (request, status) in rows {
        let mut raw = Raw::connect(server.address);
        let before = SystemTime::now();
        raw.write(&request);
        let response = raw.head();
        assert_eq!(response.status, status, "{request}");
        let dates: Vec<_> = response.headers("Date").collect();
        if status == 101 {
            assert_eq!(dates, [""; 0], "{request}");
        } else if request.contains(" /date ") {
            assert_eq!(dates, [OWN], "{request}");
        } else {
            let [date] = dates[..] else { panic!("{request}: {dates:?}") };
            let date = httpdate::parse_http_date(date).unwrap();
            let second = Duration::from_secs(1);
            assert!(before - second <= date && date <= SystemTime::now() + second, "{request}: {date:?}");
        }
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
fn a_field_of_the_responder_is_in_each_response_and_an_invalid_one_makes_it_500() {
    let service = Service::echo().on_request(|request, responder| {
        let responder = responder.header("X-Always", "1").header("X-Also", request.head.path().to_owned());
        match request.head.path() {
            "/dropped" => drop(responder),
            "/invalid" => responder.header("X-Bad", "a\r\nb").send(Response::new(200)),
            _ => responder.send(Response::new(200).header("X-Own", "2")),
        }
    });
    let server = serve(config(), service);
    let mut raw = Raw::connect(server.address);
    let rows = [("/", 200, Some("1"), Some("2")), ("/dropped", 500, Some("1"), None), ("/invalid", 500, None, None)];
    for (path, status, always, own) in rows {
        raw.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let response = raw.response();
        assert_eq!((response.status, response.header("X-Always"), response.header("X-Own")), (status, always, own));
        assert_eq!(response.header("X-Also"), always.map(|_| path));
    }
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
        type Told = std::convert::Infallible;
        fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
            verdict.accept(());
        }
        fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}
    }
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config()).unwrap();
    let running = server.start(|_| WithoutPages).unwrap();
    let mut raw = Raw::connect(running.local_addr());
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
