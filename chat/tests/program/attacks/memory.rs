//! ME: `--max-memory` bounds the bytes that all clients together make the chat keep, and they are freed when the
//! clients have gone.
//!
//! The ids are those of the library's attacks; here they come from clients without an account, over all workers, and
//! the memory is that of the process.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::json;
use switchboard_tests::{
    attackers::{Attackers, MemoryWatch, Witness, opening_of, unfinished_head},
    deflaters::Blocks,
    server::{Raw, frame, header},
};

use super::{GENEROUS, LOBBY, words};
use crate::support::{
    chat_user::{ChatUser, guest},
    program::{PATH, start_command},
};

const MIB: usize = 1 << 20;
const OPTIONS: [&str; 8] =
    ["--data", ":memory:", "--workers", "2", "--max-memory", "128MiB", "--max-connections-per-address", "0"];
/// The limit that the chat is given.
const MAX_MEMORY: usize = 128 * MIB;
/// Beside the limit there are the tables of the connections, the replies of one transaction, and what the allocator
/// keeps until it returns it.
const MAX_PEAK: usize = MAX_MEMORY + 96 * MIB;
/// Each attack reaches the limit of a kind of memory: three eighths of the whole for input, of which the peers may have
/// written less than half. A chat that refused them all at once would take a third of this for their connections.
const MIN_PEAK: usize = 12 * MIB;
/// What may remain after an attack.
const MAX_SETTLED: usize = 32 * MIB;

/// An attack: what it is, and a function that begins it and returns what holds its connections open.
type Attack = (&'static str, fn(SocketAddr) -> Vec<Attackers>);

const ATTACKS: [Attack; 7] = [
    ("unfinished heads", unfinished_heads),
    ("unfinished bodies", unfinished_bodies),
    ("unfinished messages", unfinished_messages),
    ("unfinished compressed messages", unfinished_compressed_messages),
    ("handshakes with long lists", handshakes_with_long_lists),
    ("replies that are not read", replies_that_are_not_read),
    ("pages that are not read", pages_that_are_not_read),
];

fn unfinished_heads(address: SocketAddr) -> Vec<Attackers> {
    let mut attackers = Attackers::connect(address, 5_000);
    attackers.send(unfinished_head((16 << 10) - 1));
    vec![attackers]
}

fn unfinished_bodies(address: SocketAddr) -> Vec<Attackers> {
    let mut attackers = Attackers::connect(address, 10_000);
    attackers.send(post_to(address, 4 << 10));
    attackers.send([b' '; (4 << 10) - 1]);
    // The chat refuses these bodies, and keeps nothing of them.
    let mut others = Attackers::connect(address, 500);
    others.send([post_to(address, 64 << 10), vec![b' '; (64 << 10) - 1]].concat());
    vec![attackers, others]
}

/// The head of a request to log in, whose body has this length.
fn post_to(address: SocketAddr, length: usize) -> Vec<u8> {
    let fields = format!("Host: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}");
    format!("POST /api/login HTTP/1.1\r\n{fields}\r\n\r\n").into_bytes()
}

/// Of connections that never sign in.
fn unfinished_messages(address: SocketAddr) -> Vec<Attackers> {
    let mut attackers = Attackers::connect(address, 15_000);
    attackers.send([chat_opening(address, "").as_bytes(), &header(0x81, 60_000), &[b'x'; 6_000]].concat());
    vec![attackers]
}

fn unfinished_compressed_messages(address: SocketAddr) -> Vec<Attackers> {
    let mut attackers = Attackers::connect(address, 1_500);
    let opening = chat_opening(address, "\r\nSec-WebSocket-Extensions: permessage-deflate");
    let stored = frame(0x82, &Blocks::default().stored(false, &[b'x'; 59_000]).message());
    // The payload, masked, behind a header that announces one byte more.
    let payload = &stored[header(0x82, 59_000).len()..];
    attackers.send([opening.as_bytes(), &header(0xC1, payload.len() as u64 + 1), payload].concat());
    vec![attackers]
}

/// Extensions of two bytes each, of which the server makes a list.
fn handshakes_with_long_lists(address: SocketAddr) -> Vec<Attackers> {
    let mut attackers = Attackers::connect(address, 500);
    let field = format!("\r\nSec-WebSocket-Extensions: {}x", "x,".repeat(7_900));
    attackers.send(chat_opening(address, &field));
    vec![attackers]
}

/// Guests request long messages, and read none. Each has twenty connections.
fn replies_that_are_not_read(address: SocketAddr) -> Vec<Attackers> {
    let tokens: Vec<_> = (0..8).map(|number| guest(address, &format!("Guest {number}"))).collect();
    let mut writer = ChatUser::with_token(address, &tokens[0]);
    for _ in 0..5 {
        writer.ask("say", words(&LOBBY.into(), &"\u{20000}".repeat(4_000))).unwrap();
    }
    drop(writer);
    let ask = |token: &String| {
        let mut attackers = Attackers::connect_with_short_segments(address, 20);
        attackers.send(chat_opening(address, &format!("\r\nAuthorization: Bearer {token}")));
        attackers.send(frame(0x81, json!(["join", {"room": LOBBY}, 1]).to_string().as_bytes()));
        let request = json!(["history", {"room": LOBBY}, 2]).to_string();
        attackers.send(frame(0x81, request.as_bytes()).repeat(15));
        attackers
    };
    tokens.iter().map(ask).collect()
}

fn pages_that_are_not_read(address: SocketAddr) -> Vec<Attackers> {
    let mut attackers = Attackers::connect_with_short_segments(address, 2_000);
    attackers.send(format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").repeat(15));
    vec![attackers]
}

/// The request of an opening handshake with more header fields.
fn chat_opening(address: SocketAddr, fields: &str) -> String {
    let host = format!("Host: {address}{fields}");
    opening_of("/ws").replacen("Host: localhost", &host, 1)
}

/// A user who asks for the names of those online, again and again.
fn witness(address: SocketAddr) -> Witness {
    let mut user = ChatUser::guest(address, "Ann");
    Witness::of(move || drop(user.ask("people", json!(null)).unwrap()))
}

fn chat() -> Command {
    let mut command = Command::new(PATH);
    command.args(OPTIONS).args(GENEROUS).args(["--listen", "127.0.0.1:0"]);
    command
}

/// Waits until no other of these tests runs: each needs most of the descriptors that a process may have.
fn exclusively() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    let guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    guard
}

/// Runs one attack on a chat of its own, and asserts its bounds.
#[track_caller]
fn run(wanted: &str) {
    let (name, attack) = ATTACKS.iter().find(|(name, _)| *name == wanted).expect("an attack of the table");
    let _exclusive = exclusively();
    // The allocator returns memory after ten seconds, or after the time that this says.
    let program = start_command(chat().env("MALLOC_CONF", "dirty_decay_ms:500,muzzy_decay_ms:500"));
    let witness = witness(program.address());
    let watch = MemoryWatch::start(program.id());
    let attackers = attack(program.address());
    watch.wait_until_idle();
    let peak = watch.peak();
    witness.expect_served();
    drop(attackers);
    let settled = watch.settled_to(MAX_SETTLED);
    println!("{name}: peak +{} MiB, settled +{} MiB", peak / MIB, settled / MIB);
    assert!((MIN_PEAK..=MAX_PEAK).contains(&peak), "{} MiB more at the peak", peak / MIB);
    assert!(settled <= MAX_SETTLED, "{} MiB more remain, not {} MiB", settled / MIB, MAX_SETTLED / MIB);
}

/// Attacks one after another on a process that has 1 GiB of address space: an allocation beyond it would end it. The
/// allocator returns the memory in its usual time.
#[test]
fn me_01_to_09_in_a_row_fit_into_1_gib_of_address_space_and_all_memory_is_returned() {
    let exclusive = exclusively();
    let chat = chat();
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -v 1048576; exec "$0" "$@""#]).arg(PATH).args(chat.get_args());
    let program = start_command(&mut command);
    let witness = witness(program.address());
    let watch = MemoryWatch::start(program.id());
    for (_, attack) in ATTACKS {
        let attackers = attack(program.address());
        watch.wait_until_idle();
        drop(attackers);
    }
    // Other attacks may begin.
    drop(exclusive);
    let settled = watch.settled_to(MAX_SETTLED);
    assert!(settled <= MAX_SETTLED, "{} MiB more remain, not {} MiB", settled / MIB, MAX_SETTLED / MIB);
    witness.expect_served();
    ChatUser::guest(program.address(), "Late").ask("people", json!(null)).unwrap();
}

#[test]
fn me_01_unfinished_heads_count() {
    run("unfinished heads");
}

#[test]
fn me_02_unfinished_bodies_count() {
    run("unfinished bodies");
}

/// The limit of 4 KiB holds for what a request announces: the body need not arrive.
#[test]
fn me_02_body_over_4_kib_is_refused_at_once() {
    let program = start_command(&mut chat());
    let address = program.address();
    let mut raw = Raw::connect(address);
    raw.write(post_to(address, (4 << 10) + 1));
    assert_eq!(raw.response().status, 413);
    let mut raw = Raw::connect(address);
    raw.write([post_to(address, 4 << 10), vec![b' '; 4 << 10]].concat());
    assert_eq!(raw.response().status, 400);
}

#[test]
fn me_03_unfinished_messages_of_15_000_connections_without_an_account_count() {
    run("unfinished messages");
}

#[test]
fn me_05_lists_in_a_handshake_count() {
    run("handshakes with long lists");
}

#[test]
fn me_07_unfinished_compressed_messages_count() {
    run("unfinished compressed messages");
}

#[test]
fn me_08_replies_that_are_not_read_count() {
    run("replies that are not read");
}

#[test]
fn me_09_pages_that_are_not_read_count() {
    run("pages that are not read");
}
