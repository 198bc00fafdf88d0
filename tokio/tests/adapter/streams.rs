//! What a connection asks of its stream, and what it makes of each answer.

use std::{
    io::ErrorKind,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use futures_util::FutureExt as _;
use switchboard::Limits;
use switchboard_tokio::{Config, Error, Message, Stage};

use crate::{
    scripted::{Scripted, Woken},
    support::{frame, server},
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
