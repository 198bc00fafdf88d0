//! DEFLATE for single messages ([§7.2]), by zlib-rs.
//!
//! A [`Compressor`] holds the context of a connection: a window and its tables. An [`Inflater`] does not: what must be
//! remembered between messages is the [`History`], the last 32 KiB of output or less. The history also restores the
//! window after a block with BFINAL, where zlib itself must start anew.
//!
//! [§7.2]: https://www.rfc-editor.org/rfc/rfc7692#section-7.2

use core::{fmt, mem};
use std::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

/// Compresses messages ([§7.2.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1)).
pub(super) struct Compressor {
    codec: Deflate,
    window_bits: u8,
    /// The output buffer. Its contents are meaningless between messages.
    output: Vec<u8>,
}

impl Compressor {
    /// `window_bits` is 9 to 15: zlib has no raw deflate with 8.
    pub(super) fn new(level: u8, window_bits: u8) -> Self {
        debug_assert!((9..=15).contains(&window_bits) && level <= 9);
        let config = DeflateConfig {
            level: i32::from(level),
            // A negative number means raw deflate, without zlib's own header.
            window_bits: -i32::from(window_bits),
            mem_level: MEM_LEVEL,
            ..DeflateConfig::default()
        };
        Self { codec: Deflate::new_with_config(config), window_bits, output: Vec::new() }
    }

    /// Returns the memory of a compressor: its window twice, the chains, the hash table and the symbols.
    pub(super) const fn bytes(window_bits: u8) -> usize {
        (4 << window_bits) + 150_000
    }

    pub(super) fn window_bits(&self) -> u8 {
        self.window_bits
    }

    /// Returns the compressor without its context.
    pub(super) fn reset(mut self) -> Self {
        self.codec.reset();
        self
    }

    /// Compresses a whole message; `None` if the result is not shorter.
    ///
    /// It always compresses to the end, even if the result is already too long: after an aborted compression and a
    /// reset, zlib-rs 0.6 panics or writes a wrong header.
    pub(super) fn compress(&mut self, message: &[u8]) -> Option<&[u8]> {
        // zlib counts in 32 bits.
        i32::try_from(message.len()).ok()?;
        let (read, made) = (self.codec.total_in(), self.codec.total_out());
        let mut length = 0;
        // Incompressible data grows by an eighth at the fastest level.
        let mut room = message.len() + message.len() / 8 + 64;
        loop {
            self.output.resize(self.output.len().max(room), 0);
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

    /// Takes the output buffer, for another compressor to use. It is trimmed to [`KEPT_OUTPUT_BYTES`].
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
/// The window is always 32 KiB, whatever was negotiated. With a smaller one, zlib would refuse a distance beyond it
/// only if a read happens to end in between.
pub(super) struct Inflater {
    codec: Inflate,
    /// The last output, of this message and, with context takeover, of earlier ones.
    pub(super) history: History,
    /// `output[..filled]` is the output of the last step.
    output: Vec<u8>,
    filled: usize,
}

/// The bytes are not DEFLATE data, or the message ends inside a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proto) struct Malformed;

/// The result of one step of inflating.
#[derive(Clone, Copy, Debug)]
pub(in crate::proto) struct Step {
    /// The number of input bytes used: all, unless the output is full or a block with BFINAL ended.
    pub(in crate::proto) consumed: usize,
    /// The number of bytes that were moved: the output, and the window if it was set up anew.
    pub(in crate::proto) work: usize,
    /// Whether the step ended with a block with BFINAL, after which the window is set up anew.
    pub(in crate::proto) ended_final: bool,
    /// An error if the input after the output is not DEFLATE data.
    pub(in crate::proto) outcome: Result<(), Malformed>,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self { codec: Inflate::new(false, 15), history: History::default(), output: Vec::new(), filled: 0 }
    }

    /// Starts a message with the current history. Returns the number of bytes that were moved.
    pub(super) fn begin(&mut self) -> usize {
        self.codec.reset(false);
        for part in self.history.parts() {
            // A raw stream accepts a dictionary at any time.
            let set = self.codec.set_dictionary(part);
            debug_assert!(set.is_ok());
        }
        self.history.len()
    }

    /// Inflates from the start of `input` into [`output`](Self::output).
    ///
    /// A step ends after `max` bytes of output, after about a chunk while there is more input, or after a block with
    /// BFINAL. All output of the used input is returned, unless the output has reached `max`.
    pub(super) fn inflate(&mut self, input: &[u8], max: usize) -> Step {
        let mut step = Step { consumed: 0, work: 0, ended_final: false, outcome: Ok(()) };
        let mut room = max.min(CHUNK);
        self.filled = 0;
        loop {
            self.output.resize(self.output.len().max(room), 0);
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
                // §7.2.3.4: after a block with BFINAL another may follow, from the next byte on.
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

    /// Returns the output of the last step.
    pub(super) fn output(&self) -> &[u8] {
        &self.output[..self.filled]
    }

    /// Ends a message: the tail that the sender removed must complete its last block and do nothing else.
    pub(super) fn finish(&mut self) -> Result<(), Malformed> {
        // zlib stops at the end of a block, but does not say whether that is at the end of a byte. So the tail gets one
        // more byte, before which zlib must stop, and then it must read a stored block of one byte as such.
        let tail = [0x00, 0x00, 0xff, 0xff, 0x00];
        let block = [0x01, 0x01, 0x00, 0xfe, 0xff, 0xa5];
        match (self.probe(&tail, InflateFlush::Block)?, self.probe(&block, InflateFlush::NoFlush)?) {
            ((_, 4, 0, _), (Status::StreamEnd, 6, 1, 0xa5)) => Ok(()),
            // The last block was an empty stored one with BFINAL, after which zlib reads nothing.
            ((_, 4, 0, _), (Status::StreamEnd, 0, 0, _)) => Ok(()),
            _ => Err(Malformed),
        }
    }

    /// Continues with `input`. Returns the status, the numbers of bytes used and made, and the first byte made.
    fn probe(&mut self, input: &[u8], flush: InflateFlush) -> Result<(Status, usize, usize, u8), Malformed> {
        let mut output = [0; 16];
        let (used, made) = (self.codec.total_in(), self.codec.total_out());
        let status = self.codec.decompress(input, &mut output, flush).map_err(|_| Malformed)?;
        let (used, made) = (count(self.codec.total_in() - used), count(self.codec.total_out() - made));
        Ok((status, used, made, output[0]))
    }
}

/// The last 32 KiB of output: as far as a distance can reach back.
#[derive(Default)]
pub(super) struct History {
    /// Grows to [`WINDOW`], and is a ring buffer from then on.
    bytes: Vec<u8>,
    /// The index of the oldest byte; 0 while the buffer grows.
    oldest: usize,
}

impl History {
    /// The most memory that a history takes.
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

    /// Returns the bytes from the oldest to the newest, in up to two parts.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let (young, old) = self.bytes.split_at(self.oldest);
        [old, young].into_iter().filter(|part| !part.is_empty())
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

/// Converts a difference of zlib's counters, which is at most the length of a slice.
fn count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn trim(output: &mut Vec<u8>) {
    output.truncate(KEPT_OUTPUT_BYTES);
    output.shrink_to(KEPT_OUTPUT_BYTES);
}

/// §7.2.1: the end of a flush, which the sender removes and the receiver appends.
const TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];
/// The longest distance (RFC 1951 §3.2.5).
const WINDOW: usize = 32 << 10;
/// Sets the number of symbols per block. 5 takes 100 KB less than zlib's default of 8, and costs nothing at level 1.
const MEM_LEVEL: i32 = 5;
/// About how many bytes are inflated in one step.
const CHUNK: usize = 8 << 10;
/// The output buffer that is kept between messages, in bytes.
const KEPT_OUTPUT_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn history(pushes: &[&[u8]]) -> Vec<u8> {
        let mut history = History::default();
        for push in pushes {
            history.push(push);
            assert!(history.bytes.capacity() <= WINDOW.min(2 * history.len()), "at most twice what it holds");
        }
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
        assert_eq!(history(&[&all[..8000], &all[8000..17_000], &all[17_000..17_001]]), &all[..17_001]);
    }

    /// Inflates a whole message, given in pieces of `piece` bytes.
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

    /// The examples of RFC 7692 §7.2.3, and near misses.
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
            ("BFINAL and no block after it", b"\xf3\x48\xcd\xc9\xc9\x07\x00", Err(Malformed)),
            ("nothing at all", b"", Err(Malformed)),
            ("the tail left on", b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", Err(Malformed)),
            ("cut off", b"\xf2\x48\xcd\xc9\xc9", Err(Malformed)),
            ("cut off in a stored block", b"\x00\x05\x00\xfa\xff\x48", Err(Malformed)),
            (
                "a stored block's length that does not fit",
                b"\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00",
                Err(Malformed),
            ),
            ("an undefined kind of block", b"\x06\x00", Err(Malformed)),
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
                    assert!(length < 300, "{length} bytes of text do not become shorter with {window_bits} bits");
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
