//! The receiving half ([§6.2], [§7]): bytes become events, in place.
//!
//! Only what is unfinished at the end of the input is kept: the start of a header inline, anything else in one box,
//! which an idle connection does not own. Nothing is sent here.
//!
//! [§6.2]: https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//! [§7]: https://www.rfc-editor.org/rfc/rfc6455#section-7

mod events;
mod inflate;
mod read_limit;
mod room;

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use self::read_limit::LastLength;
pub use self::{events::Events, room::Room};
use super::{
    CloseCode, CloseFrame, Delivery, FrameHeader, HeaderRules, Limits, MessageKind, ProtocolError, Role,
    deflate::Inflating,
    frame::{MAX_HEADER_BYTES, PartialFrame},
    message::PartialMessage,
};

/// A message or a control frame from the peer.
///
/// The payload borrows from the bytes given to [`Receiver::receive`], or from [`Events`] if a message did not arrive in
/// one piece.
///
/// ```rust
/// use switchboard::{Connection, Delivery, Event, Limits};
///
/// let Connection { mut receiver, mut sender } = Connection::server(Limits::default(), Delivery::Messages);
/// let (mut ping, mut out) = ([0x89, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2], Vec::new());
/// let mut events = receiver.receive(&mut ping);
/// while let Some(event) = events.next_event()? {
///     match event {
///         Event::Text(text) => println!("{text}"),
///         event => event.reply().map_or(Ok(()), |reply| sender.reply(reply, &mut out))?,
///     }
/// }
/// assert_eq!(out, b"\x8a\x02hi"); // a Pong
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A piece of a message, with [`Delivery::Pieces`] only.
    Piece(Piece<'a>),
    /// A Ping. Send its [`reply`](Self::reply) as soon as practical (§5.5.2).
    Ping(&'a [u8]),
    /// A Pong, solicited or not (§5.5.3).
    Pong(&'a [u8]),
    /// The peer's Close frame: the last event. Its [`reply`](Self::reply) completes the closing handshake (§5.5.1).
    Close(Option<CloseFrame<'a>>),
}

/// A piece of a message's payload, as it arrived.
///
/// The boundaries of pieces follow from frames and reads, and have no meaning (§5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Piece<'a> {
    /// The kind of the message, the same for all its pieces.
    pub kind: MessageKind,
    /// The bytes. All pieces of a text message so far are valid UTF-8, except that the last code point may be
    /// incomplete.
    pub payload: &'a [u8],
    /// Whether this is the first piece of its message.
    pub first: bool,
    /// Whether this is the last piece of its message. It may be empty.
    pub last: bool,
}

/// A reply to the peer that the RFC requires. Send it with [`Sender::reply`](crate::Sender::reply).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply<'a> {
    /// A Pong with the Ping's payload (§5.5.3).
    Pong(&'a [u8]),
    /// A Close with the peer's code (§5.5.1).
    Close(Option<CloseCode>),
}

impl<'a> Event<'a> {
    /// Returns the reply that the RFC requires to this event, if any.
    #[must_use]
    pub fn reply(&self) -> Option<Reply<'a>> {
        match *self {
            Self::Ping(payload) => Some(Reply::Pong(payload)),
            Self::Close(frame) => Some(Reply::Close(frame.map(|frame| frame.code))),
            Self::Text(_) | Self::Binary(_) | Self::Piece(_) | Self::Pong(_) => None,
        }
    }
}

/// The receiving half of a [`Connection`](crate::Connection).
///
/// - From the network: [`receive`](Self::receive); for large messages [`room`](Self::room) and
///   [`read_limit`](Self::read_limit).
/// - Commands: [`fail`](Self::fail).
/// - Getters: [`is_open`](Self::is_open), [`has_failed`](Self::has_failed), [`has_unfinished`](Self::has_unfinished),
///   [`is_paused`](Self::is_paused), [`buffered_bytes`](Self::buffered_bytes),
///   [`allocated_bytes`](Self::allocated_bytes).
///
/// An uncompressed message that arrives in one read and one frame is returned without a copy. The receiver buffers only
/// what is unfinished at the end of a read. An idle connection owns no heap memory, unless it keeps a compression
/// context.
///
/// A violation of the protocol is found at the first byte that shows it, also in the middle of a frame. After a failure
/// or the peer's Close frame, the receiver drops later bytes: it neither parses nor keeps them.
///
/// Bytes may be cut anywhere:
///
/// ```rust
/// use switchboard::{Connection, Delivery, Event, Limits, ProtocolError};
///
/// let mut receiver = Connection::server(Limits::default(), Delivery::Messages).receiver;
/// assert_eq!(receiver.receive(&mut [0x81, 0x82, 1, 2]).next_event()?, None);
/// assert!(receiver.has_unfinished()); // the time to set a deadline
/// let mut rest = [3, 4, b'h' ^ 1, b'i' ^ 2];
/// assert_eq!(receiver.receive(&mut rest).next_event()?, Some(Event::Text("hi")));
/// # Ok::<(), ProtocolError>(())
/// ```
pub struct Receiver {
    limits: Limits,
    role: Role,
    delivery: Delivery,
    state: Receiving,
    /// `header[..header_len]` is the start of an incomplete header; `header_len <= 13`.
    header: [u8; MAX_HEADER_BYTES - 1],
    header_len: u8,
    /// The number of data frames without payload since the last one with payload.
    empty_frames: u32,
    /// Of the last data frame with payload.
    last_length: LastLength,
    unfinished: Unfinished,
    /// `Some` if permessage-deflate was negotiated.
    inflating: Option<Inflating>,
}

/// Numbers alone: what the peer has sent may be secret.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("role", &self.role)
            .field("state", &self.state)
            .field("buffered_bytes", &self.buffered_bytes())
            .finish_non_exhaustive()
    }
}

/// The receiving half of the state (§7.1): whether the peer's frames are still processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Receiving {
    /// The peer may send anything.
    Open,
    /// The peer's Close frame has arrived. Nothing may follow it (§5.5.1).
    CloseReceived,
    /// The peer broke a rule. Later bytes are dropped (§7.1.7).
    Failed,
}

/// The inputs that change [`Receiving`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    Close,
    Failure,
}

impl Receiving {
    pub(super) fn on(self, input: Input) -> Self {
        match (self, input) {
            (Self::Open, Input::Close) => Self::CloseReceived,            // §7.1.3
            (Self::Open, Input::Failure) => Self::Failed,                 // §7.1.7
            (Self::CloseReceived, Input::Close) => Self::CloseReceived,   // bytes after a Close are not parsed
            (Self::CloseReceived, Input::Failure) => Self::CloseReceived, // so it cannot fail either
            (Self::Failed, Input::Close) => Self::Failed,                 // §7.1.7: no further data is processed
            (Self::Failed, Input::Failure) => Self::Failed,
        }
    }
}

/// The message or frame that the peer has begun and not finished, except for an incomplete header. Only control frames
/// may interrupt a message.
#[derive(Debug, Default)]
enum Unfinished {
    #[default]
    Nothing,
    /// A message, perhaps with a frame whose payload is incomplete.
    Message(Box<PartialMessage>),
    /// A control frame whose payload is incomplete, perhaps between the fragments of a message.
    Control(Box<PartialControl>),
}

/// A control frame whose payload is incomplete, and the message that it interrupts.
#[derive(Debug)]
struct PartialControl {
    kind: Control,
    frame: PartialFrame,
    payload: Vec<u8>,
    message: Option<Box<PartialMessage>>,
}

#[derive(Clone, Copy, Debug)]
enum Control {
    Close,
    Ping,
    Pong,
}

impl Receiver {
    pub(super) fn new(role: Role, limits: Limits, delivery: Delivery) -> Self {
        Self {
            limits,
            role,
            delivery,
            state: Receiving::Open,
            header: [0; MAX_HEADER_BYTES - 1],
            header_len: 0,
            empty_frames: 0,
            last_length: LastLength::default(),
            unfinished: Unfinished::Nothing,
            inflating: None,
        }
    }

    /// Accepts compressed messages from now on.
    pub(super) fn set_inflating(&mut self, inflating: Inflating) {
        self.inflating = Some(inflating);
    }

    /// Returns the events in bytes from the peer, which it unmasks in place.
    ///
    /// The bytes may be cut anywhere; the events are the same.
    ///
    /// **Call [`Events::next_event`] until there are no more events.** A caller that stops earlier must keep the last
    /// [`Events::unread`] bytes, and give them to the receiver again before later ones. Otherwise they are lost.
    pub fn receive<'r, 'b>(&'r mut self, bytes: &'b mut [u8]) -> Events<'r, 'b> {
        Events::new(self, bytes)
    }

    /// Returns whether the peer may send more frames: its Close frame has not arrived, and the connection has not
    /// failed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, Receiving::Open)
    }

    /// Returns whether the connection has failed: the peer broke a rule, or the caller called [`fail`](Self::fail).
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        matches!(self.state, Receiving::Failed)
    }

    /// Returns whether a header, a frame or a fragmented message is unfinished.
    ///
    /// A caller that limits how long a peer may take for a message sets its deadline by this.
    #[must_use]
    pub const fn has_unfinished(&self) -> bool {
        self.header_len > 0 || !matches!(self.unfinished, Unfinished::Nothing)
    }

    /// Returns whether buffered compressed bytes wait to be inflated, after [`Events::with_inflate_budget`] has paused.
    ///
    /// Then call [`receive`](Self::receive) again, with the unread bytes or with none.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.message().is_some_and(PartialMessage::has_backlog)
    }

    /// Returns the number of bytes that are buffered for an unfinished message or control frame.
    ///
    /// A caller that demands progress of a peer compares these. An inflater is included only if it is not one of those
    /// that `DeflateConfig::max_unfinished` allows.
    #[must_use]
    pub fn buffered_bytes(&self) -> u64 {
        let control = match &self.unfinished {
            Unfinished::Control(control) => control.payload.len() as u64,
            Unfinished::Nothing | Unfinished::Message(_) => 0,
        };
        control + self.message().map_or(0, PartialMessage::buffered_bytes)
    }

    /// Returns the heap memory of an unfinished message or control frame, in bytes: at least
    /// [`buffered_bytes`](Self::buffered_bytes), and more while a buffer has room to grow.
    ///
    /// A caller that limits the memory of many connections adds these up.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        let control = match &self.unfinished {
            Unfinished::Control(control) => (size_of::<PartialControl>() + control.payload.capacity()) as u64,
            Unfinished::Nothing | Unfinished::Message(_) => 0,
        };
        control + self.message().map_or(0, PartialMessage::allocated_bytes)
    }

    /// _Fails the connection_ for a reason outside of the protocol (§7.1.7). The receiver drops later bytes.
    ///
    /// Does nothing after the peer's Close frame.
    pub fn fail(&mut self) {
        self.end(Input::Failure);
    }

    pub(super) fn state(&self) -> Receiving {
        self.state
    }

    fn end(&mut self, input: Input) {
        self.state = self.state.on(input);
        self.header_len = 0;
        self.unfinished = Unfinished::Nothing;
    }

    /// Returns whether there is work without further bytes.
    fn has_work(&self) -> bool {
        self.is_paused() || self.message().is_some_and(PartialMessage::has_whole_frame)
    }

    /// Returns the unfinished message.
    fn message(&self) -> Option<&PartialMessage> {
        match &self.unfinished {
            Unfinished::Nothing => None,
            Unfinished::Message(message) => Some(message),
            Unfinished::Control(control) => control.message.as_deref(),
        }
    }

    fn rules(&self) -> HeaderRules {
        HeaderRules {
            role: self.role,
            rsv1: self.inflating.is_some(),
            unfinished: self.message().map(|message| message.wire_bytes),
            max_frame_bytes: self.limits.max_frame_bytes,
            max_message_bytes: self.limits.max_message_bytes,
        }
    }

    /// Keeps an unfinished message, which continues with the rest of `frame`, or with its next frame if that is `None`.
    fn keep(&mut self, frame: Option<PartialFrame>, mut message: Box<PartialMessage>) {
        message.frame = frame;
        self.unfinished = Unfinished::Message(message);
    }

    /// Returns whether the next byte starts a frame, no message is unfinished, and the caller wants whole messages.
    fn can_use_fast_path(&self) -> bool {
        self.is_open()
            && self.header_len == 0
            && matches!(self.unfinished, Unfinished::Nothing)
            && self.delivery == Delivery::Messages
    }

    /// Returns whether a message of `length` bytes in one frame is within all limits and not empty. If so, it counts as
    /// received.
    #[inline]
    fn try_accept(&mut self, length: usize) -> bool {
        let length = length as u64;
        let accepted = length > 0 && length <= self.limits.max_frame_bytes && length <= self.limits.max_message_bytes;
        if accepted {
            self.empty_frames = 0;
            self.last_length = LastLength::new(length);
        }
        accepted
    }

    /// Reads a header that ends in `input`, and returns it with the number of bytes used; or keeps the start of one.
    fn read_header(&mut self, input: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        let rules = self.rules();
        if self.header_len == 0 {
            let decoded = FrameHeader::decode(input, &rules)?;
            if decoded.is_none() {
                self.keep_header(input);
            }
            return Ok(decoded);
        }
        let kept = usize::from(self.header_len);
        let mut joined = [0; MAX_HEADER_BYTES];
        let taken = input.len().min(MAX_HEADER_BYTES - kept);
        joined[..kept].copy_from_slice(&self.header[..kept]);
        joined[kept..kept + taken].copy_from_slice(&input[..taken]);
        match FrameHeader::decode(&joined[..kept + taken], &rules)? {
            Some((header, used)) => {
                self.header_len = 0;
                Ok(Some((header, used - kept)))
            }
            None => {
                self.keep_header(&joined[..kept + taken]);
                Ok(None)
            }
        }
    }

    /// Notes the length of a data frame, and counts empty ones in a row. Each costs the peer only a few bytes, so their
    /// number is limited.
    fn note_length(&mut self, header: &FrameHeader) -> Result<(), ProtocolError> {
        if header.opcode.is_control() {
            return Ok(());
        }
        if header.payload_len > 0 {
            self.empty_frames = 0;
            self.last_length = LastLength::new(header.payload_len);
        } else {
            if self.empty_frames >= self.limits.max_empty_frames {
                return Err(ProtocolError::TooManyEmptyFrames { limit: self.limits.max_empty_frames });
            }
            self.empty_frames += 1;
        }
        Ok(())
    }

    /// Keeps the start of a header. A header has at most 14 bytes, so an incomplete one fits.
    fn keep_header(&mut self, bytes: &[u8]) {
        self.header[..bytes.len()].copy_from_slice(bytes);
        self.header_len = bytes.len() as u8;
    }
}
