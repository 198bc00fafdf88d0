//! fastwebsockets on hyper, with a task per connection on one thread. Natural code is its own example of an echo server.
//! Tuned code takes the socket back from hyper and writes into a buffer. To broadcast, each connection is split, and a
//! second task writes.

use std::{convert::Infallible, io, pin::pin, sync::Arc, task::Poll};

use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocket, WebSocketError, upgrade,
};
use futures_util::poll;
use http_body_util::Empty;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::BufWriter,
    net::TcpStream,
    sync::{Mutex, broadcast::Sender},
    task::unconstrained,
};

use super::{CHANNEL_CAPACITY, Code, MAX_MESSAGE_BYTES, Mode, on_tokio};

pub(super) fn serve(listener: std::net::TcpListener, mode: Mode, code: Code) -> io::Result<()> {
    let published = Sender::new(CHANNEL_CAPACITY);
    on_tokio(listener, move |stream| {
        let published = published.clone();
        let service = service_fn(move |request| {
            let published = published.clone();
            async move { answer(request, mode, code, published) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
        tokio::spawn(connection);
    })
}

type Socket = WebSocket<TokioIo<Upgraded>>;
type Published = Sender<(OpCode, Bytes)>;

fn answer(
    mut request: Request<Incoming>,
    mode: Mode,
    code: Code,
    published: Published,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = upgrade::upgrade(&mut request)?;
    tokio::spawn(unconstrained(async move {
        let mut socket = upgraded.await?;
        socket.set_max_message_size(MAX_MESSAGE_BYTES);
        match (mode, code) {
            (Mode::Echo, Code::Natural) => echo(socket).await,
            (Mode::Echo, Code::Tuned) => echo_tuned(socket).await,
            (Mode::Broadcast, _) => broadcast(socket, published).await,
        }
    }));
    Ok(response)
}

async fn echo(socket: Socket) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

/// Flushes once no more frames are available, or the buffer is full.
async fn echo_tuned(socket: Socket) -> Result<(), WebSocketError> {
    // hyper has read nothing after the request: no client sends before the response.
    let upgraded = socket.into_inner().into_inner().downcast::<TokioIo<TcpStream>>();
    let stream = upgraded.map_err(|_| WebSocketError::ConnectionClosed)?.io.into_inner();
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_max_message_size(MAX_MESSAGE_BYTES);
    // Replies would have to be written by the reading half.
    socket.set_auto_pong(false);
    socket.set_auto_close(false);
    let (reader, mut writer) = socket.split(|stream| {
        let (read, write) = stream.into_split();
        (read, BufWriter::with_capacity(WRITE_BYTES, write))
    });
    let mut reader = FragmentCollectorRead::new(reader);
    loop {
        let mut no_reply = async |_: Frame<'_>| Ok::<_, Infallible>(());
        let frame = {
            let mut next = pin!(reader.read_frame(&mut no_reply));
            match poll!(next.as_mut()) {
                Poll::Ready(frame) => frame?,
                Poll::Pending => {
                    writer.flush().await?;
                    next.await?
                }
            }
        };
        match frame.opcode {
            OpCode::Close => {
                writer.write_frame(Frame::close_raw(frame.payload)).await?;
                return writer.flush().await;
            }
            OpCode::Text | OpCode::Binary => writer.write_frame(frame).await?,
            OpCode::Ping => writer.write_frame(Frame::pong(frame.payload)).await?,
            OpCode::Continuation | OpCode::Pong => {}
        }
    }
}

async fn broadcast(socket: Socket, published: Published) -> Result<(), WebSocketError> {
    let (reader, writer) = socket.split(tokio::io::split);
    let mut reader = FragmentCollectorRead::new(reader);
    let writer = Arc::new(Mutex::new(writer));
    let mut delivered = published.subscribe();
    let deliveries = Arc::clone(&writer);
    let delivering = tokio::spawn(unconstrained(async move {
        while let Ok((opcode, payload)) = delivered.recv().await {
            let frame = Frame::new(true, opcode, None, Payload::Borrowed(&payload));
            deliveries.lock().await.write_frame(frame).await?;
        }
        Ok::<_, WebSocketError>(())
    }));
    let result = loop {
        // Sends the reader's own replies to Ping and Close.
        let mut send = |frame| {
            let writer = Arc::clone(&writer);
            async move { writer.lock().await.write_frame(frame).await }
        };
        match reader.read_frame(&mut send).await {
            Ok(frame) if frame.opcode == OpCode::Close => break Ok(()),
            Ok(frame) if matches!(frame.opcode, OpCode::Text | OpCode::Binary) => {
                // There is always a receiver: the task above.
                let _ = published.send((frame.opcode, Bytes::copy_from_slice(&frame.payload)));
            }
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    delivering.abort();
    result
}

/// The capacity of the buffer to write from.
const WRITE_BYTES: usize = 64 << 10;
