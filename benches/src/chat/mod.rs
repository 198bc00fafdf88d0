//! The bench `chat`: many users send messages in rooms, to our program with its data on a disk and in memory.
//!
//! | file | what |
//! |---|---|
//! | `messages.rs` | the chat messages, and the events on the wire |
//! | `room.rs` | checks that the members of a room receive the same log: in order, without gaps or duplicates |
//! | `checker.rs` | checks what every user receives, and records latencies |
//! | `connection.rs` | one connection, on our engine |
//! | `sign_in.rs` | signs guests in and connects them |
//! | `clients.rs` | all connections, polled |
//! | `strangers.rs` | hostile clients without a session |
//! | `flood.rs` | hostile guests and strangers, beside the users |
//! | `chat_load.rs` | sends messages: a number in flight, or a number per second |
//! | `data_dir.rs` | the directory with the data, and the speed of its disk |
//! | `runner.rs` | starts servers, and measures them under load |
//! | `fairness.rs` | all floods, round by round, and their table |
//! | `bench.rs` | all runs, round by round, and the tables of results |

mod bench;
mod chat_load;
mod checker;
mod clients;
mod connection;
mod data_dir;
mod fairness;
mod flood;
mod messages;
mod room;
mod runner;
mod sign_in;
mod strangers;

use std::{io, net::SocketAddr};

pub use bench::ChatBench;

use crate::load::Work;
use chat_load::{ChatLoad, Pace};
use clients::{Clients, Size};

/// Connects about `users` users, 50 in each room, who keep `in_flight` messages unacknowledged: for a chat that was
/// started by hand.
///
/// # Errors
/// An I/O error, or the server refuses a user.
pub fn load(address: SocketAddr, users: usize, in_flight: usize) -> io::Result<impl Work> {
    let rooms = (users / 50).max(1);
    let size = Size { users: users / rooms * rooms, rooms };
    ChatLoad::new(Clients::connect(address, size)?, Pace::InFlight(in_flight))
}
