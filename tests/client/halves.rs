//! The halves of a client in two threads, and the waker.

use std::{
    io::ErrorKind,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use switchboard::{
    CloseCode,
    client::{Client, ClientError, Message, ReceivingHalf, SendingHalf, Stage, Waker},
};

use crate::{
    LONG, SHORT,
    peer::{Peer, builder, serve},
};

/// Runs a script and a client against each other: in the clear, and over TLS.
fn each_transport(script: fn(Peer), client: impl Fn(Client)) {
    let server = serve(move |mut peer| {
        peer.open();
        script(peer);
    });
    client(server.connect());
    server.finish();
    #[cfg(feature = "client-tls")]
    {
        let setting = crate::tls::Setting::new();
        let server = setting.serve(move |mut peer| {
            peer.open();
            script(peer);
        });
        client(setting.builder.connect(&crate::tls::secure_url(&server)).unwrap());
        server.finish();
    }
}

#[test]
fn one_half_sends_while_the_other_receives() {
    each_transport(
        |mut peer| peer.echo_until_close(),
        |client| {
            let (mut receiving, mut sending) = client.split().unwrap();
            let receiver = thread::spawn(move || {
                for number in 0..1000 {
                    assert_eq!(receiving.receive().unwrap(), Message::Text(format!("{number}")));
                }
                let close = receiving.receive().unwrap();
                assert_eq!(close, Message::Close(Some((CloseCode::NORMAL_CLOSURE, String::new()))));
                assert!(!receiving.is_open());
                assert!(matches!(receiving.receive(), Err(ClientError::Closed)));
            });
            for number in 0..1000 {
                sending.send_text(&number.to_string()).unwrap();
            }
            assert!(sending.is_open());
            sending.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
            assert!(!sending.is_open());
            receiver.join().unwrap();
            assert!(matches!(sending.send_text(""), Err(ClientError::Closed)));
        },
    );
}

/// A client in one thread would wait here for a server that waits for the client.
#[test]
fn both_sides_may_send_more_than_the_network_holds_before_they_read() {
    const BYTES: usize = 16 << 20;
    each_transport(
        |mut peer| {
            let mut out = Vec::new();
            peer.connection.sender.binary(&vec![0xA5; BYTES], &mut out).unwrap();
            peer.write(&out);
            assert_eq!(peer.next(), Message::Binary(vec![0x5A; BYTES]));
            peer.echo_until_close();
        },
        |client| {
            let (mut receiving, mut sending) = client.split().unwrap();
            let sender = thread::spawn(move || {
                sending.send_binary(&vec![0x5A; BYTES]).unwrap();
                sending.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
            });
            assert_eq!(receiving.receive().unwrap(), Message::Binary(vec![0xA5; BYTES]));
            assert!(matches!(receiving.receive().unwrap(), Message::Close(_)));
            sender.join().unwrap();
        },
    );
}

#[test]
fn a_ping_is_answered_while_the_other_half_is_not_used() {
    each_transport(
        |mut peer| {
            peer.write(b"\x89\x01a");
            assert_eq!(peer.next(), Message::Pong(b"a".to_vec()));
            peer.close(None);
            assert_eq!(peer.next(), Message::Close(None));
            peer.end();
        },
        |client| {
            let (mut receiving, mut sending) = client.split().unwrap();
            assert_eq!(receiving.receive().unwrap(), Message::Ping(b"a".to_vec()));
            assert_eq!(receiving.receive().unwrap(), Message::Close(None));
            assert!(matches!(sending.ping(b""), Err(ClientError::Closed)));
        },
    );
}

/// The server reads nothing, so the send waits; the receiving half does not wait for it without limit.
#[cfg(target_os = "linux")]
#[test]
fn a_violation_ends_a_send_that_waits() {
    each_transport(
        |mut peer| {
            // The send has begun.
            peer.await_input();
            peer.write(b"\x83\x00");
            peer.expect_end_unread();
        },
        |client| {
            let (mut receiving, mut sending) = client.split().unwrap();
            let sender = thread::spawn(move || sending.send_binary(&vec![0; 64 << 20]));
            assert!(matches!(receiving.receive(), Err(ClientError::Protocol(_))));
            sender.join().unwrap().unwrap_err();
        },
    );
}

#[cfg(unix)]
#[test]
fn a_waker_ends_a_receive_at_once_and_nothing_is_lost() {
    each_transport(
        |mut peer| {
            peer.write(b"\x81\x05Hel");
            assert_eq!(peer.next(), Message::Text("go on".into()));
            peer.write(b"lo\x81\x01!");
            peer.echo_until_close();
        },
        |mut client| {
            let waker = client.waker().unwrap();
            // The first part of the message may be read before the wake, or after it.
            let wakes = thread::spawn({
                let waker = waker.clone();
                move || waker.wake()
            });
            assert!(matches!(client.receive(), Err(ClientError::Woken)));
            wakes.join().unwrap();
            client.send_text("go on").unwrap();
            assert_eq!(client.receive().unwrap(), Message::Text("Hello".into()));
            // Before a call, several wakes are one, and go before a message that waits.
            waker.wake();
            client.waker().unwrap().wake();
            assert!(matches!(client.receive(), Err(ClientError::Woken)));
            assert_eq!(client.receive().unwrap(), Message::Text("!".into()));
            // The timeout is still kept.
            client.set_read_timeout(Some(SHORT));
            assert!(matches!(client.receive(), Err(ClientError::Timeout(Stage::Receive))));
            client.set_read_timeout(Some(Duration::ZERO));
            assert!(matches!(client.receive(), Err(ClientError::Timeout(Stage::Receive))));
            // A wake does not disturb the closing handshake.
            waker.wake();
            client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
            waker.wake();
        },
    );
}

#[cfg(unix)]
#[test]
fn a_receive_that_waits_without_limit_is_woken() {
    let server = serve(|mut peer| {
        peer.open();
        peer.echo_until_close();
    });
    let client = builder().read_timeout(None).connect(&server.url()).unwrap();
    let (mut receiving, mut sending) = client.split().unwrap();
    let waker = receiving.waker().unwrap();
    let (tell, told) = mpsc::channel();
    let receiver = thread::spawn(move || {
        for _ in 0..100 {
            assert!(matches!(receiving.receive(), Err(ClientError::Woken)));
            tell.send(()).unwrap();
        }
        receiving.receive()
    });
    let started = Instant::now();
    for _ in 0..100 {
        waker.wake();
        told.recv_timeout(LONG).unwrap();
    }
    assert!(started.elapsed() < LONG);
    sending.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    assert!(matches!(receiver.join().unwrap(), Ok(Message::Close(_))));
    server.finish();
}

#[test]
fn a_stream_of_the_callers_has_neither_halves_nor_a_waker() {
    let accepted = || {
        let server = serve(|mut peer| {
            peer.open();
            peer.expect_end();
        });
        let stream = std::net::TcpStream::connect(server.address).unwrap();
        (server, builder().connect_over(stream, "ws://example.test/").unwrap())
    };
    let (server, client) = accepted();
    assert_eq!(client.waker().unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(client.split().unwrap_err().kind(), ErrorKind::Unsupported);
    server.finish();
}

#[test]
fn the_halves_can_move_to_other_threads() {
    fn is_send<T: Send>() {}
    is_send::<ReceivingHalf>();
    is_send::<SendingHalf>();
    is_send::<Waker>();
}
