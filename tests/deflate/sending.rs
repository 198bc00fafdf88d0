//! The sender's output (§6.1, §7.2.1), read by the tests' own inflater with a window of exactly the negotiated size.

use switchboard::{
    Connection, Deflate, DeflateParams, Delivery, FixedOutput, Limits, Masking, MessageKind, Prepared, Role, SendError,
    WindowBits,
};
use switchboard_tests::{
    engine::KEY,
    random::{Random, for_each_seed},
    rfc1951::Inflater,
};

use crate::{NO_TAKEOVER, TAKEOVER, client, deflate, mostly_random_text, server, with_window};

/// A frame: its first byte, and its unmasked payload.
type Frame = (u8, Vec<u8>);

/// Splits the output of a sender in this role into frames (§5.2).
fn frames_in(mut bytes: &[u8], role: Role) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!(second & 0x80 != 0, role == Role::Client, "only a client masks");
        let (length, rest) = match second & 0x7F {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            short => (usize::from(short), rest),
        };
        let rest = if role == Role::Client { rest.strip_prefix(&KEY.0).expect("the tests' key") } else { rest };
        let (payload, rest) = rest.split_at(length);
        let mut payload = payload.to_vec();
        if role == Role::Client {
            payload.iter_mut().zip(KEY.0.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        }
        frames.push((*first, payload));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "whole frames");
    frames
}

/// The other end of a connection, which inflates the messages that it gets.
struct OtherEnd {
    role: Role,
    no_takeover: bool,
    inflater: Inflater,
}

impl OtherEnd {
    /// The other end of a sender in this role.
    fn of(role: Role, params: DeflateParams) -> Self {
        let (no_takeover, bits) = match role {
            Role::Server => (params.server_no_context_takeover, params.server_max_window_bits),
            Role::Client => (params.client_no_context_takeover, params.client_max_window_bits),
        };
        Self { role, no_takeover, inflater: Inflater::new(bits.unwrap_or(WindowBits::MAX).get()) }
    }

    /// Returns the message in each frame, and whether it was compressed.
    fn read(&mut self, bytes: &[u8]) -> Vec<(MessageKind, Vec<u8>, bool)> {
        let mut messages = Vec::new();
        for (first, payload) in frames_in(bytes, self.role) {
            let kind = match first & 0x0F {
                1 => MessageKind::Text,
                2 => MessageKind::Binary,
                opcode => panic!("opcode {opcode}"),
            };
            assert_eq!(first & 0xB0, 0x80, "a whole message");
            let compressed = first & 0x40 != 0;
            let message = if compressed {
                if self.no_takeover {
                    self.inflater.reset();
                }
                let message = self.inflater.inflate(&payload).expect("the output is valid");
                assert!(payload.len() < message.len(), "a message is compressed only if that makes it shorter");
                message
            } else {
                payload
            };
            messages.push((kind, message, compressed));
        }
        messages
    }

    fn read_one(&mut self, bytes: &mut Vec<u8>) -> (Vec<u8>, bool) {
        let mut messages = self.read(&std::mem::take(bytes));
        assert_eq!(messages.len(), 1);
        let (_, message, compressed) = messages.remove(0);
        (message, compressed)
    }
}

fn with_budget() -> Deflate {
    deflate(|config| config.memory_bytes = 10 << 20)
}

fn open(deflate: &Deflate, params: DeflateParams) -> Connection {
    server(deflate, params, Limits::default(), Delivery::Messages)
}

const TEXT: &str = "All work and no play makes Jack a dull boy. ";

#[test]
fn messages_are_compressed_from_the_configured_length_on() {
    for (min_bytes, length, expected) in [
        (256, 255, false),
        (256, 256, true),
        (256, 0, false),
        (10_000, 9_999, false),
        (10_000, 10_000, true),
        (0, 0, false),
        (0, 100, true),
        (0, 1, false),
    ] {
        let deflate = deflate(|config| config.min_bytes = min_bytes);
        let mut connection = open(&deflate, NO_TAKEOVER);
        let sender = &mut connection.sender;
        let text: String = TEXT.chars().cycle().take(length).collect();
        let prepared = Prepared::text(&text);
        let mut out = Vec::new();
        let mut other = OtherEnd::of(Role::Server, NO_TAKEOVER);
        sender.text(&text, &mut out).unwrap();
        sender.binary(text.as_bytes(), &mut out).unwrap();
        sender.prepared(&prepared, &mut out).unwrap();
        let message = |kind| (kind, text.clone().into_bytes(), expected);
        let (text, binary) = (message(MessageKind::Text), message(MessageKind::Binary));
        assert_eq!(other.read(&out), [text.clone(), binary, text], "{length} bytes, from {min_bytes} on");
    }
}

#[test]
fn messages_are_sent_uncompressed_on_request() {
    let text = TEXT.repeat(30);
    let deflate = with_budget();
    let mut connection = open(&deflate, TAKEOVER);
    let sender = &mut connection.sender;
    let mut out = Vec::new();
    sender.text_uncompressed(&text, &mut out).unwrap();
    sender.binary_uncompressed(text.as_bytes(), &mut out).unwrap();
    sender.prepared(&Prepared::text(&text).uncompressed(), &mut out).unwrap();
    sender.prepared_for_one(&Prepared::text(&text).uncompressed(), &mut out).unwrap();
    sender.text_fragment(&text, false, &mut out).unwrap();
    sender.ping(&text.as_bytes()[..125], &mut out).unwrap();
    sender.text_fragment(&text, true, &mut out).unwrap();
    sender.binary_fragment(text.as_bytes(), true, &mut out).unwrap();
    let firsts: Vec<u8> = frames_in(&out, Role::Server).iter().map(|(first, _)| *first).collect();
    assert_eq!(firsts, [0x81, 0x82, 0x81, 0x81, 0x01, 0x89, 0x80, 0x82]);
    assert_eq!(deflate.takeover_bytes(), 32_800, "the receiving window, and no sending one");
    // Inside an unfinished message, no other message can be sent.
    sender.text_fragment(&text, false, &mut out).unwrap();
    assert_eq!(sender.text(&text, &mut out), Err(SendError::MessageUnfinished(MessageKind::Text)));
    assert_eq!(sender.prepared(&Prepared::text(&text), &mut out), Err(SendError::MessageUnfinished(MessageKind::Text)));
}

#[test]
fn what_is_sent_compressed_is_shorter() {
    let deflate = deflate(|config| config.min_bytes = 0);
    let (mut compressed, mut random) = (0, Random::new(5));
    for length in 0..400 {
        let text: String = (0..length / 10).map(|_| char::from(b'a' + random.below(4) as u8)).collect();
        let mut out = Vec::new();
        open(&deflate, NO_TAKEOVER).sender.text(&text, &mut out).unwrap();
        let (first, payload) = frames_in(&out, Role::Server).remove(0);
        if first == 0xC1 {
            compressed += 1;
            assert!(payload.len() < text.len(), "{} bytes for {text}", payload.len());
        }
    }
    assert!((50..350).contains(&compressed), "{compressed} of 400");
}

#[test]
fn a_client_compresses_prepared_messages_too() {
    let prepared = Prepared::text(&TEXT.repeat(30));
    for params in [TAKEOVER, NO_TAKEOVER] {
        let deflate = with_budget();
        let mut client = crate::client(&deflate, params, Limits::default(), Delivery::Messages);
        let mut out = Vec::new();
        client.sender.prepared(&prepared, &mut out).unwrap();
        client.sender.prepared_for_one(&prepared, &mut out).unwrap();
        client.sender.prepared(&prepared.clone().uncompressed(), &mut out).unwrap();
        client.sender.prepared_for_one(&prepared.clone().uncompressed(), &mut out).unwrap();
        let firsts: Vec<u8> = frames_in(&out, Role::Client).iter().map(|(first, _)| *first).collect();
        assert_eq!(firsts, [0xC1, 0xC1, 0x81, 0x81]);
    }
}

#[test]
fn a_message_that_gains_nothing_is_sent_uncompressed_and_the_next_can_be_read() {
    let mut random = Random::new(3);
    let noise = random.bytes(5000);
    for params in [NO_TAKEOVER, TAKEOVER] {
        let deflate = with_budget();
        let mut connection = open(&deflate, params);
        let sender = &mut connection.sender;
        let mut other = OtherEnd::of(Role::Server, params);
        let mut out = Vec::new();
        for _ in 0..3 {
            let text = TEXT.repeat(20);
            sender.text(&text, &mut out).unwrap();
            assert_eq!(other.read_one(&mut out), (text.clone().into_bytes(), true));
            sender.binary(&noise, &mut out).unwrap();
            assert_eq!(other.read_one(&mut out), (noise.clone(), false));
            sender.text(&text, &mut out).unwrap();
            assert_eq!(other.read_one(&mut out), (text.into_bytes(), true));
        }
    }
}

#[test]
fn a_message_that_gains_nothing_leaves_nothing_behind_for_the_next_compression() {
    let mut random = Random::new(6);
    let noise = random.bytes(100_000);
    let text = text_with_distant_repeats(&mut random, b"").repeat(2);
    for level in 0..=9 {
        for length in [300, 5000, 8000, 8190, 9000, 20_000, 100_000] {
            let deflate = deflate(|config| config.level = level);
            for _ in 0..2 {
                let mut out = Vec::new();
                open(&deflate, NO_TAKEOVER).sender.binary(&noise[..length], &mut out).unwrap();
                let read = OtherEnd::of(Role::Server, NO_TAKEOVER).read_one(&mut out);
                assert!(read == (noise[..length].to_vec(), false), "level {level}, {length} bytes");
                open(&deflate, NO_TAKEOVER).sender.text(&text, &mut out).unwrap();
                let read = OtherEnd::of(Role::Server, NO_TAKEOVER).read_one(&mut out);
                assert!(read == (text.clone().into_bytes(), level > 0), "level {level}, after {length} bytes");
            }
        }
    }
}

#[test]
fn a_context_is_taken_over_if_that_was_negotiated_and_the_budget_allows_it() {
    let mut random = Random::new(4);
    let noise = mostly_random_text(&mut random);
    let spent = deflate(|config| config.memory_bytes = 40_000); // room for a receiving window only
    for (params, deflate, again) in
        [(NO_TAKEOVER, with_budget(), false), (TAKEOVER, with_budget(), true), (TAKEOVER, spent, false)]
    {
        let mut connection = open(&deflate, params);
        let sender = &mut connection.sender;
        let mut other = OtherEnd::of(Role::Server, params);
        let mut sizes = Vec::new();
        for _ in 0..3 {
            let mut out = Vec::new();
            sender.text(&noise, &mut out).unwrap();
            sizes.push(out.len());
            assert!(other.read_one(&mut out) == (noise.clone().into_bytes(), true));
        }
        assert_eq!(sizes[1] < 60 && sizes[2] < 60, again, "{sizes:?}");
    }
}

#[test]
fn a_message_that_did_not_fit_into_the_output_is_not_in_the_window() {
    for params in [NO_TAKEOVER, TAKEOVER] {
        let deflate = with_budget();
        let mut connection = open(&deflate, params);
        let sender = &mut connection.sender;
        let mut other = OtherEnd::of(Role::Server, params);
        let mut buffer = [0; 400];
        for round in 0..4 {
            let text = format!("{round} {}", TEXT.repeat(20));
            let mut small = [0; 10];
            let refused = sender.text(&text, &mut FixedOutput::new(&mut small));
            let Err(SendError::BufferTooSmall { needed }) = refused else { panic!("{refused:?}") };
            assert!((10..=text.len() + 14).contains(&needed), "{needed} bytes");
            assert_eq!(small, [0; 10]);
            let mut out = FixedOutput::new(&mut buffer);
            sender.text(&text, &mut out).unwrap();
            assert!(out.filled().len() <= needed, "at most the {needed} bytes reported");
            assert_eq!(other.read_one(&mut out.filled().to_vec()), (text.into_bytes(), true));
            // A prepared message finds no room either; the connection stays usable.
            let shared = Prepared::text(&TEXT.repeat(10));
            assert!(sender.prepared(&shared, &mut FixedOutput::new(&mut small)).is_err());
        }
    }
}

/// A text that repeats parts of itself and of `sent` at any distance.
fn text_with_distant_repeats(random: &mut Random, sent: &[u8]) -> String {
    let mut text = String::new();
    let length = [300, 1000, 5000, 20_000][random.below(4)];
    while text.len() < length {
        let from_before = !sent.is_empty() && random.chance(1, 3);
        let source = if from_before { sent } else { text.as_bytes() };
        if source.len() > 100 && random.chance(2, 3) {
            let at = random.below(source.len() - 60);
            let again = source[at..at + 5 + random.below(55)].to_vec();
            text += std::str::from_utf8(&again).expect("ASCII");
        } else {
            text.extend((0..1 + random.below(40)).map(|_| char::from(b'!' + random.below(90) as u8)));
        }
    }
    text
}

/// Sends the connection's own messages and shared ones, and reads them all. Returns the farthest distance in them.
fn send_and_read<M: Masking>(
    connection: &mut Connection<M>,
    mut other: OtherEnd,
    shared: &[Prepared],
    random: &mut Random,
) -> usize {
    let mut sent = Vec::new();
    for _ in 0..8 {
        let mut out = Vec::new();
        let sender = &mut connection.sender;
        let text = text_with_distant_repeats(random, &sent);
        let expected = match random.below(6) {
            0 if !shared.is_empty() => {
                let shared = &shared[random.below(shared.len())];
                sender.prepared(shared, &mut out).unwrap();
                shared.payload().to_vec()
            }
            1 => {
                sender.text_uncompressed(&text, &mut out).unwrap();
                text.into_bytes()
            }
            2 => {
                let noise = random.bytes(text.len().min(2000));
                sender.binary(&noise, &mut out).unwrap();
                noise
            }
            3 => {
                assert!(sender.text(&text, &mut FixedOutput::new(&mut [0; 20])).is_err());
                continue;
            }
            _ => {
                sender.text(&text, &mut out).unwrap();
                text.into_bytes()
            }
        };
        assert_eq!(other.read_one(&mut out).0, expected);
        sent.extend(expected.into_iter().filter(u8::is_ascii));
    }
    other.inflater.farthest
}

#[test]
fn no_distance_is_farther_than_the_negotiated_window() {
    let mut random = Random::new(9);
    for bits in 8..=15 {
        let mut farthest = 0;
        for (level, base) in [(1, NO_TAKEOVER), (1, TAKEOVER), (6, NO_TAKEOVER), (6, TAKEOVER)] {
            let deflate = deflate(|config| {
                config.level = level;
                config.memory_bytes = 10 << 20;
            });
            let params = with_window(base, bits);
            let mut server = server(&deflate, params, Limits::default(), Delivery::Messages);
            let other = OtherEnd::of(Role::Server, params);
            farthest = farthest.max(send_and_read(&mut server, other, &[], &mut random));
            let mut client = client(&deflate, params, Limits::default(), Delivery::Messages);
            let other = OtherEnd::of(Role::Client, params);
            farthest = farthest.max(send_and_read(&mut client, other, &[], &mut random));
        }
        assert!(farthest <= 1 << bits);
        // zlib leaves 262 bytes of its window unused, and has no window of 8 bits.
        assert!(bits == 8 || farthest > (1 << bits) * 2 / 5, "{bits} bits are used: {farthest}");
    }
}

#[test]
fn shared_messages_can_be_read_between_own_ones_on_every_connection() {
    for_each_seed(6, |mut random| {
        let deflate = deflate(|config| {
            config.memory_bytes = [0, 400_000, 10 << 20][random.below(3)];
            config.min_bytes = [0, 256][random.below(2)];
            config.level = 1 + random.below(9) as u8;
        });
        let shared: Vec<Prepared> = (0..6)
            .map(|i| {
                let text = text_with_distant_repeats(&mut random, b"");
                // Lengths on both sides of small windows.
                let max = [255, 256, 512, 5000, 40_000, 40_000][i];
                let prepared = Prepared::text(&text[..text.len().min(max)]);
                if random.chance(1, 6) { prepared.uncompressed() } else { prepared }
            })
            .collect();
        for _ in 0..4 {
            let bits = 8 + random.below(8) as u8;
            let base = if deflate.config().memory_bytes > 0 && random.chance(2, 3) { TAKEOVER } else { NO_TAKEOVER };
            let params = with_window(base, bits);
            let mut server = server(&deflate, params, Limits::default(), Delivery::Messages);
            send_and_read(&mut server, OtherEnd::of(Role::Server, params), &shared, &mut random);
            let mut client = client(&deflate, params, Limits::default(), Delivery::Messages);
            send_and_read(&mut client, OtherEnd::of(Role::Client, params), &shared, &mut random);
        }
    });
}

#[test]
fn a_shared_message_is_compressed_once_and_goes_to_windows_that_it_fits() {
    let deflate = with_budget();
    // The end repeats the beginning, at a distance of 1,000.
    let unique: String = (0..300).map(|i| format!("{i}{}", i * 37 % 91)).collect();
    let text = &(unique[..1000].to_owned() + &unique[..24]);
    let shared = Prepared::text(text);
    assert_eq!(shared.payload().len(), 1024);
    // For a smaller window it is compressed once more, if there is a compressor for that window.
    let mut widest = Vec::new();
    open(&deflate, NO_TAKEOVER).sender.prepared(&shared, &mut widest).unwrap();
    for (bits, expected) in [(15, true), (11, true), (10, true), (9, true), (8, false)] {
        let params = with_window(NO_TAKEOVER, bits);
        let mut out = Vec::new();
        open(&deflate, params).sender.prepared(&shared, &mut out).unwrap();
        assert_eq!(out == widest, bits >= 10, "{bits} bits: the same frame if it fits");
        let longest = if bits == 15 { usize::MAX } else { 1 << bits };
        assert_eq!(open(&deflate, params).sender.max_shared_bytes(), Some(longest), "{bits} bits");
        let read = OtherEnd::of(Role::Server, params).read_one(&mut out);
        assert_eq!(read, (text.clone().into_bytes(), expected), "{bits} bits");
    }
    let mut first = Vec::new();
    open(&deflate, TAKEOVER).sender.prepared(&shared, &mut first).unwrap();
    let mut second = Vec::new();
    let used = switchboard_tests::counting::cost(|| {
        let mut connection = open(&deflate, NO_TAKEOVER);
        let sender = &mut connection.sender;
        second.reserve(2000);
        sender.prepared(&shared, &mut second).unwrap();
    });
    assert_eq!(first, second);
    assert!(used.calls <= 1, "{used:?}");
}

#[test]
fn for_a_window_of_eight_bits_messages_are_sent_uncompressed() {
    for role in [Role::Server, Role::Client] {
        let params = with_window(NO_TAKEOVER, 8);
        let text = TEXT.repeat(20);
        let mut out = Vec::new();
        match role {
            Role::Server => {
                let mut server = server(&with_budget(), params, Limits::default(), Delivery::Messages);
                server.sender.text(&text, &mut out).unwrap();
            }
            Role::Client => {
                let mut client = client(&with_budget(), params, Limits::default(), Delivery::Messages);
                client.sender.text(&text, &mut out).unwrap();
            }
        }
        assert_eq!(OtherEnd::of(role, params).read_one(&mut out), (text.into_bytes(), false), "{role:?}");
    }
}

/// A message for one connection has that connection's context if there is one, and otherwise is compressed once for all.
#[test]
fn a_prepared_message_for_one_is_compressed_for_it_only_with_a_context_of_its_own() {
    let text = mostly_random_text(&mut Random::new(7));
    let [with_context, of_all] = [(); 2].map(|()| deflate(|config| config.memory_bytes = 1 << 20));
    let message = Prepared::text(&text);
    // The first who asks compresses it.
    let shared = message.compressed(&of_all).expect("shorter").len();
    let mut taking = server(&with_context, TAKEOVER, Limits::default(), Delivery::Messages).sender;
    let mut out = Vec::new();
    let lengths = [(); 2].map(|()| {
        out.clear();
        taking.prepared_for_one(&message, &mut out).unwrap();
        out.len()
    });
    assert!(lengths[1] * 2 < lengths[0], "the second refers to the first: {lengths:?}");
    let plain = deflate(|config| config.level = 0);
    let mut forgetting = server(&plain, NO_TAKEOVER, Limits::default(), Delivery::Messages).sender;
    out.clear();
    forgetting.prepared_for_one(&message, &mut out).unwrap();
    assert_eq!(out.len(), shared, "its own pool would compress nothing");
}
