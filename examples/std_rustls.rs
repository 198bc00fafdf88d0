//! An echo server over TLS on `std::net` and rustls: one thread per connection, with a driver between its reads and
//! writes.
//!
//! ```text
//! cargo run --features tls --example std_rustls -- 127.0.0.1:9443 certificate.pem key.pem
//! ```
//!
//! Memory per connection: one message of at most 1 MiB, the answers to one read, and what rustls buffers. Timeouts: 10
//! s for TLS and the request together, 30 s for a write, 1 s for the peer to end TCP. An idle connection keeps its
//! thread; `tokio_rustls.rs` shows Pings and a deadline for the answer.

use std::{
    env,
    error::Error,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    ops::Range,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use switchboard::{
    Connection, Delivery, Driver, HeadLimits, Limits, Next, Rejection, RequestError, RequestReader, SendError,
    ServerHandshake,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, certificate, key] = &arguments[..] else {
        return Err("usage: std_rustls ADDRESS:PORT CERTIFICATE.pem KEY.pem".into());
    };
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?);
    let listener = TcpListener::bind(address)?;
    println!("listening on wss://{}/", listener.local_addr()?);
    loop {
        let config = Arc::clone(&config);
        let started = listener.accept().and_then(|(tcp, peer)| {
            thread::Builder::new().spawn(move || {
                if let Err(error) = serve(tcp, config) {
                    eprintln!("{peer}: {error}");
                }
            })
        });
        if let Err(error) = started {
            // Most likely the process has too many open files or threads. Wait until a connection ends.
            eprintln!("cannot accept a connection: {error}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

type Stream = StreamOwned<ServerConnection, Timed>;

/// Serves one connection from the handshake of TLS to the end of TCP.
fn serve(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    tcp.set_write_timeout(Some(WRITE_TIMEOUT))?;
    // One deadline for both handshakes: a peer that sends slowly gets no more time.
    let tcp = Timed { tcp, deadline: Some(Instant::now() + HANDSHAKE_TIMEOUT) };
    let mut stream = StreamOwned::new(ServerConnection::new(config).map_err(io::Error::other)?, tcp);
    let mut buffer = vec![0; READ_BYTES];
    let mut out = Vec::new();

    let Some((connection, unread)) = open(&mut stream, &mut buffer, &mut out)? else {
        stream.write_all(&out)?;
        stream.flush()?;
        return end(&mut stream);
    };
    stream.sock.deadline = None;
    let mut driver = Driver::new(connection, out);
    echo(&mut driver, &mut buffer[unread]).map_err(io::Error::other)?;
    loop {
        match driver.next() {
            Next::Write => {
                stream.write_all(driver.output())?;
                stream.flush()?;
                driver.wrote(usize::MAX);
            }
            // An end of TCP that TLS has not announced is the error `UnexpectedEof`.
            Next::Read => match stream.read(&mut buffer)? {
                0 => return Ok(()), // The peer ended TLS without a Close.
                length => echo(&mut driver, &mut buffer[..length]).map_err(io::Error::other)?,
            },
            Next::End => return end(&mut stream),
        }
    }
}

/// Reads the request and appends the response to `out`. The first read performs the handshake of TLS.
///
/// Returns the open connection, and where in `buffer` the bytes after the request are: the first input of the
/// connection. Returns `None` if the request is refused.
fn open(stream: &mut Stream, buffer: &mut [u8], out: &mut Vec<u8>) -> io::Result<Option<(Connection, Range<usize>)>> {
    let mut reader = RequestReader::new(HeadLimits::default());
    loop {
        let length = stream.read(buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match answer(&mut reader, &buffer[..length], out) {
            Ok(None) => {}
            Ok(Some((connection, used))) => return Ok(Some((connection, used..length))),
            Err(error) => {
                Rejection::from(error).write(out).map_err(io::Error::other)?;
                return Ok(None);
            }
        }
    }
}

/// Reads more of the request, and answers it once it is whole. Returns how many of the bytes belong to it.
fn answer(
    reader: &mut RequestReader,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<Option<(Connection, usize)>, RequestError> {
    let Some((head, used)) = reader.receive(bytes)? else { return Ok(None) };
    let handshake = ServerHandshake::from_request(&head)?;
    // A server that identifies users by cookies must check `handshake.origin()` here.
    let connection = handshake.accept(None, &[], Limits::of_bytes(MAX_MESSAGE_BYTES), Delivery::Messages, out)?;
    Ok(Some((connection, used)))
}

/// Echoes the messages in the bytes that were read. The driver answers Ping and Close.
fn echo(driver: &mut Driver, bytes: &mut [u8]) -> Result<(), SendError> {
    let (mut events, mut outgoing) = driver.receive(bytes);
    // After a violation the driver has sent a Close, and there are no events.
    while let Ok(Some(event)) = events.next_event(&mut outgoing) {
        if let Some(message) = event.message() {
            outgoing.message(message)?;
        }
    }
    Ok(())
}

/// Ends TLS, then TCP, so that the last bytes, a Close or a refusal, reach the peer. Closing a socket with unread input
/// would send a reset, which may overtake them.
fn end(stream: &mut Stream) -> io::Result<()> {
    stream.conn.send_close_notify();
    stream.flush()?;
    let Timed { tcp, deadline } = &mut stream.sock;
    tcp.shutdown(Shutdown::Write)?;
    *deadline = Some(Instant::now() + LINGER_TIMEOUT);
    let mut dropped = [0; 4096];
    while let Ok(1..) = stream.sock.read(&mut dropped) {}
    Ok(())
}

/// TCP whose reads end at a deadline. One read of TLS may be several of TCP.
struct Timed {
    tcp: TcpStream,
    deadline: Option<Instant>,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.tcp.set_read_timeout(left)?;
        self.tcp.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 16 << 10;
const MAX_MESSAGE_BYTES: u64 = 1 << 20;
