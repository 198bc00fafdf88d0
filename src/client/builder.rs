//! The options of a client, and how it connects.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    time::{Duration, Instant},
};

use super::{
    Client, ClientError, Stage, Timeouts,
    handshake::opening_handshake,
    keys::Keys,
    tcp::{Deadline, Tcp},
    url::Url,
};
#[cfg(feature = "deflate")]
use crate::Deflate;
use crate::{ClientHandshake, ClientRequest, HeadLimits, InvalidHeader, Limits};

/// Options for a [`Client`], from [`Client::builder`]. One builder can connect many times.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    address: Option<SocketAddr>,
    origin: Option<String>,
    subprotocols: Vec<String>,
    headers: Vec<(String, String)>,
    #[cfg(feature = "deflate")]
    deflate: Option<Deflate>,
    limits: Limits,
    head_limits: HeadLimits,
    connect_timeout: Duration,
    timeouts: Timeouts,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            address: None,
            origin: None,
            subprotocols: Vec::new(),
            headers: Vec::new(),
            #[cfg(feature = "deflate")]
            deflate: Some(Deflate::default()),
            limits: Limits::default(),
            head_limits: HeadLimits::default(),
            connect_timeout: Duration::from_secs(10),
            timeouts: Timeouts { read: None, write: Some(Duration::from_secs(30)), close: Duration::from_secs(5) },
        }
    }

    /// Connects to this address instead of the URL's host and port. The request still carries the URL's. Default none.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
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

    /// Adds a header field to the request, such as `Authorization` or `Cookie`. Fields of the handshake itself are
    /// refused by [`connect`](Self::connect).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Offers permessage-deflate with this [`Deflate`]; `None` offers no compression. All connections of this builder
    /// share it. Default [`Deflate::default`]: offered, without context takeover.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, deflate: Option<Deflate>) -> Self {
        self.deflate = deflate;
        self
    }

    /// Limits the frames and messages that are received. Default [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Limits the head of the server's response to the handshake. Default [`HeadLimits::default`].
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.head_limits = limits;
        self
    }

    /// Sets the time for name resolution, TCP and the opening handshake together. Default 10 s.
    ///
    /// Name resolution cannot be interrupted, so [`connect`](Self::connect) may return later.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the time in which [`Client::receive`] must return a message. Default `None`: no limit. With zero, it
    /// returns only messages that have been read from the socket already.
    pub fn read_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeouts.read = timeout;
        self
    }

    /// Sets the longest time during a send in which the server takes no bytes. Default 30 s; `None` is no limit.
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeouts.write = timeout;
        self
    }

    /// Sets the time for the closing handshake and the end of TCP together. Default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.close = timeout;
        self
    }

    /// Connects to a URL such as `ws://localhost:9002/chat?room=1`, and performs the opening handshake.
    ///
    /// If the URL's host has several addresses, they are tried one after another.
    ///
    /// # Errors
    /// - Before connecting: [`ClientError::Url`], [`ClientError::Request`], [`ClientError::Resolve`].
    /// - While connecting: [`ClientError::Connect`], [`ClientError::Timeout`].
    /// - From the server's response: [`ClientError::Refused`], [`ClientError::Redirect`], [`ClientError::Handshake`].
    /// - If TCP ends or fails before the response: [`ClientError::Disconnected`], [`ClientError::Io`]. The latter also
    ///   if the operating system has no random bytes.
    pub fn connect(&self, url: &str) -> Result<Client, ClientError> {
        let started = Instant::now();
        let deadline = Deadline::after(Some(self.connect_timeout));
        let url = Url::parse(url)?;
        let mut keys = Keys::new().map_err(ClientError::Io)?;
        let mut request = Vec::new();
        let handshake = self.request(&url, keys.take(), &mut request)?;

        let addresses = match self.address {
            Some(address) => vec![address],
            None => (&*url.host, url.port).to_socket_addrs().map_err(ClientError::Resolve)?.collect(),
        };
        let mut tcp = Tcp::connect(&addresses, deadline).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => ClientError::Timeout(Stage::Connect),
            _ => ClientError::Connect(error),
        })?;
        let established = opening_handshake(&mut tcp, handshake, &request, deadline)?;
        log::debug!("connected to {} after {} ms", url.authority, started.elapsed().as_millis());
        Ok(Client::new(tcp, established, keys, self.limits, self.timeouts))
    }

    /// Appends the request to `out`.
    fn request(&self, url: &Url, nonce: [u8; 16], out: &mut Vec<u8>) -> Result<ClientHandshake, InvalidHeader> {
        let subprotocols: Vec<&str> = self.subprotocols.iter().map(String::as_str).collect();
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let request = ClientRequest {
            origin: self.origin.as_deref(),
            subprotocols: &subprotocols,
            headers: &headers,
            ..ClientRequest::new(&url.authority, &url.target)
        };
        #[cfg(feature = "deflate")]
        if let Some(deflate) = &self.deflate {
            return ClientHandshake::with_deflate(&request, deflate, nonce, self.head_limits, out);
        }
        ClientHandshake::new(&request, nonce, self.head_limits, out)
    }
}
