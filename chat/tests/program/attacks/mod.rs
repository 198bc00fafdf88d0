//! Attacks on the running chat: HS-05, AP-01, LG-01, ME, RS-01, RS-07, RS-11 and RS-12.
//!
//! | file | attack |
//! |---|---|
//! | `pages.rs` | requests from foreign web pages |
//! | `signing_in.rs` | signing in as another user |
//! | `guesses.rs` | guessing passwords at once, and from devices that have logged in before |
//! | `sessions.rs` | using a session after its end |
//! | `rooms.rs` | reading and changing other users' rooms, and removing large ones |
//! | `users.rs` | unwanted messages, impersonation, and operators' rights |
//! | `malformed.rs` | malformed input |
//! | `floods.rs` | exceeding limits |
//! | `memory.rs` | making the chat keep more than it may |
//! | `addresses.rs` | opening many connections |
//! | `log.rs` | writing into the log |
//! | `fairness.rs` | taking what others need: time, and places in queues |

mod addresses;
mod fairness;
mod floods;
mod guesses;
mod log;
mod malformed;
mod memory;
mod pages;
mod rooms;
mod sessions;
mod signing_in;
mod users;

use serde_json::{Value, json};

use crate::support::program::{Program, start};

/// Starts the chat with its data in memory.
fn chat(options: &[&str]) -> Program {
    start(&[&["--data", ":memory:", "--workers", "2"], options].concat())
}

/// Starts the chat without effective rate limits.
fn generous_chat() -> Program {
    chat(&GENEROUS)
}

/// Returns the data of `say`, with a new key.
fn words(room: &Value, text: &str) -> Value {
    json!({"room": room, "text": text, "key": key()})
}

/// Returns a new key for a message.
fn key() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static USED: AtomicU64 = AtomicU64::new(0);
    uuid::Uuid::from_u64_pair(0, USED.fetch_add(1, Ordering::Relaxed)).to_string()
}

/// Options without effective rate limits.
const GENEROUS: [&str; 10] = [
    "--sign-in-rate",
    PLENTY,
    "--sign-up-rate",
    PLENTY,
    "--event-rate",
    PLENTY,
    "--message-rate",
    PLENTY,
    "--conversation-rate",
    PLENTY,
];
const PLENTY: &str = "100000+100000/s";
const LOBBY: u64 = 1;
