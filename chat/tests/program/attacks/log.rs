//! LG-01: text of clients in the program's log and in what its commands print.

use std::{fs, process::Command};

use serde_json::json;
use switchboard_tests::{
    hostile::{HOSTILE, assert_harmless, fill},
    server::Raw,
};

use super::{GENEROUS, LOBBY, key};
use crate::support::{
    chat_user::{ChatUser, PASSWORD, guest, post},
    folder::Folder,
    program::{PATH, run, start_command},
};

/// The places of a request where a client may write text; `{}` is the text.
const REQUESTS: &[&str] = &[
    "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: {}\r\n\r\n",
    "GET /api/{} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {}\r\n\r\n",
    "POST /api/login HTTP/1.1\r\nHost: localhost\r\nOrigin: {}\r\nContent-Length: 0\r\n\r\n",
    "POST /api/{} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: 0\r\n\r\n",
    "GET /api/session HTTP/1.1\r\nHost: localhost\r\nCookie: switchboard-session={}; switchboard-device={}\r\nAuthorization: Bearer {}\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {}\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {}\r\nX-Forwarded-For: {}\r\n\r\n",
];

#[test]
fn lg_01_nothing_that_a_client_sends_is_logged_raw_or_whole() {
    let folder = Folder::new("log");
    let log = format!("{}/log", folder.path());
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$0\" \"$@\" 2>'{log}'"), PATH, "-vvv", "--data", ":memory:"]);
    command.args(["--guests", "--trusted-proxy", "127.0.0.1", "--listen", "127.0.0.1:0"]).args(GENEROUS);
    let mut program = start_command(&mut command);
    let address = program.address();
    let token = guest(address, "Ann");
    for text in HOSTILE {
        let long = text.repeat(300);
        for (template, text) in REQUESTS.iter().flat_map(|template| [(template, *text), (template, &long)]) {
            let mut raw = Raw::connect(address);
            raw.write(fill(template, text));
            raw.finish_writing();
            raw.take_up_to(1 << 20);
        }
        let text = &*String::from_utf8_lossy(text);
        for path in ["/api/guest", "/api/register", "/api/login"] {
            post(address, path, &json!({"name": text, "password": text}));
        }
        let mut ann = ChatUser::with_token(address, &token);
        for (event, data) in [
            (text, json!({text: text})),
            ("create", json!({"name": text, "topic": text})),
            ("create", json!({"name": key(), "topic": text, "kind": text})),
            ("say", json!({"room": LOBBY, "text": text, "key": text})),
            ("say", json!({"room": LOBBY, "text": text, "key": key()})),
            ("tell", json!({"name": text, "text": text, "key": key()})),
            ("block", json!({"name": text})),
            ("search", json!({"text": text})),
            ("auth", json!({"token": text})),
        ] {
            let _ = ann.ask(event, data);
        }
        ann.send_text(text);
        ann.send_binary(text.as_bytes());
        ann.until_end();
    }
    program.signal("TERM");
    program.wait();
    let log = fs::read_to_string(log).expect("the log is text");
    // The chat's own lines name microseconds.
    log.replace('µ', "u").lines().for_each(assert_harmless);
    for expected in [r#""/api/\u{9b}2J"#, r#"origin "x\" is"#, "more bytes", "tell is refused"] {
        assert!(log.contains(expected), "{expected} is not in the log:\n{log}");
    }
}

#[test]
fn lg_01_no_name_is_printed_raw() {
    let folder = Folder::new("names");
    for text in HOSTILE {
        // An argument cannot contain NUL.
        let text = String::from_utf8_lossy(text).replace('\0', "");
        for action in ["add", "password", "operator"] {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("echo '{PASSWORD}' | \"$0\" \"$@\""), PATH, "user", action]);
            let ended = run(command.args(["--data", folder.path(), "--", &*text]));
            for line in [ended.stdout, ended.stderr].iter().flat_map(|output| output.split('\n')) {
                let line = line.replace('"', "");
                assert!(line.escape_debug().eq(line.chars()), "{line:?}");
            }
        }
    }
}
