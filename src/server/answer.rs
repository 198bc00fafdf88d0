//! Answers that an app owes: given once, now or later, from any thread.

use std::fmt;

use super::{
    Response,
    inbound::{Decision, Mail},
};
use crate::{
    Rejection,
    reactor::{Key, Mailbox},
};

/// The answer to a plain HTTP request. Dropped unanswered, it is 500.
#[must_use = "the client waits for an answer"]
pub struct Responder(Option<Box<dyn Deliver>>);

/// The answer to an opening handshake. Dropped unanswered, it is 500.
#[must_use = "the client waits for an answer"]
pub struct Verdict<P: Send + 'static>(Option<(Mailbox<Mail<P>>, Key)>);

/// With what a handshake is accepted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Acceptance {
    /// One of the subprotocols that were offered.
    pub subprotocol: Option<String>,
    /// Further header fields for the answer 101.
    pub headers: Vec<(String, String)>,
}

impl Acceptance {
    /// With this subprotocol, which must be one that was offered.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocol = Some(name.into());
        self
    }

    /// With one more header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl Responder {
    pub(super) fn new<P: Send + 'static>(mailbox: Mailbox<Mail<P>>, key: Key) -> Self {
        Self(Some(Box::new((mailbox, key))))
    }

    /// Gives the answer.
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
    pub(super) fn new(mailbox: Mailbox<Mail<P>>, key: Key) -> Self {
        Self(Some((mailbox, key)))
    }

    /// Opens the connection; the app keeps `peer` for it. Where the client is gone by then, `peer` is dropped and
    /// neither [`opened`](super::App::opened) nor [`closed`](super::App::closed) is called.
    pub fn accept(self, peer: P) {
        self.accept_with(Acceptance::default(), peer);
    }

    /// Opens the connection with a subprotocol or further header fields. Where these cannot be written, the answer
    /// is 500.
    pub fn accept_with(mut self, acceptance: Acceptance, peer: P) {
        self.decide(Decision::Accept(acceptance, peer));
    }

    /// Turns the client down.
    pub fn reject(mut self, rejection: Rejection) {
        self.decide(Decision::Reject(rejection));
    }

    fn decide(&mut self, decision: Decision<P>) {
        if let Some((mailbox, key)) = self.0.take() {
            // Where the worker has ended, so has the connection.
            let _ = mailbox.post(Mail::Decision(key, decision), 0);
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

/// The way back to the worker, whatever its app.
trait Deliver: Send {
    fn deliver(&self, response: Response);
}

impl<P: Send + 'static> Deliver for (Mailbox<Mail<P>>, Key) {
    fn deliver(&self, response: Response) {
        let _ = self.0.post(Mail::Decision(self.1, Decision::Respond(response)), 0);
    }
}
