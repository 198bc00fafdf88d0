//! The hash of an entry, which tells whether a client and a log mean the same entry by a number.
//!
//! A log that was put back from a copy goes on with new entries, under numbers that clients may have seen with others.
//! Two entries with the same number differ in their time or their key, and so in their hashes.

use std::fmt;

use base64::{display::Base64Display, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Millis, UserId};

/// The first 48 bits of the SHA-256 of the fields of an entry that never change. The text is not one of them: it can be
/// deleted. On the wire 8 characters of base64url.
///
/// The default is for the beginning of a log, before its first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntryHash([u8; 6]);

impl EntryHash {
    pub(super) fn new(seq: u64, time: Millis, kind: u8, author: UserId, key: Option<Uuid>, about: Option<i64>) -> Self {
        // All fields fit into one block of SHA-256, which takes 55 bytes.
        let hash = Sha256::new()
            .chain_update(seq.to_le_bytes())
            .chain_update(time.to_le_bytes())
            .chain_update([kind, u8::from(key.is_some()), u8::from(about.is_some())])
            .chain_update(author.0.to_le_bytes())
            .chain_update(key.unwrap_or_default())
            .chain_update(about.unwrap_or_default().to_le_bytes())
            .finalize();
        let mut first = [0; 6];
        first.copy_from_slice(&hash[..6]);
        Self(first)
    }
}

/// Writes the form on the wire.
impl fmt::Display for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64Display::new(&self.0, &BASE64_URL_SAFE_NO_PAD).fmt(f)
    }
}

impl Serialize for EntryHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_hash_is_the_beginning_of_the_sha_256_of_all_fields() {
        let (author, key) = (UserId(7), Some(Uuid::from_u128(1)));
        assert_eq!(EntryHash::default().to_string(), "AAAAAAAA");
        let hash = EntryHash::new(1, 2, 0, author, key, None);
        assert_eq!(hash.to_string(), "QhSQT5Vp");
        let others = [
            hash,
            EntryHash::new(2, 2, 0, author, key, None),
            EntryHash::new(1, 3, 0, author, key, None),
            EntryHash::new(1, 2, 1, author, key, None),
            EntryHash::new(1, 2, 0, UserId(8), key, None),
            EntryHash::new(1, 2, 0, author, Some(Uuid::from_u128(2)), None),
            EntryHash::new(1, 2, 0, author, Some(Uuid::nil()), None),
            EntryHash::new(1, 2, 0, author, None, None),
            EntryHash::new(1, 2, 0, author, key, Some(0)),
            EntryHash::new(1, 2, 0, author, key, Some(9)),
        ];
        let texts: BTreeSet<_> = others.iter().map(EntryHash::to_string).collect();
        assert_eq!(texts.len(), others.len(), "{texts:?}");
    }
}
