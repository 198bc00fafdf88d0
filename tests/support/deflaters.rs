//! Compressed messages as other implementations send them: written block by block, or by zlib itself.

use crate::rfc1951::DISTANCES;

/// Writes DEFLATE blocks bit by bit, for data that no compressor produces.
#[derive(Default)]
pub struct Blocks {
    bytes: Vec<u8>,
    /// The number of bits written.
    at: usize,
}

impl Blocks {
    fn bits(mut self, value: usize, count: usize) -> Self {
        for i in 0..count {
            if self.at.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().expect("just pushed") |= ((value >> i & 1) as u8) << (self.at % 8);
            self.at += 1;
        }
        self
    }

    /// A symbol of the fixed literal and length code. The highest bit of a code comes first.
    fn symbol(self, symbol: usize) -> Self {
        let (code, length) = match symbol {
            0..=143 => (0x30 + symbol, 8),
            144..=255 => (0x190 + symbol - 144, 9),
            256..=279 => (symbol - 256, 7),
            _ => (0xC0 + symbol - 280, 8),
        };
        (0..length).rev().fold(self, |blocks, bit| blocks.bits(code >> bit & 1, 1))
    }

    /// Begins a block with the fixed codes; `last` is its BFINAL bit.
    pub fn fixed(self, last: bool) -> Self {
        self.bits(usize::from(last), 1).bits(1, 2)
    }

    pub fn literals(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |blocks, &byte| blocks.symbol(usize::from(byte)))
    }

    /// Repeats three bytes from `distance` bytes back.
    pub fn copy(self, distance: usize) -> Self {
        let symbol = DISTANCES.iter().rposition(|&(base, _)| base <= distance).expect("not zero");
        let (base, extra) = DISTANCES[symbol];
        let copy = (0..5).rev().fold(self.symbol(257), |blocks, bit| blocks.bits(symbol >> bit & 1, 1));
        copy.bits(distance - base, extra as usize)
    }

    /// Ends a block with the fixed codes.
    pub fn end(self) -> Self {
        self.symbol(256)
    }

    /// A stored block of at most 65,535 bytes.
    pub fn stored(self, last: bool, bytes: &[u8]) -> Self {
        let mut blocks = self.bits(usize::from(last), 1).bits(0, 2).aligned();
        let length = bytes.len() as u16;
        blocks.bytes.extend(length.to_le_bytes());
        blocks.bytes.extend((!length).to_le_bytes());
        blocks.bytes.extend(bytes);
        blocks.at = blocks.bytes.len() * 8;
        blocks
    }

    /// Pads with zeros to the end of a byte, as behind a block with BFINAL.
    pub fn aligned(mut self) -> Self {
        self.at = self.bytes.len() * 8;
        self
    }

    /// The message: the blocks and an empty one, without the four bytes that RFC 7692 removes.
    pub fn message(self) -> Vec<u8> {
        let mut blocks = self.stored(false, b"");
        blocks.bytes.truncate(blocks.bytes.len() - 4);
        blocks.bytes
    }
}

/// A compressor that is zlib itself, with the level and the window of the sender's choice.
pub struct Zlib {
    codec: flate2::Compress,
}

impl Zlib {
    pub fn new(level: u32, window_bits: u8) -> Self {
        Self { codec: flate2::Compress::new_with_window_bits(flate2::Compression::new(level), false, window_bits) }
    }

    /// Forgets earlier messages.
    pub fn reset(&mut self) {
        self.codec.reset();
    }

    /// Compresses a message (RFC 7692 §7.2.1).
    pub fn message(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if message.is_empty() {
            return vec![0x00]; // zlib does not flush twice
        }
        self.flush(message, &mut out);
        assert_eq!(out.split_off(out.len() - 4), [0x00, 0x00, 0xFF, 0xFF], "the end of a flush");
        out
    }

    fn flush(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let mut rest = message;
        loop {
            out.reserve(message.len() / 2 + 100);
            let before = self.codec.total_in();
            self.codec.compress_vec(rest, out, flate2::FlushCompress::Sync).expect("valid calls");
            rest = &rest[(self.codec.total_in() - before) as usize..];
            if rest.is_empty() && out.len() < out.capacity() {
                return;
            }
        }
    }

    /// Compresses a message with a flush after every `length` bytes, as a sender does that streams its messages.
    pub fn message_in_flushes(&mut self, length: usize, message: &[u8]) -> Vec<u8> {
        if message.is_empty() {
            return vec![0x00];
        }
        let mut out = Vec::new();
        for part in message.chunks(length) {
            self.flush(part, &mut out);
        }
        out.truncate(out.len() - 4);
        out
    }
}
