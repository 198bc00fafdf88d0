//! Text from a peer, made safe to show to people.

use core::fmt;

/// Text or bytes from a peer, quoted and escaped for a log or an error message.
///
/// `Display` writes at most 256 bytes of it, and how many more there are. It writes printable ASCII as it is and
/// everything else as an escape of Rust: `\n`, `\u{202e}`, or `\xff` for a byte that is not UTF-8. So a peer can
/// neither begin a line of its own nor send a command to a terminal, hide or reorder text, or fill a disk.
///
/// ```
/// # use switchboard::Escaped;
/// assert_eq!(Escaped::new("/é\u{9b}2J").to_string(), r#""/\u{e9}\u{9b}2J""#);
/// assert_eq!(Escaped::new(b"\xFF\r\n").to_string(), r#""\xff\r\n""#);
/// assert!(Escaped::new(&"x".repeat(1000)).to_string().ends_with(r#"xx" and 744 more bytes"#));
/// ```
#[derive(Clone, Copy)]
pub struct Escaped<'a>(&'a [u8]);

impl<'a> Escaped<'a> {
    /// Wraps a text or bytes.
    #[must_use]
    pub fn new(text: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self(text.as_ref())
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, rest) = self.0.split_at(self.0.len().min(MAX_SHOWN_BYTES));
        f.write_str("\"")?;
        for chunk in shown.utf8_chunks() {
            write!(f, "{}{}", chunk.valid().escape_default(), chunk.invalid().escape_ascii())?;
        }
        f.write_str("\"")?;
        if rest.is_empty() { Ok(()) } else { write!(f, " and {} more bytes", rest.len()) }
    }
}

/// As `Display`.
impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const MAX_SHOWN_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString as _, vec::Vec};

    use super::*;

    #[test]
    fn only_printable_ascii_is_written_as_it_is() {
        for c in '\0'..=char::MAX {
            let shown = Escaped::new(c.encode_utf8(&mut [0; 4])).to_string();
            let same = (' '..='~').contains(&c) && !matches!(c, '"' | '\'' | '\\');
            assert_eq!(shown == format!("\"{c}\""), same, "{c:?}");
            assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{c:?}: {shown}");
        }
        for byte in 0x80..=0xFF {
            assert_eq!(Escaped::new(&[byte]).to_string(), format!("\"\\x{byte:02x}\""));
        }
    }

    #[test]
    fn a_long_text_is_cut_and_its_rest_counted() {
        for (length, rest) in [(0, ""), (256, ""), (257, " and 1 more bytes"), (1 << 20, " and 1048320 more bytes")] {
            let shown = Escaped::new(&Vec::from_iter(core::iter::repeat_n(0x9B, length))).to_string();
            assert_eq!(shown.len(), 2 + 4 * length.min(256) + rest.len());
            assert!(shown.ends_with(&format!("\"{rest}")), "{length}");
        }
        let cut = [b"x".repeat(255), "é".into()].concat();
        assert!(Escaped::new(&cut).to_string().ends_with(r#"xx\xc3" and 1 more bytes"#), "within a character");
    }
}
