//! The state of one connection: decodes its client's events, limits their rate, and passes them to the core.

use std::time::Instant;

use switchboard::ConnectionId;

use super::{
    ChatCore, Rate,
    interface::Credential,
    rate::Bucket,
    wire::{self, EventError},
};

/// The state of an open connection.
pub struct Peer {
    /// The credential of the handshake, until it is passed to the core.
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

    /// Passes an event on to the core.
    ///
    /// # Errors
    /// The text of the error reply if the event is malformed or too frequent, or if the server is overloaded.
    pub(super) fn event(
        &mut self,
        text: &str,
        connection: ConnectionId,
        core: &dyn ChatCore,
        rate: Rate,
        now: Instant,
    ) -> Result<(), String> {
        let within_rate = self.events.take(rate, now);
        let event = wire::decode(text).map_err(|(error, id)| wire::error(&error, id.as_ref()))?;
        if within_rate.is_err() {
            let error = EventError::new("too_fast", "Too many events at once; please wait a moment.");
            return Err(wire::error(&error, event.id.as_ref()));
        }
        core.event(connection, event, text.len())
            .map_err(|(_, event)| wire::error(&EventError::overloaded(), event.id.as_ref()))
    }
}
