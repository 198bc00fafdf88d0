//! Tunnels through proxies. After its answer, the script of a proxy goes on as the server behind it.

use std::{error::Error as _, io::Read, time::Instant};

use switchboard::{
    CloseCode, HeadError,
    client::{Client, ClientBuilder, ClientError, Message, ProxyError, Stage},
};

use crate::{
    LONG, SHORT,
    peer::{Peer, Server, builder, serve},
};

/// The URL of the server behind the proxy. The proxy alone could resolve its name.
const URL: &str = "ws://server.invalid:8080/";

/// A builder whose connections pass this server as a proxy.
fn through(proxy: &Server, scheme: &str) -> ClientBuilder {
    builder().proxy(format!("{scheme}{}", proxy.address))
}

/// Sends a message and closes.
fn talk(mut client: Client) {
    client.send_text("hi").unwrap();
    assert_eq!(client.receive().unwrap(), Message::Text("hi".into()));
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
}

impl Peer {
    /// Reads exactly these bytes.
    fn expect(&mut self, expected: &[u8]) {
        while self.unread.len() < expected.len() {
            assert!(self.fill() > 0, "the client ended TCP");
        }
        let rest = self.unread.split_off(expected.len());
        assert_eq!(self.unread.escape_ascii().to_string(), expected.escape_ascii().to_string());
        self.unread = rest;
    }
}

const CONNECT: &[u8] = b"CONNECT server.invalid:8080 HTTP/1.1\r\nHost: server.invalid:8080\r\n\r\n";

#[test]
fn a_tunnel_through_an_http_proxy_carries_the_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Connection established\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nVia: proxy\r\n\r\n",
        // Neither field has a meaning in the answer to CONNECT.
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let proxy = serve(move |mut peer| {
            peer.expect(CONNECT);
            // Byte by byte: the answer may be cut anywhere.
            answer.bytes().for_each(|byte| peer.write(&[byte]));
            peer.open();
            peer.echo_until_close();
        });
        talk(through(&proxy, "http://").connect(URL).unwrap());
        proxy.finish();
    }
}

#[test]
fn the_request_for_a_tunnel_names_the_server_and_the_user() {
    let rows: &[(&str, &str, &str)] = &[
        ("", "ws://[::1]:80/", "CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
        (
            "Aladdin:open%20sesame@",
            URL,
            "CONNECT server.invalid:8080 HTTP/1.1\r\nHost: server.invalid:8080\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n",
        ),
    ];
    for &(credentials, url, expected) in rows {
        let proxy = serve(move |mut peer| {
            peer.expect(expected.as_bytes());
            peer.write(b"HTTP/1.1 200 OK\r\n\r\n");
            let request = peer.request();
            assert_eq!(request.values("Proxy-Authorization").count(), 0, "the server sees no credentials");
            peer.accept(&request, None, &[]);
            peer.echo_until_close();
        });
        talk(through(&proxy, &format!("http://{credentials}")).connect(url).unwrap());
        proxy.finish();
    }
}

/// What a proxy answers, and whether an error is the one that it should cause.
type Row = (&'static str, &'static str, &'static [u8], fn(&ProxyError) -> bool);

#[test]
fn an_http_proxy_that_gives_no_tunnel_is_an_error_by_its_kind() {
    let rows: &[Row] = &[
        ("no credentials", "", b"HTTP/1.1 407 X\r\n\r\n", |error| matches!(error, ProxyError::CredentialsRequired)),
        ("wrong ones", "u:secret@", b"HTTP/1.1 407 X\r\n\r\n", |error| matches!(error, ProxyError::CredentialsRefused)),
        ("refused", "u:secret@", b"HTTP/1.1 403 No\r\n\r\n", |error| matches!(error, ProxyError::Status(403))),
        ("unreachable", "", b"HTTP/1.1 502 Bad Gateway\r\n\r\n", |error| matches!(error, ProxyError::Status(502))),
        ("a redirect", "", b"HTTP/1.1 302 X\r\nLocation: /\r\n\r\n", |error| matches!(error, ProxyError::Status(302))),
        ("an upgrade", "", b"HTTP/1.1 101 X\r\n\r\n", |error| matches!(error, ProxyError::Status(101))),
        ("another protocol", "", b"SSH-2.0-OpenSSH\r\n", |error| matches!(error, ProxyError::Head(_))),
        ("SOCKS", "", b"\x05\xff\x05\xff", |error| matches!(error, ProxyError::Head(_))),
        ("bare LF", "", b"HTTP/1.1 200 OK\n\n", |error| matches!(error, ProxyError::Head(_))),
        ("a fold", "", b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", |error| matches!(error, ProxyError::Head(_))),
        ("HTTP/2.0", "", b"HTTP/2.0 200 OK\r\n\r\n", |error| matches!(error, ProxyError::Head(_))),
        ("nothing", "", b"", |error| matches!(error, ProxyError::Disconnected)),
        ("half a head", "", b"HTTP/1.1 200 OK\r\n", |error| matches!(error, ProxyError::Disconnected)),
        ("more than its head", "", b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 X\r\n\r\n", |error| {
            matches!(error, ProxyError::Protocol(_))
        }),
    ];
    for &(name, credentials, answer, is_expected) in rows {
        let proxy = serve(move |mut peer| {
            assert!(peer.fill() > 0);
            peer.write_and_end(answer);
        });
        assert_proxy_error(name, through(&proxy, &format!("http://{credentials}")).connect(URL), is_expected);
        proxy.finish();
    }
}

/// Asserts the kind of the error, and that it shows no password.
#[track_caller]
fn assert_proxy_error(name: &str, connected: Result<Client, ClientError>, is_expected: fn(&ProxyError) -> bool) {
    let error = connected.unwrap_err();
    let ClientError::Proxy(reason) = &error else { panic!("{name}: {error:?}") };
    assert!(is_expected(reason), "{name}: {error:?}");
    let shown = format!("{error} {error:?} {:?}", error.source());
    assert!(!shown.contains("secret"), "{name}: {shown}");
}

#[test]
fn the_answer_of_an_http_proxy_is_bounded_in_bytes_and_in_interim_responses() {
    let proxy = serve(|mut peer| {
        assert!(peer.fill() > 0);
        peer.write(b"HTTP/1.1 200 OK\r\nX: ");
        peer.write(&[b'x'; 40_000]);
        peer.expect_end();
    });
    let mut limits = switchboard::HeadLimits::default();
    limits.max_bytes = 1000;
    let error = through(&proxy, "http://").head_limits(limits).connect(URL).unwrap_err();
    assert!(matches!(&error, ClientError::Proxy(ProxyError::Head(HeadError::TooLong { .. }))), "{error:?}");
    proxy.finish();

    for (count, is_accepted) in [(8, true), (9, false)] {
        let proxy = serve(move |mut peer| {
            assert!(peer.fill() > 0);
            let answer = "HTTP/1.1 102 Processing\r\n\r\n".repeat(count) + "HTTP/1.1 400 No\r\n\r\n";
            peer.write_and_end(answer.as_bytes());
        });
        let error = through(&proxy, "http://").connect(URL).unwrap_err();
        let is_status = matches!(&error, ClientError::Proxy(ProxyError::Status(400)));
        let is_too_many = matches!(&error, ClientError::Proxy(ProxyError::Protocol(_)));
        assert_eq!((is_status, is_too_many), (is_accepted, !is_accepted), "{count}: {error:?}");
        proxy.finish();
    }
}

#[test]
fn a_silent_or_slow_proxy_runs_into_the_connect_timeout() {
    for scheme in ["http://", "socks5h://"] {
        let silent = serve(|mut peer| peer.expect_end());
        let started = Instant::now();
        let error = through(&silent, scheme).connect_timeout(SHORT).connect(URL).unwrap_err();
        assert!(matches!(error, ClientError::Timeout(Stage::Proxy)), "{error:?}");
        assert!(started.elapsed() < LONG);
        silent.finish();
    }
    let endless = serve(|mut peer| {
        use std::io::Write;
        let deadline = Instant::now() + LONG;
        peer.write(b"HTTP/1.1 200 ");
        while peer.stream.write_all(b"x").is_ok() {
            assert!(Instant::now() < deadline, "the client does not give up");
        }
    });
    let mut limits = switchboard::HeadLimits::default();
    limits.max_bytes = usize::MAX;
    let error = through(&endless, "http://").head_limits(limits).connect_timeout(SHORT).connect(URL).unwrap_err();
    assert!(matches!(error, ClientError::Timeout(Stage::Proxy)), "{error:?}");
    endless.finish();
}

#[test]
fn a_proxy_that_is_not_there_or_has_an_invalid_url_is_named_as_the_cause() {
    let error = builder().proxy("http://127.0.0.1:1").connect(URL).unwrap_err();
    assert!(matches!(error, ClientError::Proxy(ProxyError::Connect(_))), "{error:?}");
    assert!(error.source().is_some());
    let error = builder().proxy("http://proxy.invalid:1").connect(URL).unwrap_err();
    assert!(matches!(error, ClientError::Proxy(ProxyError::Resolve(_))), "{error:?}");
    assert_proxy_error("https", builder().proxy("https://u:secret@h:1").connect(URL), |error| {
        matches!(error, ProxyError::Url(_))
    });
}

/// The client's messages to a SOCKS5 proxy.
const HELLO: &[u8] = b"\x05\x01\x00";
const HELLO_WITH_USER: &[u8] = b"\x05\x02\x00\x02";
const USER: &[u8] = b"\x01\x04user\x06secret";
const REQUEST: &[u8] = b"\x05\x01\x00\x03\x0eserver.invalid\x1f\x90";

#[test]
fn a_tunnel_through_a_socks5_proxy_carries_the_connection() {
    let rows: &[(&str, &str, &str, &[(&[u8], &[u8])])] = &[
        ("no user", "", URL, &[(HELLO, b"\x05\x00"), (REQUEST, b"\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34")]),
        (
            "a user",
            "user:secret@",
            URL,
            &[(HELLO_WITH_USER, b"\x05\x02"), (USER, b"\x01\x00"), (REQUEST, b"\x05\x00\x00\x03\x01x\x00\x00")],
        ),
        (
            "a user whom the proxy does not ask for",
            "user:secret@",
            URL,
            &[(HELLO_WITH_USER, b"\x05\x00"), (REQUEST, b"\x05\x00\x00\x03\x00\x00\x00")],
        ),
        (
            "an IPv4 address",
            "",
            "ws://192.0.2.1:80/",
            &[
                (HELLO, b"\x05\x00"),
                (
                    b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50",
                    b"\x05\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00",
                ),
            ],
        ),
        (
            "an IPv6 address",
            "",
            "ws://[2001:db8::1]/",
            &[
                (HELLO, b"\x05\x00"),
                (
                    b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50",
                    b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00",
                ),
            ],
        ),
    ];
    for &(name, credentials, url, turns) in rows {
        let proxy = serve(move |mut peer| {
            for (expected, answer) in turns {
                peer.expect(expected);
                answer.iter().for_each(|&byte| peer.write(&[byte]));
            }
            let request = peer.request();
            peer.accept(&request, None, &[]);
            peer.echo_until_close();
        });
        let connected = through(&proxy, &format!("socks5h://{credentials}")).connect(url);
        talk(connected.unwrap_or_else(|error| panic!("{name}: {error:?}")));
        proxy.finish();
    }
}

#[test]
fn with_socks5_the_client_resolves_the_name() {
    let proxy = serve(|mut peer| {
        peer.expect(HELLO);
        peer.write(b"\x05\x00");
        while peer.unread.len() < 4 {
            assert!(peer.fill() > 0);
        }
        assert!(matches!(peer.unread[3], 1 | 4), "{:?}", peer.unread);
        peer.write_and_end(b"\x05\x05");
    });
    assert_proxy_error("refused", through(&proxy, "socks5://").connect("ws://localhost:8080/"), |error| {
        matches!(error, ProxyError::Socks(5))
    });
    proxy.finish();
    let unused = serve(|mut peer| assert_eq!(peer.stream.read(&mut [0]).unwrap(), 0));
    let error = through(&unused, "socks5://").connect(URL).unwrap_err();
    assert!(matches!(error, ClientError::Resolve(_)), "{error:?}");
    unused.finish();
}

#[test]
fn a_socks5_proxy_that_gives_no_tunnel_is_an_error_by_its_kind() {
    let rows: &[Row] = &[
        ("no credentials", "", b"\x05\xff", |error| matches!(error, ProxyError::CredentialsRequired)),
        ("no method", "u:secret@", b"\x05\xff", |error| matches!(error, ProxyError::CredentialsRefused)),
        ("wrong ones", "u:secret@", b"\x05\x02\x01\x01", |error| matches!(error, ProxyError::CredentialsRefused)),
        ("a password that was not offered", "", b"\x05\x02", |error| matches!(error, ProxyError::Protocol(_))),
        ("GSSAPI", "u:secret@", b"\x05\x01", |error| matches!(error, ProxyError::Protocol(_))),
        ("SOCKS4", "", b"\x04\x5a", |error| matches!(error, ProxyError::Protocol(_))),
        ("HTTP", "", b"HTTP/1.1 400 No\r\n\r\n", |error| matches!(error, ProxyError::Protocol(_))),
        ("an answer of another version", "u:secret@", b"\x05\x02\x05\x00", |error| {
            matches!(error, ProxyError::Protocol(_))
        }),
        ("general failure", "", b"\x05\x00\x05\x01", |error| matches!(error, ProxyError::Socks(1))),
        ("its rules", "", b"\x05\x00\x05\x02\x00\x01\0\0\0\0\0\0", |error| matches!(error, ProxyError::Socks(2))),
        ("an unknown code", "", b"\x05\x00\x05\x63", |error| matches!(error, ProxyError::Socks(0x63))),
        ("a reply of another version", "", b"\x05\x00\x04\x00", |error| matches!(error, ProxyError::Protocol(_))),
        ("a reserved byte", "", b"\x05\x00\x05\x00\x01\x01", |error| matches!(error, ProxyError::Protocol(_))),
        ("a reserved byte before a name", "", b"\x05\x00\x05\x00\x01\x03", |error| {
            matches!(error, ProxyError::Protocol(_))
        }),
        ("an unknown address", "", b"\x05\x00\x05\x00\x00\x02", |error| matches!(error, ProxyError::Protocol(_))),
        ("nothing", "", b"", |error| matches!(error, ProxyError::Disconnected)),
        ("half a greeting", "", b"\x05", |error| matches!(error, ProxyError::Disconnected)),
        ("half an address", "", b"\x05\x00\x05\x00\x00\x01\x7f", |error| matches!(error, ProxyError::Disconnected)),
        ("no port", "", b"\x05\x00\x05\x00\x00\x03\x01x", |error| matches!(error, ProxyError::Disconnected)),
        ("more than its reply", "", b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0HTTP", |error| {
            matches!(error, ProxyError::Protocol(_))
        }),
    ];
    for &(name, credentials, answer, is_expected) in rows {
        let proxy = serve(move |mut peer| {
            assert!(peer.fill() > 0);
            peer.write_and_end(answer);
        });
        assert_proxy_error(name, through(&proxy, &format!("socks5h://{credentials}")).connect(URL), is_expected);
        proxy.finish();
    }
}

#[test]
fn the_address_is_what_the_proxy_is_asked_for() {
    let proxy = serve(|mut peer| {
        peer.expect(b"CONNECT 192.0.2.7:81 HTTP/1.1\r\nHost: 192.0.2.7:81\r\n\r\n");
        peer.write(b"HTTP/1.1 200 OK\r\n\r\n");
        let request = peer.request();
        assert_eq!(request.values("Host").next(), Some(&b"server.invalid:8080"[..]));
        peer.accept(&request, None, &[]);
        peer.echo_until_close();
    });
    talk(through(&proxy, "http://").address(([192, 0, 2, 7], 81).into()).connect(URL).unwrap());
    proxy.finish();
}

#[cfg(feature = "client-tls")]
mod secure {
    use std::sync::Arc;

    use super::*;
    use crate::tls::Setting;

    #[test]
    fn tls_passes_the_tunnel_of_either_proxy() {
        let setting = Setting::new();
        for scheme in ["http://", "socks5h://"] {
            let config = Arc::clone(&setting.config);
            let proxy = serve(move |mut peer| {
                if scheme == "http://" {
                    peer.expect(b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n");
                    peer.write(b"HTTP/1.1 200 OK\r\n\r\n");
                } else {
                    peer.expect(HELLO);
                    peer.write(b"\x05\x00");
                    peer.expect(b"\x05\x01\x00\x03\x09localhost\x01\xbb");
                    peer.write(b"\x05\x00\x00\x01\0\0\0\0\0\0");
                }
                peer.secure(&config).unwrap();
                peer.open();
                peer.echo_until_close();
            });
            talk(
                setting
                    .builder
                    .clone()
                    .proxy(format!("{scheme}{}", proxy.address))
                    .connect("wss://localhost/")
                    .unwrap(),
            );
            proxy.finish();
        }
    }

    #[test]
    fn a_proxy_cannot_put_bytes_before_tls() {
        let proxy = serve(|mut peer| {
            assert!(peer.fill() > 0);
            peer.write_and_end(b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03\x00\x01\x00");
        });
        assert_proxy_error("a record", through(&proxy, "http://").connect("wss://localhost/"), |error| {
            matches!(error, ProxyError::Protocol(_))
        });
        proxy.finish();
    }
}
