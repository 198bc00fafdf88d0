//! A message encoded once for many receivers.

use alloc::{boxed::Box, sync::Arc};

use super::{
    FrameHeader, MessageKind,
    deflate::{CompressedOnce, Deflate},
};

/// A message encoded once, as one unmasked frame, for any number of receivers. Cheap to clone.
///
/// For those who agreed on permessage-deflate it is compressed when the first of them is sent it, and once for all.
#[derive(Clone, Debug)]
pub struct Prepared {
    shared: Arc<Shared>,
    may_be_compressed: bool,
}

#[derive(Debug)]
struct Shared {
    kind: MessageKind,
    /// Header and payload.
    frame: Box<[u8]>,
    payload_len: usize,
    compressed: CompressedOnce,
}

impl Prepared {
    /// A text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(MessageKind::Text, text.as_bytes())
    }

    /// A binary message.
    #[must_use]
    pub fn binary(payload: &[u8]) -> Self {
        Self::new(MessageKind::Binary, payload)
    }

    fn new(kind: MessageKind, payload: &[u8]) -> Self {
        let header = FrameHeader::of_message(kind, false, payload.len() as u64).encode();
        let frame = [&*header, payload].concat().into();
        let shared = Shared { kind, frame, payload_len: payload.len(), compressed: CompressedOnce::default() };
        Self { shared: Arc::new(shared), may_be_compressed: true }
    }

    /// The same message, to be sent as it is; see [`Sender::text_uncompressed`](crate::Sender::text_uncompressed).
    #[must_use]
    pub fn uncompressed(self) -> Self {
        Self { may_be_compressed: false, ..self }
    }

    /// Text or binary.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.shared.kind
    }

    /// The whole frame, as a server puts it on the wire where nothing is compressed.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.shared.frame
    }

    /// The message.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.shared.frame[self.shared.frame.len() - self.shared.payload_len..]
    }

    pub(super) fn may_be_compressed(&self) -> bool {
        self.may_be_compressed
    }

    /// The whole frame with the message compressed by `deflate`, without context and with a window of 15 bits; `None` if
    /// that does not make it shorter, or if it must not be compressed. The first caller compresses, for all.
    ///
    /// A caller that fans one message out to many writes these bytes itself: only to connections whose
    /// [`Sender::max_shared_bytes`](crate::Sender::max_shared_bytes) allows it, and each time followed by
    /// [`Sender::reset_context`](crate::Sender::reset_context).
    #[must_use]
    pub fn compressed(&self, deflate: &Deflate) -> Option<&[u8]> {
        if !self.may_be_compressed {
            return None;
        }
        self.shared.compressed.get_or_compress(deflate, self.payload(), |compressed| {
            let header = FrameHeader::of_message(self.kind(), true, compressed.len() as u64).encode();
            [&*header, compressed].concat().into()
        })
    }
}
