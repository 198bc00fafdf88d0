//! A lobby that ends a connection after five minutes without a message from it, with tests that need no socket and no
//! waiting: `cargo test -p switchboard --features testing --example tested_lobby`.

use std::{convert::Infallible, io, time::Duration};

use switchboard::{App, CloseCode, Config, Context, Handshake, Message, Server, Verdict};

pub(crate) struct Lobby;

const SILENCE: u32 = 0;
const MAX_SILENCE: Duration = Duration::from_secs(5 * 60);

/// Begins the time of silence anew. A connection that has too many timers is not watched; this app sets one.
fn watch(context: &mut Context<'_>) {
    let _ = context.set_timer(SILENCE, MAX_SILENCE);
}

impl App for Lobby {
    type Peer = ();
    type Told = Infallible;

    fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
        verdict.accept(());
    }

    fn opened(&mut self, _: &mut (), context: &mut Context<'_>) {
        context.subscribe("lobby");
        watch(context);
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        context.publish("lobby", message);
        watch(context);
    }

    fn timer(&mut self, _: &mut (), _: u32, context: &mut Context<'_>) {
        let _ = context.close(CloseCode::NORMAL_CLOSURE, "you said nothing");
    }
}

fn main() -> io::Result<()> {
    let server = Server::bind(([127, 0, 0, 1], 8080).into(), Config::default())?;
    server.start(|_remote| Lobby)?.join()
}

#[cfg(test)]
mod tests {
    use switchboard::testing::TestServer;

    use super::*;

    #[test]
    fn each_message_reaches_everybody() {
        let server = TestServer::new(Config::default(), |_remote| Lobby);
        let (mut ann, mut bob) = (server.connect("/"), server.connect("/"));
        ann.text("hello");
        ann.expect_text("hello");
        bob.expect_text("hello");
        bob.expect_nothing();
    }

    #[test]
    fn a_connection_ends_after_five_minutes_of_silence() {
        let server = TestServer::new(Config::default(), |_remote| Lobby);
        let (mut ann, mut bob) = (server.connect("/"), server.connect("/"));
        server.advance(Duration::from_secs(200));
        ann.text("still here");
        bob.expect_text("still here");
        server.advance(Duration::from_secs(200));
        assert_eq!(bob.expect_close(CloseCode::NORMAL_CLOSURE), "you said nothing");
        ann.expect_text("still here");
        ann.expect_nothing();
    }

    #[test]
    fn a_cut_cable_ends_one_connection_and_no_other() {
        let server = TestServer::new(Config::default(), |_remote| Lobby);
        let (mut ann, mut bob) = (server.connect("/"), server.connect("/"));
        ann.vanish();
        server.advance(Duration::from_secs(65)); // `Config::idle_timeout` is 60 s
        assert_eq!(server.remote().connections(), 1);
        bob.text("hello");
        bob.expect_text("hello");
    }
}
