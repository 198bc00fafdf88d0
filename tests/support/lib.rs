//! Helpers that the test programs share. Not published.

#[cfg(all(target_os = "linux", feature = "client", feature = "server"))]
pub mod attackers;
#[cfg(any(feature = "client-tls", feature = "tls"))]
pub mod certificates;
pub mod counting;
#[cfg(feature = "deflate")]
pub mod deflaters;
pub mod engine;
pub mod fields;
#[cfg(any(feature = "client-tls", feature = "tls"))]
pub mod forger;
pub mod hostile;
#[cfg(target_os = "linux")]
pub mod process;
pub mod random;
pub mod rfc1951;
#[cfg(all(feature = "client", feature = "server"))]
pub mod server;
pub mod sources;
#[cfg(all(feature = "client", feature = "tls"))]
pub mod tls;

/// Returns the bytes that `text` spells in hexadecimal. White space is ignored.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("a hexadecimal digit")).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text:?}");
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// Returns bytes as hexadecimal text, for readable comparisons. The reverse of [`hex`].
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
