//! What the fuzz targets share: a reader for the input, owned events, and bytes that arrive in several reads.
//!
//! Inputs have a simple layout, so that a seed can be written by hand: first the choices, one byte each, then the bytes
//! from the peer. A missing byte counts as zero, and zero is always the simplest choice. The doc of each target gives
//! its layout in these terms:
//!
//! | word | bytes | zero means |
//! |---|---|---|
//! | role | 1: bit 0 | server |
//! | deflate | the same byte: bit 1 negotiated, bits 2 and 3 context takeover of server and client | not negotiated |
//! | limits | 1: index into [`LIMITS`] | the defaults |
//! | cuts | 1 + n: the number of lengths, then the lengths | one read |

use switchboard::{
    CloseCode, Connection, Deflate, DeflateConfig, DeflateParams, Delivery, Event, FrameHeader, Limits, Masking,
    MaskingKey, MessageKind, Opcode, ProtocolError, Receiver, Role, SpareBuffer,
};

/// The input of a fuzz target, read from its start.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Makes a reader of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns whether all bytes have been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the next byte; 0 after the end.
    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// Reads the next `N` bytes; zeros after the end.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let found = self.take(N);
        bytes[..found.len()].copy_from_slice(found);
        bytes
    }

    /// Reads the next `length` bytes, or all that are left.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Reads a byte with a length, and that many bytes.
    pub fn counted(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(usize::from(length))
    }

    /// Reads a byte that selects one of `choices`.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Reads the role of the receiver.
    pub fn role(&mut self) -> Role {
        self.one_of(&[Role::Server, Role::Client])
    }

    /// Reads the role of the receiver, and the negotiated parameters of permessage-deflate.
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

    /// Reads the limits of the receiver.
    pub fn limits(&mut self) -> Limits {
        let (message, frame, empty) = self.one_of(&LIMITS);
        let mut limits = Limits::of_bytes(message);
        limits.max_frame_bytes = frame;
        limits.max_empty_frames = empty;
        limits
    }

    /// Reads the lengths of reads.
    pub fn cuts(&mut self) -> Cuts<'a> {
        Cuts(self.counted())
    }

    /// Reads all remaining bytes.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}

/// Limits: bytes in a message, bytes in a frame, empty frames in a row. The defaults, small ones, and two where one of
/// the first two is below the other.
pub const LIMITS: [(u64, u64, u32); 6] = [
    (16 << 20, 16 << 20, 10_000),
    (150, 150, 3),
    (1000, 1000, 3),
    (1000, 300, 0),
    (300, 1000, 1),
    (u64::MAX, u64::MAX, u32::MAX),
];

/// How bytes are cut into reads: by these lengths, repeated. Without lengths, or with zeros only, there is one read.
#[derive(Clone, Copy, Debug)]
pub struct Cuts<'a>(pub &'a [u8]);

impl Cuts<'_> {
    /// One read per byte.
    pub const BYTES: Cuts<'static> = Cuts(&[1]);
    /// One read.
    pub const WHOLE: Cuts<'static> = Cuts(&[]);

    /// Returns `bytes` in pieces, of which some may be empty.
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

/// An event that owns its payload. Pieces have been joined to messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A text or binary message.
    Message(MessageKind, Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// A Close with its code and reason.
    Close(Option<(CloseCode, String)>),
}

/// A receiver that records all its events.
pub struct Recorder {
    /// The engine's receiving half.
    pub receiver: Receiver,
    /// The events.
    pub seen: Vec<Seen>,
    /// The error after the events, if any.
    pub violation: Option<ProtocolError>,
    /// The joined pieces of an unfinished message.
    pub unfinished: Option<(MessageKind, Vec<u8>)>,
}

impl Recorder {
    /// Makes the receiving half of a connection in this role.
    #[must_use]
    pub fn new(role: Role, limits: Limits, delivery: Delivery, deflate: Option<DeflateParams>) -> Self {
        Self::sharing(&shared_deflate(), role, limits, delivery, deflate)
    }

    /// Makes the receiving half of a connection that uses the inflaters of `shared`.
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

    /// Returns the recorder after it has received all of `bytes`.
    #[must_use]
    pub fn after(mut self, bytes: &[u8], cuts: Cuts<'_>) -> Self {
        for piece in cuts.of(bytes) {
            self.receive(piece);
        }
        self
    }

    /// Receives the bytes of one read.
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

    /// Receives the bytes of one read, but inflates as little as possible before it gives the rest again.
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

    /// Receives the bytes of one read, but stops after each event and gives the rest again.
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

    /// Receives `bytes` in reads of at most these lengths, in turn, or as long as advised: into a room whenever there
    /// is one, and large messages into a spare buffer of at most `max_spare` bytes.
    ///
    /// # Panics
    /// If the receiver allocates more than twice what has arrived, or than the spare buffer.
    pub fn receive_in_rooms(&mut self, bytes: &[u8], lengths: &[usize], max_spare: usize) {
        let (mut buffer, mut spare) = (vec![0; 128 << 10], SpareBuffer::new(max_spare));
        let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
        while !rest.is_empty() {
            let length = lengths.next().copied().unwrap_or(usize::MAX).min(rest.len());
            let mut events = match self.receiver.room(&mut buffer) {
                Some(mut room) => {
                    let vec = room.vec();
                    let (now, later) = rest.split_at(length.min(vec.capacity() - vec.len()));
                    vec.extend_from_slice(now);
                    rest = later;
                    room.receive()
                }
                None => {
                    let (now, later) = rest.split_at(length.min(self.receiver.read_limit(buffer.len())));
                    buffer[..now.len()].copy_from_slice(now);
                    rest = later;
                    self.receiver.receive(&mut buffer[..now.len()])
                }
            }
            .with_spare(&mut spare);
            loop {
                match events.next_event() {
                    Ok(Some(event)) => record(&mut self.seen, &mut self.unfinished, event),
                    Ok(None) => break,
                    Err(error) => assert_eq!(self.violation.replace(error), None, "one violation"),
                }
            }
            let allocated = self.receiver.allocated_bytes();
            let twice = 2 * self.receiver.buffered_bytes();
            assert!(
                allocated <= twice.max(max_spare as u64) + 1_000,
                "{allocated} bytes, twice what has arrived: {twice}"
            );
        }
    }
}

/// A naive inflater for compressed messages, with context takeover.
pub struct NaiveInflater(switchboard_tests::rfc1951::Inflater);

impl NaiveInflater {
    /// Makes an inflater without context, for messages of at most `max_bytes` bytes.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self(switchboard_tests::rfc1951::Inflater::new(15).with_limit(max_bytes))
    }

    /// Inflates the next message.
    ///
    /// # Errors
    /// `true` if the message is too long, `false` if it is malformed.
    pub fn message(&mut self, message: &[u8]) -> Result<Vec<u8>, bool> {
        self.0.inflate(message).map_err(|fault| fault == switchboard_tests::rfc1951::TOO_LONG)
    }

    /// Drops the context.
    pub fn start_afresh(&mut self) {
        self.0.reset();
    }
}

fn key() -> MaskingKey {
    MaskingKey([0; 4])
}

/// Makes a [`Deflate`] with memory for the context takeover of several connections.
#[must_use]
pub fn shared_deflate() -> Deflate {
    let mut config = DeflateConfig::default();
    config.memory_bytes = 8 << 20;
    Deflate::new(config)
}

/// Adds permessage-deflate with these parameters to a connection, if it was negotiated.
///
/// # Panics
/// If the budget of `shared` is spent.
#[must_use]
pub fn with_deflate<M: Masking>(
    connection: Connection<M>,
    shared: &Deflate,
    params: Option<DeflateParams>,
) -> Connection<M> {
    match params {
        Some(params) => connection.with_deflate(shared, params).expect("the budget is large enough"),
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
            assert_eq!(piece.first, unfinished.is_none(), "the first piece, and only that one, starts a message");
            let (kind, mut whole) = unfinished.take().unwrap_or((piece.kind, Vec::new()));
            assert_eq!(piece.kind, kind, "all pieces are of one kind");
            whole.extend(piece.payload);
            if !piece.last {
                *unfinished = Some((kind, whole));
                return;
            }
            Seen::Message(kind, whole)
        }
        other => panic!("the fuzz targets do not know this event: {other:?}"),
    });
}

/// Returns whether two errors are the same violation. The lower bound of a length that is too great may differ.
#[must_use]
pub fn same_violation(one: Option<ProtocolError>, other: Option<ProtocolError>) -> bool {
    use ProtocolError::{FrameTooLong, MessageTooLong};
    match (one, other) {
        (Some(FrameTooLong { limit: a, .. }), Some(FrameTooLong { limit: b, .. }))
        | (Some(MessageTooLong { limit: a, .. }), Some(MessageTooLong { limit: b, .. })) => a == b,
        _ => one == other,
    }
}

/// The key of frames that a fuzz target masks itself.
pub const KEY: MaskingKey = MaskingKey([0x37, 0xfa, 0x21, 0x3d]);

/// Appends a frame as `to` expects it, masked for a server, and returns the offset of its payload.
pub fn append_frame(wire: &mut Vec<u8>, to: Role, fin: bool, opcode: Opcode, payload: &[u8]) -> usize {
    let mask = (to == Role::Server).then_some(KEY);
    let header = FrameHeader { fin, rsv1: false, opcode, mask, payload_len: payload.len() as u64 };
    wire.extend_from_slice(header.encode().as_ref());
    let start = wire.len();
    match mask {
        Some(MaskingKey(key)) => wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key)),
        None => wire.extend(payload),
    }
    start
}

/// Checks a text with the standard library.
///
/// # Errors
/// The offset of the first byte that no valid text could have there, or the end if the text is cut off.
pub fn utf8_by_std(text: &[u8]) -> Result<(), usize> {
    let Err(error) = std::str::from_utf8(text) else { return Ok(()) };
    let start = error.valid_up_to();
    // The first prefix that is not merely cut off ends with the invalid byte.
    let decides = |end: &usize| std::str::from_utf8(&text[start..*end]).is_err_and(|e| e.error_len().is_some());
    Err((start + 1..=text.len()).find(decides).map_or(text.len(), |end| end - 1))
}
