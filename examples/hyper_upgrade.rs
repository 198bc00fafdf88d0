//! A WebSocket echo at `/ws` of a hyper server, in HTTP/1.1 by an upgrade, in HTTP/2 by an extended CONNECT (RFC 8441).
//! Hyper reads the request and writes the response; the engine checks the handshake, makes the response and takes over
//! the connection, or in HTTP/2 the stream. It accepts permessage-deflate.
//!
//! ```text
//! cargo run --features http --example hyper_upgrade -- 127.0.0.1:9002
//! ```
//!
//! Memory per WebSocket: a request head of at most 16 KiB, then one message of at most 16 MiB and the answers to one
//! read, which are written before the next read: 16 MiB at most, of messages that compress by a thousand. A connection
//! of HTTP/2 has at most 100 streams. Timeouts: 10 s for the head of a request in HTTP/1.1, 30 s for a write, 1 s for
//! the peer to end TCP or the stream. An idle WebSocket stays open; a public server would send Pings and close it if no
//! Pong comes.

use std::{env, io, sync::LazyLock, time::Duration};

use hyper::{Request, Response, body::Incoming, ext::Protocol, service::service_fn, upgrade::Upgraded};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use switchboard::{
    Connection, Deflate, Delivery, Driver, InvalidHeader, Limits, Next, Rejection, SendError, ServerHandshake,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{sleep, timeout},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9002".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}/ws", listener.local_addr()?);
    serve_all(listener).await
}

/// Serves all connections of the listener, for ever.
pub(crate) async fn serve_all(listener: TcpListener) -> io::Result<()> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(64);
    http.http2().enable_connect_protocol().max_concurrent_streams(MAX_STREAMS).max_header_list_size(16 << 10);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // This fails if the peer has already disconnected; then the first read fails, too.
                let _ = stream.set_nodelay(true);
                let http = http.clone();
                tokio::spawn(async move {
                    let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(respond));
                    if let Err(error) = connection.await {
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

async fn respond(request: Request<Incoming>) -> Result<Response<String>, InvalidHeader> {
    match request.uri().path() {
        "/ws" => open(request),
        "/" => Ok(Response::new("The WebSocket is at /ws.\n".to_owned())),
        _ => Rejection::text(404, "Not found.\n").to_http(request.version()),
    }
}

/// Checks the handshake that hyper has read. Returns the response that opens or refuses the connection.
fn open(mut request: Request<Incoming>) -> Result<Response<String>, InvalidHeader> {
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    let handshake = match ServerHandshake::from_http(&request, protocol) {
        Ok(handshake) => handshake.with_deflate(&DEFLATE),
        Err(error) => return Rejection::from(error).to_http(request.version()),
    };
    // A server that identifies users by cookies must call `OriginPolicy::check` here.
    let response = handshake.to_http(None)?;
    let host = handshake.host().to_owned();
    let connection = handshake.into_connection(Limits::default(), Delivery::Messages);
    // The upgrade completes after hyper has written the response, so another task awaits it.
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let served = match upgraded.await {
            Ok(upgraded) => serve(upgraded, connection).await,
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = served {
            eprintln!("{host}: {error}");
        }
    });
    Ok(response)
}

/// Serves the open connection up to the end of TCP, or of the stream. The first read returns bytes that hyper has read
/// after the request.
async fn serve(upgraded: Upgraded, connection: Connection) -> io::Result<()> {
    let mut stream = TokioIo::new(upgraded);
    let mut driver = Driver::new(connection, Vec::new());
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match driver.next() {
            Next::Write => {
                timeout(WRITE_TIMEOUT, stream.write_all(driver.output())).await??;
                driver.wrote(usize::MAX);
            }
            Next::Read => match stream.read(&mut buffer).await? {
                0 => return Ok(()), // The peer ended TCP without a Close.
                length => echo(&mut driver, &mut buffer[..length]).map_err(io::Error::other)?,
            },
            Next::End => break,
        }
    }
    // Read and drop input so that our Close reaches the peer. Closing a socket with unread input would send a reset,
    // which may overtake it.
    stream.shutdown().await?;
    let _ = timeout(LINGER_TIMEOUT, async { while let Ok(1..) = stream.read(&mut buffer).await {} }).await;
    Ok(())
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

/// The compressors and their memory budget, shared by all connections.
static DEFLATE: LazyLock<Deflate> = LazyLock::new(Deflate::default);

const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_STREAMS: u32 = 100;
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 16 << 10;
