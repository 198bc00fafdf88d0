//! Headless Chromium, in which each page is that of somebody else: they share no cookies.

use std::{cell::RefCell, collections::HashMap, env, process::Command, rc::Rc, thread};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    devtools::DevTools,
    fault::{Expected, Fault},
    page::{Display, Page},
    process::{OutputStream, Process},
};

/// A running browser. When it is dropped, it fails the test if a page has complained about anything that nobody
/// expected; then it ends.
pub struct Browser {
    devtools: Rc<DevTools>,
    user_agent: String,
    /// The names of the pages, by session.
    names: RefCell<HashMap<String, String>>,
    expected: RefCell<Vec<Expected>>,
    // In the order in which they are to be dropped.
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    #[track_caller]
    pub fn start() -> Self {
        let profile = TempDir::new().expect("a folder for its profile");
        let mut command = Command::new(env::var_os("CHROMIUM").unwrap_or_else(|| "chromium".into()));
        command.args(SWITCHES).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        // What it keeps beside its profile goes there as well.
        command.env("HOME", profile.path()).env_remove("DBUS_SESSION_BUS_ADDRESS");
        let process = Process::start(&mut command, OutputStream::Stderr);
        let url = process.find_line(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned));
        let devtools = DevTools::connect(url.trim());
        let version = devtools.call("Browser.getVersion", json!({}));
        Self {
            devtools: Rc::new(devtools),
            user_agent: version["userAgent"].as_str().expect("a string").to_owned(),
            names: RefCell::default(),
            expected: RefCell::default(),
            _process: process,
            _profile: profile,
        }
    }

    /// An empty page of somebody new, whose complaints are reported under this name.
    #[track_caller]
    pub fn page(&self, name: &str, display: Display) -> Page {
        let context = self.devtools.call("Target.createBrowserContext", json!({}))["browserContextId"].take();
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
        // Otherwise one page at most would have the focus.
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

    /// From now on, this is no fault.
    pub fn expect(&self, expected: Expected) {
        self.expected.borrow_mut().push(expected);
    }

    /// What pages have complained about, but for what was expected.
    fn faults(&self) -> Vec<String> {
        let names = self.names.borrow();
        for session in names.keys() {
            // An answer comes behind the events of what was before.
            let answer = self.devtools.try_call(Some(session), "Runtime.evaluate", json!({"expression": "0"}));
            assert!(answer.is_ok(), "the page of {} does not answer: {answer:?}", names[session]);
        }
        let faults = self.devtools.take_events().into_iter().filter_map(|event| {
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
        if !thread::panicking() {
            let faults = self.faults();
            assert!(faults.is_empty(), "the pages complain: {faults:#?}");
        }
    }
}

const SWITCHES: &[&str] = &[
    "--headless",
    "--remote-debugging-port=0",
    // There is none for root, and no page here but ours.
    "--no-sandbox",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-gpu",
    // There is a mouse, which can hover and points finely, whatever the machine has.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-breakpad",
    "--password-store=basic",
    // Several users look at their pages at the same time.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
];
