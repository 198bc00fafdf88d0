//! Guests: they sign in, each under a name of their own, and open their WebSockets. Some at a time, so that no queue of
//! connections runs over and one commit lets many in.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    ops::Range,
    time::Duration,
};

use serde::Deserialize;
use socket2::SockRef;
use switchboard::{ClientHandshake, ClientRequest, HeadLimits};

use super::{line::Line, words};
use crate::random::Random;

/// Lets so many in.
///
/// # Errors
/// What the system says, or that the server does not let somebody in.
pub(super) fn enter(address: SocketAddr, count: usize) -> io::Result<Vec<Line>> {
    let mut lines = Vec::with_capacity(count);
    while lines.len() < count {
        let some = lines.len()..count.min(lines.len() + AT_ONCE);
        let tokens = sign_in(address, some.clone())?;
        let asked: io::Result<Vec<_>> = some.zip(&tokens).map(|(member, token)| ask(address, member, token)).collect();
        for (stream, handshake, keys) in asked? {
            lines.push(open(stream, handshake, keys)?);
        }
    }
    Ok(lines)
}

#[derive(Deserialize)]
struct SignedIn {
    token: String,
}

/// Gives their tokens.
fn sign_in(address: SocketAddr, members: Range<usize>) -> io::Result<Vec<String>> {
    let asked = members.map(|member| {
        let body = format!(r#"{{"name":"{}","token":true}}"#, words::name(member));
        let mut stream = connect(address)?;
        write!(
            stream,
            "POST /api/guest HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        Ok(stream)
    });
    let asked: Vec<TcpStream> = asked.collect::<io::Result<_>>()?;
    let answered = asked.into_iter().map(|mut stream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").filter(|(head, _)| head.starts_with("HTTP/1.1 201 "));
        let signed_in = body.and_then(|(_, body)| serde_json::from_str::<SignedIn>(body).ok());
        let not_let_in = || io::Error::other(format!("the server does not let a guest in: {answer}"));
        signed_in.map(|SignedIn { token }| token).ok_or_else(not_let_in)
    });
    answered.collect()
}

/// Asks for a WebSocket.
fn ask(address: SocketAddr, member: usize, token: &str) -> io::Result<(TcpStream, ClientHandshake, Random)> {
    let mut keys = Random(member as u64);
    let (host, bearer) = (address.to_string(), format!("Bearer {token}"));
    let request = ClientRequest {
        subprotocols: &["switchboard.v1"],
        headers: &[("Authorization", &bearer)],
        ..ClientRequest::new(&host, "/ws")
    };
    let mut bytes = Vec::new();
    let handshake = ClientHandshake::new(&request, keys.bytes(), HeadLimits::default(), &mut bytes);
    let mut stream = connect(address)?;
    stream.write_all(&bytes)?;
    Ok((stream, handshake.map_err(io::Error::other)?, keys))
}

fn open(mut stream: TcpStream, mut handshake: ClientHandshake, keys: Random) -> io::Result<Line> {
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(io::Error::other("the server ends its answer to an upgrade too early"));
        }
        if let Some((established, used)) = handshake.receive(&buffer[..length]).map_err(io::Error::other)? {
            stream.set_nonblocking(true)?;
            let stream = mio::net::TcpStream::from_std(stream);
            return Line::new(stream, established, keys, &mut buffer[used..length]);
        }
    }
}

/// A connection that ends by a reset, so that no port waits for its next use.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    Ok(stream)
}

const AT_ONCE: usize = 64;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
