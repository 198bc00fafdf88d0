//! The memory that permessage-deflate takes: none while a connection is idle without context takeover, and never more
//! than the budget with it.

use switchboard::{Connection, Deflate, DeflateParams, Delivery, HttpVersion, Limits, Role, ServerHandshake, Unmasked};
use switchboard_tests::{
    counting::{NOTHING, cost, live},
    deflaters::{Blocks, Zlib},
    engine::{frame, receive},
    random::Random,
};

use crate::{NO_TAKEOVER, TAKEOVER, deflate, mostly_random_text, server};

/// The most memory that all windows may take: the budget, 5 % more, and the buffers kept for reuse.
fn allowed(budget: usize) -> usize {
    // Four compressors, four inflaters and output buffers are kept for the next message of any connection.
    budget + budget / 20 + 4 * (281_000 + 64_000) + 4 * (32_768 + 60_000 + 64_000)
}

/// The bytes allocated since `start`.
fn live_since(start: isize) -> usize {
    usize::try_from(live() - start).unwrap_or(0)
}

fn open(deflate: &Deflate) -> Option<Connection<Unmasked>> {
    let fields: [(&str, &[u8]); 6] = [
        ("Host", b"example.com"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Extensions", b"permessage-deflate"),
    ];
    let handshake = ServerHandshake::from_parts("GET", HttpVersion::Http11, fields).expect("valid");
    let handshake = handshake.with_deflate(deflate);
    let takes_over = !handshake.deflate().expect("negotiated").client_no_context_takeover;
    let connection = handshake.into_connection(Limits::default(), Delivery::Messages);
    takes_over.then_some(connection)
}

#[test]
fn a_connection_with_the_extension_and_without_takeover_owns_no_memory() {
    let deflate = Deflate::default();
    let used = cost(|| {
        std::hint::black_box(server(&deflate, NO_TAKEOVER, Limits::default(), Delivery::Messages));
    });
    assert_eq!(used, NOTHING);
    assert!(size_of::<Connection<Unmasked>>() <= 128, "{}", size_of::<Connection<Unmasked>>());
}

#[test]
fn nothing_is_kept_for_a_connection_between_its_messages() {
    let deflate = Deflate::default();
    let text = "All work and no play makes Jack a dull boy. ".repeat(100);
    let compressed = frame(Role::Server, 0xC1, &Zlib::new(6, 15).message(text.as_bytes()));
    let mut all: Vec<Connection<Unmasked>> = Vec::with_capacity(100);
    let mut out = Vec::with_capacity(10_000);
    let mut after_first = None;
    for _ in 0..100 {
        all.push(server(&deflate, NO_TAKEOVER, Limits::default(), Delivery::Messages));
        let connection = all.last_mut().expect("just pushed");
        for piece in [&compressed[..20], &compressed[20..]] {
            receive(&mut connection.receiver, piece);
        }
        out.clear();
        connection.sender.text(&text, &mut out).expect("a Vec has room");
        assert_eq!(out[0], 0xC1);
        let first = *after_first.get_or_insert(live());
        assert_eq!(live(), first, "one inflater and one compressor for all");
    }
}

#[test]
fn the_memory_of_four_inflaters_is_kept_for_the_next_messages() {
    let compressed = frame(Role::Server, 0xC2, &Zlib::new(6, 15).message(&[7; 10_000]));
    let kept_after = |count: usize| {
        let deflate = deflate(|config| config.max_unfinished = 16);
        let before = live();
        let new = || server(&deflate, NO_TAKEOVER, Limits::default(), Delivery::Messages);
        let mut all: Vec<_> = (0..count).map(|_| new()).collect();
        for piece in [&compressed[..20], &compressed[20..]] {
            all.iter_mut().for_each(|connection| drop(receive(&mut connection.receiver, piece)));
        }
        drop(all);
        live_since(before)
    };
    let one = kept_after(1);
    assert!((32_768..110_000).contains(&one), "{one} bytes");
    assert!(kept_after(4) > 3 * one, "{} bytes of 4", kept_after(4));
    assert_eq!(kept_after(10), kept_after(4));
}

#[test]
fn a_pool_that_has_warmed_up_allocates_nothing_to_send() {
    let text = "All work and no play makes Jack a dull boy. ".repeat(100);
    let mut out = Vec::with_capacity(10_000);
    for params in [NO_TAKEOVER, TAKEOVER] {
        let deflate = deflate(|config| config.memory_bytes = 1 << 20);
        let mut connection = server(&deflate, params, Limits::default(), Delivery::Messages);
        let mut send = || {
            out.clear();
            connection.sender.text(&text, &mut out).expect("a Vec has room");
        };
        send();
        send();
        assert_eq!(cost(send), NOTHING, "{params:?}");
    }
}

#[test]
fn the_buffer_of_a_long_message_is_not_kept() {
    let deflate = Deflate::default();
    let text = mostly_random_text(&mut Random::new(1)).repeat(1000);
    let mut out = Vec::with_capacity(2 << 20);
    let mut connection = server(&deflate, NO_TAKEOVER, Limits::default(), Delivery::Messages);
    connection.sender.text(&text[..1000], &mut out).expect("a Vec has room");
    let before = live();
    connection.sender.text(&text, &mut out).expect("a Vec has room");
    assert!(live_since(before) <= 64 << 10, "{} bytes", live_since(before));
}

#[test]
fn level_0_compresses_nothing_and_makes_no_compressor() {
    let deflate = deflate(|config| config.level = 0);
    let mut connection = server(&deflate, NO_TAKEOVER, Limits::default(), Delivery::Messages);
    let mut out = Vec::with_capacity(10_000);
    assert_eq!(cost(|| connection.sender.text(&"x".repeat(5000), &mut out).expect("a Vec has room")).calls, 1);
    assert_eq!(out[0], 0x81);
}

#[test]
fn a_context_that_takes_all_of_the_budget_is_kept() {
    let text = "All work and no play makes Jack a dull boy. ".repeat(100);
    let taken = |budget: usize| {
        let deflate = deflate(|config| config.memory_bytes = budget);
        let params = DeflateParams { client_no_context_takeover: true, ..TAKEOVER };
        let mut connection = server(&deflate, params, Limits::default(), Delivery::Messages);
        connection.sender.text(&text, &mut Vec::new()).expect("a Vec has room");
        deflate.takeover_bytes()
    };
    let context = taken(1 << 20);
    assert!(context > 200_000, "{context} bytes");
    assert_eq!((taken(context), taken(context - 1)), (context, 0));
}

#[test]
fn windows_never_take_more_than_the_budget() {
    for budget in [1 << 20, 8 << 20] {
        let start = live();
        let deflate = deflate(|config| config.memory_bytes = budget);
        let mut random = Random::new(7);
        let zlib = Blocks::default().stored(false, &random.bytes(60_000)).message();
        let filled = frame(Role::Server, 0xC2, &zlib);
        let mut words: String = (0..8000).map(|_| ["ka", "to", "mi", "ra", "shi", "no"][random.below(6)]).collect();
        words.truncate(15_000);
        let mut all: Vec<Connection<Unmasked>> = Vec::new();
        let mut refused = 0;
        for turn in 0..600 {
            match open(&deflate) {
                Some(connection) => all.push(connection),
                None => refused += 1,
            }
            let at = if turn % 2 == 0 { all.len() - 1 } else { random.below(all.len()) };
            let connection = &mut all[at];
            receive(&mut connection.receiver, &filled);
            let mut out = Vec::new();
            connection.sender.text(&words[..[300, 2000, 15_000][random.below(3)]], &mut out).expect("a Vec has room");
            drop(out);
            assert!(deflate.takeover_bytes() <= budget, "{} of {budget}", deflate.takeover_bytes());
            let own = all.capacity() * size_of::<Connection<Unmasked>>();
            let live = live_since(start) - filled.len() - words.capacity() - zlib.len() - own;
            assert!(live <= allowed(budget), "turn {turn}: {live} bytes, {} connections, budget {budget}", all.len());
        }
        assert!(refused > 0 && all.len() > budget / 40_000, "{} connections of {budget} bytes", all.len());
        assert!(deflate.takeover_bytes() > budget - 40_000, "the budget is used");
        all.clear();
        assert_eq!(deflate.takeover_bytes(), 0);
        drop((deflate, all, filled, words, zlib));
        assert_eq!(live(), start, "all memory is freed");
    }
}

/// The memory that contexts take is close to the number of bytes counted for them.
#[test]
fn contexts_take_as_much_memory_as_is_counted_for_them() {
    for (length, bits) in [(300, 15), (5000, 15), (200_000, 15), (200_000, 9), (300, 9)] {
        let deflate = deflate(|config| config.memory_bytes = 100 << 20);
        let params = crate::with_window(TAKEOVER, bits);
        let text = "All work and no play makes Jack a dull boy. ".repeat(length / 44 + 1);
        let mut all: Vec<Connection<Unmasked>> = Vec::with_capacity(40);
        let mut out = Vec::with_capacity(length);
        let start = live();
        for _ in 0..40 {
            all.push(server(&deflate, params, Limits::default(), Delivery::Messages));
            out.clear();
            all.last_mut().expect("just pushed").sender.text(&text, &mut out).expect("a Vec has room");
        }
        let counted = deflate.takeover_bytes() - 40 * 32_800; // receiving windows are not filled
        let live = live_since(start);
        let rest = 400_000; // shared output buffers
        assert!(live <= counted + counted / 20 + rest, "{live} bytes, {counted} counted, {length} of {bits} bits");
        assert!(live >= counted / 2, "{live} bytes, {counted} counted: too much");
    }
}

#[test]
fn the_least_recently_used_context_is_evicted_first() {
    let deflate = deflate(|config| config.memory_bytes = 3 * 32_800 + 2 * 290_000); // room for two of three compressors
    let mut random = Random::new(8);
    let text = mostly_random_text(&mut random);
    let mut three: Vec<Connection<Unmasked>> =
        (0..3).map(|_| server(&deflate, TAKEOVER, Limits::default(), Delivery::Messages)).collect();
    let mut remembers = |at: usize| {
        let mut out = Vec::new();
        three[at].sender.text(&text, &mut out).expect("a Vec has room");
        out.len() < 60
    };
    assert_eq!([remembers(0), remembers(1)], [false, false], "the first time");
    assert_eq!([remembers(0), remembers(1), remembers(0)], [true, true, true]);
    assert!(!remembers(2), "the first time"); // 1 is evicted
    assert_eq!([remembers(0), remembers(2)], [true, true]);
    assert!(!remembers(1)); // 0 is evicted
    assert_eq!([remembers(2), remembers(1), remembers(0)], [true, true, false]);
}

#[test]
fn a_receiving_window_evicts_a_sending_one() {
    let deflate = deflate(|config| config.memory_bytes = 32_800 + 290_000);
    let mut first = open(&deflate).expect("the budget has room");
    let mut out = Vec::new();
    first.sender.text(&"to and fro ".repeat(100), &mut out).expect("a Vec has room");
    assert!(deflate.takeover_bytes() > 290_000);
    let more: Vec<_> = std::iter::from_fn(|| open(&deflate)).collect();
    assert_eq!(more.len(), 322_800 / 32_800 - 1, "windows take all of the budget");
    assert_eq!(deflate.takeover_bytes(), (more.len() + 1) * 32_800);
    drop(more);
    assert_eq!(deflate.takeover_bytes(), 32_800);
}

#[test]
fn a_context_ends_with_its_connection_and_when_it_is_reset() {
    let deflate = deflate(|config| config.memory_bytes = 1 << 20);
    assert_eq!(deflate.config().memory_bytes, 1 << 20);
    let Connection { receiver, mut sender } = open(&deflate).expect("the budget has room");
    let histories = deflate.takeover_bytes();
    let text = "All work and no play makes Jack a dull boy. ".repeat(10);
    let mut out = Vec::new();
    for end in ["reset", "drop"] {
        sender.text(&text, &mut out).expect("open");
        assert!(deflate.takeover_bytes() > histories, "{end}: the context is kept");
        if end == "reset" {
            sender.reset_context();
            assert_eq!(deflate.takeover_bytes(), histories, "{end}");
        }
    }
    drop(sender);
    assert_eq!(deflate.takeover_bytes(), histories);
    drop(receiver);
    assert_eq!(deflate.takeover_bytes(), 0);
}

/// The compressor of an ended context serves the next message of another connection.
#[test]
fn the_compressor_of_an_ended_context_is_used_again() {
    let deflate = deflate(|config| config.memory_bytes = 1 << 20);
    let text = "All work and no play makes Jack a dull boy. ".repeat(10);
    let mut out = Vec::with_capacity(10_000);
    let mut first = open(&deflate).expect("the budget has room").sender;
    let mut second = server(&deflate, NO_TAKEOVER, Limits::default(), Delivery::Messages).sender;
    first.text(&text, &mut out).expect("open");
    drop(first);
    let used = cost(|| second.text(&text, &mut out).expect("open"));
    assert_eq!(used, NOTHING, "another compressor takes about 280 KB");
}
