//! HS-05, AP-01 and RS-01 for the chat, against the program.
//!
//! | file | what is tried |
//! |---|---|
//! | `pages.rs` | other people's web pages |
//! | `signing_in.rs` | being somebody else |
//! | `sessions.rs` | being somebody longer than that lasts |
//! | `rooms.rs` | rooms that are not one's own, and what is said in them |
//! | `people.rs` | other people, and what only some may do |
//! | `nonsense.rs` | what no client sends |
//! | `floods.rs` | more than one may |

mod floods;
mod nonsense;
mod pages;
mod people;
mod rooms;
mod sessions;
mod signing_in;

use serde_json::{Value, json};

use crate::support::program::{Program, start};

/// The chat with its data in memory.
fn chat(options: &[&str]) -> Program {
    start(&[&["--data", ":memory:", "--workers", "2"], options].concat())
}

/// The chat with room for all that a test asks for.
fn generous_chat() -> Program {
    chat(&["--sign-in-rate", PLENTY, "--event-rate", PLENTY, "--message-rate", PLENTY])
}

/// What is said to a room, under a key that was not used before.
fn words(room: &Value, text: &str) -> Value {
    json!({"room": room, "text": text, "key": key()})
}

/// A key that was not used before.
fn key() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static USED: AtomicU64 = AtomicU64::new(0);
    uuid::Uuid::from_u64_pair(0, USED.fetch_add(1, Ordering::Relaxed)).to_string()
}

const PLENTY: &str = "100000+100000/s";
const LOBBY: u64 = 1;
