//! The client's side: a connection to a URL, and the opening handshake on a stream ([§4.1]).
//!
//! [§4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1

mod error;
mod stream;
#[cfg(feature = "rustls")]
mod tls;

use std::{future::Future, io};

use switchboard::{ClientHandshake, ClientRequest, Delivery, Established, Masked, RandomKeys, UrlError, WebSocketUrl};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};

pub use self::{error::ConnectError, stream::ClientStream};
use crate::{Config, WebSocket};

/// A client's end of a connection.
pub type ClientSocket<S = ClientStream> = WebSocket<S, Masked<RandomKeys>>;

/// The request of a client's opening handshake.
///
/// ```
/// use switchboard_tokio::Request;
///
/// let request = Request::new("ws://chat.example/room?id=1")?.subprotocol("chat.v2").header("Cookie", "session=x");
/// # let _ = request;
/// # Ok::<(), switchboard_tokio::UrlError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Request {
    url: WebSocketUrl,
    origin: Option<String>,
    subprotocols: Vec<String>,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Makes a request to this URL: `ws://host[:port][/path][?query]`, or `wss` with the feature `rustls`.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn new(url: &str) -> Result<Self, UrlError> {
        Ok(Self { url: WebSocketUrl::parse(url)?, origin: None, subprotocols: Vec::new(), headers: Vec::new() })
    }

    /// Sends this Origin, as a browser does ([§10.2](https://www.rfc-editor.org/rfc/rfc6455#section-10.2)). Default
    /// none.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Offers one more subprotocol, in order of preference
    /// ([§1.9](https://www.rfc-editor.org/rfc/rfc6455#section-1.9)). Default none.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Adds a header field, such as `Authorization` or `Cookie`. Fields of the handshake itself are refused.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Connects to a URL, with the default [`Config`].
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(url: &str) -> Result<ClientSocket, ConnectError> {
    Config::new().connect(&Request::new(url)?).await
}

impl Config {
    /// Connects to the URL of a request, and opens a connection. All of it has the time of
    /// [`handshake_timeout`](Self::handshake_timeout). The addresses of the host are tried one after the other.
    ///
    /// **Cancellation** ends the handshake and the stream.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&self, request: &Request) -> Result<ClientSocket, ConnectError> {
        self.in_time(async {
            let WebSocketUrl { host, port, is_secure, .. } = &request.url;
            let stream = connect_tcp(host, *port).await?;
            let stream = if *is_secure { self.secure(host, stream).await? } else { ClientStream::Plain(stream) };
            self.open(stream, request).await
        })
        .await
    }

    /// Opens a connection on a stream to the server, such as a Unix socket, a tunnel, or TLS of one's own. Of the URL
    /// only host, port, path and query count, for the request.
    ///
    /// **Cancellation** ends the handshake: the stream is dropped.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_over<S>(&self, stream: S, request: &Request) -> Result<ClientSocket<S>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.in_time(self.open(stream, request)).await
    }

    async fn in_time<T>(&self, opening: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
        timeout(self.handshake_timeout, opening).await.unwrap_or(Err(ConnectError::Timeout))
    }

    #[cfg(not(feature = "rustls"))]
    #[expect(clippy::unused_async, reason = "with the feature it waits")]
    async fn secure(&self, _: &str, _: TcpStream) -> Result<ClientStream, ConnectError> {
        Err(ConnectError::NeedsTls)
    }

    /// Sends the request, and reads the response.
    async fn open<S>(&self, mut stream: S, request: &Request) -> Result<ClientSocket<S>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut keys = RandomKeys::new()?;
        let mut out = Vec::new();
        let mut handshake = self.handshake(request, keys.nonce(), &mut out)?;
        // A server that refuses early may have sent the reason before it ended the connection.
        let written = async {
            stream.write_all(&out).await?;
            stream.flush().await
        };
        let written: io::Result<()> = written.await;
        let mut buffer = vec![0; READ_BYTES];
        let (established, leftover): (Established, Vec<u8>) = loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Err(written.err().map_or(ConnectError::Disconnected, Into::into));
            }
            if let Some((established, used)) = handshake.receive(buffer.get(..length).unwrap_or_default())? {
                buffer.truncate(length);
                buffer.drain(..used);
                break (established, buffer);
            }
        };
        let subprotocol = established.subprotocol().map(str::to_owned);
        let connection = established.into_connection(keys, self.limits, Delivery::Messages);
        Ok(WebSocket::from_upgraded(stream, leftover, connection, self).with_subprotocol(subprotocol))
    }

    /// Encodes the request.
    fn handshake(
        &self,
        request: &Request,
        nonce: [u8; 16],
        out: &mut Vec<u8>,
    ) -> Result<ClientHandshake, ConnectError> {
        let subprotocols: Vec<&str> = request.subprotocols.iter().map(String::as_str).collect();
        let headers: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let encoded = ClientRequest {
            origin: request.origin.as_deref(),
            subprotocols: &subprotocols,
            headers: &headers,
            ..ClientRequest::new(&request.url.authority, &request.url.target)
        };
        let handshake = match &self.deflate {
            Some(deflate) => ClientHandshake::with_deflate(&encoded, deflate, nonce, self.head_limits, out),
            None => ClientHandshake::new(&encoded, nonce, self.head_limits, out),
        };
        handshake.map_err(ConnectError::Request)
    }
}

/// Tries the addresses of the host.
async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let mut last = None;
    for address in lookup_host((host, port)).await.map_err(ConnectError::Resolve)? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    let none = || ConnectError::Resolve(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    Err(last.map_or_else(none, ConnectError::Connect))
}

/// More than nearly all responses have.
const READ_BYTES: usize = 2 << 10;
