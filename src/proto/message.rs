//! Fragments become messages ([§5.4]).
//!
//! A message that lies whole in the caller's buffer never comes here. What does come is kept in one contiguous
//! buffer that grows with the bytes that arrived, never with the length that a header claims and not with the number
//! of fragments, and for what is compressed with what it inflates to. Text is checked as it is appended, so that a fault
//! is found in the middle of a frame.
//!
//! [§5.4]: https://www.rfc-editor.org/rfc/rfc6455#section-5.4

use alloc::{string::String, vec::Vec};

use super::{
    Delivery, MaskingKey, MessageKind, ProtocolError, deflate::PooledInflater, frame::PartialFrame, utf8::Utf8Validator,
};

/// A message of which some has arrived: how its payload is encoded, and what it has become.
#[derive(Debug)]
pub(super) struct PartialMessage {
    /// The frame of which payload is missing; `None` where the message's next frame has not begun.
    pub(super) frame: Option<PartialFrame>,
    /// Bytes of payload so far, as they were on the wire.
    pub(super) wire_bytes: u64,
    /// Blocks with BFINAL in what is compressed.
    pub(super) final_blocks: u32,
    pub(super) coding: Coding,
    pub(super) assembler: MessageAssembler,
}

/// How a message's payload is encoded on the wire.
#[derive(Debug, Default)]
pub(super) enum Coding {
    #[default]
    Plain,
    /// Compressed: inflated as it comes, once an inflater is free.
    Deflate(Compressed),
}

/// What has come of a compressed message and is not inflated.
#[derive(Debug, Default)]
pub(super) struct Compressed {
    pub(super) inflater: Option<PooledInflater>,
    /// Bytes as they came while no inflater was free; those before `inflated` are done with.
    pub(super) backlog: Vec<u8>,
    pub(super) backlog_used: usize,
}

impl Compressed {
    /// Whether something is here that can be inflated.
    pub(super) fn has_backlog(&self) -> bool {
        self.inflater.is_some() && !self.backlog.is_empty()
    }

    /// What was kept has been inflated as far as this; nothing is kept once it is done with.
    pub(super) fn consume_backlog(&mut self, used: usize) {
        self.backlog_used += used;
        if self.backlog_used == self.backlog.len() {
            (self.backlog, self.backlog_used) = (Vec::new(), 0);
        }
    }
}

impl PartialMessage {
    pub(super) fn new(kind: MessageKind, delivery: Delivery, coding: Coding, max_bytes: u64) -> Self {
        let assembler = MessageAssembler::new(kind, delivery, max_bytes);
        Self { frame: None, wire_bytes: 0, final_blocks: 0, coding, assembler }
    }

    /// Whether something is here that can be inflated.
    pub(super) fn has_backlog(&self) -> bool {
        matches!(&self.coding, Coding::Deflate(compressed) if compressed.has_backlog())
    }

    /// Bytes that are kept for it.
    pub(super) fn buffered_bytes(&self) -> u64 {
        let compressed = match &self.coding {
            Coding::Plain => 0,
            Coding::Deflate(Compressed { inflater, backlog, .. }) => {
                backlog.len() as u64 + inflater.as_ref().map_or(0, PooledInflater::uncounted_bytes)
            }
        };
        compressed + self.assembler.buffered_bytes()
    }
}

/// The payload of a message as it becomes whole, not compressed.
#[derive(Debug)]
pub(super) struct MessageAssembler {
    /// Bytes of payload so far, kept or passed on.
    length: u64,
    /// The longest that it may become.
    max_bytes: u64,
    /// Nothing has been appended, not even an empty piece.
    awaits_first_piece: bool,
    content: Content,
}

/// What is done with the payload of an unfinished message.
#[derive(Debug)]
enum Content {
    /// Kept until the message is whole; `validator` holds the bytes of a code point cut by a fragment or a read.
    Text { whole: String, validator: Utf8Validator },
    /// Kept until the message is whole.
    Binary(Vec<u8>),
    /// Passed on as it comes; `validator` is there for text.
    Streamed { kind: MessageKind, validator: Option<Utf8Validator> },
}

/// A message that is whole.
#[derive(Debug)]
pub(super) enum Assembled {
    Text(String),
    Binary(Vec<u8>),
    /// All of it was passed on before.
    Streamed,
}

impl MessageAssembler {
    pub(super) fn new(kind: MessageKind, delivery: Delivery, max_bytes: u64) -> Self {
        let content = match (delivery, kind) {
            (Delivery::Messages, MessageKind::Text) => {
                Content::Text { whole: String::new(), validator: Utf8Validator::default() }
            }
            (Delivery::Messages, MessageKind::Binary) => Content::Binary(Vec::new()),
            (Delivery::Pieces, MessageKind::Text) => {
                Content::Streamed { kind, validator: Some(Utf8Validator::default()) }
            }
            (Delivery::Pieces, MessageKind::Binary) => Content::Streamed { kind, validator: None },
        };
        Self { length: 0, max_bytes, awaits_first_piece: true, content }
    }

    /// Bytes of payload so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    fn buffered_bytes(&self) -> u64 {
        match &self.content {
            Content::Text { .. } | Content::Binary(_) => self.length,
            Content::Streamed { .. } => 0,
        }
    }

    /// Whether the first piece is still to come.
    pub(super) fn awaits_first_piece(&self) -> bool {
        self.awaits_first_piece
    }

    pub(super) fn kind(&self) -> MessageKind {
        match &self.content {
            Content::Text { .. } => MessageKind::Text,
            Content::Binary(_) => MessageKind::Binary,
            Content::Streamed { kind, .. } => *kind,
        }
    }

    /// Takes the next piece of payload, unmasked. `rest`: how many bytes are still to come, if that is known.
    pub(super) fn append(&mut self, piece: &[u8], rest: Option<u64>) -> Result<(), ProtocolError> {
        self.make_room(piece.len(), rest);
        self.push(piece)
    }

    /// The same for a piece that is masked. It is unmasked in place, a little of it at a time, which is still in the
    /// nearest cache when it is checked and copied.
    pub(super) fn append_masked(
        &mut self,
        piece: &mut [u8],
        mask: Option<MaskingKey>,
        rest: Option<u64>,
    ) -> Result<(), ProtocolError> {
        self.make_room(piece.len(), rest);
        for block in piece.chunks_mut(BLOCK_BYTES) {
            if let Some(key) = mask {
                key.apply(block);
            }
            self.push(block)?;
        }
        Ok(())
    }

    /// The next piece is coming: `more` bytes, perhaps none, and `rest` behind it.
    fn make_room(&mut self, more: usize, rest: Option<u64>) {
        self.awaits_first_piece = false;
        let total = rest.map_or(self.max_bytes, |rest| self.length + more as u64 + rest);
        match &mut self.content {
            // A code point that is cut is not in it yet: then a few bytes more find room by themselves.
            Content::Text { whole, .. } => whole.reserve_exact(growth(whole.len(), whole.capacity(), more, total)),
            Content::Binary(whole) => whole.reserve_exact(growth(whole.len(), whole.capacity(), more, total)),
            Content::Streamed { .. } => {}
        }
    }

    /// Checks a piece and keeps it, if it is to be kept.
    fn push(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        let before = self.length;
        self.length += piece.len() as u64;
        let checked = match &mut self.content {
            Content::Text { whole, validator } => validator.push(piece).map(|valid| {
                whole.extend(valid.completed);
                whole.push_str(valid.text);
            }),
            Content::Binary(whole) => {
                whole.extend_from_slice(piece);
                Ok(())
            }
            Content::Streamed { validator: Some(validator), .. } => validator.push(piece).map(|_| ()),
            Content::Streamed { validator: None, .. } => Ok(()),
        };
        checked.map_err(|error| ProtocolError::InvalidUtf8 { offset: before + error.offset as u64 })
    }

    /// The whole message, once its last fragment has been appended.
    pub(super) fn finish(self) -> Result<Assembled, ProtocolError> {
        let (validator, assembled) = match self.content {
            Content::Text { whole, validator } => (Some(validator), Assembled::Text(whole)),
            Content::Binary(whole) => (None, Assembled::Binary(whole)),
            Content::Streamed { validator, .. } => (validator, Assembled::Streamed),
        };
        match validator {
            Some(validator) if !validator.is_complete() => Err(ProtocolError::InvalidUtf8 { offset: self.length }),
            _ => Ok(assembled),
        }
    }
}

/// How much to reserve for `more` bytes: room doubles, as a Vec does, or becomes just what `total` bytes take, once half of
/// them are here.
fn growth(length: usize, capacity: usize, more: usize, total: u64) -> usize {
    let needed = length + more;
    if needed <= capacity {
        return 0;
    }
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    let doubled = if total / 2 <= needed { total } else { (2 * capacity).max(FIRST_BYTES).min(total) };
    doubled.max(needed) - length
}

/// Room for the first bytes, so that many short fragments do not begin with many short steps.
const FIRST_BYTES: usize = 64;
/// How much is unmasked before it is copied: a multiple of a key's length, and well within a core's nearest cache.
const BLOCK_BYTES: usize = 8 << 10;
