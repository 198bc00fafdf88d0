//! The bench `chat`: a crowd in rooms that talks, to our program with its data on a disk and in memory.
//!
//! | file | what |
//! |---|---|
//! | `words.rs` | what is said, and how it looks on the wire |
//! | `room.rs` | a room's log as its members are told it: in order, without gap or double, to all the same |
//! | `scene.rs` | who has said and heard what, and how long it took |
//! | `line.rs` | one connection, on our engine |
//! | `guests.rs` | guests sign in and connect |
//! | `crowd.rs` | all of them, polled |
//! | `talk.rs` | what makes them talk: so many messages in flight, or so many in a second |
//! | `disk.rs` | the data's folder, and what its disk costs |
//! | `work.rs` | servers, and what they are given to do |
//! | `tables.rs` | all of it, round by round, and what is shown |

mod bench;
mod chat_load;
mod checker;
mod clients;
mod connection;
mod data_dir;
mod messages;
mod room;
mod runner;
mod sign_in;

use std::{io, net::SocketAddr};

pub use bench::ChatBench;

use crate::load::Work;
use chat_load::{ChatLoad, Pace};
use clients::{Clients, Size};

/// A crowd of about so many people, 50 in each room, who keep so many messages in flight: for a chat that was started by
/// hand.
///
/// # Errors
/// What the system says, or that the server does not let somebody in.
pub fn load(address: SocketAddr, users: usize, in_flight: usize) -> io::Result<impl Work> {
    let rooms = (users / 50).max(1);
    let size = Size { users: users / rooms * rooms, rooms };
    ChatLoad::new(Clients::connect(address, size)?, Pace::InFlight(in_flight))
}
