//! The chat on axum: the example itself, with clients of this crate and requests by hand.

#[path = "../examples/axum_chat.rs"]
#[expect(dead_code, reason = "the test calls `serve`, and `main` is the program's")]
mod example;

use std::{net::Ipv4Addr, time::Duration};

use switchboard_tokio::{ClientSocket, CloseCode, Message, OwnedCloseFrame, connect};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};

const TIME: Duration = Duration::from_secs(60);

/// Returns the next message.
async fn next(client: &mut ClientSocket) -> Message {
    timeout(TIME, client.next()).await.expect("in time").expect("a message").expect("a message")
}

#[tokio::test]
async fn all_in_a_room_get_what_one_says_until_the_chat_stops() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopping) = oneshot::channel::<()>();
    let serving = tokio::spawn(example::serve(listener, async { drop(stopping.await) }));
    let mut red = connect(&format!("ws://{address}/red")).await.expect("a server");
    let mut blue = connect(&format!("ws://{address}/blue")).await.expect("a server");
    let mut other = connect(&format!("ws://{address}/red")).await.expect("a server");
    // Compressed by both ends, and long enough to be.
    let text = "hello ".repeat(100);
    // A client that has an echo is in its room.
    for client in [&mut red, &mut other] {
        client.send("in").await.expect("sent");
        while next(client).await != Message::text("in") {}
    }
    red.send(text.clone()).await.expect("sent");
    for client in [&mut red, &mut other] {
        while next(client).await != Message::text(&*text) {}
    }
    blue.send("blue").await.expect("sent");
    assert_eq!(next(&mut blue).await, Message::text("blue"), "nothing of another room");

    // A client that leaves does not keep the chat from stopping.
    other.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
    stop.send(()).expect("the server runs");
    for client in [&mut red, &mut blue] {
        let close = next(client).await;
        assert_eq!(close, Message::Close(Some(OwnedCloseFrame::new(CloseCode::GOING_AWAY, ""))));
        assert!(timeout(TIME, client.next()).await.expect("in time").is_none());
    }
    timeout(TIME, serving).await.expect("in time").expect("the task ends").expect("it stops");
}

#[tokio::test]
async fn a_request_that_opens_no_websocket_gets_the_status_that_fits() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(example::serve(listener, std::future::pending()));
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let rows = [
        ("a plain request", String::new(), "HTTP/1.1 426"),
        ("an older version", format!("{upgrade}Sec-WebSocket-Version: 8\r\n"), "HTTP/1.1 426"),
        ("a short key", format!("{}Sec-WebSocket-Version: 13\r\n", upgrade.replace("==", "")), "HTTP/1.1 400"),
        ("a valid one", format!("{upgrade}Sec-WebSocket-Version: 13\r\n"), "HTTP/1.1 101"),
    ];
    for (name, fields, status) in rows {
        let mut stream = TcpStream::connect(address).await.expect("a server");
        let request = format!("GET /room HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut response = vec![0; status.len()];
        timeout(TIME, stream.read_exact(&mut response)).await.expect("in time").expect("a response");
        assert_eq!(String::from_utf8_lossy(&response), status, "{name}");
    }
    serving.abort();
}
