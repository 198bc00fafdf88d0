//! Events over a server on loopback: what each message of a client causes, at the client and at the others.

mod acknowledgements;
mod files;
mod rooms;
mod routing;

use std::sync::mpsc;

use switchboard::{
    Config, ConnectionId, Running, Server,
    client::{Client, Message},
    events::{Emitter, Parser, Router},
};
use switchboard_tests::server::{LONG, builder, config};

/// A server of events that runs, and stops when it is dropped.
struct Served<S: Send + 'static, P: Parser> {
    emitter: Emitter<S, P>,
    url: String,
    ids: mpsc::Receiver<ConnectionId>,
    stop: Option<Box<dyn FnOnce()>>,
}

fn serve<S: Send + 'static, P: Parser>(router: Router<S, P>) -> Served<S, P> {
    serve_with(config(), router)
}

/// Starts a server; each connection enters the room `all` and is told its id.
fn serve_with<S: Send + 'static, P: Parser>(config: Config, router: Router<S, P>) -> Served<S, P> {
    let (sender, ids) = mpsc::channel();
    let router = router.on_connect(move |socket| {
        assert!(socket.join("all"));
        sender.send(socket.id()).unwrap();
    });
    let (running, emitter) = router.start(Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap()).unwrap();
    let url = format!("ws://{}/", running.local_addr());
    Served { emitter, url, ids, stop: Some(Box::new(|| stop(running))) }
}

fn stop<T>(running: Running<T>) {
    running.stopper().stop();
    running.join().unwrap();
}

impl<S: Send + 'static, P: Parser> Served<S, P> {
    fn client(&self) -> (Client, ConnectionId) {
        let client = builder().connect(&self.url).unwrap();
        (client, self.ids.recv_timeout(LONG).unwrap())
    }
}

impl<S: Send + 'static, P: Parser> Drop for Served<S, P> {
    fn drop(&mut self) {
        self.stop.take().expect("it runs")();
    }
}

#[track_caller]
fn next(client: &mut Client) -> String {
    match client.receive().unwrap() {
        Message::Text(text) => text,
        other => panic!("{other:?} is no event"),
    }
}

/// Sends an event, and returns what comes back next.
#[track_caller]
fn ask(client: &mut Client, event: &str) -> String {
    client.send_text(event).unwrap();
    next(client)
}
