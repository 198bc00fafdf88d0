//! Peers that send too much or read too little, and more connections than the server accepts.

use std::{collections::BTreeSet, io::Write, thread, time::Instant};

use switchboard::{
    CloseCode, End, Message, SlowSubscriber,
    client::{ClientError, Message as Received},
};
use switchboard_tests::server::{
    LONG, OPENING, Raw, Service, builder, config, expect_text, frame, header, round_trip, serve,
};

const MIB: usize = 1 << 20;

#[test]
fn a_peer_that_does_not_read_is_not_read_from_and_gets_everything_once_it_reads() {
    let mut config = config();
    config.max_queued_bytes = 256 << 10;
    let server = serve(config, Service::echo());
    let mut other = server.client();
    server.next_opened();
    let (mut raw, _) = server.raw_with_small_buffer();

    // Writes until the kernel takes nothing for many turns of the worker. Each turn serves another client.
    let (mut written, mut blocked) = (0, 0);
    let mut rest = Vec::new();
    let mut messages = 0_u32;
    let started = Instant::now();
    while blocked < 50 {
        assert!(written < 128 * MIB, "the server reads without limit");
        assert!(started.elapsed() < LONG, "the server still reads after {written} bytes");
        if rest.is_empty() {
            rest = numbered(messages);
            messages += 1;
        }
        let taken = raw.write_some(&rest);
        rest.drain(..taken);
        written += taken;
        blocked = if taken == 0 { blocked + 1 } else { 0 };
        if taken == 0 {
            round_trip(&mut other);
        }
    }

    let mut writer = raw.stream.try_clone().unwrap();
    let rest = thread::spawn(move || writer.write_all(&rest).unwrap());
    for number in 0..messages {
        let echo = raw.frame();
        assert_eq!(echo.payload.len(), 32 << 10);
        assert_eq!(echo.payload[..4], number.to_be_bytes(), "out of order");
    }
    rest.join().unwrap();
    raw.send(0x88, b"\x03\xE8");
    assert_eq!(raw.until_close(), (vec![], 1000));
    raw.expect_end();
}

/// The frame of a binary message of 32 KiB that begins with `number`.
fn numbered(number: u32) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(32 << 10, 0);
    frame(0x82, &payload)
}

/// An app that sends 256 messages of 64 KiB on the text "burst", 16 MiB in all and more than the kernel takes. Echoes
/// other messages.
fn bursts() -> Service {
    Service::echo().on_message(|message, context| match message {
        Message::Text("burst") => (0..256).for_each(|_| context.send(Message::Binary(&[0; 64 << 10]))),
        message => context.send(message),
    })
}

/// An echo that subscribes every connection to "news".
fn subscribed_echo() -> Service {
    Service::echo().on_opened(|context| context.subscribe("news"))
}

const BROADCASTS: u32 = 400;

/// A payload of 64 KiB that begins with `number`.
fn broadcast(number: u32) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(64 << 10, 0);
    payload
}

#[test]
fn a_slow_subscriber_is_closed_with_1008_while_others_get_everything() {
    let mut config = config();
    config.max_queued_bytes = 256 << 10;
    let server = serve(config, subscribed_echo());
    let (mut fast, _) = server.client_with_id();
    let (mut slow, id) = server.raw_with_small_buffer();
    for number in 0..BROADCASTS {
        server.remote.publish("news", Message::Binary(&broadcast(number)));
        assert!(fast.receive().unwrap() == Received::Binary(broadcast(number)), "{number} is missing");
    }
    assert_eq!(server.next_closed(), (id, End::TooSlow));
    let (frames, code) = slow.until_close();
    assert_eq!(code, 1008);
    assert!(frames.len() < BROADCASTS as usize);
    for (number, frame) in (0..).zip(frames) {
        assert_eq!(frame.payload[..4], u32::to_be_bytes(number));
    }
    slow.expect_end();
}

#[test]
fn a_slow_subscriber_misses_messages_if_the_config_says_skip() {
    let mut config = config();
    config.max_queued_bytes = 256 << 10;
    config.slow_subscriber = SlowSubscriber::Skip;
    let server = serve(config, subscribed_echo());
    let (mut fast, _) = server.client_with_id();
    let (mut slow, _) = server.raw_with_small_buffer();
    for number in 0..BROADCASTS {
        server.remote.publish("news", Message::Binary(&broadcast(number)));
        assert!(fast.receive().unwrap() == Received::Binary(broadcast(number)), "{number} is missing");
    }
    slow.text("end");
    let mut numbers = Vec::new();
    loop {
        let frame = slow.frame();
        if frame.first == 0x81 {
            break;
        }
        numbers.push(u32::from_be_bytes(frame.payload[..4].try_into().unwrap()));
    }
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!(numbers[0] == 0 && numbers.len() < BROADCASTS as usize, "{numbers:?}");
    // It has caught up and gets messages again.
    server.remote.publish("news", Message::Text("later"));
    slow.expect_frame(0x81, "later");
}

#[test]
fn a_slow_receiver_of_messages_from_others_is_closed_with_1008() {
    let mut config = config();
    config.max_queued_bytes = 256 << 10;
    let server = serve(config, Service::echo());
    let (mut slow, id) = server.raw_with_small_buffer();
    for number in 0..BROADCASTS {
        server.remote.send(id, Message::Binary(&broadcast(number)));
    }
    assert_eq!(server.next_closed(), (id, End::TooSlow));
    assert_eq!(slow.until_close().1, 1008);
    slow.expect_end();
}

#[test]
fn past_the_memory_limit_of_a_worker_the_largest_unfinished_message_is_closed_with_1013() {
    let mut config = config();
    config.max_worker_bytes = 16 * MIB;
    let service = Service::echo().on_message(|message, context| {
        context.send(Message::Text(&message.payload().len().to_string()));
    });
    let server = serve(config, service);
    let (mut small, _) = server.raw();
    small.write(header(0x82, 2 * MIB as u64));
    small.write(vec![0; MIB]);
    let (mut large, id) = server.raw();
    large.write(header(0x82, 8 * MIB as u64));
    large.write(vec![0; 4 * MIB]);
    assert_eq!(server.next_closed(), (id, End::Overloaded));
    assert_eq!(large.until_close(), (vec![], 1013));
    small.write(vec![0; MIB]);
    small.expect_frame(0x81, (2 * MIB).to_string());
}

#[test]
fn past_the_memory_limit_of_a_worker_the_longest_outbox_is_closed_with_1013() {
    let mut config = config();
    config.max_worker_bytes = 6 * MIB;
    config.max_queued_bytes = 64 * MIB;
    let server = serve(config, bursts());
    let (mut client, _) = server.client_with_id();
    let (mut raw, id) = server.raw_with_small_buffer();
    raw.text("burst");
    assert_eq!(server.next_closed(), (id, End::Overloaded));
    assert_eq!(raw.until_close().1, 1013);
    raw.expect_end();
    round_trip(&mut client);
}

#[test]
fn a_full_server_answers_503_and_has_capacity_again_when_one_leaves() {
    let mut config = config();
    config.max_connections = Some(2);
    let server = serve(config, Service::echo());
    let (mut first, _) = server.client_with_id();
    let (mut second, _) = server.client_with_id();
    let refused = Raw::connect(server.address).response();
    assert_eq!(refused.status, 503);
    assert!(refused.header("Retry-After").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{refused:?}");
    let Err(ClientError::Refused { response, .. }) = builder().connect(&server.url()) else { panic!("accepted") };
    assert_eq!(response.status(), 503);
    round_trip(&mut first);
    second.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    let started = Instant::now();
    let mut third = loop {
        match builder().connect(&server.url()) {
            Ok(client) => break client,
            Err(ClientError::Refused { .. }) if started.elapsed() < LONG => {}
            Err(error) => panic!("{error}"),
        }
    };
    round_trip(&mut third);
}

#[test]
fn a_refused_client_that_stays_connected_does_not_count_as_a_connection() {
    let mut config = config();
    config.max_connections = Some(1);
    config.linger_timeout = LONG;
    let server = serve(config, Service::echo());
    let (first, _) = server.raw();
    let mut refused = Raw::connect(server.address);
    assert_eq!(refused.response().status, 503);
    refused.expect_end();
    first.reset();
    server.next_closed();
    // The refused client has not ended its side yet.
    round_trip(&mut server.client());
    drop(refused);
}

#[test]
fn all_of_500_clients_that_connect_at_once_are_accepted() {
    let server = serve(config(), Service::echo());
    let mut clients: Vec<_> = (0..500).map(|_| Raw::connect(server.address)).collect();
    for raw in &mut clients {
        raw.write(OPENING);
        raw.text("here");
    }
    for raw in &mut clients {
        assert_eq!(raw.head().status, 101);
        raw.expect_frame(0x81, "here");
    }
    let ids: BTreeSet<_> = clients.iter().map(|_| server.next_opened()).collect();
    assert_eq!(ids.len(), 500);
}

#[test]
fn a_connection_that_breaks_with_queued_output_does_not_affect_others() {
    let mut config = config();
    config.max_queued_bytes = 64 * MIB;
    let server = serve(config, bursts());
    let (mut client, _) = server.client_with_id();
    for _ in 0..10 {
        let (mut raw, id) = server.raw_with_small_buffer();
        raw.text("burst");
        raw.frame();
        raw.reset();
        assert_eq!(server.next_closed().0, id);
        client.send_text("still here").unwrap();
        expect_text(&mut client, "still here");
    }
}
