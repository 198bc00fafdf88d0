//! The opening handshake ([§4]): the heads of HTTP/1.1 requests and responses, without I/O.
//!
//! | file | section |
//! |---|---|
//! | `values.rs` | RFC 9110 §5.6, §7.2, RFC 6455 §9.1: hosts, tokens, lists of tokens and of extensions |
//! | `scanner.rs` | RFC 9112 §2.2, §5: finds the end of a head, and refuses what is forbidden anywhere in it |
//! | `target.rs` | RFC 9112 §3.2: the forms of a request target |
//! | `head.rs` | RFC 9112: reads the head of a request or a response as it arrives |
//! | `body.rs` | RFC 9112 §6, §7.1: reads the body of a request as it arrives |
//! | `key.rs` | §1.3, §4.2.2: `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` |
//! | `deflate.rs` | RFC 7692 §7.1: the negotiation of permessage-deflate |
//! | `error.rs` | the errors of heads and handshakes, and the status for each |
//! | `request_error.rs` | all of them for a server, in one type |
//! | `response.rs` | writes the head of a response |
//! | `fields.rs` | §4.2.1: the header fields of a client's handshake, sorted |
//! | `server.rs` | §4.2: the server's side |
//! | `client.rs` | §4.1: the client's side |
//! | `http_types.rs` | the server's side in the types of the crate `http`, with the feature of that name |
//!
//! [§4]: https://www.rfc-editor.org/rfc/rfc6455#section-4

mod body;
mod client;
mod deflate;
mod error;
mod fields;
mod head;
#[cfg(feature = "http")]
mod http_types;
mod key;
mod request_error;
mod response;
mod scanner;
mod server;
mod target;
mod values;

pub use body::{BodyError, BodyReader};
pub use client::{ClientHandshake, ClientRequest, Established};
pub use error::{ClientHandshakeError, DeflateResponseError, HandshakeError, HeadError, InvalidHeader};
pub use head::{HttpVersion, RequestHead, RequestReader, ResponseHead, ResponseReader};
pub use request_error::RequestError;
pub use response::{Rejection, reason_phrase};
pub use scanner::HeadLimits;
pub use server::ServerHandshake;
pub use values::ExtensionOffer;
