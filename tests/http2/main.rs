//! WebSocket behind hyper, in HTTP/1.1 and in HTTP/2 (RFC 8441): the example `hyper_upgrade` with real clients.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
    ext::Protocol,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use switchboard::{
    ClientHandshake, ClientRequest, CloseCode, CloseFrame, Connection, Deflate, Delivery, Driver, Event, HeadLimits,
    KeySource, Limits, Masked, Next, Rejection, reason_phrase,
};
use switchboard_tests::engine::KEY;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[expect(dead_code, reason = "the test listens for itself, so it does not call main")]
#[path = "../../examples/hyper_upgrade.rs"]
mod hyper_upgrade;

/// Runs a test with the server, and gives it the server's address.
fn run<F: Future<Output = ()>>(test: impl FnOnce(SocketAddr) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(hyper_upgrade::serve_all(listener));
        tokio::time::timeout(Duration::from_secs(30), test(address)).await.expect("the test ends");
    });
}

/// Opens a connection of HTTP/2. Its first response shows that the server's settings have arrived.
async fn connect(address: SocketAddr) -> SendRequest<String> {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let page = Request::get("http://localhost/").version(Version::HTTP_2).body(String::new()).expect("valid");
    assert_eq!(client.send_request(page).await.expect("a response").status(), 200);
    client
}

/// Sends an extended CONNECT for this protocol, with further header fields.
async fn extended_connect(
    client: &mut SendRequest<String>,
    protocol: &'static str,
    fields: &[(&str, &str)],
) -> Response<Incoming> {
    let request = Request::builder().method(Method::CONNECT).uri("http://localhost/ws").version(Version::HTTP_2);
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let mut request = request.body(String::new()).expect("valid");
    request.extensions_mut().insert(Protocol::from_static(protocol));
    client.send_request(request).await.expect("a response")
}

/// Sends a short and a long message and a Close. Returns what comes back up to the end of the stream.
async fn talk<K: KeySource>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: Connection<Masked<K>>,
) -> io::Result<Vec<String>> {
    let mut driver = Driver::new(connection, Vec::new());
    let mut outgoing = driver.outgoing();
    let long = "long ".repeat(40_000);
    outgoing.text("short").map_err(io::Error::other)?;
    outgoing.text(&long).map_err(io::Error::other)?;
    outgoing.close(Some(CloseFrame { code: CloseCode::NORMAL_CLOSURE, reason: "" })).map_err(io::Error::other)?;
    let (mut seen, mut buffer) = (Vec::new(), vec![0; 4096]);
    loop {
        match driver.next() {
            Next::Write => {
                stream.write_all(driver.output()).await?;
                driver.wrote(usize::MAX);
            }
            Next::Read => {
                let length = stream.read(&mut buffer).await?;
                assert!(length > 0, "the stream ended before the Close");
                let (mut events, mut outgoing) = driver.receive(&mut buffer[..length]);
                while let Some(event) = events.next_event(&mut outgoing).map_err(io::Error::other)? {
                    seen.push(match event {
                        Event::Text(text) if text == long => "long".to_owned(),
                        Event::Text(text) => text.to_owned(),
                        Event::Close(frame) => format!("close {:?}", frame.map(|frame| frame.code.get())),
                        other => format!("{other:?}"),
                    });
                }
            }
            Next::End => break,
        }
    }
    stream.shutdown().await?;
    assert_eq!(stream.read(&mut buffer).await?, 0, "the server ends the stream");
    Ok(seen)
}

const CONVERSATION: [&str; 3] = ["short", "long", "close Some(1000)"];

#[test]
fn a_stream_of_http_2_is_a_websocket() {
    run(|address| async move {
        let mut client = connect(address).await;
        // Two at the same time, on one TCP connection.
        let mut streams = Vec::new();
        for _ in 0..2 {
            let response = extended_connect(&mut client, "websocket", &[("sec-websocket-version", "13")]).await;
            assert_eq!((response.status().as_u16(), response.headers().contains_key("upgrade")), (200, false));
            streams.push(hyper::upgrade::on(response).await.expect("an open stream"));
        }
        for stream in streams {
            let connection = Connection::client(|| KEY, Limits::default(), Delivery::Messages);
            assert_eq!(talk(TokioIo::new(stream), connection).await.unwrap(), CONVERSATION);
        }
    });
}

#[test]
fn permessage_deflate_is_negotiated_in_http_2() {
    run(|address| async move {
        let mut client = connect(address).await;
        let fields = [("sec-websocket-version", "13"), ("sec-websocket-extensions", "permessage-deflate")];
        let response = extended_connect(&mut client, "websocket", &fields).await;
        let agreed = response.headers().get("sec-websocket-extensions").expect("an agreement");
        assert!(agreed.as_bytes().starts_with(b"permessage-deflate"), "{agreed:?}");
    });
}

/// RFC 9110 renamed two statuses, which hyper has by their old names.
#[test]
fn the_reason_phrases_of_responses_are_those_of_rfc_9110() {
    let renamed = [(413, "Content Too Large"), (414, "URI Too Long")];
    let known = [
        101, 200, 201, 202, 204, 205, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414,
        415, 421, 426, 429, 431, 500, 501, 503, 505,
    ];
    for status in 100..600 {
        let renamed = renamed.iter().find(|(renamed, _)| *renamed == status).map(|(_, phrase)| *phrase);
        let usual = renamed.or(StatusCode::from_u16(status).expect("100 to 599").canonical_reason());
        assert_eq!(reason_phrase(status), usual.filter(|_| known.contains(&status)).unwrap_or_default(), "{status}");
    }
}

#[test]
fn a_rejection_has_the_fields_of_the_connection_in_http_1_1_alone() {
    let rejection = Rejection::text(404, "no such room\n").header("X-Room", "7");
    for (version, connection) in [(Version::HTTP_11, Some("close")), (Version::HTTP_2, None), (Version::HTTP_3, None)] {
        let response: Response<String> = rejection.to_http(version).expect("valid fields");
        let field = |name| response.headers().get(name).map(|value| value.to_str().expect("ASCII"));
        assert_eq!((response.status().as_u16(), response.body().as_str()), (404, "no such room\n"));
        assert_eq!((field("x-room"), field("connection")), (Some("7"), connection), "{version:?}");
    }
}

#[test]
fn a_request_of_http_2_that_opens_no_websocket_gets_a_response_of_its_own() {
    run(|address| async move {
        let mut client = connect(address).await;
        let rows: [(&str, &[(&str, &str)], u16); 3] = [
            ("websocket", &[("sec-websocket-version", "8")], 400),
            ("websocket", &[("sec-websocket-version", "13"), ("sec-websocket-protocol", "a, a")], 400),
            ("connect-udp", &[("sec-websocket-version", "13")], 501),
        ];
        for (protocol, fields, status) in rows {
            let response = extended_connect(&mut client, protocol, fields).await;
            assert_eq!(response.status(), status, "{protocol} {fields:?}");
            let version = response.headers().get("sec-websocket-version").map(|value| value.as_bytes());
            assert_eq!(version, fields[0].1.eq("8").then_some(b"13".as_slice()));
        }
        let get = Request::get("http://localhost/ws").version(Version::HTTP_2).body(String::new()).expect("valid");
        assert_eq!(client.send_request(get).await.expect("a response").status(), 501);
        let get = Request::get("http://localhost/no").version(Version::HTTP_2).body(String::new()).expect("valid");
        assert_eq!(client.send_request(get).await.expect("a response").status(), 404);
    });
}

#[test]
fn the_same_server_upgrades_a_connection_of_http_1_1() {
    run(|address| async move {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        let (deflate, mut out) = (Deflate::default(), Vec::new());
        let request = ClientRequest::new("localhost", "/ws");
        let mut opening =
            ClientHandshake::with_deflate(&request, &deflate, [7; 16], HeadLimits::default(), &mut out).unwrap();
        stream.write_all(&out).await.unwrap();
        // The server sends no frame before ours, so nothing comes after the response.
        let mut buffer = [0; 1024];
        let established = loop {
            let length = stream.read(&mut buffer).await.unwrap();
            if let Some((established, used)) = opening.receive(&buffer[..length]).expect("an acceptance") {
                assert_eq!(used, length);
                break established;
            }
        };
        assert!(established.deflate().is_some());
        let connection = established.into_connection(|| KEY, Limits::default(), Delivery::Messages);
        assert_eq!(talk(stream, connection).await.unwrap(), CONVERSATION);
    });
}
