//! The receiving half ([§6.2], [§7]): bytes become events, in place.
//!
//! The caller lends the bytes that it read; payloads are unmasked where they lie and borrowed from there. Only what
//! is unfinished when the bytes end is kept: a header's first bytes inline, anything else in one box that an idle
//! connection does not own. What must be answered comes as an event with its [`Reply`] in it; nothing is sent here.
//!
//! [§6.2]: https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//! [§7]: https://www.rfc-editor.org/rfc/rfc6455#section-7

use alloc::{boxed::Box, string::String, vec::Vec};

use super::{
    CloseCode, CloseFrame, Delivery, FrameHeader, HeaderRules, Limits, MaskingKey, MessageKind, Opcode, ProtocolError,
    Role,
    deflate::{Inflating, LentInflater},
    frame::MAX_HEADER_BYTES,
    message::{Assembled, Coding, Compressed, OpenMessage},
    utf8,
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
    /// A fragmented message whose next frame has not begun.
    Message(Box<OpenMessage>),
    /// A data frame of which payload is missing.
    Data { frame: OpenFrame, message: Box<OpenMessage> },
    /// A control frame of which payload is missing, perhaps between the fragments of a message.
    Control(Box<OpenControl>),
}

/// A frame whose header is read and whose payload is not all here.
#[derive(Clone, Copy, Debug)]
struct OpenFrame {
    fin: bool,
    /// The key, turned so that it fits the next byte.
    mask: Option<MaskingKey>,
    remaining: u64,
}

impl OpenFrame {
    /// The same, when `length` bytes more of its payload have been taken.
    fn after(self, length: usize) -> Self {
        let mask = self.mask.map(|key| key.after(length));
        Self { mask, remaining: self.remaining - length as u64, ..self }
    }
}

/// A control frame of which payload is missing, and the message that it interrupts.
#[derive(Debug)]
struct OpenControl {
    kind: Control,
    frame: OpenFrame,
    payload: Vec<u8>,
    message: Option<Box<OpenMessage>>,
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
        Events { receiver: self, input: bytes, work: 0, most_work: usize::MAX, text: String::new(), bytes: Vec::new() }
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

    /// Whether [`Events::inflating_at_most`] has left something to be done that needs no further bytes: to be called
    /// again with those that are unread, or with none.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.message().is_some_and(OpenMessage::has_backlog)
    }

    /// Bytes that are kept for an unfinished message or control frame: what counts against a budget of memory. An
    /// inflater counts where it is not one of those few that `DeflateConfig::max_unfinished` allows.
    #[must_use]
    pub fn buffered_bytes(&self) -> u64 {
        let control = match &self.unfinished {
            Unfinished::Control(control) => control.payload.len() as u64,
            Unfinished::Nothing | Unfinished::Message(_) | Unfinished::Data { .. } => 0,
        };
        control + self.message().map_or(0, OpenMessage::kept_bytes)
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
    fn message(&self) -> Option<&OpenMessage> {
        match &self.unfinished {
            Unfinished::Nothing => None,
            Unfinished::Message(message) | Unfinished::Data { message, .. } => Some(message),
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
    fn keep(&mut self, frame: Option<OpenFrame>, message: Box<OpenMessage>) {
        self.unfinished = match frame {
            Some(frame) => Unfinished::Data { frame, message },
            None => Unfinished::Message(message),
        };
    }

    /// Inflates from the front of `input` into a message. Gives the bytes that are used, and the work that it was.
    fn inflate(
        &self,
        message: &mut OpenMessage,
        lent: &mut LentInflater,
        input: &[u8],
    ) -> Result<(usize, usize), ProtocolError> {
        let limit = self.limits.max_message_bytes;
        let room = usize::try_from(limit.saturating_sub(message.assembler.length())).unwrap_or(usize::MAX);
        let step = lent.inflate(input, room.saturating_add(1));
        // In this order, so that the verdict does not depend on where a step ends.
        let output = lent.output();
        let within = &output[..output.len().min(room)];
        if !within.is_empty() {
            message.assembler.append(within)?;
        }
        if output.len() > room {
            return Err(ProtocolError::MessageTooLong { length: limit.saturating_add(1), limit });
        }
        message.final_blocks += u32::from(step.ended_final);
        if message.final_blocks > MAX_FINAL_BLOCKS {
            return Err(ProtocolError::TooManyFinalBlocks { limit: MAX_FINAL_BLOCKS });
        }
        step.outcome.map_err(|_| ProtocolError::InvalidDeflate)?;
        // That nothing comes out of it makes input no cheaper: a block may be all tables.
        Ok((step.consumed, step.work + step.consumed * WORK_PER_BYTE))
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

/// The events in one piece of input; see [`Receiver::receive`].
#[derive(Debug)]
pub struct Events<'r, 'b> {
    receiver: &'r mut Receiver,
    input: &'b mut [u8],
    /// Work that was done to inflate, in bytes that were moved, and how much may be.
    work: usize,
    most_work: usize,
    /// What the last event borrows from, where that is not the input.
    text: String,
    bytes: Vec<u8>,
}

/// An event before its payload is borrowed from where it lies.
enum Found<'b> {
    Text(&'b [u8]),
    Binary(&'b [u8]),
    Control(Control, &'b [u8]),
    Piece(Piece<'b>),
    /// A piece whose payload was inflated into `Events::bytes`.
    InflatedPiece {
        kind: MessageKind,
        first: bool,
        last: bool,
    },
    /// What came in several pieces is owned.
    AssembledText(String),
    AssembledBinary(Vec<u8>),
    AssembledControl(Control, Vec<u8>),
}

impl<'b> Events<'_, 'b> {
    /// Pauses once about `bytes` were inflated, for who serves others meanwhile: a few bytes can become a thousand times
    /// as many. [`next_event`](Self::next_event) then gives `None` although [`unread`](Self::unread) bytes are left or
    /// [`Receiver::is_paused`], to be received later. Each call makes some progress.
    #[must_use]
    pub fn inflating_at_most(mut self, bytes: usize) -> Self {
        self.most_work = bytes.max(1);
        self
    }

    /// The next event, or `None` when the bytes are used up.
    ///
    /// # Errors
    /// The rule that the peer broke, after all events before it. The connection has then failed: the caller sends
    /// the Close frame by [`Sender::fail`](crate::Sender::fail) and ends the connection; later bytes are dropped.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, ProtocolError> {
        let found = match self.find() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.end(Input::Failure);
                return Err(error);
            }
        };
        let event = match found {
            Found::Text(text) => match utf8::whole(text) {
                Ok(text) => Ok(Event::Text(text)),
                Err(error) => Err(ProtocolError::InvalidUtf8 { offset: error.offset as u64 }),
            },
            Found::Binary(bytes) => Ok(Event::Binary(bytes)),
            Found::Control(kind, payload) => control_event(kind, payload),
            Found::Piece(piece) => Ok(Event::Piece(piece)),
            Found::InflatedPiece { kind, first, last } => {
                Ok(Event::Piece(Piece { kind, payload: &self.bytes, first, last }))
            }
            Found::AssembledText(text) => {
                self.text = text;
                Ok(Event::Text(&self.text))
            }
            Found::AssembledBinary(bytes) => {
                self.bytes = bytes;
                Ok(Event::Binary(&self.bytes))
            }
            Found::AssembledControl(kind, payload) => {
                self.bytes = payload;
                control_event(kind, &self.bytes)
            }
        };
        let input = match &event {
            Ok(Event::Close(_)) => Input::Close,
            Err(_) => Input::Failure,
            Ok(_) => return event.map(Some),
        };
        self.receiver.end(input);
        self.input = &mut [];
        event.map(Some)
    }

    /// Bytes at the end of the input that have not been parsed yet: for who stops before the last event and gives
    /// the rest to [`Receiver::receive`] later.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.input.len()
    }

    fn end(&mut self, input: Input) {
        self.receiver.end(input);
        self.input = &mut [];
    }

    /// Parses until there is an event or no more input.
    fn find(&mut self) -> Result<Option<Found<'b>>, ProtocolError> {
        loop {
            if !self.receiver.is_open() {
                self.input = &mut [];
            }
            if (self.input.is_empty() && !self.receiver.is_paused()) || self.work >= self.most_work {
                return Ok(None);
            }
            let found = match core::mem::take(&mut self.receiver.unfinished) {
                Unfinished::Data { frame, message } => self.data(frame, message)?,
                Unfinished::Control(control) => self.control(control),
                between @ (Unfinished::Nothing | Unfinished::Message(_)) => {
                    self.receiver.unfinished = between;
                    let Some((header, used)) = self.receiver.read_header(self.input)? else {
                        self.input = &mut [];
                        return Ok(None);
                    };
                    self.take(used);
                    self.receiver.count_empty(&header)?;
                    self.begin(header)?
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// A frame begins. If it is whole, and alone in its message, its payload is delivered where it lies.
    fn begin(&mut self, header: FrameHeader) -> Result<Option<Found<'b>>, ProtocolError> {
        let FrameHeader { fin, rsv1, mask, payload_len: remaining, .. } = header;
        let frame = OpenFrame { fin, mask, remaining };
        let whole = usize::try_from(remaining).ok().filter(|&length| length <= self.input.len());
        let kind = match header.opcode {
            Opcode::Text => MessageKind::Text,
            Opcode::Binary => MessageKind::Binary,
            Opcode::Continuation => {
                return match core::mem::take(&mut self.receiver.unfinished) {
                    Unfinished::Message(message) => self.data(frame, message),
                    // `FrameHeader::decode` has refused it already; said again, it costs nothing.
                    _ => Err(ProtocolError::UnexpectedContinuation),
                };
            }
            Opcode::Close => return Ok(self.begin_control(Control::Close, frame, whole)),
            Opcode::Ping => return Ok(self.begin_control(Control::Ping, frame, whole)),
            Opcode::Pong => return Ok(self.begin_control(Control::Pong, frame, whole)),
        };
        match (whole, self.receiver.delivery) {
            (Some(length), Delivery::Messages) if fin && !rsv1 => {
                let payload = self.unmask(length, mask);
                Ok(Some(match kind {
                    MessageKind::Text => Found::Text(payload),
                    MessageKind::Binary => Found::Binary(payload),
                }))
            }
            (_, delivery) => {
                // RFC 7692 §6: RSV1 on its first frame says that a message is compressed.
                let coding = if rsv1 { Coding::Deflate(Compressed::default()) } else { Coding::Plain };
                let most = self.receiver.limits.max_message_bytes;
                self.data(frame, Box::new(OpenMessage::new(kind, delivery, coding, most)))
            }
        }
    }

    fn begin_control(&mut self, kind: Control, frame: OpenFrame, whole: Option<usize>) -> Option<Found<'b>> {
        if let Some(length) = whole {
            return Some(Found::Control(kind, self.unmask(length, frame.mask)));
        }
        let message = match core::mem::take(&mut self.receiver.unfinished) {
            Unfinished::Message(message) => Some(message),
            _ => None,
        };
        self.control(Box::new(OpenControl { kind, frame, payload: Vec::new(), message }))
    }

    /// More of a control frame's payload, as much as is here.
    fn control(&mut self, mut control: Box<OpenControl>) -> Option<Found<'b>> {
        let (piece, rest) = self.piece_of(control.frame);
        control.payload.extend_from_slice(piece);
        if let Some(frame) = rest {
            control.frame = frame;
            self.receiver.unfinished = Unfinished::Control(control);
            return None;
        }
        let OpenControl { kind, payload, message, .. } = *control;
        self.receiver.unfinished = message.map_or(Unfinished::Nothing, Unfinished::Message);
        Some(Found::AssembledControl(kind, payload))
    }

    /// More of a data frame's payload, perhaps nothing.
    fn data(&mut self, frame: OpenFrame, mut message: Box<OpenMessage>) -> Result<Option<Found<'b>>, ProtocolError> {
        match core::mem::take(&mut message.coding) {
            Coding::Plain => self.plain_data(frame, message),
            Coding::Deflate(compressed) => self.compressed_data(frame, message, compressed),
        }
    }

    fn plain_data(
        &mut self,
        frame: OpenFrame,
        mut message: Box<OpenMessage>,
    ) -> Result<Option<Found<'b>>, ProtocolError> {
        let (piece, rest) = self.piece_of(frame);
        let first = message.assembler.is_untouched();
        let kind = message.assembler.kind();
        message.wire_bytes += piece.len() as u64;
        message.assembler.append(piece)?;
        let last = rest.is_none() && frame.fin;
        let found = if last {
            assembled(*message)?
        } else {
            self.receiver.keep(rest, message);
            None
        };
        Ok(match self.receiver.delivery {
            Delivery::Messages => found,
            Delivery::Pieces => Some(Found::Piece(Piece { kind, payload: piece, first, last })),
        })
    }

    /// Keeps what is here of a compressed payload while no inflater is free for it.
    fn compressed_data(
        &mut self,
        frame: OpenFrame,
        mut message: Box<OpenMessage>,
        mut compressed: Compressed,
    ) -> Result<Option<Found<'b>>, ProtocolError> {
        let whole = frame.fin && frame.remaining <= self.input.len() as u64;
        let lent = match (compressed.inflater.take(), &mut self.receiver.inflating) {
            (Some(lent), _) => Some(lent),
            // A header alone takes nothing.
            (None, Some(inflating)) if whole || !self.input.is_empty() => {
                // Who wants pieces wants them as they come.
                let lent = inflating.lend(whole || self.receiver.delivery == Delivery::Pieces);
                self.work += lent.as_ref().map_or(0, LentInflater::work_to_begin);
                lent
            }
            (None, _) => None,
        };
        if let Some(lent) = lent {
            return self.inflate(frame, message, compressed, lent);
        }
        let (piece, rest) = self.piece_of(frame);
        message.wire_bytes += piece.len() as u64;
        compressed.kept.extend_from_slice(piece);
        message.coding = Coding::Deflate(compressed);
        self.receiver.keep(rest, message);
        Ok(None)
    }

    /// Inflates a step: of what was kept, or else of the payload; what is left of that stays in the input, masked.
    fn inflate(
        &mut self,
        mut frame: OpenFrame,
        mut message: Box<OpenMessage>,
        mut compressed: Compressed,
        mut lent: LentInflater,
    ) -> Result<Option<Found<'b>>, ProtocolError> {
        let first = message.assembler.is_untouched();
        self.bytes.clear();
        let length = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(self.input.len()).min(SLICE_BYTES);
        let work = if !compressed.kept.is_empty() {
            let rest = &compressed.kept[compressed.inflated..];
            let (used, work) = self.receiver.inflate(&mut message, &mut lent, &rest[..rest.len().min(SLICE_BYTES)])?;
            compressed.advance(used);
            Some(work)
        } else if length > 0 {
            let slice = &mut self.input[..length];
            if let Some(key) = frame.mask {
                key.apply(slice);
            }
            let (used, work) = self.receiver.inflate(&mut message, &mut lent, slice)?;
            if let Some(key) = frame.mask {
                key.after(used).apply(&mut slice[used..]);
            }
            self.take(used);
            message.wire_bytes += used as u64;
            frame = frame.after(used);
            Some(work)
        } else {
            None
        };
        self.work += work.unwrap_or(0);
        if work.is_some() && self.receiver.delivery == Delivery::Pieces {
            self.bytes.extend_from_slice(lent.output());
        }
        let rest = (frame.remaining > 0 || !compressed.kept.is_empty()).then_some(frame);
        let last = rest.is_none() && frame.fin;
        let kind = message.assembler.kind();
        let found = if last {
            lent.finish().map_err(|_| ProtocolError::InvalidDeflate)?;
            if let Some(inflating) = &mut self.receiver.inflating {
                inflating.take_history(&mut lent);
            }
            assembled(*message)?
        } else {
            compressed.inflater = Some(lent);
            message.coding = Coding::Deflate(compressed);
            self.receiver.keep(rest, message);
            None
        };
        Ok(match self.receiver.delivery {
            Delivery::Messages => found,
            Delivery::Pieces if last || !self.bytes.is_empty() => Some(Found::InflatedPiece { kind, first, last }),
            Delivery::Pieces => None,
        })
    }

    /// As much of a frame's payload as is here, unmasked, and the frame if payload is missing.
    fn piece_of(&mut self, frame: OpenFrame) -> (&'b [u8], Option<OpenFrame>) {
        let length = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(self.input.len());
        let piece = self.unmask(length, frame.mask);
        let rest = frame.after(length);
        (piece, (rest.remaining > 0).then_some(rest))
    }

    fn unmask(&mut self, length: usize, mask: Option<MaskingKey>) -> &'b [u8] {
        let payload = self.take(length);
        if let Some(key) = mask {
            key.apply(payload);
        }
        payload
    }

    /// The next `length` bytes of the input.
    fn take(&mut self, length: usize) -> &'b mut [u8] {
        let (taken, rest) = core::mem::take(&mut self.input).split_at_mut(length);
        self.input = rest;
        taken
    }
}

/// A message that is whole; nothing where it was passed on in pieces.
fn assembled<'b>(message: OpenMessage) -> Result<Option<Found<'b>>, ProtocolError> {
    Ok(match message.assembler.finish()? {
        Assembled::Text(text) => Some(Found::AssembledText(text)),
        Assembled::Binary(bytes) => Some(Found::AssembledBinary(bytes)),
        Assembled::Passed => None,
    })
}

fn control_event(kind: Control, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    match kind {
        Control::Close => CloseFrame::decode(payload).map(Event::Close),
        Control::Ping => Ok(Event::Ping(payload)),
        Control::Pong => Ok(Event::Pong(payload)),
    }
}

/// What a byte of compressed input is worth, in bytes that are moved.
const WORK_PER_BYTE: usize = 16;
/// How much of a compressed payload is unmasked at a time.
const SLICE_BYTES: usize = 4 << 10;
/// Blocks with BFINAL in a message. One takes two bytes and costs us a window of 32 KiB, which no other limit counts.
const MAX_FINAL_BLOCKS: u32 = 1_000;
