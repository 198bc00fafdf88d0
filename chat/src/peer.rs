//! One connection's side of the chat: what its client says is read, counted, and passed on.

use std::time::Instant;

use super::{
    ChatCore, Rate,
    interface::Credential,
    rate::Bucket,
    wire::{self, EventError},
};
use switchboard::ConnectionId;

/// What the chat keeps for an open connection.
pub struct Peer {
    /// What its client has shown; taken when it is passed on.
    credential: Option<Credential>,
    events: Bucket,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

impl Peer {
    pub(super) fn new(credential: Credential) -> Self {
        Self { credential: Some(credential), events: Bucket::default() }
    }

    pub(super) fn opened(&mut self, connection: ConnectionId, core: &dyn ChatCore) {
        if let Some(credential) = self.credential.take() {
            core.opened(connection, credential);
        }
    }

    /// Passes an event on, or gives the answer to one that cannot be.
    pub(super) fn event(
        &mut self,
        text: &str,
        connection: ConnectionId,
        core: &dyn ChatCore,
        rate: Rate,
        now: Instant,
    ) -> Result<(), String> {
        let in_time = self.events.take(rate, now);
        let event = wire::decode(text).map_err(|(error, id)| wire::error(&error, id.as_ref()))?;
        if in_time.is_err() {
            let error = EventError::new("too_fast", "That was a lot at once; please wait a moment.");
            return Err(wire::error(&error, event.id.as_ref()));
        }
        core.event(connection, event, text.len())
            .map_err(|(_, event)| wire::error(&EventError::overloaded(), event.id.as_ref()))
    }
}
