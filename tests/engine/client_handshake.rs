//! The client's side of the opening handshake (RFC 6455 §4.1): the exact request, and the responses that open
//! the connection.

use std::error::Error as _;

use switchboard::{
    ClientHandshake, ClientHandshakeError, ClientRequest, DeflateResponseError, Established, HeadError, HeadLimits,
    InvalidHeader, ResponseReader,
};

/// The nonce of §1.3, `dGhlIHNhbXBsZSBub25jZQ==` in base64.
const NONCE: [u8; 16] = *b"the sample nonce";

/// The response of §1.3 to this nonce.
const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    \r\n";

fn request(request: &ClientRequest<'_>) -> Result<String, InvalidHeader> {
    let mut out = b"before ".to_vec();
    let made = ClientHandshake::new(request, NONCE, HeadLimits::default(), &mut out);
    let written = String::from_utf8(out).expect("a head is text").split_off("before ".len());
    match made {
        Ok(_) => Ok(written),
        Err(error) => {
            assert_eq!(written, "", "a refused request writes nothing");
            Err(error)
        }
    }
}

/// Feeds `response` to a handshake in pieces of this length. The number of bytes used counts from its start.
fn received(response: &str, piece: usize) -> Result<Option<(Established, usize)>, ClientHandshakeError> {
    let mut wanted = ClientRequest::new("example.com", "/");
    wanted.subprotocols = &["chat", "superchat"];
    let mut handshake = ClientHandshake::new(&wanted, NONCE, HeadLimits::default(), &mut Vec::new()).unwrap();
    let mut before = 0;
    for part in response.as_bytes().chunks(piece) {
        if let Some((established, used)) = handshake.receive(part)? {
            return Ok(Some((established, before + used)));
        }
        before += part.len();
    }
    Ok(None)
}

/// Returns the outcome of `response` as text. Asserts that it is the same in one piece and byte by byte.
fn outcome(response: &str) -> String {
    let show = |piece| match received(response, piece) {
        Ok(Some((established, _))) => format!("open, {:?}", established.subprotocol()),
        Ok(None) => "waiting".into(),
        Err(ClientHandshakeError::Head(error)) => format!("{error}"),
        Err(error) => format!("{error}"),
    };
    let whole = show(response.len());
    assert_eq!(show(1), whole, "byte by byte: {response}");
    whole
}

#[test]
fn the_request_is_written_exactly() {
    let plain = request(&ClientRequest::new("example.com:8080", "/chat?room=1")).unwrap();
    assert_eq!(
        plain,
        "GET /chat?room=1 HTTP/1.1\r\n\
         Host: example.com:8080\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\
         \r\n"
    );
    let mut full = ClientRequest::new("example.com", "/");
    full.origin = Some("https://example.com");
    full.subprotocols = &["chat", "superchat"];
    full.headers = &[("Cookie", "a=b"), ("X-Empty", "")];
    let full = request(&full).unwrap();
    let end = "Sec-WebSocket-Version: 13\r\n\
               Origin: https://example.com\r\n\
               Sec-WebSocket-Protocol: chat, superchat\r\n\
               Cookie: a=b\r\n\
               X-Empty: \r\n\
               \r\n";
    assert!(full.ends_with(end), "{full}");
}

#[test]
fn a_target_that_is_not_a_path_is_refused() {
    for target in ["", "chat", "http://example.com/", "/a b", "/a\r\nX: y", "/a\0", "/caf\u{e9}", "/a\x7f", "/a\t"] {
        let refused = request(&ClientRequest::new("example.com", target));
        assert_eq!(refused, Err(InvalidHeader::Target(target.into())), "{target:?}");
    }
}

#[test]
fn a_host_that_is_not_a_host_and_port_is_refused() {
    for host in ["", ":80", "a b", "a/b", "user@example.com", "[::1", "example.com:http", "example.com\r\nX: y"] {
        let refused = request(&ClientRequest::new(host, "/"));
        assert_eq!(refused, Err(InvalidHeader::Value { name: "Host".into() }), "{host:?}");
    }
    for host in ["example.com", "example.com:8080", "127.0.0.1", "[::1]:80"] {
        assert!(request(&ClientRequest::new(host, "/")).is_ok(), "{host}");
    }
}

/// §3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used".
#[test]
fn a_target_with_a_fragment_is_refused() {
    let refused = request(&ClientRequest::new("example.com", "/chat#top"));
    assert_eq!(refused, Err(InvalidHeader::Target("/chat#top".into())));
}

#[test]
fn fields_that_could_break_out_of_their_line_are_refused() {
    for bad in ["a\r\nX: y", "a\n", "a\r", "a\0", "caf\u{e9}", "a\x7f", "a\x1b"] {
        let value = |name: &str| Err(InvalidHeader::Value { name: name.into() });
        assert_eq!(request(&ClientRequest::new(bad, "/")), value("Host"), "{bad:?}");
        let mut wanted = ClientRequest::new("example.com", "/");
        wanted.origin = Some(bad);
        assert_eq!(request(&wanted), value("Origin"), "{bad:?}");
        let headers = [("Good", "a"), ("Cookie", bad)];
        wanted = ClientRequest { headers: &headers, ..ClientRequest::new("example.com", "/") };
        assert_eq!(request(&wanted), value("Cookie"), "{bad:?}");
        let headers = [(bad, "a")];
        wanted = ClientRequest { headers: &headers, ..ClientRequest::new("example.com", "/") };
        assert_eq!(request(&wanted), Err(InvalidHeader::Name(bad.into())), "{bad:?}");
        let subprotocols = ["chat", bad];
        wanted = ClientRequest { subprotocols: &subprotocols, ..ClientRequest::new("example.com", "/") };
        assert_eq!(request(&wanted), Err(InvalidHeader::Subprotocol(bad.into())), "{bad:?}");
    }
}

#[test]
fn fields_of_the_handshake_itself_are_reserved() {
    let own = ["Host", "upgrade", "CONNECTION", "Origin", "Content-Length", "Transfer-Encoding"];
    let sec = ["Sec-WebSocket-Key", "sec-websocket-version", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"];
    for name in own.into_iter().chain(sec) {
        let headers = [(name, "a")];
        let refused = request(&ClientRequest { headers: &headers, ..ClientRequest::new("example.com", "/") });
        assert_eq!(refused, Err(InvalidHeader::Reserved(name.into())));
    }
}

/// §4.1: the values in Sec-WebSocket-Protocol "MUST be non-empty strings … and MUST all be unique strings".
#[test]
fn subprotocols_that_are_empty_or_repeated_are_refused() {
    for (bad, subprotocols) in [("", &["chat", ""]), ("chat", &["chat", "chat"]), ("a, b", &["a", "a, b"])] {
        let refused = request(&ClientRequest { subprotocols, ..ClientRequest::new("example.com", "/") });
        assert_eq!(refused, Err(InvalidHeader::Subprotocol(bad.into())), "{subprotocols:?}");
    }
}

#[test]
fn the_response_of_section_1_3_opens_the_connection() {
    assert_eq!(outcome(RESPONSE), "open, None");
    let with_frame = format!("{RESPONSE}\x01\x05Hello");
    for piece in [with_frame.len(), 1, 100] {
        let (established, used) = received(&with_frame, piece).unwrap().expect("a whole response");
        assert_eq!((used, established.response().status()), (RESPONSE.len(), 101), "pieces of {piece}");
        let accept: Vec<&[u8]> = established.response().values("sec-websocket-accept").collect();
        assert_eq!(accept, [b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    }
    for end in 0..RESPONSE.len() {
        assert_eq!(outcome(&RESPONSE[..end.max(1)]), "waiting");
    }
}

#[test]
fn a_response_101_is_checked_in_full() {
    let upgrade = ClientHandshakeError::Upgrade.to_string();
    let connection = ClientHandshakeError::Connection.to_string();
    let accept = ClientHandshakeError::Accept.to_string();
    let subprotocol = ClientHandshakeError::Subprotocol.to_string();
    let extension = ClientHandshakeError::Extension.to_string();
    let open = "open, None".to_string();
    let line = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let rows: &[(&str, &str, &str, &str)] = &[
        ("names in other cases", "Upgrade: websocket", "UPGRADE: WebSocket", &open),
        ("no Upgrade", "Upgrade: websocket\r\n", "", &upgrade),
        ("another Upgrade", "Upgrade: websocket", "Upgrade: h2c", &upgrade),
        ("two in one Upgrade", "Upgrade: websocket", "Upgrade: websocket, h2c", &upgrade),
        ("two Upgrades", "Upgrade: websocket\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n", &upgrade),
        ("an empty Upgrade", "Upgrade: websocket", "Upgrade:", &upgrade),
        ("Connection with more", "Connection: Upgrade", "Connection: keep-alive, upgrade", &open),
        ("two Connections", "Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade", &open),
        ("no Connection", "Connection: Upgrade\r\n", "", &connection),
        ("another Connection", "Connection: Upgrade", "Connection: close", &connection),
        ("a longer word", "Connection: Upgrade", "Connection: Upgrades", &connection),
        ("no Accept", line, "", &accept),
        ("an empty Accept", line, "Sec-WebSocket-Accept:\r\n", &accept),
        ("another Accept", "s3pPLM", "S3pPLM", &accept),
        ("the key itself", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "dGhlIHNhbXBsZSBub25jZQ==", &accept),
        ("Accept without padding", "xOo=", "xOo", &accept),
        ("something behind Accept", "xOo=", "xOo=, x", &accept),
        ("space around Accept", "Accept: s3", "Accept: \t s3", &open),
        ("two Accepts, both right", line, &line.repeat(2), &accept),
        ("an extension", line, &format!("{line}Sec-WebSocket-Extensions: permessage-deflate\r\n"), &extension),
        ("a subprotocol", line, &format!("{line}Sec-WebSocket-Protocol: superchat\r\n"), "open, Some(\"superchat\")"),
        ("one in another case", line, &format!("{line}Sec-WebSocket-Protocol: Chat\r\n"), &subprotocol),
        ("one that was not offered", line, &format!("{line}Sec-WebSocket-Protocol: mqtt\r\n"), &subprotocol),
        ("two in one field", line, &format!("{line}Sec-WebSocket-Protocol: chat, superchat\r\n"), &subprotocol),
        (
            "two fields",
            line,
            &format!("{line}Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n"),
            &subprotocol,
        ),
        ("an empty one", line, &format!("{line}Sec-WebSocket-Protocol:\r\n"), &subprotocol),
        ("no reason phrase", "101 Switching Protocols", "101 ", &open),
    ];
    for (name, from, to, expected) in rows {
        let wire = RESPONSE.replace(from, to);
        assert_ne!(wire, RESPONSE, "{name}: the row changes something");
        assert_eq!(outcome(&wire), *expected, "{name}");
    }
}

#[test]
fn a_subprotocol_that_was_not_offered_is_refused() {
    let wanted = ClientRequest::new("example.com", "/");
    let mut handshake = ClientHandshake::new(&wanted, NONCE, HeadLimits::default(), &mut Vec::new()).unwrap();
    let wire = RESPONSE.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n");
    assert!(matches!(handshake.receive(wire.as_bytes()), Err(ClientHandshakeError::Subprotocol)));
}

#[test]
fn a_few_interim_responses_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    assert_eq!(outcome(&format!("{interim}{hints}{RESPONSE}")), "open, None");
    assert_eq!(outcome(&format!("{}{RESPONSE}", interim.repeat(8))), "open, None");
    let endless = ClientHandshakeError::TooManyInterim.to_string();
    assert_eq!(outcome(&interim.repeat(9)), endless);
    assert_eq!(outcome(&hints.repeat(1000)), endless);
    let all = format!("{interim}{RESPONSE}");
    for piece in [all.len(), 1, 26, 40] {
        assert_eq!(received(&all, piece).unwrap().map(|(_, used)| used), Some(all.len()), "pieces of {piece}");
    }
}

#[test]
fn a_redirect_names_its_location() {
    for status in [301, 302, 303, 307, 308] {
        let wire = format!("HTTP/1.1 {status} Moved\r\nLocation: wss://other.example/\r\nContent-Length: 5\r\n\r\n");
        match received(&wire, wire.len()) {
            Err(ClientHandshakeError::Redirect { location, response, used }) => {
                assert_eq!((location.as_str(), response.status()), ("wss://other.example/", status));
                assert_eq!(used, wire.len());
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    for wire in ["302 Found\r\n", "300 Multiple Choices\r\nLocation: /a\r\n", "304 Not Modified\r\nLocation: /a\r\n"] {
        let wire = format!("HTTP/1.1 {wire}\r\n");
        assert!(matches!(received(&wire, 1), Err(ClientHandshakeError::Status { .. })), "{wire}");
    }
}

#[test]
fn any_other_status_is_returned_to_the_caller() {
    for status in [200, 204, 400, 401, 403, 404, 426, 429, 500, 503, 599] {
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
        let wire = format!("{interim}HTTP/1.1 {status} Whatever\r\nRetry-After: 5\r\n\r\nbody");
        match received(&wire, wire.len()) {
            Err(ClientHandshakeError::Status { response, used }) => {
                assert_eq!((response.status(), &wire[used..]), (status, "body"));
                assert_eq!(response.values("retry-after").collect::<Vec<_>>(), [b"5"]);
            }
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[test]
fn a_response_that_is_not_http_1_1_is_refused() {
    let head = |error: HeadError| error.to_string();
    let limit = HeadLimits::default().max_bytes;
    let fields = HeadLimits::default().max_headers;
    let rows: &[(&str, String, String)] = &[
        ("HTTP/1.0", RESPONSE.replace("HTTP/1.1", "HTTP/1.0"), head(HeadError::UnsupportedVersion)),
        ("HTTP/2", RESPONSE.replace("HTTP/1.1", "HTTP/2.0"), head(HeadError::UnsupportedVersion)),
        ("bare LF", RESPONSE.replace("\r\n", "\n"), head(HeadError::BareLineEnd)),
        ("folded", RESPONSE.replace("Upgrade: ", "Upgrade:\r\n "), head(HeadError::FoldedLine)),
        ("NUL", RESPONSE.replace("websocket", "websocket\0"), head(HeadError::ControlCharacter)),
        ("space before the colon", RESPONSE.replace("Upgrade:", "Upgrade :"), head(HeadError::Malformed)),
        ("a frame", "\u{1}\u{5}Hello".into(), head(HeadError::ControlCharacter)),
        ("a request", "GET / HTTP/1.1\r\n\r\n".into(), head(HeadError::Malformed)),
        ("another protocol", "SSH-2.0-OpenSSH\r\n\r\n".into(), head(HeadError::Malformed)),
        ("a mail server", "220 mail.example ESMTP\r\n\r\n".into(), head(HeadError::Malformed)),
        ("one byte of another protocol", "S".into(), head(HeadError::Malformed)),
        ("lower case", "http".into(), head(HeadError::Malformed)),
        ("the start of another protocol", "HTTP ".into(), head(HeadError::Malformed)),
        ("the start of a response", "HTTP/".into(), "waiting".into()),
        ("an empty line before it", "\r\nHTTP/1.1".into(), "waiting".into()),
        ("a line without end", format!("HTTP/{}", "1".repeat(limit)), head(HeadError::FirstLineTooLong { limit })),
        ("a head without end", format!("HTTP/1.1 101 OK\r\n{}", "X".repeat(limit)), head(HeadError::TooLong { limit })),
        (
            "too many fields",
            format!("HTTP/1.1 101 OK\r\n{}", "X: y\r\n".repeat(fields + 1)),
            head(HeadError::TooManyHeaders { limit: fields }),
        ),
    ];
    for (name, wire, expected) in rows {
        assert_eq!(outcome(wire), *expected, "{name}");
    }
}

#[test]
fn another_protocol_is_refused_at_its_first_byte_behind_a_response_too() {
    let mut reader = ResponseReader::new(HeadLimits::default());
    assert!(reader.receive(b"HTTP/1.1 100 Continue\r\n\r\n").expect("valid").is_some());
    assert_eq!(reader.receive(b"S").err(), Some(HeadError::Malformed));
}

#[test]
fn an_error_of_a_part_is_the_source_of_the_error_of_the_handshake() {
    let rows = [
        (ClientHandshakeError::Head(HeadError::BareLineEnd), Some(HeadError::BareLineEnd.to_string())),
        (
            ClientHandshakeError::Deflate(DeflateResponseError::Repeated),
            Some(DeflateResponseError::Repeated.to_string()),
        ),
        (ClientHandshakeError::Extension, None),
    ];
    for (error, source) in rows {
        assert_eq!(error.source().map(ToString::to_string), source, "{error:?}");
    }
}
