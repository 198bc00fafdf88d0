//! A controller whose methods are the handlers of events.

use std::io;

use switchboard::events::{JsonArrays, Router, Socket};
use switchboard::{Config, OriginPolicy, Server};

struct ChatController;

impl ChatController {
    fn chat(socket: &mut Socket<'_>, text: String) {
        let text = format!("{} says {text}", socket.id());
        socket.broadcast("chat", &text);
    }
}

pub(crate) fn router() -> Router {
    Router::new(JsonArrays).origins(OriginPolicy::Any).on("chat", ChatController::chat)
}

fn main() -> io::Result<()> {
    let server = Server::bind(([127, 0, 0, 1], 8080).into(), Config::default())?;
    router().start(server)?.0.join()
}
