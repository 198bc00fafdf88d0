//! More private conversations than a welcome contains.

use std::ops::Range;

use serde_json::json;
use switchboard_browser::{Chat, Display, Expected, User};

/// Conversations that a welcome contains.
const LISTED: usize = 100;

/// Guests who only write over the protocol, from the page of a visitor who has not signed in.
struct Guests(User);

impl Guests {
    fn new(chat: &Chat) -> Self {
        Self(chat.visitor("Guests", Display::default()))
    }

    /// Each of the guests with these numbers sends a message to a user.
    #[track_caller]
    fn write_to(&self, user: &str, Range { start, end }: Range<usize>) {
        self.0.evaluate(&format!(
            "(async () => {{
                globalThis.tokens ??= [];
                for (let number = {start}; number < {end}; number += 1) {{
                    if (!tokens[number]) {{
                        const headers = {{ 'Content-Type': 'application/json' }};
                        const body = JSON.stringify({{ name: `Guest ${{number}}`, token: true }});
                        const response = await fetch('/api/guest', {{ method: 'POST', headers, body }});
                        tokens[number] = (await response.json()).token;
                    }}
                    const socket = new WebSocket(`ws://${{location.host}}/ws`);
                    await new Promise((resolve) => {{
                        socket.onopen = () => socket.send(JSON.stringify(['auth', {{ token: tokens[number] }}]));
                        socket.onmessage = ({{ data }}) => {{
                            const [event, , id] = JSON.parse(data);
                            const key = crypto.randomUUID();
                            const tell = ['tell', {{ name: {}, text: `Hi from ${{number}}`, key }}, 1];
                            if (event === 'welcome') socket.send(JSON.stringify(tell));
                            if (event === 'ack' && id === 1) resolve();
                        }};
                    }});
                    socket.close();
                }}
                return true;
            }})()",
            json!(user)
        ));
    }
}

const NAMES: &str = "$$('#direct-list [data-room] .name').map(({ textContent }) => textContent)";

/// Waits until the list has this many conversations.
#[track_caller]
fn sees_count(user: &User, count: usize) {
    user.wait_for_value("$$('#direct-list [data-room]').length", count);
}

#[track_caller]
fn has_more(user: &User, expected: bool) {
    user.wait_for_value("!$('#directs-more').hidden", expected);
}

#[test]
fn older_conversations_are_loaded_on_demand_and_come_with_new_messages() {
    let chat = Chat::open(&[]);
    let (ada, guests) = (chat.user("Ada"), Guests::new(&chat));
    ada.go("about:blank");
    guests.write_to("Ada", 0..LISTED + 20);
    ada.go(&format!("http://{}/", ada.network.address()));
    ada.wait_until_connected();
    sees_count(&ada, LISTED);
    has_more(&ada, true);
    // A message in an older conversation.
    guests.write_to("Ada", 5..6);
    sees_count(&ada, LISTED + 1);
    ada.sees_unread("Guest 5", 2);
    ada.click("#directs-more");
    sees_count(&ada, LISTED + 20);
    has_more(&ada, false);
    ada.wait_for(&format!("new Set({NAMES}).size === {}", LISTED + 20));
    // An older conversation can be opened, and is followed.
    ada.open("Guest 3");
    ada.sees_messages(&[("Guest 3", "Hi from 3")]);
    guests.write_to("Ada", 3..4);
    ada.sees_messages(&[("Guest 3", "Hi from 3"), ("Guest 3", "Hi from 3")]);
    ada.sees_unread("Guest 3", 0);
    // It is found again by the address.
    guests.write_to("Ada", 6..LISTED + 16);
    ada.evaluate("location.reload()");
    ada.wait_for("document.body.dataset.ready === '' && $('#connection').dataset.state === 'open'");
    ada.wait_for_value("$('#room-name').textContent", "Guest 3");
    ada.sees_messages(&[("Guest 3", "Hi from 3"), ("Guest 3", "Hi from 3")]);
}

/// Before the loss the page knows all conversations, after it the welcome lacks some. In one of those there is a
/// message, and another one was left elsewhere.
#[test]
fn a_conversation_that_a_new_welcome_lacks_is_caught_up() {
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let (ada, guests) = (chat.user("Ada"), Guests::new(&chat));
    guests.write_to("Ada", 0..10);
    sees_count(&ada, 10);
    ada.open("Guest 3");
    ada.sees_messages(&[("Guest 3", "Hi from 3")]);
    ada.network.cut();
    ada.wait_until_disconnected();

    let elsewhere = chat.visitor("Ada", Display::default());
    elsewhere.sign_in();
    elsewhere.wait_until_connected();
    elsewhere.open("Guest 7");
    elsewhere.click("#leave");
    elsewhere.click("#ask-yes");
    sees_count(&elsewhere, 9);
    guests.write_to("Ada", 3..5);
    guests.write_to("Ada", 10..LISTED + 10);

    ada.network.restore();
    ada.wait_until_connected();
    // Of 109 conversations the welcome has 100. The page keeps the other 9, which it knows.
    ada.wait_for_value("$('#room-name').textContent", "Guest 3");
    ada.sees_messages(&[("Guest 3", "Hi from 3"), ("Guest 3", "Hi from 3")]);
    ada.sees_unread("Guest 4", 2);
    ada.wait_for(&format!("!{NAMES}.includes('Guest 7')"));
    sees_count(&ada, LISTED + 9);
    has_more(&ada, true);
    ada.click("#directs-more");
    has_more(&ada, false);
    sees_count(&ada, LISTED + 9);
    guests.write_to("Ada", 4..5);
    ada.sees_unread("Guest 4", 3);
}

#[test]
fn blocking_a_user_removes_the_conversation_and_hides_the_messages_after_a_reload_too() {
    let chat = Chat::open(&[]);
    let (ada, guests) = (chat.user("Ada"), Guests::new(&chat));
    guests.write_to("Ada", 0..1);
    ada.open("Guest 0");
    ada.click(".log:not([hidden]) .message .name");
    ada.click("#user-block");
    sees_count(&ada, 0);
    ada.wait_for_value("$('#room-name').textContent", "Lobby");
    ada.wait_for_value("$$('#blocked-list [data-user]').length", 1);
    ada.evaluate("location.reload()");
    ada.wait_for("document.body.dataset.ready === '' && $('#connection').dataset.state === 'open'");
    ada.wait_for_value("$$('#blocked-list [data-user]').length", 1);
    sees_count(&ada, 0);
}
