//! permessage-deflate in memory: our engine, and zlib with a compressor and a decompressor per connection.
//!
//! | file | what |
//! |---|---|
//! | `messages.rs` | [`Messages`]: texts like those of a chat, and a client's frames with them |
//! | `ends.rs` | [`End`]: a server's end of a connection; [`Ends`]: many of one kind |

mod ends;
mod messages;

pub use ends::{End, Ends, KINDS, Kind, ours};
pub use messages::Messages;
