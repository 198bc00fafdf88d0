//! The page without a mouse: a few stops of the Tab key lead everywhere, and the arrow keys move inside of lists.

use serde_json::json;
use switchboard_browser::{Chat, Page};

/// Presses Tab until the element with this selector has the focus. Returns the elements on the way.
#[track_caller]
fn tab_to(page: &Page, selector: &str) -> Vec<String> {
    let mut passed = Vec::new();
    loop {
        page.press("Tab");
        let at = page.evaluate("document.activeElement.id || document.activeElement.className");
        if page.evaluate(&format!("document.activeElement === $({})", json!(selector))) == true {
            return passed;
        }
        passed.push(at.as_str().expect("a string").to_owned());
        assert!(passed.len() < 100, "{selector} is not reached: {passed:?}");
    }
}

#[test]
fn a_few_stops_lead_from_the_first_room_to_the_composer_however_much_is_listed() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    for room in ["Alpha", "Beta", "Gamma", "Delta"] {
        ada.create_room(room, "public");
    }
    ada.open("Lobby");
    for number in 0..8 {
        ben.say(&format!("Look at https://example.org/{number} and tell me."));
    }
    ada.wait_for("$$('.log:not([hidden]) .message').length === 8");
    ada.evaluate("$('#filter').focus()");
    let passed = tab_to(&ada, "#text");
    assert!(passed.len() <= 8, "{passed:?}");
    assert_eq!(passed.iter().filter(|at| *at == "message").count(), 1, "{passed:?}");
}

#[test]
fn arrow_keys_move_between_messages_and_their_buttons_are_stops_only_there() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.say("One");
    ben.say("Two");
    ada.say("Three");
    ben.say("Four");
    ada.wait_for("$$('.log:not([hidden]) .message').length === 4");
    let focused = "document.activeElement.closest('.message')?.querySelector('.text').textContent ?? ''";

    ada.evaluate("$('#details-toggle').focus()");
    ada.press("Tab");
    ada.wait_for_value(focused, "Four");
    ada.press("ArrowDown");
    ada.wait_for_value(focused, "Four");
    ada.press("ArrowUp");
    ada.wait_for_value(focused, "Three");
    // A message that comes does not take the focus away, nor the place.
    ben.say("Five");
    ada.wait_for("$$('.log:not([hidden]) .message').length === 5");
    ada.wait_for_value(focused, "Three");
    ada.press("Home");
    ada.wait_for_value(focused, "One");
    ada.press("Tab");
    ada.wait_for_value("document.activeElement.className", "name");
    ada.press("ArrowDown");
    ada.wait_for_value(focused, "Two");
    ada.press("End");
    ada.wait_for_value(focused, "Five");
    ada.wait_for_value("$$('.log:not([hidden]) .message').filter(({ tabIndex }) => tabIndex === 0).length", 1);
}

#[test]
fn each_message_has_the_name_of_its_sender_its_text_and_its_time() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.say("Is it open?");
    ada.say("It is.");
    ada.wait_for("$$('.log:not([hidden]) .message[data-state=sent]').length === 2");
    let tree = ada.call("Accessibility.getFullAXTree", json!({}));
    let articles: Vec<_> = tree["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|node| node["role"]["value"] == "article")
        .map(|node| node["name"]["value"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(articles.len(), 2, "{articles:?}");
    assert!(articles[0].starts_with("Ben Is it open? ") && articles[0].len() > 16, "{articles:?}");
    assert!(articles[1].starts_with("Ada It is. "), "{articles:?}");
    // The own name is a text, not a button that does nothing.
    ada.wait_for_value("$$('.message .name').map(({ localName }) => localName)", json!(["button", "span"]));
}

#[test]
fn page_up_in_the_empty_field_scrolls_the_messages() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    for number in 0..10 {
        ada.say(&format!("{number}\n2\n3\n4\n5\n6\n7\n8"));
    }
    ada.wait_for("$$('.log:not([hidden]) .message[data-state=sent]').length === 10");
    let top = "$('.log:not([hidden])').scrollTop";
    let end = ada.evaluate(top);
    ada.press("PageUp");
    ada.wait_for(&format!("{top} < {end} - 200"));
    ada.wait_for_value("document.activeElement.id", "text");
    ada.press("PageDown");
    ada.wait_for(&format!("{top} > {end} - 40"));
    // In a text the key moves the cursor.
    ada.write("A text");
    ada.press("PageUp");
    ada.wait_for(&format!("{top} > {end} - 40"));
}

#[test]
fn the_arrow_keys_lead_from_the_filter_into_the_list_and_back() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.create_room("Beta", "public");
    ada.evaluate("$('#filter').focus()");
    let focused = "document.activeElement.querySelector('.name')?.textContent ?? document.activeElement.id";
    for (key, expected) in [
        ("ArrowDown", "Beta"),
        ("ArrowDown", "Lobby"),
        ("ArrowDown", "Lobby"),
        ("ArrowUp", "Beta"),
        ("ArrowUp", "filter"),
        ("ArrowDown", "Beta"),
        ("End", "Lobby"),
        ("Home", "Beta"),
    ] {
        ada.press(key);
        ada.wait_for_value(focused, expected);
    }
    ada.press("Enter");
    ada.wait_for_value("$('#room-name').textContent", "Beta");
}
