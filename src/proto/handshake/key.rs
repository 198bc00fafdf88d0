//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` ([§1.3], [§4.2.2]).
//!
//! [§1.3]: https://www.rfc-editor.org/rfc/rfc6455#section-1.3
//! [§4.2.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2

use alloc::string::String;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use sha1::{Digest as _, Sha1};

/// Returns the key that a client sends for its nonce.
pub(super) fn encode_nonce(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Returns whether `key` is the base64 form of exactly 16 bytes. The pad bits are ignored, because the example in §4.1
/// sets them.
pub(super) fn is_valid(key: &[u8]) -> bool {
    key.len() == 24 && LENIENT_PAD_BITS.decode_slice(key, &mut [0; 18]) == Ok(16)
}

/// Returns the accept key: the base64 form of the SHA-1 hash of `key`, as sent, followed by the RFC's GUID.
pub(super) fn accept(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const LENIENT_PAD_BITS: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_key_matches_the_example_of_section_1_3() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_the_base64_of_sixteen_bytes() {
        let rows: &[(&str, &[u8], bool)] = &[
            ("§1.3", b"dGhlIHNhbXBsZSBub25jZQ==", true),
            ("§4.1, pad bits set", b"AQIDBAUGBwgJCgsMDQ4PEC==", true),
            ("15 bytes", b"AQIDBAUGBwgJCgsMDQ4P", false),
            ("17 bytes", b"AQIDBAUGBwgJCgsMDQ4PEBE=", false),
            ("18 bytes", b"AQIDBAUGBwgJCgsMDQ4PEBES", false),
            ("no padding", b"dGhlIHNhbXBsZSBub25jZQ", false),
            ("half of the padding", b"dGhlIHNhbXBsZSBub25jZQ=", false),
            ("a character outside of the alphabet", b"dGhlIHNhbXBsZSBub25jZ!==", false),
            ("the URL alphabet", b"dGhlIHNhbXBsZSBub25j-_==", false),
            ("padding in the middle", b"dGhlIHNhbX==ZSBub25jZQ==", false),
            ("empty", b"", false),
        ];
        for (name, key, valid) in rows {
            assert_eq!(is_valid(key), *valid, "{name}");
        }
    }
}
