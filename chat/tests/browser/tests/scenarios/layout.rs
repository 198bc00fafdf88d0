//! The page on screens of every width, light and dark: nothing overflows, every control has an accessible name, and the
//! focus is visible. Screenshots are saved in `target/browser`.

use serde_json::{Value, json};
use switchboard_browser::{Chat, Display, Page};

const DISPLAYS: &[Display] = &[
    Display { width: 360, height: 740, dark: false, touch: true, language: "en-GB" },
    Display { width: 820, height: 1180, dark: false, touch: true, language: "en-GB" },
    Display { width: 1440, height: 900, dark: false, touch: false, language: "en-GB" },
];

/// The accessibility roles of controls.
const CONTROLS: &[&str] = &[
    "button",
    "checkbox",
    "combobox",
    "link",
    "listbox",
    "menuitem",
    "option",
    "radio",
    "searchbox",
    "slider",
    "spinbutton",
    "switch",
    "tab",
    "textbox",
    "DisclosureTriangle",
];

#[test]
fn the_page_fits_every_screen_and_works_with_keyboard_and_screen_reader() {
    let chat = Chat::open(&[]);
    let ben = chat.user("Ben");
    ben.create_room("A rather long name of a room for a phone", "public");
    ben.open("Lobby");
    ben.say("Shall we meet at the station? https://example.org/a/long/way/to/the/station?by=train&and=on+foot");
    ben.say("The train leaves at nine.\nThe next one an hour later.");
    for (number, display) in DISPLAYS.iter().enumerate() {
        let ada = chat.visitor(&format!("Ada {number}"), *display);
        inspect(&ada, *display, "sign-in");
        ada.register();
        let is_narrow = display.width < 768;
        if is_narrow {
            ada.wait_for_value("document.body.dataset.view", "rooms");
            inspect(&ada, *display, "rooms");
            ada.open("Lobby");
        }
        ada.say("At nine, then!");
        inspect(&ada, *display, "conversation");
        if display.width < 1200 {
            ada.click("#details-toggle");
        }
        ada.wait_for("$('#member-list [data-user=Ben]')");
        // If it covers the conversation, no key moves the focus there.
        ada.wait_for_value("$('#conversation').inert", display.width < 1200);
        inspect(&ada, *display, "details");
        ada.click("#member-list [data-user=Ben]");
        ada.wait_for("$('#user-dialog').open");
        inspect(&ada, *display, "user");
        ada.press("Escape");
        if is_narrow {
            ada.click("#details-close");
            ada.click("#back");
            ada.wait_for("document.activeElement === $('#room-list a[data-room=\"1\"]')");
        }
        ada.open_room_search();
        inspect(&ada, *display, "finding");
        ada.press("Escape");
        ada.click("#account-open");
        inspect(&ada, *display, "account");
    }
}

/// Checks the page, light and dark.
#[track_caller]
fn inspect(page: &Page, display: Display, what: &str) {
    for dark in [false, true] {
        page.set_display(Display { dark, ..display });
        let theme = if dark { "dark" } else { "light" };
        page.wait_for_value("document.documentElement.dataset.theme", theme);
        page.save_screenshot(&format!("{}x{}-{what}-{theme}", display.width, display.height,));
        page.assert_accessible(what);
        assert_focus_is_visible(page);
    }
    page.set_display(display);
    page.wait_for_value(OVERFLOWING, json!([display.width]));
    assert_controls_have_names(page);
}

#[track_caller]
fn assert_controls_have_names(page: &Page) {
    let tree = page.call("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().expect("a list");
    let is_control = |node: &&Value| CONTROLS.contains(&node["role"]["value"].as_str().unwrap_or_default());
    let controls: Vec<&Value> = nodes.iter().filter(|node| node["ignored"] == false).filter(is_control).collect();
    assert!(!controls.is_empty(), "the page has no controls");
    for node in controls {
        let name = node["name"]["value"].as_str().unwrap_or_default();
        assert!(!name.trim().is_empty(), "a control has no name: {node:#}");
    }
}

/// Moves the focus once around the page with Tab. Each focused element must look different without the focus.
#[track_caller]
fn assert_focus_is_visible(page: &Page) {
    page.evaluate("void (globalThis.focused = new Set())");
    loop {
        page.press("Tab");
        let seen = page.evaluate(FOCUS);
        match seen.as_str() {
            Some("seen before") => break,
            Some("seen") => {}
            _ => panic!("the focus is not visible at {seen}"),
        }
    }
    page.wait_for("focused.size > 1");
}

/// The width of the page, and all elements that scroll sideways.
const OVERFLOWING: &str =
    "[document.documentElement.scrollWidth, ...$$('body, body *').filter((each) => each.checkVisibility()
    && each.scrollWidth > each.clientWidth && ['auto', 'scroll'].includes(getComputedStyle(each).overflowX))
    .map(({ outerHTML }) => outerHTML.slice(0, 200))]";

/// Removes the focus for a moment, and checks whether the element or one of its ancestors or labels changes.
const FOCUS: &str = "(() => {
    const element = document.activeElement;
    if (focused.has(element)) return 'seen before';
    focused.add(element);
    if (element === document.body) return 'seen';
    const around = [];
    for (let each = element; each && around.length < 4; each = each.parentElement) around.push(each);
    if (element.labels) around.push(...element.labels, ...[...element.labels].flatMap((label) => [...label.children]));
    const look = () => around.map((each) => {
        const { outline, boxShadow, borderColor, backgroundColor } = getComputedStyle(each);
        return [outline, boxShadow, borderColor, backgroundColor];
    });
    const focusedLook = look();
    element.blur();
    const changes = !equal(focusedLook, look());
    element.focus({ focusVisible: true, preventScroll: true });
    return changes ? 'seen' : element.outerHTML.slice(0, 200);
})()";

#[test]
fn no_text_fills_many_screens_of_a_phone() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    ada.create_room("Hall", "public");
    let phone = chat.visitor("Ben", DISPLAYS[0]);
    phone.register();
    phone.open_room_search();
    phone.click("#found-rooms li:first-child button");
    phone.click("#preview-join");
    phone.wait_for_value("$('#room-name').textContent", "Hall");
    // Prose, a wide letter, an ideograph, the widest ligature, cuneiform, the longest dash.
    for unit in ["prose, ", "W", "\u{4E2D}", "\u{FDFD}", "\u{1242B}", "\u{2E3B}"] {
        // The longest text is folded, the others may be short enough to be shown.
        for (chars, screens) in [(4000, 0.6), (1599, 4.0), (799, 4.0), (99, 4.0)] {
            let text: String = unit.chars().cycle().take(chars).collect();
            let text = text.trim_end();
            ada.evaluate(&format!(
                "($('#text').value = {}, $('#text').dispatchEvent(new Event('input')))",
                json!(text)
            ));
            ada.click("#send");
            phone.wait_for_value("$$('.message .text').at(-1)?.textContent", text);
            let height = phone.evaluate("$$('.message').at(-1).offsetHeight / innerHeight").as_f64().expect("a number");
            assert!(height < screens, "{chars} times {unit}: {height} screens");
        }
    }
    phone.assert_accessible("folded messages");
    phone.click_on("($('.unfold').scrollIntoView(), $('.unfold'))");
    phone.wait_for("$$('.message')[0].offsetHeight > innerHeight && !$$('.message')[0].querySelector('.unfold')");
}

#[test]
fn a_message_of_line_breaks_does_not_fill_the_log() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    let text = format!("Top{}End", "\n".repeat(3990));
    ada.say("Before");
    // The browser takes seconds to type as many line breaks.
    ada.evaluate(&format!("($('#text').value = {}, $('#text').dispatchEvent(new Event('input')))", json!(text)));
    ada.click("#send");
    ada.say("After");
    ben.sees_messages(&[("Ada", "Before"), ("Ada", &text), ("Ada", "After")]);
    ben.wait_for("$$('.message').every((message) => message.offsetHeight < 400)");
    // It opens downwards, although the end was in view. The messages fill the log.
    ben.set_display(Display { height: 400, ..Display::default() });
    let top = "document.querySelectorAll('.message')[1].getBoundingClientRect().top";
    ben.evaluate(&format!("void $('.unfold').addEventListener('click', () => {{ globalThis.before = {top}; }}, true)"));
    ben.click(".unfold");
    ben.wait_for("$$('.message')[1].offsetHeight > 3990 * 10");
    ben.wait_for("!$('#newer').hidden");
    ben.wait_for(&format!("Math.abs({top} - before) < 2"));
    ben.wait_for_value("[$$('.unfold').length, document.activeElement === $$('.message')[1]]", json!([0, true]));
    // A message of the user folds too once it is sent.
    ada.wait_for_value("$$('.messages .unfold').length", 1);
}
