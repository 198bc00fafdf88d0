//! Each field of a configuration has its effect, and each error its text and its cause.

use std::{error::Error as _, io, time::Duration};

use switchboard::{CloseCode, HandshakeError, HeadError, Limits, ProtocolError, SendError};
use switchboard_tokio::{AcceptError, Config, Error, Stage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    time::Instant,
};

use crate::support::{frame, raw, read_all};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn limits_and_deflate_count_for_accepted_connections() {
    let config = Config::new().limits(Limits::of_bytes(5)).deflate(None);
    let (near, mut far) = duplex(4096);
    far.write_all(&[REQUEST.as_bytes(), &frame(0x81, b"longer")].concat()).await.expect("room");
    let mut server = config.accept(near).await.expect("the request is valid");
    let error = server.next().await.expect("an error");
    assert!(matches!(error, Err(Error::Protocol(ProtocolError::FrameTooLong { .. }))), "{error:?}");
    drop(server);
    let response = String::from_utf8_lossy(&read_all(&mut far).await).into_owned();
    assert!(response.starts_with("HTTP/1.1 101 ") && !response.contains("permessage-deflate"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn each_deadline_is_the_one_that_was_set() {
    let start = Instant::now();
    let (near, far) = duplex(4096);
    let refused = Config::new().handshake_timeout(seconds(3)).accept(near).await;
    assert!(matches!(refused, Err(AcceptError::Timeout)), "{refused:?}");
    assert_eq!(start.elapsed(), seconds(3), "of the opening handshake");
    drop(far);

    let (mut server, mut far) = raw(4096, &Config::new().message_timeout(seconds(7)).close_timeout(seconds(2)));
    far.write_all(&frame(0x02, b"begun")).await.expect("room");
    let start = Instant::now();
    let ended = server.next().await;
    assert!(matches!(ended, Some(Err(Error::Timeout(Stage::Message)))), "{ended:?}");
    assert_eq!(start.elapsed(), seconds(7 + 2), "of a message, and of the end after it");

    let (mut server, far) = raw(16, &Config::new().write_timeout(seconds(4)));
    let start = Instant::now();
    let sent = server.send(vec![0; 100]).await;
    assert!(matches!(sent, Err(Error::Timeout(Stage::Write))), "{sent:?}");
    assert_eq!(start.elapsed(), seconds(4), "of a write");
    drop(far);

    let (mut server, far) = raw(4096, &Config::new().close_timeout(seconds(2)));
    let start = Instant::now();
    let closed = server.close(CloseCode::NORMAL_CLOSURE, "").await;
    assert!(matches!(closed, Err(Error::Timeout(Stage::Close))), "{closed:?}");
    assert_eq!(start.elapsed(), seconds(2), "of a Close");
    drop(far);
}

/// A client that is refused can read the response although it sends far more than the server reads.
#[tokio::test(start_paused = true)]
async fn what_a_refused_client_still_sends_is_dropped() {
    let (near, mut far) = duplex(64);
    let serving = tokio::spawn(async move { Config::new().accept(near).await.err() });
    let (mut reader, mut writer) = tokio::io::split(&mut far);
    let sending = async {
        writer.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("the server reads");
        writer.write_all(&[b'x'; 10_000]).await.expect("the server reads on");
        writer.shutdown().await.expect("it can be ended");
    };
    let mut response = Vec::new();
    let (read, ()) = tokio::join!(reader.read_to_end(&mut response), sending);
    read.expect("no reset");
    assert!(response.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&response));
    let error = serving.await.expect("the task ends");
    assert!(matches!(error, Some(AcceptError::Handshake(_))), "{error:?}");
}

#[test]
fn each_error_says_what_happened_and_has_its_cause() {
    let other = || io::Error::other("the cable is cut");
    let rows: [(Error, &str, Option<&str>); 9] = [
        (
            Error::Protocol(ProtocolError::UnmaskedFrame),
            "the peer broke the protocol: ",
            Some(&ProtocolError::UnmaskedFrame.to_string()),
        ),
        (Error::Send(SendError::Closed), "the message cannot be sent: ", Some(&SendError::Closed.to_string())),
        (Error::Timeout(Stage::Handshake), "the opening handshake took too long", None),
        (Error::Timeout(Stage::Silence), "the peer does not answer Pings", None),
        (Error::Timeout(Stage::Message), "a message arrives too slowly", None),
        (Error::Timeout(Stage::Write), "the peer takes no bytes", None),
        (Error::Timeout(Stage::Close), "the peer does not complete the closing handshake", None),
        (Error::Disconnected, "the peer ended the connection without a Close", None),
        (Error::from(other()), "the connection failed", Some("the cable is cut")),
    ];
    for (error, text, cause) in rows {
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), cause, "{error}");
    }
    let rows: [(AcceptError, &str, bool); 7] = [
        (AcceptError::Head(HeadError::TooLong { limit: 1 }), "the request is invalid: ", true),
        (AcceptError::Handshake(HandshakeError::Key), "the request opens no WebSocket: ", true),
        (AcceptError::Rejected { status: 403 }, "the request was rejected with status 403", false),
        (AcceptError::Timeout, "the opening handshake took too long", false),
        (AcceptError::Disconnected, "the client ended the connection during the opening handshake", false),
        (AcceptError::from(other()), "the connection failed during the opening handshake", true),
        (AcceptError::from(io::Error::from(io::ErrorKind::BrokenPipe)), "the client ended the connection", false),
    ];
    for (error, text, has_cause) in rows {
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!(error.source().is_some(), has_cause, "{error}");
    }
}
