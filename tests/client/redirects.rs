//! Redirects: which are followed, with what, and where they end.

use switchboard::{
    CloseCode,
    client::{ClientError, RedirectError},
};

use crate::peer::{Peer, Script, builder, serve, serve_each, serve_with_address};

/// A script that answers the request with a redirect.
fn redirect(status: u16, location: impl Into<String>) -> Script {
    let location = location.into();
    Box::new(move |mut peer: Peer| {
        peer.request();
        let head = format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 1000000\r\n\r\n");
        peer.write(head.as_bytes());
        peer.expect_end();
    })
}

/// A script that accepts the connection if the request is for this target.
fn accept(target: &'static str) -> Script {
    Box::new(move |mut peer: Peer| {
        let request = peer.request();
        assert_eq!(request.target(), target);
        peer.accept(&request, None, &[]);
        peer.echo_until_close();
    })
}

#[test]
fn the_statuses_of_redirects_are_followed() {
    for status in [301, 302, 303, 307, 308] {
        let server = serve_each(vec![redirect(status, "/there?x=1"), accept("/there?x=1")]);
        // The body of a redirect is not waited for: it never comes.
        let mut client = builder().redirects(1).connect(&server.url()).unwrap();
        client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
        server.finish();
    }
}

#[test]
fn other_statuses_are_no_redirects() {
    for status in [200, 300, 304, 305, 306, 309, 400] {
        let server = serve(move |mut peer| {
            peer.request();
            peer.write(format!("HTTP/1.1 {status} X\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n").as_bytes());
            peer.expect_end();
        });
        match builder().redirects(9).connect(&server.url()) {
            Err(ClientError::Refused { response, .. }) => assert_eq!(response.status(), status),
            other => panic!("{status}: {other:?}"),
        }
        server.finish();
    }
}

#[test]
fn a_chain_ends_at_the_limit_at_a_loop_and_at_an_invalid_location() {
    let chain = |end: &str| vec![redirect(302, "/1"), redirect(307, "2"), redirect(308, end)];
    let rows: &[(&str, u32, &str, usize, RedirectError)] = &[
        ("too many", 2, "/3", 3, RedirectError::TooMany { limit: 2 }),
        ("a loop", 9, "/1", 3, RedirectError::Loop),
        ("a loop to the first", 9, "./", 3, RedirectError::Loop),
    ];
    for (name, limit, end, visits, expected) in rows {
        let mut scripts = chain(end);
        scripts.truncate(*visits);
        let server = serve_each(scripts);
        match builder().redirects(*limit).connect(&server.url()) {
            Err(ClientError::RedirectFailed { location, reason }) => {
                assert_eq!((&*location, &reason), (*end, expected), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        server.finish();
    }
    let server = serve_each(vec![redirect(302, "ftp://h/\u{7f}")]);
    let error = builder().redirects(9).connect(&server.url()).unwrap_err();
    // A control character in a head is refused before its meaning is looked at.
    assert!(matches!(error, ClientError::Handshake(_)), "{error:?}");
    server.finish();

    let server = serve_each(vec![redirect(302, "mailto:nobody")]);
    let error = builder().redirects(9).connect(&server.url()).unwrap_err();
    let ClientError::RedirectFailed { location, reason: RedirectError::Url(_) } = &error else { panic!("{error:?}") };
    assert_eq!(location, "mailto:nobody");
    assert!(error.to_string().contains("mailto:nobody"), "{error}");
    server.finish();
}

#[test]
fn credentials_go_to_the_first_origin_only() {
    let credentials = ["Authorization", "Cookie", "Proxy-Authorization"];
    let sees = |is_expected: bool, location: Option<String>| -> Script {
        Box::new(move |mut peer: Peer| {
            let request = peer.request();
            for name in credentials {
                assert_eq!(request.values(name).count(), usize::from(is_expected), "{name}");
            }
            assert_eq!(request.values("X-Other").count(), 1);
            assert_eq!(request.values("Origin").count(), 1);
            match location {
                Some(location) => {
                    peer.write(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n").as_bytes());
                    peer.expect_end();
                }
                None => {
                    peer.accept(&request, None, &[]);
                    peer.echo_until_close();
                }
            }
        })
    };
    let builder = builder()
        .header("Authorization", "Bearer secret")
        .header("cookie", "secret=1")
        .header("Proxy-Authorization", "Basic secret")
        .header("X-Other", "1")
        .origin("https://example.test")
        .redirects(9);

    let same = serve_each(vec![sees(true, Some("/there".into())), sees(true, None)]);
    let mut client = builder.connect(&same.url()).unwrap();
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    same.finish();

    // Another port of the same host.
    let second = serve_each(vec![sees(false, None)]);
    let first = serve_each(vec![sees(true, Some(format!("http://{}/", second.address)))]);
    let mut client = builder.connect(&first.url()).unwrap();
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    first.finish();
    second.finish();
}

#[test]
fn credentials_do_not_come_back_with_a_redirect_to_the_first_origin() {
    let counts = |count: usize, location: String| -> Script {
        Box::new(move |mut peer: Peer| {
            let request = peer.request();
            assert_eq!(request.values("Cookie").count(), count, "before {location}");
            peer.write(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n").as_bytes());
            peer.expect_end();
        })
    };
    let first = serve_with_address(|first| {
        let second = serve_each(vec![counts(0, format!("http://{first}/back"))]);
        vec![counts(1, format!("http://{}/", second.address)), counts(0, "/".into())]
    });
    let error = builder().header("Cookie", "secret=1").redirects(9).connect(&first.url()).unwrap_err();
    assert!(matches!(error, ClientError::RedirectFailed { reason: RedirectError::Loop, .. }), "{error:?}");
    first.finish();
}

#[test]
fn the_address_is_used_for_the_first_origin_only() {
    let elsewhere = serve_each(vec![accept("/elsewhere")]);
    let first =
        serve_each(vec![redirect(302, "/again"), redirect(302, format!("http://{}/elsewhere", elsewhere.address))]);
    let mut client = builder().redirects(9).address(first.address).connect("ws://example.test/").unwrap();
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    first.finish();
    elsewhere.finish();
}

#[cfg(feature = "client-tls")]
mod secure {
    use super::*;
    use crate::tls::{Setting, secure_url};

    #[test]
    fn https_means_wss_and_never_leads_back_to_ws() {
        let setting = Setting::new();
        let secure = setting.serve(|mut peer| {
            let request = peer.request();
            assert_eq!(request.values("Authorization").count(), 0);
            peer.accept(&request, None, &[]);
            peer.echo_until_close();
        });
        let plain = serve_each(vec![redirect(301, format!("https://{}/", secure.address))]);
        let builder = setting.builder.clone().redirects(9).header("Authorization", "Bearer secret");
        let mut client = builder.connect(&plain.url()).unwrap();
        client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
        plain.finish();
        secure.finish();

        for scheme in ["http", "ws"] {
            // No server is there: the client must not try.
            let location = format!("{scheme}://127.0.0.1:1/");
            let script = redirect(302, &location);
            let server = setting.serve(script);
            match builder.connect(&secure_url(&server)) {
                Err(ClientError::RedirectFailed { location: named, reason: RedirectError::Downgrade }) => {
                    assert_eq!(named, location);
                }
                other => panic!("{other:?}"),
            }
            server.finish();
        }
    }
}
