//! What the test programs share. Not published.

pub mod counting;
#[cfg(feature = "deflate")]
pub mod deflaters;
pub mod engine;
#[cfg(target_os = "linux")]
pub mod process;
pub mod random;
pub mod rfc1951;
#[cfg(all(feature = "client", feature = "server"))]
pub mod server;
pub mod sources;

/// The bytes that `text` spells in hexadecimal; white space in it is for the reader.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("a hexadecimal digit")).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text:?}");
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// The reverse of [`hex`], to compare bytes readably.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
