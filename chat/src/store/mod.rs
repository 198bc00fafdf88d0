//! The durable data: accounts, sessions, rooms and their logs, in SQLite.
//!
//! One thread uses a [`Store`]. It works in transactions: a change without a commit has not happened. A commit is
//! durable (WAL, `synchronous=FULL`) and costs a disk sync, so the caller gathers changes for one commit.
//!
//! | file | contents |
//! |---|---|
//! | `data.rs` | where the data is ([`Data`]), and why it cannot be opened ([`OpenError`]) |
//! | `ids.rs` | numeric ids, one type for each kind |
//! | `files.rs` | the files in a chat's folder |
//! | `instance_mark.rs` | the lock file beside the database, and the mark in it |
//! | `database.rs` | [`Store`]: the connection and its transactions |
//! | `checkpoint.rs` | keeps the write-ahead log short |
//! | `meta.rs` | what the database keeps about itself |
//! | `restored.rs` | new epochs for data that was restored from a backup |
//! | `keys.rs` | recomputes the keys of names after a Unicode update |
//! | `open.rs` | opening the database, and the versions of its schema |
//! | `users.rs` | accounts, guests, and the users they block |
//! | `sessions.rs` | sessions, found by the hash of a token |
//! | `room_search.rs` | the search for public rooms |
//! | `rooms.rs` | rooms and their members |
//! | `direct_rooms.rs` | direct rooms and their order |
//! | `messages.rs` | the rooms' logs |
//! | `notices.rs` | notices by operators |
//! | `entry_hash.rs` | the hash of an entry, which recognises it |
//! | `invariants.rs` | what holds in every database |
//! | `reader.rs` | checks of a database ([`DataReader`]) |
//! | `backup.rs` | backups |

mod backup;
mod checkpoint;
mod data;
mod database;
mod direct_rooms;
mod entry_hash;
mod files;
mod ids;
mod instance_mark;
mod invariants;
mod keys;
mod messages;
mod meta;
mod notices;
mod open;
#[cfg(test)]
mod plans;
mod reader;
mod restored;
mod room_search;
mod rooms;
mod sessions;
mod users;

pub use backup::BackupError;
pub use data::{Data, OpenError};
pub(super) use database::{Millis, Store, StoreError, TransactionError, millis, now};
pub(super) use direct_rooms::{ACTIVITY_STEP, DirectMember, DirectsEnd, Place};
pub(super) use entry_hash::EntryHash;
pub(super) use ids::{RoomId, SessionId, UserId};
pub(super) use messages::{Entry, Logged, MAX_TRIMMED, NewEntry, Page, Span, Stamp};
pub(super) use meta::SavedClock;
pub(super) use notices::NoticeRow;
pub use reader::{CheckError, DataReader, Progress, Stage};
pub(super) use rooms::{LOBBY, Member, Role, RoomKind, RoomRow};
pub(super) use sessions::SessionRow;
pub(super) use users::{UserPlace, UserRow};
