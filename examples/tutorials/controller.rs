//! A controller whose methods are the handlers of events.

use std::io;

use switchboard::events::{JsonArrays, Router, Socket};

struct ChatController;

impl ChatController {
    fn chat(socket: &mut Socket<'_>, text: String) {
        let text = format!("{} says {text}", socket.id());
        socket.broadcast("chat", &text);
    }
}

pub(crate) fn router() -> Router {
    Router::new(JsonArrays)
        .file("/", include_str!("page/controller.html"))
        .file("/page.js", include_str!("page/page.js"))
        .on("chat", ChatController::chat)
}

fn main() -> io::Result<()> {
    router().run(([127, 0, 0, 1], 8080).into())
}
