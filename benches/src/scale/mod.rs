//! The bench `scale`: a message's CPU time and latency as the number of connections grows.
//!
//! | file | what |
//! |---|---|
//! | `work.rs` | the servers and their loads |
//! | `bench.rs` | the bench: all servers under all loads, round by round, and its tables and plots |

mod bench;
mod work;

pub use bench::ScaleBench;
pub use work::ServerSetup;
