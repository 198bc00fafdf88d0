//! The target of a request, in its four forms (RFC 9112 §3.2).

use super::values::is_host;

/// The target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// A path, perhaps with a query.
    Origin(&'a str),
    /// An address with the scheme `http` or `https`, as clients send it to proxies. A server must accept it too
    /// (§3.2.2).
    Absolute {
        /// The host, with its port if it has one.
        authority: &'a str,
        /// The path and the query, of which both may be missing.
        rest: &'a str,
    },
    /// The host and port to which CONNECT asks for a tunnel.
    Authority(&'a str),
    /// The `*` of OPTIONS: the server as a whole.
    Asterisk,
}

impl<'a> Target<'a> {
    /// Parses the target of a request with this method. Returns `None` for any other form, for a host that is not
    /// valid, and for a host with a user name, which is a way to disguise it (RFC 9110 §4.2.4).
    pub(super) fn parse(method: &str, target: &'a str) -> Option<Self> {
        if target.starts_with('/') {
            return Some(Self::Origin(target));
        }
        if target == "*" {
            return (method == "OPTIONS").then_some(Self::Asterisk);
        }
        if method == "CONNECT" {
            return is_host(target).then_some(Self::Authority(target));
        }
        let (scheme, address) = target.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let (authority, rest) = address.split_at(address.find(['/', '?']).unwrap_or(address.len()));
        is_host(authority).then_some(Self::Absolute { authority, rest })
    }

    /// Returns the path without the query. That of an absolute target without one is `/`, or `*` for OPTIONS (§3.2.4).
    pub(super) fn path(self, method: &str) -> &'a str {
        match self {
            Self::Origin(target) => without_query(target),
            Self::Absolute { rest: "", .. } if method == "OPTIONS" => "*",
            Self::Absolute { rest, .. } => match without_query(rest) {
                "" => "/",
                path => path,
            },
            Self::Authority(authority) => authority,
            Self::Asterisk => "*",
        }
    }

    pub(super) fn query(self) -> Option<&'a str> {
        match self {
            Self::Origin(target) | Self::Absolute { rest: target, .. } => {
                target.split_once('?').map(|(_, query)| query)
            }
            Self::Authority(_) | Self::Asterisk => None,
        }
    }
}

fn without_query(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}
