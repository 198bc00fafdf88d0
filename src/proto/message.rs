//! Assembles fragments into messages ([§5.4]).
//!
//! An uncompressed message that is whole in the caller's buffer does not come here. Any other is collected in one
//! contiguous buffer, which grows with the bytes that arrive or are inflated, not with the length that a header
//! announces nor with the number of fragments. Text is checked as it is appended, so an error is found in the middle of
//! a frame.
//!
//! [§5.4]: https://www.rfc-editor.org/rfc/rfc6455#section-5.4

use alloc::{string::String, vec::Vec};

use super::{
    Delivery, MaskingKey, MessageKind, ProtocolError,
    deflate::PooledInflater,
    frame::PartialFrame,
    spare::{Loan, SpareBuffer},
    utf8::Utf8Validator,
};

/// A message of which a part has arrived.
#[derive(Debug)]
pub(super) struct PartialMessage {
    /// The frame whose payload is incomplete; `None` if the next frame's header has not arrived.
    pub(super) frame: Option<PartialFrame>,
    /// The number of payload bytes so far, as they were on the wire.
    pub(super) wire_bytes: u64,
    /// The number of blocks with BFINAL so far, in a compressed message.
    pub(super) final_blocks: u32,
    pub(super) coding: Coding,
    pub(super) assembler: MessageAssembler,
}

/// How a message's payload is encoded on the wire.
#[derive(Debug, Default)]
pub(super) enum Coding {
    #[default]
    Plain,
    /// Compressed: inflated as it arrives, once an inflater is free.
    Deflate(Compressed),
}

/// The state of inflating a message.
#[derive(Debug, Default)]
pub(super) struct Compressed {
    pub(super) inflater: Option<PooledInflater>,
    /// Compressed bytes that arrived while no inflater was free.
    pub(super) backlog: Vec<u8>,
    /// `backlog[..backlog_used]` has been inflated.
    pub(super) backlog_used: usize,
}

impl Compressed {
    /// Returns whether there are compressed bytes that can be inflated now.
    pub(super) fn has_backlog(&self) -> bool {
        self.inflater.is_some() && !self.backlog.is_empty()
    }

    /// Marks `used` more bytes of the backlog as inflated, and frees it once all are.
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

    /// Returns whether all of a frame's payload is in the message's buffer already, because it was read there.
    pub(super) fn has_whole_frame(&self) -> bool {
        matches!(self.coding, Coding::Plain) && self.frame.is_some_and(|frame| frame.remaining == 0)
    }

    /// Returns whether there are compressed bytes that can be inflated now.
    pub(super) fn has_backlog(&self) -> bool {
        matches!(&self.coding, Coding::Deflate(compressed) if compressed.has_backlog())
    }

    /// Returns the number of bytes that are buffered for this message.
    pub(super) fn buffered_bytes(&self) -> u64 {
        let compressed = match &self.coding {
            Coding::Plain => 0,
            Coding::Deflate(Compressed { inflater, backlog, .. }) => {
                backlog.len() as u64 + inflater.as_ref().map_or(0, PooledInflater::uncounted_bytes)
            }
        };
        compressed + self.assembler.buffered_bytes()
    }

    /// Returns the heap memory of this message, in bytes, with its own box.
    pub(super) fn allocated_bytes(&self) -> u64 {
        let compressed = match &self.coding {
            Coding::Plain => 0,
            Coding::Deflate(Compressed { inflater, backlog, .. }) => {
                backlog.capacity() as u64 + inflater.as_ref().map_or(0, PooledInflater::uncounted_bytes)
            }
        };
        size_of::<Self>() as u64 + compressed + self.assembler.allocated_bytes()
    }
}

/// Collects and checks the payload of a message, after inflating.
#[derive(Debug)]
pub(super) struct MessageAssembler {
    /// The number of payload bytes so far, buffered or streamed.
    length: u64,
    /// The longest payload that is accepted.
    max_bytes: u64,
    /// Whether nothing has been appended, not even an empty piece.
    awaits_first_piece: bool,
    content: Content,
    /// `Some` if the buffer is that of a [`SpareBuffer`].
    loan: Option<Loan>,
}

/// The payload of an unfinished message.
#[derive(Debug)]
enum Content {
    /// Buffered until the message is whole; `validator` holds the bytes of a code point that is cut.
    Text { whole: String, validator: Utf8Validator },
    /// Buffered until the message is whole.
    Binary(Vec<u8>),
    /// Returned piece by piece; text has a `validator`.
    Streamed { kind: MessageKind, validator: Option<Utf8Validator> },
}

/// A whole message.
#[derive(Debug)]
pub(super) enum Assembled {
    Text(String),
    Binary(Vec<u8>),
    /// All pieces were returned before.
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
        Self { length: 0, max_bytes, awaits_first_piece: true, content, loan: None }
    }

    /// Returns the number of payload bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    fn buffered_bytes(&self) -> u64 {
        match &self.content {
            Content::Text { .. } | Content::Binary(_) => self.length,
            Content::Streamed { .. } => 0,
        }
    }

    fn allocated_bytes(&self) -> u64 {
        match &self.content {
            Content::Text { whole, .. } => whole.capacity() as u64,
            Content::Binary(whole) => whole.capacity() as u64,
            Content::Streamed { .. } => 0,
        }
    }

    /// Returns whether nothing has been appended, not even an empty piece.
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

    /// Appends the next piece of unmasked payload. `rest` is the number of payload bytes after it, if that is known.
    pub(super) fn append(&mut self, piece: &[u8], rest: Option<u64>) -> Result<(), ProtocolError> {
        self.make_room(piece.len(), rest, None);
        self.push(piece)
    }

    /// Appends the next piece of payload and unmasks it in place. It does so block by block, so that a block is still
    /// in the fastest cache when it is checked and copied. If nothing is buffered yet, the buffer may be the `spare` one.
    pub(super) fn append_masked(
        &mut self,
        piece: &mut [u8],
        mask: Option<MaskingKey>,
        rest: Option<u64>,
        spare: Option<&mut SpareBuffer>,
    ) -> Result<(), ProtocolError> {
        self.make_room(piece.len(), rest, spare);
        for block in piece.chunks_mut(BLOCK_BYTES) {
            if let Some(key) = mask {
                key.apply(block);
            }
            self.push(block)?;
        }
        Ok(())
    }

    /// Reserves space for the next piece of `more` bytes, which may be 0, with `rest` bytes after it.
    fn make_room(&mut self, more: usize, rest: Option<u64>, spare: Option<&mut SpareBuffer>) {
        self.awaits_first_piece = false;
        self.drop_lent();
        if let (Some(spare), Some(rest)) = (spare, rest) {
            self.begin_with_spare(spare, more, rest);
        }
        let total = rest.map_or(self.max_bytes, |rest| self.length + more as u64 + rest);
        match &mut self.content {
            // The rest will be read into this buffer: the room for it is allocated at once.
            Content::Binary(whole) if rest.is_some_and(|rest| rest >= Self::MIN_LENT_BYTES as u64) => {
                let needed = whole.len() + more;
                if needed > whole.capacity() {
                    whole.reserve_exact(lent_capacity(needed, total) - whole.len());
                }
            }
            // A pending code point is not counted here. Its few bytes may make the string grow once more.
            Content::Text { whole, .. } => whole.reserve_exact(growth(whole.len(), whole.capacity(), more, total)),
            Content::Binary(whole) => whole.reserve_exact(growth(whole.len(), whole.capacity(), more, total)),
            Content::Streamed { .. } => {}
        }
    }

    /// Takes the spare buffer if none is allocated yet, and the message is worth it.
    fn begin_with_spare(&mut self, spare: &mut SpareBuffer, more: usize, rest: u64) {
        let total = usize::try_from(self.length + more as u64 + rest).unwrap_or(usize::MAX);
        if more < Self::MIN_LENT_BYTES || rest == 0 || self.allocated_bytes() > 0 {
            return;
        }
        match &mut self.content {
            Content::Binary(whole) => {
                if let Some((buffer, loan)) = spare.take(total) {
                    (*whole, self.loan) = (buffer, Some(loan));
                }
            }
            Content::Text { whole, .. } => {
                if let Some((buffer, loan)) = spare.take(total) {
                    (*whole, self.loan) = (String::from_utf8(buffer).unwrap_or_default(), Some(loan));
                }
            }
            Content::Streamed { .. } => {}
        }
    }

    /// Makes room for a read into the message's buffer, if that is one of a binary message. Returns whether the room is
    /// worth it: at least [`MIN_LENT_BYTES`](Self::MIN_LENT_BYTES), and at most `max_excess` more than is `missing` of
    /// the frame. `is_last` says whether the message ends with that frame.
    pub(super) fn make_lent_room(&mut self, missing: u64, is_last: bool, max_excess: usize) -> bool {
        self.drop_lent();
        let total = if is_last { self.length + missing } else { self.max_bytes };
        let Content::Binary(whole) = &mut self.content else { return false };
        let capacity = if whole.capacity() - whole.len() >= Self::MIN_LENT_BYTES {
            whole.capacity()
        } else {
            lent_capacity(whole.len(), total).max(whole.capacity())
        };
        let room = capacity - whole.len();
        if room < Self::MIN_LENT_BYTES || room as u64 > missing.saturating_add(max_excess as u64) {
            return false;
        }
        whole.reserve_exact(room);
        true
    }

    /// Returns the buffer that is lent.
    pub(super) fn lent_mut(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.content {
            Content::Binary(whole) => Some(whole),
            Content::Text { .. } | Content::Streamed { .. } => None,
        }
    }

    /// Takes at most `missing` of the bytes that were appended to the lent buffer, and unmasks them. Returns their
    /// number, and the bytes after them.
    pub(super) fn take_lent(&mut self, missing: u64, mask: Option<MaskingKey>) -> (usize, &[u8]) {
        let Content::Binary(whole) = &mut self.content else { return (0, &[]) };
        let appended = usize::try_from(self.length).ok().and_then(|before| whole.get_mut(before..)).unwrap_or_default();
        let taken = usize::try_from(missing).unwrap_or(usize::MAX).min(appended.len());
        let (taken, rest) = appended.split_at_mut(taken);
        if let Some(key) = mask {
            key.apply(taken);
        }
        self.length += taken.len() as u64;
        (taken.len(), rest)
    }

    /// Drops the bytes that were appended to the lent buffer and not taken.
    pub(super) fn drop_lent(&mut self) {
        if let Content::Binary(whole) = &mut self.content {
            whole.truncate(usize::try_from(self.length).unwrap_or(usize::MAX));
        }
    }

    /// The least room that is lent, in bytes.
    pub(super) const MIN_LENT_BYTES: usize = 4 << 10;

    /// Checks a piece, and buffers it unless the message is streamed.
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

    /// Returns the whole message, after its last fragment has been appended, and whether its buffer is a spare one.
    pub(super) fn finish(self) -> Result<(Assembled, Option<Loan>), ProtocolError> {
        let (validator, assembled) = match self.content {
            Content::Text { whole, validator } => (Some(validator), Assembled::Text(whole)),
            Content::Binary(whole) => (None, Assembled::Binary(whole)),
            Content::Streamed { validator, .. } => (validator, Assembled::Streamed),
        };
        match validator {
            Some(validator) if !validator.is_complete() => Err(ProtocolError::InvalidUtf8 { offset: self.length }),
            _ => Ok((assembled, self.loan)),
        }
    }
}

/// Returns how many bytes to reserve for `more` bytes. The capacity doubles, as in a `Vec`, or becomes exactly `total`
/// once half of `total` has arrived.
fn growth(length: usize, capacity: usize, more: usize, total: u64) -> usize {
    let needed = length + more;
    if needed <= capacity {
        return 0;
    }
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    let doubled = if total / 2 <= needed { total } else { (2 * capacity).max(FIRST_BYTES).min(total) };
    doubled.max(needed) - length
}

/// Returns the capacity of a buffer with `length` bytes into which more is read: twice as much, or all of the message
/// and [`EXCESS_BYTES`] once about half of it is there.
fn lent_capacity(length: usize, total: u64) -> usize {
    let total = usize::try_from(total).unwrap_or(usize::MAX).saturating_add(EXCESS_BYTES);
    if total / 2 <= length + HALF_BYTES { total } else { 2 * length }
}

/// The room after the end of a message, so that a read that does not fill the room has read everything. It holds no
/// whole header: the next message is not begun, and nothing allocated for it, while this one is in use.
const EXCESS_BYTES: usize = 1;
/// By how much less than half of a message may be there when all of its room is allocated: reads have round sizes, and
/// the header takes a part of the first.
const HALF_BYTES: usize = 64;
/// The first capacity, so that short fragments do not cause many small allocations.
const FIRST_BYTES: usize = 64;
/// How much is unmasked before it is copied: a multiple of the key's length, well within a core's first-level cache.
const BLOCK_BYTES: usize = 8 << 10;
