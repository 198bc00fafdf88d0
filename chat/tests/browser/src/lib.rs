//! What it takes to test the chat as people meet it: the program as a process, a network that fails on demand, a browser,
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
//! | `trouble.rs` | what pages complain about |
//! | `person.rs` | somebody in the chat |
//! | `chat.rs` | all of this together |
#![forbid(unsafe_code)]

mod browser;
mod chat;
mod devtools;
mod page;
mod person;
mod process;
mod proxy;
mod server;
mod trouble;

use std::time::Duration;

pub use browser::Browser;
pub use chat::Chat;
pub use page::{Look, Page};
pub use person::Person;
pub use process::Ending;
pub use proxy::Proxy;
pub use server::Server;
pub use trouble::Expected;

/// The longest that a test waits for anything to be seen on a page.
pub const LONG: Duration = Duration::from_secs(20);
