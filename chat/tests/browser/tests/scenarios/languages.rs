//! The page uses the language of the browser.

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
