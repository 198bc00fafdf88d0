//! CT: Pings and Pongs.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use switchboard::{
    CloseCode, CloseFrame, Connection, Delivery, End, Limits, Masked, Message, ProtocolError, Reply, Role, SendError,
    Sender, Unmasked,
};
use switchboard_tests::{
    engine::{BOTH_ROLES, KEY, Row, close, frame, frames, ping, pong},
    process::memory,
    server::{LONG, Raw, Service, config, frame as masked, round_trip, serve},
};

use crate::{
    process::{open, server_process},
    scaled,
};

const MIB: usize = 1 << 20;

#[test]
fn ct_01_of_a_flood_of_pings_ten_pongs_with_the_latest_are_kept() {
    let mut config = config();
    config.max_queued_bytes = 64 * MIB;
    let (report, messages) = mpsc::channel();
    let service = Service::echo().on_message(move |message, context| match message {
        Message::Text("burst") => (0..256).for_each(|_| context.send(Message::Binary(&[0; 64 << 10]))),
        _ => report.send(()).unwrap(),
    });
    let server = serve(config, service);
    let (mut raw, _) = server.raw_with_small_buffer();
    raw.text("burst");
    // The server reads all of them, because at most ten Pongs wait.
    raw.write((0..200_000_u32).flat_map(|number| masked(0x89, &number.to_be_bytes())).collect::<Vec<_>>());
    raw.text("behind the pings");
    messages.recv_timeout(LONG).expect("all Pings are read while the Pongs wait");
    let frames: Vec<_> = (0..256 + 10).map(|_| raw.frame()).collect();
    let pongs = frames.iter().filter(|frame| frame.first == 0x8A);
    let pongs: Vec<_> = pongs.map(|frame| u32::from_be_bytes(frame.payload[..].try_into().unwrap())).collect();
    assert_eq!(pongs, [0, 1, 2, 3, 4, 5, 6, 7, 8, 199_999]);
    raw.send(0x88, b"\x03\xE8");
    assert_eq!(raw.until_close(), (vec![], 1000));
}

/// The peer sends Pings and reads nothing. A long run has a million Pings of 125 bytes.
#[test]
fn ct_01_pings_of_a_peer_that_does_not_read_cost_no_memory() {
    let name = "control::ct_01_pings_of_a_peer_that_does_not_read_cost_no_memory";
    let server = server_process(name, || {
        let mut config = config();
        config.max_queued_bytes = 64 * MIB;
        serve(config, bursts())
    });
    let mut raw = server.raw_with_small_buffer();
    let mut witness = server.raw();
    raw.text("burst");
    let pings = masked(0x89, &[b'p'; 125]).repeat(1_000);
    raw.write(&pings);
    answered(&mut witness);
    let before = memory(server.id());
    for _ in 0..scaled(100, 1_000) {
        raw.write(&pings);
    }
    answered(&mut witness);
    let more = memory(server.id()).saturating_sub(before);
    assert!(more <= 256 << 10, "{} KiB more", more >> 10);
    // At most ten wait at a time; a few more are sent when the kernel has room.
    raw.text("end");
    let kinds: Vec<_> = std::iter::repeat_with(|| raw.frame().first).take_while(|&first| first != 0x81).collect();
    let pongs = kinds.iter().filter(|&&first| first == 0x8A).count();
    assert!((10..1_000).contains(&pongs), "{pongs} Pongs");
}

/// Waits for echoes on another connection, so that the worker has begun a few new turns since the call.
fn answered(witness: &mut Raw) {
    for _ in 0..10 {
        witness.text("?");
        witness.expect_frame(0x81, "?");
    }
}

/// A peer that reads nothing cannot read a Close either, so the connection ends without a code.
#[test]
fn ct_01_peer_that_sends_pings_and_reads_nothing_is_ended() {
    let mut config = config();
    config.write_timeout = Duration::from_millis(300);
    config.max_queued_bytes = 64 * MIB;
    let server = serve(config, bursts());
    let (mut raw, id) = server.raw_with_small_buffer();
    raw.text("burst");
    let pings = masked(0x89, &[b'p'; 125]).repeat(100);
    let started = Instant::now();
    raw.stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    // Until the connection is broken: a peer that sends Pings may still not read.
    while std::io::Write::write_all(&mut raw.stream, &pings).is_ok() {
        assert!(started.elapsed() < LONG, "still open");
    }
    assert_eq!(server.next_closed(), (id, End::WriteStalled));
}

#[test]
fn ct_02_control_frame_over_125_bytes_fails_with_1002_at_its_second_byte() {
    assert_eq!(ProtocolError::ControlTooLong.close_code().get(), 1002);
    let longest = [b'x'; 125];
    let longest_close = [b"\x03\xe8".as_slice(), &longest[2..]].concat();
    for role in BOTH_ROLES {
        let reason = "x".repeat(123);
        let rows = [
            Row::accepted("close, 125", role, frame(role, 0x88, &longest_close), vec![close(1000, &reason)]),
            Row::accepted("ping, 125", role, frame(role, 0x89, &longest), vec![ping(&longest)]),
            Row::accepted("pong, 125", role, frame(role, 0x8A, &longest), vec![pong(&longest)]),
        ];
        rows.iter().for_each(Row::check);
        for first in [0x88, 0x89, 0x8A] {
            for short in [126, 127] {
                let second = if role == Role::Server { 0x80 | short } else { short };
                let name = format!("{first:02x} with the length form {short}");
                Row::fails(&name, role, vec![first, second], ProtocolError::ControlTooLong).check();
            }
        }
    }
}

#[test]
fn ct_02_control_frame_in_fragments_or_with_rsv1_fails_with_1002_at_its_first_byte() {
    for role in BOTH_ROLES {
        for (name, before, events) in [
            ("at the start", vec![], vec![]),
            ("inside a message", frames(role, &[(0x01, b"a")]), vec![]),
            ("behind a Ping", frames(role, &[(0x89, b"")]), vec![ping(b"")]),
        ] {
            for opcode in [0x8, 0x9, 0xA] {
                let fails = |first: u8, violation: ProtocolError| {
                    assert_eq!(violation.close_code().get(), 1002);
                    let wire = [before.as_slice(), &[first]].concat();
                    Row::fails(&format!("{first:02x} {name}"), role, wire, violation).after(events.clone()).check();
                };
                fails(opcode, ProtocolError::FragmentedControl);
                fails(0xC0 | opcode, ProtocolError::ReservedBits { bits: 4 });
            }
        }
    }
}

pub(crate) fn sender() -> Sender<Unmasked> {
    Connection::server(Limits::default(), Delivery::Messages).sender
}

pub(crate) fn masking_sender() -> Sender<Masked<fn() -> switchboard::MaskingKey>> {
    let key: fn() -> switchboard::MaskingKey = || KEY;
    Connection::client(key, Limits::default(), Delivery::Messages).sender
}

pub(crate) fn close_frame(code: u16, reason: &str) -> Option<CloseFrame<'_>> {
    Some(CloseFrame { code: CloseCode::new(code), reason })
}

/// No call for control frames takes FIN or RSV bits.
#[test]
fn ct_02_send_side_refuses_control_payloads_over_125_bytes() {
    let (mut sender, mut out) = (sender(), Vec::new());
    for length in [126, 65_536] {
        let refused = Err(SendError::ControlTooLong { length });
        assert_eq!(sender.ping(&vec![0; length], &mut out), refused);
        assert_eq!(sender.pong(&vec![0; length], &mut out), refused);
        assert_eq!(sender.reply(Reply::Pong(&vec![0; length]), &mut out), refused);
    }
    let refused = Err(SendError::ReasonTooLong { length: 124 });
    assert_eq!(sender.close(close_frame(1000, &"r".repeat(124)), &mut out), refused);
    assert_eq!(sender.close(close_frame(1000, &"\u{e9}".repeat(62)), &mut out), refused, "bytes, not characters");
    assert_eq!((out.len(), sender.is_open()), (0, true));

    sender.ping(&[0; 125], &mut out).unwrap();
    sender.pong(&[0; 125], &mut out).unwrap();
    sender.close(close_frame(1000, &"r".repeat(123)), &mut out).unwrap();
    assert_eq!(out.len(), 3 * 127);
}

#[test]
fn ct_02_send_side_writes_control_frames_whole_inside_an_unfinished_message() {
    let (mut plain, mut out) = (sender(), Vec::new());
    plain.text_fragment("a", false, &mut out).unwrap();
    out.clear();
    plain.ping(b"1", &mut out).unwrap();
    plain.pong(b"2", &mut out).unwrap();
    plain.reply(Reply::Pong(b"3"), &mut out).unwrap();
    plain.close(close_frame(1000, ""), &mut out).unwrap();
    assert_eq!(out, b"\x89\x011\x8A\x012\x8A\x013\x88\x02\x03\xE8");

    let (mut masking, mut out) = (masking_sender(), Vec::new());
    masking.binary_fragment(b"a", false, &mut out).unwrap();
    out.clear();
    masking.ping(b"1", &mut out).unwrap();
    masking.close(close_frame(1000, ""), &mut out).unwrap();
    assert_eq!(out, [frame(Role::Server, 0x89, b"1"), frame(Role::Server, 0x88, b"\x03\xE8")].concat());
}

/// Sends 256 messages of 64 KiB on the message "burst": 16 MiB, more than the kernel buffers. Echoes all others.
fn bursts() -> Service {
    Service::echo().on_message(|message, context| match message {
        Message::Text("burst") => (0..256).for_each(|_| context.send(Message::Binary(&[0; 64 << 10]))),
        message => context.send(message),
    })
}

/// A Pong is sent before all data except the data in the kernel's buffers. The data here is more than both kernel
/// buffers hold.
#[test]
fn ct_03_pong_passes_the_data_that_waits() {
    let mut config = config();
    config.max_queued_bytes = 64 * MIB;
    let server = serve(config, bursts());
    let mut witness = server.client();
    server.next_opened();
    let (mut raw, _) = server.raw_with_small_buffer();
    raw.text("burst");
    raw.send(0x89, "now");
    // These messages are sent behind the Ping, so the server has read it when they are answered.
    (0..10).for_each(|_| round_trip(&mut witness));
    let frames: Vec<_> = (0..257).map(|_| raw.frame()).collect();
    let at = frames.iter().position(|frame| frame.first == 0x8A).expect("a Pong");
    assert_eq!(frames[at].payload, b"now");
    assert!(at < 192, "the Pong came behind {at} of 256 messages");
    assert!(
        frames.iter().enumerate().all(|(i, frame)| i == at || (frame.first, frame.payload.len()) == (0x82, 64 << 10))
    );
}

/// With segments as short as on a network, the kernel buffers some 50 KB of the 900.
#[test]
fn ct_03_pong_passes_900_kib_of_many_messages_that_wait() {
    let service = Service::echo().on_message(|message, context| match message {
        Message::Text("burst") => (0..900).for_each(|_| context.send(Message::Binary(&[0; 1 << 10]))),
        message => context.send(message),
    });
    let server = serve(config(), service);
    let mut raw = open(Raw::connect_with_short_segments(server.address));
    let mut witness = server.client();
    raw.write([masked(0x81, b"burst"), masked(0x89, b"now"), masked(0x81, b"behind")].concat());
    // The peer reads only after the server has handled all three messages; else the kernel might take all data.
    (0..10).for_each(|_| round_trip(&mut witness));
    let frames: Vec<_> = (0..900 + 2).map(|_| raw.frame()).collect();
    let at = frames.iter().position(|frame| frame.first == 0x8A).expect("a Pong");
    assert_eq!(frames[at].payload, b"now");
    assert!(at < 450, "the Pong came behind {at} of 900 messages");
    assert_eq!(frames[901].payload, b"behind");
}
