//! Close codes, and which of them a Close frame may hold ([§7.4] and the IANA registry).
//!
//! The payload of a Close frame is in `close.rs`.
//!
//! [§7.4]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4

use core::fmt;

/// Why a connection is closed ([§7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4)): a 16-bit number.
///
/// The numbers of the IANA registry have constants. [`may_be_sent`](Self::may_be_sent) and
/// [`may_be_received`](Self::may_be_received) tell whether a Close frame may hold a number.
///
/// ```rust
/// use switchboard::CloseCode;
///
/// let kicked = CloseCode::new(4001); // 4000 to 4999 are the application's
/// assert!(kicked.may_be_sent());
/// assert!(!CloseCode::ABNORMAL_CLOSURE.may_be_sent()); // 1006, for a connection without a Close frame
/// assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001 GOING_AWAY");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

/// Defines the registry: the name, the number and the meaning of each code.
macro_rules! registry {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        impl CloseCode {
            $($(#[doc = $doc])+ pub const $name: Self = Self($code);)+

            /// Returns the registry's name, or `None` for a number that has none.
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
    /// 1000: the connection has served its purpose.
    NORMAL_CLOSURE = 1000;
    /// 1001: a server shuts down, or a browser leaves the page.
    GOING_AWAY = 1001;
    /// 1002: the peer broke the protocol.
    PROTOCOL_ERROR = 1002;
    /// 1003: the endpoint does not accept this kind of data, for example binary where only text is understood.
    UNSUPPORTED_DATA = 1003;
    /// 1005, never on the wire: the Close frame held no code.
    NO_STATUS_RECEIVED = 1005;
    /// 1006, never on the wire: the connection ended without a Close frame.
    ABNORMAL_CLOSURE = 1006;
    /// 1007: data that does not fit the kind of its message, for example text that is not UTF-8.
    INVALID_FRAME_PAYLOAD_DATA = 1007;
    /// 1008: the peer broke a policy of the endpoint.
    POLICY_VIOLATION = 1008;
    /// 1009: a message is too big to be processed.
    MESSAGE_TOO_BIG = 1009;
    /// 1010: the server did not negotiate an extension that the client needs. Sent by clients only.
    MANDATORY_EXTENSION = 1010;
    /// 1011: an unexpected condition prevents the endpoint from fulfilling the request.
    INTERNAL_ERROR = 1011;
    /// 1012: the service restarts.
    SERVICE_RESTART = 1012;
    /// 1013: the service is overloaded; try again later.
    TRY_AGAIN_LATER = 1013;
    /// 1014: a gateway received an invalid response from upstream.
    BAD_GATEWAY = 1014;
    /// 1015, never on the wire: the TLS handshake failed.
    TLS_HANDSHAKE = 1015;
}

impl CloseCode {
    /// Returns the code with this number, whether or not it has a meaning.
    #[must_use]
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns whether an endpoint may put this code into a Close frame
    /// ([§7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1),
    /// [§7.4.2](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.2)).
    ///
    /// This includes 1010, which is for clients only: a server's [`Sender`](crate::Sender) refuses it.
    #[must_use]
    pub const fn may_be_sent(self) -> bool {
        match self.0 {
            1000..=1003 | 1007..=1014 => true, // the RFC and the IANA registry
            3000..=3999 => true,               // registered by libraries and applications
            4000..=4999 => true,               // private use
            _ => false,                        // 1004..=1006, 1015, and all unassigned codes
        }
    }

    /// Returns whether the peer's Close frame may hold this code. Any other code fails the connection with 1002.
    ///
    /// These are the numbers of [`may_be_sent`](Self::may_be_sent): §7.4.2 reserves 1000–2999 for the protocol, so a
    /// number there without a definition breaks a rule. 1010 is accepted from a server too, because §7.4.1 does not
    /// forbid it.
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
    fn a_close_frame_holds_no_code_that_is_reserved_or_unassigned() {
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
