//! A server that gets other limits while it runs.

use std::{io::ErrorKind, time::Duration};

use switchboard::{Limits, Response};
use switchboard_tests::server::{Raw, Service, config, frame, round_trip, serve};

#[test]
fn limits_of_messages_count_for_new_connections() {
    let server = serve(config(), Service::echo());
    let (mut before, _) = server.raw();
    let less = config().limits(Limits::of_bytes(5));
    server.remote.set_config(&less).expect("it makes sense");
    let (mut after, _) = server.raw();
    after.send(0x82, [7; 6]);
    assert_eq!(after.until_close().1, 1009);
    before.send(0x82, [7; 6]);
    before.expect_frame(0x82, [7; 6]);
}

#[test]
fn limits_of_heads_and_bodies_count_for_new_requests() {
    let service = Service::echo().on_request(|request, responder| {
        responder.send(Response::text(200, request.body.len().to_string()));
    });
    let server = serve(config(), service);
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    let mut raw = Raw::connect(server.address);
    raw.write(post);
    assert_eq!(raw.response().status, 200);
    let mut less = config().max_body_bytes(2);
    less.head.max_headers = 2;
    server.remote.set_config(&less).expect("it makes sense");
    // The answer to a handshake says that the worker has the command.
    server.client();
    raw.write(post);
    assert_eq!(raw.response().status, 413);
    let mut raw = Raw::connect(server.address);
    raw.write("GET / HTTP/1.1\r\nHost: h\r\nA: a\r\nB: b\r\n\r\n");
    assert_eq!(raw.response().status, 431);
}

#[test]
fn connections_beyond_a_new_limit_for_their_address_remain_and_no_more_come() {
    let server = serve(config().max_connections_per_address(Some(10)), Service::echo());
    let mut before: Vec<_> = (0..3).map(|_| server.client()).collect();
    server.remote.set_config(&config().max_connections_per_address(Some(3))).expect("it makes sense");
    round_trip(&mut before[0]);
    let mut refused = Raw::connect(server.address);
    refused.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(refused.response().status, 503);
    before.iter_mut().for_each(round_trip);
    let uncounted = config()
        .max_connections_per_address(Some(3))
        .uncounted_networks(vec!["127.0.0.0/8".parse().expect("a network")]);
    server.remote.set_config(&uncounted).expect("it makes sense");
    round_trip(&mut before[0]);
    round_trip(&mut server.client());
}

#[test]
fn shorter_deadlines_start_when_they_are_set() {
    let server = serve(config(), Service::echo());
    let (mut raw, _) = server.raw();
    raw.send(0x82, "");
    raw.expect_frame(0x82, "");
    let short = config().ping_after(Duration::from_millis(50)).idle_timeout(Duration::from_secs(20));
    server.remote.set_config(&short).expect("it makes sense");
    raw.expect_frame(0x89, "");
    raw.write(frame(0x8a, b""));
    raw.expect_frame(0x89, "");
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    let server = serve(config(), Service::echo());
    let wrong = config().max_body_bytes(0).ping_after(Duration::from_secs(60)).idle_timeout(Duration::from_secs(60));
    let refused = server.remote.set_config(&wrong);
    assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
}
