//! Named events to handlers, in the way of Socket.IO and of the event libraries for Swoole: `on`, `emit`, `broadcast`,
//! rooms, acknowledgements, over a [`Parser`] that may be replaced.
//!
//! # Examples
//! A chat of which a page sends `["say", "hello"]`, and gets `["said", "3: hello"]`:
//!
//! ```no_run
//! use switchboard::{Config, Server, events::{JsonArrays, Router}};
//!
//! let router = Router::new(JsonArrays)
//!     .on("join", |socket, room: String| socket.join(&room))
//!     .on("say", |socket, (room, text): (String, String)| {
//!         let text = format!("{}: {text}", socket.id());
//!         socket.to(&room).emit("said", &text);
//!     });
//! let server = Server::bind("127.0.0.1:8080".parse()?, Config::default())?;
//! let (running, everyone) = router.start(server)?;
//! everyone.emit("hello", "the server has started");
//! running.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Pages
//! The server of a [`Router`] has a module for pages at `/events.js`: an ES module without dependencies, 6 KB with gzip,
//! which reconnects by itself. A page that [`Router::file`] adds uses it so:
//!
//! ```js
//! import { Events } from '/events.js';
//!
//! const events = new Events();
//! events.on('said', (text) => console.log(text));
//! events.on('state', ({ state, retryAt }) => console.log(state, retryAt));
//! events.emit('say', ['red', 'hello']);
//! const votes = await events.emitWithAck('vote', 'tea', { timeout: 5000 });
//! ```
//!
//! The comments of the module say what it does while there is no connection, and what each error means.

mod acknowledgement;
mod emitter;
mod json;
mod parser;
mod router;
mod scripts;
mod socket;

pub use acknowledgement::Ack;
pub use emitter::{Emitter, Members};
pub use json::{JsonArrays, JsonObjects};
pub use parser::{FromPeer, Malformed, Parser, ToPeer};
pub use router::Router;
pub use socket::{NotAcknowledged, Others, Socket, TooManyWaiting};
