//! The search above the list of rooms.

use serde_json::json;
use switchboard_browser::Chat;

#[test]
fn the_search_above_the_list_finds_users_and_public_rooms() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Bench", "public");
    ben.fill("#filter", "ben");
    ben.wait_for_value("$$('#jump-rooms .name').map(({ textContent }) => textContent)", ["Bench"]);
    ben.press("Enter");
    ben.wait_for_value("[$('#preview-name').textContent, $('#filter').value]", json!(["Bench", ""]));
    ben.wait_for("$('#jump-rooms-part').hidden");
    ben.fill("#filter", "ad");
    ben.click("#jump-users [data-user=Ada]");
    ben.wait_for_value("$('#room-name').textContent", "Ada");
    // A conversation is not listed a second time.
    ben.fill("#filter", "ad");
    ben.wait_for_value("$$('#rooms li').length", 1);
    ben.fill("#filter", "nobody and nothing");
    // With nothing to open, the text stays.
    ben.press("Enter");
    ben.wait_for("$('#jump-none').textContent");
    ben.wait_for_value("$('#filter').value", "nobody and nothing");
    // No heading is left of an empty list, and no hint about it.
    ben.wait_for_value("$('#rooms').innerText", ben.evaluate("$('#jump-none').textContent"));
    ben.fill("#filter", "lob");
    ben.wait_for_value("$('#rooms').innerText.split(/\\n+/)", ["Rooms", "Lobby"]);
}

#[test]
fn a_room_or_user_that_is_opened_from_the_results_ends_the_search() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.create_room("Beach", "public");
    for room in ["Bench", "Den"] {
        ada.create_room(room, "public");
    }
    let open_and_searched =
        "[$('#preview').hidden ? $('#room-name').textContent : $('#preview-name').textContent, $('#filter').value]";
    for (text, keys, name) in [
        ("e", &["ArrowDown", "ArrowDown", "Enter"][..], "Den"),
        ("e", &["Enter"], "Bench"),
        // The room is open already.
        ("e", &["ArrowDown", "Enter"], "Bench"),
        ("be", &["ArrowDown", "ArrowDown", "Enter"], "Ben"),
        ("be", &["ArrowDown", "End", "Enter"], "Beach"),
    ] {
        ada.fill("#filter", text);
        if text == "be" {
            ada.wait_for("$('#jump-rooms [data-room]')");
        }
        for key in keys {
            ada.press(key);
        }
        ada.wait_for_value(open_and_searched, json!([name, ""]));
    }
    ada.fill("#filter", "den");
    ada.open("Den");
    ada.wait_for_value(open_and_searched, json!(["Den", ""]));
    ada.wait_for_value("$$('#room-list a').length", 3);
}

/// The server answers a moment after the last letter.
#[test]
fn no_result_is_shown_that_does_not_match_the_text_in_the_field() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    for room in ["Garden", "Gallery"] {
        ada.create_room(room, "public");
    }
    let shown = "$$('#rooms li').filter((each) => each.checkVisibility())
        .map((each) => each.querySelector('.name').textContent)";
    let after = |text: &str| {
        ben.evaluate(&format!(
            "($('#filter').value = {}, $('#filter').dispatchEvent(new Event('input')), [{shown}, $('#jump-none').textContent])",
            json!(text)
        ))
    };
    ben.fill("#filter", "ga");
    ben.wait_for_value(shown, ["Gallery", "Garden"]);
    assert_eq!(after("gar"), json!([["Garden"], ""]));
    assert_eq!(after("ad"), json!([[], ""]));
    ben.wait_for_value(shown, ["Ada"]);
    assert_eq!(after("adb"), json!([[], ""]));
    ben.wait_for("$('#jump-none').textContent");
}

#[test]
fn nor_in_the_dialogs_that_search() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    let _abel = chat.user("Abel");
    for room in ["Garden", "Gallery"] {
        ada.create_room(room, "public");
    }
    for (opener, field, list, text, found, next, left) in [
        ("#find-room", "#find-search", "#found-rooms", "ga", ["Gallery", "Garden"], "gal", ["Gallery"]),
        ("#find-user", "#users-search", "#users-list", "a", ["Abel", "Ada"], "ad", ["Ada"]),
    ] {
        let shown = format!("$$('{list} .name').map(({{ textContent }}) => textContent).sort()");
        ben.click(opener);
        ben.fill(field, text);
        ben.wait_for_value(&shown, found);
        let after = ben.evaluate(&format!(
            "($('{field}').value = '{next}', $('{field}').dispatchEvent(new Event('input')), {shown})"
        ));
        assert_eq!(after, json!(left));
        ben.click("dialog[open] .close");
    }
}

#[test]
fn an_empty_list_of_rooms_offers_to_find_one() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.wait_for("$('#rooms-none').hidden");
    ada.click("#leave");
    ada.click("#ask-yes");
    ada.click("#rooms-none");
    ada.wait_for("$('#find-dialog').open");
}
