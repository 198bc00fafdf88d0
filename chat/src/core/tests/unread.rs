//! What counts as unread, and who has deleted a message.

use serde_json::{Value, json};

use super::{ClientId, LOBBY, TestChat};

/// Returns a room as a member sees it.
fn room_of(chat: &mut TestChat, user: ClientId, room: u64) -> Value {
    let position = json!({ "epoch": "", "seq": 0 });
    chat.call(user, "join", json!({ "room": room, "since": position })).unwrap()["room"].take()
}

#[track_caller]
fn assert_unread(chat: &mut TestChat, user: ClientId, room: u64, expected: u64) {
    assert_eq!(room_of(chat, user, room)["unread"], expected);
}

#[test]
fn messages_of_blocked_users_are_not_counted_as_unread() {
    let mut chat = TestChat::new();
    let [ada, bob, eve] = ["Ada", "Bob", "Eve"].map(|name| chat.connect_user(name));
    for author in [bob, eve, bob] {
        chat.say(author, LOBBY, "word").unwrap();
    }
    assert_unread(&mut chat, ada, LOBBY, 3);
    chat.call(ada, "block", json!({ "name": "Bob" })).unwrap();
    assert_unread(&mut chat, ada, LOBBY, 1);
    assert_unread(&mut chat, eve, LOBBY, 2);
    chat.say(bob, LOBBY, "word").unwrap();
    assert_unread(&mut chat, ada, LOBBY, 1);
    chat.call(ada, "unblock", json!({ "name": "Bob" })).unwrap();
    assert_unread(&mut chat, ada, LOBBY, 4);
    // A count of before a change that is undone.
    chat.call(ada, "block", json!({ "name": "Eve" })).unwrap();
    chat.state.store.refuse_commits(1);
    chat.call(ada, "block", json!({ "name": "Bob" })).unwrap_err();
    assert_unread(&mut chat, ada, LOBBY, 3);
    // The message of a change that is undone.
    chat.state.store.refuse_commits(1);
    let key = chat.key();
    chat.call(bob, "say", json!({ "room": LOBBY, "text": "word", "key": key })).unwrap_err();
    assert_unread(&mut chat, ada, LOBBY, 3);
}

#[test]
fn a_deleted_message_is_no_longer_unread_and_its_entry_says_who_wrote_it() {
    let mut chat = TestChat::new();
    let [ada, bob, eve] = ["Ada", "Bob", "Eve"].map(|name| chat.connect_user(name));
    let room = chat.create(ada, "Rust", "public");
    for user in [bob, eve] {
        chat.join(user, room).unwrap();
    }
    let [by_ada, by_bob, mine] =
        [(ada, "A"), (bob, "B"), (bob, "C")].map(|(user, text)| chat.say(user, room, text).unwrap());
    assert_unread(&mut chat, eve, room, 3);
    for (user, seq) in [(ada, by_ada), (ada, by_bob), (bob, mine)] {
        chat.call(user, "delete", json!({ "room": room, "seq": seq })).unwrap();
    }
    assert_unread(&mut chat, eve, room, 0);

    let entries = |messages: &[Value], kind: &str, fields: [&str; 3]| -> Vec<Value> {
        let entries = messages.iter().filter(|message| message["kind"] == kind);
        entries.map(|message| json!(fields.map(|field| message[field].clone()))).collect()
    };
    let pushed = chat.pushes_of(eve, "message");
    let history = chat.call(eve, "history", json!({ "room": room })).unwrap()["messages"].take();
    let deletions = [json!(["Ada", by_ada, null]), json!(["Ada", by_bob, "Bob"]), json!(["Bob", mine, null])];
    for messages in [pushed.as_slice(), history.as_array().unwrap()] {
        assert_eq!(entries(messages, "deleted", ["from", "target", "who"]), deletions);
    }
    let said = [json!(["Ada", true, null]), json!(["Bob", true, "Ada"]), json!(["Bob", true, null])];
    assert_eq!(entries(history.as_array().unwrap(), "said", ["from", "deleted", "by"]), said);
    assert_eq!(chat.state.store.broken_rules(), [""; 0]);
}

#[test]
fn a_read_position_tells_how_much_is_left_unread() {
    let mut chat = TestChat::new();
    let (ada, token) = (chat.connect_user("Ada"), chat.account("Bob").unwrap());
    let (bob, again) = (chat.connect(token), chat.connect(token));
    let seqs = [(); 4].map(|()| chat.say(ada, LOBBY, "word").unwrap());
    chat.clear_output();
    let read = |seq: u64| json!({ "room": LOBBY, "seq": seq });
    assert_eq!(chat.call(bob, "read", read(seqs[1])), Ok(json!({ "unread": 2 })));
    let event = json!({ "room": LOBBY, "seq": seqs[1], "unread": 2 });
    assert_eq!(chat.pushes_of(again, "read"), [event]);
    assert_eq!(chat.pushes_of(bob, "read"), [json!(null); 0], "the reply says it");
    // An earlier position changes nothing.
    assert_eq!(chat.call(bob, "read", read(seqs[0])), Ok(json!({ "unread": 2 })));
    assert_eq!(chat.pushes_of(again, "read"), [json!(null); 0]);
    assert_eq!(chat.call(bob, "read", read(u64::MAX)), Ok(json!({ "unread": 0 })));
    // A position from the future does not read what comes.
    chat.say(ada, LOBBY, "word").unwrap();
    assert_unread(&mut chat, bob, LOBBY, 1);
}
