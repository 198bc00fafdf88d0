//! WebSocket URLs ([§3]): `ws://host[:port][/path][?query]`, with `wss` for TLS.
//!
//! Stricter than a browser: characters that RFC 3986 does not allow are refused, not escaped. Host names outside ASCII
//! must be given as A-labels (`xn--…`). Does not resolve names; `connect.rs` does.
//!
//! [§3]: https://www.rfc-editor.org/rfc/rfc6455#section-3

use std::{fmt, net::Ipv6Addr};

use crate::Escaped;

/// The parts of a URL that a client needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// Whether the scheme is `wss`: the connection uses TLS.
    pub(super) is_secure: bool,
    /// A name or an IP address; an IPv6 address without its brackets.
    pub(super) host: String,
    /// The port to connect to.
    pub(super) port: u16,
    /// The value of the request's `Host`: an IPv6 address with brackets, and the port unless it is the scheme's.
    pub(super) authority: String,
    /// Path and query, at least `/`.
    pub(super) target: String,
}

/// Why a URL cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlError {
    /// The scheme is `wss`, and the crate was built without the feature `client-tls`.
    Tls,
    /// The scheme is neither `ws` nor `wss`. Holds the scheme, empty if there is none.
    Scheme(String),
    /// The URL contains a user name or a password, which a WebSocket URL must not (§3).
    UserInfo,
    /// The host is empty, or neither a name, an IPv4 address nor an IPv6 address in brackets.
    Host(String),
    /// The port is not a number from 1 to 65535.
    Port(String),
    /// The URL contains a fragment (`#`), which must not be used (§3).
    Fragment,
    /// The path or query contains a character that is not allowed there (RFC 3986 §3.3, §3.4), or a `%` without two
    /// hexadecimal digits after it.
    Target(String),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls => f.write_str("wss:// needs TLS: build the crate switchboard with its feature client-tls"),
            Self::Scheme(scheme) => {
                write!(f, "the URL must begin with ws:// or wss://, but its scheme is {}", Escaped::new(scheme))
            }
            Self::UserInfo => f.write_str("a WebSocket URL must not contain a user name or password"),
            Self::Host(host) => write!(f, "{} is not a valid host", Escaped::new(host)),
            Self::Port(port) => write!(f, "{} is not a valid port", Escaped::new(port)),
            Self::Fragment => f.write_str("a WebSocket URL must not contain a fragment; write # as %23"),
            Self::Target(target) => write!(f, "{} is not a valid path and query", Escaped::new(target)),
        }
    }
}

impl std::error::Error for UrlError {}

impl Url {
    /// Parses a URL.
    ///
    /// # Errors
    /// The first invalid part from the left, except that a fragment is reported before the host and all that follows.
    pub(super) fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let is_secure = scheme.eq_ignore_ascii_case("wss");
        if !is_secure && !scheme.eq_ignore_ascii_case("ws") {
            return Err(UrlError::Scheme(scheme.to_owned()));
        }
        if is_secure && cfg!(not(feature = "client-tls")) {
            return Err(UrlError::Tls);
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_port(authority);
        let name = host_name(host).ok_or_else(|| UrlError::Host(host.to_owned()))?;
        let default_port = default_port(is_secure);
        let port = parse_port(port, default_port).ok_or_else(|| UrlError::Port(port.to_owned()))?;
        if !is_target(target) {
            return Err(UrlError::Target(target.to_owned()));
        }
        Ok(Self {
            is_secure,
            host: name.to_owned(),
            port,
            authority: if port == default_port { host.to_owned() } else { format!("{host}:{port}") },
            target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") },
        })
    }

    /// Returns whether both URLs have the same scheme, host and port.
    pub(super) fn has_origin_of(&self, other: &Self) -> bool {
        self.is_secure == other.is_secure && self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.is_secure { "wss" } else { "ws" }, self.authority, self.target)
    }
}

/// Splits `host:port`. A colon within brackets belongs to the address.
pub(super) fn split_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    }
}

/// Returns a host without the brackets of an IPv6 address. `None` if it is neither a name, an IPv4 address nor an IPv6
/// address in brackets.
pub(super) fn host_name(host: &str) -> Option<&str> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok().then_some(address),
        None => (!host.is_empty() && host.bytes().all(is_unreserved)).then_some(host),
    }
}

/// Parses a port; an empty one is the default (RFC 3986 §3.2.3). `None` if it is not a number from 1 to 65535.
pub(super) fn parse_port(port: &str, default: u16) -> Option<u16> {
    if port.is_empty() {
        return Some(default);
    }
    // `parse` alone would accept a sign.
    let number = if port.bytes().all(|byte| byte.is_ascii_digit()) { port.parse().ok() } else { None };
    number.filter(|&number| number != 0)
}

/// Returns the port of `ws` or of `wss` (§3).
const fn default_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

/// Returns whether all characters are allowed in a path and query (RFC 3986 §3.3, §3.4).
fn is_target(target: &str) -> bool {
    let mut bytes = target.bytes();
    while let Some(byte) = bytes.next() {
        let allowed = match byte {
            b'%' => {
                [bytes.next(), bytes.next()].iter().flatten().filter(|digit| digit.is_ascii_hexdigit()).count() == 2
            }
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => true, // sub-delims
            b':' | b'@' | b'/' | b'?' => true,
            _ => is_unreserved(byte),
        };
        if !allowed {
            return false;
        }
    }
    true
}

/// Returns whether `byte` is an unreserved character (RFC 3986 §2.3).
const fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_host_port_authority_and_target() {
        let rows: &[(&str, &str, u16, &str, &str)] = &[
            ("ws://example.com", "example.com", 80, "example.com", "/"),
            ("WS://example.com/", "example.com", 80, "example.com", "/"),
            ("ws://example.com:80/a", "example.com", 80, "example.com", "/a"),
            ("ws://example.com:/a", "example.com", 80, "example.com", "/a"),
            ("ws://example.com:8080", "example.com", 8080, "example.com:8080", "/"),
            ("ws://example.com:65535/", "example.com", 65535, "example.com:65535", "/"),
            ("ws://localhost:9002?room=1", "localhost", 9002, "localhost:9002", "/?room=1"),
            ("ws://h/chat?room=1&name=%C3%A4", "h", 80, "h", "/chat?room=1&name=%C3%A4"),
            ("ws://h/a:b@c/?d?e/f://g", "h", 80, "h", "/a:b@c/?d?e/f://g"),
            ("ws://127.0.0.1:1/", "127.0.0.1", 1, "127.0.0.1:1", "/"),
            ("ws://[::1]:9002/x", "::1", 9002, "[::1]:9002", "/x"),
            ("ws://[2001:db8::1]", "2001:db8::1", 80, "[2001:db8::1]", "/"),
            ("ws://xn--bcher-kva.example", "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/"),
        ];
        for &(url, host, port, authority, target) in rows {
            let expected = Url {
                is_secure: false,
                host: host.to_owned(),
                port,
                authority: authority.to_owned(),
                target: target.to_owned(),
            };
            assert_eq!(Url::parse(url).as_ref(), Ok(&expected), "{url}");
            assert_eq!(Url::parse(&expected.to_string()), Ok(expected), "{url}");
        }
    }

    #[cfg(feature = "client-tls")]
    #[test]
    fn the_port_of_wss_is_443() {
        let rows: &[(&str, u16, &str)] = &[
            ("wss://example.com/", 443, "example.com"),
            ("WSS://example.com:443/", 443, "example.com"),
            ("wss://example.com:80/", 80, "example.com:80"),
            ("wss://[::1]:9002/", 9002, "[::1]:9002"),
        ];
        for &(url, port, authority) in rows {
            let parsed = Url::parse(url).unwrap();
            assert_eq!((parsed.is_secure, parsed.port, &*parsed.authority), (true, port, authority), "{url}");
        }
        assert_eq!(Url::parse("ws://example.com:443/").unwrap().authority, "example.com:443");
    }

    #[cfg(not(feature = "client-tls"))]
    #[test]
    fn without_tls_wss_is_refused_with_the_feature_that_adds_it() {
        let error = Url::parse("wss://example.com/").unwrap_err();
        assert_eq!(error, UrlError::Tls);
        assert!(error.to_string().contains("client-tls"), "{error}");
    }

    #[test]
    fn an_invalid_websocket_url_is_refused_with_the_invalid_part() {
        let scheme = |text: &str| UrlError::Scheme(text.to_owned());
        let host = |text: &str| UrlError::Host(text.to_owned());
        let port = |text: &str| UrlError::Port(text.to_owned());
        let target = |text: &str| UrlError::Target(text.to_owned());
        let rows: &[(&str, UrlError)] = &[
            ("wsss://example.com/", scheme("wsss")),
            ("http://example.com/", scheme("http")),
            (" ws://example.com/", scheme(" ws")),
            ("ws:/example.com/", scheme("")),
            ("example.com:80", scheme("")),
            ("", scheme("")),
            ("ws://h/a#b", UrlError::Fragment),
            ("ws://h#", UrlError::Fragment),
            ("ws://user@h/", UrlError::UserInfo),
            ("ws://user:pass@h/", UrlError::UserInfo),
            ("ws://@h/", UrlError::UserInfo),
            ("ws://", host("")),
            ("ws:///path", host("")),
            ("ws://:80/", host("")),
            ("ws://a b/", host("a b")),
            ("ws://b\u{fc}cher.example/", host("b\u{fc}cher.example")),
            ("ws://h\r\nX: y/", host("h\r\nX")),
            ("ws://h\\x/", host("h\\x")),
            ("ws://%61/", host("%61")),
            ("ws://::1/", host(":")),
            ("ws://[::1", host("[:")),
            ("ws://[::1]x/", host("[::1]x")),
            ("ws://[::1%25eth0]/", host("[::1%25eth0]")),
            ("ws://[127.0.0.1]/", host("[127.0.0.1]")),
            ("ws://h:0/", port("0")),
            ("ws://h:65536/", port("65536")),
            ("ws://h:+80/", port("+80")),
            ("ws://h:80a/", port("80a")),
            ("ws://h/a b", target("/a b")),
            ("ws://h/\u{e4}", target("/\u{e4}")),
            ("ws://h/a\r\nX: y", target("/a\r\nX: y")),
            ("ws://h/a\\b", target("/a\\b")),
            ("ws://h/%", target("/%")),
            ("ws://h/%4", target("/%4")),
            ("ws://h/%4g", target("/%4g")),
            ("ws://h/?a=[1]", target("/?a=[1]")),
        ];
        for (url, expected) in rows {
            assert_eq!(Url::parse(url).as_ref(), Err(expected), "{url:?}");
        }
    }
}
