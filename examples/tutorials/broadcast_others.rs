//! Sends each message to all other connections.

use std::{convert::Infallible, io};

use switchboard::apps::page;
use switchboard::{
    App, Config, Context, Handshake, Message, OriginPolicy, Request, Responder, Running, Server, Verdict,
};

struct Others;

impl App for Others {
    type Peer = ();
    type Told = Infallible;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<()>) {
        OriginPolicy::Any.judge(handshake, verdict, ());
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        responder.send(page("Each message goes to all others.").respond(request));
    }

    fn opened(&mut self, _: &mut (), context: &mut Context<'_>) {
        context.subscribe("everyone");
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        context.publish_to_others("everyone", message);
    }
}

pub(crate) fn start(server: Server) -> io::Result<Running> {
    server.start(|_| Others)
}

fn main() -> io::Result<()> {
    start(Server::bind(([127, 0, 0, 1], 8080).into(), Config::default())?)?.join()
}
