//! The bench `scale`: what a message costs the server, and how long it takes, as connections become many.
//!
//! | file | what |
//! |---|---|
//! | `work.rs` | servers, and what they are given to do |
//! | `bench.rs` | all of it, round by round, and what is shown |

mod bench;
mod work;

pub use bench::ScaleBench;
pub use work::ServerSetup;
