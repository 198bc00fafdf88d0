//! permessage-deflate in memory: our engine, and zlib as a server would use it that keeps one of each per connection.
//!
//! | file | what |
//! |---|---|
//! | `messages.rs` | [`Messages`]: texts like those of a chat, and the frames of a client that sends them |
//! | `ends.rs` | [`End`]: a server's end of a connection, [`Ends`]: many of them, of one kind |

mod ends;
mod messages;

pub use ends::{End, Ends, KINDS, Kind, ours};
pub use messages::Messages;
