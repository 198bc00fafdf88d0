//! The last member of a room is told what is deleted, and agrees first.

use serde_json::json;
use switchboard_browser::{Chat, Display, Expected, User};

const QUESTION: &str = "$('#ask-text').textContent.replace(/[\\u2068\\u2069]/g, '')";

#[track_caller]
fn sees_rooms(user: &User, names: &[&str]) {
    user.wait_for_value("$$('#room-list [data-room] .name').map(({ textContent }) => textContent)", names);
}

#[test]
fn the_last_member_is_told_that_the_room_is_deleted() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Garden", "public");
    ada.wait_for_value("$('#members-title').textContent", "1 member");
    ada.click("#leave");
    ada.wait_for(&format!("{QUESTION}.includes('will be deleted')"));
    ada.click("#ask-no");
    sees_rooms(&ada, &["Garden", "Lobby"]);

    // The page of a phone does not know the members. It is told when it is the last.
    let phone = chat.visitor("Ada", Display { width: 360, height: 740, touch: true, ..Display::default() });
    phone.sign_in();
    phone.wait_until_connected();
    phone.open("Garden");
    phone.evaluate("$('#leave').click()");
    phone.wait_for(&format!("!{QUESTION}.includes('will be deleted')"));
    phone.click("#ask-yes");
    phone.wait_for(&format!("$('#ask-dialog').open && {QUESTION}.includes('will be deleted')"));
    phone.click("#ask-yes");
    for user in [&ada, &phone] {
        sees_rooms(user, &["Lobby"]);
    }
    // With another member it stays, and may be joined again.
    ada.create_room("Garden", "public");
    ben.evaluate("void (location.hash = '#room-3')");
    ben.click("#preview-join");
    ada.wait_for_value("$('#members-title').textContent", "2 members");
    ada.click("#leave");
    ada.wait_for(&format!("!{QUESTION}.includes('will be deleted')"));
    ada.click("#ask-yes");
    ada.wait_for_value("$('#room-name').textContent", "Lobby");
    ben.wait_for_value("$('#members-title').textContent", "1 member");
}

#[test]
fn who_deletes_an_account_is_told_which_rooms_are_deleted_with_it() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Garden", "public");
    ada.create_room("Shed", "invited");
    ben.evaluate("void (location.hash = '#room-2')");
    ben.click("#preview-join");
    ada.click("#account-open");
    ada.click("#delete-account");
    ada.fill("#ask-input", "correct horse battery staple");
    ada.click("#ask-yes");
    ada.wait_for_value(QUESTION, "You’re the last member of Shed. That room and all its messages will be deleted too.");
    ada.click("#ask-yes");
    ada.wait_for_value("[$('#sign-in').hidden, $('#ask-dialog').open]", json!([false, false]));
    ben.wait_for_value("$('#members-title').textContent", "1 member");
}

#[test]
fn nothing_is_offered_that_cannot_be_done_with_a_user_who_is_gone() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.say("Hello, Ada.");
    ada.create_room("Garden", "public");
    ben.evaluate("void (location.hash = '#room-2')");
    ben.click("#preview-join");
    ada.wait_for_value("$('#members-title').textContent", "2 members");
    ben.say("How green it is.");
    ada.open_direct_with("Ben");
    ada.say("You are still here.");
    ada.open("Garden");
    ada.click(".log:not([hidden]) .message .name");
    let offered =
        "$$('#user-dialog .actions button').filter((each) => !each.disabled && each.checkVisibility()).length";
    ada.wait_for_value(offered, 5);

    ben.click("#account-open");
    ben.click("#delete-account");
    ben.fill("#ask-input", "correct horse battery staple");
    ben.click("#ask-yes");
    ada.wait_for_value(offered, 0);
    ada.wait_for_value("$('#user-state').textContent", "This account no longer exists");
    ada.press("Escape");

    ada.open("Ben");
    ada.wait_for_value(
        "['#composer', '#composer-gone'].map((each) => $(each).checkVisibility())",
        json!([false, true]),
    );
    // The last of the two deletes the conversation by leaving.
    ada.click("#leave");
    ada.wait_for(&format!("{QUESTION}.includes('will be deleted')"));
    ada.click("#ask-yes");
    ada.wait_for_value("$$('#direct-list [data-room]').length", 0);
}

#[test]
fn a_password_is_checked_before_rooms_are_named_and_an_error_stands_beside_its_field() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.create_room("Shed", "invited");
    ada.click("#account-open");
    ada.click("#delete-account");
    // Not all messages stay: the rooms are named only after the password.
    ada.wait_for(&format!("{QUESTION}.includes('except where no one else is left')"));
    ada.fill("#ask-input", "not my password");
    let wrong = "[$('#ask-note').textContent, $('#ask-input').checkVisibility(), document.activeElement.id]";
    ada.press("Enter");
    ada.wait_for_value(wrong, json!(["Wrong password.", true, "ask-input"]));
    ada.write("correct horse battery staple");
    ada.press("Enter");
    ada.wait_for(&format!("{QUESTION}.includes('last member of Shed')"));
    ada.wait_for("$('#ask-dialog').contains(document.activeElement)");
    // The password is another one by the time that the user agrees.
    ada.evaluate(
        "void ((send) => {
            WebSocket.prototype.send = function (text) {
                send.call(this, text.includes('delete_account') ? text.replace('staple', 'stapler') : text);
                WebSocket.prototype.send = send;
            };
        })(WebSocket.prototype.send)",
    );
    ada.click("#ask-yes");
    ada.wait_for_value(wrong, json!(["Wrong password.", true, "ask-input"]));
    ada.write("correct horse battery staple");
    ada.press("Enter");
    ada.wait_for(&format!("{QUESTION}.includes('last member of Shed')"));
    ada.click("#ask-yes");
    ada.wait_for_value("$('#sign-in-lead').textContent", "Your account has been deleted.");
}

#[test]
fn a_guest_who_signs_out_is_told_which_rooms_are_deleted() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::Refused(409));
    let [ben, eve] = ["Ben", "Eve"].map(|name| chat.visitor(name, Display::default()));
    ben.register();
    eve.click_on("$('#mode-guest').parentElement");
    eve.fill("#name", "Eve");
    eve.press("Enter");
    eve.wait_until_connected();
    eve.create_room("Garden", "public");
    eve.create_room("Shed", "invited");
    ben.evaluate("void (location.hash = '#room-2')");
    ben.click("#preview-join");
    eve.click("#account-open");
    eve.click("#logout");
    eve.wait_for(&format!("{QUESTION}.includes('as a guest')"));
    eve.click("#ask-yes");
    let rooms = "You’re the last member of Shed. If you sign out, that room and all its messages will be deleted. \
        This can’t be undone.";
    eve.wait_for_value(QUESTION, rooms);
    eve.click("#ask-no");
    // Nothing has happened.
    eve.wait_for_value("[$('#sign-in').hidden, $('#ask-dialog').open]", json!([true, false]));
    eve.click("#logout");
    eve.click("#ask-yes");
    eve.wait_for_value(QUESTION, rooms);
    eve.click("#ask-yes");
    eve.wait_for_value("[$('#sign-in').hidden, $('#ask-dialog').open]", json!([false, false]));
    ben.wait_for_value("$('#members-title').textContent", "1 member");
}
