//! The engine and its peers in memory, without sockets: what a frame costs that is received or sent.
//!
//! | file | what |
//! |---|---|
//! | `block.rs` | [`Payload`], and [`Block`]: masked frames as a client sends them |
//! | `wire.rs` | [`Wire`]: what stands for a socket |
//! | `bare.rs` | frames without a check |
//! | `receive.rs` | everyone who receives |
//! | `send.rs` | everyone who sends |
//! | `uwebsockets.rs`, `.cpp` | the peer in C++ |
//! | `instructions.rs` | the same work counted by callgrind |

pub(crate) mod bare;
mod block;
pub mod instructions;
pub mod receive;
pub mod send;
pub mod uwebsockets;
mod wire;

pub use block::{Block, Kind, Payload, RECEIVED, SENT};
pub use wire::Wire;

use crate::Outcome;

/// One of the two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Receive,
    Send,
}

impl Direction {
    /// As it is written on a command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
        }
    }
}

/// Someone who does the work: so many frames at least; says how many it did.
pub type Work = Box<dyn FnMut(u64) -> Outcome<u64>>;

/// Everyone who does the same work, by name.
pub type Implementations<T> = &'static [(&'static str, fn(&T) -> Work)];
