//! Errors of an open connection: [`ProtocolError`] is the peer's fault, [`SendError`] the caller's.

use core::fmt;

use super::{CloseCode, MessageKind};

/// A rule of RFC 6455 or RFC 7692, or a limit, that the peer broke.
///
/// The connection fails ([§7.1.7](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7)): give the error to
/// [`Sender::fail`](crate::Sender::fail). A frame that is not complete yet is not an error, nor is a normal close.
///
/// ```rust
/// use switchboard::{CloseCode, Connection, Delivery, Limits, ProtocolError, SendError};
///
/// let Connection { mut receiver, mut sender } = Connection::server(Limits::default(), Delivery::Messages);
/// let (mut unmasked, mut out) = ([0x81, 0x02, b'h', b'i'], Vec::new());
/// if let Err(error) = receiver.receive(&mut unmasked).next_event() {
///     assert_eq!((error, error.close_code()), (ProtocolError::UnmaskedFrame, CloseCode::PROTOCOL_ERROR));
///     sender.fail(&error, &mut out)?; // then write the output, and end TCP
/// }
/// # assert!(out.starts_with(b"\x88") && !receiver.is_open());
/// # Ok::<(), SendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RSV1, RSV2 or RSV3 is set, and no extension gives it a meaning (§5.2).
    ReservedBits {
        /// The three bits, RSV1 the highest: 1 to 7.
        bits: u8,
    },
    /// The opcode is one of 3–7 and B–F (§5.2).
    ReservedOpcode(u8),
    /// A control frame without FIN (§5.5).
    FragmentedControl,
    /// A control frame announces more than 125 bytes (§5.5).
    ControlTooLong,
    /// A continuation frame although no message is unfinished (§5.4).
    UnexpectedContinuation,
    /// A new message although the last one is unfinished (§5.4).
    ExpectedContinuation,
    /// A client's frame is not masked (§5.1).
    UnmaskedFrame,
    /// A server's frame is masked (§5.1).
    MaskedFrame,
    /// The length is not written in the shortest form that fits it (§5.2).
    NonMinimalLength,
    /// The most significant bit of a 64-bit length is set (§5.2).
    LengthOutOfRange,
    /// A frame is longer than this endpoint accepts (§10.4).
    FrameTooLong {
        /// The length that the header announces, in bytes; a lower bound if the header is incomplete.
        length: u64,
        /// The longest frame that is accepted, in bytes.
        limit: u64,
    },
    /// All fragments of a message together are longer than this endpoint accepts, compressed or inflated (§10.4).
    MessageTooLong {
        /// A lower bound of the length in bytes: of all frames so far with the announced one, or of the inflated data.
        length: u64,
        /// The longest message that is accepted, in bytes.
        limit: u64,
    },
    /// More empty data frames in a row than this endpoint accepts (§10.4).
    TooManyEmptyFrames {
        /// How many are accepted.
        limit: u32,
    },
    /// Text that is not UTF-8 (§8.1).
    InvalidUtf8 {
        /// The number of bytes of the message before the first invalid one.
        offset: u64,
    },
    /// A compressed message that is not DEFLATE data, refers to data before its window, or ends inside a block
    /// (RFC 7692 §7.2.2).
    InvalidDeflate,
    /// A compressed message has too many blocks with BFINAL set (RFC 7692 §7.2.3.4). Each is two bytes for the peer and
    /// a new window for us.
    TooManyFinalBlocks {
        /// How many are accepted.
        limit: u32,
    },
    /// A Close frame with a payload of one byte: a code takes two (§5.5.1).
    TruncatedCloseCode,
    /// A Close frame with a code that must not be sent (§7.4).
    InvalidCloseCode(CloseCode),
    /// A Close frame whose reason is not UTF-8 (§5.5.1).
    InvalidCloseReason,
}

impl ProtocolError {
    /// Returns the close code for this error: 1002, 1007, 1008 or 1009
    /// ([§7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)).
    #[must_use]
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::ReservedBits { .. }
            | Self::ReservedOpcode(_)
            | Self::FragmentedControl
            | Self::ControlTooLong
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::UnmaskedFrame
            | Self::MaskedFrame
            | Self::NonMinimalLength
            | Self::LengthOutOfRange
            | Self::TruncatedCloseCode
            | Self::InvalidCloseCode(_) => CloseCode::PROTOCOL_ERROR,
            Self::InvalidUtf8 { .. } | Self::InvalidDeflate | Self::InvalidCloseReason => {
                CloseCode::INVALID_FRAME_PAYLOAD_DATA
            }
            Self::FrameTooLong { .. } | Self::MessageTooLong { .. } => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyEmptyFrames { .. } | Self::TooManyFinalBlocks { .. } => CloseCode::POLICY_VIOLATION,
        }
    }

    /// Returns the reason for the Close frame: the rule, without numbers. At most 123 bytes.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ReservedBits { .. } => "reserved bit set",
            Self::ReservedOpcode(_) => "reserved opcode",
            Self::FragmentedControl => "fragmented control frame",
            Self::ControlTooLong => "control frame over 125 bytes",
            Self::UnexpectedContinuation => "continuation without a message",
            Self::ExpectedContinuation => "new message inside a fragmented one",
            Self::UnmaskedFrame => "unmasked frame from a client",
            Self::MaskedFrame => "masked frame from a server",
            Self::NonMinimalLength => "length not in its shortest form",
            Self::LengthOutOfRange => "length out of range",
            Self::FrameTooLong { .. } => "frame too big",
            Self::MessageTooLong { .. } => "message too big",
            Self::TooManyEmptyFrames { .. } => "too many empty frames in a row",
            Self::InvalidUtf8 { .. } => "text is not UTF-8",
            Self::InvalidDeflate => "compressed data is malformed",
            Self::TooManyFinalBlocks { .. } => "too many final blocks in a compressed message",
            Self::TruncatedCloseCode => "close code cut off",
            Self::InvalidCloseCode(_) => "close code not allowed",
            Self::InvalidCloseReason => "close reason is not UTF-8",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        match self {
            Self::ReservedBits { bits } => write!(f, " (RSV {bits:03b})"),
            Self::ReservedOpcode(opcode) => write!(f, " {opcode:#x}"),
            Self::FrameTooLong { length, limit } | Self::MessageTooLong { length, limit } => {
                write!(f, " ({length} bytes or more, the limit is {limit})")
            }
            Self::TooManyEmptyFrames { limit } | Self::TooManyFinalBlocks { limit } => {
                write!(f, " (the limit is {limit})")
            }
            Self::InvalidUtf8 { offset } => write!(f, " (at byte {offset})"),
            Self::InvalidCloseCode(code) => write!(f, " ({code})"),
            _ => Ok(()),
        }
    }
}

impl core::error::Error for ProtocolError {}

/// The caller asked a [`Sender`](crate::Sender) for something that is not allowed now. Nothing was written.
///
/// ```rust
/// use switchboard::{Connection, Delivery, Limits, MessageKind, SendError};
///
/// let mut sender = Connection::server(Limits::default(), Delivery::Messages).sender;
/// let mut out = Vec::new();
/// sender.text_fragment("half of a sen", false, &mut out)?;
/// let before = out.len();
/// let refused = sender.binary(&[1, 2, 3], &mut out); // between two fragments
/// assert_eq!(refused, Err(SendError::MessageUnfinished(MessageKind::Text)));
/// assert_eq!(out.len(), before);
/// # Ok::<(), SendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// Our Close frame is already sent; nothing may follow it (§5.5.1).
    Closed,
    /// A fragmented message of this kind is unfinished; only its next fragment may follow (§5.4).
    MessageUnfinished(MessageKind),
    /// The payload of a Ping or Pong is longer than 125 bytes (§5.5).
    ControlTooLong {
        /// The payload's length in bytes.
        length: usize,
    },
    /// A Close frame must not hold this code (§7.4), or not one from this role.
    InvalidCloseCode(CloseCode),
    /// A close reason is longer than 123 bytes (§5.5: a control frame holds 125, and the code takes two).
    ReasonTooLong {
        /// The reason's length in bytes.
        length: usize,
    },
    /// The fixed buffer given for output is too small.
    BufferTooSmall {
        /// The space that the frame needs, in bytes; an upper bound if the message may be compressed.
        needed: usize,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the Close frame is already sent"),
            Self::MessageUnfinished(kind) => write!(f, "a fragmented {kind:?} message is unfinished"),
            Self::ControlTooLong { length } => {
                write!(f, "a control payload of {length} bytes, at most 125 are allowed")
            }
            Self::InvalidCloseCode(code) => write!(f, "close code {code} must not be sent"),
            Self::ReasonTooLong { length } => write!(f, "a close reason of {length} bytes, at most 123 are allowed"),
            Self::BufferTooSmall { needed } => write!(f, "the output buffer needs room for {needed} bytes"),
        }
    }
}

impl core::error::Error for SendError {}
