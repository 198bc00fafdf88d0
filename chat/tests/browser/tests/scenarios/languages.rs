//! The page uses the language of the browser, and writes each language by its rules.

use serde_json::json;
use switchboard_browser::{Chat, Display};

#[test]
fn the_page_uses_the_first_browser_language_it_supports() {
    let chat = Chat::open(&[]);
    chat.user("Ada");
    let rows = [
        ("en", "en", "Sign in", "Lobby"),
        ("zh-CN", "zh", "登录", "Lobby"),
        ("fr-CA", "fr", "Se connecter", "Lobby"),
        ("tlh,fr", "fr", "Se connecter", "Lobby"),
        ("tlh", "en", "Sign in", "Lobby"),
    ];
    for (number, (language, spoken, enter, room)) in rows.into_iter().enumerate() {
        let user = chat.visitor(&format!("User {number}"), Display { language, ..Display::default() });
        user.wait_for_value(
            "[document.documentElement.lang, $('#sign-in-button').textContent]",
            json!([spoken, enter]),
        );
        user.register();
        user.wait_for_value("$('#room-name').textContent", room);
    }
}

/// The space before a French sign or unit is written as an escape: a plain one breaks the line there, and the right one
/// looks the same in the source.
#[test]
fn no_french_sign_begins_a_line() {
    let source = include_str!("../../../../page/strings/fr.js");
    // No text has an apostrophe of typewriters.
    let texts = source.lines().flat_map(|line| line.split('\'').skip(1).step_by(2));
    for text in texts {
        for (start, sign) in text.match_indices([':', '?', '!', ';', '»']) {
            let space = if matches!(sign, ":" | "»") { r"\u00A0" } else { r"\u202F" };
            assert!(text[..start].ends_with(space), "no {space} before {sign}: {text}");
        }
        assert!(!text.contains("{count} s.") && !text.ends_with("{count} s"), "a plain space before s: {text}");
    }
}
