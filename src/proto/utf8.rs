//! UTF-8 validation, piece by piece ([§8.1], RFC 3629).
//!
//! Fragments and reads may cut a text message anywhere, also inside a code point. [`Utf8Validator`] keeps up to three
//! bytes of an unfinished code point. It fails at the first byte that no valid text could have: `f4 90` fails at `90`,
//! whatever follows.
//!
//! [§8.1]: https://www.rfc-editor.org/rfc/rfc6455#section-8.1

use ascii::AsAsciiStr as _;

/// Checks a text piece by piece, and returns the whole code points as `&str`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8Validator {
    /// `pending[..len]` is the start of an unfinished code point, a prefix of some valid sequence. `len <= 3`.
    pending: [u8; 4],
    len: u8,
}

/// The valid text in a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Valid<'a> {
    /// The code point that started in an earlier piece and ends in this one. It comes before [`text`](Self::text).
    pub(super) completed: Option<char>,
    /// All other whole code points in the piece.
    pub(super) text: &'a str,
}

/// The text is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidUtf8 {
    /// The offset in the piece of the first byte that no valid text could have there.
    pub(super) offset: usize,
}

impl Utf8Validator {
    /// Checks the next piece.
    ///
    /// # Errors
    /// At the first byte that no valid text could have there.
    pub(super) fn push<'a>(&mut self, piece: &'a [u8]) -> Result<Valid<'a>, InvalidUtf8> {
        let mut rest = piece;
        let mut completed = None;
        while self.len > 0 {
            let Some((&byte, after)) = rest.split_first() else {
                return Ok(Valid { completed: None, text: "" });
            };
            completed = self.push_byte(byte).map_err(|()| InvalidUtf8 { offset: piece.len() - rest.len() })?;
            rest = after;
        }
        let (body, tail) = rest.split_at(rest.len() - unfinished_tail(rest));
        let done = piece.len() - rest.len();
        let text = validate(body).map_err(|error| InvalidUtf8 { offset: done + error.offset })?;
        for (i, &byte) in tail.iter().enumerate() {
            self.push_byte(byte).map_err(|()| InvalidUtf8 { offset: done + body.len() + i })?;
        }
        Ok(Valid { completed, text })
    }

    /// Returns whether the text may end here, so that no code point is unfinished.
    #[must_use]
    pub(super) const fn is_complete(&self) -> bool {
        self.len == 0
    }

    /// Adds one byte to the unfinished code point, and returns the code point once it is whole.
    fn push_byte(&mut self, byte: u8) -> Result<Option<char>, ()> {
        let at = usize::from(self.len);
        self.pending[at] = byte;
        match core::str::from_utf8(&self.pending[..=at]) {
            Ok(text) => {
                self.len = 0;
                Ok(text.chars().next())
            }
            // `error_len` is `None` while further bytes could complete the code point; four bytes always decide.
            Err(error) if error.error_len().is_none() => {
                self.len += 1;
                Ok(None)
            }
            Err(_) => Err(()),
        }
    }
}

/// Checks a text that must not end inside a code point.
///
/// Short texts go to the standard library, which has no set-up cost; longer ones to simdutf8.
///
/// # Errors
/// At the first byte that no valid text could have there, or at the end if a code point is cut off.
pub(super) fn validate(text: &[u8]) -> Result<&str, InvalidUtf8> {
    if text.len() < SIMD_FROM {
        if let Ok(ascii) = text.as_ascii_str() {
            return Ok(ascii.as_str());
        }
        core::str::from_utf8(text).map_err(|error| fault(text, error))
    } else {
        // The fast check does not say where the error is. The standard library then finds it.
        simdutf8::basic::from_utf8(text).or_else(|_| core::str::from_utf8(text).map_err(|error| fault(text, error)))
    }
}

/// Returns the offset of the first invalid byte, after the bytes that could still start a valid sequence.
fn fault(text: &[u8], error: core::str::Utf8Error) -> InvalidUtf8 {
    let start = error.valid_up_to();
    let offset = match error.error_len() {
        None => text.len(), // cut off at the end
        Some(good) if text.get(start).is_some_and(|lead| matches!(lead, 0xC2..=0xF4)) => start + good,
        Some(_) => start, // no sequence starts like this
    };
    InvalidUtf8 { offset }
}

/// Returns how many bytes at the end of `text` may start a code point that ends in the next piece.
///
/// This looks at lead bytes only. Whether the bytes are valid is checked later.
fn unfinished_tail(text: &[u8]) -> usize {
    for (back, &byte) in text.iter().rev().take(3).enumerate() {
        let needed = match byte {
            0x80..=0xBF => continue,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return 0,
        };
        let there = back + 1;
        return if there < needed { there } else { 0 };
    }
    0
}

/// Below this many bytes simdutf8's set-up costs more than it saves.
const SIMD_FROM: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec::Vec};

    use super::*;

    /// Checks with the standard library. Returns the text, or the offset of the first invalid byte.
    fn with_std(text: &[u8]) -> Result<&str, usize> {
        core::str::from_utf8(text).map_err(|_| {
            // The first prefix that is not merely incomplete ends with the invalid byte.
            (1..=text.len())
                .find(|&n| core::str::from_utf8(&text[..n]).is_err_and(|e| e.error_len().is_some()))
                .map_or(text.len(), |n| n - 1)
        })
    }

    fn in_pieces(text: &[u8], cuts: &[usize]) -> Result<String, usize> {
        let mut validator = Utf8Validator::default();
        let mut seen = String::new();
        let mut at = 0;
        for &cut in cuts.iter().chain([&text.len()]) {
            let valid = validator.push(&text[at..cut]).map_err(|error| at + error.offset)?;
            seen.extend(valid.completed);
            seen.push_str(valid.text);
            at = cut;
        }
        if validator.is_complete() { Ok(seen) } else { Err(text.len()) }
    }

    const ROWS: &[(&str, &[u8])] = &[
        ("empty", b""),
        ("ascii", b"Hello"),
        ("two, three and four bytes", "\u{e9}\u{6771}\u{1f600}".as_bytes()),
        ("last code point", b"\xf4\x8f\xbf\xbf"),
        ("past the last code point", b"\xf4\x90\x80\x80"),
        ("surrogate", b"\xed\xa0\x80"),
        ("before the surrogates", b"\xed\x9f\xbf"),
        ("overlong, two bytes", b"\xc0\xaf"),
        ("overlong, three bytes", b"\xe0\x9f\xbf"),
        ("shortest of three bytes", b"\xe0\xa0\x80"),
        ("overlong, four bytes", b"\xf0\x8f\xbf\xbf"),
        ("shortest of four bytes", b"\xf0\x90\x80\x80"),
        ("lone continuation", b"a\x80b"),
        ("lead without continuation", b"\xe6\x9dA"),
        ("cut off", b"ab\xf0\x9f\x98"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("ff", b"abc\xff"),
        ("Autobahn 6.4", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80\x65\x64"),
    ];

    #[test]
    fn every_pair_of_cuts_agrees_with_std() {
        for (name, text) in ROWS {
            let expected = with_std(text).map(String::from);
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    assert_eq!(in_pieces(text, &[first, second]), expected, "{name} cut at {first} and {second}");
                }
            }
            let each: Vec<usize> = (1..text.len()).collect();
            assert_eq!(in_pieces(text, &each), expected, "{name}, byte by byte");
            assert_eq!(validate(text).map(String::from).map_err(|e| e.offset), expected, "{name}, whole");
        }
    }

    #[test]
    fn long_texts_agree_with_std_at_every_error_offset() {
        let good: Vec<u8> = "The quick \u{1f98a} jumps over \u{61d2}\u{72d7}. ".repeat(6).into_bytes();
        assert_eq!(validate(&good), Ok(core::str::from_utf8(&good).unwrap()));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] = 0xff;
            assert_eq!(validate(&bad).map_err(|e| e.offset), with_std(&bad), "fault at {at}");
            assert_eq!(in_pieces(&bad, &[at / 2]), with_std(&bad).map(String::from), "fault at {at}, in pieces");
        }
    }
}
