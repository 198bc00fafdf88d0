//! Opcodes: what a frame means ([§5.2], [§11.8]).
//!
//! Reserved opcodes have no variant: a frame with one fails the connection. The rest of a header is in `frame.rs`.
//!
//! [§5.2]: https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//! [§11.8]: https://www.rfc-editor.org/rfc/rfc6455#section-11.8

use core::fmt;

/// The meaning of a frame ([§5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the unfinished message.
    Continuation = 0x0,
    /// The first or only fragment of a text message.
    Text = 0x1,
    /// The first or only fragment of a binary message.
    Binary = 0x2,
    /// Control: starts or answers the closing handshake.
    Close = 0x8,
    /// Control: asks for a Pong.
    Ping = 0x9,
    /// Control: answers a Ping, or is sent unasked as a heartbeat.
    Pong = 0xA,
}

impl Opcode {
    /// Returns whether this is a control frame: at most 125 bytes, never fragmented, allowed between fragments
    /// ([§5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5)).
    #[must_use]
    pub const fn is_control(self) -> bool {
        match self {
            Self::Close | Self::Ping | Self::Pong => true,
            Self::Continuation | Self::Text | Self::Binary => false,
        }
    }
}

impl TryFrom<u8> for Opcode {
    type Error = ReservedOpcode;

    fn try_from(value: u8) -> Result<Self, ReservedOpcode> {
        match value {
            0x0 => Ok(Self::Continuation),
            0x1 => Ok(Self::Text),
            0x2 => Ok(Self::Binary),
            0x8 => Ok(Self::Close),
            0x9 => Ok(Self::Ping),
            0xA => Ok(Self::Pong),
            other => Err(ReservedOpcode(other)),
        }
    }
}

/// The value is not one of the six opcodes that RFC 6455 defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReservedOpcode(pub u8);

impl fmt::Display for ReservedOpcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} is not one of the opcodes 0x0 to 0x2 and 0x8 to 0xa", self.0)
    }
}

impl core::error::Error for ReservedOpcode {}

/// The kind of a message: text (UTF-8) or binary
/// ([§5.6](https://www.rfc-editor.org/rfc/rfc6455#section-5.6)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Arbitrary bytes.
    Binary,
}

impl MessageKind {
    /// Returns the opcode of the first frame of such a message.
    #[must_use]
    pub const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn exactly_six_of_sixteen_opcodes_have_a_meaning() {
        let known: [u8; 6] = [0x0, 0x1, 0x2, 0x8, 0x9, 0xA];
        for value in 0..=u8::MAX {
            match Opcode::try_from(value) {
                Ok(opcode) => {
                    assert!(known.contains(&value));
                    assert_eq!(opcode as u8, value);
                    assert_eq!(opcode.is_control(), value >= 8);
                }
                Err(error) => {
                    assert!(!known.contains(&value));
                    assert_eq!(error, ReservedOpcode(value));
                    assert!(error.to_string().starts_with(&alloc::format!("{value:#x} is not")));
                }
            }
        }
    }
}
