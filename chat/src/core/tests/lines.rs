//! A second wire format, lines of text, over the same core as JSON: `say room=1; text="hi" #7`, and `ok #7`.

use serde::{
    Deserializer,
    de::{
        IntoDeserializer, Visitor,
        value::{Error, MapDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{
    super::{
        super::interface::{Audience, Content, Delivery, Effect, Push, Topic},
        events::{Decoded, decode},
        queue::Unfinished,
    },
    *,
};

/// A value of a field: a number or a text in quotation marks.
struct Field<'a>(&'a str);

impl<'de> Deserializer<'de> for Field<'de> {
    type Error = Error;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.parse() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => visitor.visit_borrowed_str(self.0.trim_matches('"')),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de> for Field<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

/// Decodes a line to a command of a client.
fn line_command(client: ClientId, line: &str) -> Command {
    let (line, id) = line.split_once(" #").expect("an id");
    let (name, fields) = line.split_once(' ').unwrap_or((line, ""));
    let fields = fields.split("; ").filter_map(|field| field.split_once('=').map(|(key, value)| (key, Field(value))));
    let (data, id) = (MapDeserializer::new(fields), EventId::Text(id.to_owned()));
    let unfinished = Unfinished { backlog: backlog(), bytes: None };
    match decode(name, data).expect("an event").expect("its data") {
        Decoded::Event(event) => Command::Event(client, event.with_id(Some(id)), unfinished),
        Decoded::Proof(_) => panic!("{line} has a password"),
    }
}

fn encode_line(content: &Content) -> Option<String> {
    Some(match content {
        Content::Reply(Some(EventId::Text(id)), Ok(_)) => format!("ok #{id}"),
        Content::Reply(Some(EventId::Text(id)), Err(error)) => format!("error #{id} {}", error.code),
        Content::Reply(..) => return None,
        Content::Push(Push::Message(message)) => {
            format!("{} {} {}", message.from, message.kind, message.text.as_deref().unwrap_or_default())
        }
        Content::Push(push) => push.name().to_owned(),
    })
}

/// Delivers to clients of both formats.
#[derive(Default)]
struct TwoFormats {
    json: JsonDelivery<RecordedTransport>,
    followers: Mutex<BTreeSet<(ClientId, Topic)>>,
    lines: Mutex<Vec<(ClientId, String)>>,
}

impl Delivery for TwoFormats {
    type Encoded = (<JsonDelivery<RecordedTransport> as Delivery>::Encoded, Option<String>);

    fn encode(&self, content: Content) -> Self::Encoded {
        let line = encode_line(&content);
        (self.json.encode(content), line)
    }

    fn bytes((json, _): &Self::Encoded) -> usize {
        JsonDelivery::<RecordedTransport>::bytes(json)
    }

    fn answer_bytes((json, _): &Self::Encoded) -> usize {
        JsonDelivery::<RecordedTransport>::answer_bytes(json)
    }

    fn deliver(&self, effect: Effect<Self::Encoded>) {
        match &effect {
            Effect::Tell(Audience::One(client), (_, line)) if client.connection_to(RUN).is_none() => {
                return self.lines.lock().unwrap().extend(line.clone().map(|line| (*client, line)));
            }
            Effect::Tell(Audience::Followers(topic, except), (_, Some(line))) => {
                let followers = self.followers.lock().unwrap();
                let others =
                    followers.iter().filter(|(client, followed)| followed == topic && Some(*client) != *except);
                self.lines.lock().unwrap().extend(others.map(|(client, _)| (*client, line.clone())));
            }
            Effect::Follow(client, topic) if client.connection_to(RUN).is_none() => {
                self.followers.lock().unwrap().insert((*client, *topic));
                return;
            }
            _ => {}
        }
        self.json.deliver(effect.map(|(json, _)| json));
    }

    fn resume(&self, _: ClientId) {}
    fn post(&self) {}
    fn complete(&self, _: RequestId, _: Outcome) {}
    fn is_overloaded(&self) -> bool {
        false
    }
}

#[test]
fn two_users_talk_whose_clients_have_different_formats() {
    let mut chat = TestChat::new();
    let tokens = ["Ada", "Ben"].map(|name| chat.account(name).unwrap());
    let (ada, both) = (connection_numbered(8), TwoFormats::default());
    let ben = RunId::new(2).client("0.8.0".parse().unwrap());
    let mut process = |command| chat.state.process(&mut InOrder([command].into()), chat.now, &both);
    for (client, token) in [(ada, tokens[0]), (ben, tokens[1])] {
        process(Command::Opened(client, Credential::Tokens(vec![token]), backlog()));
    }
    process(event_command(ada, &json!(["join", { "room": LOBBY }, 1])));
    process(line_command(ben, "join room=1 #1"));
    process(line_command(ben, "say room=1; text=\"hi, all\"; key=\"00000000-0000-0000-0000-000000000001\" #2"));
    process(event_command(
        ada,
        &json!(["say", { "room": LOBBY, "text": "hi, Ben", "key": Uuid::max().to_string() }, 2]),
    ));
    process(line_command(ben, "delete room=1; seq=2 #3"));
    let expected = ["welcome", "ok #1", "ok #2", "Ben said hi, all", "Ada said hi, Ben", "error #3 not_owner"];
    assert_eq!(*both.lines.lock().unwrap(), expected.map(|line| (ben, line.to_owned())));
    let output = both.json.0.output.lock().unwrap();
    assert_eq!(output.keys().collect::<Vec<_>>(), [&ada]);
    assert_eq!(texts(&output[&ada].iter().map(|event| event[1].clone()).collect()), ["hi, all", "hi, Ben"]);
}
