//! Events with acknowledgements, and rooms.

use std::io;

use switchboard::events::{JsonArrays, Router};
use switchboard::{Config, OriginPolicy, Server};

pub(crate) fn router() -> Router {
    Router::new(JsonArrays)
        .origins(OriginPolicy::Any)
        .on_connect(|socket| socket.emit("welcome", "join a room"))
        .on("join", |socket, room: String| socket.join(&room))
        .on("say", |socket, (room, text): (String, String)| {
            socket.to(&room).emit("said", &text);
            text.len()
        })
}

fn main() -> io::Result<()> {
    let server = Server::bind(([127, 0, 0, 1], 8080).into(), Config::default())?;
    router().start(server)?.0.join()
}
