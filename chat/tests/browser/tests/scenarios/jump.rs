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
