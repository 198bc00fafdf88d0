//! Rooms that the user is not in: the page shows them before it joins them.

use serde_json::json;
use switchboard_browser::{Chat, Display, Expected, User};

/// Opens the address of a room.
#[track_caller]
fn go_to(user: &User, room: u32) {
    user.evaluate(&format!("void (location.hash = '#room-{room}')"));
}

const JOIN_AND_FIND: &str = "['#preview-join', '#preview-find'].map((each) => $(each).checkVisibility())";

#[test]
fn the_address_of_another_room_shows_that_room_and_offers_to_join() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Garden", "public");
    ada.say("It is green here.");
    ada.sees_messages(&[("Ada", "It is green here.")]);
    go_to(&ben, 2);
    ben.wait_for_value("$('#preview-name').textContent", "Garden");
    ben.wait_for_value(JOIN_AND_FIND, json!([true, false]));
    ben.wait_for("!$('#text').checkVisibility()");
    // After a reload too.
    ben.evaluate("location.reload()");
    ben.wait_for("document.body.dataset.ready === '' && $('#connection').dataset.state === 'open'");
    ben.wait_for_value("$('#preview-name').textContent", "Garden");
    ben.click("#preview-join");
    ben.wait_for_value("[$('#room-name').textContent, $('#preview').hidden]", json!(["Garden", true]));
    ben.sees_messages(&[("Ada", "It is green here.")]);
    ben.open("Lobby");
    ben.evaluate("history.back()");
    ben.wait_for_value("$('#room-name').textContent", "Garden");
}

#[test]
fn a_room_that_the_user_may_not_see_looks_like_none() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Den", "invited");
    for room in [2, 3] {
        go_to(&ben, room);
        let shown = "[$('#preview-name').textContent, $('#preview-note').textContent.includes('invitation')]";
        ben.wait_for_value(shown, json!(["", true]));
        ben.wait_for_value(JOIN_AND_FIND, json!([false, true]));
    }
    ada.click("#invite");
    ada.click("#users-list [data-user=Ben]");
    ben.wait_for("$('#invitation-list [data-room]')");
    go_to(&ben, 2);
    ben.wait_for_value("$('#preview-name').textContent", "Den");
    let note = "$('#preview-note').textContent.replace(/[\\u2068\\u2069]/g, '')";
    ben.wait_for_value(note, "Ada has invited you to this room.");
    ben.click("#preview-decline");
    ben.wait_for_value("[$('#room-name').textContent, $('#preview').hidden]", json!(["Lobby", true]));
}

#[test]
fn a_preview_fits_a_phone_and_is_accessible() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.create_room("Garden", "public");
    ada.say("It is green here.");
    ada.sees_messages(&[("Ada", "It is green here.")]);
    for (number, dark) in [false, true].into_iter().enumerate() {
        let phone = Display { width: 360, height: 740, dark, touch: true, ..Display::default() };
        let ben = chat.visitor(&format!("Ben {number}"), phone);
        ben.register();
        ben.open_room_search();
        ben.click_on("$$('#found-rooms button').find(({ innerText }) => innerText.includes('Garden'))");
        ben.wait_for("$('#preview-join').checkVisibility()");
        ben.save_screenshot(&format!("360x740-preview-{}", if dark { "dark" } else { "light" }));
        ben.assert_accessible("preview");
        ben.click("#preview .back");
        ben.wait_for_value("document.body.dataset.view", "rooms");
    }
}

#[test]
fn a_preview_has_one_stop_of_the_tab_key_for_its_messages_and_takes_no_focus_when_it_is_loaded_again() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Garden", "public");
    ada.say("It is green here.");
    ada.sees_messages(&[("Ada", "It is green here.")]);
    go_to(&ben, 2);
    ben.wait_for_value("document.activeElement.id", "preview-name");
    ben.fill("#filter", "x");
    ben.network.cut();
    ben.wait_until_disconnected();
    ada.say("And quiet.");
    ada.sees_messages(&[("Ada", "It is green here."), ("Ada", "And quiet.")]);
    ben.network.restore();
    ben.wait_until_connected();
    ben.wait_for_value("$$('#preview-messages .text').at(-1).textContent", "And quiet.");
    ben.wait_for_value("document.activeElement.id", "filter");
    let stops = "$$('#preview-messages .message').map((each) => [each, each.querySelector('.name')])
        .map((pair) => pair.map(({ tabIndex }) => tabIndex))";
    let others = ben.evaluate(&format!("{stops}.slice(0, -1).flat()"));
    assert!(others.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(|stop| *stop == -1)), "{others}");
    ben.wait_for_value(&format!("{stops}.at(-1)"), json!([0, 0]));
}

/// The page becomes visible again.
#[track_caller]
fn comes_back(user: &User) {
    user.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
}

const TEXTS: &str = "$$('#preview-messages .text').map(({ textContent }) => textContent)";
const TITLE: &str = "document.title.replace(/[\\u2068\\u2069]/g, '')";

#[test]
fn a_preview_follows_what_happens_in_the_room() {
    let chat = Chat::open(&[]);
    let [ada, eve] = ["Ada", "Eve"].map(|name| chat.user(name));
    // The time between two requests, and nothing else.
    let ben = chat.visitor_with("Ben", Display::default(), |page, _| {
        page.run_before_each_document(
            "const timeout = globalThis.setTimeout;
            globalThis.setTimeout = (handler, time) => timeout(handler, time === 30_000 ? 50 : time);",
        );
    });
    ben.register();
    ada.create_room("Garden", "public");
    for number in 0..30 {
        ada.say(&format!("Plant {number}"));
    }
    ada.wait_for("$$('.log:not([hidden]) .message[data-state=sent]').length === 30");
    go_to(&ben, 2);
    ben.wait_for_value(&format!("{TEXTS}.at(-1)"), "Plant 29");
    let is_at_end = "$('#preview-scrolling').scrollHeight - $('#preview-scrolling').scrollTop
        - $('#preview-scrolling').clientHeight < 2";
    ben.wait_for(is_at_end);
    ben.evaluate("$$('#preview-messages .message').at(-1).focus()");
    ada.say("Plant 30");
    ben.wait_for_value(&format!("{TEXTS}.at(-1)"), "Plant 30");
    ben.wait_for(is_at_end);
    // The focus stays where it was, and so does what is read.
    ben.wait_for_value("document.activeElement.querySelector('.text').textContent", "Plant 29");
    ben.evaluate("$('#preview-scrolling').scrollTop = 100");
    let top = ben.evaluate("nextFrame().then(nextFrame).then(() => $('#preview-scrolling').scrollTop)");
    ada.say("Plant 31");
    ben.wait_for_value(&format!("{TEXTS}.at(-1)"), "Plant 31");
    ben.wait_for_value("$('#preview-scrolling').scrollTop", top);
    eve.open_room_search();
    eve.click_on("$$('#found-rooms button').find(({ innerText }) => innerText.includes('Garden'))");
    eve.click("#preview-join");
    ben.wait_for_value("$('#preview-members').textContent", "2 members");
    ada.click_on("$$('.log:not([hidden]) .message').at(-1).querySelector('.delete')");
    ada.click("#ask-yes");
    ben.wait_for_value(&format!("{TEXTS}.at(-1)"), "This message was deleted.");
}

#[test]
fn a_preview_is_loaded_again_when_the_page_becomes_visible_and_when_a_join_fails() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Garden", "public");
    go_to(&ben, 2);
    ben.wait_for("$('#preview-join').checkVisibility()");
    ada.say("It is green here.");
    ada.sees_messages(&[("Ada", "It is green here.")]);
    comes_back(&ben);
    ben.wait_for_value(TEXTS, ["It is green here."]);
    ada.click("#remove");
    ada.click("#ask-yes");
    ada.wait_for_value("$('#room-name').textContent", "Lobby");
    ben.click("#preview-join");
    ben.wait_for_value(JOIN_AND_FIND, json!([false, true]));
    ben.wait_for_value(&format!("[$('#preview-name').textContent, {TEXTS}, {TITLE}]"), json!(["", [], "switchboard"]));
}

#[test]
fn a_preview_shows_an_invitation_that_comes() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Den", "invited");
    ada.say("It is warm here.");
    ada.sees_messages(&[("Ada", "It is warm here.")]);
    go_to(&ben, 2);
    ben.wait_for_value(JOIN_AND_FIND, json!([false, true]));
    ada.click("#invite");
    ada.click("#users-list [data-user=Ben]");
    ben.wait_for_value(&format!("[{TITLE}, {TEXTS}]"), json!(["(1) Den – switchboard", ["It is warm here."]]));
    ben.wait_for("$('#preview-note').textContent.includes('Ada') && $('#preview-decline').checkVisibility()");
    ben.click("#preview-join");
    ben.wait_for_value(TITLE, "Den – switchboard");
}

#[test]
fn a_preview_hides_the_texts_of_blocked_users_and_shows_them_again() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Garden", "public");
    ada.say("It is green here.");
    ada.sees_messages(&[("Ada", "It is green here.")]);
    go_to(&ben, 2);
    for text in ["Message hidden because you blocked this person.", "It is green here."] {
        ben.click("#preview-messages .name");
        ben.click("#user-block");
        ben.press("Escape");
        ben.wait_for_value(TEXTS, [text]);
    }
}
