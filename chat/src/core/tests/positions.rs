//! Positions in a room's log: which ones it goes on from, and which ones are a gap.

use super::*;

/// Returns the first message that a client gets from this position on, whether there is a gap, and whether the client
/// now follows the room.
fn catch_up(chat: &mut TestChat, connection: ClientId, since: Value) -> (String, bool, bool) {
    let entered = chat.call(connection, "join", json!({ "room": LOBBY, "since": since })).unwrap();
    let first = entered["messages"][0]["text"].as_str().unwrap_or("nothing").to_owned();
    (first, entered["gap"] == true, entered["live"] == true)
}

fn row(first: &str, gap: bool, live: bool) -> (String, bool, bool) {
    (first.to_owned(), gap, live)
}

#[test]
fn a_position_outside_the_log_is_a_gap() {
    let mut chat = TestChat::with(|config| config.limits.kept_messages = 500);
    let ada = chat.connect_user("Ada");
    chat.say(ada, LOBBY, "1").unwrap();
    let epoch = chat.join(ada, LOBBY).unwrap()["room"]["epoch"].clone();
    for i in 2..=1000 {
        chat.say(ada, LOBBY, &i.to_string()).unwrap();
    }
    let mut since = |since: Value| catch_up(&mut chat, ada, since);
    assert_eq!(since(json!({ "epoch": epoch, "seq": 500 })), row("501", false, false), "the oldest entry that is kept");
    assert_eq!(since(json!({ "epoch": epoch, "seq": 499 })), row("951", true, true), "one entry is lost");
    assert_eq!(since(json!({ "epoch": epoch, "seq": 999 })), row("1000", false, true));
    assert_eq!(since(json!({ "epoch": epoch, "seq": 1001 })), row("951", true, true), "past the end of the log");
    assert_eq!(since(json!({ "epoch": "another", "seq": 999 })), row("951", true, true));
    assert_eq!(since(Value::Null), row("951", false, true));
}

#[test]
fn a_position_whose_hash_is_not_that_of_the_entry_is_a_gap() {
    let mut chat = TestChat::with(|config| config.limits.kept_messages = 500);
    let ada = chat.connect_user("Ada");
    let epoch = chat.join(ada, LOBBY).unwrap()["room"]["epoch"].clone();
    let mut hashes = vec![chat.join(ada, LOBBY).unwrap()["room"]["hash"].clone()];
    let beginning = json!({ "epoch": epoch, "seq": 0, "hash": hashes[0] });
    assert_eq!(catch_up(&mut chat, ada, beginning.clone()), row("nothing", false, true), "the log is empty");
    for i in 1..=400 {
        chat.say(ada, LOBBY, &i.to_string()).unwrap();
        hashes.push(chat.pushes_of(ada, "message")[0]["hash"].clone());
    }
    assert_eq!(catch_up(&mut chat, ada, beginning.clone()), row("1", false, false), "the log is not empty any more");
    for i in 401..=1000 {
        chat.say(ada, LOBBY, &i.to_string()).unwrap();
        hashes.push(chat.pushes_of(ada, "message")[0]["hash"].clone());
    }
    assert_eq!(catch_up(&mut chat, ada, beginning), row("951", true, true), "the beginning is not kept");

    let rows = [
        ("the last entry", 1000, &hashes[1000], row("nothing", false, true)),
        ("another hash than that of the last entry", 1000, &hashes[999], row("951", true, true)),
        ("an entry in the middle", 990, &hashes[990], row("991", false, true)),
        ("another hash than that of an entry in the middle", 990, &hashes[991], row("951", true, true)),
        ("the oldest entry that is kept", 501, &hashes[501], row("502", false, false)),
        ("an entry that is not kept: its hash cannot be checked", 500, &hashes[500], row("951", true, true)),
        ("past the end of the log", 1001, &hashes[1000], row("951", true, true)),
        ("no hash", 990, &Value::Null, row("991", false, true)),
        ("no hash, and the entry is not kept", 500, &Value::Null, row("501", false, false)),
        ("an empty hash", 990, &json!(""), row("951", true, true)),
        ("a long hash", 990, &json!("A".repeat(10_000)), row("951", true, true)),
    ];
    for (name, seq, hash, expected) in rows {
        let since = json!({ "epoch": epoch, "seq": seq, "hash": hash });
        assert_eq!(catch_up(&mut chat, ada, since), expected, "{name}");
    }
    let number = json!({ "room": LOBBY, "since": { "epoch": epoch, "seq": 990, "hash": 1 } });
    assert_eq!(chat.call(ada, "join", number), Err("bad_data".to_owned()));
}

/// Replies, events and pages name the same hash for an entry, whether it is cached or read, and after its text was
/// deleted.
#[test]
fn the_hash_of_an_entry_never_changes() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let room = chat.create(ada, "Rust", "public");
    chat.join(bob, room).unwrap();
    chat.clear_output();
    let key = chat.key();
    let say = json!({ "room": room, "text": "Hello", "key": key });
    let said = chat.call(ada, "say", say.clone()).unwrap();
    let topic = chat.call(ada, "topic", json!({ "room": room, "topic": "Ferris" })).unwrap();
    chat.call(ada, "kick", json!({ "room": room, "name": "Bob" })).unwrap();
    let mut pushed = chat.pushes_of(ada, "message");
    assert_eq!([&pushed[0]["hash"], &pushed[1]["hash"]], [&said["hash"], &topic["hash"]]);
    assert_eq!(chat.call(ada, "say", say.clone()), Ok(said.clone()), "the repeat has the same reply");

    let assert_same = |chat: &mut TestChat, pushed: &[Value], name: &str| {
        let history = chat.call(ada, "history", json!({ "room": room })).unwrap();
        let read = history["messages"].as_array().unwrap();
        let hashes = |messages: &[Value]| messages.iter().map(|message| message["hash"].clone()).collect::<Vec<_>>();
        assert!(hashes(read).ends_with(&hashes(pushed)), "{name}: {read:?} {pushed:?}");
        let view = chat.join(ada, room).unwrap()["room"].clone();
        let last = &read[read.len() - 1];
        assert_eq!([&view["seq"], &view["hash"]], [&last["seq"], &last["hash"]], "{name}");
    };
    assert_same(&mut chat, &pushed, "cached");
    chat.state.cache = Default::default();
    assert_same(&mut chat, &pushed, "read");
    chat.call(ada, "delete", json!({ "room": room, "seq": said["seq"] })).unwrap();
    pushed.extend(chat.pushes_of(ada, "message"));
    assert_same(&mut chat, &pushed, "deleted");
    assert_eq!(chat.call(ada, "say", say), Ok(said), "the repeat has the same reply after the text was deleted");
}
