//! What TLS allocates for messages, in a server that has warmed up: all of it is rustls's, for each record. Allocations
//! are counted on the worker's thread.

use std::{io::Write, sync::Arc};

use switchboard::{Message, TlsConfig};
use switchboard_tests::{
    counting::calls,
    server::{Service, TestServer, config, frame, serve},
    tls::{Authority, Secure, connect, open, read_frame},
};

/// Echoes binary messages, publishes text to all, and answers `count` with the number of its thread's allocations.
fn server() -> (Authority, TestServer) {
    let service = Service::echo().on_opened(|context| context.subscribe("everyone")).on_message(|message, context| {
        match message {
            Message::Text("count") => context.send(Message::Binary(&calls().to_be_bytes())),
            Message::Text(_) => context.publish("everyone", message),
            message => context.send(message),
        }
    });
    let authority = Authority::new("authority");
    let pem = authority.sign(&["localhost"]);
    let tls = TlsConfig::builder().certificate(pem.chain.as_bytes(), pem.key.as_bytes()).unwrap().build().unwrap();
    let mut config = config();
    (config.deflate, config.tls) = (None, Some(tls));
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
    work(client); // the first messages allocate what is used again
    let before = count(client);
    let between = count(client) - before;
    let before = count(client);
    work(client);
    count(client) - before - between
}

#[test]
fn an_echo_allocates_once_per_record() {
    let (authority, server) = server();
    let mut client = client(&server, &authority);
    for (length, records) in [(0, 1), (16, 1), (125, 1), (1000, 1), (16_000, 1), (65_536, 5)] {
        let message = frame(0x82, &vec![7; length]);
        let allocations = allocations_during(&mut client, |client| {
            for _ in 0..100 {
                client.write_all(&message).unwrap();
                assert_eq!(read_frame(client).1.len(), length);
            }
        });
        println!("{length} bytes: {}", allocations as f64 / 100.0);
        assert!(allocations <= 100 * records * PER_RECORD, "{length} bytes: {allocations} for 100 messages");
    }
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
    assert!(allocations <= 20 * PER_RECORD, "{allocations} for 20 records");
}

#[test]
fn a_delivery_allocates_once_per_record() {
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
    println!("{} per publication to 9", allocations as f64 / 20.0);
    assert!(allocations <= 20 * (1 + 9) * PER_DELIVERY, "{allocations} for 20 publications to 9");
}

const PER_RECORD: usize = 2;
const PER_DELIVERY: usize = 1;
