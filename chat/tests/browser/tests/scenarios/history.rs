//! Reading messages from before the user joined.

use std::ops::RangeInclusive;

use serde_json::{Value, json};
use switchboard_browser::{Chat, Page};

const MESSAGES: u32 = 1_000;
/// Less than the page keeps loaded above the visible part.
const STEP: i32 = 500;

#[test]
fn scrolling_up_loads_history_without_moving_visible_messages() {
    let chat = Chat::open(&["--message-rate", "2000+2000/s", "--event-rate", "5000+5000/s"]);
    let ada = chat.user("Ada");
    send_messages(&ada, 1..=MESSAGES);

    let ben = chat.user("Ben");
    ben.wait_for(&format!("{TEXTS}.at(-1) === 'Message {MESSAGES}'"));
    // The position of the last message, below the visible part: only the wheel may move it.
    let place = "$$('.log:not([hidden]) .message').at(-1).getBoundingClientRect().top";
    let mut reached = number(&ben.evaluate(place));
    while !is_at_beginning(&ben) {
        let room = number(&ben.evaluate(&format!("{LOG}.scrollTop")));
        ben.scroll_by(".log:not([hidden])", -STEP);
        let expected = reached + room.min(STEP.into());
        reached = number(&ben.wait_for(&format!("Math.abs({place} - {expected}) < 2 && {place}")));
    }
    let all: Vec<String> = (1..=MESSAGES).map(|number| format!("Message {number}")).collect();
    ben.wait_for_value(TEXTS, json!(all));
}

#[test]
fn a_log_of_which_the_server_keeps_only_the_latest_messages_has_no_beginning() {
    let chat = Chat::open(&["--keep-messages", "10", "--message-rate", "2000+2000/s", "--event-rate", "5000+5000/s"]);
    let ada = chat.user("Ada");
    send_messages(&ada, 1..=40);
    let ben = chat.user("Ben");
    ben.wait_for(&format!("{TEXTS}.at(-1) === 'Message 40'"));
    ben.wait_for_value(
        "$('.log:not([hidden]) .top').textContent",
        "Some earlier messages are no longer on the server.",
    );
}

/// Returns whether the beginning is reached. Waits until a whole step is loaded above, or the beginning.
#[track_caller]
fn is_at_beginning(page: &Page) -> bool {
    let beginning = "$('.log:not([hidden]) .top').textContent === 'This is the beginning of the conversation.'";
    page.wait_for(&format!("{LOG}.scrollTop > {STEP} || {beginning}"));
    page.evaluate(&format!("{LOG}.scrollTop === 0 && {beginning}")) == true
}

#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// Sends messages with these numbers to the Lobby, more than a user could type: through `client.js` on the page.
#[track_caller]
pub(crate) fn send_messages(page: &Page, numbers: RangeInclusive<u32>) {
    let (first, last) = numbers.into_inner();
    page.evaluate(&format!(
        "import('./client.js').then(async ({{ Client }}) => {{
            const client = new Client();
            const welcome = new Promise((resolve) => client.on('welcome', resolve));
            client.connect();
            const [{{ room }}] = (await welcome).rooms;
            const numbers = Array.from({{ length: {last} - {first} + 1 }}, (_, index) => {first} + index);
            await Promise.all(numbers.map((number) => client.emit('say', {{
                room, text: `Message ${{number}}`, key: crypto.randomUUID(),
            }})));
            client.forget();
        }})"
    ));
}

const LOG: &str = "$('.log:not([hidden])')";
const TEXTS: &str = "$$('.log:not([hidden]) .messages .text').map(({ textContent }) => textContent)";
