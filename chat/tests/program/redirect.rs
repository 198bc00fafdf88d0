//! `--http-listen`: redirects to https, and the challenges of certificate authorities.

use std::{fs, net::TcpStream, os::unix::fs::symlink, path::Path, process::Command};

use switchboard_tests::server::{OPENING, Raw};

use crate::support::program::{self, PATH, Program, address_in, start, start_with_log, wait_for_line};

const URL: &str = "https://chat.example";

/// Starts the chat with a server for plain HTTP, and returns a connection to that.
fn redirecting(arguments: &[&str]) -> (Program, Raw) {
    let given = ["serve", "--data", ":memory:", "--public-url", URL, "--http-listen", "127.0.0.1:0"];
    let program = start(&[&given, arguments].concat());
    let line = program.next_line();
    assert!(line.ends_with(&format!("/ redirects to {URL}/")), "{line}");
    let raw = Raw::connect(address_in(line.split_whitespace().next().unwrap()));
    (program, raw)
}

#[test]
fn every_request_is_redirected_to_the_public_url_whatever_its_host() {
    let (_program, mut raw) = redirecting(&[]);
    let login = "POST /api/login HTTP/1.1\r\nContent-Length: 2\r\n";
    let rows = [
        ("GET / HTTP/1.1\r\n", "", "/"),
        ("HEAD / HTTP/1.1\r\n", "", "/"),
        ("GET /client.js?x=1 HTTP/1.1\r\n", "", "/client.js?x=1"),
        ("GET /api/session HTTP/1.1\r\n", "", "/api/session"),
        ("OPTIONS / HTTP/1.1\r\n", "", "/"),
        (login, "{}", "/api/login"),
        ("GET //evil.example/x HTTP/1.1\r\n", "", "//evil.example/x"),
        ("GET http://evil.example/x HTTP/1.1\r\n", "", "/x"),
        // Without a folder of challenges these are no exception.
        ("GET /.well-known/acme-challenge/abc HTTP/1.1\r\n", "", "/.well-known/acme-challenge/abc"),
        ("GET /ws HTTP/1.1\r\n", "", "/ws"),
    ];
    for host in ["chat.example", "localhost", "evil.example", "127.0.0.1:80"] {
        for (request, body, target) in rows {
            raw.write(format!("{request}Host: {host}\r\n\r\n{body}"));
            let is_head = request.starts_with("HEAD");
            let answer = if is_head { raw.head() } else { raw.response() };
            assert_eq!(answer.status, 308, "{request} of {host}");
            assert_eq!(answer.header("Location"), Some(&*format!("{URL}{target}")), "{request} of {host}");
            assert_eq!(answer.header("Set-Cookie"), None);
        }
    }
}

#[test]
fn a_handshake_is_redirected_and_never_served() {
    for path in ["/", "/ws", "/.well-known/acme-challenge/abc"] {
        let (_program, mut raw) = redirecting(&[]);
        raw.write(OPENING.replace("GET /", &format!("GET {path}")));
        let answer = raw.response();
        assert_eq!((answer.status, answer.header("Location")), (308, Some(&*format!("{URL}{path}"))));
    }
}

#[test]
fn challenges_are_read_from_the_folder_as_they_are_now_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let webroot = folder.path().join("webroot");
    let challenges = webroot.join(".well-known/acme-challenge");
    fs::create_dir_all(&challenges).unwrap();
    fs::write(webroot.join("secret"), "secret").unwrap();
    fs::write(webroot.join(".well-known/secret"), "secret").unwrap();
    let (_program, mut raw) = redirecting(&["--acme-webroot", webroot.to_str().unwrap()]);
    let mut get = |method: &str, path: &str| {
        raw.write(format!("{method} {path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n"));
        let answer = if method == "HEAD" { raw.head() } else { raw.response() };
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let challenge = "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
    let none = (404, "there is no such challenge\n".to_owned());
    assert_eq!(get("GET", challenge), none);
    let file = webroot.join(&challenge[1..]);
    for content in ["token.thumbprint", "token.another"] {
        fs::write(&file, content).unwrap();
        assert_eq!(get("GET", challenge), (200, content.to_owned()));
        assert_eq!(get("GET", &format!("{challenge}?x")), (200, content.to_owned()));
    }
    assert_eq!(get("HEAD", challenge).0, 200);
    assert_eq!(get("POST", challenge).0, 405);
    fs::remove_file(&file).unwrap();
    assert_eq!(get("GET", challenge), none);

    fs::write(&file, [b'a'; 2000]).unwrap();
    symlink("../../secret", challenges.join("link")).unwrap();
    fs::create_dir(challenges.join("folder")).unwrap();
    fs::write(challenges.join("with.dot"), "x").unwrap();
    for path in [
        "",
        "link",
        "folder",
        "with.dot",
        "..",
        ".",
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "a/../link",
        "/etc/passwd",
        "a\\b",
    ] {
        assert_eq!(get("GET", &format!("/.well-known/acme-challenge/{path}")), none, "{path}");
    }
    assert_eq!(get("GET", challenge), none);
    for path in [
        "/secret",
        "/.well-known/secret",
        "/.well-known/acme-challenge",
        "/.well-known/",
        "/x/.well-known/acme-challenge/a",
    ] {
        assert_eq!(get("GET", path).0, 308, "{path}");
    }

    // The folders may be links, as those of other web servers are.
    let real = folder.path().join("real");
    fs::rename(&challenges, &real).unwrap();
    symlink(&real, &challenges).unwrap();
    fs::remove_file(real.join(Path::new(challenge).file_name().unwrap())).unwrap();
    fs::write(&file, "linked").unwrap();
    assert_eq!(get("GET", challenge), (200, "linked".to_owned()));
}

#[test]
fn the_chat_itself_is_served_as_before_and_both_stop_together() {
    let (mut program, mut raw) = redirecting(&[]);
    let plain = raw.stream.peer_addr().unwrap();
    let mut chat = Raw::connect(program.address());
    chat.write("GET / HTTP/1.1\r\nHost: chat.example\r\n\r\n");
    assert_eq!(chat.response().status, 200);
    raw.write("GET / HTTP/1.1\r\nHost: chat.example\r\n\r\n");
    assert_eq!(raw.response().status, 308);
    program.signal("TERM");
    assert_eq!(program.wait().code(), Some(0));
    assert!(TcpStream::connect(plain).is_err());
}

#[test]
fn what_is_missing_is_named() {
    let listen = ["--http-listen", "127.0.0.1:0"];
    let rows: [(&[&str], i32, &str); 5] = [
        (&listen, 2, "--public-url https://chat.example"),
        (&["--public-url", "http://chat.example"], 2, "--public-url https://chat.example"),
        (&["--http-listen", "localhost:80", "--public-url", URL], 2, "expected an IP address and a port"),
        (&["--public-url", URL, "--acme-webroot", "/nonexistent"], 1, "/nonexistent is not a folder"),
        (&["--public-url", URL, "--http-listen", "192.0.2.1:0"], 1, "choose another with --http-listen"),
    ];
    for (arguments, code, expected) in rows {
        let mut command = Command::new(PATH);
        command.args(["serve", "--data", ":memory:", "--listen", "127.0.0.1:0"]).args(listen).args(arguments);
        let ended = program::run(&mut command);
        assert_eq!((ended.status.code(), &*ended.stdout), (Some(code), ""), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        assert!(ended.stderr.contains(expected), "{arguments:?}: {ended:?}");
    }
    let ended = program::run(Command::new(PATH).args(["--public-url", URL, "--acme-webroot", "/tmp"]));
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(ended.stderr.contains("--acme-webroot needs --http-listen, such as --http-listen 0.0.0.0:80"), "{ended:?}");
}

#[test]
fn the_chat_leaves_it_the_open_files_that_it_may_need() {
    let folder = tempfile::tempdir().unwrap();
    let connections = |arguments: &[&str]| {
        let log = folder.path().join(arguments.len().to_string());
        let given = ["serve", "--data", ":memory:", "--workers", "1", "--public-url", URL];
        let program = start_with_log(&[&given, arguments].concat(), &log);
        let address = program.address().to_string();
        let line = wait_for_line(&log, &["listening on", &address, "each with at most"]);
        let (_, rest) = line.split_once("at most ").unwrap();
        rest.split(' ').next().unwrap().parse::<usize>().unwrap()
    };
    let (alone, both) = (connections(&[]), connections(&["--http-listen", "127.0.0.1:0"]));
    assert_eq!(alone - both, 640);
}
