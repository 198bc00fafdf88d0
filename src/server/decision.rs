//! An app's decision on a request or a handshake: given once, now or later, from any thread.

use std::{borrow::Cow, fmt, net::IpAddr, sync::Arc};

use super::{
    Response, ResponseBody,
    inbound::{Decision, Mail},
    response_body::{Flow, FlowEnd},
};
use crate::{
    Delivery, Limits, Rejection,
    reactor::{Key, Mailbox},
};

/// Sends the response to one plain HTTP request. If it is dropped without a response, the client gets 500.
#[must_use = "the client waits for a response"]
pub struct Responder(Option<Box<dyn Deliver>>);

/// Accepts or rejects one opening handshake. If it is dropped without a decision, the client gets 500.
#[must_use = "the client waits for a response"]
pub struct Verdict<P: Send + 'static>(Option<(Arc<dyn DecisionMailbox<P>>, Key)>);

/// How a handshake is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acceptance {
    /// The chosen subprotocol, one of those that the client offered.
    pub subprotocol: Option<String>,
    /// Additional header fields of the 101 response.
    pub headers: Vec<(String, String)>,
    /// The client's address if another one sent the request for it.
    pub counted_as: Option<IpAddr>,
    /// How the app gets messages.
    pub delivery: Delivery,
    /// The limits of one message and frame; `None` if those of [`Config::limits`](super::Config::limits) hold.
    pub limits: Option<Limits>,
}

impl Acceptance {
    /// Chooses a subprotocol. It must be one of those that the client offered.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocol = Some(name.into());
        self
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Counts the connection as one from this address, if its TCP connection comes from one of
    /// [`Config::uncounted_networks`](super::Config::uncounted_networks), such as a reverse proxy that names its
    /// client. If the address has too many, the client gets 503 instead.
    #[must_use]
    pub fn counted_as(mut self, address: IpAddr) -> Self {
        self.counted_as = Some(address);
        self
    }

    /// With [`Delivery::Pieces`] the app gets each message in pieces as they arrive, by
    /// [`App::piece`](super::App::piece) in place of [`App::message`](super::App::message): a long message takes no
    /// memory. Default: [`Delivery::Messages`].
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Sets limits for the connection's messages and frames in place of [`Config::limits`](super::Config::limits).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }
}

impl Responder {
    pub(super) fn new<P: Send + 'static>(mailbox: Arc<dyn DecisionMailbox<P>>, key: Key) -> Self {
        Self(Some(Box::new(Channel { mailbox, key, headers: Vec::new() })))
    }

    /// Adds a header field to the response, whichever is sent, also to the 500 for none. For fields that all responses
    /// have, such as those that an app adds for another one that it wraps.
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        if let Some(channel) = &mut self.0 {
            channel.add_header(name.into(), value.into());
        }
        self
    }

    /// Sends the head of the response, and returns its body, to be written as it is made. The response's own body is
    /// dropped. The head has no Content-Length; Transfer-Encoding is added.
    pub fn stream(mut self, response: Response) -> ResponseBody {
        let flow = Arc::new(Flow::default());
        let end = flow.end();
        let channel = self.0.take().expect("a responder is used once");
        ResponseBody::new(channel.begin(response, end), flow)
    }

    /// Sends the response. Does nothing if the client is gone.
    pub fn send(mut self, response: Response) {
        if let Some(channel) = self.0.take() {
            channel.deliver(response);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(channel) = self.0.take() {
            channel.deliver(Response::text(500, "internal error\n"));
        }
    }
}

impl<P: Send + 'static> Verdict<P> {
    pub(super) fn new(mailbox: Arc<dyn DecisionMailbox<P>>, key: Key) -> Self {
        Self(Some((mailbox, key)))
    }

    /// Opens the connection with the app's value `peer`.
    ///
    /// If the client is gone by then, `peer` is dropped, and neither [`opened`](super::App::opened) nor
    /// [`closed`](super::App::closed) is called.
    pub fn accept(self, peer: P) {
        self.accept_with(Acceptance::default(), peer);
    }

    /// Opens the connection with a subprotocol or additional header fields. If these are invalid, the client gets 500.
    pub fn accept_with(mut self, acceptance: Acceptance, peer: P) {
        self.decide(Decision::Accept(acceptance, peer));
    }

    /// Rejects the handshake.
    pub fn reject(mut self, rejection: Rejection) {
        self.decide(Decision::Reject(rejection));
    }

    fn decide(&mut self, decision: Decision<P>) {
        if let Some((mailbox, key)) = self.0.take() {
            mailbox.decide(key, decision);
        }
    }
}

impl<P: Send + 'static> Drop for Verdict<P> {
    fn drop(&mut self) {
        self.decide(Decision::Reject(Rejection::new(500).body("internal error\n")));
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Responder").finish_non_exhaustive()
    }
}

impl<P: Send + 'static> fmt::Debug for Verdict<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verdict").finish_non_exhaustive()
    }
}

/// A worker's mailbox, independent of what its app is told: it takes decisions.
pub(super) trait DecisionMailbox<P>: Send + Sync {
    fn decide(&self, key: Key, decision: Decision<P>);
}

impl<P: Send, T: Send> DecisionMailbox<P> for Mailbox<Mail<P, T>> {
    fn decide(&self, key: Key, decision: Decision<P>) {
        let bytes = decision.weight();
        // If the worker has ended, so has the connection.
        let _ = self.post(Mail::Decision(key, decision), bytes);
    }
}

/// The channel back to the worker, independent of the app's types.
trait Deliver: Send {
    fn add_header(&mut self, name: Cow<'static, str>, value: Cow<'static, str>);
    fn deliver(self: Box<Self>, response: Response);
    fn begin(self: Box<Self>, response: Response, flow: FlowEnd) -> Box<dyn BodyChannel>;
}

/// The channel back to the worker for the body of a response.
pub(super) trait BodyChannel: Send {
    fn write(&self, piece: Vec<u8>);
    fn end(&self, is_whole: bool);
}

struct Channel<P: Send + 'static> {
    mailbox: Arc<dyn DecisionMailbox<P>>,
    key: Key,
    /// Header fields to add to the response.
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl<P: Send + 'static> Deliver for Channel<P> {
    fn add_header(&mut self, name: Cow<'static, str>, value: Cow<'static, str>) {
        self.headers.push((name, value));
    }

    fn deliver(mut self: Box<Self>, response: Response) {
        let response = self.with_headers(response);
        self.mailbox.decide(self.key, Decision::Respond(response));
    }

    fn begin(mut self: Box<Self>, response: Response, flow: FlowEnd) -> Box<dyn BodyChannel> {
        let response = self.with_headers(response);
        self.mailbox.decide(self.key, Decision::Begin(response, flow));
        self
    }
}

impl<P: Send + 'static> Channel<P> {
    fn with_headers(&mut self, response: Response) -> Response {
        let headers = std::mem::take(&mut self.headers);
        headers.into_iter().fold(response, |response, (name, value)| response.header(name, value))
    }
}

impl<P: Send + 'static> BodyChannel for Channel<P> {
    fn write(&self, piece: Vec<u8>) {
        self.mailbox.decide(self.key, Decision::Body(piece));
    }

    fn end(&self, is_whole: bool) {
        self.mailbox.decide(self.key, Decision::EndBody { is_whole });
    }
}
