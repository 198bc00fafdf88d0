//! Numbers the connections, and sends each text to all of them with its sender's number.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use switchboard::events::{Emitter, JsonObjects, Router};
use switchboard::{Config, OriginPolicy, Server};

type Numbers = Router<u64, JsonObjects>;

pub(crate) fn router() -> Numbers {
    let latest = AtomicU64::new(0);
    Router::with_state(JsonObjects, move |_| Ok(latest.fetch_add(1, Relaxed) + 1))
        .origins(OriginPolicy::Any)
        .on("say", |socket, text: String| {
            let text = format!("{}: {text}", socket.state());
            socket.emit("said", &text);
            socket.broadcast("said", &text);
        })
        .on_disconnect(|number, _, _, everyone: &Emitter<_, _>| everyone.emit("left", &number))
}

fn main() -> io::Result<()> {
    let server = Server::bind(([127, 0, 0, 1], 8080).into(), Config::default())?;
    router().start(server)?.0.join()
}
