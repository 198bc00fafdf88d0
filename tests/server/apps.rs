//! The apps echo and broadcast, and the page that both serve.

use std::sync::mpsc;

use switchboard::{
    App, Context, Handshake, OriginPolicy, Running, Server, Verdict,
    apps::{Audience, Broadcast, Echo},
    client::{Client, Message},
};
use switchboard_tests::server::{LONG, Raw, builder, config, expect_text};

/// A server for an app; stopped when dropped.
struct Served(Option<Running>);

impl Served {
    fn new<A: App<Told = std::convert::Infallible> + Clone + Send + Sync + 'static>(app: A, workers: usize) -> Self {
        let mut config = config();
        config.workers = workers;
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        Self(Some(server.start(move |_| app.clone()).unwrap()))
    }

    fn running(&self) -> &Running {
        self.0.as_ref().expect("it runs until it is dropped")
    }

    fn client(&self) -> Client {
        builder().connect(&format!("ws://{}/any/path", self.running().local_addr())).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.stopper().stop();
            running.join().unwrap();
        }
    }
}

/// A connection whose subscription is known to be in force: its own message has come back.
fn joined(server: &Served, number: u64) -> Client {
    let mut client = server.client();
    client.send_text("joined").unwrap();
    expect_text(&mut client, &format!("{number}: joined"));
    client
}

#[test]
fn an_app_learns_of_the_end_of_a_turn_after_its_messages() {
    struct Counting(usize, mpsc::Sender<usize>);

    impl App for Counting {
        type Peer = ();
        type Told = std::convert::Infallible;

        fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
            verdict.accept(());
        }

        fn message(&mut self, _: &mut (), _: switchboard::Message<'_>, _: &mut Context<'_>) {
            self.0 += 1;
        }

        fn end_of_turn(&mut self) {
            if self.0 > 0 {
                self.1.send(std::mem::take(&mut self.0)).unwrap();
            }
        }
    }

    let (sender, counts) = mpsc::channel();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config()).unwrap();
    let server = Served(Some(server.start(move |_| Counting(0, sender.clone())).unwrap()));
    let mut client = server.client();
    for _ in 0..3 {
        client.send_text("a message").unwrap();
    }
    let mut seen = 0;
    while seen < 3 {
        seen += counts.recv_timeout(LONG).unwrap();
    }
    assert_eq!(seen, 3);
}

#[test]
fn broadcast_to_all_puts_the_senders_number_in_front_of_each_text() {
    let server = Served::new(Broadcast::new(Audience::All, OriginPolicy::Any), 2);
    let mut first = joined(&server, 1);
    let mut second = joined(&server, 2);
    expect_text(&mut first, "2: joined");
    second.send_text("hello").unwrap();
    expect_text(&mut first, "2: hello");
    expect_text(&mut second, "2: hello");
    first.send_binary(b"\x00\x01").unwrap();
    assert_eq!(second.receive().unwrap(), Message::Binary(b"\x00\x01".to_vec()), "binary messages go out as they came");
}

#[test]
fn broadcast_to_others_leaves_the_sender_out() {
    let server = Served::new(Broadcast::new(Audience::Others, OriginPolicy::Any), 1);
    let [mut first, mut second] = [(); 2].map(|()| server.client());
    // One worker has subscribed both before it reads a message of either.
    first.send_text("ping").unwrap();
    expect_text(&mut second, "1: ping");
    second.send_text("pong").unwrap();
    expect_text(&mut first, "2: pong");
}

#[test]
fn both_apps_serve_the_page_with_its_two_files_and_nothing_else() {
    let broadcast = Served::new(Broadcast::new(Audience::All, OriginPolicy::Any), 1);
    let echo = Served::new(Echo::new(OriginPolicy::Any), 1);
    for (server, about) in [(&broadcast, "all connections"), (&echo, "comes back to its sender")] {
        let mut raw = Raw::connect(server.running().local_addr());
        for (request, status) in [
            ("GET / HTTP/1.1", 200),
            ("GET /?q HTTP/1.1", 200),
            ("GET /index.html HTTP/1.1", 404),
            ("OPTIONS / HTTP/1.1", 204),
            ("OPTIONS /index.html HTTP/1.1", 404),
            ("POST / HTTP/1.1\r\nContent-Length: 0", 405),
        ] {
            raw.write(format!("{request}\r\nHost: localhost\r\n\r\n"));
            let answer = if status == 204 { raw.head() } else { raw.response() };
            assert_eq!(answer.status, status, "{request}");
            let allow = matches!(status, 204 | 405).then_some("GET, HEAD, OPTIONS");
            assert_eq!(answer.header("Allow"), allow, "{request}");
            if status == 200 {
                assert_eq!(answer.header("Content-Type"), Some("text/html; charset=utf-8"));
                let page = String::from_utf8(answer.body).unwrap();
                for part in ["readyState", "src=\"page.js\"", "href=\"page.css\"", about] {
                    assert!(page.contains(part), "the page has {part}");
                }
                for part in ["<script>", "<style", "style=", "onclick"] {
                    assert!(!page.contains(part), "the page has {part} in it");
                }
            }
        }
        for (path, kind, part) in [
            ("/", "text/html", "<h1>"),
            ("/page.js", "text/javascript", "new WebSocket(url)"),
            ("/page.css", "text/css", "body {"),
        ] {
            raw.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            let answer = raw.response();
            assert_eq!(answer.header("Content-Type"), Some(&*format!("{kind}; charset=utf-8")), "{path}");
            let policy = answer.header("Content-Security-Policy").unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
            assert!(String::from_utf8(answer.body).unwrap().contains(part), "{path}");
        }
        // As load balancers check a server's health.
        for (request, status) in [("GET / HTTP/1.0\r\n\r\n", 200), ("OPTIONS / HTTP/1.0\r\n\r\n", 204)] {
            let mut raw = Raw::connect(server.running().local_addr());
            raw.write(request);
            assert_eq!(raw.head().status, status, "{request}");
        }
    }
}
