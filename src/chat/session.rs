//! One client's side of the chat: events come in by name and are routed through one table.

use std::time::Instant;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Arrival, Backplane, EnterError, Exchange, Name, SayError, Since,
    wire::{self, EventError, Incoming},
};
use crate::ConnectionId;

/// What a handler of an event may use.
pub(super) struct Caller<'a> {
    pub(super) session: &'a mut Session,
    pub(super) connection: ConnectionId,
    pub(super) backplane: &'a dyn Backplane,
    pub(super) exchange: &'a dyn Exchange,
    pub(super) now: Instant,
}

/// What is kept for an open connection.
#[derive(Debug)]
pub(super) struct Session {
    joined: bool,
    /// How many messages may be said at once, as of `counted`.
    allowance: f64,
    counted: Instant,
}

impl Session {
    pub(super) fn new(now: Instant) -> Self {
        Self { joined: false, allowance: SAYS_AT_ONCE, counted: now }
    }

    /// Whether one more message may be said now; each is paid for by time.
    fn may_say(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.counted).as_secs_f64() * SAYS_PER_SECOND;
        self.allowance = (self.allowance + earned).min(SAYS_AT_ONCE);
        self.counted = now;
        let may = self.allowance >= 1.0;
        if may {
            self.allowance -= 1.0;
        }
        may
    }
}

/// Gives the result that is acknowledged.
type Handler = fn(&mut Caller<'_>, Value) -> Result<Value, EventError>;

/// Every event that a client may send. Adding one is adding a line.
const EVENTS: &[(&str, Handler)] = &[("beat", beat), ("hello", hello), ("say", say)];

impl Caller<'_> {
    /// Handles one text message. Answers go through the exchange, behind what the handler has caused there.
    pub(super) fn handle(&mut self, text: &str) {
        match wire::decode(text) {
            Ok(Incoming { event, data, id }) => match (self.route(&event, data), id) {
                (Ok(result), Some(id)) => self.exchange.answer(self.connection, &wire::ack(&result, &id)),
                (Ok(_), None) => {}
                (Err(error), id) => self.exchange.answer(self.connection, &wire::error(&error, id.as_ref())),
            },
            Err((error, id)) => self.exchange.answer(self.connection, &wire::error(&error, id.as_ref())),
        }
    }

    fn route(&mut self, event: &str, data: Value) -> Result<Value, EventError> {
        match EVENTS.iter().find(|(name, _)| *name == event) {
            Some((_, handler)) => handler(self, data),
            None => {
                let shown: String = event.chars().take(32).collect();
                Err(EventError::new("unknown_event", format!("There is no event {shown:?}.")))
            }
        }
    }
}

fn beat(caller: &mut Caller<'_>, _: Value) -> Result<Value, EventError> {
    caller.exchange.answer(caller.connection, r#"["beat"]"#);
    Ok(json!({}))
}

#[derive(Deserialize)]
struct Hello {
    name: String,
    token: Option<String>,
    since: Option<Since>,
}

fn hello(caller: &mut Caller<'_>, data: Value) -> Result<Value, EventError> {
    let Hello { name, token, since } = parse(data)?;
    if caller.session.joined {
        return Err(EventError::new("already_joined", "You are in already."));
    }
    let name = Name::new(&name).map_err(|error| EventError::new("bad_name", error.to_string()))?;
    let arrival =
        Arrival { name: &name, token: token.as_deref(), since: since.as_ref(), connection: caller.connection };
    match caller.backplane.enter(&arrival) {
        Ok(()) => {
            caller.session.joined = true;
            Ok(json!({}))
        }
        Err(EnterError::NameTaken) => Err(EventError::new("name_taken", "Somebody else has this name already.")),
        Err(EnterError::Overloaded) => Err(overloaded()),
    }
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

fn say(caller: &mut Caller<'_>, data: Value) -> Result<Value, EventError> {
    let Say { text } = parse(data)?;
    let not_joined = || EventError::new("not_joined", "Say hello first.");
    if !caller.session.joined {
        return Err(not_joined());
    }
    // Other controls than these have no meaning in a chat, and six bytes each as JSON.
    let text: String = text.chars().filter(|&c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let text = text.trim_end();
    if text.is_empty() {
        return Err(EventError::new("empty", "There is nothing to say."));
    }
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(EventError::new("too_long", format!("A message has at most {MAX_TEXT_CHARS} characters.")));
    }
    if !caller.session.may_say(caller.now) {
        return Err(EventError::new("too_fast", "That was a lot at once; please wait a moment."));
    }
    match caller.backplane.say(caller.connection, text) {
        Ok(said) => Ok(json!(said)),
        Err(SayError::NotIn) => Err(not_joined()),
        Err(SayError::Overloaded) => Err(overloaded()),
    }
}

fn overloaded() -> EventError {
    EventError::new("overloaded", "The server is very busy, please try again in a moment.")
}

/// Reads an event's data.
fn parse<T: DeserializeOwned>(data: Value) -> Result<T, EventError> {
    serde_json::from_value(data).map_err(|error| {
        // Some errors quote the data, which may be long.
        let shown: String = error.to_string().chars().take(100).collect();
        EventError::new("bad_data", format!("The event's data: {shown}."))
    })
}

const MAX_TEXT_CHARS: usize = 4000;
/// What one connection may say without a pause, and how fast it may go on.
const SAYS_AT_ONCE: f64 = 20.0;
const SAYS_PER_SECOND: f64 = 5.0;
