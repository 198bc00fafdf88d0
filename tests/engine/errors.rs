//! What errors and other values say of themselves: the numbers and names that they hold, in one line.

use std::fmt::{Debug, Display};

use switchboard::{
    BodyError, ClientHandshakeError, CloseCode, DeflateResponseError, Escaped, HandshakeError, HeadError, HeadLimits,
    InvalidHeader, MessageKind, ProtocolError, RequestError, RequestReader, ReservedOpcode, ResponseReader, SendError,
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
