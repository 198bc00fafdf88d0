//! DEFLATE for single messages ([§7.2]), by zlib-rs.
//!
//! A [`Compressor`] is a window with its tables, expensive and worth keeping. An [`Inflater`] is only a tool: what
//! must be remembered from one message to the next is the [`History`], at most 32 KiB of what was inflated, and
//! grows with it. That is also what lets the window live on behind a block with BFINAL, after which zlib itself must
//! start anew.
//!
//! [§7.2]: https://www.rfc-editor.org/rfc/rfc7692#section-7.2

use core::{fmt, mem};
use std::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

/// Compresses messages ([§7.2.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1)).
pub(super) struct Compressor {
    codec: Deflate,
    window_bits: u8,
    /// Room for what is compressed next; its length means nothing.
    output: Vec<u8>,
}

impl Compressor {
    /// `window_bits` is 9 to 15: there is no raw deflate with 8 in zlib.
    pub(super) fn new(level: u8, window_bits: u8) -> Self {
        debug_assert!((9..=15).contains(&window_bits) && level <= 9);
        let config = DeflateConfig {
            level: i32::from(level),
            // Negative is raw: without zlib's own header.
            window_bits: -i32::from(window_bits),
            mem_level: MEM_LEVEL,
            ..DeflateConfig::default()
        };
        Self { codec: Deflate::new_with_config(config), window_bits, output: Vec::new() }
    }

    /// Bytes that a compressor takes: its window twice, the chains, the hash table and the symbols.
    pub(super) const fn bytes(window_bits: u8) -> usize {
        (4 << window_bits) + 150_000
    }

    pub(super) fn window_bits(&self) -> u8 {
        self.window_bits
    }

    /// The same, when it has forgotten what was compressed before.
    pub(super) fn reset(mut self) -> Self {
        self.codec.reset();
        self
    }

    /// Compresses a whole message; gives `None` where that makes it no shorter.
    ///
    /// Always to its end, also where it is plain that nothing is gained: zlib-rs 0.6 panics or writes a wrong header
    /// when it is used again after a compression that was broken off, in spite of its reset.
    pub(super) fn compress(&mut self, message: &[u8]) -> Option<&[u8]> {
        // zlib counts in 32 bits, also the room.
        i32::try_from(message.len()).ok()?;
        let (read, made) = (self.codec.total_in(), self.codec.total_out());
        let mut length = 0;
        // What cannot be compressed grows by an eighth at the fastest level.
        let mut room = message.len() + message.len() / 8 + 64;
        loop {
            if self.output.len() < room {
                self.output.resize(room, 0);
            }
            let rest = &message[count(self.codec.total_in() - read)..];
            self.codec.compress(rest, &mut self.output[length..room], DeflateFlush::SyncFlush).ok()?;
            length = count(self.codec.total_out() - made);
            if length < room {
                break;
            }
            room += room / 2;
        }
        let compressed = self.output[..length].strip_suffix(TAIL)?;
        (compressed.len() < message.len()).then_some(compressed)
    }

    /// Gives up the room for what is compressed, trimmed if only a long message needed it, for another to use.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        let mut output = mem::take(&mut self.output);
        trim(&mut output);
        output
    }

    pub(super) fn set_buffer(&mut self, buffer: Vec<u8>) {
        self.output = buffer;
    }
}

/// Inflates messages ([§7.2.2](https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2)), piece by piece.
///
/// Always with a window of 32 KiB, whatever was agreed: a smaller one would refuse a distance past it only where a
/// read happens to end in between.
pub(super) struct Inflater {
    codec: Inflate,
    /// What was inflated last, in this message and, with context takeover, before.
    pub(super) history: History,
    /// `output[..filled]` is what the last step gave; the rest is room.
    output: Vec<u8>,
    filled: usize,
}

/// The bytes are no DEFLATE data, or do not end where the message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proto) struct Malformed;

/// What one step of inflating came to.
#[derive(Clone, Copy, Debug)]
pub(in crate::proto) struct Step {
    /// Bytes of the input that are used; all of them, unless the output stands at a chunk's end.
    pub(in crate::proto) consumed: usize,
    /// Bytes that were moved for it: what was inflated, and the window where it had to be set up anew.
    pub(in crate::proto) work: usize,
    /// Whether it ends with a block with BFINAL, behind which the window is set up anew.
    pub(in crate::proto) ended_final: bool,
    /// Whether what follows the output is no DEFLATE data.
    pub(in crate::proto) outcome: Result<(), Malformed>,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self { codec: Inflate::new(false, 15), history: History::default(), output: Vec::new(), filled: 0 }
    }

    /// Begins a message, with the history that is there; gives the bytes that were moved for it.
    pub(super) fn begin(&mut self) -> usize {
        self.codec.reset(false);
        for part in self.history.parts() {
            // A raw stream takes a dictionary at any time.
            let set = self.codec.set_dictionary(part);
            debug_assert!(set.is_ok());
        }
        self.history.len()
    }

    /// Inflates from the front of `input` into [`output`](Self::output), at most `most` bytes and, while there is
    /// input left, about a chunk, and not past a block with BFINAL. What has been used up is all in the output, unless
    /// that has reached `most`.
    pub(super) fn inflate(&mut self, input: &[u8], max: usize) -> Step {
        let mut step = Step { consumed: 0, work: 0, ended_final: false, outcome: Ok(()) };
        let mut room = max.min(CHUNK);
        self.filled = 0;
        loop {
            if self.output.len() < room {
                self.output.resize(room, 0);
            }
            let (used, made) = (self.codec.total_in(), self.codec.total_out());
            let output = &mut self.output[self.filled..room];
            let status = self.codec.decompress(&input[step.consumed..], output, InflateFlush::NoFlush);
            let (used, made) = (count(self.codec.total_in() - used), count(self.codec.total_out() - made));
            self.history.push(&self.output[self.filled..self.filled + made]);
            self.filled += made;
            step.consumed += used;
            step.work += made;
            let input_is_left = step.consumed < input.len();
            match status {
                // §7.2.3.4: behind a block with BFINAL another may follow, from the next byte on.
                Ok(Status::StreamEnd) => {
                    step.work += self.begin();
                    step.ended_final = true;
                    return step;
                }
                Ok(Status::Ok | Status::BufError) => {
                    if self.filled < room || input_is_left || room == max {
                        return step;
                    }
                    room = max.min(room + CHUNK);
                }
                Err(_) => {
                    step.outcome = Err(Malformed);
                    return step;
                }
            }
        }
    }

    /// What the last step gave.
    pub(super) fn output(&self) -> &[u8] {
        &self.output[..self.filled]
    }

    /// Ends a message: the tail that its sender took off must complete its last block, and nothing else.
    pub(super) fn finish(&mut self) -> Result<(), Malformed> {
        // zlib stops where a block ends, but does not say whether that is at a byte's end: with a byte behind the tail
        // it must stop in front of that, and what follows must then be read as the block of one byte that it is.
        let tail = [0x00, 0x00, 0xff, 0xff, 0x00];
        let block = [0x01, 0x01, 0x00, 0xfe, 0xff, 0xa5];
        match (self.probe(&tail, InflateFlush::Block)?, self.probe(&block, InflateFlush::NoFlush)?) {
            ((_, 4, 0, _), (Status::StreamEnd, 6, 1, 0xa5)) => Ok(()),
            // The last block was an empty stored one with BFINAL, behind which there is nothing.
            ((_, 4, 0, _), (Status::StreamEnd, 0, 0, _)) => Ok(()),
            _ => Err(Malformed),
        }
    }

    /// Goes on with `input`; gives the bytes used and made, and the first one made.
    fn probe(&mut self, input: &[u8], flush: InflateFlush) -> Result<(Status, usize, usize, u8), Malformed> {
        let mut output = [0; 16];
        let (used, made) = (self.codec.total_in(), self.codec.total_out());
        let status = self.codec.decompress(input, &mut output, flush).map_err(|_| Malformed)?;
        let (used, made) = (count(self.codec.total_in() - used), count(self.codec.total_out() - made));
        Ok((status, used, made, output[0]))
    }
}

/// The last 32 KiB of what was inflated, the farthest that a distance reaches back.
#[derive(Default)]
pub(super) struct History {
    /// Grows to [`WINDOW`] and is a ring from then on.
    bytes: Vec<u8>,
    /// Where the oldest byte stands; 0 while it grows.
    oldest: usize,
}

impl History {
    /// Bytes that it takes at most.
    pub(super) const BYTES: usize = WINDOW + mem::size_of::<Self>();

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.oldest = 0;
    }

    fn push(&mut self, output: &[u8]) {
        let output = &output[output.len().saturating_sub(WINDOW)..];
        let (fresh, rest) = output.split_at(output.len().min(WINDOW - self.bytes.len()));
        if self.bytes.capacity() - self.bytes.len() < fresh.len() {
            let wanted = (self.bytes.len() + fresh.len()).next_power_of_two().min(WINDOW);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(fresh);
        if !rest.is_empty() {
            let (to_end, from_start) = rest.split_at(rest.len().min(WINDOW - self.oldest));
            self.bytes[self.oldest..self.oldest + to_end.len()].copy_from_slice(to_end);
            self.bytes[..from_start.len()].copy_from_slice(from_start);
            self.oldest = (self.oldest + rest.len()) % WINDOW;
        }
    }

    /// From the oldest byte to the latest, in up to two parts.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let (young, old) = self.bytes.split_at(self.oldest);
        [old, young].into_iter().filter(|part| !part.is_empty())
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("window_bits", &self.window_bits).finish_non_exhaustive()
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("history", &self.history).finish_non_exhaustive()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// A difference of zlib's counters that a slice bounds.
fn count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn trim(output: &mut Vec<u8>) {
    output.truncate(KEPT_OUTPUT_BYTES);
    output.shrink_to(KEPT_OUTPUT_BYTES);
}

/// §7.2.1: what a flush ends with, taken off by the sender and put back by the receiver.
const TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];
/// The farthest that a distance reaches back (RFC 1951 §3.2.5).
const WINDOW: usize = 32 << 10;
/// Symbols per block: 5 takes 100 KB less than zlib's 8 and, at the level that is the default, loses nothing.
const MEM_LEVEL: i32 = 5;
/// About as much as is inflated in one step.
const CHUNK: usize = 8 << 10;
/// Room for output that is kept between messages.
const KEPT_OUTPUT_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn history(pushes: &[&[u8]]) -> Vec<u8> {
        let mut history = History::default();
        for push in pushes {
            history.push(push);
        }
        assert!(history.bytes.capacity() <= WINDOW);
        history.parts().flatten().copied().collect()
    }

    #[test]
    fn history_holds_the_last_32_kib_however_they_were_pushed() {
        let all: Vec<u8> = (0..100_000_u32).map(|i| (i * 7 + i / 256) as u8).collect();
        for step in [1, 100, 5000, WINDOW - 1, WINDOW, WINDOW + 1, all.len()] {
            for length in [0, 1, 5000, WINDOW - 1, WINDOW, WINDOW + 1, 70_000, all.len()] {
                let pushes: Vec<&[u8]> = all[..length].chunks(step).collect();
                assert_eq!(history(&pushes), &all[length.saturating_sub(WINDOW)..length], "{length} by {step}");
            }
        }
    }

    /// Everything that a message inflates to, given in pieces of `piece` bytes.
    fn inflate(inflater: &mut Inflater, message: &[u8], piece: usize, max: usize) -> Result<Vec<u8>, Malformed> {
        inflater.begin();
        let mut all = Vec::new();
        for mut input in message.chunks(piece.max(1)) {
            while !input.is_empty() {
                let step = inflater.inflate(input, max);
                step.outcome?;
                all.extend_from_slice(inflater.output());
                input = &input[step.consumed..];
            }
        }
        inflater.finish()?;
        Ok(all)
    }

    /// The examples of RFC 7692 §7.2.3, and what is next to them.
    #[test]
    fn section_7_2_3_examples_inflate_and_truncated_ones_fail() {
        let rows: &[(&str, &[u8], Result<&[u8], Malformed>)] = &[
            ("one block, §7.2.3.1", b"\xf2\x48\xcd\xc9\xc9\x07\x00", Ok(b"Hello")),
            ("no compression, §7.2.3.3", b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", Ok(b"Hello")),
            ("BFINAL, §7.2.3.4", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", Ok(b"Hello")),
            ("two blocks, §7.2.3.5", b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", Ok(b"Hello")),
            ("empty, §7.2.3.6", b"\x00", Ok(b"")),
            ("empty, as another block", b"\x02\x00", Ok(b"")),
            ("empty, with BFINAL", b"\x01", Ok(b"")),
            ("BFINAL and then the window", b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00", Ok(b"HelloHello")),
            ("BFINAL and no block behind it", b"\xf3\x48\xcd\xc9\xc9\x07\x00", Err(Malformed)),
            ("nothing at all", b"", Err(Malformed)),
            ("the tail left on", b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", Err(Malformed)),
            ("cut off", b"\xf2\x48\xcd\xc9\xc9", Err(Malformed)),
            ("cut off in a stored block", b"\x00\x05\x00\xfa\xff\x48", Err(Malformed)),
            (
                "a stored block's length that does not fit",
                b"\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00",
                Err(Malformed),
            ),
            ("a kind of block that there is not", b"\x06\x00", Err(Malformed)),
            ("a distance before the beginning", b"\xf2\x00\x11\x00\x00", Err(Malformed)),
        ];
        let mut inflater = Inflater::new();
        for (name, message, expected) in rows {
            for piece in 1..=message.len().max(1) {
                inflater.history.clear();
                let inflated = inflate(&mut inflater, message, piece, usize::MAX);
                assert_eq!(inflated.as_deref().map_err(|e| *e), *expected, "{name}, by {piece}");
            }
        }
        inflater.history.clear();
        inflate(&mut inflater, b"\xf2\x48\xcd\xc9\xc9\x07\x00", 9, usize::MAX).unwrap();
        let with_takeover = inflate(&mut inflater, b"\xf2\x00\x11\x00\x00", 9, usize::MAX);
        assert_eq!(with_takeover.as_deref(), Ok(&b"Hello"[..]), "§7.2.3.2");
    }

    #[test]
    fn messages_inflate_back_with_every_window_and_incompressible_ones_give_none() {
        let text: Vec<u8> = (0..30_000_u32).flat_map(|i| std::format!("{} ", i * i % 977).into_bytes()).collect();
        for window_bits in 9..=15 {
            let mut compressor = Compressor::new(1, window_bits);
            let mut inflater = Inflater::new();
            for length in [0, 1, 20, 300, 5000, 70_000, text.len()] {
                compressor = compressor.reset();
                let Some(compressed) = compressor.compress(&text[..length]) else {
                    assert!(length < 300, "{length} bytes of text are no shorter with {window_bits} bits");
                    continue;
                };
                assert!(compressed.len() < length);
                inflater.history.clear();
                assert_eq!(inflate(&mut inflater, compressed, 4096, usize::MAX).as_deref(), Ok(&text[..length]));
                let buffer = compressor.take_buffer();
                compressor.set_buffer(buffer);
            }
        }
    }

    #[test]
    fn a_compressor_works_after_incompressible_input() {
        let mut seed = 1_u64;
        let noise: Vec<u8> = core::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u8
        })
        .take(100_000)
        .collect();
        let text = b"all work and no play ".repeat(500);
        for level in 0..=9 {
            let mut compressor = Compressor::new(level, 15);
            let mut inflater = Inflater::new();
            for length in [1, 30, 1000, 8000, 8192, 33_000, noise.len()] {
                assert_eq!(compressor.compress(&noise[..length]), None, "level {level}, {length} bytes of noise");
                compressor = compressor.reset();
                match compressor.compress(&text) {
                    Some(compressed) => {
                        inflater.history.clear();
                        assert_eq!(inflate(&mut inflater, compressed, 4096, usize::MAX).as_deref(), Ok(&text[..]));
                    }
                    None => assert_eq!(level, 0),
                }
                compressor = compressor.reset();
            }
        }
    }
}
