//! Messages allocate nothing in a server that has warmed up. Allocations are counted on the worker's thread.

use std::time::{Duration, Instant};

use switchboard::{
    Config, Message,
    client::{Client, Message as Received},
};
use switchboard_tests::{
    counting::calls,
    server::{Service, config, expect_text, serve},
};

/// Echoes binary messages, publishes text to all, and answers `count` with the number of its thread's allocations.
fn service() -> Service {
    Service::echo().on_opened(|context| context.subscribe("everyone")).on_message(|message, context| match message {
        Message::Text("count") => context.send(Message::Binary(&calls().to_be_bytes())),
        Message::Text(_) => context.publish("everyone", message),
        message => context.send(message),
    })
}

/// The configuration without compression, because a compressed message needs a buffer of its own.
fn plain() -> Config {
    let mut config = config();
    config.deflate = None;
    config
}

/// Returns the number of the worker thread's allocations during `work`.
fn allocations_during(client: &mut Client, work: impl FnOnce(&mut Client)) -> usize {
    let count = |client: &mut Client| {
        client.send_text("count").unwrap();
        let Received::Binary(count) = client.receive().unwrap() else { panic!("the count was expected") };
        usize::from_be_bytes(count.try_into().unwrap())
    };
    count(client); // the first response may allocate
    let before = count(client);
    work(client);
    count(client) - before
}

fn expect_binary(client: &mut Client, length: usize) {
    assert_eq!(client.receive().unwrap(), Received::Binary(vec![7; length]));
}

#[test]
fn the_counter_counts_allocations_of_the_workers_thread() {
    let service = service().on_message(|message, context| match message {
        Message::Text("count") => context.send(Message::Binary(&calls().to_be_bytes())),
        message => context.send(Message::Binary(&[message.payload()].concat())),
    });
    let server = serve(plain(), service);
    let mut client = server.client();
    let echo = |client: &mut Client| {
        for _ in 0..10 {
            client.send_binary(&[7; 100]).unwrap();
            expect_binary(client, 100);
        }
    };
    echo(&mut client);
    assert_eq!(allocations_during(&mut client, echo), 10);
}

#[test]
fn an_echo_allocates_nothing() {
    let server = serve(plain(), service());
    let mut client = server.client();
    let echo = |client: &mut Client| {
        for length in [0, 1, 125, 126, 1000, 4000].repeat(20) {
            client.send_binary(&vec![7; length]).unwrap();
            expect_binary(client, length);
        }
    };
    echo(&mut client);
    assert_eq!(allocations_during(&mut client, echo), 0);
}

/// It looks at every connection, several times a second.
#[test]
fn the_check_of_the_deadlines_allocates_nothing() {
    let mut config = plain();
    // The shortest timeout says how often.
    config.linger_timeout = Duration::from_millis(40);
    let server = serve(config, service());
    let mut client = server.client();
    let others = [(); 8].map(|()| server.client());
    let echo = |client: &mut Client| {
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(100) {
            client.send_binary(&[7; 100]).unwrap();
            expect_binary(client, 100);
        }
    };
    echo(&mut client);
    assert_eq!(allocations_during(&mut client, echo), 0);
    drop(others);
}

#[test]
fn many_messages_in_flight_allocate_nothing() {
    let server = serve(plain(), service());
    let mut client = server.client();
    let echo = |client: &mut Client| {
        for _ in 0..20 {
            (0..32).for_each(|_| client.send_binary(&[7; 100]).unwrap());
            (0..32).for_each(|_| expect_binary(client, 100));
        }
    };
    echo(&mut client);
    assert_eq!(allocations_during(&mut client, echo), 0);
}

#[test]
fn a_delivery_allocates_nothing() {
    let server = serve(plain(), service());
    let mut publisher = server.client();
    let mut others = [(); 8].map(|()| server.client());
    let mut publish = |publisher: &mut Client| {
        for _ in 0..20 {
            for text in ["short", &"long ".repeat(200)] {
                publisher.send_text(text).unwrap();
                expect_text(publisher, text);
                others.iter_mut().for_each(|other| expect_text(other, text));
            }
        }
    };
    publish(&mut publisher);
    assert_eq!(allocations_during(&mut publisher, publish), 0);
}
