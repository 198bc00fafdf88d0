//! Headless Firefox, driven by [WebDriver BiDi](https://w3c.github.io/webdriver-bidi/): JSON over WebSocket, in nearly
//! the form of the DevTools protocol. Pages have only what a few scenarios need; `page.rs` has more for Chromium.

use std::{env, fs, process::Command, rc::Rc, thread};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    devtools::DevTools,
    process::{OutputStream, Process},
    waiting,
};

/// A running Firefox. Dropping it fails the test if a page has reported an error, and ends the browser.
pub struct Firefox {
    bidi: Rc<DevTools>,
    // Dropped in this order.
    _process: Process,
    _profile: TempDir,
}

impl Firefox {
    /// Starts Firefox for a user of these languages: tags in order of preference, separated by commas.
    #[track_caller]
    pub fn start(languages: &str) -> Self {
        let profile = TempDir::new().expect("a temporary folder for the profile");
        let preferences = format!("{PREFERENCES}user_pref(\"intl.accept_languages\", \"{languages}\");\n");
        fs::write(profile.path().join("user.js"), preferences).expect("the preferences");
        let mut command = Command::new(env::var_os("FIREFOX").unwrap_or_else(|| "firefox-esr".into()));
        command.args(["--headless", "--no-remote", "--remote-debugging-port", "0", "--profile"]).arg(profile.path());
        command.env("HOME", profile.path()).env_remove("DBUS_SESSION_BUS_ADDRESS");
        let process = Process::start(&mut command, OutputStream::Stderr);
        let url = process.find_line(|line| line.strip_prefix("WebDriver BiDi listening on ").map(str::to_owned));
        let bidi = DevTools::connect(&format!("{}/session", url.trim())).expect("the browser's WebSocket");
        bidi.call("session.new", json!({"capabilities": {}}));
        bidi.call("session.subscribe", json!({"events": ["log.entryAdded"]}));
        Self { bidi: Rc::new(bidi), _process: process, _profile: profile }
    }

    /// Opens a page for a new user: pages share no cookies.
    #[track_caller]
    pub fn page(&self, url: &str) -> FirefoxPage {
        let user = self.bidi.call("browser.createUserContext", json!({}))["userContext"].take();
        let created = self.bidi.call("browsingContext.create", json!({"type": "window", "userContext": user}));
        let context = created["context"].as_str().expect("a string").to_owned();
        let page = FirefoxPage { bidi: Rc::clone(&self.bidi), context };
        page.go(url);
        page
    }

    /// Returns the errors and warnings of all pages.
    fn faults(&self) -> Vec<String> {
        // The answer comes after all earlier events.
        self.bidi.call("session.status", json!({}));
        let entries = self.bidi.take_events(|event| event.method == "log.entryAdded").into_iter();
        let faults =
            entries.filter(|event| ["error", "warn"].contains(&event.params["level"].as_str().unwrap_or("error")));
        faults.map(|event| event.params["text"].to_string()).collect()
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        if !thread::panicking() {
            let faults = self.faults();
            assert!(faults.is_empty(), "the pages report faults: {faults:#?}");
        }
    }
}

/// A page of Firefox.
pub struct FirefoxPage {
    bidi: Rc<DevTools>,
    context: String,
}

impl FirefoxPage {
    /// Navigates to this URL, and waits until it is loaded.
    #[track_caller]
    pub fn go(&self, url: &str) {
        self.call("browsingContext.navigate", json!({"url": url, "wait": "complete"}));
    }

    #[track_caller]
    pub fn reload(&self) {
        self.call("browsingContext.reload", json!({"wait": "complete"}));
    }

    /// Returns the value of an expression, which may be a promise.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        waiting::wait(|script| self.run(script), "true", expression)
    }

    /// Waits until an expression is truthy, and returns its value.
    #[track_caller]
    pub fn wait_for(&self, expression: &str) -> Value {
        waiting::wait(|script| self.run(script), "Boolean(seen)", expression)
    }

    /// Waits until an expression has this value.
    #[track_caller]
    pub fn wait_for_value(&self, expression: &str, expected: impl Into<Value>) {
        let accepted = format!("equal(seen, {})", expected.into());
        waiting::wait(|script| self.run(script), &accepted, expression);
    }

    /// Clicks on the element that an expression returns, as soon as a click would reach it.
    #[track_caller]
    pub fn click_on(&self, element: &str) {
        let place = self.wait_for(&format!("reachable(() => {element})"));
        // Pixels are whole.
        let [x, y] = ["x", "y"].map(|axis| place[axis].as_f64().expect("a number").floor());
        self.perform(json!([{"type": "pointer", "id": "mouse", "actions": [
            {"type": "pointerMove", "x": x, "y": y},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]}]));
    }

    /// Clicks on the first matching element.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.click_on(&format!("$({})", json!(selector)));
    }

    /// Types a text at the focus. `\u{e007}` is the key Enter.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let actions = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
        });
        self.perform(json!([{"type": "key", "id": "keyboard", "actions": actions.collect::<Vec<_>>()}]));
    }

    /// Replaces the text of a field.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        self.click(selector);
        self.evaluate(&format!("$({}).select()", json!(selector)));
        self.press(text);
    }

    /// Runs a script, and returns what its promise resolves to.
    #[track_caller]
    fn run(&self, script: &str) -> Value {
        // BiDi has its own form for values; as JSON they are ours.
        let expression = format!("Promise.resolve({script}).then((value) => JSON.stringify(value ?? null))");
        let target = json!({"context": self.context});
        let answer = self.bidi.call(
            "script.evaluate",
            json!({"expression": expression, "target": target, "awaitPromise": true, "userActivation": true}),
        );
        let value = answer["result"]["value"].as_str();
        let value = value.unwrap_or_else(|| panic!("{script}: {:#}", answer["exceptionDetails"]));
        serde_json::from_str(value).expect("JSON")
    }

    #[track_caller]
    fn perform(&self, actions: Value) {
        self.call("input.performActions", json!({"actions": actions}));
    }

    #[track_caller]
    fn call(&self, method: &str, mut params: Value) -> Value {
        params["context"] = self.context.as_str().into();
        self.bidi.call(method, params)
    }
}

/// Nothing is fetched or asked that is not part of the tests.
const PREFERENCES: &str = r#"
user_pref("app.update.disabledForTesting", true);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("remote.prefs.recommended", true);
user_pref("signon.rememberSignons", false);
"#;
