//! An echo server over TLS on tokio and tokio-rustls: one task per connection, with a driver between its reads and
//! writes.
//!
//! ```text
//! cargo run --features tls --example tokio_rustls -- 127.0.0.1:9443 certificate.pem key.pem
//! ```
//!
//! Memory per connection: one message of at most 1 MiB, the answers to one read, which are written before the next
//! read, and what rustls buffers. Timeouts: 10 s for TLS and the request together, 30 s for a write, 1 s for the peer
//! to end TCP. A peer that is silent for 30 s gets a Ping, and after 60 s the connection ends.

use std::{
    env,
    error::Error,
    io,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use switchboard::{
    CloseCode, CloseFrame, Connection, Delivery, Driver, HeadLimits, Keepalive, Limits, Next, Overdue, Rejection,
    RequestError, RequestReader, SendError, ServerHandshake, State,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout, timeout_at},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

type Stream = TlsStream<TcpStream>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, certificate, key] = &arguments[..] else {
        return Err("usage: tokio_rustls ADDRESS:PORT CERTIFICATE.pem KEY.pem".into());
    };
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(address).await?;
    println!("listening on wss://{}/", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve(tcp, acceptor).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            Err(error) => {
                // Most likely the process has too many open files. Wait until a connection ends.
                eprintln!("cannot accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one connection from the handshake of TLS to the end of TCP.
async fn serve(tcp: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut out = Vec::new();

    // One timeout for both handshakes: a peer that sends slowly gets no more time.
    let handshakes = async {
        let mut stream = acceptor.accept(tcp).await?;
        let opened = open(&mut stream, &mut buffer, &mut out).await?;
        Ok::<_, io::Error>((stream, opened))
    };
    let (mut stream, opened) = timeout(HANDSHAKE_TIMEOUT, handshakes).await??;
    let Some((connection, unread)) = opened else {
        timeout(WRITE_TIMEOUT, write(&mut stream, &out)).await??;
        return end(&mut stream).await;
    };
    let mut driver = Driver::new(connection, out);
    let mut is_new = echo(&mut driver, &mut buffer[unread]).map_err(io::Error::other)?;
    let mut keepalive = Keepalive::new(Instant::now());
    loop {
        if driver.state() != State::Open {
            keepalive.closing(Instant::now());
        }
        match driver.next() {
            Next::Write => {
                timeout(WRITE_TIMEOUT, write(&mut stream, driver.output())).await??;
                driver.wrote(usize::MAX);
            }
            Next::Read => {
                let receiver = driver.receiver();
                let unfinished = receiver.has_unfinished().then(|| receiver.buffered_bytes());
                keepalive.unfinished(unfinished, is_new, Instant::now());
                is_new = false;
                match timeout_at(keepalive.next_deadline().into(), stream.read(&mut buffer)).await {
                    // An end of TCP that TLS has not announced is the error `UnexpectedEof`.
                    Ok(Ok(0)) => return Ok(()), // The peer ended TLS without a Close.
                    Ok(length) => {
                        keepalive.heard(Instant::now());
                        is_new = echo(&mut driver, &mut buffer[..length?]).map_err(io::Error::other)?;
                    }
                    Err(_) => match keepalive.overdue(Instant::now()) {
                        Some(Overdue::Ping) => driver.outgoing().ping(b"").map_err(io::Error::other)?,
                        Some(Overdue::Silence) => driver.fail(SILENT).map_err(io::Error::other)?,
                        Some(Overdue::Message) => driver.fail(TOO_SLOW).map_err(io::Error::other)?,
                        Some(Overdue::Close) => return end(&mut stream).await,
                        None => {}
                    },
                }
            }
            Next::End => return end(&mut stream).await,
        }
    }
}

/// Reads the request and appends the response to `out`.
///
/// Returns the open connection, and where in `buffer` the bytes after the request are: the first input of the
/// connection. Returns `None` if the request is refused.
async fn open(
    stream: &mut Stream,
    buffer: &mut [u8],
    out: &mut Vec<u8>,
) -> io::Result<Option<(Connection, Range<usize>)>> {
    let mut reader = RequestReader::new(HeadLimits::default());
    loop {
        let length = stream.read(buffer).await?;
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
    // A server that identifies users by cookies must call `OriginPolicy::check` here.
    let connection = handshake.accept(None, &[], Limits::of_bytes(MAX_MESSAGE_BYTES), Delivery::Messages, out)?;
    Ok(Some((connection, used)))
}

/// Echoes the messages in the bytes that were read. The driver answers Ping and Close. Returns whether there was one.
fn echo(driver: &mut Driver, bytes: &mut [u8]) -> Result<bool, SendError> {
    let mut is_any = false;
    let (mut events, mut outgoing) = driver.receive(bytes);
    // After a violation the driver has sent a Close, and there are no events.
    while let Ok(Some(event)) = events.next_event(&mut outgoing) {
        if let Some(message) = event.message() {
            outgoing.message(message)?;
            is_any = true;
        }
    }
    Ok(is_any)
}

/// Writes all bytes, and what TLS keeps of them.
async fn write(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Ends TLS, then TCP, so that the last bytes, a Close or a refusal, reach the peer. Closing a socket with unread input
/// would send a reset, which may overtake them.
async fn end(stream: &mut Stream) -> io::Result<()> {
    timeout(WRITE_TIMEOUT, stream.shutdown()).await??;
    let (tcp, _) = stream.get_mut();
    let mut dropped = [0; 4096];
    // If the time runs out, the connection is closed all the same.
    let _ = timeout(LINGER_TIMEOUT, async { while let Ok(1..) = tcp.read(&mut dropped).await {} }).await;
    Ok(())
}

const SILENT: CloseFrame<'_> = CloseFrame { code: CloseCode::POLICY_VIOLATION, reason: "no answer to a Ping" };
const TOO_SLOW: CloseFrame<'_> =
    CloseFrame { code: CloseCode::POLICY_VIOLATION, reason: "a message was not finished in time" };
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 16 << 10;
const MAX_MESSAGE_BYTES: u64 = 1 << 20;
