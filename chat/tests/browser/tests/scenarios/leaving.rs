//! A room, or the one behind a conversation, goes away under what somebody writes.

use serde_json::json;
use switchboard_browser::{Chat, Expected, Look, Person};

/// Ada has made a room that only the invited find, and Ben is in it.
fn two_in_a_den(chat: &Chat) -> [Person; 2] {
    let people = ["Ada", "Ben"].map(|name| chat.person(name));
    let [ada, ben] = &people;
    ada.create_room("Den", "invited");
    ada.click("#invite");
    ada.click("#people-list [data-person=Ben]");
    ada.click("#people-dialog .close");
    ben.click("#invitation-list .accept");
    ben.wait_for_value("$('#room-name').textContent", "Den");
    people
}

/// Waits until what could not be sent is shown once more, apart from any room.
#[track_caller]
fn is_given_back(person: &Person, text: &str) {
    person.wait_for(&format!("$('#notices').textContent.includes({})", json!(text)));
    person.wait_for_value("$$('.unsent .message').length", 0);
}

#[test]
fn what_one_goes_on_writing_where_one_was_removed_is_not_said_elsewhere() {
    let chat = Chat::open(&[]);
    let [ada, ben] = two_in_a_den(&chat);
    ben.fill("#text", "She will know ");
    ada.click("#member-list [data-person=Ben]");
    ada.click("#person-kick");
    ada.click("#ask-yes");
    ben.wait_for_value("$('#room-name').textContent", "Lobby");
    ben.wait_for("$('#toasts').textContent.replace(/[\\u2068\\u2069]/g, '').includes('removed from Den')");
    // Keys go where the focus is, whereas a text would look for a field.
    for key in ["n", "o", "Enter"] {
        ben.press(key);
    }
    ben.say("Hello, everybody.");
    ben.reads(&[("Ben", "Hello, everybody.")]);
    ada.open("Lobby");
    ada.reads(&[("Ben", "Hello, everybody.")]);
}

#[test]
fn a_message_that_failed_stays_with_its_conversation_and_its_reason() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));
    ben.say("Good evening.");
    ada.reads(&[("Ben", "Good evening.")]);
    ada.write_to("Ben");
    ada.say("Let us talk.");
    ben.open("Ada");
    ben.reads(&[("Ada", "Let us talk.")]);
    ada.open("Lobby");
    ada.click("#logs .log:not([hidden]) .message .name");
    ada.click("#person-block");
    ada.wait_for_value("$$('#blocked-list [data-person]').length", 1);
    ben.say("Are you there?");
    let failed = "$$('.log:not([hidden]) .unsent .message').map((message) =>
        [message.querySelector('.text').textContent, message.querySelector('.fate').textContent !== ''])";
    ben.wait_for_value(failed, json!([["Are you there?", true]]));

    ben.open("Lobby");
    ben.evaluate("location.reload()");
    ben.wait_for("document.body.dataset.ready === '' && $('#connection').dataset.state === 'open'");
    ben.open("Ada");
    ben.wait_for_value(failed, json!([["Are you there?", true]]));
    ben.wait_for_value("$('#text').placeholder.replace(/[\\u2068\\u2069]/g, '')", "Write to Ada");
    // It can be tried again once it is welcome.
    ada.click("#person-block");
    ada.wait_for_value("$$('#blocked-list [data-person]').length", 0);
    ben.click(".unsent .retry");
    ben.reads(&[("Ada", "Let us talk."), ("Ben", "Are you there?")]);
}

#[test]
fn what_was_written_for_a_room_that_went_away_meanwhile_is_given_back() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let [ada, ben] = two_in_a_den(&chat);
    ben.network.cut();
    ben.is_disconnected();
    ben.say("I shall be late.");
    ada.click("#remove");
    ada.click("#ask-yes");
    ada.wait_for_value("$('#room-name').textContent", "Lobby");
    ben.network.restore();
    ben.is_connected();
    is_given_back(&ben, "I shall be late.");
    ben.wait_for_value("[$('#room-name').textContent, location.hash]", json!(["Lobby", ""]));
}

#[test]
fn a_message_that_failed_is_given_back_where_its_conversation_was_left_meanwhile() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.person(name));
    ben.say("Good evening.");
    ada.reads(&[("Ben", "Good evening.")]);
    ada.write_to("Ben");
    ada.say("Let us talk.");
    ada.open("Lobby");
    ada.click("#logs .log:not([hidden]) .message .name");
    ada.click("#person-block");
    ben.open("Ada");
    ada.wait_for_value("$$('#blocked-list [data-person]').length", 1);
    ben.say("Are you there?");
    ben.wait_for("$('.log:not([hidden]) .unsent .message[data-state=failed]')");

    ben.network.cut();
    ben.is_disconnected();
    // On another device.
    let elsewhere = chat.visitor("Ben", Look::default());
    elsewhere.log_in();
    elsewhere.open("Ada");
    elsewhere.click("#leave");
    elsewhere.click("#ask-yes");
    elsewhere.wait_for_value("$('#room-name').textContent", "Lobby");
    ben.network.restore();
    ben.is_connected();
    is_given_back(&ben, "Are you there?");
}

#[test]
fn a_tap_beside_a_dialog_closes_it_and_does_nothing_else() {
    let chat = Chat::open(&[]);
    let ada = chat.person("Ada");
    ada.look(Look { touch: true, ..Look::default() });
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
