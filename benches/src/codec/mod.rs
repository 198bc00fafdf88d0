//! The engine and its peers in memory, without sockets: the cost of receiving and sending a frame.
//!
//! | file | what |
//! |---|---|
//! | `block.rs` | [`Payload`], and [`Block`]: masked frames as a client sends them |
//! | `wire.rs` | [`Wire`]: a replacement for a socket |
//! | `bare.rs` | parsing without checks |
//! | `receive.rs` | all receiving implementations |
//! | `send.rs` | all sending implementations |
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

use std::rc::Rc;

use crate::Outcome;

/// One of the two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Receive,
    Send,
}

impl Direction {
    /// Returns the name on a command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
        }
    }
}

/// Handles at least the given number of frames, and returns how many it handled.
pub type Work = Box<dyn FnMut(u64) -> Outcome<u64>>;

/// All implementations of the same work, by name.
pub type Implementations<T> = &'static [(&'static str, fn(&T) -> Work)];

/// Makes the work of receiving a block's frames, with reads of at most the given number of bytes.
pub type Receiving = fn(&Rc<Block>, usize) -> Work;
