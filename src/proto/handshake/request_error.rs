//! [`RequestError`]: whatever can be wrong with a request, as one type.

use core::fmt;

use super::{BodyError, HandshakeError, HeadError, InvalidHeader};

/// A request that cannot be served, whatever the reason: the server's errors up to the open connection, as one type.
///
/// All of them convert into it, so `?` collects them, and [`Rejection::from`](super::Rejection) makes the response of
/// this error, or of any of them.
///
/// ```rust
/// use switchboard::{Connection, Delivery, Limits, Rejection, RequestError, RequestReader, ServerHandshake};
///
/// /// Reads more of the request, and answers it once it is whole.
/// fn open(
///     reader: &mut RequestReader,
///     bytes: &[u8],
///     out: &mut Vec<u8>,
/// ) -> Result<Option<(Connection, usize)>, RequestError> {
///     let Some((head, used)) = reader.receive(bytes)? else { return Ok(None) };
///     let handshake = ServerHandshake::from_request(&head)?;
///     let connection = handshake.accept(None, &[], Limits::default(), Delivery::Messages, out)?;
///     Ok(Some((connection, used)))
/// }
///
/// let mut out = Vec::new();
/// let mut reader = RequestReader::new(Default::default());
/// let error = open(&mut reader, b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", &mut out).unwrap_err();
/// Rejection::from(&error).write(&mut out)?;
/// assert!(out.starts_with(b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n"));
/// # Ok::<(), switchboard::InvalidHeader>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// The head is not valid, or exceeds a limit.
    Head(HeadError),
    /// The body is not valid, or exceeds a limit.
    Body(BodyError),
    /// The request is not a valid opening handshake.
    Handshake(HandshakeError),
    /// The server's own response must not be written. The client gets 500 and does not learn why.
    Response(InvalidHeader),
}

impl RequestError {
    /// Returns the status of the response to this error.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Head(error) => error.status(),
            Self::Body(error) => error.status(),
            Self::Handshake(error) => error.status(),
            Self::Response(_) => 500,
        }
    }

    /// Returns the header fields that the response to this error must have.
    #[must_use]
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Handshake(error) => error.headers(),
            Self::Head(_) | Self::Body(_) | Self::Response(_) => &[],
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => error.fmt(f),
            Self::Body(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Response(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RequestError {}

impl From<HeadError> for RequestError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<HandshakeError> for RequestError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl From<InvalidHeader> for RequestError {
    fn from(error: InvalidHeader) -> Self {
        Self::Response(error)
    }
}

/// So that a caller can log an error after it has made the response.
impl<E: Clone + Into<Self>> From<&E> for RequestError {
    fn from(error: &E) -> Self {
        error.clone().into()
    }
}
