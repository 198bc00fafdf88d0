//! The sending half ([§6.1], [§7]): messages become frames at the end of the caller's buffer.
//!
//! [§6.1]: https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//! [§7]: https://www.rfc-editor.org/rfc/rfc6455#section-7

use super::{
    CloseCode, CloseFrame, FrameHeader, Masking, MessageKind, Opcode, Output, Prepared, ProtocolError, Reply, Role,
    SendError, Unmasked,
    deflate::Deflating,
    frame::{MAX_CONTROL_BYTES, MAX_HEADER_BYTES},
};

/// The sending half of a [`Connection`](crate::Connection).
///
/// Each method appends whole frames to `out`, or returns an error and appends nothing. What the protocol does not allow
/// at this moment is refused. The caller writes `out` to the network and bounds its size.
///
/// - Commands: [`text`](Self::text), [`binary`](Self::binary), [`text_uncompressed`](Self::text_uncompressed),
///   [`binary_uncompressed`](Self::binary_uncompressed), [`text_fragment`](Self::text_fragment),
///   [`binary_fragment`](Self::binary_fragment), [`prepared`](Self::prepared),
///   [`prepared_for_one`](Self::prepared_for_one), [`ping`](Self::ping), [`pong`](Self::pong), [`close`](Self::close).
/// - For the receiving half: [`reply`](Self::reply), [`fail`](Self::fail).
/// - Getters: [`is_open`](Self::is_open), [`close_code`](Self::close_code).
/// - To write [`Prepared::compressed`] frames without the sender: [`max_shared_bytes`](Self::max_shared_bytes),
///   [`reset_context`](Self::reset_context).
///
/// ```rust
/// use switchboard::{CloseCode, CloseFrame, Connection, Delivery, Limits, SendError};
///
/// let mut sender = Connection::server(Limits::default(), Delivery::Messages).sender;
/// let mut out = Vec::new();
/// sender.text("hello", &mut out)?;
/// sender.close(Some(CloseFrame { code: CloseCode::GOING_AWAY, reason: "restart" }), &mut out)?;
/// assert_eq!(out, b"\x81\x05hello\x88\x09\x03\xe9restart");
/// assert_eq!(sender.text("more", &mut out), Err(SendError::Closed));
/// # Ok::<(), SendError>(())
/// ```
#[derive(Debug)]
pub struct Sender<M = Unmasked> {
    masking: M,
    state: Sending,
    /// `Some` if permessage-deflate was negotiated.
    deflating: Option<Deflating>,
}

/// The sending half of the state (§7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// Anything may be sent. While a message is `unfinished`, only its next fragment and control frames (§5.4).
    Open { unfinished: Option<MessageKind> },
    /// Our Close frame is sent. Nothing may follow (§5.5.1).
    CloseSent { code: Option<CloseCode> },
}

/// The inputs that change [`Sending`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    /// A fragment (`continues`), or a whole message.
    Data { kind: MessageKind, continues: bool, fin: bool },
    /// A Ping or a Pong.
    Control,
    /// A Close frame.
    Close { code: Option<CloseCode> },
}

impl Sending {
    pub(super) fn on(self, input: Input) -> Result<Self, SendError> {
        match (self, input) {
            (Self::Open { unfinished: None }, Input::Data { kind, continues: _, fin }) => {
                Ok(Self::Open { unfinished: (!fin).then_some(kind) })
            }
            // §5.4: fragments of one message must not be interleaved with those of another.
            (Self::Open { unfinished: Some(open) }, Input::Data { kind, continues, fin }) => {
                if continues && open == kind {
                    Ok(Self::Open { unfinished: (!fin).then_some(kind) })
                } else {
                    Err(SendError::MessageUnfinished(open))
                }
            }
            (Self::Open { unfinished }, Input::Control) => Ok(Self::Open { unfinished }), // §5.4: between fragments
            (Self::Open { unfinished: _ }, Input::Close { code }) => Ok(Self::CloseSent { code }), // §7.1.2
            (Self::CloseSent { code: _ }, Input::Data { .. }) => Err(SendError::Closed),  // §5.5.1
            (Self::CloseSent { code: _ }, Input::Control) => Err(SendError::Closed),
            (Self::CloseSent { code: _ }, Input::Close { code: _ }) => Err(SendError::Closed), // one Close, the first
        }
    }
}

impl<M: Masking> Sender<M> {
    pub(super) fn new(masking: M) -> Self {
        Self { masking, state: Sending::Open { unfinished: None }, deflating: None }
    }

    /// Lets messages be compressed from now on.
    pub(super) fn set_deflating(&mut self, deflating: Deflating) {
        self.deflating = Some(deflating);
    }

    /// Sends a text message in one frame.
    ///
    /// The message is compressed if permessage-deflate was negotiated, [`Deflate`](crate::Deflate) is configured for
    /// its length, and compression makes it shorter.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::MessageUnfinished`], [`SendError::BufferTooSmall`].
    pub fn text(&mut self, text: &str, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.whole(MessageKind::Text, text.as_bytes(), out)
    }

    /// Sends a binary message in one frame, compressed as by [`text`](Self::text).
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn binary(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.whole(MessageKind::Binary, payload, out)
    }

    /// Sends a text message in one frame, never compressed.
    ///
    /// Use it for a message that contains both a secret and text that an attacker may choose: the length of a
    /// compressed message reveals how much the two have in common (the CRIME attack).
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn text_uncompressed(&mut self, text: &str, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.data(MessageKind::Text, text.as_bytes(), None, out)
    }

    /// Sends a binary message in one frame, never compressed; see [`text_uncompressed`](Self::text_uncompressed).
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn binary_uncompressed(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.data(MessageKind::Binary, payload, None, out)
    }

    /// Sends the next fragment of a text message. The first call starts the message, and `fin` ends it (§5.4).
    ///
    /// Fragments are not compressed, because the message would occupy a compressor until it ends.
    ///
    /// # Errors
    /// As [`text`](Self::text), except that [`SendError::MessageUnfinished`] means that a binary message is unfinished.
    pub fn text_fragment(&mut self, text: &str, fin: bool, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.data(MessageKind::Text, text.as_bytes(), Some(fin), out)
    }

    /// Sends the next fragment of a binary message. The first call starts the message, and `fin` ends it (§5.4).
    ///
    /// Fragments are not compressed; see [`text_fragment`](Self::text_fragment).
    ///
    /// # Errors
    /// As [`text`](Self::text), except that [`SendError::MessageUnfinished`] means that a text message is unfinished.
    pub fn binary_fragment(
        &mut self,
        payload: &[u8],
        fin: bool,
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        self.data(MessageKind::Binary, payload, Some(fin), out)
    }

    /// Sends a message that was encoded once for many connections.
    ///
    /// A server copies the encoded frame, the compressed one if permessage-deflate was negotiated. If the negotiated
    /// window is too small for that frame, this connection compresses the message itself. A client encodes and masks
    /// the message anew.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn prepared(&mut self, message: &Prepared, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        match M::ROLE {
            Role::Server if self.must_recompress(message) => self.whole(message.kind(), message.payload(), out),
            Role::Server => {
                let state = self.state.on(Input::Data { kind: message.kind(), continues: false, fin: true })?;
                match self.shared_frame(message) {
                    Some(compressed) => {
                        out.append_frame(&[], compressed)?;
                        self.reset_context();
                    }
                    None => drop(out.append_frame(&[], message.frame())?),
                }
                self.state = state;
                Ok(())
            }
            Role::Client if message.may_be_compressed() => self.whole(message.kind(), message.payload(), out),
            Role::Client => self.data(message.kind(), message.payload(), None, out),
        }
    }

    /// Sends a Ping with a payload of at most 125 bytes (§5.5.2).
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`], [`SendError::Closed`], [`SendError::BufferTooSmall`].
    pub fn ping(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.control(Opcode::Ping, payload, out)
    }

    /// Sends an unsolicited Pong with a payload of at most 125 bytes (§5.5.3). To answer a Ping, use
    /// [`reply`](Self::reply).
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.control(Opcode::Pong, payload, out)
    }

    /// Starts the closing handshake (§7.1.2), with a code and a reason of at most 123 bytes, or with neither.
    ///
    /// A fragmented message that is unfinished stays so.
    ///
    /// # Errors
    /// [`SendError::InvalidCloseCode`] for a code that must not be sent (1010 also from a server),
    /// [`SendError::ReasonTooLong`], [`SendError::Closed`], [`SendError::BufferTooSmall`].
    pub fn close(&mut self, frame: Option<CloseFrame<'_>>, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        let code = frame.map(|frame| frame.code);
        if let (Some(CloseCode::MANDATORY_EXTENSION), Role::Server) = (code, M::ROLE) {
            return Err(SendError::InvalidCloseCode(CloseCode::MANDATORY_EXTENSION));
        }
        self.close_frame(frame, out)
    }

    /// Sends a reply that the RFC requires. Does nothing if our Close frame is already sent.
    ///
    /// # Errors
    /// [`SendError::BufferTooSmall`]. A reply that did not come from an event may also fail as in [`pong`](Self::pong)
    /// and [`close`](Self::close).
    pub fn reply(&mut self, reply: Reply<'_>, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        if !self.is_open() {
            return Ok(());
        }
        match reply {
            Reply::Pong(payload) => self.control(Opcode::Pong, payload, out),
            Reply::Close(code) => self.close_frame(code.map(|code| CloseFrame { code, reason: "" }), out),
        }
    }

    /// _Fails the connection_ (§7.1.7): sends a Close frame with the code of the peer's error. Does nothing if our
    /// Close frame is already sent.
    ///
    /// # Errors
    /// [`SendError::BufferTooSmall`].
    pub fn fail(&mut self, error: &ProtocolError, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        if !self.is_open() {
            return Ok(());
        }
        self.close_frame(Some(CloseFrame { code: error.close_code(), reason: error.reason() }), out)
    }

    /// Returns whether our Close frame has not been sent.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, Sending::Open { .. })
    }

    /// Returns the code of the Close frame that we sent: `None` if none was sent, `Some(None)` if it had no code.
    #[must_use]
    pub const fn close_code(&self) -> Option<Option<CloseCode>> {
        match self.state {
            Sending::Open { .. } => None,
            Sending::CloseSent { code } => Some(code),
        }
    }

    /// Returns the compressed frame of a prepared message, if it has one and this connection compresses.
    fn shared_frame<'m>(&self, message: &'m Prepared) -> Option<&'m [u8]> {
        message.compressed(self.deflating.as_ref()?.deflate())
    }

    /// Returns whether the compressed frame of a prepared message may exceed the window of this connection.
    fn must_recompress(&self, message: &Prepared) -> bool {
        let longest = self.deflating.as_ref().map_or(usize::MAX, Deflating::max_shared_bytes);
        message.may_be_compressed() && message.payload().len() > longest
    }

    /// Sends a prepared message that goes to no other connection.
    ///
    /// Unlike [`prepared`](Self::prepared), it compresses the message with this connection's own context, if the
    /// connection keeps one. The result is shorter.
    ///
    /// # Errors
    /// As [`prepared`](Self::prepared).
    pub fn prepared_for_one(&mut self, message: &Prepared, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        let keeps_context = self.deflating.as_ref().is_some_and(Deflating::keeps_context);
        if keeps_context && message.may_be_compressed() {
            self.whole(message.kind(), message.payload(), out)
        } else {
            self.prepared(message, out)
        }
    }

    /// Returns the longest message, in payload bytes, whose [`Prepared::compressed`] frame may be written to this
    /// connection; `None` if permessage-deflate was not negotiated.
    ///
    /// The frame may refer back over the whole message, so the message must fit into the negotiated window
    /// (RFC 7692 [§7.1.2]).
    ///
    /// [§7.1.2]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2
    #[must_use]
    pub fn max_shared_bytes(&self) -> Option<usize> {
        self.deflating.as_ref().map(Deflating::max_shared_bytes)
    }

    /// Tells the sender that the caller has written a [`Prepared::compressed`] frame itself.
    ///
    /// The next message is compressed without context, because the peer's window now ends with a message that this
    /// connection's compressor has not seen.
    pub fn reset_context(&mut self) {
        if let Some(deflating) = &mut self.deflating {
            deflating.reset_context();
        }
    }

    pub(super) fn state(&self) -> Sending {
        self.state
    }

    /// Sends a whole message in one frame, compressed if possible. The fast path.
    #[inline]
    fn whole(&mut self, kind: MessageKind, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        // The usual case for a server. No state changes, only `out`.
        if (self.state, M::ROLE) == (Sending::Open { unfinished: None }, Role::Server) && self.deflating.is_none() {
            let header = FrameHeader::of_message(kind, false, payload.len() as u64);
            return match header.encode_short() {
                Some(header) => out.append_frame(&header, payload).map(drop),
                None => out.append_frame(header.encode().as_ref(), payload).map(drop),
            };
        }
        self.slow_message(kind, payload, out)
    }

    /// Sends a whole message in all cases. The slow path.
    #[inline(never)]
    fn slow_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        let Some(deflating) = &mut self.deflating else { return self.data(kind, payload, None, out) };
        let state = self.state.on(Input::Data { kind, continues: false, fin: true })?;
        let masking = &mut self.masking;
        let sent = deflating.compress(payload, |compressed| {
            write_frame(FrameHeader::of_message(kind, true, compressed.len() as u64), compressed, masking, out)
        });
        match sent {
            Some(Ok(())) => {}
            // The next attempt compresses without context. Its result may be longer, but not longer than the message.
            Some(Err(SendError::BufferTooSmall { .. })) => {
                return Err(SendError::BufferTooSmall { needed: MAX_HEADER_BYTES + payload.len() });
            }
            Some(Err(error)) => return Err(error),
            None => return self.data(kind, payload, None, out),
        }
        self.state = state;
        Ok(())
    }

    /// Sends a data frame: a whole message if `fragment` is `None`, else a fragment, the last one if `Some(true)`.
    fn data(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fragment: Option<bool>,
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        let fin = fragment.unwrap_or(true);
        let state = self.state.on(Input::Data { kind, continues: fragment.is_some(), fin })?;
        let opcode = match self.state {
            Sending::Open { unfinished: Some(_) } => Opcode::Continuation,
            Sending::Open { unfinished: None } | Sending::CloseSent { .. } => kind.opcode(),
        };
        self.frame(fin, opcode, payload, out)?;
        self.state = state;
        Ok(())
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        if payload.len() > MAX_CONTROL_BYTES {
            return Err(SendError::ControlTooLong { length: payload.len() });
        }
        let state = self.state.on(Input::Control)?;
        self.frame(true, opcode, payload, out)?;
        self.state = state;
        Ok(())
    }

    fn close_frame(
        &mut self,
        frame: Option<CloseFrame<'_>>,
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        let state = self.state.on(Input::Close { code: frame.map(|frame| frame.code) })?;
        let mut room = [0; MAX_CONTROL_BYTES];
        let length = match frame {
            Some(frame) => frame.encode(&mut room)?,
            None => 0,
        };
        self.frame(true, Opcode::Close, &room[..length], out)?;
        self.state = state;
        Ok(())
    }

    fn frame(
        &mut self,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        let header = FrameHeader { fin, rsv1: false, opcode, mask: None, payload_len: payload.len() as u64 };
        write_frame(header, payload, &mut self.masking, out)
    }
}

/// Writes one frame, masked if this is a client.
fn write_frame<M: Masking>(
    header: FrameHeader,
    payload: &[u8],
    masking: &mut M,
    out: &mut (impl Output + ?Sized),
) -> Result<(), SendError> {
    let mask = masking.next_key();
    let written = out.append_frame(FrameHeader { mask, ..header }.encode().as_ref(), payload)?;
    if let Some(key) = mask {
        key.apply(written);
    }
    Ok(())
}
