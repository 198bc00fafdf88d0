//! The server's side of the opening handshake (RFC 6455 §4.2): the requests that are valid, and the exact bytes of
//! each response.

use switchboard::{
    BodyError, Delivery, ExtensionOffer, HandshakeError, HeadError, HeadLimits, HttpVersion, InvalidHeader, Limits,
    Rejection, RequestError, RequestReader, ServerHandshake, State,
};

/// The request of §1.2.
const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\
    \r\n";

/// Reads a request in pieces of this length and checks it.
fn checked(request: &str, piece: usize) -> Result<ServerHandshake, HandshakeError> {
    let mut reader = RequestReader::new(HeadLimits::default());
    for part in request.as_bytes().chunks(piece) {
        if let Some((head, _)) = reader.receive(part).expect("a head that can be read") {
            return ServerHandshake::from_request(&head);
        }
    }
    panic!("the head does not end: {request}");
}

/// Each row is a name, a part of the request of §1.2, its replacement, and the error (`None` if still valid).
fn check_rows(rows: &[(&str, &str, &str, Option<HandshakeError>)]) {
    for (name, from, to, error) in rows {
        let request = REQUEST.replace(from, to);
        assert_ne!(request, REQUEST, "{name}: the row changes something");
        for piece in [request.len(), 1] {
            assert_eq!(checked(&request, piece).err(), *error, "{name}, pieces of {piece}");
        }
    }
}

#[test]
fn the_request_of_section_1_2_is_valid() {
    let handshake = checked(REQUEST, REQUEST.len()).unwrap();
    assert_eq!(handshake.host(), "server.example.com");
    assert_eq!(handshake.origin(), Some("http://example.com"));
    assert_eq!(handshake.subprotocols(), ["chat", "superchat"]);
    assert_eq!(handshake.extensions(), []);
    assert_eq!((handshake.status(), handshake.accept_key()), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
}

#[test]
fn only_a_get_in_http_1_1_asks_for_a_websocket() {
    let method = Some(HandshakeError::Method);
    check_rows(&[
        ("POST", "GET", "POST", method),
        ("lower case", "GET", "get", method),
        ("HEAD", "GET", "HEAD", method),
        ("CONNECT", "GET", "CONNECT", method),
        ("a longer word", "GET", "GETS", method),
        ("HTTP/1.0", "HTTP/1.1", "HTTP/1.0", Some(HandshakeError::HttpVersion)),
    ]);
}

#[test]
fn exactly_one_valid_host_is_needed() {
    let host = "Host: server.example.com\r\n";
    let error = Some(HandshakeError::Host);
    check_rows(&[
        ("none", host, "", error),
        ("two", host, "Host: a\r\nHost: b\r\n", error),
        ("the same twice", host, &host.repeat(2), error),
        ("empty", "server.example.com", "", error),
        ("two in one", "server.example.com", "a, b", error),
        ("a path", "server.example.com", "a/b", error),
        ("a user", "server.example.com", "user@a", error),
        ("a scheme", "server.example.com", "http://a", error),
        ("a port alone", "server.example.com", ":80", error),
        ("a port that is not a number", "server.example.com", "a:http", error),
        ("two ports", "server.example.com", "a:80:80", error),
        ("an address without brackets", "server.example.com", "::1", error),
        ("a bracket left open", "server.example.com", "[::1", error),
        ("brackets around nonsense", "server.example.com", "[x]", error),
        ("not ASCII", "server.example.com", "caf\u{e9}", error),
        ("a port", "server.example.com", "a:8080", None),
        ("an empty port", "server.example.com", "a:", None),
        ("an address", "server.example.com", "127.0.0.1:80", None),
        ("an IPv6 address", "server.example.com", "[::1]:80", None),
        ("an IPv6 address without a port", "server.example.com", "[2001:db8::1]", None),
        ("its name in another case", "Host:", "hOST:", None),
    ]);
}

/// RFC 9112 §3.2.2: a client that takes the server for a proxy sends the whole address.
#[test]
fn the_host_of_a_whole_address_goes_before_the_host_field() {
    for target in ["http://chat.example:8080/chat", "HTTP://chat.example:8080"] {
        let request = REQUEST.replace("GET /chat", &format!("GET {target}"));
        for piece in [request.len(), 1] {
            assert_eq!(checked(&request, piece).unwrap().host(), "chat.example:8080", "{target}");
        }
    }
    // RFC 9112 §3.2: it does not replace the field.
    check_rows(&[(
        "without Host",
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\n",
        "GET http://chat.example/chat HTTP/1.1\r\n",
        Some(HandshakeError::Host),
    )]);
}

#[test]
fn upgrade_and_connection_are_lists_that_ignore_case() {
    let upgrade = Some(HandshakeError::NotAnUpgrade);
    let connection = Some(HandshakeError::Connection);
    check_rows(&[
        ("no Upgrade", "Upgrade: websocket\r\n", "", upgrade),
        ("an empty one", "Upgrade: websocket", "Upgrade:", upgrade),
        ("another one", "Upgrade: websocket", "Upgrade: h2c", upgrade),
        ("longer", "Upgrade: websocket", "Upgrade: websockets", upgrade),
        ("with a word before it", "Upgrade: websocket", "Upgrade: x websocket", upgrade),
        ("with a version", "Upgrade: websocket", "Upgrade: websocket/13", upgrade),
        ("quoted", "Upgrade: websocket", "Upgrade: \"websocket\"", upgrade),
        ("in another case", "Upgrade: websocket", "UPGRADE: WebSocket", None),
        ("in a list", "Upgrade: websocket", "Upgrade: h2c ,\twebsocket", None),
        ("in a second field", "Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket", None),
        ("in the first of two", "Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c", None),
        ("no Connection", "Connection: Upgrade\r\n", "", connection),
        ("another one", "Connection: Upgrade", "Connection: keep-alive", connection),
        ("longer", "Connection: Upgrade", "Connection: Upgrades", connection),
        ("with a word behind it", "Connection: Upgrade", "Connection: Upgrade x", connection),
        ("as browsers send it", "Connection: Upgrade", "Connection: keep-alive, Upgrade", None),
        ("in capitals, empty elements", "Connection: Upgrade", "Connection: ,UPGRADE,,", None),
        ("in a second field", "Connection: Upgrade", "Connection: x\r\nconnection: upgrade", None),
        ("in the first of two", "Connection: Upgrade", "Connection: Upgrade\r\nConnection: keep-alive", None),
    ]);
}

#[test]
fn exactly_one_key_of_16_bytes_in_base64_is_needed() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let line = format!("Sec-WebSocket-Key: {key}\r\n");
    let error = Some(HandshakeError::Key);
    check_rows(&[
        ("none", &line, "", error),
        ("two", &line, &line.repeat(2), error),
        ("empty", key, "", error),
        ("15 bytes", key, "AQIDBAUGBwgJCgsMDQ4P", error),
        ("17 bytes", key, "AQIDBAUGBwgJCgsMDQ4PEBE=", error),
        ("18 bytes", key, "AQIDBAUGBwgJCgsMDQ4PEBES", error),
        ("no padding", key, "dGhlIHNhbXBsZSBub25jZQ", error),
        ("half of the padding", key, "dGhlIHNhbXBsZSBub25jZQ=", error),
        ("too much padding", key, "dGhlIHNhbXBsZSBub25jZQ===", error),
        ("not base64", key, "dGhlIHNhbXBsZSBub25jZ!==", error),
        ("the alphabet of URLs", key, "dGhlIHNhbXBsZSBub25j-_==", error),
        ("a space inside", key, "dGhlIHNhbXBs ZSBub25jZQ==", error),
        ("space around it", key, " dGhlIHNhbXBsZSBub25jZQ==\t", None),
        ("pad bits set, as in §4.1's example", key, "AQIDBAUGBwgJCgsMDQ4PEC==", None),
        ("its name in another case", "Sec-WebSocket-Key", "sec-websocket-KEY", None),
    ]);
}

#[test]
fn the_version_must_be_written_exactly_as_13() {
    let error = Some(HandshakeError::WebSocketVersion);
    check_rows(&[
        ("none", "Sec-WebSocket-Version: 13\r\n", "", error),
        ("empty", "Version: 13", "Version:", error),
        ("8", "Version: 13", "Version: 8", error),
        ("14", "Version: 13", "Version: 14", error),
        ("013", "Version: 13", "Version: 013", error),
        ("+13", "Version: 13", "Version: +13", error),
        ("13.0", "Version: 13", "Version: 13.0", error),
        ("a list", "Version: 13", "Version: 13, 8", error),
        ("two fields", "Version: 13", "Version: 8\r\nSec-WebSocket-Version: 13", error),
        ("twice the same", "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13", error),
        ("space around it", "Version: 13", "Version:\t13 ", None),
    ]);
}

#[test]
fn a_request_that_announces_a_body_is_refused() {
    let error = Some(HandshakeError::Body);
    let end = "Version: 13\r\n";
    check_rows(&[
        ("a length", end, "Version: 13\r\nContent-Length: 5\r\n", error),
        ("an empty length", end, "Version: 13\r\nContent-Length:\r\n", error),
        ("a length that is not a number", end, "Version: 13\r\nContent-Length: x\r\n", error),
        ("a signed length", end, "Version: 13\r\nContent-Length: +0\r\n", error),
        ("two lengths", end, "Version: 13\r\nContent-Length: 0\r\nContent-Length: 5\r\n", error),
        ("the other way round", end, "Version: 13\r\nContent-Length: 5\r\nContent-Length: 0\r\n", error),
        ("chunks", end, "Version: 13\r\nTransfer-Encoding: chunked\r\n", error),
        ("chunks, in disguise", end, "Version: 13\r\ntransfer-encoding: xchunked\r\n", error),
        ("both", end, "Version: 13\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n", error),
        ("a length of 0", end, "Version: 13\r\nContent-Length: 0\r\n", None),
    ]);
}

#[test]
fn at_most_one_origin_is_accepted_and_kept_unchanged() {
    let line = "Origin: http://example.com\r\n";
    let error = Some(HandshakeError::Origin);
    check_rows(&[
        ("two", line, "Origin: http://a\r\nOrigin: http://b\r\n", error),
        ("the same twice", line, &line.repeat(2), error),
        ("not ASCII", "http://example.com", "http://caf\u{e9}.example", error),
        ("none", line, "", None),
    ]);
    for origin in ["null", "https://good.example.evil.com", "HTTP://EXAMPLE.COM:80", "", "http://a http://b"] {
        let request = REQUEST.replace("http://example.com", origin);
        assert_eq!(checked(&request, 1).unwrap().origin(), Some(origin));
    }
    assert_eq!(checked(&REQUEST.replace(line, ""), 1).unwrap().origin(), None);
}

#[test]
fn subprotocols_are_a_list_of_unique_tokens() {
    let line = "Sec-WebSocket-Protocol: chat, superchat";
    let error = Some(HandshakeError::Subprotocols);
    check_rows(&[
        ("one twice", "chat, superchat", "chat, chat", error),
        ("one twice, apart", line, "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c, a", error),
        ("a space inside", "chat, superchat", "chat superchat", error),
        ("a parameter", "chat, superchat", "chat;q=1", error),
        ("quoted", "chat, superchat", "\"chat\"", error),
        ("spaces before a second word", "chat, superchat", &format!("b{}x", " ".repeat(4000)), error),
        ("not ASCII", "chat, superchat", "caf\u{e9}", error),
        ("none", &format!("{line}\r\n"), "", None),
        ("in two cases", "chat, superchat", "chat, Chat", None),
    ]);
    let two_fields = "Sec-WebSocket-Protocol: a ,, b,\r\nSec-WebSocket-Protocol: c";
    let handshake = checked(&REQUEST.replace(line, two_fields), 1).unwrap();
    assert_eq!(handshake.subprotocols(), ["a", "b", "c"]);
}

#[test]
fn extensions_follow_the_grammar_of_section_9_1() {
    let rows: &[(&str, bool)] = &[
        ("permessage-deflate; client_max_window_bits", true),
        ("foo, bar; baz=2", true),
        ("a; b=\"8\"; c", true),
        (r#"unknown; odd="\c\c\c""#, true),
        (",a,, b,", true),
        ("\"a\"", false),
        ("a;", false),
        ("a;;b", false),
        ("a; =1", false),
        ("a; b=", false),
        ("=1", false),
        ("a b", false),
        ("a; b=\"x y\"", false),
        ("a; b=\"\"", false),
        ("a; b=\"x", false),
        ("a; b=caf\u{e9}", false),
    ];
    for (offer, valid) in rows {
        let line = format!("Sec-WebSocket-Extensions: {offer}\r\n\r\n");
        let request = REQUEST.replace("\r\n\r\n", &format!("\r\n{line}"));
        let error = checked(&request, 1).err();
        assert_eq!(error, (!valid).then_some(HandshakeError::Extensions), "{offer}");
    }
    let lines = "\r\nSec-WebSocket-Extensions: a; x=1; y\r\nSec-WebSocket-Extensions: b; z=\"2\"\r\n\r\n";
    let handshake = checked(&REQUEST.replace("\r\n\r\n", lines), 1).unwrap();
    let param = |name: &str, value: Option<&str>| (name.to_string(), value.map(Into::into));
    let expected = [
        ExtensionOffer { name: "a".into(), params: vec![param("x", Some("1")), param("y", None)] },
        ExtensionOffer { name: "b".into(), params: vec![param("z", Some("2"))] },
    ];
    assert_eq!(handshake.extensions(), expected);
}

/// Both fields are `1#element`, a list of at least one element (RFC 9110 §5.6.1).
#[test]
fn lists_without_an_element_are_refused() {
    for value in ["", ",", " , ,"] {
        let protocol = REQUEST.replace("chat, superchat", value);
        assert_eq!(checked(&protocol, 1).err(), Some(HandshakeError::Subprotocols), "{value:?}");
        let extension = REQUEST.replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Extensions: {value}\r\n\r\n"));
        assert_eq!(checked(&extension, 1).err(), Some(HandshakeError::Extensions), "{value:?}");
    }
}

#[test]
fn the_parts_of_another_parser_are_checked_the_same() {
    let headers: &[(&str, &[u8])] = &[
        ("host", b"a"),
        ("upgrade", b"websocket"),
        ("connection", b"upgrade"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", b"13"),
    ];
    let from = |method, version, skip: usize| {
        let headers = headers.iter().enumerate().filter(|(i, _)| *i != skip).map(|(_, field)| *field);
        ServerHandshake::from_parts(method, version, headers)
            .map(|handshake| handshake.accept_key().unwrap_or_default().to_string())
    };
    assert_eq!(from("GET", HttpVersion::Http11, 5).as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(from("PUT", HttpVersion::Http11, 5), Err(HandshakeError::Method));
    assert_eq!(from("GET", HttpVersion::Http10, 5), Err(HandshakeError::HttpVersion));
    let missing = [
        HandshakeError::Host,
        HandshakeError::NotAnUpgrade,
        HandshakeError::Connection,
        HandshakeError::Key,
        HandshakeError::WebSocketVersion,
    ];
    for (skip, error) in missing.into_iter().enumerate() {
        assert_eq!(from("GET", HttpVersion::Http11, skip), Err(error));
    }
}

fn accept(subprotocol: Option<&str>, headers: &[(&str, &str)]) -> Result<String, InvalidHeader> {
    let mut out = b"before ".to_vec();
    let handshake = checked(REQUEST, REQUEST.len()).unwrap();
    let accepted = handshake.accept(subprotocol, headers, Limits::default(), Delivery::Messages, &mut out);
    let written = String::from_utf8(out).expect("a head is text").split_off("before ".len());
    match accepted {
        Ok(connection) => {
            assert_eq!(connection.state(), State::Open);
            Ok(written)
        }
        Err(error) => {
            assert_eq!(written, "", "a refused response writes nothing");
            Err(error)
        }
    }
}

#[test]
fn an_acceptance_is_written_exactly() {
    let plain = "HTTP/1.1 101 Switching Protocols\r\n\
                 Upgrade: websocket\r\n\
                 Connection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    assert_eq!(accept(None, &[]), Ok(format!("{plain}\r\n")));
    let full = accept(Some("superchat"), &[("Set-Cookie", "a=b"), ("X", "tab\there")]);
    let more = "Sec-WebSocket-Protocol: superchat\r\nSet-Cookie: a=b\r\nX: tab\there\r\n";
    assert_eq!(full, Ok(format!("{plain}{more}\r\n")));
}

/// The order of preference is the server's: each row is what it supports, and what it chooses of `chat, superchat`.
#[test]
fn of_the_subprotocols_that_both_know_the_servers_first_is_chosen() {
    let rows: &[(&[&str], Option<&str>)] = &[
        (&["superchat", "chat"], Some("superchat")),
        (&["chat", "superchat"], Some("chat")),
        (&["mqtt", "superchat"], Some("superchat")),
        (&["mqtt"], None),
        (&["Chat", "chat ", "chat, superchat", ""], None),
        (&[], None),
    ];
    for (supported, chosen) in rows {
        let handshake = checked(REQUEST, REQUEST.len()).unwrap();
        assert_eq!(handshake.choose(supported), *chosen, "{supported:?}");
        assert!(handshake.response_headers(*chosen).is_ok(), "{supported:?}");
    }
    let none = checked(&REQUEST.replace("Sec-WebSocket-Protocol: chat, superchat\r\n", ""), 1).unwrap();
    assert_eq!(none.choose(&["chat", ""]), None);
}

#[test]
fn the_header_fields_for_another_http_library_are_those_of_the_written_response() {
    for subprotocol in [None, Some("chat"), Some("mqtt")] {
        let handshake = checked(REQUEST, REQUEST.len()).unwrap();
        let listed = handshake.response_headers(subprotocol).map(|fields| {
            let lines: String = fields.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n")
        });
        assert_eq!(listed, accept(subprotocol, &[]), "{subprotocol:?}");
    }
}

#[test]
fn an_acceptance_holds_nothing_that_was_not_offered_or_breaks_out_of_its_line() {
    for name in ["mqtt", "Chat", "", "chat, superchat", "chat\r\nX: y"] {
        assert_eq!(accept(Some(name), &[]), Err(InvalidHeader::Subprotocol(name.into())));
    }
    for bad in ["a\r\nX: y", "a\n", "a\r", "a\0", "caf\u{e9}", "a\x7f", "\x1b[0m"] {
        let value = Err(InvalidHeader::Value { name: "X".into() });
        assert_eq!(accept(None, &[("Good", "a"), ("X", bad)]), value, "{bad:?}");
        assert_eq!(accept(None, &[(bad, "a")]), Err(InvalidHeader::Name(bad.into())), "{bad:?}");
    }
    for bad in ["", "a b", "a:", "a(b)"] {
        assert_eq!(accept(None, &[(bad, "a")]), Err(InvalidHeader::Name(bad.into())), "{bad:?}");
    }
    let own = ["Upgrade", "connection", "SEC-WEBSOCKET-ACCEPT", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"];
    for name in own.into_iter().chain(["Content-Length", "Transfer-Encoding"]) {
        assert_eq!(accept(None, &[(name, "a")]), Err(InvalidHeader::Reserved(name.into())));
    }
}

fn written(rejection: &Rejection) -> Result<String, InvalidHeader> {
    let mut out = b"before ".to_vec();
    let result = rejection.write(&mut out);
    let written = String::from_utf8(out).expect("text").split_off("before ".len());
    if result.is_err() {
        assert_eq!(written, "", "a refused response writes nothing");
    }
    result.map(|()| written)
}

#[test]
fn each_error_is_answered_with_its_exact_status_and_fields() {
    let upgrade = "Upgrade: websocket\r\n";
    let version = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let rows = [
        (HandshakeError::Method, "405 Method Not Allowed", "Allow: GET\r\n"),
        (HandshakeError::HttpVersion, "426 Upgrade Required", upgrade),
        (HandshakeError::NotAnUpgrade, "426 Upgrade Required", upgrade),
        (HandshakeError::WebSocketVersion, "426 Upgrade Required", version),
        (HandshakeError::Host, "400 Bad Request", ""),
        (HandshakeError::Body, "400 Bad Request", ""),
        (HandshakeError::Connection, "400 Bad Request", ""),
        (HandshakeError::Key, "400 Bad Request", ""),
        (HandshakeError::Subprotocols, "400 Bad Request", ""),
        (HandshakeError::Extensions, "400 Bad Request", ""),
        (HandshakeError::Origin, "400 Bad Request", ""),
    ];
    for (error, status, fields) in rows {
        let body = format!("{error}\n");
        let connection = if fields.contains("Upgrade") { "close, Upgrade" } else { "close" };
        let expected = format!(
            "HTTP/1.1 {status}\r\n{fields}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: {connection}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(written(&Rejection::from(&error)), Ok(expected), "{error:?}");
    }
}

/// Whichever way an error takes to its response, the response is the same.
#[test]
fn a_request_error_is_answered_as_the_error_that_it_holds() {
    let rows: [(RequestError, Rejection, u16, String); 4] = [
        (HeadError::Target.into(), HeadError::Target.into(), 400, format!("{}\n", HeadError::Target)),
        (
            BodyError::TooLong { limit: 7 }.into(),
            BodyError::TooLong { limit: 7 }.into(),
            413,
            "the body is longer than 7 bytes\n".into(),
        ),
        (HandshakeError::Method.into(), HandshakeError::Method.into(), 405, format!("{}\n", HandshakeError::Method)),
        // The caller's own fault: the client does not see what the caller wrote.
        (
            InvalidHeader::Name("secret".into()).into(),
            InvalidHeader::Name("secret".into()).into(),
            500,
            "internal error\n".into(),
        ),
    ];
    for (error, direct, status, text) in rows {
        let rejection = Rejection::from(&error);
        assert_eq!((error.status(), rejection.status(), rejection.body_text()), (status, status, &*text), "{error:?}");
        assert_eq!(written(&rejection), written(&direct), "{error:?}");
        assert!(error.headers().iter().all(|field| rejection.headers().any(|(name, value)| (name, &*value) == *field)));
    }
    assert_eq!(RequestError::from(HandshakeError::Method).headers(), [("Allow", "GET")]);
}

#[test]
fn a_rejection_holds_what_the_caller_chose_and_nothing_that_breaks_out_of_its_line() {
    let plain = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(written(&Rejection::new(403)).as_deref(), Ok(plain));
    let full = Rejection::new(401).header("WWW-Authenticate", "Basic").header("content-type", "a/b").body("caf\u{e9}");
    let full_text = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\ncontent-type: a/b\r\n\
                     Content-Length: 5\r\nConnection: close\r\n\r\ncaf\u{e9}";
    assert_eq!(written(&full).as_deref(), Ok(full_text));

    let empty = Rejection::new(204).header("X", "y").body("nobody reads this");
    assert_eq!(written(&empty).as_deref(), Ok("HTTP/1.1 204 No Content\r\nX: y\r\nConnection: close\r\n\r\n"));
    let unchanged = Rejection::new(304).header("ETag", "\"a\"").body("nor this");
    let expected = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nConnection: close\r\n\r\n";
    assert_eq!((written(&unchanged).as_deref(), unchanged.body_text()), (Ok(expected), ""));
    let reset = "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(written(&Rejection::new(205).body("nor this")).as_deref(), Ok(reset));
    // RFC 9110 §9.3.2: HEAD gets the fields of the response to a GET, without the body.
    let mut head = Vec::new();
    full.write_head(&mut head).unwrap();
    assert_eq!(head, full_text.strip_suffix("caf\u{e9}").unwrap().as_bytes());

    for status in [0, 100, 101, 199, 600, 1000] {
        assert_eq!(written(&Rejection::new(status)), Err(InvalidHeader::Status(status)));
    }
    for name in ["Connection", "content-length", "TRANSFER-ENCODING"] {
        let refused = written(&Rejection::new(403).header(name, "a"));
        assert_eq!(refused, Err(InvalidHeader::Reserved(name.into())));
    }
    for bad in ["a\r\nX: y", "a\n", "a\r", "a\0", "caf\u{e9}", "a\x7f"] {
        let value = Err(InvalidHeader::Value { name: "X".into() });
        assert_eq!(written(&Rejection::new(403).header("X", bad)), value, "{bad:?}");
        assert_eq!(written(&Rejection::new(403).header(bad, "a")), Err(InvalidHeader::Name(bad.into())), "{bad:?}");
    }
}
