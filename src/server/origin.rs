//! Which pages may connect ([§10.2]): a browser says whose page it is, and only the server can judge.
//!
//! [§10.2]: https://www.rfc-editor.org/rfc/rfc6455#section-10.2

use super::{Handshake, Verdict};
use crate::{Rejection, ServerHandshake};

/// Which values of Origin are let in. A client that sends none is no browser, carries no one's cookies, and is let in
/// by every policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// Any page.
    Any,
    /// Pages of the same host and port as the request's Host, and of those listed.
    SameHostOr(Vec<String>),
    /// Pages of those listed, such as `https://chat.example`.
    Only(Vec<String>),
}

impl OriginPolicy {
    /// Whether this handshake's Origin is let in.
    #[must_use]
    pub fn allows(&self, handshake: &ServerHandshake) -> bool {
        let Some(origin) = handshake.origin() else { return true };
        let listed = |list: &[String]| list.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin));
        match self {
            Self::Any => true,
            Self::SameHostOr(list) => Self::is_same_host(origin, handshake.host()) || listed(list),
            Self::Only(list) => listed(list),
        }
    }

    /// Gives the verdict by this policy alone: opens the connection with `peer`, or turns it down with 403.
    pub fn judge<P: Send + 'static>(&self, handshake: &Handshake<'_>, verdict: Verdict<P>, peer: P) {
        if self.allows(handshake.websocket) {
            verdict.accept(peer);
        } else {
            verdict.reject(Self::rejection());
        }
    }

    /// Whether `origin`, such as `https://chat.example`, names the same host and port as `host`, the value of a Host
    /// field. The scheme does not matter, except that its own port may be left out.
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

    /// The answer to those who are not let in.
    #[must_use]
    pub fn rejection() -> Rejection {
        Rejection::new(403).body("this Origin may not connect here\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_of_the_same_host_in_any_case_and_with_its_own_port() {
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
