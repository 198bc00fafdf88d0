//! Signing in, and the end of a session.

use serde_json::json;
use switchboard_browser::{Chat, Display, Expected, User};

/// Waits until the sign-in form is shown with this reason.
#[track_caller]
fn sees_sign_in(user: &User, why: &str) {
    user.wait_for_value(
        "[$('#connection').dataset.state, $('#sign-in').hidden, $('#chat').inert, $('#sign-in-lead').textContent]",
        json!(["expired", false, true, why]),
    );
}

#[test]
fn signing_in_after_expiry_restores_the_room_and_the_unsent_text() {
    let chat = Chat::open(&["--session-idle", "4s"]);
    chat.browser.expect(Expected::NoConnection);
    let ada = chat.user("Ada");
    ada.create_room("Den", "public");
    ada.say("I write while I can.");
    ada.sees_messages(&[("Ada", "I write while I can.")]);
    ada.network.cut();
    ada.wait_until_disconnected();
    ada.say("And when I cannot.");
    ada.fill("#text", "This is not yet");

    // Ben was active later than Ada, so when his session has ended, hers has too.
    let ben = chat.user("Ben");
    sees_sign_in(&ben, "Your session ended due to inactivity. Sign in to pick up where you left off.");
    ada.network.restore();
    sees_sign_in(&ada, "Your session has ended. Sign in to pick up where you left off.");

    ada.sign_in_again();
    ada.wait_for_value("[$('#room-name').textContent, $('#text').value]", json!(["Den", "This is not yet"]));
    ada.sees_messages(&[("Ada", "I write while I can."), ("Ada", "And when I cannot.")]);
    ada.write(" all.");
    ada.press("Enter");
    ada.sees_messages(&[
        ("Ada", "I write while I can."),
        ("Ada", "And when I cannot."),
        ("Ada", "This is not yet all."),
    ]);
}

#[test]
fn a_wrong_password_shows_an_error_and_the_right_one_signs_in() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::Refused(401));
    let ada = chat.user("Ada");
    ada.say("I shall be back.");
    ada.sees_messages(&[("Ada", "I shall be back.")]);
    ada.click("#account-open");
    ada.click("#logout");
    ada.wait_for_value("[$('#sign-in').hidden, $('#chat').inert]", json!([false, true]));

    ada.click_on("$('#mode-login').parentElement");
    ada.fill("#password", "not my password");
    ada.click("#sign-in-button");
    ada.wait_for_value("$('#sign-in-note').textContent", "Wrong name or password.");

    ada.sign_in_again();
    ada.sees_messages(&[("Ada", "I shall be back.")]);
}

#[test]
fn sign_in_shows_an_error_if_the_account_has_too_many_connections() {
    let chat = Chat::open(&["--max-connections-each", "1"]);
    chat.browser.expect(Expected::NoConnection);
    let ada = chat.user("Ada");
    let elsewhere = chat.visitor("Ada", Display::default());
    elsewhere.sign_in();
    elsewhere.wait_for("$('#connection-text').textContent.startsWith('You have this chat open in too many places.')");
    elsewhere.click("#retry-now");

    ada.network.cut();
    elsewhere.wait_until_connected();
}
