//! The chat as a service of the server: who may connect, what is served, and the way from messages to sessions.

use std::{fmt, sync::Arc, time::Instant};

use super::{
    Backplane, files,
    host::HostPolicy,
    session::{Caller, Session},
};
use crate::{
    Acceptance, App, CloseCode, ConnectionId, Context, End, Handshake, Message, OriginPolicy, Rejection, Remote,
    Request, Responder, Response, Verdict,
};

/// The chat: the page at `/`, its WebSocket at `/ws`. One value per worker, over a backplane that all share.
pub struct Chat {
    backplane: Arc<dyn Backplane>,
    hosts: HostPolicy,
    origins: OriginPolicy,
}

impl Chat {
    /// A chat for its own page, and for pages of these further origins (`https://chat.example`). Their hosts are names
    /// under which the chat itself may be reached; else only addresses and `localhost` are.
    #[must_use]
    pub fn new(backplane: Arc<dyn Backplane>, origins: Vec<String>) -> Self {
        Self { backplane, hosts: HostPolicy::from_origins(&origins), origins: OriginPolicy::SameHostOr(origins) }
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").field("hosts", &self.hosts).field("origins", &self.origins).finish_non_exhaustive()
    }
}

/// What the chat keeps for an open connection.
#[derive(Debug)]
pub struct Peer(Session);

impl App for Chat {
    type Peer = Peer;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<Peer>) {
        if !self.hosts.allows(handshake.websocket.host()) {
            verdict.reject(Rejection::new(421).body(MISDIRECTED));
        } else if handshake.request.path() != WEBSOCKET_PATH {
            verdict.reject(Rejection::new(404).body("the chat's WebSocket is at /ws\n"));
        } else if !self.origins.allows(handshake.websocket) {
            verdict.reject(OriginPolicy::rejection());
        } else {
            let offered = handshake.websocket.subprotocols().iter().any(|name| name == SUBPROTOCOL);
            let plain = Acceptance::default();
            let acceptance = if offered { plain.subprotocol(SUBPROTOCOL) } else { plain };
            verdict.accept_with(acceptance, Peer(Session::new(Instant::now())));
        }
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        let host = request.head.values("host").next().and_then(|host| std::str::from_utf8(host).ok()).unwrap_or("");
        let response = if !self.hosts.allows(host) {
            Response::text(421, MISDIRECTED)
        } else if request.head.path() == WEBSOCKET_PATH {
            Response::text(426, "this is the chat's WebSocket\n").header("Upgrade", "websocket")
        } else {
            match (files::at(request.head.path()), request.head.method()) {
                (Some(file), "GET" | "HEAD") => file.response(request.head, host),
                (Some(_), _) => Response::text(405, "only GET and HEAD here\n").header("Allow", "GET, HEAD"),
                (None, _) => Response::text(404, "there is nothing here; the chat is at /\n"),
            }
        };
        responder.send(response);
    }

    fn message(&mut self, peer: &mut Peer, message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text(text) => {
                let connection = context.id();
                let (backplane, exchange) = (&*self.backplane, context.remote());
                let now = Instant::now();
                Caller { session: &mut peer.0, connection, backplane, exchange, now }.handle(text);
            }
            Message::Binary(_) => {
                // 1003 and these words fit into a Close frame.
                let _ = context.close(CloseCode::UNSUPPORTED_DATA, "only text is understood here");
            }
        }
    }

    fn closed(&mut self, _: Peer, id: ConnectionId, _: &End, _: &Remote) {
        self.backplane.leave(id);
    }
}

const WEBSOCKET_PATH: &str = "/ws";
const SUBPROTOCOL: &str = "switchboard.v1";
const MISDIRECTED: &str = "this chat is not known under this name; start it with --origin http://NAME:PORT\n";
