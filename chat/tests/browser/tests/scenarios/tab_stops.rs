//! The focused element can be seen: on every screen, Tab and Shift+Tab lead only to elements that are large enough, and
//! inside of what shows them. `layout.rs` checks that the focus itself can be seen.

use switchboard_browser::{Chat, Display, Expected, Page, User};

use crate::history::send_messages;

#[test]
fn each_stop_of_the_tab_key_can_be_seen_on_a_wide_page() {
    passes_every_screen(1440, 900);
}

#[test]
fn each_stop_of_the_tab_key_can_be_seen_on_a_page_of_middle_width() {
    passes_every_screen(820, 700);
}

#[test]
fn each_stop_of_the_tab_key_can_be_seen_on_a_narrow_page() {
    passes_every_screen(360, 640);
}

fn passes_every_screen(width: u32, height: u32) {
    let chat = Chat::open(&[]);
    let ben = chat.user("Ben");
    ben.create_room("Garden", "public");
    ben.say("It is green here: https://example.org/green");
    ben.say("And quiet.");
    ben.create_room("Den", "invited");
    let ada = chat.visitor("Ada", Display { width, height, ..Display::default() });
    for mode in ["guest", "login", "register"] {
        ada.click_on(&format!("$('#mode-{mode}').parentElement"));
        passes_the_stops(&ada, mode);
    }
    ada.register();
    ben.click("#invite");
    ben.click("#users-list [data-user=Ada]");
    ben.click("#users-dialog .close");
    ben.open("Lobby");
    conversation(&ada, &ben, width);
    other_screens(&ada, width);
    waiting_message(&chat, &ada, width);
}

/// The list of rooms, and a conversation with its details.
fn conversation(ada: &User, ben: &User, width: u32) {
    ada.wait_for("$('#invitation-list .accept')");
    passes_the_stops(ada, "rooms");
    if width < 768 {
        ada.open("Lobby");
    }
    // Of a group of messages, only the first one shows its sender.
    let before = ada.evaluate(MESSAGES).as_u64().expect("a number");
    for text in ["See https://example.org/1", "and https://example.org/2", "All of it."] {
        ben.say(text);
    }
    ada.say("Thank you.");
    ben.say(&format!("{}https://example.org/end", "Line\n".repeat(60)));
    send_messages(ada, 1..=3);
    ada.wait_for(&format!("{MESSAGES} === {before} + 8"));
    passes_the_stops(ada, "conversation");
    for index in 0..8 {
        ada.evaluate(&format!("$$('.log:not([hidden]) .message').at(-1 - {index}).focus()"));
        passes_the_stops(ada, &format!("the message {index} before the last"));
    }
    if width < 1200 {
        ada.click("#details-toggle");
    }
    ada.wait_for("$('#member-list [data-user=Ben]')");
    passes_the_stops(ada, "details");
    ada.click("#member-list [data-user=Ben]");
    ada.wait_for("$('#user-dialog').open");
    passes_the_stops(ada, "a user");
    ada.press("Escape");
    if width < 1200 {
        ada.click("#details-close");
    }
}

/// Dialogs, the search above the list, and a preview.
fn other_screens(ada: &User, width: u32) {
    if width < 768 {
        ada.click("#back");
    }
    ada.open_room_search();
    ada.click("#create-part summary");
    ada.wait_for_value("document.activeElement.id", "create-name");
    passes_the_stops(ada, "finding");
    ada.press("Escape");
    ada.click("#find-user");
    ada.wait_for("$('#users-list [data-user=Ben]')");
    passes_the_stops(ada, "users");
    ada.press("Escape");
    ada.click("#account-open");
    for part in ["#password-change", "#sessions", "#blocked", "#settings"] {
        ada.click(&format!("{part} summary"));
    }
    ada.wait_for("$('#session-list').childElementCount > 0");
    passes_the_stops(ada, "account");
    ada.click("#delete-account");
    ada.wait_for("$('#ask-dialog').open");
    passes_the_stops(ada, "a question");
    ada.press("Escape");
    ada.press("Escape");
    ada.fill("#filter", "gar");
    ada.wait_for("$('#jump-rooms [data-room]')");
    passes_the_stops(ada, "jump");
    ada.click("#jump-rooms [data-room]");
    ada.wait_for("$('#preview-join').checkVisibility()");
    passes_the_stops(ada, "preview");
    ada.evaluate("$('#preview-messages .message').focus()");
    passes_the_stops(ada, "preview, the first message");
    ada.evaluate("history.back()");
}

/// A message that waits for a connection.
fn waiting_message(chat: &Chat, ada: &User, width: u32) {
    chat.browser.expect(Expected::NoConnection);
    if width < 768 {
        ada.open("Lobby");
    }
    ada.wait_for("$('#conversation').checkVisibility() && $('.log:not([hidden])')");
    ada.network.cut();
    ada.wait_until_disconnected();
    ada.say("It waits");
    ada.wait_for("$('.unsent .message[data-state=waiting]')");
    passes_the_stops(ada, "a message that waits");
}

/// Moves the focus through all stops, forwards and backwards, beginning where it is.
#[track_caller]
fn passes_the_stops(page: &Page, screen: &str) {
    for key in ["Tab", "Shift+Tab"] {
        page.evaluate("void (globalThis.passed = new Set())");
        for count in 0.. {
            assert!(count < MAX_STOPS, "{screen}: {key} comes to no end");
            page.press(key);
            let stop = page.evaluate(STOP);
            match stop.as_str() {
                Some("passed before") => break,
                Some("seen") => {}
                _ => panic!("{screen}: after {key}, what has the focus cannot be seen: {stop:#}"),
            }
        }
        page.wait_for("passed.size > 1");
    }
}

const MAX_STOPS: usize = 200;

const MESSAGES: &str = "$$('.log:not([hidden]) .message').length";

/// Whether the focused element can be seen: inside of all that cuts it off, there is a place of at least 8 by 8 pixels,
/// whose middle shows it, or a label that stands for it.
const STOP: &str = "(() => {
    const element = document.activeElement;
    if (passed.has(element)) return 'passed before';
    passed.add(element);
    if (element === document.body) return 'seen';
    let { left, top, right, bottom } = element.getBoundingClientRect();
    const cut = (box) => {
        left = Math.max(left, box.left);
        top = Math.max(top, box.top);
        right = Math.min(right, box.right);
        bottom = Math.min(bottom, box.bottom);
    };
    cut({ left: 0, top: 0, right: innerWidth, bottom: innerHeight });
    for (let each = element; each; each = each.parentElement) {
        if (each !== element && getComputedStyle(each).overflow !== 'visible') cut(each.getBoundingClientRect());
        if (getComputedStyle(each).position === 'fixed') break;
    }
    const place = { left, top, right, bottom };
    if (right - left < 8 || bottom - top < 8) return { element: element.outerHTML.slice(0, 200), place };
    const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    const shown = [element, ...element.labels ?? []].some((each) => each.contains(hit));
    return shown ? 'seen' : { element: element.outerHTML.slice(0, 200), place, hit: hit?.outerHTML.slice(0, 200) };
})()";
