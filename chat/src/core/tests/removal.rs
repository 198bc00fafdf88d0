//! Removed rooms and users: gone at once, and deleted in small pieces.

use super::{super::super::store::UserId, *};

/// Returns a chat whose background work the test does in the smallest pieces.
pub(super) fn in_pieces() -> TestChat {
    let mut chat = TestChat::with(|config| {
        let plenty = super::super::super::Rate { at_once: 1_000_000, per_second: 1e6 };
        (config.limits.messages, config.limits.events) = (plenty, plenty);
        config.limits.owned_rooms = 1000;
    });
    chat.finish_background_work();
    (chat.in_pieces, chat.state.max_piece) = (true, Duration::ZERO);
    chat
}

fn id_of(chat: &TestChat, name: &str) -> UserId {
    chat.state.store.user_named(&Name::new(name).unwrap()).unwrap().unwrap().id
}

fn room_id(room: u64) -> RoomId {
    serde_json::from_value(json!(room)).unwrap()
}

/// Adds members who have been there for longer than all others.
fn add_members(chat: &TestChat, room: u64, count: usize) {
    for number in 0..count {
        let name = format!("Member {number} of {room}");
        let id = chat.state.store.add_user(&name, &name, Some("a hash"), 0).unwrap().unwrap();
        chat.state.store.set_role(room_id(room), id, Role::Member, 0).unwrap();
    }
}

/// Makes connected users members of a room.
fn connect_members(chat: &mut TestChat, room: u64, count: usize) -> Vec<ClientId> {
    let connections: Vec<_> = (0..count).map(|number| chat.connect_user(&format!("Online {number}"))).collect();
    for &connection in &connections {
        chat.join(connection, room).unwrap();
    }
    connections
}

fn gone(room: u64) -> Value {
    json!({ "room": room, "reason": "removed" })
}

/// Does all background work in the smallest pieces. Returns how many there were.
fn count_pieces(chat: &mut TestChat) -> usize {
    1 + std::iter::from_fn(|| chat.work_in_background().then_some(())).count()
}

/// Asserts that removed rooms and users have left nothing behind.
#[track_caller]
pub(super) fn assert_nothing_is_left(chat: &TestChat) {
    for (what, sql) in [
        ("removed rooms", "SELECT count(*) FROM rooms WHERE kind = 3"),
        ("their members", "SELECT count(*) FROM members WHERE room NOT IN (SELECT id FROM rooms)"),
        ("their messages", "SELECT count(*) FROM messages WHERE room NOT IN (SELECT id FROM rooms)"),
        ("rooms to delete", "SELECT count(*) FROM removed"),
        ("departures", "SELECT count(*) FROM departures"),
        ("members who are gone", "SELECT count(*) FROM members JOIN people ON id = person WHERE key IS NULL"),
        ("blocks by users who are gone", "SELECT count(*) FROM blocks JOIN people ON id = person WHERE key IS NULL"),
        ("blocks of users who are gone", "SELECT count(*) FROM blocks JOIN people ON id = blocked WHERE key IS NULL"),
        (
            "wrong counts",
            "SELECT count(*) FROM rooms
                WHERE members <> (SELECT count(*) FROM members WHERE room = rooms.id AND role >= 2)",
        ),
    ] {
        assert_eq!(chat.state.store.number(sql).unwrap(), 0, "{what}");
    }
}

#[test]
fn a_removed_room_is_gone_at_once_and_its_name_is_free() {
    let mut chat = in_pieces();
    let (ada, token) = (chat.connect_user("Ada"), chat.account("Bob").unwrap());
    let room = chat.create(ada, "Rust", "public");
    add_members(&chat, room, 120);
    let (bob, eve) = (chat.connect(token), chat.connect_user("Eve"));
    chat.join(bob, room).unwrap();
    chat.call(ada, "invite", json!({ "room": room, "name": "Eve" })).unwrap();
    chat.call(ada, "remove", json!({ "room": room })).unwrap();
    assert!(chat.state.has_background_work);

    for (event, data) in [
        ("join", json!({ "room": room })),
        ("join", json!({ "name": "Rust" })),
        ("history", json!({ "room": room })),
        ("members", json!({ "room": room })),
        ("leave", json!({ "room": room })),
        ("invite", json!({ "room": room, "name": "Eve" })),
        ("remove", json!({ "room": room })),
    ] {
        for connection in [ada, bob, eve] {
            assert_eq!(chat.call(connection, event, data.clone()), Err("unknown_room".into()), "{event} {data}");
        }
    }
    for data in [json!({}), json!({ "search": "rust" }), json!({ "search": "r" })] {
        let listed = chat.call(bob, "rooms", data).unwrap();
        assert!(listed["rooms"].as_array().unwrap().iter().all(|room| room["name"] == "Lobby"), "{listed}");
    }
    let again = chat.connect(token);
    assert_eq!(chat.take_output(again)[0][1]["rooms"].as_array().unwrap().len(), 1, "the Lobby");
    let (bob_id, eve_id) = (id_of(&chat, "Bob"), id_of(&chat, "Eve"));
    assert_eq!(chat.state.store.count_rooms(bob_id, Role::Member).unwrap(), 1);
    assert_eq!(chat.state.store.invitations_of(eve_id).unwrap().len(), 0);
    assert_eq!(chat.create(bob, "Rust", "public"), room + 1);
    while chat.work_in_background() {}
    assert_nothing_is_left(&chat);
    assert_eq!(chat.join(bob, room + 1).unwrap()["room"]["members"], 1);
}

#[test]
fn each_member_learns_once_that_a_room_is_removed_even_if_pieces_fail() {
    let mut chat = in_pieces();
    let ada = chat.connect_user("Ada");
    let room = chat.create(ada, "Rust", "public");
    let members = connect_members(&mut chat, room, 130);
    let banned = chat.connect_user("Banned");
    chat.call(ada, "ban", json!({ "room": room, "name": "Banned" })).unwrap();
    chat.clear_output();
    chat.call(ada, "remove", json!({ "room": room })).unwrap();
    let mut told = BTreeMap::new();
    let mut piece = 0;
    loop {
        for &connection in &members {
            for push in chat.pushes_of(connection, "gone") {
                assert_eq!(push, gone(room));
                assert_eq!(told.insert(connection, piece), None, "told once");
            }
            let follows = chat.delivery.0.subscribers.lock().unwrap().contains(&(format!("room {room}"), connection));
            assert_eq!(follows, !told.contains_key(&connection));
        }
        if !chat.state.has_background_work {
            break;
        }
        piece += 1;
        if piece % 2 == 1 {
            chat.state.store.refuse_commits(1);
            assert!(!chat.work_in_background(), "a piece that fails is done again after the next sweep");
            chat.state.has_background_work = true;
        } else {
            chat.work_in_background();
        }
    }
    assert_eq!(told.len(), 130);
    for pieces in [0, 2, 4] {
        assert!(told.values().filter(|piece| **piece == pieces).count() <= 50, "{told:?}");
    }
    assert_eq!(chat.pushes_of(ada, "gone"), [gone(room)]);
    assert_eq!(chat.pushes_of(banned, "gone"), [Value::Null; 0]);
    assert_nothing_is_left(&chat);
}

#[test]
fn a_removal_that_is_rolled_back_has_not_happened() {
    let mut chat = in_pieces();
    let ada = chat.connect_user("Ada");
    let room = chat.create(ada, "Rust", "public");
    add_members(&chat, room, 60);
    chat.clear_output();
    chat.state.store.refuse_commits(1);
    assert_eq!(chat.call(ada, "remove", json!({ "room": room })), Err("storage".into()));
    assert_eq!(chat.take_output(ada), [Value::Null; 0]);
    while chat.work_in_background() {}
    assert_eq!(chat.join(ada, room).unwrap()["room"]["members"], 61);
}

#[test]
fn a_restart_goes_on_with_what_is_left() {
    let folder = std::env::temp_dir().join(format!("switchboard-test-{}", Token::random()));
    let open = || Store::open(&Data::Folder(folder.clone())).unwrap();
    let mut chat = in_pieces();
    chat.state.store = open();
    let (ada, bob) = (chat.connect_user("Ada"), chat.guest("Bob").unwrap());
    let room = chat.create(ada, "Rust", "public");
    for _ in 0..50 {
        chat.say(ada, room, "word").unwrap();
    }
    add_members(&chat, room, 120);
    let bob = chat.connect(bob);
    let own: Vec<_> = (0..30).map(|number| chat.create(bob, &format!("Room {number}"), "public")).collect();
    chat.call(bob, "delete_account", json!({ "remove": own })).unwrap();
    chat.call(ada, "remove", json!({ "room": room })).unwrap();
    for _ in 0..200 {
        let has_more = chat.work_in_background();
        drop(chat);
        chat = in_pieces();
        chat.state.store = open();
        chat.state.has_background_work = true;
        assert_eq!(chat.state.store.room_with_key("name rust").unwrap(), None);
        if !has_more {
            break;
        }
    }
    assert_nothing_is_left(&chat);
    drop(chat);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn pieces_are_small_and_go_on_until_nothing_is_left() {
    let mut chat = in_pieces();
    let ada = chat.connect_user("Ada");
    let room = chat.create(ada, "Rust", "public");
    for _ in 0..100 {
        chat.say(ada, room, "word").unwrap();
    }
    add_members(&chat, room, 1000);
    chat.call(ada, "remove", json!({ "room": room })).unwrap();
    // Each piece deletes at most 50 members or 10 messages.
    let pieces = count_pieces(&mut chat);
    assert!((950 / 50 + 101 / 10..40).contains(&pieces), "{pieces}");
    assert_nothing_is_left(&chat);
}

#[test]
fn a_user_is_gone_at_once_and_leaves_everything_piece_by_piece() {
    let mut chat = in_pieces();
    let token = chat.guest("Ada").unwrap();
    let (ada, bob, eve) = (chat.connect(token), chat.connect_user("Bob"), chat.connect_user("Eve"));
    let rooms: Vec<_> = (0..25).map(|number| chat.create(ada, &format!("Room {number}"), "public")).collect();
    for &room in &rooms {
        chat.join(bob, room).unwrap();
    }
    let mine = chat.create(eve, "Hers", "public");
    chat.call(eve, "ban", json!({ "room": mine, "name": "Ada" })).unwrap();
    for (blocking, name) in [(ada, "Eve"), (eve, "Ada")] {
        chat.call(blocking, "block", json!({ "name": name })).unwrap();
    }
    for number in 0..120 {
        let fan = format!("Fan {number}");
        let id = chat.state.store.add_user(&fan, &fan, None, 0).unwrap().unwrap();
        chat.state.store.set_blocked(id, id_of(&chat, "Ada"), true).unwrap();
    }
    let direct = chat.call(ada, "direct", json!({ "name": "Bob" })).unwrap()["room"]["room"].as_u64().unwrap();
    let key = chat.key();
    chat.call(ada, "tell", json!({ "name": "Bob", "text": "farewell", "key": key })).unwrap();
    chat.clear_output();
    chat.call(ada, "delete_account", json!({})).unwrap();

    assert_eq!(chat.pushes_of(ada, "expired"), [json!({ "reason": "deleted" })]);
    assert_eq!(chat.closed_with(ada), Some(4001));
    for event in ["direct", "block"] {
        assert_eq!(chat.call(bob, event, json!({ "name": "Ada" })), Err("unknown_person".into()));
    }
    let say = json!({ "room": direct, "text": "are you there?", "key": chat.key() });
    assert_eq!(chat.call(bob, "say", say), Err("unknown_person".into()));
    assert_eq!(chat.state.store.blocked_by(id_of(&chat, "Eve"), None, 10).unwrap(), [""; 0]);
    // A new user of the same name has nothing of the old one.
    let new = chat.connect_user("Ada");
    chat.join(new, mine).unwrap();
    let key = chat.key();
    chat.call(new, "tell", json!({ "name": "Eve", "text": "hi", "key": key })).unwrap();

    assert!(count_pieces(&mut chat) > 5);
    assert_nothing_is_left(&chat);
    let pushed = chat.pushes_of(bob, "room");
    let of = |room: u64| pushed.iter().filter(|push| push["room"] == room).collect::<Vec<_>>();
    for &room in &rooms {
        assert_eq!(of(room).iter().map(|push| &push["role"]).collect::<Vec<_>>(), ["owner"], "Bob owns it now");
    }
    assert_eq!(of(direct).iter().map(|push| &push["gone"]).collect::<Vec<_>>(), [true]);
}

#[test]
fn no_user_who_is_gone_becomes_an_owner_or_keeps_a_room() {
    let mut chat = in_pieces();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    let tokens = ["First", "Second"].map(|name| chat.guest(name).unwrap());
    let [first, second] = tokens.map(|token| chat.connect(token));
    let (kept, empty) = (chat.create(ada, "Kept", "public"), chat.create(ada, "Empty", "public"));
    for (connection, room) in [(first, kept), (second, kept), (bob, kept), (first, empty), (second, empty)] {
        chat.advance(Duration::from_secs(1));
        chat.join(connection, room).unwrap();
    }
    for connection in [first, second] {
        chat.call(connection, "delete_account", json!({})).unwrap();
    }
    chat.clear_output();
    for room in [kept, empty] {
        chat.call(ada, "leave", json!({ "room": room, "remove": room == empty })).unwrap();
    }
    assert_eq!(chat.pushes_of(bob, "room")[0]["role"], "owner");
    assert_eq!(chat.join(bob, empty), Err("unknown_room".into()), "only users who are gone were left");
    while chat.work_in_background() {}
    assert_eq!(chat.join(bob, kept).unwrap()["room"]["members"], 1);
    assert_nothing_is_left(&chat);
}

#[test]
fn a_direct_room_is_removed_when_nobody_can_enter_it_again() {
    // Who leaves before the other's account is deleted: nobody, the other user, or the user of the account.
    for (leaves, is_kept) in [(None, true), (Some("Bob"), false), (Some("Ada"), true)] {
        let mut chat = in_pieces();
        let token = chat.guest("Ada").unwrap();
        let (ada, bob) = (chat.connect(token), chat.connect_user("Bob"));
        let key = chat.key();
        let told = chat.call(ada, "tell", json!({ "name": "Bob", "text": "psst", "key": key })).unwrap();
        if let Some(name) = leaves {
            let connection = if name == "Ada" { ada } else { bob };
            chat.call(connection, "leave", json!({ "room": told["room"] })).unwrap();
        }
        chat.call(ada, "delete_account", json!({})).unwrap();
        while chat.work_in_background() {}
        let left = chat.state.store.number("SELECT count(*) FROM rooms WHERE kind = 2").unwrap();
        assert_eq!(left == 1, is_kept, "{leaves:?}");
        assert_nothing_is_left(&chat);
    }
}
