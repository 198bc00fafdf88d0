//! Texts that were made to keep the page busy, or to cover what is beside them.

use serde_json::json;
use switchboard_browser::{Chat, User};

/// The work of the page's scripts is proportional to a text, whoever wrote it: also that of modules which this test does
/// not know, since it measures whatever runs. The browser's own time to lay out a text does not count.
#[test]
fn no_text_keeps_the_scripts_busy_for_50_ms_on_a_processor_four_times_slower() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Hall", "public");
    ben.open_room_search();
    ben.click("#found-rooms li:first-child button");
    ben.wait_for_value("$('#room-name').textContent", "Hall");
    ben.call("Emulation.setCPUThrottlingRate", json!({"rate": 4}));
    ben.evaluate(OBSERVE_SCRIPTS);
    // The measure works.
    ben.evaluate("setTimeout(() => { for (const end = performance.now() + 80; performance.now() < end;); }) > 0");
    assert!(longest_script(&ben) > 50.0);

    for (name, text) in families() {
        assert!(text.chars().count() <= 4000, "{name}");
        let topic: String = text.chars().take(200).collect();
        is_quick(&ben, name, || {
            write(&ada, "#text", &text);
            ada.click("#send");
            ada.evaluate("$('#topic-edit').click() ?? true");
            ada.fill("#ask-input", &topic);
            ada.press("Enter");
            ada.wait_for("!$('#ask-dialog').open");
            for field in ["#text", "#filter"] {
                write(&ben, field, &text);
                write(&ben, field, "");
            }
            ben.wait_for(&format!("$$('.message .text').at(-1)?.textContent === {}", json!(text)));
            let shown = json!(topic.replace('\n', "").trim());
            ben.wait_for(&format!("$('#room-topic').textContent === {shown}"));
        });
    }
    for (open, field, note, dialog) in [
        ("#find-room", "#find-search", "#found-note", "#find-dialog"),
        ("#find-user", "#users-search", "#users-note", "#users-dialog"),
    ] {
        ben.click(open);
        for (name, text) in families() {
            is_quick(&ben, &format!("{field}: {name}"), || {
                ben.evaluate(&format!("($('{note}').textContent = '', true)"));
                write(&ben, field, &text);
                ben.wait_for(&format!("$('{note}').textContent !== ''")); // The search has ended.
            });
        }
        ben.click(&format!("{dialog} .close"));
    }
}

/// Replaces the text of a field as a script of the page, which is measured. The browser takes seconds to type a thousand
/// line breaks into any field.
#[track_caller]
fn write(user: &User, field: &str, text: &str) {
    user.evaluate(&format!(
        "new Promise((resolve) => setTimeout(() => {{
            $({field}).value = {text};
            $({field}).dispatchEvent(new Event('input', {{ bubbles: true }}));
            resolve(true);
        }}))",
        field = json!(field),
        text = json!(text),
    ));
}

/// Asserts that an action on the page runs no script for 50 ms. It is repeated if it seems to, since the machine may be
/// busy with something else.
#[track_caller]
fn is_quick(user: &User, what: &str, act: impl Fn()) {
    let mut times = Vec::new();
    while times.len() < ATTEMPTS {
        longest_script(user);
        act();
        let time = longest_script(user);
        if time < 50.0 {
            return;
        }
        times.push(time);
    }
    panic!("{what}: {times:?} ms");
}

/// Returns the milliseconds of the longest script since the last call, without the layout that it asked for.
#[track_caller]
fn longest_script(user: &User) -> f64 {
    user.evaluate("nextFrame().then(nextFrame).then(nextFrame)");
    user.evaluate("Math.max(0, ...scriptTimes.splice(0))").as_f64().expect("a number")
}

const ATTEMPTS: usize = 4;

/// Collects the time of each script in a frame of more than 50 ms.
const OBSERVE_SCRIPTS: &str = "(() => {
    globalThis.scriptTimes = [];
    new PerformanceObserver((list) => scriptTimes.push(...list.getEntries().flatMap(({ scripts }) => scripts)
        .map(({ duration, forcedStyleAndLayoutDuration }) => duration - forcedStyleAndLayoutDuration)))
        .observe({ type: 'long-animation-frame' });
    return true;
})()";

/// Texts in which a search that starts anew at each character, or counts what it has counted before, takes long.
fn families() -> Vec<(&'static str, String)> {
    let repeat = |text: &str| text.chars().cycle().take(3999).chain(['.']).collect::<String>();
    vec![
        ("prose", repeat("The quick brown fox jumps over the lazy dog. ")),
        ("an address that ends in punctuation", format!("http://\u{1F600}{}{}", ",".repeat(1900), ")".repeat(1990))),
        ("brackets", format!("http://a.example/{}{}", "([{".repeat(600), ")]}".repeat(700))),
        ("unopened brackets", format!("http://a.example/{}", ")]}".repeat(1300))),
        ("punctuation", format!("https://e.example/\u{4E2D}{}", ".,;:".repeat(990))),
        ("beginnings of addresses", repeat("http://")),
        ("links", repeat("http://a.example/ ")),
        ("hosts that are not ASCII", repeat("http://\u{E4}.b ")),
        ("one long host", format!("http://{}", ('\u{4E00}'..).take(3900).collect::<String>())),
        ("one mark after another", format!("a{}", "\u{301}".repeat(3999))),
        ("joined emoji", repeat("\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}")),
        ("two directions", repeat("\u{5D0}\u{5D1} a \u{627}\u{644} 1 ")),
        ("controls of direction", repeat("\u{202E}a\u{2066}b\u{2067}")),
        ("four-byte characters", repeat("\u{1D400}\u{20000}\u{10330}")),
        ("spaces", format!("x{}y", " ".repeat(3990))),
        ("line breaks", format!("x{}y", "\n \t".repeat(1300))),
        ("all of it", repeat("http://\u{1F600},)\u{301}\u{5D0}\u{202E}\u{4E2D}(\u{200D}] ")),
    ]
}
