//! The options of a client. Those of TLS are in `tls/options.rs`.

#[cfg(feature = "deflate")]
use std::sync::LazyLock;
use std::{net::SocketAddr, time::Duration};

#[cfg(feature = "client-tls")]
use super::tls::TlsOptions;
use super::{Timeouts, headers::Headers, proxy::ProxyChoice};
#[cfg(feature = "deflate")]
use crate::Deflate;
use crate::{HeadLimits, Limits};

/// Options for a [`Client`](super::Client), from [`Client::builder`](super::Client::builder). One builder can connect
/// many times.
///
/// `Debug` shows no password, no cookie and no key.
///
/// ```rust
/// use std::time::Duration;
/// use switchboard::{Limits, client::Client};
/// # #[cfg(feature = "server")] {
/// # use switchboard::{Config, OriginPolicy, Server, apps::Echo};
/// # let server = Server::bind("127.0.0.1:0".parse()?, Config::default())?.start(|_| Echo::new(OriginPolicy::Any))?;
/// # let url = format!("ws://{}", server.local_addr());
///
/// let builder = Client::builder()
///     .header("Authorization", "Bearer abc")
///     .limits(Limits::of_bytes(64 << 10))
///     .read_timeout(Some(Duration::from_secs(5)));
/// let (mut first, mut second) = (builder.connect(&url)?, builder.connect(&url)?);
/// # first.send_text("hello")?;
/// # assert_eq!(first.receive()?, "hello".into());
/// # second.send_text("hello")?;
/// # assert_eq!(second.receive()?, "hello".into());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    pub(super) address: Option<SocketAddr>,
    pub(super) proxy: ProxyChoice,
    pub(super) max_redirects: u32,
    pub(super) origin: Option<String>,
    pub(super) subprotocols: Vec<String>,
    pub(super) headers: Headers,
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<Deflate>,
    pub(super) limits: Limits,
    pub(super) head_limits: HeadLimits,
    pub(super) connect_timeout: Duration,
    pub(super) timeouts: Timeouts,
    #[cfg(feature = "client-tls")]
    pub(super) tls: TlsOptions,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            address: None,
            proxy: ProxyChoice::None,
            max_redirects: 0,
            origin: None,
            subprotocols: Vec::new(),
            headers: Headers::default(),
            #[cfg(feature = "deflate")]
            deflate: Some(DEFLATE.clone()),
            limits: Limits::default(),
            head_limits: HeadLimits::default(),
            connect_timeout: Duration::from_secs(10),
            timeouts: Timeouts { read: None, write: Some(Duration::from_secs(30)), close: Duration::from_secs(5) },
            #[cfg(feature = "client-tls")]
            tls: TlsOptions::default(),
        }
    }

    /// Connects to this address instead of the URL's host and port. The request still carries the URL's, and the
    /// server's certificate must still have the URL's host. A redirect to another host or port does not use it. Default
    /// none.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Connects through a tunnel of this proxy. Default none.
    ///
    /// | URL | proxy |
    /// |---|---|
    /// | `http://user:password@host:port` | HTTP, by its method CONNECT, for `ws` as well as for `wss` |
    /// | `socks5h://user:password@host:port` | SOCKS5; the proxy resolves the server's name |
    /// | `socks5://user:password@host:port` | SOCKS5; the client resolves the server's name |
    ///
    /// User name and password may be left out; special characters in them are percent-encoded. The default port of
    /// SOCKS5 is 1080. The client sends them to the proxy unencrypted, and shows them in no error and no log.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = ProxyChoice::Url(url.into());
        self
    }

    /// Connects through the proxy that the environment names, if it names one. Reads the environment now. Default: the
    /// environment is ignored.
    ///
    /// The variables are those of curl. The first that is set counts; an empty one means no proxy:
    ///
    /// | URL | variables |
    /// |---|---|
    /// | `ws` | `ws_proxy`, `WS_PROXY`, `http_proxy`, `all_proxy`, `ALL_PROXY` |
    /// | `wss` | `wss_proxy`, `WSS_PROXY`, `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` |
    ///
    /// `no_proxy` or `NO_PROXY` lists hosts to connect to directly: names, which include all names under them,
    /// addresses, networks such as `10.0.0.0/8`, or `*`. `HTTP_PROXY` in capitals is ignored, because under CGI anybody
    /// can set it by a header field.
    pub fn proxy_from_env(mut self) -> Self {
        self.proxy = ProxyChoice::from_env();
        self
    }

    /// Follows at most this many redirects (301, 302, 303, 307 and 308 with a `Location`), in which `http` means `ws`
    /// and `https` means `wss`. Default 0: each is an error.
    ///
    /// None leads from `wss` to `ws`. To another scheme, host or port, `Authorization`, `Cookie` and
    /// `Proxy-Authorization` are not sent; all other header fields, the Origin and the subprotocols are.
    pub fn redirects(mut self, max: u32) -> Self {
        self.max_redirects = max;
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
        self.headers.push(name.into(), value.into());
        self
    }

    /// Offers permessage-deflate with this [`Deflate`]; `None` offers no compression. All connections of this builder
    /// share it. Default: one for the whole process, as [`Deflate::default`] makes it: offered, without context
    /// takeover.
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

    /// Sets the time for name resolution, TCP, the proxy, TLS, the opening handshake and all redirects together.
    /// Default 10 s.
    ///
    /// Name resolution cannot be interrupted, so [`connect`](Self::connect) may return later.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the time in which [`Client::receive`](super::Client::receive) must return a message. Default `None`: no
    /// limit. With zero, it returns only messages that have been read from the socket already.
    pub fn read_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeouts.read = timeout;
        self
    }

    /// Sets the longest time during a send in which the server takes no bytes. Default 30 s; `None` is no limit.
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeouts.write = timeout;
        self
    }

    /// Sets the time for the closing handshake, the end of TLS and the end of TCP together. Default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.close = timeout;
        self
    }
}

/// Shared by all builders that have none of their own, so that a new connection finds compressors that are made.
#[cfg(feature = "deflate")]
static DEFLATE: LazyLock<Deflate> = LazyLock::new(Deflate::default);
