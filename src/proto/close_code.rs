//! Close codes and who may use them ([§7.4] and the IANA registry).
//!
//! Knows the numbers only; the payload of a Close frame is `close.rs`.
//!
//! [§7.4]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4

use core::fmt;

/// Why a connection is closed ([§7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4)): any 16-bit number,
/// with names for those of the registry.
///
/// Whether a number may stand in a Close frame is asked of [`may_be_sent`](Self::may_be_sent) and
/// [`may_be_received`](Self::may_be_received).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

/// The registry, once: each name, its number and what it says.
macro_rules! registry {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        impl CloseCode {
            $($(#[doc = $doc])+ pub const $name: Self = Self($code);)+

            /// The registry's name, or `None` for a number without one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)+
                    _ => None,
                }
            }
        }
    };
}

registry! {
    /// 1000: the purpose of the connection is fulfilled.
    NORMAL_CLOSURE = 1000;
    /// 1001: a server goes down, or a browser leaves the page.
    GOING_AWAY = 1001;
    /// 1002: the peer broke the protocol.
    PROTOCOL_ERROR = 1002;
    /// 1003: a kind of data that the endpoint cannot take, such as binary where only text is understood.
    UNSUPPORTED_DATA = 1003;
    /// 1005, never on the wire: the Close frame held no code.
    NO_STATUS_RECEIVED = 1005;
    /// 1006, never on the wire: the connection ended without a Close frame.
    ABNORMAL_CLOSURE = 1006;
    /// 1007: data that does not fit its message's kind, such as text that is not UTF-8.
    INVALID_FRAME_PAYLOAD_DATA = 1007;
    /// 1008: the peer broke a policy of the endpoint.
    POLICY_VIOLATION = 1008;
    /// 1009: a message is too big to be processed.
    MESSAGE_TOO_BIG = 1009;
    /// 1010: the server did not negotiate an extension that the client needs. Sent by clients only.
    MANDATORY_EXTENSION = 1010;
    /// 1011: the endpoint met a condition that keeps it from fulfilling the request.
    INTERNAL_ERROR = 1011;
    /// 1012: the service restarts.
    SERVICE_RESTART = 1012;
    /// 1013: the service is overloaded; try again later.
    TRY_AGAIN_LATER = 1013;
    /// 1014: a gateway received an invalid answer from upstream.
    BAD_GATEWAY = 1014;
    /// 1015, never on the wire: the TLS handshake failed.
    TLS_HANDSHAKE = 1015;
}

impl CloseCode {
    /// The code with this number, whether or not it has a meaning.
    #[must_use]
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether an endpoint may put this code into a Close frame
    /// ([§7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1),
    /// [§7.4.2](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.2)). 1010 is for clients alone, which
    /// [`Sender`](crate::Sender) sees to.
    #[must_use]
    pub const fn may_be_sent(self) -> bool {
        match self.0 {
            1000..=1003 | 1007..=1014 => true, // the RFC and the IANA registry
            3000..=3999 => true,               // registered by libraries and applications
            4000..=4999 => true,               // private use
            _ => false,                        // 1004..=1006, 1015, and all that is unassigned
        }
    }

    /// Whether a peer's Close frame may hold this code; anything else fails with 1002.
    ///
    /// The same numbers as [`may_be_sent`](Self::may_be_sent): §7.4.2 reserves 1000–2999 for the protocol, so a
    /// number there without a definition is a breach, not an unknown word. 1010 is taken from a server too, since
    /// §7.4.1 says whose it is but forbids nothing.
    #[must_use]
    pub const fn may_be_received(self) -> bool {
        self.may_be_sent()
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({self})")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn codes_on_both_sides_of_each_range() {
        let rows: &[(&[u16], bool)] = &[
            (&[0, 1, 125, 999], false),
            (&[1000, 1001, 1002, 1003], true),
            (&[1004, 1005, 1006], false),
            (&[1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014], true),
            (&[1015, 1016, 1100, 2000, 2999], false),
            (&[3000, 3999, 4000, 4999], true),
            (&[5000, 0xFFFF], false),
        ];
        for (codes, allowed) in rows {
            for &code in *codes {
                assert_eq!(CloseCode::new(code).may_be_sent(), *allowed, "send {code}");
                assert_eq!(CloseCode::new(code).may_be_received(), *allowed, "receive {code}");
            }
        }
    }

    #[test]
    fn a_registered_code_is_shown_with_its_name() {
        assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001 GOING_AWAY");
        assert_eq!(CloseCode::new(4001).to_string(), "4001");
    }
}
