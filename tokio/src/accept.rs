//! The server's opening handshake on a stream ([§4.2]): a bounded head, a deadline, and a response in every case.
//!
//! [§4.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2

use std::io;

use switchboard::{Connection, Delivery, Rejection, RequestHead, RequestReader, ServerHandshake};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::{AcceptError, Config, WebSocket};

/// What a server adds to its response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Acceptance {
    subprotocol: Option<String>,
    headers: Vec<(String, String)>,
}

impl Acceptance {
    /// Opens the connection without subprotocol or further header fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses one of the subprotocols that the client offers, or none.
    pub fn subprotocol(mut self, name: Option<impl Into<String>>) -> Self {
        self.subprotocol = name.map(Into::into);
        self
    }

    /// Adds a header field, such as `Set-Cookie`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Reads the request of an opening handshake and accepts it, with the default [`Config`], for any path and Origin.
///
/// # Errors
/// As [`Config::accept_with`].
pub async fn accept<S>(stream: S) -> Result<WebSocket<S>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Config::new().accept(stream).await
}

impl Config {
    /// Reads the request of an opening handshake and accepts it, for any path and Origin. A server that identifies
    /// users by cookies must check the Origin: see [`accept_with`](Self::accept_with).
    ///
    /// # Errors
    /// As [`accept_with`](Self::accept_with).
    pub async fn accept<S>(&self, stream: S) -> Result<WebSocket<S>, AcceptError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.accept_with(stream, |_, _| Ok(Acceptance::new())).await
    }

    /// Reads the request of an opening handshake, and lets `decide` accept or reject it.
    ///
    /// Memory: the head, at most [`head_limits`](Self::head_limits). All of it has the time of
    /// [`handshake_timeout`](Self::handshake_timeout).
    ///
    /// ```
    /// use switchboard_tokio::{Acceptance, Config, Rejection};
    ///
    /// # use switchboard_tokio::AcceptError;
    /// # async fn open(config: &Config, stream: tokio::io::DuplexStream) -> Result<(), AcceptError> {
    /// let mut room = String::new();
    /// let socket = config
    ///     .accept_with(stream, |request, handshake| {
    ///         if handshake.origin().is_some_and(|origin| origin != "https://chat.example") {
    ///             return Err(Rejection::new(403));
    ///         }
    ///         room = request.path().to_owned();
    ///         Ok(Acceptance::new())
    ///     })
    ///     .await?;
    /// # drop(socket);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// **Cancellation** ends the handshake: the stream is dropped.
    ///
    /// # Errors
    /// [`AcceptError`]. The response that refuses the request is written, and the stream has ended, in the time of
    /// [`close_timeout`](Self::close_timeout).
    pub async fn accept_with<S, F>(&self, mut stream: S, decide: F) -> Result<WebSocket<S>, AcceptError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        F: FnOnce(&RequestHead, &ServerHandshake) -> Result<Acceptance, Rejection>,
    {
        let mut out = Vec::new();
        let opened = timeout(self.handshake_timeout, async {
            let (head, leftover) = self.read_request(&mut stream).await?;
            let (connection, subprotocol) = self.decide(&head, decide, &mut out)?;
            stream.write_all(&out).await?;
            stream.flush().await?;
            Ok((connection, subprotocol, leftover))
        });
        match opened.await.unwrap_or(Err(Refusal::Error(AcceptError::Timeout))) {
            Ok((connection, subprotocol, leftover)) => {
                Ok(WebSocket::from_upgraded(stream, leftover, connection, self).with_subprotocol(subprotocol))
            }
            Err(refusal) => {
                let (error, response) = refusal.into_parts();
                if let Some(response) = response {
                    out.clear();
                    // A rejection that must not be sent is answered with 500.
                    let error = match response.write(&mut out) {
                        Ok(()) => error,
                        Err(invalid) => {
                            Rejection::new(500).write(&mut out).map_err(AcceptError::Response)?;
                            AcceptError::Response(invalid)
                        }
                    };
                    // The refusal is the error to report, whether or not the client takes the response.
                    let _ = timeout(self.deadlines.close, end(&mut stream, &out)).await;
                    return Err(error);
                }
                Err(error)
            }
        }
    }

    /// Reads the head of the request. Returns it with the bytes after it.
    async fn read_request<S>(&self, stream: &mut S) -> Result<(RequestHead, Vec<u8>), AcceptError>
    where
        S: AsyncRead + Unpin,
    {
        let mut reader = RequestReader::new(self.head_limits);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Err(AcceptError::Disconnected);
            }
            let bytes = buffer.get(..length).unwrap_or_default();
            if let Some((head, used)) = reader.receive(bytes).map_err(AcceptError::Head)? {
                buffer.truncate(length);
                buffer.drain(..used);
                return Ok((head, buffer));
            }
        }
    }

    /// Checks the request, and appends the response 101 to `out` if it is accepted. Returns the connection and the
    /// subprotocol.
    fn decide<F>(
        &self,
        head: &RequestHead,
        decide: F,
        out: &mut Vec<u8>,
    ) -> Result<(Connection, Option<String>), Refusal>
    where
        F: FnOnce(&RequestHead, &ServerHandshake) -> Result<Acceptance, Rejection>,
    {
        let mut handshake = ServerHandshake::from_request(head).map_err(AcceptError::Handshake)?;
        if let Some(deflate) = &self.deflate {
            handshake = handshake.with_deflate(deflate);
        }
        let acceptance = decide(head, &handshake).map_err(Refusal::Rejected)?;
        let headers: Vec<(&str, &str)> = acceptance.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let subprotocol = acceptance.subprotocol.as_deref();
        let accepted = handshake.accept(subprotocol, &headers, self.limits, Delivery::Messages, out);
        let connection = accepted.map_err(AcceptError::Response)?;
        Ok((connection, acceptance.subprotocol))
    }
}

/// Why a connection is not opened.
enum Refusal {
    Error(AcceptError),
    /// The callback's response.
    Rejected(Rejection),
}

impl Refusal {
    /// Returns the error, and the response if there is one.
    fn into_parts(self) -> (AcceptError, Option<Rejection>) {
        match self {
            Self::Error(error) => {
                let response = error.response();
                (error, response)
            }
            Self::Rejected(response) => (AcceptError::Rejected { status: response.status() }, Some(response)),
        }
    }
}

impl From<AcceptError> for Refusal {
    fn from(error: AcceptError) -> Self {
        Self::Error(error)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Error(error.into())
    }
}

/// Writes `out` and ends the stream. Reads and drops what the client still sends: closing a socket with unread input
/// would send a reset, which may overtake the response.
async fn end<S>(stream: &mut S, out: &[u8]) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(out).await?;
    stream.shutdown().await?;
    let mut dropped = [0; 1 << 10];
    while stream.read(&mut dropped).await? > 0 {}
    Ok(())
}

/// More than nearly all requests have.
const READ_BYTES: usize = 2 << 10;
