//! Support for browser tests of the chat: the program as a process, a network that fails on demand, a browser, and a
//! user of the page.
//!
//! The browser is driven by its DevTools protocol, JSON over WebSocket, through our own
//! [`Client`](switchboard::client::Client). So the client is tested against an independent peer.
//!
//! | file | contents |
//! |---|---|
//! | `process.rs` | a child process that does not outlive the test |
//! | `server.rs` | the program that is tested |
//! | `sources.rs` | the page's modules one by one |
//! | `proxy.rs` | the network between the program and the browser |
//! | `devtools.rs` | calls and events of the DevTools protocol, and of WebDriver BiDi |
//! | `chromium.rs` | Chromium |
//! | `browser.rs` | the browser of a test, and its pages |
//! | `page.rs` | one page: its contents, mouse, keyboard and screen |
//! | `waiting.rs` | waits for the value of an expression |
//! | `firefox.rs` | Firefox, and a page of it |
//! | `authority.rs` | an authority for certificates |
//! | `axe.rs` | checks a page's accessibility |
//! | `contrast.rs` | checks that a page's texts can be read |
//! | `tasks.rs` | how long a page is busy at a time |
//! | `fault.rs` | faults that pages report |
//! | `user.rs` | a user of the chat |
//! | `chat.rs` | all of this together |
#![forbid(unsafe_code)]

mod authority;
mod axe;
mod browser;
mod chat;
mod chromium;
mod contrast;
mod devtools;
mod fault;
mod firefox;
mod page;
mod process;
mod proxy;
mod server;
mod sources;
mod tasks;
mod user;
mod waiting;

use std::time::Duration;

pub use authority::Authority;
pub use browser::Browser;
pub use chat::Chat;
pub use fault::Expected;
pub use firefox::{Firefox, FirefoxPage};
pub use page::{Display, Page};
pub use process::StopSignal;
pub use proxy::Proxy;
pub use server::{DataCopy, Server};
pub use sources::Sources;
pub use user::User;

/// The longest time that a test waits for a change on a page.
pub const WAIT_LIMIT: Duration = Duration::from_secs(20);
