//! The states of a connection over TLS in the table of `docs/limits.md`. Of a client only its socket is kept, since
//! what its side of TLS allocates would count as well.

use std::{
    io::Write,
    net::TcpStream,
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use rustls::{ContentType, version::TLS13};
use switchboard::Message;
use switchboard_tests::{
    forger::{APPLICATION_DATA, Forger, in_records},
    server::{Raw, Service, config, frame, serve},
    tls::{Authority, Secure, connect, localhost, open, over, read_frame},
};

use crate::{
    MIB, held, one_at_a_time,
    states::{Enter, measure, service},
};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("authority"));

const STATES: &[(&str, Enter)] = &[
    ("over TLS: connected", |server| Raw::connect(server.address).stream),
    // A record has a header of five bytes, which is kept with its only byte.
    ("over TLS: a ClientHello has begun", |server| {
        let mut raw = Raw::connect(server.address);
        let message = [&[1, 0, 0xFF, 0xFF][..], &[0; 21_836]].concat();
        raw.write(in_records(&message, 1).concat());
        raw.stream
    }),
    ("over TLS: open", |server| opened(Raw::connect(server.address).stream).sock),
    ("over TLS: a record has begun", |server| {
        let mut stream = opened(Raw::connect(server.address).stream).sock;
        // As long as rustls allows.
        stream.write_all(&[APPLICATION_DATA, 3, 3, 0x47, 0xFF]).unwrap();
        stream.write_all(&[0; 0x47FF - 1]).unwrap();
        stream
    }),
    ("over TLS: a message of TLS has begun", |server| {
        let mut forger = Forger::open(server.address, &AUTHORITY, &TLS13);
        forger.send(ContentType::Handshake, &[24, 0, 0xFF, 0xFF]);
        // A record of them has 42 bytes.
        (0..3_100).for_each(|_| forger.send(ContentType::Handshake, &[0; 20]));
        forger.stream
    }),
    ("over TLS: it does not read what is sent to it", |server| {
        let mut secure = opened(Raw::connect_with_small_buffer(server.address).stream);
        let message = frame(0x82, &[0; 32 << 10]);
        let mut rest = Vec::new();
        let mut blocked = 0;
        secure.sock.set_nonblocking(true).unwrap();
        while blocked < 50 {
            if rest.is_empty() {
                secure.conn.writer().write_all(&message).unwrap();
                while secure.conn.wants_write() {
                    secure.conn.write_tls(&mut rest).unwrap();
                }
            }
            let taken = secure.sock.write(&rest).unwrap_or_default();
            rest.drain(..taken);
            blocked = if taken == 0 { blocked + 1 } else { 0 };
            if taken == 0 {
                thread::park_timeout(Duration::from_millis(1));
            }
        }
        secure.sock
    }),
];

fn opened(stream: TcpStream) -> Secure {
    let mut secure = over(stream, &Arc::new(AUTHORITY.client()), "localhost").unwrap();
    open(&mut secure);
    secure
}

#[test]
fn no_connection_over_tls_keeps_more_than_is_documented_in_any_state() {
    let _turn = one_at_a_time();
    measure(STATES, true, |mut config| {
        config.tls = Some(localhost(&AUTHORITY));
        let server = serve(config, service());
        let mut other = connect(server.address, &Arc::new(AUTHORITY.client()), "localhost").unwrap();
        open(&mut other);
        (server, move || {
            other.write_all(&frame(0x81, b"?")).unwrap();
            assert_eq!(read_frame(&mut other).1, b"?");
        })
    });
}

/// Ciphertext can no longer be dropped, and the buffer for it stays. So of a long message only what the kernel
/// takes is encrypted, and a little more.
#[test]
fn a_long_message_to_a_client_that_does_not_read_is_not_encrypted_at_once() {
    let _turn = one_at_a_time();
    let mut config = config();
    (config.tls, config.deflate) = (Some(localhost(&AUTHORITY)), None);
    let server = serve(config, Service::echo());
    let mut other = connect(server.address, &Arc::new(AUTHORITY.client()), "localhost").unwrap();
    open(&mut other);
    server.next_opened();
    let mut slow = opened(Raw::connect_with_small_buffer(server.address).stream);
    let id = server.next_opened();
    let before = held();
    server.remote.send(id, Message::Binary(&vec![7; 12 * MIB]));
    // By then the server has sent what the kernel takes.
    other.write_all(&frame(0x81, b"?")).unwrap();
    assert_eq!(read_frame(&mut other).1, b"?");
    let waiting = held() - before;
    assert!((4 * MIB..16 * MIB).contains(&waiting), "{} KiB wait for the client", waiting >> 10);
    assert_eq!(read_frame(&mut slow), (0x82, vec![7; 12 * MIB]));
    other.write_all(&frame(0x81, b"?")).unwrap();
    assert_eq!(read_frame(&mut other).1, b"?");
    let left = held().saturating_sub(before);
    assert!(left < MIB, "{} KiB are left", left >> 10);
}
