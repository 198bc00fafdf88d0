//! The client's opening handshake.

use std::{net::Ipv4Addr, time::Duration};

use switchboard::{ClientHandshakeError, CloseCode, HeadError, InvalidHeader};
use switchboard_tokio::{
    Acceptance, Config, ConnectError, Message, Rejection, Request, SendError, UrlError, accept, connect,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    net::TcpListener,
    time::Instant,
};

#[tokio::test(start_paused = true)]
async fn both_handshakes_agree_over_pipes_of_any_size() {
    for bytes in [1, 7, 4096] {
        let (near, far) = duplex(bytes);
        let config = Config::new();
        let serving = async {
            let accepted = config.accept_with(near, |request, handshake| {
                assert_eq!((request.target(), handshake.host()), ("/room?id=1", "h:8080"));
                assert_eq!(handshake.origin(), Some("https://o.example"));
                assert_eq!(request.values("cookie").next(), Some(&b"a=b"[..]));
                Ok(Acceptance::new().subprotocol(handshake.subprotocols().last().cloned()))
            });
            let mut socket = accepted.await.expect("the request is valid");
            socket.send("first").await.expect("sent");
            let close = socket.next().await;
            assert!(socket.next().await.is_none());
            (socket.subprotocol().map(str::to_owned), close)
        };
        let connecting = async {
            let request = Request::new("ws://h:8080/room?id=1").expect("a URL");
            let request = request.origin("https://o.example").subprotocol("a").subprotocol("b").header("Cookie", "a=b");
            let mut socket = config.connect_over(far, &request).await.expect("the response is valid");
            assert_eq!(socket.next().await.expect("a message").expect("a message"), Message::text("first"));
            socket.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
            socket.subprotocol().map(str::to_owned)
        };
        let ((at_server, close), at_client) = tokio::join!(serving, connecting);
        assert_eq!((at_server.as_deref(), at_client.as_deref()), (Some("b"), Some("b")));
        assert!(matches!(close, Some(Ok(Message::Close(_)))), "{close:?}");
    }
}

/// Frames that come in one read with the response are the first messages.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_behind_the_response() {
    let (near, far) = duplex(1 << 16);
    let serving = tokio::spawn(async move {
        let mut socket = accept(near).await.expect("the request is valid");
        for i in 0..100 {
            socket.feed(i.to_string()).await.expect("fed");
        }
        socket.close(CloseCode::NORMAL_CLOSURE, "").await
    });
    let request = Request::new("ws://h/").expect("a URL");
    let mut socket = Config::new().connect_over(far, &request).await.expect("the response is valid");
    for i in 0..100 {
        assert_eq!(socket.next().await.expect("a message").expect("a message"), Message::text(i.to_string()));
    }
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    assert!(socket.next().await.is_none());
    serving.await.expect("the task ends").expect("a clean end");
}

/// Answers a request with these bytes, and returns the client's error.
async fn answered(response: &str) -> ConnectError {
    let (mut near, far) = duplex(1 << 16);
    let serving = async move {
        let mut request = vec![0; 4096];
        let _ = near.read(&mut request).await.expect("a request");
        near.write_all(response.as_bytes()).await.expect("room");
    };
    let request = Request::new("ws://h/").expect("a URL");
    let config = Config::new();
    let ((), opened) = tokio::join!(serving, config.connect_over(far, &request));
    opened.expect_err("the response opens nothing")
}

#[tokio::test(start_paused = true)]
async fn errors_are_sorted_by_fault() {
    let error = answered("HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\n").await;
    let ConnectError::Refused { response } = &error else { panic!("{error:?}") };
    assert_eq!(response.status(), 403);
    let error = answered("HTTP/1.1 302 Found\r\nLocation: ws://other/\r\n\r\n").await;
    let ConnectError::Refused { response } = &error else { panic!("{error:?}") };
    assert_eq!(response.values("location").next(), Some(&b"ws://other/"[..]));
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Accept: AAAA\r\n\r\n";
    let error = answered(upgrade).await;
    assert!(matches!(error, ConnectError::Handshake(ClientHandshakeError::Accept)), "{error:?}");
    let error = answered("HTTP/1.1 101 Switching Protocols\n").await;
    let ConnectError::Handshake(ClientHandshakeError::Head(head)) = &error else { panic!("{error:?}") };
    assert_eq!(*head, HeadError::BareLineEnd);
    let error = answered("HTTP/1.1 101 Switch").await;
    assert!(matches!(error, ConnectError::Disconnected), "{error:?}");

    let (_near, far) = duplex(64);
    let request = Request::new("ws://h/").expect("a URL").header("Host", "other");
    let error = Config::new().connect_over(far, &request).await.expect_err("not to be sent");
    assert!(matches!(error, ConnectError::Request(InvalidHeader::Reserved(_))), "{error:?}");
    let error = connect("http://h/").await.expect_err("not a URL");
    assert!(matches!(error, ConnectError::Url(UrlError::Scheme(_))), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_ten_seconds() {
    let (near, far) = duplex(1 << 16);
    let start = Instant::now();
    let request = Request::new("ws://h/").expect("a URL");
    let error = Config::new().connect_over(far, &request).await.expect_err("no answer");
    assert!(matches!(error, ConnectError::Timeout), "{error:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    drop(near);
}

#[tokio::test]
async fn a_url_leads_to_a_server_on_tcp_or_to_an_error() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let url = format!("ws://{}/a", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut socket = accept(stream).await.expect("the request is valid");
        while let Some(Ok(message)) = socket.next().await {
            if message.is_data() {
                socket.send(message).await.expect("sent");
            }
        }
        let (stream, _) = listener.accept().await.expect("a client");
        Config::new().accept_with(stream, |_, _| Err(Rejection::new(503))).await.expect_err("it is rejected");
    });
    let mut socket = connect(&url).await.expect("a server");
    socket.send("hello").await.expect("sent");
    assert_eq!(socket.next().await.expect("a message").expect("a message"), Message::text("hello"));
    socket.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
    let late = socket.send("late").await.expect_err("it is closed");
    assert!(matches!(late, switchboard_tokio::Error::Send(SendError::Closed)), "{late:?}");
    let error = connect(&url).await.expect_err("it is rejected");
    assert!(matches!(&error, ConnectError::Refused { response } if response.status() == 503), "{error:?}");
    serving.await.expect("the task ends");
    let error = connect(&url).await.expect_err("nobody listens");
    assert!(matches!(error, ConnectError::Connect(_)), "{error:?}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn wss_is_encrypted_and_its_certificate_is_checked() {
    use std::sync::Arc;

    use tokio_rustls::{
        TlsAcceptor,
        rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer},
    };

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .expect("a key");
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let url = format!("wss://localhost:{}/", listener.local_addr().expect("an address").port());
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        assert!(acceptor.accept(stream).await.is_err(), "the client does not trust the certificate");
        let (stream, _) = listener.accept().await.expect("a client");
        let mut socket = accept(acceptor.accept(stream).await.expect("TLS")).await.expect("the request is valid");
        while let Some(Ok(message)) = socket.next().await {
            if message.is_data() {
                socket.feed(message).await.expect("fed");
            }
        }
    });
    let error = connect(&url).await.expect_err("the certificate is not trusted");
    assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");

    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Config::new().rustls(Arc::new(client));
    let mut socket = config.connect(&Request::new(&url).expect("a URL")).await.expect("a server");
    for length in [1, 1000, 100_000] {
        let message = Message::binary(vec![3; length]);
        socket.send(message.clone()).await.expect("sent");
        assert!(socket.next().await.expect("a message").expect("a message") == message, "{length} bytes");
    }
    socket.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
    serving.await.expect("the task ends");
}
