//! The chat never blocks an event loop: for any input, each of its callbacks takes less than 5 ms of CPU time.
//!
//! Passwords, the store and all decisions have threads of their own. The event loops only parse the input, which is
//! bounded, and pass it on.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use switchboard::{
    App, ConnectionId, Context, End, Handshake, Limits, Message, Remote, Request, Responder, Running, Server, Stopper,
    Verdict,
};
use switchboard_chat::{Chat, ChatConfig, ChatService, Peer, Rate};
use switchboard_tests::server::{HttpResponse, Raw, config};

use crate::support::chat_user::{AS_JSON, ChatUser, PASSWORD, guest, request_over};

/// The CPU time that a callback may take.
const BOUND: Duration = Duration::from_millis(5);
/// How often each slow action is repeated. Other work of the machine adds to some of the measured times, but not to
/// all.
const TIMES: usize = 5;

/// The minimum time of each kind of callback, and the number of its calls.
#[derive(Clone, Debug, Default)]
struct Times(Arc<Mutex<BTreeMap<String, (Duration, usize)>>>);

impl Times {
    fn measure<T>(&self, what: String, call: impl FnOnce() -> T) -> T {
        let before = computed();
        let value = call();
        let took = computed() - before;
        let mut times = self.0.lock().unwrap();
        let (least, count) = times.entry(what).or_insert((took, 0));
        (*least, *count) = (took.min(*least), *count + 1);
        value
    }
}

/// The chat, with the time of each callback measured.
struct Timed {
    chat: Chat,
    times: Times,
}

/// Returns the CPU time of this thread.
fn computed() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("a time since the thread began")
}

impl App for Timed {
    type Peer = Peer;
    type Told = std::convert::Infallible;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<Peer>) {
        self.times.measure("accept".into(), || self.chat.accept(handshake, verdict));
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        let what = format!("{} with {}", request.head.path(), start_of(request.body));
        self.times.measure(what, || self.chat.request(request, responder));
    }

    fn opened(&mut self, peer: &mut Peer, context: &mut Context<'_>) {
        self.times.measure("opened".into(), || self.chat.opened(peer, context));
    }

    fn message(&mut self, peer: &mut Peer, message: Message<'_>, context: &mut Context<'_>) {
        let what = format!("message {}", start_of(message.payload()));
        self.times.measure(what, || self.chat.message(peer, message, context));
    }

    fn closed(&mut self, peer: Peer, id: ConnectionId, end: &End, remote: &Remote) {
        self.times.measure("closed".into(), || self.chat.closed(peer, id, end, remote));
    }
}

/// Returns the start of an input, by which a failed test names it.
fn start_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(12)]).into_owned()
}

/// A chat on one event loop, without effective rate limits, and the times of its callbacks.
struct Served {
    running: Running,
    stopper: Stopper,
    times: Times,
}

impl Served {
    fn new() -> Self {
        let mut chat = ChatConfig::default();
        chat.guests = true;
        let much = Rate { at_once: 1_000_000, per_second: 1e6 };
        (chat.limits.events, chat.limits.messages) = (much, much);
        (chat.limits.sign_ins, chat.limits.sign_ups) = (much, much);
        let chat = ChatService::open(chat).unwrap();
        let mut config = config();
        config.limits = Limits::of_bytes(64 << 10);
        let times = Times::default();
        let measured = times.clone();
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        let app = move |remote: &Remote| Timed { chat: chat.app(remote), times: measured.clone() };
        let running = server.start(app).unwrap();
        Self { stopper: running.stopper(), running, times }
    }

    fn address(&self) -> SocketAddr {
        self.running.local_addr()
    }

    /// Stops the server. Checks the time of each kind of callback, and that there were at least `kinds`.
    fn check(self, kinds: usize) {
        self.stopper.stop();
        self.running.join().unwrap();
        let times = self.times.0.lock().unwrap();
        assert!(times.len() >= kinds, "{times:?}");
        for (what, (least, count)) in times.iter() {
            assert!(*least < BOUND, "{what} takes at least {least:?} in {count} calls");
        }
    }
}

#[test]
fn a_slow_callback_is_detected() {
    let times = Times::default();
    let compute = |time: Duration| {
        let before = computed();
        while computed() - before < time {
            std::hint::spin_loop();
        }
    };
    for time in [3 * BOUND, BOUND, 2 * BOUND] {
        times.measure("long".into(), || compute(time));
        times.measure("short".into(), || compute(BOUND / 100));
    }
    let times = times.0.lock().unwrap();
    assert!(times["long"].0 >= BOUND && times["short"].0 < BOUND, "{times:?}");
    assert_eq!((times["long"].1, times["short"].1), (3, 3));
}

/// A password's hash takes four times the bound, and 19 MiB. So only a bounded number of requests waits, and the others
/// get a 503.
#[test]
fn many_sign_ins_at_once_wait_on_another_thread_or_get_a_503() {
    let served = Served::new();
    let (address, host) = (served.address(), served.address().to_string());
    for (path, success) in [("/api/register", 201), ("/api/login", 200)] {
        let mut crowd: Vec<_> = (0..CROWD).map(|_| Raw::connect(address)).collect();
        for (number, raw) in crowd.iter_mut().enumerate() {
            let body = json!({"name": format!("Ann {number}"), "password": PASSWORD}).to_string();
            let length = body.len();
            raw.write(format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
        }
        let answers: Vec<HttpResponse> = crowd.iter_mut().map(Raw::response).collect();
        let count = |status| answers.iter().filter(|answer| answer.status == status).count();
        let turned_away = count(503);
        // A user who was not registered cannot log in.
        let refused = if success == 200 { count(401) } else { 0 };
        assert_eq!(count(success) + refused + turned_away, CROWD, "{answers:?}");
        assert!(count(success) > 0 && turned_away > 0, "{path}: {turned_away} of {CROWD} were turned away");
        for answer in answers.iter().filter(|answer| answer.status == 503) {
            assert!(answer.header("Retry-After").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{answer:?}");
        }
    }
    served.check(2);
}

/// More than the 64 that the queue holds.
const CROWD: usize = 100;

#[test]
fn the_longest_requests_are_parsed_in_time() {
    let served = Served::new();
    let (address, host) = (served.address(), served.address().to_string());
    let long = |name: &str, password: &str| json!({"name": name, "password": password}).to_string();
    let bodies = [
        long(&"\u{1e69}".repeat(1_300), PASSWORD),
        long(&"q\u{323}\u{307}".repeat(64), PASSWORD),
        long("Ann", &"\u{fdfa}".repeat(1_300)),
        long("Bob", &"\u{1e69}".repeat(256)),
        "[".repeat(4 << 10),
        "[1,".repeat(1_365),
        format!("{{{}", r#""":0,"#.repeat(800)),
        format!(r#"{{"name":"{}"#, r"\ud83d\ude00".repeat(340)),
    ];
    for body in &bodies {
        for path in ["/api/register", "/api/login", "/api/guest"] {
            for _ in 0..TIMES {
                let mut raw = Raw::connect(address);
                let answer = request_over(&mut raw, &host, "POST", path, &[AS_JSON], body);
                assert!(answer.status < 500, "{path} {answer:?}");
            }
        }
    }
    served.check(bodies.len());
}

#[test]
fn the_longest_messages_are_parsed_in_time() {
    let served = Served::new();
    let mut ann = ChatUser::guest(served.address(), "Ann");
    let nonsense = [
        "[".repeat(64 << 10),
        "[],".repeat(21_845),
        format!("[{}0]", "[],".repeat(21_840)),
        format!("[{}0]", "0,".repeat(32_000)),
        format!("[[{}0]]", r#""","#.repeat(21_800)),
        format!("[{{{}}}]", (0..7_000).map(|n| format!(r#""{n}":0"#)).collect::<Vec<_>>().join(",")),
        format!("{}0{}", "[".repeat(120), "]".repeat(120)),
        format!(r#"["{}"]"#, r"\ud83d\ude00".repeat(5_460)),
        format!(r#"["say",{{"text":"{}"}}]"#, r"\n".repeat(32_000)),
        format!("[{}]", "1".repeat(65_000)),
        format!("[0.{}e9]", "9".repeat(65_000)),
        format!(r#"["{}"]"#, "x".repeat(65_000)),
        " ".repeat(64 << 10),
    ];
    for text in &nonsense {
        assert!(text.len() <= 64 << 10);
        for _ in 0..TIMES {
            ann.send_text(text);
        }
        let answers = ann.received(&["error"]);
        assert_eq!(answers.len(), TIMES, "{}", start_of(text.as_bytes()));
    }
    served.check(nonsense.len());
}

#[test]
fn the_longest_messages_and_histories_are_passed_on_in_time() {
    let served = Served::new();
    let token = guest(served.address(), "Bob");
    let (mut ann, mut bob) = (ChatUser::guest(served.address(), "Ann"), ChatUser::with_token(served.address(), &token));
    bob.ask("join", json!({"room": 1})).unwrap();
    let text = "\u{1f600}".repeat(4_000);
    for number in 0..100 {
        let key = uuid::Uuid::from_u128(number).to_string();
        ann.ask("say", json!({"room": 1, "text": text, "key": key})).unwrap();
    }
    for _ in 0..TIMES {
        let page = bob.ask("history", json!({"room": 1, "limit": 100})).unwrap();
        assert_eq!((page["messages"][0]["text"].as_str(), &page["more"]), (Some(&*text), &json!(true)));
        bob.ask("join", json!({"room": 1, "since": {"epoch": page["messages"][0]["epoch"], "seq": 0}})).unwrap();
        bob.ask("people", Value::Null).unwrap();
        // Opening and closing a connection is measured, too.
        drop(ChatUser::with_token(served.address(), &token));
    }
    served.check(5);
}
