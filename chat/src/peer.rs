//! The state of one connection: decodes its client's events, limits their rate, and passes them to the core.

use std::{net::IpAddr, sync::Arc, time::Instant};

use switchboard::ConnectionId;

use super::{
    ChatCore, Rate,
    backlog::{Backlog, Flow},
    interface::Credential,
    rate::Bucket,
    wire::{self, EventError, EventId},
};

/// The state of an open connection.
pub struct Peer {
    stage: Stage,
    events: Bucket,
    /// Refused events.
    refusals: Bucket,
}

/// How far a connection has come.
enum Stage {
    /// It is not passed to the core yet.
    Accepted(Credential, IpAddr),
    /// It has shown no credential yet.
    Unauthenticated(Arc<Backlog>),
    /// It has shown a credential. Whether that is valid, the core knows.
    Authenticated(Arc<Backlog>),
}

/// What a connection gets for an event, beside what the core sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing.
    Passed(Flow),
    /// This error reply.
    Refused(String),
    /// This error reply, and it is closed: too many of its events were refused.
    Closed(String),
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

impl Peer {
    /// Returns the state of a connection from this address, or for IPv6 from its /64.
    pub(super) fn new(credential: Credential, address: IpAddr) -> Self {
        let stage = Stage::Accepted(credential, address);
        Self { stage, events: Bucket::default(), refusals: Bucket::default() }
    }

    pub(super) fn opened(&mut self, connection: ConnectionId, core: &dyn ChatCore) {
        if let Stage::Accepted(credential, address) = &self.stage {
            let is_authenticated = !matches!(credential, Credential::None);
            let backlog = core.opened(connection, credential.clone(), *address);
            self.stage = if is_authenticated { Stage::Authenticated(backlog) } else { Stage::Unauthenticated(backlog) };
        }
    }

    /// Passes an event on to the core, unless it is malformed or too frequent.
    pub(super) fn event(
        &mut self,
        text: &str,
        connection: ConnectionId,
        core: &dyn ChatCore,
        rate: Rate,
        now: Instant,
    ) -> Outcome {
        match self.pass(text, connection, core, rate, now) {
            Ok(flow) => Outcome::Passed(flow),
            Err((error, id)) => {
                let reply = wire::error(&error, id.as_ref());
                if error == EventError::overloaded() {
                    // No fault of this client.
                    return Outcome::Refused(reply);
                }
                match self.refusals.take(REFUSAL_RATE, now) {
                    Ok(()) => Outcome::Refused(reply),
                    Err(_) => Outcome::Closed(reply),
                }
            }
        }
    }

    fn pass(
        &mut self,
        text: &str,
        connection: ConnectionId,
        core: &dyn ChatCore,
        rate: Rate,
        now: Instant,
    ) -> Result<Flow, (EventError, Option<EventId>)> {
        let event = wire::decode(text);
        let (rate, backlog) = match (&self.stage, &event) {
            (Stage::Authenticated(backlog), _) => (rate, Arc::clone(backlog)),
            (Stage::Unauthenticated(backlog), Ok(event)) if matches!(&*event.event, "auth" | "beat") => {
                (UNAUTHENTICATED_RATE, Arc::clone(backlog))
            }
            (Stage::Unauthenticated(_) | Stage::Accepted(..), _) => {
                return Err((EventError::no_session(), event?.id));
            }
        };
        let within_rate = self.events.take(rate, now);
        let event = event?;
        if within_rate.is_err() {
            return Err((EventError::new("too_fast", "Too many events at once; please wait a moment."), event.id));
        }
        let is_unauthenticated = matches!(self.stage, Stage::Unauthenticated(_));
        let is_credential = is_unauthenticated && event.event == "auth";
        let flow = core.event(connection, event, text.len(), &backlog)?;
        if is_credential {
            (self.stage, self.events) = (Stage::Authenticated(backlog), Bucket::default());
        }
        Ok(flow)
    }

    pub(super) fn closed(&self, connection: ConnectionId, core: &dyn ChatCore) {
        match &self.stage {
            Stage::Unauthenticated(backlog) | Stage::Authenticated(backlog) => core.closed(connection, backlog),
            Stage::Accepted(..) => {}
        }
    }
}

/// Rate of events on a connection that has shown no credential: it needs one, and a few beats.
pub(super) const UNAUTHENTICATED_RATE: Rate = Rate { at_once: 10, per_second: 1.0 };
/// Rate of refused events, above which a connection is closed.
const REFUSAL_RATE: Rate = Rate { at_once: 200, per_second: 20.0 };
