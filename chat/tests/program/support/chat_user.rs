//! Somebody at the chat: requests for who one is, and a connection that keeps what it hears until it is asked for.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchboard::client::{Client, ClientError, Message};

use switchboard_tests::server::{Answer, LONG, Raw, builder};

/// What all accounts have here.
pub(crate) const PASSWORD: &str = "correct horse";

/// Makes a request with these fields beside Host and Content-Length, and gives its answer.
#[track_caller]
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
    request_over(&mut Raw::connect(address), &address.to_string(), method, path, fields, body)
}

/// The same over a connection that is there, to a Host.
#[track_caller]
pub(crate) fn request_over(
    raw: &mut Raw,
    host: &str,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Answer {
    let body = body.as_ref();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in fields {
        head += &format!("{name}: {value}\r\n");
    }
    raw.write([head.as_bytes(), b"\r\n", body].concat());
    raw.answer()
}

/// Posts JSON.
#[track_caller]
pub(crate) fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    request(address, "POST", path, &[AS_JSON], &body.to_string())
}

pub(crate) const AS_JSON: (&str, &str) = ("Content-Type", "application/json");

/// The JSON of an answer.
#[track_caller]
pub(crate) fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The token of a new guest.
#[track_caller]
pub(crate) fn guest(address: SocketAddr, name: &str) -> String {
    token(&post(address, "/api/guest", &json!({"name": name, "token": true})))
}

/// The token of a new account.
#[track_caller]
pub(crate) fn account(address: SocketAddr, name: &str) -> String {
    token(&post(address, "/api/register", &json!({"name": name, "password": PASSWORD, "token": true})))
}

/// The token of another session of an account.
#[track_caller]
pub(crate) fn log_in(address: SocketAddr, name: &str) -> String {
    token(&post(address, "/api/login", &json!({"name": name, "password": PASSWORD, "token": true})))
}

#[track_caller]
fn token(answer: &Answer) -> String {
    json_of(answer)["token"].as_str().unwrap_or_else(|| panic!("no token in {answer:?}")).to_owned()
}

/// An event as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
    /// Null where there was none.
    pub(crate) id: Value,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a Close frame with this code.
    Closed(u16),
    /// Without one.
    Cut,
}

/// What somebody gets who asks: the result, or the code of an error.
pub(crate) type Reply = Result<Value, String>;

/// A connection to the chat.
#[derive(Debug)]
pub(crate) struct ChatUser {
    client: Client,
    /// What came that nobody has asked for yet.
    pending: VecDeque<Event>,
    last_id: u64,
}

impl ChatUser {
    /// Connects with a session, and is welcomed. Gives the welcome, too.
    #[track_caller]
    pub(crate) fn with_welcome(address: SocketAddr, token: &str) -> (Self, Value) {
        let mut user = Self::with_header(address, "Authorization", &format!("Bearer {token}"));
        let welcome = user.receive().expect("a welcome");
        assert_eq!(welcome.name, "welcome", "{welcome:?}");
        (user, welcome.data)
    }

    /// The same for who needs no welcome.
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

    /// Connects and shows nothing.
    #[track_caller]
    pub(crate) fn unauthenticated(address: SocketAddr) -> Self {
        Self::over(builder().connect(&url(address)).unwrap())
    }

    pub(crate) fn over(client: Client) -> Self {
        Self { client, pending: VecDeque::new(), last_id: 0 }
    }

    /// Sends an event, and gives its id.
    #[track_caller]
    pub(crate) fn send(&mut self, event: &str, data: &Value) -> u64 {
        self.last_id += 1;
        self.send_text(&json!([event, data, self.last_id]).to_string());
        self.last_id
    }

    /// Sends exactly this.
    #[track_caller]
    pub(crate) fn send_text(&mut self, text: &str) {
        self.client.send_text(text).unwrap();
    }

    /// Sends bytes, which the chat has no use for.
    #[track_caller]
    pub(crate) fn send_binary(&mut self, bytes: &[u8]) {
        self.client.send_binary(bytes).unwrap();
    }

    /// The next event, in the order in which they came.
    pub(crate) fn receive(&mut self) -> Result<Event, End> {
        match self.pending.pop_front() {
            Some(event) => Ok(event),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Event, End> {
        self.read_some().expect("something comes in time")
    }

    /// The next event or the end; `None` where nothing comes in time.
    fn read_some(&mut self) -> Option<Result<Event, End>> {
        loop {
            return Some(match self.client.receive() {
                Ok(Message::Text(text)) => Ok(parse(&text)),
                Ok(Message::Ping(_)) => continue,
                Ok(Message::Close(close)) => Err(close.map_or(End::Cut, |(code, _)| End::Closed(code.get()))),
                Ok(other) => panic!("the chat sends {other:?}"),
                Err(ClientError::Disconnected | ClientError::Io(_) | ClientError::Closed) => Err(End::Cut),
                Err(ClientError::Timeout(_)) => return None,
                Err(error) => panic!("{error}"),
            });
        }
    }

    /// Sends an event, and waits for its answer. What comes before that is kept.
    #[track_caller]
    pub(crate) fn ask(&mut self, event: &str, data: Value) -> Reply {
        let id = self.send(event, &data);
        let answer = self.answer(&id.into());
        match &*answer.name {
            "ack" => Ok(answer.data),
            _ => Err(code_of(&answer)),
        }
    }

    /// The answer to the event of this id, as it came.
    #[track_caller]
    pub(crate) fn answer(&mut self, id: &Value) -> Event {
        self.read_until(|event| event.id == *id)
    }

    /// The next event of this name; those before it are dropped.
    #[track_caller]
    pub(crate) fn expect_event(&mut self, name: &str) -> Value {
        loop {
            let event = self.receive().unwrap_or_else(|end| panic!("{end:?} in place of {name}"));
            if event.name == name {
                return event.data;
            }
        }
    }

    /// All that was on its way to this connection when the chat got what is sent now: what is not among it has not been
    /// said here, and never will be.
    #[track_caller]
    pub(crate) fn received_so_far(&mut self) -> Vec<Event> {
        self.send_text(r#"["beat"]"#);
        self.read_until(|event| event.name == "beat");
        self.pending.drain(..).collect()
    }

    /// The names of all until now that are one of these.
    #[track_caller]
    pub(crate) fn received(&mut self, names: &[&str]) -> Vec<Event> {
        self.received_so_far().into_iter().filter(|event| names.contains(&&*event.name)).collect()
    }

    /// All that comes before the end, and the end.
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

    /// What comes within this time, if anything does.
    pub(crate) fn receive_within(&mut self, time: Duration) -> Option<Result<Event, End>> {
        if let Some(event) = self.pending.pop_front() {
            return Some(Ok(event));
        }
        self.client.set_read_timeout(Some(time));
        let received = self.read_some();
        self.client.set_read_timeout(Some(LONG));
        received
    }

    /// Reads on until such an event comes; keeps those before it.
    #[track_caller]
    fn read_until(&mut self, is_wanted: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + LONG;
        loop {
            let event = self.read().unwrap_or_else(|end| panic!("{end:?} in place of an answer"));
            if is_wanted(&event) {
                return event;
            }
            self.pending.push_back(event);
            assert!(Instant::now() < deadline, "no answer, but {:?}", self.pending);
        }
    }
}

/// The code that an `error` has.
#[track_caller]
pub(crate) fn code_of(error: &Event) -> String {
    assert_eq!(error.name, "error", "{error:?}");
    error.data["code"].as_str().expect("a code").to_owned()
}

/// The chat's WebSocket.
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
            // The answer to a beat has nothing to say.
            Err(parts) if parts == ["beat"] => Event { name: "beat".into(), data: Value::Null, id: Value::Null },
            _ => panic!("{text}"),
        },
    }
}
