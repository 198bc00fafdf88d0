//! The origins of web pages: a scheme, a host and a port, as browsers write them.

use std::{fmt, str::FromStr};

use url::{Host, Url};

/// An origin, in the form in which browsers send it (RFC 6454 §6.2): a host with other letters than ASCII's as
/// punycode, without the default port of its scheme.
///
/// The origins of apps have schemes of their own, such as `capacitor://localhost`. `null` is the origin of pages that
/// have none: of files, and of frames in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// The reason why a text is not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOrigin(&'static str);

impl Origin {
    /// Returns the form in which browsers send it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it is the origin of pages that are loaded over http or https.
    #[must_use]
    pub fn is_web(&self) -> bool {
        self.0.starts_with("http://") || self.is_https()
    }

    /// Returns whether it is the origin of pages that are loaded over https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Returns the host, with its port unless that is the default; empty for `null`.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, host)| host)
    }

    /// Returns whether a Host names the host of this origin, with any port.
    #[must_use]
    pub fn has_name(&self, host: &str) -> bool {
        name_of(self.host()).eq_ignore_ascii_case(name_of(host))
    }

    /// Returns whether an Origin header names this origin, whatever the case of its letters. A full stop at the end of
    /// its host makes no difference, as for DNS.
    pub(super) fn is_named_by(&self, header: &str) -> bool {
        let (name, port) = split_port(header);
        let (own_name, own_port) = split_port(&self.0);
        port == own_port && without_dot(name).eq_ignore_ascii_case(own_name)
    }
}

/// Parses an origin that somebody has typed.
impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if text == "null" {
            return Ok(Self(text.to_owned()));
        }
        let url = Url::parse(text).map_err(|_| BadOrigin(EXPECTED))?;
        if !text.contains("://") {
            return Err(BadOrigin(EXPECTED));
        }
        if url.scheme() == "file" {
            return Err(BadOrigin("the origin of pages from files is null, which any page can have"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadOrigin("an origin has no user name"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(BadOrigin("an origin ends after the host and the port; leave out the path"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => without_dot(name).to_ascii_lowercase(),
            Some(address) => address.to_string(),
            None => String::new(),
        };
        if host.is_empty() {
            return Err(BadOrigin(EXPECTED));
        }
        let port = url.port().map_or(String::new(), |port| format!(":{port}"));
        Ok(Self(format!("{}://{host}{port}", url.scheme())))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadOrigin {}

/// Returns the name in a Host, without the port and without the full stop that may end it.
pub(super) fn name_of(host: &str) -> &str {
    without_dot(split_port(host).0)
}

/// Returns a host name without the full stop that may end it.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Splits a host, or an origin, from its port, which has a colon before it or is empty.
fn split_port(host: &str) -> (&str, &str) {
    match host.rfind(':') {
        Some(colon) if host[colon + 1..].bytes().all(|byte| byte.is_ascii_digit()) => host.split_at(colon),
        _ => (host, ""),
    }
}

const EXPECTED: &str = "expected a scheme and a host, such as https://chat.example or http://localhost:3000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        let rows = [
            ("https://chat.example", Some("https://chat.example")),
            ("https://chat.example/", Some("https://chat.example")),
            ("HTTPS://Chat.Example", Some("https://chat.example")),
            ("https://chat.example.", Some("https://chat.example")),
            ("https://chat.example:443", Some("https://chat.example")),
            ("http://chat.example:80", Some("http://chat.example")),
            ("https://chat.example:80", Some("https://chat.example:80")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("https://bücher.example", Some("https://xn--bcher-kva.example")),
            ("https://BÜCHER.example:8443", Some("https://xn--bcher-kva.example:8443")),
            ("https://xn--bcher-kva.example", Some("https://xn--bcher-kva.example")),
            ("https://例え.テスト", Some("https://xn--r8jz45g.xn--zckzah")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("http://[0:0::1]", Some("http://[::1]")),
            ("capacitor://localhost", Some("capacitor://localhost")),
            ("tauri://localhost", Some("tauri://localhost")),
            ("app://obsidian.md", Some("app://obsidian.md")),
            (
                "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
                Some("chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb"),
            ),
            (
                "moz-extension://0a1b2c3d-0000-4000-8000-0123456789ab",
                Some("moz-extension://0a1b2c3d-0000-4000-8000-0123456789ab"),
            ),
            ("null", Some("null")),
            ("Null", None),
            ("", None),
            ("chat.example", None),
            ("localhost:3000", None),
            ("//chat.example", None),
            ("https://", None),
            ("https://.", None),
            ("https:chat.example", None),
            ("https://chat.example/chat", None),
            ("https://chat.example?x", None),
            ("https://chat.example#x", None),
            ("https://user@chat.example", None),
            ("https://chat.example:99999", None),
            ("https://chat example", None),
            ("file:///home/ada/page.html", None),
            ("data:text/html,x", None),
            ("capacitor://", None),
        ];
        for (text, expected) in rows {
            let origin = text.parse::<Origin>();
            assert_eq!(origin.as_ref().ok().map(Origin::as_str), expected, "{text}");
            if let Ok(origin) = origin {
                assert_eq!(origin.as_str().parse(), Ok(origin), "{text}: written and parsed");
            }
        }
    }

    #[test]
    fn a_header_names_an_origin_in_any_case_and_with_a_full_stop() {
        let rows = [
            ("https://chat.example", "https://chat.example", true),
            ("https://chat.example", "HTTPS://CHAT.example.", true),
            ("https://chat.example:8443", "https://chat.example.:8443", true),
            ("https://chat.example", "https://chat.example..", false),
            ("https://chat.example", "https://chat.example:443", false),
            ("https://chat.example", "http://chat.example", false),
            ("https://chat.example", "https://chat.example.evil.example", false),
            ("https://chat.example", "", false),
            ("http://[::1]", "http://[::1]", true),
            ("null", "null", true),
        ];
        for (origin, header, expected) in rows {
            assert_eq!(origin.parse::<Origin>().unwrap().is_named_by(header), expected, "{origin}: {header}");
        }
    }
}
