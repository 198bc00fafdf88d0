//! What the targets share: an input that is read from its front, owned events, and bytes that come cut into reads.
//!
//! Inputs have a plain layout, so that a seed can be written by hand: first the choices, a byte each, last the bytes
//! that a peer would send. An input that ends early goes on with zeros, and zero is always the plainest choice. Each
//! target's doc gives its layout in these terms:
//!
//! | word | bytes | zero means |
//! |---|---|---|
//! | role | 1: bit 0 | server |
//! | deflate | the same byte: bit 1 agreed on, bits 2 and 3 takeover of the server and the client | not agreed on |
//! | limits | 1: index into [`LIMITS`] | the defaults |
//! | cuts | 1 + n: the number of lengths, then the lengths | one read |

use switchboard::{
    CloseCode, Connection, Deflate, DeflateConfig, DeflateParams, Delivery, Event, FrameHeader, Limits, Masking,
    MaskingKey, MessageKind, Opcode, ProtocolError, Receiver, Role,
};

/// The fuzzer's bytes, read from the front.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Reads `bytes` from their front.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether all has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte; 0 behind the end.
    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// The next `N` bytes; zeros behind the end.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let found = self.take(N);
        bytes[..found.len()].copy_from_slice(found);
        bytes
    }

    /// The next `length` bytes, or as many as there are.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A byte that says how many, and as many bytes.
    pub fn counted(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(usize::from(length))
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Who reads the bytes.
    pub fn role(&mut self) -> Role {
        self.one_of(&[Role::Server, Role::Client])
    }

    /// Who reads the bytes, and what was agreed on of permessage-deflate.
    pub fn role_and_deflate(&mut self) -> (Role, Option<DeflateParams>) {
        let byte = self.byte();
        let role = if byte & 1 == 0 { Role::Server } else { Role::Client };
        let params = DeflateParams {
            server_no_context_takeover: byte & 4 == 0,
            client_no_context_takeover: byte & 8 == 0,
            ..DeflateParams::default()
        };
        (role, (byte & 2 != 0).then_some(params))
    }

    /// What a receiver accepts.
    pub fn limits(&mut self) -> Limits {
        let (message, frame, empty) = self.one_of(&LIMITS);
        let mut limits = Limits::of_bytes(message);
        limits.max_frame_bytes = frame;
        limits.max_empty_frames = empty;
        limits
    }

    /// The lengths of reads.
    pub fn cuts(&mut self) -> Cuts<'a> {
        Cuts(self.counted())
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}

/// Bytes in a message, bytes in a frame, empty frames in a row: the defaults, small ones, and each of the first two
/// below the other.
pub const LIMITS: [(u64, u64, u32); 6] = [
    (16 << 20, 16 << 20, 10_000),
    (150, 150, 3),
    (1000, 1000, 3),
    (1000, 300, 0),
    (300, 1000, 1),
    (u64::MAX, u64::MAX, u32::MAX),
];

/// How bytes are cut into reads: by these lengths, over and over. No lengths, or only zeros: one read.
#[derive(Clone, Copy, Debug)]
pub struct Cuts<'a>(pub &'a [u8]);

impl Cuts<'_> {
    /// Every byte on its own.
    pub const BYTES: Cuts<'static> = Cuts(&[1]);
    /// One read.
    pub const WHOLE: Cuts<'static> = Cuts(&[]);

    /// `bytes` in pieces; some may be empty.
    pub fn of<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        let cuts = if self.0.iter().all(|&length| length == 0) { &[][..] } else { self.0 };
        let mut lengths = cuts.iter().cycle();
        let mut rest = bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let length = lengths.next().map_or(rest.len(), |&length| usize::from(length).min(rest.len()));
            let (piece, after) = rest.split_at(length);
            rest = after;
            Some(piece)
        })
    }
}

/// An event that owns its payload. Pieces are joined to messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A text or binary message.
    Message(MessageKind, Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// A Close, its code and reason.
    Close(Option<(CloseCode, String)>),
}

/// A receiver, and all that it gave.
pub struct Recorder {
    /// The engine's receiving half.
    pub receiver: Receiver,
    /// The events.
    pub seen: Vec<Seen>,
    /// What they ended with.
    pub violation: Option<ProtocolError>,
    /// The pieces of a message that is unfinished, joined.
    pub unfinished: Option<(MessageKind, Vec<u8>)>,
}

impl Recorder {
    /// The receiving half of a connection in this role.
    #[must_use]
    pub fn new(role: Role, limits: Limits, delivery: Delivery, deflate: Option<DeflateParams>) -> Self {
        Self::sharing(&shared_deflate(), role, limits, delivery, deflate)
    }

    /// The same, with inflaters of `shared`.
    #[must_use]
    pub fn sharing(
        shared: &Deflate,
        role: Role,
        limits: Limits,
        delivery: Delivery,
        deflate: Option<DeflateParams>,
    ) -> Self {
        let receiver = match role {
            Role::Server => with_deflate(Connection::server(limits, delivery), shared, deflate).receiver,
            Role::Client => with_deflate(Connection::client(key, limits, delivery), shared, deflate).receiver,
        };
        Self { receiver, seen: Vec::new(), violation: None, unfinished: None }
    }

    /// The same, after it has received all of `bytes`.
    #[must_use]
    pub fn after(mut self, bytes: &[u8], cuts: Cuts<'_>) -> Self {
        for piece in cuts.of(bytes) {
            self.receive(piece);
        }
        self
    }

    /// Takes one read's bytes.
    pub fn receive(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut events = self.receiver.receive(&mut bytes);
        loop {
            match events.next_event() {
                Ok(Some(event)) => record(&mut self.seen, &mut self.unfinished, event),
                Ok(None) => return,
                Err(error) => {
                    assert_eq!(events.next_event(), Ok(None), "nothing comes after a violation");
                    assert_eq!(self.violation.replace(error), None, "one violation");
                }
            }
        }
    }

    /// Takes one read's bytes, but inflates as little as it can before it gives the rest again.
    pub fn receive_by_step(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut unread = bytes.len();
        while unread > 0 || self.receiver.is_paused() {
            let start = bytes.len() - unread;
            let mut events = self.receiver.receive(&mut bytes[start..]).with_inflate_budget(1);
            loop {
                match events.next_event() {
                    Ok(Some(event)) => record(&mut self.seen, &mut self.unfinished, event),
                    Ok(None) => break,
                    Err(error) => assert_eq!(self.violation.replace(error), None, "one violation"),
                }
            }
            unread = events.unread();
        }
    }

    /// Takes one read's bytes, but stops after each event and gives the rest again.
    pub fn receive_by_event(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut unread = bytes.len();
        while unread > 0 {
            let start = bytes.len() - unread;
            let mut events = self.receiver.receive(&mut bytes[start..]);
            match events.next_event() {
                Ok(Some(event)) => record(&mut self.seen, &mut self.unfinished, event),
                Ok(None) => assert_eq!(events.unread(), 0, "no event, so all is read"),
                Err(error) => assert_eq!(self.violation.replace(error), None, "one violation"),
            }
            unread = events.unread();
        }
    }
}

/// What a compressed message inflates to by the naive inflater, which remembers what came before.
pub struct NaiveInflater(switchboard_tests::rfc1951::Inflated);

impl NaiveInflater {
    /// Nothing came before; messages are at most so long.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(switchboard_tests::rfc1951::Inflated::new(15).at_most(most))
    }

    /// The next message, if it is one.
    ///
    /// # Errors
    /// Whether it is too long; else it is malformed.
    pub fn message(&mut self, message: &[u8]) -> Result<Vec<u8>, bool> {
        self.0.message(message).map_err(|fault| fault == switchboard_tests::rfc1951::TOO_LONG)
    }

    /// Forgets what came before.
    pub fn start_afresh(&mut self) {
        self.0.start_afresh();
    }
}

fn key() -> MaskingKey {
    MaskingKey([0; 4])
}

/// Room for the windows of some connections.
#[must_use]
pub fn shared_deflate() -> Deflate {
    let mut config = DeflateConfig::default();
    config.memory_bytes = 8 << 20;
    Deflate::new(config)
}

/// A connection with what was agreed on, if anything was.
///
/// # Panics
/// Where `shared` has no room for a window.
#[must_use]
pub fn with_deflate<M: Masking>(
    connection: Connection<M>,
    shared: &Deflate,
    params: Option<DeflateParams>,
) -> Connection<M> {
    match params {
        Some(params) => connection.with_deflate(shared, params).expect("there is room for a window"),
        None => connection,
    }
}

fn record(seen: &mut Vec<Seen>, unfinished: &mut Option<(MessageKind, Vec<u8>)>, event: Event<'_>) {
    seen.push(match event {
        Event::Text(text) => Seen::Message(MessageKind::Text, text.into()),
        Event::Binary(bytes) => Seen::Message(MessageKind::Binary, bytes.into()),
        Event::Ping(payload) => Seen::Ping(payload.into()),
        Event::Pong(payload) => Seen::Pong(payload.into()),
        Event::Close(frame) => Seen::Close(frame.map(|frame| (frame.code, frame.reason.into()))),
        Event::Piece(piece) => {
            assert_eq!(piece.first, unfinished.is_none(), "the first piece, and only it, begins a message");
            let (kind, mut whole) = unfinished.take().unwrap_or((piece.kind, Vec::new()));
            assert_eq!(piece.kind, kind, "all pieces are of one kind");
            whole.extend(piece.payload);
            if !piece.last {
                *unfinished = Some((kind, whole));
                return;
            }
            Seen::Message(kind, whole)
        }
        other => panic!("an event that the targets do not know: {other:?}"),
    });
}

/// Whether two errors name the same violation. Of a length that is too great, only what was seen of it may differ.
#[must_use]
pub fn same_violation(one: Option<ProtocolError>, other: Option<ProtocolError>) -> bool {
    use ProtocolError::{FrameTooLong, MessageTooLong};
    match (one, other) {
        (Some(FrameTooLong { limit: a, .. }), Some(FrameTooLong { limit: b, .. }))
        | (Some(MessageTooLong { limit: a, .. }), Some(MessageTooLong { limit: b, .. })) => a == b,
        _ => one == other,
    }
}

/// The key in frames that a target masks itself.
pub const KEY: MaskingKey = MaskingKey([0x37, 0xfa, 0x21, 0x3d]);

/// Appends a frame as `to` expects it, masked for a server, and gives the place of its payload.
pub fn append_frame(wire: &mut Vec<u8>, to: Role, fin: bool, opcode: Opcode, payload: &[u8]) -> usize {
    let mask = (to == Role::Server).then_some(KEY);
    let header = FrameHeader { fin, rsv1: false, opcode, mask, payload_len: payload.len() as u64 };
    wire.extend_from_slice(&header.encode());
    let start = wire.len();
    match mask {
        Some(MaskingKey(key)) => wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key)),
        None => wire.extend(payload),
    }
    start
}

/// What the standard library says of a text: where its first byte stands that no valid text could have there, or the
/// end where it is cut off.
///
/// # Errors
/// The place.
pub fn utf8_by_std(text: &[u8]) -> Result<(), usize> {
    let Err(error) = std::str::from_utf8(text) else { return Ok(()) };
    let start = error.valid_up_to();
    // The first prefix that is not merely cut off ends with the byte that decides.
    let decides = |end: &usize| std::str::from_utf8(&text[start..*end]).is_err_and(|e| e.error_len().is_some());
    Err((start + 1..=text.len()).find(decides).map_or(text.len(), |end| end - 1))
}
