//! Where a room with unread messages opens, what counts as read, and what is told about those who write and delete.

use serde_json::{Value, json};
use switchboard_browser::{Chat, Display, Expected, User};

use crate::history::send_messages;

pub(crate) const RATES: &[&str] = &["--message-rate", "2000+2000/s", "--event-rate", "5000+5000/s"];
pub(crate) const MARK: &str = "$('.log:not([hidden]) .separator[data-kind=unread]')";
/// The text of the first message after the mark, if the mark is in the upper half of the log.
const FIRST_UNREAD: &str = "(() => {
    const mark = $('.log:not([hidden]) .separator[data-kind=unread]');
    const { top, height } = $('.log:not([hidden])').getBoundingClientRect();
    const place = mark.getBoundingClientRect().top - top;
    return place >= 0 && place < height / 2 && mark.parentElement.nextElementSibling.querySelector('.text').textContent;
})()";
/// The text of the last message that is wholly on the screen.
pub(crate) const LAST_SEEN: &str = "(() => {
    const { bottom } = $('.log:not([hidden])').getBoundingClientRect();
    const seen = $$('.log:not([hidden]) .message').filter((each) => each.getBoundingClientRect().bottom <= bottom + 1);
    return seen.at(-1)?.querySelector('.text').textContent;
})()";
const UNREAD_IN_LOBBY: &str = "Number($('#room-list [data-room=\"1\"]').dataset.unread)";

/// Opens a chat with Ada and Ben, who has read the Lobby and is away.
#[track_caller]
fn with_ben_away() -> (Chat, User, User) {
    let chat = Chat::open(RATES);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.say("See you later.");
    ben.sees_messages(&[("Ben", "See you later.")]);
    ben.sees_unread("Lobby", 0);
    goes_away(&chat, &ben);
    (chat, ada, ben)
}

/// Disconnects a user and closes the page: it must not read on meanwhile.
#[track_caller]
pub(crate) fn goes_away(chat: &Chat, user: &User) {
    chat.browser.expect(Expected::NoConnection);
    user.network.cut();
    user.wait_until_disconnected();
    user.go("about:blank");
    user.network.restore();
}

#[track_caller]
pub(crate) fn comes_back(user: &User) {
    user.go(&format!("http://{}/", user.network.address()));
    user.wait_for("document.body.dataset.ready === ''");
    user.wait_until_connected();
}

/// Sends an event through `client.js`, as another client of the user would, until it is accepted.
#[track_caller]
pub(crate) fn emits(user: &User, event: &str, data: &Value) {
    user.wait_for(&format!(
        "import('./client.js').then(async ({{ Client }}) => {{
            const client = new Client();
            const welcome = new Promise((resolve) => client.on('welcome', resolve));
            client.connect();
            await welcome;
            return client.emit('{event}', {data}).finally(() => client.forget());
        }})"
    ));
}

/// Waits until what is on the screen is counted as read, and returns the number of its last message. `last` is the
/// number of the room's last message.
#[track_caller]
fn reads_the_screen(user: &User, last: u64) -> u64 {
    let rest = format!("{last} - {UNREAD_IN_LOBBY}");
    let read = user.wait_for(&format!("{UNREAD_IN_LOBBY} < {last} && {LAST_SEEN} === `Message ${{{rest}}}` && {rest}"));
    read.as_u64().expect("a number")
}

#[track_caller]
fn jumps_to_the_end(user: &User, last: u64) {
    user.click("#newer");
    user.wait_for_value(LAST_SEEN, format!("Message {last}"));
    user.sees_unread("Lobby", 0);
    user.wait_for("$('#newer').hidden");
}

#[test]
fn a_room_with_45_unread_messages_opens_at_the_first_and_only_what_was_seen_is_read() {
    let (_chat, ada, ben) = with_ben_away();
    send_messages(&ada, 1..=45);
    comes_back(&ben);
    ben.wait_for_value(FIRST_UNREAD, "Message 1");
    let read = reads_the_screen(&ben, 45);
    let left = 45 - read;
    ben.wait_for(&format!(
        r"/^{left} new since \S+ · Jump to latest$/u.test($('#newer').textContent.replace(/[\u2068\u2069]/g, ''))"
    ));

    // A smaller window leaves the first unread message where it is.
    ben.set_display(Display { height: 500, ..Display::default() });
    ben.wait_for_value(FIRST_UNREAD, "Message 1");
    ben.set_display(Display::default());

    // A reload goes on behind what was on the screen.
    comes_back(&ben);
    ben.wait_for_value(FIRST_UNREAD, format!("Message {}", read + 1));
    reads_the_screen(&ben, 45);
    jumps_to_the_end(&ben, 45);
    // At the end, new messages are followed and read.
    send_messages(&ada, 46..=60);
    ben.wait_for_value(LAST_SEEN, "Message 60");
    ben.sees_unread("Lobby", 0);
}

#[test]
fn three_unread_messages_are_all_seen_at_once() {
    let (_chat, ada, ben) = with_ben_away();
    send_messages(&ada, 1..=3);
    comes_back(&ben);
    ben.wait_for(&format!("{MARK}.checkVisibility()"));
    ben.wait_for_value(LAST_SEEN, "Message 3");
    ben.sees_unread("Lobby", 0);
    ben.wait_for("$('#newer').hidden");
    // Earlier messages are loaded above them.
    ben.wait_for("$$('.log:not([hidden]) .text').some(({ textContent }) => textContent === 'See you later.')");
}

#[test]
fn of_300_unread_messages_the_later_ones_are_loaded_as_the_user_scrolls() {
    let (_chat, ada, ben) = with_ben_away();
    send_messages(&ada, 1..=300);
    comes_back(&ben);
    ben.wait_for_value(FIRST_UNREAD, "Message 1");
    ben.wait_for("$('#newer').textContent.includes('100')");
    let loaded = "$$('.log:not([hidden]) .message').length";
    ben.wait_for(&format!("{loaded} < 100"));
    // A message that comes meanwhile has its place behind those that are not loaded yet.
    send_messages(&ada, 301..=301);
    while ben.evaluate(&format!("{LAST_SEEN} !== 'Message 301'")) == true {
        let before = ben.evaluate("$('.log:not([hidden])').scrollTop");
        ben.scroll_by(".log:not([hidden])", 400);
        ben.wait_for(&format!("$('.log:not([hidden])').scrollTop > {before} || {LAST_SEEN} === 'Message 301'"));
    }
    let shown = "$$('.log:not([hidden]) .text').slice(-301).map(({ textContent }) => textContent)";
    let all: Vec<String> = (1..=301).map(|number| format!("Message {number}")).collect();
    ben.wait_for_value(shown, json!(all));
    ben.sees_unread("Lobby", 0);
}

#[test]
fn the_latest_of_300_unread_messages_is_one_click_away_and_so_is_an_own_message() {
    let (chat, ada, ben) = with_ben_away();
    send_messages(&ada, 1..=300);
    comes_back(&ben);
    ben.wait_for_value(FIRST_UNREAD, "Message 1");
    jumps_to_the_end(&ben, 300);

    // The page tells the server a moment later.
    emits(&ben, "read", &json!({ "room": 1, "seq": 1_000_000 }));
    goes_away(&chat, &ben);
    send_messages(&ada, 301..=600);
    comes_back(&ben);
    ben.wait_for_value(FIRST_UNREAD, "Message 301");
    ben.say("I am back.");
    ben.wait_for_value(LAST_SEEN, "I am back.");
    ben.wait_for_value("$$('.log:not([hidden]) .unsent .message').length", 0);
    ben.sees_unread("Lobby", 0);
}

#[test]
fn a_room_goes_on_where_it_was_left() {
    let chat = Chat::open(RATES);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ben.create_room("Elsewhere", "public");
    send_messages(&ada, 1..=45);
    ben.sees_unread("Lobby", 45);
    ben.open("Lobby");
    ben.wait_for_value(FIRST_UNREAD, "Message 1");
    let read = reads_the_screen(&ben, 45);

    ben.open("Elsewhere");
    ben.open("Lobby");
    ben.wait_for_value(FIRST_UNREAD, format!("Message {}", read + 1));
    reads_the_screen(&ben, 45);
    jumps_to_the_end(&ben, 45);

    // A user who has scrolled up finds the same place again, whatever came meanwhile.
    ben.evaluate("$('.log:not([hidden])').scrollBy({ top: -600, behavior: 'instant' })");
    ben.wait_for("!$('#newer').hidden");
    let place = ben.evaluate(LAST_SEEN);
    ben.open("Elsewhere");
    send_messages(&ada, 46..=60);
    ben.sees_unread("Lobby", 15);
    ben.open("Lobby");
    ben.wait_for_value(LAST_SEEN, place);
    ben.sees_unread("Lobby", 15);
    jumps_to_the_end(&ben, 60);
}

#[test]
fn messages_that_come_while_the_page_is_hidden_wait_for_the_user() {
    let chat = Chat::open(RATES);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    let set_hidden = |hidden: bool| {
        ben.evaluate(&format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }})
                && document.dispatchEvent(new Event('visibilitychange'))"
        ));
    };
    set_hidden(true);
    send_messages(&ada, 1..=45);
    ben.sees_unread("Lobby", 45);
    ben.wait_for_value(FIRST_UNREAD, "Message 1");
    set_hidden(false);
    reads_the_screen(&ben, 45);
    jumps_to_the_end(&ben, 45);
}

#[test]
fn what_is_read_in_one_window_is_read_in_the_other() {
    let (chat, ada, ben) = with_ben_away();
    comes_back(&ben);
    ben.create_room("Elsewhere", "public");
    let window = chat.visitor("Ben", Display::default());
    window.sign_in();
    window.wait_until_connected();
    window.open("Elsewhere");
    send_messages(&ada, 1..=45);
    ben.sees_unread("Lobby", 45);
    window.open("Lobby");
    let read = reads_the_screen(&window, 45);
    ben.sees_unread("Lobby", u32::try_from(45 - read).unwrap());
    jumps_to_the_end(&window, 45);
    ben.sees_unread("Lobby", 0);
}

#[test]
fn the_users_other_window_does_not_say_that_the_user_is_typing() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    let window = chat.visitor("Ada", Display::default());
    window.sign_in();
    window.wait_until_connected();
    ada.evaluate(
        "globalThis.typing = [], new MutationObserver(() => typing.push($('#typing').textContent))
            .observe($('#typing'), { childList: true, characterData: true, subtree: true })",
    );
    window.fill("#text", "H");
    ben.wait_for("$('#typing').textContent.includes('Ada')");
    ben.fill("#text", "H");
    ada.wait_for("typing.some((text) => text.includes('Ben'))");
    assert_eq!(ada.evaluate("typing.some((text) => text.includes('Ada'))"), false);
}

#[test]
fn a_message_that_an_owner_has_deleted_says_so() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Rust", "public");
    emits(&ben, "join", &json!({ "name": "Rust" }));
    ben.open("Rust");
    ben.say("Buy this!");
    ada.wait_for("$('.log:not([hidden]) .message[data-from=Ben]')");
    ada.evaluate("$('.log:not([hidden]) .message[data-from=Ben]').focus()");
    ada.click(".log:not([hidden]) .message[data-from=Ben] .delete");
    ada.click("#ask-yes");
    let text = "$('.log:not([hidden]) .message[data-from=Ben] .text').textContent.replace(/[\\u2068\\u2069]/g, '')";
    for user in [&ada, &ben] {
        user.wait_for_value(text, "Deleted by Ada.");
    }
    comes_back(&ben);
    ben.open("Rust");
    ben.wait_for_value(text, "Deleted by Ada.");
}

#[test]
fn enter_makes_a_new_line_on_a_phone_and_the_button_sends() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.wait_for_value("$('#text').enterKeyHint", "send");
    ada.set_display(Display { touch: true, ..Display::default() });
    ada.wait_for_value("$('#text').enterKeyHint", "enter");
    ada.fill("#text", "One");
    ada.press("Enter");
    ada.write("Two");
    ada.wait_for_value("$('#text').value", "One\nTwo");
    ada.click("#send");
    ada.sees_messages(&[("Ada", "One\nTwo")]);
}

#[test]
fn a_notice_waits_for_a_user_who_is_away_and_is_closed_in_all_windows() {
    let chat = Chat::open(RATES);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    chat.make_operator(&ada);
    goes_away(&chat, &ben);
    for text in ["We restart at noon.", "We have restarted."] {
        emits(&ada, "notice", &json!({ "text": text }));
    }
    let notices = "$$('#notices .notice').map((each) => each.querySelector('p').textContent.replace(/^.*: /, ''))";
    let window = chat.visitor("Ben", Display::default());
    window.sign_in();
    window.wait_until_connected();
    comes_back(&ben);
    for page in [&ben, &window] {
        page.wait_for(&format!("{notices}.length === 2"));
    }
    ben.click("#notices .notice:nth-child(1) button");
    window.wait_for(&format!("{notices}.length === 1 && {notices}[0].endsWith('We have restarted.')"));
    window.click("#notices .notice button");
    ben.wait_for_value("$$('#notices .notice').length", 0);
    comes_back(&ben);
    ben.wait_for_value("$$('#notices .notice').length", 0);
    // The operator has not closed them.
    ada.wait_for(&format!("{notices}.length === 2"));
}
