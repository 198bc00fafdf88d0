//! Messages, their limits, and how they are written.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::{FutureExt, SinkExt, StreamExt};
use switchboard::{CloseCode, Limits, ProtocolError};
use switchboard_tokio::{Config, Error, Message, Prepared, SendError, WebSocket, accept};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex};

use crate::support::{Counted, client, frame, pair, raw, read_all, server};

/// Echoes until the connection ends, by the traits.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocket<S>) -> Result<(), Error> {
    while let Some(message) = StreamExt::next(socket).await {
        let message = message?;
        if message.is_data() {
            SinkExt::feed(socket, message).await?;
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn messages_of_all_lengths_pass_pipes_of_any_size_both_ways() {
    for bytes in [1, 2, 3, 7, 4096, 1 << 20] {
        let (mut server, mut client) = pair(bytes);
        let echoing = tokio::spawn(async move { echo(&mut server).await });
        let lengths = [0, 1, 125, 126, 127, 4095, 65_535, 65_536];
        for length in lengths.into_iter().filter(|length| length / bytes < 5000) {
            let text = Message::text("\u{e4}".repeat(length / 2));
            let binary = Message::binary(vec![7; length]);
            for message in [text, binary] {
                client.send(message.clone()).await.expect("the server reads");
                let answer = client.next().await.expect("an answer").expect("an answer");
                assert!(answer == message, "length {length}, pipe of {bytes}");
            }
        }
        client.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
        echoing.await.expect("the task ends").expect("a clean end");
    }
}

#[tokio::test(start_paused = true)]
async fn all_messages_of_one_read_are_answered_in_one_write() {
    let (near, mut far) = duplex(1 << 16);
    let (near, writes) = Counted::new(near);
    let mut server = server(near, Limits::default(), &Config::new());
    let echoing = tokio::spawn(async move { echo(&mut server).await });
    let frames: Vec<u8> = (0..100).flat_map(|_| [frame(0x82, b"abc"), frame(0x89, b"p")].concat()).collect();
    let answers = [0x82, 3, b'a', b'b', b'c', 0x8a, 1, b'p'].repeat(100);
    far.write_all(&frames).await.expect("the server reads");
    let mut received = vec![0; answers.len()];
    far.read_exact(&mut received).await.expect("the server answers");
    assert_eq!(received, answers, "in the order of the messages");
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    drop(far);
    let ended = echoing.await.expect("the task ends");
    assert!(matches!(ended, Err(Error::Disconnected)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_violation_ends_the_connection_with_the_close_code_that_fits() {
    let rows: &[(&str, Vec<u8>, CloseCode)] = &[
        ("an unmasked frame", vec![0x81, 0x01, b'a'], CloseCode::PROTOCOL_ERROR),
        ("text that is not UTF-8", frame(0x81, b"\xff"), CloseCode::INVALID_FRAME_PAYLOAD_DATA),
        ("a frame over the limit", vec![0x82, 0xfe, 0x03, 0xe9], CloseCode::MESSAGE_TOO_BIG),
        (
            "fragments over the limit",
            [frame(0x02, &[0; 125]), frame(0x00, &[0; 125]).repeat(8)].concat(),
            CloseCode::MESSAGE_TOO_BIG,
        ),
        ("a compressed frame that was not agreed", frame(0xc1, b"a"), CloseCode::PROTOCOL_ERROR),
    ];
    for (name, bytes, code) in rows {
        for pipe in [1, 1 << 16] {
            let (mut server, mut far) = raw(pipe, &Config::new());
            let serving = tokio::spawn(async move {
                let first = server.next().await;
                (first, server.send("late").await, server.next().await)
            });
            let (mut reader, mut writer) = tokio::io::split(&mut far);
            let mut received = Vec::new();
            let writing = async {
                writer.write_all(bytes).await.expect("the server reads");
                // Input after the violation is dropped, and does not keep the Close from arriving.
                let _ = writer.write_all(&frame(0x81, b"later")).await;
            };
            let (read, ()) = tokio::join!(reader.read_to_end(&mut received), writing);
            read.expect("no reset");
            assert_eq!((received[0], &received[2..4]), (0x88, &code.get().to_be_bytes()[..]), "{name}");
            drop(far);
            let (first, sent, last) = serving.await.expect("the task ends");
            let Some(Err(Error::Protocol(error))) = first else { panic!("{name}: {first:?}") };
            assert_eq!(error.close_code(), *code, "{name}");
            assert!(matches!(sent, Err(Error::Send(SendError::Closed))), "{name}: {sent:?}");
            assert!(last.is_none(), "{name}: {last:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_before_a_violation_are_returned_first() {
    let (mut server, mut far) = raw(4096, &Config::new());
    far.write_all(&[frame(0x81, b"a"), frame(0x89, b""), frame(0x83, b"")].concat()).await.expect("room");
    let reading = tokio::spawn(async move { read_all(&mut far).await });
    assert_eq!(server.next().await.expect("a message").expect("a message"), Message::text("a"));
    assert_eq!(server.next().await.expect("a Ping").expect("a Ping"), Message::Ping(Vec::new()));
    let error = server.next().await.expect("an error").expect_err("an error");
    assert!(matches!(error, Error::Protocol(ProtocolError::ReservedOpcode(3))), "{error:?}");
    assert_eq!(reading.await.expect("the task ends")[..4], [0x8a, 0x00, 0x88, 0x11]);
}

#[tokio::test(start_paused = true)]
async fn compression_is_agreed_by_default_and_shortens_messages() {
    let (near, mut far) = duplex(1 << 16);
    let request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    far.write_all(request.as_bytes()).await.expect("room");
    let mut server = accept(near).await.expect("the request is valid");
    let mut response = vec![0; 4096];
    let length = far.read(&mut response).await.expect("a response");
    assert!(response[..length].ends_with(b"\r\n\r\n"));

    server.send("hello ".repeat(1000)).await.expect("sent");
    server.encode(|sender, out| sender.text_uncompressed(&"hello ".repeat(100), out)).expect("encoded");
    server.send_prepared(&Prepared::text(&"hello ".repeat(1000))).await.expect("sent");
    drop(server);
    let received = read_all(&mut far).await;
    assert!(received.len() < 604 + 2 * 100, "{} bytes", received.len());
    assert_eq!(received[0], 0xc1, "compressed");
    // The example of RFC 7692 §7.2.3.1, masked with zeros: "Hello".
    let (near, mut far) = duplex(1 << 16);
    far.write_all(request.as_bytes()).await.expect("room");
    let mut server = accept(near).await.expect("the request is valid");
    far.write_all(&frame(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])).await.expect("room");
    assert_eq!(server.next().await.expect("a message").expect("a message"), Message::text("Hello"));
}

#[tokio::test(start_paused = true)]
async fn a_send_waits_while_the_bound_of_the_output_is_reached() {
    let config = Config::new().max_output_bytes(1000);
    let (near, far) = duplex(100);
    let (mut server, mut client) = (server(near, Limits::default(), &config), client(far, &config));
    // `feed` does not write before the bound is reached, and then as much as the pipe takes.
    let mut fed: usize = 0;
    let feeding = async {
        loop {
            server.feed(vec![0; 98]).await.expect("fed"); // 100 bytes with its header
            fed += 1;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), feeding).await.is_err());
    assert_eq!(fed, 11, "1000 bytes wait, and 100 are in the pipe");
    let flushing = tokio::spawn(async move {
        server.flush().await.expect("the client reads");
        server
    });
    for _ in 0..fed {
        assert_eq!(client.next().await.expect("a message").expect("a message"), Message::binary(vec![0; 98]));
    }
    flushing.await.expect("the task ends");
}

#[tokio::test(start_paused = true)]
async fn a_send_waits_no_longer_than_the_bound_is_reached() {
    let (mut server, mut far) = raw(100, &Config::new().max_output_bytes(200));
    server.feed(vec![0; 198]).await.expect("fed");
    // 100 bytes are in the pipe after the first poll, so less than the bound wait.
    server.feed(vec![0; 8]).now_or_never().expect("at once").expect("fed");
    let ended = tokio::join!(server.flush(), async { far.read_exact(&mut [0; 210]).await }).0;
    ended.expect("all is written");
}

/// A peer that reads a byte at times makes progress, but not with its Pongs.
#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_no_pong_is_not_read_without_end() {
    for reads in [false, true] {
        let (mut server, mut far) = raw(1 << 10, &Config::new());
        let serving = tokio::spawn(async move { while let Some(Ok(_)) = server.next().await {} });
        let ping = frame(0x89, &[0; 125]);
        let mut sent = 0;
        let flooding = async {
            while sent < 1 << 20 {
                far.write_all(&ping).await.expect("the server is there");
                sent += ping.len();
                if reads && sent > 10_000 {
                    far.read_exact(&mut [0]).await.expect("a Pong");
                }
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(1), flooding).await.is_err());
        assert!((64 << 10..200 << 10).contains(&sent), "{sent} bytes, reading: {reads}");
        serving.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn pongs_that_are_read_do_not_stop_the_reading() {
    let (mut server, mut client) = pair(1 << 10);
    let serving = tokio::spawn(async move { while let Some(Ok(_)) = server.next().await {} });
    for number in 0..2000_u32 {
        let ping = [number.to_be_bytes().as_slice(), &[0; 121]].concat();
        client.send(Message::Ping(ping.clone())).await.expect("sent");
        assert_eq!(client.next().await.expect("a Pong").expect("a Pong"), Message::Pong(ping));
    }
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_sent_changes_nothing() {
    let (mut server, mut client) = pair(4096);
    let error = server.send(Message::Ping(vec![0; 126])).await.expect_err("too long");
    assert!(matches!(error, Error::Send(SendError::ControlTooLong { length: 126 })), "{error:?}");
    let error = server.close(CloseCode::NORMAL_CLOSURE, &"x".repeat(124)).await.expect_err("too long");
    assert!(matches!(error, Error::Send(SendError::ReasonTooLong { length: 124 })), "{error:?}");
    let error = server.close(CloseCode::new(1005), "").await.expect_err("not to be sent");
    assert!(matches!(error, Error::Send(SendError::InvalidCloseCode(_))), "{error:?}");
    server.send("still open").await.expect("sent");
    assert_eq!(client.next().await.expect("a message").expect("a message"), Message::text("still open"));
}

/// A stream that collects bytes, and passes them on when it is flushed.
#[tokio::test(start_paused = true)]
async fn a_stream_that_collects_bytes_is_flushed() {
    let (near, far) = duplex(4096);
    let mut server = server(tokio::io::BufWriter::new(near), Limits::default(), &Config::new());
    let mut client = client(far, &Config::new());
    server.send("sent").await.expect("sent");
    assert_eq!(client.next().await.expect("a message").expect("a message"), Message::text("sent"));
    server.feed("fed").await.expect("fed");
    let waiting = tokio::time::timeout(Duration::from_secs(1), server.next()).await;
    assert!(waiting.is_err(), "nothing comes: {waiting:?}");
    let received = tokio::time::timeout(Duration::from_secs(1), client.next()).await.expect("it was written");
    assert_eq!(received.expect("a message").expect("a message"), Message::text("fed"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_once_a_write_has_failed() {
    for length in [1, 5000] {
        let (mut server, far) = raw(64, &Config::new());
        drop(far);
        let failed = server.send("lost").await;
        assert!(matches!(failed, Err(Error::Disconnected)), "{failed:?}");
        let late = SinkExt::start_send_unpin(&mut server, Message::binary(vec![0; length]));
        assert!(matches!(late, Err(Error::Disconnected)), "{length} bytes: {late:?}");
        assert!(server.next().await.expect("an error").is_err());
        assert!(!server.is_open());
    }
}
