//! Masking ([§5.3]): the payload of every frame from a client is XORed with a key of four bytes.
//!
//! The XOR runs over whole blocks (64, 16, then 4 bytes), because the compiler vectorises a loop over blocks of a fixed
//! size, but not one that indexes the key by `i & 3`. With the feature `std` a long payload is XORed by the widest
//! instructions that the CPU has, in blocks of 256 bytes. Keys come from a [`KeySource`].
//!
//! [§5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.3

/// The four bytes that mask one frame ([§5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3)).
///
/// A client uses a fresh, unpredictable key for each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaskingKey(pub [u8; 4]);

impl MaskingKey {
    /// Masks or unmasks `payload` in place. The operation is its own inverse.
    #[inline]
    pub fn apply(self, payload: &mut [u8]) {
        let word = u32::from_ne_bytes(self.0);
        #[cfg(feature = "std")]
        let payload = if payload.len() < WIDE_FROM { payload } else { wide::xor_blocks(payload, self.0) };
        let rest = xor_blocks::<64>(payload, word);
        let rest = xor_blocks::<16>(rest, word);
        let rest = xor_blocks::<4>(rest, word);
        for (byte, key) in rest.iter_mut().zip(self.0) {
            *byte ^= key;
        }
    }

    /// Returns the key for the rest of a payload, after `consumed` bytes of it have been unmasked with this one.
    #[must_use]
    pub fn after(self, consumed: usize) -> Self {
        let mut key = self.0;
        key.rotate_left(consumed % 4);
        Self(key)
    }
}

/// XORs all whole blocks of `N` bytes, a multiple of four, and returns the rest. The compiler makes a few of the widest
/// available instructions from each block.
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

impl From<[u8; 4]> for MaskingKey {
    fn from(key: [u8; 4]) -> Self {
        Self(key)
    }
}

impl From<MaskingKey> for [u8; 4] {
    fn from(key: MaskingKey) -> Self {
        key.0
    }
}

/// The same for long payloads, with the widest instructions that this CPU has. fearless_simd finds them once.
#[cfg(feature = "std")]
mod wide {
    use fearless_simd::{Level, Simd, SimdFrom as _, dispatch, u8x64};

    /// XORs all whole blocks of [`BLOCK_BYTES`], and returns the rest.
    #[inline(never)]
    pub(super) fn xor_blocks(payload: &mut [u8], key: [u8; 4]) -> &mut [u8] {
        let (blocks, rest) = payload.as_chunks_mut();
        dispatch!(Level::new(), simd => xor(simd, blocks, key));
        rest
    }

    /// Inlined into one function for each set of instructions.
    #[inline(always)]
    fn xor<S: Simd>(simd: S, blocks: &mut [[u8; BLOCK_BYTES]], key: [u8; 4]) {
        let mut repeated = [0; 64];
        repeated.as_chunks_mut().0.fill(key);
        let keys = u8x64::simd_from(simd, repeated);
        for block in blocks {
            for part in block.as_chunks_mut::<64>().0 {
                *part = (u8x64::simd_from(simd, *part) ^ keys).into();
            }
        }
    }

    const BLOCK_BYTES: usize = 256;
}

/// From this many bytes on, the wider instructions save more than it costs to choose them.
#[cfg(feature = "std")]
const WIDE_FROM: usize = 512;

/// The end of a connection: client or server. Clients mask every frame, servers none
/// ([§5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opened the connection; masks what it sends.
    Client,
    /// Accepted the connection; does not mask.
    Server,
}

/// How a [`Sender`](crate::Sender) masks its frames, which also determines its role.
///
/// The trait is sealed: a server is [`Unmasked`]; a client is [`Masked`], which needs a source of keys.
pub trait Masking: sealed::Sealed {
    /// The role that masks in this way.
    const ROLE: Role;

    /// Returns the key for the next frame, or `None` if frames are not masked.
    fn next_key(&mut self) -> Option<MaskingKey>;
}

/// The masking of a server: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Unmasked;

/// The masking of a client: each frame gets its own key from this source.
#[derive(Clone, Copy, Debug)]
pub struct Masked<K>(pub K);

/// A source of masking keys. Any `FnMut() -> MaskingKey` is one.
///
/// The keys must come from a strong source of entropy, such as the operating system's
/// ([§5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3)). The engine has none, because it does no I/O.
pub trait KeySource {
    /// Returns a fresh, unpredictable key.
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

    /// As §5.3 defines it: octet i of the result is octet i of the payload XOR octet i MOD 4 of the key.
    fn naive(key: [u8; 4], payload: &mut [u8]) {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    #[test]
    fn apply_matches_naive_around_the_blocks_of_long_payloads() {
        let key = MaskingKey([0x37, 0xfa, 0x21, 0x3d]);
        let source: Vec<u8> = (0..=255).cycle().take(1500).collect();
        for start in 0..=64 {
            for length in (0..=300).chain(500..=530).chain(760..=790).chain(1400..=1430) {
                let mut seen = source.clone();
                key.apply(&mut seen[start..start + length]);
                let mut expected = source.clone();
                naive(key.0, &mut expected[start..start + length]);
                assert_eq!(seen, expected, "start {start}, length {length}");
            }
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
