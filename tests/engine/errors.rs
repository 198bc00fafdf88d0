//! What errors and other values say of themselves: the numbers and names that they hold, in one line.

use std::fmt::{Debug, Display};

use switchboard::{
    BodyError, BodyReader, ClientHandshakeError, CloseCode, Connection, DeflateResponseError, Delivery, Driver,
    Escaped, HandshakeError, HeadError, HeadLimits, InvalidHeader, Limits, MessageKind, Prepared, ProtocolError,
    RequestError, RequestReader, ReservedOpcode, ResponseReader, SendError,
};

fn check(rows: &[(&dyn Display, &[&str])]) {
    for (value, parts) in rows {
        let text = value.to_string();
        assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
        for part in *parts {
            assert!(text.contains(part), "{text:?} without {part}");
        }
    }
}

#[test]
fn an_error_names_what_it_holds() {
    check(&[
        (&ProtocolError::ReservedBits { bits: 5 }, &["reserved bit", "101"]),
        (&ProtocolError::ReservedOpcode(0xB), &["reserved opcode", "0xb"]),
        (&ProtocolError::FrameTooLong { length: 1234, limit: 567 }, &["frame", "1234", "567"]),
        (&ProtocolError::MessageTooLong { length: 1234, limit: 567 }, &["message", "1234", "567"]),
        (&ProtocolError::TooManyEmptyFrames { limit: 321 }, &["empty frames", "321"]),
        (&ProtocolError::TooManyFinalBlocks { limit: 321 }, &["final blocks", "321"]),
        (&ProtocolError::InvalidUtf8 { offset: 99 }, &["UTF-8", "99"]),
        (&ProtocolError::InvalidCloseCode(CloseCode::new(1005)), &["close code", "1005"]),
        (&ProtocolError::MaskedFrame, &["masked frame"]),
        (&SendError::Closed, &["Close"]),
        (&SendError::MessageUnfinished(MessageKind::Binary), &["Binary"]),
        (&SendError::ControlTooLong { length: 126 }, &["126", "125"]),
        (&SendError::InvalidCloseCode(CloseCode::new(1006)), &["1006"]),
        (&SendError::ReasonTooLong { length: 124 }, &["124", "123"]),
        (&SendError::BufferTooSmall { needed: 77 }, &["77"]),
        (&ReservedOpcode(0xC), &["0xc"]),
        (&CloseCode::new(1000), &["1000"]),
        (&HeadError::FirstLineTooLong { limit: 100 }, &["line", "100"]),
        (&HeadError::TooLong { limit: 200 }, &["200"]),
        (&HeadError::TooManyHeaders { limit: 3 }, &["3"]),
        (&HandshakeError::Method, &["GET"]),
        (&HandshakeError::Key, &["Sec-WebSocket-Key"]),
        (&RequestError::from(HeadError::TooLong { limit: 200 }), &["200"]),
        (&RequestError::from(HandshakeError::Method), &["GET"]),
        (&RequestError::from(BodyError::TooLong { limit: 300 }), &["300"]),
        (&BodyError::OverheadTooLong { limit: 400 }, &["400"]),
        (&BodyError::TooManyTrailers { limit: 5 }, &["5"]),
        (&InvalidHeader::Name("a b".into()), &["\"a b\""]),
        (&InvalidHeader::Value { name: "X-A".into() }, &["X-A"]),
        (&InvalidHeader::Reserved("Upgrade".into()), &["Upgrade"]),
        (&InvalidHeader::Subprotocol("a,b".into()), &["a,b"]),
        (&InvalidHeader::Status(99), &["99"]),
        (&InvalidHeader::Target("\n".into()), &["\\n"]),
        (&ClientHandshakeError::Accept, &["Sec-WebSocket-Accept"]),
        (&DeflateResponseError::Repeated, &["parameter", "twice"]),
    ]);
}

#[test]
fn a_value_shows_what_the_peer_sent_and_escapes_it() {
    let request = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nX-Name: \xe9\r\n\r\n";
    let (request, _) = RequestReader::new(HeadLimits::default()).receive(request).expect("valid").expect("whole");
    let response = b"HTTP/1.1 404 Not Found\r\nX-Name: \xe9\r\n\r\n";
    let (response, _) = ResponseReader::new(HeadLimits::default()).receive(response).expect("valid").expect("whole");
    let rows: [(&dyn Debug, &[&str]); 4] = [
        (&request, &["GET", "/chat", "example.com", "\\xe9"]),
        (&response, &["404", "X-Name", "\\xe9"]),
        (&Escaped::new("a\nb"), &["\"a\\nb\""]),
        (&CloseCode::new(1001), &["1001"]),
    ];
    for (value, parts) in rows {
        let text = format!("{value:?}");
        for part in parts {
            assert!(text.contains(part), "{text} without {part}");
        }
    }
}

/// What is logged of a connection must not hold what its users say: neither as text nor as a list of bytes.
#[test]
fn a_state_that_is_shown_holds_nothing_that_was_sent() {
    const SECRET: &[u8] = b"hush hush";
    let mut shown: Vec<(&str, String)> = Vec::new();
    for (name, cut) in [("a frame of a message", [0x01, 0x89]), ("a cut frame", [0x81, 0xA0]), ("a Ping", [0x89, 0xA0])]
    {
        let mut receiver = Connection::server(Limits::default(), Delivery::Messages).receiver;
        let key = [0; 4];
        let mut wire = [&cut[..], &key, SECRET].concat();
        assert_eq!(receiver.receive(&mut wire).next_event(), Ok(None));
        assert!(receiver.has_unfinished());
        shown.push((name, format!("{receiver:?}")));
    }
    let mut driver = Driver::new(Connection::server(Limits::default(), Delivery::Messages), Vec::new());
    driver.outgoing().binary(SECRET).unwrap();
    shown.push(("output", format!("{driver:?}")));
    shown.push(("a prepared message", format!("{:?}", Prepared::binary(SECRET))));
    let post = b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100\r\n\r\n";
    let (head, _) = RequestReader::new(HeadLimits::default()).receive(post).unwrap().unwrap();
    let mut body = BodyReader::new(&head, 1000, HeadLimits::default()).unwrap();
    assert_eq!(body.receive(SECRET), Ok(None));
    shown.push(("a body", format!("{body:?}")));
    let mut reader = RequestReader::new(HeadLimits::default());
    assert!(reader.receive(&[b"GET / HTTP/1.1\r\nCookie: ", SECRET].concat()).unwrap().is_none());
    shown.push(("a head", format!("{reader:?}")));
    let bytes = format!("{SECRET:?}");
    for (name, text) in shown {
        assert!(!text.contains("hush") && !text.contains(bytes.trim_matches(['[', ']'])), "{name}: {text}");
        assert!(text.chars().any(|c| c.is_ascii_digit()), "{name} has no number: {text}");
    }
}
