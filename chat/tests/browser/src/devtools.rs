//! Calls and events of the [DevTools protocol](https://chromedevtools.github.io/devtools-protocol/), spoken by our
//! client: `{id, method, params, sessionId}` out, `{id, result | error}` and `{method, params, sessionId}` in.

use std::{cell::RefCell, fmt};

use serde_json::{Value, json};
use switchboard::client::{Client, ClientError, Message};

use crate::WAIT_LIMIT;

/// A DevTools connection to a browser. Each page is a session.
pub(crate) struct DevTools {
    inner: RefCell<Inner>,
}

struct Inner {
    client: Client,
    last_id: u64,
    /// In order of arrival; `take_events` takes them.
    events: Vec<Event>,
    /// The sessions whose pages have crashed, which do not answer.
    crashed: Vec<String>,
}

/// An event of the browser or, with a session, of one page.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) session: Option<String>,
    pub(crate) method: String,
    pub(crate) params: Value,
}

/// The browser's error answer to a call.
#[derive(Debug)]
pub(crate) struct CallError(String);

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CallError {
    /// Returns whether the page was navigating and so lost the script that ran.
    pub(crate) fn is_navigation(&self) -> bool {
        ["context was destroyed", "navigated or closed", "find context", "find default"]
            .iter()
            .any(|part| self.0.contains(part))
    }
}

impl Inner {
    fn has_crashed(&self, session: Option<&str>) -> bool {
        session.is_some_and(|session| self.crashed.iter().any(|crashed| crashed == session))
    }
}

impl DevTools {
    pub(crate) fn connect(url: &str) -> Result<Self, ClientError> {
        // A page answers within `WAIT_LIMIT`; the rest is for the browser.
        let client = Client::builder().read_timeout(Some(WAIT_LIMIT * 2)).connect(url)?;
        Ok(Self { inner: RefCell::new(Inner { client, last_id: 0, events: Vec::new(), crashed: Vec::new() }) })
    }

    /// Calls a method of the browser. Panics if it fails.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(None, method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method of a session or, without one, of the browser.
    #[track_caller]
    pub(crate) fn try_call(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value, CallError> {
        let inner = &mut *self.inner.borrow_mut();
        inner.last_id += 1;
        let mut call = json!({"id": inner.last_id, "method": method, "params": params});
        if let Some(session) = session {
            call["sessionId"] = session.into();
        }
        inner.client.send_text(&call.to_string()).unwrap_or_else(|error| panic!("{method}: {error}"));
        loop {
            if inner.has_crashed(session) {
                return Err(CallError("the page has crashed".to_owned()));
            }
            let mut said = match inner.client.receive() {
                Ok(Message::Text(text)) => serde_json::from_str::<Value>(&text).expect("JSON"),
                Ok(other) => panic!("{method}: the browser says {other:?}"),
                Err(error) => panic!("{method}: {error}"),
            };
            if let Some(method) = said["method"].as_str() {
                let session = said["sessionId"].as_str().map(str::to_owned);
                if method == "Inspector.targetCrashed" {
                    inner.crashed.extend(session.clone());
                }
                inner.events.push(Event { session, method: method.to_owned(), params: said["params"].take() });
            } else if said["id"] == inner.last_id {
                // WebDriver BiDi has the message beside the error's code.
                return match said["error"]["message"].as_str().or(said["message"].as_str()) {
                    Some(message) => Err(CallError(message.to_owned())),
                    None => Ok(said["result"].take()),
                };
            } else if !inner.has_crashed(said["sessionId"].as_str()) {
                panic!("unexpected answer: {said}");
            }
        }
    }

    /// Takes the events that have arrived so far and that `is_meant` accepts.
    pub(crate) fn take_events(&self, is_meant: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.inner.borrow_mut().events.extract_if(.., |event| is_meant(event)).collect()
    }
}
