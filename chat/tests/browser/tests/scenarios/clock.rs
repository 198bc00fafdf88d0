//! The server's clock, or the user's, was wrong and is put right.

use serde_json::json;
use switchboard_browser::{Chat, Sources};

#[test]
fn a_log_shows_messages_in_their_order_with_the_times_they_have() {
    let sources = Sources::open();
    let page = &sources.page;
    let seen = page.evaluate(
        "import('./view/log.js').then(async ({ Log }) => {
            const noon = (day) => new Date(2026, 4, day, 12).getTime();
            const minute = 60_000;
            const times = [noon(1), noon(1) + minute, noon(3), noon(1) + 2 * minute, noon(1) - 90 * minute, 0];
            const message = (time, index) => (
                { room: 1, epoch: 'e', seq: index + 1, hash: `${index}`, time, from: 'Ben', kind: 'said', text: `${index}` }
            );
            const messages = times.map(message);
            const log = new Log({
                room: 1,
                client: { emit: async ({}, { before }) => (
                    { messages: before ? messages.slice(0, 3) : messages.slice(3, 5), more: !before }
                ) },
                model: { you: { name: 'Ada' }, rooms: new Map([[1, {}]]), blocked: new Set() },
                changed: () => {},
                isWatched: () => true,
            });
            document.body.append(log.element);
            log.show();
            const count = () => log.element.querySelectorAll('.message').length;
            while (count() < 5) await new Promise((resolve) => setTimeout(resolve));
            log.add(messages[5]);
            const seen = [...log.element.querySelectorAll('.message, [data-kind=day]')].map((element) => (
                element.dataset.kind ?? element.querySelector('.text').textContent + (element.matches('.first') ? ' first' : '')
            ));
            log.element.remove();
            return seen;
        })",
    );
    assert_eq!(seen, json!(["day", "0 first", "1", "day", "2 first", "day", "3 first", "4 first", "day", "5 first"]));
}

#[test]
fn conversations_are_in_the_order_of_their_latest_messages_also_after_a_reload() {
    const NAMES: &str = "$$('#direct-list [data-room] .name').map(({ textContent }) => textContent)";
    let chat = Chat::open(&[]);
    let [ada, ben, cem] = ["Ada", "Ben", "Cem"].map(|name| chat.user(name));
    for user in [&ben, &cem] {
        user.say("Hello.");
    }
    ada.sees_messages(&[("Ben", "Hello."), ("Cem", "Hello.")]);
    ada.open_direct_with("Ben");
    ada.say("Hello, Ben.");
    ada.open("Lobby");
    ada.open_direct_with("Cem");
    ada.say("Hello, Cem.");
    ada.wait_for_value(NAMES, json!(["Cem", "Ben"]));
    ben.open("Ada");
    ben.say("Hello, Ada.");
    ada.wait_for_value(NAMES, json!(["Ben", "Cem"]));
    ada.evaluate("location.reload()");
    ada.wait_for("document.body.dataset.ready === '' && $('#connection').dataset.state === 'open'");
    ada.wait_for_value(NAMES, json!(["Ben", "Cem"]));
}

#[test]
fn a_conversation_with_a_new_message_comes_first_although_its_time_is_earlier() {
    let sources = Sources::open();
    let page = &sources.page;
    let seen = page.evaluate(
        "import('./model.js').then(({ Model }) => {
            const handlers = {};
            const model = new Model();
            model.follow({ on: (event, handler) => { handlers[event] = handler; } });
            const room = (number, active) => (
                { room: number, kind: 'direct', role: 'member', name: `${number}`, epoch: 'e', seq: 1, time: active, active }
            );
            const you = { name: 'Ada' };
            const order = () => [...model.rooms.values()].sort((a, b) => b.active - a.active).map((each) => each.room);
            const rooms = [room(1, 9_000), room(2, 8_000), room(3, 7_000)];
            handlers.welcome({ you, rooms, online: { count: 1, names: [] }, blocked: [] });
            const seen = [order()];
            for (const number of [3, 2]) {
                handlers.message({ room: number, epoch: 'e', seq: 2, time: 5, from: 'Ben', kind: 'said', text: 'Hi' });
                seen.push(order());
            }
            // The welcome counted the messages of a catch-up already.
            handlers.message({ room: 1, epoch: 'e', seq: 1, time: 5, from: 'Ben', kind: 'said', text: 'Hi' });
            seen.push(order());
            return seen;
        })",
    );
    assert_eq!(seen, json!([[1, 2, 3], [3, 1, 2], [2, 3, 1], [2, 3, 1]]));
}

#[test]
fn the_users_clock_may_be_set_back_while_typing_and_while_disconnected() {
    let sources = Sources::open();
    let page = &sources.page;
    let seen = page.evaluate(
        "Promise.all([import('./view/typing.js'), import('./view/connection.js')]).then(
            ([{ Typing }, { startConnection }]) => {
                const seen = [];
                const [now, passed] = [Date.now(), performance.now()];
                const at = (wall, later) => {
                    Date.now = () => wall;
                    performance.now = () => passed + later;
                };
                const client = { on: () => {}, emit: async (event) => { seen.push(event); } };
                const typing = new Typing({ client, model: { watch: () => {}, blocked: new Set() } });
                at(now, 0);
                typing.report();
                typing.report();
                at(now - 3_600_000, 3_000);
                typing.report();
                let state;
                startConnection({ on: (event, handler) => { state = handler; }, retryNow: () => {} });
                at(now, 0);
                state({ state: 'waiting', retryAt: now + 20_000 });
                at(now - 3_600_000, 5_500);
                const text = $('#connection-text');
                return new Promise((resolve) => {
                    new MutationObserver((_, observer) => {
                        observer.disconnect();
                        seen.push(text.textContent.match(/[0-9]+/)[0]);
                        state({ state: 'closed' });
                        resolve(seen);
                    }).observe(text, { childList: true });
                });
            })",
    );
    assert_eq!(seen, json!(["typing", "typing", "15"]));
}
