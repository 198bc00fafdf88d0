//! A client that says hello, shows the answer, and closes. It comes back if the connection is lost before.

use switchboard::CloseCode;
use switchboard::client::{Client, Message, ReconnectEvent, ReconnectingClient};

/// Returns the server's first answer.
pub(crate) fn greet(url: &str) -> Option<String> {
    let mut client = ReconnectingClient::new(Client::builder(), url);
    client.on_open(|connection| connection.send_text("hello"));
    let (handle, mut answer) = (client.handle(), None);
    client.run(|event| match event {
        ReconnectEvent::Message(Message::Text(text)) => {
            answer = Some(text);
            handle.close(CloseCode::NORMAL_CLOSURE, "bye");
        }
        change => eprintln!("{change:?}"),
    });
    answer
}

fn main() {
    println!("{:?}", greet("ws://127.0.0.1:8080/"));
}
