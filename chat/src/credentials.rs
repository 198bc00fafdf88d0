//! Session tokens in requests, as a cookie or in an `Authorization` header, and the cookies of devices.

use switchboard::RequestHead;

use super::{
    device::{DEVICE_SECONDS, DeviceCookie},
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
    match cookie(head, site, SESSION) {
        Some(value) => Token::parse(value).map_or(Credential::Malformed, |token| Credential::Token(token.hash())),
        None => Credential::None,
    }
}

/// Returns the cookie of the device that sent a request of the chat's own page.
pub(super) fn device_cookie_of<'a>(head: &'a RequestHead, site: &Site, origin_kind: OriginKind) -> Option<&'a str> {
    if origin_kind == OriginKind::Own { cookie(head, site, DEVICE) } else { None }
}

/// Returns the `Set-Cookie` value that stores a session's token for `seconds`.
pub(super) fn session_cookie(site: &Site, token: &Token, seconds: u64) -> String {
    set_cookie(site, SESSION, &token.to_string(), seconds)
}

/// Returns the `Set-Cookie` value that removes the token.
pub(super) fn expired_cookie(site: &Site) -> String {
    set_cookie(site, SESSION, "", 0)
}

/// Returns the `Set-Cookie` value that stores a device's cookie.
pub(super) fn device_cookie(site: &Site, cookie: &DeviceCookie) -> String {
    set_cookie(site, DEVICE, cookie.as_str(), DEVICE_SECONDS)
}

fn set_cookie(site: &Site, name: &str, value: &str, seconds: u64) -> String {
    let (prefix, secure) = if site.is_secure() { (SECURE_PREFIX, "; Secure") } else { ("", "") };
    format!("{prefix}{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// Returns the value of a cookie.
fn cookie<'a>(head: &'a RequestHead, site: &Site, name: &str) -> Option<&'a str> {
    let prefix = if site.is_secure() { SECURE_PREFIX } else { "" };
    let mut cookies = head.values("cookie").filter_map(|value| std::str::from_utf8(value).ok()).flat_map(cookies);
    cookies.find(|(other, _)| other.strip_prefix(prefix) == Some(name)).map(|(_, value)| value)
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

const SESSION: &str = "session";
const DEVICE: &str = "device";
/// Keeps other hosts and plain HTTP from setting a cookie (RFC 6265bis, §4.1.3.2).
const SECURE_PREFIX: &str = "__Host-";
