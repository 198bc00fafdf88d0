//! The responses to offers, and the responses that a client refuses (§5, §7.1).

use switchboard::{
    ClientHandshake, ClientHandshakeError, ClientRequest, Deflate, DeflateParams, DeflateResponseError, Delivery,
    HandshakeError, HeadLimits, HttpVersion, Limits, RequestReader, ServerHandshake, WindowBits,
};

use crate::{NO_TAKEOVER, TAKEOVER, deflate};

/// The header fields of an opening handshake with these values of `Sec-WebSocket-Extensions`.
fn fields<'a>(extensions: &[&'a str]) -> Vec<(&'static str, &'a [u8])> {
    let mut fields: Vec<(&str, &[u8])> = vec![
        ("Host", b"example.com"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", b"13"),
    ];
    fields.extend(extensions.iter().map(|value| ("Sec-WebSocket-Extensions", value.as_bytes())));
    fields
}

fn handshake(extensions: &[&str], deflate: &Deflate) -> Result<ServerHandshake, HandshakeError> {
    let handshake = ServerHandshake::from_parts("GET", HttpVersion::Http11, fields(extensions))?;
    Ok(handshake.with_deflate(deflate))
}

/// The server's response to these offers, or `None` if it declines them.
fn response_to(extensions: &[&str], deflate: &Deflate) -> Result<Option<String>, HandshakeError> {
    let handshake = handshake(extensions, deflate)?;
    let shown = handshake.deflate().map(ToString::to_string);
    let mut out = Vec::new();
    handshake.accept(None, &[], Limits::default(), Delivery::Messages, &mut out).expect("nothing is added");
    let out = String::from_utf8(out).expect("a head is text");
    let mut written = out.lines().filter_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    assert_eq!(written.next(), shown.as_deref(), "the response holds what was negotiated");
    assert_eq!(written.next(), None, "once");
    Ok(shown)
}

/// The response without a budget: no context takeover, then `parameters`.
fn without_takeover(parameters: &str) -> Option<String> {
    Some(format!("permessage-deflate; server_no_context_takeover; client_no_context_takeover{parameters}"))
}

fn with_budget() -> Deflate {
    deflate(|config| config.memory_bytes = 1 << 20)
}

#[test]
fn the_first_acceptable_offer_is_accepted_with_the_takeover_that_the_budget_allows() {
    // Offer, then the parameters in the response without a budget for context takeover, then those with one.
    let rows: &[(&str, &str, &str)] = &[
        ("permessage-deflate", "", ""),
        ("permessage-deflate; server_no_context_takeover", "", "; server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", "", "; client_no_context_takeover"),
        (
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
            "",
            "; server_no_context_takeover; client_no_context_takeover",
        ),
        // `client_max_window_bits` is a hint with any value.
        ("permessage-deflate; client_max_window_bits", "", ""),
        ("permessage-deflate; client_max_window_bits=8", "", ""),
        ("permessage-deflate; client_max_window_bits=9", "", ""),
        ("permessage-deflate; client_max_window_bits=15", "", ""),
        ("permessage-deflate; server_max_window_bits=9", "; server_max_window_bits=9", "; server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=15", "; server_max_window_bits=15", "; server_max_window_bits=15"),
        (
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12; server_no_context_takeover",
            "; server_max_window_bits=10",
            "; server_no_context_takeover; server_max_window_bits=10",
        ),
        (
            r#"permessage-deflate; server_max_window_bits="10""#,
            "; server_max_window_bits=10",
            "; server_max_window_bits=10",
        ),
        (r#"permessage-deflate; client_max_window_bits="\8""#, "", ""),
        (
            " permessage-deflate ;\tserver_max_window_bits = 11 ,",
            "; server_max_window_bits=11",
            "; server_max_window_bits=11",
        ),
        // Of several offers, the first acceptable one.
        ("x-webkit-deflate-frame, permessage-deflate", "", ""),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", "", ""),
        (
            "permessage-deflate; later, permessage-deflate; client_no_context_takeover",
            "",
            "; client_no_context_takeover",
        ),
        (
            "permessage-deflate; server_max_window_bits=12, permessage-deflate; server_max_window_bits=10",
            "; server_max_window_bits=12",
            "; server_max_window_bits=12",
        ),
        (
            "permessage-deflate; client_max_window_bits=7, permessage-deflate; client_max_window_bits=7, permessage-deflate",
            "",
            "",
        ),
    ];
    for (offer, without, with) in rows {
        assert_eq!(response_to(&[offer], &Deflate::default()), Ok(without_takeover(without)), "{offer}");
        assert_eq!(
            response_to(&[offer], &with_budget()),
            Ok(Some(format!("permessage-deflate{with}"))),
            "{offer}, budget"
        );
    }
    let two_fields = ["permessage-deflate; unknown", "foo, permessage-deflate; server_max_window_bits=9"];
    assert_eq!(response_to(&two_fields, &Deflate::default()), Ok(without_takeover("; server_max_window_bits=9")));
}

#[test]
fn offers_with_an_invalid_parameter_are_declined_and_the_connection_opens() {
    let mut offers: Vec<String> = Vec::new();
    for name in ["server_max_window_bits", "client_max_window_bits"] {
        for value in
            ["0", "7", "08", "16", "256", "-1", "+9", "9.0", "1e1", "0x9", "99999999999999999999", "ten", "\"010\""]
        {
            offers.push(format!("{name}={value}"));
        }
        offers.push(format!("{name}=10; {name}=10"));
    }
    for name in ["server_no_context_takeover", "client_no_context_takeover"] {
        for value in ["1", "true", "0", "\"x\""] {
            offers.push(format!("{name}={value}"));
        }
        offers.push(format!("{name}; {name}"));
    }
    offers.extend(
        [
            "server_max_window_bits",
            "server_max_window_bits=8", // zlib does not compress with such a window
            "client_max_window_bits; client_max_window_bits=10",
            "unknown",
            "server_no_context_takeover; unknown=1",
            "Server_No_Context_Takeover",
        ]
        .map(String::from),
    );
    for parameters in offers {
        let offer = format!("permessage-deflate; {parameters}");
        for deflate in [Deflate::default(), with_budget()] {
            assert_eq!(response_to(&[&offer], &deflate), Ok(None), "{offer}");
            assert_eq!(deflate.takeover_bytes(), 0, "{offer}: nothing is reserved");
        }
    }
    for other in ["permessage-bzip2", "deflate", "permessage-deflate2", "x; permessage-deflate"] {
        assert_eq!(response_to(&[other], &Deflate::default()), Ok(None), "{other}");
    }
    assert_eq!(response_to(&[], &Deflate::default()), Ok(None));
}

#[test]
fn offers_that_break_the_grammar_are_refused_with_400() {
    for value in [
        "",
        ";",
        "permessage-deflate;",
        "permessage-deflate;;client_no_context_takeover",
        "permessage-deflate; =1",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits=\"\"",
        "permessage-deflate; client_max_window_bits=\"8",
        "permessage-deflate; client_max_window_bits=8 8",
        "permessage-deflate client_max_window_bits",
        "permessage-deflate, =",
        "permessage-deflate; client_max_window_bits==8",
        "permessage-deflate/1",
        "permessage-deflate; a=\u{e9}",
    ] {
        let refused = handshake(&[value], &Deflate::default()).err();
        assert_eq!(refused, Some(HandshakeError::Extensions), "{value:?}");
        assert_eq!(HandshakeError::Extensions.status(), 400);
        let behind = handshake(&["permessage-deflate", value], &Deflate::default()).err();
        assert_eq!(behind, Some(HandshakeError::Extensions), "{value:?}, behind a valid offer");
    }
}

#[test]
fn a_thousand_offers_in_one_head_are_read_to_the_last() {
    let list = "x;y=1,".repeat(999) + "permessage-deflate";
    let request = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: {list}\r\n\r\n"
    );
    let (head, _) = RequestReader::new(HeadLimits::default()).receive(request.as_bytes()).unwrap().expect("whole");
    let handshake = ServerHandshake::from_request(&head).unwrap().with_deflate(&Deflate::default());
    assert_eq!((handshake.extensions().len(), handshake.deflate()), (1000, Some(&NO_TAKEOVER)));

    let declined = ["permessage-deflate; server_max_window_bits=8"; 999].join(",");
    assert_eq!(response_to(&[&declined], &Deflate::default()), Ok(None));
    assert_eq!(response_to(&[&(declined + ",permessage-deflate")], &Deflate::default()), Ok(without_takeover("")));
    let repeated = "permessage-deflate".to_owned() + &"; client_no_context_takeover".repeat(1000);
    assert_eq!(response_to(&[&repeated], &Deflate::default()), Ok(None));
}

#[test]
fn without_budget_left_the_response_forbids_the_client_context_takeover() {
    let deflate = deflate(|config| config.memory_bytes = 40_000); // one window of 32 KiB
    let offer = ["permessage-deflate; client_max_window_bits"];
    let first = handshake(&offer, &deflate).unwrap();
    // The budget is too small for a compressor, so the server does not take its context over.
    assert_eq!(first.deflate(), Some(&DeflateParams { server_no_context_takeover: true, ..TAKEOVER }));
    assert!((32_768..=40_000).contains(&deflate.takeover_bytes()));
    let second = response_to(&offer, &deflate).unwrap();
    assert_eq!(second.as_deref(), Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"));
    // An open connection keeps what its handshake reserved; a dropped handshake releases it.
    let connection = first.into_connection(Limits::default(), Delivery::Messages);
    assert_eq!(response_to(&offer, &deflate).unwrap(), second);
    drop(connection);
    assert_eq!(deflate.takeover_bytes(), 0);
    drop(handshake(&offer, &deflate).unwrap());
    assert_eq!(
        response_to(&offer, &deflate).unwrap().as_deref(),
        Some("permessage-deflate; server_no_context_takeover")
    );
    // A client without context takeover takes none of the budget.
    let without = handshake(&["permessage-deflate; client_no_context_takeover"], &deflate).unwrap();
    assert_eq!((without.deflate().is_some(), deflate.takeover_bytes()), (true, 0));
}

/// A client handshake with its request written, with or without an offer.
fn begin_handshake(deflate: Option<&Deflate>, out: &mut Vec<u8>) -> ClientHandshake {
    let (request, nonce, limits) =
        (ClientRequest::new("example.com", "/"), *b"the sample nonce", HeadLimits::default());
    match deflate {
        Some(deflate) => ClientHandshake::with_deflate(&request, deflate, nonce, limits, out),
        None => ClientHandshake::new(&request, nonce, limits, out),
    }
    .expect("a valid request")
}

/// The value of `Sec-WebSocket-Extensions` in the request.
fn requested(deflate: Option<&Deflate>) -> Option<String> {
    let mut out = Vec::new();
    begin_handshake(deflate, &mut out);
    let out = String::from_utf8(out).expect("a head is text");
    let mut found = out.lines().filter_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    let first = found.next().map(String::from);
    assert_eq!(found.next(), None, "once");
    first
}

#[test]
fn a_client_offers_the_context_takeover_that_it_has_memory_for() {
    assert_eq!(requested(None), None);
    assert_eq!(
        requested(Some(&Deflate::default())).as_deref(),
        Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits")
    );
    let enough = deflate(|config| config.memory_bytes = 300_000);
    assert_eq!(requested(Some(&enough)).as_deref(), Some("permessage-deflate; client_max_window_bits"));
    // Enough for a window, but not for a compressor.
    let deflate = deflate(|config| config.memory_bytes = 40_000);
    assert_eq!(
        requested(Some(&deflate)).as_deref(),
        Some("permessage-deflate; client_no_context_takeover; client_max_window_bits")
    );
    assert_eq!(deflate.takeover_bytes(), 0, "a dropped handshake releases its memory");
    let spent = handshake(&["permessage-deflate"], &deflate).unwrap();
    assert_eq!(
        requested(Some(&deflate)).as_deref(),
        Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits")
    );
    drop(spent);
}

/// The client's result for a response with these values of `Sec-WebSocket-Extensions`.
fn outcome(extensions: &[&str], deflate: Option<&Deflate>) -> Result<Option<DeflateParams>, ClientHandshakeError> {
    let mut handshake = begin_handshake(deflate, &mut Vec::new());
    let lines: String = extensions.iter().map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n")).collect();
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{lines}\r\n"
    );
    let (established, used) = handshake.receive(response.as_bytes())?.expect("a whole response");
    assert_eq!(used, response.len());
    Ok(established.deflate().copied())
}

#[test]
fn a_client_keeps_the_memory_of_a_window_while_the_server_may_take_its_context_over() {
    let deflate = with_budget();
    for (parameters, windows) in [("", 1), ("; server_no_context_takeover", 0)] {
        let mut handshake = begin_handshake(Some(&deflate), &mut Vec::new());
        let window = deflate.takeover_bytes();
        assert!(window >= 32 << 10, "{window} bytes");
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             Sec-WebSocket-Extensions: permessage-deflate{parameters}\r\n\r\n"
        );
        let accepted = handshake.receive(response.as_bytes()).expect("valid").expect("whole");
        drop(handshake);
        assert_eq!(deflate.takeover_bytes(), windows * window, "{parameters}");
        drop(accepted);
        assert_eq!(deflate.takeover_bytes(), 0, "{parameters}");
    }
}

#[test]
fn windows_of_8_to_15_bits_are_parsed_and_no_others() {
    for value in 0..=20_u8 {
        let response = format!("permessage-deflate; server_no_context_takeover; server_max_window_bits={value}");
        let agreed = outcome(&[&response], Some(&Deflate::default()));
        let expected = (8..=15).contains(&value).then(|| bits(value));
        assert_eq!(agreed.ok().map(|params| params.expect("agreed").server_max_window_bits), expected, "{value}");
    }
}

fn bits(bits: u8) -> Option<WindowBits> {
    Some(WindowBits::try_from(bits).expect("8 to 15"))
}

#[test]
fn a_client_accepts_a_valid_response_to_its_offer() {
    let rows: &[(&[&str], Option<DeflateParams>)] = &[
        (&[], None),
        (&["permessage-deflate; server_no_context_takeover; client_no_context_takeover"], Some(NO_TAKEOVER)),
        (
            &["permessage-deflate; server_no_context_takeover"],
            Some(DeflateParams { client_no_context_takeover: false, ..NO_TAKEOVER }),
        ),
        (
            &["permessage-deflate; server_no_context_takeover; server_max_window_bits=8"],
            Some(DeflateParams { client_no_context_takeover: false, server_max_window_bits: bits(8), ..NO_TAKEOVER }),
        ),
        (
            &["permessage-deflate;server_no_context_takeover;client_no_context_takeover;client_max_window_bits=\"8\""],
            Some(DeflateParams { client_max_window_bits: bits(8), ..NO_TAKEOVER }),
        ),
    ];
    for (fields, params) in rows {
        assert_eq!(outcome(fields, Some(&Deflate::default())).expect("valid"), *params, "{fields:?}");
        let open = outcome(fields, Some(&with_budget())).expect("valid");
        assert_eq!(open, *params, "{fields:?}: a server need not use what was allowed");
    }
    let full = "permessage-deflate; server_max_window_bits=9; client_max_window_bits=15";
    let expected = DeflateParams { server_max_window_bits: bits(9), client_max_window_bits: bits(15), ..TAKEOVER };
    let deflate = with_budget();
    assert_eq!(outcome(&[full], Some(&deflate)).expect("valid"), Some(expected));
    assert_eq!(outcome(&["permessage-deflate"], Some(&deflate)).expect("valid"), Some(TAKEOVER));
    assert_eq!(deflate.takeover_bytes(), 0);
}

#[test]
fn a_client_refuses_an_invalid_response_to_its_offer() {
    use DeflateResponseError::{ContextTakeover, InvalidValue, Repeated, Unknown};
    let rows: &[(&str, DeflateResponseError)] = &[
        ("permessage-deflate", ContextTakeover), // the offer has server_no_context_takeover
        ("permessage-deflate; client_no_context_takeover", ContextTakeover),
        ("permessage-deflate; server_no_context_takeover=1", InvalidValue),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover=\"a\"", InvalidValue),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits", InvalidValue),
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits", InvalidValue),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=7", InvalidValue),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=08", InvalidValue),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=16", InvalidValue),
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits=256", InvalidValue),
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits=-1", InvalidValue),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", Repeated),
        ("permessage-deflate; client_max_window_bits=9; client_max_window_bits=9", Repeated),
        ("permessage-deflate; server_no_context_takeover; mux", Unknown),
        ("permessage-deflate; server_no_context_takeover; SERVER_MAX_WINDOW_BITS=9", Unknown),
    ];
    for (response, expected) in rows {
        match outcome(&[response], Some(&Deflate::default())) {
            Err(ClientHandshakeError::Deflate(error)) => assert_eq!(error, *expected, "{response}"),
            other => panic!("{response}: {other:?}"),
        }
    }
    let valid = "permessage-deflate; server_no_context_takeover";
    for fields in [&["mux"][..], &[valid, valid], &["mux", valid], &[valid, "mux"]] {
        let refused = outcome(fields, Some(&Deflate::default()));
        assert!(matches!(refused, Err(ClientHandshakeError::Extension)), "{fields:?}: {refused:?}");
    }
    let unasked = outcome(&[valid], None);
    assert!(matches!(unasked, Err(ClientHandshakeError::Extension)), "{unasked:?}");
    for field in
        ["", ";", "permessage-deflate;", "permessage-deflate; server_max_window_bits=\"\"", "permessage-deflate, ="]
    {
        for offered in [Some(&Deflate::default()), None] {
            let refused = outcome(&[field], offered);
            assert!(matches!(refused, Err(ClientHandshakeError::Extensions)), "{field:?}: {refused:?}");
        }
    }
}

#[test]
fn the_bits_of_a_window_are_a_number_from_8_to_15() {
    for bits in 0..=u8::MAX {
        match WindowBits::try_from(bits) {
            Ok(window) => {
                assert!((8..=15).contains(&bits), "{bits}");
                assert_eq!((u8::from(window), window.get(), window.to_string()), (bits, bits, bits.to_string()));
            }
            Err(error) => {
                assert!(!(8..=15).contains(&bits), "{bits}");
                assert!(error.to_string().starts_with(&format!("{bits} window bits")), "{error}");
            }
        }
    }
}
