//! Sends each message back. For conformance suites and benchmarks.

use crate::{App, Context, Handshake, Message, OriginPolicy, Verdict};

/// Sends each message back to its sender, on any path.
#[derive(Clone, Debug)]
pub struct Echo {
    origins: OriginPolicy,
}

impl Echo {
    /// An echo for pages of these origins.
    #[must_use]
    pub fn new(origins: OriginPolicy) -> Self {
        Self { origins }
    }
}

impl App for Echo {
    type Peer = ();

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<()>) {
        self.origins.judge(handshake, verdict, ());
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        context.send(message);
    }
}
