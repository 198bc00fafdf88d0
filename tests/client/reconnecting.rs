//! The client that comes back: when, with what, and when no more.
#![cfg(unix)]

use std::{sync::mpsc, thread, time::Duration};

use switchboard::{
    CloseCode, CloseFrame, OwnedCloseFrame,
    client::{Backoff, Client, ClientError, Loss, Message, ReconnectEvent, ReconnectingClient, Stage, WhenFull},
};

use crate::{
    LONG, SHORT,
    peer::{Peer, Script, Server, builder, serve_each},
};

/// A client that waits no time before it connects again.
fn client(server: &Server) -> ReconnectingClient {
    let mut client = ReconnectingClient::new(builder(), server.url());
    client.backoff(Backoff::new().windows(Duration::ZERO, Duration::ZERO));
    client
}

#[track_caller]
fn expect_opened(client: &mut ReconnectingClient) {
    let event = client.next();
    assert!(matches!(event, Some(ReconnectEvent::Connecting { .. })), "{event:?}");
    let event = client.next();
    assert!(matches!(event, Some(ReconnectEvent::Open)), "{event:?}");
}

#[track_caller]
fn expect_text(client: &mut ReconnectingClient, text: &str) {
    match client.next() {
        Some(ReconnectEvent::Message(message)) => assert_eq!(message, Message::from(text)),
        event => panic!("{event:?}"),
    }
}

#[track_caller]
fn expect_waiting(client: &mut ReconnectingClient) -> (Duration, Loss) {
    match client.next() {
        Some(ReconnectEvent::Waiting { delay, loss }) => (delay, loss),
        event => panic!("{event:?}"),
    }
}

#[track_caller]
fn expect_closed(client: &mut ReconnectingClient) -> (Loss, Vec<Message>) {
    match client.next() {
        Some(ReconnectEvent::Closed { loss, unsent }) => {
            assert!(client.next().is_none());
            (loss, unsent)
        }
        event => panic!("{event:?}"),
    }
}

fn closing(code: CloseCode) -> Script {
    Box::new(move |mut peer| {
        peer.open();
        peer.close(Some(CloseFrame { code, reason: "" }));
        peer.end();
    })
}

fn responding(response: &'static str) -> Script {
    Box::new(move |mut peer| {
        peer.request();
        peer.write(response.as_bytes());
        peer.end();
    })
}

#[test]
fn after_a_loss_it_comes_back_resumes_and_sends_what_waited() {
    let server = serve_each(vec![
        Box::new(|mut peer: Peer| {
            peer.open();
            assert_eq!(peer.next(), Message::from("resume 0"));
            assert_eq!(peer.next(), Message::from("before"));
            peer.write(b"\x81\x01a");
            assert_eq!(peer.next(), Message::from("while open"));
            // Lost without a Close.
        }),
        responding("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        Box::new(|mut peer: Peer| {
            peer.open();
            assert_eq!(peer.next(), Message::from("resume 1"));
            assert_eq!(peer.next(), Message::from("away 1"));
            assert_eq!(peer.next(), Message::from("away 2"));
            peer.write(b"\x81\x01b");
            peer.echo_until_close();
        }),
    ]);
    let mut client = client(&server);
    let mut opened = 0;
    client.on_open(move |connection: &mut Client| {
        let resume = format!("resume {opened}");
        opened += 1;
        connection.send_text(&resume)
    });
    let handle = client.handle();
    handle.send("before").unwrap();
    assert_eq!(handle.queued(), 1);
    expect_opened(&mut client);
    assert_eq!(handle.queued(), 0);
    expect_text(&mut client, "a");
    handle.send("while open").unwrap();
    let (_, loss) = expect_waiting(&mut client);
    assert!(matches!(loss, Loss::Failed(ClientError::Disconnected)), "{loss:?}");
    handle.send("away 1").unwrap();
    assert!(matches!(client.next(), Some(ReconnectEvent::Connecting { failures: 1 })));
    let (_, loss) = expect_waiting(&mut client);
    assert!(matches!(&loss, Loss::Failed(ClientError::Refused { response, .. }) if response.status() == 502));
    handle.send(Message::from("away 2")).unwrap();
    expect_opened(&mut client);
    expect_text(&mut client, "b");
    handle.close(CloseCode::NORMAL_CLOSURE, "");
    let (loss, unsent) = expect_closed(&mut client);
    assert!(matches!(loss, Loss::Closed(Some(OwnedCloseFrame { code: CloseCode::NORMAL_CLOSURE, .. }))), "{loss:?}");
    assert_eq!(unsent, []);
    assert!(matches!(handle.send("late"), Err(ClientError::Closed)));
    server.finish();
}

#[test]
fn a_server_decides_whether_and_when_the_client_comes_back() {
    let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    let busy = "HTTP/1.1 503 X\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n";
    let rows: Vec<(Script, Option<(u64, u64)>)> = vec![
        (closing(CloseCode::NORMAL_CLOSURE), None),
        (closing(CloseCode::GOING_AWAY), Some((0, 0))),
        (closing(CloseCode::POLICY_VIOLATION), None),
        (closing(CloseCode::SERVICE_RESTART), Some((5, 30))),
        (closing(CloseCode::TRY_AGAIN_LATER), Some((5, 30))),
        (closing(CloseCode::new(4001)), None),
        (responding(refused), None),
        (responding(busy), Some((100, 100))),
        (responding("HTTP/1.1 101 X\r\n\r\n"), None),
    ];
    for (number, (script, expected)) in rows.into_iter().enumerate() {
        let server = serve_each(vec![script]);
        let mut client = client(&server);
        let mut event = client.next();
        while let Some(ReconnectEvent::Connecting { .. } | ReconnectEvent::Open) = event {
            event = client.next();
        }
        match (event, expected) {
            (Some(ReconnectEvent::Closed { .. }), None) => {}
            (Some(ReconnectEvent::Waiting { delay, .. }), Some((least, most))) => {
                assert!(
                    Duration::from_secs(least) <= delay && delay <= Duration::from_secs(most),
                    "{number}: {delay:?}"
                );
            }
            (event, expected) => panic!("{number}: {event:?}, not {expected:?}"),
        }
        server.finish();
    }
}

#[test]
fn retry_if_decides_otherwise() {
    let server = serve_each(vec![closing(CloseCode::NORMAL_CLOSURE), closing(CloseCode::GOING_AWAY)]);
    let mut client = client(&server);
    client.retry_if(|loss| matches!(loss, Loss::Closed(Some(OwnedCloseFrame { code: CloseCode::NORMAL_CLOSURE, .. }))));
    expect_opened(&mut client);
    expect_waiting(&mut client);
    expect_opened(&mut client);
    expect_closed(&mut client);
    server.finish();
}

#[test]
fn a_hook_that_fails_is_a_failed_attempt() {
    let server = serve_each(vec![Box::new(|mut peer: Peer| {
        peer.open();
        peer.expect_end();
    })]);
    let mut client = client(&server);
    client.on_open(|_| Err(ClientError::Timeout(Stage::Receive)));
    assert!(matches!(client.next(), Some(ReconnectEvent::Connecting { failures: 0 })));
    let (_, loss) = expect_waiting(&mut client);
    assert!(matches!(loss, Loss::Failed(ClientError::Timeout(Stage::Receive))), "{loss:?}");
    server.finish();
}

#[test]
fn the_queue_is_bounded_and_what_was_not_sent_comes_back_at_the_end() {
    let mut client = ReconnectingClient::new(builder(), "ws://127.0.0.1:1/");
    client.queue(2, 1000, WhenFull::DropOldest);
    let handle = client.handle();
    for text in ["1", "2", "3"] {
        handle.send(text).unwrap();
    }
    client.queue(9, 2 * 64, WhenFull::Refuse); // one message: each counts 64 bytes besides its payload
    assert_eq!(handle.queued(), 0);
    handle.send("4").unwrap();
    assert!(matches!(handle.send("5"), Err(ClientError::QueueFull)));
    handle.send(Message::Close(None)).unwrap();
    let (loss, unsent) = expect_closed(&mut client);
    assert!(matches!(loss, Loss::Cancelled), "{loss:?}");
    assert_eq!(unsent, [Message::from("4")]);
}

#[test]
fn another_thread_ends_it_while_it_waits_for_a_message_and_for_its_next_attempt() {
    let server = serve_each(vec![
        Box::new(|mut peer: Peer| {
            peer.open();
            let close = peer.next();
            assert_eq!(close, Message::Close(Some(OwnedCloseFrame::new(CloseCode::GOING_AWAY, "bye"))));
            peer.close(Some(CloseFrame { code: CloseCode::GOING_AWAY, reason: "" }));
            peer.end();
        }),
        responding("HTTP/1.1 503 X\r\nRetry-After: 1000\r\nContent-Length: 0\r\n\r\n"),
    ]);
    for expects_close in [true, false] {
        let mut client = client(&server);
        let handle = client.handle();
        let (tell, told) = mpsc::channel();
        let running = thread::spawn(move || {
            let mut last = None;
            client.run(|event| {
                if matches!(event, ReconnectEvent::Open | ReconnectEvent::Waiting { .. }) {
                    tell.send(()).unwrap();
                }
                last = Some(event);
            });
            last
        });
        told.recv_timeout(LONG).unwrap();
        handle.close(CloseCode::GOING_AWAY, "bye");
        match running.join().unwrap() {
            Some(ReconnectEvent::Closed { loss: Loss::Closed(Some(_)), .. }) if expects_close => {}
            Some(ReconnectEvent::Closed { loss: Loss::Cancelled, .. }) if !expects_close => {}
            event => panic!("{event:?}"),
        }
    }
    server.finish();
}

#[test]
fn another_thread_ends_it_while_it_connects_and_while_the_hook_receives() {
    for opens in [false, true] {
        let (tell, told) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let tell_from_hook = tell.clone();
        let server = serve_each(vec![Box::new(move |mut peer: Peer| {
            if opens {
                peer.open(); // the hook tells
            } else {
                peer.request();
                tell.send(()).unwrap();
            }
            released.recv_timeout(2 * LONG).unwrap();
        })]);
        // Nothing but `close` ends the attempt, or the call of `receive`, before the test fails.
        let builder = builder().connect_timeout(10 * LONG).read_timeout(None);
        let mut client = ReconnectingClient::new(builder, server.url());
        client.on_open(move |connection| {
            tell_from_hook.send(()).unwrap();
            connection.receive().map(drop)
        });
        let handle = client.handle();
        let (end, ended) = mpsc::channel();
        let running = thread::spawn(move || {
            let mut last = None;
            client.run(|event| last = Some(event));
            end.send(last).unwrap();
        });
        told.recv_timeout(LONG).unwrap();
        handle.close(CloseCode::NORMAL_CLOSURE, "");
        match ended.recv_timeout(LONG).expect("the client ends") {
            Some(ReconnectEvent::Closed { loss: Loss::Cancelled, .. }) => {}
            event => panic!("{event:?}"),
        }
        release.send(()).unwrap();
        running.join().unwrap();
        server.finish();
    }
}

#[test]
fn a_silent_server_is_pinged_and_then_given_up() {
    let server = serve_each(vec![
        Box::new(|mut peer: Peer| {
            peer.open();
            assert_eq!(peer.next(), Message::Ping(Vec::new()));
            peer.write(b"\x8a\x00");
            // The Pong has kept the connection: there is a second Ping, which is not answered.
            assert_eq!(peer.next(), Message::Ping(Vec::new()));
            peer.expect_end();
        }),
        closing(CloseCode::NORMAL_CLOSURE),
    ]);
    let mut client = client(&server);
    client.keepalive(SHORT, 10 * SHORT);
    expect_opened(&mut client);
    let (_, loss) = expect_waiting(&mut client);
    assert!(matches!(loss, Loss::Silent), "{loss:?}");
    expect_opened(&mut client);
    expect_closed(&mut client);
    server.finish();
}

/// A server that does not read must not keep the client, which gives it up, from ending a thread that sends.
#[test]
fn a_send_that_waits_ends_with_the_connection_and_its_message_is_queued() {
    let (tell, told) = mpsc::channel();
    let server = serve_each(vec![Box::new(move |mut peer: Peer| {
        peer.open();
        told.recv_timeout(LONG).unwrap();
        peer.expect_end();
    })]);
    let mut client = client(&server);
    client.keepalive(SHORT, 2 * SHORT).queue(1, 65 << 20, WhenFull::Refuse);
    let handle = client.handle();
    expect_opened(&mut client);
    let sender = thread::spawn(move || {
        handle.send(vec![0; 64 << 20]).unwrap();
        handle.queued()
    });
    let (_, loss) = expect_waiting(&mut client);
    assert!(matches!(loss, Loss::Silent), "{loss:?}");
    assert_eq!(sender.join().unwrap(), 1);
    tell.send(()).unwrap();
    client.handle().close(CloseCode::NORMAL_CLOSURE, "");
    let (_, unsent) = expect_closed(&mut client);
    assert_eq!(unsent.len(), 1);
    server.finish();
}
