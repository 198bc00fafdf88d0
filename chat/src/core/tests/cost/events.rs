//! Events with data from the chat, drawn from a seed: a grammar of each event's data, and changes to it.

use serde_json::{Map, Value, json};
use switchboard_tests::random::Random;

use super::filled::Pools;

/// What a field of an event's data may contain.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Room,
    Rooms,
    RoomName,
    UserName,
    NewRoomName,
    Text,
    Seq,
    Limit,
    Key,
    Since,
    Older,
    Search,
    To,
    RoomKind,
    Role,
    Session,
    Password,
    Token,
    Flag,
}

/// The fields of each event's data.
pub(super) const GRAMMAR: &[(&str, &[(&str, Field)])] = {
    use Field::*;
    &[
        ("auth", &[("token", Token)]),
        ("beat", &[]),
        ("rooms", &[("after", RoomName), ("search", Search)]),
        ("create", &[("name", NewRoomName), ("kind", RoomKind), ("topic", Text)]),
        ("join", &[("room", Room), ("name", RoomName), ("since", Since)]),
        ("look", &[("room", Room)]),
        ("leave", &[("room", Room), ("remove", Flag)]),
        ("members", &[("room", Room), ("after", UserName)]),
        ("topic", &[("room", Room), ("topic", Text)]),
        ("invite", &[("room", Room), ("name", UserName)]),
        ("kick", &[("room", Room), ("name", UserName)]),
        ("ban", &[("room", Room), ("name", UserName)]),
        ("unban", &[("room", Room), ("name", UserName)]),
        ("bans", &[("room", Room), ("after", UserName)]),
        ("role", &[("room", Room), ("name", UserName), ("role", Role)]),
        ("delete", &[("room", Room), ("seq", Seq)]),
        ("remove", &[("room", Room)]),
        ("say", &[("room", Room), ("text", Text), ("key", Key), ("to", To)]),
        ("tell", &[("name", UserName), ("text", Text), ("key", Key), ("to", To)]),
        ("conversations", &[("older", Older)]),
        ("direct", &[("name", UserName), ("since", Since)]),
        ("history", &[("room", Room), ("before", Seq), ("after", Seq), ("limit", Limit)]),
        ("read", &[("room", Room), ("seq", Seq)]),
        ("typing", &[("room", Room)]),
        ("people", &[("after", UserName), ("search", Search)]),
        ("person", &[("name", UserName), ("room", Room)]),
        ("blocks", &[("after", UserName)]),
        ("block", &[("name", UserName)]),
        ("unblock", &[("name", UserName)]),
        ("sessions", &[]),
        ("revoke", &[("session", Session), ("remove", Rooms)]),
        ("password", &[("old", Password), ("new", Password)]),
        ("delete_account", &[("password", Password), ("remove", Rooms)]),
        ("notice", &[("text", Text)]),
        ("dismiss", &[("notice", Seq)]),
    ]
};

fn one_of<'a, T>(values: &'a [T], random: &mut Random) -> &'a T {
    &values[random.below(values.len())]
}

/// Returns the fields of an event's data.
pub(super) fn fields_of(event: &str) -> &'static [(&'static str, Field)] {
    GRAMMAR.iter().find(|(name, _)| *name == event).unwrap_or_else(|| panic!("{event} has no grammar")).1
}

/// Draws the data of an event.
pub(super) fn draw(event: &str, pools: &Pools, random: &mut Random) -> Value {
    let mut data = Map::new();
    for (name, field) in fields_of(event) {
        // Some fields are optional, and some exclude each other.
        if random.below(4) > 0 {
            data.insert((*name).to_owned(), value(*field, pools, random));
        }
    }
    Value::Object(data)
}

/// Changes one field of an event's data.
pub(super) fn change(event: &str, data: &Value, pools: &Pools, random: &mut Random) -> Value {
    let mut changed = data.clone();
    let (Some(map), fields) = (changed.as_object_mut(), fields_of(event)) else { return changed };
    if random.below(8) == 0 || fields.is_empty() {
        map.insert("more".to_owned(), junk(random));
        return changed;
    }
    let (name, field) = one_of(fields, random);
    if random.below(5) == 0 {
        map.remove(*name);
    } else {
        map.insert((*name).to_owned(), value(*field, pools, random));
    }
    changed
}

fn value(field: Field, pools: &Pools, random: &mut Random) -> Value {
    match field {
        Field::Room => match random.below(3) {
            // Those with members and messages come first.
            0 => json!(pools.rooms[random.below(pools.rooms.len().min(5))]),
            1 => json!(one_of(&pools.rooms, random)),
            _ => json!(pools.rooms[pools.rooms.len() - 1 - random.below(pools.rooms.len().min(5))]),
        },
        Field::Rooms => json!((0..random.below(12_000)).collect::<Vec<_>>()),
        Field::RoomName if random.below(2) == 0 => json!(one_of(&pools.room_names, random)),
        Field::UserName if random.below(3) > 0 => json!(one_of(&pools.user_names, random)),
        Field::RoomName | Field::UserName | Field::NewRoomName | Field::Search => json!(name(random)),
        Field::Text => json!(text(random)),
        Field::Seq => match random.below(4) {
            0 => json!(pools.messages),
            1 => json!(0),
            2 => json!(u64::MAX),
            _ => json!(random.below(usize::try_from(pools.messages).expect("few") + 2)),
        },
        Field::Limit => json!(random.below(300)),
        Field::Key => json!(uuid::Uuid::from_u64_pair(1, random.next_u64()).to_string()),
        Field::Since => {
            let seq = random.below(pools.hashes.len() + 1);
            let hash = pools.hashes.get(seq).filter(|_| random.below(2) == 0);
            json!({ "epoch": pools.epoch, "seq": seq, "hash": hash })
        }
        Field::Older => json!({
            "answered": { "active": random.below(2_000), "room": one_of(&pools.rooms, random) },
            "unanswered": { "active": random.below(2_000), "room": one_of(&pools.rooms, random) },
        }),
        Field::To => json!(one_of(&["all", "others"], random)),
        Field::RoomKind => json!(one_of(&["public", "invited"], random)),
        Field::Role => json!(one_of(&["owner", "member"], random)),
        Field::Session => one_of(&pools.sessions, random).clone(),
        Field::Password => json!(ALPHABETS[random.below(ALPHABETS.len())].repeat(1 + random.below(400))),
        Field::Token => json!("A".repeat(random.below(50))),
        Field::Flag => json!(random.below(2) == 0),
    }
}

/// Draws a name, or what looks like one.
fn name(random: &mut Random) -> String {
    let (one, other) = (one_of(ALPHABETS, random), one_of(ALPHABETS, random));
    let length = *one_of(&[1, 2, 3, 4, 8, 32, 64, 128, 340, 1_000], random);
    let mut name = one.repeat(length.max(1));
    if random.below(2) == 0 {
        name.push_str(other);
    }
    name
}

/// Draws a text of any length.
fn text(random: &mut Random) -> String {
    let piece = one_of(ALPHABETS, random);
    let max = *one_of(&[10, 200, 4_000, 60_000 / piece.len()], random);
    piece.repeat(random.below(max))
}

/// Draws a value that no event has, but that must be read.
fn junk(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!("\u{7f}\"\\".repeat(random.below(10_000))),
        1 => (0..random.below(100)).fold(Value::Null, |inner, _| json!([inner])),
        2 => json!(vec![1.25e-300; random.below(5_000)]),
        _ => Value::Object((0..random.below(2_000)).map(|n| (n.to_string(), json!({}))).collect()),
    }
}

/// Pieces of names and texts, each of a kind that some rule treats in its own way.
const ALPHABETS: &[&str] = &[
    "a",
    "m",
    "A",
    "1",
    " ",
    "\"",
    "\\",
    "\n",
    "é",
    "e\u{301}",
    "ß",
    "ς",
    "Ж",
    "明",
    "・",
    "・ア",
    "ｱﾞ",
    "٣",
    "ن\u{200C}",
    "क\u{94D}\u{200D}",
    "l·l",
    "α\u{375}",
    "ש\u{5F3}",
    "😀",
    "🦀",
    "𝓐",
    "\u{200B}",
    "\u{2800}",
    "\u{FE0F}",
    "\u{1112}\u{1161}\u{11AB}",
    "\u{323}",
    "ﷺ",
    "aaa aab ",
    "room ",
    "user ",
];
