//! The page speaks the language of the browser.

use serde_json::json;
use switchboard_browser::{Chat, Look};

#[test]
fn the_page_speaks_the_first_language_of_the_browser_that_it_knows() {
    let chat = Chat::open(&[]);
    let rows = [
        ("en", "en", "Log in", "Lobby"),
        ("zh-CN", "zh", "登录", "Lobby"),
        ("fr-CA", "fr", "Se connecter", "Lobby"),
        ("tlh,fr", "fr", "Se connecter", "Lobby"),
        ("tlh", "en", "Log in", "Lobby"),
    ];
    for (number, (language, spoken, enter, room)) in rows.into_iter().enumerate() {
        let person = chat.visitor(&format!("Person {number}"), Look { language, ..Look::default() });
        person.wait_for_value("[document.documentElement.lang, $('#enter').textContent]", json!([spoken, enter]));
        person.register();
        person.wait_for_value("$('#room-name').textContent", room);
    }
}
