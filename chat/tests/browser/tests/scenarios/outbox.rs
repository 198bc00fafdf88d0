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
