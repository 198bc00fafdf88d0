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
//! | `tokio_tungstenite.rs` | tokio-tungstenite, echo only |
//! | `tokio_websockets.rs` | tokio-websockets, over TLS with tokio-rustls |
//! | `fastwebsockets.rs` | fastwebsockets on tokio and hyper |
//! | `switchboard_tokio.rs` | ours on tokio, echo only |
//! | `tls.rs` | the configuration of TLS |

mod bare_rustls;
mod baseline;
mod fastwebsockets;
mod switchboard_tokio;
mod tls;
mod tokio_tungstenite;
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
    TokioTungstenite,
    TokioWebsockets,
    Fastwebsockets,
    /// Ours, in the bench `tokio` only.
    SwitchboardTokio,
    /// Speaks TLS, and no WebSocket.
    BareRustls,
}

impl Peer {
    /// Returns the name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline on mio",
            Self::Tungstenite => "tungstenite on mio",
            Self::TokioTungstenite => "tokio-tungstenite",
            Self::TokioWebsockets => "tokio-websockets",
            Self::SwitchboardTokio => "switchboard-tokio",
            Self::Fastwebsockets => "fastwebsockets",
            Self::BareRustls => "rustls on mio",
        }
    }

    /// The peers of the bench `servers`.
    pub const SERVERS: [Self; 4] = [Self::Baseline, Self::Tungstenite, Self::TokioWebsockets, Self::Fastwebsockets];
    /// The servers of the bench `tokio`, ours last.
    pub const ON_TOKIO: [Self; 4] =
        [Self::TokioTungstenite, Self::TokioWebsockets, Self::Fastwebsockets, Self::SwitchboardTokio];
}

/// How a server on tokio uses its library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Code {
    /// As the library's own example of an echo server does.
    Natural,
    /// So that it is fast: all available messages are answered in one write, and tokio's budget does not interrupt it.
    #[default]
    Tuned,
}

impl Code {
    /// Returns the name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Natural => "natural",
            Self::Tuned => "tuned",
        }
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

/// Serves until it is killed. `code` matters for echo on tokio only.
///
/// # Errors
/// The poller or the listener fails, or the peer does not speak TLS, or nothing else, or only echoes. A connection's
/// failure ends only that connection.
pub fn serve(
    peer: Peer,
    mode: Mode,
    code: Code,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
) -> io::Result<()> {
    match (peer, mode, tls) {
        (Peer::Baseline, mode, None) => baseline::serve(listener, mode),
        (Peer::Tungstenite, mode, None) => tungstenite::serve(listener, mode, Ok),
        (Peer::Tungstenite, mode, Some(tls)) => tungstenite::serve_tls(listener, mode, &tls),
        (Peer::TokioTungstenite, Mode::Echo, None) => tokio_tungstenite::serve_echo(listener, code),
        (Peer::TokioWebsockets, mode, None) => tokio_websockets::serve(listener, mode, code),
        (Peer::TokioWebsockets, mode, Some(tls)) => tokio_websockets::serve_tls(listener, mode, tls),
        (Peer::Fastwebsockets, mode, None) => fastwebsockets::serve(listener, mode, code),
        (Peer::SwitchboardTokio, Mode::Echo, None) => switchboard_tokio::serve_echo(listener, code),
        (Peer::BareRustls, mode, Some(tls)) => bare_rustls::serve(listener, mode, &tls),
        (Peer::TokioTungstenite | Peer::SwitchboardTokio, Mode::Broadcast, None) => {
            Err(io::Error::other("this peer only echoes"))
        }
        (Peer::BareRustls, _, None) => Err(io::Error::other("this peer speaks nothing but TLS")),
        (Peer::Baseline | Peer::TokioTungstenite | Peer::Fastwebsockets | Peer::SwitchboardTokio, _, Some(_)) => {
            Err(io::Error::other("this peer speaks no TLS"))
        }
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

/// Accepts connections on a single-threaded runtime; `start` starts a task for each. The runtime has timers, as that of
/// `tokio::main` has.
fn on_tokio<T>(listener: TcpListener, start: impl Fn(tokio::net::TcpStream) -> T) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
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
