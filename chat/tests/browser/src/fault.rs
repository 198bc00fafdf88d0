//! Faults that pages report: console errors and warnings, uncaught exceptions, entries of the browser's log (failed
//! loads, violations of the content security policy) and issues found by its audits.

use std::fmt;

use serde_json::Value;

/// A fault of a page.
pub(crate) struct Fault {
    /// The name of the page.
    pub(crate) page: String,
    /// The source: `console`, `exception`, `crash`, `issue`, or a source of the browser's log.
    pub(crate) source: String,
    /// The text of the fault.
    pub(crate) text: String,
    /// The URL it concerns, or empty.
    pub(crate) url: String,
}

/// Faults that a test causes on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// WebSockets and the page's icon fail to load, because the network or the server is gone.
    NoConnection,
    /// The site has no icon, for which Chromium asks.
    NoIcon,
    /// WebSockets fail to connect, on any path.
    NoWebSocket,
    /// An error in a script, reported or logged, with this text.
    Script(&'static str),
    /// An answer of this status to a request under `/api/`.
    Refused(u16),
}

impl Fault {
    /// Returns the fault that an event of this page reports, if any.
    pub(crate) fn of(page: &str, method: &str, params: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (source, text, url) = match method {
            "Runtime.consoleAPICalled" if ["error", "warning", "assert"].contains(&params["type"].as_str()?) => {
                ("console".to_owned(), params["args"].to_string(), String::new())
            }
            "Runtime.exceptionThrown" => {
                let details = &params["exceptionDetails"];
                let said = details["exception"]["description"].as_str().or(details["text"].as_str());
                ("exception".to_owned(), said.unwrap_or_default().to_owned(), text(&details["url"]))
            }
            "Log.entryAdded" if ["error", "warning"].contains(&params["entry"]["level"].as_str()?) => {
                let entry = &params["entry"];
                (text(&entry["source"]), text(&entry["text"]), text(&entry["url"]))
            }
            "Audits.issueAdded" => ("issue".to_owned(), params["issue"].to_string(), String::new()),
            "Inspector.targetCrashed" => ("crash".to_owned(), String::new(), String::new()),
            _ => return None,
        };
        Some(Self { page: page.to_owned(), source, text, url })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, source, text, url } = self;
        write!(f, "{page}: {source}: {text} {url}")
    }
}

impl Expected {
    pub(crate) fn covers(self, fault: &Fault) -> bool {
        match self {
            Self::NoConnection => {
                // Chromium may ask for the page's icon at any time.
                let is_icon = fault.source == "network" && fault.url.contains("/favicon-");
                let is_ours = fault.text.starts_with("WebSocket connection to 'ws://");
                is_icon || is_ours && fault.text.contains("/ws' failed")
            }
            Self::NoIcon => fault.source == "network" && fault.url.ends_with("/favicon.ico"),
            Self::NoWebSocket => fault.text.starts_with("WebSocket connection to 'ws://"),
            Self::Script(text) => ["console", "exception"].contains(&&*fault.source) && fault.text.contains(text),
            Self::Refused(status) => {
                fault.source == "network"
                    && fault.url.contains("/api/")
                    && fault.text.contains(&format!("status of {status} "))
            }
        }
    }
}
