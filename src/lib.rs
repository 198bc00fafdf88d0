#![cfg_attr(feature = "server", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "server"), doc = "A strict RFC 6455 WebSocket engine without I/O.")]
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(all(test, not(feature = "std")))]
extern crate std;

#[cfg(feature = "server")]
pub mod apps;
#[cfg(feature = "chat")]
pub mod chat;
#[cfg(feature = "client")]
pub mod client;
mod proto;
#[cfg(feature = "server")]
mod reactor;
#[cfg(feature = "server")]
mod server;

pub use proto::{
    ClientHandshake, ClientHandshakeError, ClientRequest, CloseCode, CloseFrame, Connection, DeflateAnswerError,
    Delivery, EncodedHeader, Established, Event, Events, ExtensionOffer, FixedOutput, FrameHeader, HandshakeError,
    HeadError, HeadLimits, HeaderRules, HttpVersion, InvalidHeader, KeySource, Limits, Masked, Masking, MaskingKey,
    MessageKind, Opcode, Output, Piece, Prepared, ProtocolError, Receiver, Rejection, Reply, RequestHead,
    RequestReader, ReservedOpcode, ResponseHead, Role, SendError, Sender, ServerHandshake, State, Unmasked,
};
#[cfg(feature = "deflate")]
pub use proto::{Deflate, DeflateConfig, DeflateParams, InvalidWindowBits, WindowBits};
#[cfg(feature = "server")]
pub use server::{
    Acceptance, App, Config, ConnectionId, Context, End, Handshake, Message, OriginPolicy, Remote, Request, Responder,
    Response, Running, Server, SlowSubscriber, Stopper, Verdict,
};
