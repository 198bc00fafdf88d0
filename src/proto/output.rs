//! The buffers that frames are appended to: a `Vec`, or a fixed slice.

use alloc::vec::Vec;

use super::SendError;

/// A buffer of the caller that a [`Sender`](crate::Sender) appends frames to: a `Vec<u8>`, a [`FixedOutput`], or with
/// the feature `bytes` a `BytesMut`.
///
/// A frame is appended whole or not at all.
pub trait Output {
    /// Appends `header` and `payload`, and returns the appended payload, so that the caller can mask it.
    ///
    /// # Errors
    /// [`SendError::BufferTooSmall`] if the buffer cannot grow. Nothing is appended.
    fn append_frame(&mut self, header: &[u8], payload: &[u8]) -> Result<&mut [u8], SendError>;
}

impl Output for Vec<u8> {
    #[inline(always)]
    fn append_frame(&mut self, header: &[u8], payload: &[u8]) -> Result<&mut [u8], SendError> {
        self.reserve(header.len() + payload.len());
        // Most headers have one of these lengths. With a constant length the compiler needs no call to copy them.
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

#[cfg(feature = "bytes")]
impl Output for bytes::BytesMut {
    fn append_frame(&mut self, header: &[u8], payload: &[u8]) -> Result<&mut [u8], SendError> {
        self.reserve(header.len() + payload.len());
        self.extend_from_slice(header);
        let start = self.len();
        self.extend_from_slice(payload);
        Ok(&mut self[start..])
    }
}

/// A fixed buffer, filled from its start.
#[derive(Debug)]
pub struct FixedOutput<'a> {
    buffer: &'a mut [u8],
    /// `filled <= buffer.len()`.
    filled: usize,
}

impl<'a> FixedOutput<'a> {
    /// Writes from the start of `buffer`.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, filled: 0 }
    }

    /// Returns the part of the buffer that has been written.
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
