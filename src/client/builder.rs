//! How a client connects: what it asks for, and how long it waits.

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

/// What a [`Client`] asks for and how long it waits; from [`Client::builder`]. May be used for many connections.
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

    /// Connects to this address, whatever the URL's host and port are. They are still what the server is told.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Names an Origin, as a browser does ([§10.2](https://www.rfc-editor.org/rfc/rfc6455#section-10.2)). Default none.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Offers one more subprotocol; the first is the best liked
    /// ([§1.9](https://www.rfc-editor.org/rfc/rfc6455#section-1.9)).
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Sends one more header field with the request, such as `Authorization` or `Cookie`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Offers permessage-deflate with this, or does not offer it. All connections made by this builder share it. Default
    /// [`Deflate::default`]: offered, without context takeover.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, deflate: Option<Deflate>) -> Self {
        self.deflate = deflate;
        self
    }

    /// What the server may make us keep. Default [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How large the head of the server's answer may be. Default [`HeadLimits::default`].
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.head_limits = limits;
        self
    }

    /// The time for TCP and the opening handshake together. Default 10 s.
    ///
    /// The resolving of a name counts, but cannot be broken off.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The time in which [`Client::receive`] must give a message. Default `None`, without end. Zero gives
    /// what has been read already.
    pub fn read_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeouts.read = timeout;
        self
    }

    /// The time in which the server must take some of what is sent. Default 30 s; `None` is without end.
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeouts.write = timeout;
        self
    }

    /// The time for the closing handshake and the end of TCP together. Default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.close = timeout;
        self
    }

    /// Connects to a URL such as `ws://localhost:9002/chat?room=1`. All addresses that its host has are tried in turn.
    ///
    /// # Errors
    /// [`ClientError::Url`], [`Request`](ClientError::Request), [`Resolve`](ClientError::Resolve),
    /// [`Connect`](ClientError::Connect), [`Timeout`](ClientError::Timeout), [`Refused`](ClientError::Refused),
    /// [`Redirect`](ClientError::Redirect), [`Handshake`](ClientError::Handshake),
    /// [`Disconnected`](ClientError::Disconnected), [`Io`](ClientError::Io).
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
        log::debug!("{} is open after {:?}", url.authority, started.elapsed());
        Ok(Client::new(tcp, established, keys, self.limits, self.timeouts))
    }

    /// Writes the request into `out`.
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
