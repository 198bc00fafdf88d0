//! Masked frames as a client sends them, each with its own masking key.

use switchboard::{FrameHeader, MaskingKey, MessageKind};

/// The payload of all frames of a row.
#[derive(Clone, Copy, Debug)]
pub struct Payload {
    /// The row's name.
    pub name: &'static str,
    pub kind: Kind,
    /// In bytes.
    pub length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Binary,
    /// Text in English.
    Ascii,
    /// Text of characters that take three and four bytes.
    Mixed,
}

/// The rows of frames that are received.
pub const RECEIVED: [Payload; 11] = [
    Payload { name: "16 B binary", kind: Kind::Binary, length: 16 },
    Payload { name: "125 B binary", kind: Kind::Binary, length: 125 },
    Payload { name: "1 KiB binary", kind: Kind::Binary, length: 1 << 10 },
    Payload { name: "16 KiB binary", kind: Kind::Binary, length: 16 << 10 },
    Payload { name: "64 KiB binary", kind: Kind::Binary, length: 64 << 10 },
    Payload { name: "1 MiB binary", kind: Kind::Binary, length: 1 << 20 },
    Payload { name: "16 B text, ASCII", kind: Kind::Ascii, length: 16 },
    Payload { name: "1 KiB text, ASCII", kind: Kind::Ascii, length: 1 << 10 },
    Payload { name: "1 KiB text, CJK and emoji", kind: Kind::Mixed, length: 1 << 10 },
    Payload { name: "64 KiB text, ASCII", kind: Kind::Ascii, length: 64 << 10 },
    Payload { name: "64 KiB text, CJK and emoji", kind: Kind::Mixed, length: 64 << 10 },
];

/// The rows of frames that are sent.
pub const SENT: [Payload; 4] = [
    Payload { name: "16 B binary", kind: Kind::Binary, length: 16 },
    Payload { name: "125 B binary", kind: Kind::Binary, length: 125 },
    Payload { name: "1 KiB binary", kind: Kind::Binary, length: 1 << 10 },
    Payload { name: "16 KiB binary", kind: Kind::Binary, length: 16 << 10 },
];

impl Payload {
    /// Returns the bytes, which are the same each time.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut random = Random(0x5EED);
        match self.kind {
            Kind::Binary => (0..self.length).map(|_| random.next() as u8).collect(),
            Kind::Ascii => "The quick brown fox jumps over the lazy dog. ".bytes().cycle().take(self.length).collect(),
            Kind::Mixed => {
                let mut text = String::new();
                for character in "漢字とかな交じりの文と絵文字🙂한국어도🚀中文".chars().cycle()
                {
                    if text.len() + character.len_utf8() > self.length {
                        break;
                    }
                    text.push(character);
                }
                text.extend((text.len()..self.length).map(|_| '.'));
                text.into_bytes()
            }
        }
    }

    #[must_use]
    pub fn is_text(&self) -> bool {
        self.kind != Kind::Binary
    }

    /// Returns the length of a server's frame with this payload.
    #[must_use]
    pub fn server_frame_length(&self) -> usize {
        self.header(None).encode().as_ref().len() + self.length
    }

    fn header(&self, mask: Option<MaskingKey>) -> FrameHeader {
        let kind = if self.is_text() { MessageKind::Text } else { MessageKind::Binary };
        FrameHeader { fin: true, rsv1: false, opcode: kind.opcode(), mask, payload_len: self.length as u64 }
    }
}

/// A sequence of frames, to be read repeatedly.
#[derive(Debug)]
pub struct Block {
    pub payload: Payload,
    pub bytes: Vec<u8>,
    pub frame_length: usize,
}

impl Block {
    /// Makes at least a mebibyte of frames with different keys, more than the nearest cache holds.
    #[must_use]
    pub fn new(payload: Payload) -> Self {
        let content = payload.bytes();
        let mut random = Random(1);
        let mut bytes = Vec::with_capacity(MIN_BYTES + payload.length + 14);
        let mut frames = 0;
        while bytes.len() < MIN_BYTES || frames < MIN_FRAMES {
            let key = MaskingKey((random.next() as u32).to_be_bytes());
            bytes.extend_from_slice(payload.header(Some(key)).encode().as_ref());
            let start = bytes.len();
            bytes.extend_from_slice(&content);
            key.apply(&mut bytes[start..]);
            frames += 1;
        }
        Self { payload, frame_length: bytes.len() / frames, bytes }
    }
}

const MIN_BYTES: usize = 1 << 20;
const MIN_FRAMES: usize = 2;

/// Marsaglia's xorshift. Its own generator, because the published figures depend on these bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_what_their_rows_say() {
        for payload in RECEIVED {
            let bytes = payload.bytes();
            assert_eq!(bytes.len(), payload.length, "{}", payload.name);
            assert_eq!(std::str::from_utf8(&bytes).is_ok(), payload.is_text(), "{}", payload.name);
            assert_eq!(payload.kind == Kind::Ascii, bytes.is_ascii(), "{}", payload.name);
        }
    }
}
