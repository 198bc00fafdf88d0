//! The bench `scale`: what a message costs the server, and how long it takes, as connections become many.
//!
//! | file | what |
//! |---|---|
//! | `work.rs` | servers, and what they are given to do |
//! | `tables.rs` | all of it, round by round, and what is shown |

mod tables;
mod work;

pub use tables::Growth;
pub use work::Subject;
