//! The files that a server of events serves: the module for pages, and those of the application.

use switchboard::{
    Response,
    events::{JsonArrays, Router},
};
use switchboard_tests::server::Raw;

use crate::serve;

fn address(url: &str) -> std::net::SocketAddr {
    url.trim_start_matches("ws://").trim_end_matches('/').parse().unwrap()
}

#[test]
fn the_module_and_the_files_come_with_types_and_a_policy() {
    let router = Router::new(JsonArrays)
        .file("/", "<p>a page</p>")
        .file("/notes", "text")
        .on_request(|request, responder| responder.send(Response::text(200, request.head.path().to_owned())));
    let served = serve(router);
    let mut raw = Raw::connect(address(&served.url));
    for (request, status, kind, part) in [
        ("GET /events.js", 200, "text/javascript; charset=utf-8", "from './connection.js'"),
        ("GET /connection.js", 200, "text/javascript; charset=utf-8", "export class Connection"),
        ("GET /", 200, "text/html; charset=utf-8", "<p>a page</p>"),
        ("GET /?query", 200, "text/html; charset=utf-8", "<p>a page</p>"),
        ("GET /notes", 200, "text/plain; charset=utf-8", "text"),
        ("POST /notes", 405, "text/plain; charset=utf-8", "method not allowed"),
        // The application's.
        ("GET /events.js/", 200, "text/plain; charset=utf-8", "/events.js/"),
        ("POST /Events.js", 200, "text/plain; charset=utf-8", "/Events.js"),
    ] {
        raw.write(format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
        let answer = raw.response();
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.header("Content-Type"), Some(kind), "{request}");
        let is_file = answer.header("ETag").is_some();
        for (name, value) in [
            ("Cache-Control", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
            (
                "Content-Security-Policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(answer.header(name), is_file.then_some(value), "{request}");
        }
        assert!(String::from_utf8(answer.body).unwrap().contains(part), "{request}");
    }
}

#[test]
fn a_file_that_the_browser_has_is_not_sent_again() {
    let served = serve(Router::new(JsonArrays).file("/", "one"));
    let other = serve(Router::new(JsonArrays).file("/", "two"));
    let mut raw = Raw::connect(address(&served.url));
    let get = |raw: &mut Raw, tag: &str| {
        raw.write(format!("GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\n\r\n"));
        if tag == "\"x\"" { raw.response() } else { raw.head() }
    };
    let first = get(&mut raw, "\"x\"");
    assert_eq!((first.status, &*first.body), (200, &b"one"[..]));
    let tag = first.header("ETag").unwrap().to_owned();
    let again = get(&mut raw, &tag);
    assert_eq!((again.status, again.header("ETag"), again.header("Content-Type")), (304, Some(&*tag), None));
    assert!(again.header("Content-Security-Policy").is_some());
    // Another content has another tag.
    let mut raw = Raw::connect(address(&other.url));
    assert_eq!(get(&mut raw, &tag).status, 200);
}
