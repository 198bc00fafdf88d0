//! After a user has signed out, nothing of them or of what they have seen is left in the document, hidden or not.

use serde_json::json;
use switchboard_browser::{Chat, Display, User};

/// All names and texts of this chat contain this.
const MARK: &str = "Quux";

/// What of the document contains the mark: texts, attributes, and the contents of fields. The field of the sign-in form
/// is excepted, which keeps the last name.
const LEFT: &str = "(() => {
    const left = document.title.includes('Quux') ? ['title'] : [];
    const note = (element, what, text) => {
        if (text?.includes('Quux') && element.id !== 'name') left.push(`${element.id || element.className}, ${what}: ${text}`);
    };
    const fields = document.querySelectorAll('input, textarea, select');
    fields.forEach((field) => note(field, 'value', field.value));
    for (const element of document.querySelectorAll('*')) {
        [...element.attributes].forEach(({ name, value }) => note(element, name, value));
        [...element.childNodes].filter((node) => !(node instanceof Element)).forEach((node) => note(element, 'text', node.data));
    }
    return left;
})()";

/// Uses every part of the page that shows names or texts.
fn use_everything(user: &User, other: &User) {
    let name = user.name();
    other.say("Hello from Quux.");
    user.sees_messages(&[(other.name(), "Hello from Quux.")]);
    // A room of the user, with a member and a banned user, a draft and a topic.
    user.create_room("Quux garden", "public");
    user.click("#topic-edit");
    user.fill("#ask-input", "About Quux");
    user.click("#ask-yes");
    user.wait_for_value("$('#about-topic').textContent", "About Quux");
    other.evaluate("void (location.hash = '#room-2')");
    other.click("#preview-join");
    other.wait_for_value("$('#room-name').textContent", "Quux garden");
    user.click(&format!("#member-list [data-user='{}']", other.name()));
    user.click("#user-ban");
    user.click("#ask-yes");
    user.wait_for("$('#ban-list [data-user]')");
    user.fill("#text", "A draft about Quux");
    // An invitation, and a preview of its room.
    other.create_room("Quux den", "invited");
    other.click("#invite");
    other.click(&format!("#users-list [data-user='{name}']"));
    other.click("#users-dialog .close");
    user.wait_for("$('#invitation-list [data-room]')");
    user.evaluate("void (location.hash = '#room-3')");
    user.wait_for_value("$('#preview-name').textContent", "Quux den");
    // A private conversation, and its user's dialog.
    user.open("Lobby");
    user.open_direct_with(other.name());
    user.say("To Quux alone");
    // Searches.
    user.fill("#filter", "Quux");
    user.wait_for("$('#room-list [data-room]') && !$('#room-list [data-room=\"1\"]')");
    user.open_room_search();
    user.fill("#find-search", "Quux");
    user.click("#create-part summary");
    user.fill("#create-name", "Quux shed");
    user.click("#find-dialog .close");
    user.click("#find-user");
    user.fill("#users-search", "Quux");
    user.wait_for("$('#users-list [data-user]')");
    user.click("#users-dialog .close");
    // The account: its sessions, a password, and a question with an answer.
    user.click("#account-open");
    user.click("#sessions summary");
    user.wait_for("$('#session-list').childElementCount > 0");
    user.click("#sessions summary");
    user.click("#password-change summary");
    user.fill("#password-old", "Quux, my password");
    user.click("#delete-account");
    user.fill("#ask-input", "Quux, my password");
    user.click("#ask-no");
    // The other user is typing.
    other.open(name);
    other.fill("#text", "Quux is");
    user.wait_for("$('#typing').textContent.includes('Quux')");
}

#[test]
fn nothing_of_a_user_is_left_in_the_document() {
    assert!(LEFT.contains(MARK));
    let chat = Chat::open(&[]);
    let other = chat.user("Ben Quux");
    let ada = chat.visitor("Ada Quux", Display::default());
    ada.register();
    use_everything(&ada, &other);
    assert_ne!(ada.evaluate(LEFT), json!([]), "the names are found while the user is signed in");
    ada.click("#logout");
    ada.wait_for("!$('#sign-in').hidden && !$('#ask-dialog').open");
    ada.wait_for_value(LEFT, json!([]));
    // Replies that were still on their way come to nothing.
    other.say("Quux is late.");
    assert_eq!(ada.evaluate(LEFT), json!([]));

    // Nor for a user who signs in after the session of another has ended.
    ada.sign_in_again();
    ada.open("Ben Quux");
    ada.sees_messages(&[("Ada Quux", "To Quux alone"), ("Ben Quux", "Quux is late.")]);
    ada.fill("#text", "A draft about Quux");
    let elsewhere = chat.visitor("Ada Quux", Display::default());
    elsewhere.sign_in();
    elsewhere.wait_until_connected();
    elsewhere.click("#account-open");
    elsewhere.click("#sessions summary");
    elsewhere.wait_for_value("$('#session-list').childElementCount", 2);
    elsewhere.click("#revoke-others");
    ada.wait_for("!$('#sign-in').hidden");
    ada.click_on("$('#mode-register').parentElement");
    ada.fill("#name", "Cleo");
    ada.fill("#password", "correct horse battery staple");
    ada.press("Enter");
    ada.wait_until_connected();
    // The address of the conversation is none of theirs.
    ada.wait_for("$('#preview-note').textContent.includes('doesn’t exist')");
    ada.wait_for_value(LEFT, json!([]));
}
