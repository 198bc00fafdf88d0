//! The servers that ours is compared with. Each echoes messages, or broadcasts them to all connections, the sender's
//! too. All have one thread, TCP_NODELAY, messages of up to 16 MiB and no compression, and use their library well. Some
//! speak TLS too.
//!
//! | file | what |
//! |---|---|
//! | `baseline.rs` | the kernel's cost: a loop on mio with frames, but without checks |
//! | `uwebsockets.cpp` | uWebSockets; a program of its own, see `build.rs` |
//! | `bare_rustls.rs` | the cost of TLS: a loop on mio with rustls, without WebSocket |
//! | `tungstenite.rs` | tungstenite on mio, over TLS with rustls |
//! | `tokio_websockets.rs` | tokio-websockets, over TLS with tokio-rustls |
//! | `fastwebsockets.rs` | fastwebsockets on tokio and hyper |
//! | `tls.rs` | the configuration of TLS |

mod bare_rustls;
mod baseline;
mod fastwebsockets;
mod tls;
mod tokio_websockets;
mod tungstenite;

use std::{
    io::{self, ErrorKind},
    net::TcpListener,
    sync::Arc,
};

use clap::ValueEnum;
use rustls::ServerConfig;
use socket2::{Domain, Socket, Type};
pub use tls::tls_config;

/// A peer in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    Baseline,
    Tungstenite,
    TokioWebsockets,
    Fastwebsockets,
    /// Speaks TLS, and no WebSocket.
    BareRustls,
}

impl Peer {
    /// Returns the name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline on mio",
            Self::Tungstenite => "tungstenite on mio",
            Self::TokioWebsockets => "tokio-websockets",
            Self::Fastwebsockets => "fastwebsockets",
            Self::BareRustls => "rustls on mio",
        }
    }

    /// Returns the peers that speak WebSocket without TLS.
    pub fn plain() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied().filter(|&peer| peer != Self::BareRustls)
    }
}

/// What a server does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Sends it back to its sender.
    Echo,
    /// Sends it to all connections, the sender's too.
    Broadcast,
}

impl Mode {
    /// Returns the name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Broadcast => "broadcast",
        }
    }
}

/// Listens on a port of 127.0.0.1; 0 takes any free one.
///
/// # Errors
/// A system call fails.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Serves until it is killed.
///
/// # Errors
/// The poller or the listener fails, or the peer does not speak TLS, or nothing else. A connection's failure ends only
/// that connection.
pub fn serve(peer: Peer, mode: Mode, listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
    match (peer, tls) {
        (Peer::Baseline, None) => baseline::serve(listener, mode),
        (Peer::Tungstenite, None) => tungstenite::serve(listener, mode, Ok),
        (Peer::Tungstenite, Some(tls)) => tungstenite::serve_tls(listener, mode, &tls),
        (Peer::TokioWebsockets, None) => tokio_websockets::serve(listener, mode),
        (Peer::TokioWebsockets, Some(tls)) => tokio_websockets::serve_tls(listener, mode, tls),
        (Peer::Fastwebsockets, None) => fastwebsockets::serve(listener, mode),
        (Peer::BareRustls, Some(tls)) => bare_rustls::serve(listener, mode, &tls),
        (Peer::Baseline | Peer::Fastwebsockets, Some(_)) => Err(io::Error::other("this peer speaks no TLS")),
        (Peer::BareRustls, None) => Err(io::Error::other("this peer speaks nothing but TLS")),
    }
}

/// Accepts the next connection for a loop on mio. Returns `None` if there is none.
fn accept(listener: &mio::net::TcpListener) -> io::Result<Option<mio::net::TcpStream>> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nodelay(true)?;
                return Ok(Some(stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Accepts connections on a single-threaded runtime; `start` starts a task for each.
fn on_tokio(listener: TcpListener, start: impl Fn(tokio::net::TcpStream)) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    stream.set_nodelay(true)?;
                    start(stream);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    })
}

/// The maximum length of a message.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// The capacity of the broadcast channel on tokio, in messages.
const CHANNEL_CAPACITY: usize = 1024;

const BACKLOG: i32 = 1024;
