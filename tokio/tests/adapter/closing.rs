//! The closing handshake, and connections that end without one.

use std::time::Duration;

use futures_util::SinkExt;
use switchboard::CloseCode;
use switchboard_tokio::{Config, Error, Message, SendError, Stage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep},
};

use crate::support::{frame, pair, raw, read_all};

#[tokio::test(start_paused = true)]
async fn either_end_closes_and_both_end_cleanly() {
    let start = Instant::now();
    for bytes in [1, 4096] {
        for server_first in [true, false] {
            let (mut server, mut client) = pair(bytes);
            let expected = Message::Close(Some((CloseCode::GOING_AWAY, "bye".to_owned())));
            let (closed, received, after) = if server_first {
                let close = async { server.close(CloseCode::GOING_AWAY, "bye").await };
                let receive = async { (client.next().await, client.next().await) };
                let (closed, (received, after)) = tokio::join!(close, receive);
                (closed, received, after)
            } else {
                let close = async { client.close(CloseCode::GOING_AWAY, "bye").await };
                let receive = async { (server.next().await, server.next().await) };
                let (closed, (received, after)) = tokio::join!(close, receive);
                (closed, received, after)
            };
            closed.expect("a clean end");
            assert_eq!(received.expect("a Close").expect("a Close"), expected);
            assert!(after.is_none(), "{after:?}");
            assert!(!server.is_open() && !client.is_open());
            let late = server.send("late").await;
            assert!(matches!(late, Err(Error::Send(SendError::Closed))), "{late:?}");
            server.close(CloseCode::NORMAL_CLOSURE, "").await.expect("it is closed");
        }
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody waited for a deadline");
}

#[tokio::test(start_paused = true)]
async fn two_closes_may_cross() {
    for bytes in [1, 4096] {
        let (mut server, mut client) = pair(bytes);
        let (one, other) = tokio::join!(server.close(CloseCode::GOING_AWAY, "server"), SinkExt::close(&mut client));
        one.expect("a clean end");
        other.expect("a clean end");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_before_the_close_arrive_on_both_sides() {
    let (mut server, mut client) = pair(4096);
    server.feed("last").await.expect("fed");
    server.send(Message::Close(None)).await.expect("sent");
    client.send("crossing").await.expect("sent");
    let both = async {
        let last = client.next().await.expect("a message").expect("a message");
        let close = client.next().await.expect("a Close").expect("a Close");
        (last, close, client.next().await.is_none())
    };
    let receive = async {
        let crossing = server.next().await.expect("a message").expect("a message");
        let close = server.next().await.expect("a Close").expect("a Close");
        (crossing, close, server.next().await.is_none())
    };
    let (at_client, at_server) = tokio::join!(both, receive);
    assert_eq!(at_client, (Message::text("last"), Message::Close(None), true));
    assert_eq!(at_server, (Message::text("crossing"), Message::Close(None), true));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_close_is_given_five_seconds() {
    let (mut server, far) = raw(4096, &Config::new());
    let start = Instant::now();
    let error = server.close(CloseCode::NORMAL_CLOSURE, "").await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout(Stage::Close)), "{error:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_chatters_after_our_close_gets_no_more_time() {
    let (mut server, mut far) = raw(4096, &Config::new());
    let chatter = tokio::spawn(async move {
        while far.write_all(&frame(0x81, b"blah")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    let start = Instant::now();
    let error = server.close(CloseCode::NORMAL_CLOSURE, "").await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout(Stage::Close)), "{error:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    drop(server);
    chatter.await.expect("the task ends");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_no_tcp_after_both_closes_is_given_five_seconds() {
    let (mut server, mut far) = raw(4096, &Config::new());
    far.write_all(&frame(0x88, &[])).await.expect("room");
    let start = Instant::now();
    assert_eq!(server.next().await.expect("a Close").expect("a Close"), Message::Close(None));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(server.next().await.is_none());
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(read_all(&mut far).await, [0x88, 0x00]);
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_close_is_written_before_the_close_is_returned() {
    let (mut server, mut far) = raw(4096, &Config::new());
    server.feed("before").await.expect("fed");
    far.write_all(&frame(0x88, &[0x03, 0xe8])).await.expect("room");
    // The peer's half of the stream ends with its Close.
    far.shutdown().await.expect("it can be ended");
    let close = server.next().await.expect("a Close").expect("a Close");
    assert_eq!(close, Message::Close(Some((CloseCode::NORMAL_CLOSURE, String::new()))));
    drop(server);
    assert_eq!(read_all(&mut far).await, b"\x81\x06before\x88\x02\x03\xe8");
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_close_is_an_error_once_all_messages_are_returned() {
    let half = &frame(0x81, b"whole, then half")[..9];
    for end in [&[][..], half] {
        let (mut server, mut far) = raw(4096, &Config::new());
        far.write_all(&frame(0x81, b"whole")).await.expect("room");
        far.write_all(end).await.expect("room");
        far.shutdown().await.expect("it can be ended");
        assert_eq!(server.next().await.expect("a message").expect("a message"), Message::text("whole"));
        let error = server.next().await.expect("an error").expect_err("an error");
        assert!(matches!(error, Error::Disconnected), "{error:?}");
        assert!(server.next().await.is_none());
        let sent = server.send("late").await;
        assert!(matches!(sent, Err(Error::Disconnected)), "{sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_sent_before_it_vanished_is_received_although_writing_fails() {
    let (mut server, mut far) = raw(4096, &Config::new());
    far.write_all(&[frame(0x81, b"one"), frame(0x81, b"two")].concat()).await.expect("room");
    drop(far);
    let sent = server.send("nobody reads this").await;
    assert!(matches!(sent, Err(Error::Disconnected)), "{sent:?}");
    assert_eq!(server.next().await.expect("a message").expect("a message"), Message::text("one"));
    assert_eq!(server.next().await.expect("a message").expect("a message"), Message::text("two"));
    let error = server.next().await.expect("an error").expect_err("an error");
    assert!(matches!(error, Error::Disconnected), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_close_is_not_delayed_by_a_peer_that_sends_without_reading() {
    let (mut server, mut far) = raw(64, &Config::new());
    // More than the pipe holds, so the Close waits behind it.
    server.feed(vec![0; 500]).await.expect("fed");
    let serving = tokio::spawn(async move { server.close(CloseCode::GOING_AWAY, "").await });
    for _ in 0..1000 {
        far.write_all(&frame(0x82, &[0; 100])).await.expect("the server reads while it closes");
    }
    far.write_all(&frame(0x88, &[])).await.expect("the server reads while it closes");
    let mut received = vec![0; 504 + 4];
    far.read_exact(&mut received).await.expect("the message and the Close");
    assert_eq!(received[504..], [0x88, 0x02, 0x03, 0xe9]);
    drop(far);
    serving.await.expect("the task ends").expect("a clean end");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_no_tcp_after_its_violation_is_given_five_seconds() {
    let (mut server, mut far) = raw(4096, &Config::new());
    far.write_all(&frame(0x83, &[])).await.expect("room");
    let start = Instant::now();
    let failed = server.next().await;
    assert!(matches!(failed, Some(Err(Error::Protocol(_)))), "{failed:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(read_all(&mut far).await[..4], [0x88, 17, 0x03, 0xea], "1002 and a reason");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_chatters_after_its_violation_gets_no_more_time() {
    let (mut server, mut far) = raw(4096, &Config::new());
    let chatter = tokio::spawn(async move {
        let mut sent = 0;
        far.write_all(&frame(0x83, &[])).await.expect("room");
        while far.write_all(&[0; 3000]).await.is_ok() {
            sent += 1;
            sleep(Duration::from_millis(1)).await;
        }
        sent
    });
    let start = Instant::now();
    let failed = server.next().await;
    assert!(matches!(failed, Some(Err(Error::Protocol(_)))), "{failed:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    drop(server);
    assert!(chatter.await.expect("the task ends") > 4000, "it was read all the time");
}
