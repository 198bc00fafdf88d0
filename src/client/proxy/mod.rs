//! Tunnels through a proxy: HTTP CONNECT and SOCKS5.
//!
//! | file | content |
//! |---|---|
//! | `error.rs` | `ProxyError` |
//! | `http.rs` | RFC 9110 §9.3.6: CONNECT |
//! | `socks.rs` | RFC 1928, RFC 1929: SOCKS5 |
//! | `environment.rs` | `HTTPS_PROXY`, `NO_PROXY` and the others |
//! | `mod.rs` | the URL of a proxy, and which proxy a connection uses |
//!
//! No log and no error shows a user name or a password.

mod environment;
mod error;
mod http;
mod socks;

use std::{
    borrow::Cow,
    fmt, io,
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
};

use percent_encoding::percent_decode_str;

use super::{
    ClientError, Stage,
    deadline::Deadline,
    headers::HIDDEN,
    stream::{Stream, Transport},
    tcp::Tcp,
};
use crate::{
    HeadLimits, WebSocketUrl,
    url::{host_name, parse_port, split_port},
};
use environment::Environment;
pub use error::ProxyError;

/// Which proxy a builder's connections use.
#[derive(Clone, Default)]
pub(super) enum ProxyChoice {
    #[default]
    None,
    /// This one; not parsed yet.
    Url(String),
    /// The one that the environment names for the URL, if any.
    Environment(Environment),
}

impl ProxyChoice {
    pub(super) fn from_env() -> Self {
        Self::Environment(Environment::read(|name| std::env::var(name).ok()))
    }

    /// Returns the proxy for this URL.
    ///
    /// # Errors
    /// The proxy's own URL cannot be used.
    pub(super) fn proxy_for(&self, url: &WebSocketUrl) -> Result<Option<Proxy>, ProxyError> {
        match self {
            Self::None => Ok(None),
            Self::Url(proxy) => Proxy::parse(proxy).map(Some),
            Self::Environment(environment) => environment.proxy_for(url).map(Proxy::parse).transpose(),
        }
    }
}

/// Shows no URL: it may contain a password.
impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Url(_) => HIDDEN,
            Self::Environment(_) => "Environment",
        })
    }
}

/// A proxy, from a URL such as `http://user:password@host:port`.
pub(super) struct Proxy {
    protocol: Protocol,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

/// How a proxy is asked for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// `http://`
    Connect,
    /// `socks5h://`: the proxy resolves names.
    Socks5,
    /// `socks5://`: the client resolves names.
    Socks5Address,
}

/// A user name and a password, percent-decoded.
struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

/// Where a tunnel leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination<'a> {
    /// A name or an IP address, without brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
}

impl Proxy {
    /// Parses the URL of a proxy. One without a scheme is `http`, as in the environment of other programs.
    ///
    /// # Errors
    /// [`ProxyError::Url`] with the part that is invalid, in words: the URL may contain a password.
    fn parse(url: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let protocol = match &*scheme.to_ascii_lowercase() {
            "http" => Protocol::Connect,
            "socks5h" => Protocol::Socks5,
            "socks5" => Protocol::Socks5Address,
            "https" => return Err(ProxyError::Url("it is https, but the way to the proxy itself cannot be encrypted")),
            _ => return Err(ProxyError::Url("its scheme is not http, socks5h or socks5")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(ProxyError::Url("it has a path; a slash in a password is written as %2F"));
        }
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => (Some(Credentials::parse(credentials, protocol)?), authority),
            None => (None, rest),
        };
        let (host, port) = split_port(authority);
        let host = host_name(host).ok_or(ProxyError::Url("its host is neither a name nor an address"))?;
        let port = match (port, protocol) {
            ("", Protocol::Connect) => return Err(ProxyError::Url("it has no port")),
            _ => parse_port(port, SOCKS_PORT).ok_or(ProxyError::Url("its port is not a number from 1 to 65535"))?,
        };
        Ok(Self { protocol, host: host.to_owned(), port, credentials })
    }

    /// Connects to the proxy, and asks it for a tunnel to `destination`.
    ///
    /// # Errors
    /// [`ClientError::Proxy`], or [`ClientError::Timeout`] of [`Stage::Proxy`].
    pub(super) fn tunnel(
        &self,
        destination: Destination<'_>,
        limits: HeadLimits,
        deadline: Deadline,
    ) -> Result<Arc<dyn Transport>, ClientError> {
        let addresses: Vec<_> = (&*self.host, self.port).to_socket_addrs().map_err(ProxyError::Resolve)?.collect();
        let tcp = Tcp::connect(&addresses, deadline).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => ClientError::Timeout(Stage::Proxy),
            _ => ProxyError::Connect(error).into(),
        })?;
        let mut stream = Stream::new(Arc::new(tcp));
        let credentials = self.credentials.as_ref();
        match self.protocol {
            Protocol::Connect => http::connect(&mut stream, destination, credentials, limits, deadline)?,
            Protocol::Socks5 => socks::connect(&mut stream, destination, credentials, deadline)?,
            Protocol::Socks5Address => {
                let host = address_of(destination)?;
                socks::connect(&mut stream, Destination { host: &host, ..destination }, credentials, deadline)?;
            }
        }
        // In the tunnel the client speaks first. Bytes from before that would be taken for the server's.
        if !stream.unread().is_empty() {
            return Err(ProxyError::Protocol("it sent bytes before the client's").into());
        }
        log::debug!("the proxy {}:{} leads to {}:{}", self.host, self.port, destination.host, destination.port);
        Ok(stream.into_transport())
    }
}

impl Credentials {
    fn parse(credentials: &str, protocol: Protocol) -> Result<Self, ProxyError> {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let decode = |text| Cow::from(percent_decode_str(text)).into_owned();
        let (user, password) = (decode(user), decode(password));
        let is_valid = match protocol {
            // RFC 7617 §2: the first colon ends the user name, and there are no control characters.
            Protocol::Connect => !user.contains(&b':') && ![&user, &password].iter().any(|text| has_control(text)),
            // RFC 1929 §2: the length of each is one byte, and not zero.
            Protocol::Socks5 | Protocol::Socks5Address => {
                [&user, &password].iter().all(|text| (1..=255).contains(&text.len()))
            }
        };
        if is_valid { Ok(Self { user, password }) } else { Err(ProxyError::Url(INVALID_CREDENTIALS)) }
    }
}

fn has_control(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_control)
}

/// Converts an error of the connection to a proxy.
fn failed(error: io::Error) -> ClientError {
    match ClientError::from_io(error, Stage::Proxy) {
        ClientError::Disconnected => ProxyError::Disconnected.into(),
        ClientError::Io(error) => ProxyError::Io(error).into(),
        other => other,
    }
}

/// Resolves the destination's name to its first address.
fn address_of(destination: Destination<'_>) -> Result<String, ClientError> {
    if destination.host.parse::<IpAddr>().is_ok() {
        return Ok(destination.host.to_owned());
    }
    let mut addresses = (destination.host, destination.port).to_socket_addrs().map_err(ClientError::Resolve)?;
    let first = addresses.next().ok_or_else(|| ClientError::Resolve(io::ErrorKind::NotFound.into()))?;
    Ok(first.ip().to_string())
}

/// The port of SOCKS (RFC 1928 §3). HTTP proxies have none that programs agree on.
const SOCKS_PORT: u16 = 1080;

const INVALID_CREDENTIALS: &str = "its user name or password cannot be sent to such a proxy";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_proxy_is_split_and_its_credentials_are_decoded() {
        use Protocol::{Connect, Socks5, Socks5Address};
        let rows: &[(&str, Protocol, &str, u16, Option<(&str, &str)>)] = &[
            ("http://proxy:3128", Connect, "proxy", 3128, None),
            ("HTTP://proxy:3128/", Connect, "proxy", 3128, None),
            ("proxy:3128", Connect, "proxy", 3128, None),
            ("user:pass@proxy:3128", Connect, "proxy", 3128, Some(("user", "pass"))),
            ("http://user@proxy:1", Connect, "proxy", 1, Some(("user", ""))),
            ("http://u:p%40s%2Fs%3A@proxy:1", Connect, "proxy", 1, Some(("u", "p@s/s:"))),
            ("http://u:p@ss:word@proxy:1", Connect, "proxy", 1, Some(("u", "p@ss:word"))),
            ("http://u:100%@proxy:1", Connect, "proxy", 1, Some(("u", "100%"))),
            ("http://[::1]:3128", Connect, "::1", 3128, None),
            ("socks5h://proxy", Socks5, "proxy", 1080, None),
            ("socks5h://u%3a:p@proxy:9050", Socks5, "proxy", 9050, Some(("u:", "p"))),
            ("socks5://127.0.0.1:9050", Socks5Address, "127.0.0.1", 9050, None),
        ];
        for &(url, protocol, host, port, credentials) in rows {
            let proxy = Proxy::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((proxy.protocol, &*proxy.host, proxy.port), (protocol, host, port), "{url}");
            let found = proxy.credentials.map(|found| (found.user, found.password));
            assert_eq!(found, credentials.map(|(user, password)| (user.into(), password.into())), "{url}");
        }
    }

    #[test]
    fn an_invalid_url_of_a_proxy_is_refused_without_repeating_it() {
        let rows = [
            ("https://proxy-secret:3128", "https"),
            ("socks4://proxy-secret:3128", "scheme"),
            ("ftp://user:secret@proxy:1", "scheme"),
            ("http://secret", "no port"),
            ("http://secret:x", "port"),
            ("http://user:secret", "port"),
            ("http://h:0", "port"),
            ("http://h:65536", "port"),
            ("http://:3128", "host"),
            ("http://u:secret@", "host"),
            ("http://b\u{fc}cher-secret:1", "host"),
            ("http://u:sec/ret@proxy:1", "path"),
            ("http://proxy:1/secret", "path"),
            ("http://u%3a:secret@proxy:1", "user name"),
            ("http://u:secret%0d%0aX%3a y@proxy:1", "user name"),
            ("socks5h://u@secret:1", "user name"),
            ("socks5h://:secret@proxy:1", "user name"),
        ];
        let long = format!("socks5h://u:{}@secret:1", "x".repeat(256));
        for (url, reason) in rows.into_iter().chain([(&*long, "user name")]) {
            let error = Proxy::parse(url).err().unwrap_or_else(|| panic!("{url} is accepted"));
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(reason) && !shown.contains("secret"), "{url}: {shown}");
        }
    }
}
