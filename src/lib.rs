//! A strict RFC 6455 WebSocket engine without I/O, a non-blocking server on mio around it, and a blocking client.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(all(test, not(feature = "std")))]
extern crate std;

#[cfg(feature = "server")]
pub mod apps;
#[cfg(feature = "client")]
pub mod client;
mod proto;
#[cfg(feature = "server")]
mod reactor;
#[cfg(feature = "server")]
mod server;

pub use proto::{
    ClientHandshake, ClientHandshakeError, ClientRequest, CloseCode, CloseFrame, Connection, Deflate,
    DeflateResponseError, Delivery, EncodedHeader, Established, Event, Events, ExtensionOffer, FixedOutput,
    FrameHeader, HandshakeError, HeadError, HeadLimits, HeaderRules, HttpVersion, InvalidHeader, KeySource, Limits,
    Masked, Masking, MaskingKey, MessageKind, Opcode, Output, Piece, Prepared, ProtocolError, Receiver, Rejection,
    Reply, RequestHead, RequestReader, ReservedOpcode, ResponseHead, Role, SendError, Sender, ServerHandshake, State,
    Unmasked, reason_phrase,
};
#[cfg(feature = "deflate")]
pub use proto::{DeflateConfig, DeflateParams, InvalidWindowBits, WindowBits};
#[cfg(feature = "server")]
pub use server::{
    Acceptance, App, Config, ConnectionId, Context, End, Handshake, InvalidConnectionId, Message, OriginPolicy, Remote,
    Request, Responder, Response, Running, Server, SlowSubscriber, Stopper, Verdict, exit_on_panic,
};

/// The examples of the README compile.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
