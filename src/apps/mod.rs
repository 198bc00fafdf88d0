//! The smallest services: [`Echo`] sends each message back, [`Broadcast`] sends each message to all connections.
//!
//! Both accept WebSocket connections on any path and serve one page at `/`, with which they can be tried in a browser:
//! it shows the state of its connection, the close code, and a log of what was sent and received.
//!
//! ```no_run
//! use switchboard::{Config, OriginPolicy, Server, apps::{Audience, Broadcast}};
//!
//! let app = Broadcast::new(Audience::Others, OriginPolicy::Any);
//! let server = Server::bind("127.0.0.1:8080".parse()?, Config::default())?;
//! server.start(move |_| app.clone())?.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod broadcast;
mod echo;
mod page;

pub use broadcast::{Audience, Broadcast};
pub use echo::Echo;
pub use page::page;
