//! The receiving half ([§6.2], [§7]): bytes become events, in place.
//!
//! The caller lends the bytes that it read; payloads are unmasked where they lie and borrowed from there. Only what
//! is unfinished when the bytes end is kept: a header's first bytes inline, anything else in one box that an idle
//! connection does not own. What must be answered comes as an event with its [`Reply`] in it; nothing is sent here.
//!
//! [§6.2]: https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//! [§7]: https://www.rfc-editor.org/rfc/rfc6455#section-7

mod events;
mod inflate;

use alloc::{boxed::Box, vec::Vec};

pub use self::events::Events;
use super::{
    CloseCode, CloseFrame, Delivery, FrameHeader, HeaderRules, Limits, MessageKind, ProtocolError, Role,
    deflate::Inflating,
    frame::{MAX_HEADER_BYTES, PartialFrame},
    message::PartialMessage,
};

/// What a peer sent.
///
/// Payloads borrow from the bytes that were lent to [`Receiver::receive`], or from the receiver where a message came
/// in several pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A piece of a message, where [`Delivery::Pieces`] was asked for.
    Piece(Piece<'a>),
    /// A Ping; its [`reply`](Self::reply) is due as soon as practical (§5.5.2).
    Ping(&'a [u8]),
    /// A Pong, asked for or not (§5.5.3).
    Pong(&'a [u8]),
    /// The peer's Close frame: the last event. Its [`reply`](Self::reply) completes the closing handshake (§5.5.1).
    Close(Option<CloseFrame<'a>>),
}

/// A piece of a message's payload, as it came: its bounds are those of frames or of reads and mean nothing (§5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece<'a> {
    /// The message's kind, the same for all its pieces.
    pub kind: MessageKind,
    /// The bytes. Those of a text are UTF-8 as far as they go; a code point may be cut by the end of a piece.
    pub payload: &'a [u8],
    /// Whether a message begins here.
    pub first: bool,
    /// Whether the message is whole with this piece. The last one may be empty.
    pub last: bool,
}

/// What the RFC obliges us to answer; given to [`Sender::reply`](crate::Sender::reply).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A Pong with the Ping's payload (§5.5.3).
    Pong(&'a [u8]),
    /// A Close with the peer's code (§5.5.1).
    Close(Option<CloseCode>),
}

impl<'a> Event<'a> {
    /// The answer that is due, if one is.
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
/// - From the network: [`receive`](Self::receive).
/// - Getters: [`is_open`](Self::is_open), [`has_failed`](Self::has_failed), [`has_unfinished`](Self::has_unfinished).
///
/// After a failure or the peer's Close frame, further bytes are dropped, neither parsed nor kept.
#[derive(Debug)]
pub struct Receiver {
    limits: Limits,
    role: Role,
    delivery: Delivery,
    state: Receiving,
    /// `header[..header_len]` is the beginning of a header whose end has not come; `header_len <= 13`.
    header: [u8; MAX_HEADER_BYTES - 1],
    header_len: u8,
    /// Data frames without payload since the last one with payload.
    empty_frames: u32,
    unfinished: Unfinished,
    /// There where permessage-deflate was agreed on.
    inflating: Option<Inflating>,
}

/// The receiving half of the state (§7.1): which of the peer's frames still count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// The peer may send anything.
    Open,
    /// The peer's Close frame came; nothing may follow it (§5.5.1).
    CloseReceived,
    /// The peer broke a rule; nothing is parsed any more (§7.1.7).
    Failed,
}

/// What moves [`Receiving`].
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
            (Self::CloseReceived, Input::Close) => Self::CloseReceived,   // what follows a Close is not looked at
            (Self::CloseReceived, Input::Failure) => Self::CloseReceived, // so it cannot fail either
            (Self::Failed, Input::Close) => Self::Failed,                 // §7.1.7: no further data is processed
            (Self::Failed, Input::Failure) => Self::Failed,
        }
    }
}

/// What the peer has begun and not finished, headers apart. Only a fragmented message lets other frames come between.
#[derive(Debug, Default)]
enum Unfinished {
    #[default]
    Nothing,
    /// A message, and perhaps a frame of it of which payload is missing.
    Message(Box<PartialMessage>),
    /// A control frame of which payload is missing, perhaps between the fragments of a message.
    Control(Box<PartialControl>),
}

/// A control frame of which payload is missing, and the message that it interrupts.
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
            unfinished: Unfinished::Nothing,
            inflating: None,
        }
    }

    /// From now on, messages may be compressed.
    pub(super) fn set_inflating(&mut self, inflating: Inflating) {
        self.inflating = Some(inflating);
    }

    /// Takes bytes that came from the peer, unmasks them in place and gives the events in them.
    ///
    /// Bytes may be cut anywhere; the events are the same. **Ask for events until there are none**: bytes that are
    /// dropped unread with the iterator are gone, unless the caller keeps the last [`Events::unread`] ones.
    pub fn receive<'r, 'b>(&'r mut self, bytes: &'b mut [u8]) -> Events<'r, 'b> {
        Events::new(self, bytes)
    }

    /// Whether more of the peer's frames may come: neither its Close frame nor a breach has been seen.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, Receiving::Open)
    }

    /// Whether the peer broke a rule, or the embedder called [`fail`](Self::fail).
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        matches!(self.state, Receiving::Failed)
    }

    /// Whether something is begun that the peer has not finished: a header, a frame or a fragmented message. Who
    /// sets a deadline for it looks here.
    #[must_use]
    pub const fn has_unfinished(&self) -> bool {
        self.header_len > 0 || !matches!(self.unfinished, Unfinished::Nothing)
    }

    /// Whether [`Events::with_inflate_budget`] has left something to be done that needs no further bytes: to be called
    /// again with those that are unread, or with none.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.message().is_some_and(PartialMessage::has_backlog)
    }

    /// Bytes that are kept for an unfinished message or control frame: what counts against a budget of memory. An
    /// inflater counts where it is not one of those few that `DeflateConfig::max_unfinished` allows.
    #[must_use]
    pub fn buffered_bytes(&self) -> u64 {
        let control = match &self.unfinished {
            Unfinished::Control(control) => control.payload.len() as u64,
            Unfinished::Nothing | Unfinished::Message(_) => 0,
        };
        control + self.message().map_or(0, PartialMessage::buffered_bytes)
    }

    /// _Fails the connection_ for a reason outside of the framing (§7.1.7): nothing is parsed any more. After the
    /// peer's Close frame there is nothing left to fail.
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

    /// The message that is unfinished.
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

    /// A message goes on with the rest of this frame, or with its next one.
    fn keep(&mut self, frame: Option<PartialFrame>, mut message: Box<PartialMessage>) {
        message.frame = frame;
        self.unfinished = Unfinished::Message(message);
    }

    /// Whether the next byte begins a message, as far as the input before it goes, and whole ones are wanted.
    fn can_use_fast_path(&self) -> bool {
        self.is_open()
            && self.header_len == 0
            && matches!(self.unfinished, Unfinished::Nothing)
            && self.delivery == Delivery::Messages
    }

    /// Whether a message of `length` bytes in one frame is within all limits; to be asked before it is taken.
    #[inline]
    fn try_accept(&mut self, length: usize) -> bool {
        let length = length as u64;
        let accepted = length > 0 && length <= self.limits.max_frame_bytes && length <= self.limits.max_message_bytes;
        if accepted {
            self.empty_frames = 0;
        }
        accepted
    }

    /// Reads a header from the front of `input`, or keeps its beginning; gives the bytes taken from `input` too.
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

    /// An empty frame costs its sender six bytes; that it costs us time is bounded here.
    fn count_empty(&mut self, header: &FrameHeader) -> Result<(), ProtocolError> {
        if header.opcode.is_control() {
            return Ok(());
        }
        if header.payload_len > 0 {
            self.empty_frames = 0;
        } else {
            self.empty_frames += 1;
            if self.empty_frames > self.limits.max_empty_frames {
                return Err(ProtocolError::TooManyEmptyFrames { limit: self.limits.max_empty_frames });
            }
        }
        Ok(())
    }

    /// Keeps the beginning of a header. Fourteen bytes always make a header, so what is unfinished fits.
    fn keep_header(&mut self, bytes: &[u8]) {
        self.header[..bytes.len()].copy_from_slice(bytes);
        self.header_len = bytes.len() as u8;
    }
}
