//! Compressed messages: their payload is inflated as it arrives, step by step, once an inflater is free
//! ([RFC 7692 §6.2](https://www.rfc-editor.org/rfc/rfc7692#section-6.2)).

use alloc::boxed::Box;

use super::{
    Receiver,
    events::{Events, Found, assembled},
};
use crate::proto::{
    Delivery, ProtocolError,
    deflate::PooledInflater,
    frame::PartialFrame,
    message::{Coding, Compressed, PartialMessage},
};

impl<'b> Events<'_, 'b> {
    /// Handles more of a compressed payload: inflates a step of it, or buffers it while no inflater is free.
    pub(super) fn compressed_data(
        &mut self,
        frame: PartialFrame,
        mut message: Box<PartialMessage>,
        mut compressed: Compressed,
    ) -> Result<Option<Found<'b>>, ProtocolError> {
        let whole = frame.fin && frame.remaining <= self.input.len() as u64;
        let inflater = match (compressed.inflater.take(), &mut self.receiver.inflating) {
            (Some(inflater), _) => Some(inflater),
            // A header alone does not acquire an inflater.
            (None, Some(inflating)) if whole || !self.input.is_empty() => {
                // Pieces are returned as they arrive, so they cannot wait for an inflater.
                let inflater = inflating.acquire(whole || self.receiver.delivery == Delivery::Pieces);
                self.work += inflater.as_ref().map_or(0, PooledInflater::setup_work);
                inflater
            }
            (None, _) => None,
        };
        if let Some(inflater) = inflater {
            return self.inflate(frame, message, compressed, inflater);
        }
        let (piece, rest) = self.piece_of(frame);
        message.wire_bytes += piece.len() as u64;
        compressed.backlog.extend_from_slice(piece);
        message.coding = Coding::Deflate(compressed);
        self.receiver.keep(rest, message);
        Ok(None)
    }

    /// Inflates a step of the backlog, or else of the payload. The rest of the payload stays in the input, masked.
    fn inflate(
        &mut self,
        mut frame: PartialFrame,
        mut message: Box<PartialMessage>,
        mut compressed: Compressed,
        mut inflater: PooledInflater,
    ) -> Result<Option<Found<'b>>, ProtocolError> {
        let first = message.assembler.awaits_first_piece();
        self.bytes.clear();
        let length = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(self.input.len()).min(SLICE_BYTES);
        let work = if !compressed.backlog.is_empty() {
            let rest = &compressed.backlog[compressed.backlog_used..];
            let (used, work) =
                self.receiver.inflate(&mut message, &mut inflater, &rest[..rest.len().min(SLICE_BYTES)])?;
            compressed.consume_backlog(used);
            Some(work)
        } else if length > 0 {
            let slice = &mut self.input[..length];
            if let Some(key) = frame.mask {
                key.apply(slice);
            }
            let (used, work) = self.receiver.inflate(&mut message, &mut inflater, slice)?;
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
            self.bytes.extend_from_slice(inflater.output());
        }
        let rest = (frame.remaining > 0 || !compressed.backlog.is_empty()).then_some(frame);
        let last = rest.is_none() && frame.fin;
        let kind = message.assembler.kind();
        let found = if last {
            inflater.finish().map_err(|_| ProtocolError::InvalidDeflate)?;
            if let Some(inflating) = &mut self.receiver.inflating {
                inflating.take_history(&mut inflater);
            }
            assembled(*message)?
        } else {
            compressed.inflater = Some(inflater);
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
}

impl Receiver {
    /// Inflates from the start of `input` into a message. Returns the number of bytes used, and the work.
    fn inflate(
        &self,
        message: &mut PartialMessage,
        inflater: &mut PooledInflater,
        input: &[u8],
    ) -> Result<(usize, usize), ProtocolError> {
        let limit = self.limits.max_message_bytes;
        let room = usize::try_from(limit.saturating_sub(message.assembler.length())).unwrap_or(usize::MAX);
        let step = inflater.inflate(input, room.saturating_add(1));
        // The order of these checks makes the error independent of where a step ends.
        let output = inflater.output();
        let within = &output[..output.len().min(room)];
        if !within.is_empty() {
            message.assembler.append(within, None)?;
        }
        if output.len() > room {
            return Err(ProtocolError::MessageTooLong { length: limit.saturating_add(1), limit });
        }
        message.final_blocks += u32::from(step.ended_final);
        if message.final_blocks > MAX_FINAL_BLOCKS {
            return Err(ProtocolError::TooManyFinalBlocks { limit: MAX_FINAL_BLOCKS });
        }
        step.outcome.map_err(|_| ProtocolError::InvalidDeflate)?;
        // Input costs work even if it inflates to nothing: a block may consist of tables.
        Ok((step.consumed, step.work + step.consumed * WORK_PER_BYTE))
    }
}

/// The work of one byte of compressed input, in bytes that are moved.
const WORK_PER_BYTE: usize = 16;
/// How much of a compressed payload is unmasked at a time.
const SLICE_BYTES: usize = 4 << 10;
/// The number of blocks with BFINAL that a message may have. Each is two bytes for the peer, and 32 KiB of window to
/// set up for us, which no other limit counts.
const MAX_FINAL_BLOCKS: u32 = 1_000;
