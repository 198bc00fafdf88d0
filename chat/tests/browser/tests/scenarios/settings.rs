//! The settings of the browser: language and theme.

use serde_json::json;
use switchboard_browser::{Chat, Display, User};

/// The theme and the colours that show it: of the page, of the browser's own controls and bars.
const THEME: &str = "(() => {
    const root = document.documentElement;
    const meta = (name) => $(`meta[name=${name}]`).content;
    return [root.dataset.theme, getComputedStyle(root).colorScheme, meta('color-scheme'), meta('theme-color'),
        getComputedStyle(document.body).backgroundColor];
})()";
const LIGHT: [&str; 5] = ["light", "light", "light", "#eeeef5", "rgb(238, 238, 245)"];
const DARK: [&str; 5] = ["dark", "dark", "dark", "#12121a", "rgb(18, 18, 26)"];

#[track_caller]
fn open_settings(user: &User) {
    user.click("#account-open");
    user.click("#settings summary");
    user.wait_for("$('#language').checkVisibility()");
}

/// Chooses an option of a list, as a user does.
#[track_caller]
fn choose(user: &User, field: &str, value: &str) {
    user.evaluate(&format!(
        "void ((field) => {{ field.focus(); field.value = '{value}'; field.dispatchEvent(new Event('change')); }})($('{field}'))"
    ));
}

#[test]
fn the_theme_is_the_chosen_one_or_the_systems() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.wait_for_value(THEME, json!(LIGHT));
    ada.set_display(Display { dark: true, ..Display::default() });
    ada.wait_for_value(THEME, json!(DARK));
    open_settings(&ada);
    ada.click_on("$('#theme-light').parentElement");
    ada.wait_for_value(THEME, json!(LIGHT));
    ada.set_display(Display::default());
    ada.click_on("$('#theme-dark').parentElement");
    ada.wait_for_value(THEME, json!(DARK));

    // The page is in the chosen theme before its body is there, so before anything is drawn.
    ada.call(
        "Page.addScriptToEvaluateOnNewDocument",
        json!({"source": "new MutationObserver(() => {
            if (document.body) globalThis.firstTheme ??= document.documentElement.dataset.theme ?? 'none';
        }).observe(document, { childList: true, subtree: true });"}),
    );
    ada.call("Page.reload", json!({}));
    ada.wait_for_value("globalThis.firstTheme", "dark");
    ada.wait_until_connected();
    ada.wait_for_value(THEME, json!(DARK));
    open_settings(&ada);
    ada.wait_for("$('#theme-dark').checked");
    ada.click_on("$('#theme-system').parentElement");
    ada.wait_for_value(THEME, json!(LIGHT));
}

#[test]
fn the_language_is_the_chosen_one_and_the_change_loses_no_draft() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.fill("#text", "Not yet sent");
    open_settings(&ada);
    choose(&ada, "#language", "fr");
    // The user is where they were, and may choose again.
    ada.wait_for_value(
        "[document.documentElement.lang, $('#account-dialog').open, document.activeElement.id, $('#language').value]",
        json!(["fr", true, "language", "fr"]),
    );
    ada.wait_for_value(
        "[$('#text').value, $('#settings summary').textContent, $('#room-name').textContent]",
        json!(["Not yet sent", "Paramètres", "Lobby"]),
    );
    choose(&ada, "#language", "");
    ada.wait_for_value("[document.documentElement.lang, $('#language')?.value]", json!(["en", ""]));
}

#[test]
fn the_sign_in_form_keeps_what_was_entered_when_the_language_changes() {
    let chat = Chat::open(&[]);
    chat.user("Ada");
    let visitor = chat.visitor("Ben", Display::default());
    visitor.click_on("$('#mode-guest').parentElement");
    visitor.fill("#name", "Ben");
    choose(&visitor, "#sign-in-language", "zh");
    visitor.wait_for_value(
        "[document.documentElement.lang, $('#name').value, $('#mode-guest').checked, document.activeElement.id]",
        json!(["zh", "Ben", true, "sign-in-language"]),
    );
    visitor.click("#sign-in-button");
    visitor.wait_until_connected();
}

#[test]
fn without_storage_the_theme_can_still_be_chosen() {
    let chat = Chat::open(&[]);
    let page = chat.browser.page("Ada", Display::default());
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        json!({"source": "for (const name of ['localStorage', 'sessionStorage']) {
            Object.defineProperty(window, name, { get() { throw new DOMException('off', 'SecurityError'); } });
        }"}),
    );
    page.go(&format!("http://{}/", chat.server.address()));
    page.wait_for("'ready' in document.body.dataset");
    page.wait_for_value("$('#sign-in-language').checkVisibility()", false);
    page.click_on("$('#mode-register').parentElement");
    page.fill("#name", "Ada");
    page.fill("#password", "correct horse battery staple");
    page.press("Enter");
    page.click("#account-open");
    page.click("#settings summary");
    page.wait_for_value("[$('#language').disabled, $('#settings-note').checkVisibility()]", json!([true, true]));
    page.click_on("$('#theme-dark').parentElement");
    page.wait_for_value(THEME, json!(DARK));
}
