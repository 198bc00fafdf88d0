//! Pings and deadlines of open connections.

use std::time::Duration;

use switchboard_tokio::{Config, Error, Message, Stage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep},
};

use crate::support::{frame, pair, raw, read_all};

#[tokio::test(start_paused = true)]
async fn a_silent_peer_gets_a_ping_and_then_a_close() {
    let (mut server, mut far) = raw(4096, &Config::new());
    let start = Instant::now();
    let serving = tokio::spawn(async move { (server.next().await, start.elapsed()) });
    let mut ping = [0; 2];
    far.read_exact(&mut ping).await.expect("a Ping");
    assert_eq!((ping, start.elapsed()), ([0x89, 0x00], Duration::from_secs(30)));
    let mut close = [0; 4];
    far.read_exact(&mut close).await.expect("a Close");
    assert_eq!((close, start.elapsed()), ([0x88, 21, 0x03, 0xf0], Duration::from_secs(60)), "1008");
    let (ended, after) = serving.await.expect("the task ends");
    assert!(matches!(ended, Some(Err(Error::Timeout(Stage::Silence)))), "{ended:?}");
    assert_eq!(after, Duration::from_secs(65), "the peer had 5 s to end the stream");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_stays() {
    let (mut server, mut client) = pair(4096);
    let answering = tokio::spawn(async move { while let Some(Ok(_)) = client.next().await {} });
    let mut pongs = 0;
    let listening = async {
        while let Some(Ok(message)) = server.next().await {
            pongs += usize::from(message == Message::Pong(Vec::new()));
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1000), listening).await.is_err(), "the connection stays open");
    assert!(pongs >= 16, "{pongs} Pongs");
    answering.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_bytes_is_given_thirty_seconds() {
    let (mut server, mut far) = raw(64, &Config::new());
    let start = Instant::now();
    // It still sends, so it is not silent.
    let chatter = tokio::spawn(async move {
        while far.write_all(&frame(0x81, b"")).await.is_ok() {
            sleep(Duration::from_secs(10)).await;
        }
    });
    let sent = server.send(vec![0; 1000]).await;
    assert!(matches!(sent, Err(Error::Timeout(Stage::Write))), "{sent:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    let next = server.next().await;
    assert!(matches!(next, Some(Err(Error::Timeout(Stage::Write)))), "{next:?}");
    assert!(server.next().await.is_none());
    drop(server);
    chatter.await.expect("the task ends");
}

#[tokio::test(start_paused = true)]
async fn progress_renews_the_time_to_write() {
    let (mut server, mut far) = raw(64, &Config::new());
    let reading = tokio::spawn(async move {
        let mut received = vec![0; 64];
        for _ in 0..10 {
            sleep(Duration::from_secs(29)).await;
            far.read_exact(&mut received).await.expect("bytes");
        }
        far
    });
    server.send(vec![0; 636]).await.expect("slow, but it is read");
    drop(reading.await.expect("the task ends"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_although_it_takes_no_bytes() {
    let config = Config::new().silence(Duration::from_secs(3), Duration::from_secs(6));
    let (mut server, mut far) = raw(1, &config);
    let start = Instant::now();
    let ended = server.next().await;
    assert!(matches!(ended, Some(Err(Error::Timeout(Stage::Silence)))), "{ended:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(11));
    drop(server);
    assert_eq!(read_all(&mut far).await, [0x89], "all that the pipe took");
}
