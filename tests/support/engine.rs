//! Helpers for tests of the engine: owned events, frames built by hand, table rows, transcripts, and a client connected
//! to a server.

use switchboard::{
    CloseCode, CloseFrame, Connection, Delivery, Driver, Event, Limits, Masked, Masking, MaskingKey, MessageKind, Next,
    ProtocolError, Receiver, Reply, Role, SendError, State, Unmasked,
};

use super::{hex, to_hex};

/// An event that owns its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedEvent {
    Text(String),
    Binary(Vec<u8>),
    Piece { kind: MessageKind, payload: Vec<u8>, first: bool, last: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(CloseCode, String)>),
}

impl From<Event<'_>> for OwnedEvent {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.into()),
            Event::Binary(payload) => Self::Binary(payload.into()),
            Event::Piece(piece) => {
                Self::Piece { kind: piece.kind, payload: piece.payload.into(), first: piece.first, last: piece.last }
            }
            Event::Ping(payload) => Self::Ping(payload.into()),
            Event::Pong(payload) => Self::Pong(payload.into()),
            Event::Close(frame) => Self::Close(frame.map(|frame| (frame.code, frame.reason.into()))),
            other => panic!("unknown event: {other:?}"),
        }
    }
}

pub fn text(text: &str) -> OwnedEvent {
    OwnedEvent::Text(text.into())
}

pub fn binary(payload: &[u8]) -> OwnedEvent {
    OwnedEvent::Binary(payload.into())
}

pub fn ping(payload: &[u8]) -> OwnedEvent {
    OwnedEvent::Ping(payload.into())
}

pub fn pong(payload: &[u8]) -> OwnedEvent {
    OwnedEvent::Pong(payload.into())
}

pub fn close(code: u16, reason: &str) -> OwnedEvent {
    OwnedEvent::Close(Some((CloseCode::new(code), reason.into())))
}

/// The event of a Close frame without a code.
pub const CLOSE_WITHOUT_CODE: OwnedEvent = OwnedEvent::Close(None);

/// No close code, for the step `close` of a [`transcript!`].
pub const WITHOUT_CODE: Option<CloseCode> = None;

/// Returns all events in `bytes`, and the violation that ends them.
pub fn receive(receiver: &mut Receiver, bytes: &[u8]) -> (Vec<OwnedEvent>, Option<ProtocolError>) {
    let mut bytes = bytes.to_vec();
    let mut events = receiver.receive(&mut bytes);
    let mut seen = Vec::new();
    loop {
        match events.next_event() {
            Ok(Some(event)) => seen.push(event.into()),
            Ok(None) => return (seen, None),
            Err(error) => {
                assert_eq!(events.next_event(), Ok(None), "nothing comes after {error:?}");
                return (seen, Some(error));
            }
        }
    }
}

/// Does the same as [`receive`] with reads of these lengths.
pub fn receive_cut(
    receiver: &mut Receiver,
    bytes: &[u8],
    lengths: impl IntoIterator<Item = usize>,
) -> (Vec<OwnedEvent>, Option<ProtocolError>) {
    let (mut seen, mut failure, mut rest) = (Vec::new(), None, bytes);
    for length in lengths {
        let (now, later) = rest.split_at(length);
        let (more, error) = receive(receiver, now);
        seen.extend(more);
        assert!(failure.is_none() || error.is_none(), "two failures");
        failure = failure.or(error);
        rest = later;
    }
    assert!(rest.is_empty(), "the lengths cover all bytes");
    (seen, failure)
}

/// Receives `bytes` and returns the number of events.
pub fn count_events(receiver: &mut Receiver, bytes: &mut [u8]) -> usize {
    let mut events = receiver.receive(bytes);
    let mut count = 0;
    while let Some(event) = events.next_event().expect("valid frames") {
        std::hint::black_box(&event);
        count += 1;
    }
    count
}

/// The receiving half of a connection in this role.
pub fn receiver(role: Role, limits: Limits, delivery: Delivery) -> Receiver {
    match role {
        Role::Server => Connection::server(limits, delivery).receiver,
        Role::Client => Connection::client(|| KEY, limits, delivery).receiver,
    }
}

/// The masking key of all frames that the tests build by hand.
pub const KEY: MaskingKey = MaskingKey([0x37, 0xfa, 0x21, 0x3d]);

/// Builds a frame for a receiver in the role `to`, masked if that is a server. `first` is the whole first byte. The
/// length takes its shortest form. Written from §5.2, without the engine's encoder.
pub fn frame(to: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask_bit = if to == Role::Server { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(mask_bit | short as u8),
        length @ 126..=65535 => {
            bytes.push(mask_bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(mask_bit | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    match to {
        Role::Server => {
            bytes.extend(KEY.0);
            bytes.extend(payload.iter().zip(KEY.0.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        Role::Client => bytes.extend(payload),
    }
    bytes
}

/// Frames to build, each a first byte and a payload.
pub type Frames<'a> = &'a [(u8, &'a [u8])];

/// Builds frames one after another; see [`frame`].
pub fn frames(to: Role, list: Frames<'_>) -> Vec<u8> {
    list.iter().flat_map(|(first, payload)| frame(to, *first, payload)).collect()
}

pub const BOTH_ROLES: [Role; 2] = [Role::Server, Role::Client];

/// One row of a table: wire bytes, the events in them, and the violation that their **last** byte shows.
pub struct Row<'a> {
    pub name: &'a str,
    /// The role of the receiver.
    pub role: Role,
    pub limits: Limits,
    pub wire: Vec<u8>,
    pub events: Vec<OwnedEvent>,
    pub violation: Option<ProtocolError>,
}

impl<'a> Row<'a> {
    /// A row whose bytes are accepted, with the events in them.
    pub fn accepted(name: &'a str, role: Role, wire: Vec<u8>, events: Vec<OwnedEvent>) -> Self {
        Self { name, role, limits: Limits::default(), wire, events, violation: None }
    }

    /// A row whose last byte shows a violation.
    pub fn fails(name: &'a str, role: Role, wire: Vec<u8>, violation: ProtocolError) -> Self {
        Self { name, role, limits: Limits::default(), wire, events: Vec::new(), violation: Some(violation) }
    }

    /// The events before the violation.
    pub fn after(self, events: Vec<OwnedEvent>) -> Self {
        Self { events, ..self }
    }

    /// The receiver's limits, if not the default.
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Runs the row whole, byte by byte, behind another frame and with another frame behind it.
    pub fn check(&self) {
        let Self { name, role, limits, wire, events, violation } = self;
        let new = || receiver(*role, *limits, Delivery::Messages);

        let mut whole = new();
        assert_eq!(receive(&mut whole, wire), (events.clone(), *violation), "{name} ({role:?}), whole");
        assert_eq!(whole.has_failed(), violation.is_some(), "{name} ({role:?}): has it failed?");

        let mut bytewise = new();
        let all_but_last = wire.len() - 1;
        let (mut seen, early) = receive_cut(&mut bytewise, &wire[..all_but_last], (0..all_but_last).map(|_| 1));
        assert_eq!(early, None, "{name} ({role:?}), before the byte that shows it");
        let (more, error) = receive(&mut bytewise, &wire[all_but_last..]);
        seen.extend(more);
        assert_eq!((seen, error), (events.clone(), *violation), "{name} ({role:?}), byte by byte");

        let first = frame(*role, 0x8A, b"first");
        let (seen, error) = receive(&mut new(), &[&first, wire.as_slice()].concat());
        assert_eq!(seen[0], pong(b"first"), "{name} ({role:?}), behind a frame");
        assert_eq!((&seen[1..], error), (events.as_slice(), *violation), "{name} ({role:?}), behind a frame");

        // More bytes may make a length that is too great even greater, so only the rule is compared.
        let next = frame(*role, 0x89, b"next");
        let ended = violation.is_some() || matches!(events.last(), Some(OwnedEvent::Close(_)));
        let expected: Vec<OwnedEvent> = events.iter().cloned().chain((!ended).then(|| ping(b"next"))).collect();
        let (seen, error) = receive(&mut new(), &[wire.as_slice(), &next].concat());
        assert_eq!(seen, expected, "{name} ({role:?}), with a frame behind it");
        assert_eq!(rule(error), rule(*violation), "{name} ({role:?}), with a frame behind it: {error:?}");

        // The other frame may also come in a later read.
        let expected = if ended { vec![] } else { vec![ping(b"next")] };
        assert_eq!(receive(&mut bytewise, &next), (expected, None), "{name} ({role:?}), and a frame later");
        assert!(!bytewise.has_unfinished() && bytewise.buffered_bytes() == 0, "{name} ({role:?}) keeps nothing");
    }
}

/// The rule that an error names, without its numbers.
pub fn rule(error: Option<ProtocolError>) -> Option<std::mem::Discriminant<ProtocolError>> {
    error.as_ref().map(std::mem::discriminant)
}

/// Runs the steps of a [`transcript!`]: on the two halves of a connection, with the loop that the engine's contract
/// asks for, and on a [`Driver`], which must do the same.
pub struct Script<M: Masking> {
    connection: Connection<M>,
    out: Vec<u8>,
    driver: Driver<M>,
}

type Keys = fn() -> MaskingKey;

impl Script<Unmasked> {
    pub fn server() -> Self {
        let new = || Connection::server(Limits::default(), Delivery::Messages);
        Self { connection: new(), out: Vec::new(), driver: Driver::new(new(), Vec::new()) }
    }
}

impl Script<Masked<Keys>> {
    /// Its masking keys are 0, so that the payloads it sends are readable.
    pub fn client() -> Self {
        let keys: Keys = || MaskingKey([0; 4]);
        let new = || Connection::client(keys, Limits::default(), Delivery::Messages);
        Self { connection: new(), out: Vec::new(), driver: Driver::new(new(), Vec::new()) }
    }
}

impl<M: Masking> Script<M> {
    /// Receives bytes, writes the replies that the engine's contract asks for, and compares the events.
    pub fn recv(&mut self, bytes: &str, expected: &[OwnedEvent], violation: Option<ProtocolError>) {
        let mut input = hex(bytes);
        let mut seen = Vec::new();
        let mut failure = None;
        let mut events = self.connection.receiver.receive(&mut input);
        loop {
            match events.next_event() {
                Ok(Some(event)) => {
                    if let Some(reply) = event.reply() {
                        self.connection.sender.reply(reply, &mut self.out).expect("a Vec has room");
                    }
                    seen.push(event.into());
                }
                Ok(None) => break,
                Err(error) => {
                    self.connection.sender.fail(&error, &mut self.out).expect("a Vec has room");
                    failure = Some(error);
                }
            }
        }
        assert_eq!((seen.as_slice(), failure), (expected, violation), "recv {bytes:?}");
        assert_eq!(drive(&mut self.driver, &mut hex(bytes)), (seen, failure), "the driver: recv {bytes:?}");
        self.agree();
    }

    pub fn close(&mut self, code: impl Into<Option<CloseCode>>) -> Result<(), SendError> {
        let frame = code.into().map(|code| CloseFrame { code, reason: "" });
        let sent = self.connection.sender.close(frame, &mut self.out);
        assert_eq!(self.driver.outgoing().close(frame), sent, "the driver: close");
        self.agree();
        sent
    }

    pub fn text(&mut self, text: &str) -> Result<(), SendError> {
        let sent = self.connection.sender.text(text, &mut self.out);
        assert_eq!(self.driver.outgoing().text(text), sent, "the driver: text");
        self.agree();
        sent
    }

    /// Sends a fragment that is not the last.
    pub fn begin(&mut self, text: &str) -> Result<(), SendError> {
        self.fragment(text, false)
    }

    /// Sends the last fragment.
    pub fn finish(&mut self, text: &str) -> Result<(), SendError> {
        self.fragment(text, true)
    }

    fn fragment(&mut self, text: &str, fin: bool) -> Result<(), SendError> {
        let sent = self.connection.sender.text_fragment(text, fin, &mut self.out);
        assert_eq!(self.driver.outgoing().text_fragment(text, fin), sent, "the driver: a fragment");
        self.agree();
        sent
    }

    pub fn ping(&mut self, payload: &str) -> Result<(), SendError> {
        let sent = self.connection.sender.ping(payload.as_bytes(), &mut self.out);
        assert_eq!(self.driver.outgoing().ping(payload.as_bytes()), sent, "the driver: ping");
        self.agree();
        sent
    }

    /// Compares all bytes written since the last `sent`.
    pub fn sent(&mut self, bytes: &str) {
        assert_eq!(to_hex(&std::mem::take(&mut self.out)), to_hex(&hex(bytes)), "sent");
        self.driver.wrote(self.driver.output().len());
        self.agree();
    }

    pub fn state(&self, expected: State) {
        assert_eq!(self.connection.state(), expected, "state");
    }

    pub fn done(&self) {
        assert_eq!(to_hex(&self.out), "", "the transcript ends, but these bytes were sent too");
    }

    /// Asserts that the driver is in the same state, has the same output, and asks for what fits them.
    fn agree(&self) {
        assert_eq!(to_hex(self.driver.output()), to_hex(&self.out), "the driver's output");
        assert_eq!(self.driver.state(), self.connection.state(), "the driver's state");
        let next = match self.connection.state() {
            _ if !self.out.is_empty() => Next::Write,
            State::Closed => Next::End,
            _ => Next::Read,
        };
        assert_eq!(self.driver.next(), next, "what the driver asks for");
    }
}

/// Returns all events that a driver finds in `bytes`, and the violation that ends them.
pub fn drive<M: Masking>(driver: &mut Driver<M>, bytes: &mut [u8]) -> (Vec<OwnedEvent>, Option<ProtocolError>) {
    let (mut events, mut outgoing) = driver.receive(bytes);
    let mut seen = Vec::new();
    loop {
        match events.next_event(&mut outgoing) {
            Ok(Some(event)) => seen.push(event.into()),
            Ok(None) => return (seen, None),
            Err(error) => {
                assert_eq!(events.next_event(&mut outgoing), Ok(None), "nothing comes after {error:?}");
                return (seen, Some(error));
            }
        }
    }
}

/// Runs a connection through a list of steps. The steps `sent` must name every byte that it writes. It writes Pongs,
/// the reply to a Close and the Close after a violation by itself, as the engine's contract says.
///
/// ```text
/// transcript! { Role::Server;
///     recv "89 80 00000000" => ping(b"");
///     sent "8a 00";
///     close CloseCode::GOING_AWAY;
///     sent "88 02 03e9";
///     state State::Closing;
///     text "late" => SendError::Closed;
/// }
/// ```
#[macro_export]
macro_rules! transcript {
    (Role::Server; $($steps:tt)*) => {
        transcript!(@run $crate::engine::Script::server(); $($steps)*)
    };
    (Role::Client; $($steps:tt)*) => {
        transcript!(@run $crate::engine::Script::client(); $($steps)*)
    };
    (@run $script:expr; $($steps:tt)*) => {{
        let mut script = $script;
        transcript!(@step script; $($steps)*);
        script.done();
    }};
    (@step $script:ident;) => {};
    (@step $script:ident; recv $bytes:literal fails $error:expr; $($steps:tt)*) => {
        $script.recv($bytes, &[], Some($error));
        transcript!(@step $script; $($steps)*);
    };
    (@step $script:ident; recv $bytes:literal $(=> $($event:expr),+)?; $($steps:tt)*) => {
        $script.recv($bytes, &[$($($event),+)?], None);
        transcript!(@step $script; $($steps)*);
    };
    (@step $script:ident; sent $bytes:literal; $($steps:tt)*) => {
        $script.sent($bytes);
        transcript!(@step $script; $($steps)*);
    };
    (@step $script:ident; state $state:expr; $($steps:tt)*) => {
        $script.state($state);
        transcript!(@step $script; $($steps)*);
    };
    (@step $script:ident; $command:ident $argument:expr; $($steps:tt)*) => {
        assert_eq!($script.$command($argument), Ok(()), "{} {:?}", stringify!($command), $argument);
        transcript!(@step $script; $($steps)*);
    };
    (@step $script:ident; $command:ident $argument:expr => $error:expr; $($steps:tt)*) => {
        assert_eq!($script.$command($argument), Err($error), "{} {:?}", stringify!($command), $argument);
        transcript!(@step $script; $($steps)*);
    };
}
pub use transcript;

/// One end of a [`Pair`]: its connection, and what went through it.
pub struct End<M: Masking> {
    pub connection: Connection<M>,
    /// Bytes that the other end has not read yet.
    pub out: Vec<u8>,
    /// The events that the other end must see, in this order. [`read`](Self::read) adds the replies; the test adds all
    /// else.
    pub sent_events: Vec<OwnedEvent>,
    pub seen: Vec<OwnedEvent>,
}

impl<M: Masking> End<M> {
    fn new(connection: Connection<M>) -> Self {
        Self { connection, out: Vec::new(), sent_events: Vec::new(), seen: Vec::new() }
    }

    /// Reads `bytes`, which the other end wrote, and writes the replies that the RFC requires.
    pub fn read(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut events = self.connection.receiver.receive(&mut bytes);
        while let Some(event) = events.next_event().expect("our own frames are valid") {
            if let Some(reply) = event.reply() {
                let replies = self.connection.sender.is_open();
                self.connection.sender.reply(reply, &mut self.out).expect("a Vec has room");
                self.sent_events.extend(replies.then(|| match reply {
                    Reply::Pong(payload) => pong(payload),
                    Reply::Close(code) => OwnedEvent::Close(code.map(|code| (code, String::new()))),
                }));
            }
            self.seen.push(event.into());
        }
    }
}

/// A client and a server that read what the other writes.
pub struct Pair<F: FnMut() -> MaskingKey> {
    pub client: End<Masked<F>>,
    pub server: End<Unmasked>,
}

impl<F: FnMut() -> MaskingKey> Pair<F> {
    pub fn new(keys: F, limits: Limits, delivery: Delivery) -> Self {
        Self {
            client: End::new(Connection::client(keys, limits, delivery)),
            server: End::new(Connection::server(limits, delivery)),
        }
    }

    /// The server reads the first `length` bytes of what the client wrote.
    pub fn server_reads(&mut self, length: usize) {
        let bytes: Vec<u8> = self.client.out.drain(..length).collect();
        self.server.read(&bytes);
    }

    /// The client reads the first `length` bytes of what the server wrote.
    pub fn client_reads(&mut self, length: usize) {
        let bytes: Vec<u8> = self.server.out.drain(..length).collect();
        self.client.read(&bytes);
    }

    /// Lets both ends read until neither writes any more bytes.
    pub fn settle(&mut self) {
        while !(self.client.out.is_empty() && self.server.out.is_empty()) {
            self.server_reads(self.client.out.len());
            self.client_reads(self.server.out.len());
        }
    }
}
