//! Files in memory, such as a page with its scripts, as responses to plain HTTP requests.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha1::{Digest as _, Sha1};

use super::{Request, Response};

/// Text files that a server serves from memory: a page with its scripts and styles.
///
/// GET and HEAD get the file, OPTIONS the methods, another method 405, another path 404. A file's name tells its type:
/// `.html`, `.css`, `.js`, `.json`, `.svg`; another one is plain text. Each has an entity tag, by which a browser asks
/// at each use whether it has changed (`Cache-Control: no-cache`; 304, [RFC 9110 §15.4.5]), and a content security
/// policy.
///
/// # Examples
/// ```
/// use switchboard::{Request, Responder, StaticFiles};
///
/// /// Is called by `App::request`.
/// fn respond(files: &StaticFiles, request: &Request<'_>, responder: Responder) {
///     responder.send(files.respond(request));
/// }
/// let files = StaticFiles::new().file("/", "<!doctype html><h1>Hello</h1>").file("/page.css", "h1 { color: red; }");
/// # let _ = (respond, files);
/// ```
///
/// [RFC 9110 §15.4.5]: https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5
#[derive(Clone, Debug)]
pub struct StaticFiles {
    /// By path.
    files: BTreeMap<Cow<'static, str>, File>,
    policy: &'static str,
}

#[derive(Clone, Debug)]
struct File {
    content: Cow<'static, str>,
    media_type: &'static str,
    /// With its quotes.
    etag: String,
}

impl StaticFiles {
    /// Creates a set without files. Its policy lets a page run scripts, use styles and images, and open connections,
    /// all of the page's own host, and nothing inline.
    #[must_use]
    pub fn new() -> Self {
        Self { files: BTreeMap::new(), policy: POLICY }
    }

    /// Adds the file at a path, in place of an earlier one. A path that ends with `/` is a page.
    #[must_use]
    pub fn file(mut self, path: impl Into<Cow<'static, str>>, content: impl Into<Cow<'static, str>>) -> Self {
        let (path, content) = (path.into(), content.into());
        let etag = format!("\"{}\"", BASE64_STANDARD.encode(Sha1::digest(content.as_bytes())));
        let media_type = media_type(&path);
        self.files.insert(path, File { content, media_type, etag });
        self
    }

    /// Sets the Content-Security-Policy of all files.
    #[must_use]
    pub fn content_security_policy(mut self, policy: &'static str) -> Self {
        self.policy = policy;
        self
    }

    /// Returns whether there is a file at this path.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Returns the response to a request.
    #[must_use]
    pub fn respond(&self, request: &Request<'_>) -> Response {
        let file = self.files.get(request.head.path());
        match (request.head.method(), file) {
            ("GET" | "HEAD", Some(file)) => {
                let is_known = request.head.values("if-none-match").any(|value| names(value, &file.etag));
                // A 304 updates the fields that the browser has kept, the policy too.
                let response = Response::new(if is_known { 304 } else { 200 })
                    .header("ETag", file.etag.clone())
                    .header("Cache-Control", "no-cache")
                    .header("Content-Security-Policy", self.policy)
                    .header("X-Content-Type-Options", "nosniff");
                if is_known {
                    return response;
                }
                let content = match file.content.clone() {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                };
                response.header("Content-Type", format!("{}; charset=utf-8", file.media_type)).body(content)
            }
            ("OPTIONS", Some(_)) => Response::new(204).header("Allow", METHODS),
            ("GET" | "HEAD" | "OPTIONS", None) => Response::text(404, "not found\n"),
            _ => Response::text(405, "method not allowed\n").header("Allow", METHODS),
        }
    }
}

impl Default for StaticFiles {
    fn default() -> Self {
        Self::new()
    }
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "html")) => "text/html",
        Some((_, "css")) => "text/css",
        Some((_, "js")) => "text/javascript",
        Some((_, "json")) => "application/json",
        Some((_, "svg")) => "image/svg+xml",
        _ if path.ends_with('/') => "text/html",
        _ => "text/plain",
    }
}

/// Returns whether a value of `If-None-Match` has this tag, or is `*`. The comparison is weak, and the tag has no comma.
fn names(value: &[u8], etag: &str) -> bool {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(|tag| {
        let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
        tag == etag.as_bytes() || tag == b"*"
    })
}

const METHODS: &str = "GET, HEAD, OPTIONS";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_lists_and_by_weak_comparison() {
        for (value, is_named) in [
            ("\"ab/+=\"", true),
            ("W/\"ab/+=\"", true),
            ("\"x\", W/\"ab/+=\" ,", true),
            ("*", true),
            ("", false),
            ("ab/+=", false),
            ("\"ab/+=", false),
            ("\"AB/+=\"", false),
            ("w/\"ab/+=\"", false),
            ("\"*\"", false),
        ] {
            assert_eq!(names(value.as_bytes(), "\"ab/+=\""), is_named, "{value}");
        }
    }

    #[test]
    fn the_name_tells_the_type() {
        for (path, media_type_of_path) in [
            ("/", "text/html"),
            ("/a/", "text/html"),
            ("/a.html", "text/html"),
            ("/a.js", "text/javascript"),
            ("/a.b.css", "text/css"),
            ("/a.json", "application/json"),
            ("/a.svg", "image/svg+xml"),
            ("/a", "text/plain"),
            ("/a.HTML", "text/plain"),
            ("/js", "text/plain"),
            ("/a.js/", "text/html"),
        ] {
            assert_eq!(media_type(path), media_type_of_path, "{path}");
        }
    }
}
