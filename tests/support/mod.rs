//! What the tests share. Each test file is a program of its own and uses a part of this.

#![allow(dead_code, unused_imports, unused_macros)]

pub(crate) mod engine;
pub(crate) mod random;

/// The bytes that `text` spells in hexadecimal; white space in it is for the reader.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("a hexadecimal digit")).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text:?}");
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// The reverse of [`hex`], to compare bytes readably.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
