//! A chat on axum: all in a room get what one of them says. The room is the path.
//!
//! ```text
//! cargo run -p switchboard-tokio --features axum --example axum_chat -- 127.0.0.1:9002
//! ```
//!
//! A message is encoded and compressed once for all. Silent clients get Pings, and those that read too slowly a Close
//! with 1008. After Ctrl-C all get a Close with 1001.

use std::{
    collections::HashMap,
    env, io,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use switchboard_tokio::{
    CloseCode, Config, Limits, Message, Prepared,
    axum::{AxumSocket, WebSocketUpgrade},
};
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
};

#[derive(Clone)]
struct Chat {
    rooms: Arc<Mutex<HashMap<String, broadcast::Sender<Prepared>>>>,
    stop: watch::Receiver<()>,
    config: Config,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9002".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}/ROOM", listener.local_addr()?);
    serve(listener, async { drop(tokio::signal::ctrl_c().await) }).await
}

pub(crate) async fn serve(
    listener: TcpListener,
    stopping: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopper, stop) = watch::channel(());
    let chat = Chat { rooms: Arc::default(), stop, config: Config::new().limits(Limits::of_bytes(64 << 10)) };
    let app = Router::new().route("/{room}", get(enter)).with_state(chat);
    axum::serve(listener, app).with_graceful_shutdown(stopping).await?;
    let _ = stopper.send(());
    stopper.closed().await; // All tasks have ended.
    Ok(())
}

async fn enter(upgrade: WebSocketUpgrade, Path(room): Path<String>, State(chat): State<Chat>) -> Response {
    upgrade.config(&chat.config.clone()).on_upgrade(move |socket| talk(socket, room, chat))
}

async fn talk(mut socket: AxumSocket, room: String, mut chat: Chat) {
    let (sender, mut receiver) = {
        let mut rooms = chat.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = rooms.entry(room.clone()).or_insert_with(|| broadcast::channel(64).0);
        (sender.clone(), sender.subscribe())
    };
    loop {
        let sent = tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let _ = sender.send(Prepared::text(&text));
                    Ok(())
                }
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) | None => break,
            },
            said = receiver.recv() => match said {
                Ok(message) => socket.send_prepared(&message).await,
                Err(_) => socket.close(CloseCode::POLICY_VIOLATION, "too slow").await,
            },
            _ = chat.stop.changed() => socket.close(CloseCode::GOING_AWAY, "").await,
        };
        if sent.is_err() {
            break;
        }
    }
    drop(receiver);
    let mut rooms = chat.rooms.lock().unwrap_or_else(PoisonError::into_inner);
    rooms.retain(|name, sender| *name != room || sender.receiver_count() > 0);
}
