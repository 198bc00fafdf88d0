//! Something on the page fails, or the browser lacks it: the rest goes on.

use serde_json::json;
use switchboard_browser::{Chat, Expected};

#[test]
fn a_message_that_cannot_be_shown_as_usual_is_plain_text_and_the_next_are_there() {
    const LINK: &str = "https://example.org/";
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::Script("broken"));
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.say("Before");
    ben.sees_messages(&[("Ada", "Before")]);
    let links = "$$('.message .text').map((text) => text.querySelectorAll('a').length)";
    let breaks = [
        // What finds links.
        "String.prototype.matchAll = broken",
        "document.createDocumentFragment().constructor.prototype.append = broken",
        // What shows times.
        "Object.defineProperty(Intl.DateTimeFormat.prototype, 'format', { configurable: true, get: broken })",
        "Date.prototype.toISOString = broken",
        "Date.prototype.toDateString = broken",
    ];
    let mut said = vec![("Ada", "Before".to_owned())];
    for (row, break_it) in breaks.into_iter().enumerate() {
        ben.evaluate(&format!(
            "(() => {{
                const broken = () => {{ throw new Error('broken'); }};
                const kept = [String.prototype, DocumentFragment.prototype, Intl.DateTimeFormat.prototype, Date.prototype]
                    .map((each) => [each, Object.getOwnPropertyDescriptors(each)]);
                globalThis.mend = () => kept.forEach(([each, properties]) => Object.defineProperties(each, properties));
                {break_it};
                return true;
            }})()"
        ));
        let text = format!("{row}: {LINK}");
        ada.say(&text);
        said.push(("Ada", text));
        let seen: Vec<_> = said.iter().map(|(from, text)| (*from, &**text)).collect();
        ben.sees_messages(&seen);
        ben.evaluate("mend() ?? true");
        let next = format!("after {row}: {LINK}");
        ada.say(&next);
        said.push(("Ada", next));
        let seen: Vec<_> = said.iter().map(|(from, text)| (*from, &**text)).collect();
        ben.sees_messages(&seen);
        ben.wait_for_value(&format!("{links}.at(-1)"), 1);
    }
}

#[test]
fn a_browser_without_url_can_parse_shows_links() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": "delete URL.canParse; delete Intl.Segmenter;"}));
    ada.evaluate("location.reload()");
    ada.wait_for("document.body.dataset.ready === '' && $('#connection').dataset.state === 'open' && !URL.canParse");
    ada.say("See https://example.org/ or https://:/ or http://[");
    ada.say("More");
    ada.sees_messages(&[("Ada", "See https://example.org/ or https://:/ or http://["), ("Ada", "More")]);
    ada.wait_for_value("$$('.message .text a').map(({ href }) => href)", json!(["https://example.org/"]));
}

#[test]
fn a_view_that_fails_does_not_stop_the_others() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::Script("Cannot read properties of null"));
    let ada = chat.user("Ada");
    ada.create_room("Hall", "public");
    ada.wait_for_value("$('#about-topic').checkVisibility()", true);
    ada.evaluate("$('#room-topic').remove() ?? true");
    ada.click("#topic-edit");
    ada.fill("#ask-input", "Music");
    ada.click("#ask-yes");
    ada.wait_for_value("$('#about-topic').textContent", "Music");
}
