//! The code that the benches share. Each bench is a program of its own, beside `src/`.
//!
//! | folder | what |
//! |---|---|
//! | `report/` | options, progress, statistics, tables and plots |
//! | `process/` | a server under test: started, measured, ended |
//! | `load/` | the load generator |
//! | `peers/` | the servers that ours is compared with |
//! | `servers/` | the benches `servers` and `tokio` |
//! | `scale/` | the bench `scale` |
//! | `tls/` | the bench `tls` |
//! | `chat/` | the bench `chat` |
//! | `pairing/` | implementations in memory, measured in turns |
//! | `codec/` | the engine and its peers in memory: receiving, sending, instructions |
//! | `compression/` | permessage-deflate in memory, ours and zlib's |
//! | `random.rs` | random numbers that are the same in every run |

pub mod chat;
pub mod codec;
pub mod compression;
pub mod load;
pub mod pairing;
pub mod peers;
pub mod process;
mod random;
pub mod report;
pub mod scale;
pub mod servers;
pub mod tls;

/// The result of a bench. A wrong answer of a server is an error, never a figure.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
