//! Sends each message to all, or to all others.

use crate::{App, Context, Handshake, Message, OriginPolicy, Verdict};

/// Who gets what somebody sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience {
    /// All who are connected, the sender too.
    All,
    /// All who are connected, but not the sender.
    Others,
}

/// Sends each message to all who are connected, or to all but its sender, on any path.
#[derive(Clone, Debug)]
pub struct Broadcast {
    audience: Audience,
    origins: OriginPolicy,
}

impl Broadcast {
    /// A broadcast to this audience, for pages of these origins.
    #[must_use]
    pub fn new(audience: Audience, origins: OriginPolicy) -> Self {
        Self { audience, origins }
    }
}

impl App for Broadcast {
    type Peer = ();

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<()>) {
        self.origins.judge(handshake, verdict, ());
    }

    fn opened(&mut self, _: &mut (), context: &mut Context<'_>) {
        context.subscribe(EVERYONE);
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        match self.audience {
            Audience::All => context.publish(EVERYONE, message),
            Audience::Others => context.publish_to_others(EVERYONE, message),
        }
    }
}

const EVERYONE: &str = "everyone";
