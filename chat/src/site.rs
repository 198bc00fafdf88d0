//! Under which names the chat is reached, and whose pages may speak to it.
//!
//! Hosts are checked against DNS rebinding: a page elsewhere may point its own name at our address, and would then be of
//! the "same host" for a browser. So a name must be the one that the operator gave, or `localhost`; an address cannot
//! be rebound and is taken as it is.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ChatConfig;
use switchboard::OriginPolicy;

/// Names and origins of a chat.
#[derive(Clone, Debug)]
pub(super) struct Site {
    public_url: Option<String>,
    origins: Vec<String>,
}

/// Whose page speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OriginKind {
    /// None: no browser sends a request without an Origin that changes anything, or that opens a WebSocket.
    Absent,
    /// The chat's own.
    Own,
    /// Another one that the operator has let in.
    Allowed,
    /// One that has no business here.
    Foreign,
}

impl Site {
    pub(super) fn new(config: &ChatConfig) -> Self {
        Self { public_url: config.public_url.clone(), origins: config.origins.clone() }
    }

    /// Whether browsers reach the chat by https, so that cookies can be kept to it.
    pub(super) fn is_secure(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }

    /// Whether a request for this Host is for us.
    pub(super) fn is_ours(&self, host: &str) -> bool {
        is_local(host)
            || self.public_host().is_some_and(|ours| without_port(ours).eq_ignore_ascii_case(without_port(host)))
    }

    /// Whose page has sent a request to this Host, which is ours.
    pub(super) fn origin_kind(&self, origin: Option<&str>, host: &str) -> OriginKind {
        let Some(origin) = origin else { return OriginKind::Absent };
        let same = |other: &String| other.eq_ignore_ascii_case(origin);
        // Under the public name the scheme counts: a page by http may be anybody's.
        if self.public_url.as_ref().is_some_and(same) || (is_local(host) && OriginPolicy::is_same_host(origin, host)) {
            OriginKind::Own
        } else if self.origins.iter().any(same) {
            OriginKind::Allowed
        } else {
            OriginKind::Foreign
        }
    }

    fn public_host(&self) -> Option<&str> {
        self.public_url.as_ref().and_then(|url| url.split_once("://")).map(|(_, host)| host)
    }
}

/// Whether a Host is an address or `localhost`.
fn is_local(host: &str) -> bool {
    let name = without_port(host);
    let v6 = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    name.parse::<Ipv4Addr>().is_ok()
        || v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok())
        || name.eq_ignore_ascii_case("localhost")
}

/// A Host without its port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(public_url: Option<&str>, origins: &[&str]) -> Site {
        let origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        Site { public_url: public_url.map(str::to_owned), origins }
    }

    #[test]
    fn a_host_is_an_address_localhost_or_the_name_that_was_given() {
        let site = site(Some("https://chat.example:8443"), &["https://other.example"]);
        let rows = [
            ("127.0.0.1:8080", true),
            ("192.168.1.5", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("chat.example", true),
            ("Chat.Example:80", true),
            ("other.example", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("chat.example.evil.example:8443", false),
            ("[::1].evil.example", false),
            ("", false),
        ];
        for (host, expected) in rows {
            assert_eq!(site.is_ours(host), expected, "{host}");
        }
    }

    #[test]
    fn a_page_is_ours_a_guest_or_foreign() {
        use OriginKind::{Absent, Allowed, Foreign, Own};
        let public = site(Some("https://chat.example"), &["https://friend.example"]);
        let local = site(None, &[]);
        let rows = [
            (&public, None, "chat.example", Absent),
            (&public, Some("https://chat.example"), "chat.example", Own),
            (&public, Some("HTTPS://CHAT.EXAMPLE"), "chat.example", Own),
            (&public, Some("https://chat.example"), "127.0.0.1:8080", Own),
            (&public, Some("http://chat.example"), "chat.example", Foreign),
            (&public, Some("https://chat.example:8443"), "chat.example", Foreign),
            (&public, Some("https://chat.example.evil.example"), "chat.example", Foreign),
            (&public, Some("https://evil.example"), "chat.example", Foreign),
            (&public, Some("null"), "chat.example", Foreign),
            (&public, Some(""), "chat.example", Foreign),
            (&public, Some("https://friend.example"), "chat.example", Allowed),
            (&public, Some("http://friend.example"), "chat.example", Foreign),
            (&local, Some("http://127.0.0.1:8080"), "127.0.0.1:8080", Own),
            (&local, Some("http://localhost:8080"), "localhost:8080", Own),
            (&local, Some("http://localhost:8080"), "127.0.0.1:8080", Foreign),
            (&local, Some("http://127.0.0.1:9090"), "127.0.0.1:8080", Foreign),
            (&local, Some("null"), "127.0.0.1:8080", Foreign),
        ];
        for (site, origin, host, expected) in rows {
            assert_eq!(site.origin_kind(origin, host), expected, "{origin:?} at {host}");
        }
    }
}
