//! What TLS allocates for messages, in a server that has warmed up: all of it is rustls's, for each record. Allocations
//! are counted on the worker's thread.

use std::{io::Write, sync::Arc};

use switchboard::Message;
use switchboard_tests::{
    counting::calls,
    server::{Service, TestServer, config, frame, serve},
    tls::{Authority, Secure, connect, localhost, open, read_frame},
};

/// Echoes binary messages, publishes text to all, and answers `count` with the number of its thread's allocations.
fn server() -> (Authority, TestServer) {
    let service =
        Service::echo().on_opened(|context| context.subscribe("everyone")).on_message(
            |message, context| match message {
                Message::Text("count") => context.send(Message::Binary(&calls().to_be_bytes())),
                Message::Text(_) => context.publish("everyone", message),
                message => context.send(message),
            },
        );
    let authority = Authority::new("authority");
    let mut config = config();
    (config.deflate, config.tls) = (None, Some(localhost(&authority)));
    (authority, serve(config, service))
}

fn client(server: &TestServer, authority: &Authority) -> Secure {
    let mut secure = connect(server.address, &Arc::new(authority.client()), "localhost").unwrap();
    open(&mut secure);
    secure
}

/// Returns the number of the worker thread's allocations during `work`.
fn allocations_during(client: &mut Secure, mut work: impl FnMut(&mut Secure)) -> usize {
    let count = |client: &mut Secure| {
        client.write_all(&frame(0x81, b"count")).unwrap();
        usize::from_be_bytes(read_frame(client).1.try_into().unwrap())
    };
    // The first ones allocate what is used again.
    work(client);
    count(client);
    let before = count(client);
    work(client);
    count(client) - before - (PER_RECORD_READ + PER_RECORD_WRITTEN)
}

#[test]
fn an_echo_allocates_twice_for_each_record() {
    let (authority, server) = server();
    let mut client = client(&server, &authority);
    let mut echoes = |length: usize| {
        let message = frame(0x82, &vec![7; length]);
        allocations_during(&mut client, |client| {
            for _ in 0..ECHOES {
                client.write_all(&message).unwrap();
                assert_eq!(read_frame(client).1.len(), length);
            }
        })
    };
    for length in [0, 16, 125, 1000, 16_000] {
        assert_eq!(echoes(length), ECHOES * (PER_RECORD_READ + PER_RECORD_WRITTEN), "{length} bytes");
    }
    // Five records each way. A read may end within a record, which is then kept: one more.
    let allocations = echoes(65_536);
    let records = 5 * ECHOES;
    let least = records * (PER_RECORD_READ + PER_RECORD_WRITTEN);
    assert!((least..=least + records).contains(&allocations), "{allocations} for {records} records");
}

/// Messages that arrive in one record, and whose echoes leave in one.
#[test]
fn many_messages_in_flight_share_the_allocations_of_their_record() {
    let (authority, server) = server();
    let mut client = client(&server, &authority);
    let messages = frame(0x82, &[7; 100]).repeat(32);
    let allocations = allocations_during(&mut client, |client| {
        for _ in 0..20 {
            client.write_all(&messages).unwrap();
            (0..32).for_each(|_| assert_eq!(read_frame(client).1.len(), 100));
        }
    });
    assert_eq!(allocations, 20 * (PER_RECORD_READ + PER_RECORD_WRITTEN));
}

#[test]
fn a_delivery_allocates_once() {
    let (authority, server) = server();
    let mut publisher = client(&server, &authority);
    let mut others = [(); 8].map(|()| client(&server, &authority));
    let message = frame(0x81, &[b'x'; 100]);
    let allocations = allocations_during(&mut publisher, |publisher| {
        for _ in 0..20 {
            publisher.write_all(&message).unwrap();
            for receiver in others.iter_mut().chain([&mut *publisher]) {
                assert_eq!(read_frame(receiver).1.len(), 100);
            }
        }
    });
    assert_eq!(allocations, 20 * (PER_RECORD_READ + 9 * PER_RECORD_WRITTEN));
}

const ECHOES: usize = 100;
/// The plaintext of the record, which is then copied to its place.
const PER_RECORD_READ: usize = 1;
/// The ciphertext of the record, which is then copied to its place.
const PER_RECORD_WRITTEN: usize = 1;
