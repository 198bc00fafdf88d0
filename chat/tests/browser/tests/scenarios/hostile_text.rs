//! Texts that were made to keep the page busy do not.

use serde_json::json;
use switchboard_browser::{Chat, User};

/// The work of the page's scripts is proportional to a text, whoever wrote it: also that of modules which this test
/// does not know, since it measures whatever runs. The browser's own time to lay out a text does not count.
#[test]
fn no_text_keeps_the_scripts_busy_for_50_ms_on_a_processor_four_times_slower() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Hall", "public");
    ben.open_room_search();
    ben.click("#found-rooms li:first-child button");
    ben.click("#preview-join");
    ben.wait_for_value("$('#room-name').textContent", "Hall");
    ben.call("Emulation.setCPUThrottlingRate", json!({"rate": 4}));
    ben.call("Performance.enable", json!({"timeDomain": "threadTicks"}));
    let busy = script_time(&ben, || {
        ben.evaluate("new Promise((end) => setTimeout(() => { for (let i = 0; i < 1e8; i += 1); end(true); }))");
    });
    assert!(busy > 50.0, "the measure works: {busy} ms");

    for (name, text) in families() {
        assert!(text.chars().count() <= 4000, "{name}");
        is_quick(&ben, &format!("a message: {name}"), || {
            write(&ada, "#text", &text);
            ada.click("#send");
            ben.wait_for_change(&format!("$$('.message .text').at(-1)?.textContent === {}", json!(text)));
        });
        let topic: String = text.chars().take(200).collect();
        is_quick(&ben, &format!("a topic: {name}"), || {
            ada.evaluate("$('#topic-edit').click() ?? true");
            ada.fill("#ask-input", &topic);
            ada.press("Enter");
            ada.wait_for("!$('#ask-dialog').open");
            ben.wait_for_change(&format!("$('#room-topic').textContent === {}", json!(topic.replace('\n', "").trim())));
        });
        for field in ["#text", "#filter"] {
            is_quick(&ben, &format!("{field}: {name}"), || write(&ben, field, &text));
            write(&ben, field, "");
        }
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
                ben.wait_for_change(&format!("$('{note}').textContent !== ''")); // The search has ended.
            });
        }
        ben.click(&format!("{dialog} .close"));
    }
}

/// Replaces the text of a field, in a task of the page. The browser itself takes seconds to type a thousand line breaks
/// into any field.
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

/// Asserts that an action on the page takes its scripts less than 50 ms.
#[track_caller]
fn is_quick(user: &User, what: &str, act: impl Fn()) {
    let times: Vec<f64> = (0..ATTEMPTS).map(|_| script_time(user, &act)).take_while(|time| *time >= 50.0).collect();
    assert!(times.len() < ATTEMPTS, "{what}: {times:?} ms");
}

/// Returns the milliseconds that the page's scripts take for an action, less the layouts meanwhile, which they may have
/// waited for. It is the time of the processor, so it does not matter how busy the machine is.
#[track_caller]
fn script_time(user: &User, act: impl Fn()) -> f64 {
    let time = || {
        let metrics = user.call("Performance.getMetrics", json!({}));
        let seconds = |name: &str| {
            let metric = metrics["metrics"].as_array().and_then(|all| all.iter().find(|metric| metric["name"] == name));
            metric.and_then(|metric| metric["value"].as_f64()).expect("a number")
        };
        1000.0 * (seconds("ScriptDuration") - seconds("LayoutDuration") - seconds("RecalcStyleDuration"))
    };
    let before = time();
    act();
    user.evaluate("nextFrame().then(nextFrame)");
    time() - before
}

/// The code of a page may be compiled during the first.
const ATTEMPTS: usize = 4;

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
        ("links beside hidden characters", repeat("http://a.example/\u{200B} ")),
        ("links and hidden characters in one word", repeat("http://a\u{200B}")),
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
