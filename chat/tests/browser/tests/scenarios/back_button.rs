//! The back button of a phone closes what covers the room before it leaves the room.

use serde_json::json;
use switchboard_browser::{Chat, Display, User};

const PHONE: Display = Display { width: 360, height: 740, dark: false, touch: true, language: "en-GB" };

/// The open dialogs, whether the details are shown, and the part that the phone shows.
const SHOWN: &str = "[$$('dialog[open]').map(({ id }) => id), document.body.dataset.details,
    document.body.dataset.view === 'room' ? $('#room-name').textContent : null]";

#[track_caller]
fn back(user: &User) {
    user.evaluate("history.back()");
}

#[test]
fn back_closes_dialogs_and_details_before_it_leaves_the_room() {
    let chat = Chat::open(&[]);
    let _ben = chat.user("Ben");
    let ada = chat.visitor("Ada", PHONE);
    ada.register();
    ada.open("Lobby");
    for _ in 0..2 {
        ada.click("#details-toggle");
        ada.click("#member-list [data-user=Ben]");
        ada.wait_for_value(SHOWN, json!([["user-dialog"], "shown", "Lobby"]));
        back(&ada);
        ada.wait_for_value(SHOWN, json!([[], "shown", "Lobby"]));
        back(&ada);
        ada.wait_for_value(SHOWN, json!([[], "hidden", "Lobby"]));
        // A dialog that was closed by its button leaves nothing to go back to.
        ada.click("#details-toggle");
        ada.click("#member-list [data-user=Ben]");
        ada.click("#user-dialog .close");
        ada.wait_for_value(SHOWN, json!([[], "shown", "Lobby"]));
        ada.click("#details-close");
        ada.wait_for_value(SHOWN, json!([[], "hidden", "Lobby"]));
    }
    // Nor does what was left by going elsewhere.
    ada.click("#details-toggle");
    ada.click("#member-list [data-user=Ben]");
    ada.click("#user-message");
    ada.wait_for_value(SHOWN, json!([[], "hidden", "Ben"]));
    back(&ada);
    ada.wait_for_value(SHOWN, json!([[], "hidden", "Lobby"]));
    back(&ada);
    ada.wait_for_value(SHOWN, json!([[], "hidden", null]));
    // In the list of rooms too.
    ada.click("#account-open");
    ada.click("#logout");
    ada.wait_for("!$('#sign-in').hidden");
}

#[test]
fn a_room_that_is_left_or_lost_leaves_no_entry_behind() {
    let chat = Chat::open(&[]);
    let ben = chat.user("Ben");
    let ada = chat.visitor("Ada", PHONE);
    ada.register();
    let shown = "[document.body.dataset.view, $('#preview').hidden, location.hash, history.state]";
    let list = json!(["rooms", true, "", null]);
    for room in [2, 3] {
        ben.create_room(&format!("Garden {room}"), "public");
        ada.evaluate(&format!("void (location.hash = '#room-{room}')"));
        ada.click("#preview-join");
        ada.wait_for_value("document.body.dataset.view + $('#preview').hidden", "roomtrue");
        ada.click("#details-toggle");
        ada.wait_for_value("document.body.dataset.details", "shown");
        if room == 2 {
            ada.click("#leave");
            ada.click("#ask-yes");
        } else {
            ben.click("#member-list [data-user=Ada]");
            ben.click("#user-kick");
            ben.click("#ask-yes");
        }
        ada.wait_for(&format!("$$('#room-list [data-room=\"{room}\"]').length === 0"));
        ada.wait_for_value(shown, list.clone());
        // It stays so, when the history has come to rest.
        ada.evaluate("new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); })");
        ada.wait_for_value(shown, list.clone());
    }
    // Nor does a user who signs out.
    ada.open("Lobby");
    ada.click("#details-toggle");
    ada.evaluate("$('#logout').click()");
    ada.wait_for_value("[$('#sign-in').hidden, location.hash, history.state]", json!([false, "", null]));
}

#[test]
fn a_reload_while_a_dialog_is_open_leaves_no_entry_behind() {
    let chat = Chat::open(&[]);
    let _ben = chat.user("Ben");
    let ada = chat.visitor("Ada", PHONE);
    ada.register();
    ada.open("Lobby");
    ada.click("#details-toggle");
    ada.click("#member-list [data-user=Ben]");
    ada.wait_for_value(SHOWN, json!([["user-dialog"], "shown", "Lobby"]));
    ada.wait_for_value("history.state", json!({"layer": 2}));
    ada.evaluate("location.reload()");
    ada.wait_for("document.body.dataset.ready === '' && $('#connection').dataset.state === 'open'");
    ada.wait_for_value(SHOWN, json!([[], "hidden", "Lobby"]));
    ada.wait_for_value("history.state", json!(null));
    // The back button closes a dialog that is opened now, and the next press leaves the room.
    ada.click("#details-toggle");
    ada.wait_for_value(SHOWN, json!([[], "shown", "Lobby"]));
    back(&ada);
    ada.wait_for_value(SHOWN, json!([[], "hidden", "Lobby"]));
    back(&ada);
    ada.wait_for_value(SHOWN, json!([[], "hidden", null]));
}
