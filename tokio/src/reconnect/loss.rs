//! Why there is no connection.

use std::{fmt, io, time::SystemTime};

use switchboard::{Backoff, Escaped, OwnedCloseFrame, Wish};

use crate::{ConnectError, Error};

/// Why a [`ReconnectingClient`](super::ReconnectingClient) has no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Loss {
    /// The server has sent a Close, with or without a code: to end the connection, or as the answer to ours.
    Closed(Option<OwnedCloseFrame>),
    /// The attempt has failed.
    NotConnected(ConnectError),
    /// The connection has failed.
    Failed(Error),
    /// [`close`](super::ReconnectingHandle::close) was called while there was no connection.
    Cancelled,
}

impl Loss {
    /// Returns whether the cause may pass by itself, so that it makes sense to connect again.
    ///
    /// - Yes: the network and the operating system, deadlines, a Close that [`Backoff::retries_close`] lists, and a
    ///   refusal with a status of [`Backoff::retries_status`].
    /// - No: everything that would be the same again. Other refusals, a violation of a protocol, a server that cannot
    ///   be trusted, the caller's own faults, and `Cancelled`.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Closed(frame) => Backoff::retries_close(frame.as_ref().map(|frame| frame.code)),
            Self::NotConnected(error) => match error {
                ConnectError::Refused { response } => Backoff::retries_status(response.status()),
                ConnectError::Tls(error) => error.kind() == io::ErrorKind::UnexpectedEof,
                ConnectError::Resolve(_)
                | ConnectError::Connect(_)
                | ConnectError::Timeout
                | ConnectError::Disconnected
                | ConnectError::Io(_) => true,
                ConnectError::Url(_)
                | ConnectError::NeedsTls
                | ConnectError::Request(_)
                | ConnectError::Handshake(_) => false,
            },
            Self::Failed(error) => match error {
                Error::Timeout(_) | Error::Disconnected | Error::Io(_) => true,
                Error::Protocol(_) | Error::Send(_) => false,
            },
            Self::Cancelled => false,
        }
    }

    /// Returns what the server wishes about the next attempt.
    pub(super) fn wish(&self) -> Wish {
        match self {
            Self::Closed(frame) => Wish::of_close(frame.as_ref().map(|frame| frame.code)),
            Self::NotConnected(ConnectError::Refused { response }) => Wish::of_refusal(response, SystemTime::now()),
            Self::NotConnected(_) | Self::Failed(_) | Self::Cancelled => Wish::None,
        }
    }
}

impl From<ConnectError> for Loss {
    fn from(error: ConnectError) -> Self {
        Self::NotConnected(error)
    }
}

impl From<Error> for Loss {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(None) => f.write_str("the server closed the connection without a code"),
            Self::Closed(Some(OwnedCloseFrame { code, reason })) if reason.is_empty() => {
                write!(f, "the server closed the connection with code {}", code.get())
            }
            Self::Closed(Some(OwnedCloseFrame { code, reason })) => {
                write!(f, "the server closed the connection with code {}: {}", code.get(), Escaped::new(reason))
            }
            Self::NotConnected(error) => error.fmt(f),
            Self::Failed(error) => error.fmt(f),
            Self::Cancelled => f.write_str("the client was closed"),
        }
    }
}
