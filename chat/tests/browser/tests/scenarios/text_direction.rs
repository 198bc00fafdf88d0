//! A text of a user reorders and covers nothing that is not its own.

use std::time::Instant;

use serde_json::{Value, json};
use switchboard_browser::{Chat, User, WAIT_LIMIT};

/// Characters that set or change the direction of what follows, also letters that are written from right to left.
const CONTROLS: &[&str] = &[
    "",
    "\u{202E}",
    "\u{202B}",
    "\u{202D}",
    "\u{202C}",
    "\u{2067}",
    "\u{2066}\u{202E}",
    "\u{2068}\u{202E}",
    "\u{2069}",
    "\u{2069}\u{202E}",
    "\u{200F}",
    "\u{200E}",
    "\u{61C}",
    "\u{5D0}\u{5D1}",
    "\u{5D0}\u{202E}",
    "\u{2029}\u{202E}",
    "\u{2028}\u{202E}",
    "\u{202E}\u{2029}\u{202E}",
];

/// The address has the letters of another one in reverse order.
const ADDRESS: &str = "https://evil.example/moc.knab.www//:sptth";

#[test]
fn a_link_reads_from_left_to_right_after_the_words_before_it_and_before_those_behind_it() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    for controls in CONTROLS {
        let text = format!("Your bank: {controls}({ADDRESS} {controls}or ours {controls}(https://second.example/");
        ada.say(&text);
        ben.wait_for_value("$$('.message .text').at(-1).textContent", &*text);
        let shown =
            ben.evaluate(&places_of("$$('.message .text').at(-1)", &["Your bank: ", ADDRESS, "https://second"]));
        in_order(&shown, &text);
    }
}

/// The same where a text stands in a sentence or a line of the page.
#[test]
fn a_topic_moves_no_word_around_it() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.create_room("Hall", "public");
    for controls in CONTROLS {
        let topic = format!("News {controls}({ADDRESS} {controls}yes{controls}");
        ada.click("#topic-edit");
        ada.fill("#ask-input", &topic);
        ada.click("#ask-yes");
        let topic = topic.trim();
        ada.wait_for_value("$('#room-topic').textContent", topic);
        ada.wait_for(&format!("$$('.line[data-kind=topic]').at(-1).textContent.includes({})", json!(topic)));
        in_order(
            &ada.evaluate(&places_of("$$('.line[data-kind=topic]').at(-1)", &["Ada", "topic", "News", ADDRESS])),
            topic,
        );
        for place in ["$('#room-topic')", "$('#about-topic')"] {
            in_order(&ada.evaluate(&places_of(place, &["News", "https://evil"])), topic);
        }
    }
}

/// Names and texts in Hebrew, which would reorder the English words of a paragraph that they share without isolation.
#[test]
fn every_name_and_text_of_users_is_isolated_wherever_it_stands() {
    const GAL: &str = "\u{5D2}\u{5DC}";
    const TAL: &str = "\u{5D8}\u{5DC}";
    const ROOM: &str = "\u{5D7}\u{5D3}\u{5E8}";
    const TOPIC: &str = "\u{5E0}\u{5D5}\u{5E9}\u{5D0} 1, https://example.org/ 2.";
    let chat = Chat::open(&[]);
    let [gal, tal] = [GAL, TAL].map(|name| chat.user(name));
    gal.create_room(ROOM, "public");
    gal.click("#topic-edit");
    gal.fill("#ask-input", TOPIC);
    gal.click("#ask-yes");
    gal.say("\u{5E9}\u{5DC}\u{5D5}\u{5DD}");

    tal.open_room_search();
    are_isolated(&tal, "the search of rooms");
    tal.click_on(&format!("$$('#found-rooms button').find(({{ textContent }}) => textContent.includes('{ROOM}'))"));
    tal.wait_for_value("$('#preview-topic').textContent", TOPIC);
    are_isolated(&tal, "the preview of a room");
    tal.click("#preview-join");
    tal.wait_for_value("$('#room-name').textContent", ROOM);
    gal.fill("#text", "...");
    tal.wait_for("$('#typing').textContent !== ''");
    are_isolated(&tal, "the room");
    tal.click("#leave");
    are_isolated(&tal, "a question");
    tal.click("#ask-no");
    tal.click("#find-user");
    tal.wait_for("$('#users-list [data-user]')");
    are_isolated(&tal, "the search of users");
    tal.click("#users-dialog .close");
    tal.say("Is this for me?");
    gal.wait_for(&format!("$('.message[data-from={TAL}]')"));
    gal.evaluate(&format!("$('.message[data-from={TAL}]').focus()"));
    gal.click(&format!(".message[data-from={TAL}] .delete"));
    gal.click("#ask-yes");
    tal.wait_for(&format!("$('.message.deleted .text').textContent.includes('{GAL}')"));
    are_isolated(&tal, "a deleted message");
    gal.click(&format!("#member-list [data-user={TAL}]"));
    gal.click("#user-kick");
    are_isolated(&gal, "a user and a question");
    gal.click("#ask-yes");
    tal.wait_for("$('#toasts p')");
    are_isolated(&tal, "a message of the page");
    gal.click("#invite");
    gal.click(&format!("#users-list [data-user={TAL}]"));
    gal.wait_for("$('#toasts p')");
    tal.wait_for("$('#invitation-list .by').checkVisibility()");
    are_isolated(&tal, "an invitation");
}

/// Asserts that each Hebrew text on the page is isolated from Latin words around it: by an element, which has a style
/// of its own, or by characters where there can be no element.
#[track_caller]
fn are_isolated(user: &User, screen: &str) {
    user.wait_for("/[\\u05D0-\\u05EA]/.test(document.body.innerText)");
    let mixed = user.evaluate(
        "(() => {
            const isMixed = (text) => /[\\u05D0-\\u05EA]/.test(text) && /[A-Za-z0-9]/.test(text);
            // What stands in one paragraph, without the elements that are isolated in it.
            const paragraph = (element) => [...element.childNodes].map((node) => {
                if (node.nodeType === Node.TEXT_NODE) return node.data;
                const { display, unicodeBidi } = node.nodeType === Node.ELEMENT_NODE ? getComputedStyle(node) : {};
                return display === 'inline' && unicodeBidi === 'normal' ? paragraph(node) : '';
            }).join('');
            const ofUser = (element) => getComputedStyle(element).unicodeBidi !== 'normal' && element.matches('[dir], bdi');
            const shown = $$('body *').filter((element) => !element.matches('script, template, .words, .address')
                && !ofUser(element) && element.checkVisibility());
            const attributes = $$('[title], [aria-label], [placeholder]')
                .flatMap((element) => [element.title, element.ariaLabel, element.placeholder, document.title])
                .map((text) => text?.replace(/\\u2068[^\\u2069]*\\u2069/g, ''));
            return [...shown.map(paragraph), ...attributes].filter((text) => text && isMixed(text));
        })()",
    );
    assert_eq!(mixed, json!([]), "{screen}");
}

#[test]
fn the_title_keeps_its_order_around_a_name_from_right_to_left() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.create_room("\u{5D0}\u{5D1}\u{5D2}", "public");
    ada.wait_for_value("document.title", "\u{2068}\u{5D0}\u{5D1}\u{5D2}\u{2069} – switchboard");
}

#[test]
fn piled_marks_cover_nothing_beside_their_text() {
    let pile = ["\u{323}", "\u{302}"].map(|mark| mark.repeat(60)).concat();
    let text = format!("Z{pile}a{pile}l{pile}");
    let topic = format!("Z{pile}");
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Hall", "public");
    ada.click("#topic-edit");
    ada.fill("#ask-input", &topic);
    ada.click("#ask-yes");
    ben.open_room_search();
    ben.click("#found-rooms li:first-child button");
    ben.click("#preview-join");
    ben.wait_for_value("$('#room-topic').textContent", &*topic);
    for said in ["One", "Two", &text, "Three", "Four"] {
        ada.say(said);
    }
    ben.wait_for_value("$$('.message .text').length", 5);
    // A caret blinks, and the state of the connection is shown for some seconds.
    ben.evaluate("document.activeElement.blur() ?? $('#connection').remove() ?? true");
    for place in ["$$('.message .text')[2]", "$('#room-topic')", "$('#about-topic')", "$('.line[data-kind=topic]')"] {
        let with = |style: &str| {
            ben.evaluate(&format!("({place}.style.cssText = '{style}', nextFrame().then(nextFrame))"));
            around(&ben, place)
        };
        // The browser may still be drawing something else.
        let started = Instant::now();
        let hidden = loop {
            let hidden = with("visibility: hidden");
            if with("") == hidden {
                break hidden;
            }
            assert!(started.elapsed() < WAIT_LIMIT, "{place} covers something");
        };
        assert!(
            with("overflow: visible") != hidden,
            "the marks in {place} do not pile up with the fonts of this machine"
        );
        ben.evaluate(&format!("{place}.style.cssText = ''"));
    }
}

/// Returns pictures of the page above and below an element, without the two pixels around it.
#[track_caller]
fn around(user: &User, element: &str) -> [String; 2] {
    let place = user.evaluate(&format!("(({{ top, bottom }}) => [top, bottom])({element}.getBoundingClientRect())"));
    let [top, bottom] = [&place[0], &place[1]].map(|edge| edge.as_f64().expect("a number"));
    assert!(top > 10.0 && bottom < 790.0, "{element} is at {place}");
    let (above, below) = ((top - 3.0).floor(), (bottom + 3.0).ceil());
    [user.picture(0.0, 0.0, 1280.0, above), user.picture(0.0, below, 1280.0, 800.0 - below)]
}

/// An expression for where the characters of these parts of an element's text are shown: `[left, right, top]` of each.
fn places_of(element: &str, parts: &[&str]) -> String {
    format!(
        "(() => {{
            const element = {element};
            element.scrollIntoView({{ block: 'nearest' }});
            const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
            const units = [];
            while (walker.nextNode()) {{
                const {{ currentNode: node }} = walker;
                for (let at = 0; at < node.length; at += 1) units.push([node, at]);
            }}
            const text = units.map(([node, at]) => node.data[at]).join('');
            let from = 0;
            return {parts}.flatMap((part) => {{
                from = text.indexOf(part, from);
                if (from < 0) throw new Error(`no ${{part}} in ${{text}}`);
                const places = [...part].map((character, index) => {{
                    const [node, at] = units[from + index];
                    const range = document.createRange();
                    range.setStart(node, at);
                    range.setEnd(node, at + 1);
                    const {{ left, right, top }} = range.getBoundingClientRect();
                    return [character, left, right, top];
                }});
                from += part.length;
                return places.filter(([character]) => character !== ' ');
            }});
        }})()",
        parts = json!(parts),
    )
}

/// Asserts that each character is to the right of the one before it, or on a line below.
#[track_caller]
fn in_order(places: &Value, text: &str) {
    let places = places.as_array().expect("places");
    for pair in places.windows(2) {
        let [before, after] = [&pair[0], &pair[1]];
        let number = |value: &Value| value.as_f64().expect("a number");
        let is_right = number(&after[1]) >= number(&before[1]) && number(&after[2]) > number(&before[2]);
        let is_below = number(&after[3]) > number(&before[3]) + 10.0;
        assert!(is_right || is_below, "{}: {after} comes after {before}", text.escape_unicode());
    }
}
