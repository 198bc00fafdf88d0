//! A C ABI of [switchboard's](https://github.com/switchboard-rs/switchboard) WebSocket engine, without I/O.
//!
//! The interface is `include/switchboard.h`, which cbindgen makes from the documentation here. Rust programs use the
//! crate `switchboard` itself.
//!
//! | file | what |
//! |---|---|
//! | `raw.rs` | pointers from C as slices and strings: the only `unsafe` blocks |
//! | `outcome.rs` | [`Outcome`]: what a call returns; panics end here |
//! | `config.rs` | [`Config`]: limits and compression, shared by connections |
//! | `request.rs` | [`Request`]: what a client asks for |
//! | `open.rs` | the engine's driver in either role |
//! | `connection.rs` | [`Connection`]: a connection from the first byte of its handshake, without C |
//! | `opening.rs` | the functions for the opening handshake |
//! | `traffic.rs` | the functions for bytes and events |
//! | `sending.rs` | the functions that send |
//!
//! A function takes a handle as `Option<&mut T>`, whose `None` is NULL. So only functions that are given a pointer to
//! several values are `unsafe`.
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod config;
mod connection;
mod open;
mod opening;
mod outcome;
mod raw;
mod request;
mod sending;
mod traffic;

use std::ffi::{CStr, c_char};

pub use config::*;
pub use connection::{Connection, Event, EventKind, NextStep, State};
pub use opening::*;
pub use outcome::{Outcome, switchboard_result_text};
pub use raw::Bytes;
pub use request::*;
pub use sending::*;
pub use traffic::*;

/// Returns the version of the library, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_version() -> *const c_char {
    VERSION.as_ptr()
}

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version holds no NUL"),
};
