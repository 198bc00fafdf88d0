//! AP-01: unwanted messages, impersonation, and operators' rights.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchboard_tests::server::LONG;

use super::{LOBBY, PLENTY, generous_chat, key, words};
use crate::support::{
    chat_user::{ChatUser, PASSWORD, Reply, guest, log_in},
    folder::Folder,
    program::{self, PATH, start},
};

fn tell(user: &mut ChatUser, name: &str) -> Reply {
    user.ask("tell", json!({"name": name, "text": "psst", "key": key()}))
}

fn refused(code: &str) -> Reply {
    Err(code.to_owned())
}

#[test]
fn ap_01_direct_messages_to_oneself_to_unknown_users_and_to_users_who_block_are_refused() {
    let program = generous_chat();
    let address = program.address();
    let (mut ann, mut bob) = (ChatUser::guest(address, "Ann"), ChatUser::guest(address, "Bob"));
    for name in ["Nobody", "", "\u{0}", "Ann\u{0}", &"x".repeat(60_000)] {
        assert_eq!(tell(&mut ann, name), refused("unknown_person"), "{:?}", &name[..name.len().min(10)]);
        assert_eq!(ann.ask("direct", json!({"name": name})), refused("unknown_person"));
        assert_eq!(ann.ask("block", json!({"name": name})), refused("unknown_person"));
    }
    for event in ["direct", "block", "unblock"] {
        assert_eq!(ann.ask(event, json!({"name": "ANN"})), refused("yourself"), "{event}");
    }
    assert_eq!(tell(&mut ann, "Ann"), refused("yourself"));

    let room = tell(&mut ann, "Bob").unwrap()["room"].clone();
    let market = ann.ask("create", json!({"name": "Market"})).unwrap()["room"]["room"].clone();
    bob.ask("block", json!({"name": "ann"})).unwrap();
    bob.received_so_far();
    assert_eq!(tell(&mut ann, "Bob"), refused("blocked"));
    assert_eq!(ann.ask("say", words(&room, "psst")), refused("blocked"), "not by the room's id either");
    assert_eq!(ann.ask("invite", json!({"room": market, "name": "Bob"})), refused("blocked"));
    ann.ask("typing", json!({"room": room})).unwrap();
    assert_eq!(bob.received(&["message", "typing", "room"]), [], "Bob receives nothing of it");
    assert_eq!(tell(&mut bob, "Ann"), refused("blocking"), "the blocking user cannot write either");
    assert_eq!(bob.ask("say", words(&room, "psst")), refused("unknown_room"), "the conversation is left");
    bob.ask("direct", json!({"name": "Ann"})).unwrap();
    assert_eq!(bob.ask("say", words(&room, "psst")), refused("blocking"));
    assert_eq!(ann.ask("say", words(&room, "psst")), refused("blocked"));
    // Other users' blocks are not visible.
    let (_, welcome) = ChatUser::with_welcome(address, &guest(address, "Cem"));
    assert_eq!(welcome["blocked"], json!([]));
    bob.ask("unblock", json!({"name": "Ann"})).unwrap();
    assert!(tell(&mut ann, "Bob").is_ok());

    // A deleted user gets no messages, and a new user of the same name does not get the old conversation.
    bob.ask("delete_account", Value::Null).unwrap();
    assert_eq!(ann.ask("say", words(&room, "psst")), refused("unknown_person"));
    assert_eq!(tell(&mut ann, "Bob"), refused("unknown_person"));
    let (mut other_bob, welcome) = ChatUser::with_welcome(address, &guest(address, "Bob"));
    assert_eq!(welcome["rooms"].as_array().unwrap().len(), 1, "only the Lobby, not the other user's conversation");
    assert_eq!(other_bob.ask("history", json!({"room": room})), refused("unknown_room"));
    assert_ne!(tell(&mut ann, "Bob").unwrap()["room"], room);
}

/// The sender is the session's user, whatever the event contains. Each author has separate keys.
#[test]
fn ap_01_the_author_of_a_message_cannot_be_forged() {
    let program = generous_chat();
    let [mut ann, mut eve] = ["Ann", "Eve"].map(|name| ChatUser::guest(program.address(), name));
    ann.ask("join", json!({"room": LOBBY})).unwrap();
    let key = key();
    let what = |text: &str| json!({"room": LOBBY, "text": text, "key": key, "from": "Ann", "seq": 1, "time": 0});
    let anns = ann.ask("say", what("I am Ann")).unwrap();
    let eves = eve.ask("say", what("I am Ann, too")).unwrap();
    assert_ne!(anns["seq"], eves["seq"], "the same key of another author is another message");
    for (from, place, text) in [("Ann", &anns, "I am Ann"), ("Eve", &eves, "I am Ann, too")] {
        let message = ann.expect_event("message");
        let sent = (&message["from"], &message["seq"], &message["time"], &message["text"]);
        assert_eq!(sent, (&json!(from), &place["seq"], &place["time"], &json!(text)));
    }
    // A used key is not accepted for another text.
    assert_eq!(eve.ask("say", what("something else")), Ok(eves));
    assert_eq!(ann.received(&["message"]), []);
}

#[test]
fn ap_01_markup_in_messages_topics_and_room_names_is_text() {
    let program = generous_chat();
    let markup = "<img src=x onerror=\"alert('x')\">&amp;\u{2028}</script>";
    let [mut ann, mut bob] = ["Ann", "<b>Bob</b>"].map(|name| ChatUser::guest(program.address(), name));
    let name = "<svg/onload=alert(1)>";
    let created = ann.ask("create", json!({"name": name, "topic": markup})).unwrap();
    let room = created["room"]["room"].clone();
    assert_eq!((&created["room"]["name"], &created["room"]["topic"]), (&json!(name), &json!(markup)));
    bob.ask("join", json!({"room": room})).unwrap();
    bob.ask("say", words(&room, markup)).unwrap();
    for user in [&mut ann, &mut bob] {
        let message = loop {
            let message = user.expect_event("message");
            if message["kind"] == "said" {
                break message;
            }
        };
        assert_eq!((&message["from"], &message["text"]), (&json!("<b>Bob</b>"), &json!(markup)));
    }
    let page = ann.ask("history", json!({"room": room, "limit": 1})).unwrap();
    assert_eq!(page["messages"][0]["text"], markup);
}

#[test]
fn ap_01_only_current_operators_send_notices_and_manage_public_rooms() {
    let folder = Folder::new("operators");
    let add = |name: &str| {
        let mut command = Command::new(PATH);
        command.args(["user", "add", name, "--data", folder.path()]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
        assert!(child.wait().unwrap().success());
    };
    let operator = |arguments: &[&str]| {
        let command = ["user", "operator", "Op", "--data", folder.path()];
        let ended = program::run(Command::new(PATH).args(command).args(arguments));
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    };
    let rates = ["--sign-up-rate", PLENTY, "--event-rate", PLENTY, "--message-rate", PLENTY];
    let program = start(&[&["--data", folder.path()][..], &rates].concat());
    let address = program.address();
    ["Op", "Ann"].iter().for_each(|name| add(name));
    let [mut op, mut ann] = ["Op", "Ann"].map(|name| ChatUser::with_token(address, &log_in(address, name)));
    let market = ann.ask("create", json!({"name": "Market"})).unwrap()["room"]["room"].clone();
    let garden = ann.ask("create", json!({"name": "Garden", "kind": "invited"})).unwrap()["room"]["room"].clone();
    let notice = json!({"text": "The chat is closed tonight."});
    let becomes = |user: &mut ChatUser, expected: &Reply| {
        let started = Instant::now();
        while user.ask("notice", notice.clone()) != *expected {
            assert!(started.elapsed() < LONG, "never answered {expected:?}");
            user.receive_within(Duration::from_millis(50));
        }
    };
    becomes(&mut op, &refused("not_operator"));
    operator(&[]);
    becomes(&mut op, &Ok(json!({})));
    assert_eq!(ann.expect_event("notice")["from"], "Op");
    assert_eq!(ann.ask("notice", notice.clone()), refused("not_operator"));
    for (room, topic) in [(&market, Ok(())), (&json!(LOBBY), Ok(())), (&garden, Err("unknown_room"))] {
        let answer = op.ask("topic", json!({"room": room, "topic": "tidy"}));
        assert_eq!(answer.map(drop).map_err(|code| code.to_string()), topic.map_err(str::to_owned), "{room}");
    }
    // Nobody else owns the Lobby.
    for event in ["kick", "ban"] {
        assert_eq!(ann.ask(event, json!({"room": LOBBY, "name": "Op"})), refused("not_owner"));
    }
    assert_eq!(ann.ask("topic", json!({"room": LOBBY, "topic": "mine"})), refused("not_owner"));
    operator(&["--revoke"]);
    becomes(&mut op, &refused("not_operator"));
    assert_eq!(op.ask("topic", json!({"room": market, "topic": "mine"})), refused("not_member"));
    assert_eq!(op.ask("topic", json!({"room": LOBBY, "topic": "mine"})), refused("not_owner"));
}
