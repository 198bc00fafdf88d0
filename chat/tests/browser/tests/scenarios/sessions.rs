//! Who one is, and for how long.

use serde_json::json;
use switchboard_browser::{Chat, Expected, Look, Person};

/// Waits until somebody is asked who they are, and is told why.
#[track_caller]
fn is_asked_anew(person: &Person, why: &str) {
    person.wait_for_value(
        "[$('#connection').dataset.state, $('#entrance').hidden, $('#chat').inert, $('#entrance-lead').textContent]",
        json!(["expired", false, true, why]),
    );
}

#[test]
fn after_a_session_that_expired_one_is_where_one_was_with_all_that_was_unsent() {
    let chat = Chat::open(&["--session-idle", "4s"]);
    chat.browser.expect(Expected::NoConnection);
    let ada = chat.person("Ada");
    ada.create_room("Den", "public");
    ada.say("I write while I can.");
    ada.reads(&[("Ada", "I write while I can.")]);
    ada.network.cut();
    ada.is_disconnected();
    ada.say("And when I cannot.");
    ada.fill("#text", "This is not yet");

    // Ben did something later than Ada, so by the time that his session is over, hers is too.
    let ben = chat.person("Ben");
    is_asked_anew(&ben, "Your session ended after a long silence. Log in to go on where you were.");
    ada.network.restore();
    is_asked_anew(&ada, "Your session has ended. Log in to go on where you were.");

    ada.log_in_again();
    ada.wait_for_value("[$('#room-name').textContent, $('#text').value]", json!(["Den", "This is not yet"]));
    ada.reads(&[("Ada", "I write while I can."), ("Ada", "And when I cannot.")]);
    ada.write(" all.");
    ada.press("Enter");
    ada.reads(&[("Ada", "I write while I can."), ("Ada", "And when I cannot."), ("Ada", "This is not yet all.")]);
}

#[test]
fn a_wrong_password_is_told_and_a_right_one_lets_in() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::Refused(401));
    let ada = chat.person("Ada");
    ada.say("I shall be back.");
    ada.reads(&[("Ada", "I shall be back.")]);
    ada.click("#account-open");
    ada.click("#logout");
    ada.wait_for_value("[$('#entrance').hidden, $('#chat').inert]", json!([false, true]));

    ada.click_on("$('#mode-login').parentElement");
    ada.fill("#password", "not my password");
    ada.click("#enter");
    ada.wait_for_value("$('#entrance-note').textContent", "Name or password is wrong.");

    ada.log_in_again();
    ada.reads(&[("Ada", "I shall be back.")]);
}

#[test]
fn who_has_no_connection_left_sees_at_the_entrance_why_it_takes_so_long() {
    let chat = Chat::open(&["--max-connections-each", "1"]);
    chat.browser.expect(Expected::NoConnection);
    let ada = chat.person("Ada");
    let elsewhere = chat.visitor("Ada", Look::default());
    elsewhere.log_in();
    elsewhere.wait_for("$('#connection-text').textContent.startsWith('You have this chat open too many times.')");
    elsewhere.click("#retry-now");

    ada.network.cut();
    elsewhere.is_connected();
}
