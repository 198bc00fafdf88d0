//! The page knows the server's limits from the server alone.

use serde_json::json;
use switchboard_browser::{Chat, Display, Expected, User};

/// Waits until this element shows this text, ignoring the invisible marks around names.
#[track_caller]
fn sees(user: &User, selector: &str, text: &str) {
    user.wait_for_value(&format!("$({}).textContent.replace(/[\\u2068\\u2069]/g, '')", json!(selector)), text);
}

#[test]
fn the_page_allows_and_names_what_the_server_allows() {
    let limits = [
        "--max-name-chars",
        "64",
        "--max-room-name-chars",
        "60",
        "--max-text-chars",
        "100",
        "--max-topic-chars",
        "300",
    ];
    let chat = Chat::open(&limits);
    chat.browser.expect(Expected::Refused(400));
    let ada = chat.visitor(&"A".repeat(64), Display::default());
    ada.click_on("$('#mode-register').parentElement");
    sees(&ada, "#name-hint", "Visible to everyone. At most 64 characters.");
    sees(&ada, "#password-hint", "At least 8 characters.");
    ada.fill("#name", &"A".repeat(65));
    ada.fill("#password", "correct horse battery staple");
    ada.press("Enter");
    sees(&ada, "#sign-in-note", "Names can have at most 64 characters. This one has 65.");
    ada.fill("#name", &"e\u{301}".repeat(64));
    ada.fill("#password", "short");
    ada.press("Enter");
    sees(&ada, "#sign-in-note", "Passwords must have at least 8 characters.");
    ada.fill("#password", &"long".repeat(65));
    ada.press("Enter");
    sees(&ada, "#sign-in-note", "This password isn’t valid. Use 8 to 256 characters.");
    ada.register();

    ada.open_room_search();
    ada.click("#create-part summary");
    ada.fill("#create-name", &"R".repeat(61));
    ada.fill("#create-topic", &"t".repeat(300));
    ada.click("#create");
    sees(&ada, "#create-note", "Room names must have 1 to 60 characters, and no special ones.");
    ada.fill("#create-name", &"R".repeat(60));
    ada.click("#create");
    sees(&ada, "#room-name", &"R".repeat(60));
    sees(&ada, "#room-topic", &"t".repeat(300));

    ada.fill("#text", &"x".repeat(90));
    sees(&ada, "#length", "");
    ada.fill("#text", &"x".repeat(91));
    sees(&ada, "#length", "9 characters left");
    ada.fill("#text", &"x".repeat(101));
    sees(&ada, "#length", "1 character too many");
    ada.click("#account-open");
    ada.click("#password-change summary");
    sees(&ada, "#password-new-hint", "At least 8 characters. You’ll be signed out everywhere else.");
}

/// The account may be from a time with a higher limit.
#[test]
fn a_log_in_is_refused_by_the_server_alone() {
    let chat = Chat::open(&["--max-name-chars", "3"]);
    chat.browser.expect(Expected::Refused(401));
    let ada = chat.visitor("Ada Lovelace", Display::default());
    ada.click_on("$('#mode-login').parentElement");
    ada.sign_in();
    sees(&ada, "#sign-in-note", "Wrong name or password.");
    ada.click_on("$('#mode-register').parentElement");
    ada.sign_in();
    sees(&ada, "#sign-in-note", "Names can have at most 3 characters. This one has 12.");
}
