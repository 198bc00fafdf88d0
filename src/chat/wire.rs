//! Events as text: JSON arrays `[event, data]` and `[event, data, id]`.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

/// An event that a client sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Incoming {
    pub(super) event: String,
    /// Null where it was left out.
    pub(super) data: Value,
    pub(super) id: Option<EventId>,
}

/// The number or string by which a client knows the answer to its event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum EventId {
    Number(serde_json::Number),
    Text(String),
}

/// What a client is told went wrong: a code for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct EventError {
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
}

impl EventError {
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// More is asked for than can be done.
    pub(super) fn overloaded() -> Self {
        Self::new("overloaded", "The server is very busy; please try again in a moment.")
    }

    /// It cannot be written.
    pub(super) fn storage() -> Self {
        Self::new("storage", "The server cannot write this down; nothing has happened. Please try again later.")
    }
}

/// Reads an event; where that fails, gives the id too if there was a good one.
pub(super) fn decode(text: &str) -> Result<Incoming, (EventError, Option<EventId>)> {
    let malformed = |message: &'static str| EventError::new("bad_event", message);
    let value: Value = serde_json::from_str(text)
        .map_err(|error| (EventError::new("bad_json", format!("This is not JSON: {error}.")), None))?;
    let Value::Array(parts) = value else {
        return Err((malformed("An event is an array: [event, data] or [event, data, id]."), None));
    };
    let mut parts = parts.into_iter();
    let (event, data, id, more) = (parts.next(), parts.next(), parts.next(), parts.next());
    let id = match id {
        None => None,
        Some(Value::Number(number)) => Some(EventId::Number(number)),
        Some(Value::String(text)) if text.len() <= MAX_ID_BYTES => Some(EventId::Text(text)),
        Some(_) => return Err((malformed("An id is a number or a short string."), None)),
    };
    match (event, more) {
        (Some(Value::String(event)), None) => Ok(Incoming { event, data: data.unwrap_or(Value::Null), id }),
        (_, Some(_)) => Err((malformed("An event has at most three parts."), id)),
        (_, None) => Err((malformed("An event begins with its name."), id)),
    }
}

/// `[event, data]`.
pub(super) fn event(event: &str, data: &impl Serialize) -> String {
    json(&(event, data))
}

/// `["ack", result, id]`, where the result is JSON already.
pub(super) fn ack(result: &str, id: &EventId) -> String {
    format!(r#"["ack",{result},{}]"#, json(id))
}

/// `["error", {code, message}, id]`, or without an id where none is known.
pub(super) fn error(error: &EventError, id: Option<&EventId>) -> String {
    match id {
        Some(id) => json(&("error", error, id)),
        None => json(&("error", error)),
    }
}

/// As JSON. What is written here holds only strings, numbers, arrays and structs, which JSON always can.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        log::error!("an event cannot be written: {error}");
        r#"["error",{"code":"internal","message":"Something went wrong here."}]"#.to_owned()
    })
}

const MAX_ID_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_arrays_of_a_name_data_and_an_id() {
        let number = |n: u64| Some(EventId::Number(n.into()));
        let rows: &[(&str, Result<(&str, Option<EventId>), (&str, Option<EventId>)>)] = &[
            (r#"["say",{"text":"hi"},7]"#, Ok(("say", number(7)))),
            (r#"["say",{"text":"hi"},"a"]"#, Ok(("say", Some(EventId::Text("a".into()))))),
            (r#"["say",{}]"#, Ok(("say", None))),
            (r#"["beat"]"#, Ok(("beat", None))),
            ("{", Err(("bad_json", None))),
            ("", Err(("bad_json", None))),
            (r#"["say",{"text":"hi"},7"#, Err(("bad_json", None))),
            ("{}", Err(("bad_event", None))),
            ("[]", Err(("bad_event", None))),
            ("[1,2,3]", Err(("bad_event", number(3)))),
            (r#"["say",{},7,8]"#, Err(("bad_event", number(7)))),
            (r#"["say",{},null]"#, Err(("bad_event", None))),
            (r#"["say",{},{"a":1}]"#, Err(("bad_event", None))),
        ];
        for (text, expected) in rows {
            let seen = decode(text);
            let seen = match &seen {
                Ok(incoming) => Ok((&*incoming.event, incoming.id.clone())),
                Err((error, id)) => Err((error.code, id.clone())),
            };
            assert_eq!(seen, *expected, "{text}");
        }
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(decode(&deep).unwrap_err().0.code, "bad_json");
    }
}
