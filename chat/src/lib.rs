//! Floor 3: the chat, and the page that speaks it. Sees messages and peers, never sockets or frames.
//!
//! What is said between clients and the chat is in [`docs/protocol.md`]. A [`ChatService`] holds what survives; each worker
//! of a server has a [`Chat`] of it.
//!
//! [`docs/protocol.md`]: https://docs.rs/crate/switchboard/latest/source/docs/protocol.md
//!
//! | file | what |
//! |---|---|
//! | `service.rs` | [`ChatService`]: a chat as a whole |
//! | `config.rs` | [`ChatConfig`], [`ChatLimits`]: how it is run |
//! | `accounts.rs` | [`Accounts`]: what an operator does to accounts from outside |
//! | `app.rs` | [`Chat`]: the server's [`App`](switchboard::App), HTTP and WebSocket |
//! | `api.rs`, `credentials.rs` | requests for who one is, and what they show |
//! | `peer.rs` | one connection's side |
//! | `site.rs` | under which names we are reached, and whose pages may speak to us |
//! | `proxy.rs` | who asks, where a proxy passes it on |
//! | `wire.rs` | events as text |
//! | `interface.rs` | the interface between connections and the core |
//! | `core/` | the thread that decides everything, in one order |
//! | `store/` | what survives, in SQLite |
//! | `name.rs`, `precis.rs` | what a name may be, and which names are the same |
//! | `password.rs` | what a password may be, and its hash |
//! | `token.rs` | secrets that prove who somebody is |
//! | `rate.rs` | how often somebody may do something |
//! | `files.rs`, `page/` | the page |

mod accounts;
mod api;
mod app;
mod config;
mod core;
mod credentials;
mod files;
mod interface;
mod name;
mod password;
mod peer;
mod precis;
mod proxy;
mod rate;
mod service;
mod site;
mod store;
mod token;
mod wire;

pub use accounts::{AccountError, Accounts};
pub use app::Chat;
pub use config::{ChatConfig, ChatLimits};
use interface::ChatCore;
pub use name::{BadName, Name, RoomName};
pub use password::BadPassword;
pub use peer::Peer;
pub use rate::{BadRate, Rate};
pub use service::ChatService;
pub use store::{Data, OpenError};
