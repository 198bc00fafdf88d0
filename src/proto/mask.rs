//! Masking ([§5.3]): every frame from a client is XORed with a key of four bytes.
//!
//! Makes no keys: they must come from a strong source of entropy, which an engine without I/O does not have.
//!
//! The key is repeated into a word and XORed over the payload eight bytes at a time; safe code over
//! `chunks_exact_mut` is vectorised by the compiler, where indexing the key by `i & 3` is not.
//!
//! [§5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.3

/// The four bytes with which a client masks one frame
/// ([§5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3)).
///
/// Must be unpredictable and fresh for each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaskingKey(pub [u8; 4]);

impl MaskingKey {
    /// Masks or unmasks `payload` in place: the same operation, its own inverse.
    #[inline]
    pub fn apply(self, payload: &mut [u8]) {
        let word = u32::from_ne_bytes(self.0);
        let rest = xor_blocks::<64>(payload, word);
        let rest = xor_blocks::<16>(rest, word);
        let rest = xor_blocks::<4>(rest, word);
        for (byte, key) in rest.iter_mut().zip(self.0) {
            *byte ^= key;
        }
    }

    /// The key for what follows after `consumed` bytes of the payload have been unmasked with this one.
    #[must_use]
    pub fn after(self, consumed: usize) -> Self {
        let mut key = self.0;
        key.rotate_left(consumed % 4);
        Self(key)
    }
}

/// XORs all blocks of `N` bytes, some words of four, and gives the rest. Each block becomes a few of the widest
/// instructions that the compiler may use.
#[inline]
fn xor_blocks<const N: usize>(payload: &mut [u8], key: u32) -> &mut [u8] {
    let (blocks, rest) = payload.as_chunks_mut::<N>();
    for block in blocks {
        for word in block.as_chunks_mut().0 {
            *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
        }
    }
    rest
}

/// Which end of a connection this is, and with that who masks: clients always, servers never
/// ([§5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opened the connection; masks what it sends.
    Client,
    /// Accepted the connection; does not mask.
    Server,
}

/// Where a [`Sender`](crate::Sender)'s masking keys come from, and so which role it plays.
///
/// Sealed: a server is [`Unmasked`], a client is [`Masked`] and cannot be made without a source of keys.
pub trait Masking: sealed::Sealed {
    /// The role of who masks in this way.
    const ROLE: Role;

    /// The key for the next frame, `None` where frames are not masked.
    fn next_key(&mut self) -> Option<MaskingKey>;
}

/// A server's frames are not masked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmasked;

/// A client's frames are masked with a key per frame, taken from the source given here.
#[derive(Clone, Copy, Debug)]
pub struct Masked<K>(pub K);

/// Makes masking keys: unpredictable ones, a fresh one each time. Any `FnMut() -> MaskingKey` is one.
pub trait KeySource {
    /// The next key.
    fn next_key(&mut self) -> MaskingKey;
}

impl<F: FnMut() -> MaskingKey> KeySource for F {
    fn next_key(&mut self) -> MaskingKey {
        self()
    }
}

impl Masking for Unmasked {
    const ROLE: Role = Role::Server;

    fn next_key(&mut self) -> Option<MaskingKey> {
        None
    }
}

impl<K: KeySource> Masking for Masked<K> {
    const ROLE: Role = Role::Client;

    fn next_key(&mut self) -> Option<MaskingKey> {
        Some(self.0.next_key())
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Unmasked {}
    impl<K> Sealed for super::Masked<K> {}
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// §5.3's own words: octet i of the result is octet i of the payload XOR octet i MOD 4 of the key.
    fn naive(key: [u8; 4], payload: &mut [u8]) {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    #[test]
    fn apply_matches_naive_at_all_lengths_offsets_and_cuts() {
        let key = MaskingKey([0x37, 0xfa, 0x21, 0x3d]);
        let source: Vec<u8> = (0..=255).cycle().take(300).collect();
        for start in 0..9 {
            for length in 0..80 {
                let mut expected = source[start..start + length].to_vec();
                naive(key.0, &mut expected);
                for cut in 0..=length {
                    let mut seen = source.clone();
                    let (head, tail) = seen[start..start + length].split_at_mut(cut);
                    key.apply(head);
                    key.after(cut).apply(tail);
                    assert_eq!(seen[start..start + length], expected, "start {start}, length {length}, cut {cut}");
                }
            }
        }
    }
}
