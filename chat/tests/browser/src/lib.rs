//! What it takes to test the chat as users meet it: the program as a process, a network that fails on demand, a browser,
//! and somebody who uses the page.
//!
//! The browser is driven by its DevTools protocol, JSON over WebSocket, which our own [`Client`](switchboard::client::Client)
//! speaks: its peer here is one that nobody wrote for it.
//!
//! | file | what |
//! |---|---|
//! | `process.rs` | a child process that does not outlive the test |
//! | `server.rs` | the program that is tested |
//! | `proxy.rs` | the network between it and the browser |
//! | `devtools.rs` | calls and events of the DevTools protocol |
//! | `browser.rs` | Chromium |
//! | `page.rs` | one page: what is on it, the mouse, the keys, the screen |
//! | `fault.rs` | what pages complain about |
//! | `user.rs` | somebody in the chat |
//! | `chat.rs` | all of this together |
#![forbid(unsafe_code)]

mod browser;
mod chat;
mod devtools;
mod fault;
mod page;
mod process;
mod proxy;
mod server;
mod user;

use std::time::Duration;

pub use browser::Browser;
pub use chat::Chat;
pub use fault::Expected;
pub use page::{Display, Page};
pub use process::StopSignal;
pub use proxy::Proxy;
pub use server::Server;
pub use user::User;

/// The longest that a test waits for anything to be seen on a page.
pub const WAIT_LIMIT: Duration = Duration::from_secs(20);
