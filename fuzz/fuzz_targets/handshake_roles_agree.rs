//! A value that a caller gives to either role is either refused, and then nothing is written, or arrives unchanged at
//! the other role. No value ends its line early.
//!
//! Input: bit 0: an Origin, bit 1: which subprotocol is chosen, bit 2: one that was not offered, bit 3: deflate is
//! offered, bit 4: deflate is accepted; the nonce, 16 bytes; cuts; then, each after its length: host, target, Origin,
//! two subprotocols, name and value of a header field of the request, name and value of one of the response.
#![no_main]

use switchboard::{
    ClientHandshake, ClientRequest, Delivery, HeadLimits, HttpVersion, InvalidHeader, Limits, RequestHead,
    RequestReader, ServerHandshake,
};
use switchboard_fuzz::{Cuts, Input, shared_deflate};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let options = input.byte();
    let nonce = input.array();
    let cuts = input.cuts();
    let mut text = || String::from_utf8_lossy(input.counted()).into_owned();
    let (host, target, origin, first, second) = (text(), text(), text(), text(), text());
    let (asked_name, asked_value, told_name, told_value) = (text(), text(), text(), text());
    let subprotocols: Vec<&str> = [&*first, &*second].into_iter().filter(|name| !name.is_empty()).collect();

    let shared = shared_deflate();
    let request = ClientRequest {
        host: &host,
        target: &target,
        origin: (options & 1 != 0).then_some(&origin),
        subprotocols: &subprotocols,
        headers: &[(&asked_name, &asked_value)],
    };
    let mut wire = b"kept".to_vec();
    let limits = HeadLimits::default();
    let started = match options & 8 {
        0 => ClientHandshake::new(&request, nonce, limits, &mut wire),
        _ => ClientHandshake::with_deflate(&request, &shared, nonce, limits, &mut wire),
    };
    let mut client = match started {
        Ok(client) => client,
        Err(error) => {
            assert_eq!(wire, b"kept", "nothing is written: {error}");
            return;
        }
    };
    let head = read(&wire[4..], cuts);
    assert_eq!((head.method(), head.target(), head.version()), ("GET", &*target, HttpVersion::Http11));
    let offered = usize::from(options & 8 != 0);
    let known = 5 + usize::from(options & 1 != 0) + usize::from(!subprotocols.is_empty()) + offered;
    assert_eq!(head.headers().count(), known + 1, "only the requested header fields: {head:?}");
    assert_eq!(head.values(&asked_name).collect::<Vec<_>>(), [trim(&asked_value)]);

    let server = ServerHandshake::from_request(&head).expect("our server accepts our client's request");
    assert_eq!(server.host(), host);
    assert_eq!(server.origin(), (options & 1 != 0).then_some(&*origin).map(str::trim));
    assert_eq!(server.subprotocols(), subprotocols);
    assert_eq!(server.extensions().len(), offered);
    let server = if options & 16 != 0 { server.with_deflate(&shared) } else { server };
    let agreed = server.deflate().copied();
    assert_eq!(agreed.is_some(), options & 24 == 24);

    let chosen =
        if options & 4 != 0 { Some("not offered") } else { subprotocols.get(usize::from(options >> 1 & 1)).copied() };
    let mut answer = b"kept".to_vec();
    let told = [(&*told_name, &*told_value)];
    match server.accept(chosen, &told, Limits::default(), Delivery::Messages, &mut answer) {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(answer, b"kept", "nothing is written: {error}");
            assert_eq!(matches!(error, InvalidHeader::Subprotocol(_)), options & 4 != 0, "{error}");
            return;
        }
    }
    let answer = &answer[4..];
    let mut outcome = None;
    let mut before = 0;
    for piece in cuts.of(answer) {
        assert!(outcome.is_none(), "the response does not end before its last byte");
        outcome = client.receive(piece).expect("our client accepts our server's response");
        before += piece.len();
    }
    let (established, _) = outcome.expect("the response is whole");
    assert_eq!(before, answer.len());
    assert_eq!(established.subprotocol(), chosen);
    let response = established.response();
    assert_eq!(established.deflate().copied(), agreed);
    let told = usize::from(chosen.is_some()) + usize::from(agreed.is_some());
    assert_eq!(response.headers().count(), 4 + told, "{response:?}");
    assert_eq!(response.values(&told_name).collect::<Vec<_>>(), [trim(&told_value)]);
});

fn read(wire: &[u8], cuts: Cuts<'_>) -> RequestHead {
    let mut reader = RequestReader::new(HeadLimits::default());
    let mut before = 0;
    for piece in cuts.of(wire) {
        before += piece.len();
        if let Some((head, used)) = reader.receive(piece).expect("our client's request is a valid head") {
            assert_eq!((before, used), (wire.len(), piece.len()), "the request ends with its last byte");
            return head;
        }
    }
    panic!("our client's request is whole");
}

/// Space around a value is not part of it (RFC 9110 §5.5).
fn trim(value: &str) -> &[u8] {
    value.trim_matches([' ', '\t']).as_bytes()
}
