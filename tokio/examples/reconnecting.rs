//! A client that stays connected: prints what arrives, sends each line of the standard input, and ends with it.
//!
//! ```text
//! cargo run -p switchboard-tokio --example reconnecting -- ws://127.0.0.1:9001
//! ```

use std::{env, error::Error};

use switchboard_tokio::{CloseCode, Message, ReconnectEvent, ReconnectingClient, Request};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("usage: reconnecting URL, such as ws://127.0.0.1:9001")?;
    let mut client = ReconnectingClient::new(Request::new(&url)?);
    let handle = client.handle();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if let Err(error) = handle.try_send(line) {
                eprintln!("{error}");
            }
        }
        handle.close(CloseCode::NORMAL_CLOSURE, "");
    });
    while let Some(event) = client.next().await {
        match event {
            ReconnectEvent::Message(Message::Text(text)) => println!("{text}"),
            ReconnectEvent::Waiting { delay, loss } => eprintln!("{loss}; again in {delay:.1?}"),
            ReconnectEvent::Closed { loss, .. } => eprintln!("{loss}"),
            _ => {}
        }
    }
    Ok(())
}
