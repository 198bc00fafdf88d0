//! Session tokens in requests, as a cookie or in an `Authorization` header, and the cookies of devices.

use switchboard::RequestHead;

use super::{
    device::{DEVICE_SECONDS, DeviceCookie},
    interface::Credential,
    site::{OriginKind, Site},
    token::{Token, TokenHash},
};

/// Returns the credential of a request. The cookies count only on requests of the chat's own page, since browsers
/// attach them to requests of any page.
///
/// A proxy may use `Authorization` for itself, and other programs of the host, or of its parent domains, may set
/// cookies of any name. So a header that is not of the form of a token is not the chat's, and of several cookies with
/// the chat's name each may be the one.
pub(super) fn presented(head: &RequestHead, site: &Site, origin_kind: OriginKind) -> Credential {
    let bearer: Vec<_> = head.values("authorization").filter_map(bearer).take(MAX_TRIED).collect();
    if !bearer.is_empty() {
        return Credential::Tokens(bearer);
    }
    if origin_kind != OriginKind::Own {
        return Credential::None;
    }
    let mut values = cookies(head, site, SESSION).take(MAX_TRIED).peekable();
    if values.peek().is_none() {
        return Credential::None;
    }
    match values.filter_map(token_hash).collect::<Vec<_>>() {
        tokens if tokens.is_empty() => Credential::Malformed,
        tokens => Credential::Tokens(tokens),
    }
}

/// Returns whether a request has a cookie with the name of a session's.
pub(super) fn has_cookie(head: &RequestHead, site: &Site) -> bool {
    cookies(head, site, SESSION).next().is_some()
}

/// Returns the cookies of devices in a request of the chat's own page, at most [`MAX_TRIED`].
pub(super) fn device_cookies<'a>(
    head: &'a RequestHead,
    site: &Site,
    origin_kind: OriginKind,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let counted = if origin_kind == OriginKind::Own { MAX_TRIED } else { 0 };
    cookies(head, site, DEVICE).take(counted).filter_map(|value| str::from_utf8(value).ok())
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

/// Returns the values of all cookies with a name. A cookie is bytes (RFC 6265 §5.4): one that is not text does not void
/// the others. Quotes around a value are not part of it (§4.1.1).
fn cookies<'a>(head: &'a RequestHead, site: &Site, name: &'static str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let prefix = if site.is_secure() { SECURE_PREFIX } else { "" };
    let pairs = head.values("cookie").flat_map(|value| value.split(|&byte| byte == b';'));
    pairs.filter_map(move |pair| {
        let rest = pair.trim_ascii_start().strip_prefix(prefix.as_bytes())?.strip_prefix(name.as_bytes())?;
        let value = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii();
        Some(value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(value))
    })
}

/// Returns the hash of the token of an `Authorization: Bearer` header. Of any other header it returns `None`.
fn bearer(value: &[u8]) -> Option<TokenHash> {
    let (scheme, token) = value.split_at_checked(BEARER.len())?;
    if scheme.eq_ignore_ascii_case(BEARER) { token_hash(token.trim_ascii()) } else { None }
}

fn token_hash(text: &[u8]) -> Option<TokenHash> {
    Some(Token::parse(str::from_utf8(text).ok()?)?.hash())
}

const BEARER: &[u8] = b"bearer ";
/// Names of our own: a cookie is sent to every port of a host, and other programs there use the defaults of their
/// frameworks, such as `session`.
const SESSION: &str = "switchboard-session";
const DEVICE: &str = "switchboard-device";
/// Maximum tokens and cookies of one request that are tried. Each costs a hash and a look into the store.
const MAX_TRIED: usize = 4;
/// Keeps other hosts and plain HTTP from setting a cookie (RFC 6265bis, §4.1.3.2).
const SECURE_PREFIX: &str = "__Host-";

#[cfg(test)]
mod tests {
    use switchboard::{HeadLimits, RequestReader};

    use super::*;
    use crate::ChatConfig;

    /// Returns how many tokens a request with these header fields shows: `None` for no credential at all.
    fn shown(fields: &[&[u8]], url: Option<&str>, origin_kind: OriginKind) -> (Option<usize>, usize) {
        let config = ChatConfig { public_url: url.map(|url| url.parse().unwrap()), ..ChatConfig::default() };
        let site = Site::new(&config, false);
        let request = [b"GET / HTTP/1.1\r\nHost: x\r\n", fields.concat().as_slice(), b"\r\n"].concat();
        let (head, _) = RequestReader::new(HeadLimits::default()).receive(&request).unwrap().unwrap();
        let tokens = match presented(&head, &site, origin_kind) {
            Credential::None => None,
            Credential::Malformed => Some(0),
            Credential::Tokens(tokens) => Some(tokens.len()),
        };
        (tokens, device_cookies(&head, &site, origin_kind).count())
    }

    #[test]
    fn each_cookie_of_the_chats_name_is_tried_whatever_else_is_in_the_header() {
        let token = |number: u8| {
            let token = Token::parse(&format!("{}A", char::from(b'A' + number).to_string().repeat(42)));
            token.expect("a token").to_string().into_bytes()
        };
        let (a, b) = (token(0), token(1));
        let cookie = |pairs: &[&[u8]]| [b"Cookie: ", pairs.concat().as_slice(), b"\r\n"].concat();
        let name: &[u8] = b"switchboard-session=";
        let rows: [(&str, Vec<u8>, Option<usize>); 18] = [
            ("alone", cookie(&[name, &a]), Some(1)),
            ("another of the name before it", cookie(&[name, b"OTHER; ", name, &a]), Some(1)),
            ("another of the name behind it", cookie(&[name, &a, b"; ", name, b"OTHER"]), Some(1)),
            ("two tokens", cookie(&[name, &a, b"; ", name, &b]), Some(2)),
            ("in two header fields", [cookie(&[name, &a]), cookie(&[name, &b])].concat(), Some(2)),
            ("four before it", cookie(&[&[name, b"x; "].concat().repeat(4), name, &a]), Some(0)),
            ("three before it", cookie(&[&[name, b"x; "].concat().repeat(3), name, &a]), Some(1)),
            ("a byte that is not UTF-8 before it", cookie(&[b"theme=\xFF; ", name, &a]), Some(1)),
            ("quoted", cookie(&[b"$Version=\"1\"; ", name, b"\"", &a, b"\""]), Some(1)),
            ("half quoted", cookie(&[name, b"\"", &a]), Some(0)),
            ("spaces around it", cookie(&[b"a=b ;\t ", name, &a, b" "]), Some(1)),
            ("no space", cookie(&[b"a=b;", name, &a]), Some(1)),
            ("a pair without a name", cookie(&[b"=x; y; ;; ", name, &a]), Some(1)),
            ("a longer name", cookie(&[b"my-", name, &a]), None),
            ("another case", cookie(&[b"Switchboard-session=", &a]), None),
            ("a default of frameworks", cookie(&[b"session=", &a]), None),
            ("with the prefix of https", cookie(&[b"__Host-", name, &a]), None),
            ("empty", cookie(&[name]), Some(0)),
        ];
        for (what, field, expected) in &rows {
            assert_eq!(shown(&[field], None, OriginKind::Own), (*expected, 0), "{what}");
            assert_eq!(shown(&[field], None, OriginKind::Allowed), (None, 0), "{what}, of a page of another origin");
        }
        let https = Some("https://chat.example");
        assert_eq!(shown(&[&cookie(&[b"__Host-", name, &a])], https, OriginKind::Own), (Some(1), 0));
        // With https only the prefix proves that no other host of the domain, and no page without TLS, has set it.
        assert_eq!(shown(&[&cookie(&[name, &a])], https, OriginKind::Own), (None, 0));
        let devices = cookie(&[&b"switchboard-device=x; ".repeat(6)]);
        assert_eq!(shown(&[&devices], None, OriginKind::Own), (None, 4));
        assert_eq!(shown(&[&devices], None, OriginKind::Allowed), (None, 0));
    }

    #[test]
    fn an_authorization_that_is_no_token_of_the_chat_is_a_proxys() {
        let token = "A".repeat(43);
        let cookie = format!("Cookie: switchboard-session={token}\r\n");
        let rows = [
            ("a token", format!("Authorization: Bearer {token}\r\n"), Some(1)),
            ("another case, more space", format!("Authorization: bEARER   {token} \r\n"), Some(1)),
            ("a JWT", "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln\r\n".to_owned(), None),
            ("a short one", format!("Authorization: Bearer {}\r\n", &token[1..]), None),
            ("a name and a password", "Authorization: Basic QTpi\r\n".to_owned(), None),
            ("another scheme", format!("Authorization: Token {token}\r\n"), None),
            ("no scheme", format!("Authorization: {token}\r\n"), None),
            ("empty", "Authorization:\r\n".to_owned(), None),
            ("a JWT and a token", format!("Authorization: Bearer a.b.c\r\nAuthorization: Bearer {token}\r\n"), Some(1)),
        ];
        for (what, field, expected) in &rows {
            assert_eq!(shown(&[field.as_bytes()], None, OriginKind::Absent).0, *expected, "{what}");
            let both = [field.as_bytes(), cookie.as_bytes()];
            assert_eq!(shown(&both, None, OriginKind::Own).0, Some(1), "{what}, and a cookie");
        }
    }
}
