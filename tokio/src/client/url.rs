//! WebSocket URLs ([§3]), as `http` parses them: `ws://host[:port][/path][?query]`, with `wss` for TLS.
//!
//! [§3]: https://www.rfc-editor.org/rfc/rfc6455#section-3

use std::fmt;

use http::Uri;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlError {
    /// A part of it has characters that are not allowed there; they are to be percent-encoded, or a host to be written
    /// as A-labels (`xn--…`).
    Syntax,
    /// The scheme is neither `ws` nor `wss`.
    Scheme,
    /// The URL contains a user name or a password, which a WebSocket URL must not (§3).
    UserInfo,
    /// The port is not a number from 1 to 65535.
    Port,
    /// The URL contains a fragment (`#`), which must not be used (§3).
    Fragment,
    /// The scheme is `wss`, and the crate was built without the feature `rustls`.
    Tls,
}

impl Url {
    pub(super) fn parse(url: &str) -> Result<Self, UrlError> {
        // `http` would drop it.
        if url.contains('#') {
            return Err(UrlError::Fragment);
        }
        let uri: Uri = url.parse().map_err(|_| UrlError::Syntax)?;
        let scheme = uri.scheme_str().ok_or(UrlError::Scheme)?;
        let is_secure = scheme.eq_ignore_ascii_case("wss");
        if !is_secure && !scheme.eq_ignore_ascii_case("ws") {
            return Err(UrlError::Scheme);
        }
        if is_secure && cfg!(not(feature = "rustls")) {
            return Err(UrlError::Tls);
        }
        let authority = uri.authority().ok_or(UrlError::Syntax)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(UrlError::Syntax);
        }
        let default = if is_secure { 443 } else { 80 };
        let port = match authority.as_str().strip_prefix(host).and_then(|rest| rest.strip_prefix(':')) {
            None | Some("") => default,
            // `parse` alone would accept a sign.
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().ok().filter(|&port| port != 0).ok_or(UrlError::Port)?
            }
            Some(_) => return Err(UrlError::Port),
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Self {
            is_secure,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: if port == default { host.to_owned() } else { format!("{host}:{port}") },
            target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") },
        })
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "the URL is not valid",
            Self::Scheme => "the URL must begin with ws:// or wss://",
            Self::UserInfo => "a WebSocket URL must not contain a user name or password",
            Self::Port => "the port of the URL is not valid",
            Self::Fragment => "a WebSocket URL must not contain a fragment; write # as %23",
            Self::Tls => "wss:// needs TLS: build the crate switchboard-tokio with its feature rustls",
        })
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_host_port_authority_and_target() {
        let rows: &[(&str, &str, u16, &str, &str)] = &[
            ("ws://example.com", "example.com", 80, "example.com", "/"),
            ("WS://example.com:80/a", "example.com", 80, "example.com", "/a"),
            ("ws://example.com:/a", "example.com", 80, "example.com", "/a"),
            ("ws://example.com:8080", "example.com", 8080, "example.com:8080", "/"),
            ("ws://localhost:9002?room=1", "localhost", 9002, "localhost:9002", "/?room=1"),
            ("ws://h/chat?room=1&name=%C3%A4", "h", 80, "h", "/chat?room=1&name=%C3%A4"),
            ("ws://[::1]:9002/x", "::1", 9002, "[::1]:9002", "/x"),
            ("ws://[2001:db8::1]", "2001:db8::1", 80, "[2001:db8::1]", "/"),
        ];
        for &(url, host, port, authority, target) in rows {
            let (host, authority, target) = (host.to_owned(), authority.to_owned(), target.to_owned());
            assert_eq!(Url::parse(url), Ok(Url { is_secure: false, host, port, authority, target }), "{url}");
        }
    }

    #[test]
    fn wss_needs_the_feature_and_has_port_443() {
        let parsed = Url::parse("wss://example.com/").map(|url| (url.is_secure, url.port, url.authority));
        if cfg!(feature = "rustls") {
            assert_eq!(parsed, Ok((true, 443, "example.com".to_owned())));
        } else {
            assert_eq!(parsed, Err(UrlError::Tls));
        }
    }

    #[test]
    fn an_invalid_websocket_url_is_refused() {
        let rows: &[(&str, UrlError)] = &[
            ("wsss://example.com/", UrlError::Scheme),
            ("http://example.com/", UrlError::Scheme),
            ("example.com:80", UrlError::Scheme),
            ("/path", UrlError::Scheme),
            ("", UrlError::Syntax),
            ("ws:///path", UrlError::Syntax),
            ("ws://:80/", UrlError::Syntax),
            ("ws://a b/", UrlError::Syntax),
            ("ws://h\r\nX: y/", UrlError::Syntax),
            ("ws://h/a\r\nX: y", UrlError::Syntax),
            ("ws://h/a b", UrlError::Syntax),
            ("ws://h/a#b", UrlError::Fragment),
            ("ws://user:pass@h/", UrlError::UserInfo),
            ("ws://h:0/", UrlError::Port),
            ("ws://h:65536/", UrlError::Port),
            ("ws://h:+80/", UrlError::Port),
            ("ws://h:80a/", UrlError::Port),
        ];
        for &(url, expected) in rows {
            let error = Url::parse(url).expect_err(url);
            assert!(error == expected || (expected == UrlError::Port && error == UrlError::Syntax), "{url:?}: {error}");
        }
    }
}
