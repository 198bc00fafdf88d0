//! Messages that are not acknowledged, and what the user is told about them.

use serde_json::json;
use switchboard_browser::{Chat, Display};

/// The event between the two: a new connection, or a reload of the page.
#[test]
fn a_message_that_may_be_stored_is_not_reported_as_unsaved() {
    let chat = Chat::open(&[]);
    let page = chat.visitor("Ada", Display::default());
    let seen = page.evaluate(
        "import('./client/outbox.js').then(async ({ Outbox }) => {
            // Runs an outbox on a connection for each list of replies. Returns the error that it reports at last.
            const lastError = async (connections, isReloaded) => {
                let kept, replies, outbox;
                const failed = (code) => Promise.reject(Object.assign(new Error(code), { code }));
                const open = () => {
                    outbox = new Outbox({
                        request: () => failed(replies.shift() ?? 'storage'),
                        onChange: () => {},
                        storage: { load: () => kept, save: (value) => { kept = structuredClone(value); } },
                    });
                    outbox.setUser('Ada');
                };
                open();
                outbox.add('say', { room: 1, text: 'Hello.' });
                for (const given of connections) {
                    replies = [...given];
                    await outbox.resume();
                    outbox.pause();
                    if (isReloaded) open();
                }
                return outbox.items[0].error.code;
            };
            const { setTimeout } = window;
            window.setTimeout = (run) => setTimeout(run); // The pauses before repeats are over at once.
            const seen = [];
            for (const connections of [
                [['storage']],
                [['too_fast', 'storage']],
                [['unknown', 'storage']],
                [['unknown', 'disconnected'], ['storage']],
                [['timeout'], ['storage']],
                [['timeout'], ['disconnected'], ['too_fast', 'storage']],
            ]) {
                seen.push([await lastError(connections, false), await lastError(connections, true)]);
            }
            window.setTimeout = setTimeout;
            return seen;
        })",
    );
    let (unsaved, uncertain) = (json!(["storage", "storage"]), json!(["unknown", "unknown"]));
    assert_eq!(seen, json!([unsaved, unsaved, uncertain, uncertain, uncertain, uncertain]));
}

/// The server refuses the same texts as empty: `chat/src/blank.rs`.
#[test]
fn a_text_in_which_nothing_is_visible_is_not_sent() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    let is_sendable = |text: &str| {
        ada.evaluate(&format!(
            "($('#text').value = {}, $('#text').dispatchEvent(new Event('input')), !$('#send').disabled)",
            json!(text)
        ))
    };
    for blank in [
        "",
        " \t\n\u{A0}\u{3000}\u{2028}",
        "\u{200B}\u{2060}\u{FEFF}\u{200D}\u{34F}",
        "\u{AD}\u{202E}\u{2066}\u{61C}",
        "\u{3164}\u{115F}\u{1160}\u{FFA0}",
        "\u{FE0F}\u{E0100}\u{180B}\u{E0061}",
        "\u{2800}\u{1D159}\u{FFFC}\u{13441}",
        "\u{301}\u{20E3}",
        "\u{E000}\u{10FFFD}",
        "\u{378}\u{FDD0}\u{1FFFF}",
    ] {
        assert_eq!(is_sendable(blank), json!(false), "{}", blank.escape_unicode());
    }
    ada.press("Enter");
    for visible in [
        ".",
        "\u{200B}.",
        "\u{2801}",
        "\u{2764}\u{FE0F}",
        "1\u{FE0F}\u{20E3}",
        "\u{1F1EB}\u{1F1F7}",
        "\u{93E}",
        "\u{600}",
        // Perhaps an emoji of a later version of Unicode.
        "\u{1FAFF}",
    ] {
        assert_eq!(is_sendable(visible), json!(true), "{}", visible.escape_unicode());
        ada.click("#send");
        ada.wait_for_value("$$('.messages .message[data-state=sent] .text').at(-1)?.textContent", visible);
    }
    ada.wait_for_value("$$('.unsent .message').length", 0);
}

#[test]
fn a_message_that_is_refused_whenever_it_is_sent_can_be_edited_instead() {
    const CHOICES: &str = "[...$('.unsent .choices').children].filter((each) => each.checkVisibility())
        .map(({ className }) => className)";
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.evaluate(
        "(() => {
            const { send } = WebSocket.prototype;
            WebSocket.prototype.send = function (data) { send.call(this, data.replace('Nothing', '')); };
        })()",
    );
    ada.say("Nothing");
    ada.wait_for_value("$('.unsent .message .delivery').textContent", "The message is empty.");
    ada.wait_for_value(CHOICES, json!(["edit", "discard"]));
    ada.assert_accessible("a message that was refused");
    ada.fill("#text", "More");
    ada.click(".unsent .edit");
    ada.wait_for_value(
        "[$('#text').value, document.activeElement.id, $('#send').disabled, $$('.unsent .message').length]",
        json!(["Nothing\nMore", "text", false, 0]),
    );
    ada.say("Something");
    ada.sees_messages(&[("Ada", "Something")]);

    ada.say("Nothing");
    ada.wait_for_value(CHOICES, json!(["edit", "discard"]));
    ada.click(".unsent .discard");
    ada.wait_for_value("[$$('.unsent .message').length, $('#text').value]", json!([0, ""]));
}
