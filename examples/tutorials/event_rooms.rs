//! Events with acknowledgements, and rooms.

use std::io;

use switchboard::events::{JsonArrays, Router};

pub(crate) fn router() -> Router {
    Router::new(JsonArrays)
        .file("/", include_str!("page/event_rooms.html"))
        .file("/page.js", include_str!("page/page.js"))
        .on_connect(|socket| socket.emit("welcome", "join a room"))
        .on("join", |socket, room: String| socket.join(&room))
        .on("say", |socket, (room, text): (String, String)| {
            socket.to(&room).emit("said", &text);
            text.len()
        })
}

fn main() -> io::Result<()> {
    router().run(([127, 0, 0, 1], 8080).into())
}
