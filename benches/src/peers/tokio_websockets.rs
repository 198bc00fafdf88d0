//! tokio-websockets: a task per connection on one thread. In tuned code each task takes all available messages before
//! it sends, because asking for the next message flushes the earlier ones.

use std::{io, sync::Arc};

use futures_util::{FutureExt, SinkExt, StreamExt};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::broadcast::Sender,
    task::unconstrained,
};
use tokio_rustls::TlsAcceptor;
use tokio_websockets::{Config, Error, Limits, Message, ServerBuilder, WebSocketStream};

use super::{CHANNEL_CAPACITY, Code, MAX_MESSAGE_BYTES, Mode, on_tokio};

/// All tasks are unconstrained, as in the library's own example of an echo server.
pub(super) fn serve(listener: std::net::TcpListener, mode: Mode, code: Code) -> io::Result<()> {
    let published = Sender::new(CHANNEL_CAPACITY);
    on_tokio(listener, move |stream| {
        let published = published.clone();
        tokio::spawn(unconstrained(async move {
            match (mode, code) {
                (Mode::Echo, Code::Natural) => echo_naturally(stream).await,
                (Mode::Echo, Code::Tuned) | (Mode::Broadcast, _) => converse(stream, mode, published).await,
            }
        }));
    })
}

pub(super) fn serve_tls(listener: std::net::TcpListener, mode: Mode, config: Arc<ServerConfig>) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(config);
    let published = Sender::new(CHANNEL_CAPACITY);
    on_tokio(listener, move |stream| {
        let published = published.clone();
        let acceptor = acceptor.clone();
        tokio::spawn(unconstrained(async move {
            let stream = acceptor.accept(stream).await?;
            converse(stream, mode, published).await
        }));
    })
}

async fn converse(stream: impl Stream, mode: Mode, published: Sender<Message>) -> Result<(), Error> {
    let socket = open(stream).await?;
    match mode {
        Mode::Echo => echo(socket).await,
        Mode::Broadcast => broadcast(socket, published).await,
    }
}

/// What WebSocket is spoken over.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

async fn open<S: Stream>(stream: S) -> Result<WebSocketStream<S>, Error> {
    let limits = Limits::default().max_payload_len(Some(MAX_MESSAGE_BYTES));
    let config = Config::default().flush_threshold(FLUSH_BYTES);
    let (_, socket) = ServerBuilder::new().config(config).limits(limits).accept(stream).await?;
    Ok(socket)
}

/// The library's own example of an echo server.
async fn echo_naturally(stream: impl Stream) -> Result<(), Error> {
    let config = Config::default().frame_size(usize::MAX);
    let (_, mut socket) = ServerBuilder::new().config(config).limits(Limits::unlimited()).accept(stream).await?;
    while let Some(message) = socket.next().await.transpose()? {
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn echo(mut socket: WebSocketStream<impl Stream>) -> Result<(), Error> {
    let mut messages = Vec::new();
    while let Some(first) = socket.next().await {
        let mut next = Some(first);
        while let Some(message) = next.transpose()? {
            if message.is_text() || message.is_binary() {
                messages.push(message);
            }
            next = if messages.len() < AT_ONCE { socket.next().now_or_never().flatten() } else { None };
        }
        for message in messages.drain(..) {
            socket.feed(message).await?;
        }
        socket.flush().await?;
    }
    Ok(())
}

async fn broadcast(mut socket: WebSocketStream<impl Stream>, published: Sender<Message>) -> Result<(), Error> {
    let mut delivered = published.subscribe();
    loop {
        tokio::select! {
            first = delivered.recv() => {
                let mut next = first.ok();
                while let Some(message) = next {
                    socket.feed(message).await?; // its bytes are shared
                    next = delivered.try_recv().ok();
                }
                socket.flush().await?;
            }
            message = socket.next() => {
                let Some(message) = message.transpose()? else { return Ok(()) };
                if message.is_text() || message.is_binary() {
                    // There is always a receiver: this task.
                    let _ = published.send(message);
                }
            }
        }
    }
}

/// The maximum number of messages taken before they are answered.
const AT_ONCE: usize = 64;
/// The number of unsent bytes that causes a flush; the default is 8 KiB.
const FLUSH_BYTES: usize = 64 << 10;
