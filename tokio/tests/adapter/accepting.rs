//! The server's opening handshake.

use std::time::Duration;

use switchboard::{HandshakeError, HeadError, HeadLimits};
use switchboard_tokio::{AcceptError, Acceptance, Config, Message, Rejection, accept};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    time::Instant,
};

use crate::support::{frame, read_all};

const REQUEST: &str = "GET /room?x=1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: https://o.example\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_request_cut_anywhere_opens_a_connection_whose_first_frames_came_with_it() {
    let bytes = [REQUEST.as_bytes(), &frame(0x81, b"one"), &frame(0x81, b"two")].concat();
    for cut in 1..=bytes.len() {
        let (near, mut far) = duplex(4096);
        let opening = tokio::spawn(async move {
            let mut seen = String::new();
            let config = Config::new();
            let accepted = config.accept_with(near, |request, handshake| {
                seen = format!("{} {:?} {:?}", request.target(), handshake.origin(), handshake.subprotocols());
                Ok(Acceptance::new().subprotocol(Some("b")).header("X-A", "1"))
            });
            let mut socket = accepted.await.expect("the request is valid");
            let messages = [socket.next().await, socket.next().await];
            (seen, messages.map(|message| message.expect("a message").expect("a message")))
        });
        for piece in bytes.chunks(cut) {
            far.write_all(piece).await.expect("the server reads");
            tokio::task::yield_now().await;
        }
        let (seen, messages) = opening.await.expect("the task ends");
        assert_eq!(seen, r#"/room?x=1 Some("https://o.example") ["a", "b"]"#, "cut at {cut}");
        assert_eq!(messages, [Message::text("one"), Message::text("two")], "cut at {cut}");
        let response = String::from_utf8(read_all(&mut far).await).expect("text");
        assert_eq!(
            response,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: b\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\
             X-A: 1\r\n\r\n"
        );
    }
}

/// Sends `request` and returns the first line of the response with the server's error.
async fn refused(
    config: &Config,
    request: &str,
    decide: impl FnOnce() -> Result<Acceptance, Rejection>,
) -> (String, AcceptError) {
    let (near, mut far) = duplex(4096);
    far.write_all(request.as_bytes()).await.expect("the pipe has room");
    // The client goes on sending, and must get the response all the same.
    let client = async move {
        let mut bytes = Vec::new();
        let _ = far.write_all(&[b'x'; 8192]).await;
        far.read_to_end(&mut bytes).await.expect("no reset");
        bytes
    };
    let (response, accepted) = tokio::join!(client, config.accept_with(near, |_, _| decide()));
    let response = String::from_utf8(response).expect("text");
    (response.lines().next().unwrap_or_default().to_owned(), accepted.expect_err("the request is refused"))
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_gets_a_response_before_the_stream_ends() {
    let mut limits = HeadLimits::default();
    limits.max_bytes = 400;
    let config = Config::new().head_limits(limits);
    let ok = || Ok(Acceptance::new());
    let (line, error) = refused(&config, "GET / HTTP/1.1\nHost: h\n\n", ok).await;
    assert_eq!(line, "HTTP/1.1 400 Bad Request");
    assert!(matches!(error, AcceptError::Head(HeadError::BareLineEnd)), "{error:?}");
    let (line, error) = refused(&config, &format!("GET /{} HTTP/1.1\r\n", "x".repeat(400)), ok).await;
    assert_eq!(line, "HTTP/1.1 414 URI Too Long");
    assert!(matches!(error, AcceptError::Head(HeadError::FirstLineTooLong { limit: 400 })), "{error:?}");
    let (line, error) = refused(&config, &REQUEST.replace("13", "12"), ok).await;
    assert_eq!(line, "HTTP/1.1 426 Upgrade Required");
    assert!(matches!(error, AcceptError::Handshake(HandshakeError::WebSocketVersion)), "{error:?}");
    let (line, error) = refused(&config, REQUEST, || Err(Rejection::new(404).body("no such room\n"))).await;
    assert_eq!(line, "HTTP/1.1 404 Not Found");
    assert!(matches!(error, AcceptError::Rejected { status: 404 }), "{error:?}");
    for invalid in [Acceptance::new().subprotocol(Some("c")), Acceptance::new().header("X", "a\r\nb: c")] {
        let (line, error) = refused(&config, REQUEST, || Ok(invalid)).await;
        assert_eq!(line, "HTTP/1.1 500 Internal Server Error");
        assert!(matches!(error, AcceptError::Response(_)), "{error:?}");
    }
    let (line, error) = refused(&config, REQUEST, || Err(Rejection::new(99))).await;
    assert_eq!(line, "HTTP/1.1 500 Internal Server Error");
    assert!(matches!(error, AcceptError::Response(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_whole_handshake_has_one_deadline() {
    let (near, mut far) = duplex(4096);
    let start = Instant::now();
    let slow = tokio::spawn(async move {
        for byte in REQUEST.bytes() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if far.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    let error = accept(near).await.expect_err("the client is too slow");
    assert!(matches!(error, AcceptError::Timeout), "{error:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    slow.await.expect("the task ends");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_response_does_not_keep_its_connection() {
    let (near, mut far) = duplex(16);
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        far.write_all(b"GET / HTTP/1.1\n").await.expect("the server reads");
        tokio::time::sleep(Duration::from_secs(60)).await;
        far
    });
    let error = accept(near).await.expect_err("the request is invalid");
    assert!(matches!(error, AcceptError::Head(_)), "{error:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    sending.abort();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ends_within_the_request_has_disconnected() {
    for length in [0, 1, REQUEST.len() - 1] {
        let (near, mut far) = duplex(4096);
        far.write_all(&REQUEST.as_bytes()[..length]).await.expect("the pipe has room");
        drop(far);
        let error = accept(near).await.expect_err("the request is cut");
        assert!(matches!(error, AcceptError::Disconnected), "{error:?}");
    }
}
