//! The page at `/`, with its script and its style: three files without dependencies.

use crate::StaticFiles;

/// Returns a page to try a server of messages: it connects, sends texts, and shows the state of its connection, the
/// close code, and a log of what was sent and received. It is at `/`, its script and its style at `/page.js` and
/// `/page.css`. `about` is the sentence on it that says what the server does; `<` and `&` in it are HTML.
///
/// # Examples
/// ```
/// use switchboard::{Request, Responder, apps};
///
/// /// Is called by `App::request`.
/// fn respond(request: &Request<'_>, responder: Responder) {
///     responder.send(apps::page("Each text comes back.").respond(request));
/// }
/// # let _ = respond;
/// ```
#[must_use]
pub fn page(about: &str) -> StaticFiles {
    StaticFiles::new()
        .file("/", include_str!("page.html").replace("{about}", about))
        .file("/page.css", include_str!("page.css"))
        .file("/page.js", include_str!("page.js"))
        .content_security_policy(POLICY)
}

/// The page runs its own script alone, and may connect to any WebSocket server that its user names.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src ws: wss:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
