//! A message encoded once for many receivers.

use alloc::{sync::Arc, vec::Vec};

use super::{FrameHeader, MessageKind};

/// A message encoded once, as one unmasked frame, for any number of receivers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Prepared {
    kind: MessageKind,
    /// Header and payload; `header_len <= frame.len()`.
    frame: Arc<[u8]>,
    header_len: usize,
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
        let header = FrameHeader::of_message(kind, payload.len() as u64).encode();
        let mut frame = Vec::with_capacity(header.len() + payload.len());
        frame.extend_from_slice(&header);
        frame.extend_from_slice(payload);
        Self { kind, frame: frame.into(), header_len: header.len() }
    }

    /// Text or binary.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// The whole frame, as a server puts it on the wire.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The message.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.frame[self.header_len..]
    }
}
