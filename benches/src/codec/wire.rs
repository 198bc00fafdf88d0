//! A replacement for a socket: it returns the bytes of a block in an endless loop, and accepts all writes.
//!
//! It is always ready, so that a future that awaits it never waits.

use std::{
    io::{self, IoSlice, Read, Write},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Block;

/// Both directions of a connection.
#[derive(Debug, Default)]
pub struct Wire {
    /// The bytes to read; `None` in a wire that is only written to.
    block: Option<Rc<Block>>,
    /// The position of the next read in the block.
    at: usize,
    /// The maximum of one read.
    read_bytes: usize,
    written: Vec<u8>,
    total_written: u64,
}

/// The bytes after which the write buffer is emptied.
pub(super) const WRITE_BYTES: usize = 64 << 10;

impl Wire {
    /// Makes a wire from which the block's frames are read, at most `read_bytes` at a time.
    #[must_use]
    pub fn reading(block: &Rc<Block>, read_bytes: usize) -> Self {
        Self { block: Some(Rc::clone(block)), read_bytes, ..Self::default() }
    }

    /// Makes a wire that is only written to.
    #[must_use]
    pub fn writing() -> Self {
        Self { written: Vec::with_capacity(2 * WRITE_BYTES), ..Self::default() }
    }

    /// Copies the next bytes, as a read would, and returns their number.
    pub fn read_into(&mut self, room: &mut [u8]) -> usize {
        let length = room.len().min(self.read_bytes);
        let mut filled = 0;
        while filled < length {
            let piece = self.next_piece(length - filled);
            if piece.is_empty() {
                break;
            }
            room[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }
        filled
    }

    /// Returns the number of all bytes written so far.
    #[must_use]
    pub fn total_written(&self) -> u64 {
        self.total_written
    }

    /// Returns the next contiguous bytes, at most `max_bytes`.
    fn next_piece(&mut self, max_bytes: usize) -> &[u8] {
        let Some(block) = &self.block else { return &[] };
        let start = self.at;
        let end = block.bytes.len().min(start + max_bytes);
        self.at = if end == block.bytes.len() { 0 } else { end };
        &block.bytes[start..end]
    }

    fn append(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        if self.written.len() >= WRITE_BYTES {
            self.written.clear();
        }
        self.total_written += bytes.len() as u64;
    }
}

impl Read for Wire {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        Ok(self.read_into(room))
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut left = room.remaining().min(self.read_bytes);
        while left > 0 {
            let piece = self.next_piece(left);
            if piece.is_empty() {
                break;
            }
            left -= piece.len();
            room.put_slice(piece);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        pieces.iter().for_each(|piece| self.append(piece));
        Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::RECEIVED, *};

    #[test]
    fn a_block_is_read_repeatedly_without_a_gap() {
        let block = Rc::new(Block::new(RECEIVED[1]));
        let mut wire = Wire::reading(&block, 10_000);
        let mut all = Vec::new();
        let mut room = vec![0; 100_000];
        while all.len() < 2 * block.bytes.len() {
            let read = wire.read_into(&mut room);
            assert_eq!(read, 10_000);
            all.extend_from_slice(&room[..read]);
        }
        assert!(all.iter().eq(block.bytes.iter().cycle().take(all.len())));
    }
}
