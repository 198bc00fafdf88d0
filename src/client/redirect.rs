//! Redirects of the opening handshake: which are followed, and where they lead.
//!
//! The location is resolved by [RFC 3986 §5.2]. `http` means `ws` there, and `https` means `wss`.
//!
//! [RFC 3986 §5.2]: https://www.rfc-editor.org/rfc/rfc3986#section-5.2

use std::fmt;

use super::{ClientError, UrlError, url::Url};

/// Why the client does not follow a redirect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedirectError {
    /// As many redirects as [`redirects`](super::ClientBuilder::redirects) allows have been followed.
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// The location was visited before in the same attempt.
    Loop,
    /// The location is `ws`, but a URL before it was `wss`. Messages would no longer be encrypted.
    Downgrade,
    /// The location is not a URL that can be used.
    Url(UrlError),
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { limit } => write!(f, "{limit} redirects were followed already, and no more are allowed"),
            Self::Loop => f.write_str("this location was visited before: the redirects form a loop"),
            Self::Downgrade => f.write_str("a redirect from wss to ws would end encryption"),
            Self::Url(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RedirectError {}

/// The URLs that one attempt to connect has visited.
pub(super) struct Visits {
    /// Never empty; the last one is the current URL.
    urls: Vec<Url>,
    max_redirects: u32,
    has_left_origin: bool,
}

impl Visits {
    pub(super) fn new(url: Url, max_redirects: u32) -> Self {
        Self { urls: vec![url], max_redirects, has_left_origin: false }
    }

    /// Returns the URL to connect to.
    pub(super) fn current(&self) -> &Url {
        self.urls.last().expect("the list begins with one URL and only grows")
    }

    /// Returns whether a redirect has led to another scheme, host or port. Credentials for the first URL must not be
    /// sent any more, even if a later redirect has led back.
    pub(super) fn has_left_origin(&self) -> bool {
        self.has_left_origin
    }

    /// Returns whether the current URL has the scheme, host and port of the first one.
    pub(super) fn is_at_first_origin(&self) -> bool {
        self.current().has_origin_of(&self.urls[0])
    }

    /// Goes on to `location`.
    ///
    /// # Errors
    /// [`ClientError::RedirectFailed`] with the location: it must not be followed.
    pub(super) fn follow(&mut self, location: &str) -> Result<(), ClientError> {
        let failed = |reason| ClientError::RedirectFailed { location: location.to_owned(), reason };
        let followed = self.urls.len() - 1;
        if usize::try_from(self.max_redirects).is_ok_and(|limit| followed >= limit) {
            return Err(failed(RedirectError::TooMany { limit: self.max_redirects }));
        }
        let url = resolve(self.current(), location).map_err(|error| failed(RedirectError::Url(error)))?;
        if self.current().is_secure && !url.is_secure {
            return Err(failed(RedirectError::Downgrade));
        }
        if self.urls.contains(&url) {
            return Err(failed(RedirectError::Loop));
        }
        log::debug!("redirected from {} to {}", self.current().authority, url.authority);
        self.has_left_origin |= !url.has_origin_of(self.current());
        self.urls.push(url);
        Ok(())
    }
}

/// Resolves a location against the URL whose response it is from. A fragment is dropped: it is for a browser's page.
fn resolve(base: &Url, location: &str) -> Result<Url, UrlError> {
    let location = location.split('#').next().unwrap_or_default();
    if let Some((scheme, rest)) = split_scheme(location) {
        let scheme = match &*scheme.to_ascii_lowercase() {
            "http" | "ws" => "ws",
            "https" | "wss" => "wss",
            _ => return Err(UrlError::Scheme(scheme.to_owned())),
        };
        return parse(scheme, rest);
    }
    let scheme = if base.is_secure { "wss" } else { "ws" };
    if location.starts_with("//") {
        return parse(scheme, location);
    }
    let (base_path, base_query) = split_query(&base.target);
    let (path, query) = split_query(location);
    let target = match path {
        "" if query.is_empty() => format!("{base_path}{base_query}"),
        "" => format!("{base_path}{query}"),
        _ if path.starts_with('/') => format!("{path}{query}"),
        _ => {
            let folder = base_path.rfind('/').map_or("", |end| &base_path[..end]);
            format!("{folder}/{path}{query}")
        }
    };
    parse(scheme, &format!("//{}{target}", base.authority))
}

/// Parses `//authority/path?query` and removes the dot segments of the path.
fn parse(scheme: &str, rest: &str) -> Result<Url, UrlError> {
    let mut url = Url::parse(&format!("{scheme}:{rest}"))?;
    let (path, query) = split_query(&url.target);
    url.target = format!("{}{query}", without_dot_segments(path));
    Ok(url)
}

/// Splits `scheme:rest`. `None` if it is a relative reference, which may have a colon further on.
fn split_scheme(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    is_scheme.then_some((scheme, rest))
}

/// Splits a target into its path and its query with the question mark.
fn split_query(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}

/// Removes the segments `.` and `..` from an absolute path (RFC 3986 §5.2.4).
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if segments.peek().is_none() {
            kept.push(""); // `/a/.` and `/a/b/..` are the folder `/a/`
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_resolved_against_the_url_it_came_from() {
        // RFC 3986 §5.4, with the base `http://a/b/c/d;p?q`. Its fragments are dropped.
        let rows: &[(&str, &str)] = &[
            ("g", "ws://a/b/c/g"),
            ("./g", "ws://a/b/c/g"),
            ("g/", "ws://a/b/c/g/"),
            ("/g", "ws://a/g"),
            ("//g", "ws://g/"),
            ("?y", "ws://a/b/c/d;p?y"),
            ("g?y", "ws://a/b/c/g?y"),
            ("#s", "ws://a/b/c/d;p?q"),
            ("g#s", "ws://a/b/c/g"),
            ("g?y#s", "ws://a/b/c/g?y"),
            (";x", "ws://a/b/c/;x"),
            ("g;x", "ws://a/b/c/g;x"),
            ("", "ws://a/b/c/d;p?q"),
            (".", "ws://a/b/c/"),
            ("./", "ws://a/b/c/"),
            ("..", "ws://a/b/"),
            ("../", "ws://a/b/"),
            ("../g", "ws://a/b/g"),
            ("../..", "ws://a/"),
            ("../../g", "ws://a/g"),
            ("../../../g", "ws://a/g"),
            ("/./g", "ws://a/g"),
            ("/../g", "ws://a/g"),
            ("g.", "ws://a/b/c/g."),
            (".g", "ws://a/b/c/.g"),
            ("..g", "ws://a/b/c/..g"),
            ("./../g", "ws://a/b/g"),
            ("./g/.", "ws://a/b/c/g/"),
            ("g/./h", "ws://a/b/c/g/h"),
            ("g/../h", "ws://a/b/c/h"),
            ("g?y/../x", "ws://a/b/c/g?y/../x"),
            ("http://h:8080/x?y=z", "ws://h:8080/x?y=z"),
            ("WS://h/a/../b", "ws://h/b"),
            ("//h:1/x", "ws://h:1/x"),
            ("?a:b", "ws://a/b/c/d;p?a:b"),
            ("/x:y", "ws://a/x:y"),
        ];
        let base = Url::parse("ws://a/b/c/d;p?q").unwrap();
        for &(location, expected) in rows {
            assert_eq!(resolve(&base, location).map(|url| url.to_string()).as_deref(), Ok(expected), "{location:?}");
        }
    }

    #[test]
    fn a_location_that_is_no_websocket_url_is_refused() {
        let scheme = |text: &str| UrlError::Scheme(text.to_owned());
        let rows: &[(&str, UrlError)] = &[
            ("ftp://h/", scheme("ftp")),
            ("g:h", scheme("g")),
            ("mailto:a@b", scheme("mailto")),
            ("http:g", scheme("")),
            ("http:///x", UrlError::Host(String::new())),
            ("http://user:pass@h/", UrlError::UserInfo),
            ("//user@h/", UrlError::UserInfo),
            ("/a b", UrlError::Target("/a b".into())),
            ("/\r\nX: y", UrlError::Target("/\r\nX: y".into())),
            ("http://h:0/", UrlError::Port("0".into())),
        ];
        let base = Url::parse("ws://a/b").unwrap();
        for (location, expected) in rows {
            assert_eq!(resolve(&base, location).as_ref(), Err(expected), "{location:?}");
        }
    }

    /// Follows the locations one after another. Returns whether credentials may still be sent, or why it ended.
    fn visit(max_redirects: u32, first: &str, locations: &[&str]) -> Result<bool, RedirectError> {
        let mut visits = Visits::new(Url::parse(first).unwrap(), max_redirects);
        for location in locations {
            match visits.follow(location) {
                Ok(()) => {}
                Err(ClientError::RedirectFailed { location: named, reason }) => {
                    assert_eq!(named, *location);
                    return Err(reason);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        Ok(!visits.has_left_origin())
    }

    #[test]
    fn redirects_end_at_the_limit_and_at_a_loop_and_credentials_end_at_another_origin() {
        let rows: &[(u32, &str, &[&str], Result<bool, RedirectError>)] = &[
            (1, "ws://a/", &["/x"], Ok(true)),
            (1, "ws://a/", &["/x", "/y"], Err(RedirectError::TooMany { limit: 1 })),
            (2, "ws://a/", &["/x", "/y"], Ok(true)),
            (0, "ws://a/", &["/x"], Err(RedirectError::TooMany { limit: 0 })),
            (9, "ws://a/", &["/"], Err(RedirectError::Loop)),
            (9, "ws://a/", &["http://a:80/./"], Err(RedirectError::Loop)),
            (9, "ws://a/", &["/x", "/y", "/x"], Err(RedirectError::Loop)),
            (9, "ws://a/", &["/?"], Ok(true)),
            (9, "ws://a/", &["http://A:80/x"], Ok(true)),
            (9, "ws://a/", &["//a:81/x"], Ok(false)),
            (9, "ws://a/", &["//b/x"], Ok(false)),
            (9, "ws://a/", &["//sub.a/x"], Ok(false)),
            (9, "ws://a/", &["//b/x", "/y"], Ok(false)),
            (9, "ws://a/", &["//b/x", "//a/y"], Ok(false)),
            (9, "ws://a/", &["//b/x", "//a/y", "/z"], Ok(false)),
            (9, "ws://a/", &["x y"], Err(RedirectError::Url(UrlError::Target("/x y".into())))),
        ];
        for (max_redirects, first, locations, expected) in rows {
            assert_eq!(visit(*max_redirects, first, locations), *expected, "{first} {locations:?}");
        }
    }

    #[cfg(feature = "client-tls")]
    #[test]
    fn no_redirect_leads_from_wss_to_ws() {
        let rows: &[(&str, &[&str], Result<bool, RedirectError>)] = &[
            ("wss://a/", &["/x"], Ok(true)),
            ("wss://a/", &["https://a:443/x"], Ok(true)),
            ("wss://a/", &["http://a/x"], Err(RedirectError::Downgrade)),
            ("wss://a/", &["ws://a:443/x"], Err(RedirectError::Downgrade)),
            ("wss://a/", &["//b/x"], Ok(false)),
            ("ws://a/", &["https://a/x"], Ok(false)),
            ("ws://a/", &["https://a/x", "http://a/"], Err(RedirectError::Downgrade)),
        ];
        for (first, locations, expected) in rows {
            assert_eq!(visit(9, first, locations), *expected, "{first} {locations:?}");
        }
    }
}
