//! Calls and events of the [DevTools protocol](https://chromedevtools.github.io/devtools-protocol/), as our client
//! speaks it: `{id, method, params, sessionId}` out, `{id, result | error}` and `{method, params, sessionId}` in.

use std::{cell::RefCell, fmt};

use serde_json::{Value, json};
use switchboard::client::{Client, Message};

use crate::WAIT_LIMIT;

/// A conversation with a browser, in which each page is a session.
pub(crate) struct DevTools {
    inner: RefCell<Inner>,
}

struct Inner {
    client: Client,
    last_id: u64,
    /// In the order they came; taken by `take_events`.
    events: Vec<Event>,
}

/// Something that happened in the browser or, with a session, on one page.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) session: Option<String>,
    pub(crate) method: String,
    pub(crate) params: Value,
}

/// The browser's answer to what it did not do.
#[derive(Debug)]
pub(crate) struct CallError(String);

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CallError {
    /// Whether the page was on its way to another document, and lost what ran on the one before.
    pub(crate) fn is_navigation(&self) -> bool {
        ["context was destroyed", "navigated or closed", "find context", "find default"]
            .iter()
            .any(|part| self.0.contains(part))
    }
}

impl DevTools {
    pub(crate) fn connect(url: &str) -> Self {
        // Pages answer within the time that we give them; the rest is the browser's.
        let client =
            Client::builder().read_timeout(Some(WAIT_LIMIT * 2)).connect(url).expect("the browser's WebSocket");
        Self { inner: RefCell::new(Inner { client, last_id: 0, events: Vec::new() }) }
    }

    /// Does something in the browser.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(None, method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Does something in a session, or without one in the browser.
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
            let mut said = match inner.client.receive() {
                Ok(Message::Text(text)) => serde_json::from_str::<Value>(&text).expect("JSON"),
                Ok(other) => panic!("{method}: the browser says {other:?}"),
                Err(error) => panic!("{method}: {error}"),
            };
            if let Some(method) = said["method"].as_str() {
                let session = said["sessionId"].as_str().map(str::to_owned);
                inner.events.push(Event { session, method: method.to_owned(), params: said["params"].take() });
            } else if said["id"] == inner.last_id {
                return match said["error"]["message"].as_str() {
                    Some(message) => Err(CallError(message.to_owned())),
                    None => Ok(said["result"].take()),
                };
            } else {
                panic!("an answer that nobody waits for: {said}");
            }
        }
    }

    /// The events that have come so far.
    pub(crate) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.inner.borrow_mut().events)
    }
}
