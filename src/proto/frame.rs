//! Frame headers ([§5.2]): `decode` and `encode`, side by side.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
//! |I|S|S|S|  (4)  |A|     (7)     |        (0, 16 or 64)          |
//! |N|V|V|V|       |S|             |                               |
//! | |1|2|3|       |K|             |     then Masking-key (0, 32)  |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! ```
//!
//! An invalid header fails at the first byte that shows it. The first byte shows RSV, the opcode and the position in a
//! message; the second the mask bit and a control frame's length; the extended length its form and the limits, as soon
//! as its bytes decide. The payload is not read here.
//!
//! [§5.2]: https://www.rfc-editor.org/rfc/rfc6455#section-5.2

use super::{MaskingKey, MessageKind, Opcode, ProtocolError, Role};

/// The header of one frame ([§5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// Whether this is the last fragment of a message.
    pub fin: bool,
    /// Whether the message is compressed, if permessage-deflate was negotiated (RFC 7692 §6).
    pub rsv1: bool,
    /// The opcode.
    pub opcode: Opcode,
    /// The key that masks the payload; `None` from a server.
    pub mask: Option<MaskingKey>,
    /// The payload's length in bytes, below 2^63.
    pub payload_len: u64,
}

/// The rules that [`FrameHeader::decode`] checks a header against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeaderRules {
    /// The role of the receiver: a server requires masked frames, a client refuses them (§5.1).
    pub role: Role,
    /// Whether an extension gives RSV1 a meaning on the first frame of a message (RFC 7692 §6).
    pub rsv1: bool,
    /// The number of payload bytes so far of a fragmented message that is unfinished; `None` between messages (§5.4).
    pub unfinished: Option<u64>,
    /// The longest payload of a frame, in bytes.
    pub max_frame_bytes: u64,
    /// The longest message, all fragments together, in bytes.
    pub max_message_bytes: u64,
}

/// The longest header: two bytes, an extended length of eight, a key of four.
pub(super) const MAX_HEADER_BYTES: usize = 14;

/// The longest payload of a control frame (§5.5).
pub(super) const MAX_CONTROL_BYTES: usize = 125;

impl FrameHeader {
    /// Decodes a frame header ([§5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)) from the start of
    /// `input`.
    ///
    /// Returns the header and its length in bytes (2 to 14), or `None` if `input` ends before the header does.
    ///
    /// # Errors
    /// The first rule that the header breaks. An incomplete header fails too, as early as at its first byte, if no
    /// further bytes can make it valid.
    pub fn decode(input: &[u8], rules: &HeaderRules) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&first, rest)) = input.split_first() else { return Ok(None) };
        let (fin, rsv1, opcode) = first_byte(first, rules)?;
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        let masked = second & MASK != 0;
        match (rules.role, masked) {
            (Role::Server, false) => return Err(ProtocolError::UnmaskedFrame),
            (Role::Client, true) => return Err(ProtocolError::MaskedFrame),
            (Role::Server, true) | (Role::Client, false) => {}
        }
        let short = second & !MASK;
        if opcode.is_control() && short > 125 {
            return Err(ProtocolError::ControlTooLong);
        }
        let (payload_len, rest) = match short {
            126 => match extended_length::<2>(rest, 126)? {
                Length::Known(length) => (length, rest.get(2..)),
                Length::AtLeast(length) => (length, None),
            },
            127 => match extended_length::<8>(rest, 1 << 16)? {
                Length::Known(length) => (length, rest.get(8..)),
                Length::AtLeast(length) => (length, None),
            },
            short => (u64::from(short), Some(rest)),
        };
        if !opcode.is_control() {
            check_limits(payload_len, rules)?;
        }
        let Some(rest) = rest else { return Ok(None) };
        let (mask, rest) = if masked {
            let Some((key, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
            (Some(MaskingKey(*key)), rest)
        } else {
            (None, rest)
        };
        Ok(Some((Self { fin, rsv1, opcode, mask, payload_len }, input.len() - rest.len())))
    }

    /// Returns the header of a message in one frame, as a server sends it: not masked.
    pub(crate) const fn of_message(kind: MessageKind, rsv1: bool, payload_len: u64) -> Self {
        Self { fin: true, rsv1, opcode: kind.opcode(), mask: None, payload_len }
    }

    /// Returns what [`encode`](Self::encode) returns for an unmasked frame of at most 125 bytes, else `None`. Two bytes
    /// stay in registers.
    #[inline]
    pub(super) fn encode_short(&self) -> Option<[u8; 2]> {
        let short = u8::try_from(self.payload_len).ok().filter(|&length| length <= 125)?;
        self.mask.is_none().then_some([self.first_byte(), short])
    }

    #[inline]
    const fn first_byte(&self) -> u8 {
        (if self.fin { FIN } else { 0 }) | (if self.rsv1 { RSV1 } else { 0 }) | self.opcode as u8
    }

    /// Encodes the header, with the length in its shortest form.
    #[must_use]
    pub fn encode(&self) -> EncodedHeader {
        let mut bytes = [0; MAX_HEADER_BYTES];
        let mask_bit = if self.mask.is_some() { MASK } else { 0 };
        bytes[0] = self.first_byte();
        let mut len = 2;
        if let Ok(short @ 0..=125) = u8::try_from(self.payload_len) {
            bytes[1] = mask_bit | short;
        } else if let Ok(length) = u16::try_from(self.payload_len) {
            bytes[1] = mask_bit | 126;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            len = 4;
        } else {
            bytes[1] = mask_bit | 127;
            bytes[2..10].copy_from_slice(&self.payload_len.to_be_bytes());
            len = 10;
        }
        if let Some(MaskingKey(key)) = self.mask {
            bytes[len..len + 4].copy_from_slice(&key);
            len += 4;
        }
        EncodedHeader { bytes, len }
    }
}

/// A data message in one frame, all of it at the start of the input. Nearly all messages arrive like this.
#[derive(Clone, Copy, Debug)]
pub(super) struct WholeMessage {
    pub(super) kind: MessageKind,
    pub(super) mask: Option<MaskingKey>,
    pub(super) header_len: usize,
    pub(super) payload_len: usize,
}

impl WholeMessage {
    /// Recognises such a message with few branches. `None` says nothing about the input: then [`FrameHeader::decode`]
    /// decides. It decodes every header that is recognised here to the same values.
    #[inline]
    pub(super) fn decode(input: &[u8], role: Role) -> Option<Self> {
        let (&[first, second], rest) = input.split_first_chunk()?;
        let kind = match first {
            WHOLE_TEXT => MessageKind::Text,
            WHOLE_BINARY => MessageKind::Binary,
            _ => return None,
        };
        // If the mask bit is right, this is the length; if not, it is above 127.
        let (payload_len, rest) = match second ^ if role == Role::Server { MASK } else { 0 } {
            short @ 0..=125 => (usize::from(short), rest),
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (Some(usize::from(u16::from_be_bytes(*length))).filter(|&length| length > 125)?, rest)
            }
            _ => return None,
        };
        let (mask, rest) = match role {
            Role::Server => {
                let (key, rest) = rest.split_first_chunk()?;
                (Some(MaskingKey(*key)), rest)
            }
            Role::Client => (None, rest),
        };
        let header_len = input.len() - rest.len();
        (payload_len <= rest.len()).then_some(Self { kind, mask, header_len, payload_len })
    }
}

/// A frame whose header has been read, and part of its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartialFrame {
    pub(super) fin: bool,
    /// The key, rotated to the next byte of the payload.
    pub(super) mask: Option<MaskingKey>,
    pub(super) remaining: u64,
}

impl PartialFrame {
    /// Returns the frame after `length` more bytes of its payload.
    pub(super) fn after(self, length: usize) -> Self {
        let mask = self.mask.map(|key| key.after(length));
        Self { mask, remaining: self.remaining - length as u64, ..self }
    }
}

/// An encoded header: 2 to 14 bytes, by [`AsRef`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EncodedHeader {
    /// `2 <= len <= 14`; the bytes after `len` are zero.
    bytes: [u8; MAX_HEADER_BYTES],
    len: usize,
}

impl AsRef<[u8]> for EncodedHeader {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Decodes and checks the first byte: FIN, RSV1 and the opcode.
fn first_byte(byte: u8, rules: &HeaderRules) -> Result<(bool, bool, Opcode), ProtocolError> {
    let fin = byte & FIN != 0;
    let rsv1 = byte & RSV1 != 0;
    let reserved = byte & (RSV1 | RSV2 | RSV3);
    let opcode = Opcode::try_from(byte & 0x0F).map_err(|error| ProtocolError::ReservedOpcode(error.0))?;
    let starts_message = matches!(opcode, Opcode::Text | Opcode::Binary);
    if reserved != 0 && !(reserved == RSV1 && rules.rsv1 && starts_message) {
        return Err(ProtocolError::ReservedBits { bits: reserved >> 4 });
    }
    match (opcode, rules.unfinished) {
        (Opcode::Close | Opcode::Ping | Opcode::Pong, _) if !fin => Err(ProtocolError::FragmentedControl),
        (Opcode::Continuation, None) => Err(ProtocolError::UnexpectedContinuation),
        (Opcode::Text | Opcode::Binary, Some(_)) => Err(ProtocolError::ExpectedContinuation),
        _ => Ok((fin, rsv1, opcode)),
    }
}

/// An extended length: exact, or a lower bound while bytes of it are missing.
enum Length {
    Known(u64),
    AtLeast(u64),
}

/// Reads a big-endian length of `N` bytes, at least `min_allowed`, of which bytes may be missing.
///
/// The bytes that are there bound the value: the missing ones are all 0x00 at its minimum and all 0xFF at its maximum.
fn extended_length<const N: usize>(input: &[u8], min_allowed: u64) -> Result<Length, ProtocolError> {
    let there = &input[..input.len().min(N)];
    let missing = N - there.len();
    let value = |fill: u8| {
        let filled = there.iter().copied().chain(core::iter::repeat_n(fill, missing));
        filled.fold(0, |value, byte| value << 8 | u64::from(byte))
    };
    let (min, max) = (value(0x00), value(0xFF));
    if min > MAX_LENGTH {
        return Err(ProtocolError::LengthOutOfRange);
    }
    if max < min_allowed {
        return Err(ProtocolError::NonMinimalLength);
    }
    Ok(if missing == 0 { Length::Known(min) } else { Length::AtLeast(min) })
}

/// Checks the length of a data frame against the limits, given the bytes that its message already has.
///
/// Only the tighter of the two limits is reported. While bytes of the length are missing, `length` is a lower bound,
/// and the error must not change when they arrive.
fn check_limits(length: u64, rules: &HeaderRules) -> Result<(), ProtocolError> {
    let before = rules.unfinished.unwrap_or(0);
    let (frame, message) = (rules.max_frame_bytes, rules.max_message_bytes.saturating_sub(before));
    if frame <= message && length > frame {
        return Err(ProtocolError::FrameTooLong { length, limit: frame });
    }
    if length > message {
        let length = length.saturating_add(before);
        return Err(ProtocolError::MessageTooLong { length, limit: rules.max_message_bytes });
    }
    Ok(())
}

const WHOLE_TEXT: u8 = FIN | Opcode::Text as u8;
const WHOLE_BINARY: u8 = FIN | Opcode::Binary as u8;
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const MASK: u8 = 0x80;
/// "The most significant bit MUST be 0" (§5.2).
const MAX_LENGTH: u64 = u64::MAX >> 1;
