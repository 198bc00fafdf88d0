//! `wss`: which servers the client trusts, what it says about others, and how a session begins, goes on and ends.

mod ends;
mod options;
mod server;
mod trust;

use std::{
    fmt,
    io::{Read, Write},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rustls::{ContentType, ServerConfig, StreamOwned, SupportedProtocolVersion};
use switchboard::{
    CloseCode,
    client::{Client, ClientBuilder, ClientError, Message, Stage, TlsErrorKind},
};

pub(crate) use server::Pieces;
use switchboard_tests::{
    certificates::{Authority, Pem},
    forger::{ALERT, APPLICATION_DATA, Forger, SUITES},
};

use crate::{
    LONG, SHORT, assert_closed,
    peer::{Peer, Server, Wire, builder, is_timeout, serve},
};

const BOTH: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;
const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// A client's options and a server's that fit together.
pub(crate) struct Setting {
    pub(crate) builder: ClientBuilder,
    pub(crate) config: Arc<ServerConfig>,
    pem: Pem,
}

impl Setting {
    pub(crate) fn new() -> Self {
        Self::with_versions(BOTH)
    }

    fn with_versions(versions: &[&'static SupportedProtocolVersion]) -> Self {
        let authority = Authority::new("authority of the tests");
        let pem = authority.sign(&["localhost", "127.0.0.1"]);
        Self { builder: builder().roots(authority.pem()), config: Arc::new(pem.server(versions)), pem }
    }

    /// Starts a server that runs the script after the handshake of TLS.
    pub(crate) fn serve(&self, script: impl FnOnce(Peer) + Send + 'static) -> Server {
        let config = Arc::clone(&self.config);
        serve(move |mut peer| {
            peer.secure(&config).unwrap();
            script(peer);
        })
    }

    fn connect(&self, server: &Server) -> Client {
        self.builder.connect(&secure_url(server)).unwrap()
    }
}

pub(crate) fn secure_url(server: &Server) -> String {
    format!("wss://{}/", server.address)
}

/// Returns the kind of the failure.
#[track_caller]
fn kind_of<T: fmt::Debug>(result: Result<T, ClientError>) -> TlsErrorKind {
    match result {
        Err(ClientError::Tls(error)) => error.kind().clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_of_all_lengths_come_back_over_both_versions_of_tls() {
    for versions in [TLS12, TLS13] {
        let setting = Setting::with_versions(versions);
        let server = setting.serve(|mut peer| {
            peer.open();
            peer.echo_until_close();
        });
        let mut client = setting.connect(&server);
        assert_eq!(client.peer_addr().unwrap(), server.address);
        for length in [0, 1, 125, 126, 16_370, 16_384, 65_535, 65_536, 1 << 20] {
            let bytes = vec![0xA5; length];
            client.send_binary(&bytes).unwrap();
            assert_eq!(client.receive().unwrap(), Message::Binary(bytes), "{length}");
        }
        client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
        server.finish();
    }
}

#[test]
fn records_may_be_cut_anywhere() {
    for versions in [TLS12, TLS13] {
        let setting = Setting::with_versions(versions);
        let config = Arc::clone(&setting.config);
        let server = serve(move |mut peer| {
            peer.secure_in_pieces(&config, 1).unwrap();
            peer.open();
            peer.echo_until_close();
        });
        let mut client = setting.connect(&server);
        for length in [0, 1, 125, 500] {
            let text = "x".repeat(length);
            client.send_text(&text).unwrap();
            assert_eq!(client.receive().unwrap(), Message::Text(text));
        }
        client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
        server.finish();
    }
}

#[test]
fn the_client_names_the_host_and_offers_http_1_1_alone() {
    let setting = Setting::new();
    for (host, expected) in [("localhost", Some("localhost")), ("127.0.0.1", None)] {
        let mut config = ServerConfig::clone(&setting.config);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let server = serve(move |mut peer| {
            peer.secure(&config).unwrap();
            assert_eq!(peer.tls().server_name(), expected);
            assert_eq!(peer.tls().alpn_protocol(), Some(&b"http/1.1"[..]));
            let request = peer.request();
            let port = peer.stream.tcp().local_addr().unwrap().port();
            let authority = format!("{host}:{port}");
            assert_eq!(request.values("Host").next(), Some(authority.as_bytes()));
            peer.accept(&request, None, &[]);
            peer.echo_until_close();
        });
        let mut client = setting.builder.connect(&format!("wss://{host}:{}/", server.address.port())).unwrap();
        client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
        server.finish();
    }
}

#[test]
fn a_builder_resumes_its_sessions() {
    for versions in [TLS12, TLS13] {
        let setting = Setting::with_versions(versions);
        for expected in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
            let server = setting.serve(move |mut peer| {
                assert_eq!(peer.tls().handshake_kind(), Some(expected));
                peer.open();
                peer.echo_until_close();
            });
            // The port is another one: sessions are kept by the host.
            let mut client = setting.connect(&server);
            client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
            server.finish();
        }
    }
}

#[test]
fn new_keys_do_not_disturb_messages_and_too_many_of_them_end_the_connection() {
    let setting = Setting::with_versions(TLS13);
    let server = setting.serve(|mut peer| {
        peer.open();
        for round in 0..100 {
            peer.tls().refresh_traffic_keys().unwrap();
            peer.write(b"\x81\x02hi");
            assert_eq!(peer.next(), Message::Text(round.to_string()));
        }
        for _ in 0..100 {
            peer.tls().refresh_traffic_keys().unwrap();
        }
        peer.write(b"\x81\x04late");
        peer.expect_end();
    });
    let mut client = setting.connect(&server);
    for round in 0..100 {
        assert_eq!(client.receive().unwrap(), Message::Text("hi".into()));
        client.send_text(&round.to_string()).unwrap();
    }
    assert_eq!(kind_of(client.receive()), TlsErrorKind::Protocol);
    assert_closed(&mut client);
    server.finish();
}

/// The server asks for a new handshake (HelloRequest, RFC 5246 §7.4.1.1), which has been a way around what the first
/// one had checked (RFC 5746 §1).
#[test]
fn a_renegotiation_is_refused_once_and_then_ends_the_connection() {
    const HELLO_REQUEST: [u8; 4] = [0, 0, 0, 0];
    let setting = Setting::with_versions(TLS12);
    let mut config = setting.pem.server_of(SUITES.into(), TLS12);
    config.enable_secret_extraction = true;
    let config = Arc::new(config);
    let server = serve(move |mut peer| {
        peer.secure(&config).unwrap();
        peer.open();
        let mut forger = forger(peer);
        forger.send(ContentType::Handshake, &HELLO_REQUEST);
        forger.send(ContentType::ApplicationData, b"\x81\x02hi");
        // The alert no_renegotiation, a warning, and then the answer to the text.
        assert_eq!([forger.record_type(), forger.record_type()], [ALERT, APPLICATION_DATA]);
        forger.send(ContentType::Handshake, &HELLO_REQUEST);
        assert_eq!(forger.record_type(), ALERT);
        assert_eq!(forger.stream.read(&mut [0]).unwrap(), 0, "a third record");
    });
    let mut client = setting.connect(&server);
    assert_eq!(client.receive().unwrap(), Message::Text("hi".into()));
    client.send_text("hi").unwrap();
    assert_eq!(kind_of(client.receive()), TlsErrorKind::Protocol);
    assert_closed(&mut client);
    server.finish();
}

/// Takes over what a server sends over TLS.
fn forger(peer: Peer) -> Forger {
    let Wire::Tls(stream) = peer.stream else { panic!("the connection is not secure") };
    let StreamOwned { conn, sock, .. } = *stream;
    let suite = conn.negotiated_cipher_suite().unwrap();
    #[allow(deprecated, reason = "the keys do not change here")]
    Forger::new(sock.tcp, suite, conn.dangerous_extract_secrets().unwrap())
}

#[test]
fn each_phase_has_its_timeout() {
    let setting = Setting::new();
    let quick = setting.builder.clone().connect_timeout(SHORT).read_timeout(Some(SHORT)).close_timeout(SHORT);

    let silent = serve(|mut peer| peer.expect_end());
    let half_a_record = serve(|mut peer| {
        peer.write(b"\x16\x03\x03\x00\x7a\x02\x00");
        peer.expect_end();
    });
    for server in [silent, half_a_record] {
        let error = quick.connect(&secure_url(&server)).unwrap_err();
        assert!(matches!(error, ClientError::Timeout(Stage::Tls)), "{error:?}");
        server.finish();
    }

    // Bytes of a record that is never whole, one in each millisecond: none may extend the deadline.
    let trickling = serve(|mut peer| {
        assert!(peer.fill() > 0);
        peer.write(b"\x16\x03\x03\x40\x00");
        peer.stream.tcp().set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let deadline = Instant::now() + LONG;
        while peer.stream.read(&mut [0]).is_err_and(|error| is_timeout(error.kind())) {
            assert!(Instant::now() < deadline, "the client does not give up");
            let _ = peer.stream.write_all(b"\x02"); // fails once the client has ended TCP
        }
    });
    let error = quick.connect(&secure_url(&trickling)).unwrap_err();
    assert!(matches!(error, ClientError::Timeout(Stage::Tls)), "{error:?}");
    trickling.finish();

    let no_response = setting.serve(|mut peer| {
        peer.request();
        peer.expect_end();
    });
    let error = setting.builder.clone().connect_timeout(10 * SHORT).connect(&secure_url(&no_response)).unwrap_err();
    assert!(matches!(error, ClientError::Timeout(Stage::Handshake)), "{error:?}");
    no_response.finish();

    let quick = setting.builder.clone().close_timeout(SHORT).write_timeout(Some(SHORT));
    let no_close = setting.serve(|mut peer| {
        peer.open();
        assert!(matches!(peer.next(), Message::Close(_)));
        peer.expect_end();
    });
    let mut client = quick.connect(&secure_url(&no_close)).unwrap();
    let error = client.close(CloseCode::NORMAL_CLOSURE, "").unwrap_err();
    assert!(matches!(error, ClientError::Timeout(Stage::Close)), "{error:?}");
    assert_closed(&mut client);
    no_close.finish();
}

#[test]
fn a_timeout_within_a_record_loses_nothing() {
    let setting = Setting::new();
    let server = setting.serve(|mut peer| {
        peer.open();
        let mut record = Vec::new();
        peer.tls().writer().write_all(b"\x81\x05Hello").unwrap();
        while peer.tls().wants_write() {
            peer.tls().write_tls(&mut record).unwrap();
        }
        let (half, rest) = record.split_at(record.len() / 2);
        peer.stream.tcp().write_all(half).unwrap();
        assert_eq!(peer.next(), Message::Text("go on".into()));
        peer.stream.tcp().write_all(rest).unwrap();
        peer.echo_until_close();
    });
    let mut client = setting.builder.clone().read_timeout(Some(SHORT)).connect(&secure_url(&server)).unwrap();
    for _ in 0..2 {
        let error = client.receive().unwrap_err();
        assert!(matches!(error, ClientError::Timeout(Stage::Receive)), "{error:?}");
    }
    client.set_read_timeout(Some(LONG));
    client.send_text("go on").unwrap();
    assert_eq!(client.receive().unwrap(), Message::Text("Hello".into()));
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

#[test]
fn a_server_that_does_not_read_runs_into_the_write_timeout() {
    let setting = Setting::new();
    let (timed_out, has_timed_out) = mpsc::channel();
    let server = setting.serve(move |mut peer| {
        peer.open();
        peer.write(b"\x81\x02hi");
        has_timed_out.recv_timeout(LONG).unwrap();
        peer.expect_end();
    });
    let mut client = setting.builder.clone().write_timeout(Some(SHORT)).connect(&secure_url(&server)).unwrap();
    let error = client.send_binary(&vec![0; 64 << 20]).unwrap_err();
    assert!(matches!(error, ClientError::Timeout(Stage::Send)), "{error:?}");
    timed_out.send(()).unwrap();
    assert!(matches!(client.send_text("more"), Err(ClientError::Closed)));
    assert_eq!(client.receive().unwrap(), Message::Text("hi".into()));
    drop(client);
    server.finish();
}
