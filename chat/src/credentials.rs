//! Session tokens in requests: as a cookie, or in an `Authorization` header.

use switchboard::RequestHead;

use super::{
    interface::Credential,
    site::{OriginKind, Site},
    token::Token,
};

/// Returns the credential of a request. The cookie counts only on requests of the chat's own page, since browsers
/// attach it to requests of any page.
pub(super) fn presented(head: &RequestHead, site: &Site, origin_kind: OriginKind) -> Credential {
    // Other schemes than Bearer are ignored: they may be for a proxy.
    if let Some(token) = head.values("authorization").find_map(bearer) {
        return Token::parse(token).map_or(Credential::Malformed, |token| Credential::Token(token.hash()));
    }
    if origin_kind != OriginKind::Own {
        return Credential::None;
    }
    let name = cookie_name(site);
    let mut cookies = head.values("cookie").filter_map(|value| std::str::from_utf8(value).ok()).flat_map(cookies);
    match cookies.find(|(other, _)| *other == name) {
        Some((_, value)) => Token::parse(value).map_or(Credential::Malformed, |token| Credential::Token(token.hash())),
        None => Credential::None,
    }
}

/// Returns the `Set-Cookie` value that stores a session's token for `seconds`.
pub(super) fn session_cookie(site: &Site, token: &Token, seconds: u64) -> String {
    set_cookie(site, &token.to_string(), seconds)
}

/// Returns the `Set-Cookie` value that removes the token.
pub(super) fn expired_cookie(site: &Site) -> String {
    set_cookie(site, "", 0)
}

fn set_cookie(site: &Site, value: &str, seconds: u64) -> String {
    let name = cookie_name(site);
    let secure = if site.is_secure() { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// Returns the cookie's name. The `__Host-` prefix keeps other hosts and plain HTTP from setting it (RFC 6265bis,
/// §4.1.3.2).
fn cookie_name(site: &Site) -> &'static str {
    if site.is_secure() { "__Host-session" } else { "session" }
}

/// Splits a Cookie header into names and values.
fn cookies(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split(';').filter_map(|pair| pair.trim().split_once('='))
}

/// Returns the token of an `Authorization: Bearer` header.
fn bearer(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
