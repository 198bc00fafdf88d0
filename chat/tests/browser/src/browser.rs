//! Headless Chromium. Each page belongs to another user: pages share no cookies.

use std::{cell::RefCell, collections::HashMap, env, path::Path, process::Command, rc::Rc, thread};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    Authority,
    devtools::DevTools,
    fault::{Expected, Fault},
    page::{Display, Page},
    process::{OutputStream, Process},
};

/// A running browser. Dropping it fails the test if a page has reported an unexpected fault, and ends the browser.
pub struct Browser {
    devtools: Rc<DevTools>,
    user_agent: String,
    /// The names of the pages, by session.
    names: RefCell<HashMap<String, String>>,
    expected: RefCell<Vec<Expected>>,
    // Dropped in this order.
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with_home(|_| {})
    }

    /// Starts a browser that trusts an authority.
    #[track_caller]
    pub fn start_trusting(authority: &Authority) -> Self {
        Self::start_with_home(|home| authority.trust_in(home))
    }

    /// Starts a browser after `prepare` has changed its home folder.
    #[track_caller]
    fn start_with_home(prepare: impl FnOnce(&Path)) -> Self {
        let profile = TempDir::new().expect("a temporary folder for the profile");
        prepare(profile.path());
        let mut command = Command::new(env::var_os("CHROMIUM").unwrap_or_else(|| "chromium".into()));
        command.args(SWITCHES).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        // Chromium's files outside the profile go to the same folder.
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

    /// Opens an empty page for a new user. Its faults are reported under this name.
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
        if !thread::panicking() {
            let faults = self.faults();
            assert!(faults.is_empty(), "the pages report faults: {faults:#?}");
        }
    }
}

const SWITCHES: &[&str] = &[
    "--headless",
    "--remote-debugging-port=0",
    // The sandbox does not work as root, and only our own pages are opened.
    "--no-sandbox",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-gpu",
    // Emulates a mouse, whatever the machine has.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-breakpad",
    "--password-store=basic",
    // All pages are in use at the same time.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
];
