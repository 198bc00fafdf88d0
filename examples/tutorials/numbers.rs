//! Numbers the connections, and sends each text to all of them with its sender's number.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use switchboard::events::{Emitter, JsonObjects, Router};

type Numbers = Router<u64, JsonObjects>;

pub(crate) fn router() -> Numbers {
    let latest = AtomicU64::new(0);
    Router::with_state(JsonObjects, move |_| Ok(latest.fetch_add(1, Relaxed) + 1))
        .file("/", include_str!("page/numbers.html"))
        .file("/page.js", include_str!("page/page.js"))
        .on("say", |socket, text: String| {
            let text = format!("{}: {text}", socket.state());
            socket.emit("said", &text);
            socket.broadcast("said", &text);
        })
        .on_disconnect(|number, _, _, everyone: &Emitter<_, _>| everyone.emit("left", &number))
}

fn main() -> io::Result<()> {
    router().run(([127, 0, 0, 1], 8080).into())
}
