//! Text that a peer may send to harm the people who read it in a log.

/// Texts that a terminal obeys or hides, that reorder or end a line, or that are not text.
pub const HOSTILE: &[&[u8]] = &[
    b"\x1b[2J\x1b]0;title\x07",
    "\u{9b}2J\u{9d}0;title\u{9c}".as_bytes(),
    "\u{202e}txet\u{202c}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}".as_bytes(),
    "\u{2028}ERROR\u{2029}ERROR\u{85}".as_bytes(),
    "\u{200b}\u{feff}\u{3164}\u{115f}\u{e0041}\u{fe0f}\u{34f}".as_bytes(),
    "\u{e000}\u{fdd0}\u{10ffff}\u{378}\u{5d0}\u{301}".as_bytes(),
    b"\nERROR: forged\r\n",
    b"\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80",
    b"\x7f\x00\x08\x0b",
    br#"x" is refused: "x"#,
];

/// Puts a text into each place of a template that is marked with `{}`.
pub fn fill(template: &str, text: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = template.split("{}").map(str::as_bytes).collect();
    parts.join(text)
}

/// Asserts that a line of the log is short, and printable ASCII.
///
/// # Panics
/// With the line, if it is not.
#[track_caller]
pub fn assert_harmless(line: &str) {
    assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
    assert!(line.len() < MAX_LINE_BYTES, "{} bytes: {line}", line.len());
}

/// A line has a few texts of a peer at most, each of 256 bytes that may be escaped.
const MAX_LINE_BYTES: usize = 8 << 10;
