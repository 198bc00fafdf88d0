//! `switchboard connect`: messages from lines and lines from messages, the request, and the exit status.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
};

use serde_json::{Value, json};
use switchboard_tests::certificates::{Authority, Pem};

use crate::support::program::{self, Ended, LONG, PATH, start};

/// Runs it with this input, in the format of `printf`, to its end.
fn connect(input: &str, arguments: &[&str]) -> Ended {
    let script = format!("printf '{input}' | \"$0\" connect \"$@\"");
    program::run(without_proxies(Command::new("sh").args(["-c", &script, PATH]).args(arguments)))
}

/// Removes what the environment of the tests says about proxies.
fn without_proxies(command: &mut Command) -> &mut Command {
    for name in ["ws_proxy", "wss_proxy", "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command
}

#[track_caller]
fn expect(ended: &Ended, status: i32, stdout: &str, stderr: &[&str]) {
    assert_eq!((ended.status.code(), &*ended.stdout), (Some(status), stdout), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), usize::from(!stderr.is_empty()), "{ended:?}");
    for part in stderr {
        assert!(ended.stderr.contains(part), "{part:?} is not in {ended:?}");
    }
}

/// A connection whose input stays open; killed when dropped.
struct Session {
    child: Child,
    /// `None` once it has ended.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(PATH);
        command.arg("connect").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = without_proxies(&mut command).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("the input is open"), "{line}").unwrap();
    }

    /// Waits for the next line, or for the end of the output, which is empty.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end of the output, then for that of the process.
    fn end(mut self) -> Option<i32> {
        assert_eq!(self.line(), "");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn lines_become_messages_and_messages_lines() {
    let echo = start(&["echo"]);
    let url = echo.url();
    expect(&connect(r"one\ntwo\r\n\nlast", &[url]), 0, "one\ntwo\n\nlast\n", &[]);
    expect(&connect(r"", &[url, "--wait", "0"]), 0, "", &[]);
    expect(&connect(r"00 fF\n\n", &[url, "--binary"]), 0, "00ff\n\n", &[]);
    expect(&connect(r"squeezed\n", &[url, "--compress"]), 0, "squeezed\n", &[]);
    let many: String = (0..2000).map(|number| format!("{number}\n")).collect();
    expect(&connect(&many, &[url]), 0, &many, &[]);
}

#[test]
fn events_are_json_objects() {
    let echo = start(&["echo", "--max-message-bytes", "10"]);
    let objects = |ended: &Ended| -> Vec<Value> {
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let opened = json!({ "state": "open" });
    let ended = connect(r#"a "b"\n\t\n"#, &[echo.url(), "--json"]);
    let texts = [r#"a "b""#, "\t"].map(|text| json!({ "opcode": "text", "text": text }));
    let [first, second] = texts;
    let close = |code: u16, reason: &str| json!({ "opcode": "close", "code": code, "reason": reason });
    assert_eq!(objects(&ended), [opened.clone(), first, second, close(1000, "")], "{ended:?}");
    let ended = connect(r"00ff\n", &[echo.url(), "--json", "--binary"]);
    let binary = json!({ "opcode": "binary", "base64": "AP8=" });
    assert_eq!(objects(&ended), [opened.clone(), binary, close(1000, "")], "{ended:?}");
    let ended = connect(r"0123456789a\n", &[echo.url(), "--json"]);
    assert_eq!(ended.status.code(), Some(1));
    let [open, last] = &objects(&ended)[..] else { panic!("{ended:?}") };
    assert_eq!((open, &last["code"]), (&opened, &json!(1009)), "{ended:?}");
}

#[test]
fn the_exit_status_says_how_it_ended_and_standard_error_why() {
    let echo = start(&["echo", "--max-message-bytes", "10", "--origin", "https://page.example"]);
    let url = echo.url();
    expect(&connect(r"0123456789a\n", &[url]), 1, "", &["code 1009"]);
    expect(&connect("", &[url, "--origin", "https://elsewhere.example"]), 1, "", &["status 403"]);
    expect(&connect(r"ok\n", &[url, "--origin", "https://page.example"]), 0, "ok\n", &[]);
    expect(&connect("", &["ws://127.0.0.1:1/"]), 1, "", &["cannot connect to the server", "refused"]);
    expect(&connect(r"\377\n", &[url]), 1, "", &["line 1", "UTF-8"]);
    expect(&connect(r"0\n", &[url, "--binary"]), 1, "", &["line 1", "hexadecimal"]);
    expect(&connect("", &["http://127.0.0.1:1/"]), 2, "", &["the URL cannot be used"]);
    expect(&connect("", &["ws://127.0.0.1:1/", "-H", "Host: x"]), 2, "", &["the request cannot be sent"]);
    for arguments in [&[][..], &[url, "--ping", "0"], &[url, "--wait", "x"], &[url, "-H", "x"], &[url, "--cert", "x"]] {
        expect(&connect("", arguments), 2, "", &["--help"]);
    }
    expect(&connect("", &[url, "--cacert", "/nonexistent"]), 1, "", &["cannot read /nonexistent"]);
}

#[test]
fn it_ends_after_one_message_or_at_a_signal_with_code_1000() {
    let echo = start(&["echo"]);
    let mut one = Session::start(&[echo.url(), "-1"]);
    one.type_line("first");
    assert_eq!(one.line(), "first\n");
    assert_eq!(one.end(), Some(0));
    for signal in ["INT", "TERM", "HUP"] {
        let mut session = Session::start(&[echo.url(), "--json"]);
        session.type_line("x");
        assert!(session.line().contains("open"));
        assert!(session.line().contains("text"));
        session.signal(signal);
        assert_eq!(session.line(), "{\"code\":1000,\"opcode\":\"close\",\"reason\":\"\"}\n");
        assert_eq!(session.end(), Some(0), "{signal}");
    }
}

#[test]
fn after_the_end_of_the_input_it_goes_on_forever_if_it_is_told_to() {
    let broadcast = start(&["broadcast", "--to", "others"]);
    let mut waiting = Session::start(&[broadcast.url(), "--wait", "forever", "--json"]);
    assert!(waiting.line().contains("open"));
    waiting.input = None;
    expect(&connect(r"late\n", &[broadcast.url()]), 0, "", &[]);
    assert_eq!(waiting.line(), "{\"opcode\":\"text\",\"text\":\"2: late\"}\n");
}

/// Reads the head of a request.
fn head(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    head
}

#[test]
fn the_request_carries_what_the_options_say_and_a_refusal_is_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/path?x=1", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = head(&mut stream);
        let body = "log in first\x1b[2J\n";
        write!(stream, "HTTP/1.1 401 X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let _ = stream.read(&mut [0]);
        head
    });
    let options =
        ["-H", "Authorization: Bearer abc", "--header", "X-Two:2", "--subprotocol", "a", "--subprotocol", "b"];
    let ended = connect("", &[&[&*url, "--origin", "https://page.example", "--compress"], &options[..]].concat());
    expect(&ended, 1, "", &["status 401: log in first\\u{1b}[2J"]);
    let head = server.join().unwrap();
    assert!(head.starts_with("GET /path?x=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        "Authorization: Bearer abc",
        "X-Two: 2",
        "Sec-WebSocket-Protocol: a, b",
        "Origin: https://page.example",
        "Sec-WebSocket-Extensions: permessage-deflate",
    ] {
        assert!(head.contains(&format!("{line}\r\n")) || head.contains(&format!("{line};")), "{line}: {head}");
    }
}

#[test]
fn it_connects_again_only_if_it_is_told_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            head(&mut stream);
            stream.write_all(b"HTTP/1.1 503 X\r\nRetry-After: 1000\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    expect(&connect("", &[&url]), 1, "", &["status 503"]);
    let mut session = Session::start(&[&url, "--reconnect", "--json"]);
    let failed: Value = serde_json::from_str(&session.line()).unwrap();
    assert_eq!(failed["state"], "failed");
    let waiting: Value = serde_json::from_str(&session.line()).unwrap();
    assert_eq!(waiting["state"], "waiting");
    assert!(waiting["seconds"].as_f64().is_some_and(|seconds| (1000.0..1005.0).contains(&seconds)), "{waiting}");
    session.signal("INT");
    assert_eq!(session.end(), Some(130), "there was no connection yet");
    server.join().unwrap();
}

#[test]
fn it_trusts_the_authority_that_it_is_given_over_tls() {
    let authority = Authority::new("authority of the tests");
    let Pem { chain, key } = authority.sign(&["127.0.0.1"]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (chain, key, authority) = (file("chain", &chain), file("key", &key), file("ca", &authority.pem()));
    let echo = start(&["echo", "--tls-cert", &chain, "--tls-key", &key]);
    expect(&connect(r"secret\n", &[echo.url(), "--cacert", &authority]), 0, "secret\n", &[]);
    expect(&connect(r"secret\n", &[echo.url(), "--cacert", &chain]), 1, "", &["certificate"]);
}

#[test]
fn a_recording_holds_both_ends_and_can_be_sent_again() {
    let echo = start(&["echo"]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (first, second) = (path("first"), path("second"));
    let lines = |path: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    // The messages of one end in their order, without the times.
    let of = |path: &str, from: &str| -> Vec<Value> {
        let mut lines = lines(path);
        lines.retain(|line| line["from"] == from);
        assert!(lines.is_sorted_by_key(|line| line["time"].as_f64()), "{lines:?}");
        lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("time")));
        lines
    };
    expect(&connect(r#"a "b"\nc\n"#, &[echo.url(), "--record", &first]), 0, "a \"b\"\nc\n", &[]);
    for from in ["client", "server"] {
        let expected = ["a \"b\"", "c"].map(|text| json!({ "from": from, "opcode": "text", "text": text }));
        assert_eq!(of(&first, from), expected);
    }
    let ended = connect("", &[echo.url(), "--replay", &first, "--fast", "--record", &second]);
    expect(&ended, 0, "a \"b\"\nc\n", &[]);
    assert_eq!(of(&second, "client"), of(&first, "client"));
    // Binary messages, and their pace: the second comes 300 ms after the first.
    let made = [
        json!({ "time": 0.0, "from": "client", "opcode": "binary", "base64": "AP8=" }),
        json!({ "time": 0.1, "from": "server", "opcode": "text", "text": "not sent" }),
        json!({ "time": 0.3, "from": "client", "opcode": "binary", "base64": "" }),
    ];
    std::fs::write(&first, made.map(|line| format!("{line}\n")).concat()).unwrap();
    expect(&connect("", &[echo.url(), "--replay", &first, "--record", &second]), 0, "00ff\n\n", &[]);
    let times: Vec<f64> = lines(&second).iter().filter_map(|line| line["time"].as_f64()).collect();
    assert_eq!(times.len(), 4);
    assert!(times[3] - times[0] >= 0.29, "{times:?}");
}

#[test]
fn a_recording_that_cannot_be_used_is_told_before_connecting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let recording = path.to_str().unwrap();
    let url = "ws://127.0.0.1:1/";
    let missing = folder.path().join("no/such/file");
    let missing = missing.to_str().unwrap();
    expect(&connect("", &[url, "--replay", missing]), 1, "", &["--replay", "no/such/file"]);
    expect(&connect("", &[url, "--record", missing]), 1, "", &["--record", "no/such/file"]);
    for (line, problem) in [
        ("x", "line 2: no line of a recording"),
        (r#"{"time":1,"from":"nobody","opcode":"text","text":""}"#, "nobody"),
        (r#"{"time":1,"from":"client","opcode":"text"}"#, "missing field"),
        (r#"{"time":-1,"from":"client","opcode":"text","text":""}"#, "its time"),
        (r#"{"time":1,"from":"client","opcode":"binary","base64":"?"}"#, "its base64"),
    ] {
        let good = r#"{"time":0,"from":"client","opcode":"text","text":""}"#;
        std::fs::write(&path, format!("{good}\n{line}\n")).unwrap();
        expect(&connect("", &[url, "--replay", recording]), 1, "", &[problem, "line 2"]);
    }
}
