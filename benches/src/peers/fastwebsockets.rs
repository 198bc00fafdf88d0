//! fastwebsockets: its own example of an echo server on hyper, with a task per connection on one thread. To broadcast,
//! each connection is split, and a second task writes.

use std::{io, sync::Arc};

use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, WebSocket, WebSocketError, upgrade,
};
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
    sync::{Mutex, broadcast::Sender},
    task::unconstrained,
};

use super::{CHANNEL_CAPACITY, MAX_MESSAGE_BYTES, Mode, on_tokio};

pub(super) fn serve(listener: std::net::TcpListener, mode: Mode) -> io::Result<()> {
    let published = Sender::new(CHANNEL_CAPACITY);
    on_tokio(listener, move |stream| {
        let published = published.clone();
        let service = service_fn(move |request| {
            let published = published.clone();
            async move { answer(request, mode, published) }
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
    published: Published,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = upgrade::upgrade(&mut request)?;
    tokio::spawn(unconstrained(async move {
        let mut socket = upgraded.await?;
        socket.set_max_message_size(MAX_MESSAGE_BYTES);
        match mode {
            Mode::Echo => echo(socket).await,
            Mode::Broadcast => broadcast(socket, published).await,
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
