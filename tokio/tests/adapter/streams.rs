//! The calls of a connection to its stream, and their effects.

use std::{
    io::ErrorKind,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use futures_util::FutureExt as _;
use switchboard::{CloseCode, Limits};
use switchboard_tokio::{Config, Error, Message, Stage};

use crate::{
    scripted::{Scripted, Woken},
    support::{client, frame, server},
};

/// A masked binary message with a key of zeros.
fn binary(payload: &[u8]) -> Vec<u8> {
    let length = u64::try_from(payload.len()).expect("a length");
    [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4], payload].concat()
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_large_message_is_read_into_its_own_buffer() {
    let payload: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    let bytes = [binary(&payload), frame(0x81, b"next"), binary(&payload)].concat();
    // All at once, and in reads that end anywhere.
    for cut in [bytes.len(), 70_001, 4096] {
        let stream = Scripted::default();
        stream.script().input = bytes.chunks(cut).map(|bytes| Ok(bytes.to_vec())).collect();
        let mut server = server(stream.clone(), Limits::default(), &Config::new());
        for expected in [Message::Binary(payload.clone()), Message::text("next"), Message::Binary(payload.clone())] {
            // Nothing comes after the last.
            let message = server.next().now_or_never().expect("it is there").expect("a message").expect("a message");
            assert!(message == expected, "reads of {cut}");
        }
        let offered = &stream.script().offered;
        let lent = offered.iter().filter(|&&offered| offered != 128 << 10).count();
        assert!(lent * 2 > offered.len(), "reads of {cut}: {offered:?}");
        // The room follows what has arrived.
        assert!(offered.iter().all(|&offered| offered <= 1_000_000), "{offered:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_is_flushed_before_the_call_returns() {
    let stream = Scripted::default();
    stream.script().room = 100;
    let mut server = server(stream.clone(), Limits::default(), &Config::new());
    {
        let mut sending = pin!(server.send("hi"));
        assert!(sending.as_mut().now_or_never().is_none(), "the stream keeps the bytes");
        assert_eq!(stream.script().written, b"\x81\x02hi");
        stream.script().can_flush = true;
        stream.script().wake();
        sending.await.expect("flushed");
    }
    // A stream that never flushes has the time of a write.
    stream.script().can_flush = false;
    let sent = server.send("hi").await;
    assert!(matches!(sent, Err(Error::Timeout(Stage::Write))), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn after_an_error_of_writing_all_input_is_read_although_replies_wait() {
    let stream = Scripted::default();
    // More Pongs than may wait, and then a message.
    let pings = frame(0x89, &[b'p'; 125]).repeat(1000);
    stream.script().input = [Ok(pings), Ok(frame(0x81, b"last")), Err(ErrorKind::ConnectionReset.into())].into();
    let (mut sink, mut receiving) = server(stream.clone(), Limits::default(), &Config::new()).split();
    for _ in 0..1000 {
        assert!(matches!(receiving.next().await, Some(Ok(Message::Ping(_)))));
    }
    {
        let mut next = pin!(receiving.next());
        assert!(next.as_mut().now_or_never().is_none(), "the message is not read: too many Pongs wait");
    }
    stream.script().write_error = Some(ErrorKind::BrokenPipe);
    let sent = sink.send("news").await;
    assert!(matches!(sent, Err(Error::Disconnected)), "{sent:?}");
    assert_eq!(receiving.next().await.expect("a message").expect("a message"), Message::text("last"));
    let ended = receiving.next().await;
    assert!(matches!(ended, Some(Err(Error::Disconnected))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_is_woken_by_the_end_that_the_receiver_finds() {
    let stream = Scripted::default();
    let (mut sink, mut receiving) = server(stream.clone(), Limits::default(), &Config::new()).split();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut sending = pin!(sink.send("hi"));
    assert!(sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "the stream takes nothing");
    stream.script().input.push_back(Err(ErrorKind::ConnectionReset.into()));
    let before = woken.count();
    // The sender's task has not run since: it must be told by whoever finds the error.
    let ended = receiving.next().await;
    assert!(matches!(ended, Some(Err(Error::Disconnected))), "{ended:?}");
    assert!(woken.count() > before);
    let sent = sending.await;
    assert!(matches!(sent, Err(Error::Disconnected)), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_close_that_cannot_be_written_is_an_error() {
    let stream = Scripted::default();
    stream.script().write_error = Some(ErrorKind::BrokenPipe);
    let (mut sink, _receiving) = server(stream.clone(), Limits::default(), &Config::new()).split();
    assert!(sink.is_open());
    let closed = sink.close(CloseCode::NORMAL_CLOSURE, "").await;
    assert!(matches!(closed, Err(Error::Disconnected)), "{closed:?}");
    assert!(!sink.is_open());
}

/// RFC 6455 §7.1.1: the server ends TCP first.
#[tokio::test(start_paused = true)]
async fn a_server_ends_its_side_once_and_first_and_a_client_last() {
    let stream = Scripted::with_room(1000);
    stream.script().input.push_back(Ok(frame(0x88, b"")));
    let mut near = server(stream.clone(), Limits::default(), &Config::new());
    assert!(matches!(near.next().await, Some(Ok(Message::Close(None)))));
    {
        let mut next = pin!(near.next());
        for _ in 0..3 {
            assert!(next.as_mut().now_or_never().is_none(), "the client has not ended its side");
        }
        stream.script().input.extend([Ok(b"late".to_vec()), Ok(Vec::new())]);
        assert!(next.await.is_none());
    }
    assert_eq!(stream.script().ends(), (1, false));

    let stream = Scripted::with_room(1000);
    stream.script().input.push_back(Ok(vec![0x88, 0]));
    let mut near = client(stream.clone(), &Config::new());
    assert!(matches!(near.next().await, Some(Ok(Message::Close(None)))));
    {
        let mut next = pin!(near.next());
        assert!(next.as_mut().now_or_never().is_none(), "the server has not ended its side");
        assert_eq!(stream.script().shut, 0);
        stream.script().input.push_back(Ok(Vec::new()));
        assert!(next.await.is_none());
    }
    assert_eq!(stream.script().ends(), (1, true));
}

#[tokio::test(start_paused = true)]
async fn the_close_after_a_violation_is_written_although_the_peer_has_ended_its_side() {
    let stream = Scripted::default();
    stream.script().can_flush = true;
    stream.script().input = [Ok(frame(0x83, b"")), Ok(Vec::new())].into();
    let mut near = server(stream.clone(), Limits::default(), &Config::new());
    {
        let mut next = pin!(near.next());
        assert!(next.as_mut().now_or_never().is_none(), "the stream takes nothing");
        stream.script().room = 1000;
        stream.script().input.push_back(Ok(Vec::new()));
        stream.script().wake();
        assert!(matches!(next.await, Some(Err(Error::Protocol(_)))));
    }
    assert_eq!(stream.script().written[..4], [0x88, 17, 0x03, 0xea], "1002");
}

#[tokio::test(start_paused = true)]
async fn large_messages_are_written_from_where_they_are_and_small_ones_together() {
    for (length, slices) in [(100, 1), (4095, 1), (4096, 2), (100_000, 2)] {
        let stream = Scripted::with_room(1 << 20);
        let mut near = server(stream.clone(), Limits::default(), &Config::new());
        near.send(vec![7; length]).await.expect("sent");
        assert_eq!(stream.script().slices, slices, "{length}");
    }
}
