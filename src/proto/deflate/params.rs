//! The parameters of permessage-deflate ([§7.1]).
//!
//! [§7.1]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1

use core::fmt;

/// The negotiated parameters of permessage-deflate
/// ([§7.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.1)).
///
/// The `Display` form is the value of the server's `Sec-WebSocket-Extensions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeflateParams {
    /// Whether the server compresses each message with an empty window, without the context of earlier ones.
    pub server_no_context_takeover: bool,
    /// Whether the client compresses each message with an empty window, without the context of earlier ones.
    pub client_no_context_takeover: bool,
    /// The window that the server compresses with; `None` means 15 bits.
    pub server_max_window_bits: Option<WindowBits>,
    /// The window that the client compresses with; `None` means 15 bits.
    pub client_max_window_bits: Option<WindowBits>,
}

/// The base-2 logarithm of a window's size: 8 to 15, which is 256 bytes to 32 KiB
/// ([§7.1.2](https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

/// The number is not a valid [`WindowBits`]: only 8 to 15 are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidWindowBits(pub u8);

impl WindowBits {
    /// 32 KiB, the largest window of DEFLATE.
    pub const MAX: Self = Self(15);

    /// Returns the logarithm, 8 to 15.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Parses the value of a parameter: "a decimal integer value without leading zeroes between 8 to 15".
    pub(in crate::proto) fn parse(value: &str) -> Option<Self> {
        match value {
            "8" => Some(Self(8)),
            "9" => Some(Self(9)),
            "10" => Some(Self(10)),
            "11" => Some(Self(11)),
            "12" => Some(Self(12)),
            "13" => Some(Self(13)),
            "14" => Some(Self(14)),
            "15" => Some(Self(15)),
            _ => None,
        }
    }
}

impl TryFrom<u8> for WindowBits {
    type Error = InvalidWindowBits;

    fn try_from(bits: u8) -> Result<Self, InvalidWindowBits> {
        if (8..=15).contains(&bits) { Ok(Self(bits)) } else { Err(InvalidWindowBits(bits)) }
    }
}

impl From<WindowBits> for u8 {
    fn from(bits: WindowBits) -> Self {
        bits.0
    }
}

impl fmt::Display for WindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for InvalidWindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} window bits: only 8 to 15 are allowed", self.0)
    }
}

impl core::error::Error for InvalidWindowBits {}

/// The value of the server's `Sec-WebSocket-Extensions`.
impl fmt::Display for DeflateParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate")?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        if let Some(bits) = self.client_max_window_bits {
            write!(f, "; client_max_window_bits={bits}")?;
        }
        Ok(())
    }
}
