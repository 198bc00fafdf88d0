//! Numbers the connections; `3 hello` goes to number 3 alone.

use std::{convert::Infallible, io, sync::atomic::AtomicU64, sync::atomic::Ordering::Relaxed};

use switchboard::apps::page;
use switchboard::{
    App, Config, Context, Handshake, Message, OriginPolicy, Request, Responder, Running, Server, Verdict,
};

struct Private;

static LATEST: AtomicU64 = AtomicU64::new(0);

impl App for Private {
    type Peer = u64;
    type Told = Infallible;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<u64>) {
        OriginPolicy::Any.judge(handshake, verdict, LATEST.fetch_add(1, Relaxed) + 1);
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        responder.send(page("3 hello goes to number 3 alone.").respond(request));
    }

    fn opened(&mut self, number: &mut u64, context: &mut Context<'_>) {
        context.subscribe(&number.to_string());
        context.send(Message::Text(&format!("you are number {number}")));
    }

    fn message(&mut self, number: &mut u64, message: Message<'_>, context: &mut Context<'_>) {
        let Message::Text(text) = message else { return };
        match text.split_once(' ') {
            Some((to, text)) => context.publish(to, Message::Text(&format!("from {number}: {text}"))),
            None => context.send(Message::Text("write a number, a space and a text")),
        }
    }
}

pub(crate) fn start(server: Server) -> io::Result<Running> {
    server.start(|_| Private)
}

fn main() -> io::Result<()> {
    start(Server::bind(([127, 0, 0, 1], 8080).into(), Config::default())?)?.join()
}
