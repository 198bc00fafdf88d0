//! The page in Firefox.

use std::time::{Duration, Instant};

use serde_json::json;
use switchboard_browser::{Firefox, FirefoxPage, Server};

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// The time in which a page shows a message, whatever is in it, also on a machine that is busy.
const SOON: Duration = Duration::from_secs(5);

/// Opens the page for a user, who registers and enters the Lobby.
fn user(firefox: &Firefox, server: &Server, name: &str) -> FirefoxPage {
    let page = firefox.page(&format!("http://{}/", server.address()));
    page.wait_for("'ready' in document.body.dataset");
    page.click_on("$('#mode-register').parentElement");
    page.fill("#name", name);
    page.fill("#password", "correct horse battery staple");
    page.press(ENTER);
    page.wait_for_value("[$('#connection').dataset.state, $('#room-name').textContent]", json!(["open", "Lobby"]));
    page
}

fn say(page: &FirefoxPage, text: &str) {
    // Typing each key of a long text would take minutes.
    page.evaluate(&format!(
        "($('#text').value = {}, $('#text').dispatchEvent(new InputEvent('input', {{ bubbles: true }})),
            $('#text').focus())",
        json!(text)
    ));
    page.press(ENTER);
}

fn sees(page: &FirefoxPage, messages: &[&str]) {
    page.wait_for_value("$$('.message .text').map(({ textContent }) => textContent)", json!(messages));
}

#[test]
fn two_users_of_firefox_write_to_each_other_and_a_reload_shows_it_again() {
    let server = Server::start(&[]);
    let firefox = Firefox::start("en");
    let [ada, ben] = ["Ada", "Ben"].map(|name| user(&firefox, &server, name));
    ada.fill("#text", "Hello from Firefox");
    ada.press(ENTER);
    ben.fill("#text", "https://example.org/");
    ben.press(ENTER);
    for page in [&ada, &ben] {
        sees(page, &["Hello from Firefox", "https://example.org/"]);
        page.wait_for_value("$$('.message .text a').map(({ href }) => href)", json!(["https://example.org/"]));
    }
    ada.reload();
    sees(&ada, &["Hello from Firefox", "https://example.org/"]);
    ada.click("#find-room");
    ada.wait_for("$('#found-rooms [data-room]')");
    ada.press(ESCAPE);
    ada.wait_for("!$('#find-dialog').open");
    // A dialog, and a toast above it.
    ada.click("#find-room");
    ada.click("#create-part summary");
    ada.fill("#create-name", "Den");
    ada.press(ENTER);
    ada.wait_for_value("$('#room-name').textContent", "Den");
    ada.click("#invite");
    ada.click("#users-list [data-user=Ben]");
    // The dialog makes it inert, so that no place on the screen is said to be the toast's.
    ada.wait_for(
        "$('#users-dialog').open && $('#toasts').matches(':popover-open') && $('#toasts p').checkVisibility()",
    );
}

#[test]
fn no_text_of_others_keeps_firefox_busy() {
    let server = Server::start(&[]);
    let firefox = Firefox::start("en");
    let [ada, ben] = ["Ada", "Ben"].map(|name| user(&firefox, &server, name));
    let texts =
        [format!("http://\u{1f600}{}{}", ",".repeat(1900), ")".repeat(1990)), format!("http://é{}", "(,".repeat(1900))];
    let mut said = Vec::new();
    for text in &texts {
        let started = Instant::now();
        say(&ada, text);
        said.push(text.as_str());
        sees(&ben, &said);
        assert!(started.elapsed() < SOON, "{}… is shown after {:?}", &text[..20], started.elapsed());
    }
}

#[test]
fn firefox_shows_the_page_in_the_language_of_the_browser() {
    let server = Server::start(&[]);
    let firefox = Firefox::start("tlh,fr,en");
    let page = firefox.page(&format!("http://{}/", server.address()));
    page.wait_for_value(
        "[document.documentElement.lang, $('#sign-in-button').textContent]",
        json!(["fr", "Créer le compte"]),
    );
}
