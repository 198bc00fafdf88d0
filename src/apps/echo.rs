//! Sends each message back. For conformance suites and benchmarks.

use std::{convert::Infallible, sync::Arc};

use super::page::page;
use crate::{App, Context, Handshake, Message, OriginPolicy, Request, Responder, StaticFiles, Verdict};

/// Sends each message back to its sender, on any path, and serves a page to try it at `/`.
#[derive(Clone, Debug)]
pub struct Echo {
    origins: OriginPolicy,
    page: Arc<StaticFiles>,
}

impl Echo {
    /// Creates an echo that accepts connections from pages of these origins.
    #[must_use]
    pub fn new(origins: OriginPolicy) -> Self {
        Self { origins, page: Arc::new(page("Each message comes back to its sender.")) }
    }
}

impl App for Echo {
    type Peer = ();
    type Told = Infallible;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<()>) {
        self.origins.judge(handshake, verdict, ());
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        responder.send(self.page.respond(request));
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        context.send(message);
    }
}
