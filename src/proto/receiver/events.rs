//! The events in one piece of input.
//!
//! Nearly all input is whole messages in one frame each. The fast path recognises them in a few steps and returns them
//! in place. Everything else, including every error in a header, goes through the slow path.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::{Control, Event, Input, PartialControl, Piece, Receiver, Unfinished};
use crate::proto::{
    CloseFrame, Delivery, FrameHeader, MaskingKey, MessageKind, Opcode, ProtocolError,
    frame::{PartialFrame, WholeMessage},
    message::{Assembled, Coding, Compressed, PartialMessage},
    spare::{Loan, SpareBuffer},
    utf8,
};

/// The events in one piece of input; see [`Receiver::receive`].
#[derive(Debug)]
pub struct Events<'r, 'b> {
    pub(super) receiver: &'r mut Receiver,
    pub(super) input: &'b mut [u8],
    /// Whether the next message may take the fast path; see `Receiver::can_use_fast_path`.
    fast_path: bool,
    /// How much was inflated, in bytes that were moved.
    pub(super) work: usize,
    /// The limit of `work`.
    max_work: usize,
    /// The payload of the last event, if the event does not borrow it from the input.
    text: String,
    pub(super) bytes: Vec<u8>,
    /// Takes the buffers of large messages after their events.
    spare: Option<&'r mut SpareBuffer>,
    /// Whether `text` or `bytes` is the payload of the last event, which `spare` gets once it has been used.
    is_buffer_used: bool,
    /// `Some` if that buffer came from a [`SpareBuffer`].
    loan: Option<Loan>,
}

/// An event before its payload is borrowed.
pub(super) enum Found<'b> {
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
    /// A message that arrived in several pieces.
    AssembledText(String, Option<Loan>),
    AssembledBinary(Vec<u8>, Option<Loan>),
    AssembledControl(Control, Vec<u8>),
}

impl<'r, 'b> Events<'r, 'b> {
    pub(super) fn new(receiver: &'r mut Receiver, input: &'b mut [u8]) -> Self {
        let fast_path = receiver.can_use_fast_path();
        Self {
            receiver,
            input,
            fast_path,
            work: 0,
            max_work: usize::MAX,
            text: String::new(),
            bytes: Vec::new(),
            spare: None,
            is_buffer_used: false,
            loan: None,
        }
    }

    /// Keeps the buffer of a large message for the next one; see [`SpareBuffer`].
    #[must_use]
    pub fn with_spare(mut self, spare: &'r mut SpareBuffer) -> Self {
        self.spare = Some(spare);
        self
    }

    /// Pauses after about `bytes` have been inflated, so that a caller can serve other connections in between.
    ///
    /// A few bytes can inflate to a thousand times as many. After the pause [`next_event`](Self::next_event) returns
    /// `None`, although there are [`unread`](Self::unread) bytes or [`Receiver::is_paused`] is true. Call
    /// [`Receiver::receive`] again with the unread bytes. Each call makes some progress.
    #[must_use]
    pub fn with_inflate_budget(mut self, bytes: usize) -> Self {
        self.max_work = bytes.max(1);
        self.fast_path &= self.work < self.max_work;
        self
    }

    /// Returns the next event, or `None` if the bytes contain no further whole one.
    ///
    /// # Errors
    /// The rule that the peer broke, after all events before it. The connection has then failed: send the Close frame
    /// with [`Sender::fail`](crate::Sender::fail), and end the connection. The receiver drops later bytes.
    #[inline]
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, ProtocolError> {
        if self.fast_path && self.input.is_empty() {
            return Ok(None);
        }
        if self.fast_path
            && let Some(whole) = WholeMessage::decode(self.input, self.receiver.role)
            && self.receiver.try_accept(whole.payload_len)
        {
            self.take(whole.header_len);
            let payload = self.unmask(whole.payload_len, whole.mask);
            return match whole.kind {
                MessageKind::Binary => Ok(Some(Event::Binary(payload))),
                MessageKind::Text => match utf8::validate(payload) {
                    Ok(text) => Ok(Some(Event::Text(text))),
                    Err(error) => Err(self.invalid_text(error)),
                },
            };
        }
        self.next_slow()
    }

    #[cold]
    fn invalid_text(&mut self, error: utf8::InvalidUtf8) -> ProtocolError {
        self.end(Input::Failure);
        ProtocolError::InvalidUtf8 { offset: error.offset as u64 }
    }

    /// Returns the next event of any kind.
    #[inline(never)]
    fn next_slow(&mut self) -> Result<Option<Event<'_>>, ProtocolError> {
        self.put_back_spare();
        let found = self.find();
        self.fast_path = self.receiver.can_use_fast_path() && self.work < self.max_work;
        let found = match found {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.end(Input::Failure);
                return Err(error);
            }
        };
        let event = match found {
            Found::Text(text) => match utf8::validate(text) {
                Ok(text) => Ok(Event::Text(text)),
                Err(error) => Err(ProtocolError::InvalidUtf8 { offset: error.offset as u64 }),
            },
            Found::Binary(bytes) => Ok(Event::Binary(bytes)),
            Found::Control(kind, payload) => control_event(kind, payload),
            Found::Piece(piece) => Ok(Event::Piece(piece)),
            Found::InflatedPiece { kind, first, last } => {
                Ok(Event::Piece(Piece { kind, payload: &self.bytes, first, last }))
            }
            Found::AssembledText(text, loan) => {
                self.text = text;
                self.note_used(loan);
                Ok(Event::Text(&self.text))
            }
            Found::AssembledBinary(bytes, loan) => {
                self.bytes = bytes;
                self.note_used(loan);
                Ok(Event::Binary(&self.bytes))
            }
            Found::AssembledControl(kind, payload) => {
                self.bytes = payload;
                self.note_used(None);
                control_event(kind, &self.bytes)
            }
        };
        let input = match &event {
            Ok(Event::Close(_)) => Input::Close,
            Err(_) => Input::Failure,
            Ok(_) => return event.map(Some),
        };
        self.fast_path = false;
        self.receiver.end(input);
        self.input = &mut [];
        event.map(Some)
    }

    /// Returns the number of bytes at the end of the input that have not been parsed.
    ///
    /// A caller that stops before the last event gives these bytes to [`Receiver::receive`] again later.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.input.len()
    }

    /// Notes that the next event needs this buffer no more. Then the slow path puts it back.
    fn note_used(&mut self, loan: Option<Loan>) {
        (self.is_buffer_used, self.loan) = (true, loan);
        self.fast_path = false;
    }

    /// Gives the spare buffer what the last event has used, or frees it.
    fn put_back_spare(&mut self) {
        let Some((buffer, loan)) = self.take_used() else { return };
        if let Some(spare) = &mut self.spare {
            spare.put_back(buffer, loan);
        }
    }

    /// Takes the buffer of the last event, if that has one.
    fn take_used(&mut self) -> Option<(Vec<u8>, Option<Loan>)> {
        if !core::mem::take(&mut self.is_buffer_used) {
            return None;
        }
        let (text, bytes) = (core::mem::take(&mut self.text), core::mem::take(&mut self.bytes));
        Some((if text.is_empty() { bytes } else { text.into_bytes() }, self.loan.take()))
    }

    /// Returns the buffer of the last event, to keep its payload without a copy; empty if the payload lies in the input
    /// or is a [piece](crate::Delivery::Pieces).
    ///
    /// The payload is the end of the buffer: all of it, except that a Close has its code before its reason.
    ///
    /// ```rust
    /// use switchboard::{Connection, Delivery, Event, Limits};
    ///
    /// let mut receiver = Connection::server(Limits::default(), Delivery::Messages).receiver;
    /// receiver.receive(&mut [0x82, 0x83, 0, 0, 0, 0, 1]).next_event()?;
    /// let mut rest = [2, 3];
    /// let mut events = receiver.receive(&mut rest);
    /// assert_eq!(events.next_event()?, Some(Event::Binary(&[1, 2, 3])));
    /// assert_eq!(events.into_buffer(), [1, 2, 3]);
    /// # Ok::<(), switchboard::ProtocolError>(())
    /// ```
    #[must_use]
    pub fn into_buffer(mut self) -> Vec<u8> {
        self.take_used().map_or_else(Vec::new, |(buffer, _)| buffer)
    }

    fn end(&mut self, input: Input) {
        self.fast_path = false;
        self.receiver.end(input);
        self.input = &mut [];
    }

    /// Parses until there is an event, or no more input, or the inflate budget is spent.
    fn find(&mut self) -> Result<Option<Found<'b>>, ProtocolError> {
        loop {
            if !self.receiver.is_open() {
                self.input = &mut [];
            }
            if (self.input.is_empty() && !self.receiver.has_work()) || self.work >= self.max_work {
                return Ok(None);
            }
            let found = match core::mem::take(&mut self.receiver.unfinished) {
                Unfinished::Message(message) if let Some(frame) = message.frame => self.data(frame, message)?,
                Unfinished::Control(control) => self.control(control),
                pending @ (Unfinished::Nothing | Unfinished::Message(_)) => {
                    self.receiver.unfinished = pending;
                    let Some((header, used)) = self.receiver.read_header(self.input)? else {
                        self.input = &mut [];
                        return Ok(None);
                    };
                    self.take(used);
                    self.receiver.note_length(&header)?;
                    self.begin_frame(header)?
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Handles a new frame. If it is a whole, uncompressed message, its payload is returned in place.
    fn begin_frame(&mut self, header: FrameHeader) -> Result<Option<Found<'b>>, ProtocolError> {
        let FrameHeader { fin, rsv1, mask, payload_len: remaining, .. } = header;
        let frame = PartialFrame { fin, mask, remaining };
        let whole = usize::try_from(remaining).ok().filter(|&length| length <= self.input.len());
        let kind = match header.opcode {
            Opcode::Text => MessageKind::Text,
            Opcode::Binary => MessageKind::Binary,
            Opcode::Continuation => {
                return match core::mem::take(&mut self.receiver.unfinished) {
                    Unfinished::Message(message) => self.data(frame, message),
                    // `FrameHeader::decode` has refused this already; an error here is better than a panic.
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
                // RFC 7692 §6: RSV1 on the first frame means that the message is compressed.
                let coding = if rsv1 { Coding::Deflate(Compressed::default()) } else { Coding::Plain };
                let max_bytes = self.receiver.limits.max_message_bytes;
                self.data(frame, Box::new(PartialMessage::new(kind, delivery, coding, max_bytes)))
            }
        }
    }

    fn begin_control(&mut self, kind: Control, frame: PartialFrame, whole: Option<usize>) -> Option<Found<'b>> {
        if let Some(length) = whole {
            return Some(Found::Control(kind, self.unmask(length, frame.mask)));
        }
        let message = match core::mem::take(&mut self.receiver.unfinished) {
            Unfinished::Message(message) => Some(message),
            _ => None,
        };
        self.control(Box::new(PartialControl { kind, frame, payload: Vec::new(), message }))
    }

    /// Handles more of a control frame's payload, as much as there is.
    fn control(&mut self, mut control: Box<PartialControl>) -> Option<Found<'b>> {
        let (piece, rest) = self.piece_of(control.frame);
        control.payload.extend_from_slice(piece);
        if let Some(frame) = rest {
            control.frame = frame;
            self.receiver.unfinished = Unfinished::Control(control);
            return None;
        }
        let PartialControl { kind, payload, message, .. } = *control;
        self.receiver.unfinished = message.map_or(Unfinished::Nothing, Unfinished::Message);
        Some(Found::AssembledControl(kind, payload))
    }

    /// Handles more of a data frame's payload, perhaps nothing.
    fn data(
        &mut self,
        frame: PartialFrame,
        mut message: Box<PartialMessage>,
    ) -> Result<Option<Found<'b>>, ProtocolError> {
        match core::mem::take(&mut message.coding) {
            Coding::Plain => self.plain_data(frame, message),
            Coding::Deflate(compressed) => self.compressed_data(frame, message, compressed),
        }
    }

    fn plain_data(
        &mut self,
        frame: PartialFrame,
        mut message: Box<PartialMessage>,
    ) -> Result<Option<Found<'b>>, ProtocolError> {
        let (piece, rest) = self.masked_piece_of(frame);
        let first = message.assembler.awaits_first_piece();
        let kind = message.assembler.kind();
        message.wire_bytes += piece.len() as u64;
        let last = rest.is_none() && frame.fin;
        let missing = frame.fin.then(|| rest.map_or(0, |rest| rest.remaining));
        message.assembler.append_masked(piece, frame.mask, missing, self.spare.as_deref_mut())?;
        let piece = &*piece;
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

    /// Takes the available payload of a frame, unmasked. Also returns the rest of the frame if it is incomplete.
    pub(super) fn piece_of(&mut self, frame: PartialFrame) -> (&'b [u8], Option<PartialFrame>) {
        let (piece, rest) = self.masked_piece_of(frame);
        if let Some(key) = frame.mask {
            key.apply(piece);
        }
        (piece, rest)
    }

    /// Takes the available payload of a frame, still masked. Also returns the rest of the frame if it is incomplete.
    fn masked_piece_of(&mut self, frame: PartialFrame) -> (&'b mut [u8], Option<PartialFrame>) {
        let length = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(self.input.len());
        let rest = frame.after(length);
        (self.take(length), (rest.remaining > 0).then_some(rest))
    }

    #[inline]
    fn unmask(&mut self, length: usize, mask: Option<MaskingKey>) -> &'b [u8] {
        let payload = self.take(length);
        if let Some(key) = mask {
            key.apply(payload);
        }
        payload
    }

    /// Takes the next `length` bytes of the input.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> &'b mut [u8] {
        let (taken, rest) = core::mem::take(&mut self.input).split_at_mut(length);
        self.input = rest;
        taken
    }
}

/// Returns a whole message as an event, or `None` if it was returned in pieces.
pub(super) fn assembled<'b>(message: PartialMessage) -> Result<Option<Found<'b>>, ProtocolError> {
    let (whole, loan) = message.assembler.finish()?;
    Ok(match whole {
        Assembled::Text(text) => Some(Found::AssembledText(text, loan)),
        Assembled::Binary(bytes) => Some(Found::AssembledBinary(bytes, loan)),
        Assembled::Streamed => None,
    })
}

fn control_event(kind: Control, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    match kind {
        Control::Close => CloseFrame::decode(payload).map(Event::Close),
        Control::Ping => Ok(Event::Ping(payload)),
        Control::Pong => Ok(Event::Pong(payload)),
    }
}
