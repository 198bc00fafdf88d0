//! The command line: output, exit status, and the chat that the program serves.

use std::{io::BufRead as _, path::Path, process::Command, time::Instant};

use switchboard::{
    OwnedCloseFrame,
    client::{Client, ClientError, Message},
};
use switchboard_tests::server::{OPENING, Raw, builder, expect_text, round_trip};

use crate::support::program::{self, PATH, start};

#[test]
fn the_first_line_ends_with_the_url_of_the_service() {
    for (arguments, scheme) in [
        (&["echo"][..], "ws://127.0.0.1:"),
        (&["broadcast", "--to", "all"], "ws://127.0.0.1:"),
        (&["serve", "--data", ":memory:"], "http://127.0.0.1:"),
        (&["--data", ":memory:"], "http://127.0.0.1:"),
    ] {
        let program = start(arguments);
        assert!(program.url().starts_with(scheme) && program.url().ends_with('/'), "{:?}", program.greeting);
        assert_ne!(program.address().port(), 0);
        std::net::TcpStream::connect(program.address()).unwrap();
    }
}

#[test]
fn the_lines_after_it_say_where_the_data_is_how_to_try_the_chat_and_how_to_stop_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let (kept, lost) = (format!("data in {data}"), "data in memory only: nothing is kept when it stops".to_owned());
    let hint = "to try it with two users, open a second, private window: other windows of a browser are the same user";
    let stop = "Ctrl-C stops it";
    let rows: [(&[&str], &[&str]); 4] = [
        (&["--data", data], &[&kept, hint, stop]),
        (&["--data", ":memory:"], &[&lost, hint, stop]),
        (&["serve", "--data", ":memory:", "--public-url", "https://chat.example"], &[&lost, stop]),
        (&["echo"], &[stop]),
    ];
    for (arguments, expected) in rows {
        let mut command = Command::new(PATH);
        command.args(arguments).args(["--listen", "127.0.0.1:0"]).stdout(std::process::Stdio::piped());
        let mut program = command.spawn().unwrap();
        let lines = std::io::BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap).skip(1);
        let seen: Vec<_> = lines.take(expected.len()).collect();
        program.kill().unwrap();
        program.wait().unwrap();
        assert_eq!(seen, expected, "{arguments:?}");
    }
}

#[test]
fn echo_echoes_and_broadcast_reaches_others() {
    let echo = start(&["echo", "--workers", "2", "--max-message-bytes", "10"]);
    let mut client = builder().connect(echo.url()).unwrap();
    client.send_text("0123456789").unwrap();
    expect_text(&mut client, "0123456789");
    client.send_text("0123456789a").unwrap();
    let Message::Close(Some(OwnedCloseFrame { code, .. })) = client.receive().unwrap() else { panic!("no Close") };
    assert_eq!(code.get(), 1009);

    let broadcast = start(&["broadcast", "--to", "others", "--workers", "1", "--origin", "https://page.example"]);
    let [mut one, mut other] = [(); 2].map(|()| builder().connect(broadcast.url()).unwrap());
    one.send_text("from one").unwrap();
    expect_text(&mut other, "1: from one");
    other.send_text("from the other").unwrap();
    expect_text(&mut one, "2: from the other");
    let refused = builder().origin("https://elsewhere.example").connect(broadcast.url());
    assert!(matches!(refused, Err(ClientError::Refused { response, .. }) if response.status() == 403));
}

#[test]
fn responses_say_how_long_the_connection_is_kept() {
    let rows: [(&[&str], _); 3] =
        [(&[], Some("timeout=75")), (&["--keep-alive", "5m"], Some("timeout=300")), (&["--keep-alive", "0"], None)];
    for (arguments, kept) in rows {
        let echo = start(&[&["echo"], arguments].concat());
        let mut raw = Raw::connect(echo.address());
        raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(raw.response().header("Keep-Alive"), kept, "{arguments:?}");
    }
}

#[test]
fn a_port_in_use_is_exit_1_and_one_line_that_names_listen() {
    for workers in ["1", "2"] {
        let first = start(&["echo", "--workers", workers]);
        let listen = first.address().to_string();
        for arguments in [&["echo", "--workers", "1"][..], &["echo", "--workers", "2"], &["--data", ":memory:"]] {
            let ended = program::run(Command::new(PATH).args(arguments).args(["--listen", &listen]));
            assert_eq!((ended.status.code(), &*ended.stdout), (Some(1), ""), "{ended:?}");
            assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
            assert!(ended.stderr.contains("--listen") && ended.stderr.contains(&listen), "{ended:?}");
        }
    }
}

#[test]
fn a_bad_option_is_exit_2_and_one_line() {
    let rows: [&[&str]; 13] = [
        &["--no-such-option"],
        &["no-such-command"],
        &["echo", "--workers", "0"],
        &["echo", "--workers", "many"],
        &["echo", "--listen", "localhost"],
        &["echo", "--max-message-bytes", "0"],
        &["broadcast"],
        &["serve", "--origin", "chat.example"],
        &["--public-url", "chat.example"],
        &["--session-idle", "soon"],
        &["--message-rate", "5/s"],
        &["--max-text-chars", "0"],
        &["user", "add"],
    ];
    for arguments in rows {
        let ended = program::run(Command::new(PATH).args(arguments));
        assert_eq!((ended.status.code(), &*ended.stdout), (Some(2), ""), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {ended:?}");
    }
    for (arguments, expected) in [
        (&["user"][..], "a subcommand is missing; see switchboard user --help"),
        (&["broadcast"], "see switchboard broadcast --help"),
        (&["user", "add"], "see switchboard user add --help"),
        (&["--no-such-option"], "see switchboard --help"),
        (&["-v", "echo"], "options go after the command; see switchboard --help"),
    ] {
        let ended = program::run(Command::new(PATH).args(arguments));
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}");
        assert!(ended.stderr.trim_end().ends_with(expected), "{arguments:?}: {ended:?}");
    }
    for (argument, expected) in [("--help", "Usage: switchboard [OPTIONS]"), ("--version", "switchboard 0.1.0\n")] {
        let ended = program::run(Command::new(PATH).arg(argument));
        assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), ""), "{ended:?}");
        assert!(ended.stdout.contains(expected), "{ended:?}");
    }
}

#[test]
fn a_signal_sends_1001_to_all_and_ends_the_program_with_0() {
    for signal in ["TERM", "INT"] {
        let mut program = start(&["echo", "--workers", "2"]);
        let mut clients: Vec<_> = (0..8).map(|_| builder().connect(program.url()).unwrap()).collect();
        clients.iter_mut().for_each(round_trip);
        program.signal(signal);
        for client in &mut clients {
            let Message::Close(Some(OwnedCloseFrame { code, .. })) = client.receive().unwrap() else {
                panic!("no Close")
            };
            assert_eq!(code.get(), 1001);
        }
        assert_eq!(program.wait().code(), Some(0), "{signal}");
        assert!(matches!(Client::connect(program.url()), Err(ClientError::Connect(_))));
    }
}

#[test]
fn a_peer_that_does_not_answer_delays_the_end_by_at_most_six_seconds() {
    let mut program = start(&["echo", "--workers", "1"]);
    let mut raw = Raw::connect(program.address());
    raw.handshake();
    let asked = Instant::now();
    program.signal("TERM");
    assert_eq!(raw.until_close(), (vec![], 1001));
    assert_eq!(program.wait().code(), Some(0));
    assert!(asked.elapsed().as_secs_f32() < 6.5, "ended after {:?}", asked.elapsed());
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let mut program = start(&["echo", "--workers", "1"]);
    let mut raw = Raw::connect(program.address());
    raw.handshake();
    let asked = Instant::now();
    program.signal("TERM");
    assert_eq!(raw.until_close(), (vec![], 1001));
    program.signal("TERM");
    assert_eq!(program.wait().code(), Some(128 + 15));
    assert!(asked.elapsed().as_secs_f32() < 4.0, "ended after {:?}", asked.elapsed());
}

#[test]
fn the_chat_serves_its_page_with_a_policy_that_lets_only_its_own_files_run() {
    let friend = "https://friend.example";
    let program = start(&["--data", ":memory:", "--workers", "1", "--origin", friend]);
    let mut raw = Raw::connect(program.address());
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/client.js", "text/javascript; charset=utf-8"),
        ("/client/error.js", "text/javascript; charset=utf-8"),
        ("/?room=1", "text/html; charset=utf-8"),
    ] {
        raw.write(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", program.address()));
        let answer = raw.response();
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some(content_type)), "{path}");
        let policy = answer.header("Content-Security-Policy").expect("a policy");
        for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(policy.contains(&format!("ws://{}", program.address())), "{path}: {policy}");
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(answer.header("Cache-Control"), Some("no-cache"), "{path}");
        // A client with the current version gets a 304.
        let tag = answer.header("ETag").expect("a tag");
        raw.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\n\r\n"));
        let again = raw.response();
        assert_eq!((again.status, again.header("ETag"), &*again.body), (304, Some(tag), &b""[..]), "{path}");
        assert!(again.header("Content-Security-Policy").is_some(), "{path}");
    }
    // Pages of allowed origins may import the modules, others may not.
    for (origin, shared) in [(friend, Some(friend)), ("https://foe.example", None), ("null", None)] {
        raw.write(format!("GET /client.js HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n"));
        let answer = raw.response();
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, shared), "{origin}");
        assert_eq!(answer.header("Vary"), Some("Accept-Encoding, Origin"));
    }
    raw.write("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.response().status, 404);
    raw.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(raw.response().status, 405);
}

#[test]
fn the_files_of_the_page_have_names_of_their_content_and_are_kept_for_ever() {
    let program = start(&["--data", ":memory:", "--workers", "1"]);
    let mut raw = Raw::connect(program.address());
    let mut get = |path: &str| {
        raw.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let answer = raw.response();
        assert_eq!(answer.status, 200, "{path}");
        let fields = ["Content-Type", "Cache-Control"].map(|name| answer.header(name).map(str::to_owned));
        (String::from_utf8(answer.body.clone()).expect("a text"), fields)
    };
    let (page, _) = get("/");
    for (stem, extension, content_type) in [
        ("main", "js", "text/javascript; charset=utf-8"),
        ("style", "css", "text/css; charset=utf-8"),
        ("favicon", "svg", "image/svg+xml"),
    ] {
        let name = page.split('"').find(|text| text.starts_with(stem) && text.ends_with(&format!(".{extension}")));
        let name = name.unwrap_or_else(|| panic!("the page has no {stem}"));
        let hash = &name[stem.len() + 1..name.len() - extension.len() - 1];
        assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        let (content, fields) = get(&format!("/{name}"));
        let expected = [content_type, "public, max-age=31536000, immutable"];
        assert_eq!(fields.each_ref().map(Option::as_deref), expected.map(Some), "{name}");
        assert!(!content.contains("@import"), "{name}");
    }
}

#[test]
fn the_chat_refuses_foreign_hosts_origins_and_paths() {
    let program = start(&["--data", ":memory:", "--public-url", "https://chat.example"]);
    let status = |target: &str, host: &str, origin: Option<&str>, upgrades: bool| {
        let mut raw = Raw::connect(program.address());
        let mut request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n");
        if let Some(origin) = origin {
            request += &format!("Origin: {origin}\r\n");
        }
        if upgrades {
            let (_, fields) = OPENING.split_once("Host: localhost\r\n").unwrap();
            request += fields;
        } else {
            request += "\r\n";
        }
        raw.write(request);
        raw.head().status
    };
    let rows = [
        ("/ws", "localhost", None, true, 101),
        ("/ws?x", "127.0.0.1:80", Some("http://127.0.0.1"), true, 101),
        ("/ws", "chat.example", Some("http://chat.example"), true, 403),
        ("/ws", "chat.example", Some("https://chat.example"), true, 101),
        ("/ws", "localhost", Some("https://elsewhere.example"), true, 403),
        ("/ws", "localhost", Some("null"), true, 403),
        ("/ws", "elsewhere.example", Some("http://elsewhere.example"), true, 421),
        // The host of a whole address goes before the Host.
        ("http://chat.example/ws", "elsewhere.example", Some("https://chat.example"), true, 101),
        ("http://chat.example/ws", "localhost", Some("http://localhost"), true, 403),
        ("http://localhost/ws", "chat.example", Some("http://localhost"), true, 101),
        ("http://elsewhere.example/ws", "chat.example", Some("https://chat.example"), true, 421),
        ("http://elsewhere.example/", "chat.example", None, false, 421),
        ("/", "elsewhere.example", None, false, 421),
        ("/", "chat.example", None, false, 200),
        ("/", "localhost", None, true, 404),
        ("/wsx", "localhost", None, true, 404),
        ("/ws", "localhost", None, false, 426),
    ];
    for (target, host, origin, upgrades, expected) in rows {
        assert_eq!(status(target, host, origin, upgrades), expected, "{target} at {host} for {origin:?}, {upgrades}");
    }
}

/// HAProxy sends `OPTIONS / HTTP/1.0` by default, others a GET without a Host.
#[test]
fn health_checks_without_a_host_are_answered_and_get_nothing_of_a_user() {
    let program = start(&["--data", ":memory:", "--public-url", "https://chat.example"]);
    let rows = [
        ("OPTIONS / HTTP/1.0", "", 204),
        ("GET / HTTP/1.0", "", 200),
        ("HEAD / HTTP/1.0", "", 200),
        ("GET /client.js HTTP/1.0", "", 200),
        ("GET /ws HTTP/1.0", "", 426),
        ("OPTIONS * HTTP/1.0", "", 204),
        ("GET /nothing HTTP/1.0", "", 404),
        ("POST / HTTP/1.0", "Content-Length: 0\r\n", 405),
        ("GET /api/session HTTP/1.0", "", 421),
        ("POST /api/logout HTTP/1.0", "Content-Length: 0\r\n", 421),
        // What names a host is for that host.
        ("GET / HTTP/1.0", "Host:\r\n", 421),
        ("GET / HTTP/1.0", "Host: evil.example\r\n", 421),
        ("GET http://evil.example/ HTTP/1.0", "", 421),
        ("GET http://chat.example/ HTTP/1.0", "", 200),
        ("GET / HTTP/1.1", "", 400),
        ("GET / HTTP/1.1", "Host:\r\n", 421),
        ("OPTIONS / HTTP/1.1", "Host: evil.example\r\n", 421),
        ("OPTIONS / HTTP/1.1", "Host: chat.example\r\n", 204),
        ("GET http://chat.example/ HTTP/1.1", "Host: evil.example\r\n", 200),
        ("GET http://evil.example/ HTTP/1.1", "Host: chat.example\r\n", 421),
    ];
    for (line, fields, status) in rows {
        for keep_alive in [false, true] {
            let mut raw = Raw::connect(program.address());
            let connection = if keep_alive { "keep-alive" } else { "close" };
            raw.write(format!("{line}\r\n{fields}Connection: {connection}\r\n\r\n"));
            let answer = raw.head();
            assert_eq!(answer.status, status, "{line} {fields}");
            let expected = if keep_alive && status != 400 { "keep-alive" } else { "close" };
            assert!(answer.header("Connection").is_some_and(|value| value.starts_with(expected)), "{line}: {answer:?}");
            let has_policy = answer.header("Content-Security-Policy").is_some();
            assert_eq!(has_policy, status == 200, "{line} {fields}");
            if let Some(policy) = answer.header("Content-Security-Policy").filter(|_| !line.contains("chat.example")) {
                assert!(policy.contains("connect-src 'self' wss://chat.example;"), "{policy}");
            }
        }
    }
}

#[test]
fn options_gets_the_methods_of_what_is_served() {
    let program = start(&["--data", ":memory:"]);
    let mut raw = Raw::connect(program.address());
    let rows = [
        ("/", Some("GET, HEAD, OPTIONS")),
        ("/?x", Some("GET, HEAD, OPTIONS")),
        ("/client/error.js", Some("GET, HEAD, OPTIONS")),
        ("/ws", Some("GET, OPTIONS")),
        ("/api/session", Some("GET, HEAD, OPTIONS")),
        ("/api/login", Some("OPTIONS, POST")),
        ("*", Some("GET, HEAD, OPTIONS, POST")),
        ("/nothing", None),
        ("/api/nothing", None),
    ];
    for (target, allowed) in rows {
        raw.write(format!("OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let answer = raw.response();
        assert_eq!(
            (answer.status, answer.header("Allow")),
            (if allowed.is_some() { 204 } else { 404 }, allowed),
            "{target}"
        );
    }
    for (path, allowed) in [("/api/session", "GET, HEAD, OPTIONS"), ("/", "GET, HEAD, OPTIONS")] {
        raw.write(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
        let answer = raw.response();
        assert_eq!((answer.status, answer.header("Allow")), (405, Some(allowed)), "{path}");
    }
    raw.write("GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answer = raw.response();
    assert_eq!(
        (answer.header("Upgrade"), answer.header("Connection")),
        (Some("websocket"), Some("keep-alive, Upgrade"))
    );
}

/// .NET and Java send bodies in chunks whose length they do not know.
#[test]
fn a_body_in_chunks_signs_in() {
    let program = start(&["--data", ":memory:"]);
    let mut raw = Raw::connect(program.address());
    let head = "POST /api/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    raw.write(format!("{head}7\r\n{{\"name\"\r\n7\r\n:\"Ada\"}}\r\n0\r\n\r\n"));
    assert_eq!(raw.response().status, 201);
    // The limit of a body is the same as with a length.
    let filled = |bytes: usize| format!("{head}{bytes:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(bytes));
    for (bytes, status) in [(4096, 400), (4097, 413)] {
        raw.write(filled(bytes));
        assert_eq!(raw.response().status, status, "{bytes} bytes");
    }
}

#[test]
fn data_is_in_the_users_data_folder_by_default_and_one_server_uses_it_at_a_time() {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("home-{}", std::process::id()));
    let command = |arguments: &[&str]| {
        let mut command = Command::new(PATH);
        command.args(arguments).args(["--listen", "127.0.0.1:0"]).env("XDG_DATA_HOME", &home);
        command
    };
    let first = program::start_command(&mut command(&[]));
    assert!(home.join("switchboard/chat.sqlite3").exists());
    let second = program::run(&mut command(&[]));
    assert_eq!((second.status.code(), second.stderr.lines().count()), (Some(1), 1), "{second:?}");
    assert!(second.stderr.contains("another switchboard") && second.stderr.contains("--data"), "{second:?}");
    drop(first);
    drop(program::start_command(&mut command(&["serve"])));
    std::fs::remove_dir_all(home).unwrap();
}

#[test]
fn an_operator_adds_accounts_while_a_server_runs() {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("users-{}", std::process::id()));
    let data = home.to_str().unwrap();
    let program = start(&["--data", data, "--no-registration", "--no-guests"]);
    let user = |arguments: &[&str], password: &str| {
        let command = format!("printf '%s\n' '{password}' | {PATH} user {} --data {data}", arguments.join(" "));
        program::run(Command::new("sh").args(["-c", &command]))
    };
    let made = user(&["add", "Ada"], "correct horse");
    assert_eq!((made.status.code(), &*made.stdout), (Some(0), "Ada has an account\n"), "{made:?}");
    let rows: [(&[&str], &str, &str); 5] = [
        (&["add", "ADA"], "correct horse", "this name is taken"),
        (&["add", "Bob"], "short", "at least 8"),
        (&["add", "''"], "correct horse", "name"),
        (&["password", "Bob"], "correct horse", "no account"),
        (&["operator", "Bob"], "", "no account"),
    ];
    for (arguments, password, why) in rows {
        let ended = user(arguments, password);
        assert_eq!((ended.status.code(), ended.stderr.lines().count()), (Some(1), 1), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(why), "{arguments:?}: {ended:?}");
    }
    assert_eq!(user(&["operator", "ada"], "").stdout, "ada is now an operator\n");
    let login = |password: &str| {
        let mut raw = Raw::connect(program.address());
        let body = format!(r#"{{"name":"Ada","password":"{password}"}}"#);
        let head = "POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        raw.write(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let answer = raw.response();
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let (status, body) = login("correct horse");
    assert!(status == 200 && body.contains(r#""operator":true"#), "{status} {body}");
    assert_eq!(user(&["password", "Ada"], "battery staple").status.code(), Some(0));
    assert_eq!((login("correct horse").0, login("battery staple").0), (401, 200));
    drop(program);
    std::fs::remove_dir_all(home).unwrap();
}
