//! How much the next read should take.
//!
//! A frame that is whole in the caller's buffer is returned in place. One that a read has cut is copied, up to there.
//! Small frames are best read many at once, since few are cut. Of large ones each read would cut one, so it had better
//! end with a frame. Their length is a guess: that of the last one.

use super::{Receiver, Unfinished};
use crate::proto::Role;

/// The length of the payload of the last data frame, in bytes, and at most 16 MiB. It fits into what the receiver has
/// left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastLength([u8; 3]);

impl LastLength {
    #[inline]
    pub(super) fn new(length: u64) -> Self {
        let [first, second, third, _] = u32::try_from(length).unwrap_or(MAX).min(MAX).to_le_bytes();
        Self([first, second, third])
    }

    fn get(self) -> usize {
        let [first, second, third] = self.0;
        u32::from_le_bytes([first, second, third, 0]) as usize
    }
}

impl Receiver {
    /// Returns how much of a buffer of `buffer_bytes` the next read should fill at most.
    ///
    /// This is advice: the events are the same whatever a read returns. It is all of the buffer while the peer sends
    /// small frames. After a frame of 8 KiB or more it is the rest of an unfinished frame, and as many frames like the
    /// last as there is space for: a read that ends with a frame leaves none that must be copied. It takes one byte
    /// more, so that a read of fewer has read everything. If there is space for no such frame, it is at least 16 KiB of
    /// the buffer: the rest can be read with [`room`](Self::room).
    #[must_use]
    pub fn read_limit(&self, buffer_bytes: usize) -> usize {
        let last = self.last_length.get();
        if last < LARGE_BYTES {
            return buffer_bytes;
        }
        let missing = match &self.unfinished {
            Unfinished::Message(message) => message.frame.map_or(0, |frame| frame.remaining),
            Unfinished::Control(control) => control.frame.remaining,
            Unfinished::Nothing => 0,
        };
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        let header = if last <= usize::from(u16::MAX) { 4 } else { 10 };
        let key = if self.role == Role::Server { 4 } else { 0 };
        let frame = header + key + last;
        let kept = usize::from(self.header_len);
        let frames = (buffer_bytes + kept).saturating_sub(1).saturating_sub(missing) / frame;
        if frames > 0 {
            missing + frames * frame + 1 - kept
        } else {
            missing.saturating_add(1).max(FIRST_BYTES).min(buffer_bytes)
        }
    }
}

/// The largest length that is noted.
const MAX: u32 = (1 << 24) - 1;
/// Of smaller frames a read takes as many as it can: less than one in ten is cut in a buffer of 64 KiB.
const LARGE_BYTES: usize = 8 << 10;
/// The least that is read of a frame for which the buffer has no space. It is copied.
const FIRST_BYTES: usize = 16 << 10;
