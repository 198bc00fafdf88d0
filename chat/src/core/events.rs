//! The table of events, and the way to their handlers.

use std::{borrow::Cow, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    super::{
        store::{PersonId, SessionId, StoreError},
        wire::{self, EventError, EventId, Incoming},
    },
    effects::Effect,
    keeper::{Counted, Keeper},
    owning, people, rooms, signing_in, talk,
};
use switchboard::ConnectionId;

/// An event that clients send.
struct Event {
    name: &'static str,
    handler: Handler,
    kind: Kind,
    /// How many events it counts as: more than one where the answer is a long list, for which all others wait.
    weight: u32,
}

/// What somebody does who sends an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing, by which a session would stay alive.
    Reads,
    /// Something; others need not hear of it.
    Acts,
    /// Something that is written into a log or told to many, and counts as a message.
    Tells,
    /// A message, which counts itself: it may be a repeat.
    Says,
}

enum Handler {
    /// For everybody, also before they have shown a session.
    Anyone(fn(&mut Keeper, ConnectionId, &RawValue) -> Handled),
    /// For who is signed in.
    Person(fn(&mut Call<'_>, &RawValue) -> Handled),
}

/// Checks come before changes: a handler that refuses has changed nothing.
pub(super) type Handled = Result<Answer, Failure>;

/// What is acknowledged.
pub(super) enum Answer {
    /// This, as JSON.
    Now(String),
    /// It will come from elsewhere: see [`Call::promise`].
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

/// Every event that a client may send. Adding one is adding a line.
const EVENTS: &[Event] = &[
    Event::anyone("auth", signing_in::auth),
    Event::anyone("beat", beat),
    // Rooms.
    Event::reads("rooms", rooms::list).counts_as(10),
    Event::tells("create", rooms::create),
    Event::reads("join", rooms::join),
    Event::tells("leave", rooms::leave),
    Event::reads("members", rooms::members).counts_as(5),
    Event::tells("topic", owning::topic),
    Event::tells("invite", owning::invite),
    Event::tells("kick", owning::kick),
    Event::tells("ban", owning::ban),
    Event::tells("unban", owning::unban),
    Event::reads("bans", owning::bans).counts_as(5),
    Event::tells("role", owning::role),
    Event::tells("delete", owning::delete),
    Event::tells("remove", owning::remove),
    // Talk.
    Event::says("say", talk::say),
    Event::says("tell", talk::tell),
    Event::tells("direct", talk::direct),
    Event::reads("history", talk::history),
    Event::reads("read", talk::read),
    Event::tells("typing", talk::typing),
    // People.
    Event::reads("people", people::list).counts_as(5),
    Event::acts("block", people::block),
    Event::acts("unblock", people::unblock),
    Event::reads("sessions", people::sessions),
    Event::acts("revoke", people::revoke),
    Event::acts("password", people::password),
    Event::acts("delete_account", people::delete_account),
    Event::tells("notice", people::notice),
];

impl Event {
    const fn anyone(name: &'static str, handler: fn(&mut Keeper, ConnectionId, &RawValue) -> Handled) -> Self {
        Self { name, handler: Handler::Anyone(handler), kind: Kind::Reads, weight: 1 }
    }

    const fn reads(name: &'static str, handler: fn(&mut Call<'_>, &RawValue) -> Handled) -> Self {
        Self { name, handler: Handler::Person(handler), kind: Kind::Reads, weight: 1 }
    }

    const fn acts(name: &'static str, handler: fn(&mut Call<'_>, &RawValue) -> Handled) -> Self {
        Self { name, handler: Handler::Person(handler), kind: Kind::Acts, weight: 1 }
    }

    const fn tells(name: &'static str, handler: fn(&mut Call<'_>, &RawValue) -> Handled) -> Self {
        Self { name, handler: Handler::Person(handler), kind: Kind::Tells, weight: 1 }
    }

    const fn says(name: &'static str, handler: fn(&mut Call<'_>, &RawValue) -> Handled) -> Self {
        Self { name, handler: Handler::Person(handler), kind: Kind::Says, weight: 1 }
    }

    const fn counts_as(self, weight: u32) -> Self {
        Self { weight, ..self }
    }
}

/// Who has sent the event that is being handled.
pub(super) struct Call<'a> {
    pub(super) keeper: &'a mut Keeper,
    pub(super) connection: ConnectionId,
    pub(super) person: PersonId,
    pub(super) session: SessionId,
    id: Option<&'a EventId>,
}

impl Call<'_> {
    /// Who gives the answer that this call is still owed.
    pub(super) fn promise(&self) -> Promise {
        Promise { connection: self.connection, id: self.id.cloned() }
    }
}

/// An answer that is owed to a client.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    connection: ConnectionId,
    id: Option<EventId>,
}

impl Promise {
    /// Gives the answer, in front of all that came behind `before`.
    pub(super) fn keep(&self, keeper: &mut Keeper, before: usize, result: Result<(), EventError>) {
        let answer = match (result, &self.id) {
            (Ok(()), Some(id)) => wire::ack("{}", id),
            (Ok(()), None) => return,
            (Err(error), id) => wire::error(&error, id.as_ref()),
        };
        keeper.effects.insert(before, Effect::Answer(self.connection, answer));
    }
}

impl Keeper {
    /// Handles an event. Its answer comes before all that it has caused.
    pub(super) fn event(&mut self, connection: ConnectionId, event: &Incoming) -> Result<(), StoreError> {
        let before = self.effects.len();
        let answer = match self.route(connection, event) {
            Ok(Answer::Now(result)) => event.id.as_ref().map(|id| wire::ack(&result, id)),
            Ok(Answer::Later) => None,
            Err(Failure::Refused(error)) => {
                log::debug!("{connection}: {} is refused: {}", event.event.escape_debug(), error.code);
                Some(wire::error(&error, event.id.as_ref()))
            }
            Err(Failure::Store(error)) => return Err(error),
        };
        if let Some(answer) = answer {
            self.effects.insert(before, Effect::Answer(connection, answer));
        }
        Ok(())
    }

    fn route(&mut self, connection: ConnectionId, incoming: &Incoming) -> Handled {
        let Some(event) = EVENTS.iter().find(|event| event.name == incoming.event) else {
            let shown: String = incoming.event.chars().take(32).collect();
            return refuse("unknown_event", format!("There is no event {shown:?}."));
        };
        match event.handler {
            Handler::Anyone(handler) => handler(self, connection, &incoming.data),
            Handler::Person(handler) => {
                let Some((person, session)) = self.presence.at(connection) else {
                    return refuse("no_session", "You are not signed in.");
                };
                self.count(Counted::Event(event.weight), person).or_else(too_fast)?;
                if event.kind != Kind::Reads {
                    self.presence.used(session, self.now.wall);
                }
                if event.kind == Kind::Tells {
                    self.count(Counted::Said, person).or_else(too_fast)?;
                }
                handler(
                    &mut Call { keeper: self, connection, person, session, id: incoming.id.as_ref() },
                    &incoming.data,
                )
            }
        }
    }
}

fn beat(keeper: &mut Keeper, connection: ConnectionId, _: &RawValue) -> Handled {
    keeper.answer(connection, r#"["beat"]"#.to_owned());
    done()
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
pub(super) fn done() -> Handled {
    Ok(Answer::Now("{}".to_owned()))
}

/// It is done, with this result.
pub(super) fn result(value: &impl Serialize) -> Handled {
    Ok(Answer::Now(wire::json(value)))
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
