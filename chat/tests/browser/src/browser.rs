//! Headless Chromium, as one test has it. Each page belongs to another user: pages share no cookies.

use std::{cell::RefCell, collections::HashMap, rc::Rc, thread};

use serde_json::{Value, json};

use crate::{
    Authority,
    chromium::Chromium,
    devtools::DevTools,
    fault::{Expected, Fault},
    page::{Display, Page},
};

/// The browser of a test. Dropping it fails the test if a page has reported an unexpected fault, and closes the pages.
pub struct Browser {
    devtools: Rc<DevTools>,
    user_agent: String,
    /// The names of the pages, by session.
    names: RefCell<HashMap<String, String>>,
    /// The browser context of each page.
    contexts: RefCell<Vec<Value>>,
    expected: RefCell<Vec<Expected>>,
    /// There until this is dropped.
    chromium: Option<Chromium>,
    /// Later tests may use the process.
    is_shared: bool,
}

impl Browser {
    #[track_caller]
    pub fn start() -> Self {
        let (chromium, devtools) = Chromium::acquire();
        Self::new(chromium, devtools, true)
    }

    /// Starts a browser that trusts an authority. No other test uses it.
    #[track_caller]
    pub fn start_trusting(authority: &Authority) -> Self {
        let (chromium, devtools) = Chromium::start(|home| authority.trust_in(home));
        Self::new(chromium, devtools, false)
    }

    #[track_caller]
    fn new(chromium: Chromium, devtools: DevTools, is_shared: bool) -> Self {
        let version = devtools.call("Browser.getVersion", json!({}));
        Self {
            devtools: Rc::new(devtools),
            user_agent: version["userAgent"].as_str().expect("a string").to_owned(),
            names: RefCell::default(),
            contexts: RefCell::default(),
            expected: RefCell::default(),
            chromium: Some(chromium),
            is_shared,
        }
    }

    /// Opens an empty page for a new user. Its faults are reported under this name.
    #[track_caller]
    pub fn page(&self, name: &str, display: Display) -> Page {
        let context = self.devtools.call("Target.createBrowserContext", json!({}))["browserContextId"].take();
        self.contexts.borrow_mut().push(context.clone());
        let target = self
            .devtools
            .call("Target.createTarget", json!({"url": "about:blank", "browserContextId": context, "newWindow": true}))
            ["targetId"]
            .take();
        let session =
            self.devtools.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}))["sessionId"]
                .take();
        let session = session.as_str().expect("a string").to_owned();
        self.names.borrow_mut().insert(session.clone(), name.to_owned());
        let page = Page::new(Rc::clone(&self.devtools), session);
        for domain in ["Page", "Runtime", "Log", "Audits", "Inspector"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        // Without this, at most one page would have the focus.
        page.call("Emulation.setFocusEmulationEnabled", json!({"enabled": true}));
        page.call(
            "Emulation.setUserAgentOverride",
            json!({"userAgent": self.user_agent, "acceptLanguage": display.language}),
        );
        let first = display.language.split(',').next();
        page.call("Emulation.setLocaleOverride", json!({"locale": first}));
        page.set_display(display);
        page
    }

    /// Calls a DevTools method of the browser itself.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        self.devtools.call(method, params)
    }

    /// Faults of this kind no longer fail the test.
    pub fn expect(&self, expected: Expected) {
        self.expected.borrow_mut().push(expected);
    }

    /// Returns the faults of all pages, except the expected ones.
    fn faults(&self) -> Vec<String> {
        let names = self.names.borrow();
        for session in names.keys() {
            // The answer comes after all earlier events.
            let answer = self.devtools.try_call(Some(session), "Runtime.evaluate", json!({"expression": "0"}));
            assert!(answer.is_ok(), "the page of {} does not answer: {answer:?}", names[session]);
        }
        let faults = self.devtools.take_events(|_| true).into_iter().filter_map(|event| {
            let page = names.get(&event.session?)?;
            Fault::of(page, &event.method, &event.params)
        });
        let expected = self.expected.borrow();
        let unexpected = faults.filter(|fault| !expected.iter().any(|expected| expected.covers(fault)));
        unexpected.map(|fault| fault.to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A test that fails ends the process, which might be what has failed.
        let chromium = self.chromium.take();
        if !thread::panicking() {
            let faults = self.faults();
            assert!(faults.is_empty(), "the pages report faults: {faults:#?}");
            for context in self.contexts.take() {
                self.devtools.call("Target.disposeBrowserContext", json!({"browserContextId": context}));
            }
            if let Some(chromium) = chromium.filter(|_| self.is_shared) {
                chromium.release();
            }
        }
    }
}
