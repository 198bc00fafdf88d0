//! The page at `/`, with its script and its style: three files without dependencies.

use std::borrow::Cow;

use crate::{Request, Responder, Response};

/// Answers a plain request: with the page at `/` and its two files, with 404 elsewhere, with 405 to POST. OPTIONS gets
/// the methods of these.
/// `about` is the sentence on the page that says what the service does.
pub(super) fn respond(request: &Request<'_>, responder: Responder, about: &'static str) {
    let file: Option<(&str, Cow<'static, str>)> = match request.head.path() {
        "/" => Some(("text/html", include_str!("page.html").replace("{about}", about).into())),
        "/page.css" => Some(("text/css", include_str!("page.css").into())),
        "/page.js" => Some(("text/javascript", include_str!("page.js").into())),
        _ => None,
    };
    responder.send(match (request.head.method(), file) {
        ("GET" | "HEAD", Some((kind, content))) => Response::new(200)
            .header("Content-Type", format!("{kind}; charset=utf-8"))
            .header("Content-Security-Policy", POLICY)
            .header("X-Content-Type-Options", "nosniff")
            .body(content.into_owned().into_bytes()),
        ("OPTIONS", Some(_)) => Response::new(204).header("Allow", METHODS),
        ("GET" | "HEAD" | "OPTIONS", None) => {
            Response::text(404, "not found: the page is at /, WebSocket is spoken on any path\n")
        }
        _ => Response::text(405, "method not allowed\n").header("Allow", METHODS),
    });
}

const METHODS: &str = "GET, HEAD, OPTIONS";

/// The page runs its own script alone, and may connect to any WebSocket server that its user names.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src ws: wss:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
