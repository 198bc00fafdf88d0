//! How a client connects: TCP or a proxy, TLS, the opening handshake, redirects.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Instant,
};

use super::{
    Client, ClientBuilder, ClientError, Stage,
    deadline::Deadline,
    foreign::Foreign,
    handshake::opening_handshake,
    proxy::Destination,
    redirect::Visits,
    stream::{Stream, Transport},
    tcp::Tcp,
    url,
};
use crate::{ClientHandshake, ClientRequest, InvalidHeader, RandomKeys, WebSocketUrl};

impl ClientBuilder {
    /// Connects to a URL such as `wss://example.com/chat?room=1`, and performs the opening handshake.
    ///
    /// If the URL's host has several addresses, they are tried one after another.
    ///
    /// # Errors
    /// - Before connecting: [`ClientError::Url`], [`ClientError::Request`], [`ClientError::Resolve`].
    /// - While connecting: [`ClientError::Connect`], [`ClientError::Proxy`], [`ClientError::Timeout`], and with the
    ///   feature `client-tls` `ClientError::Tls`.
    /// - From the server's response: [`ClientError::Refused`], [`ClientError::Redirect`],
    ///   [`ClientError::RedirectFailed`], [`ClientError::Handshake`].
    /// - If the connection ends or fails before the response: [`ClientError::Disconnected`], [`ClientError::Io`]. The
    ///   latter also if the operating system has no random bytes.
    pub fn connect(&self, url: &str) -> Result<Client, ClientError> {
        let started = Instant::now();
        let deadline = Deadline::after(Some(self.connect_timeout));
        let mut visits = Visits::new(url::parse(url)?, self.max_redirects);
        loop {
            let url = visits.current();
            let attempt = Attempt::prepare(self, url, !visits.has_left_origin())?;
            let address = if visits.is_at_first_origin() { self.address } else { None };
            let follows = self.max_redirects > 0;
            let connected = attempt.run(self.transport(url, address, deadline)?, self, !follows, deadline);
            match connected {
                Err(ClientError::Redirect { location, .. }) if follows => visits.follow(&location)?,
                Ok(client) => {
                    log::debug!("connected to {} after {} ms", url.authority, started.elapsed().as_millis());
                    return Ok(client);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Performs the opening handshake over a stream that is connected already: through another kind of proxy, over a
    /// Unix socket, or over a TLS library of the caller's. The URL says what the request asks for; with `wss`, the
    /// client speaks TLS over the stream, so for a stream that is encrypted already it is `ws`.
    ///
    /// The stream must block. It cannot be interrupted, so a timeout is noticed only when a read or a write of it
    /// returns. A timeout of the stream itself, an error of the kind `WouldBlock` or `TimedOut`, is taken for the
    /// client's: [`Client::receive`] can be called again. After the closing handshake the client reads until the stream
    /// ends, and then drops it. No proxy is used, and a redirect is an error.
    ///
    /// # Errors
    /// As [`connect`](Self::connect). The stream is dropped.
    pub fn connect_over(&self, stream: impl Read + Write + Send + 'static, url: &str) -> Result<Client, ClientError> {
        let deadline = Deadline::after(Some(self.connect_timeout));
        let attempt = Attempt::prepare(self, &url::parse(url)?, true)?;
        attempt.run(Arc::new(Foreign::new(stream)), self, true, deadline)
    }

    /// Connects TCP to the server of this URL, or to `address` instead, or through a proxy.
    fn transport(
        &self,
        url: &WebSocketUrl,
        address: Option<SocketAddr>,
        deadline: Deadline,
    ) -> Result<Arc<dyn Transport>, ClientError> {
        if let Some(proxy) = self.proxy.proxy_for(url)? {
            let host = address.map(|address| address.ip().to_string());
            let host = host.as_deref().unwrap_or(&url.host);
            let port = address.map_or(url.port, |address| address.port());
            return proxy.tunnel(Destination { host, port }, self.head_limits, deadline);
        }
        let addresses = match address {
            Some(address) => vec![address],
            None => (&*url.host, url.port).to_socket_addrs().map_err(ClientError::Resolve)?.collect(),
        };
        match Tcp::connect(&addresses, deadline) {
            Ok(tcp) => Ok(Arc::new(tcp)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(ClientError::Timeout(Stage::Connect)),
            Err(error) => Err(ClientError::Connect(error)),
        }
    }
}

/// The parts that can be prepared and judged before anything is sent.
struct Attempt {
    keys: RandomKeys,
    handshake: ClientHandshake,
    request: Vec<u8>,
    #[cfg(feature = "client-tls")]
    session: Option<super::tls::Session>,
}

impl Attempt {
    fn prepare(builder: &ClientBuilder, url: &WebSocketUrl, with_credentials: bool) -> Result<Self, ClientError> {
        let mut keys = RandomKeys::new().map_err(ClientError::Io)?;
        let mut request = Vec::new();
        let handshake = write_request(builder, url, with_credentials, keys.nonce(), &mut request)?;
        Ok(Self {
            keys,
            handshake,
            request,
            #[cfg(feature = "client-tls")]
            session: if url.is_secure { Some(builder.tls.session(&url.host)?) } else { None },
        })
    }

    /// Performs the handshakes over `transport`. The body of a redirect is read only if `keeps_redirects`.
    fn run(
        self,
        transport: Arc<dyn Transport>,
        builder: &ClientBuilder,
        keeps_redirects: bool,
        deadline: Deadline,
    ) -> Result<Client, ClientError> {
        #[cfg(feature = "client-tls")]
        let transport = match self.session {
            Some(session) => session.establish(transport, builder.timeouts.write, deadline)?,
            None => transport,
        };
        let mut stream = Stream::new(transport);
        let established = opening_handshake(&mut stream, self.handshake, &self.request, keeps_redirects, deadline)?;
        Ok(Client::new(stream, established, self.keys, builder.limits, builder.timeouts))
    }
}

/// Appends the request to `out`.
fn write_request(
    builder: &ClientBuilder,
    url: &WebSocketUrl,
    with_credentials: bool,
    nonce: [u8; 16],
    out: &mut Vec<u8>,
) -> Result<ClientHandshake, InvalidHeader> {
    let subprotocols: Vec<&str> = builder.subprotocols.iter().map(String::as_str).collect();
    let request = ClientRequest {
        origin: builder.origin.as_deref(),
        subprotocols: &subprotocols,
        headers: &builder.headers.fields(with_credentials),
        ..ClientRequest::new(&url.authority, &url.target)
    };
    #[cfg(feature = "deflate")]
    if let Some(deflate) = &builder.deflate {
        return ClientHandshake::with_deflate(&request, deflate, nonce, builder.head_limits, out);
    }
    ClientHandshake::new(&request, nonce, builder.head_limits, out)
}
