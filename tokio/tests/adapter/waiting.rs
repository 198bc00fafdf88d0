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

/// The header of a message of 900 bytes, and the first 320 of them.
fn begun() -> Vec<u8> {
    let mut begun = vec![0x82, 0xfe, 0x03, 0x84, 0, 0, 0, 0];
    begun.resize(8 + 320, 0);
    begun
}

#[tokio::test(start_paused = true)]
async fn a_message_that_makes_no_progress_is_given_thirty_seconds() {
    // A whole fragment, so that other frames may follow.
    let fragment = [vec![0x02, 0xfe, 0x01, 0x40], vec![0; 4 + 320]].concat();
    // What comes every second.
    for (name, drip) in [("Pings", frame(0x89, b"!")), ("empty frames", frame(0x00, b"")), ("nothing", Vec::new())] {
        let config = Config::new().silence(Duration::from_secs(100), Duration::from_secs(200));
        let (mut server, mut far) = raw(4096, &config);
        let start = Instant::now();
        let serving = tokio::spawn(async move {
            loop {
                match server.next().await {
                    Some(Ok(Message::Ping(_))) => {}
                    ended => return (ended, start.elapsed()),
                }
            }
        });
        far.write_all(&fragment).await.expect("the server reads");
        for _ in 1..30 {
            sleep(Duration::from_secs(1)).await;
            far.write_all(&drip).await.expect("the server reads");
        }
        let received = read_all(&mut far).await;
        drop(far);
        let (ended, after) = serving.await.expect("the task ends");
        assert!(matches!(ended, Some(Err(Error::Timeout(Stage::Message)))), "{name}: {ended:?}");
        assert_eq!(after, Duration::from_secs(30), "{name}: and the peer has ended the stream");
        let close = received.iter().position(|&byte| byte == 0x88).expect("a Close");
        assert_eq!(received[close + 2..close + 4], [0x03, 0xf0], "{name}: 1008");
    }
}

#[tokio::test(start_paused = true)]
async fn a_thirty_second_part_more_is_progress() {
    // 320 bytes have arrived.
    for (drip, stays) in [(10, true), (9, false)] {
        let (mut server, mut far) = raw(4096, &Config::new());
        let serving = tokio::spawn(async move { server.next().await });
        far.write_all(&begun()).await.expect("the server reads");
        sleep(Duration::from_secs(20)).await;
        far.write_all(&vec![0; drip]).await.expect("the server reads");
        sleep(Duration::from_secs(29)).await;
        let is_open = far.write_all(&vec![0; 580 - drip]).await.is_ok();
        let received = serving.await.expect("the task ends");
        match received {
            Some(Ok(Message::Binary(payload))) => assert!(stays && is_open && payload.len() == 900, "{drip}"),
            received => {
                assert!(!stays && matches!(received, Some(Err(Error::Timeout(Stage::Message)))), "{received:?}")
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_has_the_time_again_if_nobody_has_received_meanwhile() {
    let (mut server, mut far) = raw(4096, &Config::new());
    far.write_all(&begun()).await.expect("the pipe has room");
    assert!(tokio::time::timeout(Duration::from_secs(1), server.next()).await.is_err(), "it is unfinished");
    // Few bytes have come, since nobody has read.
    far.write_all(&[0]).await.expect("the pipe has room");
    sleep(Duration::from_secs(40)).await;
    assert!(tokio::time::timeout(Duration::from_secs(29), server.next()).await.is_err(), "it is still unfinished");
    far.write_all(&[0; 579]).await.expect("the server reads");
    assert_eq!(server.next().await.expect("a message").expect("no error"), Message::Binary(vec![0; 900]));
}

#[tokio::test(start_paused = true)]
async fn each_message_has_its_own_time() {
    let (mut server, mut far) = raw(4096, &Config::new());
    let sending = tokio::spawn(async move {
        // The end of one and the beginning of the next in one write.
        let mut bytes = begun();
        for _ in 0..4 {
            far.write_all(&bytes).await.expect("the server reads");
            sleep(Duration::from_secs(29)).await;
            bytes = [vec![0; 580], begun()].concat();
        }
        far
    });
    for _ in 0..3 {
        assert_eq!(server.next().await.expect("a message").expect("no error"), Message::Binary(vec![0; 900]));
    }
    drop(sending.await.expect("the task ends"));
}
