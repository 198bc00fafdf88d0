//! Floor 3: the chat, and the page that speaks it. Sees messages and peers, never sockets or frames.
//!
//! # Events
//!
//! A client opens `/ws` with the subprotocol `switchboard.v1` (also assumed where none is offered) and exchanges text
//! messages: JSON arrays `[event, data]`, or `[event, data, id]` where an answer is wanted. An event with an `id`, a
//! number or a string that the client has not used on this connection, gets exactly one answer:
//! `["ack", result, id]` or `["error", {code, message}, id]`. An error without an `id` in question has none. Binary
//! messages are closed with 1003.
//!
//! | client sends | data | result | errors |
//! |---|---|---|---|
//! | `hello` | `{name, token?, since?: {epoch, seq}}` | `{}`, behind a `welcome` | `bad_name`, `name_taken`, `already_joined`, `overloaded` |
//! | `say` | `{text}`, at most 4,000 characters | `{seq, time}` | `not_joined`, `empty`, `too_long`, `too_fast`, `overloaded` |
//! | `beat` | | `{}`, behind a `beat` | |
//!
//! Any event may also get `bad_json`, `bad_event` (not of the form above), `unknown_event` or `bad_data`; the
//! connection goes on.
//!
//! | server sends | data | when |
//! |---|---|---|
//! | `welcome` | `{you, token, epoch, seq, online: [name], messages: [message], gap}` | answers `hello`, before any message or news of others |
//! | `message` | `{seq, from, text, time}` | somebody said something, oneself too |
//! | `joined`, `left` | `{name}` | somebody came or went |
//! | `beat` | | answers `beat`: scripts in a browser see neither Ping nor Pong |
//! | `error` | `{code, message}` | see above |
//!
//! The lobby is an ordered log: `seq` rises by one with each message, within an `epoch` that begins with the log. Who
//! comes back says the last message it saw in `since` and gets exactly what it missed; `gap` says that some of that
//! is no longer kept. A connection may say 20 messages at once and five per second. Times are milliseconds since 1970. `token` proves, to the next `hello`, that the name is one's
//! own: it takes the name over from a connection that is not known to be dead yet, which is closed with 4000.
//!
//! | file | what |
//! |---|---|
//! | `app.rs` | [`Chat`]: the server's [`App`](crate::App), HTTP and WebSocket |
//! | `session.rs` | one client's side: the table of events and their handlers |
//! | `wire.rs` | events as text |
//! | `backplane.rs` | [`Backplane`]: log, presence and fan-out as a seam; [`Exchange`]: what it reaches |
//! | `memory.rs` | [`MemoryBackplane`]: all of it in this process |
//! | `name.rs` | what the name of a person or a room may be, and which names are the same |
//! | `password.rs` | what a password may be, and its hash |
//! | `precis.rs` | which characters names and passwords may have |
//! | `token.rs` | secrets that prove who somebody is |
//! | `rate.rs` | how often somebody may do something |
//! | `host.rs` | which Hosts are ours |
//! | `files.rs`, `page/` | the page |

mod app;
mod backplane;
mod files;
mod host;
mod memory;
mod name;
mod password;
mod precis;
mod rate;
mod session;
#[cfg(test)]
mod tests;
mod token;
mod wire;

pub use app::Chat;
pub use backplane::{Arrival, Backplane, EnterError, Exchange, Said, SayError, Since};
pub use memory::MemoryBackplane;
pub use name::{BadName, Name, RoomName};
