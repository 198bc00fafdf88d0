//! Where frames are written: the end of a growing buffer, or a fixed one.

use alloc::vec::Vec;

use super::SendError;

/// A buffer that frames are appended to, owned by the caller.
///
/// A frame is appended whole or not at all.
pub trait Output {
    /// Appends `header` and `payload`, and gives the payload as it now lies in the buffer, for masking.
    ///
    /// # Errors
    /// [`SendError::BufferTooSmall`] where the buffer cannot grow; nothing is appended then.
    fn append_frame(&mut self, header: &[u8], payload: &[u8]) -> Result<&mut [u8], SendError>;
}

impl Output for Vec<u8> {
    #[inline(always)]
    fn append_frame(&mut self, header: &[u8], payload: &[u8]) -> Result<&mut [u8], SendError> {
        self.reserve(header.len() + payload.len());
        // The lengths that most headers have: known to the compiler, they cost no call.
        match (header.as_array::<2>(), header.as_array::<4>()) {
            (Some(header), _) => self.extend_from_slice(header),
            (_, Some(header)) => self.extend_from_slice(header),
            (None, None) => self.extend_from_slice(header),
        }
        let start = self.len();
        self.extend_from_slice(payload);
        Ok(&mut self[start..])
    }
}

/// A fixed buffer, filled from its front.
#[derive(Debug)]
pub struct FixedOutput<'a> {
    buffer: &'a mut [u8],
    /// `filled <= buffer.len()`.
    filled: usize,
}

impl<'a> FixedOutput<'a> {
    /// Writes from the front of `buffer`.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, filled: 0 }
    }

    /// What has been written.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Output for FixedOutput<'_> {
    fn append_frame(&mut self, header: &[u8], payload: &[u8]) -> Result<&mut [u8], SendError> {
        let needed = header.len() + payload.len();
        let Some(room) = self.buffer[self.filled..].get_mut(..needed) else {
            return Err(SendError::BufferTooSmall { needed });
        };
        self.filled += needed;
        let (front, back) = room.split_at_mut(header.len());
        front.copy_from_slice(header);
        back.copy_from_slice(payload);
        Ok(back)
    }
}
