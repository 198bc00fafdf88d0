//! Processes of Chromium. A start takes seconds of processor time, so tests use the same process one after another.
//!
//! A test has the process alone while it runs, a DevTools connection of its own, and its pages in browser contexts
//! that nobody used before: each has its own cookies, storage, cache, connections and renderer.

use std::{
    env,
    path::Path,
    process::Command,
    sync::{Mutex, PoisonError},
};

use tempfile::TempDir;

use crate::{
    devtools::DevTools,
    process::{OutputStream, Process},
};

/// A running Chromium. Dropping it ends the process.
pub(crate) struct Chromium {
    _process: Process,
    /// The URL of its DevTools.
    url: String,
}

/// The processes that no test has at the moment.
static IDLE: Mutex<Vec<Chromium>> = Mutex::new(Vec::new());

impl Chromium {
    /// Returns a process that nobody else has, with a connection to it: one from an earlier test, or a new one.
    #[track_caller]
    pub(crate) fn acquire() -> (Self, DevTools) {
        loop {
            let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(idle) = idle else { break };
            // One that has crashed is replaced.
            if let Ok(devtools) = DevTools::connect(&idle.url) {
                return (idle, devtools);
            }
        }
        Self::start(|_| {})
    }

    /// Lets later tests use the process. It must work and have no pages.
    pub(crate) fn release(self) {
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    /// Starts a process after `prepare` has changed its home folder.
    #[track_caller]
    pub(crate) fn start(prepare: impl FnOnce(&Path)) -> (Self, DevTools) {
        // The shell removes it.
        let profile = TempDir::new().expect("a temporary folder for the profile").keep();
        prepare(&profile);
        let mut command = Command::new("sh");
        command.args(["-c", RUN, "sh"]).arg(env::var_os("CHROMIUM").unwrap_or_else(|| "chromium".into()));
        command.args(SWITCHES).arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        // Chromium's files outside the profile go to the same folder.
        command.env("PROFILE", &profile).env("HOME", &profile).env_remove("DBUS_SESSION_BUS_ADDRESS");
        let process = Process::start_with_input(&mut command, OutputStream::Stderr);
        let url = process.find_line(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned));
        let started = Self { _process: process, url: url.trim().to_owned() };
        let devtools = DevTools::connect(&started.url).expect("the browser's WebSocket");
        (started, devtools)
    }
}

/// Runs a command until the input ends, as it does when the test program has ended, even if it was killed. One that
/// does not end within ten seconds is killed.
const RUN: &str = r#"
"$@" & browser=$!
read -r _
kill "$browser"
(sleep 10; kill -KILL "$browser") >/dev/null 2>&1 & killer=$!
wait "$browser"
kill "$killer"
rm -rf "$PROFILE"
"#;

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
    // The window of each page would load the address bar's pop-ups, which are pages too, and a renderer for later.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup,PreloadTopChromeWebUI,\
     SpareRendererForSitePerProcess",
    // All pages are in use at the same time.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
];
