//! The core of the chat: one thread makes every decision, in one order, and keeps the [`Store`](super::store::Store).
//!
//! Events are decoded on the connections' threads. The core's thread takes the waiting commands of all users in turn,
//! runs them in one transaction, and commits once. So the more commands wait,
//! the less a durable write costs each of them. Clients get replies only after the commit: an acknowledgement is never
//! taken back. If the transaction fails, the thread runs each command again in a transaction of its own, and only those
//! that fail again are answered with an error.
//!
//! Each file uses only those above it:
//!
//! | file | contents |
//! |---|---|
//! | `clock.rs` | readings of the clocks, and the clock for deadlines of an hour or more |
//! | `fair.rs` | a fair queue: every user gets an equal share of the thread's time |
//! | `channel.rs` | a channel to the thread, in which sending and waking are apart |
//! | `queue.rs` | commands for the thread, and the order in which it takes them |
//! | `costs.rs` | the CPU time of each kind of work |
//! | `presence.rs` | which connections, sessions, and users are online |
//! | `cache.rs` | rooms, users, and counts that were read from the store |
//! | `state.rs` | [`State`](state::State): the thread's state, its transactions, and rate limits |
//! | `data.rs` | values in events' data, checked on the connections' threads |
//! | `call.rs` | the parameter and the result of event handlers |
//! | `text.rs` | the rules for texts |
//! | `lookup.rs` | rooms, users, and members, read through the cache |
//! | `log.rs` | a room's log: appending, reading, catching up |
//! | `rooms.rs` | handlers: creating, entering, and leaving rooms |
//! | `moderation.rs` | handlers: the rights of room owners |
//! | `direct_rooms.rs` | handlers: beginning conversations, and the lists of them |
//! | `messages.rs` | handlers: sending and reading messages |
//! | `notices.rs` | handlers: notices by operators |
//! | `sessions.rs` | how sessions and accounts end |
//! | `sign_in.rs` | how sessions begin, and how connections authenticate |
//! | `user_lists.rs` | handlers: lists of users, and single ones |
//! | `users.rs` | handlers: blocking, sessions, accounts |
//! | `sweep.rs` | work at intervals: finds background work, publishes presence |
//! | `background.rs` | work in small pieces: ends sessions, deletes what removed rooms and users leave |
//! | `events.rs` | the table of events, and the dispatch of each event to its handler |
//! | `process.rs` | runs commands in transactions, and delivers their effects after the commit |
//! | `handle.rs` | [`CoreHandle`]: starts the core's thread, and sends it commands |

mod background;
mod cache;
mod call;
mod channel;
mod clock;
mod costs;
mod data;
mod direct_rooms;
mod events;
mod fair;
mod handle;
mod log;
mod lookup;
mod messages;
mod moderation;
mod notices;
mod presence;
mod process;
mod queue;
mod rooms;
mod sessions;
mod sign_in;
mod state;
mod sweep;
#[cfg(test)]
mod tests;
mod text;
mod user_lists;
mod users;

pub(super) use events::{Decoded, Event, Proof, Row, decode};
pub(super) use fair::Source;
pub(super) use handle::CoreHandle;
pub(super) use process::Command;
pub(super) use queue::Unfinished;
pub(super) use users::{ChangePassword, DeleteAccount, RemoveAccount, SetPassword};
