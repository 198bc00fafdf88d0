//! The server's data is put back from a copy, and has other messages than users have seen.

use serde_json::json;
use switchboard_browser::{Chat, Display, Expected, Sources, StopSignal};

/// The server cannot notice it, and others write as many messages as were lost before the users come back.
#[test]
fn users_see_what_the_server_has_after_a_copy_of_its_data_is_put_back() {
    let mut chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let [ada, ben, cem] = ["Ada", "Ben", "Cem"].map(|name| chat.user(name));
    ada.say("We begin.");
    cem.sees_messages(&[("Ada", "We begin.")]);
    let copy = chat.server.copy_data();
    ben.say("Lost.");
    ben.say("Lost too.");
    for user in [&ada, &ben, &cem] {
        user.sees_messages(&[("Ada", "We begin."), ("Ben", "Lost."), ("Ben", "Lost too.")]);
    }

    for user in [&ada, &ben] {
        user.network.cut();
        user.wait_until_disconnected();
    }
    ada.say("Do you remember?");
    chat.server.end(StopSignal::Kill);
    cem.wait_until_disconnected();
    chat.server.put_back(&copy);
    chat.server.restart();
    cem.wait_until_connected();
    cem.sees_messages(&[("Ada", "We begin.")]);
    for text in ["Nobody else?", "Hello?", "I go."] {
        cem.say(text);
    }
    let mut all = vec![("Ada", "We begin."), ("Cem", "Nobody else?"), ("Cem", "Hello?"), ("Cem", "I go.")];
    cem.sees_messages(&all);

    ben.network.restore();
    ben.wait_until_connected();
    ben.sees_messages(&all);
    ada.network.restore();
    ada.wait_until_connected();
    all.push(("Ada", "Do you remember?"));
    for user in [&ada, &ben, &cem] {
        user.sees_messages(&all);
    }
}

/// A connection can follow a room before the reply to its `join`, such as when another connection enters the room.
#[test]
fn the_page_delivers_no_message_before_the_server_has_confirmed_its_position() {
    let chat = Chat::open(&[]);
    let page = chat.visitor("Ada", Display::default());
    let seen = page.evaluate(
        "import('./client/room_sync.js').then(async ({ RoomSync }) => {
            const [seen, replies] = [[], []];
            const sync = new RoomSync({
                request: (event, { since }) => {
                    seen.push(since.hash);
                    return new Promise((resolve) => replies.push(resolve));
                },
                deliver: ({ hash }) => seen.push(hash),
                onGap: () => seen.push('gap'),
                isAckDue: () => false,
            });
            const at = (seq, hash) => ({ room: 1, kind: 'public', role: 'member', epoch: 'e', seq, hash });
            const resume = async (reply) => {
                const resumed = sync.resume();
                replies.pop()({ room: reply.messages.at(-1), gap: false, live: true, ...reply });
                await resumed;
            };
            sync.start([at(1, 'one')], true);
            sync.receive(at(2, 'two'));
            sync.pause();

            sync.start([at(2, 'two')], true);
            sync.receive(at(3, 'three'));
            await resume({ messages: [at(3, 'three')] });
            sync.receive(at(4, 'four'));
            sync.pause();

            sync.start([at(4, 'other four')], true);
            sync.receive(at(5, 'other five'));
            await resume({ gap: true, messages: [at(4, 'other four'), at(5, 'other five')] });
            sync.receive(at(6, 'other six'));
            return seen.join(', ');
        })",
    );
    assert_eq!(seen, "two, two, three, four, four, gap, other six");
}

/// The log can have later messages than the position: they were loaded as history.
#[test]
fn a_log_that_has_loaded_another_message_with_the_same_number_is_loaded_again() {
    let sources = Sources::open();
    let page = &sources.page;
    let seen = page.evaluate(
        "import('./view/log.js').then(async ({ Log }) => {
            const message = (seq, text) => (
                { room: 1, epoch: 'e', seq, hash: text, time: 0, from: 'Ben', kind: 'said', text }
            );
            const pages = [[message(1, 'one'), message(2, 'two')], [message(1, 'one'), message(2, 'other two')]];
            const log = new Log({
                room: 1,
                client: { emit: async () => ({ messages: pages.shift(), more: false }) },
                model: { you: { name: 'Ada' }, rooms: new Map([[1, {}]]), blocked: new Set() },
                changed: () => {},
                isWatched: () => true,
            });
            document.body.append(log.element);
            const texts = async () => {
                await new Promise((resolve) => setTimeout(resolve));
                return [...log.element.querySelectorAll('.text')].map(({ textContent }) => textContent);
            };
            log.show();
            const lines = () => ['.top', '[data-kind=gap]'].map((line) => log.element.querySelector(line)?.textContent ?? '(null)');
            const seen = [await texts(), lines()];
            for (const text of ['one', 'other one']) {
                log.add(message(1, text));
                seen.push(await texts());
            }
            seen.push(lines());
            log.element.remove();
            return seen;
        })",
    );
    let before = ["This is the beginning of the conversation.", "(null)"];
    let after = ["", "Some earlier messages are no longer on the server."];
    assert_eq!(seen, json!([["one", "two"], before, ["one", "two"], ["one", "other two"], after]));
}
