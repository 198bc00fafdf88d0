//! Many connections: opened and polled.

use std::{io, net::TcpStream, time::Instant};

use super::{
    Target,
    client::Client,
    poller::{Poller, Ready},
    traffic::PIECE_BYTES,
    transport::Transport,
};

/// Clients whose handshakes are done. Dropping them resets all connections.
#[derive(Debug)]
pub struct Clients {
    poller: Poller,
    pub(super) all: Vec<Client>,
    pub(super) buffer: Box<[u8; PIECE_BYTES]>,
}

impl Clients {
    /// Opens `count` connections, some at a time.
    ///
    /// # Errors
    /// A system call or a handshake fails, or a server does not upgrade the connection.
    pub fn connect(target: &Target, count: usize) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            for transport in open(target, AT_ONCE.min(count - all.len()), false)? {
                let mut transport = transport.into_nonblocking()?;
                poller.add(all.len(), transport.socket())?;
                all.push(Client::new(transport));
            }
        }
        Ok(Self { poller, all, buffer: Box::new([0; PIECE_BYTES]) })
    }

    /// As [`Poller::wait`].
    pub(super) fn wait(&mut self, deadline: Instant, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.poller.wait(deadline, ready)
    }
}

/// Opens `count` connections at once: does each step of the handshakes for all of them before the next step. With
/// `deflate` the requests offer permessage-deflate, and the server must accept it.
pub(super) fn open(target: &Target, count: usize, deflate: bool) -> io::Result<Vec<Transport<TcpStream>>> {
    let mut transports = (0..count).map(|_| Transport::connect(target)).collect::<io::Result<Vec<_>>>()?;
    for transport in &mut transports {
        transport.complete_handshake()?;
    }
    if target.is_websocket {
        let request = request(target, deflate);
        for transport in &mut transports {
            transport.write_all(request.as_bytes())?;
        }
        for transport in &mut transports {
            read_response(transport, deflate)?;
        }
    }
    Ok(transports)
}

fn request(Target { address, .. }: &Target, deflate: bool) -> String {
    let offer = if deflate { "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" } else { "" };
    format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    )
}

/// Reads the response to an upgrade request. The server sends nothing after it.
fn read_response(transport: &mut Transport<TcpStream>, deflate: bool) -> io::Result<()> {
    let mut response = [0; 1024];
    let mut length = 0;
    while !response[..length].ends_with(b"\r\n\r\n") {
        match transport.read(&mut response[length..])? {
            0 => return Err(io::Error::other("the server closes the connection before its response is complete")),
            read => length += read,
        }
    }
    let text = String::from_utf8_lossy(&response[..length]);
    let upgraded = text.starts_with("HTTP/1.1 101 ") && text.contains(ACCEPT);
    if upgraded && text.contains("permessage-deflate") == deflate {
        Ok(())
    } else {
        Err(io::Error::other(format!("the server does not upgrade the connection as asked: {text:?}")))
    }
}

/// The RFC's example ([§1.3](https://www.rfc-editor.org/rfc/rfc6455#section-1.3)).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Few enough for the listen backlog of every server.
pub(super) const AT_ONCE: usize = 64;
