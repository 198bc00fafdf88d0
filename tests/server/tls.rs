//! TLS in the server, against a client that is rustls alone.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustls::{
    AlertDescription, ClientConfig, ContentType, NamedGroup,
    crypto::aws_lc_rs::Ticketer,
    pki_types::{CertificateDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use switchboard::{
    Certificate, CertificateResolver, CloseCode, Config, End, Message, Response, TlsBuilder, TlsConfig, TlsConfigError,
    TlsVersion,
};
use switchboard_tests::{
    forger::Forger,
    server::{LONG, OPENING, Raw, Service, TestServer, config, frame, serve},
    tls::{Authority, Pem, Secure, connect, open, over, read_frame, read_head},
};

fn with(pem: &Pem) -> TlsBuilder {
    TlsConfig::builder().certificate(pem.chain.as_bytes(), pem.key.as_bytes()).unwrap()
}

fn secured(tls: TlsConfig) -> Config {
    let mut config = config();
    config.tls = Some(tls);
    config
}

/// An authority, an echo server for `localhost` with a certificate of it, and the configuration of a client.
fn echo() -> (Authority, TestServer, Arc<ClientConfig>) {
    let authority = Authority::new("authority");
    let tls = with(&authority.sign(&["localhost"])).build().unwrap();
    let server = serve(secured(tls), Service::echo());
    let client = Arc::new(authority.client());
    (authority, server, client)
}

fn connected(server: &TestServer, config: &Arc<ClientConfig>) -> Secure {
    let mut secure = connect(server.address, config, "localhost").unwrap();
    open(&mut secure);
    secure
}

/// Asserts that the next bytes are the echo of this text.
#[track_caller]
fn round_trip(secure: &mut Secure, text: &str) {
    secure.write_all(&frame(0x81, text.as_bytes())).unwrap();
    assert_eq!(read_frame(secure), (0x81, text.as_bytes().to_vec()));
}

/// Returns the names of the server's certificate that a client is shown.
fn certificate(secure: &Secure) -> Vec<u8> {
    secure.conn.peer_certificates().unwrap()[0].to_vec()
}

/// Returns the first certificate of a chain.
fn der(pem: &Pem) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.chain.as_bytes()).unwrap().to_vec()
}

/// Returns the alert that ended a connection.
fn alert(secure: &mut Secure) -> Option<AlertDescription> {
    let error = secure.read(&mut [0; 100]).expect_err("the connection is ended by an alert");
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[test]
fn messages_of_every_size_are_echoed_in_both_versions() {
    let (authority, server, _) = echo();
    for version in [&TLS12, &TLS13] {
        let mut secure = connected(&server, &Arc::new(authority.client_with(&[version], None)));
        for length in [0, 1, 125, 126, 16_383, 16_384, 16_385, 65_535, 65_536, 200_000, 3 << 20] {
            let payload: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            secure.write_all(&frame(0x82, &payload)).unwrap();
            let (first, echoed) = read_frame(&mut secure);
            assert!(first == 0x82 && echoed == payload, "{version:?}, {length} bytes");
        }
    }
}

#[test]
fn the_key_exchange_is_the_one_that_the_client_prefers_post_quantum_or_not() {
    use NamedGroup::{X25519, X25519MLKEM768, secp256r1, secp384r1};
    let (authority, server, client) = echo();
    for groups in [[X25519MLKEM768, X25519], [X25519, X25519MLKEM768], [secp256r1, X25519], [secp384r1, secp256r1]] {
        let secure = connected(&server, &Arc::new(authority.client_for_groups(&groups)));
        assert_eq!(secure.conn.negotiated_key_exchange_group().unwrap().name(), groups[0], "{groups:?}");
    }
    let secure = connected(&server, &client);
    assert_eq!(secure.conn.negotiated_key_exchange_group().unwrap().name(), X25519MLKEM768);
}

/// Many frames in one record, and one frame in many records, each of them in pieces.
#[test]
fn records_and_frames_may_be_cut_anywhere() {
    let (authority, server, _) = echo();
    let mut config = authority.client();
    config.max_fragment_size = Some(64);
    let mut secure = connected(&server, &Arc::new(config));
    let texts: Vec<String> = (0..40).map(|i| "x".repeat(i * 7)).collect();
    let frames: Vec<u8> = texts.iter().flat_map(|text| frame(0x81, text.as_bytes())).collect();
    let mut ciphertext = Vec::new();
    secure.conn.writer().write_all(&frames).unwrap();
    while secure.conn.wants_write() {
        secure.conn.write_tls(&mut ciphertext).unwrap();
    }
    for piece in ciphertext.chunks(61) {
        secure.sock.write_all(piece).unwrap();
    }
    for text in &texts {
        assert_eq!(read_frame(&mut secure), (0x81, text.as_bytes().to_vec()));
    }
}

#[test]
fn http_without_tls_is_refused_in_clear() {
    let (_, server, _) = echo();
    for request in ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", switchboard_tests::server::OPENING, "P"] {
        let mut raw = Raw::connect(server.address);
        raw.write(request.as_bytes());
        let response = raw.response();
        assert_eq!(response.status, 400, "{request:?}: {}", response.head);
        assert!(String::from_utf8_lossy(&response.body).contains("https"), "{request:?}");
        raw.expect_end();
    }
}

#[test]
fn what_is_not_tls_gets_an_alert_and_the_end() {
    let (_, server, _) = echo();
    // A record of an unknown type; one that is too long; TLS 1.0 alone; an SSL 2 hello.
    for (name, bytes) in [
        ("unknown type", vec![0x00; 64]),
        ("too long", vec![0x16, 3, 1, 0xFF, 0xFF, 1, 0, 0, 0]),
        ("application data", vec![0x17, 3, 3, 0, 1, 0]),
        ("SSL 2", vec![0x80, 0x2e, 1, 3, 1, 0, 0, 0, 0]),
    ] {
        let mut raw = Raw::connect(server.address);
        raw.write(&bytes);
        let mut answer = Vec::new();
        raw.stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.first(), Some(&0x15), "{name}: {answer:?}");
        assert_eq!(answer.len(), 7, "{name}: one alert: {answer:?}");
    }
}

#[test]
fn http_1_1_is_the_only_protocol_and_need_not_be_named() {
    let (authority, server, _) = echo();
    for (offered, agreed) in [
        (vec![], Ok(None)),
        (vec!["http/1.1"], Ok(Some("http/1.1"))),
        (vec!["h2", "http/1.1"], Ok(Some("http/1.1"))),
        (vec!["h2"], Err(())),
    ] {
        let mut config = authority.client();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let result = connect(server.address, &Arc::new(config), "localhost");
        match agreed {
            Ok(agreed) => {
                let mut secure = result.unwrap();
                assert_eq!(secure.conn.alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
                open(&mut secure);
                round_trip(&mut secure, "hello");
            }
            Err(()) => assert!(result.unwrap_err().to_string().contains("NoApplicationProtocol")),
        }
    }
}

#[test]
fn the_certificate_is_that_of_the_name_or_the_first() {
    let authority = Authority::new("authority");
    let [first, second, third] =
        [&["a.example", "localhost"][..], &["b.example", "a.example"], &["*.c.example", "127.0.0.1"]]
            .map(|names| authority.sign(names));
    let mut builder = with(&first);
    for pem in [&second, &third] {
        builder = builder.certificate(pem.chain.as_bytes(), pem.key.as_bytes()).unwrap();
    }
    let tls = builder.build().unwrap();
    assert_eq!(tls.names(), ["a.example", "localhost", "b.example", "a.example", "*.c.example"]);
    let server = serve(secured(tls), Service::echo());
    let client = Arc::new(authority.client());
    let chain = |pem: &Pem| Certificate::from_pem(pem.chain.as_bytes(), pem.key.as_bytes()).unwrap().names().to_vec();
    for (name, expected) in [
        ("a.example", Some(&first)),
        ("A.Example", Some(&first)),
        ("b.example", Some(&second)),
        ("x.c.example", Some(&third)),
        // The client finds that the default is for others.
        ("c.example", None),
        ("x.y.c.example", None),
        ("other.example", None),
        ("127.0.0.1", None),
    ] {
        match (connect(server.address, &client, name), expected) {
            (Ok(secure), Some(expected)) => {
                assert_eq!(certificate(&secure), der(expected), "{name}: {:?}", chain(expected));
            }
            (Err(error), None) => assert!(error.to_string().contains("not valid for name"), "{name}: {error}"),
            (result, _) => panic!("{name}: {:?}", result.err()),
        }
    }
}

#[test]
fn a_resolver_is_asked_for_each_handshake() {
    struct Resolve(Certificate);
    impl CertificateResolver for Resolve {
        fn resolve(&self, server_name: Option<&str>) -> Option<Certificate> {
            (server_name == Some("localhost")).then(|| self.0.clone())
        }
    }
    let authority = Authority::new("authority");
    let pem = authority.sign(&["localhost", "other.example"]);
    let certificate = Certificate::from_pem(pem.chain.as_bytes(), pem.key.as_bytes()).unwrap();
    let others = authority.sign(&["localhost", "other.example"]);
    let client = Arc::new(authority.client());
    // Other certificates make no difference.
    for builder in [TlsConfig::builder(), with(&others)] {
        let tls = builder.resolver(Resolve(certificate.clone())).build().unwrap();
        let server = serve(secured(tls), Service::echo());
        let mut secure = connected(&server, &client);
        assert_eq!(self::certificate(&secure), der(&pem));
        round_trip(&mut secure, "hello");
        assert!(connect(server.address, &client, "other.example").is_err());
    }
}

#[test]
fn what_cannot_be_a_configuration_says_why() {
    let authority = Authority::new("authority");
    let (one, other) = (authority.sign(&["localhost"]), authority.sign(&["localhost"]));
    let broken = one.chain.replace("-----END", "----END");
    for (chain, key, expected) in [
        ("", &*one.key, TlsConfigError::NoCertificate),
        (&*one.key, &*one.key, TlsConfigError::NoCertificate),
        (&*one.chain, "", TlsConfigError::NoKey),
        (&*one.chain, &*one.chain, TlsConfigError::NoKey),
        (&*one.chain, &*other.key, TlsConfigError::Mismatch),
        (&*broken, &*one.key, TlsConfigError::Pem(String::new())),
    ] {
        let error = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&expected), "{error}");
    }
    assert!(matches!(TlsConfig::builder().build().unwrap_err(), TlsConfigError::NoCertificate));
    assert!(matches!(TlsConfig::builder().client_ca(b"").unwrap_err(), TlsConfigError::NoCertificate));
}

#[test]
fn an_app_sees_whether_a_connection_is_secured_and_the_verified_names() {
    let [servers, clients, others] = ["of servers", "of clients", "of other clients"].map(Authority::new);
    let mut builder = with(&servers.sign(&["localhost"]));
    for authority in [&clients, &others] {
        builder = builder.client_ca(authority.pem().as_bytes()).unwrap();
    }
    let tls = builder.build().unwrap();
    let describe = |is_tls: bool, names: &[String]| format!("{is_tls} {}", names.join(" "));
    let service = Service::echo()
        .on_request(move |request, responder| {
            responder.send(Response::text(200, describe(request.is_tls, request.client_names)));
        })
        .on_accept(move |handshake, verdict| {
            assert_eq!(describe(handshake.is_tls, handshake.client_names), "true worker-1.example");
            verdict.accept(());
        });
    let plain = serve(config(), service.clone());
    let mut raw = Raw::connect(plain.address);
    raw.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.response().body, b"false ");

    let server = serve(secured(tls), service);
    let certificate = clients.sign(&["worker-1.example"]);
    let config = Arc::new(servers.client_with(rustls::DEFAULT_VERSIONS, Some(&certificate)));
    for _ in 0..2 {
        let mut secure = connected(&server, &config);
        assert_eq!(secure.conn.handshake_kind(), Some(rustls::HandshakeKind::Full), "no session resumes");
        round_trip(&mut secure, "hello");
    }
    let mut secure = connect(server.address, &config, "localhost").unwrap();
    secure.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    secure.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("true worker-1.example"), "{response}");

    let other = others.sign(&["worker-1.example"]);
    connected(&server, &Arc::new(servers.client_with(&[&TLS13], Some(&other))));

    let foreign = servers.sign(&["worker-1.example"]);
    for certificate in [None, Some(&foreign)] {
        let config = Arc::new(servers.client_with(&[&TLS13], certificate));
        // In TLS 1.3 the client is done before the server has judged its certificate.
        let mut secure = connect(server.address, &config, "localhost").unwrap();
        assert!(alert(&mut secure).is_some());
    }
}

/// Returns whether a new connection of this client resumes a session.
fn resumes(server: &TestServer, client: &Arc<ClientConfig>) -> bool {
    let mut secure = connected(server, client);
    // The ticket comes with the first bytes after the handshake.
    round_trip(&mut secure, "hello");
    secure.conn.handshake_kind() != Some(rustls::HandshakeKind::Full)
}

/// Gives the server another configuration, and waits until it has it: `probe` is an open connection, whose next message
/// is handled after the mail before it.
fn replace(server: &TestServer, probe: &mut Secure, tls: &TlsConfig) {
    server.remote.set_tls(tls);
    round_trip(probe, "is it there?");
}

#[test]
fn sessions_resume_until_what_they_were_checked_for_changes() {
    for version in [&TLS12, &TLS13] {
        let authority = Authority::new("authority");
        let pem = authority.sign(&["localhost"]);
        let server = serve(secured(with(&pem).build().unwrap()), Service::echo());
        let mut probe = connected(&server, &Arc::new(authority.client()));
        let client = Arc::new(authority.client_with(&[version], None));
        let mut first = connected(&server, &client);
        round_trip(&mut first, "hello");
        assert_eq!(
            first.conn.handshake_kind(),
            Some(rustls::HandshakeKind::Full),
            "{version:?}: there is no ticket yet"
        );
        assert!(first.conn.tls13_tickets_received() <= 1, "one ticket is enough");
        assert!(resumes(&server, &client), "{version:?}");
        replace(&server, &mut probe, &with(&authority.sign(&["localhost"])).build().unwrap());
        assert!(resumes(&server, &client), "{version:?}, after a new certificate");
        assert!(resumes(&server, &client), "{version:?}, after a new certificate, again");
        let demanding = with(&pem).client_ca(authority.pem().as_bytes()).unwrap().build().unwrap();
        replace(&server, &mut probe, &demanding);
        let own = authority.sign(&["me.example"]);
        let client = Arc::new(authority.client_with(&[version], Some(&own)));
        assert!(!resumes(&server, &client) && !resumes(&server, &client), "{version:?}, with a client's certificate");
    }
    let authority = Authority::new("authority");
    let pem = authority.sign(&["localhost"]);
    let server = serve(secured(with(&pem).build().unwrap()), Service::echo());
    let client = Arc::new(authority.client());
    let mut probe = connected(&server, &Arc::new(authority.client()));
    assert!(!resumes(&server, &client) && resumes(&server, &client));
    replace(&server, &mut probe, &with(&pem).min_version(TlsVersion::V1_3).build().unwrap());
    assert!(!resumes(&server, &client), "another minimum version");
    assert!(resumes(&server, &client));
    let old = Arc::new(authority.client_with(&[&TLS12], None));
    assert!(connect(server.address, &old, "localhost").unwrap_err().to_string().contains("ProtocolVersion"));
}

#[test]
fn a_configuration_of_rustls_is_used_as_it_is() {
    let (servers, clients) = (Authority::new("of servers"), Authority::new("of clients"));
    let pem = servers.sign(&["localhost"]);
    let service = Service::echo().on_accept(|handshake, verdict| {
        assert_eq!(handshake.client_names, ["worker-1.example"]);
        verdict.accept(());
    });
    let of_rustls = || {
        let mut config = pem.server_for(&clients, rustls::DEFAULT_VERSIONS);
        config.ticketer = Ticketer::new().unwrap();
        TlsConfig::from_rustls(Arc::new(config))
    };
    let server = serve(secured(of_rustls()), service);
    let own = clients.sign(&["worker-1.example"]);
    let [client, other] = [(); 2].map(|()| Arc::new(servers.client_with(rustls::DEFAULT_VERSIONS, Some(&own))));
    let mut probe = connected(&server, &other);
    assert!(!resumes(&server, &client) && resumes(&server, &client), "with tickets of its own");
    replace(&server, &mut probe, &of_rustls());
    assert!(!resumes(&server, &client) && resumes(&server, &client), "with the tickets of the next");
    replace(&server, &mut probe, &with(&pem).client_ca(clients.pem().as_bytes()).unwrap().build().unwrap());
    assert!(!resumes(&server, &client) && !resumes(&server, &client), "without tickets");
}

/// A hundred new configurations while clients talk and others come: no connection ends, and the last comer sees the
/// last certificate.
#[test]
fn no_connection_ends_when_the_certificate_is_replaced() {
    let (authority, server, client) = echo();
    let done = AtomicBool::new(false);
    let pems: Vec<Pem> = (0..100).map(|_| authority.sign(&["localhost"])).collect();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut secure = connected(&server, &client);
                while !done.load(Ordering::Relaxed) {
                    round_trip(&mut secure, "hello");
                }
                round_trip(&mut secure, "still here");
            });
        }
        for pem in &pems {
            server.remote.set_tls(&with(pem).build().unwrap());
            round_trip(&mut connected(&server, &client), "new");
        }
        done.store(true, Ordering::Relaxed);
    });
    let fresh = Arc::new(authority.client());
    assert_eq!(certificate(&connected(&server, &fresh)), der(&pems[99]));
}

#[test]
fn a_handshake_must_be_complete_in_time() {
    let authority = Authority::new("authority");
    let mut config = secured(with(&authority.sign(&["localhost"])).build().unwrap());
    config.handshake_timeout = Duration::from_millis(300);
    let server = serve(config, Service::echo());
    // Nothing, a part of a record, a whole record of a handshake without the rest, a handshake without a request.
    for bytes in [&b""[..], &[0x16], &[0x16, 3, 1, 0, 4, 1, 0, 1, 0]] {
        let mut raw = Raw::connect(server.address);
        raw.write(bytes);
        raw.expect_end();
    }
    let mut secure = connect(server.address, &Arc::new(authority.client()), "localhost").unwrap();
    assert_eq!(secure.read(&mut [0; 10]).map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof), "at once");
}

/// Returns the ciphertext of these frames.
fn encrypted(secure: &mut Secure, frames: &[u8]) -> Vec<u8> {
    let mut ciphertext = Vec::new();
    secure.conn.writer().write_all(frames).unwrap();
    while secure.conn.wants_write() {
        secure.conn.write_tls(&mut ciphertext).unwrap();
    }
    ciphertext
}

#[test]
fn a_record_that_is_not_finished_is_an_unfinished_message() {
    let authority = Authority::new("authority");
    let mut config = secured(with(&authority.sign(&["localhost"])).build().unwrap());
    config.message_timeout = Duration::from_millis(300);
    let server = serve(config, Service::echo());
    let mut secure = connected(&server, &Arc::new(authority.client()));
    let ciphertext = encrypted(&mut secure, &frame(0x81, b"hello"));
    secure.sock.write_all(&ciphertext[..3]).unwrap();
    let (first, payload) = read_frame(&mut secure);
    assert_eq!((first, &payload[..2]), (0x88, &1008_u16.to_be_bytes()[..]));
    assert_eq!(server.next_closed().1, End::MessageStalled);
}

const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

/// The first half of a message of TLS is kept while the server sends: what rustls remembers of it must stay valid.
#[test]
fn the_server_sends_while_half_a_message_of_tls_has_arrived() {
    let (authority, server, client) = echo();
    let mut forger = Forger::open(server.address, &authority, &TLS13);
    let id = server.next_opened();
    forger.send(ContentType::Handshake, &KEY_UPDATE[..2]);
    // Each of them is a turn.
    let mut other = connected(&server, &client);
    round_trip(&mut other, "hello");
    server.remote.send(id, Message::Text("half a message has arrived"));
    server.remote.close(id, CloseCode::NORMAL_CLOSURE, "");
    let mut bytes = Vec::new();
    forger.stream.set_read_timeout(Some(LONG)).unwrap();
    let mut buffer = [0; 1000];
    // A text with its header, a Close frame, and one record at least.
    while bytes.len() < 28 + 4 + 22 {
        let count = forger.stream.read(&mut buffer).unwrap();
        assert!(count > 0, "only {} bytes arrived", bytes.len());
        bytes.extend_from_slice(&buffer[..count]);
    }
    round_trip(&mut other, "the server lives");
}

#[test]
fn what_breaks_the_rules_of_tls_ends_one_connection() {
    let (authority, server, client) = echo();
    let mut other = connected(&server, &client);
    let other_id = server.next_opened();
    let app_data = ContentType::ApplicationData;
    let cases: [(&str, Vec<(ContentType, Vec<u8>)>); 6] = [
        // A KeyUpdate that asks for none, with the next keys, which this test does not have.
        ("a key update, then old keys", vec![(ContentType::Handshake, KEY_UPDATE.into()), (app_data, vec![1])]),
        ("33 empty records", vec![(app_data, Vec::new()); 33]),
        ("a handshake message that is not allowed", vec![(ContentType::Handshake, vec![1, 0, 0, 0])]),
        ("half a handshake message, then data", vec![(ContentType::Handshake, vec![24]), (app_data, vec![1])]),
        ("an alert", vec![(ContentType::Alert, vec![2, 20])]),
        ("an unknown content", vec![(ContentType::Unknown(99), vec![1, 2, 3])]),
    ];
    for (name, records) in cases {
        let mut forger = Forger::open(server.address, &authority, &TLS13);
        let id = server.next_opened();
        for (kind, bytes) in records {
            forger.send(kind, &bytes);
        }
        let (closed, end) = server.next_closed();
        assert_eq!((closed, end.clone()), (id, End::TlsFailed), "{name}");
        assert_eq!(end.code(), CloseCode::ABNORMAL_CLOSURE);
    }
    // One that is encrypted with the wrong key.
    let mut forged = connected(&server, &client);
    let id = server.next_opened();
    forged.sock.write_all(&[0x17, 3, 3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(alert(&mut forged), Some(AlertDescription::BadRecordMac));
    assert_eq!(server.next_closed(), (id, End::TlsFailed));
    round_trip(&mut other, "the others do not notice");
    assert_ne!(other_id, id);
}

#[test]
fn key_updates_are_followed_up_to_a_flood() {
    let (authority, server, _) = echo();
    let client = Arc::new(authority.client_with(&[&TLS13], None));
    let mut secure = connected(&server, &client);
    for _ in 0..10 {
        secure.conn.refresh_traffic_keys().unwrap();
        round_trip(&mut secure, "with new keys");
    }
    let mut secure = connected(&server, &client);
    for _ in 0..33 {
        secure.conn.refresh_traffic_keys().unwrap();
    }
    while secure.conn.wants_write() {
        secure.conn.write_tls(&mut secure.sock).unwrap();
    }
    assert_eq!(server.next_closed().1, End::TlsFailed);
    // rustls sends no alert for this.
    assert_eq!(secure.read(&mut [0; 100]).map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
}

#[test]
fn the_end_is_orderly_after_the_closing_handshake_and_otherwise_abnormal() {
    let (_, server, client) = echo();
    // The closing handshake, then close_notify, then the end of TCP.
    let mut secure = connected(&server, &client);
    secure.write_all(&frame(0x88, &1000_u16.to_be_bytes())).unwrap();
    let mut rest = Vec::new();
    secure.read_to_end(&mut rest).expect("close_notify comes before the end of TCP");
    assert_eq!(rest, [0x88, 2, 3, 0xE8]);
    assert_eq!(server.next_closed().1, End::Closed { by_us: false, code: Some(CloseCode::NORMAL_CLOSURE) });

    // The same, but the client ends TCP at once, and without close_notify.
    let mut secure = connected(&server, &client);
    secure.write_all(&frame(0x88, &1000_u16.to_be_bytes())).unwrap();
    secure.sock.shutdown(Shutdown::Write).unwrap();
    secure.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(server.next_closed().1, End::Closed { by_us: false, code: Some(CloseCode::NORMAL_CLOSURE) });

    // Without a Close frame: truncated, and with close_notify.
    for with_notify in [false, true] {
        let mut secure = connected(&server, &client);
        if with_notify {
            secure.conn.send_close_notify();
            secure.flush().unwrap();
        } else {
            secure.sock.shutdown(Shutdown::Write).unwrap();
        }
        assert_eq!(server.next_closed().1, End::Vanished, "with close_notify: {with_notify}");
    }

    // The same, in the segment of a message: nothing of TCP announces that TLS has ended.
    let mut secure = connected(&server, &client);
    secure.conn.writer().write_all(&frame(0x81, b"the last word")).unwrap();
    secure.conn.send_close_notify();
    let mut ciphertext = Vec::new();
    while secure.conn.wants_write() {
        secure.conn.write_tls(&mut ciphertext).unwrap();
    }
    secure.sock.write_all(&ciphertext).unwrap();
    assert_eq!(read_frame(&mut secure), (0x81, b"the last word".to_vec()));
    assert_eq!(server.next_closed().1, End::Vanished);

    // In the middle of the handshake.
    let mut raw = Raw::connect(server.address);
    raw.write([0x16, 3, 1]);
    raw.stream.shutdown(Shutdown::Write).unwrap();
    raw.expect_end();
    // An alert close_notify in clear (RUSTSEC-2024-0336).
    let mut raw = Raw::connect(server.address);
    raw.write([0x15, 3, 3, 0, 2, 1, 0]);
    raw.stream.shutdown(Shutdown::Write).unwrap();
    raw.stream.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_peer_that_does_not_read_gets_everything_in_order_and_a_pong_in_between() {
    let authority = Authority::new("authority");
    let mut config = secured(with(&authority.sign(&["localhost"])).build().unwrap());
    config.max_queued_bytes = 32 << 20;
    let server = serve(config, Service::echo());
    let client = Arc::new(authority.client());
    let stream = Raw::connect_with_small_buffer(server.address).stream;
    let mut secure = over(stream, &client, "localhost").unwrap();
    open(&mut secure);
    let id = server.next_opened();
    let text = "x".repeat(100_000);
    let count = 100;
    for number in 0..count {
        server.remote.send(id, Message::Text(&format!("{number} {text}")));
    }
    // When this one is served, the mail before it is done.
    round_trip(&mut connected(&server, &client), "hello");
    secure.write_all(&frame(0x89, b"ping")).unwrap();
    let (mut texts, mut texts_before_pong) = (0, None);
    while texts < count {
        match read_frame(&mut secure) {
            (0x8A, payload) => {
                assert_eq!(payload, b"ping");
                texts_before_pong = Some(texts);
            }
            (0x81, payload) => {
                assert!(payload == format!("{texts} {text}").into_bytes(), "text {texts}");
                texts += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(texts_before_pong.is_some_and(|before| before < count), "{texts_before_pong:?}");
}

#[test]
fn one_connection_too_many_is_told_so_over_tls() {
    let authority = Authority::new("authority");
    let mut config = secured(with(&authority.sign(&["localhost"])).build().unwrap());
    config.max_connections = Some(1);
    let server = serve(config, Service::echo());
    let client = Arc::new(authority.client());
    let mut first = connected(&server, &client);
    let mut second = connect(server.address, &client, "localhost").unwrap();
    let head = read_head(&mut second);
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("Retry-After"), "{head}");
    round_trip(&mut first, "hello");
}

/// The server's tickets reach a socket that is closed, and its own end of TLS cannot be sent any more. It waited for
/// the kernel to take that, up to the write timeout.
#[test]
fn a_client_that_leaves_after_its_handshake_is_gone_at_once() {
    let authority = Authority::new("authority");
    let mut config = secured(with(&authority.sign(&["localhost"])).build().unwrap());
    config.max_connections = Some(1);
    let server = serve(config, Service::echo());
    let client = Arc::new(authority.client());
    for _ in 0..20 {
        drop(connect(server.address, &client, "localhost").unwrap());
        let started = Instant::now();
        // Until then a connection is one too many.
        let is_served = || {
            let mut next = connect(server.address, &client, "localhost").unwrap();
            next.write_all(OPENING.as_bytes()).is_ok() && read_head(&mut next).starts_with("HTTP/1.1 101 ")
        };
        while !is_served() {
            assert!(started.elapsed() < LONG, "the server keeps the connection");
        }
        let (_, end) = server.next_closed();
        assert_ne!(end, End::TlsFailed);
    }
}

#[test]
fn a_stop_ends_every_phase() {
    let (_, server, client) = echo();
    let mut open = connected(&server, &client);
    let idle = connect(server.address, &client, "localhost").unwrap();
    let mut half = Raw::connect(server.address);
    half.write([0x16]);
    let nothing = Raw::connect(server.address);
    // By now the server has accepted them all.
    round_trip(&mut open, "hello");
    server.stop();
    let (first, payload) = read_frame(&mut open);
    assert_eq!((first, &payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
    open.write_all(&frame(0x88, &1001_u16.to_be_bytes())).unwrap();
    let closed = server.join();
    assert!(matches!(&closed[..], [(_, End::Closed { by_us: true, .. })]), "{closed:?}");
    drop((idle, half, nothing));
}
