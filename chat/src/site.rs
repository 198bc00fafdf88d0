//! The chat's host names, and the web pages that may use it.
//!
//! Checking the Host prevents DNS rebinding: a foreign page may point its own name at the chat's address, and the
//! browser then treats the two as the same host. So a name must be the configured one or `localhost`. An IP address
//! cannot be rebound and is always accepted.

use std::net::{Ipv4Addr, Ipv6Addr};

use switchboard::OriginPolicy;

use super::ChatConfig;

/// The host name and the allowed origins of a chat.
#[derive(Clone, Debug)]
pub(super) struct Site {
    public_url: Option<String>,
    origins: Vec<String>,
}

/// The kind of page that sent a request, by its Origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OriginKind {
    /// No Origin, so no page: browsers send one with each request that changes anything, and with each WebSocket.
    Absent,
    /// The chat's own page.
    Own,
    /// A page of an origin that the operator has allowed.
    Allowed,
    /// Any other page.
    Foreign,
}

impl Site {
    pub(super) fn new(config: &ChatConfig) -> Self {
        Self { public_url: config.public_url.clone(), origins: config.origins.clone() }
    }

    /// Returns whether browsers reach the chat over https, so that cookies can be limited to it.
    pub(super) fn is_secure(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }

    /// Returns whether a Host is the chat's.
    pub(super) fn is_ours(&self, host: &str) -> bool {
        is_local(host)
            || self.public_host().is_some_and(|ours| without_port(ours).eq_ignore_ascii_case(without_port(host)))
    }

    /// Returns the kind of page that sent a request. `host` is the request's Host, which is the chat's.
    pub(super) fn origin_kind(&self, origin: Option<&str>, host: &str) -> OriginKind {
        let Some(origin) = origin else { return OriginKind::Absent };
        let same = |other: &String| other.eq_ignore_ascii_case(origin);
        // For the public name the scheme counts: an attacker on the network can forge a page over http.
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

/// Returns whether a Host is an IP address or `localhost`.
fn is_local(host: &str) -> bool {
    let name = without_port(host);
    let v6 = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    name.parse::<Ipv4Addr>().is_ok()
        || v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok())
        || name.eq_ignore_ascii_case("localhost")
}

/// Returns a Host without its port.
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
    fn a_host_is_an_address_localhost_or_the_configured_name() {
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
    fn an_origin_is_own_allowed_or_foreign() {
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
