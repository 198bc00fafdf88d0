//! tokio-websockets: a task per connection on one thread. It takes all messages that are there and then sends, for to ask
//! for the next one flushes what was sent before.

use std::io;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::{net::TcpStream, sync::broadcast::Sender, task::unconstrained};
use tokio_websockets::{Config, Error, Limits, Message, ServerBuilder, WebSocketStream};

use super::{MESSAGE_BYTES, Mode, PUBLISHED, on_tokio};

pub(super) fn serve(listener: std::net::TcpListener, mode: Mode) -> io::Result<()> {
    let published = Sender::new(PUBLISHED);
    on_tokio(listener, move |stream| {
        let published = published.clone();
        // As its own example of an echo server does.
        tokio::spawn(unconstrained(async move {
            let socket = open(stream).await?;
            match mode {
                Mode::Echo => echo(socket).await,
                Mode::Broadcast => broadcast(socket, published).await,
            }
        }));
    })
}

async fn open(stream: TcpStream) -> Result<WebSocketStream<TcpStream>, Error> {
    let limits = Limits::default().max_payload_len(Some(MESSAGE_BYTES));
    let config = Config::default().flush_threshold(FLUSH_BYTES);
    let (_, socket) = ServerBuilder::new().config(config).limits(limits).accept(stream).await?;
    Ok(socket)
}

async fn echo(mut socket: WebSocketStream<TcpStream>) -> Result<(), Error> {
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

async fn broadcast(mut socket: WebSocketStream<TcpStream>, published: Sender<Message>) -> Result<(), Error> {
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
                    // Someone receives it: this task at least.
                    let _ = published.send(message);
                }
            }
        }
    }
}

/// How many messages are taken before they are answered.
const AT_ONCE: usize = 64;
/// How much is sent before it is flushed anyway; the default is 8 KiB.
const FLUSH_BYTES: usize = 64 << 10;
