//! An echo server on `std::net`: one thread per connection, and no dependency except the engine. It accepts
//! permessage-deflate.
//!
//! ```text
//! cargo run --example std_threads -- 127.0.0.1:9002
//! ```
//!
//! Memory per connection: one message of at most 16 MiB, and the answers to one read, which are written before the next
//! read: 16 MiB at most, of messages that compress by a thousand. Timeouts: 10 s for the request, 30 s for a write, 1 s
//! for the peer to end TCP. An idle connection keeps its thread; a public server would send Pings and close it if no
//! Pong comes.

use std::{
    env,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    ops::Range,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use switchboard::{
    Connection, Deflate, Delivery, Event, HeadLimits, Limits, Rejection, RequestError, RequestReader, SendError,
    ServerHandshake, State,
};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9002".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let started = listener.accept().and_then(|(stream, peer)| {
            thread::Builder::new().spawn(move || {
                if let Err(error) = serve(stream) {
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

/// Serves one connection from the request to the end of TCP.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let mut buffer = vec![0; READ_BYTES];
    let mut out = Vec::new();

    let opened = open(&mut stream, &mut buffer, &mut out)?;
    stream.write_all(&out)?;
    let Some((mut connection, mut unread)) = opened else { return end(&mut stream) };
    stream.set_read_timeout(None)?;
    loop {
        out.clear();
        echo(&mut connection, &mut buffer[unread], &mut out).map_err(io::Error::other)?;
        stream.write_all(&out)?;
        if connection.state() == State::Closed {
            return end(&mut stream);
        }
        unread = 0..stream.read(&mut buffer)?;
        if unread.is_empty() {
            return Ok(()); // The peer ended TCP without a Close.
        }
    }
}

/// Reads the request and appends the response to `out`.
///
/// Returns the open connection, and where in `buffer` the bytes after the request are: the first input of the
/// connection. Returns `None` if the request is refused.
fn open(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    out: &mut Vec<u8>,
) -> io::Result<Option<(Connection, Range<usize>)>> {
    // One deadline for the whole handshake: a peer that sends slowly gets no more time.
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    let mut reader = RequestReader::new(HeadLimits::default());
    loop {
        let length = read_until(stream, buffer, deadline)?;
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
    let handshake = ServerHandshake::from_request(&head)?.with_deflate(&DEFLATE);
    // A server that identifies users by cookies must call `OriginPolicy::check` here.
    let connection = handshake.accept(None, &[], Limits::default(), Delivery::Messages, out)?;
    Ok(Some((connection, used)))
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
fn end(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + LINGER_TIMEOUT;
    let mut dropped = [0; 4096];
    while let Ok(1..) = read_until(stream, &mut dropped, deadline) {}
    Ok(())
}

fn read_until(stream: &mut TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    stream.read(buffer)
}

/// The compressors and their memory budget, shared by all connections.
static DEFLATE: LazyLock<Deflate> = LazyLock::new(Deflate::default);

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 16 << 10;
