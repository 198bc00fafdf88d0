//! What is answered to which offer, and which answers are none (§5, §7.1).

use switchboard::{
    ClientHandshake, ClientHandshakeError, ClientRequest, Deflate, DeflateParams, DeflateResponseError, Delivery,
    HandshakeError, HeadLimits, HttpVersion, Limits, RequestReader, ServerHandshake, WindowBits,
};

use crate::{AFRESH, TAKEOVER, deflate};

/// Fields of an opening handshake, with these for the extensions.
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

/// What a server answers to these offers; nothing where it declines them.
fn answer(extensions: &[&str], deflate: &Deflate) -> Result<Option<String>, HandshakeError> {
    let handshake = handshake(extensions, deflate)?;
    let shown = handshake.deflate().map(ToString::to_string);
    let mut out = Vec::new();
    handshake.accept(None, &[], Limits::default(), Delivery::Messages, &mut out).expect("nothing is added");
    let out = String::from_utf8(out).expect("a head is text");
    let mut written = out.lines().filter_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    assert_eq!(written.next(), shown.as_deref(), "what is written is what was agreed on");
    assert_eq!(written.next(), None, "once");
    Ok(shown)
}

/// The answer without a budget to this offer: `parameters` stand behind that nothing is taken over.
fn afresh(parameters: &str) -> Option<String> {
    Some(format!("permessage-deflate; server_no_context_takeover; client_no_context_takeover{parameters}"))
}

fn with_budget() -> Deflate {
    deflate(|config| config.memory_bytes = 1 << 20)
}

#[test]
fn each_offer_has_its_answer() {
    // What stands behind the name in the answer, without a budget for context takeover and with one.
    let rows: &[(&str, &str, &str)] = &[
        ("permessage-deflate", "", ""),
        ("permessage-deflate; server_no_context_takeover", "", "; server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", "", "; client_no_context_takeover"),
        (
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
            "",
            "; server_no_context_takeover; client_no_context_takeover",
        ),
        // How small a client's window could be is a hint, with any value.
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
        // The first that can be taken, of several.
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
        assert_eq!(answer(&[offer], &Deflate::default()), Ok(afresh(without)), "{offer}");
        assert_eq!(answer(&[offer], &with_budget()), Ok(Some(format!("permessage-deflate{with}"))), "{offer}, budget");
    }
    let two_fields = ["permessage-deflate; unknown", "foo, permessage-deflate; server_max_window_bits=9"];
    assert_eq!(answer(&two_fields, &Deflate::default()), Ok(afresh("; server_max_window_bits=9")));
}

#[test]
fn offers_with_a_parameter_that_cannot_be_are_declined_and_the_connection_goes_on() {
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
            "server_max_window_bits=8", // zlib has no such window to compress with
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
            assert_eq!(answer(&[&offer], &deflate), Ok(None), "{offer}");
            assert_eq!(deflate.takeover_bytes(), 0, "{offer}: nothing is reserved for it");
        }
    }
    for other in ["permessage-bzip2", "deflate", "permessage-deflate2", "x; permessage-deflate"] {
        assert_eq!(answer(&[other], &Deflate::default()), Ok(None), "{other}");
    }
    assert_eq!(answer(&[], &Deflate::default()), Ok(None));
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
        assert_eq!(behind, Some(HandshakeError::Extensions), "{value:?}, behind one that is valid");
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
    assert_eq!((handshake.extensions().len(), handshake.deflate()), (1000, Some(&AFRESH)));

    let declined = ["permessage-deflate; server_max_window_bits=8"; 999].join(",");
    assert_eq!(answer(&[&declined], &Deflate::default()), Ok(None));
    assert_eq!(answer(&[&(declined + ",permessage-deflate")], &Deflate::default()), Ok(afresh("")));
    let repeated = "permessage-deflate".to_owned() + &"; client_no_context_takeover".repeat(1000);
    assert_eq!(answer(&[&repeated], &Deflate::default()), Ok(None));
}

#[test]
fn where_the_budget_is_spent_the_client_is_told_to_start_afresh() {
    let deflate = deflate(|config| config.memory_bytes = 40_000); // one window of 32 KiB
    let offer = ["permessage-deflate; client_max_window_bits"];
    let first = handshake(&offer, &deflate).unwrap();
    // It is too little for a compressor, so we use no takeover of our own.
    assert_eq!(first.deflate(), Some(&DeflateParams { server_no_context_takeover: true, ..TAKEOVER }));
    assert!((32_768..=40_000).contains(&deflate.takeover_bytes()));
    let second = answer(&offer, &deflate).unwrap();
    assert_eq!(second.as_deref(), Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"));
    // An open connection holds what its handshake reserved, a rejected one gives it back.
    let connection = first.into_connection(Limits::default(), Delivery::Messages);
    assert_eq!(answer(&offer, &deflate).unwrap(), second);
    drop(connection);
    assert_eq!(deflate.takeover_bytes(), 0);
    drop(handshake(&offer, &deflate).unwrap());
    assert_eq!(answer(&offer, &deflate).unwrap().as_deref(), Some("permessage-deflate; server_no_context_takeover"));
    // A client that starts afresh by itself takes nothing of it.
    let afresh = handshake(&["permessage-deflate; client_no_context_takeover"], &deflate).unwrap();
    assert_eq!((afresh.deflate().is_some(), deflate.takeover_bytes()), (true, 0));
}

/// A handshake that is begun, with or without an offer.
fn begun(deflate: Option<&Deflate>, out: &mut Vec<u8>) -> ClientHandshake {
    let (request, nonce, limits) =
        (ClientRequest::new("example.com", "/"), *b"the sample nonce", HeadLimits::default());
    match deflate {
        Some(deflate) => ClientHandshake::with_deflate(&request, deflate, nonce, limits, out),
        None => ClientHandshake::new(&request, nonce, limits, out),
    }
    .expect("a valid request")
}

/// The value of the request's header field.
fn requested(deflate: Option<&Deflate>) -> Option<String> {
    let mut out = Vec::new();
    begun(deflate, &mut out);
    let out = String::from_utf8(out).expect("a head is text");
    let mut found = out.lines().filter_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    let first = found.next().map(String::from);
    assert_eq!(found.next(), None, "once");
    first
}

#[test]
fn a_client_asks_for_what_it_has_memory_for() {
    assert_eq!(requested(None), None);
    assert_eq!(
        requested(Some(&Deflate::default())).as_deref(),
        Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits")
    );
    let enough = deflate(|config| config.memory_bytes = 300_000);
    assert_eq!(requested(Some(&enough)).as_deref(), Some("permessage-deflate; client_max_window_bits"));
    // For a window, but not for a compressor.
    let deflate = deflate(|config| config.memory_bytes = 40_000);
    assert_eq!(
        requested(Some(&deflate)).as_deref(),
        Some("permessage-deflate; client_no_context_takeover; client_max_window_bits")
    );
    assert_eq!(deflate.takeover_bytes(), 0, "a handshake that is given up gives its memory back");
    let spent = handshake(&["permessage-deflate"], &deflate).unwrap();
    assert_eq!(
        requested(Some(&deflate)).as_deref(),
        Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits")
    );
    drop(spent);
}

/// What a client makes of an answer with these fields.
fn answered(extensions: &[&str], deflate: Option<&Deflate>) -> Result<Option<DeflateParams>, ClientHandshakeError> {
    let mut handshake = begun(deflate, &mut Vec::new());
    let lines: String = extensions.iter().map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n")).collect();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{lines}\r\n"
    );
    let (established, used) = handshake.receive(answer.as_bytes())?.expect("a whole answer");
    assert_eq!(used, answer.len());
    Ok(established.deflate().copied())
}

fn bits(bits: u8) -> Option<WindowBits> {
    Some(WindowBits::try_from(bits).expect("8 to 15"))
}

#[test]
fn a_client_takes_what_is_an_answer_to_its_offer() {
    let rows: &[(&[&str], Option<DeflateParams>)] = &[
        (&[], None),
        (&["permessage-deflate; server_no_context_takeover; client_no_context_takeover"], Some(AFRESH)),
        (
            &["permessage-deflate; server_no_context_takeover"],
            Some(DeflateParams { client_no_context_takeover: false, ..AFRESH }),
        ),
        (
            &["permessage-deflate; server_no_context_takeover; server_max_window_bits=8"],
            Some(DeflateParams { client_no_context_takeover: false, server_max_window_bits: bits(8), ..AFRESH }),
        ),
        (
            &["permessage-deflate;server_no_context_takeover;client_no_context_takeover;client_max_window_bits=\"8\""],
            Some(DeflateParams { client_max_window_bits: bits(8), ..AFRESH }),
        ),
    ];
    for (fields, params) in rows {
        assert_eq!(answered(fields, Some(&Deflate::default())).expect("valid"), *params, "{fields:?}");
        let open = answered(fields, Some(&with_budget())).expect("valid");
        assert_eq!(open, *params, "{fields:?}: a server may do without what it was allowed");
    }
    let full = "permessage-deflate; server_max_window_bits=9; client_max_window_bits=15";
    let expected = DeflateParams { server_max_window_bits: bits(9), client_max_window_bits: bits(15), ..TAKEOVER };
    let deflate = with_budget();
    assert_eq!(answered(&[full], Some(&deflate)).expect("valid"), Some(expected));
    assert_eq!(answered(&["permessage-deflate"], Some(&deflate)).expect("valid"), Some(TAKEOVER));
    assert_eq!(deflate.takeover_bytes(), 0);
}

#[test]
fn a_client_refuses_what_is_no_answer_to_its_offer() {
    use DeflateResponseError::{ContextTakeover, InvalidValue, Repeated, Unknown};
    let rows: &[(&str, DeflateResponseError)] = &[
        ("permessage-deflate", ContextTakeover), // we asked for the server's
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
    for (answer, expected) in rows {
        match answered(&[answer], Some(&Deflate::default())) {
            Err(ClientHandshakeError::Deflate(error)) => assert_eq!(error, *expected, "{answer}"),
            other => panic!("{answer}: {other:?}"),
        }
    }
    let valid = "permessage-deflate; server_no_context_takeover";
    for fields in [&["mux"][..], &[valid, valid], &["mux", valid], &[valid, "mux"]] {
        let refused = answered(fields, Some(&Deflate::default()));
        assert!(matches!(refused, Err(ClientHandshakeError::Extension)), "{fields:?}: {refused:?}");
    }
    let unasked = answered(&[valid], None);
    assert!(matches!(unasked, Err(ClientHandshakeError::Extension)), "{unasked:?}");
    for field in
        ["", ";", "permessage-deflate;", "permessage-deflate; server_max_window_bits=\"\"", "permessage-deflate, ="]
    {
        for offered in [Some(&Deflate::default()), None] {
            let refused = answered(&[field], offered);
            assert!(matches!(refused, Err(ClientHandshakeError::Extensions)), "{field:?}: {refused:?}");
        }
    }
}
