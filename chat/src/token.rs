//! Session tokens ([`Token`]), their stored hashes ([`TokenHash`]), and the random names of logs ([`epoch`]).

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// A session token: 256 random bits, on the wire 43 characters of base64url (RFC 4648 §5, without padding).
///
/// Only the client stores it; the server stores the [`TokenHash`]. There is no `==`: tokens are compared by their
/// hashes, so that the time of a comparison reveals nothing about a token.
pub(super) struct Token([u8; 32]);

/// The SHA-256 of a [`Token`], by which its session is found. Reading it does not reveal the token. A slow hash is not
/// needed: 256 random bits cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TokenHash(pub(super) [u8; 32]);

impl Token {
    /// Generates a new token.
    pub(super) fn random() -> Self {
        Self(random_bytes())
    }

    /// Parses a token. Accepts only the form in which a token is written, so that no two texts mean the same token.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        // 43 characters may decode to 33 bytes.
        let mut buffer = [0; 33];
        if text.len() != WIRE_CHARS || BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut buffer) != Ok(bytes.len()) {
            return None;
        }
        bytes.copy_from_slice(&buffer[..32]);
        Some(Self(bytes))
    }

    pub(super) fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }
}

/// Writes the form on the wire.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// Does not reveal the token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Returns a unique name for a log: 48 random bits in 8 characters.
pub(super) fn epoch() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<6>())
}

/// Returns random bytes that nobody can guess.
pub(super) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system provides random bytes");
    bytes
}

const WIRE_CHARS: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_parsed_only_in_the_form_in_which_it_is_written() {
        let written = Token([0xFB; 32]).to_string();
        assert_eq!(written, "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s");
        let padded = format!("{written}=");
        let longer = format!("{written}A");
        let spaced = format!(" {}", &written[1..]);
        let rows = [
            ("as written", written.as_str(), true),
            ("all zero", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", true),
            ("a bit after the last byte", "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_t", false),
            ("one character less", &written[..42], false),
            ("one more", &longer, false),
            ("padding", &padded, false),
            ("a space", &spaced, false),
            ("standard base64", "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s", false),
            ("43 bytes, not ASCII", "ÄAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false),
            ("the empty text", "", false),
        ];
        for (name, text, expected) in rows {
            assert_eq!(
                Token::parse(text).map(|token| token.to_string()).as_deref(),
                expected.then_some(text),
                "{name}"
            );
        }
    }

    #[test]
    fn a_hash_is_the_sha_256_of_the_256_bits() {
        let TokenHash(hash) = Token([0; 32]).hash();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
    }

    #[test]
    fn random_tokens_and_epochs_differ_and_have_their_form() {
        let (one, other) = (Token::random(), Token::random());
        assert_ne!(one.hash(), other.hash());
        assert_eq!(Token::parse(&one.to_string()).unwrap().hash(), one.hash());
        let (one, other) = (epoch(), epoch());
        assert_eq!((one.len(), other.len()), (8, 8));
        assert_ne!(one, other);
    }

    #[test]
    fn debug_does_not_reveal_a_token() {
        assert_eq!(format!("{:?}", Token::random()), "Token(..)");
    }
}
