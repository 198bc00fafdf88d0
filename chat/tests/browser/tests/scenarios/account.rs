//! The user's own account: its dialog, and signing out.

use serde_json::json;
use switchboard_browser::{Chat, Display, Expected, User};

/// Waits until the dialog is open, shows this error, and has the focus in this field with all its text selected.
#[track_caller]
fn sees_error_at(user: &User, [dialog, note, field]: [&str; 3], error: &str) {
    user.wait_for_value(
        &format!(
            "(() => {{ const {{ id, selectionStart, selectionEnd, value, ariaInvalid }} = document.activeElement;
            return [$('{dialog}').open, $('{note}').textContent, `#${{id}}`,
                value.length > 0 && selectionStart === 0 && selectionEnd === value.length, ariaInvalid]; }})()"
        ),
        json!([true, error, field, true, "true"]),
    );
}

#[test]
fn a_wrong_password_in_a_dialog_is_named_and_selected() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.click("#account-open");
    ada.click("#password-change summary");
    ada.fill("#password-old", "not my password");
    ada.fill("#password-new", "another long secret");
    ada.press("Enter");
    let change = ["#account-dialog", "#password-note"];
    sees_error_at(&ada, [change[0], change[1], "#password-old"], "Wrong password.");
    ada.write("correct horse battery staple");
    ada.fill("#password-new", "short");
    ada.press("Enter");
    let too_short = "This password isn’t valid. Use 8 to 256 characters.";
    sees_error_at(&ada, [change[0], change[1], "#password-new"], too_short);

    ada.click("#delete-account");
    ada.fill("#ask-input", "not my password");
    ada.click("#ask-yes");
    sees_error_at(&ada, ["#ask-dialog", "#ask-note", "#ask-input"], "Wrong password.");
    ada.write("correct horse battery staple");
    ada.press("Enter");
    ada.wait_for_value("$('#sign-in-lead').textContent", "Your account has been deleted.");
}

#[test]
fn a_question_that_failed_leaves_the_next_one_alone() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let ada = chat.user("Ada");
    ada.click("#account-open");
    ada.click("#delete-account");
    ada.fill("#ask-input", "not my password");
    // The answer does not come, and the request fails with the connection.
    ada.network.drop_answers();
    ada.press("Enter");
    ada.wait_for_value("$('#ask-yes').ariaDisabled", "true");
    ada.press("Escape");
    ada.click("#delete-account");
    ada.fill("#ask-input", "my pass");
    ada.network.cut();
    ada.wait_for_value(
        "[$('#toasts').textContent, $('#ask-note').textContent, $('#ask-input').value, $('#ask-yes').ariaDisabled]",
        json!(["You’re offline.", "", "my pass", null]),
    );
}

#[test]
fn signing_out_asks_only_a_user_who_loses_something() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let eve = chat.visitor("Eve", Display::default());
    eve.click_on("$('#mode-guest').parentElement");
    eve.fill("#name", "Eve");
    eve.press("Enter");
    eve.wait_until_connected();
    eve.click("#account-open");
    eve.click("#logout");
    eve.wait_for("$('#ask-dialog').open && $('#ask-text').textContent.includes('direct messages')");
    eve.click("#ask-no");
    eve.wait_for("!$('#ask-dialog').open && $('#account-dialog').open");
    eve.click("#logout");
    eve.click("#ask-yes");
    eve.wait_for("!$('#sign-in').hidden");

    let ada = chat.user("Ada");
    ada.network.cut();
    ada.wait_until_disconnected();
    ada.say("Not sent yet");
    ada.click("#account-open");
    ada.click("#logout");
    ada.wait_for("$('#ask-text').textContent.includes('haven’t been sent')");
    ada.network.restore();
    ada.click("#ask-no");
    ada.click("#account-dialog .close");
    ada.sees_messages(&[("Ada", "Not sent yet")]);
    ada.click("#account-open");
    ada.click("#logout");
    ada.wait_for("!$('#sign-in').hidden && !$('#ask-dialog').open");
}

#[test]
fn the_first_visitor_of_a_chat_is_offered_to_sign_up() {
    let chat = Chat::open(&[]);
    let mode = "document.querySelector('input[name=mode]:checked').value";
    let first = chat.visitor("Ada", Display::default());
    first.wait_for_value(mode, "register");
    first.fill("#name", "Ada");
    first.fill("#password", "correct horse battery staple");
    first.press("Enter");
    first.wait_until_connected();
    chat.visitor("Ben", Display::default()).wait_for_value(mode, "login");

    let closed = Chat::open(&["--no-registration"]);
    closed.visitor("Ada", Display::default()).wait_for_value(mode, "login");
}

#[test]
fn each_session_has_the_name_of_its_browser_and_system() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    let phone = chat.visitor("Ada", Display::default());
    let firefox = "Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0";
    phone.call("Emulation.setUserAgentOverride", json!({"userAgent": firefox, "acceptLanguage": "en"}));
    phone.sign_in();
    phone.wait_until_connected();
    phone.click("#account-open");
    phone.click("#sessions summary");
    let names =
        "$$('#session-list li').map((row) => [row.querySelector('b').textContent.replace(/[\\u2068\\u2069]/g, ''),
        row.querySelector('button').checkVisibility()])";
    phone.wait_for_value(&format!("{names}.sort()"), json!([["Chrome on Linux", true], ["Firefox on Android", false]]));
    phone.click_on("$$('#session-list button').find((button) => button.checkVisibility())");
    ada.wait_for("!$('#sign-in').hidden");
}

#[test]
fn the_browser_that_changes_the_password_stays_a_known_device() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    let device_cookie = || {
        let cookies = ada.call("Network.getCookies", json!({}))["cookies"].take();
        let cookies = cookies.as_array().expect("cookies");
        let of_device = cookies.iter().find(|cookie| cookie["name"] == "switchboard-device");
        of_device.expect("a cookie of the device")["value"].clone()
    };
    let before = device_cookie();
    ada.click("#account-open");
    ada.click("#password-change summary");
    ada.fill("#password-old", "correct horse battery staple");
    ada.fill("#password-new", "another long secret");
    ada.press("Enter");
    let requests =
        "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/api/session')).length";
    ada.wait_for_value(requests, 2);
    assert_ne!(device_cookie(), before);
}
