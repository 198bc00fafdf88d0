//! Many connections: opened, polled, and closed by a reset, so that no port stays in TIME_WAIT.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use socket2::SockRef;

use super::{
    client::Client,
    poller::{Poller, Ready},
    traffic::PIECE_BYTES,
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
    /// A system call fails, or a server does not upgrade the connection.
    pub fn connect(address: SocketAddr, count: usize) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            for stream in open(address, AT_ONCE.min(count - all.len()), false)? {
                stream.set_nonblocking(true)?;
                let mut stream = mio::net::TcpStream::from_std(stream);
                poller.add(all.len(), &mut stream)?;
                all.push(Client::new(stream));
            }
        }
        Ok(Self { poller, all, buffer: Box::new([0; PIECE_BYTES]) })
    }

    /// As [`Poller::wait`].
    pub(super) fn wait(&mut self, deadline: Instant, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.poller.wait(deadline, ready)
    }
}

/// Opens `count` connections at once: sends all requests, then reads all responses. With `deflate` the requests offer
/// permessage-deflate, and the server must accept it.
pub(super) fn open(address: SocketAddr, count: usize, deflate: bool) -> io::Result<Vec<TcpStream>> {
    let offer = if deflate { "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" } else { "" };
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    );
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(address)?;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
        stream.write_all(request.as_bytes())?;
        streams.push(stream);
    }
    for stream in &streams {
        read_response(stream, deflate)?;
    }
    Ok(streams)
}

/// Reads the response to an upgrade request. The server sends nothing after it.
fn read_response(stream: &TcpStream, deflate: bool) -> io::Result<()> {
    let mut response = [0; 1024];
    let mut length = 0;
    while !response[..length].ends_with(b"\r\n\r\n") {
        match (&mut &*stream).read(&mut response[length..])? {
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
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
