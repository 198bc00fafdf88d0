//! Clients without a session that come, ask the server for work, and go, as fast as it answers.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    time::Duration,
};

use mio::net::TcpStream;
use socket2::SockRef;
use switchboard::{ClientHandshake, ClientRequest, HeadLimits};

use crate::random::Random;

/// Places for connections. A place whose connection has been answered opens the next one.
#[derive(Debug)]
pub(super) struct Strangers {
    address: SocketAddr,
    places: Vec<Option<Stranger>>,
    /// The index of the place that has the next turn.
    next: usize,
    /// The number of connections opened.
    opened: u64,
    answered: u64,
}

#[derive(Debug)]
struct Stranger {
    stream: TcpStream,
    /// The bytes that are not sent yet.
    request: Vec<u8>,
}

impl Strangers {
    pub(super) fn new(address: SocketAddr) -> Self {
        let places = (0..PLACES).map(|_| None).collect();
        Self { address, places, next: 0, opened: 0, answered: 0 }
    }

    /// Returns how many connections the server has answered or closed.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Opens, writes to, or reads from one connection. A connection that fails is replaced: a hostile client does not
    /// mind.
    pub(super) fn step(&mut self) -> std::io::Result<()> {
        let at = self.next;
        self.next = (at + 1) % self.places.len();
        let Some(stranger) = &mut self.places[at] else {
            self.opened += 1;
            let stream = TcpStream::connect(self.address)?;
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            self.places[at] = Some(Stranger { stream, request: request(self.address, self.opened) });
            return Ok(());
        };
        if stranger.is_answered() {
            self.answered += 1;
            self.places[at] = None;
        }
        Ok(())
    }
}

impl Stranger {
    /// Goes on. Returns whether the server has answered, or has ended the connection.
    fn is_answered(&mut self) -> bool {
        while !self.request.is_empty() {
            match self.stream.write(&self.request) {
                Ok(length) => drop(self.request.drain(..length)),
                Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected),
            }
        }
        // Any answer will do, and so will the end of the connection.
        let read = self.stream.read(&mut [0; 4096]).map(drop);
        !matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// Returns what the stranger of this number sends: it signs in as a guest, logs in with a wrong password, or opens a
/// WebSocket and shows a token that does not exist.
fn request(address: SocketAddr, number: u64) -> Vec<u8> {
    let (path, body) = match number % 3 {
        0 => ("guest", format!(r#"{{"name":"stranger {number}"}}"#)),
        1 => ("login", format!(r#"{{"name":"stranger {number}","password":"a wrong password"}}"#)),
        _ => return web_socket(address, number),
    };
    format!(
        "POST /api/{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn web_socket(address: SocketAddr, number: u64) -> Vec<u8> {
    let (host, token) = (address.to_string(), format!("Bearer {number:0>42}A"));
    let request = ClientRequest { headers: &[("Authorization", &token)], ..ClientRequest::new(&host, "/ws") };
    let mut bytes = Vec::new();
    let begun = ClientHandshake::new(&request, Random(number).bytes(), HeadLimits::default(), &mut bytes);
    debug_assert!(begun.is_ok(), "the request is valid");
    bytes
}

/// As many as the server's queue of new connections holds at least.
const PLACES: usize = 100;
