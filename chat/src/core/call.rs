//! The parameter and the result of event handlers.

use std::{borrow::Cow, time::Duration};

use super::{
    super::{
        interface::{Answer, ClientId},
        store::{SessionId, StoreError, UserId},
        wire::EventError,
    },
    state::State,
};

/// The event being handled: its sender, and the state to handle it with.
pub(super) struct Call<'a> {
    pub(super) state: &'a mut State,
    pub(super) connection: ClientId,
    pub(super) user: UserId,
    pub(super) session: SessionId,
}

/// The result of a handler. A handler checks before it changes anything: one that refuses has changed nothing.
pub(super) type HandlerResult = Result<Answer, Failure>;

/// Why an event was not handled.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not allowed. The client gets this error.
    Refused(EventError),
    /// The store failed. The transaction is rolled back.
    Store(StoreError),
}

/// Returns success without a result.
pub(super) fn done() -> HandlerResult {
    answer(Answer::Done {})
}

/// Returns success with this result.
pub(super) fn answer(answer: Answer) -> HandlerResult {
    Ok(answer)
}

/// Returns an error for the client.
pub(super) fn refuse<T>(code: &'static str, message: impl Into<Cow<'static, str>>) -> Result<T, Failure> {
    Err(Failure::Refused(EventError::new(code, message)))
}

/// Returns the error for a client that has reached a rate limit.
pub(super) fn too_fast<T>(wait: Duration) -> Result<T, Failure> {
    refuse("too_fast", format!("You are doing too much at once; please wait {} s.", wait.as_secs_f64().ceil()))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
