//! Everything that a peer can stall has a deadline, and a peer that makes progress is not cut off.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use switchboard::{CloseCode, End, Message, Response};
use switchboard_tests::server::{LONG, OPENING, Raw, Service, config, header, round_trip, serve};

const SHORT: Duration = Duration::from_millis(100);
const MIB: usize = 1 << 20;

#[test]
fn a_late_request_is_answered_with_408_and_a_silent_connection_is_ended_without_a_response() {
    let mut config = config();
    config.handshake_timeout = SHORT;
    let server = serve(config, Service::echo());
    let mut silent = Raw::connect(server.address);
    let mut late = Raw::connect(server.address);
    late.write(&OPENING[..OPENING.len() - 2]);
    let mut late_body = Raw::connect(server.address);
    late_body.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nfour");
    let mut late_chunk = Raw::connect(server.address);
    late_chunk.write("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfour");
    let mut late_trailer = Raw::connect(server.address);
    late_trailer.write("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n");
    silent.expect_end();
    for mut late in [late, late_body, late_chunk, late_trailer] {
        assert_eq!(late.response().status, 408);
        late.expect_end();
    }
}

/// Bytes that come now and then move no deadline, least of all those that are dropped.
#[test]
fn a_body_that_comes_slowly_is_refused_at_the_deadline_of_its_request() {
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (start, slow) in [("5;", "x"), ("0\r\nX: ", "y"), ("", "1\r\nx\r\n")] {
        let mut config = config();
        config.handshake_timeout = 5 * SHORT;
        let server = serve(config, Service::echo());
        let mut raw = Raw::connect(server.address);
        raw.write(format!("{head}{start}"));
        let started = Instant::now();
        while raw.receives_nothing_for(SHORT / 2) {
            assert!(started.elapsed() < LONG, "{start:?}: no response");
            raw.write(slow);
        }
        assert_eq!(raw.response().status, 408, "{start:?}");
        assert!(started.elapsed() >= 4 * SHORT, "{start:?}: 408 after {:?}", started.elapsed());
    }
}

/// A past bug: sending 100 (Continue) restarted the deadline.
#[test]
fn the_deadline_of_a_request_is_not_moved_by_100_continue() {
    let mut config = config();
    config.handshake_timeout = 20 * SHORT;
    let server = serve(config, Service::echo());
    let mut raw = Raw::connect(server.address);
    let started = Instant::now();
    raw.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n");
    assert!(raw.receives_nothing_for(15 * SHORT));
    raw.write("\r\n");
    assert_eq!(raw.head().status, 100);
    assert_eq!(raw.response().status, 408);
    assert!(started.elapsed() < 32 * SHORT, "408 after {:?}", started.elapsed());
}

#[test]
fn a_kept_alive_connection_without_a_further_request_is_ended_after_a_time_of_its_own() {
    let mut config = config();
    (config.handshake_timeout, config.keep_alive_timeout) = (10 * LONG, SHORT);
    let server = serve(config, Service::echo());
    let mut raw = Raw::connect(server.address);
    assert!(raw.receives_nothing_for(3 * SHORT), "the first request has the longer time");
    raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.response().status, 404);
    raw.expect_end();
}

#[test]
fn the_deadline_of_a_later_request_starts_with_its_first_byte() {
    let mut config = config();
    (config.handshake_timeout, config.keep_alive_timeout) = (5 * SHORT, 10 * LONG);
    let server = serve(config, Service::echo());
    let mut raw = Raw::connect(server.address);
    for begun in ["G", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nfour"] {
        let mut raw = Raw::connect(server.address);
        for _ in 0..2 {
            raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(raw.response().status, 404);
            assert!(raw.receives_nothing_for(10 * SHORT));
        }
        let started = Instant::now();
        raw.write(begun);
        assert_eq!(raw.response().status, 408);
        assert!(started.elapsed() >= 5 * SHORT, "408 after {:?}", started.elapsed());
        raw.expect_end();
    }
    raw.expect_end();
}

#[test]
fn a_response_that_is_read_slowly_is_not_cut_off_by_the_deadline_for_the_next_request() {
    let mut config = config();
    (config.handshake_timeout, config.keep_alive_timeout) = (2 * SHORT, 2 * SHORT);
    let service = Service::echo().on_request(|_, responder| responder.send(Response::new(200).body(vec![7; 16 * MIB])));
    let server = serve(config, service);
    let mut raw = Raw::connect_with_small_buffer(server.address);
    raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.head().status, 200);
    // Two silent connections run into the deadline, while most of the response has not been read yet.
    let mut silent = Raw::connect(server.address);
    silent.expect_end();
    let mut another = Raw::connect(server.address);
    another.expect_end();
    let body = raw.take_up_to(16 * MIB);
    assert_eq!(body, 16 * MIB, "the response was cut off");
}

#[test]
fn a_silent_peer_gets_pings_and_stays_connected_while_it_answers() {
    let mut config = config();
    config.ping_after = SHORT;
    config.idle_timeout = Duration::from_secs(2);
    let server = serve(config, Service::echo());
    let (mut raw, _) = server.raw();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        raw.expect_frame(0x89, "");
        raw.send(0x8A, "");
    }
    raw.text("alive");
    while raw.frame().first == 0x89 {}
}

#[test]
fn a_peer_that_answers_no_ping_is_closed_with_1008() {
    let mut config = config();
    (config.ping_after, config.idle_timeout) = (SHORT, 3 * SHORT);
    let server = serve(config, Service::echo());
    let (mut raw, id) = server.raw();
    let (frames, code) = raw.until_close();
    assert_eq!((frames.len(), frames[0].first, code), (1, 0x89, 1008));
    raw.expect_end();
    assert_eq!(server.next_closed(), (id, End::NoPong));
}

#[test]
fn the_time_an_app_takes_for_its_verdict_does_not_count_as_idle_time() {
    let mut config = config();
    (config.ping_after, config.idle_timeout) = (5 * SHORT, 10 * SHORT);
    let (verdicts_tx, verdicts) = mpsc::channel();
    let server = serve(config, Service::echo().on_accept(move |_, verdict| verdicts_tx.send(verdict).unwrap()));
    let mut raw = Raw::connect(server.address);
    raw.write(OPENING);
    let verdict = verdicts.recv_timeout(LONG).unwrap();
    assert!(raw.receives_nothing_for(12 * SHORT));
    verdict.accept(());
    assert_eq!(raw.head().status, 101);
    raw.expect_frame(0x89, "");
}

#[test]
fn a_ping_that_waits_behind_a_message_is_sent_after_it() {
    let mut config = config();
    (config.ping_after, config.idle_timeout) = (SHORT, LONG);
    config.max_queued_bytes = 64 * MIB;
    let service = Service::echo().on_message(|_, context| context.send(Message::Binary(&vec![0; 16 * MIB])));
    let server = serve(config, service);
    let (mut other, _) = server.raw();
    let (mut raw, _) = server.raw_with_small_buffer();
    raw.text("go");
    // When another silent connection gets its second Ping, the Ping to this one was due.
    other.expect_frame(0x89, "");
    other.send(0x8A, "");
    other.expect_frame(0x89, "");
    let kinds = [raw.frame().first, raw.frame().first];
    assert_eq!(kinds, [0x82, 0x89], "a message, then a Ping");
}

#[test]
fn a_peer_that_reads_a_long_message_slowly_is_not_idle() {
    for max_queued_bytes in [MIB, 64 * MIB] {
        let mut config = config();
        (config.ping_after, config.idle_timeout) = (2 * SHORT, 5 * SHORT);
        config.max_queued_bytes = max_queued_bytes;
        let service = Service::echo().on_message(|_, context| context.send(Message::Binary(&vec![0; 8 * MIB])));
        let server = serve(config, service);
        let (mut raw, _) = server.raw_with_small_buffer();
        raw.text("go");
        let started = Instant::now();
        let length = frame_header(&mut raw);
        let mut read = 0;
        while read < length {
            // Reads little at a time for two seconds, then all the rest at once.
            let slowly = started.elapsed() < Duration::from_secs(2);
            read += raw.take_up_to(if slowly { 32 << 10 } else { length - read }.min(length - read));
            if slowly {
                raw.pause_reading(Duration::from_millis(20));
            }
        }
        let after = raw.frame();
        assert_eq!((after.first, &*after.payload), (0x89, b"".as_slice()), "max_queued_bytes is {max_queued_bytes}");
    }
}

/// Reads the header of a frame with more than 65,535 bytes of payload. Returns their number.
fn frame_header(raw: &mut Raw) -> usize {
    let header = raw.take(10);
    assert_eq!(header[..2], [0x82, 127]);
    u64::from_be_bytes(header[2..].try_into().unwrap()) as usize
}

#[test]
fn the_message_timeout_starts_with_the_message_not_with_the_silence_before_it() {
    let mut config = config();
    config.message_timeout = Duration::from_secs(1);
    let server = serve(config, Service::echo());
    for begun in [header(0x82, 1), vec![0x82], header(0x89, 1)] {
        let (mut raw, _) = server.raw();
        assert!(raw.receives_nothing_for(Duration::from_millis(1200)));
        raw.write(&begun);
        assert!(raw.receives_nothing_for(Duration::from_millis(500)), "closed within {begun:?}");
        raw.write(&[header(begun[0], 1), vec![0]].concat()[begun.len()..]);
        assert_eq!(raw.frame().payload.len(), 1);
    }
}

#[test]
fn a_close_that_is_not_answered_ends_the_connection() {
    let mut config = config();
    config.close_timeout = SHORT;
    let service = Service::echo().on_message(|_, context| context.close(CloseCode::new(4000), "").unwrap());
    let server = serve(config, service);
    let (mut raw, id) = server.raw();
    raw.text("close");
    assert_eq!(raw.until_close(), (vec![], 4000));
    raw.expect_end();
    assert_eq!(server.next_closed(), (id, End::NoClose));
}

#[test]
fn the_close_timeout_starts_when_the_close_is_written() {
    let mut config = config();
    config.close_timeout = 5 * SHORT;
    let service = Service::echo().on_message(|_, context| {
        context.send(Message::Binary(&vec![0; 16 * MIB]));
        context.close(CloseCode::new(4000), "").unwrap();
    });
    let server = serve(config, service);
    let (mut raw, id) = server.raw_with_small_buffer();
    raw.text("go");
    let length = frame_header(&mut raw);
    raw.pause_reading(10 * SHORT);
    assert_eq!(raw.take_up_to(length), length, "cut off because of a Close that was not written yet");
    assert_eq!(raw.until_close(), (vec![], 4000));
    raw.send(0x88, 4000_u16.to_be_bytes());
    raw.expect_end();
    let end = End::Closed { by_us: true, code: Some(CloseCode::new(4000)) };
    assert_eq!(server.next_closed(), (id, end));
}

#[test]
fn a_peer_that_does_not_read_is_ended_and_others_are_not() {
    let mut config = config();
    config.write_timeout = 2 * SHORT;
    let service = Service::echo().on_message(|message, context| match message {
        Message::Text("much") => context.send(Message::Binary(&vec![0; 16 * MIB])),
        message => context.send(message),
    });
    let server = serve(config, service);
    let (mut client, _) = server.client_with_id();
    let (mut raw, id) = server.raw_with_small_buffer();
    raw.text("much");
    assert_eq!(server.next_closed(), (id, End::WriteStalled));
    round_trip(&mut client);
}

#[test]
fn after_a_refusal_the_peer_has_the_linger_timeout_to_end_its_side() {
    let mut config = config();
    config.linger_timeout = SHORT;
    let server = serve(config, Service::echo());
    let mut raw = Raw::connect(server.address);
    raw.write("nonsense\r\n\r\n");
    assert_eq!(raw.response().status, 400);
    raw.expect_end();
    raw.expect_writes_fail();
}

#[test]
fn a_stop_takes_at_most_the_stop_timeout() {
    let mut config = config();
    config.stop_timeout = 3 * SHORT;
    let server = serve(config, Service::echo());
    let (_silent, id) = server.raw();
    let mut half = Raw::connect(server.address);
    half.write(&OPENING[..20]);
    server.stop();
    assert_eq!(server.join(), [(id, End::Stopped)]);
}
