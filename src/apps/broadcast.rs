//! Sends each message to all connections, or to all others.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::page::page;
use crate::{App, Context, Handshake, Message, OriginPolicy, Request, Responder, StaticFiles, Verdict};

/// The connections that receive a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Audience {
    /// All connections, the sender's too.
    All,
    /// All connections except the sender's.
    Others,
}

/// Sends each message to all connections, or to all except its sender's, on any path, and serves a page to try it at
/// `/`.
///
/// Connections are numbered from 1 in the order in which they come. A text message goes out with its sender's number in
/// front: `3: hello`. A binary message goes out unchanged.
///
/// All clones of one value number their connections together, so a server gives each worker a clone.
#[derive(Clone, Debug)]
pub struct Broadcast {
    audience: Audience,
    origins: OriginPolicy,
    /// How many have connected.
    connections: Arc<AtomicU64>,
    page: Arc<StaticFiles>,
}

impl Broadcast {
    /// Creates a broadcast to this audience that accepts connections from pages of these origins.
    #[must_use]
    pub fn new(audience: Audience, origins: OriginPolicy) -> Self {
        let to = match audience {
            Audience::All => "all connections",
            Audience::Others => "all other connections",
        };
        let about = format!("Each message goes to {to}. A text begins with the number of its sender's connection.");
        Self { audience, origins, connections: Arc::default(), page: Arc::new(page(&about)) }
    }
}

impl App for Broadcast {
    /// The connection's number.
    type Peer = u64;
    type Told = Infallible;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<Self::Peer>) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        self.origins.judge(handshake, verdict, number);
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        responder.send(self.page.respond(request));
    }

    fn opened(&mut self, _: &mut Self::Peer, context: &mut Context<'_>) {
        context.subscribe(EVERYONE);
    }

    fn message(&mut self, number: &mut Self::Peer, message: Message<'_>, context: &mut Context<'_>) {
        let numbered;
        let message = match message {
            Message::Text(text) => {
                numbered = format!("{number}: {text}");
                Message::Text(&numbered)
            }
            Message::Binary(_) => message,
        };
        match self.audience {
            Audience::All => context.publish(EVERYONE, message),
            Audience::Others => context.publish_to_others(EVERYONE, message),
        }
    }
}

const EVERYONE: &str = "everyone";
