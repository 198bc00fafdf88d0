//! Events as JSON: arrays and objects.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, Visitor},
};
use serde_json::value::RawValue;

use super::{FromPeer, Malformed, Parser, ToPeer};
use crate::{Message, Prepared};

/// Events as arrays of JSON in text messages, in either direction:
///
/// | message | meaning |
/// |---|---|
/// | `["say", data]`, `["say"]` | an event; its data is `null` if there is none |
/// | `["say", data, 7]` | an event that is to be acknowledged, with a number of the sender's |
/// | `[null, data, 7]` | the acknowledgement of event 7 |
/// | `[null, null, 7, "why"]` | event 7 failed |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct JsonArrays;

/// Events as objects of JSON in text messages, in either direction:
///
/// | message | meaning |
/// |---|---|
/// | `{"event": "say", "data": data}` | an event; its data is `null` if there is none |
/// | `{"event": "say", "data": data, "id": 7}` | an event that is to be acknowledged, with a number of the sender's |
/// | `{"ack": 7, "data": data}` | the acknowledgement of event 7 |
/// | `{"ack": 7, "error": "why"}` | event 7 failed |
///
/// Other members are an error, since the sender expects something of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct JsonObjects;

/// `(name, data, id, error)`
#[derive(Deserialize)]
struct Array<'m>(
    #[serde(borrow)] Option<Text<'m>>,
    #[serde(borrow, default)] Option<&'m RawValue>,
    #[serde(default)] Option<u64>,
    #[serde(borrow, default)] Option<Text<'m>>,
);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<'m> {
    #[serde(borrow)]
    event: Option<Text<'m>>,
    #[serde(borrow)]
    data: Option<&'m RawValue>,
    id: Option<u64>,
    ack: Option<u64>,
    #[serde(borrow)]
    error: Option<Text<'m>>,
}

#[derive(Serialize)]
struct ObjectOut<'a, D: ?Sized> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a D>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Parser for JsonArrays {
    type State = ();
    type Data<'m> = &'m RawValue;

    fn parse<'m>(&self, message: Message<'m>, (): &mut ()) -> Result<Option<FromPeer<'m, &'m RawValue>>, Malformed> {
        let Array(name, data, id, error) = read(message)?;
        let data = data.unwrap_or(RawValue::NULL);
        match (name, id, error) {
            (Some(name), id, None) => Ok(Some(FromPeer::Event { name: name.0, data, id })),
            (None, Some(id), None) => Ok(Some(FromPeer::Acknowledgement { id, answer: Ok(data) })),
            (None, Some(id), Some(error)) => Ok(Some(FromPeer::Acknowledgement { id, answer: Err(error.0) })),
            (None, None, _) => Err(Malformed::new("an acknowledgement without a number")),
            (Some(_), _, Some(_)) => Err(Malformed::new("an event of four elements")),
        }
    }

    fn decode<D: DeserializeOwned>(&self, data: &&RawValue) -> Result<D, Malformed> {
        decode(data)
    }

    fn encode<D: Serialize + ?Sized>(
        &self,
        event: ToPeer<'_, D>,
        send: &mut dyn FnMut(Prepared),
    ) -> Result<(), Malformed> {
        const NO_NAME: Option<&str> = None;
        let text = match event {
            ToPeer::Event { name, data, id: None } => serde_json::to_string(&(name, data)),
            ToPeer::Event { name, data, id: Some(id) } => serde_json::to_string(&(name, data, id)),
            ToPeer::Acknowledgement { id, answer: Ok(data) } => serde_json::to_string(&(NO_NAME, data, id)),
            ToPeer::Acknowledgement { id, answer: Err(why) } => serde_json::to_string(&(NO_NAME, (), id, why)),
        };
        send(Prepared::text(&text.map_err(|error| Malformed::new(error.to_string()))?));
        Ok(())
    }
}

impl Parser for JsonObjects {
    type State = ();
    type Data<'m> = &'m RawValue;

    fn parse<'m>(&self, message: Message<'m>, (): &mut ()) -> Result<Option<FromPeer<'m, &'m RawValue>>, Malformed> {
        let Object { event, data, id, ack, error } = read(message)?;
        let answer = match (data, error) {
            (Some(_), Some(_)) => return Err(Malformed::new("data and an error")),
            (None, Some(error)) => Err(error.0),
            (data, None) => Ok(data.unwrap_or(RawValue::NULL)),
        };
        match (event, ack, id, answer) {
            (Some(name), None, id, Ok(data)) => Ok(Some(FromPeer::Event { name: name.0, data, id })),
            (None, Some(id), None, answer) => Ok(Some(FromPeer::Acknowledgement { id, answer })),
            (Some(_), Some(_), ..) => Err(Malformed::new("an event and an acknowledgement")),
            (None, None, ..) => Err(Malformed::new("neither an event nor an acknowledgement")),
            (Some(_), None, _, Err(_)) => Err(Malformed::new("an event with an error")),
            (None, Some(_), Some(_), _) => Err(Malformed::new("an acknowledgement with an id")),
        }
    }

    fn decode<D: DeserializeOwned>(&self, data: &&RawValue) -> Result<D, Malformed> {
        decode(data)
    }

    fn encode<D: Serialize + ?Sized>(
        &self,
        event: ToPeer<'_, D>,
        send: &mut dyn FnMut(Prepared),
    ) -> Result<(), Malformed> {
        let none = ObjectOut { event: None, ack: None, data: None, id: None, error: None };
        let object = match event {
            ToPeer::Event { name, data, id } => ObjectOut { event: Some(name), data: Some(data), id, ..none },
            ToPeer::Acknowledgement { id, answer: Ok(data) } => ObjectOut { ack: Some(id), data: Some(data), ..none },
            ToPeer::Acknowledgement { id, answer: Err(why) } => ObjectOut { ack: Some(id), error: Some(why), ..none },
        };
        let text = serde_json::to_string(&object).map_err(|error| Malformed::new(error.to_string()))?;
        send(Prepared::text(&text));
        Ok(())
    }
}

fn read<'m, T: Deserialize<'m>>(message: Message<'m>) -> Result<T, Malformed> {
    match message {
        Message::Text(text) => serde_json::from_str(text).map_err(|error| Malformed::new(error.to_string())),
        Message::Binary(_) => Err(Malformed::new("a binary message; events are text")),
    }
}

fn decode<D: DeserializeOwned>(data: &RawValue) -> Result<D, Malformed> {
    serde_json::from_str(data.get()).map_err(|error| Malformed::new(error.to_string()))
}

/// A string of JSON, borrowed from the message if it has no escapes.
struct Text<'m>(Cow<'m, str>);

impl<'de: 'm, 'm> Deserialize<'de> for Text<'m> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }

        let text = deserializer.deserialize_str(TextVisitor)?;
        if text.len() > MAX_STRING_BYTES {
            return Err(D::Error::custom(format_args!("a name of more than {MAX_STRING_BYTES} bytes")));
        }
        Ok(Self(text))
    }
}

/// The longest name of an event, and the longest text of an error.
const MAX_STRING_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what a text means: `name data id`, `= data id` for an acknowledgement, `! why id` for a failed one.
    fn parsed<P: for<'m> Parser<Data<'m> = &'m RawValue, State = ()>>(
        parser: &P,
        text: &str,
    ) -> Result<String, String> {
        let number = |id: Option<u64>| id.map_or("-".to_owned(), |id| id.to_string());
        match parser.parse(Message::Text(text), &mut ()) {
            Ok(Some(FromPeer::Event { name, data, id })) => Ok(format!("{name} {} {}", data.get(), number(id))),
            Ok(Some(FromPeer::Acknowledgement { id, answer: Ok(data) })) => Ok(format!("= {} {id}", data.get())),
            Ok(Some(FromPeer::Acknowledgement { id, answer: Err(why) })) => Ok(format!("! {why} {id}")),
            Ok(None) => panic!("{text} needs more"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn encoded<P: Parser>(parser: &P, event: ToPeer<'_, str>) -> String {
        let mut texts = Vec::new();
        let mut send = |message: Prepared| texts.push(String::from_utf8(message.payload().to_vec()).unwrap());
        parser.encode(event, &mut send).unwrap();
        assert_eq!(texts.len(), 1);
        texts.remove(0)
    }

    #[test]
    fn arrays_are_events_and_acknowledgements() {
        for (text, meaning) in [
            (r#"["say"]"#, "say null -"),
            (r#"["say",null]"#, "say null -"),
            (r#" [ "say" , { "a" : [1, 2] } ] "#, r#"say { "a" : [1, 2] } -"#),
            (r#"["say","x",0]"#, r#"say "x" 0"#),
            (r#"["",1,18446744073709551615]"#, " 1 18446744073709551615"),
            (r#"["say",1,null]"#, "say 1 -"),
            (r#"["say",1,null,null]"#, "say 1 -"),
            (r#"["\u0073ay\n",1]"#, "say\n 1 -"),
            (r#"[null,[1],3]"#, "= [1] 3"),
            (r#"[null,null,3]"#, "= null 3"),
            (r#"[null,null,3,"no"]"#, "! no 3"),
        ] {
            assert_eq!(parsed(&JsonArrays, text).as_deref(), Ok(meaning), "{text}");
        }
        let long = format!("[\"{}\"]", "n".repeat(257));
        for text in [
            "",
            "null",
            "{}",
            "[]",
            "1",
            "\"say\"",
            "[1]",
            "[[]]",
            "[null]",
            "[null,1]",
            r#"["say",1,-1]"#,
            r#"["say",1,1.5]"#,
            r#"["say",1,"1"]"#,
            r#"["say",1,18446744073709551616]"#,
            r#"["say",1,2,"x"]"#,
            r#"[null,1,null,"x"]"#,
            r#"["say",1,2,null,3]"#,
            r#"["say",1"#,
            r#"["say",1]]"#,
            r#"["say",1] x"#,
            r#"["say",x]"#,
            &long,
        ] {
            assert!(parsed(&JsonArrays, text).is_err(), "{text}");
        }
        assert!(parsed(&JsonArrays, &format!("[\"{}\"]", "n".repeat(256))).is_ok());
    }

    #[test]
    fn objects_are_events_and_acknowledgements() {
        for (text, meaning) in [
            (r#"{"event":"say"}"#, "say null -"),
            (r#"{"data":[1],"event":"say"}"#, "say [1] -"),
            (r#"{"event":"say","data":null,"id":7}"#, "say null 7"),
            (r#"{"event":"say","error":null,"ack":null}"#, "say null -"),
            (r#"{"ack":7}"#, "= null 7"),
            (r#"{"ack":7,"data":{}}"#, "= {} 7"),
            (r#"{"ack":7,"error":"no"}"#, "! no 7"),
        ] {
            assert_eq!(parsed(&JsonObjects, text).as_deref(), Ok(meaning), "{text}");
        }
        for text in [
            "",
            "null",
            "{}",
            "[]",
            r#"["say",1]"#,
            r#"{"data":1}"#,
            r#"{"event":1}"#,
            r#"{"event":"say","ack":1}"#,
            r#"{"ack":1,"id":1}"#,
            r#"{"ack":-1}"#,
            r#"{"ack":1,"data":1,"error":"x"}"#,
            r#"{"event":"say","error":"x"}"#,
            r#"{"event":"say","more":1}"#,
            r#"{"event":"a","event":"b"}"#,
        ] {
            assert!(parsed(&JsonObjects, text).is_err(), "{text}");
        }
    }

    #[test]
    fn binary_messages_are_no_events() {
        assert!(JsonArrays.parse(Message::Binary(br#"["say"]"#), &mut ()).is_err());
        assert!(JsonObjects.parse(Message::Binary(br#"{"event":"say"}"#), &mut ()).is_err());
    }

    #[test]
    fn what_is_encoded_is_parsed_as_the_same() {
        for (event, array, object, meaning) in [
            (
                ToPeer::Event { name: "a\"b", data: "x", id: None },
                r#"["a\"b","x"]"#,
                r#"{"event":"a\"b","data":"x"}"#,
                "a\"b \"x\" -",
            ),
            (
                ToPeer::Event { name: "a", data: "x", id: Some(3) },
                r#"["a","x",3]"#,
                r#"{"event":"a","data":"x","id":3}"#,
                "a \"x\" 3",
            ),
            (
                ToPeer::Acknowledgement { id: 3, answer: Ok("x") },
                r#"[null,"x",3]"#,
                r#"{"ack":3,"data":"x"}"#,
                "= \"x\" 3",
            ),
            (
                ToPeer::Acknowledgement { id: 3, answer: Err("no") },
                r#"[null,null,3,"no"]"#,
                r#"{"ack":3,"error":"no"}"#,
                "! no 3",
            ),
        ] {
            assert_eq!(encoded(&JsonArrays, event), array);
            assert_eq!(parsed(&JsonArrays, array).as_deref(), Ok(meaning));
            assert_eq!(encoded(&JsonObjects, event), object);
            assert_eq!(parsed(&JsonObjects, object).as_deref(), Ok(meaning));
        }
    }

    #[test]
    fn data_is_decoded_for_its_handler_or_the_error_says_what_is_wrong() {
        let raw: &RawValue = serde_json::from_str("[1, 2]").unwrap();
        assert_eq!(JsonArrays.decode::<(u8, u8)>(&raw), Ok((1, 2)));
        let error = JsonArrays.decode::<String>(&raw).unwrap_err();
        assert!(error.to_string().contains("expected a string"), "{error}");
        let unencodable = std::collections::BTreeMap::from([((1, 2), 3)]);
        for parsed in [
            JsonArrays.encode(ToPeer::Event { name: "a", data: &unencodable, id: None }, &mut |_| panic!("it is sent")),
            JsonObjects
                .encode(ToPeer::Event { name: "a", data: &unencodable, id: None }, &mut |_| panic!("it is sent")),
        ] {
            assert!(parsed.is_err());
        }
    }
}
