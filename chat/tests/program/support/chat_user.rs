//! A user of the chat: HTTP requests for accounts, and a connection that buffers events until the test reads them.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchboard::client::{Client, ClientError, Message};
use switchboard_tests::server::{HttpResponse, LONG, Raw, builder};

/// The password of all test accounts.
pub(crate) const PASSWORD: &str = "correct horse";

/// Sends a request with these fields besides Host and Content-Length. Returns the response.
#[track_caller]
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> HttpResponse {
    request_over(&mut Raw::connect(address), &address.to_string(), method, path, fields, body)
}

/// As [`request`], over an open connection and with this Host.
#[track_caller]
pub(crate) fn request_over(
    raw: &mut Raw,
    host: &str,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> HttpResponse {
    let body = body.as_ref();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in fields {
        head += &format!("{name}: {value}\r\n");
    }
    raw.write([head.as_bytes(), b"\r\n", body].concat());
    raw.response()
}

/// Posts JSON.
#[track_caller]
pub(crate) fn post(address: SocketAddr, path: &str, body: &Value) -> HttpResponse {
    request(address, "POST", path, &[AS_JSON], &body.to_string())
}

pub(crate) const AS_JSON: (&str, &str) = ("Content-Type", "application/json");

/// Parses the JSON of a response.
#[track_caller]
pub(crate) fn json_of(answer: &HttpResponse) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// Registers a guest. Returns the token.
#[track_caller]
pub(crate) fn guest(address: SocketAddr, name: &str) -> String {
    token(&post(address, "/api/guest", &json!({"name": name, "token": true})))
}

/// Registers an account. Returns the token.
#[track_caller]
pub(crate) fn account(address: SocketAddr, name: &str) -> String {
    token(&post(address, "/api/register", &json!({"name": name, "password": PASSWORD, "token": true})))
}

/// Logs in to an account. Returns the token of the new session.
#[track_caller]
pub(crate) fn log_in(address: SocketAddr, name: &str) -> String {
    token(&post(address, "/api/login", &json!({"name": name, "password": PASSWORD, "token": true})))
}

#[track_caller]
fn token(answer: &HttpResponse) -> String {
    json_of(answer)["token"].as_str().unwrap_or_else(|| panic!("no token in {answer:?}")).to_owned()
}

/// A received event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
    /// Null if there is none.
    pub(crate) id: Value,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a Close frame with this code.
    Closed(u16),
    /// Without a Close frame.
    Cut,
}

/// The reply to an event: the result, or the code of an error.
pub(crate) type Reply = Result<Value, String>;

/// A user's connection to the chat.
#[derive(Debug)]
pub(crate) struct ChatUser {
    client: Client,
    /// Events that were received, and not yet read by the test.
    pending: VecDeque<Event>,
    last_id: u64,
}

impl ChatUser {
    /// Connects with a session's token. Also returns the data of the welcome.
    #[track_caller]
    pub(crate) fn with_welcome(address: SocketAddr, token: &str) -> (Self, Value) {
        let mut user = Self::with_header(address, "Authorization", &format!("Bearer {token}"));
        let welcome = user.receive().expect("a welcome");
        assert_eq!(welcome.name, "welcome", "{welcome:?}");
        (user, welcome.data)
    }

    /// Connects with a session's token, and drops the welcome.
    #[track_caller]
    pub(crate) fn with_token(address: SocketAddr, token: &str) -> Self {
        Self::with_welcome(address, token).0
    }

    /// Connects as a new guest.
    #[track_caller]
    pub(crate) fn guest(address: SocketAddr, name: &str) -> Self {
        Self::with_token(address, &guest(address, name))
    }

    /// Connects with one more field in the request.
    #[track_caller]
    pub(crate) fn with_header(address: SocketAddr, name: &str, value: &str) -> Self {
        Self::over(builder().header(name, value).connect(&url(address)).unwrap())
    }

    /// Connects without a token.
    #[track_caller]
    pub(crate) fn unauthenticated(address: SocketAddr) -> Self {
        Self::over(builder().connect(&url(address)).unwrap())
    }

    pub(crate) fn over(client: Client) -> Self {
        Self { client, pending: VecDeque::new(), last_id: 0 }
    }

    /// Sends an event. Returns its id.
    #[track_caller]
    pub(crate) fn send(&mut self, event: &str, data: &Value) -> u64 {
        self.last_id += 1;
        self.send_text(&json!([event, data, self.last_id]).to_string());
        self.last_id
    }

    /// Sends this text unchanged.
    #[track_caller]
    pub(crate) fn send_text(&mut self, text: &str) {
        self.client.send_text(text).unwrap();
    }

    /// Sends a binary message, which the chat does not accept.
    #[track_caller]
    pub(crate) fn send_binary(&mut self, bytes: &[u8]) {
        self.client.send_binary(bytes).unwrap();
    }

    /// Returns the next event, in the order of arrival.
    pub(crate) fn receive(&mut self) -> Result<Event, End> {
        match self.pending.pop_front() {
            Some(event) => Ok(event),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Event, End> {
        self.read_some().expect("an event before the timeout")
    }

    /// Returns the next event or the end, or `None` after the read timeout.
    fn read_some(&mut self) -> Option<Result<Event, End>> {
        loop {
            return Some(match self.client.receive() {
                Ok(Message::Text(text)) => Ok(parse(&text)),
                Ok(Message::Ping(_)) => continue,
                Ok(Message::Close(close)) => Err(close.map_or(End::Cut, |frame| End::Closed(frame.code.get()))),
                Ok(other) => panic!("unexpected message {other:?}"),
                Err(ClientError::Disconnected | ClientError::Io(_) | ClientError::Closed) => Err(End::Cut),
                Err(ClientError::Timeout(_)) => return None,
                Err(error) => panic!("{error}"),
            });
        }
    }

    /// Sends an event, and waits for the reply. Earlier events stay pending.
    #[track_caller]
    pub(crate) fn ask(&mut self, event: &str, data: Value) -> Reply {
        let id = self.send(event, &data);
        let answer = self.reply_to(&id.into());
        match &*answer.name {
            "ack" => Ok(answer.data),
            _ => Err(code_of(&answer)),
        }
    }

    /// Waits for the reply to the event with this id.
    #[track_caller]
    pub(crate) fn reply_to(&mut self, id: &Value) -> Event {
        self.read_until(|event| event.id == *id)
    }

    /// Waits for an event with this name, and drops those before it. Returns its data.
    #[track_caller]
    pub(crate) fn expect_event(&mut self, name: &str) -> Value {
        loop {
            let event = self.receive().unwrap_or_else(|end| panic!("{end:?} instead of {name}"));
            if event.name == name {
                return event.data;
            }
        }
    }

    /// Returns all events that the chat sent to this connection before it handled a `beat` that is sent now. So an
    /// event that is missing was not sent.
    #[track_caller]
    pub(crate) fn received_so_far(&mut self) -> Vec<Event> {
        self.send_text(r#"["beat"]"#);
        self.read_until(|event| event.name == "beat");
        self.pending.drain(..).collect()
    }

    /// Returns the events so far with one of these names.
    #[track_caller]
    pub(crate) fn received(&mut self, names: &[&str]) -> Vec<Event> {
        self.received_so_far().into_iter().filter(|event| names.contains(&&*event.name)).collect()
    }

    /// Returns all events up to the end of the connection, and the end.
    #[track_caller]
    pub(crate) fn until_end(&mut self) -> (Vec<Event>, End) {
        let mut events = Vec::new();
        loop {
            match self.receive() {
                Ok(event) => events.push(event),
                Err(end) => return (events, end),
            }
        }
    }

    /// Returns the next event or the end, or `None` after this time.
    pub(crate) fn receive_within(&mut self, time: Duration) -> Option<Result<Event, End>> {
        if let Some(event) = self.pending.pop_front() {
            return Some(Ok(event));
        }
        self.client.set_read_timeout(Some(time));
        let received = self.read_some();
        self.client.set_read_timeout(Some(LONG));
        received
    }

    /// Waits for a wanted event. Those before it stay pending.
    #[track_caller]
    fn read_until(&mut self, is_wanted: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + LONG;
        loop {
            let event = self.read().unwrap_or_else(|end| panic!("{end:?} instead of a reply"));
            if is_wanted(&event) {
                return event;
            }
            self.pending.push_back(event);
            assert!(Instant::now() < deadline, "no reply, but {:?}", self.pending);
        }
    }
}

/// Returns the code of an `error`.
#[track_caller]
pub(crate) fn code_of(error: &Event) -> String {
    assert_eq!(error.name, "error", "{error:?}");
    error.data["code"].as_str().expect("a code").to_owned()
}

/// Returns the URL of the chat's WebSocket.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("ws://{address}/ws")
}

#[track_caller]
fn parse(text: &str) -> Event {
    let parts: Vec<Value> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    match <[Value; 2]>::try_from(parts) {
        Ok([Value::String(name), data]) => Event { name, data, id: Value::Null },
        Ok(_) => panic!("{text}"),
        Err(parts) => match <[Value; 3]>::try_from(parts) {
            Ok([Value::String(name), data, id]) => Event { name, data, id },
            // The reply to a beat has no data.
            Err(parts) if parts == ["beat"] => Event { name: "beat".into(), data: Value::Null, id: Value::Null },
            _ => panic!("{text}"),
        },
    }
}
