//! Events as text: JSON arrays `[event, data]` and `[event, data, id]`.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer as _, Serialize,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// An event that a client sent.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) event: String,
    /// Unparsed JSON, which takes no more memory than the message. `null` if the client sent no data.
    pub(super) data: Box<RawValue>,
    pub(super) id: Option<EventId>,
}

/// The number or string by which a client matches a reply to its event.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum EventId {
    /// As the client wrote it: no type of ours has all numbers of JSON, and a client compares what comes back.
    Number(Box<RawValue>),
    Text(String),
}

/// An error reply: a code for programs and a sentence for users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct EventError {
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
    /// The numbers of the rooms that the error is about, if there may be several.
    #[serde(skip_serializing_if = "<[i64]>::is_empty")]
    pub(super) rooms: Box<[i64]>,
}

impl EventError {
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), rooms: Box::default() }
    }

    /// Returns the error for the last member of these rooms, who has not confirmed that they are removed.
    pub(super) fn last_member(rooms: Vec<i64>) -> Self {
        let message = "You are the last member: the room and its messages are deleted if you confirm it.";
        Self { rooms: rooms.into(), ..Self::new("last_member", message) }
    }

    /// Returns the error for an overloaded server.
    pub(super) fn overloaded() -> Self {
        Self::new("overloaded", "The server is very busy; please try again in a moment.")
    }

    /// Returns the error for a connection that is not signed in.
    pub(super) fn no_session() -> Self {
        Self::new("no_session", "You are not signed in.")
    }

    /// Returns the error for a user who acts on their own account, where only the password can be wrong.
    pub(super) fn wrong_password() -> Self {
        Self::new("bad_credentials", "The password is wrong.")
    }

    /// Returns the error for a change that cannot be stored.
    pub(super) fn storage() -> Self {
        Self::new("storage", "The server cannot save this, and nothing was changed. Please try again later.")
    }

    /// Returns the error for a change of which it is not known whether it is stored.
    pub(super) fn unknown() -> Self {
        Self::new("unknown", "The server cannot tell whether this was saved. Please check before you try again.")
    }
}

/// Decodes an event, except for its data: this runs on the event loop, and the core decodes the data on another
/// thread.
///
/// # Errors
/// The error reply, with the event's id if it has a valid one.
pub(super) fn decode(text: &str) -> Result<Incoming, (EventError, Option<EventId>)> {
    let malformed = |message: &'static str| EventError::new("bad_event", message);
    let json: &RawValue = serde_json::from_str(text)
        .map_err(|error| (EventError::new("bad_json", format!("Invalid JSON: {error}.")), None))?;
    let Some([event, data, id, more]) = first_parts(json) else {
        return Err((malformed("An event is an array: [event, data] or [event, data, id]."), None));
    };
    let id = match id.map(EventId::read) {
        None => None,
        Some(Some(id)) => Some(id),
        Some(None) => return Err((malformed("An id is a number or a string, of at most 64 bytes."), None)),
    };
    if more.is_some() {
        return Err((malformed("An event has at most three parts."), id));
    }
    match event.map(|event| serde_json::from_str(event.get())) {
        Some(Ok(event)) => Ok(Incoming { event, data: data.unwrap_or(RawValue::NULL).to_owned(), id }),
        _ => Err((malformed("The first part of an event is its name, a string."), id)),
    }
}

/// Returns the first four elements of an array, or `None` if the JSON is not an array. Later elements are not read:
/// there may be many.
fn first_parts(json: &RawValue) -> Option<[Option<&RawValue>; 4]> {
    struct Array<'p, 'a>(&'p mut [Option<&'a RawValue>; 4]);

    impl<'a> Visitor<'a> for Array<'_, 'a> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<(), A::Error> {
            self.0.iter_mut().try_for_each(|part| array.next_element().map(|next| *part = next))
        }
    }

    let mut parts = [None; 4];
    match serde_json::Deserializer::from_str(json.get()).deserialize_seq(Array(&mut parts)) {
        Ok(()) => Some(parts),
        // The array has more elements.
        Err(_) if parts[3].is_some() => Some(parts),
        Err(_) => None,
    }
}

impl EventId {
    /// Reads an id: a number or a string, of at most [`MAX_ID_BYTES`].
    fn read(json: &RawValue) -> Option<Self> {
        match json.get().bytes().next()? {
            b'"' => {
                let text: String = serde_json::from_str(json.get()).ok()?;
                (text.len() <= MAX_ID_BYTES).then_some(Self::Text(text))
            }
            // Many programs could not read a reply with a number beyond those of 64 bits with a floating point.
            b'-' | b'0'..=b'9' => (json.get().len() <= MAX_ID_BYTES
                && json.get().parse::<f64>().is_ok_and(f64::is_finite))
            .then(|| Self::Number(json.to_owned())),
            _ => None,
        }
    }
}

/// Encodes `[event, data]`, or `[event]` without data.
pub(super) fn event(event: &str, data: Option<&impl Serialize>) -> String {
    match data {
        Some(data) => json(&(event, data)),
        None => json(&[event]),
    }
}

/// Encodes `["ack", result, id]`. The result is JSON already.
pub(super) fn ack(result: &str, id: &EventId) -> String {
    format!(r#"["ack",{result},{}]"#, json(id))
}

/// Encodes `["error", {code, message}, id]`, or without the id if it is not known.
pub(super) fn error(error: &EventError, id: Option<&EventId>) -> String {
    match id {
        Some(id) => json(&("error", error, id)),
        None => json(&("error", error)),
    }
}

/// Encodes a value as JSON. It cannot fail: the values here contain only strings, numbers, arrays and structs.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        log::error!("cannot encode an event: {error}");
        r#"["error",{"code":"internal","message":"Internal error."}]"#.to_owned()
    })
}

/// The reason with which a connection is closed that goes on although its events are refused.
pub(super) const TOO_MANY_REFUSALS: &str = "too many events that were refused";
const MAX_ID_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_arrays_of_a_name_data_and_an_id() {
        let number = |n: u64| Some(n.to_string());
        let rows: &[(&str, Result<(&str, Option<String>), (&str, Option<String>)>)] = &[
            (r#"["say",{"text":"hi"},7]"#, Ok(("say", number(7)))),
            (r#"["say",{"text":"hi"},"a"]"#, Ok(("say", Some(r#""a""#.into())))),
            (r#"["say",{}]"#, Ok(("say", None))),
            (r#"["beat"]"#, Ok(("beat", None))),
            ("{", Err(("bad_json", None))),
            ("", Err(("bad_json", None))),
            (r#"["say",{"text":"hi"},7"#, Err(("bad_json", None))),
            ("{}", Err(("bad_event", None))),
            ("[]", Err(("bad_event", None))),
            ("[1,2,3]", Err(("bad_event", number(3)))),
            (r#"["say",{},7,8]"#, Err(("bad_event", number(7)))),
            (r#"["say",{},7,8,9,10]"#, Err(("bad_event", number(7)))),
            (r#"["say",{},7,8,9,10"#, Err(("bad_json", None))),
            (r#"["say",{},null]"#, Err(("bad_event", None))),
            (r#"["say",{},{"a":1}]"#, Err(("bad_event", None))),
        ];
        for (text, expected) in rows {
            let seen = decode(text);
            let seen = match &seen {
                Ok(incoming) => Ok((&*incoming.event, incoming.id.as_ref().map(json))),
                Err((error, id)) => Err((error.code, id.as_ref().map(json))),
            };
            assert_eq!(seen, *expected, "{text}");
        }
    }

    /// A past bug: a number beyond 64 bits came back as another one, rounded.
    #[test]
    fn a_number_comes_back_as_it_was_written() {
        let longest = "9".repeat(64);
        let numbers = [
            "0",
            "-0",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "0.1000000000000000055511151231257827021181583404541015625",
            "1.0",
            "1e2",
            "1E+2",
            "1e308",
            "-1.5e-999",
            &longest,
        ];
        for number in numbers {
            let incoming = decode(&format!(r#"["say",{{}}, {number} ]"#)).unwrap();
            let id = incoming.id.unwrap();
            assert_eq!(ack("{}", &id), format!(r#"["ack",{{}},{number}]"#));
            let refused = error(&EventError::no_session(), Some(&id));
            assert!(refused.ends_with(&format!("}},{number}]")), "{refused}");
        }
        let rows = [
            (format!("{longest}9"), "bad_event"),
            (format!("0.{}", "0".repeat(63)), "bad_event"),
            ("1e999".to_owned(), "bad_event"),
            ("-1e309".to_owned(), "bad_event"),
            ("true".to_owned(), "bad_event"),
            ("[1]".to_owned(), "bad_event"),
            ("01".to_owned(), "bad_json"),
            ("+1".to_owned(), "bad_json"),
            ("1.".to_owned(), "bad_json"),
            (".5".to_owned(), "bad_json"),
            ("0x10".to_owned(), "bad_json"),
            ("NaN".to_owned(), "bad_json"),
        ];
        for (id, code) in rows {
            let (error, id) = decode(&format!(r#"["say",{{}},{id}]"#)).unwrap_err();
            assert_eq!((error.code, id.is_some()), (code, false));
        }
    }

    #[test]
    fn a_string_comes_back_with_the_same_characters() {
        let longest = format!("\"{}\"", "x".repeat(64));
        let escaped = format!("\"{}\"", r"\u0078".repeat(64));
        for (id, shown) in
            [(r#""""#, r#""""#), (r#""a\n\u00e9""#, "\"a\\n\u{e9}\""), (&longest, &*longest), (&escaped, &longest)]
        {
            let incoming = decode(&format!(r#"["say",{{}},{id}]"#)).unwrap();
            assert_eq!(ack("{}", &incoming.id.unwrap()), format!(r#"["ack",{{}},{shown}]"#));
        }
        for id in [format!("\"{}\"", "x".repeat(65)), r#""\ud800""#.to_owned()] {
            let (error, id) = decode(&format!(r#"["say",{{}},{id}]"#)).unwrap_err();
            assert_eq!((error.code, id.is_some()), ("bad_event", false));
        }
    }

    #[test]
    fn data_is_passed_on_unparsed() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let rows: &[(&str, &str)] = &[
            (r#"["say"]"#, "null"),
            (r#"["say",null]"#, "null"),
            (r#" [ "say" , { "a" : [ 1 , "]" ] } , 7 ] "#, r#"{ "a" : [ 1 , "]" ] }"#),
            (r#"["say",1e999,7]"#, "1e999"),
            (&format!(r#"["say",{deep},7]"#), &deep),
        ];
        for (text, expected) in rows {
            assert_eq!(decode(text).unwrap().data.get(), *expected);
        }
    }
}
