//! Notices reach users who were away, until they dismiss them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ClientId, TestChat, TokenHash};

/// Returns a chat with a connection of an operator.
fn with_operator() -> (TestChat, ClientId) {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    chat.state
        .store
        .set_operator(chat.state.store.user_named(&crate::Name::new("Ada").unwrap()).unwrap().unwrap().id, true)
        .unwrap();
    chat.state.cache = Default::default();
    (chat, ada)
}

fn notify(chat: &mut TestChat, operator: ClientId, text: &str) {
    chat.advance(Duration::from_secs(1));
    chat.call(operator, "notice", json!({ "text": text })).unwrap();
}

/// Connects a user, and returns the connection and the texts and numbers of the notices in the welcome.
fn come_back(chat: &mut TestChat, token: TokenHash) -> (ClientId, Vec<Value>) {
    chat.advance(Duration::from_secs(1));
    let connection = chat.connect(token);
    let notices = chat.take_output(connection)[0][1]["notices"].take();
    let shown = |notice: &Value| json!([notice["text"], notice["notice"], notice["from"]]);
    (connection, notices.as_array().unwrap().iter().map(shown).collect())
}

#[test]
fn notices_reach_users_who_were_away_until_they_dismiss_them() {
    let (mut chat, ada) = with_operator();
    notify(&mut chat, ada, "Before");
    let (bob, eve) = (chat.account("Bob").unwrap(), chat.guest("Eve").unwrap());
    for text in ["One", "Two"] {
        notify(&mut chat, ada, text);
    }
    let both = [json!(["One", 2, "Ada"]), json!(["Two", 3, "Ada"])];
    let (here, notices) = come_back(&mut chat, bob);
    assert_eq!(notices, both);
    let (there, notices) = come_back(&mut chat, bob);
    assert_eq!(notices, both, "nobody has dismissed them");
    assert_eq!(come_back(&mut chat, eve).1, both);

    chat.call(here, "dismiss", json!({ "notice": 2 })).unwrap();
    assert_eq!(chat.pushes_of(there, "dismissed"), [json!({ "notice": 2 })]);
    assert_eq!(chat.pushes_of(here, "dismissed"), [Value::Null; 0]);
    assert_eq!(come_back(&mut chat, bob).1, both[1..]);
    assert_eq!(come_back(&mut chat, eve).1, both, "another user has not");
    // A number from the future does not dismiss what comes.
    chat.call(here, "dismiss", json!({ "notice": u64::MAX })).unwrap();
    notify(&mut chat, ada, "Three");
    assert_eq!(come_back(&mut chat, bob).1, [json!(["Three", 4, "Ada"])]);
    assert_eq!(chat.state.store.broken_rules(), [""; 0]);
}

#[test]
fn the_latest_five_notices_are_kept_for_a_week() {
    let (mut chat, ada) = with_operator();
    let bob = chat.account("Bob").unwrap();
    for number in 1..=7 {
        notify(&mut chat, ada, &number.to_string());
    }
    let texts = |notices: Vec<Value>| notices.iter().map(|notice| notice[0].as_str().unwrap().to_owned()).collect();
    let shown: Vec<String> = texts(come_back(&mut chat, bob).1);
    assert_eq!(shown, ["3", "4", "5", "6", "7"]);
    for _ in 0..7 {
        chat.advance(Duration::from_secs(24 * 60 * 60));
        come_back(&mut chat, bob);
    }
    assert_eq!(come_back(&mut chat, bob).1, [Value::Null; 0]);
}
