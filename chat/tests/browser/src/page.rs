//! One page of the browser: what is on it, the mouse and the keys.
//!
//! Expressions are JavaScript, in which `$(selector)` is the first such element and `$$(selector)` an array of all.
//! Nothing here sleeps: the page itself looks again at each frame until what is waited for is there, or the time is up.

use std::{fs, path::Path, rc::Rc, time::Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{WAIT_LIMIT, devtools::DevTools};

/// A page of the browser.
pub struct Page {
    devtools: Rc<DevTools>,
    session: String,
}

/// The screen and the taste of somebody at the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
    /// Whether fingers are used instead of a mouse.
    pub touch: bool,
    /// Language tags, the best liked first, with commas between them.
    pub language: &'static str,
}

impl Default for Display {
    fn default() -> Self {
        Self { width: 1280, height: 800, dark: false, touch: false, language: "en-GB" }
    }
}

impl Page {
    pub(crate) fn new(devtools: Rc<DevTools>, session: String) -> Self {
        Self { devtools, session }
    }

    /// A call of DevTools that concerns this page.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.devtools.try_call(Some(&self.session), method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Gives it this screen and this taste. The language is that of the page's beginning.
    #[track_caller]
    pub fn set_display(&self, display: Display) {
        let Display { width, height, dark, touch, .. } = display;
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}),
        );
        self.call("Emulation.setTouchEmulationEnabled", json!({"enabled": touch}));
        let features: Value = json!([
            {"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }},
            // What moves is where it is going at once.
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Goes to this address.
    #[track_caller]
    pub fn go(&self, url: &str) {
        let answer = self.call("Page.navigate", json!({"url": url}));
        assert_eq!(answer["errorText"], Value::Null, "{url}");
    }

    /// The value of an expression, which may be a promise.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        self.wait("true", expression)
    }

    /// Waits until an expression is neither false nor null nor an error, and gives its value.
    #[track_caller]
    pub fn wait_for(&self, expression: &str) -> Value {
        self.wait("Boolean(seen)", expression)
    }

    /// Waits until an expression has this value.
    #[track_caller]
    pub fn wait_for_value(&self, expression: &str, expected: impl Into<Value>) {
        let expected = expected.into();
        self.wait(&format!("equal(seen, {expected})"), expression);
    }

    /// Waits until `accepted`, an expression about `seen`, holds for what `expression` gives.
    #[track_caller]
    fn wait(&self, accepted: &str, expression: &str) -> Value {
        let script = format!(
            "(async () => {{
                {PRELUDE}
                const deadline = performance.now() + {milliseconds};
                for (;;) {{
                    let seen, fault = null;
                    try {{ seen = await ({expression}); }} catch (error) {{ fault = String(error); }}
                    if (fault === null && ({accepted})) return {{ seen }};
                    if (performance.now() > deadline) return {{ seen, fault, late: true }};
                    await nextFrame();
                }}
            }})()",
            milliseconds = WAIT_LIMIT.as_millis(),
        );
        let value = self.run(&script);
        assert!(
            value["late"] != true,
            "waited in vain for\n    {accepted}\nof\n    {expression}\nwhich is {:#}, fault {}; {}",
            value["seen"],
            value["fault"],
            self.run(PAGE_TEXT),
        );
        value["seen"].clone()
    }

    /// Runs a script to its end, on the next document where one is just being loaded.
    #[track_caller]
    fn run(&self, script: &str) -> Value {
        let params = json!({"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let started = Instant::now();
        loop {
            match self.devtools.try_call(Some(&self.session), "Runtime.evaluate", params.clone()) {
                Ok(mut answer) => {
                    assert_eq!(answer["exceptionDetails"], Value::Null, "{script}");
                    return answer["result"]["value"].take();
                }
                Err(error) if error.is_navigation() && started.elapsed() < WAIT_LIMIT => {}
                Err(error) => panic!("{error}: {script}"),
            }
        }
    }

    /// Clicks on the first such element, once it is where a click would reach it.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.click_on(&format!("$({})", json!(selector)));
    }

    /// Clicks on the element that an expression gives.
    #[track_caller]
    pub fn click_on(&self, element: &str) {
        let place = self.wait_for(&format!("reachable(() => {element})"));
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            self.call(
                "Input.dispatchMouseEvent",
                json!({"type": kind, "x": place["x"], "y": place["y"], "button": button, "clickCount": 1}),
            );
        }
    }

    /// Writes a text into a field, instead of what is there.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        self.click(selector);
        self.evaluate(&format!("$({}).select()", json!(selector)));
        self.write(text);
    }

    /// Writes a text where the focus is.
    #[track_caller]
    pub fn write(&self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Presses a key: `Enter`, `Escape`, `Tab` or that of a small letter.
    #[track_caller]
    pub fn press(&self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "Tab" => (9, ""),
            letter if letter.len() == 1 => (letter.to_ascii_uppercase().as_bytes()[0], letter),
            _ => panic!("{key} is no key that tests press"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Turns the mouse's wheel over an element, by so many pixels; up where they are negative.
    #[track_caller]
    pub fn scroll_by(&self, selector: &str, pixels: i32) {
        let place = self.wait_for(&format!("reachable(() => $({}))", json!(selector)));
        self.call(
            "Input.dispatchMouseEvent",
            json!({"type": "mouseWheel", "x": place["x"], "y": place["y"], "deltaX": 0, "deltaY": pixels}),
        );
    }

    /// Leaves a picture of what is seen in `target/browser`.
    #[track_caller]
    pub fn save_screenshot(&self, name: &str) {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let bytes = BASE64_STANDARD.decode(picture["data"].as_str().expect("a string")).expect("base64");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/browser");
        fs::create_dir_all(&folder).expect("a folder for pictures");
        fs::write(folder.join(name).with_extension("png"), bytes).expect("a picture");
    }
}

/// What all expressions may use. `reachable` gives the middle of an element, once it has stopped moving, nothing is over
/// it and it takes clicks.
const PRELUDE: &str = "
    const $ = (selector) => document.querySelector(selector);
    const $$ = (selector) => [...document.querySelectorAll(selector)];
    const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);
    const nextFrame = () => new Promise((resolve) => {
        requestAnimationFrame(resolve);
        setTimeout(resolve, 100); // there are no frames of what is not seen
    });
    const reachable = async (find) => {
        const element = find();
        element.scrollIntoView({ block: 'nearest', behavior: 'instant' });
        const before = element.getBoundingClientRect();
        await nextFrame();
        const box = element.getBoundingClientRect();
        const x = box.x + box.width / 2;
        const y = box.y + box.height / 2;
        const hit = document.elementFromPoint(x, y);
        return find() === element && box.width > 0 && equal(before, box) && !element.disabled
            && (element.contains(hit) || [...element.labels ?? []].some((label) => label.contains(hit))) && { x, y };
    };
";

/// What the page tells its reader, for the message of a test that fails.
const PAGE_TEXT: &str = "
    `the page is at ${location.href}, and says ${document.body.innerText.slice(0, 2000)}`
";
