//! Ours on tokio, switchboard-tokio: a task per connection on one thread. Echoes only.

use std::{error::Error, io};

use tokio::{net::TcpStream, task::unconstrained};

use super::{Code, on_tokio};

pub(super) fn serve_echo(listener: std::net::TcpListener, code: Code) -> io::Result<()> {
    on_tokio(listener, move |stream| match code {
        Code::Natural => tokio::spawn(echo(stream)),
        // Its loop is that of tuned code already.
        Code::Tuned => tokio::spawn(unconstrained(echo(stream))),
    })
}

/// The server in its README.
async fn echo(stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut socket = switchboard_tokio::accept(stream).await?;
    while let Some(message) = socket.next().await.transpose()? {
        if message.is_data() {
            socket.feed(message).await?;
        }
    }
    Ok(())
}
