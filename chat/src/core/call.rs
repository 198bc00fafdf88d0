//! What the handler of an event gets and returns.

use std::{borrow::Cow, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    super::{
        store::{PersonId, SessionId, StoreError},
        wire::{self, EventError, EventId},
    },
    effects::Effect,
    state::State,
};
use switchboard::ConnectionId;

/// Who has sent the event that is being handled.
pub(super) struct Call<'a> {
    pub(super) state: &'a mut State,
    pub(super) connection: ConnectionId,
    pub(super) person: PersonId,
    pub(super) session: SessionId,
    pub(super) id: Option<&'a EventId>,
}

impl Call<'_> {
    /// Who gives the answer that this call is still owed.
    pub(super) fn pending_reply(&self) -> PendingReply {
        PendingReply { connection: self.connection, id: self.id.cloned() }
    }
}

/// An answer that is owed to a client.
#[derive(Clone, Debug)]
pub(super) struct PendingReply {
    connection: ConnectionId,
    id: Option<EventId>,
}

impl PendingReply {
    /// Gives the answer, in front of all that came behind `before`.
    pub(super) fn send(&self, state: &mut State, before: usize, result: Result<(), EventError>) {
        let answer = match (result, &self.id) {
            (Ok(()), Some(id)) => wire::ack("{}", id),
            (Ok(()), None) => return,
            (Err(error), id) => wire::error(&error, id.as_ref()),
        };
        state.effects.insert(before, Effect::Send(self.connection, answer));
    }
}

/// Checks come before changes: a handler that refuses has changed nothing.
pub(super) type HandlerResult = Result<Reply, Failure>;

/// What is acknowledged.
pub(super) enum Reply {
    /// This, as JSON.
    Now(String),
    /// It will come from elsewhere: see [`Call::pending_reply`].
    Later,
}

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client is told so.
    Refused(EventError),
    /// What was done in this transaction is undone.
    Store(StoreError),
}

/// Reads an event's data.
pub(super) fn parse<T: DeserializeOwned>(data: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(data.get()).map_err(|error| {
        // Some errors quote the data, which may be long.
        let shown: String = error.to_string().chars().take(100).collect();
        Failure::Refused(EventError::new("bad_data", format!("The event's data: {shown}.")))
    })
}

/// It is done, and there is nothing more to say.
pub(super) fn done() -> HandlerResult {
    Ok(Reply::Now("{}".to_owned()))
}

/// It is done, with this result.
pub(super) fn result(value: &impl Serialize) -> HandlerResult {
    Ok(Reply::Now(wire::json(value)))
}

/// It is not done.
pub(super) fn refuse<T>(code: &'static str, message: impl Into<Cow<'static, str>>) -> Result<T, Failure> {
    Err(Failure::Refused(EventError::new(code, message)))
}

/// It is not done now.
pub(super) fn too_fast<T>(wait: Duration) -> Result<T, Failure> {
    refuse("too_fast", format!("That was a lot at once; please wait {} s.", wait.as_secs_f64().ceil()))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
