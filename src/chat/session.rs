//! One client's side of the chat: events come in by name and are routed through one table.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Arrival, Backplane, EnterError, Exchange, Name, SayError, Since,
    wire::{self, EventError, Incoming},
};
use crate::ConnectionId;

/// What a handler of an event may use.
pub(super) struct Client<'a> {
    pub(super) session: &'a mut Session,
    pub(super) connection: ConnectionId,
    pub(super) backplane: &'a dyn Backplane,
    pub(super) exchange: &'a dyn Exchange,
}

/// What is kept for an open connection.
#[derive(Debug, Default)]
pub(super) struct Session {
    joined: bool,
}

/// Gives the result that is acknowledged.
type Handler = fn(&mut Client<'_>, Value) -> Result<Value, EventError>;

/// Every event that a client may send. Adding one is adding a line.
const EVENTS: &[(&str, Handler)] = &[("beat", beat), ("hello", hello), ("say", say)];

impl Client<'_> {
    /// Handles one text message. Answers go through the exchange, behind what the handler has caused there.
    pub(super) fn handle(&mut self, text: &str) {
        match wire::decode(text) {
            Ok(Incoming { event, data, id }) => match (self.route(&event, data), id) {
                (Ok(result), Some(id)) => self.exchange.send(self.connection, &wire::ack(&result, &id)),
                (Ok(_), None) => {}
                (Err(error), id) => self.exchange.send(self.connection, &wire::error(&error, id.as_ref())),
            },
            Err((error, id)) => self.exchange.send(self.connection, &wire::error(&error, id.as_ref())),
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

fn beat(client: &mut Client<'_>, _: Value) -> Result<Value, EventError> {
    client.exchange.send(client.connection, r#"["beat"]"#);
    Ok(json!({}))
}

#[derive(Deserialize)]
struct Hello {
    name: String,
    token: Option<String>,
    since: Option<Since>,
}

fn hello(client: &mut Client<'_>, data: Value) -> Result<Value, EventError> {
    let Hello { name, token, since } = parse(data)?;
    if client.session.joined {
        return Err(EventError::new("already_joined", "You are in already."));
    }
    let name = Name::new(&name).map_err(|error| EventError::new("bad_name", error.to_string()))?;
    let arrival =
        Arrival { name: &name, token: token.as_deref(), since: since.as_ref(), connection: client.connection };
    match client.backplane.enter(&arrival) {
        Ok(()) => {
            client.session.joined = true;
            Ok(json!({}))
        }
        Err(EnterError::NameTaken) => Err(EventError::new("name_taken", "Somebody else has this name already.")),
    }
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

fn say(client: &mut Client<'_>, data: Value) -> Result<Value, EventError> {
    let Say { text } = parse(data)?;
    let not_joined = || EventError::new("not_joined", "Say hello first.");
    if !client.session.joined {
        return Err(not_joined());
    }
    let text = text.trim_end();
    if text.is_empty() {
        return Err(EventError::new("empty", "There is nothing to say."));
    }
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(EventError::new("too_long", format!("A message has at most {MAX_TEXT_CHARS} characters.")));
    }
    match client.backplane.say(client.connection, text) {
        Ok(said) => Ok(json!(said)),
        Err(SayError::NotIn) => Err(not_joined()),
        Err(SayError::Overloaded) => {
            Err(EventError::new("overloaded", "The server is very busy, please try again in a moment."))
        }
    }
}

/// Reads an event's data.
fn parse<T: DeserializeOwned>(data: Value) -> Result<T, EventError> {
    serde_json::from_value(data).map_err(|error| EventError::new("bad_data", format!("The event's data: {error}.")))
}

const MAX_TEXT_CHARS: usize = 4000;
