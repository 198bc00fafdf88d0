//! Which messages count as unread, where "New" stands among them, and where messages are missing.

use serde_json::{Value, json};
use switchboard_browser::{Chat, Display, Page, Sources};

use crate::{
    history::send_messages,
    reading::{LAST_SEEN, MARK, RATES, emits},
};

#[test]
fn deleted_messages_and_those_of_blocked_users_are_not_unread() {
    let chat = Chat::open(RATES);
    let [ada, ben, eve] = ["Ada", "Ben", "Eve"].map(|name| chat.user(name));
    eve.say("Anyone?");
    ben.sees_messages(&[("Eve", "Anyone?")]);
    ben.create_room("Elsewhere", "public");
    ada.say("One");
    ada.say("Two");
    eve.sees_messages(&[("Eve", "Anyone?"), ("Ada", "One"), ("Ada", "Two")]);
    eve.say("Three");
    ben.sees_unread("Lobby", 3);
    let delete = |text: &str| {
        let message = format!("$$('.message').find((each) => each.querySelector('.text').textContent === '{text}')");
        ada.evaluate(&format!("{message}.focus()"));
        ada.click_on(&format!("{message}.querySelector('.delete')"));
        ada.click("#ask-yes");
    };
    ada.sees_messages(&[("Eve", "Anyone?"), ("Ada", "One"), ("Ada", "Two"), ("Eve", "Three")]);
    delete("One");
    ben.sees_unread("Lobby", 2);
    // The counts follow each change of the blocks.
    emits(&ben, "block", &json!({ "name": "Eve" }));
    ben.sees_unread("Lobby", 1);
    eve.say("Four");
    ada.say("Five");
    ben.sees_unread("Lobby", 2);
    emits(&ben, "unblock", &json!({ "name": "Eve" }));
    ben.sees_unread("Lobby", 4);
    delete("Two");
    ben.sees_unread("Lobby", 3);
}

#[test]
fn a_message_at_the_end_of_the_open_room_is_never_shown_as_unread() {
    let chat = Chat::open(RATES);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.evaluate(
        "void (globalThis.titles = [], new MutationObserver(() => titles.push(document.title))
            .observe($('title'), { childList: true, characterData: true, subtree: true }))",
    );
    for number in 1..=3 {
        ada.say(&format!("{number}\n2\n3\n4\n5\n6\n7\n8\n9\n10"));
    }
    ben.wait_for("$$('.log:not([hidden]) .message').length === 3");
    ben.create_room("Elsewhere", "public");
    ada.say("And now?");
    ben.wait_for("document.title.startsWith('(1)')");
    assert_eq!(ben.evaluate("titles.filter((title) => title.startsWith('('))"), json!(["(1) Elsewhere – switchboard"]));
}

#[test]
fn new_stands_above_the_first_message_that_still_counts() {
    let chat = Chat::open(RATES);
    let [ada, ben, eve] = ["Ada", "Ben", "Eve"].map(|name| chat.user(name));
    ben.create_room("Elsewhere", "public");
    for (user, text) in [(&eve, "One"), (&ada, "Two"), (&eve, "Three")] {
        user.say(text);
        ben.wait_for("$('#room-list [data-room=\"1\"]').dataset.unread !== '0'");
        ada.wait_for(&format!("$$('.message .text').some(({{ textContent }}) => textContent === '{text}')"));
    }
    ben.sees_unread("Lobby", 3);
    ben.open("Lobby");
    let first = "(() => {
        const mark = $('.log:not([hidden]) .separator[data-kind=unread]');
        return mark?.parentElement.nextElementSibling.querySelector('.text').textContent ?? null;
    })()";
    ben.wait_for_value(first, "One");
    emits(&ben, "block", &json!({ "name": "Eve" }));
    ben.wait_for_value(first, "Two");
    ada.evaluate("$$('.message').find((each) => each.dataset.from === 'Ada').focus()");
    ada.click(".message[data-from=Ada] .delete");
    ada.click("#ask-yes");
    ben.wait_for_value(first, Value::Null);
    emits(&ben, "unblock", &json!({ "name": "Eve" }));
    ben.wait_for_value(first, "One");
}

#[test]
fn new_does_not_stand_above_an_own_message() {
    let chat = Chat::open(RATES);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.create_room("Elsewhere", "public");
    // From another client, which does not say that the user has read anything.
    send_messages(&ben, 1..=2);
    send_messages(&ada, 3..=4);
    ben.sees_unread("Lobby", 2);
    ben.open("Lobby");
    ben.wait_for_value(LAST_SEEN, "Message 4");
    ben.wait_for_value(
        &format!("{MARK}.parentElement.nextElementSibling.querySelector('.text').textContent"),
        "Message 3",
    );
}

#[test]
fn a_gap_is_shown_above_unread_messages_and_above_those_that_are_loaded_later() {
    let sources = Sources::open();
    let seen = sources.page.evaluate(
        "import('./view/log.js').then(async ({ Log }) => {
            const message = (seq) => (
                { room: 1, epoch: 'e', seq, hash: `${seq}`, time: 0, from: 'Ben', kind: 'said', text: `${seq}` }
            );
            const from = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => message(first + index));
            const asked = [];
            const log = new Log({
                room: 1,
                client: { emit: async ({}, { before, after }) => {
                    asked.push({ before, after });
                    if (after) return { messages: from(after + 1, 90), more: false };
                    return { messages: from(before - 10, before - 1), more: before > 71 };
                } },
                model: { you: { name: 'Ada' }, rooms: new Map([[1, { read: 80, unread: 10, seq: 90 }]]), blocked: new Set() },
                changed: () => {},
                isWatched: () => true,
            });
            document.body.append(log.element);
            log.reset();
            const lines = () => [...log.element.querySelectorAll('.messages > *')].slice(0, 2)
                .map((line) => line.dataset.kind ?? line.querySelector('[data-kind]')?.dataset.kind ?? line.dataset.seq);
            const seen = [];
            while (asked.length < 3 || log.element.querySelectorAll('.message').length < 30) {
                await new Promise((resolve) => setTimeout(resolve));
                const now = JSON.stringify([lines(), log.element.querySelectorAll('.message').length]);
                if (seen.at(-1) !== now) seen.push(now);
            }
            const text = log.element.querySelector('[data-kind=gap]').textContent;
            log.element.remove();
            return [asked, seen.map(JSON.parse).map(([[first]]) => first).filter((first) => first !== 'gap'), text];
        })",
    );
    let asked = json!([{ "after": 80 }, { "before": 81 }, { "before": 71 }]);
    assert_eq!(seen, json!([asked, [], "Some earlier messages are no longer on the server."]));
}

/// Returns an expression for what a model asks the server after these events, each a JavaScript tuple.
fn joined_after(page: &Page, events: &str) -> Value {
    page.evaluate(&format!(
        "import('./model.js').then(async ({{ Model }}) => {{
            const handlers = new Map();
            const joined = [];
            const client = {{
                on: (event, handler) => handlers.set(event, handler),
                emit: async (event, {{ room }}) => joined.push(room),
            }};
            const model = new Model();
            model.follow(client);
            const room = (room, kind, name, read) => (
                {{ room, kind, name, read, epoch: 'e', seq: 9, unread: 9 - read, role: 'member' }}
            );
            const welcome = {{
                you: {{ name: 'Ada' }}, limits: {{}}, older: null, online: {{ count: 1, names: [] }}, blocked: [],
                blocked_more: false, rooms: [
                    room(1, 'public', 'Lobby', 3), room(2, 'public', 'Garden', 9), room(3, 'invited', 'Den', 8),
                    room(4, 'direct', 'Ben', 3), room(5, 'direct', 'Eve', 3),
                ],
            }};
            const seen = [];
            for (const [event, data] of {events}) {{
                handlers.get(event)(event === 'welcome' ? {{ ...welcome, ...data }} : data);
                await new Promise((resolve) => setTimeout(resolve));
                seen.push(`${{event}}: ${{joined.splice(0)}}; ${{[...model.blocked]}}`);
            }}
            return seen;
        }})"
    ))
}

/// A user may have more conversations than the server would count at once.
#[test]
fn blocking_a_user_counts_again_in_rooms_and_in_the_conversation_with_that_user() {
    let sources = Sources::open();
    let joined = joined_after(&sources.page, "[['welcome', {}], ['blocked', { name: 'Eve', blocked: true }]]");
    assert_eq!(joined, json!(["welcome: ; ", "blocked: 1,3,5; Eve"]));
}

/// The server's counts are right already, except for what came since.
#[test]
fn the_rest_of_a_long_list_of_blocked_users_counts_again_only_where_they_have_written_meanwhile() {
    let sources = Sources::open();
    let said = |room: u32, from: &str| {
        format!("['message', {{ room: {room}, epoch: 'e', seq: 10, from: '{from}', kind: 'said', text: '' }}]")
    };
    let joined = joined_after(
        &sources.page,
        &format!(
            "[
                ['welcome', {{ blocked: ['Cem'], blocked_more: true }}], {}, {}, {},
                ['blocks', {{ names: ['Dan', 'Eve'], more: true }}],
                ['blocks', {{ names: ['Fay'], more: false }}],
                // On the next connection, those who were known stay blocked until the list is complete.
                ['welcome', {{ blocked: ['Cem'], blocked_more: true }}],
                ['blocks', {{ names: ['Fay'], more: false }}],
            ]",
            said(2, "Eve"),
            said(1, "Ben"),
            said(3, "Cem"),
        ),
    );
    assert_eq!(
        joined,
        json!([
            "welcome: ; Cem",
            "message: ; Cem",
            "message: ; Cem",
            "message: ; Cem",
            "blocks: 2; Cem,Dan,Eve",
            "blocks: ; Cem,Dan,Eve,Fay",
            "welcome: ; Cem,Dan,Eve,Fay",
            "blocks: ; Cem,Fay",
        ])
    );
}

/// In each language the button that leads to the end is one line, and no keyboard opens over the messages.
#[test]
fn on_a_phone_the_way_to_the_latest_message_is_one_line_and_opens_no_keyboard() {
    let chat = Chat::open(RATES);
    let ada = chat.user("Ada");
    for (language, number) in [("en-GB", 1..=45), ("fr", 46..=90), ("zh", 91..=135)] {
        let phone = Display { width: 360, height: 740, touch: true, language, ..Display::default() };
        let ben = chat.visitor(&format!("Ben {language}"), phone);
        ben.register();
        let last = *number.end();
        send_messages(&ada, number);
        ben.sees_unread("Lobby", 45);
        ben.open("Lobby");
        let text = "$('#newer').firstChild";
        ben.wait_for(&format!("/\\d\\d[:.]\\d\\d/.test({text}.textContent)"));
        let lines = format!(
            "(() => {{
                const range = document.createRange();
                range.selectNodeContents({text});
                const inner = $('#newer').scrollWidth <= $('#newer').clientWidth;
                return [range.getClientRects().length, inner, $('#newer').offsetHeight < 50];
            }})()"
        );
        assert_eq!(ben.evaluate(&lines), json!([1, true, true]), "{language}");
        ben.click("#newer");
        ben.wait_for_value(LAST_SEEN, format!("Message {last}"));
        ben.wait_for_value("document.activeElement.id", "room-name");
    }
}
