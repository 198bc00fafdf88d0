//! A client that speaks TLS by rustls alone.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use switchboard::TlsConfig;

pub use crate::certificates::{Authority, Pem};
use crate::server::LONG;

/// Returns the configuration of a server that is `localhost`, signed by this authority.
#[must_use]
pub fn localhost(authority: &Authority) -> TlsConfig {
    let Pem { chain, key } = authority.sign(&["localhost"]);
    TlsConfig::builder().certificate(chain.as_bytes(), key.as_bytes()).unwrap().build().unwrap()
}

/// A connection of TLS over TCP, on which each write sends what it was given.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Connects and completes the handshake.
///
/// # Errors
/// The handshake failed.
pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> io::Result<Secure> {
    over(TcpStream::connect_timeout(&address, LONG)?, config, name)
}

/// As [`connect`], over an open connection of TCP.
///
/// # Errors
/// The handshake failed.
pub fn over(stream: TcpStream, config: &Arc<ClientConfig>, name: &str) -> io::Result<Secure> {
    stream.set_read_timeout(Some(LONG))?;
    stream.set_write_timeout(Some(LONG))?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut secure = StreamOwned::new(connection, stream);
    while secure.conn.is_handshaking() {
        secure.conn.complete_io(&mut secure.sock)?;
    }
    Ok(secure)
}

/// Reads up to the end of a head of HTTP. What follows must not be sent yet.
///
/// # Panics
/// The server has ended the connection.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("the server responds");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Opens a WebSocket connection.
///
/// # Panics
/// The server refuses.
pub fn open(stream: &mut (impl Read + Write)) {
    stream.write_all(crate::server::OPENING.as_bytes()).unwrap();
    let head = read_head(stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

/// Reads a frame of the server: its first byte and its payload.
///
/// # Panics
/// The server has ended the connection.
pub fn read_frame(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("the server sends a frame");
    let length = match head[1] {
        126 => {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes).unwrap();
            u64::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes).unwrap();
            u64::from_be_bytes(bytes)
        }
        length => u64::from(length),
    };
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}
