//! The page's files, embedded in the program.

use crate::Response;

/// The file at this path of the site.
pub(super) fn at(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

pub(super) struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

impl File {
    /// The file as an answer to a request for this Host.
    pub(super) fn response(&self, host: &str) -> Response {
        Response::new(200)
            .header("Content-Type", self.content_type)
            .header("Content-Security-Policy", security_policy(host))
            .header("X-Content-Type-Options", "nosniff")
            .header("Referrer-Policy", "no-referrer")
            .header("Cross-Origin-Opener-Policy", "same-origin")
            // A new version of the program is a new page at once.
            .header("Cache-Control", "no-cache")
            .body(self.content)
    }
}

/// Nothing but our own files runs or is loaded; nobody frames the page. The WebSocket's host is named since not every
/// browser takes it for `'self'`.
fn security_policy(host: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self' ws://{host} wss://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

macro_rules! file {
    ($path:literal, $content_type:literal, $file:literal) => {
        File { path: $path, content_type: $content_type, content: include_bytes!(concat!("page/", $file)) }
    };
}

const FILES: &[File] = &[
    file!("/", "text/html; charset=utf-8", "index.html"),
    file!("/style.css", "text/css; charset=utf-8", "style.css"),
    file!("/chat.js", "text/javascript; charset=utf-8", "chat.js"),
    file!("/client.js", "text/javascript; charset=utf-8", "client.js"),
    file!("/favicon.svg", "image/svg+xml", "favicon.svg"),
];
