//! An echo server: one task per connection.
//!
//! ```text
//! cargo run -p switchboard-tokio --example echo_server -- 127.0.0.1:9002
//! ```

use std::{env, io, time::Duration};

use switchboard_tokio::{Error, accept};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9002".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(async move {
                    if let Err(error) = serve(stream).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            Err(error) => {
                // Most likely the process has too many open files. Wait until a connection ends.
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let mut socket = accept(stream).await?;
    while let Some(message) = socket.next().await {
        match message {
            // Everything that is fed is written before the next read.
            Ok(message) if message.is_data() => socket.feed(message).await?,
            Ok(_) => {} // a Ping or a Close, which is answered already
            Err(Error::Disconnected) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
