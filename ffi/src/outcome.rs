//! What a call returns. Errors of the engine become numbers and texts here, and a panic goes no further.

use std::{
    borrow::Cow,
    ffi::{CStr, CString, c_char},
    panic::{AssertUnwindSafe, catch_unwind},
};

use switchboard::{ClientHandshakeError, InvalidHeader, ProtocolError, RequestError, SendError};

use crate::Connection;

/// What a call returns: 0, or why it has failed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call has done what it is for.
    Ok = 0,
    /// A pointer is NULL that must not be. Nothing has changed.
    NullPointer = 1,
    /// An argument has a value that is not allowed, such as text that is not UTF-8. Nothing has changed, except where
    /// the function says so.
    InvalidArgument = 2,
    /// The call is not allowed at this point, such as a message before the handshake is done, or after our Close.
    /// Nothing has changed.
    WrongState = 3,
    /// The peer's opening handshake is refused. A server has the response in its output. The connection is CLOSED.
    HandshakeFailed = 4,
    /// The peer has broken a rule of RFC 6455 or RFC 7692, or a limit. The Close for it is in the output, and no event
    /// follows.
    ProtocolError = 5,
    /// The operating system has no random bytes, which a client needs.
    NoRandomBytes = 6,
    /// The library has a bug. A panic was caught; the handle can only be freed.
    Bug = 7,
}

impl Outcome {
    const fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Ok,
            1 => Self::NullPointer,
            2 => Self::InvalidArgument,
            3 => Self::WrongState,
            4 => Self::HandshakeFailed,
            5 => Self::ProtocolError,
            6 => Self::NoRandomBytes,
            7 => Self::Bug,
            _ => return None,
        })
    }

    const fn text(self) -> &'static CStr {
        match self {
            Self::Ok => c"no error",
            Self::NullPointer => c"a pointer is NULL that must not be",
            Self::InvalidArgument => c"an argument has a value that is not allowed",
            Self::WrongState => c"the call is not allowed in this state of the connection",
            Self::HandshakeFailed => c"the peer's opening handshake is refused",
            Self::ProtocolError => c"the peer has broken a rule of the protocol, or a limit",
            Self::NoRandomBytes => c"the operating system has no random bytes",
            Self::Bug => c"a bug in the library: the handle can only be freed",
        }
    }
}

/// Returns what a result means, in English. The text is never freed.
///
/// switchboard_connection_error_text says more about the last failure of a connection.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_result_text(result: u32) -> *const c_char {
    Outcome::of(result).map_or(c"not a result of this library", Outcome::text).as_ptr()
}

/// Why a call has failed, with a text for people.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    /// The code of the Close that answers it, or 0.
    pub(crate) close_code: u16,
    text: Cow<'static, str>,
}

impl Failure {
    pub(crate) const NULL: Self = Self::new(Outcome::NullPointer, "a pointer is NULL that must not be");

    pub(crate) const fn argument(text: &'static str) -> Self {
        Self::new(Outcome::InvalidArgument, text)
    }

    pub(crate) const fn state(text: &'static str) -> Self {
        Self::new(Outcome::WrongState, text)
    }

    pub(crate) const fn new(outcome: Outcome, text: &'static str) -> Self {
        Self { outcome, close_code: 0, text: Cow::Borrowed(text) }
    }

    fn of(outcome: Outcome, error: impl ToString) -> Self {
        Self { outcome, close_code: 0, text: Cow::Owned(error.to_string()) }
    }

    /// Returns the text for C. What a peer has sent may be in it, but no NUL.
    fn c_text(&self) -> CString {
        CString::new(self.text.replace('\0', "\u{fffd}")).unwrap_or_default()
    }
}

impl From<ProtocolError> for Failure {
    fn from(error: ProtocolError) -> Self {
        Self { close_code: error.close_code().get(), ..Self::of(Outcome::ProtocolError, error) }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::of(Outcome::HandshakeFailed, error)
    }
}

impl From<ClientHandshakeError> for Failure {
    fn from(error: ClientHandshakeError) -> Self {
        Self::of(Outcome::HandshakeFailed, error)
    }
}

impl From<InvalidHeader> for Failure {
    fn from(error: InvalidHeader) -> Self {
        Self::of(Outcome::InvalidArgument, error)
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let outcome = match error {
            SendError::Closed | SendError::MessageUnfinished(_) => Outcome::WrongState,
            _ => Outcome::InvalidArgument,
        };
        Self::of(outcome, error)
    }
}

/// Calls `call` with the connection, keeps the text of its failure, and catches its panic.
///
/// After a panic the connection may be half changed, so nothing is done with it any more.
pub(crate) fn guarded(
    connection: Option<&mut Connection>,
    call: impl FnOnce(&mut Connection) -> Result<(), Failure>,
) -> Outcome {
    let Some(connection) = connection else { return Outcome::NullPointer };
    if connection.has_panicked() {
        return Outcome::Bug;
    }
    // Unwind safe: after a panic, `connection` is not used again.
    match catch_unwind(AssertUnwindSafe(|| call(connection))) {
        Ok(Ok(())) => Outcome::Ok,
        Ok(Err(failure)) => {
            connection.error = failure.c_text();
            failure.outcome
        }
        Err(_) => {
            connection.set_panicked();
            connection.error = Outcome::Bug.text().to_owned();
            Outcome::Bug
        }
    }
}

/// Calls `call` if there is a connection that has not panicked; otherwise returns `default`.
pub(crate) fn read<T>(connection: Option<&Connection>, default: T, call: impl FnOnce(&Connection) -> T) -> T {
    match connection {
        Some(connection) if !connection.has_panicked() => call(connection),
        _ => default,
    }
}

/// Catches a panic of a call that has no connection.
pub(crate) fn caught(call: impl FnOnce() -> Result<(), Failure>) -> Outcome {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => Outcome::Ok,
        Ok(Err(failure)) => failure.outcome,
        Err(_) => Outcome::Bug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, State, traffic};

    #[test]
    fn a_panic_is_caught_and_nothing_is_done_with_the_connection_any_more() {
        let mut connection = Connection::server(&Config::default());
        assert_eq!(guarded(Some(&mut connection), |_| panic!("a bug that the test makes")), Outcome::Bug);
        let mut called = false;
        let again = guarded(Some(&mut connection), |_| {
            called = true;
            Ok(())
        });
        assert_eq!((again, called), (Outcome::Bug, false));
        assert_eq!(connection.error.as_c_str(), Outcome::Bug.text());
        assert_eq!(traffic::switchboard_connection_state(Some(&connection)), State::Closed);
        assert_eq!(traffic::switchboard_connection_output(Some(&connection)).length, 0);
        assert_eq!(caught(|| panic!("a bug that the test makes")), Outcome::Bug);
    }

    #[test]
    fn each_number_of_a_result_has_its_text() {
        for number in 0..8 {
            let outcome = Outcome::of(number).expect("a result");
            assert_eq!(outcome as u32, number);
        }
        assert_eq!((Outcome::of(8), Outcome::of(u32::MAX)), (None, None));
    }

    #[test]
    fn a_text_for_c_has_no_nul_within() {
        let failure = Failure::argument("one\0two");
        assert_eq!(failure.c_text().to_str(), Ok("one\u{fffd}two"));
    }
}
