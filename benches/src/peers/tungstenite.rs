//! tungstenite on mio: writes each message at once, and flushes once per readiness event or, for broadcasts, once per
//! turn of the loop.

use std::{
    io::{self, ErrorKind, Read, Write},
    sync::Arc,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use slab::Slab;
use tungstenite::{
    Error, HandshakeError, Message, WebSocket, accept_with_config,
    handshake::{
        MidHandshake,
        server::{NoCallback, ServerHandshake},
    },
    protocol::WebSocketConfig,
};

use super::{MAX_MESSAGE_BYTES, Mode, accept};

/// Serves over TLS, with the stream of rustls that tungstenite itself uses.
pub(super) fn serve_tls(listener: std::net::TcpListener, mode: Mode, config: &Arc<ServerConfig>) -> io::Result<()> {
    serve(listener, mode, |stream| {
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    })
}

/// `transport` makes what WebSocket is spoken over.
pub(super) fn serve<S: Read + Write + 'static>(
    listener: std::net::TcpListener,
    mode: Mode,
    transport: impl Fn(TcpStream) -> io::Result<S>,
) -> io::Result<()> {
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections = Slab::new();
    let mut published = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Some(mut stream) = accept(&listener)? {
                    let entry = connections.vacant_entry();
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(entry.key()), interest)?;
                    entry.insert(Connection::New(transport(stream)?));
                }
                continue;
            }
            let slot = event.token().0;
            let Some(connection) = connections.get_mut(slot) else { continue };
            let served = match mode {
                Mode::Echo => connection.echo(),
                Mode::Broadcast => connection.publish(&mut published),
            };
            if served.is_err() {
                connections.remove(slot);
            }
        }
        if !published.is_empty() {
            connections.retain(|_, connection| connection.deliver(&published).is_ok());
            published.clear();
        }
    }
}

/// A connection. The variants differ in size, but nearly all connections are open.
enum Connection<S: Read + Write> {
    New(S),
    Opening(MidHandshake<ServerHandshake<S, NoCallback>>),
    Open(WebSocket<S>),
    /// The handshake failed.
    Failed,
}

impl<S: Read + Write + 'static> Connection<S> {
    fn echo(&mut self) -> Result<(), Error> {
        let Some(socket) = self.opened()? else { return Ok(()) };
        while let Some(message) = read(socket)? {
            unless_blocked(socket.write(message))?;
        }
        unless_blocked(socket.flush())
    }

    fn publish(&mut self, published: &mut Vec<Message>) -> Result<(), Error> {
        let Some(socket) = self.opened()? else { return Ok(()) };
        while let Some(message) = read(socket)? {
            published.push(message);
        }
        unless_blocked(socket.flush())
    }

    fn deliver(&mut self, published: &[Message]) -> Result<(), Error> {
        let Self::Open(socket) = self else { return Ok(()) };
        for message in published {
            unless_blocked(socket.write(message.clone()))?; // its bytes are shared
        }
        unless_blocked(socket.flush())
    }

    /// Continues the handshake. Returns `None` while it needs more bytes.
    fn opened(&mut self) -> Result<Option<&mut WebSocket<S>>, Error> {
        if !matches!(self, Self::Open(_)) {
            let config =
                WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES)).read_buffer_size(READ_BYTES);
            let next = match std::mem::replace(self, Self::Failed) {
                Self::New(stream) => accept_with_config(stream, Some(config)),
                Self::Opening(handshake) => handshake.handshake(),
                Self::Open(socket) => Ok(socket),
                Self::Failed => return Err(Error::AlreadyClosed),
            };
            *self = match next {
                Ok(socket) => Self::Open(socket),
                Err(HandshakeError::Interrupted(handshake)) => Self::Opening(handshake),
                Err(HandshakeError::Failure(error)) => return Err(error),
            };
        }
        Ok(if let Self::Open(socket) = self { Some(socket) } else { None })
    }
}

/// Reads the next message. Returns `None` if the socket is empty.
fn read<S: Read + Write>(socket: &mut WebSocket<S>) -> Result<Option<Message>, Error> {
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Ok(Some(message)),
            Ok(_) => {}
            Err(error) if is_blocked(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Ignores `WouldBlock`: the socket keeps the unsent bytes until the next flush.
fn unless_blocked(done: Result<(), Error>) -> Result<(), Error> {
    done.or_else(|error| if is_blocked(&error) { Ok(()) } else { Err(error) })
}

fn is_blocked(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}

const LISTENER: Token = Token(usize::MAX);
/// tungstenite fills its buffer with zeros before each read. With the default of 128 KiB that takes longer than all
/// other work.
const READ_BYTES: usize = 16 << 10;
