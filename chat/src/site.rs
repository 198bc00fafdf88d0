//! The chat's host names, and the web pages that may use it.
//!
//! Checking the Host prevents DNS rebinding: a foreign page may point its own name at the chat's address, and the
//! browser then treats the two as the same host. So a name must be the configured one or `localhost`. An IP address
//! cannot be rebound and is always accepted.

use std::net::{Ipv4Addr, Ipv6Addr};

use switchboard::{Escaped, OriginPolicy};

use super::{
    ChatConfig,
    origin::{Origin, name_of},
};

/// The host name and the allowed origins of a chat.
#[derive(Clone, Debug)]
pub(super) struct Site {
    public_url: Option<Origin>,
    origins: Vec<Origin>,
    /// Its connections are encrypted by the server itself.
    is_tls: bool,
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
    /// Returns the site as it is reached over connections with TLS, or without.
    pub(super) fn new(config: &ChatConfig, is_tls: bool) -> Self {
        Self { public_url: config.public_url.clone(), origins: config.origins.clone(), is_tls }
    }

    /// Returns whether browsers reach the chat over https, so that cookies can be limited to it.
    pub(super) fn is_secure(&self) -> bool {
        self.is_tls || self.public_url.as_ref().is_some_and(Origin::is_https)
    }

    /// Returns whether a Host is the chat's.
    pub(super) fn is_ours(&self, host: &str) -> bool {
        is_local(host) || self.public_url.as_ref().is_some_and(|ours| ours.has_name(host))
    }

    /// Returns the kind of page that sent a request. `host` is the request's Host, which is the chat's.
    pub(super) fn origin_kind(&self, origin: Option<&str>, host: &str) -> OriginKind {
        let Some(origin) = origin else { return OriginKind::Absent };
        let same = |other: &Origin| other.is_named_by(origin);
        // For the public name the scheme counts: an attacker on the network can forge a page over http. So it does for
        // every name if the connection is encrypted; otherwise a proxy may have encrypted it.
        let has_our_scheme = !self.is_tls || origin.get(..HTTPS.len()).is_some_and(|it| it.eq_ignore_ascii_case(HTTPS));
        let is_ours =
            self.public_url.as_ref().is_some_and(same) || (is_local(host) && OriginPolicy::is_same_host(origin, host));
        if has_our_scheme && is_ours {
            OriginKind::Own
        } else if self.origins.iter().any(same) {
            OriginKind::Allowed
        } else {
            OriginKind::Foreign
        }
    }

    /// Returns the addresses of the chat's WebSocket, for a page that was requested with this Host: with both schemes
    /// of the Host, which a proxy may have put in, and those of the public URL. Over TLS there is one scheme.
    pub(super) fn websocket_sources(&self, host: &str) -> String {
        let of_host = match (host, self.is_tls) {
            ("", _) => String::new(),
            (host, true) => format!("wss://{host}"),
            (host, false) => format!("ws://{host} wss://{host}"),
        };
        match &self.public_url {
            Some(url) if !url.host().eq_ignore_ascii_case(host) => {
                let scheme = if url.is_https() { "wss" } else { "ws" };
                format!("{of_host} {scheme}://{}", url.host()).trim_start().to_owned()
            }
            _ => of_host,
        }
    }

    /// Returns the explanation for a request whose Host is not the chat's.
    pub(super) fn misdirected(&self, host: &str) -> String {
        let ours = self.public_url.as_ref().map_or(String::new(), |url| format!("{}, ", url.host()));
        let theirs =
            if host.is_empty() { "for no host".to_owned() } else { format!("for the host {}", Escaped::new(host)) };
        format!(
            "the request is {theirs}, and this chat is {ours}localhost or an IP address; the operator can give it a name \
             with --public-url, such as --public-url https://chat.example\n"
        )
    }

    /// Returns the explanation for a request from a page of another origin.
    pub(super) fn foreign_origin(origin: &str) -> String {
        format!(
            "This page is from {origin}, which is not the chat's address. If it is, the operator starts the chat with \
             --public-url {origin}; pages of other programs may connect with --origin {origin}.",
            origin = Escaped::new(origin)
        )
    }
}

/// Returns whether a Host is an IP address, `localhost`, or a name below it, which leads to this computer like itself
/// (RFC 6761 §6.3).
fn is_local(host: &str) -> bool {
    let name = name_of(host);
    let v6 = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let top = name.rsplit_once('.').map_or(name, |(_, top)| top);
    name.parse::<Ipv4Addr>().is_ok()
        || v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok())
        || top.eq_ignore_ascii_case("localhost")
}

const HTTPS: &str = "https://";

#[cfg(test)]
mod tests {
    use super::*;

    fn site(public_url: Option<&str>, origins: &[&str]) -> Site {
        let origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
        Site { public_url: public_url.map(|url| url.parse().unwrap()), origins, is_tls: false }
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
            ("chat.example.", true),
            ("chat.example.:8443", true),
            ("localhost.", true),
            ("localhost.:8080", true),
            ("chat.localhost:8080", true),
            ("a.b.LOCALHOST.", true),
            ("127.0.0.1.:8080", true),
            ("chat.example..", false),
            ("notlocalhost", false),
            ("my-localhost", false),
            (".", false),
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
        let apps = site(None, &["capacitor://localhost", "null"]);
        let idn = site(Some("https://bücher.example"), &[]);
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
            (&local, Some("http://chat.localhost:8080"), "chat.localhost:8080", Own),
            (&local, Some("http://chat.localhost:8080"), "other.localhost:8080", Foreign),
            (&public, Some("https://chat.example."), "chat.example.", Own),
            (&apps, Some("capacitor://localhost"), "localhost", Allowed),
            (&apps, Some("capacitor://localhost:8080"), "localhost:8080", Foreign),
            (&apps, Some("tauri://localhost"), "localhost", Foreign),
            (&apps, Some("null"), "localhost", Allowed),
            (&apps, Some(""), "localhost", Foreign),
            (&idn, Some("https://xn--bcher-kva.example"), "xn--bcher-kva.example", Own),
        ];
        for (site, origin, host, expected) in rows {
            assert_eq!(site.origin_kind(origin, host), expected, "{origin:?} at {host}");
        }
    }

    #[test]
    fn over_tls_only_pages_of_https_are_own() {
        use OriginKind::{Allowed, Foreign, Own};
        let public = Site { is_tls: true, ..site(Some("https://chat.example"), &["http://friend.example"]) };
        let local = Site { is_tls: true, ..site(None, &[]) };
        let odd = Site { is_tls: true, ..site(Some("http://chat.example"), &[]) };
        let rows = [
            (&public, "https://chat.example", "chat.example", Own),
            (&public, "HTTPS://CHAT.EXAMPLE", "chat.example", Own),
            (&public, "http://chat.example", "chat.example", Foreign),
            (&public, "http://friend.example", "chat.example", Allowed),
            (&public, "https://127.0.0.1", "127.0.0.1", Own),
            (&local, "https://localhost:8443", "localhost:8443", Own),
            (&local, "http://localhost:8443", "localhost:8443", Foreign),
            (&local, "https://localhost", "localhost", Own),
            (&local, "https://localhost", "localhost:443", Own),
            // Another program on the port of http.
            (&local, "http://localhost", "localhost", Foreign),
            (&local, "https://[::1]", "[::1]:443", Own),
            (&local, "https", "localhost", Foreign),
            (&odd, "http://chat.example", "chat.example", Foreign),
        ];
        for (site, origin, host, expected) in rows {
            assert_eq!(site.origin_kind(Some(origin), host), expected, "{origin} at {host}");
        }
        assert!(public.is_secure() && local.is_secure() && odd.is_secure());
    }

    #[test]
    fn a_page_may_connect_to_its_host_and_to_the_public_address() {
        let rows = [
            (None, "localhost:8080", "ws://localhost:8080 wss://localhost:8080"),
            (None, "", ""),
            (Some("https://chat.example"), "chat.example", "ws://chat.example wss://chat.example"),
            (
                Some("https://chat.example"),
                "127.0.0.1:8080",
                "ws://127.0.0.1:8080 wss://127.0.0.1:8080 wss://chat.example",
            ),
            (
                Some("http://chat.example:81"),
                "chat.example",
                "ws://chat.example wss://chat.example ws://chat.example:81",
            ),
            (Some("https://chat.example"), "", "wss://chat.example"),
        ];
        for (url, host, expected) in rows {
            assert_eq!(site(url, &[]).websocket_sources(host), expected, "{url:?} {host}");
        }
        for (url, host, expected) in [
            (None, "localhost:8443", "wss://localhost:8443"),
            (Some("https://chat.example"), "chat.example", "wss://chat.example"),
            (Some("https://chat.example"), "[::1]", "wss://[::1] wss://chat.example"),
            (None, "", ""),
        ] {
            let site = Site { is_tls: true, ..site(url, &[]) };
            assert_eq!(site.websocket_sources(host), expected, "{url:?} {host} over TLS");
        }
    }

    #[test]
    fn refusals_say_what_came_and_what_to_set() {
        let site = site(Some("https://chat.example"), &[]);
        let text = site.misdirected("evil.example\u{1B}[2J");
        assert!(text.contains("\"evil.example\\u{1b}[2J\"") && text.contains("chat.example, localhost"), "{text}");
        assert!(site.misdirected("").starts_with("the request is for no host, "));
        let text = Site::foreign_origin("https://chat.lan");
        assert!(text.contains("--public-url \"https://chat.lan\""), "{text}");
    }
}
