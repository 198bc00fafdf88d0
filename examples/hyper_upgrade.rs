//! A WebSocket echo at `/ws` of a hyper server. Hyper reads the request and writes the response; the engine checks the
//! handshake, gives the response's header fields and takes over the connection. It accepts permessage-deflate.
//!
//! ```text
//! cargo run --example hyper_upgrade -- 127.0.0.1:9002
//! ```
//!
//! Memory per connection: a request head of at most 16 KiB, then one message of at most 1 MiB and the answers to one
//! read, which are written before the next read. Timeouts: 10 s for the request head, 30 s for a write, 1 s for the
//! peer to end TCP. An idle WebSocket stays open; a public server would send Pings and close it if no Pong comes.

use std::{borrow::Cow, convert::Infallible, env, error::Error, io, sync::LazyLock, time::Duration};

use hyper::{
    Request, Response, StatusCode, Version, body::Incoming, server::conn::http1, service::service_fn, upgrade::Upgraded,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use switchboard::{
    Connection, Deflate, Delivery, Driver, HttpVersion, Limits, Next, Rejection, SendError, ServerHandshake,
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
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES).max_headers(64);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // This fails if the peer has already disconnected; then the first read fails, too.
                let _ = stream.set_nodelay(true);
                let connection = http.serve_connection(TokioIo::new(stream), service_fn(respond)).with_upgrades();
                tokio::spawn(async move {
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

async fn respond(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let response = match request.uri().path() {
        "/ws" => upgrade(request),
        "/" => write(200, [], "The WebSocket is at /ws.\n"),
        _ => write(404, [], "Not found.\n"),
    };
    Ok(response.unwrap_or_else(|error| {
        let mut response = Response::new(error.to_string());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }))
}

/// Checks the handshake that hyper has read. Returns the response that opens or refuses the connection.
fn upgrade(mut request: Request<Incoming>) -> Result<Response<String>, Box<dyn Error>> {
    let version = if request.version() == Version::HTTP_11 { HttpVersion::Http11 } else { HttpVersion::Http10 };
    let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let handshake = match ServerHandshake::from_parts(request.method().as_str(), version, headers) {
        Ok(handshake) => handshake.with_deflate(&DEFLATE),
        Err(error) => {
            let refusal = Rejection::from(&error);
            return write(refusal.status(), refusal.headers(), refusal.body_text());
        }
    };
    // A server that identifies users by cookies must check `handshake.origin()` here.
    let response = write(101, handshake.response_headers(None)?, "")?;
    let host = handshake.host().to_owned();
    let connection = handshake.into_connection(Limits::of_bytes(MAX_MESSAGE_BYTES), Delivery::Messages);
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

fn write<'a>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a str, Cow<'a, str>)>,
    body: &str,
) -> Result<Response<String>, Box<dyn Error>> {
    let response = Response::builder().status(status);
    let response = headers.into_iter().fold(response, |response, (name, value)| response.header(name, &*value));
    Ok(response.body(body.to_owned())?)
}

/// Serves the open connection up to the end of TCP. The first read returns bytes that hyper has read after the request.
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
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 16 << 10;
const MAX_MESSAGE_BYTES: u64 = 1 << 20;
