//! The chat of one process: one thread decides everything, in one order, over the [`Store`](super::store::Store).
//!
//! The thread takes all waiting commands, runs them in one transaction, and commits once. So the more commands wait,
//! the less a durable write costs each of them. Clients are told only after the commit: an acknowledgement is never
//! taken back. If the transaction fails, the thread runs each command again in a transaction of its own, and only those
//! that fail again are answered with an error.
//!
//! Each file uses only those above it:
//!
//! | file | what |
//! |---|---|
//! | `queue.rs` | commands for the thread, and the bound on how many wait |
//! | `effects.rs` | what a transaction sends to clients, held back until the commit |
//! | `presence.rs` | which connections, sessions, and users are online |
//! | `cache.rs` | rooms, users, and counts read from the store before |
//! | `state.rs` | [`State`](state::State): runs commands in transactions, and rate limits |
//! | `call.rs` | what the handler of an event gets and returns |
//! | `text.rs` | which text may be sent |
//! | `lookup.rs` | rooms, users, and members, read through the cache |
//! | `log.rs` | a room's log: appending, reading, catching up |
//! | `rooms.rs` | handlers: making, entering, and leaving rooms |
//! | `moderation.rs` | handlers: what owners of rooms may do |
//! | `messages.rs` | handlers: sending and reading messages |
//! | `sessions.rs` | how sessions and accounts end |
//! | `sign_in.rs` | how sessions begin, and how connections authenticate |
//! | `users.rs` | handlers: who is online, blocking, sessions, accounts, notices |
//! | `sweep.rs` | what happens by time: sessions end, presence is published |
//! | `events.rs` | the table of events, and how one gets to its handler |
//! | `handle.rs` | [`CoreHandle`]: starts the thread, and sends it commands |

mod cache;
mod call;
mod effects;
mod events;
mod handle;
mod log;
mod lookup;
mod messages;
mod moderation;
mod presence;
mod queue;
mod rooms;
mod sessions;
mod sign_in;
mod state;
mod sweep;
#[cfg(test)]
mod tests;
mod text;
mod users;

pub(super) use handle::CoreHandle;
