//! The servers that ours is compared with: each echoes, or sends each message to all, its sender too. One thread,
//! TCP_NODELAY, messages of up to 16 MiB, no compression; each as a good user of that library would write it.
//!
//! | file | what |
//! |---|---|
//! | `baseline.rs` | what the kernel takes: a loop on mio with frames, but without checks |
//! | `uwebsockets.cpp` | uWebSockets; a program of its own, see `build.rs` |
//! | `tungstenite.rs` | tungstenite on mio |
//! | `tokio_websockets.rs` | tokio-websockets |
//! | `fastwebsockets.rs` | fastwebsockets on tokio and hyper |

mod baseline;
mod fastwebsockets;
mod tokio_websockets;
mod tungstenite;

use std::{
    io::{self, ErrorKind},
    net::TcpListener,
};

use clap::ValueEnum;
use socket2::{Domain, Socket, Type};

/// A peer in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    Baseline,
    Tungstenite,
    TokioWebsockets,
    Fastwebsockets,
}

impl Peer {
    /// As it is named in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline on mio",
            Self::Tungstenite => "tungstenite on mio",
            Self::TokioWebsockets => "tokio-websockets",
            Self::Fastwebsockets => "fastwebsockets",
        }
    }
}

/// What a server does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Back to its sender.
    Echo,
    /// To all who are connected, the sender too.
    Broadcast,
}

impl Mode {
    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Broadcast => "broadcast",
        }
    }
}

/// Listens on a port of loopback; 0 takes any that is free.
///
/// # Errors
/// What the system says.
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
/// What the system says of the poller or the listener. A connection's failure ends that connection only.
pub fn serve(peer: Peer, mode: Mode, listener: TcpListener) -> io::Result<()> {
    match peer {
        Peer::Baseline => baseline::serve(listener, mode),
        Peer::Tungstenite => tungstenite::serve(listener, mode),
        Peer::TokioWebsockets => tokio_websockets::serve(listener, mode),
        Peer::Fastwebsockets => fastwebsockets::serve(listener, mode),
    }
}

/// The next connection for a loop on mio; `None` when there is none.
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

/// Accepts on a runtime of one thread; `start` starts a task for each connection.
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

/// The longest message.
const MESSAGE_BYTES: usize = 16 << 20;
/// How many messages may wait for the slowest receiver of a broadcast on tokio.
const PUBLISHED: usize = 1024;

const BACKLOG: i32 = 1024;
