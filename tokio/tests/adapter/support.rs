//! Both ends of a connection in memory.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use switchboard::{Connection, Delivery, KeySource, Limits, Masked, MaskingKey};
use switchboard_tokio::{Config, WebSocket};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, DuplexStream, ReadBuf, duplex};

/// The keys of a test's client.
#[derive(Debug)]
pub(crate) struct Keys;

impl KeySource for Keys {
    fn next_key(&mut self) -> MaskingKey {
        MaskingKey([1, 2, 3, 4])
    }
}

pub(crate) type Client<S> = WebSocket<S, Masked<Keys>>;

/// Makes a server's end of an open connection.
pub(crate) fn server<S: AsyncRead + AsyncWrite + Unpin>(stream: S, limits: Limits, config: &Config) -> WebSocket<S> {
    WebSocket::from_upgraded(stream, [], Connection::server(limits, Delivery::Messages), config)
}

/// Makes a client's end of an open connection.
pub(crate) fn client<S: AsyncRead + AsyncWrite + Unpin>(stream: S, config: &Config) -> Client<S> {
    WebSocket::from_upgraded(stream, [], Connection::client(Keys, Limits::default(), Delivery::Messages), config)
}

/// Makes both ends, with a pipe of `bytes` bytes between them in each direction.
pub(crate) fn pair(bytes: usize) -> (WebSocket<DuplexStream>, Client<DuplexStream>) {
    let (near, far) = duplex(bytes);
    let config = Config::new();
    (server(near, Limits::default(), &config), client(far, &config))
}

/// Makes a server's end, and the stream of a client that writes its own bytes.
pub(crate) fn raw(bytes: usize, config: &Config) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(bytes);
    (server(near, Limits::of_bytes(1000), config), far)
}

/// Encodes a client's frame of at most 125 bytes, with a masking key of zeros.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).expect("a short frame"), 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// Reads up to the end of the stream.
pub(crate) async fn read_all(stream: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the stream can be read");
    bytes
}

/// Counts the writes to a stream.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    stream: S,
    writes: Arc<AtomicUsize>,
}

impl<S> Counted<S> {
    pub(crate) fn new(stream: S) -> (Self, Arc<AtomicUsize>) {
        let writes = Arc::default();
        (Self { stream, writes: Arc::clone(&writes) }, writes)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        this.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
