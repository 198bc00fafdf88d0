//! Which servers the client trusts, and what it says about others.

use std::{error::Error as _, io::ErrorKind, sync::Arc};

use rcgen::date_time_ymd;
use rustls::{AlertDescription, ServerConfig};
use switchboard::{
    CloseCode,
    client::{Client, ClientError, Message, TlsErrorKind},
};

use super::{Authority, BOTH, Setting, TLS12, TLS13, kind_of, secure_url};
use switchboard_tests::certificates::Pem;

use crate::peer::{builder, serve};

#[test]
fn a_certificate_is_accepted_or_refused_with_what_to_do() {
    let (authority, foreign) = (Authority::new("own"), Authority::new("foreign"));
    let wrong = |names: &[&str]| TlsErrorKind::WrongName {
        host: "127.0.0.1".to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let many: Vec<String> = (0..300).map(|index| format!("{index}.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let rows: Vec<(&str, Pem, Option<TlsErrorKind>, &str)> = vec![
        ("good", authority.sign(&["127.0.0.1"]), None, ""),
        ("good, of several names", authority.sign(&["a.test", "127.0.0.1", "b.test"]), None, ""),
        ("foreign", foreign.sign(&["127.0.0.1"]), Some(TlsErrorKind::UnknownIssuer), "roots"),
        ("self-signed", Pem::self_signed(&["127.0.0.1"]), Some(TlsErrorKind::UnknownIssuer), "roots"),
        ("another name", authority.sign(&["a.test", "127.0.0.2"]), Some(wrong(&["a.test", "127.0.0.2"])), "127.0.0.2"),
        ("a name that looks like it", authority.sign(&["127.0.0.1.test"]), Some(wrong(&["127.0.0.1.test"])), "name"),
        ("many other names", authority.sign(&many), Some(wrong(&many[..100])), "and 92 more"),
        ("no names", authority.sign(&[]), Some(wrong(&[])), "no server at all"),
    ];
    for (name, identity, expected, part) in rows {
        let config = Arc::new(identity.server(BOTH));
        let server = serve(move |mut peer| {
            if peer.secure(&config).is_ok() {
                peer.open();
                peer.echo_until_close();
            }
        });
        let connected = builder().roots(authority.pem()).connect(&secure_url(&server));
        match (connected, expected) {
            (Ok(mut client), None) => drop(client.close(CloseCode::NORMAL_CLOSURE, "").unwrap()),
            (Err(ClientError::Tls(error)), Some(kind)) => {
                assert_eq!(*error.kind(), kind, "{name}");
                assert!(error.to_string().contains(part) && error.to_string().len() < 1000, "{name}: {error}");
                let cause = error.source().unwrap_or_else(|| panic!("{name}: no cause"));
                assert!(cause.is::<rustls::Error>(), "{name}: {cause:?}");
            }
            (connected, expected) => panic!("{name}: {connected:?}, not {expected:?}"),
        }
        server.finish();
    }
}

#[test]
fn a_certificate_outside_its_time_is_refused_with_how_far() {
    let authority = Authority::new("own");
    let rows = [
        (
            "expired",
            authority.sign_with(&["127.0.0.1"], |params| params.not_after = date_time_ymd(2001, 9, 9)),
            "days ago",
        ),
        (
            "not yet valid",
            authority.sign_with(&["127.0.0.1"], |params| params.not_before = date_time_ymd(4000, 1, 1)),
            "but in",
        ),
    ];
    for (name, identity, part) in rows {
        let config = Arc::new(identity.server(BOTH));
        let server = serve(move |mut peer| drop(peer.secure(&config).unwrap_err()));
        let error = match builder().roots(authority.pem()).connect(&secure_url(&server)) {
            Err(ClientError::Tls(error)) => error,
            other => panic!("{name}: {other:?}"),
        };
        let is_expected = match error.kind() {
            TlsErrorKind::Expired { since: Some(since) } => name == "expired" && since.as_secs() > 86_400,
            TlsErrorKind::NotYetValid { until: Some(until) } => name == "not yet valid" && until.as_secs() > 86_400,
            _ => false,
        };
        assert!(is_expected && error.to_string().contains(part), "{name}: {error:?} {error}");
        server.finish();
    }
}

#[test]
fn the_server_learns_why_its_certificate_is_refused() {
    let config = Arc::new(Authority::new("foreign").sign(&["127.0.0.1"]).server(BOTH));
    let server = serve(move |mut peer| {
        let error = peer.secure(&config).unwrap_err();
        let alert = error.get_ref().and_then(|error| error.downcast_ref());
        assert_eq!(alert, Some(&rustls::Error::AlertReceived(AlertDescription::UnknownCA)));
        peer.expect_end();
    });
    let connected = builder().roots(Authority::new("own").pem()).connect(&secure_url(&server));
    assert_eq!(kind_of(connected), TlsErrorKind::UnknownIssuer);
    server.finish();
}

#[test]
fn the_roots_of_the_system_do_not_include_the_tests_authority() {
    let config = Arc::new(Authority::new("foreign").sign(&["127.0.0.1"]).server(BOTH));
    let server = serve(move |mut peer| drop(peer.secure(&config)));
    // Without any roots in the system, that is the error.
    let kind = kind_of(builder().connect(&secure_url(&server)));
    assert!(matches!(kind, TlsErrorKind::UnknownIssuer | TlsErrorKind::Options(_)), "{kind:?}");
    server.finish();
}

#[test]
fn a_certificate_that_the_server_made_for_itself_can_be_trusted() {
    let identity = Pem::self_signed(&["127.0.0.1"]);
    let config = Arc::new(identity.server(BOTH));
    let server = serve(move |mut peer| {
        peer.secure(&config).unwrap();
        peer.open();
        peer.echo_until_close();
    });
    let mut client = builder().roots(&identity.chain).connect(&secure_url(&server)).unwrap();
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

#[test]
fn a_port_without_tls_is_recognised() {
    // A ServerHello of 64 KiB in records of one byte each.
    let endless = [b"\x16\x03\x03\x00\x04\x02\x00\xff\xff".as_slice(), &b"\x16\x03\x03\x00\x01\x00".repeat(65_535)];
    let rows: &[(&str, &[u8], TlsErrorKind)] = &[
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", TlsErrorKind::NoTls),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n", TlsErrorKind::NoTls),
        ("a byte of data", b"\x17", TlsErrorKind::NoTls),
        ("one byte below a record", b"\x13\x03\x03", TlsErrorKind::NoTls),
        ("only the end", b"", TlsErrorKind::Ended),
        ("the end within a record", b"\x16\x03\x03\x00\x7a\x02", TlsErrorKind::Ended),
        ("close_notify", b"\x15\x03\x03\x00\x02\x01\x00", TlsErrorKind::Ended),
        ("an alert", b"\x15\x03\x03\x00\x02\x02\x28", TlsErrorKind::Refused),
        ("a record that is no handshake", b"\x16\x03\x03\x00\x05\xff\x00\x00\x01\x00", TlsErrorKind::Protocol),
        ("a message in too many records", &endless.concat(), TlsErrorKind::Protocol),
        ("a record over 16 KiB", b"\x16\x03\x03\xff\xff", TlsErrorKind::Protocol),
    ];
    let setting = Setting::new();
    for (name, answer, expected) in rows {
        let answer = answer.to_vec();
        let server = serve(move |mut peer| {
            assert!(peer.fill() > 0);
            peer.write_and_end(&answer);
        });
        assert_eq!(kind_of(setting.builder.connect(&secure_url(&server))), *expected, "{name}");
        server.finish();
    }
}

#[test]
fn a_server_without_a_common_protocol_refuses() {
    let setting = Setting::new();
    let mut config = ServerConfig::clone(&setting.config);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let server = serve(move |mut peer| drop(peer.secure(&config).unwrap_err()));
    assert_eq!(kind_of(setting.builder.connect(&secure_url(&server))), TlsErrorKind::Refused);
    server.finish();
}

#[test]
fn a_client_certificate_is_presented_where_it_is_demanded() {
    let (authority, clients, foreign) = (Authority::new("own"), Authority::new("clients"), Authority::new("foreign"));
    let identity = authority.sign(&["127.0.0.1"]);
    let rows = [
        ("good", Some(clients.sign(&["client.test"])), None, None),
        ("none", None, Some(TlsErrorKind::ClientCertificateRequired), Some(TlsErrorKind::ClientCertificateRequired)),
        (
            "foreign",
            Some(foreign.sign(&["client.test"])),
            Some(TlsErrorKind::ClientCertificateRefused),
            Some(TlsErrorKind::ClientCertificateRefused),
        ),
    ];
    for (name, client, with_tls12, with_tls13) in &rows {
        for (versions, expected) in [(TLS12, with_tls12), (TLS13, with_tls13)] {
            let config = Arc::new(identity.server_for(&clients, versions));
            let server = serve(move |mut peer| match peer.secure(&config) {
                Ok(()) => {
                    assert_eq!(peer.tls().peer_certificates().map(<[_]>::len), Some(1));
                    peer.open();
                    peer.echo_until_close();
                }
                Err(_) => peer.expect_end(),
            });
            let mut builder = builder().roots(authority.pem());
            if let Some(client) = client {
                builder = builder.client_certificate(&client.chain, &client.key);
            }
            match (builder.connect(&secure_url(&server)), expected) {
                (Ok(mut client), None) => {
                    client.send_text("hi").unwrap();
                    assert_eq!(client.receive().unwrap(), Message::Text("hi".into()));
                    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
                }
                (connected, Some(kind)) => assert_eq!(kind_of(connected), *kind, "{name}"),
                (connected, None) => panic!("{name}: {connected:?}"),
            }
            server.finish();
        }
    }
}

#[test]
fn without_tls_a_port_with_tls_is_a_handshake_error() {
    let setting = Setting::new();
    let config = Arc::clone(&setting.config);
    let server = serve(move |mut peer| {
        let error = peer.secure(&config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        peer.expect_end();
    });
    let error = Client::connect(&server.url()).unwrap_err();
    assert!(matches!(error, ClientError::Handshake(_)), "{error:?}");
    server.finish();
}
