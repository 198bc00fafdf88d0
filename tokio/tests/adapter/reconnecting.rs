//! The client that comes back: when, with what, and when no more. Time is tokio's paused clock, except over TCP.

use std::{
    collections::VecDeque,
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use switchboard::ResponseReader;
use switchboard_tokio::{
    Backoff, ClientSocket, CloseCode, Config, ConnectError, Connection, Error, HeadLimits, Limits, Loss, Message,
    OwnedCloseFrame, RandomKeys, ReconnectEvent, ReconnectingClient, Request, Stage, TrySendError, WebSocket, WhenFull,
    accept,
};
use tokio::{
    io::{DuplexStream, duplex},
    net::TcpListener,
    time::{Instant, timeout},
};

use crate::support::server;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What an attempt to connect meets.
enum Script {
    Fails(Loss),
    Hangs(Arc<AtomicUsize>),
    Serves(Box<dyn FnOnce(WebSocket<DuplexStream>) -> Task + Send>),
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn serves<F: Future<Output = ()> + Send + 'static>(
    script: impl FnOnce(WebSocket<DuplexStream>) -> F + Send + 'static,
) -> Script {
    Script::Serves(Box::new(|socket| Box::pin(script(socket))))
}

/// Makes a client whose attempts meet these scripts, one after another, and a count of its attempts.
fn client_of(scripts: Vec<Script>) -> (ReconnectingClient<DuplexStream>, Arc<AtomicUsize>) {
    let mut scripts = VecDeque::from(scripts);
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let client = ReconnectingClient::connect_by(move || {
        counted.fetch_add(1, Relaxed);
        let script = scripts.pop_front().expect("no more attempts are expected");
        async move {
            match script {
                Script::Fails(loss) => Err(loss),
                Script::Hangs(dropped) => {
                    let _counted = Counted(dropped);
                    pending().await
                }
                Script::Serves(serve) => {
                    let (near, far) = duplex(4096);
                    tokio::spawn(serve(server(near, Limits::default(), &Config::new())));
                    let keys = RandomKeys::new().expect("random bytes");
                    let connection = Connection::client(keys, Limits::default(), switchboard::Delivery::Messages);
                    Ok(ClientSocket::from_upgraded(far, [], connection, &Config::new()))
                }
            }
        }
    });
    (client, attempts)
}

/// A client that waits no time before it connects again, unless the server wishes it.
fn quick(scripts: Vec<Script>) -> ReconnectingClient<DuplexStream> {
    client_of(scripts).0.backoff(Backoff::new().windows(Duration::ZERO, Duration::ZERO))
}

fn refused(status: u16, fields: &str) -> Loss {
    let head = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
    let (response, _) = ResponseReader::new(HeadLimits::default()).receive(head.as_bytes()).unwrap().unwrap();
    ConnectError::Refused { response: Box::new(response) }.into()
}

/// Waits for an event, at most 1,000 s of the paused clock.
async fn next(client: &mut ReconnectingClient<DuplexStream>) -> Option<ReconnectEvent> {
    timeout(Duration::from_secs(1000), client.next()).await.expect("an event")
}

#[track_caller]
fn expect_connecting(event: Option<ReconnectEvent>, expected: u32) {
    assert!(matches!(event, Some(ReconnectEvent::Connecting { failures }) if failures == expected), "{event:?}");
}

#[track_caller]
fn expect_open(event: Option<ReconnectEvent>) {
    assert!(matches!(event, Some(ReconnectEvent::Open)), "{event:?}");
}

#[track_caller]
fn expect_text(event: Option<ReconnectEvent>, text: &str) {
    assert!(matches!(&event, Some(ReconnectEvent::Message(message)) if *message == Message::text(text)), "{event:?}");
}

#[track_caller]
fn expect_waiting(event: Option<ReconnectEvent>) -> (Duration, Loss) {
    match event {
        Some(ReconnectEvent::Waiting { delay, loss }) => (delay, loss),
        event => panic!("{event:?}"),
    }
}

#[track_caller]
fn expect_closed(event: Option<ReconnectEvent>) -> (Loss, Vec<Message>) {
    match event {
        Some(ReconnectEvent::Closed { loss, unsent }) => (loss, unsent),
        event => panic!("{event:?}"),
    }
}

async fn expect_at_server(socket: &mut WebSocket<DuplexStream>, texts: &[&str]) {
    for text in texts {
        let message = socket.next().await;
        assert!(matches!(&message, Some(Ok(message)) if *message == Message::text(*text)), "{text}: {message:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_it_comes_back_resumes_and_sends_what_waited() {
    let mut opened = 0;
    let mut client = quick(vec![
        serves(|mut socket| async move {
            expect_at_server(&mut socket, &["resume 1", "before", "while open"]).await;
            socket.send(Message::text("a")).await.unwrap();
            // Lost without a Close.
        }),
        Script::Fails(refused(502, "")),
        serves(|mut socket| async move {
            expect_at_server(&mut socket, &["resume 2", "away 1", "away 2"]).await;
            socket.send(Message::text("b")).await.unwrap();
            while let Some(Ok(_)) = socket.next().await {}
        }),
    ])
    .on_open(move || {
        opened += 1;
        vec![Message::text(format!("resume {opened}")), Message::Close(None)]
    });
    let handle = client.handle();
    handle.try_send("before").unwrap();
    expect_connecting(next(&mut client).await, 0);
    expect_open(next(&mut client).await);
    handle.try_send("while open").unwrap();
    expect_text(next(&mut client).await, "a");
    assert_eq!(handle.queued(), 0);
    let (_, loss) = expect_waiting(next(&mut client).await);
    assert!(matches!(loss, Loss::Failed(Error::Disconnected)), "{loss:?}");
    handle.try_send("away 1").unwrap();
    expect_connecting(next(&mut client).await, 1);
    let (_, loss) = expect_waiting(next(&mut client).await);
    assert!(matches!(loss, Loss::NotConnected(ConnectError::Refused { .. })), "{loss:?}");
    handle.try_send("away 2").unwrap();
    expect_connecting(next(&mut client).await, 2);
    expect_open(next(&mut client).await);
    expect_text(next(&mut client).await, "b");
    handle.try_send("last").unwrap();
    assert!(handle.close(CloseCode::GOING_AWAY, "enough"));
    let (loss, unsent) = expect_closed(next(&mut client).await);
    assert!(matches!(&loss, Loss::Closed(Some(frame)) if frame.code == CloseCode::GOING_AWAY), "{loss:?}");
    assert_eq!(unsent, [], "the last message went out before the Close");
    assert!(next(&mut client).await.is_none());
    assert_eq!(handle.try_send("late"), Err(TrySendError::Closed("late".into())));
}

#[tokio::test(start_paused = true)]
async fn a_server_decides_whether_and_when_the_client_comes_back() {
    let closing = |code| serves(move |mut socket| async move { socket.close(CloseCode::new(code), "").await.unwrap() });
    let connect = |error| Script::Fails(Loss::NotConnected(error));
    let rows = [
        ("1000", closing(1000), None),
        ("1001", closing(1001), Some((0, 0))),
        ("1008", closing(1008), None),
        ("1012", closing(1012), Some((5, 30))),
        ("1013", closing(1013), Some((5, 30))),
        ("4001", closing(4001), None),
        ("401", Script::Fails(refused(401, "")), None),
        ("503", Script::Fails(refused(503, "")), Some((0, 0))),
        ("503, later", Script::Fails(refused(503, "Retry-After: 100\r\n")), Some((100, 100))),
        ("a redirect", Script::Fails(refused(307, "Location: /\r\n")), None),
        ("time-out", connect(ConnectError::Timeout), Some((0, 0))),
        ("no TLS", connect(ConnectError::NeedsTls), None),
        ("TLS refused", connect(ConnectError::Tls(std::io::ErrorKind::InvalidData.into())), None),
        ("TLS cut", connect(ConnectError::Tls(std::io::ErrorKind::UnexpectedEof.into())), Some((0, 0))),
    ];
    for (name, script, expected) in rows {
        let mut client = quick(vec![script, Script::Fails(Loss::Cancelled)]);
        let mut event = next(&mut client).await;
        while let Some(ReconnectEvent::Connecting { .. } | ReconnectEvent::Open) = event {
            event = next(&mut client).await;
        }
        match (event, expected) {
            (Some(ReconnectEvent::Closed { .. }), None) => assert!(next(&mut client).await.is_none()),
            (Some(ReconnectEvent::Waiting { delay, .. }), Some((least, most))) => {
                let range = Duration::from_secs(least)..=Duration::from_secs(most);
                assert!(range.contains(&delay), "{name}: {delay:?}");
                let start = Instant::now();
                expect_connecting(next(&mut client).await, 1);
                let late = start.elapsed().saturating_sub(delay);
                assert!(late <= Duration::from_millis(1), "{name}: late by {late:?}");
            }
            (event, expected) => panic!("{name}: {event:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retry_if_decides_otherwise() {
    let mut client = quick(vec![Script::Fails(refused(401, "")), Script::Fails(refused(503, ""))])
        .retry_if(|loss| !loss.is_retryable());
    expect_connecting(next(&mut client).await, 0);
    expect_waiting(next(&mut client).await);
    expect_connecting(next(&mut client).await, 1);
    expect_closed(next(&mut client).await);
}

#[tokio::test(start_paused = true)]
async fn delays_are_random_and_their_windows_double() {
    let mut first = Vec::new();
    for _ in 0..20 {
        let (mut client, _) = client_of((0..6).map(|_| Script::Fails(Error::Disconnected.into())).collect());
        for (failures, window) in [5, 10, 20, 40, 60, 60].into_iter().enumerate() {
            expect_connecting(next(&mut client).await, u32::try_from(failures).unwrap());
            let (delay, _) = expect_waiting(next(&mut client).await);
            assert!(delay < Duration::from_secs(window), "{failures}: {delay:?}");
            if failures == 0 {
                first.push(delay);
            }
        }
    }
    first.sort();
    first.dedup();
    assert_eq!(first.len(), 20, "each client waits another time");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_and_a_wait_end_at_once_when_the_client_is_closed_or_dropped() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let hangs = || Script::Hangs(Arc::clone(&dropped));
    let mut client = quick(vec![hangs()]);
    let handle = client.handle();
    handle.try_send("waits").unwrap();
    expect_connecting(next(&mut client).await, 0);
    let start = Instant::now();
    let closing = async {
        tokio::task::yield_now().await;
        handle.close(CloseCode::NORMAL_CLOSURE, "");
    };
    let (event, ()) = tokio::join!(next(&mut client), closing);
    let (loss, unsent) = expect_closed(event);
    assert!(matches!(loss, Loss::Cancelled), "{loss:?}");
    assert_eq!((unsent, dropped.load(Relaxed)), (vec![Message::text("waits")], 1));
    assert!(next(&mut client).await.is_none());

    let (mut client, _) = client_of(vec![Script::Fails(refused(503, "Retry-After: 1000\r\n"))]);
    let handle = client.handle();
    expect_connecting(next(&mut client).await, 0);
    expect_waiting(next(&mut client).await);
    handle.close(CloseCode::NORMAL_CLOSURE, "");
    expect_closed(next(&mut client).await);
    assert_eq!(start.elapsed(), Duration::ZERO);

    let mut client = quick(vec![hangs()]);
    let handle = client.handle();
    expect_connecting(next(&mut client).await, 0);
    assert!(timeout(Duration::from_secs(1), client.next()).await.is_err());
    drop(client);
    assert_eq!(dropped.load(Relaxed), 2);
    assert_eq!(handle.try_send("late"), Err(TrySendError::Closed("late".into())));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_next_that_is_dropped_loses_nothing() {
    let (mut client, attempts) = client_of(vec![serves(|mut socket| async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        for number in 0..100 {
            socket.send(Message::text(number.to_string())).await.unwrap();
        }
        socket.close(CloseCode::NORMAL_CLOSURE, "").await.unwrap();
    })]);
    let mut came = 0;
    loop {
        match timeout(Duration::from_micros(100), client.next()).await {
            Err(_) | Ok(Some(ReconnectEvent::Connecting { .. } | ReconnectEvent::Open)) => {}
            Ok(Some(ReconnectEvent::Message(message))) => {
                assert_eq!(message, Message::text(came.to_string()));
                came += 1;
            }
            Ok(event) => {
                expect_closed(event);
                break;
            }
        }
    }
    assert_eq!((came, attempts.load(Relaxed)), (100, 1));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_or_drops_the_oldest() {
    let cost = 64 + 1;
    let rows: [(&str, usize, usize, WhenFull, &[bool], &[&str]); 8] = [
        ("messages", 2, 1000, WhenFull::Refuse, &[true, true, false], &["0", "1"]),
        ("messages, dropped", 2, 1000, WhenFull::DropOldest, &[true, true, true], &["1", "2"]),
        ("bytes", 9, 2 * cost, WhenFull::Refuse, &[true, true, false], &["0", "1"]),
        ("a byte less", 9, 2 * cost - 1, WhenFull::Refuse, &[true, false, false], &["0"]),
        ("bytes, dropped", 9, 2 * cost, WhenFull::DropOldest, &[true, true, true], &["1", "2"]),
        ("room", 3, 3 * cost, WhenFull::Refuse, &[true, true, true], &["0", "1", "2"]),
        ("none", 0, 1000, WhenFull::DropOldest, &[false, false, false], &[]),
        ("too long for any queue", 9, cost - 1, WhenFull::DropOldest, &[false, false, false], &[]),
    ];
    for (name, max_messages, max_bytes, when_full, taken, left) in rows {
        let mut client = quick(vec![]).queue(max_messages, max_bytes, when_full);
        let handle = client.handle();
        for (number, &is_taken) in taken.iter().enumerate() {
            let message = Message::text(number.to_string());
            let expected = if is_taken { Ok(()) } else { Err(TrySendError::Full(message.clone())) };
            assert_eq!(handle.try_send(message), expected, "{name}: {number}");
        }
        assert_eq!(handle.queued(), left.len(), "{name}");
        handle.close(CloseCode::NORMAL_CLOSURE, "");
        let left: Vec<_> = left.iter().map(|&text| Message::text(text)).collect();
        assert_eq!(expect_closed(next(&mut client).await).1, left, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_fills_the_queue_and_no_more() {
    let mut client = quick(vec![serves(|socket| async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        drop(socket);
    })])
    .queue(10, 10 << 20, WhenFull::Refuse);
    let handle = client.handle();
    expect_connecting(next(&mut client).await, 0);
    expect_open(next(&mut client).await);
    let mut taken = 0;
    while handle.try_send(vec![0; 100_000]).is_ok() {
        assert!(timeout(Duration::from_millis(1), client.next()).await.is_err(), "no event");
        taken += 1;
        assert!(taken < 100, "the queue is bounded");
    }
    assert_eq!(taken, 11, "the connection took one, beyond 64 KiB of output it takes none, and ten wait");
    expect_waiting(next(&mut client).await);
    assert_eq!(handle.queued(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_sent_is_refused_and_changes_nothing() {
    let mut client = quick(vec![]);
    let handle = client.handle();
    let long = Message::Ping(vec![0; 126]);
    assert_eq!(handle.try_send(long.clone()), Err(TrySendError::Invalid(long)));
    assert!(!handle.close(CloseCode::NO_STATUS_RECEIVED, ""));
    assert!(!handle.close(CloseCode::NORMAL_CLOSURE, &"x".repeat(124)));
    let close = Message::Close(Some(OwnedCloseFrame::new(CloseCode::new(5000), "")));
    assert_eq!(handle.try_send(close.clone()), Err(TrySendError::Invalid(close)));
    handle.try_send(Message::Ping(vec![0; 125])).unwrap();
    handle.try_send(Message::Close(None)).unwrap();
    assert_eq!(expect_closed(next(&mut client).await).1, [Message::Ping(vec![0; 125])]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_and_tried_again() {
    let mut client = quick(vec![serves(|socket| async move {
        pending::<()>().await;
        drop(socket);
    })]);
    expect_connecting(next(&mut client).await, 0);
    expect_open(next(&mut client).await);
    let start = Instant::now();
    let (_, loss) = expect_waiting(next(&mut client).await);
    assert!(matches!(loss, Loss::Failed(Error::Timeout(Stage::Silence))), "{loss:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(65));
}

#[tokio::test]
async fn over_tcp_it_comes_back_to_the_same_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        for round in 0..3 {
            let mut socket = accept(listener.accept().await.unwrap().0).await.unwrap();
            let message = socket.next().await.unwrap().unwrap();
            assert_eq!(message, Message::text(format!("round {round}")));
            socket.close(if round < 2 { CloseCode::GOING_AWAY } else { CloseCode::NORMAL_CLOSURE }, "").await.unwrap();
        }
    });
    let mut round = 0;
    let mut client = ReconnectingClient::new(Request::new(&url).unwrap())
        .backoff(Backoff::new().windows(Duration::ZERO, Duration::ZERO))
        .on_open(move || {
            round += 1;
            vec![Message::text(format!("round {}", round - 1))]
        });
    let mut opened = 0;
    let loss = loop {
        match timeout(Duration::from_secs(20), client.next()).await.expect("an event in time") {
            Some(ReconnectEvent::Open) => opened += 1,
            Some(ReconnectEvent::Closed { loss, .. }) => break loss,
            Some(_) => {}
            None => panic!("it ended without an event"),
        }
    };
    assert_eq!(opened, 3);
    assert_eq!(loss.to_string(), "the server closed the connection with code 1000");
    serving.await.unwrap();
}
