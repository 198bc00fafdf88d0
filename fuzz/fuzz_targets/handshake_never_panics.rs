//! A head gives the same result however it is cut, in both roles. The limits hold. Nothing in an accepted head contains
//! a line end. Our client, with the same key, understands the response of our server. The same header fields in an
//! extended CONNECT get the same verdict, except for the rules of HTTP/1.1 alone.
//!
//! Input: role; head limits: 0 the defaults, 1 few bytes, 2 few header fields; cuts; the bytes from the peer.
#![no_main]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use switchboard::{
    ClientHandshake, ClientHandshakeError, ClientRequest, Delivery, Established, HandshakeError, HeadError, HeadLimits,
    InvalidHeader, Limits, Rejection, RequestHead, RequestReader, Role, ServerHandshake,
};
use switchboard_fuzz::{Cuts, Input};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let role = input.role();
    let (max_bytes, max_headers) = input.one_of(&[(16 << 10, 64), (200, 64), (16 << 10, 5)]);
    let mut limits = HeadLimits::default();
    (limits.max_bytes, limits.max_headers) = (max_bytes, max_headers);
    let cuts = input.cuts();
    let bytes = input.rest();
    match role {
        Role::Server => server(bytes, cuts, limits),
        Role::Client => client(bytes, cuts, limits),
    }
});

fn server(bytes: &[u8], cuts: Cuts<'_>, limits: HeadLimits) {
    let whole = read_request(bytes, Cuts::WHOLE, limits);
    for (name, cuts) in [("cut", cuts), ("byte by byte", Cuts::BYTES)] {
        let other = read_request(bytes, cuts, limits);
        assert_eq!(format!("{other:?}"), format!("{whole:?}"), "{name}");
    }
    match whole {
        Ok(None) => assert!(bytes.len() <= limits.max_bytes, "a head over the limit is an error"),
        Ok(Some((head, used))) => {
            assert!(used <= limits.max_bytes && head.headers().count() <= limits.max_headers, "{head:?}");
            assert!(bytes[..used].ends_with(b"\r\n\r\n"), "a head ends with its empty line");
            is_clean(head.method().as_bytes());
            is_clean(head.target().as_bytes());
            assert!(
                head.path().starts_with('/') || matches!(head.method(), "OPTIONS" | "CONNECT"),
                "a target has a path: {head:?}"
            );
            if head.target().starts_with('/') {
                assert!(head.target().starts_with(head.path()), "{head:?}");
            }
            for (name, value) in head.headers() {
                is_clean(name.as_bytes());
                is_clean(value);
                assert!(head.values(&name.to_ascii_uppercase()).any(|found| found == value), "found by its name");
            }
            let handshake = ServerHandshake::from_request(&head);
            check_extended_connect(&head, handshake.as_ref());
            match handshake {
                Ok(handshake) => check_accepted(&head, handshake),
                Err(error) => check_refused(&Rejection::from(&error), error.status(), error == HandshakeError::Method),
            }
        }
        Err(error) => {
            match error {
                HeadError::TooLong { limit } | HeadError::FirstLineTooLong { limit } => {
                    assert!(limit == limits.max_bytes && bytes.len() > limit);
                }
                HeadError::TooManyHeaders { limit } => assert_eq!(limit, limits.max_headers),
                _ => {}
            }
            check_refused(&Rejection::from(&error), error.status(), false);
        }
    }
}

/// Reads the head. Returns it with the number of all bytes that belong to it.
fn read_request(bytes: &[u8], cuts: Cuts<'_>, limits: HeadLimits) -> Result<Option<(RequestHead, usize)>, HeadError> {
    let mut reader = RequestReader::new(limits);
    let mut before = 0;
    for piece in cuts.of(bytes) {
        if let Some((head, used)) = reader.receive(piece)? {
            return Ok(Some((head, before + used)));
        }
        before += piece.len();
        assert_eq!(reader.is_empty(), before == 0);
    }
    Ok(None)
}

/// Checks that there is no line end, nor any other control character except tab.
fn is_clean(value: &[u8]) {
    assert!(!value.iter().any(|byte| matches!(byte, 0x00..=0x08 | 0x0A..=0x1F | 0x7F)), "{value:02x?}");
}

fn check_accepted(head: &RequestHead, handshake: ServerHandshake) {
    assert_eq!(head.method(), "GET");
    let only = |name| {
        let mut values = head.values(name);
        let value = values.next().expect("the header field is present");
        assert_eq!(values.next(), None, "{name} occurs once");
        value
    };
    only("Host");
    assert_eq!(head.host(), Some(handshake.host()));
    assert_eq!(only("Sec-WebSocket-Version"), b"13");
    let key = only("Sec-WebSocket-Key");
    let subprotocols = handshake.subprotocols().to_vec();
    let accept_key = handshake.accept_key().expect("a GET has a key").to_owned();
    assert_eq!(STANDARD.decode(&accept_key).map(|hash| hash.len()), Ok(20), "a SHA-1");

    let mut answer = Vec::new();
    let chosen = subprotocols.last().map(String::as_str);
    handshake
        .accept(chosen, &[("X-Added", "a b")], Limits::default(), Delivery::Messages, &mut answer)
        .expect("the subprotocol was offered");
    // A client that sends the same key. Our client makes no key with pad bits set.
    let nonce = STANDARD.decode(key).ok().and_then(|nonce| <[u8; 16]>::try_from(nonce).ok());
    let Some(nonce) = nonce else { return };
    let offered: Vec<&str> = subprotocols.iter().map(String::as_str).collect();
    let request = ClientRequest { subprotocols: &offered, ..ClientRequest::new("a", "/") };
    let mut asked = Vec::new();
    let mut client =
        ClientHandshake::new(&request, nonce, HeadLimits::default(), &mut asked).expect("tokens can be offered");
    let (established, used) = client.receive(&answer).expect("our response is valid").expect("our response is whole");
    assert_eq!((established.subprotocol(), used), (chosen, answer.len()));
    assert_eq!(established.response().values("X-Added").next(), Some(&b"a b"[..]));
    assert_eq!(established.response().values("Sec-WebSocket-Accept").next(), Some(accept_key.as_bytes()));
}

/// Checks the extended CONNECT with the same header fields against the verdict on the request.
fn check_extended_connect(head: &RequestHead, plain: Result<&ServerHandshake, &HandshakeError>) {
    let extended = ServerHandshake::from_extended_connect("websocket", head.host().unwrap_or_default(), head.headers());
    let is_of_http1 = |error: &HandshakeError| {
        use HandshakeError::{Connection, Host, HttpVersion, Key, Method, NotAnUpgrade};
        matches!(error, Connection | Host | HttpVersion | Key | Method | NotAnUpgrade)
    };
    match (plain, extended) {
        (Ok(plain), Ok(extended)) => {
            assert_eq!((extended.host(), extended.origin()), (plain.host(), plain.origin()));
            assert_eq!(extended.subprotocols(), plain.subprotocols());
            assert_eq!(extended.extensions(), plain.extensions());
            check_extended_response(extended);
        }
        (Err(error), Ok(extended)) => {
            assert!(is_of_http1(error), "an extended CONNECT breaks this rule as well: {error}");
            check_extended_response(extended);
        }
        (Ok(plain), Err(error)) => panic!("{error}, and as a request of HTTP/1.1 it is valid: {plain:?}"),
        (Err(plain), Err(extended)) => {
            let same = match extended {
                HandshakeError::ExtendedConnectVersion => HandshakeError::WebSocketVersion,
                other => other,
            };
            assert!(same == *plain || is_of_http1(plain), "{plain} in HTTP/1.1, {extended} in an extended CONNECT");
            let rejection = Rejection::from(&extended);
            assert_eq!(rejection.status(), extended.status());
            for (name, value) in rejection.http2_headers() {
                assert!(!["connection", "upgrade"].iter().any(|own| name.eq_ignore_ascii_case(own)), "{name}");
                is_clean(value.as_bytes());
            }
        }
    }
}

/// Checks the response to an extended CONNECT, which has the chosen subprotocol alone, and no form in HTTP/1.1.
fn check_extended_response(handshake: ServerHandshake) {
    assert_eq!((handshake.status(), handshake.accept_key()), (200, None));
    let chosen = handshake.subprotocols().last().cloned();
    let fields = handshake.response_headers(chosen.as_deref()).expect("the subprotocol was offered");
    let fields: Vec<_> = fields.map(|(_, value)| value.into_owned()).collect();
    assert_eq!(fields, chosen.into_iter().collect::<Vec<_>>());
    let mut answer = Vec::new();
    let refused = handshake.accept(None, &[], Limits::default(), Delivery::Messages, &mut answer);
    assert_eq!((refused.err(), answer.len()), (Some(InvalidHeader::ExtendedConnect), 0));
}

/// Checks that our client understands a rejection of our server.
fn check_refused(rejection: &Rejection, status: u16, must_allow: bool) {
    let mut answer = Vec::new();
    rejection.write(&mut answer).expect("our own rejections can be written");
    match new_client(HeadLimits::default()).receive(&answer) {
        Err(ClientHandshakeError::Status { response, used }) => {
            assert_eq!(response.status(), status);
            assert_eq!(&answer[used..], rejection.body_text().as_bytes());
            let length = response.values("Content-Length").next().expect("Content-Length is written");
            assert_eq!(length, (answer.len() - used).to_string().as_bytes());
            assert_eq!(response.values("Allow").next().is_some(), must_allow, "405 has Allow");
        }
        other => panic!("a rejection is a valid response: {other:?}"),
    }
}

const OFFERED: [&str; 2] = ["chat", "superchat"];
/// The accept key for the key of §1.3.
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Makes a client that has sent the key of §1.3.
fn new_client(limits: HeadLimits) -> ClientHandshake {
    let request = ClientRequest { subprotocols: &OFFERED, ..ClientRequest::new("server.example.com", "/chat") };
    ClientHandshake::new(&request, *b"the sample nonce", limits, &mut Vec::new()).expect("the request is valid")
}

fn client(bytes: &[u8], cuts: Cuts<'_>, limits: HeadLimits) {
    let whole = read_response(bytes, Cuts::WHOLE, limits);
    for (name, cuts) in [("cut", cuts), ("byte by byte", Cuts::BYTES)] {
        let other = read_response(bytes, cuts, limits);
        assert_eq!(format!("{other:?}"), format!("{whole:?}"), "{name}");
    }
    let (response, used) = match &whole {
        Ok(None) => return,
        Ok(Some((established, used))) => {
            let response = established.response();
            assert_eq!(response.status(), 101);
            assert_eq!(response.values("Sec-WebSocket-Accept").collect::<Vec<_>>(), [ACCEPT]);
            assert_eq!(response.values("Sec-WebSocket-Extensions").count(), 0, "none was offered");
            let chosen: Vec<_> = established.subprotocol().into_iter().collect();
            assert!(chosen.iter().all(|name| OFFERED.contains(name)));
            let named: Vec<_> = response.values("Sec-WebSocket-Protocol").collect();
            assert_eq!(named, chosen.iter().map(|name| name.as_bytes()).collect::<Vec<_>>());
            (response, *used)
        }
        Err(ClientHandshakeError::Redirect { location, response, used }) => {
            assert!((300..400).contains(&response.status()));
            is_clean(location.as_bytes());
            (&**response, *used)
        }
        Err(ClientHandshakeError::Status { response, used }) => {
            assert!(!(100..200).contains(&response.status()));
            (&**response, *used)
        }
        Err(_) => return,
    };
    assert!(bytes[..used].ends_with(b"\r\n\r\n"), "a head ends with its empty line");
    assert!(response.headers().count() <= limits.max_headers);
    for (name, value) in response.headers() {
        is_clean(name.as_bytes());
        is_clean(value);
    }
}

/// Reads the response. `used` counts from the first byte of all reads, not of the last one.
fn read_response(
    bytes: &[u8],
    cuts: Cuts<'_>,
    limits: HeadLimits,
) -> Result<Option<(Established, usize)>, ClientHandshakeError> {
    let mut client = new_client(limits);
    let mut before = 0;
    for piece in cuts.of(bytes) {
        match client.receive(piece) {
            Ok(None) => {}
            Ok(Some((established, used))) => return Ok(Some((established, before + used))),
            Err(ClientHandshakeError::Redirect { location, response, used }) => {
                return Err(ClientHandshakeError::Redirect { location, response, used: before + used });
            }
            Err(ClientHandshakeError::Status { response, used }) => {
                return Err(ClientHandshakeError::Status { response, used: before + used });
            }
            Err(error) => return Err(error),
        }
        before += piece.len();
    }
    Ok(None)
}
