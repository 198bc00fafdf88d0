//! The pages that may connect ([§10.2]): a browser sends the page's Origin, and the server decides.
//!
//! [§10.2]: https://www.rfc-editor.org/rfc/rfc6455#section-10.2

use super::{Handshake, Verdict};
use crate::Rejection;

/// A policy for handshakes: the values of Origin that may connect.
///
/// Every policy allows a handshake without an Origin: it does not come from a browser, and so cannot use the cookies of
/// a user against their will.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// Any page.
    Any,
    /// Pages with the same host and port as the request's Host, and the origins in the list. If the connection speaks
    /// TLS, only those of https have the same host: others may be another program's.
    SameHostOr(Vec<String>),
    /// Only the origins in the list, such as `https://chat.example`. Compared without regard to case.
    Only(Vec<String>),
}

impl OriginPolicy {
    /// Returns whether the handshake's Origin may connect.
    #[must_use]
    pub fn allows(&self, handshake: &Handshake<'_>) -> bool {
        let Handshake { websocket, is_tls, .. } = handshake;
        let Some(origin) = websocket.origin() else { return true };
        let listed = |list: &[String]| list.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin));
        match self {
            Self::Any => true,
            Self::SameHostOr(list) => is_own_page(origin, websocket.host(), *is_tls) || listed(list),
            Self::Only(list) => listed(list),
        }
    }

    /// Decides a handshake by this policy alone: opens the connection with `peer`, or rejects it with 403.
    pub fn judge<P: Send + 'static>(&self, handshake: &Handshake<'_>, verdict: Verdict<P>, peer: P) {
        if self.allows(handshake) {
            verdict.accept(peer);
        } else {
            verdict.reject(Self::rejection());
        }
    }

    /// Returns whether `origin`, such as `https://chat.example`, has the same host and port as `host`, the value of a
    /// Host header field.
    ///
    /// Case does not matter. The default port of the origin's scheme (80 or 443) may be missing on either side. Schemes
    /// other than `http` and `https` never match.
    #[must_use]
    pub fn is_same_host(origin: &str, host: &str) -> bool {
        let (authority, port) = if let Some(rest) = origin.strip_prefix("http://") {
            (rest, ":80")
        } else if let Some(rest) = origin.strip_prefix("https://") {
            (rest, ":443")
        } else {
            return false;
        };
        let plain = |name: &str| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
        !authority.is_empty() && plain(authority) == plain(host)
    }

    /// Returns the rejection for an Origin that may not connect: 403.
    #[must_use]
    pub fn rejection() -> Rejection {
        Rejection::new(403).body("this Origin may not connect here\n")
    }
}

/// Returns whether a page is of the same host. Without TLS it may be of https, since a proxy may have it.
fn is_own_page(origin: &str, host: &str, is_tls: bool) -> bool {
    OriginPolicy::is_same_host(origin, host) && (!is_tls || origin.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_tls_a_page_of_http_is_another_programs() {
        let rows = [
            ("https://chat.example", "chat.example", true, true),
            ("https://chat.example:8443", "chat.example:8443", true, true),
            ("https://chat.example", "chat.example", false, true),
            ("http://chat.example", "chat.example", false, true),
            ("http://chat.example", "chat.example", true, false),
            ("http://chat.example:8443", "chat.example:8443", true, false),
            ("https://evil.example", "chat.example", true, false),
        ];
        for (origin, host, is_tls, expected) in rows {
            assert_eq!(is_own_page(origin, host, is_tls), expected, "{origin} at {host}, TLS: {is_tls}");
        }
    }

    #[test]
    fn same_host_ignores_case_and_the_default_port() {
        let rows = [
            ("http://chat.example", "chat.example", true),
            ("http://Chat.Example", "chat.example", true),
            ("http://chat.example:80", "chat.example", true),
            ("https://chat.example", "chat.example:443", true),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://chat.example:8080", "chat.example", false),
            ("http://chat.example", "chat.example:443", false),
            ("http://chat.example.evil.example", "chat.example", false),
            ("http://evil.example/chat.example", "chat.example", false),
            ("http://chat.example@evil.example", "chat.example", false),
            ("ftp://chat.example", "chat.example", false),
            ("null", "chat.example", false),
            ("", "chat.example", false),
            ("http://", "", false),
        ];
        for (origin, host, expected) in rows {
            assert_eq!(OriginPolicy::is_same_host(origin, host), expected, "{origin} at {host}");
        }
    }
}
