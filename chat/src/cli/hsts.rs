//! HTTP Strict Transport Security (RFC 6797): tells browsers to use nothing but https with a host.

use switchboard::{
    App, ConnectionId, Context, End, Handshake, Message, Remote, Request, Responder, Verdict, WorkerContext,
};
use switchboard_chat::Origin;

/// When to send the field.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// How long browsers remember it, in seconds; 0 makes them forget.
    pub(crate) seconds: u64,
    /// The address of https that it is for, which a proxy may have. `None` is all names of a server with TLS.
    pub(crate) url: Option<Origin>,
}

/// An app whose responses to requests over https have the field.
#[derive(Debug)]
pub(crate) struct Hsts<A> {
    pub(crate) app: A,
    pub(crate) policy: Option<Policy>,
}

impl Policy {
    /// Returns whether a response may have the field: not over plain HTTP (§7.2), and not for another name, such as
    /// `localhost`, at which other programs serve plain HTTP.
    fn applies(&self, host: &str, is_tls: bool) -> bool {
        self.url.as_ref().map_or(is_tls, |url| url.has_name(host))
    }
}

impl<A: App> App for Hsts<A> {
    type Peer = A::Peer;
    type Told = A::Told;

    fn started(&mut self, worker: &mut WorkerContext<'_>) {
        self.app.started(worker);
    }

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<Self::Peer>) {
        self.app.accept(handshake, verdict);
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        let host = request.head.host().unwrap_or_default();
        let responder = match &self.policy {
            Some(policy) if policy.applies(host, request.is_tls) => {
                responder.header("Strict-Transport-Security", format!("max-age={}", policy.seconds))
            }
            Some(_) | None => responder,
        };
        self.app.request(request, responder);
    }

    fn opened(&mut self, peer: &mut Self::Peer, context: &mut Context<'_>) {
        self.app.opened(peer, context);
    }

    fn message(&mut self, peer: &mut Self::Peer, message: Message<'_>, context: &mut Context<'_>) {
        self.app.message(peer, message, context);
    }

    fn told(&mut self, peer: &mut Self::Peer, told: Self::Told, context: &mut Context<'_>) {
        self.app.told(peer, told, context);
    }

    fn pong(&mut self, peer: &mut Self::Peer, payload: &[u8], context: &mut Context<'_>) {
        self.app.pong(peer, payload, context);
    }

    fn timer(&mut self, peer: &mut Self::Peer, name: u32, context: &mut Context<'_>) {
        self.app.timer(peer, name, context);
    }

    fn worker_timer(&mut self, name: u32, worker: &mut WorkerContext<'_>) {
        self.app.worker_timer(name, worker);
    }

    fn drained(&mut self, peer: &mut Self::Peer, context: &mut Context<'_>) {
        self.app.drained(peer, context);
    }

    fn missed(&mut self, peer: &mut Self::Peer, count: u64, context: &mut Context<'_>) {
        self.app.missed(peer, count, context);
    }

    fn end_of_turn(&mut self) {
        self.app.end_of_turn();
    }

    fn closed(&mut self, peer: Self::Peer, id: ConnectionId, end: &End, remote: &Remote) {
        self.app.closed(peer, id, end, remote);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_for_https_and_the_public_name() {
        let public = Policy { seconds: 1, url: Some("https://chat.example:8443".parse().unwrap()) };
        let any = Policy { seconds: 1, url: None };
        let rows = [
            (&public, "chat.example", true, true),
            (&public, "Chat.Example.:8443", true, true),
            // A proxy has TLS.
            (&public, "chat.example", false, true),
            (&public, "localhost:8443", true, false),
            (&public, "127.0.0.1", true, false),
            (&public, "", true, false),
            (&any, "chat.example", true, true),
            (&any, "chat.example", false, false),
        ];
        for (policy, host, is_tls, expected) in rows {
            assert_eq!(policy.applies(host, is_tls), expected, "{host:?}, TLS: {is_tls}");
        }
    }
}
