//! Options of TLS that cannot be used, and those that replace others.

use std::{net::SocketAddr, sync::Arc};

use switchboard::{
    CloseCode,
    client::{ClientBuilder, ClientError, TlsErrorKind, UrlError},
};

use super::{Authority, BOTH, Setting, kind_of, secure_url};
use crate::peer::{builder, serve};

#[test]
fn options_that_cannot_be_used_are_refused_before_connecting() {
    let authority = Authority::new("own");
    let (one, other) = (authority.sign(&["client.test"]), authority.sign(&["client.test"]));
    let (chain, key, other_key) = (&one.chain, &one.key, &other.key);
    let cut = &authority.pem()[..100];
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let rows: Vec<(&str, ClientBuilder, &str)> = vec![
        ("empty roots", builder().roots(""), "roots has no certificate"),
        ("roots without PEM", builder().roots([0x30, 0x82]), "roots has no certificate"),
        ("roots that are cut", builder().roots(cut), "roots has no certificate"),
        ("a key as roots", builder().roots(key), "roots has no certificate"),
        ("rubbish in PEM", builder().roots(no_certificate), "roots has a certificate that cannot be read"),
        ("rubbish among roots", builder().roots(authority.pem()).roots("x"), "roots has no certificate"),
        ("no chain", builder().client_certificate("", key), "no certificate"),
        ("no key", builder().client_certificate(chain, ""), "no private key"),
        ("a chain as key", builder().client_certificate(chain, chain), "no private key"),
        ("the key of another", builder().client_certificate(chain, other_key), "do not belong together"),
    ];
    // No server listens on port 1 of this address: a client that connected first would fail with another error.
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    for (name, builder, part) in rows {
        match kind_of(builder.roots(authority.pem()).address(address).connect("wss://example.test/")) {
            TlsErrorKind::Options(reason) => assert!(reason.contains(part), "{name}: {reason}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_host_that_no_certificate_can_have_is_refused() {
    let setting = Setting::new();
    for host in ["a..b", "~", "-a", "127.0.0.256"] {
        let error = setting.builder.connect(&format!("wss://{host}/")).unwrap_err();
        assert!(matches!(error, ClientError::Url(UrlError::Host(_))), "{host}: {error:?}");
    }
}

#[test]
fn roots_are_added_to_and_an_earlier_clone_keeps_its_own() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let before = builder().roots(first.pem());
    let both = before.clone().roots(second.pem());
    let bundle = builder().roots([first.pem(), second.pem()].concat());
    let config = Arc::new(second.sign(&["127.0.0.1"]).server(BOTH));
    let (public, public_too) = (builder().webpki_roots(), builder().roots(second.pem()).webpki_roots());
    let rows = [(&both, true), (&before, false), (&bundle, true), (&both, true), (&public, false), (&public_too, true)];
    for (builder, is_trusted) in rows {
        let config = Arc::clone(&config);
        let server = serve(move |mut peer| {
            if peer.secure(&config).is_ok() {
                peer.open();
                peer.echo_until_close();
            }
        });
        match builder.connect(&secure_url(&server)) {
            Ok(mut client) => {
                assert!(is_trusted);
                client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
            }
            connected => assert_eq!((kind_of(connected), is_trusted), (TlsErrorKind::UnknownIssuer, false)),
        }
        server.finish();
    }
}

#[test]
fn a_configuration_of_rustls_replaces_the_other_options() {
    let (authority, other) = (Authority::new("own"), Authority::new("other"));
    let config = Arc::new(authority.sign(&["127.0.0.1"]).server(BOTH));
    let server = serve(move |mut peer| {
        peer.secure(&config).unwrap();
        assert_eq!(peer.tls().alpn_protocol(), None);
        peer.open();
        peer.echo_until_close();
    });
    let builder = builder().roots(other.pem()).rustls_config(Arc::new(authority.client()));
    let mut client = builder.connect(&secure_url(&server)).unwrap();
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

#[test]
fn debug_shows_no_key_and_no_password() {
    let identity = Authority::new("own").sign(&["client.test"]);
    let builder = builder()
        .client_certificate(&identity.chain, identity.key)
        .proxy("http://user:secret@proxy:3128")
        .header("Authorization", "Bearer secret");
    let shown = format!("{builder:?} {builder:#?}");
    assert!(!shown.contains("secret") && !shown.contains("PRIVATE"), "{shown}");
}
