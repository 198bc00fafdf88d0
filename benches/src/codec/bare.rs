//! The minimum work of any server for a masked frame: find its payload and unmask it, without any check.

/// Returns the lengths of a masked frame's header and of its payload, or `None` if `bytes` ends too early.
pub(crate) fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, length) = match bytes.get(1)? & 0x7F {
        126 => (8, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (14, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        length => (6, usize::from(length)),
    };
    Some((head, length))
}

/// Unmasks word by word, which the compiler vectorizes.
pub(crate) fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let word = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    rest.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Block, RECEIVED},
        *,
    };

    #[test]
    fn payloads_are_unmasked() {
        let payload = RECEIVED[8];
        let mut block = Block::new(payload);
        let (head, length) = header(&block.bytes).expect("a whole header");
        assert_eq!((head, length), (8, payload.length));
        let key = [block.bytes[4], block.bytes[5], block.bytes[6], block.bytes[7]];
        unmask(&mut block.bytes[head..head + length], key);
        assert_eq!(block.bytes[head..head + length], payload.bytes());
    }
}
