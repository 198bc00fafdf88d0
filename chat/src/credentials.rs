//! What a request shows to prove who sends it: a cookie, or a token in a header.

use super::{
    backplane::Credential,
    site::{OriginKind, Site},
    token::Token,
};
use switchboard::RequestHead;

/// What a request shows. The cookie counts only where the chat's own page sends it: browsers attach it by themselves.
pub(super) fn presented(head: &RequestHead, site: &Site, origin_kind: OriginKind) -> Credential {
    // Of other schemes, which may be for a proxy, we know nothing.
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

/// The cookie that keeps somebody signed in, for so many seconds.
pub(super) fn session_cookie(site: &Site, token: &Token, seconds: u64) -> String {
    set_cookie(site, &token.to_string(), seconds)
}

/// The cookie that takes it back.
pub(super) fn expired_cookie(site: &Site) -> String {
    set_cookie(site, "", 0)
}

fn set_cookie(site: &Site, value: &str, seconds: u64) -> String {
    let name = cookie_name(site);
    let secure = if site.is_secure() { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// With the prefix no other host, and nobody on the way, can set it (RFC 6265bis, §4.1.3.2).
fn cookie_name(site: &Site) -> &'static str {
    if site.is_secure() { "__Host-session" } else { "session" }
}

/// Names and values of a Cookie header.
fn cookies(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split(';').filter_map(|pair| pair.trim().split_once('='))
}

/// What an Authorization header says is a token.
fn bearer(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
