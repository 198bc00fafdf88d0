//! The engine: RFC 6455 and RFC 7692 as values. It has no I/O, no clock, no randomness and no threads.
//!
//! The files in reading order. Each uses only those above it:
//!
//! | file | section | what |
//! |---|---|---|
//! | `escaped.rs` | | [`Escaped`]: text from a peer, made safe to show |
//! | `opcode.rs` | §5.2, §11.8 | [`Opcode`], [`MessageKind`] |
//! | `close_code.rs` | §7.4 | [`CloseCode`] and its ranges |
//! | `error.rs` | | [`ProtocolError`], [`SendError`] |
//! | `mask.rs` | §5.1, §5.3 | [`MaskingKey`], [`Role`], [`Masking`] |
//! | `utf8.rs` | §8.1 | UTF-8 validation, piece by piece |
//! | `frame.rs` | §5.2 | [`FrameHeader`]: decode and encode |
//! | `close.rs` | §5.5.1 | [`CloseFrame`], [`OwnedCloseFrame`] |
//! | `limits.rs` | §10.4 | [`Limits`], [`Delivery`] |
//! | `deflate/` | RFC 7692 | [`Deflate`]: permessage-deflate |
//! | `spare.rs` | | [`SpareBuffer`]: the buffer of a large message, kept for the next one |
//! | `message.rs` | §5.4 | assembles fragments into messages |
//! | `receiver/` | §6.2, §7 | [`Receiver`]: bytes to [`Event`]s |
//! | `output.rs` | | [`Output`]: the buffer that frames are appended to |
//! | `prepared.rs` | | [`Prepared`]: a message encoded once for many connections |
//! | `sender.rs` | §6.1, §7 | [`Sender`]: messages to bytes |
//! | `whole_message.rs` | §5.6 | [`Message`]: a whole message that borrows its payload |
//! | `connection.rs` | §7 | [`Connection`]: the two halves, [`State`] |
//! | `driver.rs` | §6, §7 | [`Driver`]: the loop around a connection |
//! | `owned_reply.rs` | | [`OwnedReply`]: replies for another task |
//! | `handshake/` | §4, §9.1 | [`ServerHandshake`], [`ClientHandshake`] |

mod close;
mod close_code;
mod connection;
mod deflate;
mod driver;
mod error;
mod escaped;
mod frame;
mod handshake;
mod limits;
mod mask;
mod message;
mod opcode;
mod output;
mod owned_reply;
mod prepared;
mod receiver;
mod sender;
mod spare;
mod utf8;
mod whole_message;

pub use close::{CloseFrame, OwnedCloseFrame};
pub use close_code::CloseCode;
pub use connection::{Connection, State};
pub use deflate::Deflate;
#[cfg(feature = "deflate")]
pub use deflate::{DeflateConfig, DeflateParams, InvalidWindowBits, WindowBits};
pub use driver::{Driver, Incoming, Next, Outgoing};
pub use error::{ProtocolError, SendError};
pub use escaped::Escaped;
pub use frame::{EncodedHeader, FrameHeader, HeaderRules};
pub use handshake::{
    BodyError, BodyReader, ClientHandshake, ClientHandshakeError, ClientRequest, DeflateResponseError, Established,
    ExtensionOffer, HandshakeError, HeadError, HeadLimits, HttpVersion, InvalidHeader, OriginPolicy, Rejection,
    RequestError, RequestHead, RequestReader, ResponseHead, ResponseReader, ServerHandshake, reason_phrase,
};
pub use limits::{Delivery, Limits};
pub use mask::{KeySource, Masked, Masking, MaskingKey, Role, Unmasked};
pub use opcode::{MessageKind, Opcode, ReservedOpcode};
pub use output::{FixedOutput, Output};
pub use owned_reply::OwnedReply;
pub use prepared::Prepared;
pub use receiver::{Event, Events, Piece, Receiver, Reply, Room};
pub use sender::Sender;
pub use spare::SpareBuffer;
pub use whole_message::Message;
