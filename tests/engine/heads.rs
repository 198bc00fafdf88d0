//! The head of a request (RFC 9112): the heads that are accepted, and those that are refused, with the byte that shows
//! the error and the status.
//!
//! In a row that is refused early, the last byte is the one that shows the error.

use switchboard::{HeadError, HeadLimits, HttpVersion, Rejection, RequestHead, RequestReader};

const REQUEST: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nX: y\r\n\r\n";

type Outcome = Result<Option<(RequestHead, usize)>, HeadError>;

/// Reads `bytes` in pieces of this length. Returns the outcome and the number of bytes given to the reader by then.
/// The number of bytes used by the head counts from the start.
fn read(bytes: &[u8], piece: usize, limits: HeadLimits) -> (Outcome, usize) {
    let mut reader = RequestReader::new(limits);
    let mut given = 0;
    for part in bytes.chunks(piece) {
        let outcome = reader.receive(part);
        let before = given;
        given += part.len();
        match outcome {
            Ok(None) => assert!(!reader.is_empty()),
            Ok(Some((head, used))) => return (Ok(Some((head, before + used))), given),
            Err(error) => return (Err(error), given),
        }
    }
    (Ok(None), given)
}

/// Reads `bytes` whole, byte by byte, and with more bytes behind them. Asserts that the head is the same each time and
/// that later bytes are not used.
fn accepted(name: &str, bytes: &[u8], limits: HeadLimits) -> RequestHead {
    let with_more = [bytes, b"\x81\x80 not HTTP\r\n"].concat();
    let mut found = None;
    for (input, piece) in [(bytes, bytes.len()), (bytes, 1), (&with_more, with_more.len()), (&with_more, 7)] {
        match read(input, piece, limits).0 {
            Ok(Some((head, used))) => {
                assert_eq!(used, bytes.len(), "{name}, pieces of {piece}: the head ends with its empty line");
                let shown = format!("{head:?}");
                assert_eq!(found.get_or_insert((head, shown.clone())).1, shown, "{name}, pieces of {piece}");
            }
            other => panic!("{name}, pieces of {piece}: {other:?}"),
        }
    }
    found.expect("four runs").0
}

/// Reads `bytes` whole, with more bytes behind them, and byte by byte. Asserts that the error is the same each time and
/// that, byte by byte, it comes at the last byte.
fn refused(name: &str, bytes: &[u8], limits: HeadLimits, error: HeadError, status: u16) {
    let with_more = [bytes, b"Host: example.com\r\n\r\n"].concat();
    for (input, piece) in [(bytes, bytes.len()), (&with_more, with_more.len()), (bytes, 1)] {
        let (outcome, given) = read(input, piece, limits);
        assert_eq!(outcome.err(), Some(error), "{name}, pieces of {piece}");
        assert_eq!(given, input.len(), "{name}, pieces of {piece}: at the byte that shows the error");
    }
    assert_eq!(error.status(), status, "{name}");
    assert_eq!(Rejection::from(&error).status(), status, "{name}");
}

fn limits(max_bytes: usize, max_headers: usize) -> HeadLimits {
    let mut limits = HeadLimits::default();
    limits.max_bytes = max_bytes;
    limits.max_headers = max_headers;
    limits
}

#[test]
fn a_head_is_read_into_its_parts() {
    let head = accepted("a request", REQUEST.as_bytes(), HeadLimits::default());
    assert_eq!((head.method(), head.target(), head.version()), ("GET", "/chat?room=1", HttpVersion::Http11));
    let headers: Vec<(&str, &[u8])> = head.headers().collect();
    assert_eq!(headers, [("Host", b"example.com".as_slice()), ("X", b"y")]);

    let head =
        accepted("repeated, in any case", b"OPTIONS * HTTP/1.0\r\nx-A: 1\r\nB:\r\nX-a:2 \t\r\n\r\n", limits(100, 3));
    assert_eq!((head.method(), head.target(), head.version()), ("OPTIONS", "*", HttpVersion::Http10));
    assert_eq!(head.values("X-A").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(head.values("b").collect::<Vec<_>>(), [b""]);
    assert_eq!(head.values("c").count(), 0);
}

#[test]
fn odd_but_valid_heads_are_accepted() {
    let rows: &[(&str, &[u8])] = &[
        ("no header fields", b"GET / HTTP/1.1\r\n\r\n"),
        ("an empty line before it", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("three of them", b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("space around a value", b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n"),
        ("a tab in a value", b"GET / HTTP/1.1\r\nX: a\tb\r\n\r\n"),
        ("bytes over 127 in a value", b"GET / HTTP/1.1\r\nX: caf\xc3\xa9 \xff\r\n\r\n"),
        ("an odd token as a name", b"GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~09: a\r\n\r\n"),
        ("a colon in a value", b"GET / HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    ];
    for (name, bytes) in rows {
        accepted(name, bytes, HeadLimits::default());
    }
}

#[test]
fn means_of_request_smuggling_are_refused_with_400_at_the_byte_that_shows_them() {
    let rows: &[(&str, &[u8], HeadError)] = &[
        ("bare LF after the first line", b"GET / HTTP/1.1\n", HeadError::BareLineEnd),
        ("bare LF after a field", b"GET / HTTP/1.1\r\nHost: a\n", HeadError::BareLineEnd),
        ("bare LF at the end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", HeadError::BareLineEnd),
        ("bare LF before the first line", b"\n", HeadError::BareLineEnd),
        ("bare CR in a value", b"GET / HTTP/1.1\r\nX: a\rb", HeadError::BareLineEnd),
        ("two CRs", b"GET / HTTP/1.1\r\r", HeadError::BareLineEnd),
        ("bare CR at the end", b"GET / HTTP/1.1\r\nX: a\r\n\rx", HeadError::BareLineEnd),
        ("folded with a space", b"GET / HTTP/1.1\r\nX: a\r\n ", HeadError::FoldedLine),
        ("folded with a tab", b"GET / HTTP/1.1\r\nX: a\r\n\t", HeadError::FoldedLine),
        ("a space before the first field", b"GET / HTTP/1.1\r\n ", HeadError::FoldedLine),
        ("a space before the request", b" ", HeadError::Malformed),
        ("NUL in a value", b"GET / HTTP/1.1\r\nX: a\0", HeadError::ControlCharacter),
        ("NUL in a name", b"GET / HTTP/1.1\r\nX\0", HeadError::ControlCharacter),
        ("NUL in the target", b"GET /\0", HeadError::ControlCharacter),
        ("BEL", b"GET / HTTP/1.1\r\nX: \x07", HeadError::ControlCharacter),
        ("VT", b"GET / HTTP/1.1\r\nX: \x0b", HeadError::ControlCharacter),
        ("FF", b"GET / HTTP/1.1\r\nX: \x0c", HeadError::ControlCharacter),
        ("ESC", b"GET / HTTP/1.1\r\nX: \x1b", HeadError::ControlCharacter),
        ("DEL", b"GET / HTTP/1.1\r\nX: \x7f", HeadError::ControlCharacter),
        ("a TLS ClientHello", b"\x16", HeadError::ControlCharacter),
    ];
    for (name, bytes, error) in rows {
        refused(name, bytes, HeadLimits::default(), *error, 400);
    }
}

#[test]
fn a_whole_head_that_breaks_the_grammar_is_refused_with_400() {
    let rows: &[(&str, &[u8])] = &[
        ("space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        ("tab before the colon", b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n"),
        ("space in a name", b"GET / HTTP/1.1\r\nHo st: a\r\n\r\n"),
        ("no name", b"GET / HTTP/1.1\r\n: a\r\n\r\n"),
        ("no colon", b"GET / HTTP/1.1\r\nHost\r\n\r\n"),
        ("a name that is not a token", b"GET / HTTP/1.1\r\nH(o)st: a\r\n\r\n"),
        ("a name that is not ASCII", b"GET / HTTP/1.1\r\nH\xc3\xb6st: a\r\n\r\n"),
        ("no target", b"GET HTTP/1.1\r\n\r\n"),
        ("no version", b"GET /\r\n\r\n"),
        ("two spaces", b"GET  / HTTP/1.1\r\n\r\n"),
        ("a tab for a space", b"GET\t/ HTTP/1.1\r\n\r\n"),
        ("a method that is not a token", b"G(E)T / HTTP/1.1\r\n\r\n"),
        ("something behind the version", b"GET / HTTP/1.1 x\r\n\r\n"),
        ("a target that is not text", b"GET /\xff HTTP/1.1\r\n\r\n"),
    ];
    for (name, bytes) in rows {
        for piece in [bytes.len(), 1] {
            let (outcome, _) = read(bytes, piece, HeadLimits::default());
            let status = outcome.map(|head| panic!("{name}: {head:?}")).map_err(|error: HeadError| error.status());
            assert_eq!(status, Err::<(), _>(400), "{name}, pieces of {piece}");
        }
    }
}

/// RFC 9112 §3.2: the four forms of a target. The host of a whole address goes before the Host field (§3.2.2).
#[test]
fn a_target_is_a_path_a_whole_address_a_host_or_an_asterisk() {
    let rows: &[(&str, &str, &str, Option<&str>, &str)] = &[
        ("GET", "/", "/", None, "field.example"),
        ("GET", "/chat?room=1?2", "/chat", Some("room=1?2"), "field.example"),
        ("GET", "/chat?", "/chat", Some(""), "field.example"),
        ("GET", "//chat.example/x", "//chat.example/x", None, "field.example"),
        ("GET", "/http://chat.example/x", "/http://chat.example/x", None, "field.example"),
        ("GET", "http://chat.example/x?y=/", "/x", Some("y=/"), "chat.example"),
        ("GET", "HTTPS://Chat.Example:8443/x", "/x", None, "Chat.Example:8443"),
        ("GET", "http://[::1]:80/x", "/x", None, "[::1]:80"),
        ("GET", "http://chat.example", "/", None, "chat.example"),
        ("POST", "http://chat.example?x", "/", Some("x"), "chat.example"),
        ("GET", "http://chat.example/http://evil.example/", "/http://evil.example/", None, "chat.example"),
        ("OPTIONS", "*", "*", None, "field.example"),
        ("OPTIONS", "http://chat.example", "*", None, "chat.example"),
        ("OPTIONS", "http://chat.example/", "/", None, "chat.example"),
        ("CONNECT", "chat.example:443", "chat.example:443", None, "field.example"),
    ];
    for (method, target, path, query, host) in rows {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: field.example\r\n\r\n");
        let head = accepted(target, request.as_bytes(), HeadLimits::default());
        assert_eq!((head.target(), head.path(), head.host()), (*target, *path, Some(*host)), "{method} {target}");
        assert_eq!(head.query(), *query, "{method} {target}");
    }
}

#[test]
fn a_target_in_no_form_is_refused_with_400() {
    let rows = [
        ("GET", "*"),
        ("OPTIONS", "**"),
        ("GET", "chat"),
        ("GET", "chat.example:443"),
        ("GET", "chat.example/x"),
        ("CONNECT", "http://chat.example/"),
        ("CONNECT", "user@chat.example:443"),
        ("GET", "ftp://chat.example/"),
        ("GET", "ws://chat.example/"),
        ("GET", "xhttp://chat.example/"),
        ("GET", "http:/chat.example/"),
        ("GET", "http:chat.example"),
        ("GET", "http://"),
        ("GET", "http:///x"),
        ("GET", "http://?x"),
        ("GET", "http://:80/"),
        ("GET", "http://user@chat.example/"),
        ("GET", "http://user:secret@chat.example/"),
        ("GET", "http://chat.example:port/"),
        ("GET", "http://chat.example:123456/"),
        ("GET", "http://chat.example#/"),
        ("GET", "http://chat.example\\@evil.example/"),
        ("GET", "http://[::1/"),
        ("GET", "http://::1/"),
    ];
    for (method, target) in rows {
        let bytes = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let error = read(bytes.as_bytes(), bytes.len(), HeadLimits::default()).0.err();
        assert_eq!(error.map(|error| error.status()), Some(400), "{method} {target}: {error:?}");
    }
}

#[test]
fn a_head_has_a_host_if_it_has_one_valid_field() {
    let rows = [
        ("", None),
        ("Host: a\r\n", Some("a")),
        ("host: a.example:80\r\n", Some("a.example:80")),
        ("Host: [::1]\r\n", Some("[::1]")),
        ("Host:\r\n", None),
        ("Host: a\r\nHost: a\r\n", None),
        ("Host: a b\r\n", None),
        ("Host: a@b\r\n", None),
        ("Host: a/b\r\n", None),
        ("Host: a, b\r\n", None),
        ("X-Host: a\r\n", None),
    ];
    for (fields, host) in rows {
        let request = format!("GET / HTTP/1.0\r\n{fields}\r\n");
        let head = accepted(fields, request.as_bytes(), HeadLimits::default());
        assert_eq!(head.host(), host, "{fields:?}");
    }
}

/// RFC 9112 §3: an invalid request line gets 400. 505 is for a version that is not supported; these lines have none.
#[test]
fn a_first_line_that_does_not_end_in_a_version_is_refused_with_400() {
    for line in ["GET /a b HTTP/1.1", "GET / b", "GET / FTP/1.1", "GET / http/1.1"] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n");
        let error = read(bytes.as_bytes(), bytes.len(), HeadLimits::default()).0.err();
        assert_eq!(error.map(|error| error.status()), Some(400), "{line}: {error:?}");
    }
}

#[test]
fn other_versions_of_http_are_refused_with_505() {
    for line in ["PRI * HTTP/2.0", "GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9", "GET / HTTP/3"] {
        let bytes = format!("{line}\r\n\r\n");
        for piece in [bytes.len(), 1] {
            let error = read(bytes.as_bytes(), piece, HeadLimits::default()).0.err();
            assert_eq!(error, Some(HeadError::UnsupportedVersion), "{line}");
        }
    }
    assert_eq!(HeadError::UnsupportedVersion.status(), 505);
}

#[test]
fn a_head_may_be_as_long_as_the_limit_and_not_a_byte_longer() {
    let limit = REQUEST.len();
    accepted("exactly at the limit", REQUEST.as_bytes(), limits(limit, 64));
    let longer = REQUEST.replace("X: y", "X: yz");
    refused("one byte over", longer.as_bytes(), limits(limit, 64), HeadError::TooLong { limit }, 431);
    refused("without end", &REQUEST.as_bytes()[..21], limits(20, 64), HeadError::FirstLineTooLong { limit: 20 }, 414);
}

#[test]
fn a_first_line_over_the_limit_gets_414_and_a_longer_head_431() {
    let line = "GET / HTTP/1.1\r\n";
    let limit = line.len();
    let too_long = HeadError::FirstLineTooLong { limit: limit - 1 };
    refused("the line alone is over", line.as_bytes(), limits(limit - 1, 64), too_long, 414);
    refused("the line fits", format!("{line}H").as_bytes(), limits(limit, 64), HeadError::TooLong { limit }, 431);
    let leading = "\r\n".repeat(10);
    let too_long = HeadError::FirstLineTooLong { limit: 19 };
    refused("nothing but empty lines", leading.as_bytes(), limits(19, 64), too_long, 414);
}

#[test]
fn as_many_header_fields_as_the_limit_are_accepted_and_not_one_more() {
    let line = "GET / HTTP/1.1\r\n";
    for count in [0, 1, 64] {
        let at_limit = format!("{line}{}\r\n", "X: y\r\n".repeat(count));
        let head = accepted("at the limit", at_limit.as_bytes(), limits(16 << 10, count));
        assert_eq!(head.headers().count(), count);
        let over = format!("{line}{}", "X: y\r\n".repeat(count + 1));
        let error = HeadError::TooManyHeaders { limit: count };
        refused("one over, at its end", over.as_bytes(), limits(16 << 10, count), error, 431);
    }
    let default = HeadLimits::default();
    assert_eq!((default.max_bytes, default.max_headers), (16_384, 64));
}

#[test]
fn a_reader_reports_whether_any_byte_has_come() {
    let mut reader = RequestReader::new(HeadLimits::default());
    assert!(reader.is_empty());
    assert!(matches!(reader.receive(b""), Ok(None)) && reader.is_empty());
    assert!(matches!(reader.receive(b"G"), Ok(None)) && !reader.is_empty());
}

#[test]
fn a_reader_reads_one_head_after_another() {
    let mut reader = RequestReader::new(HeadLimits::default());
    let two = "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";
    let (first, used) = reader.receive(two.as_bytes()).unwrap().expect("a head");
    let (second, more) = reader.receive(&two.as_bytes()[used..]).unwrap().expect("another");
    assert_eq!((first.target(), second.target(), used + more), ("/1", "/2", two.len()));
    assert!(reader.is_empty());
}

#[test]
fn a_token_is_found_in_any_list_of_its_field_whatever_its_case() {
    let head =
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, \tUPGRADE\r\nconnection: x\r\nX: upgrades\r\n\r\n";
    let (head, _) = RequestReader::new(HeadLimits::default()).receive(head).expect("valid").expect("whole");
    for (name, token, expected) in [
        ("Connection", "upgrade", true),
        ("connection", "X", true),
        ("connection", "keep", false),
        ("x", "upgrade", false),
        ("y", "upgrade", false),
    ] {
        assert_eq!(head.has_token(name, token), expected, "{name}: {token}");
    }
}
