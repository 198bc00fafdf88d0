//! One page of the browser: its contents, mouse and keyboard.
//!
//! `waiting.rs` describes the expressions.

use std::{fs, path::Path, rc::Rc, time::Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    WAIT_LIMIT,
    devtools::{DevTools, Event},
    waiting,
};

/// A page of the browser.
pub struct Page {
    devtools: Rc<DevTools>,
    session: String,
}

/// A user's screen, input and preferences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
    /// Touch input instead of a mouse.
    pub touch: bool,
    /// Language tags in order of preference, separated by commas.
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

    /// Calls a DevTools method on this page.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.devtools.try_call(Some(&self.session), method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Takes the events of this page that have arrived so far and that `is_meant` accepts.
    pub(crate) fn take_events(&self, is_meant: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.devtools.take_events(|event| event.session.as_ref() == Some(&self.session) && is_meant(event))
    }

    /// Emulates this display. The language of the page does not change.
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
            // Animations end at once.
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Navigates to this URL.
    #[track_caller]
    pub fn go(&self, url: &str) {
        let answer = self.call("Page.navigate", json!({"url": url}));
        assert_eq!(answer["errorText"], Value::Null, "{url}");
    }

    /// Runs a script at the start of each later document, before all scripts of the page.
    #[track_caller]
    pub fn run_before_each_document(&self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script}));
    }

    /// Returns the value of an expression, which may be a promise.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        self.wait("true", expression)
    }

    /// Waits until an expression is truthy, and returns its value.
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

    /// Waits until a change of the page makes `condition` true, with less work for the page than a look at each frame.
    #[track_caller]
    pub fn wait_for_change(&self, condition: &str) {
        self.evaluate(&format!(
            "new Promise((resolve) => {{
                const isTrue = () => {condition};
                if (isTrue()) resolve(true);
                const all = {{ childList: true, characterData: true, subtree: true }};
                new MutationObserver(() => isTrue() && resolve(true)).observe(document.body, all);
            }})"
        ));
    }

    /// Waits until `accepted`, an expression about `seen`, holds for the value of `expression`.
    #[track_caller]
    fn wait(&self, accepted: &str, expression: &str) -> Value {
        waiting::wait(|script| self.run(script), accepted, expression)
    }

    /// Runs a script to its end. During a navigation it runs on the next document.
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

    /// Clicks on the first matching element as soon as a click would reach it.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.click_on(&format!("$({})", json!(selector)));
    }

    /// Clicks on the element that an expression returns.
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

    /// Replaces the text of a field.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        self.click(selector);
        self.evaluate(&format!("$({}).select()", json!(selector)));
        self.write(text);
    }

    /// Inserts a text at the focus.
    #[track_caller]
    pub fn write(&self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Presses a key: `Enter`, `Escape`, `Tab`, an arrow key, `Home`, `End`, `PageUp`, `PageDown` or a lower-case
    /// letter, also with Shift: `Shift+Tab`.
    #[track_caller]
    pub fn press(&self, key: &str) {
        let (modifiers, key) = key.strip_prefix("Shift+").map_or((0, key), |key| (SHIFT, key));
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "Tab" => (9, ""),
            "PageUp" => (33, ""),
            "PageDown" => (34, ""),
            "End" => (35, ""),
            "Home" => (36, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            letter if letter.len() == 1 => (letter.to_ascii_uppercase().as_bytes()[0], letter),
            _ => panic!("the key {key} is not supported"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers,
            });
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Turns the mouse's wheel over an element, by `pixels`; a negative number scrolls up.
    #[track_caller]
    pub fn scroll_by(&self, selector: &str, pixels: i32) {
        let place = self.wait_for(&format!("reachable(() => $({}))", json!(selector)));
        self.call(
            "Input.dispatchMouseEvent",
            json!({"type": "mouseWheel", "x": place["x"], "y": place["y"], "deltaX": 0, "deltaY": pixels}),
        );
    }

    /// Returns a picture of a part of the page, in base64. The same looks give the same picture.
    #[track_caller]
    pub fn picture(&self, x: f64, y: f64, width: f64, height: f64) -> String {
        let clip = json!({"x": x, "y": y, "width": width, "height": height, "scale": 1});
        let mut picture = self.call("Page.captureScreenshot", json!({"format": "png", "clip": clip}));
        picture["data"].take().as_str().expect("a string").to_owned()
    }

    /// Saves a screenshot of the page in `target/browser`.
    #[track_caller]
    pub fn save_screenshot(&self, name: &str) {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let bytes = BASE64_STANDARD.decode(picture["data"].as_str().expect("a string")).expect("base64");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/browser");
        fs::create_dir_all(&folder).expect("a folder for pictures");
        fs::write(folder.join(name).with_extension("png"), bytes).expect("a picture");
    }
}

/// The modifier key in the DevTools protocol.
const SHIFT: u32 = 8;
