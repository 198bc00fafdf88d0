//! The sending half ([§6.1], [§7]): messages become bytes at the end of the caller's buffer.
//!
//! Refuses what the protocol does not allow now, before a byte is written. Does no I/O, and makes no masking keys:
//! they come from the [`Masking`] that a client's connection was made with.
//!
//! [§6.1]: https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//! [§7]: https://www.rfc-editor.org/rfc/rfc6455#section-7

use super::{
    CloseCode, CloseFrame, FrameHeader, Masking, MessageKind, Opcode, Output, Prepared, ProtocolError, Reply, Role,
    SendError, Unmasked,
    deflate::Deflating,
    frame::{MAX_CONTROL_BYTES, MAX_HEADER_BYTES},
};

/// The sending half of a [`Connection`](crate::Connection). Each method appends whole frames to `out`, or gives an
/// error and appends nothing.
///
/// - Commands: [`text`](Self::text), [`binary`](Self::binary), [`text_uncompressed`](Self::text_uncompressed),
///   [`binary_uncompressed`](Self::binary_uncompressed), [`text_fragment`](Self::text_fragment),
///   [`binary_fragment`](Self::binary_fragment), [`prepared`](Self::prepared), [`ping`](Self::ping),
///   [`pong`](Self::pong), [`close`](Self::close).
/// - What the receiving half asks for: [`reply`](Self::reply), [`fail`](Self::fail).
/// - Getters: [`is_open`](Self::is_open), [`close_code`](Self::close_code).
#[derive(Debug)]
pub struct Sender<M = Unmasked> {
    masking: M,
    state: Sending,
    /// There where permessage-deflate was agreed on.
    deflating: Option<Deflating>,
}

/// The sending half of the state (§7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// Anything may be sent; between the fragments of a message only its next one, and control frames (§5.4).
    Open { unfinished: Option<MessageKind> },
    /// Our Close frame is sent, and nothing after it (§5.5.1).
    CloseSent { code: Option<CloseCode> },
}

/// What moves [`Sending`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    /// A fragment, or with `fin` on its own a whole message.
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

    /// From now on, messages may be compressed.
    pub(super) fn set_deflating(&mut self, deflating: Deflating) {
        self.deflating = Some(deflating);
    }

    /// Sends a text message in one frame, compressed where that was agreed on and makes it shorter.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::MessageUnfinished`], [`SendError::BufferTooSmall`].
    pub fn text(&mut self, text: &str, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.message(MessageKind::Text, text.as_bytes(), out)
    }

    /// Sends a binary message in one frame, compressed where that was agreed on and makes it shorter.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn binary(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.message(MessageKind::Binary, payload, out)
    }

    /// Sends a text message as it is, whatever was agreed on: for what mixes a secret with what an attacker may choose,
    /// since the length of a compressed message tells how much the two have in common.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn text_uncompressed(&mut self, text: &str, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.data(MessageKind::Text, text.as_bytes(), None, out)
    }

    /// Sends a binary message as it is; see [`text_uncompressed`](Self::text_uncompressed).
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn binary_uncompressed(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.data(MessageKind::Binary, payload, None, out)
    }

    /// Sends the next fragment of a text message; the first call begins it, `fin` ends it (§5.4). What is sent in
    /// fragments is not compressed: it would keep a compressor for as long as it takes.
    ///
    /// # Errors
    /// As [`text`](Self::text); [`SendError::MessageUnfinished`] where a binary message is unfinished.
    pub fn text_fragment(&mut self, text: &str, fin: bool, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.data(MessageKind::Text, text.as_bytes(), Some(fin), out)
    }

    /// Sends the next fragment of a binary message; the first call begins it, `fin` ends it (§5.4). Not compressed.
    ///
    /// # Errors
    /// As [`text`](Self::text); [`SendError::MessageUnfinished`] where a text message is unfinished.
    pub fn binary_fragment(
        &mut self,
        payload: &[u8],
        fin: bool,
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        self.data(MessageKind::Binary, payload, Some(fin), out)
    }

    /// Sends a message that was encoded once for many: a server copies its bytes, compressed ones where that was agreed
    /// on, or compresses them itself where the window that was agreed on is too small for those; a client masks them
    /// afresh.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn prepared(&mut self, message: &Prepared, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        match M::ROLE {
            Role::Server if self.must_recompress(message) => self.message(message.kind(), message.payload(), out),
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
            Role::Client if message.may_be_compressed() => self.message(message.kind(), message.payload(), out),
            Role::Client => self.data(message.kind(), message.payload(), None, out),
        }
    }

    /// Sends a Ping with at most 125 bytes (§5.5.2).
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`], [`SendError::Closed`], [`SendError::BufferTooSmall`].
    pub fn ping(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.control(Opcode::Ping, payload, out)
    }

    /// Sends a Pong with at most 125 bytes that nobody asked for (§5.5.3). Pings are answered by
    /// [`reply`](Self::reply).
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.control(Opcode::Pong, payload, out)
    }

    /// Begins the closing handshake (§7.1.2), with a code and a reason of at most 123 bytes or with neither. An
    /// unfinished fragmented message stays unfinished.
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

    /// Sends what the RFC obliges us to answer; does nothing where our Close frame is already sent.
    ///
    /// # Errors
    /// [`SendError::BufferTooSmall`]; for a reply that no event gave, also what [`pong`](Self::pong) and
    /// [`close`](Self::close) refuse.
    pub fn reply(&mut self, reply: Reply<'_>, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        if !self.is_open() {
            return Ok(());
        }
        match reply {
            Reply::Pong(payload) => self.control(Opcode::Pong, payload, out),
            Reply::Close(code) => self.close_frame(code.map(|code| CloseFrame { code, reason: "" }), out),
        }
    }

    /// _Fails the connection_ (§7.1.7): sends a Close frame with the code that fits the peer's breach; does nothing
    /// where our Close frame is already sent.
    ///
    /// # Errors
    /// [`SendError::BufferTooSmall`].
    pub fn fail(&mut self, error: &ProtocolError, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        if !self.is_open() {
            return Ok(());
        }
        self.close_frame(Some(CloseFrame { code: error.close_code(), reason: error.reason() }), out)
    }

    /// Whether our Close frame is still to be sent.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, Sending::Open { .. })
    }

    /// The code of the Close frame that we sent: `None` before, `Some(None)` for one without a code.
    #[must_use]
    pub const fn close_code(&self) -> Option<Option<CloseCode>> {
        match self.state {
            Sending::Open { .. } => None,
            Sending::CloseSent { code } => Some(code),
        }
    }

    /// The frame of a shared message in its compressed form, if it has one that can be sent here.
    fn shared_frame<'m>(&self, message: &'m Prepared) -> Option<&'m [u8]> {
        message.compressed(self.deflating.as_ref()?.deflate())
    }

    /// Whether a shared message may have distances that are too long for what was agreed on here.
    fn must_recompress(&self, message: &Prepared) -> bool {
        let longest = self.deflating.as_ref().map_or(usize::MAX, Deflating::max_shared_bytes);
        message.may_be_compressed() && message.payload().len() > longest
    }

    /// Sends a prepared message that nobody else gets. Unlike [`prepared`](Self::prepared) it compresses the message with
    /// this connection's own compressor where that keeps its context, which makes it shorter.
    ///
    /// # Errors
    /// As [`prepared`](Self::prepared).
    pub fn prepared_for_one(&mut self, message: &Prepared, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        let keeps_context = self.deflating.as_ref().is_some_and(Deflating::keeps_context);
        if keeps_context && message.may_be_compressed() {
            self.message(message.kind(), message.payload(), out)
        } else {
            self.prepared(message, out)
        }
    }

    /// The longest message, in bytes of payload, whose frame [`Prepared::compressed`] may be written to this connection;
    /// `None` if permessage-deflate was not agreed on.
    ///
    /// The frame may refer back as far as the message is long, so it must fit into the window that was agreed on
    /// (RFC 7692 [§7.1.2]).
    ///
    /// [§7.1.2]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2
    #[must_use]
    pub fn max_shared_bytes(&self) -> Option<usize> {
        self.deflating.as_ref().map(Deflating::max_shared_bytes)
    }

    /// Tells the sender that the caller has written the frame of [`Prepared::compressed`] itself. The next message is
    /// compressed without the context of earlier ones: the peer's window holds another message now.
    pub fn reset_context(&mut self) {
        if let Some(deflating) = &mut self.deflating {
            deflating.reset_context();
        }
    }

    pub(super) fn state(&self) -> Sending {
        self.state
    }

    /// A whole message in one frame, compressed if that was agreed on and makes it shorter.
    #[inline]
    fn message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        // A server's usual case: nothing changes but `out`.
        if (self.state, M::ROLE) == (Sending::Open { unfinished: None }, Role::Server) && self.deflating.is_none() {
            let header = FrameHeader::of_message(kind, false, payload.len() as u64);
            return match header.encode_short() {
                Some(header) => out.append_frame(&header, payload).map(drop),
                None => out.append_frame(&header.encode(), payload).map(drop),
            };
        }
        self.slow_message(kind, payload, out)
    }

    /// The same in all cases.
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
            // The next time it starts afresh and may be longer than it was now, but never longer than it is.
            Some(Err(SendError::BufferTooSmall { .. })) => {
                return Err(SendError::BufferTooSmall { needed: MAX_HEADER_BYTES + payload.len() });
            }
            Some(Err(error)) => return Err(error),
            None => return self.data(kind, payload, None, out),
        }
        self.state = state;
        Ok(())
    }

    /// A data frame: a whole message where `fragment` is `None`, else a fragment and whether it is the last.
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

/// Writes one frame, masked if we are a client.
fn write_frame<M: Masking>(
    header: FrameHeader,
    payload: &[u8],
    masking: &mut M,
    out: &mut (impl Output + ?Sized),
) -> Result<(), SendError> {
    let mask = masking.next_key();
    let written = out.append_frame(&FrameHeader { mask, ..header }.encode(), payload)?;
    if let Some(key) = mask {
        key.apply(written);
    }
    Ok(())
}
