//! The payload of a Close frame ([§5.5.1]): empty, or a code and a reason.
//!
//! When a Close frame may be sent is decided in `sender.rs`.
//!
//! [§5.5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1

use alloc::{borrow::ToOwned, string::String};

use super::{CloseCode, ProtocolError, SendError, utf8};

/// The code and the reason of a Close frame. A Close frame without payload is `None` of `Option<CloseFrame>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseFrame<'a> {
    /// Why the connection is closed.
    pub code: CloseCode,
    /// A text for logs, not for users: at most 123 bytes, often empty.
    pub reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// Decodes the unmasked payload of a Close frame; `None` if it is empty.
    ///
    /// # Errors
    /// [`ProtocolError::TruncatedCloseCode`] for a single byte, [`ProtocolError::InvalidCloseCode`] for a code that
    /// must not be sent, [`ProtocolError::InvalidCloseReason`] for a reason that is not UTF-8.
    pub fn decode(payload: &'a [u8]) -> Result<Option<Self>, ProtocolError> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return if payload.is_empty() { Ok(None) } else { Err(ProtocolError::TruncatedCloseCode) };
        };
        let code = CloseCode::new(u16::from_be_bytes(*code));
        if !code.may_be_received() {
            return Err(ProtocolError::InvalidCloseCode(code));
        }
        let reason = utf8::validate(reason).map_err(|_| ProtocolError::InvalidCloseReason)?;
        Ok(Some(Self { code, reason }))
    }

    /// Writes the payload into `room` and returns its length, 2 to 125 bytes.
    ///
    /// # Errors
    /// [`SendError::InvalidCloseCode`] and [`SendError::ReasonTooLong`].
    pub(super) fn encode(self, room: &mut [u8; 125]) -> Result<usize, SendError> {
        if !self.code.may_be_sent() {
            return Err(SendError::InvalidCloseCode(self.code));
        }
        let (code, rest) = room.split_at_mut(2);
        let length = self.reason.len();
        let Some(reason) = rest.get_mut(..length) else {
            return Err(SendError::ReasonTooLong { length });
        };
        code.copy_from_slice(&self.code.get().to_be_bytes());
        reason.copy_from_slice(self.reason.as_bytes());
        Ok(2 + length)
    }
}

/// A [`CloseFrame`] that owns its reason, to keep it or to pass it to another task.
///
/// ```rust
/// use switchboard::{CloseCode, CloseFrame, OwnedCloseFrame};
///
/// let kept = OwnedCloseFrame::new(CloseCode::GOING_AWAY, "restart");
/// assert_eq!(kept.as_borrowed(), CloseFrame { code: CloseCode::GOING_AWAY, reason: "restart" });
/// assert_eq!(OwnedCloseFrame::from(kept.as_borrowed()), kept);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnedCloseFrame {
    /// Why the connection is closed.
    pub code: CloseCode,
    /// A text for logs, not for users: at most 123 bytes, often empty.
    pub reason: String,
}

impl OwnedCloseFrame {
    /// Makes a frame. A code that must not be sent, or a reason of more than 123 bytes, is refused when it is sent.
    #[must_use]
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Returns the same frame, borrowed: what [`Sender::close`](crate::Sender::close) takes.
    #[must_use]
    pub fn as_borrowed(&self) -> CloseFrame<'_> {
        CloseFrame { code: self.code, reason: &self.reason }
    }
}

impl From<CloseFrame<'_>> for OwnedCloseFrame {
    fn from(frame: CloseFrame<'_>) -> Self {
        Self { code: frame.code, reason: frame.reason.to_owned() }
    }
}
