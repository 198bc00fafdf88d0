//! Text of peers in the log: no peer can begin a line, send a command to the operator's terminal, reorder or hide what
//! is written, or fill the disk.

use std::{
    fmt::Write as _,
    io::Write as _,
    net::TcpListener,
    sync::{Mutex, Once},
    thread,
};

use switchboard::{Rejection, Response, client::ClientError};
use switchboard_tests::{
    hostile::{HOSTILE, assert_harmless, fill},
    server::{Raw, Service, builder, config, serve},
};

/// Collects what is logged, and what a program would log of the values that it is given.
struct Collector(Mutex<Vec<String>>);

static COLLECTOR: Collector = Collector(Mutex::new(Vec::new()));

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.add(record.args().to_string());
    }

    fn flush(&self) {}
}

impl Collector {
    /// Makes this the logger of the process.
    fn install(&'static self) {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            log::set_logger(self).unwrap();
            log::set_max_level(log::LevelFilter::Trace);
        });
    }

    fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    /// Asserts that all lines are harmless, and that one contains `text`.
    #[track_caller]
    fn check(&self, text: &str) {
        let lines = self.0.lock().unwrap().clone();
        for line in &lines {
            assert_harmless(line);
        }
        assert!(lines.iter().any(|line| line.contains(text)), "no line contains {text:?}: {lines:?}");
    }
}

/// The places of a request where a client may write text; `{}` is the text.
const REQUESTS: &[&str] = &[
    "{} / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /?{} HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET / {}\r\nHost: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: {}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\n{}: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {}\r\nUser-Agent: {}\r\nCookie: {}\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
    "POST /{} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
    "GET /{} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "GET /{} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX: {}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: {}\r\n\
     Sec-WebSocket-Key: {}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {}\r\nSec-WebSocket-Protocol: {}\r\n\
     Sec-WebSocket-Extensions: {}\r\n\r\n",
];

#[test]
fn lg_01_nothing_that_a_client_sends_is_logged_raw_or_whole() {
    COLLECTOR.install();
    // An app that logs all it is given, and answers with text of the client.
    let service = Service::echo()
        .on_request(|request, responder| {
            COLLECTOR.add(format!("{:?}", request.head));
            responder.send(Response::new(200).header("X", request.head.target().to_owned()));
        })
        .on_accept(|handshake, verdict| {
            COLLECTOR.add(format!("{:?} {:?}", handshake.request, handshake.websocket));
            verdict.reject(Rejection::new(403).header("X", handshake.request.target().to_owned()));
        });
    let mut config = config();
    config.head.max_headers = 8;
    let server = serve(config, service);
    for text in HOSTILE {
        let long = text.repeat(300);
        for (template, text) in REQUESTS.iter().flat_map(|template| [(template, *text), (template, &long)]) {
            let mut raw = Raw::connect(server.address);
            raw.write(fill(template, text));
            raw.finish_writing();
            raw.take_up_to(1 << 20);
        }
    }
    let server = serve(self::config(), Service::echo());
    for text in HOSTILE {
        let (mut raw, _) = server.raw();
        let reason: Vec<u8> = [b"\x03\xe8", &text[..text.len().min(100)]].concat();
        for (first, payload) in [(0x81, *text), (0x82, text), (0x89, text), (0x8A, text), (0x88, &reason)] {
            raw.send(first, payload);
        }
        let (_, end) = server.next_closed();
        COLLECTOR.add(format!("{end}, {end:?}"));
    }
    COLLECTOR.check(r#""/\u{9b}2J\u{9d}0;title"#);
}

#[test]
fn lg_01_nothing_that_a_server_sends_is_logged_raw_or_whole() {
    COLLECTOR.install();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let responses = [
        "HTTP/1.1 {} x\r\n\r\n",
        "HTTP/1.1 400 {}\r\n\r\n",
        "HTTP/1.1 400 x\r\n{}: x\r\n\r\n",
        "HTTP/1.1 400 x\r\nX: {}\r\nTransfer-Encoding: {}\r\n\r\n{}",
        "HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n",
        "HTTP/1.1 302 x\r\nLocation: {}\r\nContent-Length: {}\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: {}\r\nConnection: {}\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: {}\r\n\
         Sec-WebSocket-Extensions: {}\r\n\r\n",
    ];
    let texts = || HOSTILE.iter().flat_map(|text| [text.to_vec(), text.repeat(300)]);
    let answers: Vec<Vec<u8>> = texts().flat_map(|text| responses.map(|template| fill(template, &text))).collect();
    let count = answers.len();
    let server = thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            // The client may refuse the answer and end the connection before all of it is written.
            let _ = stream.write_all(&answer);
        }
    });
    for _ in 0..count {
        let error = builder().connect(&url).expect_err("no response opens a connection");
        COLLECTOR.add(chain(&error));
    }
    server.join().unwrap();
    for text in texts() {
        let text = String::from_utf8_lossy(&text);
        for url in [format!("{text}://x"), format!("ws://{text}/"), format!("ws://x:{text}"), format!("ws://x/{text}")]
        {
            COLLECTOR.add(chain(&builder().connect(&url).expect_err("no such URL is valid")));
        }
        COLLECTOR.add(chain(&builder().header(&*text, "x").connect("ws://x").expect_err("no such name is valid")));
        COLLECTOR.add(chain(&builder().subprotocol(&*text).connect("ws://x").expect_err("no such name is valid")));
    }
    COLLECTOR.check(r#"redirected to "\u{202e}txet"#);
    COLLECTOR.check("more bytes");
}

/// Returns an error with its causes, as programs show it.
fn chain(error: &ClientError) -> String {
    let mut shown = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let _ = write!(shown, ": {error}");
        cause = error.source();
    }
    shown
}
