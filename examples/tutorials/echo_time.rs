//! Sends each text back, with the time in front.

use std::{convert::Infallible, io, time::SystemTime};

use switchboard::apps::page;
use switchboard::{
    App, Config, Context, Handshake, Message, OriginPolicy, Request, Responder, Running, Server, Verdict,
};

struct EchoTime;

impl App for EchoTime {
    type Peer = ();
    type Told = Infallible;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<()>) {
        OriginPolicy::Any.judge(handshake, verdict, ());
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        responder.send(page("Each text comes back with the time.").respond(request));
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        if let Message::Text(text) = message {
            let time = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs());
            context.send(Message::Text(&format!("{time} {text}")));
        }
    }
}

pub(crate) fn start(server: Server) -> io::Result<Running> {
    server.start(|_| EchoTime)
}

fn main() -> io::Result<()> {
    start(Server::bind(([127, 0, 0, 1], 8080).into(), Config::default())?)?.join()
}
