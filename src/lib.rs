//! A strict [RFC 6455] WebSocket engine without I/O, a non-blocking server on mio around it, and a blocking client.
//!
//! - The **engine** turns bytes into events and messages into bytes. It has no socket, clock, thread or source of
//!   randomness, so it fits into any event loop or async runtime.
//! - The **server** runs the engine on mio: one event loop per worker, with topics, back pressure and deadlines.
//! - The **client** runs the engine on `std::net`: one blocking connection, for tests and scripts.
//!
//! The crate contains no `unsafe` code. TLS is rustls's, behind a feature. It is neither an HTTP framework nor an async
//! runtime.
//!
//! # Features
//!
//! | feature | adds | on by default |
//! |---|---|---|
//! | (none) | the engine: `no_std` with `alloc` | always |
//! | `std` | the std parts of the dependencies; UTF-8 checks and masking use the CPU's vector instructions | yes |
//! | `deflate` | permessage-deflate ([RFC 7692]) by zlib-rs; implies `std` | yes |
//! | `bytes` | the crate `bytes`: frames are appended to a `BytesMut`; `Prepared::to_bytes` | no |
//! | `http` | `ServerHandshake` and `Rejection` in the types of the crate `http`; implies `std` | no |
//! | `getrandom` | `RandomKeys`: masking keys from the operating system; implies `std` | with `client` |
//! | `backoff` | `Backoff`: whether and when to connect again; implies `std` | with `client` |
//! | `client` | the module `client`; implies `getrandom` | yes |
//! | `client-tls` | `wss://` in the client, by rustls and aws-lc-rs; implies `client`, needs a C compiler | no |
//! | `webpki-roots` | `ClientBuilder::webpki_roots`: the authorities that Mozilla trusts; implies `client-tls` | no |
//! | `server` | `Server`, `App` and the module `apps`; implies `std`, needs a 64-bit target | yes |
//! | `events` | the module `events`: named events to handlers, as JSON or in your own form; implies `server` | no |
//! | `testing` | the module `testing`: a server on a simulated network and clock, for tests of apps; implies `server` | no |
//! | `tls` | `TlsConfig`: https and wss for the server, by rustls with aws-lc-rs (needs a C compiler); implies `server` | no |
//! | `tracing` | what is logged goes to the crate `tracing`; to `log` only without a subscriber | no |
//!
//! `default-features = false` gives the engine alone.
//!
//! # The engine
//!
//! An open connection is a [`Connection`]. It has two halves, which are separate values: a [`Receiver`] and a
//! [`Sender`]. A handshake returns it ([`ServerHandshake`], [`ClientHandshake`]); after a handshake by another HTTP
//! library, [`Connection::server`] and [`Connection::client`] make one.
//!
//! **After each read, take all events, then write all output.** In detail:
//!
//! 1. Give the bytes that were read to [`Receiver::receive`]. Payloads are unmasked in place and borrowed from there.
//! 2. Call [`Events::next_event`] until it returns `Ok(None)`.
//! 3. If [`Event::reply`] returns a reply, send it with [`Sender::reply`].
//! 4. On an error, call [`Sender::fail`]. It appends the Close frame with the code that fits.
//! 5. Write the output. Once [`Connection::state`] is [`State::Closed`] and the output is written, end TCP.
//!
//! Deadlines, the size of the output buffer, and a client's masking keys are the caller's to provide. The engine
//! enforces the [`Limits`] on what it receives.
//!
//! A [`Driver`] does steps 3 and 4 by itself, has the output, and says when to read, to write and to end. Take it
//! unless two tasks share a connection, or one buffer serves many; then take the halves, as here:
//!
//! ```rust
//! use std::{io::{self, Read, Write}, net::TcpStream};
//! use switchboard::{Connection, Delivery, Event, Limits};
//!
//! /// Echoes messages until the connection ends. The handshake is done.
//! fn echo(mut stream: TcpStream) -> io::Result<()> {
//!     let Connection { mut receiver, mut sender } = Connection::server(Limits::default(), Delivery::Messages);
//!     let (mut buffer, mut out) = (vec![0; 16 << 10], Vec::new());
//!     while receiver.is_open() {
//!         let length = stream.read(&mut buffer)?;
//!         if length == 0 {
//!             break;
//!         }
//!         let mut events = receiver.receive(&mut buffer[..length]);
//!         loop {
//!             let sent = match events.next_event() {
//!                 Ok(None) => break,
//!                 Ok(Some(Event::Text(text))) => sender.text(text, &mut out),
//!                 Ok(Some(Event::Binary(bytes))) => sender.binary(bytes, &mut out),
//!                 Ok(Some(event)) => event.reply().map_or(Ok(()), |reply| sender.reply(reply, &mut out)),
//!                 Err(error) => sender.fail(&error, &mut out), // with 1002, 1007, 1008 or 1009
//!             };
//!             sent.map_err(io::Error::other)?;
//!         }
//!         stream.write_all(&out)?;
//!         out.clear();
//!     }
//!     Ok(())
//! }
//! ```
#![cfg_attr(
    feature = "server",
    doc = r#"
# The server

An [`App`] accepts or rejects connections and handles their messages. [`Server::start`] makes one `App` per worker.

```rust,no_run
use std::convert::Infallible;
use switchboard::{App, Config, Context, Handshake, Message, Server, Verdict};

/// Sends each message to all connections.
struct Lobby;

impl App for Lobby {
    type Peer = ();
    type Told = Infallible; // nothing from other threads

    fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
        verdict.accept(()); // or reject; now or later, from any thread
    }

    fn opened(&mut self, _: &mut (), context: &mut Context<'_>) {
        context.subscribe("lobby");
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        context.publish("lobby", message);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind("127.0.0.1:8080".parse()?, Config::default())?;
    server.start(|_remote| Lobby)?.join()?;
    Ok(())
}
```
"#
)]
//!
//! # Where to look next
//!
//! - For the whole: [`Connection`], [`Driver`].
//! - To receive: [`Receiver`], [`Event`], [`Delivery`] for messages in pieces, [`Room`] and [`SpareBuffer`] for large
//!   ones, [`Limits`], [`ProtocolError`].
//! - To send: [`Sender`], [`Prepared`] for one message to many connections, [`SendError`], [`CloseCode`].
//! - To open: [`RequestReader`], [`ServerHandshake`], [`RequestError`] and [`Rejection`] for a server,
//!   [`ClientHandshake`] for a client.
//! - To read plain requests on the same port: [`RequestReader`], [`BodyReader`].
//! - To compress: [`Deflate`], shared by all connections of a thread or of the process.
#![cfg_attr(
    feature = "deflate",
    doc = "  [`DeflateConfig`] says what is compressed, and how much memory that may take."
)]
//! - To log what a peer sent: [`Escaped`].
#![cfg_attr(
    feature = "server",
    doc = "- To serve: [`Server`], [`App`], [`Context`], [`Config`] for all limits and deadlines, [`Response`] to plain \
           requests, [`WorkerContext`] for timers and lists, [`Remote`] to reach connections from other threads."
)]
#![cfg_attr(feature = "events", doc = "- To route named events to handlers: [`events::Router`].")]
#![cfg_attr(feature = "testing", doc = "- To test an app without sockets or waiting: [`testing::TestServer`].")]
#![cfg_attr(
    feature = "client",
    doc = "- To connect: [`client::Client`], [`client::ClientBuilder`], and to stay connected \
           [`client::ReconnectingClient`]."
)]
//!
//! The repository's `examples/` hold whole programs: on threads and on tokio, both also with TLS by rustls, and
//! behind hyper, in HTTP/1.1 and in HTTP/2.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(all(test, not(feature = "std")))]
extern crate std;

// The macros of the two have the same form. With its feature `log`, `tracing` passes on to that crate what no
// subscriber takes.
#[cfg(feature = "tracing")]
extern crate tracing as log;

#[macro_use]
mod setters;

#[cfg(feature = "server")]
pub mod apps;
#[cfg(feature = "backoff")]
mod backoff;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "events")]
#[cfg_attr(docsrs, doc(cfg(feature = "events")))]
pub mod events;
#[cfg(feature = "std")]
mod keepalive;
#[cfg(feature = "getrandom")]
mod keys;
mod proto;
#[cfg(feature = "server")]
mod reactor;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "std")]
mod url;

#[cfg(feature = "backoff")]
pub use backoff::{Backoff, Wish};
#[cfg(feature = "server")]
pub use ipnet::IpNet;
#[cfg(feature = "std")]
pub use keepalive::{Keepalive, Overdue};
#[cfg(feature = "getrandom")]
pub use keys::RandomKeys;
pub use proto::{
    BodyError, BodyReader, ClientHandshake, ClientHandshakeError, ClientRequest, CloseCode, CloseFrame, Connection,
    Deflate, DeflateResponseError, Delivery, Driver, EncodedHeader, Escaped, Established, Event, Events,
    ExtensionOffer, FixedOutput, FrameHeader, HandshakeError, HeadError, HeadLimits, HeaderRules, HttpVersion,
    Incoming, InvalidHeader, KeySource, Limits, Masked, Masking, MaskingKey, Message, MessageKind, Next, Opcode,
    OriginPolicy, Outgoing, Output, OwnedCloseFrame, OwnedReply, Piece, Prepared, ProtocolError, Receiver, Rejection,
    Reply, RequestError, RequestHead, RequestReader, ReservedOpcode, ResponseHead, ResponseReader, Role, Room,
    SendError, Sender, ServerHandshake, SpareBuffer, State, Unmasked, reason_phrase,
};
#[cfg(feature = "deflate")]
pub use proto::{DeflateConfig, DeflateParams, InvalidWindowBits, WindowBits};
#[cfg(feature = "tls")]
pub use reactor::{Certificate, CertificateResolver, TlsBuilder, TlsConfig, TlsConfigError, TlsVersion};
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub use server::testing;
#[cfg(feature = "server")]
pub use server::{
    Acceptance, App, Batch, BindError, Config, ConnectionId, Context, End, Handshake, InvalidConnectionId, Remote,
    Request, Responder, Response, ResponseBody, Running, Server, SlowSubscriber, StaticFiles, Stopper, TaskPool,
    TaskPoolFull, TooManyTimers, Verdict, WorkerContext, client_address, exit_on_panic, raise_descriptor_limit,
};
#[cfg(feature = "std")]
pub use url::{UrlError, WebSocketUrl};

/// The examples of the README compile.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
