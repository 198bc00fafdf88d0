//! Every screen of the page against WCAG 2.2 AA, also the rare ones. `layout.rs` checks the common ones on each
//! display.

use switchboard_browser::{Chat, Display, Expected, User};

const PHONE: Display = Display { width: 360, height: 740, dark: true, touch: true, language: "fr" };

#[test]
fn the_sign_in_form_is_accessible_in_each_mode_and_with_an_error() {
    let chat = Chat::open(&[]);
    chat.user("Ada");
    chat.browser.expect(Expected::Refused(401));
    for display in [Display::default(), PHONE] {
        let visitor = chat.visitor("Ada", display);
        for mode in ["register", "guest", "login"] {
            visitor.click_on(&format!("$('#mode-{mode}').parentElement"));
            visitor.assert_accessible(mode);
        }
        visitor.fill("#name", "Ada");
        visitor.fill("#password", "not the password");
        visitor.press("Enter");
        visitor.wait_for("$('#sign-in-note').textContent");
        visitor.assert_accessible("a wrong password");
    }
}

#[test]
fn dialogs_are_accessible_when_empty_filled_and_with_an_error() {
    let chat = Chat::open(&[]);
    chat.user("Ben");
    for (number, display) in [Display::default(), PHONE].into_iter().enumerate() {
        let ada = chat.visitor(&format!("Ada {number}"), display);
        ada.register();
        finding(&ada);
        users(&ada);
        account(&ada);
    }
}

fn finding(ada: &User) {
    ada.open_room_search();
    ada.fill("#find-search", "no such room");
    ada.wait_for("$('#found-rooms').childElementCount === 0 && $('#found-note').textContent");
    ada.assert_accessible("no room is found");
    ada.click("#create-part summary");
    ada.fill("#create-name", "\u{2028}");
    ada.click("#create");
    ada.wait_for("$('#create-note').textContent");
    ada.assert_accessible("a room's name is refused");
    ada.click("#find-dialog .close");
}

fn users(ada: &User) {
    ada.click("#find-user");
    ada.wait_for("$('#users-dialog').open && $('#users-note').textContent");
    ada.assert_accessible("users online");
    ada.fill("#users-search", "Nobody");
    ada.wait_for("$('#users-list').childElementCount === 0");
    ada.assert_accessible("no user is found");
    ada.click("#users-dialog .close");
}

fn account(ada: &User) {
    ada.click("#account-open");
    for part in ["#password-change", "#sessions", "#blocked"] {
        ada.click(&format!("{part} summary"));
    }
    ada.wait_for("$('#session-list').childElementCount > 0");
    ada.assert_accessible("the account");
    ada.click("#delete-account");
    ada.wait_for("$('#ask-dialog').open");
    ada.assert_accessible("a question with a field");
    ada.press("Escape");
    ada.press("Escape");
}

#[test]
fn a_conversation_is_accessible_with_everything_that_can_be_in_it() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.create_room("Den", "public");
    ben.click("#topic-edit");
    ben.fill("#ask-input", "What to read: https://example.org/");
    ben.press("Enter");
    ben.wait_for("$('.log:not([hidden]) .line[data-kind=topic]')");
    ben.click("#invite");
    ben.fill("#users-search", "Ada");
    ben.click("#users-list [data-user=Ada]");
    ben.click("#users-dialog .close");
    ada.wait_for("$('#invitation-list .accept')");
    ada.assert_accessible("an invitation");
    ada.click("#invitation-list .accept");
    ada.wait_for_value("$('#room-name').textContent", "Den");
    ben.say("One of https://example.org/1 and https://example.org/2");
    ben.say("To be deleted");
    ben.wait_for("$$('.log:not([hidden]) .message[data-state=sent]').length === 2");
    ben.click_on("[...$$('.log:not([hidden]) .message')].at(-1).querySelector('.delete')");
    ben.wait_for("$('#ask-dialog').open");
    ben.assert_accessible("a question");
    ben.click("#ask-yes");
    ada.wait_for("$('.log:not([hidden]) .message.deleted')");
    ada.assert_accessible("messages, a line and a deleted message");
    ben.click("#member-list [data-user=Ada]");
    ben.click("#user-ban");
    ben.click("#ask-yes");
    ada.wait_for("$('#toasts').childElementCount > 0");
    ada.assert_accessible("a toast");
    ben.wait_for("$('#ban-list [data-user=Ada]')");
    ben.assert_accessible("a banned user");

    chat.browser.expect(Expected::NoConnection);
    ben.network.cut();
    ben.wait_until_disconnected();
    ben.fill("#text", "It waits");
    ben.press("Enter");
    ben.wait_for("$('.unsent .message[data-state=waiting]')");
    ben.assert_accessible("a message that waits for a connection");
}

/// A notice has another background than all other texts.
#[test]
fn a_notice_with_links_is_accessible() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Den", "public");
    ben.open_room_search();
    ben.click("#found-rooms li:first-child button");
    ben.click("#preview-join");
    ben.wait_for_value("$('#room-name').textContent", "Den");
    ben.network.cut();
    ben.wait_until_disconnected();
    ben.say("See https://example.org/ and https://b\u{FC}cher.example/.");
    ada.click("#remove");
    ada.click("#ask-yes");
    ada.wait_for_value("$('#room-name').textContent", "Lobby");
    ben.network.restore();
    ben.wait_until_connected();
    ben.wait_for_value("$$('.notice a').length", 2);
    ben.assert_accessible("a notice");
}
