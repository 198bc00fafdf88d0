//! What two ends agree on ([§7.1]).
//!
//! [§7.1]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1

use core::fmt;

/// The parameters of permessage-deflate that a server answered and both ends keep to
/// ([§7.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.1)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateParams {
    /// Whether the server begins each message with an empty window.
    pub server_no_context_takeover: bool,
    /// Whether the client does.
    pub client_no_context_takeover: bool,
    /// The server's window; 15 bits where `None`.
    pub server_max_window_bits: Option<WindowBits>,
    /// The client's window; 15 bits where `None`.
    pub client_max_window_bits: Option<WindowBits>,
}

/// The size of a window as its base-2 logarithm: 8 to 15, for 256 bytes to 32 KiB
/// ([§7.1.2](https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowBits(u8);

/// Not a window's size: only 8 to 15 are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidWindowBits(pub u8);

impl WindowBits {
    /// 32 KiB, what DEFLATE has.
    pub const MAX: Self = Self(15);

    /// The logarithm, 8 to 15.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Reads the value of a parameter: "a decimal integer value without leading zeroes between 8 to 15".
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

impl fmt::Display for WindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for InvalidWindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a window of {} bits, only 8 to 15 are allowed", self.0)
    }
}

impl core::error::Error for InvalidWindowBits {}

/// The value of the header field that says so.
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
