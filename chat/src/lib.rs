//! A chat for the browser, on the [`switchboard`] WebSocket server: accounts and guests, rooms, direct messages, and
//! history that survives a restart.
//!
//! [`ChatService`] opens the chat's data and makes a [`Chat`] for each worker of a server. A [`Chat`] is a
//! [`switchboard::App`]: it serves the web page at `/`, the HTTP requests for accounts and sessions below `/api/`, and
//! the WebSocket at `/ws`.
//!
//! ```no_run
//! use switchboard::{Config, Server};
//! use switchboard_chat::{ChatConfig, ChatService, Data};
//!
//! let mut config = ChatConfig::default();
//! config.data = Data::Folder("chat-data".into());
//! config.guests = true;
//! let chat = ChatService::open(config)?;
//! let server = Server::bind("127.0.0.1:8080".parse()?, Config::default())?;
//! server.start(move |remote| chat.app(remote))?.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ChatConfig`] and [`ChatLimits`] configure the chat. [`Accounts`] changes accounts in the same data, also while a
//! server runs: it is what `switchboard user` calls. [`DataReader`] makes backups and checks the data. The program
//! `switchboard` of this package serves the chat from the command line.
//!
//! The protocol between clients and the chat is documented in [`docs/protocol.md`].
//!
//! [`docs/protocol.md`]: https://github.com/switchboard-rs/switchboard/blob/main/docs/protocol.md

// For contributors: this is layer 3 of the workspace. It works with messages and peers, never with sockets or frames.
//
// | file | contents |
// |---|---|
// | `service.rs` | `ChatService`: the chat as a whole |
// | `config.rs` | `ChatConfig`, `ChatLimits` |
// | `accounts.rs` | `Accounts`: what an operator changes with `switchboard user` |
// | `app.rs` | `Chat`: the server's `App`, for HTTP and WebSocket |
// | `api.rs`, `credentials.rs` | the requests below `/api/`, and the token or cookie they carry |
// | `peer.rs` | the state of one connection |
// | `site.rs` | the chat's host names, and the web pages that may use it |
// | `proxy.rs` | the client's address behind a proxy |
// | `wire.rs` | events as text |
// | `backlog.rs` | the events of a connection that the core has not finished |
// | `interface/` | the interface between connections and the core: traits and values |
// | `front.rs` | the core for clients that speak JSON: decodes events, verifies passwords |
// | `core/` | the thread that makes every decision, in one order |
// | `store/` | the durable data, in SQLite |
// | `name.rs`, `precis.rs` | the rules for names, and which names are the same |
// | `fold.rs` | texts as readers compare them: the search for names, and their order |
// | `password.rs` | the rules for passwords, and their hashes |
// | `hash_queue.rs` | the queue of passwords to be hashed, which is shared fairly |
// | `device.rs` | cookies of devices that have signed in before |
// | `token.rs` | session tokens |
// | `user_agent.rs` | the program and the system of a client that signs in |
// | `rate.rs` | rate limits |
// | `files.rs`, `page/` | the web page |

mod accounts;
mod api;
mod app;
mod attempts;
mod backlog;
mod blank;
mod config;
mod core;
mod credentials;
mod device;
mod files;
mod fold;
mod front;
mod hash_queue;
mod interface;
mod name;
mod origin;
mod password;
mod peer;
mod precis;
mod proxy;
mod rate;
mod service;
mod site;
mod store;
mod token;
mod user_agent;
mod wire;

pub use accounts::{AccountError, Accounts};
pub use app::Chat;
pub use config::{ChatConfig, ChatLimits};
use interface::ChatCore;
pub use name::{BadName, Name, RoomName};
pub use origin::{BadOrigin, Origin};
pub use password::BadPassword;
pub use peer::Peer;
pub use rate::{BadRate, Rate};
pub use service::ChatService;
pub use store::{BackupError, CheckError, Data, DataReader, OpenError, Progress, Stage};
