//! [`Connection`]: a connection from the first byte of its opening handshake. Nothing here knows C, except that events
//! have pointers.

use std::{ffi::CString, mem};

use switchboard::{
    ClientHandshake, ClientRequest, CloseFrame, Delivery, Driver, InvalidHeader, Next, OriginPolicy, RandomKeys,
    Rejection, RequestError, RequestHead, RequestReader, ServerHandshake,
};

use crate::{
    Bytes, Config, Outcome, Request,
    config::Settings,
    open::{Open, Outgoing},
    outcome::Failure,
};

/// A connection, from the first byte of its opening handshake to the end of TCP.
///
/// Two calls with the same connection must not run at the same time; it may be used by one thread after another.
pub struct Connection {
    phase: Phase,
    /// The output before the connection is open, or of one that never is. `out[..written]` is written.
    out: Vec<u8>,
    written: usize,
    /// The payload of the last event, if it did not lie whole in the bytes that were given.
    payload: Vec<u8>,
    subprotocol: Option<String>,
    /// The text of the last failure.
    pub(crate) error: CString,
}

/// How far a connection has come.
enum Phase {
    /// A server that reads the request.
    Reading {
        reader: RequestReader,
        settings: Box<Settings>,
    },
    /// A server that has a valid request, and waits for the caller's decision.
    Requested(Box<Requested>),
    /// A client that waits for the response.
    Waiting(Box<Waiting>),
    Open(Box<dyn Open>),
    /// The opening handshake has failed, or the caller has rejected it. What the peer sends is dropped.
    Refused,
    /// A call has panicked.
    Panicked,
}

struct Requested {
    head: RequestHead,
    handshake: ServerHandshake,
    settings: Settings,
    /// Those that the caller adds to the response.
    headers: Vec<(String, String)>,
}

struct Waiting {
    handshake: ClientHandshake,
    keys: RandomKeys,
    settings: Settings,
}

/// The state of a connection, in the words of RFC 6455.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The opening handshake is under way.
    Connecting = 0,
    /// Messages flow both ways.
    Open = 1,
    /// One of the two Close frames was sent or received.
    Closing = 2,
    /// Both Close frames were exchanged, or the connection has failed.
    Closed = 3,
}

/// What the caller does next with a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Read, and give the bytes to switchboard_connection_receive.
    Read = 0,
    /// Write the output.
    Write = 1,
    /// Answer the request: switchboard_connection_accept or switchboard_connection_reject.
    Answer = 2,
    /// End TCP: all output is written, and nothing that arrives has a meaning.
    ///
    /// A server ends its side first (shutdown with SHUT_WR), and reads and drops what still comes for a moment: a
    /// socket that is closed with unread input sends a reset, which may overtake the last output. A client waits for
    /// the server's end.
    End = 3,
}

/// What an event is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// No further event in these bytes.
    None = 0,
    /// A server has a valid request, and waits for an answer.
    Request = 1,
    /// A client's connection is open.
    Opened = 2,
    /// A whole text message. It is UTF-8.
    Text = 3,
    /// A whole binary message.
    Binary = 4,
    /// A Ping, of at most 125 bytes. The Pong is in the output already.
    Ping = 5,
    /// A Pong, of at most 125 bytes.
    Pong = 6,
    /// The peer's Close, with its reason, which is UTF-8. The answer is in the output already. No event follows.
    Close = 7,
}

/// An event in bytes from the peer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// What it is.
    pub kind: EventKind,
    /// The code of the peer's Close, or 1005 if it has none. After SWITCHBOARD_RESULT_PROTOCOL_ERROR the code of the
    /// Close that answers it. Otherwise 0.
    pub close_code: u16,
    /// The payload, until the next call of switchboard_connection_receive with this connection, or until the caller
    /// changes the bytes that it gave.
    pub data: Bytes,
}

impl Event {
    pub(crate) const NONE: Self = Self::of(EventKind::None);

    /// An event without payload.
    pub(crate) const fn of(kind: EventKind) -> Self {
        Self { kind, close_code: 0, data: Bytes::NONE }
    }
}

impl Connection {
    fn new(phase: Phase, out: Vec<u8>) -> Self {
        Self { phase, out, written: 0, payload: Vec::new(), subprotocol: None, error: CString::default() }
    }

    pub(crate) fn server(config: &Config) -> Self {
        let settings = Box::new(config.settings());
        Self::new(Phase::Reading { reader: RequestReader::new(settings.head_limits), settings }, Vec::new())
    }

    pub(crate) fn client(config: &Config, request: &Request) -> Result<Self, Failure> {
        let settings = config.settings();
        let mut keys = RandomKeys::new()
            .map_err(|_| Failure::new(Outcome::NoRandomBytes, "the operating system has no random bytes"))?;
        let subprotocols: Vec<&str> = request.subprotocols.iter().map(String::as_str).collect();
        let headers: Vec<(&str, &str)> = as_strs(&request.headers).collect();
        let parts = ClientRequest {
            host: &request.host,
            target: &request.target,
            origin: request.origin.as_deref(),
            subprotocols: &subprotocols,
            headers: &headers,
        };
        let (nonce, limits, mut out) = (keys.nonce(), settings.head_limits, Vec::new());
        let handshake = match &settings.deflate {
            Some(deflate) => ClientHandshake::with_deflate(&parts, deflate, nonce, limits, &mut out),
            None => ClientHandshake::new(&parts, nonce, limits, &mut out),
        }?;
        Ok(Self::new(Phase::Waiting(Box::new(Waiting { handshake, keys, settings })), out))
    }

    pub(crate) const fn has_panicked(&self) -> bool {
        matches!(self.phase, Phase::Panicked)
    }

    pub(crate) fn set_panicked(&mut self) {
        self.phase = Phase::Panicked;
        self.out.clear();
        self.written = 0;
    }

    /// Returns the next event in `bytes`, with the number of them that are read.
    pub(crate) fn receive(&mut self, bytes: &mut [u8]) -> (Result<Event, Failure>, usize) {
        self.payload = Vec::new();
        match &mut self.phase {
            Phase::Open(open) => {
                let (event, used) = open.receive(bytes, &mut self.payload);
                (event.map_err(Failure::from), used)
            }
            Phase::Reading { .. } => self.read_request(bytes),
            Phase::Waiting(_) => self.read_response(bytes),
            Phase::Requested(_) if bytes.is_empty() => (Ok(Event::NONE), 0),
            Phase::Requested(_) => (Err(Failure::state("the request must be answered first")), 0),
            Phase::Refused | Phase::Panicked => (Ok(Event::NONE), bytes.len()),
        }
    }

    fn read_request(&mut self, bytes: &[u8]) -> (Result<Event, Failure>, usize) {
        let Phase::Reading { reader, settings } = &mut self.phase else { return (Ok(Event::NONE), 0) };
        let opened = match reader.receive(bytes) {
            Ok(None) => return (Ok(Event::NONE), bytes.len()),
            Ok(Some((head, used))) => ServerHandshake::from_request(&head)
                .map(|handshake| (head, handshake, used))
                .map_err(RequestError::from),
            Err(error) => Err(error.into()),
        };
        match opened {
            Ok((head, handshake, used)) => {
                let settings = Settings::clone(settings);
                self.phase = Phase::Requested(Box::new(Requested { head, handshake, settings, headers: Vec::new() }));
                (Ok(Event::of(EventKind::Request)), used)
            }
            Err(error) => {
                self.refuse(&Rejection::from(&error));
                (Err(error.into()), bytes.len())
            }
        }
    }

    fn read_response(&mut self, bytes: &[u8]) -> (Result<Event, Failure>, usize) {
        let Phase::Waiting(waiting) = &mut self.phase else { return (Ok(Event::NONE), 0) };
        match waiting.handshake.receive(bytes) {
            Ok(None) => (Ok(Event::NONE), bytes.len()),
            Ok(Some((established, used))) => {
                if let Phase::Waiting(waiting) = mem::replace(&mut self.phase, Phase::Refused) {
                    let Waiting { keys, settings, .. } = *waiting;
                    self.subprotocol = established.subprotocol().map(str::to_owned);
                    let connection = established.into_connection(keys, settings.limits, Delivery::Messages);
                    self.open(Driver::new(connection, Vec::new()));
                }
                (Ok(Event::of(EventKind::Opened)), used)
            }
            Err(error) => {
                self.phase = Phase::Refused;
                (Err(error.into()), bytes.len())
            }
        }
    }

    /// Goes on with the driver. What is not written yet goes out before it.
    fn open(&mut self, driver: impl Open + 'static) {
        self.phase = Phase::Open(Box::new(driver));
    }

    /// Accepts the request that has arrived.
    ///
    /// If the response must not be written so, the client gets 500.
    pub(crate) fn accept(&mut self, subprotocol: Option<&str>) -> Result<(), Failure> {
        let requested = self.take_requested()?;
        let Requested { mut handshake, settings, headers, .. } = *requested;
        if let Some(deflate) = &settings.deflate {
            handshake = handshake.with_deflate(deflate);
        }
        let headers: Vec<(&str, &str)> = as_strs(&headers).collect();
        let accepted = handshake.accept(subprotocol, &headers, settings.limits, Delivery::Messages, &mut self.out);
        match accepted {
            Ok(connection) => {
                self.subprotocol = subprotocol.map(str::to_owned);
                let out = mem::take(&mut self.out);
                self.open(Driver::new(connection, out));
                Ok(())
            }
            Err(error) => Err(self.fail_response(error)),
        }
    }

    /// Answers the request that has arrived with this status.
    ///
    /// If the response must not be written so, the client gets 500.
    pub(crate) fn reject(&mut self, status: u16, body: &str) -> Result<(), Failure> {
        let requested = self.take_requested()?;
        let mut rejection = Rejection::text(status, body.to_owned());
        for (name, value) in requested.headers {
            rejection = rejection.header(name, value);
        }
        match rejection.write(&mut self.out) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.fail_response(error)),
        }
    }

    /// Takes the request to answer it. Unless it is accepted, the connection is refused.
    fn take_requested(&mut self) -> Result<Box<Requested>, Failure> {
        match mem::replace(&mut self.phase, Phase::Refused) {
            Phase::Requested(requested) => Ok(requested),
            other => {
                self.phase = other;
                Err(NO_REQUEST)
            }
        }
    }

    fn fail_response(&mut self, error: InvalidHeader) -> Failure {
        self.refuse(&Rejection::from(RequestError::from(error.clone())));
        error.into()
    }

    fn refuse(&mut self, rejection: &Rejection) {
        self.phase = Phase::Refused;
        // The engine's own responses have no header field that could be refused.
        let written = rejection.write(&mut self.out);
        debug_assert_eq!(written, Ok(()));
    }

    pub(crate) fn add_header(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        match &mut self.phase {
            Phase::Requested(requested) => requested.headers.push((name.to_owned(), value.to_owned())),
            _ => return Err(NO_REQUEST),
        }
        Ok(())
    }

    /// Returns the head of the request that waits for an answer.
    pub(crate) fn request(&self) -> Option<&RequestHead> {
        Some(&self.requested()?.head)
    }

    /// Returns the handshake that waits for an answer.
    pub(crate) fn handshake(&self) -> Option<&ServerHandshake> {
        Some(&self.requested()?.handshake)
    }

    fn requested(&self) -> Option<&Requested> {
        match &self.phase {
            Phase::Requested(requested) => Some(requested),
            _ => None,
        }
    }

    /// Returns whether the request is of the server's own pages, or of no browser.
    pub(crate) fn is_same_origin(&self, is_tls: bool) -> bool {
        self.handshake().is_some_and(|handshake| OriginPolicy::SameHostOr(Vec::new()).check(handshake, is_tls).is_ok())
    }

    /// Returns the subprotocol that the server has chosen.
    pub(crate) fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    pub(crate) fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), Failure> {
        Ok(self.opened()?.send(outgoing)?)
    }

    pub(crate) fn fail(&mut self, frame: CloseFrame<'_>) -> Result<(), Failure> {
        Ok(self.opened()?.fail(frame)?)
    }

    fn opened(&mut self) -> Result<&mut dyn Open, Failure> {
        match &mut self.phase {
            Phase::Open(open) => Ok(&mut **open),
            Phase::Reading { .. } | Phase::Requested(_) | Phase::Waiting(_) => {
                Err(Failure::state("the opening handshake is not done"))
            }
            Phase::Refused | Phase::Panicked => Err(Failure::state("the connection was never open")),
        }
    }

    pub(crate) fn output(&self) -> &[u8] {
        match &self.phase {
            Phase::Open(open) => open.output(),
            _ => self.out.get(self.written..).unwrap_or_default(),
        }
    }

    pub(crate) fn wrote(&mut self, count: usize) {
        if let Phase::Open(open) = &mut self.phase {
            return open.wrote(count);
        }
        self.written = self.written.saturating_add(count);
        if self.written >= self.out.len() {
            (self.out, self.written) = (Vec::new(), 0);
        }
    }

    pub(crate) fn next(&self) -> NextStep {
        match &self.phase {
            Phase::Open(open) => match open.next() {
                Next::Write => NextStep::Write,
                Next::Read => NextStep::Read,
                Next::End => NextStep::End,
            },
            _ if !self.output().is_empty() => NextStep::Write,
            Phase::Reading { .. } | Phase::Waiting(_) => NextStep::Read,
            Phase::Requested(_) => NextStep::Answer,
            Phase::Refused | Phase::Panicked => NextStep::End,
        }
    }

    pub(crate) fn state(&self) -> State {
        match &self.phase {
            Phase::Reading { .. } | Phase::Requested(_) | Phase::Waiting(_) => State::Connecting,
            Phase::Open(open) => match open.state() {
                switchboard::State::Open => State::Open,
                switchboard::State::Closing => State::Closing,
                switchboard::State::Closed => State::Closed,
            },
            Phase::Refused | Phase::Panicked => State::Closed,
        }
    }

    /// Returns whether the peer has begun something that it has not finished.
    pub(crate) fn has_unfinished(&self) -> bool {
        match &self.phase {
            Phase::Reading { reader, .. } => !reader.is_empty(),
            Phase::Waiting(_) => true,
            Phase::Open(open) => open.has_unfinished(),
            Phase::Requested(_) | Phase::Refused | Phase::Panicked => false,
        }
    }

    /// Returns the bytes on the heap that the peer's unfinished input and the last event take.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        let received = match &self.phase {
            Phase::Reading { reader, .. } => reader.allocated_bytes() as u64,
            Phase::Open(open) => open.allocated_bytes(),
            Phase::Requested(requested) => {
                (requested.head.allocated_bytes() + requested.handshake.allocated_bytes()) as u64
            }
            Phase::Waiting(_) | Phase::Refused | Phase::Panicked => 0,
        };
        received + self.payload.capacity() as u64
    }
}

fn as_strs(fields: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

const NO_REQUEST: Failure = Failure::state("there is no request to answer");

const _: () = {
    const fn may_change_threads<T: Send>() {}
    may_change_threads::<Connection>();
    const fn may_be_shared<T: Send + Sync>() {}
    may_be_shared::<Config>();
};
