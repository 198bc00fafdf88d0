//! The simulated server for tests of apps: what a test does to it is what a server on a network would see.

#[path = "../../examples/tested_lobby.rs"]
#[expect(dead_code, reason = "its tests do not call `main`")]
mod tested_lobby;

mod reconfigured;

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use switchboard::{
    App, ClientRequest, CloseCode, Config, ConnectionId, Context, End, Handshake, Message, OriginPolicy, Rejection,
    Remote, Verdict, WorkerContext,
    events::{JsonArrays, Router},
    testing::{Received, TestClient, TestServer, TestStream},
};

/// An app that does what its clients say.
struct Obedient {
    ends: Rc<RefCell<Vec<End>>>,
    waiting: Vec<Verdict<()>>,
    remote: Remote<u32>,
    ticks: u32,
}

impl App for Obedient {
    type Peer = ();
    type Told = u32;

    fn started(&mut self, worker: &mut WorkerContext<'_>) {
        worker.set_interval(0, Duration::from_secs(1)).unwrap();
    }

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<()>) {
        match handshake.request.path() {
            "/refused" => verdict.reject(Rejection::text(403, "not you\n")),
            "/moved" => verdict.reject(Rejection::new(307).header("Location", "/")),
            "/later" => self.waiting.push(verdict),
            "/never" => drop(verdict),
            "/address" if handshake.peer.ip().is_ipv6() => verdict.reject(Rejection::new(409)),
            _ => verdict.accept(()),
        }
    }

    fn opened(&mut self, (): &mut (), context: &mut Context<'_>) {
        context.subscribe("hall");
    }

    fn message(&mut self, (): &mut (), message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text("close") => context.close(CloseCode::POLICY_VIOLATION, "as you like").unwrap(),
            Message::Text("terminate") => context.terminate(),
            Message::Text("again") => self.remote.tell(context.id(), 0),
            Message::Text("panic") => panic!("as you like"),
            Message::Text("publish") => {
                for _ in 0..64 {
                    context.publish_to_others("hall", Message::Binary(&[7; 16 << 10]));
                }
            }
            message => context.send(message),
        }
    }

    fn told(&mut self, (): &mut (), told: u32, context: &mut Context<'_>) {
        self.remote.tell(context.id(), told);
    }

    fn worker_timer(&mut self, _: u32, _: &mut WorkerContext<'_>) {
        self.ticks += 1;
        for verdict in self.waiting.drain(..) {
            verdict.accept(());
        }
    }

    fn closed(&mut self, (): (), _: ConnectionId, end: &End, _: &Remote) {
        self.ends.borrow_mut().push(end.clone());
    }
}

type Ends = Rc<RefCell<Vec<End>>>;

fn start(config: Config) -> (TestServer<Obedient>, Ends) {
    start_workers(1, config)
}

fn start_workers(workers: usize, config: Config) -> (TestServer<Obedient>, Ends) {
    let ends = Ends::default();
    let made = Rc::clone(&ends);
    let server = TestServer::with_workers(workers, config, move |remote| Obedient {
        ends: Rc::clone(&made),
        waiting: Vec::new(),
        remote: remote.clone(),
        ticks: 0,
    });
    (server, ends)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn messages_of_any_length_arrive_whole_and_in_order() {
    let (server, _) = start(Config::default());
    let mut client = server.connect("/");
    for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        client.binary(&vec![1; length]);
        client.text(&"é".repeat(length / 2));
        client.expect_binary(&vec![1; length]);
        client.expect_text(&"é".repeat(length / 2));
        client.expect_nothing();
    }
    client.ping(b"?");
    client.expect_pong(b"?");
}

#[test]
fn each_end_of_a_connection_has_its_cause() {
    let rows: [(&str, fn(&mut TestClient), End, &[&str]); 7] = [
        (
            "closed by the client",
            |client| client.close(CloseCode::GOING_AWAY, "bye"),
            End::Closed { by_us: false, code: Some(CloseCode::GOING_AWAY) },
            &[r#"a Close with 1001 GOING_AWAY"#],
        ),
        (
            "closed by the app",
            |client| client.text("close"),
            End::Closed { by_us: true, code: Some(CloseCode::POLICY_VIOLATION) },
            &[r#"a Close with 1008 POLICY_VIOLATION and the reason "as you like""#],
        ),
        ("terminated", |client| client.text("terminate"), End::Terminated, &["the end of TCP without a Close"]),
        ("reset", TestClient::reset, End::Broken(std::io::ErrorKind::ConnectionReset), &[]),
        ("ended", TestClient::end, End::Vanished, &["the end of TCP without a Close"]),
        (
            "an unmasked frame",
            |client| client.write(&[0x81, 0x00]),
            End::Failed(switchboard::ProtocolError::UnmaskedFrame),
            &["a Close with 1002"],
        ),
        ("dropped", |client| *client = start(Config::default()).0.connect("/"), End::Vanished, &[]),
    ];
    for (name, act, expected, received) in rows {
        let (server, ends) = start(Config::default());
        let mut client = server.connect("/");
        act(&mut client);
        server.advance(SECOND);
        assert_eq!(*ends.borrow(), [expected], "{name}");
        let came: Vec<String> = std::iter::from_fn(|| client.receive()).map(|came| came.to_string()).collect();
        let fits = came.len() == received.len() && came.iter().zip(received).all(|(came, say)| came.starts_with(say));
        assert!(fits, "{name}: {came:?}");
        assert_eq!(server.remote().connections(), 0, "{name}");
    }
}

#[test]
fn a_client_that_vanishes_is_missed_at_its_deadline_and_not_before() {
    let (server, ends) = start(Config::default().ping_after(30 * SECOND).idle_timeout(60 * SECOND));
    let mut stays = server.connect("/");
    let mut client = server.connect("/");
    client.vanish();
    server.advance(59 * SECOND);
    assert_eq!(*ends.borrow(), []);
    server.advance(3 * SECOND);
    assert_eq!(*ends.borrow(), [End::NoPong]);
    client.expect_nothing();
    stays.text("here");
    stays.expect_text("here");
}

#[test]
fn a_client_that_stops_reading_is_given_up_and_slows_nobody() {
    let (server, ends) = start(Config::default().max_queued_bytes(256 << 10));
    let (mut slow, mut quick, mut speaker) = (server.connect("/"), server.connect("/"), server.connect("/"));
    slow.stop_reading();
    for _ in 0..2 {
        speaker.text("publish"); // 1 MiB, all of it in one turn
        for _ in 0..64 {
            quick.expect_binary(&[7; 16 << 10]);
        }
    }
    slow.read_on();
    server.advance(SECOND);
    assert_eq!(*ends.borrow(), [End::TooSlow]);
    let mut came = 0;
    while let Some(Received::Binary(_)) = slow.receive() {
        came += 1;
    }
    assert!((4..64).contains(&came), "{came} messages fit into the buffers");
}

#[test]
fn time_passes_only_when_it_is_advanced() {
    let (server, _) = start(Config::default());
    assert_eq!(server.elapsed(), Duration::ZERO);
    let ticks = || server.with_app(0, |app| app.ticks);
    server.advance(Duration::from_millis(999));
    assert_eq!(ticks(), 0);
    server.advance(Duration::from_millis(30));
    assert_eq!(ticks(), 1);
    server.advance(99 * SECOND);
    assert!((99..=100).contains(&ticks()), "{}", ticks());
    assert_eq!(server.elapsed(), Duration::from_millis(100_029));
}

#[test]
fn a_handshake_is_refused_or_accepted_when_the_app_says_so() {
    let (server, _) = start(Config::default());
    let connect = |target| server.connect_with(&ClientRequest::new("test.example", target));
    assert_eq!(connect("/refused").expect_refused(403).1, b"not you\n");
    assert_eq!(connect("/never").expect_refused(500).0.status(), 500);
    let moved = connect("/moved").expect_refused(307).0;
    assert_eq!(moved.values("location").next(), Some(&b"/"[..]));
    let mut later = connect("/later");
    later.expect_nothing();
    server.advance(2 * SECOND);
    later.expect_open();
    later.text("open");
    later.expect_text("open");
    let request = ClientRequest::new("test.example", "/address");
    server.connect_from("[2001:db8::1]:4000".parse().unwrap(), &request).expect_refused(409);
    server.connect_from("192.0.2.1:4000".parse().unwrap(), &request).expect_open();
}

#[test]
fn workers_share_topics() {
    let (server, _) = start_workers(3, Config::default());
    let mut clients: Vec<_> = (0..3).map(|_| server.connect("/")).collect();
    server.remote().publish("hall", Message::Text("news"));
    for client in &mut clients {
        client.expect_text("news");
        client.expect_nothing();
    }
}

#[test]
fn a_stop_closes_all_connections_and_ends_in_time() {
    let (server, ends) = start(Config::default().stop_timeout(5 * SECOND));
    let (mut client, mut gone) = (server.connect("/"), server.connect("/"));
    gone.vanish();
    server.stop();
    client.expect_close(CloseCode::GOING_AWAY);
    assert!(!server.has_stopped());
    server.advance(7 * SECOND);
    assert!(server.has_stopped());
    assert_eq!(ends.borrow().len(), 2);
}

#[test]
fn a_stream_speaks_plain_http_and_nonsense() {
    let (server, _) = start(Config::default());
    let mut stream = server.stream();
    stream.write(b"GET / HTTP/1.1\r\nHost: test.example\r\n\r\n");
    let response = String::from_utf8(stream.read()).unwrap();
    assert!(response.starts_with("HTTP/1.1 404 Not Found\r\n"), "{response}");
    assert!(response.contains("Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"), "{response}");
    stream.write(b"nonsense\r\n\r\n");
    assert!(stream.read().starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    assert!(stream.has_ended());
    let mut silent = server.stream();
    silent.write(b"GET / HTTP/1.1\r\n");
    server.advance(12 * SECOND);
    assert!(silent.read().starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
}

#[test]
fn the_same_test_gives_the_same_run() {
    let run = || {
        let (server, _) = start_workers(2, Config::default());
        let mut clients: Vec<_> = (0..5).map(|_| server.connect("/")).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.text(&number.to_string());
        }
        clients[0].text("publish");
        server.advance(40 * SECOND);
        clients.iter_mut().map(|client| std::iter::from_fn(|| client.receive()).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

/// Returns what a panic says.
fn panic_of(run: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it fails");
    panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap()
}

#[test]
fn a_failure_says_what_was_expected_and_what_came() {
    let rows: [(&str, fn(&mut TestClient), &str); 9] = [
        ("", |client| client.expect_text("hi"), r#"expected the text "hi", and nothing came"#),
        ("ho", |client| client.expect_text("hi"), r#"expected the text "hi", and got the text "ho""#),
        ("ho", |client| client.expect_binary(b"\xFF"), r#"expected the binary message "\xff", and got the text "ho""#),
        ("ho", TestClient::expect_nothing, r#"expected nothing, and got the text "ho""#),
        ("ho", |client| client.expect_pong(b"1"), r#"expected the Pong "1", and got the text "ho""#),
        ("ho", |client| drop(client.expect_open()), r#"expected an open connection, and got the text "ho""#),
        ("ho", |client| drop(client.expect_refused(401)), r#"expected a refusal with 401, and got the text "ho""#),
        (
            "close",
            |client| drop(client.expect_close(CloseCode::NORMAL_CLOSURE)),
            r#"expected a Close with 1000 NORMAL_CLOSURE, and got a Close with 1008 POLICY_VIOLATION and the reason "as you like""#,
        ),
        (
            "close",
            |client| client.text("more"),
            "the connection is not open, so nothing can be sent; not yet looked at: \
             [a Close with 1008 POLICY_VIOLATION and the reason \"as you like\"]",
        ),
    ];
    for (text, expect, message) in rows {
        let (server, _) = start(Config::default());
        let mut client = server.connect("/");
        if !text.is_empty() {
            client.text(text);
        }
        assert_eq!(panic_of(|| expect(&mut client)), message);
    }
    let (server, _) = start(Config::default());
    let message = "expected an open connection, and got the connection was refused with 403: \"not you\\n\"";
    assert_eq!(panic_of(|| drop(server.connect("/refused"))), message);
    let message = "this cannot be sent: ";
    assert!(panic_of(|| server.connect("/").ping(&[0; 126])).starts_with(message));
}

#[test]
fn an_app_that_panics_or_never_rests_fails_the_test() {
    let (server, _) = start(Config::default());
    assert_eq!(panic_of(|| server.connect("/").text("panic")), "as you like");
    let (server, _) = start(Config::default());
    assert!(panic_of(|| server.connect("/").text("again")).starts_with("the server does not come to rest"));
}

#[test]
fn each_public_type_has_the_traits_of_its_kind() {
    fn is_value<T: Clone + std::fmt::Debug + std::fmt::Display + Eq + Send + Sync>() {}
    fn is_local<T: std::fmt::Debug>() {}
    is_value::<Received>();
    is_local::<(TestServer<Obedient>, TestClient, TestStream)>();
}

#[test]
fn a_router_of_events_is_tested_in_the_same_way() {
    let router = Router::new(JsonArrays)
        .origins(OriginPolicy::Any)
        .on_connect(|socket| socket.set_timer(1, 20 * SECOND).unwrap())
        .on_timer(|socket, _| socket.emit("late", &20))
        .on("add", |_, (a, b): (i32, i32)| a + b);
    let (server, emitter) = router.start_test(Config::default());
    let mut client = server.connect("/");
    client.text(r#"["add",[2,3],1]"#);
    client.expect_text("[null,5,1]");
    server.advance(21 * SECOND);
    client.expect_text(r#"["late",20]"#);
    emitter.emit("news", &1);
    client.expect_text(r#"["news",1]"#);
}
