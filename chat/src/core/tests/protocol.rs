//! `docs/protocol.md` and the code say the same: events, fields, results, errors, weights, limits.

use std::{fs, path::Path};

use serde::{
    Deserializer,
    de::{Visitor, value::Error},
    forward_to_deserialize_any,
};

use super::{
    super::{
        super::{
            ChatLimits, Rate,
            backlog::{MAX_BYTES, MAX_EVENTS},
            interface::{Content, Effect, Push},
            peer::UNAUTHENTICATED_RATE,
        },
        direct_rooms::MAX_BEGUN,
        events::{EVENTS, Kind, decode},
        moderation::{INVITATION_COUNTS, MAX_INVITATIONS, MAX_INVITATIONS_OF_ONE, MAX_INVITED, MAX_INVITED_BY_GUEST},
        state::{CONNECT_RATE, GUEST_SHARE, REFUSAL_RATE, USER_EVENT_FACTOR},
        users::MAX_BLOCKED,
    },
    cost::{each_event, filled_chat},
    *,
};

fn document() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    fs::read_to_string(folder.join("protocol.md")).expect("the documentation")
}

/// Returns the rows of the tables whose first column has this head.
fn rows<'a>(document: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let (mut rows, mut is_in_table) = (Vec::new(), false);
    for line in document.lines() {
        let Some(line) = line.strip_prefix("| ") else {
            is_in_table &= line.starts_with("|-");
            continue;
        };
        let cells: Vec<_> = line.strip_suffix('|').expect("a row").split('|').map(str::trim).collect();
        if is_in_table {
            rows.push(cells);
        } else {
            is_in_table = cells[0] == head;
        }
    }
    assert!(!rows.is_empty(), "a table of {head}");
    rows
}

/// Returns what stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns the fields of `{a, b?, c: [{d}]}` without those inside of others, each with whether it is always there.
fn fields(shape: &str) -> BTreeMap<String, bool> {
    let mut depth = 0;
    let top: String = shape
        .chars()
        .filter(|c| {
            depth -= i32::from(matches!(c, '}' | ']'));
            let is_top = depth <= 1;
            depth += i32::from(matches!(c, '{' | '['));
            is_top
        })
        .collect();
    let names = top.split([',', '{', '}']).filter_map(|field| field.split(':').next()).map(str::trim);
    let names = names.filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
    names.map(|name| (name.trim_end_matches('?').to_owned(), !name.ends_with('?'))).collect()
}

/// What the document says about an event that clients send.
#[derive(Default)]
struct Documented {
    fields: BTreeSet<String>,
    result: BTreeMap<String, bool>,
    errors: BTreeSet<String>,
}

fn documented(document: &str) -> BTreeMap<String, Documented> {
    let mut events: BTreeMap<String, Documented> = BTreeMap::new();
    let mut rows = rows(document, "client sends");
    // Some refer to others.
    rows.sort_by_key(|row| row[2].starts_with("as "));
    for row in rows {
        let [names, data, result, errors] = row[..] else { panic!("{row:?} has four columns") };
        let mut event = Documented::default();
        for shape in code(data).filter(|code| code.starts_with('{') || code.ends_with('?')) {
            event.fields.extend(fields(&format!("{{{}}}", shape.trim_matches(['{', '}']))).into_keys());
        }
        let shape = code(result).next().expect("a result");
        if let Some(others) = result.starts_with("as ").then(|| &events[shape]) {
            event.result = others.result.clone();
            for left_out in result.split("without").skip(1).flat_map(|rest| code(rest).take(1)) {
                event.result.remove(left_out);
            }
        } else {
            event.result = fields(shape);
        }
        for word in code(errors) {
            match events.get(word) {
                Some(other) => event.errors.extend(other.errors.iter().cloned()),
                None => drop(event.errors.insert(word.to_owned())),
            }
        }
        for name in code(names) {
            let Documented { fields, result, errors } = &event;
            let copy = Documented { fields: fields.clone(), result: result.clone(), errors: errors.clone() };
            assert!(events.insert(name.to_owned(), copy).is_none(), "{name} is documented twice");
        }
    }
    // Both are described in the text.
    for (name, example) in [("auth", r#"`["auth", {token}]`"#), ("beat", r#"`["beat"]`"#)] {
        assert!(document.contains(example), "{example}");
        let event = events.entry(name.to_owned()).or_default();
        event.fields = fields(example.split_once('{').map_or("", |(_, rest)| rest)).into_keys().collect();
    }
    events
}

/// Notes the fields that an event's data may have.
struct FieldNames<'a>(&'a mut BTreeSet<String>);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("only the names count"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields.iter().map(|&field| field.to_owned()));
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[test]
fn every_event_and_its_fields_are_documented_and_no_others() {
    let document = document();
    let code: BTreeMap<_, _> = EVENTS
        .iter()
        .map(|row| {
            let mut fields = BTreeSet::new();
            drop(decode(row.name, FieldNames(&mut fields)).expect("an event"));
            (row.name.to_owned(), fields)
        })
        .collect();
    let documented: BTreeMap<_, _> =
        documented(&document).into_iter().map(|(name, event)| (name, event.fields)).collect();
    assert_eq!(documented, code);
}

#[test]
fn every_result_and_every_push_has_the_documented_fields() {
    let document = document();
    let events = documented(&document);
    let pushes: BTreeMap<String, &str> = rows(&document, "event")
        .into_iter()
        .flat_map(|row| code(row[0]).map(|name| (name.to_owned(), row[1])).collect::<Vec<_>>())
        .filter(|(name, _)| name != "ack" && name != "error")
        .collect();
    assert_eq!(pushes.keys().map(String::as_str).collect::<BTreeSet<_>>(), Push::NAMES.iter().copied().collect());
    let mut filled = filled_chat();
    let mut seen = BTreeSet::new();
    for (name, data) in each_event(&filled) {
        let command = event_command(filled.connection, &json!([name, data, 1]));
        filled.state.store.begin().unwrap();
        filled.state.run(&command).unwrap();
        for effect in std::mem::take(&mut filled.state.effects) {
            match effect {
                Effect::Tell(_, Content::Reply(_, Ok(answer))) => {
                    has_fields(name, &serde_json::to_value(&answer).unwrap(), &events[name].result);
                    seen.insert(name);
                }
                Effect::Tell(_, Content::Push(push)) => {
                    if let Some(shape) = code(pushes[push.name()]).next().filter(|shape| shape.starts_with('{')) {
                        has_fields(push.name(), &serde_json::to_value(&push).unwrap(), &fields(shape));
                    }
                }
                _ => {}
            }
        }
        filled.state.store.roll_back();
        filled.state.presence.roll_back();
    }
    // The events that prove a password are answered later.
    let rest: Vec<_> = EVENTS.iter().map(|row| row.name).filter(|name| !seen.contains(name)).collect();
    assert_eq!(rest, ["auth", "password", "delete_account"]);
}

/// Asserts that a value has all fields that are always there, and none that is not documented.
#[track_caller]
fn has_fields(what: &str, value: &Value, documented: &BTreeMap<String, bool>) {
    let value = value.as_object().expect("an object");
    for field in value.keys() {
        assert!(documented.contains_key(field), "{what}: {field} is not documented");
    }
    for (field, is_always_there) in documented {
        assert!(!is_always_there || value.contains_key(field), "{what}: there is no {field}");
    }
}

/// Asserts that an event may be refused with this error. All tests of the core do.
#[track_caller]
pub(super) fn assert_documented(event: &str, code: &str) {
    static ERRORS: OnceLock<BTreeMap<String, BTreeSet<String>>> = OnceLock::new();
    let errors = ERRORS.get_or_init(|| {
        let events = documented(&document()).into_iter();
        events
            .map(|(name, event)| {
                let of_rooms = event.fields.contains("room").then(|| "unknown_room".to_owned());
                (name, event.errors.into_iter().chain(of_rooms).collect())
            })
            .collect()
    });
    let is_known = OF_ANY_EVENT.contains(&code) || errors.get(event).is_some_and(|errors| errors.contains(code));
    assert!(is_known, "{event} is refused with {code}, which docs/protocol.md does not say");
}

const OF_ANY_EVENT: &[&str] = &[
    "bad_json",
    "bad_event",
    "unknown_event",
    "bad_data",
    "no_session",
    "too_fast",
    "overloaded",
    "storage",
    "unknown",
];

#[test]
fn the_weights_and_what_counts_as_activity_are_documented() {
    let document = document();
    let (_, weights) = document.split_once("The weight of an event is 1, except:").expect("the weights");
    let (weights, _) = weights.split_once("Each 8").expect("their end");
    let mut documented: BTreeMap<&str, u32> = BTreeMap::new();
    for group in weights.trim().trim_end_matches('.').split(';') {
        let weight = group.split_whitespace().next_back().expect("a number").parse().expect("a number");
        documented.extend(code(group).map(|name| (name, weight)));
    }
    for row in EVENTS {
        assert_eq!(documented.remove(row.name).unwrap_or(1), row.weight, "{}", row.name);
    }
    assert_eq!(documented, BTreeMap::new(), "no such events");
    let (_, readers) = document.split_once("`beat` and events that only read (").expect("what does not count");
    let (readers, _) = readers.split_once(')').expect("its end");
    let mut readers: BTreeSet<_> =
        readers.replace("`join` by a member", "`join`").split('`').skip(1).step_by(2).map(str::to_owned).collect();
    for row in EVENTS.iter().filter(|row| row.kind == Kind::Reads) {
        assert!(readers.remove(row.name), "{} only reads", row.name);
    }
    assert_eq!(readers, BTreeSet::new());
}

#[test]
fn every_limit_is_documented_with_its_default() {
    let document = document();
    let ChatLimits { text_chars, topic_chars, room_name_chars, events, messages, entries, .. } = ChatLimits::default();
    let ChatLimits {
        conversations, sign_ins, sign_ups, rooms: in_rooms, owned_rooms, connections, kept_messages, ..
    } = ChatLimits::default();
    let days = INVITATION_COUNTS / (24 * 60 * 60 * 1000);
    // "Four times as many", and "a quarter".
    assert_eq!((USER_EVENT_FACTOR, GUEST_SHARE), (4, 4));
    let strangers = Rate { at_once: 10 * sign_ins.at_once, ..sign_ins };
    let expected = [
        ("a message's text".to_owned(), format!("{} characters", grouped(text_chars))),
        ("a topic; a room's name".to_owned(), format!("{topic_chars}; {room_name_chars} characters")),
        ("a WebSocket message".to_owned(), "64 KiB".to_owned()),
        (
            "events per connection; before it shows a session, only `auth` and `beat`".to_owned(),
            format!("{}; {}", shown(events), shown(UNAUTHENTICATED_RATE)),
        ),
        ("events per user, on all connections, by weight".to_owned(), "four times as many".to_owned()),
        (
            "messages per user, with all other events that other users see: joining, leaving, `typing`, moderation"
                .to_owned(),
            shown(messages),
        ),
        ("rooms that a user enters or creates".to_owned(), shown(entries)),
        (
            "conversations that a user begins: messages to users who are not in the direct room; by a guest".to_owned(),
            format!("{}; a quarter of both", shown(conversations)),
        ),
        (
            "rooms of a user, without direct ones; rooms that a user has created and still owns".to_owned(),
            format!("{in_rooms}; {owned_rooms}"),
        ),
        ("direct rooms of a user that the user has begun, or come back to".to_owned(), grouped(MAX_BEGUN)),
        (
            format!("open invitations that a user has sent in the last {days} days; a guest"),
            format!("{MAX_INVITED}; {MAX_INVITED_BY_GUEST}"),
        ),
        ("open invitations from one user to another".to_owned(), MAX_INVITATIONS_OF_ONE.to_string()),
        ("open invitations to a user".to_owned(), MAX_INVITATIONS.to_string()),
        ("users that a user blocks".to_owned(), grouped(MAX_BLOCKED)),
        ("connections of a user".to_owned(), connections.to_string()),
        ("new connections".to_owned(), shown(CONNECT_RATE)),
        ("password checks of a signed-in user".to_owned(), shown(sign_ins)),
        ("refused events of a connection, and of a user".to_owned(), shown(REFUSAL_RATE)),
        (
            "events that wait for their replies, per connection".to_owned(),
            format!("{MAX_EVENTS}, or {} KiB", MAX_BYTES >> 10),
        ),
        ("failed log-ins per address".to_owned(), shown(sign_ins)),
        (
            "failed log-ins to an account, by all strangers; by each device that has logged in before".to_owned(),
            format!("{}; as per address", shown(strangers)),
        ),
        (
            "new accounts, guests and log-ins together, per address; log-ins of a device that has logged in before"
                .to_owned(),
            format!("{}, each", shown(sign_ups)),
        ),
        ("messages kept per room".to_owned(), grouped(usize::try_from(kept_messages).unwrap())),
    ];
    let documented = rows(&document, "limit").into_iter().map(|row| (row[0].to_owned(), row[1].to_owned()));
    assert_eq!(documented.collect::<Vec<_>>(), expected);
}

/// Writes a rate as the document does.
fn shown(Rate { at_once, per_second }: Rate) -> String {
    let seconds = (1.0 / per_second).round();
    let rate = match seconds {
        0.0 => format!("{per_second} a second"),
        1.0 => "one a second".to_owned(),
        60.0 => "one a minute".to_owned(),
        _ => format!("one every {seconds} s"),
    };
    format!("bursts of {at_once}, {rate}")
}

/// Writes a number with commas between thousands.
fn grouped(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}
