//! Signs guests in, each under its own name, and opens their WebSockets. They come in batches: a batch fits into the
//! server's listen queue, and one database commit signs in many guests.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    ops::Range,
    time::Duration,
};

use serde::Deserialize;
use socket2::SockRef;
use switchboard::{ClientHandshake, ClientRequest, HeadLimits};

use super::{connection::ChatConnection, messages};
use crate::random::Random;

/// Signs in and connects the guests with these numbers.
///
/// # Errors
/// An I/O error, or the server refuses a guest.
pub(super) fn connect_all(address: SocketAddr, members: Range<usize>) -> io::Result<Vec<ChatConnection>> {
    let mut connections = Vec::with_capacity(members.len());
    while connections.len() < members.len() {
        let begin = members.start + connections.len();
        let batch = begin..members.end.min(begin + BATCH_SIZE);
        let tokens = sign_in(address, batch.clone())?;
        let pending: io::Result<Vec<_>> =
            batch.zip(&tokens).map(|(member, token)| start_handshake(address, member, token)).collect();
        for (stream, handshake, keys) in pending? {
            connections.push(finish_handshake(stream, handshake, keys)?);
        }
    }
    Ok(connections)
}

#[derive(Deserialize)]
struct SignedIn {
    token: String,
}

/// Connects one more time, with the token of a guest.
///
/// # Errors
/// An I/O error, or the server refuses the connection.
pub(super) fn connect(address: SocketAddr, member: usize, token: &str) -> io::Result<ChatConnection> {
    let (stream, handshake, keys) = start_handshake(address, member, token)?;
    finish_handshake(stream, handshake, keys)
}

/// Signs guests in and returns their tokens. They are at most as many as the server's queue of new connections holds.
///
/// # Errors
/// An I/O error, or the server refuses a guest.
pub(super) fn sign_in(address: SocketAddr, members: Range<usize>) -> io::Result<Vec<String>> {
    let pending = members.map(|member| {
        let body = format!(r#"{{"name":"{}","token":true}}"#, messages::name(member));
        let mut stream = open_stream(address)?;
        write!(
            stream,
            "POST /api/guest HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        Ok(stream)
    });
    let pending: Vec<TcpStream> = pending.collect::<io::Result<_>>()?;
    let tokens = pending.into_iter().map(|mut stream| {
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let body = response.split_once("\r\n\r\n").filter(|(head, _)| head.starts_with("HTTP/1.1 201 "));
        let signed_in = body.and_then(|(_, body)| serde_json::from_str::<SignedIn>(body).ok());
        let refused = || io::Error::other(format!("the server refuses to sign a guest in: {response}"));
        signed_in.map(|SignedIn { token }| token).ok_or_else(refused)
    });
    tokens.collect()
}

/// Connects and sends the request of the WebSocket handshake.
fn start_handshake(
    address: SocketAddr,
    member: usize,
    token: &str,
) -> io::Result<(TcpStream, ClientHandshake, Random)> {
    let mut keys = Random(member as u64);
    let (host, bearer) = (address.to_string(), format!("Bearer {token}"));
    let request = ClientRequest {
        subprotocols: &["switchboard.v1"],
        headers: &[("Authorization", &bearer)],
        ..ClientRequest::new(&host, "/ws")
    };
    let mut bytes = Vec::new();
    let handshake = ClientHandshake::new(&request, keys.bytes(), HeadLimits::default(), &mut bytes);
    let mut stream = open_stream(address)?;
    stream.write_all(&bytes)?;
    Ok((stream, handshake.map_err(io::Error::other)?, keys))
}

fn finish_handshake(mut stream: TcpStream, mut handshake: ClientHandshake, keys: Random) -> io::Result<ChatConnection> {
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(io::Error::other("the server closed a connection during the handshake"));
        }
        if let Some((established, used)) = handshake.receive(&buffer[..length]).map_err(io::Error::other)? {
            stream.set_nonblocking(true)?;
            let stream = mio::net::TcpStream::from_std(stream);
            return ChatConnection::new(stream, established, keys, &mut buffer[used..length]);
        }
    }
}

/// Opens a connection that will be reset when it is dropped, so that its port can be reused at once (no TIME_WAIT).
fn open_stream(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    Ok(stream)
}

const BATCH_SIZE: usize = 64;
const READ_TIMEOUT: Duration = Duration::from_secs(10);
