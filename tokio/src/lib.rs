#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod axum;
mod buffers;
mod client;
mod config;
mod error;
mod link;
mod message;
mod output;
mod reading;
mod reconnect;
mod socket;
mod split;
mod wakers;

pub use accept::{Acceptance, accept};
pub use client::{ClientSocket, ClientStream, ConnectError, Request, connect};
pub use config::Config;
pub use error::{AcceptError, Error, Stage};
pub use message::Message;
pub use reconnect::{Loss, ReconnectEvent, ReconnectingClient, ReconnectingHandle, TrySendError, WhenFull};
pub use socket::WebSocket;
pub use split::{SplitSink, SplitStream};
/// What this crate's API names of the engine.
pub use switchboard::{
    Backoff, ClientHandshakeError, CloseCode, Connection, Deflate, DeflateConfig, HandshakeError, HeadError,
    HeadLimits, InvalidHeader, Limits, Masked, Masking, OwnedCloseFrame, Prepared, ProtocolError, RandomKeys,
    Rejection, RequestHead, ResponseHead, SendError, Sender, ServerHandshake, Unmasked, UrlError, WebSocketUrl, Wish,
};
