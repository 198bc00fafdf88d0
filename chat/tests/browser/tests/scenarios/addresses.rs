//! The page's address names the open room, and never another one than the page shows.

use serde_json::{Value, json};
use switchboard_browser::{Chat, Sources, User};

/// The address's fragment, and what is shown: the name of a room, or the note of a preview; then whether the details of
/// a room are.
const SHOWN: &str = "[location.hash,
    ($('#preview').hidden ? $('#room-name') : $('#preview-note')).textContent, $('#details').checkVisibility()]";
const NO_SUCH_ROOM: &str = "This room doesn’t exist, or you need an invitation to see it.";

/// Goes to a fragment, and loads the page there again.
#[track_caller]
fn sees_at(user: &User, fragment: &str, expected: &Value) {
    user.evaluate(&format!("void (location.hash = {})", json!(fragment)));
    user.wait_for_value(SHOWN, expected.clone());
    load_at(user, fragment);
    user.wait_for("$('#connection').dataset.state === 'open'");
    user.wait_for_value(SHOWN, expected.clone());
}

/// Loads the page again, at a fragment.
#[track_caller]
fn load_at(user: &User, fragment: &str) {
    user.evaluate(&format!(
        "void (history.replaceState(null, '', {}), location.reload())",
        json!(format!("/{fragment}"))
    ));
    user.wait_for("document.body.dataset.ready === ''");
}

#[test]
fn a_fragment_names_one_room_or_none() {
    let sources = Sources::open();
    let rows = [
        ("", json!(null)),
        ("#", json!(null)),
        ("#foo", json!(null)),
        ("#room", json!(null)),
        ("#Room-1", json!(null)),
        ("#a#room-1", json!(null)),
        ("room-1", json!(null)),
        ("#room-1", json!(1)),
        ("#room-10", json!(10)),
        ("#room-9007199254740991", json!(9_007_199_254_740_991_u64)),
        ("#room-9007199254740992", json!(0)),
        ("#room-99999999999999999999", json!(0)),
        ("#room-", json!(0)),
        ("#room-0", json!(0)),
        ("#room--1", json!(0)),
        ("#room-+1", json!(0)),
        ("#room-01", json!(0)),
        ("#room-1.0", json!(0)),
        ("#room-1e3", json!(0)),
        ("#room-0x1", json!(0)),
        ("#room-1 ", json!(0)),
        ("#room-1\n", json!(0)),
        ("#room-1/", json!(0)),
        ("#room-%31", json!(0)),
        ("#room-\u{661}", json!(0)),
    ];
    for (fragment, room) in rows {
        let parsed = format!("import('./address.js').then(({{ roomOf }}) => roomOf({}))", json!(fragment));
        assert_eq!(sources.page.evaluate(&parsed), room, "{fragment:?}");
    }
}

#[test]
fn an_address_without_a_room_to_show_says_so_or_is_replaced() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.create_room("Den", "invited");
    for fragment in ["#room-2", "#room-999", "#room-0", "#room-1e3", "#room-99999999999999999999"] {
        sees_at(&ada, fragment, &json!([fragment, NO_SUCH_ROOM, false]));
    }
    sees_at(&ada, "#foo", &json!(["", "Lobby", true]));
    // Signing in there shows the same.
    ada.click("#account-open");
    ada.click("#logout");
    ada.wait_for("!$('#sign-in').hidden");
    load_at(&ada, "#room-2");
    ada.sign_in_again();
    ada.wait_for_value(SHOWN, json!(["#room-2", NO_SUCH_ROOM, false]));
}
