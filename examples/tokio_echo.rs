//! An echo server on tokio: one task per connection, with the engine between its reads and writes.
//!
//! ```text
//! cargo run --example tokio_echo -- 127.0.0.1:9002
//! ```
//!
//! Memory per connection: one message of at most 1 MiB, and the answers to one read, which are written before the next
//! read. Timeouts: 10 s for the request, 30 s for a write, 1 s for the peer to end TCP. An idle connection stays open;
//! a public server would send Pings and close it if no Pong comes.

use std::{env, io, ops::Range, time::Duration};

use switchboard::{
    Connection, Delivery, Event, HeadLimits, Limits, Rejection, RequestReader, SendError, ServerHandshake, State,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9002".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(async move {
                    if let Err(error) = serve(stream).await {
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

/// Serves one connection from the request to the end of TCP.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut out = Vec::new();

    // One timeout for the whole handshake: a peer that sends slowly gets no more time.
    let opened = timeout(HANDSHAKE_TIMEOUT, open(&mut stream, &mut buffer, &mut out)).await??;
    timeout(WRITE_TIMEOUT, stream.write_all(&out)).await??;
    let Some((mut connection, mut unread)) = opened else { return end(&mut stream).await };
    loop {
        out.clear();
        echo(&mut connection, &mut buffer[unread], &mut out).map_err(io::Error::other)?;
        timeout(WRITE_TIMEOUT, stream.write_all(&out)).await??;
        if connection.state() == State::Closed {
            return end(&mut stream).await;
        }
        unread = 0..stream.read(&mut buffer).await?;
        if unread.is_empty() {
            return Ok(()); // The peer ended TCP without a Close.
        }
    }
}

/// Reads the request and appends the response to `out`.
///
/// Returns the open connection, and where in `buffer` the bytes after the request are: the first input of the
/// connection. Returns `None` if the request is refused.
async fn open(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    out: &mut Vec<u8>,
) -> io::Result<Option<(Connection, Range<usize>)>> {
    let mut reader = RequestReader::new(HeadLimits::default());
    loop {
        let length = stream.read(buffer).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let rejection = match reader.receive(&buffer[..length]) {
            Ok(None) => continue,
            Ok(Some((head, used))) => match ServerHandshake::from_request(&head) {
                // A server that identifies users by cookies must check `handshake.origin()` here.
                Ok(handshake) => {
                    let limits = Limits::of_bytes(MAX_MESSAGE_BYTES);
                    let accepted = handshake.accept(None, &[], limits, Delivery::Messages, out);
                    return Ok(Some((accepted.map_err(io::Error::other)?, used..length)));
                }
                Err(error) => Rejection::from(&error),
            },
            Err(error) => Rejection::from(&error),
        };
        rejection.write(out).map_err(io::Error::other)?;
        return Ok(None);
    }
}

/// Handles the bytes that were read, and appends the frames to send: the echoed messages, and the replies to Ping
/// and Close.
fn echo(connection: &mut Connection, bytes: &mut [u8], out: &mut Vec<u8>) -> Result<(), SendError> {
    let Connection { receiver, sender } = connection;
    let mut events = receiver.receive(bytes);
    loop {
        let event = match events.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(error) => return sender.fail(&error, out), // sends a Close with the code of the error
        };
        match event {
            Event::Text(text) => sender.text(text, out)?,
            Event::Binary(payload) => sender.binary(payload, out)?,
            _ => {}
        }
        if let Some(reply) = event.reply() {
            sender.reply(reply, out)?; // Ping and Close
        }
    }
}

/// Ends TCP so that the last bytes, a Close or a refusal, reach the peer. Closing a socket with unread input would send
/// a reset, which may overtake them.
async fn end(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut dropped = [0; 4096];
    // If the time runs out, the connection is closed all the same.
    let _ = timeout(LINGER_TIMEOUT, async { while let Ok(1..) = stream.read(&mut dropped).await {} }).await;
    Ok(())
}

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 16 << 10;
const MAX_MESSAGE_BYTES: u64 = 1 << 20;
