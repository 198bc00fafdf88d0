//! A room or conversation goes away while a user writes in it.

use serde_json::json;
use switchboard_browser::{Chat, Display, Expected, User};

/// Ada has created an invited room, and Ben is in it.
fn two_users_in_a_room(chat: &Chat) -> [User; 2] {
    let users = ["Ada", "Ben"].map(|name| chat.user(name));
    let [ada, ben] = &users;
    ada.create_room("Den", "invited");
    ada.click("#invite");
    ada.click("#users-list [data-user=Ben]");
    ada.click("#users-dialog .close");
    ben.click("#invitation-list .accept");
    ben.wait_for_value("$('#room-name').textContent", "Den");
    users
}

/// Waits until a notice shows an unsent text, and no room does.
#[track_caller]
fn sees_unsent_notice(user: &User, text: &str) {
    user.wait_for(&format!("$('#notices').textContent.includes({})", json!(text)));
    user.wait_for_value("$$('.unsent .message').length", 0);
}

#[test]
fn typing_after_removal_from_a_room_sends_nothing_to_another_room() {
    let chat = Chat::open(&[]);
    let [ada, ben] = two_users_in_a_room(&chat);
    ben.fill("#text", "She will know ");
    ada.click("#member-list [data-user=Ben]");
    ada.click("#user-kick");
    ada.click("#ask-yes");
    ben.wait_for_value("$('#room-name').textContent", "Lobby");
    ben.wait_for("$('#toasts').textContent.replace(/[\\u2068\\u2069]/g, '').includes('removed from Den')");
    // Keys go to the focused element; `fill` would focus the field first.
    for key in ["n", "o", "Enter"] {
        ben.press(key);
    }
    ben.say("Hello, everybody.");
    ben.sees_messages(&[("Ben", "Hello, everybody.")]);
    ada.open("Lobby");
    ada.sees_messages(&[("Ben", "Hello, everybody.")]);
}

#[test]
fn a_failed_message_and_its_error_survive_a_room_switch_and_a_reload() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.say("Good evening.");
    ada.sees_messages(&[("Ben", "Good evening.")]);
    ada.open_direct_with("Ben");
    ada.say("Let us talk.");
    ben.open("Ada");
    ben.sees_messages(&[("Ada", "Let us talk.")]);
    ada.open("Lobby");
    ada.click("#logs .log:not([hidden]) .message .name");
    ada.click("#user-block");
    ada.wait_for_value("$$('#blocked-list [data-user]').length", 1);
    ben.say("Are you there?");
    let failed = "$$('.log:not([hidden]) .unsent .message').map((message) =>
        [message.querySelector('.text').textContent, message.querySelector('.delivery').textContent !== ''])";
    ben.wait_for_value(failed, json!([["Are you there?", true]]));

    ben.open("Lobby");
    ben.evaluate("location.reload()");
    ben.wait_for("document.body.dataset.ready === '' && $('#connection').dataset.state === 'open'");
    ben.open("Ada");
    ben.wait_for_value(failed, json!([["Are you there?", true]]));
    ben.wait_for_value("$('#text').placeholder.replace(/[\\u2068\\u2069]/g, '')", "Message Ada");
    // After unblocking, a retry succeeds.
    ada.click("#user-block");
    ada.wait_for_value("$$('#blocked-list [data-user]').length", 0);
    ben.click(".unsent .retry");
    ben.sees_messages(&[("Ada", "Let us talk."), ("Ben", "Are you there?")]);
}

#[test]
fn an_unsent_message_is_shown_again_if_its_room_was_removed() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let [ada, ben] = two_users_in_a_room(&chat);
    ben.network.cut();
    ben.wait_until_disconnected();
    ben.say("I shall be late.");
    ada.click("#remove");
    ada.click("#ask-yes");
    ada.wait_for_value("$('#room-name').textContent", "Lobby");
    ben.network.restore();
    ben.wait_until_connected();
    sees_unsent_notice(&ben, "I shall be late.");
    ben.wait_for_value("[$('#room-name').textContent, location.hash]", json!(["Lobby", ""]));
}

#[test]
fn a_failed_message_is_shown_again_if_its_conversation_was_left() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.say("Good evening.");
    ada.sees_messages(&[("Ben", "Good evening.")]);
    ada.open_direct_with("Ben");
    ada.say("Let us talk.");
    ada.open("Lobby");
    ada.click("#logs .log:not([hidden]) .message .name");
    ada.click("#user-block");
    ben.open("Ada");
    ada.wait_for_value("$$('#blocked-list [data-user]').length", 1);
    ben.say("Are you there?");
    ben.wait_for("$('.log:not([hidden]) .unsent .message[data-state=failed]')");

    ben.network.cut();
    ben.wait_until_disconnected();
    // On another device.
    let elsewhere = chat.visitor("Ben", Display::default());
    elsewhere.sign_in();
    elsewhere.open("Ada");
    elsewhere.click("#leave");
    elsewhere.click("#ask-yes");
    elsewhere.wait_for_value("$('#room-name').textContent", "Lobby");
    ben.network.restore();
    ben.wait_until_connected();
    sees_unsent_notice(&ben, "Are you there?");
}

#[test]
fn a_tap_outside_a_dialog_only_closes_it() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.set_display(Display { touch: true, ..Display::default() });
    ada.fill("#text", "A draft");
    let send = ada
        .wait_for("(() => { const { x, y } = $('#send').getBoundingClientRect(); return { x: x + 9, y: y + 9 }; })()");
    ada.click("#account-open");
    ada.wait_for("$('#account-dialog').open");
    ada.call("Input.dispatchTouchEvent", json!({ "type": "touchStart", "touchPoints": [send] }));
    ada.call("Input.dispatchTouchEvent", json!({ "type": "touchEnd", "touchPoints": [] }));
    ada.wait_for("!$('#account-dialog').open");
    ada.wait_for_value("$('#text').value", "A draft");
}

#[test]
fn a_draft_is_shown_again_if_its_room_was_left_elsewhere() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let ada = chat.user("Ada");
    for room in ["Attic", "Barn", "Cellar", "Den"] {
        ada.create_room(room, "public");
        ada.fill("#text", &format!("About the {room}"));
    }
    let elsewhere = chat.visitor("Ada", Display::default());
    elsewhere.sign_in();
    elsewhere.wait_until_connected();
    let leave = |room: &str| {
        elsewhere.open(room);
        elsewhere.wait_for_value("$('#members-title').textContent", "1 member");
        elsewhere.click("#leave");
        elsewhere.click("#ask-yes");
        elsewhere.wait_for_value("$('#room-name').textContent", "Lobby");
    };
    let notices = "$$('.notice bdi').map(({ textContent }) => textContent)";
    // The open room, and another one.
    leave("Den");
    ada.wait_for_value(notices, json!(["About the Den"]));
    leave("Cellar");
    ada.wait_for_value(notices, json!(["About the Den", "About the Cellar"]));
    // While there is no connection, and while the page is loaded again.
    ada.network.cut();
    ada.wait_until_disconnected();
    leave("Barn");
    ada.network.restore();
    ada.wait_for_value(notices, json!(["About the Den", "About the Cellar", "About the Barn"]));
    ada.network.cut();
    ada.wait_until_disconnected();
    leave("Attic");
    ada.network.restore();
    ada.evaluate("location.reload()");
    ada.wait_for_value(notices, json!(["About the Attic"]));
    ada.wait_for_value("[$('#room-name').textContent, $('#text').value]", json!(["Lobby", ""]));
}
