//! tokio-tungstenite: a task per connection on one thread. Echoes only.

use std::io;

use futures_util::{FutureExt, SinkExt, StreamExt, TryStreamExt, future};
use tokio::{net::TcpStream, task::unconstrained};
use tokio_tungstenite::{
    accept_async, accept_async_with_config,
    tungstenite::{Error, protocol::WebSocketConfig},
};

use super::{Code, MAX_MESSAGE_BYTES, on_tokio};

pub(super) fn serve_echo(listener: std::net::TcpListener, code: Code) -> io::Result<()> {
    on_tokio(listener, move |stream| match code {
        Code::Natural => tokio::spawn(echo(stream)),
        Code::Tuned => tokio::spawn(unconstrained(echo_tuned(stream))),
    })
}

/// The library's own example of an echo server.
async fn echo(stream: TcpStream) -> Result<(), Error> {
    let (write, read) = accept_async(stream).await?.split();
    read.try_filter(|message| future::ready(message.is_text() || message.is_binary())).forward(write).await
}

/// Flushes once no more messages are available. The library itself writes what exceeds 128 KiB.
async fn echo_tuned(stream: TcpStream) -> Result<(), Error> {
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES)).read_buffer_size(READ_BYTES);
    let mut socket = accept_async_with_config(stream, Some(config)).await?;
    loop {
        let next = match socket.next().now_or_never() {
            Some(next) => next,
            None => {
                socket.flush().await?;
                socket.next().await
            }
        };
        let Some(message) = next.transpose()? else { return Ok(()) };
        if message.is_text() || message.is_binary() {
            socket.feed(message).await?;
        }
    }
}

/// tungstenite fills its buffer with zeros before each read; the default is 128 KiB.
const READ_BYTES: usize = 16 << 10;
