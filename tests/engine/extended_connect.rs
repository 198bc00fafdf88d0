//! The server's side of the opening handshake in HTTP/2 and HTTP/3 (RFC 8441, RFC 9220). The request and the response
//! are another HTTP library's; `http2/` has a real one.

use switchboard::{
    Connection, Delivery, HandshakeError, InvalidHeader, Limits, Rejection, Role, ServerHandshake, State,
};
use switchboard_tests::engine::{frame, receive, text};

type Field<'a> = (&'a str, &'a [u8]);

/// The header fields of the example in RFC 8441 §5.1.
const FIELDS: [Field<'static>; 4] = [
    ("sec-websocket-protocol", b"chat, superchat"),
    ("sec-websocket-extensions", b"permessage-deflate"),
    ("sec-websocket-version", b"13"),
    ("origin", b"http://www.example.com"),
];

fn handshake(fields: &[Field<'_>]) -> Result<ServerHandshake, HandshakeError> {
    ServerHandshake::from_extended_connect("websocket", "server.example.com", fields.iter().copied())
}

#[test]
fn the_example_of_rfc_8441_is_valid_and_opens_a_connection() {
    let handshake = handshake(&FIELDS).unwrap();
    assert_eq!((handshake.status(), handshake.accept_key()), (200, None));
    assert_eq!((handshake.host(), handshake.origin()), ("server.example.com", Some("http://www.example.com")));
    assert_eq!((handshake.subprotocols().len(), handshake.extensions().len()), (2, 1));
    let fields: Vec<_> = handshake.response_headers(Some("chat")).unwrap().collect();
    assert_eq!(fields, [("Sec-WebSocket-Protocol", "chat".into())]);
    assert_eq!(handshake.response_headers(Some("mqtt")).err(), Some(InvalidHeader::Subprotocol("mqtt".into())));

    let Connection { mut receiver, .. } = handshake.into_connection(Limits::default(), Delivery::Messages);
    assert_eq!(receive(&mut receiver, &frame(Role::Server, 0x81, b"hi")), (vec![text("hi")], None));
}

/// Each row is a protocol, an authority, further fields beside the version, and the error.
#[test]
fn each_rule_is_checked_that_http_2_leaves_to_websocket() {
    type Row<'a> = (&'a str, &'a str, &'a [Field<'a>], Option<HandshakeError>);
    let version: Field<'_> = ("sec-websocket-version", b"13");
    let rows: &[Row<'_>] = &[
        ("websocket", "a:8080", &[], None),
        ("websocket", "[::1]", &[("content-length", b"0")], None),
        ("websocket", "a", &[("sec-websocket-key", b"not used"), ("upgrade", b"h2c")], None),
        ("WebSocket", "a", &[], Some(HandshakeError::Protocol)),
        ("connect-udp", "a", &[], Some(HandshakeError::Protocol)),
        ("", "a", &[], Some(HandshakeError::Protocol)),
        ("websocket", "", &[], Some(HandshakeError::Host)),
        ("websocket", "user@a", &[], Some(HandshakeError::Host)),
        ("websocket", "a", &[("content-length", b"5")], Some(HandshakeError::Body)),
        ("websocket", "a", &[version], Some(HandshakeError::ExtendedConnectVersion)),
        ("websocket", "a", &[("origin", b"a"), ("origin", b"b")], Some(HandshakeError::Origin)),
        ("websocket", "a", &[("sec-websocket-protocol", b"a, a")], Some(HandshakeError::Subprotocols)),
        ("websocket", "a", &[("sec-websocket-extensions", b"a b")], Some(HandshakeError::Extensions)),
    ];
    for (protocol, authority, fields, error) in rows {
        let fields = fields.iter().copied().chain([version]);
        let checked = ServerHandshake::from_extended_connect(protocol, authority, fields).err();
        assert_eq!(checked, *error, "{protocol} {authority}");
    }
    let versions: [&[Field<'_>]; 2] = [&[], &[("sec-websocket-version", b"8")]];
    for fields in versions {
        assert_eq!(handshake(fields).err(), Some(HandshakeError::ExtendedConnectVersion));
    }
}

/// RFC 9113 §8.2.2 forbids the fields of the connection, and §8.6 has no Upgrade for the status 426 to ask for.
#[test]
fn a_refusal_in_http_2_has_no_field_of_the_connection() {
    let rows: [(HandshakeError, u16, &[(&str, &str)]); 3] = [
        (HandshakeError::ExtendedConnectVersion, 400, &[("Sec-WebSocket-Version", "13")]),
        (HandshakeError::Protocol, 501, &[]),
        (HandshakeError::NotAnUpgrade, 426, &[]),
    ];
    for (error, status, own) in rows {
        let rejection = Rejection::from(error);
        let names: Vec<_> = rejection.http2_headers().map(|(name, _)| name.to_owned()).collect();
        let expected = own.iter().map(|(name, _)| *name).chain(["Content-Type", "Content-Length"]);
        assert_eq!((rejection.status(), names), (status, expected.map(Into::into).collect()), "{error:?}");
    }
}

#[test]
fn the_response_is_not_written_as_http_1_1() {
    let mut out = Vec::new();
    let accepted = handshake(&FIELDS).unwrap().accept(None, &[], Limits::default(), Delivery::Messages, &mut out);
    assert!(matches!(accepted, Err(InvalidHeader::ExtendedConnect)));
    assert_eq!(out, b"");
    let open = handshake(&FIELDS).unwrap().into_connection(Limits::default(), Delivery::Messages);
    assert_eq!(open.state(), State::Open);
}
