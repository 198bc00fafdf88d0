//! A connection in two tasks.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use switchboard::{CloseCode, Limits};
use switchboard_tokio::{Config, Error, Message, Prepared, SendError, Stage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    time::{Instant, timeout},
};

use crate::support::{client, frame, pair, raw, server};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn both_ends_send_at_once_without_waiting_for_each_other() {
    for bytes in [1, 64, 4096] {
        let config = Config::new().max_output_bytes(100);
        let (near, far) = duplex(bytes);
        let (mut sink, mut stream) = server(near, Limits::default(), &config).split();
        let (mut far_sink, mut far_stream) = client(far, &config).split();
        let all = async {
            let send = async {
                for i in 0..500_u16 {
                    sink.send(i.to_string()).await.expect("sent");
                }
            };
            let far_send = async {
                for i in 0..500_u16 {
                    SinkExt::send(&mut far_sink, Message::text(i.to_string())).await.expect("sent");
                }
            };
            let receive = async {
                for i in 0..500_u16 {
                    let message = stream.next().await.expect("a message").expect("a message");
                    assert_eq!(message, Message::text(i.to_string()));
                }
            };
            let far_receive = async {
                for i in 0..500_u16 {
                    let message = StreamExt::next(&mut far_stream).await.expect("a message").expect("a message");
                    assert_eq!(message, Message::text(i.to_string()));
                }
            };
            tokio::join!(send, far_send, receive, far_receive);
        };
        timeout(MINUTE, all).await.expect("nobody waits for ever");
    }
}

#[tokio::test(start_paused = true)]
async fn the_receiving_half_answers_pings_while_the_other_is_idle() {
    let (server, mut far) = raw(4096, &Config::new());
    let (sink, mut stream) = server.split();
    let receiving = tokio::spawn(async move { while let Some(Ok(_)) = stream.next().await {} });
    far.write_all(&frame(0x89, b"hi")).await.expect("room");
    let mut pong = [0; 4];
    timeout(MINUTE, far.read_exact(&mut pong)).await.expect("in time").expect("a Pong");
    assert_eq!(&pong, b"\x8a\x02hi");
    drop(sink);
    receiving.abort();
}

/// The two tasks are woken by one direction of the stream, whichever of them has asked last.
#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_is_woken_although_the_receiver_writes_too() {
    let config = Config::new().max_output_bytes(1);
    let (server, mut far) = raw(8, &config);
    let (mut sink, mut stream) = server.split();
    let sending = tokio::spawn(async move {
        for _ in 0..100 {
            sink.send(vec![1; 50]).await.expect("sent");
        }
    });
    let receiving = tokio::spawn(async move { while let Some(Ok(_)) = stream.next().await {} });
    let (mut reader, mut writer) = tokio::io::split(&mut far);
    let ping = async {
        for _ in 0..100 {
            writer.write_all(&frame(0x89, b"p")).await.expect("the server reads");
        }
    };
    let mut received = vec![0; 100 * 52 + 100 * 3];
    let read = async { reader.read_exact(&mut received).await.map(drop).expect("all messages and Pongs") };
    timeout(MINUTE, async { tokio::join!(ping, read) }).await.expect("nobody waits for ever");
    sending.await.expect("the task ends");
    receiving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_close_by_the_sending_half_is_completed_by_the_receiving_half() {
    let (server, mut client) = pair(4096);
    let (mut sink, mut stream) = server.split();
    sink.send_prepared(&Prepared::text("last")).await.expect("sent");
    sink.close(CloseCode::GOING_AWAY, "").await.expect("written");
    let late = sink.send("late").await;
    assert!(matches!(late, Err(Error::Send(SendError::Closed))), "{late:?}");
    let far = async {
        let last = client.next().await.expect("a message").expect("a message");
        assert_eq!(last, Message::text("last"));
        assert!(matches!(client.next().await, Some(Ok(Message::Close(_)))));
        assert!(client.next().await.is_none());
    };
    let near = async {
        assert!(matches!(stream.next().await, Some(Ok(Message::Close(_)))));
        assert!(stream.next().await.is_none());
    };
    timeout(MINUTE, async { tokio::join!(far, near) }).await.expect("a clean end");
    assert!(!sink.is_open());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_close_reaches_a_receiving_half_that_waits_already() {
    let (server, far) = raw(4096, &Config::new());
    let (mut sink, mut stream) = server.split();
    let start = Instant::now();
    let receiving = tokio::spawn(async move { (stream.next().await, start.elapsed()) });
    tokio::time::sleep(Duration::from_secs(1)).await;
    sink.close(CloseCode::GOING_AWAY, "").await.expect("written");
    let (ended, after) = receiving.await.expect("the task ends");
    assert!(matches!(ended, Some(Err(Error::Timeout(Stage::Close)))), "{ended:?}");
    assert_eq!(after, Duration::from_secs(6));
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_is_told_when_the_connection_ends() {
    let (server, mut far) = raw(16, &Config::new());
    let (mut sink, mut stream) = server.split();
    let sending = tokio::spawn(async move { sink.send(vec![0; 500]).await });
    let receiving = tokio::spawn(async move { stream.next().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    far.shutdown().await.expect("it can be ended");
    let start = Instant::now();
    let sent = sending.await.expect("the task ends");
    assert!(matches!(sent, Err(Error::Disconnected)), "{sent:?}");
    assert_eq!(start.elapsed(), Duration::ZERO);
    let ended = receiving.await.expect("the task ends");
    assert!(matches!(ended, Some(Err(Error::Disconnected))), "{ended:?}");
}
