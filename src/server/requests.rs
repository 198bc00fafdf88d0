//! HTTP requests, and the app's decisions on them: from the request to the open connection.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use log::{debug, trace};

use super::{
    Acceptance, App, Context, Handshake, Request, Responder, Response, Verdict,
    addresses::TooMany,
    http::{Incoming, RequestStream, keeps_alive, methods},
    inbound::{Decision, Input},
    response_body::{Framing, Streaming},
    state::Step,
    worker::{TOO_MANY_FROM_ADDRESS, Worker},
};
use crate::{
    Escaped, HttpVersion, Rejection, ServerHandshake,
    reactor::{Key, Socket},
};

impl<A: App> Worker<A> {
    /// Passes a request or handshake to the app.
    pub(super) fn dispatch(&mut self, key: Key, incoming: Incoming) {
        let Input::Request(stream) = &self.inbound[Self::slot(key)].input else { return };
        let from = stream.from();
        let socket = self.hub.links.get(key).map(|link| &link.socket);
        let is_tls = socket.is_some_and(Socket::is_tls);
        let client_names = &*socket.map_or_else(Vec::new, Socket::client_names);
        match incoming {
            Incoming::Plain { head, body } => {
                let keep_alive = keeps_alive(&head);
                let head_only = head.method() == "HEAD";
                let is_http10 = head.version() == HttpVersion::Http10;
                let input = Input::Response { from, keep_alive, head_only, is_http10, streaming: None };
                self.advance(key, Step::RequestRead, input);
                trace!("{}: {} {}", self.hub.id(key), Escaped::new(head.method()), Escaped::new(head.target()));
                let responder = Responder::new(Arc::clone(&self.mailbox), key);
                if head.path() == "*" {
                    return responder.send(Response::new(204).header("Allow", methods(&self.config)));
                }
                self.app.request(&Request { head: &head, body: &body, peer: from, is_tls, client_names }, responder);
            }
            Incoming::WebSocket { head, handshake } => {
                #[cfg(feature = "deflate")]
                let handshake = match &self.hub.deflate {
                    Some(deflate) => handshake.with_deflate(deflate),
                    None => handshake,
                };
                let verdict = Verdict::new(Arc::clone(&self.mailbox), key);
                let id = self.hub.id(key);
                let info = Handshake { request: &head, websocket: &handshake, peer: from, is_tls, client_names, id };
                self.app.accept(&info, verdict);
                let handshake = Box::new(handshake);
                self.advance(key, Step::HandshakeRead, Input::Verdict { from, handshake });
            }
        }
    }

    /// Applies the app's decision on a request or handshake.
    pub(super) fn apply(&mut self, key: Key, decision: Decision<A::Peer>) {
        if self.hub.links.get(key).is_none() {
            return;
        }
        let may_keep = self.stopping.is_none() && !self.config.keep_alive_timeout.is_zero();
        let input = &mut self.inbound[Self::slot(key)].input;
        match (std::mem::replace(input, Input::Dropped), decision) {
            (Input::Response { from, keep_alive, head_only, .. }, Decision::Respond(response)) => {
                let keep_alive = keep_alive && may_keep;
                let timeout = keep_alive.then_some(self.config.keep_alive_timeout);
                self.hub.send_http(key, &response.encode(timeout, head_only, self.date.now()));
                self.responded(key, from, keep_alive);
            }
            (Input::Response { from, keep_alive, head_only, is_http10, .. }, Decision::Begin(response, flow)) => {
                let framing = response.framing(head_only, is_http10);
                let keep_alive = keep_alive && may_keep && framing != Framing::UntilEnd;
                let timeout = keep_alive.then_some(self.config.keep_alive_timeout);
                if let Err(error) = response.check() {
                    log::error!("a response cannot be written: {error}");
                    // The connection ends, so what its writer posts meanwhile meets no later response.
                    let internal = Response::text(500, "internal error\n");
                    self.hub.send_http(key, &internal.encode(None, head_only, self.date.now()));
                    self.hub.drain(key);
                } else {
                    let coding = (framing == Framing::Chunked).then_some("Transfer-Encoding: chunked\r\n");
                    let head = response.encode_head(timeout, coding, self.date.now());
                    let streaming = Some(Box::new(Streaming::new(flow, framing)));
                    *input = Input::Response { from, keep_alive, head_only, is_http10, streaming };
                    self.hub.send_http(key, &head);
                }
            }
            (Input::Response { from, keep_alive, head_only, is_http10, streaming: Some(mut streaming) }, part) => {
                match part {
                    Decision::Body(piece) => {
                        let bytes = streaming.encode(piece);
                        *input = Input::Response { from, keep_alive, head_only, is_http10, streaming: Some(streaming) };
                        self.hub.send_http(key, &bytes);
                        self.hub.links.watch(key);
                    }
                    Decision::EndBody { is_whole: true } => {
                        self.hub.send_http(key, streaming.last());
                        self.responded(key, from, keep_alive && may_keep);
                    }
                    // The client sees that a part is missing. The others are unreachable: see below.
                    Decision::EndBody { is_whole: false }
                    | Decision::Respond(_)
                    | Decision::Begin(..)
                    | Decision::Accept(..)
                    | Decision::Reject(_) => self.hub.abandon(key),
                }
            }
            // The head could not be written, and 500 was sent.
            (input_before, Decision::Body(_) | Decision::EndBody { .. }) => *input = input_before,
            (Input::Verdict { from, handshake }, Decision::Accept(acceptance, peer)) => {
                if self.count(key, from, acceptance.counted_as).is_ok() {
                    self.open(key, from, *handshake, &acceptance, peer);
                } else {
                    let rejection = Rejection::new(503).header("Retry-After", "10").body(TOO_MANY_FROM_ADDRESS);
                    self.refuse(key, from, rejection);
                }
            }
            (Input::Verdict { from, .. }, Decision::Reject(rejection)) => {
                self.refuse(key, from, rejection);
            }
            // Unreachable: a `Responder` belongs to a request and a `Verdict` to a handshake, and each is used once.
            (input_before, _) => *input = input_before,
        }
        self.recount(key);
        self.schedule(key);
    }

    /// Waits for the next request, or ends the connection.
    fn responded(&mut self, key: Key, from: SocketAddr, keep_alive: bool) {
        if keep_alive {
            let next = Box::new(RequestStream::next(&self.config, from));
            self.advance(key, Step::Responded, Input::Request(next));
        } else {
            self.hub.drain(key);
        }
    }

    /// Lets the writer of a body go on: the kernel has taken what it has written. Returns whether there is one.
    pub(super) fn body_drained(&mut self, key: Key) -> bool {
        match self.inbound.get_mut(Self::slot(key)).map(|inbound| &mut inbound.input) {
            Some(Input::Response { streaming: Some(streaming), .. }) => {
                streaming.note_drained();
                true
            }
            _ => false,
        }
    }

    /// Takes a step of a connection, after which its incoming half works with `input`.
    pub(super) fn advance(&mut self, key: Key, step: Step, input: Input<A::Peer>) {
        if let Some(link) = self.hub.links.get_mut(key) {
            link.advance(step, self.hub.now);
            self.inbound[Self::slot(key)].input = input;
        }
    }

    /// Counts a connection for the address of its client, if it is not counted for the one that it comes from.
    fn count(&mut self, key: Key, from: SocketAddr, client: Option<IpAddr>) -> Result<(), TooMany> {
        if let Some(client) = client.filter(|client| client.to_canonical() != from.ip().to_canonical())
            && let Some(link) = self.hub.links.get_mut(key)
            && link.permit.is_none()
        {
            link.permit = self.capacity.addresses.admit(client)?;
        }
        Ok(())
    }

    fn open(&mut self, key: Key, from: SocketAddr, handshake: ServerHandshake, acceptance: &Acceptance, peer: A::Peer) {
        let headers: Vec<_> = acceptance.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut out = Vec::new();
        let accepted = handshake.accept(
            acceptance.subprotocol.as_deref(),
            &headers,
            acceptance.limits.unwrap_or(self.config.limits),
            acceptance.delivery,
            &mut out,
        );
        let connection = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                log::error!("{}: the response to the handshake cannot be written: {error}", self.hub.id(key));
                self.refuse(key, from, Rejection::from(error));
                return;
            }
        };
        debug!("{}: opened, from {from}", self.hub.id(key));
        if let Some(link) = self.hub.links.get_mut(key) {
            link.sender = Some(connection.sender);
        }
        self.advance(key, Step::Accepted, Input::Frames { receiver: connection.receiver, peer });
        self.hub.remote.note_open(self.hub.worker, |open| open + 1);
        self.hub.send_http(key, &out);
        self.hub.cork(key);
        let Self { app, hub, inbound, .. } = self;
        if let Input::Frames { peer, .. } = &mut inbound[Self::slot(key)].input {
            app.opened(peer, &mut Context::new(hub, key));
        }
        self.hub.uncork(key);
        if self.stopping.is_some() {
            self.close_for_stop(key);
        }
    }

    /// Ends a connection that speaks HTTP, once its responses are written.
    pub(super) fn drain(&mut self, key: Key) {
        self.drop_input(key);
        self.hub.drain(key);
    }

    /// Sends a rejection and ends the connection.
    pub(super) fn refuse(&mut self, key: Key, from: SocketAddr, rejection: Rejection) {
        debug!("{}: refused with {}, from {from}", self.hub.id(key), rejection.status());
        // A handshake is not a HEAD request if the app decides on it.
        let is_head = matches!(&self.inbound[Self::slot(key)].input, Input::Request(stream) if stream.is_head());
        let mut out = Vec::new();
        let mut write = |rejection: Rejection| {
            let rejection = self.with_date(rejection);
            if is_head { rejection.write_head(&mut out) } else { rejection.write(&mut out) }
        };
        if let Err(error) = write(rejection) {
            // This rejection has no fields of the app and can be written.
            let _ = write(Rejection::new(500).body("internal error\n"));
            log::error!("{}: a rejection cannot be written: {error}", self.hub.id(key));
        }
        self.drop_input(key);
        self.hub.send_http(key, &out);
        self.hub.drain(key);
    }

    /// Adds the Date, unless the app has set one.
    fn with_date(&mut self, rejection: Rejection) -> Rejection {
        let is_set = rejection.headers().any(|(name, _)| name.eq_ignore_ascii_case("date"));
        match self.date.now() {
            Some(date) if !is_set => rejection.header("Date", date.to_owned()),
            Some(_) | None => rejection,
        }
    }
}
